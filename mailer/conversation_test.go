package mailer

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// TestBrokenPipelining: a server that fails when commands come in groups is
// spoken to one command at a time, for good, and nothing is lost or doubled.
func TestBrokenPipelining(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]smtpscript.Breakage{
		"discards": smtpscript.BreakDiscard, "reorders": smtpscript.BreakReorder, "misses": smtpscript.BreakMissing, "adds": smtpscript.BreakExtra,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newTalk(t, smtpscript.Config{Break: how})
			k.opt.Timeouts.Command, k.opt.Timeouts.Data = impatience, impatience
			k.enqueue(numbered(20))
			k.run()
			k.wantTruth()
			k.wantStates(map[post.State]int{post.StateSent: 20})
			if !k.account().Learned.NoPipelining {
				t.Error("it was not remembered")
			}
			before := k.srv.Stats()
			k.reopen()
			k.enqueue(persons("after@later.example"))
			k.run()
			k.wantTruth()
			if n := k.srv.Stats().Flights - before.Flights; n < 5 {
				t.Errorf("%d flights for EHLO and one message after a restart: in groups again", n)
			}
		})
	}
}

// TestUnaskedRepliesNeverCountAsSent: a reply too many that comes before the dot is
// never taken for the dot's.
func TestUnaskedRepliesNeverCountAsSent(t *testing.T) {
	t.Parallel()
	for _, phase := range []post.Phase{post.PhaseMAIL, post.PhaseRCPT, post.PhaseDATA} {
		for _, without := range []string{"", "PIPELINING"} {
			t.Run(string(phase)+without, func(t *testing.T) {
				t.Parallel()
				// The extra 250 would turn the refusal behind it into a success.
				script := func(ev smtpscript.Event) smtpscript.Action {
					switch ev.Phase {
					case phase:
						return smtpscript.Action{After: "250 2.0.0 Ok\r\n"}
					case post.PhaseDot:
						return smtpscript.Reply("554 5.6.0 no")
					}
					return smtpscript.Action{}
				}
				k := newTalk(t, smtpscript.Config{Without: []string{without}, Script: script})
				k.enqueue(numbered(3))
				s := k.start()
				k.until("an account that waits", func() bool { return k.account().WaitStep >= 3 })
				s.stop()
				k.wait(s)
				k.wantTruth()
				if n := k.srv.Stats().Dots; n != 0 {
					t.Errorf("%d dots", n)
				}
			})
		}
	}
}

// TestRefusedRecipientAnd354: the lone dot that RFC 2920 3.1 asks for ends a
// DATA without a recipient, and the connection goes on.
func TestRefusedRecipientAnd354(t *testing.T) {
	t.Parallel()
	script := func(ev smtpscript.Event) smtpscript.Action {
		switch {
		case ev.Phase == post.PhaseRCPT && strings.HasPrefix(ev.Rcpt, "p1@"):
			return smtpscript.Reply("550 5.1.1 no such user")
		case ev.Phase == post.PhaseDATA:
			return smtpscript.Reply("354 go on")
		}
		return smtpscript.Action{}
	}
	k := newTalk(t, smtpscript.Config{Script: script})
	k.enqueue(numbered(4))
	k.run()
	k.wantTruth()
	k.wantStates(map[post.State]int{post.StateSent: 3, post.StateFailed: 1})
	if n := k.srv.Stats().Connections; n != 1 {
		t.Errorf("%d connections", n)
	}
	for _, m := range k.srv.Messages() {
		if m.Size == 0 {
			t.Error("an empty message was taken")
		}
	}
}

// TestRefusedSenderAndAcceptedRecipient: where MAIL is refused and RCPT and
// DATA are accepted all the same, a lone dot would be an empty message.
func TestRefusedSenderAndAcceptedRecipient(t *testing.T) {
	t.Parallel()
	refuse := true
	script := func(ev smtpscript.Event) smtpscript.Action {
		switch {
		case ev.Phase == post.PhaseMAIL && refuse:
			return smtpscript.Reply("451 4.3.0 later")
		case ev.Phase == post.PhaseRCPT:
			return smtpscript.Reply("250 2.1.5 Ok")
		case ev.Phase == post.PhaseDATA && refuse:
			refuse = false
			return smtpscript.Reply("354 go on")
		}
		return smtpscript.Action{}
	}
	k := newTalk(t, smtpscript.Config{Script: script})
	k.enqueue(numbered(2))
	k.run()
	k.wantStates(map[post.State]int{post.StateSent: 2})
	for _, m := range k.srv.Messages() {
		if m.Size < 100 {
			t.Errorf("a message of %d bytes was taken", m.Size)
		}
	}
	if n := k.srv.Stats().Dots; n != 2 {
		t.Errorf("%d dots, want 2", n)
	}
}

// TestRefusedLocally: what a server said it cannot take is not sent to it.
func TestRefusedLocally(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		cfg     smtpscript.Config
		address string
		key     string
	}{
		{"too large", smtpscript.Config{MaxSize: 100}, "a@b.example", "delivery.too_large_limit"},
		{"SMTPUTF8", smtpscript.Config{Without: []string{"SMTPUTF8"}}, "köhler@b.example", "delivery.smtputf8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newTalk(t, c.cfg)
			k.enqueue(persons(c.address))
			k.run()
			k.wantTruth()
			k.wantStates(map[post.State]int{post.StateFailed: 1})
			d := k.row(c.address)
			if d.Reason.Key != c.key || d.Attempts != 0 {
				t.Errorf("%+v after %d attempts", d.Reason, d.Attempts)
			}
			if n := k.srv.Stats().ByVerb["MAIL"]; n != 0 {
				t.Errorf("MAIL was said %d times", n)
			}
		})
	}
	t.Run("with SMTPUTF8", func(t *testing.T) {
		k := newTalk(t, smtpscript.Config{})
		k.enqueue(persons("köhler@b.example", "b@b.example"))
		k.run()
		k.wantTruth()
		k.wantStates(map[post.State]int{post.StateSent: 2})
	})
}

// TestNoSuchMailboxIsNotMailedAgain: the address goes on the suppression list,
// and the next mailing leaves it out.
func TestNoSuchMailboxIsNotMailedAgain(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{Script: alwaysFor(person(1), post.PhaseRCPT, smtpscript.Reply("550 5.1.1 no such user"))})
	k.enqueue(numbered(3))
	waiting := k.enqueue(numbered(3))
	k.run()
	k.wantStates(map[post.State]int{post.StateSent: 4, post.StateFailed: 1, post.StateSuppressed: 1})
	m, skipped, err := k.ledger.Enqueue(k.Context(), post.Mailing{
		Kind: post.Live, Name: "N", Senders: waiting.Senders, Content: waiting.Content,
	}, numbered(3))
	if err != nil || len(skipped) != 1 || skipped[0].Address != person(1) || m.Counts[post.StateQueued] != 2 {
		t.Errorf("%v %+v %v", m.Counts, skipped, err)
	}
	k.run()
	for to, n := range k.srv.Taken() {
		if to == person(1) || n != 3 {
			t.Errorf("%s got %d", to, n)
		}
	}
}

// TestFiveDomainsStopTheAccount: one refusal for five domains in a row is about
// us: the account stops, and nobody has failed.
func TestFiveDomainsStopTheAccount(t *testing.T) {
	t.Parallel()
	for _, without := range []string{"", "PIPELINING"} {
		t.Run("without"+without, func(t *testing.T) {
			k := newTalk(t, smtpscript.Config{Without: []string{without}, Script: func(ev smtpscript.Event) smtpscript.Action {
				if ev.Phase == post.PhaseRCPT && ev.Rcpt != person(0) {
					return smtpscript.Reply("554 5.7.1 <" + ev.Rcpt + "> blocked by our list")
				}
				return smtpscript.Action{}
			}})
			k.enqueue(numbered(30))
			k.run()
			k.wantTruth()
			k.wantStates(map[post.State]int{post.StateSent: 1, post.StateQueued: 29})
			if a := k.account(); a.Hold != post.AccountStopped || a.Reason.Key != "account.refused" || a.Reason.Raw == "" {
				t.Errorf("%s %+v", a.Hold, a.Reason)
			}
			if n := k.srv.Stats().ByVerb["RCPT"]; n > 7 {
				t.Errorf("%d recipients were tried", n)
			}
			used, err := k.ledger.AccountUsed(k.Context(), k.acct.ID)
			if err != nil || used.Day != 6 {
				t.Errorf("%+v %v", used, err)
			}
		})
	}
}

// TestContentPausesTheMailing: the words of a mailing are refused three times
// in a row; it pauses, and at most one more message was under way.
func TestContentPausesTheMailing(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{Script: func(ev smtpscript.Event) smtpscript.Action {
		if ev.Phase == post.PhaseDot && ev.Total > 40 {
			return smtpscript.Reply("554 5.7.1 looks like spam")
		}
		return smtpscript.Action{}
	}})
	m := k.enqueue(numbered(200))
	k.run()
	k.wantTruth()
	k.wantStates(map[post.State]int{post.StateSent: 40, post.StateFailed: 3, post.StateQueued: 157})
	got, err := k.ledger.Mailing(k.Context(), m.ID)
	if err != nil || got.Hold != post.MailingPaused || got.Reason.Key != "mailing.content" {
		t.Errorf("%s %+v %v", got.Hold, got.Reason, err)
	}
	if a := k.account(); a.Hold != "" {
		t.Errorf("the account is %s", a.Hold)
	}
	// Another mailing of the account goes on.
	k.enqueue(persons("other@mailing.example"), func(m *post.Mailing) { m.Name = "other" })
	before := k.srv.Stats().Dots
	k.run()
	if n := k.srv.Stats().Dots - before; n != 1 {
		t.Errorf("%d messages after the pause, want 1", n)
	}
}

// TestStoppedAccountsSendNothingMore: after a reply that stops the account no
// further dot goes out, not even of the message whose envelope went ahead.
func TestStoppedAccountsSendNothingMore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ reply, key string }{
		{"550 5.7.60 does not have permissions to send as this sender", "account.sender"},
		{"550 5.4.5 daily user sending limit exceeded", "account.quota"},
		{"451 4.7.1 sending rate too high", "account.rate"},
	} {
		t.Run(c.key, func(t *testing.T) {
			k := newTalk(t, smtpscript.Config{Script: onceFor(person(4), post.PhaseDot, smtpscript.Reply(c.reply))})
			k.opt.WaitScale = 0 // real waits: the run ends before them
			k.enqueue(numbered(40))
			k.runUntil(RunParams{NoWait: true})
			k.wantTruth()
			if n := k.srv.Stats().Dots; n != 5 {
				t.Errorf("%d dots, want 5", n)
			}
			a := k.account()
			if a.Reason.Key != c.key || a.State(time.Now()) == post.AccountReady {
				t.Errorf("%s: %+v", a.State(time.Now()), a.Reason)
			}
			d := k.row(person(4))
			if d.State != post.StateQueued || d.Attempts != 0 {
				t.Errorf("%s after %d attempts", d.State, d.Attempts)
			}
		})
	}
}

// TestDailyQuotaNeverFails: however often the quota is refused, nobody fails
// and nothing is charged.
func TestDailyQuotaNeverFails(t *testing.T) {
	t.Parallel()
	refusals := 0
	k := newTalk(t, smtpscript.Config{Script: func(ev smtpscript.Event) smtpscript.Action {
		if ev.Phase == post.PhaseRCPT && refusals < 30 {
			refusals++
			return smtpscript.Reply("550 5.4.5 Daily user sending limit exceeded")
		}
		return smtpscript.Action{}
	}})
	k.enqueue(numbered(5))
	k.run()
	k.wantTruth()
	k.wantStates(map[post.State]int{post.StateSent: 5})
	for _, d := range k.rows() {
		if d.Attempts != 1 {
			t.Errorf("%s: %d attempts", d.Address, d.Attempts)
		}
	}
}

// TestOneAddressDoesNotBlockTheOthers: a server that ends the connection at one
// recipient, each time, still gets the rest.
func TestOneAddressDoesNotBlockTheOthers(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]smtpscript.Action{
		"421": smtpscript.Reply("421 4.3.0 go away").Then(smtpscript.EndClose), "close": smtpscript.Hang(smtpscript.EndClose),
		"garbage": smtpscript.Raw("nonsense\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tries, others int // of the one, while others waited; and of those
			bad := alwaysFor(person(0), post.PhaseRCPT, a)
			k := newTalk(t, smtpscript.Config{Script: func(ev smtpscript.Event) smtpscript.Action {
				switch {
				case ev.Phase == post.PhaseRCPT && ev.Rcpt != person(0):
					others++
				case ev.Phase == post.PhaseRCPT && others < 19:
					tries++
				}
				return bad(ev)
			}})
			k.opt.WaitScale = 1e-3
			k.enqueue(numbered(20))
			s := k.start()
			k.until("19 sent", func() bool { return k.counts()[post.StateSent] == 19 })
			s.stop()
			k.wait(s)
			k.wantTruth()
			k.wantStates(map[post.State]int{post.StateSent: 19, post.StateQueued: 1})
			k.srv.Close() // the script has ended
			if tries > 2 {
				t.Errorf("it was tried %d times while others had had no turn", tries)
			}
		})
	}
}

// TestLearnsMessagesPerConnection: a server that says 421 after seven messages
// gets connections of seven from then on, after a restart too.
func TestLearnsMessagesPerConnection(t *testing.T) {
	t.Parallel()
	for _, without := range []string{"", "PIPELINING"} {
		t.Run("without"+without, func(t *testing.T) {
			refusals := 0
			k := newTalk(t, smtpscript.Config{Without: []string{without}, Script: func(ev smtpscript.Event) smtpscript.Action {
				if ev.Phase == post.PhaseMAIL && ev.Message > 7 {
					refusals++
					return smtpscript.Reply("421 4.3.2 too much for one connection").Then(smtpscript.EndClose)
				}
				return smtpscript.Action{}
			}})
			k.enqueue(numbered(28))
			k.run()
			k.wantTruth()
			k.wantStates(map[post.State]int{post.StateSent: 28})
			if n := k.srv.Stats().Connections; n != 4 {
				t.Errorf("%d connections, want 4", n)
			}
			if n := k.account().Learned.MessagesPerConnection; n != 7 {
				t.Errorf("it learned %d messages", n)
			}
			k.reopen()
			k.enqueue(persons("a@b.example", "b@b.example", "c@b.example", "d@b.example", "e@b.example", "f@b.example", "g@b.example", "h@b.example"))
			k.run()
			k.wantTruth()
			for _, d := range k.rows() {
				if d.State != post.StateSent || d.Attempts != 1 {
					t.Errorf("%s is %s after %d attempts", d.Address, d.State, d.Attempts)
				}
			}
			k.srv.Close() // the script has ended
			if refusals != 1 {
				t.Errorf("the server had to say it %d times", refusals)
			}
		})
	}
}

// TestUnlearnsMessagesPerConnection: a limit that was true once is tried again
// after twenty connections that took all they may.
func TestUnlearnsMessagesPerConnection(t *testing.T) {
	t.Parallel()
	said := false
	k := newTalk(t, smtpscript.Config{Script: func(ev smtpscript.Event) smtpscript.Action {
		if ev.Phase == post.PhaseMAIL && ev.Message > 4 && !said {
			said = true
			return smtpscript.Reply("421 4.3.2 too much for one connection").Then(smtpscript.EndClose)
		}
		return smtpscript.Action{}
	}})
	k.enqueue(numbered(4 + 4*unlearnEvery + 5*unlearnEvery + 1))
	k.run()
	k.wantTruth()
	if n := k.account().Learned.MessagesPerConnection; n != 6 {
		t.Errorf("it allows %d messages a connection, want 6", n)
	}
	counts := map[int]int{}
	for _, c := range k.srv.Conns() {
		counts[c.Messages]++
	}
	if counts[4] < unlearnEvery || counts[5] != unlearnEvery {
		t.Errorf("connections by their messages: %v", counts)
	}
}

// TestOneMessageIsNoRow: a message that is put off at MAIL again and again is
// about that message; three different ones in a row are about the account.
func TestOneMessageIsNoRow(t *testing.T) {
	t.Parallel()
	for people, waits := range map[int]bool{1: false, 2: false, 3: true} {
		t.Run(fmt.Sprint(people), func(t *testing.T) {
			t.Parallel()
			k := newTalk(t, smtpscript.Config{Script: func(ev smtpscript.Event) smtpscript.Action {
				if ev.Phase == post.PhaseMAIL && ev.Total <= 9 {
					return smtpscript.Reply("451 4.3.0 not now")
				}
				return smtpscript.Action{}
			}})
			log := new(bytes.Buffer)
			k.opt.Log = slog.New(slog.NewTextHandler(log, nil))
			k.enqueue(numbered(people))
			k.run()
			k.wantTruth()
			k.wantStates(map[post.State]int{post.StateSent: people})
			if got := strings.Contains(log.String(), "the account waits"); got != waits {
				t.Errorf("the account waited: %v, want %v", got, waits)
			}
		})
	}
}

// TestSameRefusalInARow: what happens to one message after the other is about
// the account; what may happen to anybody is not.
func TestSameRefusalInARow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rows  rows
		name  string
		phase post.Phase
		do    smtpscript.Action
		tries int // of the command until the account has had enough
		key   string
		wait  time.Duration // 0: stopped
	}{
		{rows{17}, "421", post.PhaseRCPT, says("421 4.3.2 closing").Then(byClose), 2, "account.closing", usualWait},
		{rows{21}, "MAIL 451", post.PhaseMAIL, says("451 4.3.0 later"), 3, "delivery.deferred", usualWait},
		{rows{22}, "MAIL 550", post.PhaseMAIL, says("550 no"), 3, "account.refused", 0},
		{rows{32}, "DATA 250", post.PhaseDATA, says("250 ok"), 2, "delivery.odd_reply", usualWait},
		{rows{41}, "garbage", post.PhaseMAIL, sends("?\r\n"), 2, "account.connection", usualWait},
		{rows{57}, "hung up", post.PhaseMAIL, hangs(byClose), 2, "account.connection", usualWait},
		{rows{58}, "neither grey nor rate", post.PhaseRCPT, says("451 4.7.1 no"), 3, "delivery.greylisted", time.Minute},
		{rows{24}, "grey", post.PhaseRCPT, says("451 4.7.1 greylisted"), 12, "", 0},
		{rows{30}, "450", post.PhaseRCPT, says("450 4.4.1 no route"), 12, "", 0},
	} {
		for _, without := range []string{"", "PIPELINING"} {
			t.Run(c.rows.String()+" "+c.name+without, func(t *testing.T) {
				t.Parallel()
				k := newTalk(t, smtpscript.Config{Without: []string{without}, Script: smtpscript.At(c.phase, c.do)})
				k.opt.WaitScale = 0
				k.enqueue(numbered(12))
				k.runUntil(RunParams{NoWait: true})
				k.wantTruth()
				k.wantStates(map[post.State]int{post.StateQueued: 12})
				a, now := k.account(), time.Now()
				switch {
				case c.key == "" && a.State(now) != post.AccountReady:
					t.Errorf("the account is %s: %+v", a.State(now), a.Reason)
				case c.key != "" && c.wait == 0 && a.Hold != post.AccountStopped, c.key != "" && a.Reason.Key != c.key:
					t.Errorf("the account is %s: %+v", a.State(now), a.Reason)
				}
				if d := a.Until.Sub(now); c.wait > 0 && (d > c.wait || d < c.wait-patience) {
					t.Errorf("it waits for %v, want %v", d, c.wait)
				}
				if n := k.srv.Stats().ByVerb["MAIL"]; n < c.tries || n > c.tries+1 { // an envelope may have gone ahead
					t.Errorf("%d messages were tried, want %d", n, c.tries)
				}
			})
		}
	}
}

// TestIdleConnectionGone: a connection that ends while nothing is to be sent
// touches nobody.
func TestIdleConnectionGone(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{})
	k.opt.WaitScale = 0
	k.enqueue(persons("a@b.example"))
	s := k.start()
	k.until("the first", func() bool { return k.counts()[post.StateSent] == 1 && s.m.idle() })
	k.srv.DropAll()
	k.enqueue(persons("b@b.example", "c@b.example"))
	s.m.Kick()
	k.until("the others", func() bool { return k.counts()[post.StateSent] == 3 })
	s.stop()
	k.wait(s)
	k.wantTruth()
	for _, d := range k.rows() {
		if d.Attempts != 1 {
			t.Errorf("%s: %d attempts", d.Address, d.Attempts)
		}
	}
	if a := k.account(); a.State(time.Now()) != post.AccountReady {
		t.Errorf("the account is %s: %+v", a.State(time.Now()), a.Reason)
	}
}

// TestTwoConnections share one account without sending anything twice.
func TestTwoConnections(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{}, func(a *post.Account) { a.Connections = 2 })
	k.enqueue(numbered(90)) // fewer than one connection takes: the end of one overlaps with the next
	k.run()
	k.wantTruth()
	k.wantStates(map[post.State]int{post.StateSent: 90})
	if n := k.srv.Stats().MaxOpen; n != 2 {
		t.Errorf("%d connections at once", n)
	}
}

// TestUncertainPileUpStopsTheAccount: more than three of twenty.
func TestUncertainPileUpStopsTheAccount(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{Script: smtpscript.At(post.PhaseDot, smtpscript.Action{Silent: true, Take: smtpscript.TakeIt, End: smtpscript.EndClose})})
	k.enqueue(numbered(30))
	k.run()
	k.wantTruth()
	k.wantStates(map[post.State]int{post.StateUncertain: 4, post.StateQueued: 26})
	if a := k.account(); a.Hold != post.AccountStopped || a.Reason.Key != "account.uncertain" {
		t.Errorf("%s %+v", a.Hold, a.Reason)
	}
}

package mailer

import (
	"sync/atomic"
	"testing"
	"time"

	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// TestUncertainPolicies: asked about, sent once more and never twice more, or
// taken for sent, as the mailing says.
func TestUncertainPolicies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy post.UncertainPolicy
		want   post.State
		copies int64
		key    string
	}{
		{post.UncertainAsk, post.StateUncertain, 1, "uncertain.connection"},
		{post.UncertainResend, post.StateUncertain, 2, "uncertain.connection"}, // in doubt again: now the user is asked
		{post.UncertainAssume, post.StateSent, 1, "settled.assumed"},
	} {
		t.Run(string(c.policy), func(t *testing.T) {
			t.Parallel()
			var taken atomic.Int64
			k := newTalk(t, smtpscript.Config{Script: func(ev smtpscript.Event) smtpscript.Action {
				if ev.Phase == post.PhaseDot { // takes it and says nothing
					taken.Add(1)
					return smtpscript.Action{Silent: true, End: smtpscript.EndReset, Take: smtpscript.TakeIt}
				}
				return smtpscript.Action{}
			}})
			k.enqueue(persons("a@b.example"), func(m *post.Mailing) { m.Uncertain = c.policy })
			k.run()
			d := k.row("a@b.example")
			if d.State != c.want || d.Reason.Key != c.key || taken.Load() != c.copies {
				t.Errorf("%s %v, %d copies; want %s %s, %d", d.State, d.Reason, taken.Load(), c.want, c.key, c.copies)
			}
			k.run() // nothing more, ever
			if n := taken.Load(); n != c.copies {
				t.Errorf("%d copies", n)
			}
		})
	}
}

// TestResendWaits: the one copy that the policy allows goes out after a quarter
// of an hour and not before, across restarts.
func TestResendWaits(t *testing.T) {
	t.Parallel()
	var done atomic.Bool
	k := newTalk(t, smtpscript.Config{Script: func(ev smtpscript.Event) smtpscript.Action {
		if ev.Phase == post.PhaseDot && done.CompareAndSwap(false, true) {
			return smtpscript.Action{Silent: true, End: smtpscript.EndReset, Take: smtpscript.LeaveIt}
		}
		return smtpscript.Action{}
	}})
	clock := &quick{}
	k.opt.Clock, k.opt.WaitScale = clock, 0
	k.reopen()
	k.enqueue(persons("a@b.example"), func(m *post.Mailing) { m.Uncertain = post.UncertainResend })
	for _, skip := range []time.Duration{0, 7 * time.Minute, 7 * time.Minute} {
		clock.skip(skip)
		k.runUntil(RunParams{NoWait: true})
		if d := k.row("a@b.example"); d.State != post.StateUncertain {
			t.Fatalf("%s after %v", d.State, skip)
		}
		k.reopen()
	}
	clock.skip(2 * time.Minute)
	k.runUntil(RunParams{NoWait: true})
	if d := k.row("a@b.example"); d.State != post.StateSent || d.Resends != 1 {
		t.Errorf("%s, sent again %d times", d.State, d.Resends)
	}
}

// TestRelease: so many go, then nothing until the user says so. A refusal that
// comes back later does not use up the next release.
func TestRelease(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{Script: onceFor(person(3), post.PhaseRCPT, smtpscript.Reply("451 4.7.1 greylisted, try again later"))})
	m := k.enqueue(numbered(50), func(m *post.Mailing) { m.Staged, m.ReleaseLeft = true, 10 })
	k.run()
	k.wantStates(map[post.State]int{post.StateSent: 10, post.StateQueued: 40})
	got, err := k.ledger.Mailing(t.Context(), m.ID)
	if err != nil || got.State(time.Now()) != post.MailingPaused || got.Reason.Key != "mailing.release" {
		t.Errorf("%v %v %v", got.State(time.Now()), got.Reason, err)
	}
	if err := k.ledger.ReleaseMailing(t.Context(), m.ID, 5); err != nil {
		t.Fatal(err)
	}
	k.run()
	k.wantStates(map[post.State]int{post.StateSent: 15, post.StateQueued: 35})
	if err := k.ledger.HoldMailing(t.Context(), m.ID, "", post.Reason{}); err != nil { // resume: all the rest
		t.Fatal(err)
	}
	k.run()
	k.wantTruth()
	k.wantStates(map[post.State]int{post.StateSent: 50})
	if err := k.ledger.ReleaseMailing(t.Context(), m.ID, 5); post.KindOf(err) != post.KindConflict {
		t.Errorf("released what does not wait: %v", err)
	}
}

// TestSendingHours: nothing goes outside the hours, all of it inside, whatever
// the clock does in between.
func TestSendingHours(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{})
	clock := &quick{}
	k.opt.Clock = clock
	k.reopen()
	// The hours begin two hours from now and last one.
	now := clock.Now().UTC()
	begin, end := now.Add(2*time.Hour), now.Add(3*time.Hour)
	hours, err := post.ParseHours(begin.Format("15:04")+"-"+end.Format("15:04"), "UTC")
	if err != nil {
		t.Fatal(err)
	}
	k.enqueue(numbered(20), func(m *post.Mailing) { m.Hours = hours })
	for _, c := range []struct {
		skip time.Duration
		want int
	}{{0, 0}, {time.Hour, 0}, {-24 * time.Hour, 0}, {24*time.Hour + 90*time.Minute, 20}} {
		clock.skip(c.skip)
		k.runUntil(RunParams{NoWait: true})
		if n := k.counts()[post.StateSent]; n != c.want {
			t.Errorf("%d sent after %v, want %d", n, c.skip, c.want)
		}
	}
	k.wantTruth()
}

// TestSecondRefusal: one refusal of a kind that may pass does not suppress, a
// second one out of three does, and successes between take it back.
func TestSecondRefusal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, reply string
		outcomes    string // per mailing: f refused, s taken
		want        bool
	}{
		{"28 once", "550 5.1.2 no such domain", "f", false},
		{"28 twice", "550 5.1.2 no such domain", "ff", true},
		{"30 once", "550 5.3.2 not now", "f", false},
		{"30 twice", "550 5.3.2 not now", "ff", true},
		{"30 two of three", "550 5.3.2 not now", "fsf", true},
		{"30 two of four", "550 5.3.2 not now", "fssf", false},
		{"29 about us", "550 5.7.1 blocked", "ff", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var refuse atomic.Bool
			k := newTalk(t, smtpscript.Config{Script: func(ev smtpscript.Event) smtpscript.Action {
				if ev.Phase == post.PhaseRCPT && refuse.Load() {
					return smtpscript.Reply(c.reply)
				}
				return smtpscript.Action{}
			}})
			for _, o := range c.outcomes {
				refuse.Store(o == 'f')
				k.enqueue(persons("a@b.example"))
				k.run()
			}
			_, skipped, err := k.ledger.Enqueue(t.Context(), post.Mailing{
				Kind: post.Live, Name: "M", Senders: []post.Sender{{Account: k.acct.ID, Email: k.acct.Email}},
			}, persons("a@b.example"))
			if err != nil {
				t.Fatal(err)
			}
			if got := len(skipped) == 1; got != c.want {
				t.Errorf("suppressed: %v, want %v", got, c.want)
			}
		})
	}
}

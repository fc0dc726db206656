package mailer

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// first is what a fault does to the message that it meets.
type first struct {
	state   post.State // of its first attempt
	phase   post.Phase
	code    int
	charged bool
	dot     bool
}

var good = first{post.StateSent, post.PhaseDot, 250, true, true}

func deferred(phase post.Phase, code int) first {
	return first{post.StateQueued, phase, code, true, phase == post.PhaseDot}
}

func failedAt(phase post.Phase, code int) first {
	return first{post.StateFailed, phase, code, true, phase == post.PhaseDot}
}

var unsure = first{post.StateUncertain, post.PhaseDot, 0, true, true}

// fault is one thing that goes wrong with one message, and what it does.
type fault struct {
	name  string
	phase post.Phase
	do    smtpscript.Action
	want  first
	final post.State
	// unlearns is whether a server that is spoken to in groups is not any more.
	unlearns bool
	short    bool // of time
}

// TestOneFault lets one thing go wrong with one message of six and looks at
// what becomes of it, of the others, and of the account.
func TestOneFault(t *testing.T) {
	t.Parallel()
	type act = smtpscript.Action
	reply, raw, hang := smtpscript.Reply, smtpscript.Raw, smtpscript.Hang
	const closed, cut, reset, stall = smtpscript.EndClose, smtpscript.EndCut, smtpscript.EndReset, smtpscript.EndStall
	const mail, rcpt, data, dot = post.PhaseMAIL, post.PhaseRCPT, post.PhaseDATA, post.PhaseDot
	took := func(a act) act { a.Take = smtpscript.TakeIt; return a }
	left := func(a act) act { a.Take = smtpscript.LeaveIt; return a }
	cases := []fault{
		{name: "17 mail 421", phase: mail, do: reply("421 4.3.2 closing").Then(closed), want: good, final: post.StateSent},
		{name: "18 mail rate", phase: mail, do: reply("450 4.7.1 too many messages"), want: good, final: post.StateSent},
		{name: "21 mail 451", phase: mail, do: reply("451 4.3.0 later"), want: deferred(mail, 451), final: post.StateSent},
		{name: "22 mail 550", phase: mail, do: reply("550 no"), want: deferred(mail, 550), final: post.StateSent},
		{name: "22 mail 552", phase: mail, do: reply("552 5.3.4 too big"), want: failedAt(mail, 552), final: post.StateFailed},
		{name: "19 mail quota", phase: mail, do: reply("550 5.4.5 daily user sending limit exceeded"), want: good, final: post.StateSent},
		{name: "57 mail close", phase: mail, do: hang(closed), want: good, final: post.StateSent},
		{name: "57 mail reset", phase: mail, do: hang(reset), want: good, final: post.StateSent},
		{name: "41 mail garbage", phase: mail, do: raw("\x00\xff ?\r\n"), want: good, final: post.StateSent, unlearns: true},
		{name: "41 mail mixed", phase: mail, do: raw("250-ok\r\n550 no\r\n"), want: good, final: post.StateSent, unlearns: true},
		{name: "42 mail stall", phase: mail, do: hang(stall), want: deferred(mail, 0), final: post.StateSent, short: true},
		{name: "mail endless", phase: mail, do: act{Endless: 8 << 20}, want: good, final: post.StateSent},
		{name: "mail long line", phase: mail, do: raw("250 " + strings.Repeat("x", 1<<20) + "\r\n"), want: good, final: post.StateSent},

		{name: "23 rcpt 251", phase: rcpt, do: reply("251 2.1.5 will forward"), want: good, final: post.StateSent},
		{name: "23 rcpt 252", phase: rcpt, do: reply("252 2.1.5 perhaps"), want: good, final: post.StateSent},
		{name: "24 rcpt grey", phase: rcpt, do: reply("451 4.7.1 greylisted, come back later"), want: deferred(rcpt, 451), final: post.StateSent},
		{name: "25 rcpt full", phase: rcpt, do: reply("452 4.2.2 mailbox full"), want: deferred(rcpt, 452), final: post.StateSent},
		{name: "25 rcpt 552", phase: rcpt, do: reply("552 5.2.2 mailbox full"), want: deferred(rcpt, 552), final: post.StateSent},
		{name: "26 rcpt storage", phase: rcpt, do: reply("452 4.3.1 no storage"), want: deferred(rcpt, 452), final: post.StateSent},
		{name: "27 rcpt 5.1.1", phase: rcpt, do: reply("550 5.1.1 no such user"), want: failedAt(rcpt, 550), final: post.StateFailed},
		{name: "28 rcpt 5.1.2", phase: rcpt, do: reply("550 5.1.2 no such domain"), want: failedAt(rcpt, 550), final: post.StateFailed},
		{name: "29 rcpt 5.7.1", phase: rcpt, do: reply("554 5.7.1 blocked"), want: failedAt(rcpt, 554), final: post.StateFailed},
		{name: "30 rcpt 450", phase: rcpt, do: reply("450 4.4.1 no route"), want: deferred(rcpt, 450), final: post.StateSent},
		{name: "rcpt of several lines", phase: rcpt, do: reply("550-5.1.1 no\n5.1.1 such\n5.1.1 user"), want: failedAt(rcpt, 550), final: post.StateFailed},
		{name: "17 rcpt 421", phase: rcpt, do: reply("421 4.3.2 closing").Then(closed), want: good, final: post.StateSent},
		{name: "57 rcpt close", phase: rcpt, do: hang(closed), want: deferred(rcpt, 0), final: post.StateSent},
		{name: "57 rcpt reset", phase: rcpt, do: hang(reset), want: deferred(rcpt, 0), final: post.StateSent},
		{name: "57 rcpt cut", phase: rcpt, do: hang(cut), want: deferred(rcpt, 0), final: post.StateSent},
		{name: "41 rcpt garbage", phase: rcpt, do: raw("what?\r\n"), want: deferred(rcpt, 0), final: post.StateSent, unlearns: true},
		{name: "41 rcpt mixed", phase: rcpt, do: raw("250-yes\r\n550 no\r\n"), want: deferred(rcpt, 0), final: post.StateSent, unlearns: true},
		{name: "42 rcpt stall", phase: rcpt, do: hang(stall), want: deferred(rcpt, 0), final: post.StateSent, unlearns: true, short: true},
		{name: "rcpt endless", phase: rcpt, do: act{Endless: 8 << 20}, want: deferred(rcpt, 0), final: post.StateSent},

		{name: "31 data 451", phase: data, do: reply("451 4.3.0 not now"), want: deferred(data, 451), final: post.StateSent},
		{name: "31 data 554", phase: data, do: reply("554 5.5.1 no"), want: failedAt(data, 554), final: post.StateFailed},
		{name: "32 data 250", phase: data, do: reply("250 2.0.0 ok"), want: deferred(data, 250), final: post.StateSent, unlearns: true},
		{name: "17 data 421", phase: data, do: reply("421 4.3.2 closing").Then(closed), want: good, final: post.StateSent},
		{name: "57 data close", phase: data, do: hang(closed), want: deferred(data, 0), final: post.StateSent},
		{name: "57 data reset", phase: data, do: hang(reset), want: deferred(data, 0), final: post.StateSent},
		{name: "42 data stall", phase: data, do: hang(stall), want: deferred(data, 0), final: post.StateSent, unlearns: true, short: true},
		{name: "41 data garbage", phase: data, do: raw("\r\n"), want: deferred(data, 0), final: post.StateSent, unlearns: true},
		{name: "data twice", phase: data, do: act{After: "250 2.0.0 Ok\r\n"}, want: deferred(data, 0), final: post.StateSent, unlearns: true},

		{name: "35 bare 250", phase: dot, do: raw("250\r\n"), want: good, final: post.StateSent},
		{name: "35 odd 2xx", phase: dot, do: reply("251 2.1.5 will forward"), want: first{post.StateSent, dot, 251, true, true}, final: post.StateSent},
		{name: "35 lines of 250", phase: dot, do: reply("250 2.0.0 Ok\nqueued\nbye"), want: good, final: post.StateSent},
		{name: "35 then close", phase: dot, do: act{End: closed}, want: good, final: post.StateSent},
		{name: "35 then reset", phase: dot, do: act{End: reset}, want: first{}, final: ""}, // the reply may be lost with it
		{name: "40 then 421", phase: dot, do: act{After: "421 4.3.2 shutting down\r\n", End: closed}, want: good, final: post.StateSent},
		{name: "35 drip", phase: dot, do: act{Drip: time.Millisecond}, want: good, final: post.StateSent},
		{name: "36 dot 451", phase: dot, do: reply("451 4.3.0 later"), want: deferred(dot, 451), final: post.StateSent},
		{name: "36 dot 452", phase: dot, do: reply("452 4.3.1 disk full"), want: deferred(dot, 452), final: post.StateSent},
		{name: "37 dot 552", phase: dot, do: reply("552 5.3.4 too big"), want: failedAt(dot, 552), final: post.StateFailed},
		{name: "38 dot 554", phase: dot, do: reply("554 5.7.1 spam"), want: failedAt(dot, 554), final: post.StateFailed},
		{name: "59 dot 421", phase: dot, do: reply("421 4.3.2 shutting down").Then(closed), want: deferred(dot, 421), final: post.StateSent},
		{name: "19 dot quota", phase: dot, do: reply("550 5.4.5 daily user sending limit exceeded"), want: good, final: post.StateSent},
		{name: "39 taken, closed", phase: dot, do: took(hang(closed)), want: unsure, final: post.StateUncertain},
		{name: "39 taken, reset", phase: dot, do: took(hang(reset)), want: unsure, final: post.StateUncertain},
		{name: "39 taken, stalled", phase: dot, do: took(hang(stall)), want: unsure, final: post.StateUncertain, short: true},
		{name: "39 left, closed", phase: dot, do: left(hang(closed)), want: unsure, final: post.StateUncertain},
		{name: "39 left, stalled", phase: dot, do: left(hang(stall)), want: unsure, final: post.StateUncertain, short: true},
		{name: "39 late", phase: dot, do: act{Wait: 3 * impatience}, want: unsure, final: post.StateUncertain, short: true},
		{name: "39 garbage", phase: dot, do: took(raw("\x00\x07?!\r\n")), want: unsure, final: post.StateUncertain},
		{name: "39 mixed", phase: dot, do: took(raw("250-Ok\r\n450 or not\r\n")), want: unsure, final: post.StateUncertain},
		{name: "39 354", phase: dot, do: took(reply("354 more")), want: first{post.StateUncertain, dot, 354, true, true}, final: post.StateUncertain},
		{name: "39 long line", phase: dot, do: took(raw("250 " + strings.Repeat("x", 1<<20) + "\r\n")), want: unsure, final: post.StateUncertain},
		{name: "39 endless", phase: dot, do: took(act{Endless: 8 << 20, End: closed}), want: unsure, final: post.StateUncertain},
		{name: "60 cut early", phase: dot, do: took(raw("25").Then(closed)), want: unsure, final: post.StateUncertain},
		{name: "60 cut after the code", phase: dot, do: took(raw("250").Then(closed)), want: unsure, final: post.StateUncertain},
		{name: "60 cut", phase: dot, do: raw("250 ").Then(closed), want: good, final: post.StateSent},
		{name: "60 cut in lines", phase: dot, do: raw("250-2.0.0 ok\r\n250-").Then(closed), want: good, final: post.StateSent},
	}
	for mode, cfg := range map[string]smtpscript.Config{
		"groups": {}, "steps": {Without: []string{"PIPELINING"}},
		"tls": {Mode: smtpscript.STARTTLS, User: "shop", Password: "secret"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			script := &swapped{}
			cfg.Script = script.do
			k := newTalk(t, cfg)
			for i, c := range cases {
				if mode == "tls" && (c.short || c.phase != post.PhaseDot) {
					continue // the same as in groups
				}
				t.Run(c.name, func(t *testing.T) {
					k := *k
					k.T = t
					k.opt.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
					k.oneFault(mode, i, c, script)
				})
			}
			k.wantTruth() // of all of them
		})
	}
}

// swapped is a script that can be exchanged.
type swapped struct{ now atomic.Value }

func (s *swapped) do(ev smtpscript.Event) smtpscript.Action {
	if f, ok := s.now.Load().(func(smtpscript.Event) smtpscript.Action); ok {
		return f(ev)
	}
	return smtpscript.Action{}
}

// oneFault sends the i-th mailing of six through a server that fails once.
func (k *talk) oneFault(mode string, i int, c fault, script *swapped) {
	if c.short {
		k.opt.Timeouts = Timeouts{Command: impatience, Data: impatience, Write: patience, Dot: impatience, Reset: impatience}
	}
	six := make([]string, 6)
	for j := range six {
		six[j] = person(100*i + j)
	}
	unlucky := six[1]
	script.now.Store(onceFor(unlucky, c.phase, c.do))
	m := k.enqueue(persons(six...))
	k.run()
	acct := k.account()
	if got := acct.Learned.NoPipelining; mode != "steps" && got != c.unlearns {
		k.Errorf("pipelining unlearned: %v", got)
	}
	if err := k.ledger.SetAccountLearned(k.Context(), k.acct.ID, post.Learned{}); err != nil {
		k.Fatal(err)
	}
	rows := k.rowsOf(m.ID)
	if c.final == "" { // either way, as long as the ledger tells the truth
		c.final = rows[1].State
	}
	for _, d := range rows {
		want := post.StateSent
		if d.Address == unlucky {
			want = c.final
		}
		if d.State != want {
			k.Errorf("%s is %s, want %s", d.Address, d.State, want)
		} else if d.State == post.StateUncertain && d.Reason.Key == "" {
			k.Error("nobody is told why it is uncertain")
		}
	}
	if acct.Hold != "" || acct.WaitStep != 0 || !acct.Until.IsZero() {
		k.Errorf("the account is left %s, step %d, until %v, %+v", acct.Hold, acct.WaitStep, acct.Until, acct.Reason)
	}
	if c.want == (first{}) {
		return
	}
	all, err := k.ledger.Attempts(k.Context(), rows[1].ID)
	if err != nil || len(all) == 0 {
		k.Fatalf("%d attempts, %v", len(all), err)
	}
	a := all[0]
	if got := (first{a.State, a.Phase, a.Reply.Code, a.Charged, a.DotSent}); got != c.want {
		k.Errorf("the first attempt: got %+v, want %+v; %s", got, c.want, a.Error)
	}
}

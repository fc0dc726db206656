package mailer

import (
	"log/slog"
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

// left is what a fault leaves behind, before anything that waits is waited for.
type left struct {
	state post.State // of the delivery; with queued and no wait it is as it was
	key   string     // why, as the delivery says
	wait  time.Duration
	// account is why the account waits, or is stopped where accountWait is 0;
	// empty: it is ready.
	account     string
	accountWait time.Duration
	conns       int // connections that were opened
	rsets       int
	suppressed  bool // the address is not to be mailed again
	learned     int  // messages that a connection takes
}

// fault is one thing that goes wrong with one message, and what it does.
type fault struct {
	rows  rows
	name  string
	phase post.Phase
	do    smtpscript.Action
	want  first
	left  left // zero with want: either way, as long as the ledger tells the truth
	steps left // instead of left, where the server does not pipeline
	// unlearns is whether a server that is spoken to in groups is not any more.
	unlearns bool
	short    bool // of time
}

// final is what becomes of the message once all waits are over.
func (f fault) final() post.State {
	switch f.left.state {
	case post.StateFailed, post.StateUncertain:
		return f.left.state
	default:
		return post.StateSent
	}
}

// TestOneFault lets one thing go wrong with one message of six and looks at
// what becomes of it, of the others, and of the account: first with the waits
// as they are, then without.
func TestOneFault(t *testing.T) {
	t.Parallel()
	for mode, cfg := range map[string]smtpscript.Config{
		"groups": {}, "steps": {Without: []string{"PIPELINING"}},
		"tls": {Mode: smtpscript.STARTTLS, User: "shop", Password: "secret"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			script := &swapped{}
			cfg.Script = script.do
			k := newTalk(t, cfg)
			for i, c := range faultCases() {
				if mode == "tls" && (c.short || c.phase != post.PhaseDot) {
					continue // the same as in groups
				}
				t.Run(c.rows.String()+" "+string(c.phase)+" "+c.name, func(t *testing.T) {
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

// swapped is a script that can be exchanged. A connection goes on without it
// when it is: a server that was slow to answer still reads what the client had
// sent behind, and that must not count as the next mailing's.
type swapped struct{ now atomic.Pointer[script] }

type script struct {
	do     func(smtpscript.Event) smtpscript.Action
	before int // connections that were opened before
}

// swap gives the connections from now on another script.
func (s *swapped) swap(srv *smtpscript.Server, do func(smtpscript.Event) smtpscript.Action) {
	s.now.Store(&script{do, srv.Stats().Connections})
}

func (s *swapped) do(ev smtpscript.Event) smtpscript.Action {
	if now := s.now.Load(); now != nil && ev.Conn > now.before {
		return now.do(ev)
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
	script.swap(k.srv, c.script(unlucky))
	before := k.srv.Stats()
	m := k.enqueue(persons(six...))
	scale := k.opt.WaitScale
	k.opt.WaitScale = 0 // in earnest
	k.runUntil(RunParams{NoWait: true})
	k.opt.WaitScale = scale
	acct := k.account()
	if got := acct.Learned.NoPipelining; mode != "steps" && got != c.unlearns {
		k.Errorf("pipelining unlearned: %v", got)
	}
	if c.want != (first{}) {
		if mode == "steps" && c.steps != (left{}) {
			c.left = c.steps
		}
		k.wantLeft(c.left, m, unlucky, acct, before)
	}
	k.release(m)
	k.run()
	final := c.final()
	for _, d := range k.rowsOf(m.ID) {
		want := post.StateSent
		switch {
		case d.Address != unlucky:
		case c.want == (first{}):
			want = d.State
		default:
			want = final
		}
		if d.State != want {
			k.Errorf("%s is %s, want %s", d.Address, d.State, want)
		} else if d.State == post.StateUncertain && d.Reason.Key == "" {
			k.Error("nobody is told why it is uncertain")
		}
	}
	if acct = k.account(); acct.Hold != "" || acct.WaitStep != 0 || !acct.Until.IsZero() {
		k.Errorf("the account is left %s, step %d, until %v, %+v", acct.Hold, acct.WaitStep, acct.Until, acct.Reason)
	}
	if c.want == (first{}) {
		return
	}
	all := k.attempts(unlucky)
	if len(all) == 0 {
		k.Fatal("nothing was tried")
	}
	a := all[0]
	if got := (first{a.State, a.Phase, a.Reply.Code, a.Charged, a.DotSent}); got != c.want {
		k.Errorf("the first attempt: got %+v, want %+v; %s", got, c.want, a.Error)
	}
}

// script does the fault once, for the recipient. RSET comes behind a refusal.
func (f fault) script(rcpt string) func(smtpscript.Event) smtpscript.Action {
	switch f.phase {
	case post.PhaseQUIT:
		return smtpscript.Once(f.phase, f.do)
	case post.PhaseRSET:
		no := onceFor(rcpt, post.PhaseRCPT, smtpscript.Reply("450 4.4.1 no route"))
		then := onceFor(rcpt, post.PhaseRSET, f.do)
		return func(ev smtpscript.Event) smtpscript.Action {
			if a := no(ev); a != (smtpscript.Action{}) {
				return a
			}
			return then(ev)
		}
	}
	return onceFor(rcpt, f.phase, f.do)
}

// wantLeft compares what is left with what should be.
func (k *talk) wantLeft(want left, m post.Mailing, unlucky string, acct post.Account, before smtpscript.Stats) {
	k.Helper()
	d, now := k.row(unlucky), time.Now()
	got := left{state: d.State, key: d.Reason.Key, wait: want.wait, accountWait: want.accountWait, learned: acct.Learned.MessagesPerConnection}
	if acct.State(now) != post.AccountReady {
		got.account = acct.Reason.Key
	}
	after := k.srv.Stats()
	got.conns, got.rsets = after.Connections-before.Connections, after.ByVerb["RSET"]-before.ByVerb["RSET"]
	n, err := k.ledger.Unsuppress(k.Context(), []string{d.Key})
	if err != nil {
		k.Fatal(err)
	}
	got.suppressed = n > 0
	if got != want {
		k.Errorf("left: got %+v\nwant %+v", got, want)
	}
	// It is written down a while after the wait began, on a slow disk some seconds.
	if d := d.NextAt.Sub(d.ChangeAt); want.wait > 0 && (d < want.wait*8/10-5*time.Second || d > want.wait*12/10) {
		k.Errorf("it waits for %v, want about %v", d, want.wait)
	}
	charged := 1
	if d.State == post.StateQueued && want.wait == 0 {
		charged = 0
	}
	if d.Attempts != charged {
		k.Errorf("%d attempts were charged, want %d", d.Attempts, charged)
	}
	wantHold := post.AccountState("")
	if want.account != "" && want.accountWait == 0 {
		wantHold = post.AccountStopped
	}
	if acct.Hold != wantHold {
		k.Errorf("the account is %q, want %q", acct.Hold, wantHold)
	}
	if d := acct.Until.Sub(now); want.accountWait > 0 && (d > want.accountWait || d < want.accountWait-patience) {
		k.Errorf("the account waits for %v, want %v", d, want.accountWait)
	}
	if want.account != "" && acct.Reason.Raw == "" {
		k.Error("the server's words are lost")
	}
	for _, other := range k.rowsOf(m.ID) {
		if other.Address != unlucky && (other.State != post.StateSent || other.Attempts != 1) &&
			(want.account == "" || other.State != post.StateQueued || other.Attempts != 0) {
			k.Errorf("%s is %s after %d attempts", other.Address, other.State, other.Attempts)
		}
	}
}

// release does what time and the user would: it ends the waits and holds.
func (k *talk) release(m post.Mailing) {
	k.Helper()
	if err := k.ledger.HoldAccount(k.Context(), k.acct.ID, "", post.Reason{}); err != nil {
		k.Fatal(err)
	}
	if err := k.ledger.SetAccountLearned(k.Context(), k.acct.ID, post.Learned{}); err != nil {
		k.Fatal(err)
	}
	for _, d := range k.rowsOf(m.ID) {
		if d.State == post.StateQueued {
			if err := k.ledger.SendNow(k.Context(), d.ID); err != nil {
				k.Fatal(err)
			}
		}
	}
}

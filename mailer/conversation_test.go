package mailer

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postroom/accounts"
	"postroom/internal/testkit/smtpscript"
	"postroom/post"
	"postroom/storage"
)

// talk is a ledger and an account on a scripted server.
type talk struct {
	*testing.T
	dir    string
	ledger *storage.Ledger
	srv    *smtpscript.Server
	acct   post.Account
	opt    Options
}

// patience bounds every wait of these tests; none of them comes near it when
// all is well.
const patience = 30 * time.Second

// impatience is the deadline of the phases that a test lets run out.
const impatience = 1000 * time.Millisecond

var noHurry = Timeouts{Command: patience, Data: patience, Write: patience, Dot: patience, Reset: patience}

func newTalk(t *testing.T, cfg smtpscript.Config, change ...func(*post.Account)) *talk {
	t.Helper()
	k := &talk{T: t, dir: t.TempDir(), srv: smtpscript.Start(t, cfg)}
	k.open()
	t.Cleanup(func() {
		if k.ledger == nil {
			return
		}
		if err := k.ledger.Close(); err != nil {
			t.Error(err)
		}
	})
	d := &accounts.Dialer{Secrets: static("secret"), Log: slog.New(slog.DiscardHandler)}
	k.opt = Options{Dial: d.Dial, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), WaitScale: 1e-6, Timeouts: noHurry}
	k.acct = k.addAccount("shop", k.srv, cfg, change...)
	return k
}

func (k *talk) open() {
	k.Helper()
	l, err := storage.Open(k.Context(), k.dir, storage.Options{Clock: k.opt.Clock})
	if err != nil {
		k.Fatal(err)
	}
	k.ledger = l
}

// reopen closes the ledger and opens it again, as a restart does.
func (k *talk) reopen() {
	k.Helper()
	if err := k.ledger.Close(); err != nil {
		k.Fatal(err)
	}
	k.open()
}

func (k *talk) addAccount(name string, srv *smtpscript.Server, cfg smtpscript.Config, change ...func(*post.Account)) post.Account {
	k.Helper()
	host, port := srv.HostPort()
	a := post.Account{
		Name: name, Email: name + "@shop.example", Host: host, Port: port, TLS: post.TLSNone, Auth: post.AuthNone,
		Secret: post.SecretNone, Connections: 1,
	}
	switch cfg.Mode {
	case smtpscript.STARTTLS:
		a.TLS, a.CA = post.TLSStartTLS, srv.CAPEM()
	case smtpscript.ImplicitTLS:
		a.TLS, a.CA = post.TLSImplicit, srv.CAPEM()
	}
	if cfg.User != "" {
		a.Auth, a.Secret, a.User = post.AuthPlain, post.SecretKeyring, cfg.User
	}
	for _, f := range change {
		f(&a)
	}
	a, err := k.ledger.CreateAccount(k.Context(), a)
	if err != nil {
		k.Fatal(err)
	}
	return a
}

// person returns the address of row i, each at a domain of its own.
func person(i int) string { return fmt.Sprintf("p%d@d%d.example", i, i) }

func persons(addresses ...string) iter.Seq2[post.Recipient, error] {
	return func(yield func(post.Recipient, error) bool) {
		for i, a := range addresses {
			r := post.Recipient{Address: a, Key: a, Name: "P", Fields: map[string]string{"first_name": fmt.Sprint("F", i)}}
			if !yield(r, nil) {
				return
			}
		}
	}
}

func numbered(n int) iter.Seq2[post.Recipient, error] {
	all := make([]string, n)
	for i := range all {
		all[i] = person(i)
	}
	return persons(all...)
}

func (k *talk) enqueue(people iter.Seq2[post.Recipient, error], change ...func(*post.Mailing)) post.Mailing {
	k.Helper()
	m := post.Mailing{
		Kind: post.Live, Name: "M", Senders: []post.Sender{{Account: k.acct.ID, Email: k.acct.Email, FromName: "Shop"}},
		Content: post.Content{Subject: "Hello {{first_name}}", Format: post.FormatMarkdown, Body: "Dear {{first_name}},\n\n.hello\n"},
	}
	for _, f := range change {
		f(&m)
	}
	m, _, err := k.ledger.Enqueue(k.Context(), m, people)
	if err != nil {
		k.Fatal(err)
	}
	return m
}

// run sends until nothing waits but for the user.
func (k *talk) run() {
	k.Helper()
	k.runUntil(RunParams{UntilEmpty: true})
}

func (k *talk) runUntil(p RunParams) {
	k.Helper()
	ctx, cancel := context.WithTimeout(k.Context(), patience)
	defer cancel()
	if err := New(k.ledger, k.opt).Run(ctx, p); err != nil {
		k.Fatal(err)
	}
	if ctx.Err() != nil {
		k.Fatalf("the run did not end; the server heard:\n%s", k.srv.Transcript())
	}
}

// started is a run in the background.
type started struct {
	m    *Mailer
	stop context.CancelFunc
	done chan error
}

func (k *talk) start() *started {
	ctx, cancel := context.WithCancel(k.Context())
	s := &started{m: New(k.ledger, k.opt), stop: cancel, done: make(chan error, 1)}
	go func() { s.done <- s.m.Run(ctx, RunParams{}) }()
	k.Cleanup(func() { cancel(); s.m.Kill() })
	return s
}

// wait waits for the run's end.
func (k *talk) wait(s *started) {
	k.Helper()
	select {
	case err := <-s.done:
		if err != nil {
			k.Fatal(err)
		}
	case <-time.After(patience):
		k.Fatal("the run did not end")
	}
}

// until waits for something that happens by itself.
func (k *talk) until(what string, ok func() bool) {
	k.Helper()
	limit := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(limit) {
			k.Fatalf("not seen: %s", what)
		}
		time.Sleep(time.Millisecond) // a poll, not a guess: the condition decides
	}
}

func (k *talk) rows() []post.Delivery {
	k.Helper()
	return k.rowsOf(0)
}

// rowsOf returns the rows of a mailing; 0: all.
func (k *talk) rowsOf(mailing int64) []post.Delivery {
	k.Helper()
	var all []post.Delivery
	for r, err := range k.ledger.EachDelivery(k.Context(), storage.HistoryFilter{Mailing: mailing}) {
		if err != nil {
			k.Fatal(err)
		}
		all = append(all, r.Delivery)
	}
	return all
}

func (k *talk) row(address string) post.Delivery {
	k.Helper()
	for _, d := range k.rows() {
		if d.Address == address {
			return d
		}
	}
	k.Fatalf("no row for %s", address)
	return post.Delivery{}
}

func (k *talk) attempts(address string) []storage.AttemptRow {
	k.Helper()
	all, err := k.ledger.Attempts(k.Context(), k.row(address).ID)
	if err != nil {
		k.Fatal(err)
	}
	return all
}

func (k *talk) account() post.Account {
	k.Helper()
	a, err := k.ledger.Account(k.Context(), k.acct.ID)
	if err != nil {
		k.Fatal(err)
	}
	return a
}

func (k *talk) counts() map[post.State]int {
	k.Helper()
	n := map[post.State]int{}
	for _, d := range k.rows() {
		n[d.State]++
	}
	return n
}

func (k *talk) wantStates(want map[post.State]int) {
	k.Helper()
	got := k.counts()
	for _, s := range post.States {
		if got[s] != want[s] {
			k.Errorf("%d are %s, want %d", got[s], s, want[s])
		}
	}
}

// wantTruth holds the ledger against what the servers took: a row that is sent
// was taken once, one that is uncertain at most once, any other never; the
// ledger is sound, and the client kept to the protocol.
func (k *talk) wantTruth(more ...*smtpscript.Server) {
	k.Helper()
	taken := map[string]int{}
	for _, s := range append(more, k.srv) {
		for to, n := range s.Taken() {
			taken[to] += n
		}
		for _, c := range s.Conns() {
			if len(c.Violations) > 0 {
				k.Errorf("connection %d: %q\n%s", c.ID, c.Violations, c.Transcript)
			}
		}
	}
	for _, d := range k.rows() {
		n := taken[d.Address]
		delete(taken, d.Address)
		switch {
		case d.State == post.StateSent && n != 1, d.State == post.StateUncertain && n > 1,
			d.State != post.StateSent && d.State != post.StateUncertain && n > 0:
			k.Errorf("%s is %s and was taken %d times", d.Address, d.State, n)
		case d.State == post.StateClaimed, d.State == post.StateSending:
			k.Errorf("%s is still %s", d.Address, d.State)
		}
	}
	for to, n := range taken {
		k.Errorf("%d messages to %q, who is nobody", n, to)
	}
	problems, err := k.ledger.Check(k.Context())
	if err != nil || len(problems) > 0 {
		k.Errorf("check: %v %v", problems, err)
	}
	if k.Failed() {
		k.Logf("the server heard:\n%s", k.srv.Transcript())
	}
}

// onceFor does a at phase the first time for the recipient; at MAIL and before,
// for the second message.
func onceFor(rcpt string, phase post.Phase, a smtpscript.Action) func(smtpscript.Event) smtpscript.Action {
	done, mails := false, 0
	return func(ev smtpscript.Event) smtpscript.Action {
		if done || ev.Phase != phase {
			return smtpscript.Action{}
		}
		mails++
		if phase == post.PhaseMAIL && mails != 2 || phase != post.PhaseMAIL && ev.Rcpt != rcpt {
			return smtpscript.Action{}
		}
		done = true
		return a
	}
}

// alwaysFor does a at phase whenever it is the recipient's turn.
func alwaysFor(rcpt string, phase post.Phase, a smtpscript.Action) func(smtpscript.Event) smtpscript.Action {
	return func(ev smtpscript.Event) smtpscript.Action {
		if ev.Phase == phase && ev.Rcpt == rcpt {
			return a
		}
		return smtpscript.Action{}
	}
}

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
				if c.short && mode == "tls" {
					continue // the same as in groups, and it takes its time
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
		{"too large", smtpscript.Config{MaxSize: 100}, "a@b.example", "delivery.too_large"},
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
			k := newTalk(t, smtpscript.Config{Script: alwaysFor(person(0), post.PhaseRCPT, a)})
			k.enqueue(numbered(20))
			s := k.start()
			k.until("19 sent", func() bool { return k.counts()[post.StateSent] == 19 })
			s.stop()
			k.wait(s)
			k.wantTruth()
			k.wantStates(map[post.State]int{post.StateSent: 19, post.StateQueued: 1})
		})
	}
}

// TestLearnsMessagesPerConnection: a server that says 421 after seven messages
// gets connections of seven from then on.
func TestLearnsMessagesPerConnection(t *testing.T) {
	t.Parallel()
	for _, without := range []string{"", "PIPELINING"} {
		t.Run("without"+without, func(t *testing.T) {
			k := newTalk(t, smtpscript.Config{Without: []string{without}, Script: func(ev smtpscript.Event) smtpscript.Action {
				if ev.Phase == post.PhaseMAIL && ev.Message > 7 {
					return smtpscript.Reply("421 4.7.0 too much for one connection").Then(smtpscript.EndClose)
				}
				return smtpscript.Action{}
			}})
			_ = k
			k.enqueue(numbered(28))
			k.run()
			k.wantTruth()
			k.wantStates(map[post.State]int{post.StateSent: 28})
			if n := k.srv.Stats().Connections; n < 4 || n > 5 {
				t.Errorf("%d connections", n)
			}
		})
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

// TestSignIn: what goes wrong before MAIL concerns the account and leaves the
// deliveries as they were.
func TestSignIn(t *testing.T) {
	t.Parallel()
	reply := smtpscript.Reply
	plain := smtpscript.Config{User: "shop", Password: "secret"}
	starttls := smtpscript.Config{Mode: smtpscript.STARTTLS, User: "shop", Password: "secret"}
	implicit := smtpscript.Config{Mode: smtpscript.ImplicitTLS, User: "shop", Password: "secret"}
	for _, c := range []struct {
		name  string
		cfg   smtpscript.Config
		phase post.Phase
		do    smtpscript.Action
		hold  post.AccountState
		key   string // empty: the accounts package says it more exactly
	}{
		{"4 greeting 421", plain, post.PhaseGreeting, reply("421 4.3.2 later").Then(smtpscript.EndClose), "", "account.greeting"},
		{"5 greeting 554", plain, post.PhaseGreeting, reply("554 5.7.1 no").Then(smtpscript.EndClose), post.AccountStopped, "account.greeting"},
		{"6 greeting garbage", plain, post.PhaseGreeting, smtpscript.Raw("HTTP/1.1 400\r\n"), "", "account.greeting"},
		{"6 endless greeting", plain, post.PhaseGreeting, smtpscript.Action{Endless: 8 << 20}, "", "account.greeting"},
		{"3 hung up", plain, post.PhaseConnect, smtpscript.Hang(smtpscript.EndReset), "", ""},
		{"8 TLS drop", starttls, post.PhaseTLS, smtpscript.Hang(smtpscript.EndCut), post.AccountStopped, "account.tls"},
		{"8 TLS alert", implicit, post.PhaseTLS, smtpscript.Raw("\x15\x03\x03\x00\x02\x02\x28").Then(smtpscript.EndCut), post.AccountStopped, "account.tls"},
		{"9 STARTTLS 454", starttls, post.PhaseSTARTTLS, reply("454 4.7.0 not now"), "", "account.no_tls"},
		{"9 STARTTLS 502", starttls, post.PhaseSTARTTLS, reply("502 5.5.1 no"), post.AccountStopped, "account.no_tls"},
		{"10 injected", starttls, post.PhaseSTARTTLS, smtpscript.Action{After: "250 AUTH PLAIN\r\n"}, post.AccountStopped, ""},
		{"11 EHLO 502", plain, post.PhaseEHLO, reply("502 5.5.1 what"), post.AccountStopped, "account.ehlo"},
		{"11 EHLO 421", plain, post.PhaseEHLO, reply("421 4.3.2 later").Then(smtpscript.EndClose), "", "account.ehlo"},
		{"12 AUTH 535", plain, post.PhaseAuth, reply("535 5.7.8 no"), post.AccountStopped, "account.password"},
		{"13 AUTH 454", plain, post.PhaseAuth, reply("454 4.7.0 too many logins"), "", "account.sign_in"},
		{"14 AUTH 432", plain, post.PhaseAuth, reply("432 4.7.12 change it"), post.AccountStopped, "account.password_change"},
		{"15 AUTH 538", plain, post.PhaseAuth, reply("538 5.7.11 no"), post.AccountStopped, "account.settings"},
		{"AUTH drop", plain, post.PhaseAuth, smtpscript.Hang(smtpscript.EndClose), "", "account.connection"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.cfg.Script = smtpscript.At(c.phase, c.do)
			k := newTalk(t, c.cfg)
			k.enqueue(numbered(5))
			s := k.start()
			k.until("three waits or a stop", func() bool { a := k.account(); return a.Hold != "" || a.WaitStep >= 3 })
			s.stop()
			k.wait(s)
			a := k.account()
			if a.Hold != c.hold || c.key != "" && a.Reason.Key != c.key || a.Reason.IsZero() {
				t.Errorf("%q %+v", a.Hold, a.Reason)
			}
			k.wantTruth()
			k.wantStates(map[post.State]int{post.StateQueued: 5})
			for _, d := range k.rows() {
				if d.Attempts != 0 || len(k.attempts(d.Address)) != 0 {
					t.Errorf("%s was charged", d.Address)
				}
			}
			if st := k.srv.Stats(); st.ByVerb["MAIL"] != 0 || c.phase == post.PhaseAuth && a.Hold != "" && st.ByVerb["AUTH"] != 1 {
				t.Errorf("%v", st.ByVerb)
			}
			if c.hold != post.AccountStopped { // it gets better by itself
				return
			}
			k.run() // a stopped account leaves the run nothing to do
			if n := k.srv.Stats().ByVerb["MAIL"]; n != 0 {
				t.Errorf("a stopped account said MAIL")
			}
		})
	}
}

// TestCertificates: row 7, and never a word in the clear.
func TestCertificates(t *testing.T) {
	t.Parallel()
	for name, cert := range map[string]smtpscript.Certificate{
		"expired": smtpscript.CertExpired, "name": smtpscript.CertWrongName, "self-signed": smtpscript.CertSelfSigned,
		"incomplete": smtpscript.CertIncomplete,
	} {
		for _, mode := range []smtpscript.Mode{smtpscript.STARTTLS, smtpscript.ImplicitTLS} {
			t.Run(fmt.Sprint(name, mode), func(t *testing.T) {
				t.Parallel()
				k := newTalk(t, smtpscript.Config{Mode: mode, Cert: cert, User: "shop", Password: "secret"})
				k.enqueue(numbered(3))
				k.run()
				k.wantStates(map[post.State]int{post.StateQueued: 3})
				a := k.account()
				if a.Hold != post.AccountStopped || a.Reason.IsZero() {
					t.Errorf("%q %+v", a.Hold, a.Reason)
				}
				if st := k.srv.Stats(); st.Connections != 1 || st.ByVerb["AUTH"] != 0 || st.ByVerb["MAIL"] != 0 {
					t.Errorf("%+v", st)
				}
			})
		}
	}
}

// TestStrippedSTARTTLS: a server that no longer offers it is not spoken to.
func TestStrippedSTARTTLS(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{Mode: smtpscript.STARTTLS, Without: []string{"STARTTLS"}, AuthInClear: true, User: "shop", Password: "secret"})
	k.enqueue(numbered(3))
	k.run()
	if a := k.account(); a.Hold != post.AccountStopped || a.Reason.Key != "account.no_tls" {
		t.Errorf("%q %+v", a.Hold, a.Reason)
	}
	if st := k.srv.Stats(); st.ByVerb["AUTH"]+st.ByVerb["MAIL"] != 0 {
		t.Errorf("%v", st.ByVerb)
	}
}

// TestFailOver: an account that stops leaves its mailing to the other.
func TestFailOver(t *testing.T) {
	t.Parallel()
	cfg := smtpscript.Config{Script: func(ev smtpscript.Event) smtpscript.Action {
		if ev.Phase == post.PhaseMAIL && ev.Total > 5 {
			return smtpscript.Reply("550 5.7.60 not allowed to send as this sender")
		}
		return smtpscript.Action{}
	}}
	k := newTalk(t, cfg)
	second := smtpscript.Start(t, smtpscript.Config{})
	other := k.addAccount("other", second, smtpscript.Config{})
	k.enqueue(numbered(60), func(m *post.Mailing) {
		m.Senders = append(m.Senders, post.Sender{Account: other.ID, Email: other.Email})
	})
	k.run()
	k.wantTruth(second)
	k.wantStates(map[post.State]int{post.StateSent: 60})
}

// TestMessageIsByteIdenticalOnRetry: the same Message-ID, Date and boundaries.
func TestMessageIsByteIdenticalOnRetry(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{})
	k.srv.Close()
	script := onceFor(person(0), post.PhaseDot, smtpscript.Action{Silent: true, Take: smtpscript.TakeIt, End: smtpscript.EndClose})
	k.srv = smtpscript.Start(t, smtpscript.Config{Script: script})
	k.acct.Host, k.acct.Port = k.srv.HostPort()
	if err := k.ledger.UpdateAccount(t.Context(), k.acct); err != nil {
		t.Fatal(err)
	}
	m := k.enqueue(numbered(1))
	k.run()
	k.wantStates(map[post.State]int{post.StateUncertain: 1})
	if _, err := k.ledger.RetryMailing(t.Context(), m.ID, storage.Retry{Uncertain: true}); err != nil {
		t.Fatal(err)
	}
	k.reopen()
	clock := k.opt.Clock
	k.opt.Clock = later{time.Hour}
	k.run()
	k.opt.Clock = clock
	k.wantStates(map[post.State]int{post.StateSent: 1})
	all := k.srv.Messages()
	if len(all) != 2 || all[0].Sum != all[1].Sum || all[0].MessageID != k.row(person(0)).MessageID {
		t.Errorf("%d copies; they differ", len(all))
		for _, m := range all {
			t.Logf("%s", m.Data)
		}
	}
}

// later is the system's clock, ahead.
type later struct{ by time.Duration }

func (l later) Now() time.Time                      { return time.Now().Add(l.by) }
func (l later) NewTimer(d time.Duration) post.Timer { return post.SystemClock{}.NewTimer(d) }

// TestRoundTrips: one flight a message with PIPELINING, four without.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	const n = 200
	for _, c := range []struct {
		name    string
		without []string
		limit   float64
	}{{"groups", nil, 1.1}, {"steps", []string{"PIPELINING"}, 4.1}} {
		t.Run(c.name, func(t *testing.T) {
			k := newTalk(t, smtpscript.Config{Without: c.without})
			k.enqueue(numbered(n))
			k.run()
			k.wantTruth()
			st := k.srv.Stats()
			per := float64(st.Flights) / n
			t.Logf("%d flights, %.3f a message, %d connections, %v", st.Flights, per, st.Connections, st.ByVerb)
			if per > c.limit {
				t.Errorf("%.3f round trips a message, want at most %v", per, c.limit)
			}
			if st.ByVerb["RSET"]+st.ByVerb["NOOP"] > 0 {
				t.Errorf("%v", st.ByVerb)
			}
			if !slices.ContainsFunc(k.srv.Conns(), func(i smtpscript.ConnInfo) bool { return i.Messages == maxPerConnection }) {
				t.Error("connections are not used to the full")
			}
		})
	}
}

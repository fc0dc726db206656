package mailer

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
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
	dialer *accounts.Dialer
	opt    Options
}

// patience bounds every wait of these tests; none of them comes near it when
// all is well.
const patience = 2 * time.Minute

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
	k.dialer = &accounts.Dialer{Secrets: static("secret"), Log: slog.New(slog.DiscardHandler)}
	k.opt = Options{Dial: k.dialer.Dial, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), WaitScale: 1e-6, Timeouts: noHurry}
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
	s := k.begin()
	s.run(k.Context())
	return s
}

// begin is start without the run.
func (k *talk) begin() *started {
	s := &started{m: New(k.ledger, k.opt), stop: func() {}, done: make(chan error, 1)}
	k.Cleanup(func() { s.stop(); s.m.Kill() })
	return s
}

func (s *started) run(ctx context.Context) {
	ctx, s.stop = context.WithCancel(ctx)
	go func() { s.done <- s.m.Run(ctx, RunParams{}) }()
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

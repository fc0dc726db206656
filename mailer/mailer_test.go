package mailer

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"testing"
	"time"

	"postroom/accounts"
	"postroom/post"
	"postroom/practice"
	"postroom/storage"
)

// bench is a ledger, a trap to send to, and an account that leads there.
type rig struct {
	t      *testing.T
	ledger *storage.Ledger
	trap   *practice.Trap
	acct   post.Account
	opt    Options
}

type static string

func (s static) Get(context.Context, post.Account) (string, error) { return string(s), nil }
func (s static) Set(context.Context, post.Account, string) error   { return nil }
func (s static) Delete(context.Context, post.Account) error        { return nil }

func newRig(t *testing.T) *rig { return newRigAt(t, post.SystemClock{}) }

func newRigAt(t *testing.T, clock post.Clock) *rig {
	t.Helper()
	l, err := storage.Open(t.Context(), t.TempDir(), storage.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	trap, err := practice.Start(context.Background(), practice.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := trap.Close(); err != nil {
			t.Error(err)
		}
	})
	a := trap.Account()
	a.Name, a.Email, a.Secret = "shop", "shop@example.org", post.SecretNone
	acct, err := l.CreateAccount(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	d := &accounts.Dialer{Secrets: static(trap.Secret()), Clock: post.SystemClock{}, Log: slog.New(slog.DiscardHandler)}
	return &rig{t: t, ledger: l, trap: trap, acct: acct, opt: Options{
		Clock: clock, Dial: d.Dial, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), WaitScale: 0.001,
		Trap: func(context.Context) (Trap, error) { return Trap{Account: trap.Account(), Dial: d.Dial}, nil },
	}}
}

func people(n int) iter.Seq2[post.Recipient, error] {
	return func(yield func(post.Recipient, error) bool) {
		for i := range n {
			a := fmt.Sprintf("p%d@example.net", i)
			if !yield(post.Recipient{Address: a, Key: a, Name: "P", Fields: map[string]string{"first_name": fmt.Sprint("F", i)}}, nil) {
				return
			}
		}
	}
}

func (r *rig) queue(kind post.MailingKind, n int) post.Mailing {
	r.t.Helper()
	m, _, err := r.ledger.Enqueue(r.t.Context(), post.Mailing{
		Kind: kind, Name: "M", Content: post.Content{Subject: "Hello {{first_name}}", Format: post.FormatMarkdown, Body: "Dear {{first_name}},\n\n**hello**"},
		Senders: []post.Sender{{Account: r.acct.ID, Email: r.acct.Email, FromName: "Shop"}},
	}, people(n))
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

func (r *rig) run() *Mailer {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	m := New(r.ledger, r.opt)
	if err := m.Run(ctx, RunParams{UntilEmpty: true}); err != nil {
		r.t.Fatal(err)
	}
	if ctx.Err() != nil {
		r.t.Fatal("the run did not end")
	}
	return m
}

func (r *rig) wantCounts(m post.Mailing, want map[post.State]int64) {
	r.t.Helper()
	got, err := r.ledger.Mailing(r.t.Context(), m.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range post.States {
		if got.Counts[s] != want[s] {
			r.t.Errorf("%d %s, want %d", got.Counts[s], s, want[s])
		}
	}
	problems, err := r.ledger.Check(r.t.Context())
	if err != nil || len(problems) > 0 {
		r.t.Errorf("check: %v %v", problems, err)
	}
}

func TestSendsEverything(t *testing.T) {
	r := newRig(t)
	live := r.queue(post.Live, 300)
	rehearsal := r.queue(post.Rehearsal, 20)
	start := time.Now()
	r.run()
	t.Log("took", time.Since(start))
	r.wantCounts(live, map[post.State]int64{post.StateSent: 300})
	r.wantCounts(rehearsal, map[post.State]int64{post.StateSent: 20})
	if got := r.trap.Caught(); got != 320 {
		t.Errorf("the trap caught %d", got)
	}
	u, err := r.ledger.AccountUsed(t.Context(), r.acct.ID)
	if err != nil || u.Day != 300 {
		t.Errorf("%+v %v", u, err)
	}
}

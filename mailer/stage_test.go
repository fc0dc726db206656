package mailer

import (
	"context"
	"testing"
	"time"

	"postroom/post"
	"postroom/storage"
)

// realSpeed queues a rehearsal at real speed from the accounts, whose weights are
// their limits.
func (r *rig) realSpeed(n int, from ...post.Account) post.Mailing {
	r.t.Helper()
	m := post.Mailing{
		Kind: post.Rehearsal, RealSpeed: true, Name: "M", Content: post.Content{Subject: "Hello", Format: post.FormatText, Body: "Hello"},
	}
	for _, a := range from {
		m.Senders = append(m.Senders, post.Sender{Account: a.ID, Email: a.Email, Weight: a.Limits.PerMinute})
	}
	m, _, err := r.ledger.Enqueue(r.t.Context(), m, people(n))
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// sentBy counts the messages of a mailing that were taken, by account.
func (r *rig) sentBy(m post.Mailing) map[int64]int {
	r.t.Helper()
	by := map[int64]int{}
	for h, err := range r.ledger.EachDelivery(r.t.Context(), storage.HistoryFilter{Mailing: m.ID}) {
		if err != nil {
			r.t.Fatal(err)
		}
		if h.State == post.StateSent {
			by[h.Account]++
		}
	}
	return by
}

// limited is a rig with two accounts of 7 and 14 messages a minute, the first of
// them paused and with three messages sent.
func limited(t *testing.T) (*rig, *quick, post.Account) {
	t.Helper()
	clock := &quick{}
	r := newRigAt(t, clock)
	second := r.acct
	r.acct.Limits.PerMinute, r.acct.Connections = 7, 1
	second.ID, second.Name, second.Email, second.Limits.PerMinute, second.Connections = 0, "office", "office@example.org", 14, 1
	if err := r.ledger.UpdateAccount(t.Context(), r.acct); err != nil {
		t.Fatal(err)
	}
	second, err := r.ledger.CreateAccount(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	r.queue(post.Live, 3)
	r.run()
	if err := r.ledger.HoldAccount(t.Context(), r.acct.ID, post.AccountPaused, post.Reason{}); err != nil {
		t.Fatal(err)
	}
	return r, clock, second
}

// TestRealSpeed: a rehearsal at real speed keeps to what its accounts may send,
// with what they sent before, over a restart too; and no account's quota counts it.
func TestRealSpeed(t *testing.T) {
	t.Parallel()
	r, clock, second := limited(t)
	fast := r.queue(post.Rehearsal, 40)
	slow := r.realSpeed(60, r.acct, second)
	step := func(skip time.Duration, want map[int64]int) {
		t.Helper()
		clock.skip(skip)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := New(r.ledger, r.opt).Run(ctx, RunParams{NoWait: true}); err != nil {
			t.Fatal(err)
		}
		got := r.sentBy(slow)
		if got[r.acct.ID] != want[r.acct.ID] || got[second.ID] != want[second.ID] || got[0] != 0 {
			t.Fatalf("%v were taken, by account, want %v", got, want)
		}
	}
	step(0, map[int64]int{r.acct.ID: 4, second.ID: 14})
	r.wantCounts(fast, map[post.State]int64{post.StateSent: 40})
	step(10*time.Second, map[int64]int{r.acct.ID: 4, second.ID: 14})
	step(51*time.Second, map[int64]int{r.acct.ID: 11, second.ID: 28})
	step(61*time.Second, map[int64]int{r.acct.ID: 18, second.ID: 42})
	r.wantCounts(slow, map[post.State]int64{post.StateSent: 60})
	used, err := r.ledger.AccountUsed(t.Context(), r.acct.ID)
	if err != nil || used.Day != 3 {
		t.Errorf("the account's quota counts %+v, want what was live alone; %v", used, err)
	}
	if a, err := r.ledger.Account(t.Context(), r.acct.ID); err != nil || a.Hold != post.AccountPaused {
		t.Errorf("the account is %q after the rehearsal: %v", a.Hold, err)
	}
}

// TestRealSpeedForecast: it is told when a rehearsal at real speed will be over,
// though its account is paused; of one that goes as fast as it can nothing is.
func TestRealSpeedForecast(t *testing.T) {
	t.Parallel()
	r, clock, _ := limited(t)
	fast := r.queue(post.Rehearsal, 2)
	slow := r.realSpeed(25, r.acct)
	now := clock.Now()
	all, err := Foresee(t.Context(), r.ledger, now, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	// 4 at once, then 7 in each of three minutes.
	if ends := all[slow.ID].EndsAt.Sub(now); ends < 2*time.Minute || ends > 4*time.Minute {
		t.Errorf("it ends in %v", ends)
	}
	if f := all[fast.ID]; !f.EndsAt.IsZero() {
		t.Errorf("the other one ends at %v", f.EndsAt)
	}
}

// TestRealSpeedWithinARun: a run waits for the window of the account in whose
// place it sends, follows a changed limit, and ends when all have gone.
func TestRealSpeedWithinARun(t *testing.T) {
	t.Parallel()
	r, clock, second := limited(t)
	m := r.realSpeed(50, second)
	done := make(chan error, 1)
	run := New(r.ledger, r.opt)
	go func() { done <- run.Run(t.Context(), RunParams{UntilEmpty: true}) }()
	want := func(n int64) {
		t.Helper()
		limit := time.After(patience)
		for {
			got, err := r.ledger.Mailing(t.Context(), m.ID)
			if err != nil {
				t.Fatal(err)
			}
			if got.Counts[post.StateSent] == n {
				return
			}
			if got.Counts[post.StateSent] > n {
				t.Fatalf("%d were taken, want %d", got.Counts[post.StateSent], n)
			}
			select {
			case <-run.Progress():
			case <-limit:
				t.Fatalf("%d were taken, want %d", got.Counts[post.StateSent], n)
			}
		}
	}
	want(14)
	second.Limits.PerMinute = 20
	if err := r.ledger.UpdateAccount(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	want(20)
	clock.skip(61 * time.Second)
	want(40)
	clock.skip(61 * time.Second)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	want(50)
}

// TestRealSpeedShares: accounts without limits share a rehearsal at real speed as
// they would the live mailing, by weight.
func TestRealSpeedShares(t *testing.T) {
	t.Parallel()
	r, _, second := limited(t)
	second.Limits = post.Limits{}
	third := second
	third.ID, third.Name, third.Email = 0, "third", "third@example.org"
	if err := r.ledger.UpdateAccount(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	third, err := r.ledger.CreateAccount(t.Context(), third)
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := r.ledger.Enqueue(t.Context(), post.Mailing{
		Kind: post.Rehearsal, RealSpeed: true, Name: "M", Content: post.Content{Subject: "Hello", Format: post.FormatText, Body: "Hello"},
		Senders: []post.Sender{{Account: second.ID, Email: second.Email, Weight: 3}, {Account: third.ID, Email: third.Email, Weight: 1}},
	}, people(200))
	if err != nil {
		t.Fatal(err)
	}
	r.run()
	if got := r.sentBy(m); got[second.ID] < 150-4*shareAhead || got[second.ID] > 150+4*shareAhead || got[second.ID]+got[third.ID] != 200 {
		t.Errorf("%v by account, want 150 and 50, about", got)
	}
}

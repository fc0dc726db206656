package storage

import (
	"sync/atomic"
	"testing"
	"time"

	"postroom/post"
)

// setClock is the system's clock with a time that tests set.
type setClock struct {
	post.SystemClock
	now atomic.Int64
}

func (c *setClock) Now() time.Time { return time.UnixMilli(c.now.Load()) }

// TestLateMailings: a scheduled mailing that could not begin at its time goes,
// waits for the user, or is skipped, as was wished; one that began in time goes on.
func TestLateMailings(t *testing.T) {
	due := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	night, err := post.ParseHours("mon-sun 18:00-20:00", "UTC")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		late  post.Late
		hours post.Hours
		began bool // one message of it was tried in time
		at    time.Duration
		state post.MailingState
		rows  int // claimed
		why   string
	}{
		{name: "in time", late: post.Late{After: time.Hour, Then: post.LateAsk}, at: time.Hour, state: post.MailingRunning, rows: 3},
		{name: "however late", at: 30 * 24 * time.Hour, state: post.MailingRunning, rows: 3},
		{name: "ask", late: post.Late{After: time.Hour, Then: post.LateAsk}, at: time.Hour + time.Second, state: post.MailingPaused, why: "mailing.late"},
		{name: "skip", late: post.Late{After: time.Hour, Then: post.LateSkip}, at: 2 * time.Hour, state: post.MailingCancelled, why: "mailing.late_skipped"},
		{name: "began", late: post.Late{After: time.Hour, Then: post.LateSkip}, began: true, at: 2 * time.Hour, state: post.MailingRunning, rows: 2},
		{name: "hours open late", late: post.Late{After: time.Hour, Then: post.LateSkip}, hours: night, at: 9*time.Hour + 30*time.Minute, state: post.MailingRunning, rows: 3},
		{name: "after the hours", late: post.Late{After: time.Hour, Then: post.LateAsk}, hours: night, at: 10*time.Hour + 30*time.Minute, state: post.MailingPaused, why: "mailing.late"},
	} {
		clock := &setClock{}
		clock.now.Store(due.Add(-time.Hour).UnixMilli())
		l, err := Open(t.Context(), t.TempDir(), Options{Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		a := account(t, l, "shop")
		m, _, err := l.Enqueue(ctx, post.Mailing{
			Kind: post.Live, Content: post.Content{Subject: "s"}, Senders: []post.Sender{{Account: a.ID, Email: a.Email}},
			NotBefore: due, Late: c.late, Hours: c.hours,
		}, people(3))
		if err != nil {
			t.Fatal(err)
		}
		claim := func(n int) int {
			got, err := l.Claim(ctx, ClaimParams{Kind: post.Live, Account: a.ID, Claim: 7, N: n, Deadline: 1000 * time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			return len(got)
		}
		if n := claim(9); n != 0 {
			t.Errorf("%s: %d rows an hour before its time", c.name, n)
		}
		if c.began {
			clock.now.Store(due.UnixMilli())
			if n := claim(1); n != 1 {
				t.Fatalf("%s: %d rows at its time", c.name, n)
			}
		}
		clock.now.Store(due.Add(c.at).UnixMilli())
		n := claim(9)
		got, err := l.Mailing(ctx, m.ID)
		if err != nil {
			t.Fatal(err)
		}
		if n != c.rows || got.State(clock.Now()) != c.state || got.Reason.Key != c.why || got.Late != c.late {
			t.Errorf("%s: %d rows, %s because of %+v, %+v", c.name, n, got.State(clock.Now()), got.Reason, got.Late)
		}
		switch c.state {
		case post.MailingCancelled:
			if got.Counts[post.StateCancelled] != 3 || got.Pending() != 0 {
				t.Errorf("%s: %v", c.name, got.Counts)
			}
		case post.MailingPaused: // the user says: send it
			if err := l.HoldMailing(ctx, m.ID, "", post.Reason{}); err != nil {
				t.Fatal(err)
			}
			open := 3
			if !c.hours.IsZero() {
				if ok, _ := c.hours.Open(clock.Now()); !ok {
					open = 0
				}
			}
			if n := claim(9); n != open {
				t.Errorf("%s: %d rows after the user's word, want %d", c.name, n, open)
			}
		}
		wantSound(t, l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

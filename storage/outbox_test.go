package storage

import (
	"errors"
	"testing"
	"time"

	"postroom/post"
)

func claim(t *testing.T, l *Ledger, a post.Account, n int) []post.Delivery {
	t.Helper()
	ds, err := l.Claim(t.Context(), ClaimParams{Kind: post.Live, Account: a.ID, Claim: 1, N: n, Deadline: 48 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func TestOutboxRoundTrip(t *testing.T) {
	l := open(t, t.TempDir())
	ctx := t.Context()
	a := account(t, l, "a")
	m := enqueue(t, l, post.Live, a, 3)
	ds := claim(t, l, a, 2)
	if len(ds) != 2 || ds[0].Row != 1 || ds[0].Fields["first_name"] != "F" || ds[0].Kind != post.Live {
		t.Fatalf("%+v", ds)
	}
	date := time.Now().Truncate(time.Millisecond).UTC()
	refused, err := l.Record(ctx, nil, []Intent{{ID: ds[0].ID, Claim: 1, At: date, Date: date, Live: true}})
	if err != nil || len(refused) != 0 {
		t.Fatal(refused, err)
	}
	sent := Result{ID: ds[0].ID, Claim: 1, Mailing: m.ID, Live: true, From: post.StateSending, To: post.StateSent, Attempt: &post.Attempt{
		Account: a.ID, StartedAt: date, EndedAt: date, Phase: post.PhaseDot, Reply: post.NewReply(250, "2.0.0 Ok: queued as 4Zk"), QueueID: "4Zk", Charged: true, DotSent: true,
	}}
	later := date.Add(time.Hour)
	back := Result{ID: ds[1].ID, Claim: 1, Mailing: m.ID, Live: true, From: post.StateClaimed, To: post.StateQueued, NextAt: later, Attempt: &post.Attempt{
		Account: a.ID, StartedAt: date, EndedAt: date, Phase: post.PhaseRCPT, Reply: post.NewReply(451, "4.7.1 Greylisted"), Charged: true,
	}}
	if _, err := l.Record(ctx, []Result{sent, back}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Record(ctx, []Result{sent}, nil); !errors.Is(err, ErrMoved) {
		t.Errorf("the same result twice: %v", err)
	}
	got, err := l.Mailing(ctx, m.ID)
	if err != nil || got.Counts[post.StateSent] != 1 || got.Counts[post.StateQueued] != 2 || got.Counts[post.StateClaimed] != 0 {
		t.Fatalf("%+v %v", got.Counts, err)
	}
	h, err := l.Delivery(ctx, ds[0].ID)
	if err != nil || h.State != post.StateSent || h.Last.Code != 250 || h.Last.Enhanced != "2.0.0" || h.QueueID != "4Zk" || h.AccountName != "a" || !h.Date.Equal(date) || h.Attempts != 1 {
		t.Fatalf("%+v %v", h, err)
	}
	log, err := l.Attempts(ctx, ds[0].ID)
	if err != nil || len(log) != 1 || log[0].State != post.StateSent {
		t.Fatalf("%+v %v", log, err)
	}
	u, err := l.AccountUsed(ctx, a.ID)
	if err != nil || u.Day != 2 || u.Minute != 2 {
		t.Errorf("%+v %v", u, err)
	}
	// The row that waits is not due; the third is.
	if ds = claim(t, l, a, 5); len(ds) != 1 || ds[0].Row != 3 {
		t.Fatalf("%+v", ds)
	}
	due, err := l.NextDue(ctx, post.Live, a.ID)
	if err != nil || due.Now || !due.At.Equal(later) {
		t.Errorf("%+v %v", due, err)
	}
	days, err := l.Days(ctx, time.Local, 30)
	if err != nil || len(days) != 30 || days[29].Sent+days[28].Sent != 1 {
		t.Errorf("%+v %v", days[28:], err)
	}
	wantSound(t, l)
}

func TestIntentIsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(*Ledger, post.Mailing) error
		to   post.State
	}{
		{"paused", func(l *Ledger, m post.Mailing) error {
			return l.HoldMailing(t.Context(), m.ID, post.MailingPaused, post.Reason{})
		}, post.StateQueued},
		{"cancelled", func(l *Ledger, m post.Mailing) error { _, err := l.CancelMailing(t.Context(), m.ID); return err }, post.StateCancelled},
		{"suppressed", func(l *Ledger, _ post.Mailing) error {
			_, err := l.Suppress(t.Context(), []post.Suppression{{Key: "p0@example.net", Address: "p0@example.net", Reason: "asked", Source: "you"}})
			return err
		}, post.StateSuppressed},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := open(t, t.TempDir())
			a := account(t, l, "a")
			m := enqueue(t, l, post.Live, a, 1)
			ds := claim(t, l, a, 1)
			if err := c.act(l, m); err != nil {
				t.Fatal(err)
			}
			refused, err := l.Record(t.Context(), nil, []Intent{{ID: ds[0].ID, Claim: 1, At: time.Now(), Date: time.Now(), Live: true}})
			if err != nil || len(refused) != 1 || refused[0].To != c.to {
				t.Fatalf("%+v %v", refused, err)
			}
			if _, err := l.Record(t.Context(), []Result{{ID: ds[0].ID, Claim: 1, Mailing: m.ID, Live: true, From: post.StateClaimed, To: c.to}}, nil); err != nil {
				t.Fatal(err)
			}
			wantSound(t, l)
		})
	}
}

func TestRecover(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	ctx := t.Context()
	a := account(t, l, "a")
	m := enqueue(t, l, post.Live, a, 4)
	ds := claim(t, l, a, 3)
	if _, err := l.Record(ctx, nil, []Intent{{ID: ds[0].ID, Claim: 1, At: time.Now(), Date: time.Now(), Live: true}}); err != nil {
		t.Fatal(err)
	}
	// What follows is what the next process does; the first one is dead.
	for i := range 3 {
		// The first row waited for the reply to its dot, the second was being
		// rendered each time.
		out, err := l.Recover(ctx, map[int64]Progress{ds[0].ID: {}, ds[1].ID: {Rendering: true}}, true)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 && (out.Uncertain != 1 || out.Requeued != 2) {
			t.Fatalf("%+v", out)
		}
		if i < 2 {
			ds2 := claim(t, l, a, 3)
			if len(ds2) != 3 {
				t.Fatalf("round %d: %+v", i, ds2)
			}
		}
	}
	got, err := l.Delivery(ctx, ds[1].ID)
	if err != nil || !got.Held || got.State != post.StateQueued || got.Reason.Key != "delivery.crashed" {
		t.Fatalf("%+v %v", got.Delivery, err)
	}
	if ds := claim(t, l, a, 5); len(ds) != 2 {
		t.Errorf("a held row is claimed: %+v", ds)
	}
	if _, err := l.Recover(ctx, nil, false); err != nil {
		t.Fatal(err)
	}
	if n, err := l.RetryMailing(ctx, m.ID, Retry{Paused: true}); err != nil || n != 1 {
		t.Errorf("%d %v", n, err)
	}
	if n, err := l.SettleMailing(ctx, m.ID, post.StateSent); err != nil || n != 1 {
		t.Errorf("%d %v", n, err)
	}
	if ds := claim(t, l, a, 5); len(ds) != 3 {
		t.Errorf("%+v", ds)
	}
	wantSound(t, l)
}

func TestRecoverByMark(t *testing.T) {
	for _, c := range []struct {
		name    string
		p       map[int64]Progress
		trusted bool
		live    bool
		want    post.State
	}{
		{"no mark", nil, false, true, post.StateUncertain},
		{"a mark of another boot", map[int64]Progress{1: {Code: 250}}, false, true, post.StateUncertain},
		{"not started", nil, true, true, post.StateQueued},
		{"in flight", map[int64]Progress{1: {}}, true, true, post.StateUncertain},
		{"taken", map[int64]Progress{1: {Code: 250}}, true, true, post.StateSent},
		{"refused for now", map[int64]Progress{1: {Code: 451}}, true, true, post.StateQueued},
		{"refused", map[int64]Progress{1: {Code: 554}}, true, true, post.StateQueued},
		{"a rehearsal", map[int64]Progress{1: {}}, true, false, post.StateQueued},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := open(t, t.TempDir())
			a := account(t, l, "a")
			kind, id := post.Live, a.ID
			if !c.live {
				kind, id = post.Rehearsal, 0
			}
			enqueue(t, l, kind, a, 1)
			ds, err := l.Claim(t.Context(), ClaimParams{Kind: kind, Account: id, Claim: 1, N: 1})
			if err != nil || len(ds) != 1 || ds[0].ID != 1 {
				t.Fatal(ds, err)
			}
			if r, err := l.Record(t.Context(), nil, []Intent{{ID: 1, Claim: 1, At: time.Now(), Date: time.Now(), Live: c.live}}); err != nil || len(r) != 0 {
				t.Fatal(r, err)
			}
			if _, err := l.Recover(t.Context(), c.p, c.trusted); err != nil {
				t.Fatal(err)
			}
			d, err := l.Delivery(t.Context(), 1)
			if err != nil || d.State != c.want {
				t.Errorf("%s, want %s, %v", d.State, c.want, err)
			}
			wantSound(t, l)
		})
	}
}

// A row that comes back to the queue of a mailing cancelled meanwhile is
// cancelled with it; else the mailing would wait for it for ever.
func TestCancelReachesRowsUnderWay(t *testing.T) {
	l := open(t, t.TempDir())
	a := account(t, l, "a")
	m := enqueue(t, l, post.Live, a, 3)
	ds := claim(t, l, a, 2)
	if n, err := l.CancelMailing(t.Context(), m.ID); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	for _, d := range ds {
		r := Result{ID: d.ID, Claim: 1, Mailing: m.ID, Live: true, From: post.StateClaimed, To: post.StateQueued}
		if _, err := l.Record(t.Context(), []Result{r}, nil); err != nil {
			t.Fatal(err)
		}
	}
	got, err := l.Mailing(t.Context(), m.ID)
	if err != nil || got.Counts[post.StateCancelled] != 3 || got.Pending() != 0 || got.FinishedAt.IsZero() {
		t.Errorf("%+v %v", got, err)
	}
	wantSound(t, l)
}

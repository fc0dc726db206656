package mailer

import (
	"math"
	"testing"
	"time"

	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// noon is a Thursday.
var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// TestForecastHolds runs a mailing under limits on a clock of its own and holds
// every forecast on the way against when it really ended: within 10 % of what
// was left then.
func TestForecastHolds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		limits post.Limits
		people int
	}{
		{"per minute", post.Limits{PerMinute: 10}, 300},
		{"per hour", post.Limits{PerHour: 40}, 300},
		{"per day", post.Limits{PerMinute: 20, PerDay: 100}, 330},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := newTalk(t, smtpscript.Config{}, func(a *post.Account) { a.Limits = c.limits })
			clock := &quick{}
			k.opt.Clock = clock
			k.reopen()
			m := k.enqueue(numbered(c.people))
			type guess struct{ at, ends time.Time }
			var guesses []guess
			for range 5000 {
				k.runUntil(RunParams{NoWait: true})
				all, err := Foresee(t.Context(), k.ledger, clock.Now(), time.UTC)
				if err != nil {
					t.Fatal(err)
				}
				f, open := all[m.ID]
				if !open {
					break
				}
				if !f.EndsAt.IsZero() {
					guesses = append(guesses, guess{clock.Now(), f.EndsAt})
				}
				a := k.account()
				next := clock.Now()
				q := quota{limits: c.limits}
				if q.times, err = k.ledger.Charges(t.Context(), a.ID, clock.Now().Add(-24*time.Hour)); err != nil {
					t.Fatal(err)
				}
				if free := q.next(clock.Now()); free.After(next) {
					next = free
				}
				clock.skip(next.Sub(clock.Now()) + 200*time.Millisecond)
			}
			k.wantStates(map[post.State]int{post.StateSent: c.people})
			var ended time.Time
			for _, d := range k.rows() {
				if d.SentAt.After(ended) {
					ended = d.SentAt
				}
			}
			if len(guesses) == 0 {
				t.Fatal("nothing was forecast")
			}
			for i, g := range guesses {
				left := ended.Sub(g.at)
				if off := g.ends.Sub(ended).Abs(); float64(off) > 0.1*float64(left)+float64(2*time.Second) {
					t.Errorf("forecast %d of %d: off by %v with %v left", i+1, len(guesses), off, left)
				}
			}
		})
	}
}

// line builds an account of a forecast.
func line(id int64, rate float64, limits post.Limits) *lineOf {
	return &lineOf{account: &post.Account{ID: id}, at: noon, rate: rate, quota: quota{limits: limits}}
}

func TestForecastArithmetic(t *testing.T) {
	t.Parallel()
	hours, err := post.ParseHours("mon-fri 09:00-17:00", "UTC")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		lines []*lineOf
		left  int64
		set   func(*post.Mailing)
		ends  time.Duration // after noon
		days  []int64
	}{
		{"a minute each", []*lineOf{line(1, 1, post.Limits{})}, 60, nil, time.Hour, []int64{60}},
		{"two accounts", []*lineOf{line(1, 1, post.Limits{}), line(2, 2, post.Limits{})}, 180, nil, time.Hour, []int64{180}},
		{"a million", []*lineOf{line(1, 60_000, post.Limits{})}, 1_000_000, nil, 1000 * time.Second, []int64{1_000_000}},
		{"a day's limit", []*lineOf{line(1, 600, post.Limits{PerDay: 500})}, 812, nil, 24*time.Hour + 31*time.Second, []int64{500, 312}},
		{"scheduled", []*lineOf{line(1, 1, post.Limits{})}, 60, func(m *post.Mailing) { m.NotBefore = noon.Add(2 * time.Hour) }, 3 * time.Hour, []int64{60}},
		// Five hours today, Friday all day, then Monday.
		{"hours", []*lineOf{line(1, 1, post.Limits{})}, 5*60 + 8*60 + 30, func(m *post.Mailing) { m.Hours = hours }, 4*24*time.Hour - 3*time.Hour + 30*time.Minute, []int64{300, 480, 0, 0, 30}},
		{"nobody sends", nil, 5, nil, 0, nil},
		{"released in part", []*lineOf{line(1, 1, post.Limits{})}, 60, func(m *post.Mailing) { m.Staged, m.ReleaseLeft = true, 10 }, 0, nil},
		{"paused", []*lineOf{line(1, 1, post.Limits{})}, 60, func(m *post.Mailing) { m.Hold = post.MailingPaused }, 0, nil},
	} {
		m := post.Mailing{ID: 7, Kind: post.Live, Counts: map[post.State]int64{post.StateQueued: c.left}}
		for _, x := range c.lines {
			m.Senders = append(m.Senders, post.Sender{Account: x.account.ID})
		}
		if c.set != nil {
			c.set(&m)
		}
		o := outlook{now: noon, zone: time.UTC, mailings: map[int64]*expected{}, lines: c.lines}
		o.expect([]post.Mailing{m}, nil)
		o.mailings[7].known = true
		o.run()
		got := o.mailings[7]
		if c.ends == 0 {
			if !got.EndsAt.IsZero() {
				t.Errorf("%s: ends %v, want not known", c.name, got.EndsAt)
			}
			continue
		}
		if off := got.EndsAt.Sub(noon) - c.ends; off.Abs() > c.ends/50 {
			t.Errorf("%s: ends after %v, want %v", c.name, got.EndsAt.Sub(noon), c.ends)
		}
		if len(got.Days) != len(c.days) {
			t.Errorf("%s: by day %v, want %v", c.name, got.Days, c.days)
			continue
		}
		for i := range c.days {
			if math.Abs(float64(got.Days[i]-c.days[i])) > math.Max(1, 0.02*float64(c.days[i])) {
				t.Errorf("%s: by day %v, want %v", c.name, got.Days, c.days)
			}
		}
	}
}

package mailer

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// TestQuotaHoldsInEveryWindow takes whenever it may, at random steps of the
// clock, and counts by brute force.
func TestQuotaHoldsInEveryWindow(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 5))
	for range 30 {
		q := quota{limits: post.Limits{PerMinute: rnd.IntN(6), PerHour: rnd.IntN(40), PerDay: rnd.IntN(200)}}
		now := time.Unix(1_700_000_000, 0)
		var taken []time.Time
		for range 2000 {
			now = now.Add(time.Duration(rnd.IntN(60_000)) * time.Millisecond)
			left, next := q.left(now), q.next(now)
			ok, when := q.take(now)
			if !q.unlimited() && (ok != (left > 0) || ok == next.After(now) || !ok && !when.Equal(next)) {
				t.Fatalf("%+v: take %v, left %d, next %v, when %v, now %v", q.limits, ok, left, next, when, now)
			}
			if ok {
				taken = append(taken, now)
				if rnd.IntN(10) == 0 {
					q.giveBack(now)
					taken = taken[:len(taken)-1]
				}
			}
		}
		for _, w := range q.windows() {
			for i := range taken {
				if w.limit > 0 && i >= w.limit && taken[i].Sub(taken[i-w.limit]) < w.span {
					t.Fatalf("%+v: more than %d in %v", q.limits, w.limit, w.span)
				}
			}
		}
		if len(taken) == 0 {
			t.Errorf("%+v: nothing was ever allowed", q.limits)
		}
	}
}

// TestQuotaClockSetBack: what lies in the future counts as now, so that it is
// neither forgotten nor waited for longer than its window.
func TestQuotaClockSetBack(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	q := quota{limits: post.Limits{PerMinute: 2}}
	for range 2 {
		if ok, _ := q.take(now); !ok {
			t.Fatal("refused")
		}
	}
	back := now.Add(-24 * time.Hour)
	ok, next := q.take(back)
	if ok || next.Sub(back) > time.Minute {
		t.Errorf("%v, next in %v", ok, next.Sub(back))
	}
	if ok, _ := q.take(back.Add(time.Minute)); !ok {
		t.Error("refused after a minute")
	}
}

// TestQuotaHoldsOverRestarts: five a minute are five a minute, however often
// the program is started and whatever the clock does; nothing fails for it.
func TestQuotaHoldsOverRestarts(t *testing.T) {
	t.Parallel()
	for _, connections := range []int{1, 3} {
		k := newTalk(t, smtpscript.Config{}, func(a *post.Account) { a.Limits.PerMinute, a.Connections = 5, connections })
		clock := &quick{}
		k.opt.Clock = clock
		k.reopen()
		k.enqueue(numbered(20))
		sent := func() int { return k.srv.Stats().Taken }
		step := func(skip time.Duration, want int) {
			t.Helper()
			clock.skip(skip)
			k.reopen()
			k.runUntil(RunParams{NoWait: true})
			if n := sent(); n != want {
				t.Fatalf("%d sent, want %d", n, want)
			}
		}
		step(0, 5)
		step(0, 5)
		step(40*time.Second, 5)
		step(25*time.Second, 10)
		step(-time.Hour, 10) // set back: what was sent counts as if it were now
		step(30*time.Second, 10)
		running := k.start()
		k.until("the quota was asked for", func() bool { return running.waits(k.acct.ID) })
		clock.skip(61 * time.Second)
		k.until("the next five", func() bool { return k.counts()[post.StateSent] == 15 })
		running.stop()
		k.wait(running)
		step(3*time.Hour, 20) // set forward: all are due at once, and still only five go
		k.wantTruth()
		k.wantStates(map[post.State]int{post.StateSent: 20})
	}
}

// waits reports whether the account waits for its quota.
func (s *started) waits(account int64) bool {
	s.m.mu.Lock()
	x := s.m.live.peers[account]
	s.m.mu.Unlock()
	if x == nil {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return !x.free.IsZero()
}

// TestQuotaWithinARun: a run waits for the window and goes on by itself.
func TestQuotaWithinARun(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{}, func(a *post.Account) { a.Limits.PerMinute, a.Connections = 7, 2 })
	clock := &quick{}
	k.opt.Clock = clock
	k.reopen()
	k.enqueue(numbered(30))
	s := k.start()
	for want := 7; want <= 30; want += 7 {
		k.until("a window's worth", func() bool { return k.srv.Stats().Taken >= want })
		if n := k.srv.Stats().Taken; n != want {
			t.Fatalf("%d sent, want %d", n, want)
		}
		clock.skip(61 * time.Second)
	}
	k.until("the rest", func() bool { return k.counts()[post.StateSent] == 30 })
	s.stop()
	k.wait(s)
	k.wantTruth()
}

// counted is the system's clock, and counts the waits.
type counted struct {
	post.SystemClock
	waits atomic.Int64
}

func (c *counted) Elapsed() time.Duration { return post.SystemClock{}.Elapsed() }
func (c *counted) NewTimer(d time.Duration) post.Timer {
	c.waits.Add(1)
	return c.SystemClock.NewTimer(min(d, 20*time.Millisecond))
}

// TestWaitingForTheQuotaIsQuiet: no connection's work is begun again and again
// meanwhile.
func TestWaitingForTheQuotaIsQuiet(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{}, func(a *post.Account) { a.Limits.PerMinute = 3 })
	clock := &counted{}
	k.opt.Clock = clock
	k.enqueue(numbered(10))
	s := k.start()
	k.until("the quota is used up", func() bool { return k.counts()[post.StateSent] == 3 && s.waits(k.acct.ID) && s.m.idle() })
	before := clock.waits.Load()
	k.until("some looks at the clock", func() bool { return clock.waits.Load() > before+30 })
	s.stop()
	k.wait(s)
	if n := s.m.claims; n > 4 {
		t.Errorf("%d lanes were started", n)
	}
	k.wantTruth()
}

// TestSuccessEndsAWait: a message that was under way when the server said "slow
// down" is no reason to go on; where only the connection was lost, it is.
func TestSuccessEndsAWait(t *testing.T) {
	for _, c := range []struct {
		schedule Schedule
		ends     bool
	}{{Usual, true}, {Full, true}, {Rate, false}, {Grey, false}, {Quota, false}, {SignIn, false}} {
		clock := &quick{}
		s := newSender(New(nil, Options{Clock: clock}), post.Account{Host: "127.0.0.1"}, post.Rehearsal)
		s.wait(t.Context(), Verdict{Schedule: c.schedule})
		s.success(t.Context(), 1)
		if got := s.usable(clock.Now()); got != c.ends {
			t.Errorf("schedule %d: usable %v, want %v", c.schedule, got, c.ends)
		}
		clock.skip(25 * time.Hour)
		s.success(t.Context(), 1)
		if a := s.account(); a.WaitStep != 0 || !s.usable(clock.Now()) {
			t.Errorf("schedule %d: step %d after a success that came later", c.schedule, a.WaitStep)
		}
	}
}

// TestOlderReadsAreNotTakenOver: what was read from the ledger before a change
// made here was written does not undo it.
func TestOlderReadsAreNotTakenOver(t *testing.T) {
	k := newTalk(t, smtpscript.Config{})
	m := New(k.ledger, k.opt)
	s := newSender(m, k.acct, post.Live)
	old, gen := k.account(), s.generation()
	s.stop(t.Context(), post.Reason{Key: "account.password"})
	s.update(old, gen)
	if s.usable(time.Now()) {
		t.Error("a read from before the stop released the account")
	}
	s.mu.Lock()
	s.writing++ // as while a change is being written
	s.mu.Unlock()
	s.update(old, s.generation())
	if s.usable(time.Now()) {
		t.Error("a read from while the stop was being written released the account")
	}
	s.mu.Lock()
	s.writing--
	s.mu.Unlock()
	if err := k.ledger.HoldAccount(t.Context(), k.acct.ID, "", post.Reason{}); err != nil {
		t.Fatal(err)
	}
	gen = s.generation()
	s.update(k.account(), gen)
	if !s.usable(time.Now()) {
		t.Error("the user's release is not taken over")
	}
}

// TestBackoff: the waits of the book, and their jitter.
func TestBackoff(t *testing.T) {
	t.Parallel()
	for n, want := range []time.Duration{2, 5, 15, 30, 60, 120, 240, 240, 240} {
		want *= time.Minute
		for range 100 {
			if d := deliveryWait(Usual, n+1); d < want*8/10 || d > want*12/10 || d > MaxDeliveryWait {
				t.Fatalf("the %d-th wait is %v, want about %v", n+1, d, want)
			}
		}
	}
	for range 100 {
		if d := deliveryWait(Grey, 1); d < 5*time.Minute || d > 15*time.Minute {
			t.Fatalf("%v for greylisting", d)
		}
	}
	for _, c := range []struct {
		s    Schedule
		n    int
		want time.Duration
	}{
		{Usual, 1, 10 * time.Second},
		{Usual, 8, time.Hour},
		{Usual, 1000, time.Hour},
		{SignIn, 1, 15 * time.Minute},
		{SignIn, 2, 30 * time.Minute},
		{SignIn, 1 << 40, 24 * time.Hour},
		{Rate, 1, time.Minute},
		{Rate, 3, 4 * time.Minute},
		{Rate, 99, time.Hour},
		{Quota, 5, time.Hour},
	} {
		if got := accountWait(c.s, c.n); got != c.want {
			t.Errorf("accountWait(%d, %d) = %v, want %v", c.s, c.n, got, c.want)
		}
	}
	if got := scaled(time.Hour, 1e-9, "smtp.example.com"); got != time.Hour {
		t.Errorf("a wait for a real server was shortened to %v", got)
	}
}

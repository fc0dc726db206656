package mailer

import (
	"context"
	"time"

	"postroom/post"
)

// Times around a network that comes and goes.
const (
	// offlineWithin: accounts that fail to connect within this time of each other
	// say that it is the network and not their servers. An account that waits
	// tries at least once an hour.
	offlineWithin = 65 * time.Minute
	// portalTries and portalSpan: a wrong certificate where a good one was seen
	// before is believed after so many tries over so long.
	portalTries = 3
	portalSpan  = 10 * time.Minute
	// sleptAfter is how far the wall clock may run ahead of the monotonic one
	// before the machine is taken to have slept.
	sleptAfter = time.Minute
	// settleAfter is how long a machine that woke up gets to find its network.
	settleAfter = 10 * time.Second
)

// network tells a network that is gone from a server that is. Guarded by
// Mailer.mu.
type network struct {
	failed  map[int64]time.Time // by account, its last connection that failed
	offline bool
}

// connectFailed notes that an account's server could not be reached and reports
// whether that is the network's fault: several accounts cannot reach theirs
// (rows 1, 52).
func (m *Mailer) connectFailed(account int64, now time.Time) (offline bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.network.failed == nil {
		m.network.failed = map[int64]time.Time{}
	}
	m.network.failed[account] = now
	n := 0
	for _, at := range m.network.failed {
		if now.Sub(at) <= offlineWithin {
			n++
		}
	}
	m.network.offline = n > 1
	return m.network.offline
}

// connected notes that an account's server answered. When the network had been
// gone, the accounts that waited for it wait no longer.
func (m *Mailer) connected(ctx context.Context, account int64) {
	m.mu.Lock()
	delete(m.network.failed, account)
	back := m.network.offline
	m.network.offline = false
	var waiting []*sender
	if back {
		clear(m.network.failed)
		for _, s := range m.live.peers {
			waiting = append(waiting, s)
		}
	}
	m.mu.Unlock()
	for _, s := range waiting {
		s.endOfflineWait(ctx)
	}
	if back {
		m.log.Info("the network is back")
		m.Kick()
	}
}

// endOfflineWait ends a wait that was for the network.
func (s *sender) endOfflineWait(ctx context.Context) {
	s.mu.Lock()
	ends := s.acct.Reason.Key == "account.offline" && s.acct.Hold == "" && s.acct.WaitStep > 0
	if ends {
		s.acct.WaitStep, s.acct.Until, s.acct.Reason = 0, time.Time{}, post.Reason{}
		s.gen++
		s.writing++
	}
	s.mu.Unlock()
	if ends {
		s.keep(ctx, "end the account's wait", func(ctx context.Context) error {
			return s.m.ledger.SetAccountWait(ctx, s.id, time.Time{}, 0, post.Reason{})
		})
	}
}

// aboutNetwork softens a verdict on a connection that failed, where the network
// may be to blame: nobody is stopped because a cable was pulled.
func (s *sender) aboutNetwork(f *post.Fault, v Verdict) Verdict {
	if post.IsLoopbackHost(s.account().Host) || s.id == 0 {
		return v // no network lies between
	}
	now := s.m.clock.Now()
	switch {
	case f.Cause == post.CauseCertificate:
		if s.strangeCertificate(now) {
			v.Account, v.Schedule, v.Reason.Key = Wait, Usual, "account.portal"
		}
	case (f.Phase == post.PhaseResolve || f.Phase == post.PhaseConnect) && f.Cause != post.CauseNotLoopback && f.Cause != post.CauseCancelled:
		if s.m.connectFailed(s.id, now) {
			v.Account, v.Strike, v.Reason.Key = Wait, Strike{}, "account.offline"
		}
	}
	return v
}

// strangeCertificate reports whether a wrong certificate may come from the sign-in
// page of a hotel or café rather than from the server (row 52): the server has
// shown a good one before, though not in this run, and this has not gone on for long.
func (s *sender) strangeCertificate(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trusted || !s.acct.Learned.HadTLS {
		return false
	}
	if s.portal.IsZero() {
		s.portal = now
	}
	if s.struckLocked("portal", 0) < portalTries || now.Sub(s.portal) < portalSpan {
		return true
	}
	s.portal = time.Time{}
	delete(s.strikes, "portal")
	return false
}

// goodConnection notes that the server answered, how large a message it takes,
// and that it had a good certificate where the connection is protected.
func (s *sender) goodConnection(ctx context.Context, protected bool, size int64) {
	if s.id == 0 { // the trap says nothing about the network
		return
	}
	s.m.connected(ctx, s.id)
	s.mu.Lock()
	if protected {
		s.trusted, s.portal = true, time.Time{}
	}
	first := protected && !s.acct.Learned.HadTLS || size != s.acct.Learned.Size
	if first {
		s.acct.Learned.HadTLS = s.acct.Learned.HadTLS || protected
		s.acct.Learned.Size = size
		s.gen++
		s.writing++
	}
	learned := s.acct.Learned
	s.mu.Unlock()
	if first {
		s.keepLearned(ctx, learned)
	}
}

// watchSleep notices that the machine slept: the wall clock ran on and the
// monotonic one did not. Every idle connection is then given up, and nothing new
// begins until the network had time to come back (row 51). It notices a clock
// that was set back, too; see unwind. It reports whether the wall clock jumped.
func (m *Mailer) watchSleep() (jumped bool) {
	wall, elapsed := m.clock.Now(), m.clock.Elapsed()
	m.mu.Lock()
	defer m.mu.Unlock()
	drift := wall.Round(0).Sub(m.lastWall) - (elapsed - m.lastElapsed)
	known := !m.lastWall.IsZero()
	m.lastWall, m.lastElapsed = wall.Round(0), elapsed
	switch {
	case known && drift < -sleptAfter:
		m.setBack = true
	case known && drift > sleptAfter:
		m.naps++
		m.settleAt = elapsed + jitter(settleAfter)
		m.log.Info("the machine slept, or its clock was set forward; waiting for the network")
	default:
		return false
	}
	return true
}

// unwind forgets times that lie too far ahead because the clock was set back
// (row 50).
func (m *Mailer) unwind(ctx context.Context) error {
	m.mu.Lock()
	back := m.setBack
	m.setBack = false
	var all []*sender
	for _, s := range m.live.peers {
		all = append(all, s)
	}
	m.mu.Unlock()
	if !back {
		return nil
	}
	m.log.Info("the clock was set back")
	for _, s := range all {
		s.mu.Lock()
		s.free, s.pace.next = time.Time{}, time.Time{}
		s.mu.Unlock()
	}
	return m.ledger.Clamp(ctx, MaxDeliveryWait)
}

// settling returns how much longer a machine that woke up is given.
func (m *Mailer) settling() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(0, m.settleAt-m.clock.Elapsed())
}

// napCount returns how often the machine has slept.
func (m *Mailer) napCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.naps
}

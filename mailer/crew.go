package mailer

import (
	"context"

	"postroom/accounts"
	"postroom/post"
)

// staff wakes the account's idle lanes and starts as many as are missing.
func (m *Mailer) staff(ctx context.Context, s *sender) {
	want := s.wanted()
	s.mu.Lock()
	defer s.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	s.wakeLanesLocked()
	for len(s.lanes) < want && len(m.lanes) < post.MaxConnections {
		m.claims++
		ln := &lane{m: m, s: s, claim: m.claims, wake: make(chan struct{}, 1), leave: make(chan struct{}, 1), slot: m.mark.slot()}
		m.lanes[ln] = true
		s.lanes[ln] = true
		m.busy[ln] = true
		m.wg.Add(1)
		go m.drive(ctx, ln)
	}
	if len(s.lanes) < want {
		m.makeRoomLocked(s)
	}
}

// makeRoomLocked asks the idle connections of others to close, because all that
// the program allows itself are open.
func (m *Mailer) makeRoomLocked(s *sender) {
	for ln := range m.lanes {
		if ln.s != s && !m.busy[ln] {
			select {
			case ln.leave <- struct{}{}:
			default:
			}
		}
	}
}

func (m *Mailer) drive(ctx context.Context, ln *lane) {
	defer m.wg.Done()
	defer m.Kick()
	ln.run(ctx)
	// Results that could not be written stay in the mark: without them a row that
	// was taken would pass for one that was never started, and go out again.
	if len(ln.results) == 0 {
		if err := m.mark.release(ln.slot); err != nil {
			m.log.Warn("write the progress mark", "err", err)
		}
	}
	ln.s.mu.Lock()
	delete(ln.s.lanes, ln)
	ln.s.mu.Unlock()
	m.mu.Lock()
	delete(m.lanes, ln)
	m.mu.Unlock()
	m.setBusy(ln, false)
}

func (m *Mailer) setBusy(ln *lane, busy bool) {
	m.mu.Lock()
	if busy {
		m.busy[ln] = true
	} else {
		delete(m.busy, ln)
	}
	m.mu.Unlock()
	if !busy {
		m.Kick()
	}
}

func (m *Mailer) idle() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.busy) == 0
}

func (m *Mailer) watch(ln *lane, c *accounts.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c == nil {
		delete(m.conns, ln)
		return
	}
	m.conns[ln] = c
	if m.hard.Err() != nil {
		c.Abort()
	}
}

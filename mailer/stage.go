package mailer

import (
	"context"
	"time"

	"postroom/post"
)

// stage returns who takes rehearsals into the practice trap, which is opened at
// the first need: one sender for those that go as fast as they can, and for those
// at real speed one in the place of each account. That has the account's limits,
// connections and what its server taught about the rate, counts what the account
// sent in the last day, and changes nothing about the account itself. Whether the
// account is paused does not matter.
func (m *Mailer) stage(ctx context.Context, list []post.Account) (all []*sender, err error) {
	fast, err := m.ledger.NextDue(ctx, post.Rehearsal, 0)
	if err != nil {
		return nil, err
	}
	if !fast.At.IsZero() {
		if m.trap == nil {
			if m.trap, err = m.inTrap(ctx, post.Account{}); err != nil {
				return nil, err
			}
		}
		all = append(all, m.trap)
	}
	for _, a := range list {
		s, err := m.understudy(ctx, a)
		if err != nil {
			return nil, err
		}
		if s != nil {
			all = append(all, s)
		}
	}
	return all, nil
}

// understudy returns the sender in the place of an account; nil when no rehearsal
// at real speed of it waits.
func (m *Mailer) understudy(ctx context.Context, a post.Account) (*sender, error) {
	m.mu.Lock()
	s := m.staged.peers[a.ID]
	rehearsed := len(m.staged.senders) > 0
	m.mu.Unlock()
	if s == nil && !rehearsed {
		return nil, nil
	}
	due, err := m.ledger.NextDue(ctx, post.Rehearsal, a.ID)
	if err != nil {
		return nil, err
	}
	switch {
	case due.At.IsZero():
		m.mu.Lock()
		delete(m.staged.peers, a.ID) // its lanes end what they have begun
		m.mu.Unlock()
		return nil, nil
	case s != nil:
		s.follow(a)
		return s, nil
	}
	if s, err = m.inTrap(ctx, a); err != nil {
		return nil, err
	}
	since := m.clock.Now().Add(-24 * time.Hour)
	if s.quota.times, err = m.ledger.Charges(ctx, a.ID, since); err != nil {
		return nil, err
	}
	again, err := m.ledger.Rehearsed(ctx, a.ID, since)
	if err != nil {
		return nil, err
	}
	s.quota.add(again)
	s.among = m.staged
	m.mu.Lock()
	m.staged.peers[a.ID] = s
	m.mu.Unlock()
	return s, nil
}

// inTrap makes a sender whose messages go to the practice trap, as an account
// with its limits; the zero account has none.
func (m *Mailer) inTrap(ctx context.Context, as post.Account) (*sender, error) {
	t, err := m.opt.Trap(ctx)
	if err != nil {
		return nil, err
	}
	a := t.Account
	a.ID = 0
	if as.ID != 0 {
		a.Limits, a.Connections, a.Learned.Rate = as.Limits, as.Connections, as.Learned.Rate
	}
	s := newSender(m, a, post.Rehearsal)
	s.as, s.dial = as.ID, t.Dial
	return s, nil
}

// follow takes over what the user changed about the account in whose place it
// stands.
func (s *sender) follow(a post.Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acct.Connections = a.Connections
	if s.quota.limits != a.Limits {
		s.acct.Limits, s.quota.limits, s.free = a.Limits, a.Limits, time.Time{}
	}
}

package mailer

import (
	"context"
	"time"

	"postroom/post"
)

// shareAhead is how many messages an account may be ahead of its share of a
// mailing, so that accounts need not wait for each other at every message.
const shareAhead = 4

// shares divides mailings among their accounts: by weight, less for an account
// that has used up much of its day's limit. An account that cannot send now is
// left out, so the others take over what it would have sent. Live mailings and
// rehearsals at real speed have their own. Guarded by Mailer.mu.
type shares struct {
	kind    post.MailingKind
	peers   map[int64]*sender         // by account
	senders map[int64][]post.Sender   // of the open mailings
	served  map[int64]map[int64]int64 // messages by mailing and account, in this run
}

func newShares(kind post.MailingKind) *shares {
	return &shares{kind: kind, peers: map[int64]*sender{}, served: map[int64]map[int64]int64{}}
}

// refreshShares reads who sends the open mailings.
func (m *Mailer) refreshShares(ctx context.Context, x *shares) error {
	senders, err := m.ledger.OpenSenders(ctx, x.kind)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	x.senders = senders
	for id := range x.served {
		if senders[id] == nil {
			delete(x.served, id)
		}
	}
	return nil
}

// share returns how many messages of a mailing the account may claim now; n at
// most. A mailing that appeared since the last round waits for the next one.
func (s *sender) share(n int) func(mailing int64) int {
	if s.among == nil {
		return nil
	}
	now := s.m.clock.Now()
	s.m.mu.Lock()
	allowed := make(map[int64]int, len(s.among.senders))
	peers := map[int64]*sender{}
	var shared []int64
	for id, senders := range s.among.senders {
		allowed[id] = n
		if len(senders) > 1 {
			shared = append(shared, id)
			for _, x := range senders {
				peers[x.Account] = s.among.peers[x.Account]
			}
		}
	}
	s.m.mu.Unlock()
	if len(shared) > 0 {
		capacity := map[int64]float64{}
		for id, p := range peers {
			if p != nil {
				capacity[id] = p.capacity(now)
			}
		}
		s.m.mu.Lock()
		for _, id := range shared {
			allowed[id] = min(n, s.among.allowance(s.as, id, capacity))
		}
		s.m.mu.Unlock()
	}
	return func(mailing int64) int { return allowed[mailing] }
}

// allowance returns how far an account may go on with a mailing, given how
// willing each account is.
func (x *shares) allowance(account, mailing int64, capacity map[int64]float64) int {
	least, mine := -1.0, 0.0
	for _, s := range x.senders[mailing] {
		w := float64(max(s.Weight, 1)) * capacity[s.Account]
		switch {
		case s.Account == account:
			mine = w
		case w > 0:
			if done := float64(x.served[mailing][s.Account]) / w; least < 0 || done < least {
				least = done
			}
		}
	}
	if least < 0 || mine <= 0 { // nobody else can, or we are asked although we cannot
		return 1 << 30
	}
	return max(0, int(least*mine)+shareAhead-int(x.served[mailing][account]))
}

// capacity is 0 when the account cannot send now, else the part of its day's
// limit that is left, 1 without a limit.
func (s *sender) capacity(now time.Time) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ok, _ := s.readyLocked(now); !ok {
		return 0
	}
	day := s.quota.limits.PerDay
	if day <= 0 {
		return 1
	}
	left := s.quota.left(now)
	if left == 0 {
		return 0
	}
	s.quota.forget(now)
	return max(0.05, float64(day-len(s.quota.times))/float64(day))
}

// claimed counts what was claimed, and wakes the accounts that waited for it.
func (s *sender) claimed(got []post.Delivery) {
	if s.among == nil || len(got) == 0 {
		return
	}
	s.m.mu.Lock()
	var wake []*sender
	seen := map[int64]bool{}
	for i := range got {
		id := got[i].Mailing
		if len(s.among.senders[id]) < 2 {
			continue
		}
		if s.among.served[id] == nil {
			s.among.served[id] = map[int64]int64{}
		}
		s.among.served[id][s.as]++
		if !seen[id] {
			seen[id] = true
			for _, x := range s.among.senders[id] {
				if p := s.among.peers[x.Account]; p != nil && p != s {
					wake = append(wake, p)
				}
			}
		}
	}
	s.m.mu.Unlock()
	for _, p := range wake {
		p.wakeLanes()
	}
}

// unclaimed takes back what was claimed and not tried.
func (s *sender) unclaimed(mailing int64) {
	if s.among == nil {
		return
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if served := s.among.served[mailing]; served[s.as] > 0 {
		served[s.as]--
	}
}

// wakeLanes wakes the account's idle lanes.
func (s *sender) wakeLanes() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakeLanesLocked()
}

func (s *sender) wakeLanesLocked() {
	for ln := range s.lanes {
		select {
		case ln.wake <- struct{}{}:
		default:
		}
	}
}

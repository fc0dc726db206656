package mailer

import (
	"context"
	"sync"
	"time"

	"postroom/accounts"
	"postroom/post"
)

// sender is one account at work: its settings, quota, waits and breakers,
// shared by its lanes. Safe for concurrent use.
type sender struct {
	m     *Mailer
	id    int64 // the account that is charged and told; 0: none, in the practice trap
	as    int64 // the account whose messages it takes; 0: rehearsals that go as fast as they can
	kind  post.MailingKind
	dial  func(context.Context, post.Account) (*accounts.Conn, error)
	among *shares // the others that it shares mailings with; nil: none

	mu      sync.Mutex
	acct    post.Account
	gen     int // rises with each change made here, so that an older read is not taken over it
	writing int // changes made here that are not in the ledger yet
	quota   quota
	pace    pace
	strikes map[string]*strikes
	filled  int // connections in a row that took as many messages as was learned
	lanes   map[*lane]bool
	fewer   int       // connections given up because the server wants fewer
	waitFor Schedule  // of the account's present wait
	free    time.Time // when quota and pace allow the next attempt; zero: not asked
	after   int64     // the mailing served last
	recent  []bool    // of the last messages past the dot, whether each ended uncertain
	refused []refusal // refusals for reasons of policy in a row, without a success between
	content map[int64]int
	trusted bool      // a connection of this run was protected by a good certificate
	portal  time.Time // when wrong certificates in a row began; see strangeCertificate
}

func newSender(m *Mailer, a post.Account, kind post.MailingKind) *sender {
	return &sender{
		m: m, id: a.ID, as: a.ID, kind: kind, acct: a, strikes: map[string]*strikes{}, lanes: map[*lane]bool{}, content: map[int64]int{},
		quota: quota{limits: a.Limits}, pace: pace{rate: a.Learned.Rate}, dial: m.opt.Dial,
	}
}

// account returns the settings as they are now.
func (s *sender) account() post.Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acct
}

// generation is to be asked before the account is read from the ledger; see update.
func (s *sender) generation() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gen
}

// update takes over what the user changed. A read that is older than a change
// made here is ignored; the next one will do.
func (s *sender) update(a post.Account, gen int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if gen != s.gen || s.writing > 0 {
		return
	}
	if s.acct.Hold != "" && a.Hold == "" { // released by the user: a clean slate
		s.recent, s.refused, s.fewer, s.portal = nil, nil, 0, time.Time{}
		clear(s.strikes)
	}
	s.acct = a
	if s.pace.rate != a.Learned.Rate {
		s.pace, s.free = pace{rate: a.Learned.Rate}, time.Time{}
	}
	if s.quota.limits != a.Limits {
		s.quota.limits, s.free = a.Limits, time.Time{} // to be asked again
	}
}

// keep writes a change made here; the caller has raised gen and writing with it.
// What was read from the ledger before the write ended is not taken over.
func (s *sender) keep(ctx context.Context, what string, write func(context.Context) error) {
	if s.id != 0 {
		s.m.keep(ctx, what, write)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gen++
	s.writing--
}

// usable reports whether nothing but the quota keeps the account from sending.
func (s *sender) usable(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acct.Hold == "" && !s.acct.Until.After(now)
}

// ready reports whether the account may be used now, and if not, when it may
// be; a zero time means that somebody has to act.
func (s *sender) ready(now time.Time) (ok bool, when time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readyLocked(now)
}

func (s *sender) readyLocked(now time.Time) (bool, time.Time) {
	switch {
	case s.acct.Hold != "":
		return false, time.Time{}
	case s.acct.Until.After(now):
		return false, s.acct.Until
	case s.free.After(now):
		return false, s.free
	}
	return true, now
}

// wanted returns how many lanes the account may have.
func (s *sender) wanted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.acct.Connections
	if n == 0 {
		n = s.pace.connections()
	}
	if s.acct.Learned.Connections > 0 {
		n = min(n, s.acct.Learned.Connections)
	}
	return max(1, min(n-s.fewer, post.MaxConnections))
}

// take reserves one attempt of the quota.
func (s *sender) take(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ok, _ := s.readyLocked(now); !ok {
		return false
	}
	if next := s.pace.next; next.After(now) {
		s.free = next
		return false
	}
	ok, next := s.quota.take(now)
	if !ok {
		s.free = next
		return false
	}
	s.pace.take(now, s.m.opt.WaitScale, s.acct.Host)
	return true
}

// giveBack returns an attempt that did not reach MAIL.
func (s *sender) giveBack(taken time.Time) {
	if taken.IsZero() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quota.giveBack(taken)
	s.free = time.Time{}
}

// room returns how many deliveries are worth claiming.
func (s *sender) room(now time.Time, n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pace.rate > 0 {
		if s.pace.next.After(now) {
			s.free = s.pace.next
			return 0
		}
		n = min(n, 1)
	}
	if s.quota.unlimited() {
		return n
	}
	left := s.quota.left(now)
	if left == 0 {
		s.free = s.quota.next(now)
	}
	return min(n, left)
}

// freeAt returns when the quota or the pace allows the next attempt, or zero
// when something else keeps the account from sending.
func (s *sender) freeAt(now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.acct.Hold != "" || s.acct.Until.After(now) || !s.free.After(now) {
		return time.Time{}
	}
	return s.free
}

// turn is the mailing that was served last, so that mailings take turns.
func (s *sender) turn() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.after
}

func (s *sender) served(mailing int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = mailing
}

// perConnection is how many messages a connection takes before it is closed.
func (s *sender) perConnection() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.acct.Learned.MessagesPerConnection; n > 0 {
		return min(n, maxPerConnection)
	}
	return maxPerConnection
}

// pipelining reports whether the server may be spoken to in groups (RFC 2920).
func (s *sender) pipelining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.acct.Learned.NoPipelining
}

// success notes a message that was taken: waits and strikes are over.
func (s *sender) success(ctx context.Context, mailing int64) {
	s.mu.Lock()
	clear(s.strikes)
	s.refused = s.refused[:0]
	s.after = mailing
	delete(s.content, mailing)
	s.noteLocked(false)
	// A message that was under way when the server said "slow down" does not
	// take that back.
	waited := s.acct.WaitStep > 0 && (s.waitFor == Usual || !s.acct.Until.After(s.m.clock.Now()))
	if waited {
		s.acct.WaitStep, s.acct.Until, s.acct.Reason = 0, time.Time{}, post.Reason{}
		s.gen++
		s.writing++
	}
	faster := s.pace.success()
	if faster {
		s.acct.Learned.Rate = s.pace.rate
		s.gen++
		s.writing++
	}
	learned := s.acct.Learned
	grown := s.acct.Connections == 0 && s.pace.good%growAfter == 0 && s.pace.good < growAfter*grownTo
	s.mu.Unlock()
	if grown {
		s.m.Kick()
	}
	if faster {
		s.keepLearned(ctx, learned)
	}
	if waited {
		s.keep(ctx, "end the account's wait", func(ctx context.Context) error {
			return s.m.ledger.SetAccountWait(ctx, s.id, time.Time{}, 0, post.Reason{})
		})
	}
}

// strikes counts one kind of event in a row; see Strike.
type strikes struct {
	n  int
	of map[int64]bool // the deliveries that count, where only different ones do
}

// struckLocked counts one more event about a delivery, or with 0 about whatever,
// and returns how many there are.
func (s *sender) struckLocked(kind string, delivery int64) int {
	k := s.strikes[kind]
	if k == nil {
		k = &strikes{of: map[int64]bool{}}
		s.strikes[kind] = k
	}
	if delivery == 0 || !k.of[delivery] {
		k.n++
	}
	if delivery != 0 {
		k.of[delivery] = true
	}
	return k.n
}

// apply carries out what a verdict means for the account. It was about a
// delivery, 0 when none had begun.
func (s *sender) apply(ctx context.Context, v Verdict, delivery int64, sentOnLink int) {
	step := v.Account
	s.mu.Lock()
	if k := v.Strike; k.Kind != "" {
		if !k.Apart {
			delivery = 0
		}
		if s.struckLocked(k.Kind, delivery) >= k.Limit {
			step = max(step, k.Then)
			delete(s.strikes, k.Kind)
		}
	}
	if v.Fate == Uncertain && s.tooUncertainLocked() {
		step, v.Reason = Stop, post.Reason{Key: "account.uncertain", Raw: v.Reason.Raw}
	}
	learned := s.acct.Learned
	if v.Link == Drop || v.Link == Abort {
		s.pace.good = 0
	}
	if v.Fewer && len(s.lanes) > 1 {
		s.fewer = min(s.fewer+1, post.MaxConnections)
		s.acct.Learned.Connections = max(1, len(s.lanes)-1)
	}
	if v.Learn && sentOnLink > 0 {
		s.acct.Learned.MessagesPerConnection, s.filled = sentOnLink, 0
	}
	changed := learned != s.acct.Learned
	learned = s.acct.Learned
	if changed {
		s.gen++
		s.writing++
	}
	s.mu.Unlock()
	if changed {
		s.keepLearned(ctx, learned)
	}
	switch step {
	case Wait:
		s.wait(ctx, v)
	case Stop:
		s.stop(ctx, v.Reason)
	}
}

// unlearnEvery is after how many connections in a row that took all they may a
// few more messages are tried on the next.
const unlearnEvery = 20

// connectionFilled notes that a connection took as many messages as are given
// to one. A limit that was learned may have been of one bad hour only, so it is
// raised by a quarter now and then, until it is forgotten.
func (s *sender) connectionFilled(ctx context.Context) {
	s.mu.Lock()
	n := s.acct.Learned.MessagesPerConnection
	if n == 0 {
		s.mu.Unlock()
		return
	}
	if s.filled++; s.filled < unlearnEvery {
		s.mu.Unlock()
		return
	}
	s.filled = 0
	if n += max(1, n/4); n >= maxPerConnection {
		n = 0
	}
	s.acct.Learned.MessagesPerConnection = n
	s.gen++
	s.writing++
	learned := s.acct.Learned
	s.mu.Unlock()
	s.keepLearned(ctx, learned)
}

// keepLearned is keep for what was learned.
func (s *sender) keepLearned(ctx context.Context, learned post.Learned) {
	s.keep(ctx, "keep what the server taught", func(ctx context.Context) error {
		return s.m.ledger.SetAccountLearned(ctx, s.id, learned)
	})
}

// unlearnPipelining falls back to one command at a time, for good.
func (s *sender) unlearnPipelining(ctx context.Context) {
	s.mu.Lock()
	known := s.acct.Learned.NoPipelining
	if !known {
		s.acct.Learned.NoPipelining = true
		s.gen++
		s.writing++
	}
	learned := s.acct.Learned
	s.mu.Unlock()
	if !known {
		s.m.log.Warn("the server breaks under pipelining; one command at a time from now on", "account", s.id)
		s.keepLearned(ctx, learned)
	}
}

func (s *sender) wait(ctx context.Context, v Verdict) {
	now := s.m.clock.Now()
	s.mu.Lock()
	kind := v.Schedule
	switch kind {
	case Grey: // 58: too many of them are a rate limit
		kind = Rate
	case Full:
		kind = Usual
	}
	if s.acct.Until.After(now) && (kind == Usual || kind == s.waitFor) { // another lane met the same trouble
		s.mu.Unlock()
		return
	}
	s.waitFor = kind
	s.acct.WaitStep++
	step := s.acct.WaitStep
	s.acct.Until = now.Add(scaled(accountWait(kind, step), s.m.opt.WaitScale, s.acct.Host))
	s.acct.Reason = v.Reason
	s.gen++
	s.writing++
	until := s.acct.Until
	if kind == Rate {
		s.acct.Learned.Rate = s.pace.halve(now)
		s.writing++
	}
	learned := s.acct.Learned
	s.mu.Unlock()
	if kind == Rate {
		s.keepLearned(ctx, learned)
	}
	s.m.log.Info("the account waits", "account", s.id, "until", until, "why", v.Reason.Key)
	s.keep(ctx, "keep the account's wait", func(ctx context.Context) error {
		return s.m.ledger.SetAccountWait(ctx, s.id, until, step, v.Reason)
	})
}

func (s *sender) stop(ctx context.Context, why post.Reason) {
	s.mu.Lock()
	already := s.acct.Hold == post.AccountStopped
	s.acct.Hold, s.acct.Reason = post.AccountStopped, why
	s.acct.Until, s.acct.WaitStep = time.Time{}, 0
	s.gen++
	if !already {
		s.writing++
	}
	s.mu.Unlock()
	if already {
		return
	}
	s.m.log.Warn("the account is stopped until somebody acts", "account", s.id, "why", why.Key)
	s.keep(ctx, "stop the account", func(ctx context.Context) error {
		return s.m.ledger.HoldAccount(ctx, s.id, post.AccountStopped, why)
	})
}

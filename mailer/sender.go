package mailer

import (
	"context"
	"strings"
	"sync"
	"time"

	"postroom/accounts"
	"postroom/post"
)

// sender is one account at work: its settings, quota, waits and breakers,
// shared by its lanes. The zero id is the practice trap. Safe for concurrent use.
type sender struct {
	m    *Mailer
	id   int64
	kind post.MailingKind
	dial func(context.Context, post.Account) (*accounts.Conn, error)

	mu      sync.Mutex
	acct    post.Account
	gen     int // rises with each change made here, so that an older read is not taken over it
	writing int // changes made here that are not in the ledger yet
	quota   quota
	strikes map[string]int
	lanes   map[*lane]bool
	fewer   int       // connections given up because the server wants fewer
	waitFor Schedule  // of the account's present wait
	free    time.Time // when the quota allows the next attempt; zero: not asked
	after   int64     // the mailing served last
	recent  []bool    // of the last messages past the dot, whether each ended uncertain
	refused []refusal // refusals for reasons of policy in a row, without a success between
	content map[int64]int
}

// refusal is one failed delivery that the breaker may take back.
type refusal struct {
	id     int64
	domain string
	text   string
}

// The breakers.
const (
	refusedDomains = 5 // the same refusal for so many domains in a row is about us
	contentLimit   = 3 // so many refusals of content in a row pause the mailing
	uncertainLimit = 3 // more uncertain than this
	uncertainSpan  = 20
)

func newSender(m *Mailer, a post.Account, kind post.MailingKind) *sender {
	return &sender{
		m: m, id: a.ID, kind: kind, acct: a, strikes: map[string]int{}, lanes: map[*lane]bool{}, content: map[int64]int{},
		quota: quota{limits: a.Limits}, dial: m.opt.Dial,
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
		s.strikes, s.recent, s.refused, s.fewer = map[string]int{}, nil, nil, 0
	}
	s.acct = a
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
	n := max(1, s.acct.Connections)
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
	ok, next := s.quota.take(now)
	if !ok {
		s.free = next
	}
	return ok
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
	if s.quota.unlimited() {
		return n
	}
	left := s.quota.left(now)
	if left == 0 {
		s.free = s.quota.next(now)
	}
	return min(n, left)
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
	s.mu.Unlock()
	if waited {
		s.keep(ctx, "end the account's wait", func(ctx context.Context) error {
			return s.m.ledger.SetAccountWait(ctx, s.id, time.Time{}, 0, post.Reason{})
		})
	}
}

func (s *sender) noteLocked(uncertain bool) {
	if s.recent = append(s.recent, uncertain); len(s.recent) > uncertainSpan {
		s.recent = s.recent[1:]
	}
}

// apply carries out what a verdict means for the account.
func (s *sender) apply(ctx context.Context, v Verdict, sentOnLink int) {
	step := v.Account
	s.mu.Lock()
	if k := v.Strike; k.Kind != "" {
		if s.strikes[k.Kind]++; s.strikes[k.Kind] >= k.Limit {
			step = max(step, k.Then)
			delete(s.strikes, k.Kind)
		}
	}
	if v.Fate == Uncertain {
		s.noteLocked(true)
		n := 0
		for _, u := range s.recent {
			if u {
				n++
			}
		}
		if n > uncertainLimit {
			step, v.Reason = Stop, post.Reason{Key: "account.uncertain", Raw: v.Reason.Raw}
			s.recent = nil
		}
	}
	learned := s.acct.Learned
	if v.Fewer && len(s.lanes) > 1 {
		s.fewer = min(s.fewer+1, post.MaxConnections)
		s.acct.Learned.Connections = max(1, len(s.lanes)-1)
	}
	if v.Learn && sentOnLink > 0 {
		s.acct.Learned.MessagesPerConnection = sentOnLink
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
	s.mu.Unlock()
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

// note feeds the breakers with a refusal that was recorded. When the same
// refusal came for five domains in a row it is about us: the account stops, and
// the ids of the deliveries to take back are returned. paused says that the
// mailing was paused.
func (s *sender) note(ctx context.Context, v Verdict, d *post.Delivery) (takeBack []int64, paused bool) {
	s.mu.Lock()
	pause := false
	if v.Content {
		if s.content[d.Mailing]++; s.content[d.Mailing] >= contentLimit {
			pause = true
			delete(s.content, d.Mailing)
		}
	}
	if v.Policy {
		s.refused = append(s.refused, refusal{d.ID, domainOf(d.Address), refusalText(v.Reason.Raw)})
		takeBack = s.breakLocked()
	}
	s.mu.Unlock()
	if len(takeBack) > 0 {
		s.stop(ctx, post.Reason{Key: "account.refused", Raw: v.Reason.Raw})
	} else if pause {
		paused = true
		why := post.Reason{Key: "mailing.content", Raw: v.Reason.Raw}
		s.m.keep(ctx, "pause the mailing", func(ctx context.Context) error {
			return s.m.ledger.HoldMailing(ctx, d.Mailing, post.MailingPaused, why)
		})
	}
	return takeBack, paused
}

// breakLocked returns the ids of the refusals in a row when they have one text
// and enough different domains.
func (s *sender) breakLocked() []int64 {
	n := len(s.refused)
	domains, ids := map[string]bool{}, []int64{}
	for i := n - 1; i >= 0 && s.refused[i].text == s.refused[n-1].text; i-- {
		domains[s.refused[i].domain] = true
		ids = append(ids, s.refused[i].id)
	}
	if len(ids) < n {
		s.refused = append(s.refused[:0], s.refused[n-len(ids):]...)
	}
	if len(domains) < refusedDomains {
		return nil
	}
	s.refused = s.refused[:0]
	return ids
}

// refusalText is what makes two refusals the same: the codes and the words
// without anything that names the recipient.
func refusalText(raw string) string {
	words := strings.Fields(raw)
	keep := words[:0]
	for _, w := range words {
		if !strings.ContainsAny(w, "@<>0123456789") || len(keep) < 2 {
			keep = append(keep, w)
		}
	}
	return strings.Join(keep[:min(len(keep), 8)], " ")
}

func domainOf(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}

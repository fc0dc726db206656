package mailer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"postroom/accounts"
	"postroom/compose"
	"postroom/post"
	"postroom/storage"
)

// minFree is how much room the disk must have before anything is claimed.
const minFree = 200 << 20

// Trap is where rehearsals go: an account on this computer, and how to sign in.
type Trap struct {
	Account post.Account
	Dial    func(context.Context, post.Account) (*accounts.Conn, error)
}

// Options are what a Mailer needs besides the ledger.
type Options struct {
	Clock post.Clock
	Log   *slog.Logger
	// Dial connects and signs in; its error is a *post.Fault.
	Dial func(context.Context, post.Account) (*accounts.Conn, error)
	// Trap opens the practice trap when the first rehearsal is due; nil: none
	// are sent.
	Trap func(context.Context) (Trap, error)
	// Beside is other work of the one process that has the lock, such as building
	// an index; it runs until its context ends, which is when the run does. nil:
	// there is none.
	Beside func(context.Context)
	// Signer returns what signs an account's mail, nil where it is not signed;
	// nil: no mail is. An error stops the account as a missing password does.
	Signer   func(ctx context.Context, account int64) (*compose.Signer, error)
	Policy   Policy
	Timeouts Timeouts
	// WaitScale multiplies every wait that a verdict causes, for accounts on
	// this computer; 0 is 1.
	WaitScale float64
	// Instance names this run; made up when empty.
	Instance string
}

// Mailer sends what is queued. Create one with New; run it once.
type Mailer struct {
	ledger *storage.Ledger
	opt    Options
	clock  post.Clock
	log    *slog.Logger
	mark   *mark

	kick chan struct{} // capacity 1: something may be due
	hard context.Context
	kill context.CancelFunc

	mu      sync.Mutex
	live    *shares // the accounts
	staged  *shares // who takes their place in rehearsals at real speed
	trap    *sender // takes the rehearsals that go as fast as they can
	busy    map[*lane]bool
	lanes   map[*lane]bool // alive, idle ones too: each may hold a connection
	conns   map[*lane]*accounts.Conn
	works   map[int64]*work
	network network
	claims  int64

	lastWall    time.Time // as watchSleep saw it
	lastElapsed time.Duration
	naps        int           // how often the machine slept
	setBack     bool          // the clock was set back
	settleAt    time.Duration // by Clock.Elapsed

	halted error // what keeps everything from being sent
	haltAt time.Time
	err    error // what ended the run
	wg     sync.WaitGroup

	failed atomic.Int64
	claim  atomic.Int64  // how often a lane went to claim something
	stepC  chan struct{} // capacity 1: a lane recorded something
}

// New returns a Mailer for a ledger whose lock the caller holds.
func New(l *storage.Ledger, opt Options) *Mailer {
	if opt.Clock == nil {
		opt.Clock = post.SystemClock{}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Policy == (Policy{}) {
		opt.Policy = DefaultPolicy
	}
	if opt.Timeouts == (Timeouts{}) {
		opt.Timeouts = DefaultTimeouts
	}
	if opt.Instance == "" {
		opt.Instance = strconv.FormatInt(opt.Clock.Now().UnixNano(), 36)
	}
	m := &Mailer{
		ledger: l, opt: opt, clock: opt.Clock, log: opt.Log, kick: make(chan struct{}, 1),
		live: newShares(post.Live), staged: newShares(post.Rehearsal), busy: map[*lane]bool{}, lanes: map[*lane]bool{}, conns: map[*lane]*accounts.Conn{}, works: map[int64]*work{},
		stepC: make(chan struct{}, 1),
	}
	m.hard, m.kill = context.WithCancel(context.Background())
	return m
}

// Kick tells the mailer that something may have become due. It never blocks.
// Without it the mailer notices within a second.
func (m *Mailer) Kick() {
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

// Kill ends a run that is being stopped without waiting for replies that are
// still owed: what is past its dot stays uncertain.
func (m *Mailer) Kill() {
	m.kill()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.conns {
		if c != nil {
			c.Abort()
		}
	}
}

// Finishing returns how many messages are on a connection right now.
func (m *Mailer) Finishing() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.busy)
}

// Halted returns what keeps everything from being sent, such as a full disk, or
// nil.
func (m *Mailer) Halted() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.halted
}

// Recover settles what a dead process left behind, by its mark; see
// storage.Recover. Run does it first.
func (m *Mailer) Recover(ctx context.Context) (storage.Recovered, error) {
	last, err := m.ledger.Setting(ctx, "ledger.instance", "")
	if err != nil {
		return storage.Recovered{}, err
	}
	all, trusted, err := readMark(m.ledger.Dir(), last, bootID())
	if err != nil {
		m.log.Warn("the progress mark cannot be read; every message that was under way is uncertain", "err", err)
	}
	progress := map[int64]storage.Progress{}
	for _, x := range all {
		progress[x.id] = storage.Progress{Rendering: x.code == markRender, Code: x.code}
	}
	out, err := m.ledger.Recover(ctx, progress, trusted)
	if err == nil && out != (storage.Recovered{}) {
		m.log.Warn("recovered from an interrupted run", "requeued", out.Requeued, "sent", out.Sent, "uncertain", out.Uncertain, "held", out.Held)
	}
	return out, err
}

// RunParams say when a run ends by itself.
type RunParams struct {
	// UntilEmpty ends the run when nothing waits but for the user.
	UntilEmpty bool
	// NoWait ends the run when nothing is due now.
	NoWait bool
}

// Run recovers, then sends until ctx ends or, as p says, until there is nothing
// left to do. When ctx ends it stops in order: messages that are past their dot
// are finished, the others go back to the queue. It returns nil after an
// orderly end; what is left behind tells Left.
func (m *Mailer) Run(ctx context.Context, p RunParams) error {
	defer m.kill()
	if err := m.begin(ctx, p); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	run, stop := context.WithCancel(ctx)
	context.AfterFunc(m.hard, stop)
	if m.opt.Beside != nil {
		m.wg.Go(func() { m.opt.Beside(run) })
	}
	err := m.schedule(run, p)
	stop()
	m.wg.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(m.err, err, m.mark.close())
}

// begin takes the ledger over from whoever had it last. A disk that is full or
// does not answer is waited for, as in mid run: the user is told.
func (m *Mailer) begin(ctx context.Context, p RunParams) error {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		err := m.takeOver(ctx)
		if err == nil || ctx.Err() != nil || p.NoWait || !ledgerTrouble(err) || errors.Is(err, storage.ErrCorrupt) {
			return err
		}
		m.trouble(err)
		t := m.clock.NewTimer(wait)
		select {
		case <-t.C():
		case <-m.kick:
			t.Stop()
		case <-m.hard.Done():
			t.Stop()
			return nil
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

func (m *Mailer) takeOver(ctx context.Context) error {
	if _, err := m.Recover(ctx); err != nil {
		return err
	}
	if err := m.ledger.Clamp(ctx, MaxDeliveryWait); err != nil {
		return err
	}
	// Last, so that the mark of the run before counts until it has been used.
	if err := m.ledger.SetSetting(ctx, "ledger.instance", m.opt.Instance); err != nil {
		return err
	}
	mk, err := openMark(m.ledger.Dir(), m.opt.Instance, bootID())
	if err != nil {
		m.log.Warn("no progress mark; after a crash more messages are uncertain", "err", err)
	}
	m.mark = mk
	return nil
}

// Failed returns how many deliveries failed in this run.
func (m *Mailer) Failed() int64 { return m.failed.Load() }

const (
	watchEvery = 500 * time.Millisecond
	// pollEvery bounds every wait, so that a clock that jumped or a machine
	// that slept is noticed.
	pollEvery = 15 * time.Second
)

// schedule starts lanes where there is work, until ctx ends or p is met.
func (m *Mailer) schedule(ctx context.Context, p RunParams) error {
	w, err := m.ledger.Watch(ctx)
	if err != nil {
		return err
	}
	m.watchSleep()
	defer w.Close() //nolint:errcheck // a reader's connection holds nothing
	var version int64 = -1
	for {
		if m.fatalErr() != nil {
			return nil
		}
		// Asked before the ledger is: a lane that ends meanwhile gives rows back
		// that the ledger showed as taken. So would one that claims meanwhile, when it
		// is stopped with the run.
		claim, idle := m.claim.Load(), m.idle()
		seen, err := m.round(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			m.trouble(err)
			seen = survey{next: m.clock.Now().Add(time.Second), more: true}
		}
		idle = idle && claim == m.claim.Load()
		if idle && (!seen.more && (p.UntilEmpty || p.NoWait) || p.NoWait && !seen.due) {
			return nil
		}
		version = m.wait(ctx, w, version, seen.next)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// wait returns at next, after a kick, when a lane ended, or when another
// process changed the ledger.
func (m *Mailer) wait(ctx context.Context, w *storage.Watch, version int64, next time.Time) int64 {
	// By the clock that nobody sets: a wait must not grow by a day.
	until := m.clock.Elapsed() + pollEvery
	if !next.IsZero() {
		until = min(until, m.clock.Elapsed()+next.Sub(m.clock.Now()))
	}
	for {
		d := min(until-m.clock.Elapsed(), watchEvery)
		if d <= 0 {
			return version
		}
		t := m.clock.NewTimer(d)
		select {
		case <-ctx.Done():
			t.Stop()
			return version
		case <-m.kick:
			t.Stop()
			m.watchSleep()
			return version
		case <-t.C():
		}
		if m.watchSleep() {
			return version
		}
		v, err := w.Version(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return version
			}
			m.trouble(err)
			continue
		}
		if v != version {
			return v
		}
	}
}

// survey is what a look at the ledger found.
type survey struct {
	next time.Time // when to look again; zero: when something happens
	more bool      // something is left that does not need the user and that no lane is at work on
	due  bool      // something could go now
}

func (o *survey) soonest(t time.Time) {
	if !t.IsZero() && (o.next.IsZero() || t.Before(o.next)) {
		o.next = t
	}
}

// round looks once at all accounts and puts lanes to work.
func (m *Mailer) round(ctx context.Context) (seen survey, err error) {
	if err := m.unwind(ctx); err != nil {
		return seen, err
	}
	if err := m.refreshShares(ctx, m.staged); err != nil {
		return seen, err
	}
	senders, err := m.refresh(ctx)
	if err != nil {
		return seen, err
	}
	now := m.clock.Now()
	settling := m.settling()
	when, err := m.settleUncertain(ctx, senders, now)
	if err != nil {
		return seen, err
	}
	seen.soonest(when)
	seen.more = !when.IsZero()
	// Behind that: a mailing is open again when something of it is to be sent again.
	if err := m.refreshShares(ctx, m.live); err != nil {
		return seen, err
	}
	for _, s := range senders {
		due, err := m.ledger.NextDue(ctx, s.kind, s.as)
		if err != nil {
			return seen, err
		}
		if due.At.IsZero() {
			continue
		}
		ok, when := s.ready(now)
		if !ok && when.IsZero() { // stopped or paused
			continue
		}
		seen.more = true
		switch {
		case !ok:
			if due.At.After(when) {
				when = due.At
			}
			seen.soonest(when)
		case due.Now && settling > 0 && !post.IsLoopbackHost(s.account().Host):
			seen.soonest(now.Add(settling))
		case due.Now:
			seen.due = true
			m.staff(ctx, s)
			seen.soonest(now.Add(watchEvery))
		default:
			seen.soonest(due.At)
		}
	}
	return seen, nil
}

// resendAfter is how long an uncertain delivery waits before its mailing's
// policy sends it once more: the server may still be at work on the first copy.
const resendAfter = 15 * time.Minute

// settleUncertain does what mailings say about their uncertain deliveries, and
// returns when the next one is due.
func (m *Mailer) settleUncertain(ctx context.Context, senders []*sender, now time.Time) (next time.Time, err error) {
	all, err := m.ledger.Undecided(ctx)
	if err != nil {
		return next, err
	}
	for _, u := range all {
		due := u.Since
		if u.Policy == post.UncertainResend {
			wait := resendAfter
			for _, s := range senders {
				if s.id == u.Account {
					wait = scaled(wait, m.opt.WaitScale, s.account().Host)
				}
			}
			due = due.Add(wait)
		}
		if due.After(now) {
			if next.IsZero() || due.Before(next) {
				next = due
			}
			continue
		}
		if err := m.ledger.SettleByPolicy(ctx, u); err != nil {
			return next, err
		}
	}
	return next, nil
}

// refresh reads the accounts and brings the senders up to date.
func (m *Mailer) refresh(ctx context.Context) ([]*sender, error) {
	m.mu.Lock()
	gens := map[int64]int{}
	for id, s := range m.live.peers {
		gens[id] = s.generation()
	}
	m.mu.Unlock()
	list, err := m.ledger.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]*sender, 0, len(list)+1)
	for _, a := range list {
		m.mu.Lock()
		s := m.live.peers[a.ID]
		m.mu.Unlock()
		if s == nil {
			s = newSender(m, a, post.Live)
			s.among = m.live
			if s.quota.times, err = m.ledger.Charges(ctx, a.ID, m.clock.Now().Add(-24*time.Hour)); err != nil {
				return nil, err
			}
			m.mu.Lock()
			m.live.peers[a.ID] = s
			m.mu.Unlock()
		} else {
			s.update(a, gens[a.ID])
		}
		all = append(all, s)
	}
	if m.opt.Trap == nil {
		return all, nil
	}
	stage, err := m.stage(ctx, list)
	return append(all, stage...), err
}

// pause waits d and reports false when the run was killed.
func (m *Mailer) pause(d time.Duration) bool {
	t := m.clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C():
		return true
	case <-m.hard.Done():
		return false
	}
}

// trouble notes what keeps the ledger from being read or written; nothing is
// claimed until some seconds have gone by.
func (m *Mailer) trouble(err error) {
	m.log.Error("the ledger", "err", err)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.halted, m.haltAt = err, m.clock.Now()
}

// mayClaim reports whether the machine is fit to send: the ledger can be
// written and the disk has room.
func (m *Mailer) mayClaim() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.halted != nil && m.clock.Now().Sub(m.haltAt) < time.Second {
		return false
	}
	free, err := storage.FreeSpace(m.ledger.Dir())
	if err == nil && free < minFree {
		m.halted = &post.Error{
			Kind: post.KindInternal, Op: "send", Reason: post.Reason{Key: "ledger.full"},
			Message: fmt.Sprintf("the disk has only %d MB left; make room, then sending goes on", free>>20), Err: storage.ErrFull,
		}
		m.haltAt = m.clock.Now()
		return false
	}
	m.halted = nil
	return true
}

// fatal ends the run: somebody else moves our rows.
func (m *Mailer) fatal(err error) error {
	m.log.Error("another program moves the mailer's rows; stopping", "err", err)
	m.mu.Lock()
	if m.err == nil {
		m.err = err
	}
	m.mu.Unlock()
	m.Kick()
	return err
}

func (m *Mailer) fatalErr() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// keep writes something that is good to know and not vital (commit D).
func (m *Mailer) keep(ctx context.Context, what string, write func(context.Context) error) {
	if err := write(ctx); err != nil {
		m.log.Error("something good to know was not kept", "what", what, "err", err)
		m.trouble(err)
	}
}

// progressed tells listeners that rows have changed.
func (m *Mailer) progressed() {
	select {
	case m.stepC <- struct{}{}:
	default:
	}
}

// Progress returns a channel on which a value arrives, never more than one
// waiting, after deliveries were recorded.
func (m *Mailer) Progress() <-chan struct{} { return m.stepC }

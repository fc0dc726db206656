package mailer

import (
	"context"
	"errors"
	"time"

	"postroom/accounts"
	"postroom/compose"
	"postroom/post"
	"postroom/storage"
)

// The life of a connection.
const (
	maxPerConnection = 100
	maxConnectionAge = 5 * time.Minute
	idleClose        = 20 * time.Second
	probeAfter       = 2 * time.Second
	windowSpan       = 25 * time.Millisecond
)

// job is one claimed delivery with its message rendered.
type job struct {
	d     post.Delivery
	from  string // MAIL FROM
	msg   *compose.Message
	size  int64
	date  time.Time
	live  bool
	dsn   post.DSN
	armed bool // commit B is durable
	entry int  // in the mark, from the moment its dot may go out
	log   transcript

	taken     time.Time // the quota's mark; zero before MAIL
	startedAt time.Time
}

// lane is one connection's worth of work: a goroutine of its own.
type lane struct {
	m     *Mailer
	s     *sender
	claim int64
	wake  chan struct{}
	leave chan struct{} // capacity 1: another account needs the place
	slot  int

	conn    *accounts.Conn
	session int64
	opened  time.Time
	naps    int       // of the machine, when it was opened
	sent    int       // messages on this connection
	used    time.Time // when the connection was last used

	jobs    []*job // the first is the current one
	open    bool   // its envelope is accepted: 354 was read
	results []storage.Result
	noted   []noted
	tripped bool // a mailing was paused by its breaker: what is claimed goes back
	entries int  // of the mark in this window
	window  int
	pace    time.Duration // smoothed time per message
	lastDot time.Time
	buf     []byte
	pieces  [][]byte
	spare   []*compose.Message // of jobs that are done, for their buffers
}

// noted is a refusal to feed to the breakers once it is durable.
type noted struct {
	v Verdict
	d post.Delivery
}

// errStopped ends a lane that has nothing wrong with it.
var errStopped = errors.New("the lane is to stop")

// run works until there is nothing to do, the account cannot be used, or ctx
// ends. Past a dot nothing cancels but the deadline; see Mailer.hard.
func (ln *lane) run(ctx context.Context) {
	ln.window = 1
	for {
		if err := ln.fill(ctx); err != nil {
			break
		}
		if len(ln.jobs) == 0 {
			if err := ln.idle(ctx); err != nil {
				break
			}
			continue
		}
		if err := ln.step(ctx); err != nil {
			break
		}
	}
	ln.finish()
}

// step brings the current job one step further.
func (ln *lane) step(ctx context.Context) error {
	j := ln.jobs[0]
	if ln.open {
		// The envelope went ahead with the last message; what that message's
		// reply did to the account, or the user's word, still holds for this one.
		if ctx.Err() != nil || !ln.s.usable(ln.m.clock.Now()) {
			return errStopped
		}
	} else {
		if !ln.mayStart(ctx, j) {
			return errStopped
		}
		if err := ln.connect(ctx); err != nil {
			return err
		}
		ok, err := ln.envelope(j)
		if err != nil || !ok {
			return err
		}
		ln.open = true
	}
	if !j.armed {
		if err := ln.arm(); err != nil {
			return err
		}
		if !ln.open { // refused, or the connection had to go
			return nil
		}
	}
	return ln.deliver(ctx, j)
}

// mayStart asks the account, the quota and the program whether a new message
// may begin.
func (ln *lane) mayStart(ctx context.Context, j *job) bool {
	if ctx.Err() != nil {
		return false
	}
	now := ln.m.clock.Now()
	if !j.taken.IsZero() { // its place in the quota is kept
		return ln.s.usable(now)
	}
	if !ln.s.take(now) {
		return false
	}
	j.taken = now
	return true
}

// fill claims and renders more when few are left. Over a slow link a claim is a
// commit of its own and two messages are kept at hand, so that each intent is
// written for one message alone. Over a fast one the claim takes a window of
// messages on to sending, together with the results of the last window: one
// flush of the disk for all of them. One message is still at hand then, so that
// the next envelope can ride along with it.
func (ln *lane) fill(ctx context.Context) error {
	ahead := ln.window > 1
	switch {
	case ctx.Err() != nil:
		return nil
	case ahead && len(ln.jobs) > 1, !ahead && (len(ln.jobs) > ln.window || len(ln.jobs) > 0 && ln.jobs[0].armed):
		return nil
	}
	now := ln.m.clock.Now()
	n := 0
	if ok, _ := ln.s.ready(now); ok {
		if !ln.m.mayClaim() {
			return nil
		}
		n = ln.window + 2 - len(ln.jobs)
		if ahead {
			n = ln.window
		}
		n = ln.s.room(now, n)
	}
	if n <= 0 {
		if free := ln.s.freeAt(now); len(ln.jobs) == 0 && (free.IsZero() || free.Sub(now) > idleClose) {
			return errStopped
		}
		return nil
	}
	return ln.claimMore(ctx, n, ahead)
}

// claimMore claims up to n messages, with ahead as their intents too, and
// renders them.
func (ln *lane) claimMore(ctx context.Context, n int, ahead bool) error {
	p := storage.ClaimParams{
		Kind: ln.s.kind, Account: ln.s.as, Claim: ln.claim, N: n, After: ln.s.turn(), Most: ln.s.share(n), Deadline: ln.m.opt.Policy.Deadline,
	}
	if ahead {
		p.Intend, p.At, p.Results = true, ln.m.clock.Now().Truncate(time.Second), ln.results
	}
	ln.m.claim.Add(1)
	got, err := ln.m.ledger.Claim(ctx, p)
	if err != nil {
		if errors.Is(err, storage.ErrMoved) {
			ln.abort()
			return ln.m.fatal(err)
		}
		if ctx.Err() == nil {
			ln.m.trouble(err)
		}
		return errors.Join(errStopped, err)
	}
	if ahead {
		ln.committed()
	}
	ln.s.claimed(got)
	for i := range got {
		if got[i].Date.IsZero() {
			got[i].Date = p.At
		}
		if err := ln.render(ctx, got[i], ahead); err != nil {
			for _, d := range got[i+1:] { // to be given back
				ln.jobs = append(ln.jobs, &job{d: d, live: d.Kind == post.Live, armed: ahead})
			}
			return err
		}
	}
	return nil
}

// render turns a claimed delivery into a job. One that cannot be rendered fails
// by itself, before any connection is used.
func (ln *lane) render(ctx context.Context, d post.Delivery, armed bool) error {
	j := &job{d: d, live: d.Kind == post.Live, date: d.Date, armed: armed}
	if j.date.IsZero() {
		j.date = ln.m.clock.Now().Truncate(time.Second)
	}
	if err := ln.m.mark.set(ln.slot, maxWindow-1, d.ID, markRender); err != nil {
		ln.m.log.Warn("write the progress mark", "err", err)
	}
	w, err := ln.m.work(ctx, d.Mailing)
	if err == nil {
		from := w.sender(ln.s.as)
		if serr := w.unsigned[from.Account]; serr != nil {
			ln.jobs = append(ln.jobs, j)
			return ln.dialFailed(ctx, signingFault(serr))
		}
		j.from, j.dsn = from.Email, w.dsn
		j.msg = ln.message()
		if err = w.render(j.msg, &d, from, j.date); err == nil {
			j.size = j.msg.Len()
		}
	}
	if merr := ln.m.mark.set(ln.slot, maxWindow-1, 0, 0); merr != nil {
		ln.m.log.Warn("write the progress mark", "err", merr)
	}
	if err != nil {
		if ctx.Err() != nil || ledgerTrouble(err) { // no fault of the message
			ln.jobs = append(ln.jobs, j)
			if ctx.Err() == nil {
				ln.m.trouble(err)
			}
			return errors.Join(errStopped, err)
		}
		ln.m.log.Error("a message cannot be built", "delivery", d.ID, "err", err)
		ln.settle(j, Event{Phase: post.PhaseRender, Cause: post.CauseLocal, Reason: reasonOf(err)}, ln.stateOf(j))
		return ln.commit(nil)
	}
	ln.jobs = append(ln.jobs, j)
	return nil
}

// signingFault is a signing key that could not be had: as a missing password.
func signingFault(err error) *post.Fault {
	f := &post.Fault{Phase: post.PhaseSecret, Cause: post.CauseSecret, Detail: "the signing key could not be had", Err: err}
	var e *post.Error
	if errors.As(err, &e) {
		f.Detail, f.Reason = e.Message, e.Reason
	}
	return f
}

// message returns one that nobody uses, with its old buffers.
func (ln *lane) message() *compose.Message {
	if n := len(ln.spare); n > 0 {
		msg := ln.spare[n-1]
		ln.spare = ln.spare[:n-1]
		return msg
	}
	return new(compose.Message)
}

// done takes a job's message back; its bytes are not used any more.
func (ln *lane) done(j *job) {
	if j.msg != nil {
		ln.spare = append(ln.spare, j.msg)
		j.msg = nil
	}
}

// How soon the ledger is asked again after it failed.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// ledgerTrouble reports that the ledger could not be read or written, which must
// not fail a recipient and may pass.
func ledgerTrouble(err error) bool {
	for _, e := range []error{storage.ErrBusy, storage.ErrFull, storage.ErrCorrupt, storage.ErrReadOnly, storage.ErrDisk} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func reasonOf(err error) post.Reason {
	var e *post.Error
	if errors.As(err, &e) && e.Reason.Key != "" {
		return e.Reason
	}
	return post.Reason{Key: "delivery.render", Raw: post.CleanReply(err.Error())}
}

// connect makes sure that there is a connection fit for one more message.
func (ln *lane) connect(ctx context.Context) error {
	now := ln.m.clock.Now()
	if ln.conn != nil {
		switch {
		case ln.naps != ln.m.napCount():
			ln.drop() // the server has forgotten it
		case ln.sent >= ln.s.perConnection():
			ln.s.connectionFilled(context.WithoutCancel(ctx))
			ln.hangUp()
		case now.Sub(ln.opened) >= maxConnectionAge:
			ln.hangUp()
		case ln.conn.Unasked() != post.CauseNone || now.Sub(ln.used) > probeAfter && !ln.reset():
			// It died while it was idle, which is no fault of anybody's.
			ln.drop()
		}
	}
	if ln.conn != nil {
		return nil
	}
	conn, err := ln.s.dial(ctx, ln.s.account())
	if err != nil {
		return ln.dialFailed(ctx, err)
	}
	if ctx.Err() != nil {
		conn.Close()
		return ctx.Err()
	}
	ln.conn, ln.sent, ln.opened, ln.used, ln.naps = conn, 0, now, now, ln.m.napCount()
	ln.s.goodConnection(ctx, conn.Session.TLS != "", conn.Ext.Size)
	ln.m.watch(ln, conn)
	s := conn.Session
	s.Account, s.OpenedAt = ln.s.id, now
	if ln.session, err = ln.m.ledger.AddSession(ctx, s); err != nil {
		if ctx.Err() == nil {
			ln.m.trouble(err)
		}
		ln.drop()
		return errStopped
	}
	return nil
}

func (ln *lane) dialFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var f *post.Fault
	if !errors.As(err, &f) {
		f = &post.Fault{Phase: post.PhaseConnect, Cause: post.CauseLocal, Detail: post.CleanReply(err.Error()), Err: err}
	}
	v := Judge(Event{Phase: f.Phase, Reply: f.Reply, Cause: f.Cause, Reason: f.Reason})
	if v.Reason.Raw == "" {
		v.Reason.Raw = f.Detail
	}
	v = ln.s.aboutNetwork(f, v)
	ln.m.log.Warn("sign-in failed", "account", ln.s.id, "phase", string(f.Phase), "cause", string(f.Cause), "detail", f.Detail, "reply", f.Reply.String())
	ln.s.apply(context.WithoutCancel(ctx), v, 0, 0)
	return errStopped
}

// arm makes intents durable (commit B) for the current job and as many of the
// next as the window allows, together with the results that wait (commit C).
func (ln *lane) arm() error {
	n := min(ln.window, len(ln.jobs))
	intents := make([]storage.Intent, 0, n)
	now := ln.m.clock.Now()
	for _, j := range ln.jobs[:n] {
		if !j.armed {
			intents = append(intents, storage.Intent{ID: j.d.ID, Claim: ln.claim, At: now, Date: j.date, Live: j.live})
		}
	}
	refused, err := ln.commitArm(intents)
	if err != nil || len(ln.jobs) == 0 {
		return err
	}
	bad, held := map[int64]storage.Refusal{}, map[int64]storage.Refusal{}
	for _, j := range ln.jobs[:n] {
		for _, r := range refused {
			if r.ID == j.d.ID {
				if bad[r.ID] = r; r.To != post.StateSuppressed {
					held[j.d.Mailing] = r // paused or cancelled: none of it goes
				}
			}
		}
	}
	first := ln.jobs[0]
	keep := make([]*job, 0, len(ln.jobs))
	for i, j := range ln.jobs {
		r, no := bad[j.d.ID]
		if !no && i >= n {
			r, no = held[j.d.Mailing]
		}
		if no {
			ln.release(j, r.To, r.Reason)
			continue
		}
		j.armed = j.armed || i < n
		keep = append(keep, j)
	}
	ln.jobs = keep
	if _, no := bad[first.d.ID]; no && ln.open { // the first is always among the intents
		// Its envelope is open and it must not go: never a dot.
		ln.abort()
	}
	return nil
}

// commitArm records results and intents. When the disk does not take them the
// open envelope is given up, and the results are tried for as long as the
// process lives; the lane ends.
func (ln *lane) commitArm(intents []storage.Intent) ([]storage.Refusal, error) {
	refused, err := ln.m.ledger.Record(context.Background(), ln.results, intents)
	if err == nil {
		ln.committed()
		return refused, nil
	}
	ln.abort()
	if errors.Is(err, storage.ErrMoved) {
		return nil, ln.m.fatal(err)
	}
	ln.m.trouble(err)
	if err := ln.commit(err); err != nil {
		return nil, err
	}
	return nil, errStopped
}

// commit makes the results that wait durable (commit C), however long it takes.
func (ln *lane) commit(cause error) error {
	for wait := firstRetry; len(ln.results) > 0; wait = min(2*wait, lastRetry) {
		if cause != nil && !ln.m.pause(wait) {
			return errStopped // forced to quit: the rows stay sending and become uncertain
		}
		_, cause = ln.m.ledger.Record(context.Background(), ln.results, nil)
		switch {
		case cause == nil:
			ln.committed()
		case errors.Is(cause, storage.ErrMoved):
			return ln.m.fatal(cause)
		default:
			ln.m.trouble(cause)
		}
	}
	return nil
}

// committed does what waits for durability: the mark is cleared, the breakers
// see the refusals, the window sees that time has gone by.
func (ln *lane) committed() {
	ln.results = ln.results[:0]
	if err := ln.m.mark.clear(ln.slot, ln.entries); err != nil {
		ln.m.log.Warn("write the progress mark", "err", err)
	}
	ln.entries = 0
	for i := range ln.noted {
		n := &ln.noted[i]
		ids, paused := ln.s.note(context.Background(), n.v, &n.d)
		ln.tripped = ln.tripped || paused
		if len(ids) > 0 {
			ln.m.keep(context.Background(), "take refusals back", func(ctx context.Context) error {
				return ln.m.ledger.TakeBack(ctx, ids)
			})
		}
	}
	ln.noted = ln.noted[:0]
	ln.m.progressed()
}

// idle waits for work with the connection open, for a while.
func (ln *lane) idle(ctx context.Context) error {
	if err := ln.commit(nil); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ln.m.setBusy(ln, false)
	defer ln.m.setBusy(ln, true)
	wait, ends := idleClose, errStopped
	if free := ln.s.freeAt(ln.m.clock.Now()); !free.IsZero() { // the quota or the pace frees a place soon
		wait, ends = free.Sub(ln.m.clock.Now()), nil
	}
	t := ln.m.clock.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C():
		return ends
	case <-ln.leave:
		return errStopped
	case <-ln.wake:
		return nil
	}
}

// finish gives back what was not sent, records what was, and hangs up.
func (ln *lane) finish() {
	if ln.open { // an open envelope: the message was not sent, and must not be
		ln.abort()
	}
	for _, j := range ln.jobs {
		ln.release(j, post.StateQueued, post.Reason{})
	}
	ln.jobs = nil
	if err := ln.commit(nil); err != nil {
		ln.m.log.Error("results could not be recorded", "err", err)
	}
	ln.hangUp()
}

// release gives a job back that was not sent: uncharged.
func (ln *lane) release(j *job, to post.State, why post.Reason) {
	from := post.StateClaimed
	if j.armed {
		from = post.StateSending
	}
	ln.done(j)
	ln.s.giveBack(j.taken)
	ln.s.unclaimed(j.d.Mailing)
	ln.results = append(ln.results, storage.Result{
		ID: j.d.ID, Claim: ln.claim, Mailing: j.d.Mailing, Live: j.live, From: from, To: to, Reason: why, NextAt: j.d.NextAt, Crashes: -1,
	})
}

// hangUp ends the connection in order.
func (ln *lane) hangUp() {
	if ln.conn == nil {
		return
	}
	ln.conn.Quit(0)
	ln.forget()
}

// drop closes the connection without a word.
func (ln *lane) drop() {
	if ln.conn == nil {
		return
	}
	ln.conn.Close()
	ln.forget()
}

// abort closes the socket at once: nothing more may reach the server.
func (ln *lane) abort() {
	if ln.conn == nil {
		return
	}
	ln.conn.Abort()
	ln.conn.Close()
	ln.forget()
}

func (ln *lane) forget() {
	ln.m.watch(ln, nil)
	ln.conn, ln.open, ln.session = nil, false, 0
}

package mailer

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

// Timeouts are the deadlines of a transaction (RFC 5321 4.5.3.2, shortened
// where a person waits).
type Timeouts struct {
	Command time.Duration // MAIL and RCPT
	Data    time.Duration // the reply to DATA
	Write   time.Duration // each write
	Dot     time.Duration // the reply to the final dot
	Reset   time.Duration
}

// DefaultTimeouts are the book's.
var DefaultTimeouts = Timeouts{
	Command: 2 * time.Minute, Data: 2 * time.Minute, Write: 3 * time.Minute, Dot: 10 * time.Minute, Reset: 20 * time.Second,
}

// transcript is every reply of a try, for the history.
type transcript struct{ b strings.Builder }

func (t *transcript) add(command string, r post.Reply) {
	if t.b.Len() > 0 {
		t.b.WriteByte('\n')
	}
	t.b.WriteString(command)
	t.b.WriteByte('\t')
	t.b.WriteString(r.String())
}

// addEnvelope appends MAIL, RCPT and DATA for a job to ln.buf; one of them
// alone with part 1, 2 or 3. It reports why the message cannot go to this server.
func (ln *lane) addEnvelope(j *job, part int) (Event, bool) {
	from, err := post.ParseAddress(j.from)
	if err != nil {
		return Event{Phase: post.PhaseRender, Cause: post.CauseLocal, Reason: post.Reason{Key: "delivery.sender"}}, false
	}
	to, err := post.ParseAddress(j.d.Address)
	if err != nil || to.Wire() != j.msg.To().Wire() { // never a message to anybody but whom it names
		return Event{Phase: post.PhaseRender, Cause: post.CauseLocal, Reason: post.Reason{Key: "delivery.address"}}, false
	}
	ext := &ln.conn.Ext
	utf8 := from.NeedsSMTPUTF8() || to.NeedsSMTPUTF8()
	switch {
	case utf8 && !ext.SMTPUTF8: // row 22, without a round trip
		return Event{Phase: post.PhaseRender, Cause: post.CauseLocal, Reason: post.Reason{Key: "delivery.smtputf8"}}, false
	case ext.Size > 0 && j.size > ext.Size: // row 37, without a round trip
		return Event{Phase: post.PhaseRender, Cause: post.CauseLocal, Reason: post.Reason{Key: "delivery.too_large_limit", Args: []string{megabytes(ext.Size)}}}, false
	}
	dsn := ext.DSN && j.live && j.dsn != post.DSNNone
	if part == 0 || part == 1 {
		ln.buf = append(append(append(ln.buf, "MAIL FROM:<"...), from.Wire()...), '>')
		if ext.Size > 0 {
			ln.buf = strconv.AppendInt(append(ln.buf, " SIZE="...), j.size, 10)
		}
		if utf8 {
			ln.buf = append(ln.buf, " SMTPUTF8"...)
		}
		if dsn { // RFC 3461 4.3, 4.4
			ln.buf = append(append(ln.buf, " RET=HDRS ENVID="...), envelopeID(j.d.MessageID)...)
		}
		ln.buf = append(ln.buf, "\r\n"...)
	}
	if part == 0 || part == 2 {
		ln.buf = append(append(append(ln.buf, "RCPT TO:<"...), to.Wire()...), '>')
		if dsn {
			notify := " NOTIFY=FAILURE"
			if j.dsn == post.DSNAll {
				notify = " NOTIFY=SUCCESS,DELAY,FAILURE"
			}
			ln.buf = append(ln.buf, notify...)
		}
		ln.buf = append(ln.buf, "\r\n"...)
	}
	if part == 0 || part == 3 {
		ln.buf = append(ln.buf, "DATA\r\n"...)
	}
	return Event{}, true
}

// megabytes says a size as providers do, to one place.
func megabytes(n int64) string {
	return strconv.FormatFloat(math.Ceil(float64(n)/(1<<20)*10)/10, 'f', -1, 64)
}

// envelopeID is the Message-ID without its brackets: it holds only what xtext
// (RFC 3461 4) lets stand as it is.
func envelopeID(messageID string) string { return strings.Trim(messageID, "<>") }

// envelope speaks the envelope of the current job on its own: in one group where
// the server pipelines, else a command at a time. It returns whether 354 was
// read; if not, the job has been dealt with.
func (ln *lane) envelope(j *job) (bool, error) {
	j.startedAt = ln.m.clock.Now()
	ln.conn.ResetCap()
	ln.buf = ln.buf[:0]
	if !ln.grouped() {
		return ln.envelopeInSteps(j)
	}
	if e, ok := ln.addEnvelope(j, 0); !ok {
		return false, ln.refuse(j, e)
	}
	if err := ln.conn.Write(ln.buf, ln.m.opt.Timeouts.Write); err != nil {
		return false, ln.refuse(j, ln.broken(post.PhaseMAIL, err))
	}
	return ln.readEnvelope(j)
}

// grouped reports whether commands may be sent in groups.
func (ln *lane) grouped() bool { return ln.conn.Ext.Pipelining && ln.s.pipelining() }

func (ln *lane) envelopeInSteps(j *job) (bool, error) {
	for i, phase := range []post.Phase{post.PhaseMAIL, post.PhaseRCPT, post.PhaseDATA} {
		ln.buf = ln.buf[:0]
		if e, ok := ln.addEnvelope(j, i+1); !ok {
			return false, ln.refuse(j, e)
		}
		if c := ln.conn.Unasked(); c != post.CauseNone {
			return false, ln.refuse(j, Event{Phase: phase, Cause: c})
		}
		if err := ln.conn.Write(ln.buf, ln.m.opt.Timeouts.Write); err != nil {
			return false, ln.refuse(j, ln.broken(phase, err))
		}
		r, err := ln.read(phase)
		if err != nil {
			return false, ln.refuse(j, ln.broken(phase, err))
		}
		j.log.add(commandOf[phase], r)
		if !accepted(phase, r) {
			return false, ln.refuse(j, Event{Phase: phase, Reply: r, Attempts: j.d.Attempts})
		}
	}
	return true, nil
}

var commandOf = map[post.Phase]string{post.PhaseMAIL: "MAIL", post.PhaseRCPT: "RCPT", post.PhaseDATA: "DATA", post.PhaseDot: "."}

func accepted(phase post.Phase, r post.Reply) bool {
	if phase == post.PhaseDATA {
		return r.Code == 354
	}
	return r.Class() == 2
}

// readEnvelope reads the three replies to an envelope that was sent as a group:
// exactly one per command, also after a refusal (RFC 2920 3.1).
func (ln *lane) readEnvelope(j *job) (bool, error) {
	var refused *Event
	recipient := false // accepted
	for _, phase := range []post.Phase{post.PhaseMAIL, post.PhaseRCPT, post.PhaseDATA} {
		r, err := ln.read(phase)
		if err != nil {
			e := ln.broken(phase, err)
			if refused != nil { // the refusal counts; the connection is over all the same
				ln.abort()
				return false, ln.refuse(j, *refused)
			}
			if e.Cause == post.CauseProtocol || e.Cause == post.CauseTimeout && phase != post.PhaseMAIL {
				ln.s.unlearnPipelining(context.Background())
			}
			return false, ln.refuse(j, e)
		}
		j.log.add(commandOf[phase], r)
		if accepted(phase, r) {
			recipient = recipient || phase == post.PhaseRCPT
			continue
		}
		if refused == nil {
			refused = &Event{Phase: phase, Reply: r, Attempts: j.d.Attempts}
		}
		if r.Code == 421 { // the connection is over: nothing more is read
			return false, ln.refuse(j, *refused)
		}
		if r.Class() == 2 || r.Class() == 3 { // out of step
			ln.s.unlearnPipelining(context.Background())
			ln.abort()
			return false, ln.refuse(j, *refused)
		}
	}
	if refused == nil {
		if c := ln.conn.Unasked(); c != post.CauseNone {
			if c == post.CauseProtocol { // one reply too many
				ln.s.unlearnPipelining(context.Background())
			}
			return false, ln.refuse(j, Event{Phase: post.PhaseDATA, Cause: c})
		}
		return true, nil
	}
	if strings.HasPrefix(lastLine(j.log.b.String()), "DATA\t354") {
		// DATA was accepted all the same: a lone dot ends it (RFC 2920 3.1). With a
		// recipient that would be an empty message.
		if recipient {
			ln.abort()
		} else {
			ln.loneDot()
		}
	}
	return false, ln.refuse(j, *refused)
}

func lastLine(s string) string { return s[strings.LastIndexByte(s, '\n')+1:] }

// loneDot ends a DATA that nobody wants: it has no recipient.
func (ln *lane) loneDot() {
	if ln.conn.Write([]byte(".\r\n"), ln.m.opt.Timeouts.Write) != nil {
		ln.abort()
		return
	}
	if _, err := ln.conn.ReadReply(time.Now().Add(ln.m.opt.Timeouts.Dot)); err != nil {
		ln.abort()
	}
}

// read reads one reply within its phase's deadline.
func (ln *lane) read(phase post.Phase) (post.Reply, error) {
	d := ln.m.opt.Timeouts.Command
	switch phase {
	case post.PhaseDATA:
		d = ln.m.opt.Timeouts.Data
	case post.PhaseDot:
		d = ln.m.opt.Timeouts.Dot
	case post.PhaseRSET:
		d = ln.m.opt.Timeouts.Reset
	}
	return ln.conn.ReadReply(time.Now().Add(d))
}

// broken turns an error of the wire into an event.
func (ln *lane) broken(phase post.Phase, err error) Event {
	e := Event{Phase: phase, Cause: post.CauseEOF}
	var w *accounts.WireError
	if errors.As(err, &w) {
		e.Cause = w.Cause
	}
	return e
}

// deliver sends the body and the dot of the current job, with the next
// envelope behind it where the server pipelines, and judges what comes back.
func (ln *lane) deliver(ctx context.Context, j *job) error {
	if c := ln.conn.Unasked(); c != post.CauseNone {
		// Bytes that nobody asked for: what follows would be read as the reply to
		// the dot, and a message that was never taken would pass for sent.
		return ln.refuse(j, Event{Phase: post.PhaseDATA, Cause: c, Attempts: j.d.Attempts})
	}
	ln.pieces = j.msg.AppendWire(ln.pieces[:0])
	ln.buf = append(ln.buf[:0], ".\r\n"...)
	next := ln.nextFor(ctx)
	if next != nil {
		next.startedAt = ln.m.clock.Now()
		mark := len(ln.buf)
		if e, ok := ln.addEnvelope(next, 0); !ok {
			ln.buf = ln.buf[:mark]
			ln.jobs = append(ln.jobs[:1], ln.jobs[2:]...)
			ln.settle(next, e, ln.stateOf(next))
			next = nil
		}
	}
	ln.pieces = append(ln.pieces, ln.buf)
	// The dot may be read by the server once its two bytes are out.
	end := ln.conn.Accepted() + j.size + 1
	j.entry = ln.entries
	if err := ln.m.mark.set(ln.slot, j.entry, j.d.ID, 0); err != nil {
		ln.m.log.Warn("write the progress mark", "err", err)
	}
	ln.entries++
	ln.conn.ResetCap()
	werr := ln.conn.WriteBuffers(ln.pieces, ln.m.opt.Timeouts.Write)
	ln.open = false
	ln.jobs = ln.jobs[1:]
	e := ln.awaitDot(j, werr, end)
	v := ln.judged(j, e)
	switch {
	case v.Link == Abort || werr != nil:
		ln.abort()
	case v.Link == Drop:
		ln.drop()
	}
	if len(ln.noted) > 0 { // the breakers see a refusal before the next message goes
		if err := ln.commit(nil); err != nil || ln.tripped {
			ln.abort()
			return errors.Join(errStopped, err)
		}
	}
	if next == nil {
		return nil
	}
	if ln.conn == nil { // the next one was never taken up: as if not begun
		return nil
	}
	ok, err := ln.readEnvelope(next)
	ln.open = ok
	return err
}

// awaitDot reads the reply that decides about the message.
func (ln *lane) awaitDot(j *job, werr error, end int64) Event {
	out := ln.conn.Accepted() >= end
	e := Event{Phase: post.PhaseDot, DotSent: out, Attempts: j.d.Attempts}
	if werr != nil && !out {
		// Nothing ambiguous: the end of the content was never handed over. A
		// refusal in the middle may tell why.
		e = ln.broken(post.PhaseBody, werr)
		e.Attempts = j.d.Attempts
		if r, err := ln.conn.ReadReply(time.Now().Add(time.Second)); err == nil {
			e.Reply, e.Cause = r, post.CauseNone
			j.log.add(".", r)
		}
		return e
	}
	r, err := ln.read(post.PhaseDot)
	if err == nil {
		e.Reply = r
		j.log.add(".", r)
		return e
	}
	var w *accounts.WireError
	if errors.As(err, &w) && w.Partial.Code != 0 { // row 60
		e.Reply = w.Partial
		j.log.add(".", w.Partial)
		return e
	}
	e.Cause = ln.broken(post.PhaseDot, err).Cause
	return e
}

// judged settles a job after its dot and keeps the pace.
func (ln *lane) judged(j *job, e Event) Verdict {
	v := ln.settle(j, e, post.StateSending)
	ln.sent++
	now := ln.m.clock.Now()
	ln.used = now
	if err := ln.m.mark.set(ln.slot, j.entry, j.d.ID, e.Reply.Code); err != nil {
		ln.m.log.Warn("write the progress mark", "err", err)
	}
	if !ln.lastDot.IsZero() {
		took := now.Sub(ln.lastDot)
		ln.pace = (7*ln.pace + took) / 8
		if ln.sent <= 2 {
			ln.pace = took
		}
		ln.window = max(1, min(mostAhead, int(windowSpan/max(ln.pace, time.Microsecond))))
	}
	ln.lastDot = now
	return v
}

// nextFor returns the job whose envelope may ride along, or nil.
func (ln *lane) nextFor(ctx context.Context) *job {
	if !ln.grouped() || len(ln.jobs) < 2 {
		return nil
	}
	if ln.sent+1 >= ln.s.perConnection() || ln.m.clock.Now().Sub(ln.opened) >= maxConnectionAge {
		return nil
	}
	if n := ln.jobs[1]; ln.mayStart(ctx, n) {
		return n
	}
	return nil
}

func (ln *lane) stateOf(j *job) post.State {
	if j.armed {
		return post.StateSending
	}
	return post.StateClaimed
}

// refuse settles the current job, whose envelope did not go through, and puts
// the connection into the state that the verdict asks for.
func (ln *lane) refuse(j *job, e Event) error {
	if len(ln.jobs) > 0 && ln.jobs[0] == j {
		ln.jobs = ln.jobs[1:]
	}
	v := ln.settle(j, e, ln.stateOf(j))
	ln.open = false
	if ln.conn != nil {
		switch v.Link {
		case Reset:
			if !ln.reset() {
				ln.drop()
			}
		case Drop:
			ln.drop()
		case Abort:
			ln.abort()
		}
	}
	return ln.commit(nil)
}

// reset says RSET and reports whether the connection is good.
func (ln *lane) reset() bool {
	if ln.conn.Unasked() != post.CauseNone || ln.conn.Write([]byte("RSET\r\n"), ln.m.opt.Timeouts.Reset) != nil {
		return false
	}
	r, err := ln.read(post.PhaseRSET)
	if err != nil || r.Class() != 2 {
		return false
	}
	ln.used = ln.m.clock.Now()
	return true
}

// settle judges an event about a job and turns the verdict into a result, which
// the next commit makes durable, and into consequences for the account.
func (ln *lane) settle(j *job, e Event, from post.State) Verdict {
	v := Judge(e)
	ln.done(j)
	now := ln.m.clock.Now()
	r := storage.Result{ID: j.d.ID, Claim: ln.claim, Mailing: j.d.Mailing, Live: j.live, From: from, Reason: v.Reason}
	charged := v.Fate != Keep && e.Phase != post.PhaseRender
	switch v.Fate {
	case Keep:
		r.To, r.Reason, r.NextAt, r.Crashes = post.StateQueued, post.Reason{}, j.d.NextAt, 0
		if e.Cause != post.CauseCancelled && e.Cause != post.CauseLocal {
			r.NextAt = now // behind those that have not had a turn: it must not block them
		}
	case Sent:
		r.To, r.Reason = post.StateSent, post.Reason{}
	case Defer:
		r.To = post.StateQueued
		r.NextAt = now.Add(scaled(deliveryWait(v.Schedule, j.d.Attempts+1), ln.m.opt.WaitScale, ln.s.account().Host))
		if j.d.Attempts+1 == post.DelayedAfter && charged { // the one notice on the way (row 55); Needs counts it
			ln.m.log.Warn("a message is delayed", "delivery", j.d.ID, "mailing", j.d.Mailing, "until", r.NextAt, "reply", e.Reply.String())
		}
	case Fail:
		r.To = post.StateFailed
	case Uncertain:
		r.To = post.StateUncertain
		if !j.live { // nothing left this computer: again, after a while
			r.To = post.StateQueued
			r.NextAt = now.Add(scaled(deliveryWait(Usual, j.d.Attempts+1), ln.m.opt.WaitScale, ln.s.account().Host))
		}
	}
	if !charged {
		ln.s.giveBack(j.taken)
	}
	if v.Fate == Keep {
		ln.s.unclaimed(j.d.Mailing)
	}
	if v.Fate != Keep {
		r.Attempt, r.Try = ln.attempt(j, e, v, now, charged), j.d.Tries+1
	}
	if v.Suppress != SuppressNo {
		r.Suppress, r.SecondTime = suppression(j, e), v.Suppress == SuppressSecond
	}
	ln.results = append(ln.results, r)
	if v.Fate == Sent {
		ln.s.success(context.Background(), j.d.Mailing)
		return v
	}
	ln.s.served(j.d.Mailing)
	if e.Phase != post.PhaseRender {
		ln.s.apply(context.Background(), v, j.d.ID, ln.sent)
	}
	if v.Policy || v.Content {
		ln.noted = append(ln.noted, noted{v, j.d})
	}
	if v.Fate == Fail {
		ln.m.failed.Add(1)
	}
	return v
}

func suppression(j *job, e Event) *post.Suppression {
	return &post.Suppression{
		Key: j.d.Key, Address: j.d.Address, Reason: "bounced",
		Source: "delivery " + strconv.FormatInt(j.d.ID, 10) + ": " + e.Reply.String(),
	}
}

func (ln *lane) attempt(j *job, e Event, v Verdict, now time.Time, charged bool) *post.Attempt {
	a := &post.Attempt{
		Account: ln.s.id, Session: ln.session, StartedAt: j.startedAt, EndedAt: now, Phase: e.Phase, Reply: e.Reply,
		Charged: charged, DotSent: e.DotSent, Replies: j.log.b.String(),
	}
	if a.StartedAt.IsZero() {
		a.StartedAt = now
	}
	if v.Fate == Sent {
		a.QueueID = queueID(e.Reply.Text)
	}
	if e.Reply.IsZero() {
		a.Error = string(e.Cause)
	}
	return a
}

// queueID finds the server's own id in its reply to the dot, as Postfix,
// Exim, Sendmail and others write it. It is for people to quote; nothing
// depends on it.
func queueID(text string) string {
	lower := strings.ToLower(text)
	for _, before := range []string{"queued as ", "queued mail for delivery ", "id=", " id ", "message accepted for delivery ", "ok: ", "ok "} {
		i := strings.Index(lower, before)
		if i < 0 {
			continue
		}
		id := text[i+len(before):]
		if end := strings.IndexAny(id, " ;,)]"); end >= 0 {
			id = id[:end]
		}
		if len(id) >= 4 && len(id) <= 100 {
			return strings.Trim(id, "<>[]().")
		}
	}
	if id, _, found := strings.Cut(text, " "); found && len(id) >= 8 && strings.ContainsAny(id, "0123456789") {
		return id // Sendmail: "3AB1cd01 Message accepted for delivery"
	}
	return ""
}

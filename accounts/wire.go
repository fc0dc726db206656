package accounts

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"postroom/post"
)

// Caps on what a server may send, and how slowly it may take what we send. A
// hostile server must cost neither memory nor an endless wait.
const (
	maxLine       = 4 << 10  // bytes of one reply line, its line end included
	maxReply      = 64 << 10 // bytes of one reply, all lines
	maxReplyLines = 200
	maxReceived   = 1 << 20 // bytes since the last ResetCap

	writeChunk  = 64 << 10 // bytes under one write deadline
	gatherBelow = 8 << 10  // WriteBuffers joins pieces smaller than this
	floorRate   = 500      // bytes a second a server has to take, over each floorWindow
	floorWindow = time.Minute
)

// Wire is one conversation with a mail server: a net.Conn with a reader of SMTP
// replies and an unbuffered writer that counts. After the first error of a
// direction that direction is over: later calls return the same error, because
// what would follow can no longer be matched to a command.
//
// It is not safe for concurrent use, except Abort.
type Wire struct {
	c   net.Conn // what is read from and written to: TLS or plain
	raw net.Conn // the socket below it; never changes

	buf      []byte // received and not yet parsed: buf[r:w]
	r, w     int
	received int    // bytes since ResetCap
	text     []byte // the text of a reply of several lines, being put together
	gather   []byte // small pieces of WriteBuffers, being joined
	accepted int64
	pending  error // came along with bytes, due when those are used up
	readErr  error
	writeErr error
	aborted  atomic.Bool
	closed   bool
}

// NewWire returns a Wire over c, which is the final connection: *tls.Conn after
// its handshake, or plain. The Wire owns c from now on.
func NewWire(c net.Conn) *Wire {
	raw := c
	if t, ok := c.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	return &Wire{c: c, raw: raw, buf: make([]byte, 2*maxLine)}
}

// WireError is why a conversation broke: Cause is one of eof, reset, timeout,
// protocol, too-long, tls, unreachable, or cancelled after Abort.
type WireError struct {
	Cause  post.Cause
	Detail string // cleaned; what was odd about a reply, empty for the network's causes
	// Partial is the reply that was cut off by the end of the connection or of
	// the time, where at least "NNN " or "NNN-" of it was seen; else zero.
	// RFC 5321 4.2 lets the code alone decide, so a cut-off 250 is a 250.
	Partial post.Reply
	Err     error // for errors.Is; nil for protocol and too-long
}

// Error returns the cause and the detail. It never holds what was written.
func (e *WireError) Error() string {
	if e.Detail != "" {
		return fmt.Sprintf("%s: %s", e.Cause, e.Detail)
	}
	return string(e.Cause)
}

// Unwrap returns the network's own error.
func (e *WireError) Unwrap() error { return e.Err }

// Write hands all of p to the connection, in chunks of 64 KB that each have
// perWrite to be taken (RFC 5321 4.5.3.2.5: 180 s is usual); besides, a server
// that takes less than 500 bytes a second over a minute is given up. The error
// is a *WireError. How much went out says Accepted.
func (w *Wire) Write(p []byte, perWrite time.Duration) error {
	f := newFloor(w.accepted)
	return w.write(p, perWrite, &f)
}

// WriteBuffers writes the pieces one after the other as Write would write them
// joined. Large pieces are not copied; small ones are joined, so that a message
// of many pieces is not a packet or a TLS record for each. It does not change
// the pieces or keep them.
func (w *Wire) WriteBuffers(pieces [][]byte, perWrite time.Duration) error {
	f := newFloor(w.accepted)
	w.gather = w.gather[:0]
	flush := func() error {
		err := w.write(w.gather, perWrite, &f)
		w.gather = w.gather[:0]
		return err
	}
	for _, p := range pieces {
		if len(p) < gatherBelow {
			w.gather = append(w.gather, p...)
			if len(w.gather) < writeChunk-gatherBelow {
				continue
			}
			p = nil
		}
		if err := flush(); err != nil {
			return err
		}
		if err := w.write(p, perWrite, &f); err != nil {
			return err
		}
	}
	return flush()
}

func (w *Wire) write(p []byte, perWrite time.Duration, f *floor) error {
	for len(p) > 0 {
		if w.writeErr != nil {
			return w.writeErr
		}
		chunk := p[:min(len(p), writeChunk)]
		if err := w.c.SetWriteDeadline(time.Now().Add(perWrite)); err != nil {
			return w.failWrite(err)
		}
		n, err := w.c.Write(chunk)
		w.accepted += int64(n)
		if err != nil {
			return w.failWrite(err)
		}
		p = p[n:]
		if len(p) > 0 && f.tooSlow(w.accepted) {
			w.writeErr = &WireError{Cause: post.CauseTimeout, Detail: "the server takes the message too slowly"}
			return w.writeErr
		}
	}
	return nil
}

func (w *Wire) failWrite(err error) error {
	w.writeErr = &WireError{Cause: w.cause(err), Err: err}
	return w.writeErr
}

// floor watches the rate of one long write, a minute at a time.
type floor struct {
	since time.Time
	from  int64
}

func newFloor(accepted int64) floor { return floor{since: time.Now(), from: accepted} }

func (f *floor) tooSlow(accepted int64) bool {
	d := time.Since(f.since)
	if d < floorWindow {
		return false
	}
	slow := float64(accepted-f.from) < floorRate*d.Seconds()
	f.since, f.from = f.since.Add(d), accepted
	return slow
}

// Accepted returns how many bytes the connection has taken over since the Wire
// was made. Over TLS only whole records count, which is what a server can read.
// Bytes beyond this number were certainly not received.
func (w *Wire) Accepted() int64 { return w.accepted }

// Unasked returns what is wrong with a conversation in which no reply is
// outstanding: protocol when the server has sent something all the same, which
// would be read as the reply to the next command (RFC 5321 4.2: a reply is sent
// in answer to a command), eof or reset when it has hung up; none when it is
// silent. What the system holds counts too, except where it cannot be asked.
func (w *Wire) Unasked() post.Cause {
	switch {
	case w.r < w.w:
		return post.CauseProtocol
	case w.readErr != nil:
		return causeIn(w.readErr)
	case w.pending != nil:
		return w.cause(w.pending)
	case !waiting(w.raw):
		return post.CauseNone
	}
	// Under TLS it may be a record that says nothing to us, such as new keys.
	if err := w.c.SetReadDeadline(time.Now().Add(unaskedWait)); err != nil {
		return w.cause(err)
	}
	err := w.fill()
	switch {
	case w.r < w.w:
		return post.CauseProtocol
	case errors.Is(err, os.ErrDeadlineExceeded):
		return post.CauseNone
	}
	return causeIn(w.failRead(err, 0))
}

// causeIn is the cause of an error of the Wire.
func causeIn(err error) post.Cause {
	var e *WireError
	if errors.As(err, &e) {
		return e.Cause
	}
	return post.CauseProtocol
}

// unaskedWait is how long the rest of a record that began to arrive is waited for.
const unaskedWait = 100 * time.Millisecond

// ResetCap starts the cap on received bytes (1 MB) anew; the mailer calls it
// for each message.
func (w *Wire) ResetCap() { w.received = w.w - w.r }

// Abort closes the socket at once: nothing more goes out, not even what the
// system still holds (RFC 9293 3.6 would send it). It may be called from
// another goroutine and more than once; whoever reads or writes then gets
// CauseCancelled.
func (w *Wire) Abort() {
	w.aborted.Store(true)
	if t, ok := w.raw.(interface{ SetLinger(sec int) error }); ok {
		_ = t.SetLinger(0) // the socket may be closed already
	}
	_ = w.raw.Close() // nothing can be done about it, and nothing depends on it
}

// Close ends the connection in order, with TLS's close_notify where it has TLS.
// After a failed write it is an Abort.
func (w *Wire) Close() {
	if w.closed {
		return
	}
	w.closed = true
	if w.writeErr != nil {
		w.Abort()
		return
	}
	_ = w.c.Close() // the peer may be gone; the socket is freed all the same
}

// Quit says QUIT, waits for the answer at most wait, and closes. Nothing
// depends on the answer (RFC 5321 4.1.1.10).
func (w *Wire) Quit(wait time.Duration) {
	if w.writeErr == nil && w.readErr == nil && w.Write([]byte("QUIT\r\n"), max(wait, time.Second)) == nil && wait > 0 {
		_, _ = w.ReadReply(time.Now().Add(wait)) // whatever it is, the end is the same
	}
	w.Close()
}

// cause sorts an error of the socket.
func (w *Wire) cause(err error) post.Cause {
	if w.aborted.Load() {
		return post.CauseCancelled
	}
	return causeOf(err)
}

var errNoProgress = errors.New("the connection returns nothing")

// encrypted puts TLS between the Wire and its socket. Nothing that was received
// before it counts any longer.
func (w *Wire) encrypted(c *tls.Conn) {
	w.c = c
	w.r, w.w, w.received, w.pending = 0, 0, 0, nil
}

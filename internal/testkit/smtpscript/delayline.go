package smtpscript

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// delayLine is a connection whose bytes arrive later: up for those read, down
// for those written. It does not sleep per read: every parcel has its own time
// of arrival and any number are under way, so a client that sends ahead is
// rewarded as on a real link. With no delay it is a plain buffer.
//
// One goroutine may read and one write. Close and end are queued behind what
// was written; abort is at once.
type delayLine struct {
	raw      net.Conn
	up, down time.Duration

	in, out chan parcel
	rest    []byte // of the last parcel, not yet read

	held  atomic.Int64 // bytes read from raw and not yet from the line
	limit atomic.Int64 // above it the pump leaves bytes to raw, which fills its window
	space chan struct{}

	done chan struct{}
	once sync.Once
}

type parcel struct {
	due  time.Time
	data []byte
	err  error // of the reading side
	end  End   // of the writing side
}

const (
	lineBuffer  = 4 << 20
	lineParcels = 1024
)

// newDelayLine starts two pumps, which pumps counts.
func newDelayLine(raw net.Conn, up, down time.Duration, pumps *sync.WaitGroup) *delayLine {
	l := &delayLine{
		raw: raw, up: up, down: down,
		in: make(chan parcel, lineParcels), out: make(chan parcel, lineParcels),
		space: make(chan struct{}, 1), done: make(chan struct{}),
	}
	l.limit.Store(lineBuffer)
	pumps.Go(l.pumpIn)
	pumps.Go(l.pumpOut)
	return l
}

func (l *delayLine) pumpIn() {
	scratch := make([]byte, 64<<10)
	for {
		for l.held.Load() >= l.limit.Load() {
			select {
			case <-l.space:
			case <-l.done:
				return
			}
		}
		n, err := l.raw.Read(scratch)
		due := time.Now().Add(l.up)
		if n > 0 {
			l.held.Add(int64(n))
			if !l.push(l.in, parcel{due: due, data: append([]byte(nil), scratch[:n]...)}) {
				return
			}
		}
		if err != nil {
			l.push(l.in, parcel{due: due, err: err})
			return
		}
	}
}

func (l *delayLine) push(to chan parcel, p parcel) bool {
	select {
	case to <- p:
		return true
	case <-l.done:
		return false
	}
}

func (l *delayLine) pumpOut() {
	defer l.abort()
	gone := false // what the client sent before it went must still arrive
	for {
		select {
		case p := <-l.out:
			if !l.await(p.due) {
				return
			}
			if p.end != EndNone {
				hangUp(l.raw, p.end)
				return
			}
			if !gone {
				_, err := l.raw.Write(p.data)
				gone = err != nil
			}
		case <-l.done:
			return
		}
	}
}

// await reports false when the line was aborted before due.
func (l *delayLine) await(due time.Time) bool {
	d := time.Until(due)
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.done:
		return false
	}
}

func (l *delayLine) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		select {
		case got := <-l.in:
			if !l.await(got.due) {
				return 0, net.ErrClosed
			}
			if got.err != nil {
				return 0, got.err
			}
			l.rest = got.data
		case <-l.done:
			return 0, net.ErrClosed
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	l.held.Add(int64(-n))
	select {
	case l.space <- struct{}{}:
	default:
	}
	return n, nil
}

func (l *delayLine) Write(p []byte) (int, error) {
	if !l.push(l.out, parcel{due: time.Now().Add(l.down), data: append([]byte(nil), p...)}) {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

// end closes the way end says, when all that was written has arrived.
func (l *delayLine) end(end End) { l.push(l.out, parcel{due: time.Now().Add(l.down), end: end}) }

// Close is end(EndCut).
func (l *delayLine) Close() error {
	l.end(EndCut)
	return nil
}

func (l *delayLine) abort() {
	l.once.Do(func() {
		close(l.done)
		_ = l.raw.Close() // may be closed already
	})
}

func (l *delayLine) LocalAddr() net.Addr  { return l.raw.LocalAddr() }
func (l *delayLine) RemoteAddr() net.Addr { return l.raw.RemoteAddr() }

// Deadlines are not needed: abort ends every wait. crypto/tls sets one when it
// sends close_notify, which never blocks here.

func (l *delayLine) SetDeadline(time.Time) error      { return nil }
func (l *delayLine) SetReadDeadline(time.Time) error  { return nil }
func (l *delayLine) SetWriteDeadline(time.Time) error { return nil }

// hangUp closes a raw connection: RST for EndReset, FIN for the others.
func hangUp(raw net.Conn, end End) {
	if tcp, ok := raw.(*net.TCPConn); ok && end == EndReset {
		_ = tcp.SetLinger(0) // fails only on a dead socket
	}
	_ = raw.Close()
}

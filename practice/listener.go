package practice

import (
	"net"
	"sync"
	"time"
)

// listener bounds how many connections are open at once and ends them in
// order. It exists because the server offers neither.
type listener struct {
	net.Listener
	limit int

	mu      sync.Mutex
	closing bool
	conns   map[*conn]struct{}
}

func newListener(ln net.Listener, limit int) *listener {
	return &listener{Listener: ln, limit: limit, conns: make(map[*conn]struct{})}
}

// Accept returns the next connection within the limit; those beyond it are
// told so (RFC 5321 3.8) and closed.
func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: nc, owner: l, opened: time.Now()}
		l.mu.Lock()
		closing, full := l.closing, len(l.conns) >= l.limit
		if !closing && !full {
			l.conns[c] = struct{}{}
		}
		l.mu.Unlock()
		switch {
		case closing:
			_ = nc.Close() // nobody is served any more
			return nil, net.ErrClosed
		case full:
			// A fresh socket's buffer takes this line without waiting.
			if err := nc.SetWriteDeadline(time.Now().Add(time.Second)); err == nil {
				_, _ = nc.Write([]byte("421 4.3.2 too many connections\r\n"))
			}
			_ = nc.Close()
		default:
			return c, nil
		}
	}
}

// finish stops listening and lets each connection end: at once where it waits
// for a command, after the answer where a message's content is arriving.
func (l *listener) finish() error {
	l.mu.Lock()
	l.closing = true
	conns := l.list()
	l.mu.Unlock()
	err := l.Close()
	for _, c := range conns {
		c.finish()
	}
	return err
}

// hangUp closes what finish left open.
func (l *listener) hangUp() {
	l.mu.Lock()
	conns := l.list()
	l.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

// list copies the set; l.mu is held.
func (l *listener) list() []*conn {
	conns := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		conns = append(conns, c)
	}
	return conns
}

// conn is one client. The server sets a read deadline before each command;
// conn shortens it while the client has not signed in, and ends it when the
// trap closes.
type conn struct {
	net.Conn
	owner  *listener
	opened time.Time

	mu      sync.Mutex
	trusted bool // signed in
	busy    bool // between DATA and the stored file
	closing bool
}

// past is a deadline that has gone by.
var past = time.Unix(1, 0)

// SetReadDeadline is called by the server before it reads a command.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closing && !c.busy:
		t = past
	case !c.trusted:
		if last := c.opened.Add(signInTime); t.IsZero() || t.After(last) {
			t = last
		}
	}
	return c.Conn.SetReadDeadline(t)
}

// Close closes the socket and gives its place back.
func (c *conn) Close() error {
	c.owner.mu.Lock()
	delete(c.owner.conns, c)
	c.owner.mu.Unlock()
	return c.Conn.Close()
}

func (c *conn) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	if !c.busy {
		_ = c.Conn.SetReadDeadline(past) // a socket that refuses this is closed already
	}
}

func (c *conn) trust() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trusted = true
}

// begin marks a message's content as arriving and gives it its time; false
// when the trap is closing, so that the client learns it was not taken.
func (c *conn) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	c.busy = true
	_ = c.Conn.SetReadDeadline(time.Now().Add(bodyTime)) // a closed socket shows when it is read
	return true
}

// end marks the content as dealt with; the answer is still to be written, and
// the next read for a command meets SetReadDeadline.
func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
}

func (c *conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

package smtpscript

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"hash"
	"net"
	"sync"
	"time"
)

const (
	readBuffer = 64 << 10
	maxLine    = 12288 // RFC 4954 4: AUTH lines; others end at maxCommand
	maxCommand = 2048  // RFC 5321 4.5.3.1.4 and the extensions' additions, rounded up
)

// errOver ends a session that was ended on purpose.
var errOver = errors.New("session over")

// session is one connection. Only its own goroutine touches it, but for abort.
type session struct {
	srv  *Server
	raw  net.Conn
	line *delayLine // nil without delay on a socket
	conn net.Conn   // raw or line, or TLS over it
	id   int
	log  *connLog

	gone     chan struct{} // closed by abort
	goneOnce sync.Once

	buf  []byte // buf[r:w] was read and not yet used
	r, w int

	out     []byte // replies that wait for the end of the burst
	marks   []int  // where each begins
	asked   bool   // something was read since the last flush
	counted time.Time

	secure bool
	hello  bool
	utf8   bool // SMTPUTF8 was asked for this message
	user   string

	mails      int // MAIL commands so far
	total      int // number of the current one over the server
	from       []byte
	fromParams string
	hasFrom    bool
	rcpts      [][]byte
	rcptParams []string
	lastRcpt   []byte

	inBody  bool
	swallow bool  // the body was answered early: its dot gets no reply
	bodyN   int64 // bytes of body used
	body    []byte
	head    []byte
	sum     hash.Hash
	unstuff unstuffer
	size    int64

	slow     bool
	slowRate int
}

// abort ends the connection from any goroutine.
func (c *session) abort() {
	c.goneOnce.Do(func() {
		close(c.gone)
		if tcp, ok := c.raw.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // fails only on a dead socket
		}
		if c.line != nil {
			c.line.abort()
			return
		}
		_ = c.raw.Close()
	})
}

func (c *session) run() {
	defer c.srv.forget(c)
	if c.open() == nil {
		for c.step() == nil {
		}
	}
	// The orderly ends are done; this is for errors and clients that left.
	if c.line != nil {
		c.line.end(EndCut)
		<-c.line.done // the last bytes have arrived, or abort
		return
	}
	_ = c.raw.Close()
}

// open is everything up to the greeting.
func (c *session) open() error {
	cfg := &c.srv.cfg
	if d := cfg.Up + cfg.Down; d > 0 {
		// SYN, SYN-ACK and ACK travel before the server may speak.
		if !c.srv.pause(d+cfg.Up, c.gone) {
			return errOver
		}
	}
	if act := c.ask(PhaseConnect, nil, ""); act != (Action{}) {
		act.Silent = act.Reply == "" && act.Raw == "" && act.Endless == 0
		if err := c.say(act, ""); err != nil {
			return err
		}
		if err := c.flush(); err != nil {
			return err
		}
	}
	if cfg.Mode == ImplicitTLS {
		if err := c.startTLS(); err != nil {
			return err
		}
	}
	def := "220 " + cfg.Host + " ESMTP ready"
	act := c.ask(PhaseGreeting, nil, def)
	if err := c.say(act, def); err != nil {
		return err
	}
	return c.flush()
}

// step does one thing: a command, a piece of a body, or reading more.
func (c *session) step() error {
	if c.inBody {
		return c.readBody()
	}
	line, ok := c.nextLine()
	if !ok {
		return c.fill()
	}
	return c.command(line)
}

// nextLine takes a line off the buffer; the bytes are good until fill.
func (c *session) nextLine() ([]byte, bool) {
	i := bytes.IndexByte(c.buf[c.r:c.w], '\n')
	if i < 0 {
		return nil, false
	}
	line := c.buf[c.r : c.r+i+1]
	c.r += i + 1
	return line, true
}

// fill sends what is due and reads more. Replies wait while the buffer holds
// the beginning of a command: the client is still speaking.
func (c *session) fill() error {
	if c.r == c.w || c.inBody {
		if err := c.flush(); err != nil {
			return err
		}
	}
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	if c.w == len(c.buf) {
		return c.overlong()
	}
	room := c.buf[c.w:]
	if c.slow {
		var err error
		if room, err = c.crawl(room); err != nil {
			return err
		}
	}
	n, err := c.conn.Read(room)
	c.w += n
	if n > 0 {
		c.asked = true
		c.srv.counters.bytesIn.Add(int64(n))
		c.srv.notify()
		return nil
	}
	return err
}

// crawl is the tarpit: it waits and returns how much may be read.
func (c *session) crawl(room []byte) ([]byte, error) {
	const tick = 20 * time.Millisecond
	if c.slowRate <= 0 {
		select {
		case <-c.gone:
		case <-c.srv.done:
		}
		return nil, errOver
	}
	if !c.srv.pause(tick, c.gone) {
		return nil, errOver
	}
	n := max(1, c.slowRate*int(tick/time.Millisecond)/1000)
	return room[:min(n, len(room))], nil
}

// overlong throws a line away that does not fit, and says so.
func (c *session) overlong() error {
	c.violation("line longer than the buffer")
	c.r, c.w = 0, 0
	for {
		n, err := c.conn.Read(c.buf)
		if err != nil {
			return err
		}
		c.asked = true
		if i := bytes.IndexByte(c.buf[:n], '\n'); i >= 0 {
			c.r, c.w = i+1, n
			c.queue([]byte("500 5.5.6 line too long\r\n"))
			return nil
		}
	}
}

// ask lets the script decide.
func (c *session) ask(phase Phase, line []byte, def string) Action {
	s := c.srv
	if s.cfg.Script == nil {
		return Action{}
	}
	s.mu.Lock()
	open := len(s.live)
	s.mu.Unlock()
	ev := Event{
		Phase: phase, Conn: c.id, Open: open, Message: c.mails, Total: c.total,
		Sender: string(c.from), Rcpt: string(c.lastRcpt), Line: string(bytes.TrimRight(line, "\r\n")),
		BodyBytes: c.bodyN, Default: def, Pipelined: c.r < c.w, TLS: c.secure, User: c.user,
	}
	s.scripting.Lock()
	defer s.scripting.Unlock()
	return s.cfg.Script(ev)
}

// answer asks and says; it is for commands whose reply changes nothing.
func (c *session) answer(phase Phase, line []byte, def string) error {
	return c.say(c.ask(phase, line, def), def)
}

// startTLS shakes hands. What the client sent behind STARTTLS in the clear is
// dropped (CVE-2011-0411).
func (c *session) startTLS() error {
	if c.r < c.w {
		c.violation("plain text behind STARTTLS")
	}
	c.r, c.w = 0, 0
	if act := c.ask(PhaseTLS, nil, ""); act != (Action{}) {
		act.Silent = act.Reply == "" && act.Raw == "" && act.Endless == 0
		if err := c.say(act, ""); err != nil {
			return err
		}
		if err := c.flush(); err != nil {
			return err
		}
	}
	under := c.conn
	conn := tls.Server(under, c.srv.tls)
	if err := conn.HandshakeContext(context.Background()); err != nil { // abort ends it
		c.note("!", []byte("TLS handshake failed"))
		c.srv.notify()
		return err
	}
	c.conn, c.secure = conn, true
	c.srv.counters.handshakes.Add(1)
	c.srv.mu.Lock()
	c.log.tls = conn.ConnectionState().Version
	c.srv.mu.Unlock()
	c.note("!", []byte("TLS"))
	c.srv.notify()
	return nil
}

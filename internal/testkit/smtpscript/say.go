package smtpscript

import (
	"bytes"
	"crypto/tls"
	"net"
	"strings"
	"time"
)

// wire turns "250 one\ntwo" into "250-one CRLF 250 two CRLF" (RFC 5321 4.2.1).
func wire(reply string) []byte {
	if strings.IndexByte(reply, '\n') < 0 {
		b := make([]byte, 0, len(reply)+2)
		return append(append(b, reply...), "\r\n"...)
	}
	lines := strings.Split(reply, "\n")
	code := reply[:min(3, len(lines[0]))]
	lines[0] = strings.TrimPrefix(lines[0][len(code):], " ")
	var b []byte
	for i, line := range lines {
		b = append(b, code...)
		if i < len(lines)-1 {
			b = append(b, '-')
		} else {
			b = append(b, ' ')
		}
		b = append(append(b, line...), "\r\n"...)
	}
	return b
}

// queue puts a reply behind those that wait for the end of the burst.
func (c *session) queue(reply []byte) {
	c.marks = append(c.marks, len(c.out))
	c.out = append(c.out, reply...)
	if c.srv.cfg.Transcript >= 0 {
		for line := range bytes.SplitSeq(bytes.TrimSuffix(reply, []byte("\r\n")), []byte("\r\n")) {
			c.note("S", line)
		}
	}
}

// flush sends the waiting replies in one write.
func (c *session) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	out := c.out
	if c.srv.cfg.Break != 0 && len(c.marks) > 1 {
		out = c.broken()
	}
	c.out, c.marks = c.out[:0], c.marks[:0]
	c.countFlight()
	_, err := c.conn.Write(out)
	return err
}

// countFlight counts a turn from reading to writing.
func (c *session) countFlight() {
	if !c.asked {
		return
	}
	c.asked = false
	if trip := c.srv.cfg.Up + c.srv.cfg.Down; trip > 0 {
		// What arrives sooner than a round trip after an answer was sent
		// before that answer could be read: the same flight.
		now := time.Now()
		if now.Sub(c.counted) < trip*9/10 {
			return
		}
		c.counted = now
	}
	c.srv.counters.flights.Add(1)
	c.log.flights.Add(1)
	c.srv.notify()
}

// broken applies Config.Break to a burst of replies.
func (c *session) broken() []byte {
	replies := make([][]byte, 0, len(c.marks)+1)
	for i, from := range c.marks {
		to := len(c.out)
		if i+1 < len(c.marks) {
			to = c.marks[i+1]
		}
		replies = append(replies, c.out[from:to])
	}
	how := c.srv.cfg.Break
	if how&BreakMissing != 0 {
		i := len(replies) / 2
		replies = append(replies[:i], replies[i+1:]...)
	}
	if how&BreakReorder != 0 {
		for i, j := 0, len(replies)-1; i < j; i, j = i+1, j-1 {
			replies[i], replies[j] = replies[j], replies[i]
		}
	}
	if how&BreakExtra != 0 {
		replies = append(replies, []byte("250 2.0.0 Ok\r\n"))
	}
	return bytes.Join(replies, nil)
}

// say carries an action out. errOver means that the session has ended.
func (c *session) say(a Action, def string) error {
	if a == (Action{}) {
		c.queue(wire(def))
		return nil
	}
	if err := c.delay(a); err != nil {
		return err
	}
	if a.Endless > 0 {
		if err := c.endless(a.Endless); err != nil {
			return err
		}
	} else if reply := a.bytes(def); len(reply) > 0 {
		if err := c.send(reply, a.Drip); err != nil {
			return err
		}
	}
	if a.Tarpit {
		if err := c.tarpit(a.TarpitRate); err != nil {
			return err
		}
	}
	return c.end(a.End)
}

// bytes is what goes over the wire for a, but for Endless.
func (a Action) bytes(def string) []byte {
	var b []byte
	b = append(b, a.Before...)
	switch {
	case a.Raw != "":
		b = append(b, a.Raw...)
	case a.Reply != "":
		b = append(b, wire(a.Reply)...)
	case a.Silent, def == "":
	default:
		b = append(b, wire(def)...)
	}
	return append(b, a.After...)
}

func (c *session) delay(a Action) error {
	if a.Hold == nil && a.Wait <= 0 {
		return nil
	}
	if err := c.flush(); err != nil {
		return err
	}
	if a.Hold != nil {
		select {
		case <-a.Hold:
		case <-c.gone:
			return errOver
		case <-c.srv.done:
			return errOver
		}
	}
	if a.Wait > 0 && !c.srv.pause(a.Wait, c.gone) {
		return errOver
	}
	return nil
}

func (c *session) send(reply []byte, drip time.Duration) error {
	if drip <= 0 {
		c.queue(reply)
		return nil
	}
	if err := c.flush(); err != nil {
		return err
	}
	c.countFlight()
	c.note("S", reply)
	for i := range reply {
		if i > 0 && !c.srv.pause(drip, c.gone) {
			return errOver
		}
		if _, err := c.conn.Write(reply[i : i+1]); err != nil {
			return err
		}
	}
	return nil
}

// endless writes 250- lines, the last one with a space, for n bytes or so.
func (c *session) endless(n int) error {
	if err := c.flush(); err != nil {
		return err
	}
	c.countFlight()
	c.note("S", []byte("250- and so on"))
	const line = "250-and so on and so on and so on and so on and so on and so on\r\n"
	block := bytes.Repeat([]byte(line), max(1, min(n, 64<<10)/len(line)))
	for sent := 0; sent < n; sent += len(block) {
		if _, err := c.conn.Write(block); err != nil {
			return err
		}
	}
	_, err := c.conn.Write([]byte("250 end\r\n"))
	return err
}

// tarpit slows all further reading down and narrows the window.
func (c *session) tarpit(rate int) error {
	c.slow, c.slowRate = true, rate
	if tcp, ok := c.raw.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(2048) // the window only makes it worse; the pace is what counts
	}
	if c.line != nil {
		c.line.limit.Store(2048)
	}
	return c.flush()
}

func (c *session) end(how End) error {
	if how == EndNone {
		return nil
	}
	if err := c.flush(); err != nil {
		return err
	}
	c.note("!", []byte([...]string{"", "close", "cut", "reset", "stall"}[how]))
	switch how {
	case EndStall:
		for {
			if _, err := c.conn.Read(c.buf); err != nil {
				return err
			}
		}
	case EndClose:
		if t, ok := c.conn.(*tls.Conn); ok {
			_ = t.CloseWrite() // close_notify; the client may have gone
		}
	}
	if c.line != nil {
		c.line.end(how)
	} else {
		hangUp(c.raw, how)
	}
	return errOver
}

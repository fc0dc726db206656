package smtpscript

import (
	"bytes"
	"crypto/sha256"
	"strconv"
	"time"
)

// unstuffer takes the leading dots off lines (RFC 5321 4.5.2), over any split.
type unstuffer struct{ last, before byte }

func (u *unstuffer) reset() { u.last, u.before = '\n', '\r' }

// feed hands p without stuffing to emit, in pieces of p.
func (u *unstuffer) feed(p []byte, emit func([]byte)) {
	for len(p) > 0 {
		if p[0] == '.' && u.last == '\n' && u.before == '\r' {
			p = p[1:]
			u.last, u.before = '.', '\n'
			continue
		}
		// Up to the next dot that may have to go, or the end.
		n := len(p)
		if p[0] == '\n' && u.last == '\r' {
			n = 1
		} else if i := bytes.Index(p, []byte("\r\n.")); i >= 0 {
			n = i + 2
		}
		emit(p[:n])
		if n > 1 {
			u.before = p[n-2]
		} else {
			u.before = u.last
		}
		u.last = p[n-1]
		p = p[n:]
	}
}

var endOfData = []byte("\r\n.\r\n")

// beginBody prepares for the content after a 354.
func (c *session) beginBody() {
	c.inBody, c.swallow = true, false
	c.bodyN, c.size = 0, 0
	c.body, c.head = nil, c.head[:0]
	c.unstuff.reset()
	if c.srv.cfg.Keep != KeepCount {
		if c.sum == nil {
			c.sum = sha256.New()
		}
		c.sum.Reset()
	}
	if c.r < c.w {
		c.violation("spoke before the reply to DATA")
	}
}

// readBody uses what is in the buffer, up to the end of data and no further.
// Only CRLF.CRLF ends a message: a bare LF does not (SMTP smuggling).
func (c *session) readBody() error {
	chunk := c.buf[c.r:c.w]
	if len(chunk) == 0 {
		return c.fill()
	}
	var content, used int
	done := false
	if c.bodyN == 0 && bytes.HasPrefix(chunk, endOfData[2:]) {
		used, done = 3, true
	} else if i := bytes.Index(chunk, endOfData); i >= 0 {
		content, used, done = i+2, i+5, true
	} else {
		// The last four bytes may be the beginning of the end.
		content = max(0, len(chunk)-4)
		used = content
		if content == 0 {
			return c.fill()
		}
	}
	c.r += used
	c.bodyN += int64(content)
	c.keep(chunk[:content])
	if !c.swallow && (c.srv.cfg.Script != nil) {
		if over, err := c.midBody(); over || err != nil {
			return err
		}
	}
	if !done {
		return nil
	}
	c.inBody = false
	return c.dot()
}

// midBody asks the script at PhaseBody. A reply here is the message's only one.
func (c *session) midBody() (over bool, err error) {
	act := c.ask(PhaseBody, nil, "")
	if act == (Action{}) {
		return false, nil
	}
	c.swallow = act.Raw != "" || act.Reply != "" || act.Endless > 0
	err = c.say(act, "")
	if err == nil && c.swallow {
		err = c.flush()
	}
	return err != nil, err
}

// keep stores, hashes and measures a piece of content.
func (c *session) keep(p []byte) {
	if c.srv.cfg.Keep == KeepCount {
		c.size += int64(len(p)) // stuffed; nobody looks closer in this mode
		return
	}
	c.unstuff.feed(p, func(piece []byte) {
		c.size += int64(len(piece))
		c.sum.Write(piece)
		if c.srv.cfg.Keep == KeepRaw && c.size <= c.srv.cfg.MaxSize {
			c.body = append(c.body, piece...)
		}
		if n := 8192 - len(c.head); n > 0 {
			c.head = append(c.head, piece[:min(n, len(piece))]...)
		}
	})
}

// dot decides over a complete body, records the decision, and then answers.
func (c *session) dot() error {
	id := "Q" + strconv.FormatInt(c.srv.counters.dots.Load()+1, 16) + "C" + strconv.Itoa(c.id)
	def := "250 2.0.0 Ok: queued as " + id
	switch {
	case len(c.rcpts) == 0:
		def = "554 5.5.1 no valid recipients"
	case c.size > c.srv.cfg.MaxSize:
		def = "552 5.3.4 message too big"
	}
	if c.srv.cfg.Transcript >= 0 {
		c.note("C", []byte("<"+strconv.FormatInt(c.bodyN, 10)+" bytes, dot>"))
	}
	var act Action
	if c.swallow {
		act = Action{Silent: true, Take: LeaveIt}
	} else {
		act = c.ask(PhaseDot, nil, def)
	}
	taken := act.takes(def)
	var m *Message
	if taken && (c.srv.cfg.Keep != KeepCount || c.srv.cfg.OnTaken != nil) {
		m = c.message(id)
	}
	if taken {
		c.log.messages.Add(1)
	}
	c.srv.addDot(m, c.rcpts, taken)
	c.resetMail()
	return c.say(act, def)
}

func (c *session) message(id string) *Message {
	m := &Message{
		Conn: c.id, Number: c.mails, From: string(c.from), FromParams: c.fromParams,
		To: make([]string, len(c.rcpts)), ToParams: append([]string(nil), c.rcptParams...),
		QueueID: id, Size: c.size, TLS: c.secure, User: c.user, At: time.Now(),
	}
	for i, rcpt := range c.rcpts {
		m.To[i] = string(rcpt)
	}
	if c.srv.cfg.Keep == KeepCount {
		return m
	}
	c.sum.Sum(m.Sum[:0])
	m.MessageID = headerValue(c.head, "message-id:")
	m.Data, c.body = c.body, nil
	return m
}

// headerValue returns the unfolded value of the first header name (lower case,
// with its colon).
func headerValue(head []byte, name string) string {
	for len(head) > 0 {
		line, rest, _ := bytes.Cut(head, []byte("\r\n"))
		if len(line) == 0 {
			return "" // the header is over
		}
		for len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t') {
			more, after, _ := bytes.Cut(rest, []byte("\r\n"))
			line = append(append([]byte(nil), line...), more...)
			rest = after
		}
		if len(line) >= len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			return string(bytes.TrimSpace(line[len(name):]))
		}
		head = rest
	}
	return ""
}

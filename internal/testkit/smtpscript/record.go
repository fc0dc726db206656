package smtpscript

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// Message is one message with its full dot received and taken.
type Message struct {
	Conn       int // which connection took it
	Number     int // its place among the MAIL commands of that connection, from 1
	From       string
	FromParams string // ESMTP parameters of MAIL, as sent
	To         []string
	ToParams   []string // one per To
	QueueID    string   // as told in the default reply to the dot
	MessageID  string   // the header's value, angle brackets included; empty with KeepCount
	Size       int64    // bytes of Data
	Sum        [sha256.Size]byte
	Data       []byte // dots unstuffed, last CRLF included; KeepRaw only
	TLS        bool
	User       string
	At         time.Time
}

// Stats are the counts since the start.
type Stats struct {
	Connections    int            `json:"connections"`
	Open           int            `json:"open"`
	MaxOpen        int            `json:"max_open"`
	Handshakes     int            `json:"handshakes"` // TLS, completed
	SignIns        int            `json:"sign_ins"`
	SignInFailures int            `json:"sign_in_failures"` // wrong credentials or a script that refused
	Commands       int            `json:"commands"`
	ByVerb         map[string]int `json:"by_verb"`
	Dots           int            `json:"dots"`  // bodies received to the end, taken or not
	Taken          int            `json:"taken"` // messages taken
	// Flights are bursts of the client that were answered, that is round trips
	// the client waited for. Greetings and TLS handshakes are not counted.
	// With a delay, bursts answered within one round trip are one flight.
	Flights    int   `json:"flights"`
	BytesIn    int64 `json:"bytes_in"`
	Violations int   `json:"violations"` // of the protocol by the client; see ConnInfo
}

// ConnInfo is what is known about one connection.
type ConnInfo struct {
	ID         int
	Open       bool
	Flights    int
	Commands   int
	Messages   int    // taken
	TLS        uint16 // version, 0 for none
	User       string
	Transcript string // lines "C: ..." and "S: ..."; credentials and bodies left out
	Violations []string
}

const (
	verbEHLO = iota
	verbHELO
	verbSTARTTLS
	verbAUTH
	verbMAIL
	verbRCPT
	verbDATA
	verbRSET
	verbNOOP
	verbQUIT
	verbOther
	verbs
)

var verbNames = [verbs]string{"EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT", "other"}

// counters move without the server's lock.
type counters struct {
	verbs                                      [verbs]atomic.Int64
	handshakes, signIns, signInFails, flights  atomic.Int64
	dots, taken, bytesIn, violations, messages atomic.Int64
}

// tally is what one recipient got.
type tally struct{ dots, taken int }

// record is what a server remembers; the server's mutex guards it.
type record struct {
	opened, maxOpen int
	logs            []*connLog
	recipients      map[string]*tally
	kept            []Message
}

// maxLogs bounds how many connections are remembered one by one.
const maxLogs = 10_000

// connLog is one connection's record. The server's mutex guards what is not
// atomic.
type connLog struct {
	id         int
	open       bool
	flights    atomic.Int64
	commands   atomic.Int64
	messages   atomic.Int64
	tls        uint16
	user       string
	transcript []byte
	full       bool
	violations []string
}

func (r *record) newLog(id int) *connLog {
	l := &connLog{id: id, open: true}
	if len(r.logs) < maxLogs {
		r.logs = append(r.logs, l)
	}
	return l
}

// Stats returns the counts now.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats()
}

func (s *Server) stats() Stats {
	c := &s.counters
	st := Stats{
		Connections: s.record.opened, Open: len(s.live), MaxOpen: s.record.maxOpen,
		Handshakes: int(c.handshakes.Load()),
		SignIns:    int(c.signIns.Load()), SignInFailures: int(c.signInFails.Load()),
		ByVerb: map[string]int{}, Dots: int(c.dots.Load()), Taken: int(c.taken.Load()),
		Flights: int(c.flights.Load()), BytesIn: c.bytesIn.Load(), Violations: int(c.violations.Load()),
	}
	for v, name := range verbNames {
		if n := int(c.verbs[v].Load()); n > 0 {
			st.ByVerb[name] = n
			st.Commands += n
		}
	}
	return st
}

// Taken returns, per envelope recipient as written by the client, how many
// messages the server took responsibility for.
func (s *Server) Taken() map[string]int {
	return s.tallies(func(t *tally) int { return t.taken })
}

// Dots returns, per envelope recipient, how many complete bodies arrived,
// taken or refused.
func (s *Server) Dots() map[string]int { return s.tallies(func(t *tally) int { return t.dots }) }

func (s *Server) tallies(count func(*tally) int) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := make(map[string]int, len(s.record.recipients))
	for rcpt, t := range s.record.recipients {
		if n := count(t); n > 0 {
			m[rcpt] = n
		}
	}
	return m
}

// Messages returns the messages taken, in the order in which they were. The
// caller must not change their Data.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.record.kept...)
}

// Conns returns what is known of the first 10,000 connections.
func (s *Server) Conns() []ConnInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]ConnInfo, 0, len(s.record.logs))
	for _, l := range s.record.logs {
		all = append(all, ConnInfo{
			ID: l.id, Open: l.open, Flights: int(l.flights.Load()), Commands: int(l.commands.Load()),
			Messages: int(l.messages.Load()), TLS: l.tls, User: l.user, Transcript: string(l.transcript),
			Violations: append([]string(nil), l.violations...),
		})
	}
	return all
}

// Transcript returns the talk of all connections, for a test's failure message.
func (s *Server) Transcript() string {
	var b bytes.Buffer
	for _, c := range s.Conns() {
		fmt.Fprintf(&b, "-- connection %d\n%s", c.ID, c.Transcript)
	}
	return b.String()
}

// addDot counts a complete body for its recipients and, when it is taken, keeps
// the message. It returns before any byte of the reply is written.
func (s *Server) addDot(m *Message, rcpts [][]byte, taken bool) {
	s.mu.Lock()
	for _, rcpt := range rcpts {
		t := s.record.recipients[string(rcpt)]
		if t == nil {
			t = new(tally)
			s.record.recipients[string(rcpt)] = t
		}
		t.dots++
		if taken {
			t.taken++
		}
	}
	if taken && m != nil && s.cfg.Keep != KeepCount && !s.cfg.Forget {
		s.record.kept = append(s.record.kept, *m)
	}
	s.mu.Unlock()
	s.counters.dots.Add(1)
	if taken {
		s.counters.taken.Add(1)
		if s.cfg.OnTaken != nil && m != nil {
			s.cfg.OnTaken(*m)
		}
	}
	s.notify()
}

// note adds a line to the transcript. Bytes that are not printable are shown
// quoted.
func (c *session) note(who string, line []byte) {
	limit := c.srv.cfg.Transcript
	if limit < 0 || c.log.full {
		return
	}
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	l := c.log
	if len(l.transcript)+len(line) > limit {
		l.full = true
		l.transcript = append(l.transcript, "...\n"...)
		return
	}
	l.transcript = append(append(l.transcript, who...), ": "...)
	for _, b := range line {
		if b < ' ' || b > '~' {
			l.transcript = append(strconv.AppendQuote(l.transcript, string(line)), '\n')
			return
		}
	}
	l.transcript = append(append(l.transcript, line...), '\n')
}

// violation remembers what the client did against the protocol.
func (c *session) violation(what string) {
	c.srv.counters.violations.Add(1)
	c.srv.mu.Lock()
	if len(c.log.violations) < 100 {
		c.log.violations = append(c.log.violations, what)
	}
	c.srv.mu.Unlock()
	c.note("!", []byte(what))
	c.srv.notify()
}

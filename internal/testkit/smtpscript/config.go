package smtpscript

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"time"

	"postroom/post"
)

// Mode is how a connection becomes private.
type Mode int

// The modes.
const (
	Plain       Mode = iota // no TLS at all
	STARTTLS                // RFC 3207
	ImplicitTLS             // RFC 8314, TLS from the first byte
)

// Certificate is what the server shows in the TLS handshake. All but
// CertSelfSigned come from the server's Authority.
type Certificate int

// The certificates.
const (
	CertGood       Certificate = iota // for localhost, 127.0.0.1, ::1 and Config.Hosts
	CertExpired                       // ended yesterday
	CertWrongName                     // for elsewhere.example
	CertSelfSigned                    // right name, no authority
	CertIncomplete                    // signed by an intermediate that is not sent
)

// Keep is what remains of messages taken.
type Keep int

// The amounts. Counts by recipient are kept in every case.
const (
	KeepRaw   Keep = iota // everything
	KeepHash              // no bytes: SHA-256, Message-ID, size, envelope
	KeepCount             // only the counts
)

// Breakage is how a server fails when commands come in groups. It does nothing
// to a client that waits for each reply.
type Breakage int

// The breakages, which may be combined.
const (
	BreakDiscard Breakage = 1 << iota // commands behind the first of a burst are thrown away unread
	BreakReorder                      // replies to one burst come in reverse order
	BreakMissing                      // a burst of n gets n-1 replies, the one in the middle is missing
	BreakExtra                        // a burst gets one reply more than it has commands
)

// Config describes a server. The zero value is a plain, correct one without
// sign-in.
type Config struct {
	Mode Mode
	Host string // the name it greets with; "mail.example" when empty

	// User and Password make the server require and check AUTH. For XOAUTH2
	// the password is the access token.
	User, Password string
	Mechanisms     []string // offered; PLAIN and LOGIN when nil; known: PLAIN LOGIN CRAM-MD5 XOAUTH2 OAUTHBEARER SCRAM-SHA-1 SCRAM-SHA-256, and those two with -PLUS
	// Token, where set, decides about access tokens in the place of Password.
	Token        func(token string) bool
	EndPoint     bool // -PLUS knows tls-server-end-point alone (RFC 5929 4)
	OtherChannel bool // -PLUS sees another connection, as behind somebody in between
	AuthInClear  bool // STARTTLS mode: offer and take AUTH before TLS too

	Without []string // EHLO keywords neither offered nor obeyed, e.g. "STARTTLS", "PIPELINING"
	With    []string // further EHLO lines, offered only
	MaxSize int64    // SIZE in bytes; 50 MB when 0

	Authority      *Authority // made anew when nil
	Cert           Certificate
	Hosts          []string // further names in the certificate
	MinTLS, MaxTLS uint16   // versions of crypto/tls; 0 is TLS 1.2 and the newest

	// Up is the delay from client to server, Down the one back: bytes are
	// delivered that much later, any number of them may be under way. With
	// either set, opening a connection costs one round trip more, as TCP does.
	Up, Down time.Duration

	// Memory means no socket at all: connections come from Server.Pipe only.
	// It allows testing/synctest, where sockets would stop the virtual clock.
	Memory bool

	Script func(Event) Action // nil: no faults
	Break  Breakage

	Keep       Keep
	Forget     bool // messages go to OnTaken and are not stored
	Transcript int  // bytes kept per connection; 64 KB when 0, none when negative
	// OnTaken is called once per message before its reply is written, from
	// the connection's goroutine.
	OnTaken func(Message)
}

const (
	defaultMaxSize    = 50 << 20
	defaultTranscript = 64 << 10
)

func (c *Config) fill() error {
	if c.Host == "" {
		c.Host = "mail.example"
	}
	if c.Mechanisms == nil {
		c.Mechanisms = []string{"PLAIN", "LOGIN"}
	}
	if c.MaxSize == 0 {
		c.MaxSize = defaultMaxSize
	}
	if c.Transcript == 0 {
		c.Transcript = defaultTranscript
	}
	if c.MinTLS == 0 {
		c.MinTLS = tls.VersionTLS12
	}
	if c.MaxTLS != 0 && c.MaxTLS < c.MinTLS {
		return errors.New("smtpscript: MaxTLS is below MinTLS")
	}
	if c.Up < 0 || c.Down < 0 {
		return errors.New("smtpscript: a delay cannot be negative")
	}
	return nil
}

func (c *Config) has(keyword string) bool {
	return !slices.ContainsFunc(c.Without, func(w string) bool { return strings.EqualFold(w, keyword) })
}

// Phase is where in the conversation a Script is asked.
type Phase = post.Phase

// The phases of package post that a server sees, and two more: NOOP, and every
// command that has no phase of its own.
const (
	PhaseConnect        = post.PhaseConnect
	PhaseGreeting       = post.PhaseGreeting
	PhaseEHLO           = post.PhaseEHLO
	PhaseSTARTTLS       = post.PhaseSTARTTLS
	PhaseTLS            = post.PhaseTLS
	PhaseAuth           = post.PhaseAuth
	PhaseMAIL           = post.PhaseMAIL
	PhaseRCPT           = post.PhaseRCPT
	PhaseDATA           = post.PhaseDATA
	PhaseBody           = post.PhaseBody
	PhaseDot            = post.PhaseDot
	PhaseRSET           = post.PhaseRSET
	PhaseQUIT           = post.PhaseQUIT
	PhaseNOOP     Phase = "noop"
	PhaseOther    Phase = "other"
)

// Event is one moment at which a Script may act.
//
// Phases come as the client reaches them: PhaseConnect (nothing said, nothing
// read), PhaseGreeting, PhaseEHLO (HELO too), PhaseSTARTTLS (its 220),
// PhaseTLS (before the handshake, both TLS modes), PhaseAuth (the exchange is
// read, its last reply is due), PhaseMAIL, PhaseRCPT, PhaseDATA (354 is due),
// PhaseBody (bytes of the body came; at least once for every body, even when
// the dot came with it), PhaseDot, PhaseRSET, PhaseNOOP, PhaseQUIT, PhaseOther.
type Event struct {
	Phase     Phase
	Conn      int    // connections from 1 in the order of acceptance
	Open      int    // connections open now, this one included
	Message   int    // MAIL commands on this connection so far
	Total     int    // MAIL commands on the server so far, this one included
	Sender    string // without angle brackets
	Rcpt      string // the recipient in hand, or the last one of this message
	Line      string // the command without CRLF; without arguments for AUTH
	BodyBytes int64  // bytes of body so far, as sent
	Default   string // what a correct server says here; lines split by \n
	Pipelined bool   // more input was waiting behind the command
	TLS       bool
	User      string // signed in as
}

// End is how a connection ends after an Action.
type End int

// The ends.
const (
	EndNone  End = iota // go on
	EndClose            // an orderly close: close_notify under TLS, then FIN
	EndCut              // FIN without close_notify
	EndReset            // RST; on a Pipe the same as EndCut
	EndStall            // silence: read and throw away, until the client or the server closes
)

// Take says whether the message is taken, whatever is replied to its dot.
type Take int

// The choices. TakeByReply takes it when the first byte of the reply is a 2.
const (
	TakeByReply Take = iota
	TakeIt
	LeaveIt
)

// Action is what to do at an Event. The zero value is what a correct server
// does. The fields apply in the order of their declaration.
//
// What the server then believes follows what it said: the sender, recipient or
// message counts as accepted when the first byte of the reply is a 2, DATA when
// it is a 3. Silence without an End keeps the effect of the default reply.
type Action struct {
	Hold <-chan struct{} // wait until it is closed
	Wait time.Duration   // wait before the reply; replies before this one go out first

	Before string // bytes before the reply, as they are
	// One of the next four replaces the default reply.
	Reply   string // "550 5.1.1 no such user"; further lines after \n make a multi-line reply
	Raw     string // bytes as they are, CRLF included or not
	Endless int    // a multi-line reply of 250- lines that ends after about this many bytes
	Silent  bool   // no reply
	After   string // bytes after the reply in the same write, as they are; at PhaseSTARTTLS: injected plain text

	Drip time.Duration // send the reply one byte at a time with this pause

	Take Take // PhaseDot only

	Tarpit     bool // from here on read slowly: a small window and TarpitRate
	TarpitRate int  // bytes a second; 0 is never again

	End End
}

// class is the first digit of what the client is told, 0 when that is none.
func (a Action) class(def string) byte {
	said := def
	switch {
	case a.Raw != "":
		said = a.Raw
	case a.Endless > 0:
		said = ""
	case a.Reply != "":
		said = a.Reply
	case a.Silent && a.End != EndNone:
		said = ""
	}
	if said == "" || said[0] < '2' || said[0] > '5' {
		return 0
	}
	return said[0]
}

func (a Action) takes(def string) bool {
	return a.Take == TakeIt || a.Take == TakeByReply && a.class(def) == '2'
}

// Reply answers with text, e.g. "451 4.7.1 try again later".
func Reply(text string) Action { return Action{Reply: text} }

// Raw answers with these bytes and nothing else.
func Raw(bytes string) Action { return Action{Raw: bytes} }

// Hang ends the connection without a reply.
func Hang(end End) Action { return Action{Silent: true, End: end} }

// Then returns a with another end.
func (a Action) Then(end End) Action { a.End = end; return a }

// At returns a Script that does a at every event of phase.
func At(phase Phase, a Action) func(Event) Action {
	return func(ev Event) Action {
		if ev.Phase == phase {
			return a
		}
		return Action{}
	}
}

// Once returns a Script that does a at the first event of phase only.
func Once(phase Phase, a Action) func(Event) Action {
	done := false
	return func(ev Event) Action {
		if done || ev.Phase != phase {
			return Action{}
		}
		done = true
		return a
	}
}

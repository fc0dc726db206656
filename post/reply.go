package post

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Phase is where in a conversation with a server something happened.
type Phase string

// The phases of a session (RFC 5321 3, RFC 3207, RFC 4954) in their order.
const (
	PhaseSecret   Phase = "secret" // the keyring or password command, before connecting
	PhaseRender   Phase = "render" // the message itself was being built
	PhaseResolve  Phase = "resolve"
	PhaseConnect  Phase = "connect"
	PhaseGreeting Phase = "greeting"
	PhaseEHLO     Phase = "ehlo"
	PhaseSTARTTLS Phase = "starttls"
	PhaseTLS      Phase = "tls"
	PhaseAuth     Phase = "auth"
	PhaseMAIL     Phase = "mail"
	PhaseRCPT     Phase = "rcpt"
	PhaseDATA     Phase = "data" // the command's own reply, 354 expected
	PhaseBody     Phase = "body" // content is being written, the dot is not out
	PhaseDot      Phase = "dot"  // the reply to the end of the content
	PhaseRSET     Phase = "rset"
	PhaseQUIT     Phase = "quit"
)

// Reply is one SMTP reply (RFC 5321 4.2). Code is 0 when there was none.
type Reply struct {
	Code     int
	Enhanced string // RFC 3463, e.g. "5.1.1"; empty when the text does not begin with one
	Text     string // cleaned, at most MaxReplyText bytes, without code and enhanced code
}

// MaxReplyText is how much of a server's text is kept, in bytes.
const MaxReplyText = 500

// IsZero reports whether there was no reply.
func (r Reply) IsZero() bool { return r.Code == 0 && r.Text == "" }

// Class returns the first digit of the code.
func (r Reply) Class() int { return r.Code / 100 }

// String returns the reply on one line, e.g. "550 5.1.1 user unknown".
func (r Reply) String() string {
	if r.Code == 0 {
		return r.Text
	}
	b := make([]byte, 0, 16+len(r.Text))
	b = append(b, byte('0'+r.Code/100%10), byte('0'+r.Code/10%10), byte('0'+r.Code%10))
	if r.Enhanced != "" {
		b = append(append(b, ' '), r.Enhanced...)
	}
	if r.Text != "" {
		b = append(append(b, ' '), r.Text...)
	}
	return string(b)
}

// NewReply splits off an enhanced status code, which counts only at the very
// start of the text and only when its class is the code's (RFC 2034 4), and
// cleans the rest.
func NewReply(code int, text string) Reply {
	text = strings.TrimLeft(text, " ")
	enhanced, rest := splitEnhanced(text)
	if enhanced == "" || int(enhanced[0]-'0') != code/100 {
		return Reply{Code: code, Text: CleanReply(text)}
	}
	return Reply{Code: code, Enhanced: enhanced, Text: CleanReply(rest)}
}

// splitEnhanced takes "class.subject.detail" (RFC 3463 2) off the front of s.
func splitEnhanced(s string) (code, rest string) {
	end := strings.IndexByte(s, ' ')
	if end < 0 {
		end = len(s)
	}
	parts := strings.Split(s[:end], ".")
	if len(parts) != 3 {
		return "", s
	}
	for i, p := range parts {
		if p == "" || len(p) > 3 || i == 0 && (len(p) != 1 || strings.IndexByte("245", p[0]) < 0) {
			return "", s
		}
		for j := range len(p) {
			if p[j] < '0' || p[j] > '9' {
				return "", s
			}
		}
	}
	return s[:end], strings.TrimLeft(s[end:], " ")
}

// CleanReply makes a server's text fit to keep and to show: valid UTF-8, no
// control characters (each becomes a space), no bidirectional or other
// invisible formatting characters (each becomes "?"), at most MaxReplyText
// bytes, cut at a rune.
func CleanReply(s string) string {
	clean := true
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f {
			clean = false
			break
		}
	}
	if !clean {
		s = strings.Map(func(r rune) rune {
			switch {
			case r == utf8.RuneError:
				return '?'
			case unicode.IsControl(r):
				return ' '
			case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r):
				return '?'
			}
			return r
		}, s)
	}
	s = strings.TrimSpace(s)
	if len(s) <= MaxReplyText {
		return s
	}
	cut := MaxReplyText
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

// hasControl reports C0, DEL or C1 control characters, which have no place in
// an address, a name or a header.
func hasControl(s string) bool { return strings.IndexFunc(s, unicode.IsControl) >= 0 }

package accounts

import (
	"slices"
	"strconv"
	"strings"
)

// Extensions is what a server offered in its reply to EHLO (RFC 5321 4.1.1.1).
// Keywords we do not know are left out; case does not matter.
type Extensions struct {
	Pipelining          bool     `json:"pipelining,omitempty"`            // RFC 2920
	EightBitMIME        bool     `json:"eight_bit_mime,omitempty"`        // RFC 6152
	SMTPUTF8            bool     `json:"smtputf8,omitempty"`              // RFC 6531
	DSN                 bool     `json:"dsn,omitempty"`                   // RFC 3461
	Chunking            bool     `json:"chunking,omitempty"`              // RFC 3030
	StartTLS            bool     `json:"starttls,omitempty"`              // RFC 3207
	EnhancedStatusCodes bool     `json:"enhanced_status_codes,omitempty"` // RFC 2034
	Size                int64    `json:"size,omitempty"`                  // RFC 1870, bytes; 0: none given
	Auth                []string `json:"auth,omitempty"`                  // RFC 4954, upper case, as offered
	Keywords            []string `json:"keywords,omitempty"`              // the known ones as offered, upper case, e.g. "SIZE 35882577"
}

// maxEHLOLines and maxMechanisms bound what is kept of a server's offer.
const (
	maxEHLOLines  = 100
	maxMechanisms = 32
)

// add takes one line of the reply, without its code.
func (e *Extensions) add(text []byte) {
	fields := strings.Fields(strings.ToUpper(string(text)))
	if len(fields) == 0 {
		return
	}
	keyword, params := fields[0], fields[1:]
	switch {
	case keyword == "PIPELINING":
		e.Pipelining = true
	case keyword == "8BITMIME":
		e.EightBitMIME = true
	case keyword == "SMTPUTF8":
		e.SMTPUTF8 = true
	case keyword == "DSN":
		e.DSN = true
	case keyword == "CHUNKING":
		e.Chunking = true
	case keyword == "STARTTLS":
		e.StartTLS = true
	case keyword == "ENHANCEDSTATUSCODES":
		e.EnhancedStatusCodes = true
	case keyword == "SIZE":
		e.addSize(params)
	case keyword == "AUTH":
		e.addAuth(params)
	case strings.HasPrefix(keyword, "AUTH="): // older servers say it this way
		e.addAuth(append([]string{strings.TrimPrefix(keyword, "AUTH=")}, params...))
		keyword = "AUTH"
	default:
		return
	}
	line := keyword
	switch {
	case keyword == "AUTH":
		line = strings.Join(append([]string{"AUTH"}, e.Auth...), " ")
	case keyword == "SIZE" && e.Size > 0:
		line = "SIZE " + strconv.FormatInt(e.Size, 10)
	}
	for i, k := range e.Keywords {
		if first, _, _ := strings.Cut(k, " "); first == keyword { // said twice
			e.Keywords[i] = line
			return
		}
	}
	e.Keywords = append(e.Keywords, line)
}

func (e *Extensions) addSize(params []string) {
	if len(params) == 0 {
		return
	}
	if n, err := strconv.ParseInt(params[0], 10, 64); err == nil && n > 0 {
		e.Size = n
	}
}

// addAuth keeps names that are SASL mechanisms by their form (RFC 4422 3.1).
func (e *Extensions) addAuth(names []string) {
	for _, name := range names {
		if len(e.Auth) < maxMechanisms && isMechanism(name) && !slices.Contains(e.Auth, name) {
			e.Auth = append(e.Auth, name)
		}
	}
}

func isMechanism(s string) bool {
	if s == "" || len(s) > 20 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !digit(c) && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// readEHLO parses the lines of a reply to EHLO as they come; the first line is
// the server's name.
type readEHLO struct {
	ext   Extensions
	lines int
}

func (r *readEHLO) line(text []byte) {
	if r.lines++; r.lines > 1 && r.lines <= maxEHLOLines {
		r.ext.add(text)
	}
}

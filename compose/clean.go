package compose

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// cleanText makes text fit for a message body: valid UTF-8, "\n" as the only
// line end, no control characters but that and the tab.
func cleanText(s string) string {
	if isCleanText(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteRune(utf8.RuneError)
		case r == '\r':
			if i >= len(s) || s[i] != '\n' {
				b.WriteByte('\n')
			}
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case unicode.IsControl(r): // C0, DEL and C1
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isCleanText(s string) bool {
	ascii := true
	for i := range len(s) {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			ascii = false
		case c < ' ' && c != '\n' && c != '\t', c == 0x7f:
			return false
		}
	}
	if ascii {
		return true
	}
	if !utf8.ValidString(s) {
		return false
	}
	for i := 0; i+1 < len(s); i++ {
		if s[i] == 0xc2 && s[i+1] < 0xa0 { // U+0080 to U+009F
			return false
		}
	}
	return true
}

// cleanValue makes a merge value fit for a body. White space alone is nothing.
func cleanValue(s string) string {
	s = cleanText(s)
	if s == "" || s[0] > ' ' && s[0] < utf8.RuneSelf {
		return s
	}
	if strings.TrimSpace(s) == "" {
		return ""
	}
	return s
}

// cleanHeader makes a value fit for one header field: cleaned, line ends and
// tabs as spaces, none at either end.
func cleanHeader(s string) string {
	s = cleanText(s)
	if strings.ContainsAny(s, "\n\t") {
		s = strings.Map(func(r rune) rune {
			if r == '\n' || r == '\t' {
				return ' '
			}
			return r
		}, s)
	}
	return strings.TrimSpace(s)
}

// maxName is how much of a display name is kept, in bytes.
const maxName = 200

// cleanName makes a display name: as cleanHeader, without the invisible
// characters that could make it read as another name, at most maxName bytes.
func cleanName(s string) string {
	s = cleanHeader(s)
	if !isASCII(s) {
		s = strings.Map(func(r rune) rune {
			if isBidi(r) {
				return -1
			}
			return r
		}, s)
	}
	return strings.TrimSpace(cutAtRune(s, maxName))
}

// isBidi reports the characters that reorder or hide text (UAX 9 2, and the
// byte order mark).
func isBidi(r rune) bool {
	return r == 0x61c || r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e ||
		r >= 0x2066 && r <= 0x2069 || r == 0xfeff
}

// cutAtRune cuts s to at most n bytes without cutting a character.
func cutAtRune(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

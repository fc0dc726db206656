package compose

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"postroom/post"
)

const (
	maxHeaderLine = 78 // RFC 5322 2.1.1
	maxWordLine   = 76 // a line that holds an encoded word, RFC 2047 2
	maxWord       = 75 // an encoded word, RFC 2047 2
)

// appendUnstructured appends an unstructured header field, folded. value is clean
// (see cleanHeader).
func appendUnstructured(dst []byte, name, value string) []byte {
	dst = append(append(dst, name...), ':', ' ')
	if isPlainHeader(value, len(name)+2) {
		dst, _ = appendFolded(dst, value, len(name)+2)
	} else {
		dst, _ = appendWords(dst, value, len(name)+2)
	}
	return append(dst, '\r', '\n')
}

// isPlainHeader reports whether value can go out as it is: ASCII, single
// spaces, nothing that reads as an encoded word, and no word so long that a
// line could not be folded.
func isPlainHeader(value string, col int) bool {
	word := col
	for i := range len(value) {
		switch c := value[i]; {
		case c == ' ':
			if i == 0 || i == len(value)-1 || value[i+1] == ' ' {
				return false
			}
			word = 1
			continue
		case c < ' ' || c >= 0x7f:
			return false
		case c == '=' && i+1 < len(value) && value[i+1] == '?':
			return false
		}
		if word++; word > maxHeaderLine {
			return false
		}
	}
	return true
}

// appendFolded appends plain text, breaking lines before a space (RFC 5322
// 2.2.3). col is the column it starts in; the one it ends in is returned.
func appendFolded(dst []byte, s string, col int) ([]byte, int) {
	for i := 0; i < len(s); {
		end := i + 1
		for end < len(s) && s[end] != ' ' {
			end++
		}
		if s[i] == ' ' && col+end-i > maxHeaderLine {
			dst = append(dst, '\r', '\n')
			col = 0
		}
		dst = append(dst, s[i:end]...)
		col += end - i
		i = end
	}
	return dst, col
}

const (
	wordStartQ = "=?UTF-8?Q?"
	wordStartB = "=?UTF-8?B?"
	wordEnd    = "?="
)

// appendWords appends s as encoded words (RFC 2047), Q or B, whichever is
// shorter, split between characters. White space between adjacent encoded
// words is not part of the text (6.2), so that folding adds nothing.
func appendWords(dst []byte, s string, col int) ([]byte, int) {
	quoted := 0
	for i := range len(s) {
		quoted += qWidth(s[i])
	}
	useB := (len(s)+2)/3*4 < quoted
	for first := true; s != "" || first; first = false {
		room := min(maxWordLine-col, maxWord) - len(wordStartQ) - len(wordEnd)
		n := fitWord(s, room, useB)
		if n == 0 && s != "" {
			dst = append(dst, '\r', '\n', ' ')
			col = 1
			continue
		}
		start := len(dst)
		dst = appendWord(dst, s[:n], useB)
		col += len(dst) - start
		s = s[n:]
	}
	return dst, col
}

// fitWord returns how many bytes of s, in whole characters, fit into room
// columns of encoded text.
func fitWord(s string, room int, useB bool) int {
	width, n := 0, 0
	for n < len(s) {
		_, size := utf8.DecodeRuneInString(s[n:])
		w := width
		if useB {
			w = (n + size + 2) / 3 * 4
		} else {
			for i := n; i < n+size; i++ {
				w += qWidth(s[i])
			}
		}
		if w > room {
			break
		}
		width = w
		n += size
	}
	return n
}

func appendWord(dst []byte, s string, useB bool) []byte {
	if useB {
		dst = append(dst, wordStartB...)
		dst = base64.StdEncoding.AppendEncode(dst, []byte(s))
		return append(dst, wordEnd...)
	}
	dst = append(dst, wordStartQ...)
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ':
			dst = append(dst, '_')
		case qWidth(c) == 1:
			dst = append(dst, c)
		default:
			dst = append(dst, '=', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(dst, wordEnd...)
}

// qWidth returns how many columns a byte takes in the Q encoding. The set is
// the small one that is allowed in display names too (RFC 2047 5 (3)).
func qWidth(c byte) int {
	if c == ' ' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!*+-/", c) >= 0 {
		return 1
	}
	return 3
}

// appendMailbox appends a header field that holds one mailbox (RFC 5322 3.4):
// a bare address, or a display name and the address in angle brackets. name is
// clean (see cleanName). Letters beyond ASCII in the local part go out as they
// are (RFC 6532); the mailer sees to SMTPUTF8.
func appendMailbox(dst []byte, field, name string, a post.Address) []byte {
	dst = append(append(dst, field...), ':', ' ')
	if name == "" {
		dst = append(append(append(dst, a.Local...), '@'), a.ASCII...)
		return append(dst, '\r', '\n')
	}
	col := len(field) + 2
	switch {
	case isPhrase(name) && isPlainHeader(name, col):
		dst, col = appendFolded(dst, name, col)
	case isPlainHeader(name, col+2) && col+len(name)+2+strings.Count(name, `"`)+strings.Count(name, `\`) <= maxHeaderLine:
		start := len(dst)
		dst = append(dst, '"')
		for i := range len(name) {
			if name[i] == '"' || name[i] == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, name[i])
		}
		dst = append(dst, '"')
		col += len(dst) - start
	default:
		dst, col = appendWords(dst, name, col)
	}
	if col+len(a.Local)+len(a.ASCII)+4 > maxWordLine {
		dst = append(dst, '\r', '\n')
	}
	dst = append(append(dst, ' ', '<'), a.Local...)
	dst = append(append(dst, '@'), a.ASCII...)
	return append(dst, '>', '\r', '\n')
}

// isPhrase reports whether name is atoms and single spaces (RFC 5322 3.2.3),
// which need no quotes.
func isPhrase(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.IndexByte(" !#$%&'*+-/?^_`{|}~", c) >= 0) {
			return false
		}
	}
	return true
}

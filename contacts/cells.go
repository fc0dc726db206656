package contacts

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"postroom/post"
)

const (
	maxNameRunes = 200
	maxShown     = 200 // bytes of a value that a problem shows
)

// trimCell takes white space off both ends, the invisible kinds included.
func trimCell(s string) string {
	if s == "" {
		return s
	}
	first, last := s[0], s[len(s)-1]
	if first > ' ' && first < 0x7F && last > ' ' && last < 0x7F {
		return s
	}
	return strings.TrimFunc(s, isBlank)
}

// isPlain reports text of printable ASCII alone, which needs no cleaning.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7F {
			return false
		}
	}
	return true
}

// isClean reports trimmed text that cleanTextCell and cleanLineCell leave as it is, and
// that holds no sign of damage.
func isClean(s string) bool {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c < ' ' || c == 0x7F {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r < 0xA0, r == utf8.RuneError: // control characters; damage, or no UTF-8
			return false
		case 0x061C <= r && r <= 0x2069 && unicode.Is(unicode.Bidi_Control, r):
			return false
		}
		i += n
	}
	return true
}

// cleanTextCell removes control characters from a field's value and says
// whether there were any. Line breaks stay: a postal address has some.
func cleanTextCell(s string) (string, bool) {
	if isPlain(s) {
		return s, false
	}
	dirty := false
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || !unicode.IsControl(r):
			return r
		case unicode.IsSpace(r):
			dirty = true
			return ' '
		}
		dirty = true
		return -1
	}, s)
	return trimCell(s), dirty
}

// cleanLineCell is cleanTextCell for what must stand on one line, such as a
// name; characters that turn the direction of reading go too.
func cleanLineCell(s string) (string, bool) {
	if isPlain(s) {
		return s, false
	}
	s, dirty := cleanTextCell(s)
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			dirty = true
			return ' '
		case unicode.Is(unicode.Bidi_Control, r):
			dirty = true
			return -1
		}
		return r
	}, s)
	return trimCell(s), dirty
}

// cutName shortens a name to what a header and a window can hold.
func cutName(s string) (string, bool) {
	if len(s) <= maxNameRunes || utf8.RuneCountInString(s) <= maxNameRunes {
		return s, false
	}
	return trimCell(string([]rune(s)[:maxNameRunes])), true
}

// addressLike finds what looks like an address within text.
var addressLike = regexp.MustCompile(`[^\s<>,;:"'()\[\]/|\\]+@[^\s<>,;:"'()\[\]/|\\]+`)

// parseAddressCell reads the address of a row and the name that may stand
// beside it ("Anna <anna@example.com>"). cell is trimmed. A reason that is not
// zero says why the row cannot be taken.
func parseAddressCell(cell string) (name string, a post.Address, why post.Reason) {
	cell = strings.TrimRight(cell, " ,;")
	if len(cell) > 7 && strings.EqualFold(cell[:7], "mailto:") { // RFC 6068
		cell = trimCell(cell[7:])
	}
	if cell == "" {
		return "", post.Address{}, post.Reason{Key: "contacts.no_address"}
	}
	if strings.ContainsRune(cell, utf8.RuneError) {
		return "", post.Address{}, post.Reason{Key: "contacts.address_damaged"}
	}
	name, a, err := post.ParseMailbox(cell)
	if err == nil && !strings.ContainsFunc(cell, unicode.IsControl) {
		return name, a, post.Reason{}
	}
	return explainAddress(cell)
}

// explainAddress finds out why a cell is not one address. It lets those pass
// that name the same address twice, as mail programs export it: a@b <a@b>.
func explainAddress(cell string) (string, post.Address, post.Reason) {
	found := addressLike.FindAllString(cell, 3)
	if len(found) > 1 {
		first, err := post.ParseAddress(found[0])
		second, err2 := post.ParseAddress(found[1])
		same := err == nil && err2 == nil && len(found) == 2 && post.AddressKey(first) == post.AddressKey(second)
		if same && strings.HasSuffix(cell, "<"+found[1]+">") && isPlain(cell) {
			return "", second, post.Reason{}
		}
		return "", post.Address{}, post.Reason{Key: "contacts.two_addresses"}
	}
	key := "contacts.address_local"
	at := strings.LastIndexByte(cell, '@')
	switch {
	case strings.ContainsFunc(cell, unicode.IsControl):
		key = "contacts.address_control"
	case at < 0:
		key = "contacts.address_no_at"
	case len(cell) > 320:
		key = "contacts.address_long"
	default:
		if _, err := post.ParseAddress("x@" + strings.TrimRight(cell[at+1:], ">")); err != nil {
			key = "contacts.address_domain"
		}
	}
	return "", post.Address{}, post.Reason{Key: key}
}

// A spreadsheet takes a cell that begins with one of these for a formula.
const formulaStart = "=+-@\t\r\n＝＋－＠"

// isFormula reports whether a line would be taken for one, or would be if the
// apostrophes at its front were taken off.
func isFormula(line string) bool {
	line = strings.TrimLeftFunc(strings.TrimLeft(line, "'"), func(r rune) bool {
		return unicode.IsSpace(r) && !strings.ContainsRune("\t\r\n", r)
	})
	r, n := utf8.DecodeRuneInString(line)
	return n > 0 && strings.ContainsRune(formulaStart, r)
}

// escapeCell puts an apostrophe before each line of a cell that a spreadsheet
// would run. Lines that have such apostrophes already get one more, so that
// unescapeCell gives back exactly what was there.
func escapeCell(s string) string {
	if front := strings.TrimLeft(s, " "); front != "" && (front[0] == '\n' || front[0] == '\r') {
		s = "'" + s // no value of ours begins so, but a spreadsheet must not meet it
	}
	return eachLine(s, func(line string) string {
		if isFormula(line) {
			return "'" + line
		}
		return line
	})
}

// unescapeCell takes the apostrophes of escapeCell off again. Other programs
// write the same mark, so it is taken off of their files too.
func unescapeCell(s string) string {
	if !strings.Contains(s, "'") {
		return s
	}
	return eachLine(s, func(line string) string {
		if strings.HasPrefix(line, "'") && isFormula(line) {
			return line[1:]
		}
		return line
	})
}

func eachLine(s string, f func(string) string) string {
	if !strings.ContainsAny(s, "\n\r") {
		return f(s)
	}
	var b strings.Builder
	for len(s) > 0 {
		end := strings.IndexAny(s, "\n\r")
		if end < 0 {
			end = len(s)
		}
		b.WriteString(f(s[:end]))
		if end < len(s) {
			b.WriteByte(s[end])
			end++
		}
		s = s[end:]
	}
	return b.String()
}

// show makes a value fit for a report: cleaned, and cut at maxShown bytes.
func show(s string) string {
	if len(s) > maxShown {
		cut := maxShown
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return post.CleanReply(s)
}

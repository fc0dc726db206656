package post

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// FoldText returns s in the form in which text is searched: NFC, without
// regard to case.
func FoldText(s string) string {
	plain, upper := true, false
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			upper = upper || 'A' <= c && c <= 'Z'
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if !foldsAlone(r) {
			plain = false
			break
		}
		upper = upper || unicode.IsUpper(r)
		i += n
	}
	switch {
	case !plain:
		return norm.NFC.String(cases.Fold().String(norm.NFC.String(s)))
	case upper:
		return strings.ToLower(s)
	}
	return s
}

// foldsAlone reports letters that fold to their lower case, one to one, and that
// NFC leaves as they are whatever plain letter stands beside them: most of what
// names are written in, so that the tables are not asked.
func foldsAlone(r rune) bool {
	switch {
	case 0xC0 <= r && r <= 0x17F:
		return r != 'ß' && r != 'İ' && r != 'ŉ' && r != 'ſ'
	case 0x400 <= r && r <= 0x45F: // Cyrillic
		return true
	case 0x3041 <= r && r <= 0x3096, 0x30A1 <= r && r <= 0x30FA: // Hiragana and Katakana; their sound marks are not among these
		return true
	case 0x4E00 <= r && r <= 0x9FFF, 0xAC00 <= r && r <= 0xD7A3: // Han; Hangul in whole syllables
		return true
	}
	return false
}

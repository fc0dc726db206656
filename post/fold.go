package post

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// FoldText returns s in the form in which text is searched: NFC, without
// regard to case.
func FoldText(s string) string {
	var room [256]byte
	folded := AppendFolded(room[:0], s)
	if string(folded) == s {
		return s
	}
	return string(folded)
}

// AppendFolded writes FoldText of s behind b.
func AppendFolded(b []byte, s string) []byte {
	from := len(b)
	b = append(b, s...)
	text := b[from:]
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				text[i] = c + ('a' - 'A')
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		folded, ok := foldAlone(r)
		if !ok {
			return append(b[:from], norm.NFC.String(cases.Fold().String(norm.NFC.String(s)))...)
		}
		if folded != r {
			utf8.EncodeRune(text[i:], folded) // in as many bytes
		}
		i += n
	}
	return b
}

// foldAlone folds letters that fold to one lower-case letter of the same length, and
// that NFC leaves as they are whatever plain letter stands beside them: most of what
// names are written in, so that the tables are not asked.
func foldAlone(r rune) (folded rune, ok bool) {
	switch {
	case 0x4E00 <= r && r <= 0x9FFF, 0xAC00 <= r && r <= 0xD7A3: // Han; Hangul in whole syllables
		return r, true
	case 0xC0 <= r && r <= 0xFE && r != 'ß':
		if r <= 0xDE && r != '×' {
			r += 'ä' - 'Ä'
		}
		return r, true
	case 0xFF <= r && r <= 0x17F && r != 'İ' && r != 'ŉ' && r != 'ſ', 0x400 <= r && r <= 0x45F: // the last are Cyrillic
		return unicode.ToLower(r), true
	case 0x3041 <= r && r <= 0x3096, 0x30A1 <= r && r <= 0x30FA: // Hiragana and Katakana; their sound marks are not among these
		return r, true
	}
	return r, false
}

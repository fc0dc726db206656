package contacts

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// TestCleanCells: what is taken for clean is what cleaning leaves as it is, for every
// letter and for random text; and names are taken for it.
func TestCleanCells(t *testing.T) {
	check := func(fatalf func(string, ...any), s string) {
		if s = trimCell(s); !isClean(s) {
			return
		}
		text, dirtyText := cleanTextCell(s)
		line, dirtyLine := cleanLineCell(s)
		if text != s || dirtyText || line != s || dirtyLine || strings.ContainsRune(s, utf8.RuneError) {
			fatalf("%q is taken for clean, and becomes %q and %q", s, text, line)
		}
	}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		check(t.Fatalf, "a"+string(r)+"b")
		if wide := r > 0xFF && unicode.IsSpace(r); wide && !isBlank(r) {
			t.Fatalf("U+%04X is not blank", r)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		part := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\xff", "\xc3", "\u202e", "\u200b", "\n", "\x7f", "ä"}))
		check(rt.Fatalf, strings.Join(rapid.SliceOf(part).Draw(rt, "text"), ""))
	})
	for _, s := range []string{"", "Anna Köhler 17", "王小明", "O'Brien", "Łukasz", "Мария", "O’Neill"} {
		if !isClean(s) {
			t.Errorf("%q is not taken for clean", s)
		}
	}
}

package post

import (
	"testing"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func foldByTables(s string) string {
	return norm.NFC.String(cases.Fold().String(norm.NFC.String(s)))
}

// TestFoldText compares the short way with the tables: for every letter alone,
// and for random ones beside each other.
func TestFoldText(t *testing.T) {
	for r := rune(0); r <= 0x1FFFF; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		for _, s := range []string{string(r), "a" + string(r) + "b", string(r) + string(r), "é" + string(r)} {
			if got, want := FoldText(s), foldByTables(s); got != want {
				t.Fatalf("%q (U+%04X): %q, want %q", s, r, got, want)
			}
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		letter := rapid.OneOf(rapid.RuneFrom([]rune("aAzZäÄßİıÖéÉЯяЁё王小가각は\u3099\u0301\u0308\u1100\u1161\u11A8ÀÿŸſŉ")), rapid.Rune())
		s := rapid.StringOf(letter).Draw(rt, "text")
		if got, want := FoldText(s), foldByTables(s); got != want {
			rt.Fatalf("%q: %q, want %q", s, got, want)
		}
		before := rapid.StringOf(letter).Draw(rt, "what stands before it")
		if got, want := string(AppendFolded([]byte(before), s)), before+foldByTables(s); got != want {
			rt.Fatalf("%q behind %q: %q, want %q", s, before, got, want)
		}
	})
}

func BenchmarkFoldText(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		FoldText("user17@example7.com\nAnna Köhler 17\nBerlin\nlikes tulips, roses\n01234")
	}
}

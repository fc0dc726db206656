package storage

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postroom/post"
)

// TestStageKeepsRows: rows come back in the order of their keys, those of one key as
// they were added, each as it was and with the text that its contact is found by,
// whatever the runs and blocks they lie in.
func TestStageKeepsRows(t *testing.T) {
	dir := t.TempDir()
	most := runBytes
	t.Cleanup(func() { runBytes = most })
	text := rapid.OneOf(
		rapid.StringOf(rapid.OneOf(rapid.RuneFrom([]rune("abÄß王가 İ\n\"\\<\x00\u0301\u0308\u3099\u2028")), rapid.Rune())),
		rapid.Map(rapid.StringMatching("[a-c]{1,9}"), func(s string) string { return strings.Repeat(s, 7000) }), // longer than a block
		rapid.Map(rapid.IntRange(0, 70), func(n int) string { return "a" + strings.Repeat("\u0301", n) }),
		rapid.Just("\xff"),
	)
	key := rapid.OneOf(rapid.StringMatching("user[0-2]{1,3}@example[0-2]{1,9}"), rapid.StringN(1, 12, -1), rapid.StringMatching("a\x00{0,20}"))
	row := rapid.Custom(func(t *rapid.T) post.Contact {
		return post.Contact{
			Address: text.Draw(t, "address"), Key: key.Draw(t, "key"), Name: text.Draw(t, "name"),
			Fields: rapid.MapOfN(rapid.OneOf(rapid.SampledFrom([]string{"city", "zip", "note"}), text), text, 0, 4).Draw(t, "fields"),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		runBytes = rapid.SampledFrom([]int{1, 300, most}).Draw(rt, "bytes of a run")
		rows := rapid.SliceOfN(row, 0, 30).Draw(rt, "rows")
		s, err := newStage(dir)
		if err != nil {
			rt.Fatal(err)
		}
		for _, c := range rows {
			if err := s.add(c); err != nil {
				rt.Fatal(err)
			}
		}
		if err := s.end(); err != nil {
			rt.Fatal(err)
		}
		slices.SortStableFunc(rows, func(a, b post.Contact) int { return cmp.Compare(a.Key, b.Key) })
		for got, err := range s.sorted("") {
			if err != nil || len(rows) == 0 {
				rt.Fatalf("%q more than was added (%v)", got, err)
			}
			want, werr := stagedOf(rows[0])
			if werr != nil || got != want {
				rt.Fatalf("%q, want %q (%v)", got, want, werr)
			}
			c, err := got.contact()
			if err != nil {
				rt.Fatal(err)
			}
			search, err := got.searchText(func(string) {})
			if want := searchText(c); err != nil || search != want {
				rt.Fatalf("%q is found by %q, want %q (%v)", got, search, want, err)
			}
			rows = rows[1:]
		}
		if len(rows) > 0 {
			rt.Fatalf("%v did not come back", rows)
		}
		if err := s.drop(); err != nil {
			rt.Fatal(err)
		}
	})
}

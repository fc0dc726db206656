package widgets

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// checkScript compares a script with the text that it should hold, and its rows
// with what rows are.
func checkScript(t *testing.T, s *script, want string) {
	t.Helper()
	if got := s.text(); got != want {
		t.Fatalf("the text is %q, want %q", got, want)
	}
	if s.len() != len([]rune(want)) {
		t.Fatalf("length %d, want %d", s.len(), len([]rune(want)))
	}
	all := []rune(want)
	at := 0
	for row := range s.rows() {
		from, to := s.span(row)
		if from != at {
			t.Fatalf("row %d begins at %d, want %d in %q", row, from, at, want)
		}
		if w := s.length(all[from:to]); w > s.width && strings.TrimRight(string(all[from:to]), " ") != "" && to-from > 1 && s.length([]rune(strings.TrimRight(string(all[from:to]), " "))) > s.width {
			t.Fatalf("row %d is %v wide: %q", row, w, string(all[from:to]))
		}
		for _, p := range []int{from, s.lastIn(row)} {
			if r, col := s.row(p); r != row || col != p-from {
				t.Fatalf("place %d is in row %d column %d, want %d and %d, in %q", p, r, col, row, p-from, want)
			}
			if got := s.near(row, s.x(p)); got != p {
				t.Fatalf("place %d of row %d lies at %v, where %d is", p, row, s.x(p), got)
			}
		}
		if at = to; at < len(all) && all[at] == '\n' {
			at++
		}
	}
	if at != len(all) {
		t.Fatalf("the rows end at %d of %d", at, len(all))
	}
}

// A script is a text: random changes leave in it what they leave in a string,
// taking all of them back leaves what was there at first, and making them again
// what was there at last.
func TestScriptIsText(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	bits := []string{"a", "word ", "\n", "你好，", "\n\n", "longlonglonglonglong", " ", "{{x}}", "🎉", "\t", ""}
	for range 60 {
		s := newScript(func(r rune) float32 {
			if isWide(r) {
				return 12
			}
			return 7
		})
		s.fit(float32(20 + r.IntN(200)))
		first := strings.Repeat("one two\n", r.IntN(4))
		s.set(first)
		text := []rune(first)
		for range 80 {
			from := r.IntN(len(text) + 1)
			to := from
			if r.IntN(3) == 0 {
				to = min(len(text), from+r.IntN(9))
			}
			fresh := []rune(bits[r.IntN(len(bits))])
			typed := len(fresh) == 1 || len(fresh) == 0
			s.replace(from, to, fresh, typed)
			text = append(append(append([]rune{}, text[:from]...), fresh...), text[to:]...)
			checkScript(t, s, string(text))
			if r.IntN(12) == 0 {
				s.fit(float32(20 + r.IntN(200)))
			}
		}
		last := s.text()
		for range 200 {
			s.undo()
		}
		checkScript(t, s, first)
		for range 200 {
			s.redo()
		}
		checkScript(t, s, last)
	}
}

// What was typed is taken back by the word.
func TestScriptUndoByWord(t *testing.T) {
	s := newScript(func(rune) float32 { return 7 })
	for i, r := range []rune("Dear guest,\nwelcome") {
		s.replace(i, i, []rune{r}, true)
	}
	for _, want := range []string{"Dear guest,\n", "Dear guest,", "Dear ", ""} {
		if _, _, ok := s.undo(); !ok || s.text() != want {
			t.Fatalf("undo leaves %q, want %q", s.text(), want)
		}
	}
	for range 3 {
		s.redo()
	}
	if s.text() != "Dear guest,\n" {
		t.Errorf("redo leaves %q", s.text())
	}
	s.replace(0, 0, []rune("X"), true)
	if _, ok := s.redo(); ok {
		t.Error("what was taken back comes again after something else was written")
	}
	// Backspaces go together, too.
	s.set("abcdef")
	for i := 6; i > 3; i-- {
		s.replace(i-1, i, nil, true)
	}
	if from, to, ok := s.undo(); !ok || s.text() != "abcdef" || from != 3 || to != 6 {
		t.Errorf("%q %d %d", s.text(), from, to)
	}
}

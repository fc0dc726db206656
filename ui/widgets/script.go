package widgets

import (
	"slices"
	"sort"
	"strings"
	"unicode"
)

// script is the text of a TextArea: paragraphs that are cut into rows of a
// width, and what was changed in them, to be taken back. Places in it are counted
// in characters (runes) from the beginning of the text, line ends included.
//
// A change looks again at the paragraphs that it touches only, so that a key
// costs the same in a short text and in a long one.
type script struct {
	lines   []paragraph
	width   float32 // that rows may have; 0: not known, a row is a paragraph
	advance func(rune) float32
	past    []change
	future  []change
	open    bool // the last change goes on with the next key
}

// paragraph is a line of the text without its end.
type paragraph struct {
	text []rune
	ends []int // where its rows end; the last is len(text)
	row  int   // the number of its first row
	at   int   // the place where it begins
}

// change is one step of what was written: old became fresh.
type change struct {
	at         int
	old, fresh []rune
}

// maxPast bounds what can be taken back, in characters kept.
const maxPast = 4 << 20

func newScript(advance func(rune) float32) *script {
	s := &script{advance: advance}
	s.set("")
	return s
}

// set replaces everything, and forgets what was before.
func (s *script) set(text string) {
	s.lines = nil
	for line := range strings.SplitSeq(text, "\n") {
		s.lines = append(s.lines, s.paragraph([]rune(line)))
	}
	s.past, s.future, s.open = nil, nil, false
	s.number(0)
}

func (s *script) paragraph(text []rune) paragraph { return paragraph{text: text, ends: s.cut(text)} }

// number counts rows and places again, from a paragraph on.
func (s *script) number(from int) {
	row, at := 0, 0
	if from > 0 {
		p := &s.lines[from-1]
		row, at = p.row+len(p.ends), p.at+len(p.text)+1
	}
	for i := from; i < len(s.lines); i++ {
		p := &s.lines[i]
		p.row, p.at = row, at
		row, at = row+len(p.ends), at+len(p.text)+1
	}
}

// fit cuts all rows for a width.
func (s *script) fit(width float32) {
	if s.width == width {
		return
	}
	s.width = width
	for i := range s.lines {
		s.lines[i].ends = s.cut(s.lines[i].text)
	}
	s.number(0)
}

// cut returns where the rows of a paragraph end.
func (s *script) cut(text []rune) []int {
	if s.width <= 0 {
		return []int{len(text)}
	}
	var ends []int
	start, gap := 0, 0        // of the row; where it may end
	var width, before float32 // of the row; of its part before the gap
	for i, r := range text {
		w := s.advance(r)
		if i > start && mayBreak(text[i-1], r) {
			gap, before = i, width
		}
		for width+w > s.width && r != ' ' && i > start {
			if gap > start {
				width -= before
				start = gap
			} else {
				width, start = 0, i
			}
			gap, before = start, 0
			ends = append(ends, start)
		}
		width += w
	}
	return append(ends, len(text))
}

// mayBreak reports whether a row may end between two characters.
func mayBreak(a, b rune) bool {
	if b == ' ' {
		return false
	}
	if a == ' ' || a == '\t' {
		return true
	}
	return (isWide(a) || isWide(b)) && !strings.ContainsRune("，。、；：？！）》」』…,.;:?!)", b)
}

func isWide(r rune) bool {
	return r > 0x1100 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul)
}

// rows is how many there are.
func (s *script) rows() int {
	p := &s.lines[len(s.lines)-1]
	return p.row + len(p.ends)
}

func (s *script) len() int {
	p := &s.lines[len(s.lines)-1]
	return p.at + len(p.text)
}

func (s *script) text() string { return string(s.slice(0, s.len())) }

// slice returns the characters between two places.
func (s *script) slice(from, to int) []rune {
	out := make([]rune, 0, to-from)
	for i := s.line(from); i < len(s.lines) && s.lines[i].at < to; i++ {
		p := &s.lines[i]
		a, b := max(from-p.at, 0), min(to-p.at, len(p.text))
		if a < b {
			out = append(out, p.text[a:b]...)
		}
		if to-p.at > len(p.text) && from-p.at <= len(p.text) {
			out = append(out, '\n')
		}
	}
	return out
}

// line returns the number of the paragraph that a place is in.
func (s *script) line(at int) int {
	return sort.Search(len(s.lines), func(i int) bool { return s.lines[i].at > at }) - 1
}

// row returns the number of the row that a place is in, and its column there.
func (s *script) row(at int) (row, col int) {
	p := &s.lines[s.line(at)]
	col = at - p.at
	i := sort.Search(len(p.ends)-1, func(i int) bool { return p.ends[i] > col })
	if i > 0 {
		col -= p.ends[i-1]
	}
	return p.row + i, col
}

// span returns where a row begins and ends; a row that goes on in the next ends
// before its last character, so that both have places of their own.
func (s *script) span(row int) (from, to int) {
	i := sort.Search(len(s.lines), func(i int) bool { return s.lines[i].row > row }) - 1
	p := &s.lines[max(i, 0)]
	n := min(max(row-p.row, 0), len(p.ends)-1)
	from, to = p.at, p.at+p.ends[n]
	if n > 0 {
		from += p.ends[n-1]
	}
	return from, to
}

// lastIn is the last place of a row.
func (s *script) lastIn(row int) int {
	from, to := s.span(row)
	if to > from && to < s.len() && s.at(to) != '\n' {
		to--
	}
	return to
}

// at returns the character after a place; the last one is a line end.
func (s *script) at(place int) rune {
	p := &s.lines[s.line(place)]
	if i := place - p.at; i < len(p.text) {
		return p.text[i]
	}
	return '\n'
}

// x is how far a place is from the beginning of its row.
func (s *script) x(at int) float32 {
	row, _ := s.row(at)
	from, _ := s.span(row)
	p := &s.lines[s.line(from)]
	return s.length(p.text[from-p.at : at-p.at])
}

func (s *script) length(text []rune) (w float32) {
	for _, r := range text {
		w += s.advance(r)
	}
	return w
}

// near returns the place in a row that is nearest to a distance from its
// beginning.
func (s *script) near(row int, x float32) int {
	row = min(max(row, 0), s.rows()-1)
	from, _ := s.span(row)
	last := s.lastIn(row)
	p := &s.lines[s.line(from)]
	for at := from; at < last; at++ {
		w := s.advance(p.text[at-p.at])
		if x < w/2 {
			return at
		}
		x -= w
	}
	return last
}

// replace puts text between two places and remembers how it was. typed says that
// it is a key's work, which is taken back by the word.
func (s *script) replace(from, to int, text []rune, typed bool) {
	c := change{at: from, old: s.slice(from, to), fresh: slices.Clone(text)}
	if len(c.old) == 0 && len(c.fresh) == 0 {
		return
	}
	s.apply(c)
	s.future = nil
	if !typed || !s.open || !s.join(c) {
		s.past = append(s.past, c)
	}
	s.open = typed
	kept := 0
	for i := len(s.past) - 1; i >= 0; i-- {
		if kept += len(s.past[i].old) + len(s.past[i].fresh); kept > maxPast && i < len(s.past)-1 {
			s.past = slices.Delete(s.past, 0, i+1)
			break
		}
	}
}

// join lets the last change go on with c, where both write or both delete, side
// by side, within one word.
func (s *script) join(c change) bool {
	if len(s.past) == 0 {
		return false
	}
	l := &s.past[len(s.past)-1]
	switch {
	case len(c.old) == 0 && len(l.old) == 0 && c.at == l.at+len(l.fresh):
		if c.fresh[0] == '\n' || !unicode.IsSpace(c.fresh[0]) && unicode.IsSpace(l.fresh[len(l.fresh)-1]) {
			return false
		}
		l.fresh = append(l.fresh, c.fresh...)
	case len(c.fresh) == 0 && len(l.fresh) == 0 && c.at+len(c.old) == l.at:
		l.at, l.old = c.at, append(c.old, l.old...)
	case len(c.fresh) == 0 && len(l.fresh) == 0 && c.at == l.at:
		l.old = append(l.old, c.old...)
	default:
		return false
	}
	return true
}

// apply carries a change out.
func (s *script) apply(c change) {
	from, to := s.line(c.at), s.line(c.at+len(c.old))
	first, last := &s.lines[from], &s.lines[to]
	text := slices.Concat(first.text[:c.at-first.at], c.fresh, last.text[c.at+len(c.old)-last.at:])
	var fresh []paragraph
	for {
		i := slices.Index(text, '\n')
		if i < 0 {
			break
		}
		fresh = append(fresh, s.paragraph(slices.Clone(text[:i])))
		text = text[i+1:]
	}
	fresh = append(fresh, s.paragraph(slices.Clone(text)))
	s.lines = slices.Replace(s.lines, from, to+1, fresh...)
	s.number(from)
}

// undo takes the last change back and returns what is then to be selected; false
// when there is none.
func (s *script) undo() (from, to int, ok bool) {
	if len(s.past) == 0 {
		return 0, 0, false
	}
	c := s.past[len(s.past)-1]
	s.past, s.future, s.open = s.past[:len(s.past)-1], append(s.future, c), false
	s.apply(change{at: c.at, old: c.fresh, fresh: c.old})
	if len(c.fresh) == 0 { // what comes back is shown as such
		return c.at, c.at + len(c.old), true
	}
	return c.at + len(c.old), c.at + len(c.old), true
}

// redo makes the change again that was taken back.
func (s *script) redo() (at int, ok bool) {
	if len(s.future) == 0 {
		return 0, false
	}
	c := s.future[len(s.future)-1]
	s.past, s.future, s.open = append(s.past, c), s.future[:len(s.future)-1], false
	s.apply(c)
	return c.at + len(c.fresh), true
}

// word returns where the next word begins after a place, or the last one before
// it.
func (s *script) word(at int, forward bool) int {
	inWord := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }
	if forward {
		for at < s.len() && inWord(s.at(at)) {
			at++
		}
		for at < s.len() && !inWord(s.at(at)) {
			at++
		}
		return at
	}
	for at > 0 && !inWord(s.at(at-1)) {
		at--
	}
	for at > 0 && inWord(s.at(at-1)) {
		at--
	}
	return at
}

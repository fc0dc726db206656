package compose

import (
	"strconv"
	"strings"
)

// tag is one {{...}} of a source text.
type tag struct {
	start, end int    // in bytes, delimiters included
	word       string // its first word: if, else, end, a function or a field; "" for a comment
}

// isControl reports whether the tag prints nothing by itself.
func (t tag) isControl() bool {
	switch t.word {
	case "", "if", "else", "end":
		return true
	}
	return false
}

// findTags finds the tags of a source text, as the lexer of text/template sees
// them: quotes inside of a tag may hold braces, comments may hold anything.
// What is not closed is left for the parser to complain about.
func findTags(src string) []tag {
	var tags []tag
	for at := 0; ; {
		open := strings.Index(src[at:], "{{")
		if open < 0 {
			return tags
		}
		open += at
		end := tagEnd(src, open+2)
		if end < 0 {
			return tags
		}
		tags = append(tags, tag{start: open, end: end, word: firstWord(src[open+2 : end-2])})
		at = end
	}
}

// tagEnd returns the index after the }} that closes the tag whose inside
// begins at i, or -1.
func tagEnd(src string, i int) int {
	inside := strings.TrimPrefix(src[i:], "-")
	if strings.HasPrefix(strings.TrimLeft(inside, " \t\r\n"), "/*") {
		n := strings.Index(src[i:], "*/")
		if n < 0 {
			return -1
		}
		n += i
		if m := strings.Index(src[n:], "}}"); m >= 0 {
			return n + m + 2
		}
		return -1
	}
	for i < len(src) {
		switch c := src[i]; {
		case c == '}' && strings.HasPrefix(src[i:], "}}"):
			return i + 2
		case c == '"' || c == '`' || c == '\'':
			i++
			for i < len(src) && src[i] != c {
				if src[i] == '\\' && c != '`' {
					i++
				}
				if i < len(src) && src[i] == '\n' && c != '`' {
					return -1
				}
				i++
			}
		}
		i++
	}
	return -1
}

func firstWord(inside string) string {
	inside = strings.TrimLeft(strings.TrimPrefix(inside, "-"), " \t\r\n(")
	if strings.HasPrefix(inside, "/*") {
		return ""
	}
	end := strings.IndexAny(inside, " \t\r\n|()}\"'`")
	if end < 0 {
		end = len(inside)
	}
	return strings.TrimSuffix(inside[:end], "-")
}

// shield is a source text whose tags were replaced by plain words that no
// Markdown or HTML processing changes, so that they can be put back afterwards.
type shield struct {
	mark string // begins each such word; occurs nowhere else
	src  string
	tags []tag
}

// protect replaces the tags of src.
func protect(src string) (string, *shield) {
	s := &shield{mark: "xmtg", src: src, tags: findTags(src)}
	for n := 0; strings.Contains(strings.ToLower(src), s.mark); n++ {
		s.mark = "xmtg" + strconv.Itoa(n) + "k"
	}
	var b strings.Builder
	at := 0
	for i, t := range s.tags {
		b.WriteString(src[at:t.start])
		b.WriteString(s.mark)
		b.WriteString(strconv.Itoa(i))
		b.WriteByte('x')
		at = t.end
	}
	b.WriteString(src[at:])
	return b.String(), s
}

// next finds the first placeholder in text: its place, and the tag it stands
// for. ok is false when there is none.
func (s *shield) next(text string) (start, end, n int, ok bool) {
	for from := 0; ; {
		i := strings.Index(text[from:], s.mark)
		if i < 0 {
			return 0, 0, 0, false
		}
		start = from + i
		end = start + len(s.mark)
		for end < len(text) && text[end] >= '0' && text[end] <= '9' {
			end++
		}
		n, err := strconv.Atoi(text[start+len(s.mark) : end])
		if err == nil && end < len(text) && text[end] == 'x' && n < len(s.tags) {
			return start, end + 1, n, true
		}
		from = start + len(s.mark)
	}
}

// source returns the tag for which a placeholder stands, as it was written.
func (s *shield) source(n int) string { return s.src[s.tags[n].start:s.tags[n].end] }

// restoreAs puts the tags back into text that is as its author wrote it.
func (s *shield) restoreAs(text string) string {
	var b strings.Builder
	for {
		start, end, n, ok := s.next(text)
		if !ok {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:start])
		b.WriteString(s.source(n))
		text = text[end:]
	}
}

// restore puts the tags back. Braces that stand in text by themselves are
// written so that they stay braces.
func (s *shield) restore(text string) string {
	var b strings.Builder
	for {
		start, end, n, ok := s.next(text)
		if !ok {
			b.WriteString(literalBraces(text))
			return b.String()
		}
		b.WriteString(literalBraces(text[:start]))
		b.WriteString(s.source(n))
		text = text[end:]
	}
}

// literalBraces keeps "{{" in literal text from opening a tag. A brace that
// ends the text would join one that a tag begins with.
func literalBraces(text string) string {
	text = strings.ReplaceAll(text, "{{", `{{"{{"}}`)
	if strings.HasSuffix(text, "{") {
		text = text[:len(text)-1] + `{{"{"}}`
	}
	return text
}

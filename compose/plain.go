package compose

import (
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// plainText makes the text alternative of an HTML text whose tags are
// protected; they stay protected. It reads the stream of HTML tokens in order,
// never a tree: a tree would move a condition out of a table and with it change
// what it governs.
func plainText(src string, s *shield) string {
	w := plainWriter{shield: s}
	z := html.NewTokenizer(strings.NewReader(src))
	for {
		switch z.Next() {
		case html.ErrorToken: // the end; a strings.Reader has no other error
			return strings.TrimRight(w.out.String(), " \n") + "\n"
		case html.TextToken:
			if w.skip == 0 {
				w.text(string(z.Text()))
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			w.start(z.Token())
		case html.EndTagToken:
			w.end(z.Token().DataAtom)
		}
	}
}

// plainWriter is the state of one conversion.
type plainWriter struct {
	shield *shield
	out    strings.Builder

	started bool // something that shows was written
	lines   int  // line ends owed before the next text, at most 2
	space   bool // a space owed before the next text
	marker  string

	skip   int // depth in elements that do not show
	pre    int
	quotes int   // depth in quotations
	quoted int   // that of the line before
	lists  []int // per open list: the next number, or 0 for bullets
	cells  int   // cells of the row so far
	links  []link
}

// link is an open <a>.
type link struct {
	href string
	at   int // where its text begins in out
}

var hiddenElements = map[atom.Atom]bool{
	atom.Head: true, atom.Style: true, atom.Script: true, atom.Title: true, atom.Template: true, atom.Svg: true,
}

// blocks are the elements that begin and end lines, with the line ends around.
var blocks = map[atom.Atom]int{
	atom.P: 2, atom.H1: 2, atom.H2: 2, atom.H3: 2, atom.H4: 2, atom.H5: 2, atom.H6: 2, atom.Blockquote: 2,
	atom.Pre: 2, atom.Table: 2, atom.Ul: 2, atom.Ol: 2, atom.Hr: 2, atom.Dl: 2, atom.Figure: 2,
	atom.Div: 1, atom.Li: 1, atom.Tr: 1, atom.Dt: 1, atom.Dd: 1, atom.Section: 1, atom.Article: 1, atom.Header: 1,
	atom.Footer: 1, atom.Main: 1, atom.Address: 1, atom.Center: 1, atom.Caption: 1, atom.Figcaption: 1,
}

// owe makes sure that n line ends come before the next text.
func (w *plainWriter) owe(n int) {
	if len(w.lists) > 0 {
		n = min(n, 1) // lists stay tight
	}
	w.lines = max(w.lines, n)
}

func (w *plainWriter) start(t html.Token) {
	if t.DataAtom == atom.Body {
		w.skip = 0
	}
	if hiddenElements[t.DataAtom] && t.Type == html.StartTagToken {
		w.skip++
	}
	if w.skip > 0 {
		return
	}
	w.owe(blocks[t.DataAtom])
	switch t.DataAtom {
	case atom.Br:
		w.lines = min(w.lines+1, 2)
	case atom.Hr:
		w.word("----------")
		w.owe(2)
	case atom.Img:
		w.text(attr(t, "alt"))
	case atom.A:
		w.links = append(w.links, link{href: attr(t, "href"), at: w.out.Len()})
	case atom.Pre:
		w.pre++
	case atom.Blockquote:
		w.quotes++
	case atom.Ul:
		w.lists = append(w.lists, 0)
	case atom.Ol:
		first, err := strconv.Atoi(attr(t, "start"))
		if err != nil || first < 1 {
			first = 1
		}
		w.lists = append(w.lists, first)
	case atom.Li:
		w.item()
	case atom.Tr:
		w.cells = 0
	case atom.Td, atom.Th:
		if w.cells++; w.cells > 1 && w.lines == 0 {
			w.space = true
			w.word("|")
			w.space = true
		}
	}
}

func (w *plainWriter) item() {
	w.marker = "- "
	if n := len(w.lists); n > 0 && w.lists[n-1] > 0 {
		w.marker = strconv.Itoa(w.lists[n-1]) + ". "
		w.lists[n-1]++
	}
}

func (w *plainWriter) end(a atom.Atom) {
	if hiddenElements[a] && w.skip > 0 {
		w.skip--
		return
	}
	if w.skip > 0 {
		return
	}
	switch a {
	case atom.A:
		w.endLink()
	case atom.Pre:
		w.pre = max(w.pre-1, 0)
	case atom.Blockquote:
		w.quotes = max(w.quotes-1, 0)
	case atom.Ul, atom.Ol:
		w.lists = w.lists[:max(len(w.lists)-1, 0)]
	case atom.Li:
		w.marker = ""
	}
	w.owe(blocks[a])
}

// endLink writes where a link leads, unless its text says so already.
func (w *plainWriter) endLink() {
	if len(w.links) == 0 {
		return
	}
	l := w.links[len(w.links)-1]
	w.links = w.links[:len(w.links)-1]
	href := strings.TrimPrefix(strings.TrimSpace(l.href), "mailto:")
	shown := strings.TrimSpace(w.out.String()[l.at:])
	switch {
	case href == "" || strings.HasPrefix(href, "#"):
	case shown == "":
		w.word(href)
	case shown == href || strings.TrimPrefix(strings.TrimPrefix(href, "https://"), "http://") == shown:
	default:
		space := w.space
		w.space = true
		w.word("(" + href + ")")
		w.space = space
	}
}

// text writes text in which runs of white space count as one space.
func (w *plainWriter) text(s string) {
	for s != "" {
		start, end, n, ok := w.shield.next(s)
		if !ok {
			w.words(s)
			return
		}
		w.words(s[:start])
		if w.shield.tags[n].isControl() {
			w.control(s[start:end])
		} else {
			w.word(s[start:end])
		}
		s = s[end:]
	}
}

func (w *plainWriter) words(s string) {
	if w.pre > 0 {
		w.preformatted(s)
		return
	}
	for s != "" {
		end := strings.IndexAny(s, " \t\r\n\f")
		if end != 0 {
			if end < 0 {
				end = len(s)
			}
			w.word(s[:end])
		}
		if end < len(s) {
			w.space = w.lines == 0 && w.started
			end++
		}
		s = s[end:]
	}
}

func (w *plainWriter) preformatted(s string) {
	for i, l := range strings.Split(strings.TrimSuffix(s, "\n"), "\n") {
		if i > 0 {
			w.out.WriteByte('\n')
			w.out.WriteString(w.prefix())
		}
		if l != "" {
			w.word(l)
		}
	}
	if strings.HasSuffix(s, "\n") {
		w.lines = max(w.lines, 1)
	}
}

// control writes a condition's tag. Line ends that are owed come after it:
// they belong to the text that it governs, and vanish with it.
func (w *plainWriter) control(tag string) {
	if w.space && w.lines == 0 {
		w.out.WriteByte(' ')
		w.space = false
	}
	w.out.WriteString(tag)
}

// word writes text that shows, after what is owed.
func (w *plainWriter) word(s string) {
	switch {
	case !w.started:
		w.out.WriteString(w.prefix())
	case w.lines > 0:
		w.out.WriteByte('\n')
		if w.lines > 1 {
			w.out.WriteString(strings.TrimRight(strings.Repeat("> ", min(w.quotes, w.quoted)), " "))
			w.out.WriteByte('\n')
		}
		w.out.WriteString(w.prefix())
	case w.space:
		w.out.WriteByte(' ')
	}
	w.started, w.lines, w.space, w.quoted = true, 0, false, w.quotes
	w.out.WriteString(s)
}

// prefix begins a line: quotation marks, indentation, an item's marker.
func (w *plainWriter) prefix() string {
	p := strings.Repeat("> ", w.quotes)
	depth := len(w.lists)
	if w.marker != "" {
		p += strings.Repeat("  ", max(depth-1, 0)) + w.marker
		w.marker = ""
		return p
	}
	return p + strings.Repeat("  ", depth)
}

func attr(t html.Token, name string) string {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

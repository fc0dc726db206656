package mailings

import (
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"postroom/ui/widgets"
)

// letterOf reads the HTML of a message as the window shows it: its words with
// headings, lists, tables, links and buttons, without any layout. What is not to
// be seen is left out: scripts, styles, and what is hidden, as the preview text.
func letterOf(page string) []widgets.LetterPart {
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil { // a reader of strings has none
		return nil
	}
	r := &letterReader{}
	r.walk(doc, look{})
	r.close()
	return r.parts
}

// look is how the words at a place are to be drawn.
type look struct {
	bold, italic, mono, link, pre bool
	kind                          widgets.LetterKind
	level                         int
}

// letterReader gathers words until a paragraph ends.
type letterReader struct {
	parts  []widgets.LetterPart
	runs   []widgets.LetterRun
	kind   widgets.LetterKind
	level  int
	bullet string
	counts []int // of the items of each; -1: bullets
}

// close ends a paragraph.
func (r *letterReader) close() {
	runs := trimRuns(r.runs)
	if len(runs) > 0 {
		p := widgets.LetterPart{Kind: r.kind, Level: r.level, Runs: runs}
		if r.kind == widgets.LetterItem {
			p.Bullet, r.bullet = r.bullet, ""
		}
		r.parts = append(r.parts, p)
	}
	r.runs = nil
}

// trimRuns takes white space off both ends.
func trimRuns(runs []widgets.LetterRun) []widgets.LetterRun {
	for len(runs) > 0 {
		if runs[0].Text = strings.TrimLeft(runs[0].Text, " \n"); runs[0].Text != "" {
			break
		}
		runs = runs[1:]
	}
	for len(runs) > 0 {
		last := &runs[len(runs)-1]
		if last.Text = strings.TrimRight(last.Text, " \n"); last.Text != "" {
			break
		}
		runs = runs[:len(runs)-1]
	}
	return runs
}

// words takes text in, with white space as HTML sees it.
func (r *letterReader) words(s string, l look) {
	if !l.pre {
		folded := strings.Join(strings.Fields(s), " ")
		if folded == "" && s != "" {
			folded = " "
		} else if folded != "" {
			if isSpace(s[0]) {
				folded = " " + folded
			}
			if isSpace(s[len(s)-1]) {
				folded += " "
			}
		}
		if s = folded; strings.HasPrefix(s, " ") && r.endsInSpace() {
			s = s[1:]
		}
	}
	if s == "" {
		return
	}
	if len(r.runs) == 0 {
		r.kind, r.level = l.kind, l.level
	}
	fresh := widgets.LetterRun{Text: s, Bold: l.bold, Italic: l.italic, Mono: l.mono, Link: l.link}
	if n := len(r.runs); n > 0 {
		last := &r.runs[n-1]
		same := *last
		same.Text = s
		if same == fresh {
			last.Text += s
			return
		}
	}
	r.runs = append(r.runs, fresh)
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func (r *letterReader) endsInSpace() bool {
	if len(r.runs) == 0 {
		return true
	}
	t := r.runs[len(r.runs)-1].Text
	return strings.HasSuffix(t, " ") || strings.HasSuffix(t, "\n")
}

// walk reads a node and what is in it.
func (r *letterReader) walk(n *html.Node, l look) {
	switch n.Type {
	case html.TextNode:
		r.words(n.Data, l)
		return
	case html.ElementNode:
		if unseen(n) {
			return
		}
		r.element(n, l)
		return
	}
	r.inside(n, l)
}

func (r *letterReader) inside(n *html.Node, l look) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		r.walk(c, l)
	}
}

func unseen(n *html.Node) bool {
	switch n.DataAtom {
	case atom.Head, atom.Script, atom.Style, atom.Title, atom.Template, atom.Noscript:
		return true
	}
	style := strings.ReplaceAll(attr(n, "style"), " ", "")
	return strings.Contains(style, "display:none")
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func (r *letterReader) element(n *html.Node, l look) {
	switch n.DataAtom {
	case atom.Strong, atom.B, atom.Th:
		l.bold = true
	case atom.Em, atom.I:
		l.italic = true
	case atom.Code, atom.Tt:
		l.mono = true
	}
	switch n.DataAtom {
	case atom.Br:
		if len(r.runs) > 0 {
			r.runs[len(r.runs)-1].Text += "\n"
		}
	case atom.Img:
		r.image(n)
	case atom.Hr:
		r.close()
		r.parts = append(r.parts, widgets.LetterPart{Kind: widgets.LetterLine})
	case atom.A:
		r.link(n, l)
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		l.kind, l.level = widgets.LetterHeading, int(n.Data[1]-'0')
		r.block(n, l)
	case atom.Ul, atom.Ol:
		r.list(n, l)
	case atom.Li:
		r.item(n, l)
	case atom.Pre:
		l.kind, l.pre, l.mono = widgets.LetterCode, true, true
		r.block(n, l)
	case atom.Blockquote:
		l.kind = widgets.LetterQuote
		r.block(n, l)
	case atom.Table:
		r.table(n, l)
	case atom.P, atom.Div, atom.Body, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Center, atom.Tr, atom.Td, atom.Th, atom.Figure, atom.Dl, atom.Dd, atom.Dt, atom.Main:
		r.block(n, l)
	default:
		r.inside(n, l)
	}
}

// block reads what is a paragraph of its own.
func (r *letterReader) block(n *html.Node, l look) {
	r.close()
	r.inside(n, l)
	r.close()
}

// link reads a link; one with a ground of its own is a button.
func (r *letterReader) link(n *html.Node, l look) {
	style := strings.ReplaceAll(attr(n, "style"), " ", "")
	if !strings.Contains(style, "background") || strings.Contains(style, "background:none") {
		l.link = attr(n, "href") != ""
		r.inside(n, l)
		return
	}
	r.close()
	r.inside(n, look{kind: widgets.LetterButton, bold: true})
	r.close()
}

func (r *letterReader) image(n *html.Node) {
	r.close()
	words := attr(n, "alt")
	if words == "" {
		words = attr(n, "src")
		if strings.HasPrefix(words, "data:") {
			words = ""
		}
	}
	r.parts = append(r.parts, widgets.LetterPart{Kind: widgets.LetterImage, Runs: []widgets.LetterRun{{Text: words}}})
}

func (r *letterReader) list(n *html.Node, l look) {
	r.close()
	count := -1
	if n.DataAtom == atom.Ol {
		count = 0
		if start, err := strconv.Atoi(attr(n, "start")); err == nil {
			count = start - 1
		}
	}
	r.counts = append(r.counts, count)
	r.inside(n, l)
	r.close()
	r.counts = r.counts[:len(r.counts)-1]
}

func (r *letterReader) item(n *html.Node, l look) {
	r.close()
	r.bullet = "•"
	if i := len(r.counts) - 1; i >= 0 && r.counts[i] >= 0 {
		r.counts[i]++
		r.bullet = strconv.Itoa(r.counts[i]) + "."
	}
	l.kind, l.level = widgets.LetterItem, max(1, len(r.counts))
	r.kind, r.level = l.kind, l.level
	r.inside(n, l)
	r.close()
	if r.bullet != "" { // an empty one
		r.parts = append(r.parts, widgets.LetterPart{Kind: l.kind, Level: l.level, Bullet: r.bullet})
	}
	r.bullet = ""
}

// table reads a table of data row by row; one that is there for the layout, which
// holds other blocks, is read as what it holds.
func (r *letterReader) table(n *html.Node, l look) {
	if attr(n, "role") == "presentation" || holdsBlocks(n) {
		r.block(n, l)
		return
	}
	r.close()
	var rows func(*html.Node)
	rows = func(n *html.Node) {
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			if c.DataAtom != atom.Tr {
				rows(c)
				continue
			}
			p := widgets.LetterPart{Kind: widgets.LetterRow}
			for d := c.FirstChild; d != nil; d = d.NextSibling {
				if d.DataAtom != atom.Td && d.DataAtom != atom.Th {
					continue
				}
				p.Head = d.DataAtom == atom.Th
				cell := &letterReader{}
				cell.inside(d, look{bold: p.Head})
				p.Cells = append(p.Cells, trimRuns(cell.runs))
			}
			r.parts = append(r.parts, p)
		}
	}
	rows(n)
}

func holdsBlocks(n *html.Node) bool {
	for d := range n.Descendants() {
		switch d.DataAtom {
		case atom.P, atom.Div, atom.Img, atom.Table, atom.Ul, atom.Ol, atom.H1, atom.H2, atom.H3, atom.Hr:
			return true
		}
	}
	return false
}

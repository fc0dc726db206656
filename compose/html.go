package compose

import (
	"bytes"
	"errors"
	"html/template"
	"io"
	"strings"
	"text/template/parse"

	"postroom/post"
)

// part is one text of a message, ready to be merged.
type part struct {
	mediaType string // text/plain or text/html
	prog      *program
	// slow merges the part where prog cannot: a value stands in a URL, a
	// style sheet or a script, whose escaping is html/template's affair.
	slow   *template.Template
	fills  []fill // of slow
	base64 bool
}

// newPart chooses the part's encoding from what is the same for everybody:
// quoted-printable, or base64 where that is shorter, which it is from about one
// octet in five beyond ASCII on.
func newPart(mediaType string, prog *program, slow *template.Template) *part {
	p := &part{mediaType: mediaType, prog: prog, slow: slow}
	high, all := count(prog.ops)
	p.base64 = high*5 > all
	if !p.base64 && slow == nil {
		prog.prepare()
	}
	return p
}

// count returns how many octets of the literals are beyond ASCII, and how many
// there are.
func count(ops []op) (high, all int) {
	for i := range ops {
		if l := ops[i].lit; l != nil {
			all += len(l.text)
			for j := range len(l.text) {
				if l.text[j] >= 0x80 {
					high++
				}
			}
		}
		for _, branch := range [][]op{ops[i].yes, ops[i].no} {
			h, a := count(branch)
			high, all = high+h, all+a
		}
	}
	return high, all
}

// textPart compiles the source of a plain text.
func textPart(name, src string, n *names) (*part, error) {
	tree, err := parseSource(name, endLine(src), n)
	if err != nil {
		return nil, err
	}
	prog, ok := build(tree, n.index)
	if !ok {
		return nil, post.Errorf(post.KindInternal, "compile the "+name, "a tag was not understood")
	}
	prog.ops = filled(prog.ops, n.fills(false))
	return newPart("text/plain", prog, nil), nil
}

// errLayout is for a condition that the layout of the body tore apart.
func errLayout() error {
	return (&checker{part: "body"}).fault(0, "layout", "an {{if}} and its {{end}} stand in different parts of the layout, such as inside and outside of a link; "+
		"put each of them on a line of its own")
}

// htmlPart compiles the source of an HTML text. html/template finds the
// context of every value; where all of them are plain text or quoted
// attributes, the part becomes a program of our own with the same output. lines
// says that src has the lines of what the user wrote.
func htmlPart(name, src string, n *names, lines bool) (*part, error) {
	tree, err := parseSource(name, endLine(src), n)
	if err != nil && !lines {
		return nil, errLayout() // by themselves the tags were found sound before
	}
	if err != nil {
		return nil, err
	}
	t, err := escapeTree(name, tree)
	if err != nil {
		return nil, htmlError(name, err, lines)
	}
	prog, ok := build(t.Tree, n.index)
	fills := n.fills(true)
	prog.ops = filled(prog.ops, fills)
	if ok {
		return newPart("text/html", prog, nil), nil
	}
	p := newPart("text/html", prog, t)
	p.fills = fills
	return p, nil
}

// escapeTree lets html/template escape a checked tree.
func escapeTree(name string, tree *parse.Tree) (*template.Template, error) {
	t := template.New(name).Funcs(templateFuncs).Option("missingkey=zero")
	t, err := t.AddParseTree(name, tree)
	if err != nil {
		return nil, err
	}
	// The first run escapes the tree.
	if err := t.Execute(io.Discard, map[string]string{}); err != nil {
		return nil, err
	}
	return t, nil
}

// htmlError says in plain words why html/template refuses a source. lines says
// that its line numbers are those of what the user wrote.
func htmlError(name string, err error, lines bool) error {
	p := checker{part: name}
	line, key, what := 0, "html", err.Error()
	var te *template.Error
	if errors.As(err, &te) {
		what = te.Description
		if lines {
			line = te.Line
		}
		switch te.ErrorCode {
		case template.ErrBranchEnd, template.ErrRangeLoopReentry:
			key, what = "html-if", "an {{if}} opens or closes an HTML tag or quotation mark on one of its ways only; keep whole tags inside of it"
		case template.ErrEndContext:
			key, what = "html-open", "an HTML tag, comment or quotation mark is not closed"
		case template.ErrAmbigContext, template.ErrBadHTML:
			key, what = "html-place", "a field stands in a place of the HTML where its value cannot be made safe; put the attribute in quotes ("+what+")"
		}
	}
	return p.fault(line, key, "%s", what)
}

// endLine makes a text end with a line end.
func endLine(s string) string {
	if strings.HasSuffix(s, "\n") {
		return s
	}
	return s + "\n"
}

// limitWriter refuses to grow past maxText.
type limitWriter struct{ buf []byte }

// Write appends p.
func (w *limitWriter) Write(p []byte) (int, error) {
	if len(w.buf)+len(p) > maxText {
		return 0, errTooLong
	}
	w.buf = append(w.buf, p...)
	return len(p), nil
}

// appendText appends the merged text, with "\n" line ends.
func (p *part) appendText(dst []byte, n []fieldRef, vals []string) ([]byte, error) {
	if p.slow == nil {
		return p.prog.appendText(dst, vals)
	}
	data := make(map[string]string, len(n))
	for i, f := range n {
		data[f.name] = vals[i]
	}
	w := limitWriter{buf: dst[len(dst):]}
	if err := p.slow.Execute(&w, data); err != nil {
		if errors.Is(err, errTooLong) {
			return dst, errTooLong
		}
		return dst, &post.Error{Kind: post.KindInternal, Op: "merge the message", Err: err}
	}
	out := w.buf
	for _, f := range p.fills {
		value := []byte(f.value.eval(vals).s)
		if f.escape {
			value = appendEscaped(nil, string(value))
		}
		out = bytes.ReplaceAll(out, []byte(f.mark), value)
	}
	return append(dst, out...), nil
}

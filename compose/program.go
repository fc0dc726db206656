package compose

import (
	"fmt"
	"strings"
	"text/template/parse"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// A program is a template of the merge language, ready to run: text that is
// the same for everybody, values, and conditions.
type program struct {
	ops []op
}

// op is one step: a literal, or the value of print, or a condition.
type op struct {
	lit     *literal
	print   *expr
	escape  bool // print is escaped as HTML text and quoted attributes need it
	cond    *expr
	yes, no []op
}

// expr is an expression of the merge language.
type expr struct {
	fn    string  // a function's name; "" for a field or constant
	args  []*expr // of fn
	field int     // index of a field; -1: constant
	value value   // the constant
	// format is that of date and number; args is then the value alone.
	format format
}

// value is what an expression gives: a text, or the result of a comparison.
type value struct {
	s      string
	b      bool
	isBool bool
}

// truth is what {{if}} goes by.
func (v value) truth() bool {
	if v.isBool {
		return v.b
	}
	return v.s != ""
}

// text is what {{...}} prints.
func (v value) text() string {
	switch {
	case !v.isBool:
		return v.s
	case v.b:
		return "true"
	default:
		return "false"
	}
}

// eval computes e over the values of the fields.
func (e *expr) eval(vals []string) value {
	switch e.fn {
	case "":
		if e.field >= 0 {
			return value{s: vals[e.field]}
		}
		return e.value
	case "default":
		if v := e.args[1].eval(vals); v.s != "" {
			return v
		}
		return e.args[0].eval(vals)
	case "and", "or":
		var v value
		for _, a := range e.args {
			if v = a.eval(vals); v.truth() == (e.fn == "or") {
				break
			}
		}
		return v
	case "not":
		return value{b: !e.args[0].eval(vals).truth(), isBool: true}
	case "eq":
		first, found := e.args[0].eval(vals).s, false
		for _, a := range e.args[1:] {
			found = found || a.eval(vals).s == first
		}
		return value{b: found, isBool: true}
	case "ne":
		return value{b: e.args[0].eval(vals).s != e.args[1].eval(vals).s, isBool: true}
	case "date", "number":
		s, _ := e.format.apply(e.args[0].eval(vals).s)
		return value{s: s}
	default:
		return value{s: textFuncs[e.fn](e.args[0].eval(vals).s)}
	}
}

func isFormat(fn string) bool { return fn == "date" || fn == "number" }

// textFuncs are the functions from one text to another. Safe for concurrent use.
var textFuncs = map[string]func(string) string{
	"upper": strings.ToUpper,
	"lower": strings.ToLower,
	// A Caser may hold state, so each call has its own.
	"title": func(s string) string { return cases.Title(language.Und).String(s) },
	"trim":  strings.TrimSpace,
}

// templateFuncs are the same functions for Go's own template packages. The
// ones that are missing here are built in there.
var templateFuncs = map[string]any{
	"default": func(instead, s string) string {
		if s == "" {
			return instead
		}
		return s
	},
	"upper": textFuncs["upper"],
	"lower": textFuncs["lower"],
	"title": textFuncs["title"],
	"trim":  textFuncs["trim"],

	"date":   formatCall("date"),
	"number": formatCall("number"),
}

// builder turns a checked parse tree into a program.
type builder struct {
	index map[string]int
	// foreign is set when a value stands where html/template applies more than
	// its escaper for text and quoted attributes.
	foreign bool
}

// build makes the program of a checked tree. For HTML the tree must be one that
// html/template has escaped; ok is false when a value of it stands in a context
// that only html/template itself can serve.
func build(tree *parse.Tree, index map[string]int) (p *program, ok bool) {
	b := builder{index: index}
	p = &program{ops: b.list(tree.Root)}
	return p, !b.foreign
}

func (b *builder) list(l *parse.ListNode) []op {
	if l == nil {
		return nil
	}
	var ops []op
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			if len(n.Text) > 0 {
				ops = append(ops, literalOp(string(n.Text)))
			}
		case *parse.ActionNode:
			e, escape := b.pipe(n.Pipe)
			if e.fn == "" && e.field < 0 && !escape {
				ops = append(ops, literalOp(e.value.text()))
				continue
			}
			ops = append(ops, op{print: e, escape: escape})
		case *parse.IfNode:
			e, _ := b.pipe(n.Pipe)
			ops = append(ops, op{cond: e, yes: b.list(n.List), no: b.list(n.ElseList)})
		case *parse.CommentNode:
		default:
			b.foreign = true
		}
	}
	return ops
}

func literalOp(s string) op { return op{lit: &literal{text: s}} }

// escapers are those of html/template's own whose effect on text is escapeHTML
// and nothing else: html text, quoted attributes that are plain text, and the
// text of elements such as title.
var escapers = map[string]bool{
	"_html_template_htmlescaper":   true,
	"_html_template_attrescaper":   true,
	"_html_template_rcdataescaper": true,
}

const escaperPrefix = "_html_template_"

// pipe builds a pipeline. escape says that html/template put exactly one of
// the escapers behind it.
func (b *builder) pipe(pipe *parse.PipeNode) (e *expr, escape bool) {
	added := 0
	for _, cmd := range pipe.Cmds {
		if id, ok := cmd.Args[0].(*parse.IdentifierNode); ok && strings.HasPrefix(id.Ident, escaperPrefix) {
			added++
			if !escapers[id.Ident] || len(cmd.Args) > 1 || added > 1 {
				b.foreign = true
			}
			continue
		}
		if added > 0 {
			b.foreign = true
		}
		e = b.command(cmd, e)
	}
	if e == nil {
		b.foreign = true
		e = &expr{field: -1}
	}
	return e, added > 0
}

func (b *builder) command(cmd *parse.CommandNode, last *expr) *expr {
	id, ok := cmd.Args[0].(*parse.IdentifierNode)
	if !ok {
		return b.operand(cmd.Args[0])
	}
	if funcNames[id.Ident] == [2]int{} {
		b.foreign = true
		return &expr{field: -1}
	}
	e := &expr{fn: id.Ident, field: -1}
	for _, a := range cmd.Args[1:] {
		e.args = append(e.args, b.operand(a))
	}
	if last != nil {
		e.args = append(e.args, last)
	}
	if isFormat(e.fn) {
		b.format(e)
	}
	return e
}

// format makes the format of a checked call of date or number.
func (b *builder) format(e *expr) {
	literals := make([]string, 0, 2)
	for _, a := range e.args[:len(e.args)-1] {
		literals = append(literals, a.value.s)
	}
	f, what := parseFormat(e.fn, literals)
	if what != "" {
		b.foreign = true
		*e = expr{field: -1}
		return
	}
	e.format, e.args = f, e.args[len(e.args)-1:]
}

func (b *builder) operand(n parse.Node) *expr {
	switch n := n.(type) {
	case *parse.FieldNode:
		if i, ok := b.index[n.Ident[0]]; ok && len(n.Ident) == 1 {
			return &expr{field: i}
		}
	case *parse.StringNode:
		return &expr{field: -1, value: value{s: cleanText(n.Text)}}
	case *parse.BoolNode:
		return &expr{field: -1, value: value{b: n.True, isBool: true}}
	case *parse.PipeNode:
		e, escape := b.pipe(n)
		b.foreign = b.foreign || escape
		return e
	}
	b.foreign = true
	return &expr{field: -1}
}

// errTooLong says that one text of one message grew past maxText.
var errTooLong = fmt.Errorf("the merged text is longer than %d MB", maxText>>20)

// appendText runs p and appends what it prints.
func (p *program) appendText(dst []byte, vals []string) ([]byte, error) {
	return appendOps(dst, len(dst)+maxText, p.ops, vals)
}

func appendOps(dst []byte, limit int, ops []op, vals []string) ([]byte, error) {
	var err error
	for i := range ops {
		switch o := &ops[i]; {
		case o.lit != nil:
			dst = append(dst, o.lit.text...)
		case o.print != nil:
			if s := o.print.eval(vals).text(); o.escape {
				dst = appendEscaped(dst, s)
			} else {
				dst = append(dst, s...)
			}
		default:
			branch := o.no
			if o.cond.eval(vals).truth() {
				branch = o.yes
			}
			if dst, err = appendOps(dst, limit, branch, vals); err != nil {
				return dst, err
			}
		}
		if len(dst) > limit {
			return dst, errTooLong
		}
	}
	return dst, nil
}

// quoteOps runs ops into an encoder.
func quoteOps(q *quoter, ops []op, vals []string) error {
	for i := range ops {
		switch o := &ops[i]; {
		case o.lit != nil:
			q.literal(o.lit)
		case o.print != nil:
			if s := o.print.eval(vals).text(); o.escape {
				q.writeEscaped(s)
			} else {
				q.write(s)
			}
		default:
			branch := o.no
			if o.cond.eval(vals).truth() {
				branch = o.yes
			}
			if err := quoteOps(q, branch, vals); err != nil {
				return err
			}
		}
		if q.text > maxText {
			return errTooLong
		}
	}
	return nil
}

// prepare encodes the literals of p as quoted-printable, see literal.
func (p *program) prepare() {
	for i := range p.ops {
		prepareOp(&p.ops[i], i == 0)
	}
}

func prepareOp(o *op, atStart bool) {
	if o.lit != nil {
		o.lit.prepare(atStart)
	}
	for i := range o.yes {
		prepareOp(&o.yes[i], false)
	}
	for i := range o.no {
		prepareOp(&o.no[i], false)
	}
}

// missing calls report for each field whose emptiness leaves a hole in what
// would be printed for vals: the tag prints nothing, it has no default, and it
// stands where this row gets to.
func missing(ops []op, vals []string, report func(field int)) {
	for i := range ops {
		switch o := &ops[i]; {
		case o.lit != nil:
		case o.print != nil:
			if !o.print.hasDefault() && o.print.eval(vals).text() == "" {
				o.print.each(func(f int) {
					if vals[f] == "" {
						report(f)
					}
				})
			}
		case o.cond.eval(vals).truth():
			missing(o.yes, vals, report)
		default:
			missing(o.no, vals, report)
		}
	}
}

// misread calls report for each value that a date or number of what would be
// printed for vals cannot read. An empty one is the affair of missing.
func misread(ops []op, vals []string, report func(fn, value string)) {
	for i := range ops {
		switch o := &ops[i]; {
		case o.lit != nil:
		case o.print != nil:
			o.print.misread(vals, report)
		default:
			o.cond.misread(vals, report)
			if o.cond.eval(vals).truth() {
				misread(o.yes, vals, report)
			} else {
				misread(o.no, vals, report)
			}
		}
	}
}

func (e *expr) misread(vals []string, report func(fn, value string)) {
	for _, a := range e.args {
		a.misread(vals, report)
	}
	if e.format != nil {
		v := e.args[0].eval(vals).s
		if _, ok := e.format.apply(v); !ok && v != "" {
			report(e.fn, v)
		}
	}
}

// mayMiss calls report for each field that missing could report for some row.
// sure holds the fields that a condition around the tag has found not empty.
func mayMiss(ops []op, sure map[int]bool, report func(field int)) {
	for i := range ops {
		switch o := &ops[i]; {
		case o.lit != nil:
		case o.print != nil:
			if !o.print.hasDefault() {
				o.print.each(func(f int) {
					if !sure[f] {
						report(f)
					}
				})
			}
		default:
			inner := map[int]bool{}
			for f := range sure {
				inner[f] = true
			}
			o.cond.ensures(inner)
			mayMiss(o.yes, inner, report)
			mayMiss(o.no, sure, report)
		}
	}
}

// ensures adds the fields that cannot be empty where e is true.
func (e *expr) ensures(sure map[int]bool) {
	switch {
	case e.fn == "" && e.field >= 0:
		sure[e.field] = true
	case e.fn == "and":
		for _, a := range e.args {
			a.ensures(sure)
		}
	case textFuncs[e.fn] != nil, e.format != nil:
		e.args[0].ensures(sure)
	}
}

// hasDefault reports whether the writer thought of an empty value.
func (e *expr) hasDefault() bool {
	if e.fn == "default" {
		return true
	}
	for _, a := range e.args {
		if a.hasDefault() {
			return true
		}
	}
	return false
}

// each calls f for each field of e.
func (e *expr) each(f func(field int)) {
	if e.fn == "" && e.field >= 0 {
		f(e.field)
	}
	for _, a := range e.args {
		a.each(f)
	}
}

// escaped is what html/template makes of the characters that mean something in
// HTML text and quoted attributes. Control characters cannot occur: see cleanText.
var escaped = [256]string{'"': "&#34;", '&': "&amp;", '\'': "&#39;", '+': "&#43;", '<': "&lt;", '>': "&gt;"}

func appendEscaped(dst []byte, s string) []byte {
	from := 0
	for i := range len(s) {
		if e := escaped[s[i]]; e != "" {
			dst = append(append(dst, s[from:i]...), e...)
			from = i + 1
		}
	}
	return append(dst, s[from:]...)
}

// writeEscaped encodes s, escaped for HTML.
func (q *quoter) writeEscaped(s string) {
	from := 0
	for i := range len(s) {
		if e := escaped[s[i]]; e != "" {
			q.write(s[from:i])
			q.write(e)
			from = i + 1
		}
	}
	q.write(s[from:])
}

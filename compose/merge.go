package compose

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template/parse"

	"postroom/post"
)

// Limits of a source text. They bound the parser's recursion and the time of a
// render, whoever wrote the template.
const (
	maxSource = 5 << 20  // bytes of a subject or body, before the merge
	maxText   = 5 << 20  // bytes of one text of one message, after the merge
	maxWork   = 64 << 20 // bytes of values that the tags of one message read, all together
	maxTags   = 10_000
	maxTag    = 4 << 10 // bytes of one tag
)

// funcNames are the functions of the merge language, with the least and most
// arguments each takes (-1: any number).
var funcNames = map[string][2]int{
	"default": {2, 2},
	"upper":   {1, 1},
	"lower":   {1, 1},
	"title":   {1, 1},
	"trim":    {1, 1},
	"field":   {1, 1},
	"date":    {2, 3}, // pattern, language, value
	"number":  {2, 2}, // pattern, value
	"and":     {1, -1},
	"or":      {1, -1},
	"not":     {1, 1},
	"eq":      {2, -1},
	"ne":      {2, 2},
}

// reserved are Go's own template functions that are not offered. As bare names
// they would mislead, so they are refused with the way to a field of that name.
var reserved = map[string]bool{
	"call": true, "html": true, "index": true, "slice": true, "js": true, "len": true, "print": true,
	"printf": true, "println": true, "urlquery": true, "lt": true, "le": true, "gt": true, "ge": true,
}

// refusedWords are the statements of Go's templates that are not offered.
var refusedWords = map[string]string{
	"range":    "there are no loops; write the fields one by one",
	"with":     "use {{if name}} ... {{name}} ... {{end}} instead",
	"define":   "templates cannot be nested; write the text where it belongs",
	"block":    "templates cannot be nested; write the text where it belongs",
	"template": "templates cannot be nested; write the text where it belongs",
	"break":    "there are no loops",
	"continue": "there are no loops",
}

// names collects the fields that a mailing's tags use, over all of its parts.
type names struct {
	known    map[string]bool // nil: anything goes
	fields   []fieldRef
	index    map[string]int
	required []bool // by index; see Field
	uses     []int  // by index: in how many tags of all parts it stands
	// link is each recipient's own way to unsubscribe: the value behind those of
	// the fields. nil without a promotion.
	link *expr
	// signed are the sender's signature as text and as HTML: the last two values.
	// nil where no sender has one.
	signed *[2]*expr
}

// fills are what is put into the compiled texts besides the fields.
func (n *names) fills(html bool) []fill {
	var all []fill
	if n.link != nil {
		all = append(all, fill{unsubscribeMark, n.link, html})
	}
	switch { // last, so that nothing is looked for in it
	case n.signed == nil:
	case html:
		all = append(all, fill{signatureMark, n.signed[1], false})
	default:
		all = append(all, fill{signatureMark, n.signed[0], false})
	}
	return all
}

// settle numbers the values behind those of the fields, once all fields are known.
func (n *names) settle() {
	next := len(n.fields)
	if n.link != nil {
		n.link.field = next
		next++
	}
	if n.signed != nil {
		n.signed[0].field, n.signed[1].field = next, next+1
	}
}

// fieldRef is one field that is used.
type fieldRef struct {
	name string
	// alt is the name in the form that headers get when a sheet is read;
	// looked up where name itself is not there.
	alt string
}

func newNames(known []string) *names {
	n := &names{index: map[string]int{}}
	if known != nil {
		n.known = map[string]bool{"email": true, "name": true}
		for _, k := range known {
			n.known[k] = true
		}
	}
	return n
}

// use returns the index of the field that name means, or false when it is none.
func (n *names) use(name string) (int, bool) {
	alt := post.FieldName(name, nil)
	if n.known != nil && !n.known[name] {
		if !n.known[alt] {
			return 0, false
		}
		name = alt
	}
	if i, ok := n.index[name]; ok {
		n.uses[i]++
		return i, true
	}
	i := len(n.fields)
	n.fields = append(n.fields, fieldRef{name: name, alt: alt})
	n.required = append(n.required, false)
	n.uses = append(n.uses, 1)
	n.index[name] = i
	return i, true
}

// nearest returns the known field that looks most like name, or "".
func (n *names) nearest(name string) string {
	best, least := "", max(1, len(name)/3)+1
	for k := range n.known {
		d := distance(strings.ToLower(name), strings.ToLower(k))
		if d < least || d == least && best != "" && k < best {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of single changes between two short words
// (Levenshtein).
func distance(a, b string) int {
	x, y := []rune(cutAtRune(a, 64)), []rune(cutAtRune(b, 64))
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		diag := row[0]
		row[0] = i + 1
		for j := range y {
			cost := diag
			if x[i] != y[j] {
				cost++
			}
			diag = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(y)]
}

// checker checks the source of one part and rewrites its names to look-ups.
type checker struct {
	part  string // "subject" or "body", for messages
	names *names
	tree  *parse.Tree
	src   string
}

// parseSource parses the source of a part. Errors are KindInvalid and name the
// part, the line and what to write instead.
func parseSource(part, src string, n *names) (*parse.Tree, error) {
	p := &checker{part: part, names: n, src: src}
	if len(src) > maxSource {
		return nil, p.fault(0, "long", "it is longer than %s MB", strconv.Itoa(maxSource>>20))
	}
	tags := findTags(src)
	if len(tags) > maxTags {
		return nil, p.fault(0, "tags", "it has more than %s merge tags", strconv.Itoa(maxTags))
	}
	for _, t := range tags {
		line := 1 + strings.Count(src[:t.start], "\n")
		if why := refusedWords[t.word]; why != "" {
			return nil, p.fault(line, "word-"+t.word, "{{"+t.word+"}} cannot be used here: "+why)
		}
		if t.end-t.start > maxTag {
			return nil, p.fault(line, "tag-long", "a merge tag is longer than %s KB", strconv.Itoa(maxTag>>10))
		}
	}
	p.tree = parse.New(part)
	p.tree.Mode = parse.SkipFuncCheck
	if _, err := p.tree.Parse(src, "", "", map[string]*parse.Tree{}); err != nil {
		return nil, p.syntax(err)
	}
	if err := p.list(p.tree.Root); err != nil {
		return nil, err
	}
	return p.tree, nil
}

// fault makes the error for a line; 0 when none is known. key names it in the
// catalogue under compose.template., which takes the same arguments as format.
func (p *checker) fault(line int, key, format string, args ...string) error {
	what := format
	if strings.Contains(format, "%") {
		list := make([]any, len(args))
		for i, a := range args {
			list[i] = a
		}
		what = fmt.Sprintf(format, list...)
	}
	at := p.part
	if line > 0 {
		at += ", line " + strconv.Itoa(line)
	}
	return &post.Error{
		Kind: post.KindInvalid, Op: "check the " + p.part, Message: at + ": " + what,
		Reason: post.Reason{Key: "compose.template", Args: append([]string{p.part, strconv.Itoa(line), what, key}, args...)},
	}
}

var syntaxForm = regexp.MustCompile(`(?s)^template: [^:]*:(\d+): (.*)$`)

// syntax turns a parser's error into plain words.
func (p *checker) syntax(err error) error {
	line, what := 0, err.Error()
	if m := syntaxForm.FindStringSubmatch(what); m != nil {
		line, _ = strconv.Atoi(m[1])
		what = m[2]
	}
	key, hint := "", ""
	switch {
	case strings.Contains(what, "unexpected EOF"):
		return p.fault(line, "if-open", "an {{if}} is not closed; write {{end}} where its text ends")
	case strings.Contains(what, "unclosed action"), strings.Contains(what, "unclosed comment"):
		return p.fault(line, "tag-open", "a tag is opened with {{ and not closed; write }} at its end")
	case strings.Contains(what, "unexpected {{end}}"), strings.Contains(what, "unexpected {{else}}"):
		return p.fault(line, "end-alone", "there is an {{end}} or {{else}} without an {{if}} before it")
	case strings.Contains(what, "missing value"):
		return p.fault(line, "empty", "there is an empty tag; write a field's name between {{ and }}")
	case strings.ContainsAny(what, "“”„‘’«»") || strings.Contains(what, "U+201"):
		key, hint = "quotes", `use straight quotes, as in {{first_name | default "customer"}}`
	case strings.Contains(what, "bad character"), strings.Contains(what, "unrecognized character"), strings.Contains(what, "bad number"):
		key, hint = "name", `a name that is not one plain word is written {{field "Its Name"}}`
	case strings.Contains(what, "unterminated"):
		key, hint = "quotation", "a quotation mark is missing"
	}
	if hint != "" {
		return p.fault(line, key, "a tag cannot be read: "+hint)
	}
	return p.fault(line, "unread", "a tag cannot be read (%s)", what)
}

// at returns the line of a node.
func (p *checker) at(n parse.Node) int {
	return 1 + strings.Count(p.src[:min(int(n.Position()), len(p.src))], "\n")
}

func (p *checker) list(l *parse.ListNode) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		var err error
		switch n := n.(type) {
		case *parse.TextNode, *parse.CommentNode:
		case *parse.ActionNode:
			_, err = p.pipe(n.Pipe)
		case *parse.IfNode:
			if _, err = p.pipe(n.Pipe); err == nil {
				if err = p.list(n.List); err == nil {
					err = p.list(n.ElseList)
				}
			}
		default:
			err = p.fault(p.at(n), "not-here", "%s cannot be used here", n.String())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// kind is the type of a merge expression.
type kind uint8

const (
	kindText kind = iota
	kindBool
	kindEither // and, or over both
)

// pipe checks a pipeline and rewrites its names.
func (p *checker) pipe(pipe *parse.PipeNode) (kind, error) {
	if len(pipe.Decl) > 0 {
		return 0, p.fault(p.at(pipe), "variables", "there are no variables; use the fields themselves")
	}
	var last kind
	for i, cmd := range pipe.Cmds {
		k, err := p.command(cmd, i > 0, last)
		if err != nil {
			return 0, err
		}
		last = k
	}
	return last, nil
}

// command checks one command. piped says that the result of the one before, of
// kind last, becomes its last argument.
func (p *checker) command(cmd *parse.CommandNode, piped bool, last kind) (kind, error) {
	id, ok := cmd.Args[0].(*parse.IdentifierNode)
	if !ok || funcNames[id.Ident] == [2]int{} {
		if len(cmd.Args) > 1 && (!ok || !reserved[id.Ident]) {
			return 0, p.stray(cmd)
		}
		if piped {
			return 0, p.fault(p.at(cmd), "after-bar", "what stands after | must be a function: %s", funcList)
		}
		return p.operand(cmd, 0)
	}
	if isFormat(id.Ident) && len(cmd.Args) == 1 && !piped {
		return p.operand(cmd, 0) // fields are called date and number, too
	}
	if id.Ident == "field" {
		return kindText, p.fieldCall(cmd, piped)
	}
	kinds := make([]kind, 0, 4)
	for i := 1; i < len(cmd.Args); i++ {
		k, err := p.operand(cmd, i)
		if err != nil {
			return 0, err
		}
		kinds = append(kinds, k)
	}
	if piped {
		kinds = append(kinds, last)
	}
	k, err := p.call(cmd, id.Ident, kinds)
	if err == nil && isFormat(id.Ident) {
		err = p.formatArgs(cmd, id.Ident, len(kinds)-1)
	}
	return k, err
}

const funcList = "default, upper, lower, title, trim, date, number, and, or, not, eq, ne"

// formatArgs checks the first n arguments of date or number: literals, so that
// what is wrong with them is known before anybody's value is.
func (p *checker) formatArgs(cmd *parse.CommandNode, fn string, n int) error {
	literals := make([]string, 0, 2)
	for _, a := range cmd.Args[1 : n+1] {
		s, ok := a.(*parse.StringNode)
		if !ok {
			return p.fault(p.at(cmd), "pattern-"+fn, "the pattern of "+fn+" comes first, in quotes; "+usage(fn))
		}
		literals = append(literals, s.Text)
	}
	if _, what := parseFormat(fn, literals); what != "" {
		if len(literals) > 1 && dateLanguages[literals[1]] == nil {
			return p.fault(p.at(cmd), "date-language", "dates are written in en, de, fr, es or zh, not in %q", literals[1])
		}
		return p.fault(p.at(cmd), "format-"+fn, what, literals[0])
	}
	return nil
}

// call checks a function's arguments and returns the kind of its result.
func (p *checker) call(cmd *parse.CommandNode, name string, kinds []kind) (kind, error) {
	lim := funcNames[name]
	if len(kinds) < lim[0] || lim[1] >= 0 && len(kinds) > lim[1] {
		key := "usage-" + name
		if lim == [2]int{1, 1} && name != "not" {
			key = "usage"
		}
		return 0, p.fault(p.at(cmd), key, usage(name), name)
	}
	switch name {
	case "and", "or":
		for _, k := range kinds {
			if k != kinds[0] {
				return kindEither, nil
			}
		}
		return kinds[0], nil
	case "not":
		return kindBool, nil
	}
	for _, k := range kinds {
		if k != kindText {
			return 0, p.fault(p.at(cmd), "condition", "%s works on text, not on a condition", name)
		}
	}
	if name == "eq" || name == "ne" {
		return kindBool, nil
	}
	return kindText, nil
}

func usage(name string) string {
	switch name {
	case "default":
		return `default takes one replacement, as in {{first_name | default "customer"}}`
	case "eq", "ne":
		return name + ` compares two texts, as in {{if ` + name + ` city "Berlin"}}`
	case "and", "or":
		return name + " takes at least one field, as in {{if " + name + " city country}}"
	case "not":
		return "not takes one field, as in {{if not city}}"
	case "date":
		return dateUsage
	case "number":
		return `a number is written like {{amount | number "1,234.56"}}; ` + numberUsage
	}
	return name + " takes one field, as in {{first_name | " + name + "}}"
}

// stray is the error for words after something that takes none.
func (p *checker) stray(cmd *parse.CommandNode) error {
	words := make([]string, len(cmd.Args))
	for i, a := range cmd.Args {
		words[i] = strings.TrimPrefix(a.String(), ".")
	}
	name := strings.Join(words, " ")
	if joined := post.FieldName(name, nil); p.names.known[joined] {
		return p.fault(p.at(cmd), "words-known", "{{%s}} is not one word; write {{%s}}", name, joined)
	}
	return p.fault(p.at(cmd), "words", "{{%[1]s}} is not one word; a field's name with spaces is written {{field %[1]q}}", name)
}

// operand checks argument i of cmd and rewrites it where it is a name.
func (p *checker) operand(cmd *parse.CommandNode, i int) (kind, error) {
	switch a := cmd.Args[i].(type) {
	case *parse.StringNode:
		return kindText, nil
	case *parse.BoolNode:
		return kindBool, nil
	case *parse.PipeNode:
		return p.pipe(a)
	case *parse.NumberNode:
		return 0, p.fault(p.at(a), "number", "put the number in quotes: %q", a.Text)
	case *parse.IdentifierNode:
		if funcNames[a.Ident] != [2]int{} && !isFormat(a.Ident) {
			return 0, p.fault(p.at(a), "function", "%[1]s is a function; put it and its values in brackets, as in (%[1]s city)", a.Ident)
		}
		if reserved[a.Ident] {
			return 0, p.fault(p.at(a), "reserved", "%[1]s is not offered; a field of that name is written {{field %[1]q}}", a.Ident)
		}
		return kindText, p.rewrite(cmd, i, a.Ident, a.Pos)
	case *parse.FieldNode:
		name := strings.Join(a.Ident, ".")
		return 0, p.fault(p.at(a), "dot", "write {{%s}} without the dot before it", name)
	default:
		return 0, p.fault(p.at(a), "no-field", "%s cannot be used here; write a field's name", a.String())
	}
}

// fieldCall checks {{field "Name"}} and rewrites it.
func (p *checker) fieldCall(cmd *parse.CommandNode, piped bool) error {
	if !piped && len(cmd.Args) == 2 {
		if s, ok := cmd.Args[1].(*parse.StringNode); ok {
			if err := p.rewrite(cmd, 1, s.Text, s.Pos); err != nil {
				return err
			}
			cmd.Args = cmd.Args[1:]
			return nil
		}
	}
	return p.fault(p.at(cmd), "usage-field", `field takes one name in quotes, as in {{field "First Name"}}`)
}

// rewrite turns argument i of cmd into the look-up of a field.
func (p *checker) rewrite(cmd *parse.CommandNode, i int, name string, pos parse.Pos) error {
	n, ok := p.names.use(name)
	if !ok {
		line := 1 + strings.Count(p.src[:min(int(pos), len(p.src))], "\n")
		return p.unknown(line, name)
	}
	cmd.Args[i] = &parse.FieldNode{NodeType: parse.NodeField, Pos: pos, Ident: []string{p.names.fields[n].name}}
	return nil
}

func (p *checker) unknown(line int, name string) error {
	near := p.names.nearest(name)
	what := fmt.Sprintf("there is no field %q in this list", name)
	if near != "" {
		what += fmt.Sprintf("; did you mean {{%s}}?", near)
	}
	err := p.fault(line, "", "%s", what)
	var e *post.Error
	if errors.As(err, &e) {
		e.Reason = post.Reason{Key: "compose.unknown-field", Args: []string{p.part, strconv.Itoa(line), name, near}}
		if near == "" {
			e.Reason = post.Reason{Key: "compose.no-such-field", Args: []string{p.part, strconv.Itoa(line), name}}
		}
	}
	return err
}

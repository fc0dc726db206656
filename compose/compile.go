package compose

import (
	"context"
	"strings"
	"unicode/utf8"

	"postroom/post"
)

// Options are what Compile may be told besides the content.
type Options struct {
	// KnownFields are the fields that the recipients' data has; email and name
	// are always there. nil: any field may be used.
	KnownFields []string
	// NoAttachments leaves the files unread: for checks and quick previews of
	// the words alone.
	NoAttachments bool
}

// Mailing is a content that was compiled: what is the same for everybody is
// checked and encoded. It never changes; all methods are safe for concurrent use.
type Mailing struct {
	names   *names
	subject *program
	body    *program // of the body as the user wrote it: says which fields it needs
	text    *part
	html    *part // nil for a plain text mailing
	replyTo []byte
	files   []file
	own     *ownFiles
}

// Field is a merge field that a mailing uses.
type Field struct {
	Name string
	// Required is true where a row without a value would leave a hole: the
	// field is printed without a default, outside of a condition on itself.
	Required bool
}

// Compile checks and encodes content. Attachments with a hash are read from
// blobs, others from their path. Errors in the words are KindInvalid and name
// the part, the line and what to write instead; a file that cannot be read is
// KindNotFound. An empty subject or body is no error here, see Check.
func Compile(ctx context.Context, content post.Content, blobs Blobs, opts Options) (*Mailing, error) {
	m := &Mailing{names: newNames(opts.KnownFields), own: &ownFiles{blobs: blobs}}
	if err := m.words(content); err != nil {
		return nil, err
	}
	if content.ReplyTo != "" {
		name, a, err := post.ParseMailbox(content.ReplyTo)
		if err != nil {
			return nil, &post.Error{
				Kind: post.KindInvalid, Op: "check Reply-To", Message: "the reply address is not valid", Err: err,
				Reason: post.Reason{Key: "compose.bad-reply-to", Args: []string{content.ReplyTo}},
			}
		}
		m.replyTo = appendMailbox(nil, "Reply-To", cleanName(name), a)
	}
	if opts.NoAttachments {
		return m, nil
	}
	total := 0
	for _, a := range content.Attachments {
		if err := ctx.Err(); err != nil {
			return nil, &post.Error{Kind: post.KindCancelled, Op: "compile the mailing", Err: err}
		}
		f, err := loadFile(a, blobs)
		if err != nil {
			return nil, err
		}
		if total += len(f.body); total > MaxMessage {
			return nil, tooLarge(a.Name)
		}
		m.files = append(m.files, f)
	}
	return m, nil
}

// words compiles subject and body.
func (m *Mailing) words(c post.Content) error {
	for _, s := range []struct{ part, text string }{{"subject", c.Subject}, {"body", c.Body}} {
		if !utf8.ValidString(s.text) {
			return (&checker{part: s.part}).errorf(0, "it is not valid UTF-8 text")
		}
	}
	var err error
	if m.subject, err = m.subjectProgram(c.Subject); err != nil {
		return err
	}
	src := cleanText(strings.TrimPrefix(c.Body, "\ufeff"))
	tree, err := parseSource("body", src, m.names)
	if err != nil {
		return err
	}
	m.body, _ = build(tree, m.names.index)
	for _, ops := range [][]op{m.subject.ops, m.body.ops} {
		mayMiss(ops, nil, func(f int) { m.names.required[f] = true })
	}
	switch c.Format {
	case post.FormatText:
		m.text, err = textPart("body", src, m.names)
		return err
	case post.FormatHTML:
		return m.compileHTML(src)
	case post.FormatMarkdown, "":
		return m.compileMarkdown(src)
	default:
		return post.Errorf(post.KindInvalid, "check the body", "the format must be markdown, html or text, not %q", c.Format)
	}
}

func (m *Mailing) subjectProgram(src string) (*program, error) {
	tree, err := parseSource("subject", cleanHeader(src), m.names)
	if err != nil {
		return nil, err
	}
	prog, _ := build(tree, m.names.index)
	return prog, nil
}

func (m *Mailing) compileMarkdown(src string) error {
	protected, s := protect(src)
	inner, err := markdownHTML(protected, s)
	if err != nil {
		return &post.Error{Kind: post.KindInternal, Op: "compile the body", Err: err}
	}
	if m.html, err = htmlPart("body", pageHead+s.restore(inner)+pageFoot, m.names, false); err != nil {
		return err
	}
	return m.alternative(inner, s)
}

func (m *Mailing) compileHTML(src string) error {
	page := src
	if lower := strings.ToLower(src); !strings.Contains(lower, "<html") && !strings.Contains(lower, "<body") {
		page = pageHead + src + pageFoot
	}
	var err error
	if m.html, err = htmlPart("body", page, m.names, true); err != nil {
		return err
	}
	return m.alternative(protect(src))
}

// alternative compiles the text that goes with an HTML body.
func (m *Mailing) alternative(protected string, s *shield) error {
	var err error
	if m.text, err = textPart("body", s.restore(plainText(protected, s)), m.names); err != nil {
		return errLayout()
	}
	return nil
}

// Fields returns the merge fields in the order of their first use.
func (m *Mailing) Fields() []Field {
	fs := make([]Field, len(m.names.fields))
	for i, f := range m.names.fields {
		fs[i] = Field{Name: f.name, Required: m.names.required[i]}
	}
	return fs
}

// Missing returns the fields whose value is empty or absent for r and would
// leave a hole in r's message: a tag prints nothing, has no default, and no
// condition leaves it out.
func (m *Mailing) Missing(r post.Recipient) []string {
	return m.missing(m.values(nil, &r))
}

func (m *Mailing) missing(vals []string) []string {
	var out []string
	seen := make(map[int]bool, 4)
	for _, ops := range [][]op{m.subject.ops, m.body.ops} {
		missing(ops, vals, func(f int) {
			if !seen[f] {
				seen[f] = true
				out = append(out, m.names.fields[f].name)
			}
		})
	}
	return out
}

// values looks up the recipient's values of all fields, cleaned, in the order
// of names.fields.
func (m *Mailing) values(vals []string, r *post.Recipient) []string {
	vals = vals[:0]
	for i := range m.names.fields {
		vals = append(vals, cleanValue(lookup(r, &m.names.fields[i])))
	}
	return vals
}

func lookup(r *post.Recipient, f *fieldRef) string {
	for _, name := range [...]string{f.name, f.alt} {
		switch {
		case name == "email":
			return r.Address
		case name == "name" && r.Name != "":
			return r.Name
		}
		if v, ok := r.Fields[name]; ok {
			return v
		}
	}
	return ""
}

package compose

import (
	"context"
	"html"
	"regexp"
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
	// sources are subject, preview text, body and file names as the user wrote
	// them: they say which fields are needed.
	sources [][]op
	footer  footer
	ownName *program // of the recipients' own files; nil: as they are called
	ownText string   // the user's own text alternative, with its footer
	text    *part
	html    *part // nil for a plain text mailing
	replyTo []byte
	// readReceipt asks for a notification to the address in From, which is the
	// envelope's, too: another one would make programs distrust it (RFC 8098 2.1).
	readReceipt bool
	priority    string // header fields; empty: nothing is told
	plus        []int64 // accounts; see post.ReplyTokensPlus
	promo       *post.Promotion
	design      *post.Design
	looks       looks // for Check
	files       []file
	inline      []file // pictures that the HTML shows
	// fileNames are those of the files for everybody, where they hold tags.
	fileNames []*program
	own       *ownFiles
}

// Field is a merge field that a mailing uses.
type Field struct {
	Name string
	// Required is true where a row without a value would leave a hole: the
	// field is printed without a default, outside of a condition on itself.
	Required bool
}

// priorities are the header fields of each: one of RFC 2156 5.3.4, and the one
// that programs made before it.
var priorities = map[post.Priority]string{
	post.PriorityHigh: "Importance: high\r\nX-Priority: 1\r\n",
	post.PriorityLow:  "Importance: low\r\nX-Priority: 5\r\n",
}

// Compile checks and encodes content. Attachments with a hash are read from
// blobs, others from their path. Errors in the words are KindInvalid and name
// the part, the line and what to write instead; a file that cannot be read is
// KindNotFound. An empty subject or body is no error here, see Check.
func Compile(ctx context.Context, content post.Content, blobs Blobs, opts Options) (*Mailing, error) {
	m := &Mailing{
		names: newNames(opts.KnownFields), own: &ownFiles{blobs: blobs}, promo: content.Promotion, design: content.Design,
		readReceipt: content.ReadReceipt, priority: priorities[content.Priority], plus: content.PlusAccounts,
	}
	if m.promo != nil {
		m.names.link = &expr{field: -1}
	}
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
	for i, a := range content.Attachments {
		if err := ctx.Err(); err != nil {
			return nil, &post.Error{Kind: post.KindCancelled, Op: "compile the mailing", Err: err}
		}
		f, err := loadFile(a, blobs, m.fileNames[i])
		if err != nil {
			return nil, err
		}
		if total += len(f.body); total > MaxMessage {
			return nil, tooLarge(a.Name)
		}
		if a.CID != "" && m.html != nil {
			m.inline = append(m.inline, f)
			continue
		}
		m.files = append(m.files, f)
	}
	return m, nil
}

// words compiles subject and body.
func (m *Mailing) words(c post.Content) error {
	for _, s := range []struct{ part, text string }{{"subject", c.Subject}, {"preview text", c.Preview}, {"body", c.Body}, {"text version", c.Text}} {
		if !utf8.ValidString(s.text) {
			return (&checker{part: s.part}).fault(0, "utf8", "it is not valid UTF-8 text")
		}
	}
	var err error
	if m.subject, err = m.lineProgram("subject", c.Subject); err != nil {
		return err
	}
	if c.Preview != "" {
		if _, err = m.lineProgram("preview text", c.Preview); err != nil {
			return err
		}
	}
	src, placed := placeLink(cleanText(strings.TrimPrefix(c.Body, "\ufeff")), c.Promotion)
	m.footer = footerOf(c.Promotion, src, placed)
	tree, err := parseSource("body", src, m.names)
	if err != nil {
		return err
	}
	m.keepSource(build(tree, m.names.index))
	if err := m.namePrograms(&c); err != nil {
		return err
	}
	if c.Format != post.FormatText && strings.TrimSpace(c.Text) != "" {
		own, placed := placeLink(cleanText(c.Text), c.Promotion)
		if m.ownText, err = parsedText(own, m.names, m.keepSource); err != nil {
			return err
		}
		m.ownText += footerOf(c.Promotion, own, placed).text
	}
	defer func() {
		if m.names.link != nil { // all fields are known now
			m.names.link.field = len(m.names.fields)
		}
	}()
	switch c.Format {
	case post.FormatText:
		m.looks.words = src
		m.text, err = textPart("body", endLine(src)+m.footer.text, m.names)
		return err
	case post.FormatHTML:
		return m.compileHTML(src, previewLine(c.Preview))
	case post.FormatMarkdown, "":
		return m.compileMarkdown(src, previewLine(c.Preview))
	default:
		return post.Errorf(post.KindInvalid, "check the body", "the format must be markdown, html or text, not %q", c.Format)
	}
}

// keepSource notes what the user wrote for Fields and Missing.
func (m *Mailing) keepSource(p *program, _ bool) *program {
	m.sources = append(m.sources, p.ops)
	mayMiss(p.ops, nil, func(f int) { m.names.required[f] = true })
	return p
}

// lineProgram compiles a part that is one line.
func (m *Mailing) lineProgram(part, src string) (*program, error) {
	tree, err := parseSource(part, cleanHeader(src), m.names)
	if err != nil {
		return nil, err
	}
	return m.keepSource(build(tree, m.names.index)), nil
}

// namePrograms compiles the file names that hold tags.
func (m *Mailing) namePrograms(c *post.Content) (err error) {
	m.fileNames = make([]*program, len(c.Attachments))
	for i := range c.Attachments {
		name := nameSource(&c.Attachments[i])
		if a := &c.Attachments[i]; a.CID != "" {
			if !cidForm.MatchString(a.CID) || len(a.CID) > 200 {
				return post.Errorf(post.KindInvalid, "check the pictures", "the name of a picture is not valid")
			}
			continue
		}
		if !strings.Contains(name, "{{") {
			continue
		}
		if m.fileNames[i], err = m.lineProgram("file name", name); err != nil {
			return err
		}
	}
	if c.AttachColumn != "" && c.AttachAs != "" {
		m.ownName, err = m.lineProgram("file name", c.AttachAs)
	}
	return err
}

// previewLine is the HTML of a preview text: first in the page and not shown.
func previewLine(text string) string {
	if text = cleanHeader(text); text == "" {
		return ""
	}
	protected, s := protect(text)
	// The line goes on with spaces that do not show, or readers would fill it
	// with the beginning of the message. It says nothing of a tiny font: that is
	// what filters look for in what hides from people.
	return `<div style="display:none;max-height:0;max-width:0;opacity:0;overflow:hidden;mso-hide:all">` +
		s.restore(html.EscapeString(protected)) + strings.Repeat("&#847;&zwnj;&nbsp;", 40) + "</div>"
}

func (m *Mailing) compileMarkdown(src, preview string) error {
	protected, s := protect(src)
	inner, err := markdownHTML(protected, s)
	if err != nil {
		return &post.Error{Kind: post.KindInternal, Op: "compile the body", Err: err}
	}
	m.looks = inspect(inner, s, src, m.names)
	page, err := framed(m.design, s.restore(inner), preview, m.footer.html)
	if err != nil {
		return err
	}
	if m.html, err = htmlPart("body", page, m.names, false); err != nil {
		return err
	}
	return m.alternative(inner, s)
}

// framed puts a text into its design, or into the plain page.
func framed(d *post.Design, inner, preview, footer string) (string, error) {
	if d == nil {
		return pageHead + preview + inner + footer + pageFoot, nil
	}
	for _, slot := range []string{"<!--preview-->", "<!--content-->", "<!--footer-->"} {
		if strings.Count(d.Page, slot) != 1 || strings.Contains(d.Page, "{{") {
			return "", post.Errorf(post.KindInvalid, "check the design", "the design is damaged; choose it again")
		}
	}
	if d.Button != "" {
		inner = strings.ReplaceAll(inner, buttonColours, d.Button)
	}
	before, after, _ := strings.Cut(d.Page, "<!--content-->")
	before = strings.Replace(before, "<!--preview-->", preview, 1)
	return before + inner + strings.Replace(after, "<!--footer-->", footer, 1), nil
}

func (m *Mailing) compileHTML(src, preview string) error {
	page := pageHead + preview + src + m.footer.html + pageFoot
	if lower := strings.ToLower(src); strings.Contains(lower, "<html") || strings.Contains(lower, "<body") {
		page = insertBeforeEnd(insertAfterBody(src, preview), m.footer.html)
	}
	var err error
	if m.html, err = htmlPart("body", page, m.names, true); err != nil {
		return err
	}
	protected, s := protect(src)
	m.looks = inspect(protected, s, src, m.names)
	return m.alternative(protected, s)
}

// bodyStart finds the tag that begins the body of a page.
var bodyStart = regexp.MustCompile(`(?i)<body(?:\s[^>]*)?>`)

// insertAfterBody puts what into a page as the first thing that shows.
func insertAfterBody(page, what string) string {
	if what == "" {
		return page
	}
	protected, s := protect(page)
	if at := bodyStart.FindStringIndex(protected); at != nil {
		head, body := protected[:at[1]], protected[at[1]:]
		return s.restoreAs(head) + what + s.restoreAs(body)
	}
	return what + page
}

// parsedText checks the user's own text alternative, whose lines errors name, and
// returns it with a line's end.
func parsedText(src string, n *names, keep func(*program, bool) *program) (string, error) {
	tree, err := parseSource("text version", src, n)
	if err != nil {
		return "", err
	}
	keep(build(tree, n.index))
	return endLine(src), nil
}

// TextOf returns the text alternative that is made of a body where the user has
// written none: with its tags, to be edited.
func TextOf(c post.Content) (string, error) {
	protected, s := protect(cleanText(strings.TrimPrefix(c.Body, "\ufeff")))
	if c.Format == post.FormatText {
		return c.Body, nil
	}
	if c.Format != post.FormatHTML {
		inner, err := markdownHTML(protected, s)
		if err != nil {
			return "", &post.Error{Kind: post.KindInternal, Op: "make the text version", Err: err}
		}
		protected = inner
	}
	return s.restore(plainText(protected, s)), nil
}

// alternative compiles the text that goes with an HTML body: the user's own, or
// what the body says.
func (m *Mailing) alternative(protected string, s *shield) error {
	var err error
	if m.ownText != "" {
		m.text, err = textPart("text version", m.ownText, m.names)
		return err
	}
	if m.text, err = textPart("body", s.restore(plainText(protected, s))+m.footer.text, m.names); err != nil {
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
	return m.missing(m.values(nil, &r, ""))
}

func (m *Mailing) missing(vals []string) []string {
	var out []string
	seen := make(map[int]bool, 4)
	for _, ops := range m.sources {
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
// of names.fields; behind them stands the recipient's way to unsubscribe, where
// there is one. link may be empty where it is not shown.
func (m *Mailing) values(vals []string, r *post.Recipient, link string) []string {
	vals = vals[:0]
	for i := range m.names.fields {
		vals = append(vals, cleanValue(lookup(r, &m.names.fields[i])))
	}
	if m.promo != nil {
		vals = append(vals, link)
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

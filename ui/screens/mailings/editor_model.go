package mailings

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"postroom/assets/words"
	"postroom/compose"
	"postroom/post"
	"postroom/storage"
)

// Choices are what a composer offers to choose from.
type Choices struct {
	Accounts []post.Account
	Lists    []post.List
	Fields   []string
	People   int64 // in the whole book
}

// LoadChoices reads them.
func LoadChoices(ctx context.Context, l *storage.Ledger) (*Choices, error) {
	c := &Choices{}
	var err error
	if c.Accounts, err = l.Accounts(ctx); err != nil {
		return nil, err
	}
	if c.Lists, err = l.Lists(ctx); err != nil {
		return nil, err
	}
	if c.Fields, err = l.FieldNames(ctx); err != nil {
		return nil, err
	}
	c.Fields = append([]string{"name", "email"}, c.Fields...)
	c.People, err = l.CountContacts(ctx, storage.ContactFilter{})
	return c, err
}

// errNoSender and errNobody are what a draft lacks.
var (
	errNoSender = &post.Error{Kind: post.KindInvalid, Op: "send", Message: "choose a sender account", Reason: post.Reason{Key: "composer.no_sender"}}
	errNobody   = &post.Error{Kind: post.KindInvalid, Op: "send", Message: "choose a list of recipients, or type an address", Reason: post.Reason{Key: "composer.nobody"}}
)

// jobOf turns a draft into what compose checks and queues.
func jobOf(ctx context.Context, l *storage.Ledger, d post.Draft, kind post.MailingKind) (*compose.Job, error) {
	j := &compose.Job{Kind: kind, Content: d.Content, Lists: d.Lists}
	for _, id := range d.Accounts {
		a, err := l.Account(ctx, id)
		if post.KindOf(err) == post.KindNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		j.Senders = append(j.Senders, post.Sender{Account: a.ID, Email: a.Email, FromName: a.FromName, Weight: 1})
	}
	if len(j.Senders) == 0 {
		return nil, errNoSender
	}
	if len(d.Lists) == 0 && len(d.To) == 0 {
		return nil, errNobody
	}
	fields, err := l.FieldNames(ctx)
	if err != nil {
		return nil, err
	}
	j.KnownFields = fields
	j.Recipients = func() iter.Seq2[post.Recipient, error] { return recipients(ctx, l, d) }
	lists, err := l.Lists(ctx)
	if err != nil {
		return nil, err
	}
	for _, li := range lists {
		for _, id := range d.Lists {
			if li.ID == id {
				j.Total += li.Members
			}
		}
	}
	j.Total += int64(len(d.To))
	return j, nil
}

// recipients walks the draft's lists, then its typed addresses.
func recipients(ctx context.Context, l *storage.Ledger, d post.Draft) iter.Seq2[post.Recipient, error] {
	return func(yield func(post.Recipient, error) bool) {
		for _, list := range d.Lists {
			for c, err := range l.EachMember(ctx, list) {
				if err != nil {
					yield(post.Recipient{}, err)
					return
				}
				if !yield(recipientOf(c), nil) {
					return
				}
			}
		}
		for _, to := range d.To {
			name, a, err := post.ParseMailbox(to)
			if err != nil {
				yield(post.Recipient{}, err)
				return
			}
			if !yield(post.Recipient{Address: a.String(), Key: post.AddressKey(a), Name: name}, nil) {
				return
			}
		}
	}
}

func recipientOf(c post.Contact) post.Recipient {
	return post.Recipient{Contact: c.ID, Address: c.Address, Key: c.Key, Name: c.Name, Fields: c.Fields}
}

// Sample is one recipient's message as the preview shows it.
type Sample struct {
	Recipient post.Recipient
	Index     int64 // from 1
	Total     int64
	Pages     storage.Pages
	Subject   string
	Markdown  string // the merged body, where the draft is Markdown
	Text      string
	HTML      string
	Source    []byte
	Problem   error // what keeps the message from being built, in words
	Missing   []string
}

// example stands in when there is nobody to show yet.
var example = post.Recipient{Address: "anna@example.org", Key: "anna@example.org", Name: "Anna Köhler", Fields: map[string]string{
	"first_name": "Anna", "last_name": "Köhler",
}}

// LoadSample renders a draft for the recipient at a place in its first list.
func LoadSample(ctx context.Context, l *storage.Ledger, d post.Draft, p storage.Page, index int64) (*Sample, error) {
	s := &Sample{Index: index, Recipient: example}
	switch {
	case len(d.Lists) > 0:
		f := storage.ContactFilter{List: d.Lists[0]}
		p.Limit = 1
		rows, pages, err := l.Contacts(ctx, f, p)
		if err != nil {
			return nil, err
		}
		if s.Total, err = l.CountContacts(ctx, f); err != nil {
			return nil, err
		}
		if len(rows) > 0 {
			s.Recipient, s.Pages = recipientOf(rows[0].Contact), pages
		}
	case len(d.To) > 0:
		if name, a, err := post.ParseMailbox(d.To[0]); err == nil {
			s.Recipient, s.Total = post.Recipient{Address: a.String(), Key: post.AddressKey(a), Name: name}, int64(len(d.To))
		}
	}
	s.Problem = s.render(ctx, l, d)
	return s, nil
}

func (s *Sample) render(ctx context.Context, l *storage.Ledger, d post.Draft) error {
	fields, err := l.FieldNames(ctx)
	if err != nil {
		return err
	}
	if s.Total == 0 {
		fields = nil // nobody's fields are known yet
	}
	p := compose.Params{
		Recipient: s.Recipient, From: post.Sender{Email: "you@example.org"}, MessageID: "<preview@example.org>", Date: d.ChangedAt, Seed: 1,
	}
	if p.Date.IsZero() {
		p.Date = d.CreatedAt
	}
	if len(d.Accounts) > 0 {
		if a, err := l.Account(ctx, d.Accounts[0]); err == nil {
			p.From = post.Sender{Account: a.ID, Email: a.Email, FromName: a.FromName}
		}
	}
	content := d.Content
	content.Attachments, content.AttachColumn, content.ReplyTo = nil, "", ""
	m, err := compose.Compile(ctx, content, nil, compose.Options{KnownFields: fields, NoAttachments: true})
	if err != nil {
		return err
	}
	out, err := compose.MakePreview(m, &p)
	if err != nil {
		return err
	}
	s.Subject, s.Text, s.HTML, s.Source, s.Missing = out.Subject, out.Text, out.HTML, out.Source, out.Missing
	if content.Format != post.FormatMarkdown {
		return nil
	}
	// The same words merged as plain text are the Markdown that this person
	// gets, which the window can show as rich text.
	content.Format = post.FormatText
	if m, err = compose.Compile(ctx, content, nil, compose.Options{KnownFields: fields, NoAttachments: true}); err != nil {
		return err
	}
	if out, err = compose.MakePreview(m, &p); err != nil {
		return err
	}
	s.Markdown = out.Text
	return nil
}

// attachmentOf looks at a file that the user picked.
func attachmentOf(path string) (post.Attachment, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return post.Attachment{}, &post.Error{Kind: post.KindInvalid, Op: "attach", Message: "the file cannot be read", Err: err, Reason: post.Reason{Key: "composer.unreadable", Args: []string{filepath.Base(path)}}}
	}
	if !fi.Mode().IsRegular() {
		return post.Attachment{}, &post.Error{Kind: post.KindInvalid, Op: "attach", Message: "only files can be attached", Reason: post.Reason{Key: "composer.not_a_file", Args: []string{filepath.Base(path)}}}
	}
	return post.Attachment{Name: filepath.Base(path), Path: path, Size: fi.Size()}, nil
}

// parseTo splits typed recipients at line ends, commas and semicolons, minding
// names in quotation marks.
func parseTo(s string) []string {
	var out []string
	var b strings.Builder
	quoted := false
	flush := func() {
		if t := strings.TrimSpace(b.String()); t != "" {
			out = append(out, t)
		}
		b.Reset()
	}
	for _, r := range s {
		switch {
		case r == '"':
			quoted = !quoted
			b.WriteRune(r)
		case !quoted && (r == ',' || r == ';' || r == '\n' || r == '，' || r == '；'):
			flush()
		default:
			b.WriteRune(r)
		}
	}
	flush()
	return out
}

// findingsText is preflight's strip: one line, the worst first.
func findingsText(w *words.Catalogue, f *compose.Findings) string {
	if f.Errors == 0 && f.Warnings == 0 {
		return ""
	}
	type group struct {
		text string
		n    int
	}
	var groups []group
	for _, sev := range []compose.Severity{compose.SeverityError, compose.SeverityWarning} {
		seen := map[string]int{}
		for i := range f.List {
			x := &f.List[i]
			if x.Severity != sev {
				continue
			}
			id := x.Reason.Key + "\x00" + x.Field
			if at, ok := seen[id]; ok {
				groups[at].n++
				continue
			}
			seen[id] = len(groups)
			groups = append(groups, group{findingWords(w, x), 1})
		}
	}
	var parts []string
	for _, g := range groups {
		if g.n > 1 {
			parts = append(parts, w.T("composer.times", g.text, int64(g.n)))
			continue
		}
		parts = append(parts, g.text)
	}
	return strings.Join(parts, "  ·  ")
}

func findingWords(w *words.Catalogue, x *compose.Finding) string {
	s := x.Message
	if w.Has(x.Reason.Key) {
		s = w.Reason(x.Reason)
	}
	if x.Address != "" && !strings.Contains(s, x.Address) {
		s = x.Address + ": " + s
	}
	return s
}

// isCancelled reports whether the user gave up.
func isCancelled(err error) bool {
	return errors.Is(err, context.Canceled) || post.KindOf(err) == post.KindCancelled
}

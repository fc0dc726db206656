package mailings

import (
	"context"
	"errors"
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

// group are findings of one kind, of which the first stands for all.
type group struct {
	first compose.Finding
	n     int
	rows  []int64 // those that are about a row, in order
}

// groupsOf puts findings of one kind together, the errors first.
func groupsOf(f *compose.Findings) []group {
	var groups []group
	for _, sev := range []compose.Severity{compose.SeverityError, compose.SeverityWarning} {
		seen := map[string]int{}
		for i := range f.List {
			x := &f.List[i]
			if x.Severity != sev {
				continue
			}
			id := x.Reason.Key + "\x00" + x.Field
			if x.Row == 0 {
				id += "\x00" + strings.Join(x.Reason.Args, "\x00")
			}
			at, ok := seen[id]
			if !ok {
				at = len(groups)
				seen[id] = at
				groups = append(groups, group{first: *x})
			}
			if groups[at].n++; x.Row > 0 {
				groups[at].rows = append(groups[at].rows, x.Row)
			}
		}
	}
	return groups
}

// findingsText is preflight's strip: one line, the worst first.
func findingsText(w *words.Catalogue, groups []group) string {
	var parts []string
	for i := range groups {
		text := findingWords(w, &groups[i].first)
		if n := groups[i].n; n > 1 {
			text = w.T("composer.times", text, int64(n-1))
		}
		parts = append(parts, text)
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

// Package contacts is the screen for people: lists at the left, the table
// beside them, and the import.
package contacts

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"postroom/assets/words"
	people "postroom/contacts"
	"postroom/post"
	"postroom/storage"
)

// ListItem is one entry of the lists at the left; ID 0 is everybody.
type ListItem struct {
	ID   int64
	Name string
	N    int64
}

// Row is one person in the table.
type Row struct {
	ID                          int64
	Address, Name, Lists, Added string
	Suppressed                  string // why they are not mailed; empty: they are
}

// Model is what the screen shows.
type Model struct {
	Lists []ListItem
	Rows  []Row
	Pages storage.Pages
	Total int64
	All   int64
}

// Load reads the lists and one page of people.
func Load(ctx context.Context, l *storage.Ledger, w *words.Catalogue, now time.Time, f storage.ContactFilter, p storage.Page) (*Model, error) {
	m := &Model{}
	var err error
	if m.All, err = l.CountContacts(ctx, storage.ContactFilter{}); err != nil {
		return nil, err
	}
	m.Lists = append(m.Lists, ListItem{Name: w.T("contacts.everybody"), N: m.All})
	lists, err := l.Lists(ctx)
	if err != nil {
		return nil, err
	}
	m.Total = m.All
	for _, li := range lists {
		m.Lists = append(m.Lists, ListItem{ID: li.ID, Name: li.Name, N: li.Members})
		if li.ID == f.List {
			m.Total = li.Members
		}
	}
	if f.Search != "" {
		if m.Total, err = l.CountContacts(ctx, f); err != nil {
			return nil, err
		}
	}
	rows, pages, err := l.Contacts(ctx, f, p)
	if err != nil {
		return nil, err
	}
	m.Pages = pages
	for i := range rows {
		c := &rows[i]
		r := Row{ID: c.ID, Address: c.Address, Name: c.Name, Lists: strings.Join(c.Lists, ", "), Added: w.Moment(c.CreatedAt.In(now.Location()), now)}
		if c.Suppressed != nil {
			r.Suppressed = suppressedWords(w, c.Suppressed.Reason)
		}
		m.Rows = append(m.Rows, r)
	}
	return m, nil
}

func suppressedWords(w *words.Catalogue, reason string) string {
	if key := "suppression." + reason; w.Has(key) {
		return w.T(key)
	}
	return reason
}

// Person is one contact in words.
type Person struct {
	post.Contact
	Lists      string
	Fields     [][2]string // name and value, sorted
	Suppressed string
	Messages   []string // the last ones, newest first
}

// LoadPerson reads one contact and the last messages to them.
func LoadPerson(ctx context.Context, l *storage.Ledger, w *words.Catalogue, now time.Time, id int64) (*Person, error) {
	c, err := l.Contact(ctx, id)
	if err != nil {
		return nil, err
	}
	p := &Person{Contact: c.Contact, Lists: strings.Join(c.Lists, ", ")}
	for _, k := range slices.Sorted(maps.Keys(c.Contact.Fields)) {
		p.Fields = append(p.Fields, [2]string{k, c.Contact.Fields[k]})
	}
	if c.Suppressed != nil {
		p.Suppressed = suppressedWords(w, c.Suppressed.Reason)
	}
	rows, _, err := l.History(ctx, storage.HistoryFilter{Contact: id}, storage.Page{Limit: 20})
	if err != nil {
		return nil, err
	}
	for i := range rows {
		h := &rows[i]
		p.Messages = append(p.Messages, w.Moment(h.ChangeAt.In(now.Location()), now)+"  "+h.MailingName+": "+outcome(w, h))
	}
	return p, nil
}

// outcome is a delivery's state as one word; a rehearsal reached nobody.
func outcome(w *words.Catalogue, h *storage.HistoryRow) string {
	if h.State == post.StateSent && h.Kind == post.Rehearsal {
		return w.T("state.caught")
	}
	return w.State(h.State)
}

// Plan is what an import would do.
type Plan struct {
	Path, List string
	Columns    [][2]string // a column, and what it becomes
	Report     people.Report
}

// Rehearse reads a file as an import would, without writing anything.
func Rehearse(ctx context.Context, l *storage.Ledger, w *words.Catalogue, path, list string, report func(done, total int64)) (*Plan, error) {
	if strings.TrimSpace(list) == "" {
		return nil, &post.Error{Kind: post.KindInvalid, Op: "import", Message: "give the list a name", Reason: post.Reason{Key: "contacts.no_list"}}
	}
	pre, err := people.Inspect(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	p := &Plan{Path: path, List: list, Columns: columnWords(w, &pre)}
	p.Report, err = people.Import(ctx, l, path, people.Options{
		List: list, DryRun: true, Progress: func(_, done, total int64) { report(done, total) },
	})
	return p, err
}

// Import carries a plan out.
func Import(ctx context.Context, l *storage.Ledger, p *Plan, report func(done, total int64)) (people.Report, error) {
	return people.Import(ctx, l, p.Path, people.Options{List: p.List, Progress: func(_, done, total int64) { report(done, total) }})
}

func columnWords(w *words.Catalogue, pre *people.Preview) [][2]string {
	out := make([][2]string, 0, len(pre.Mapping.Fields)+2)
	add := func(column int, field string) {
		if column < 0 {
			return
		}
		head := w.T("contacts.column_n", strconv.Itoa(column+1))
		if column < len(pre.Header) && strings.TrimSpace(pre.Header[column]) != "" {
			head = pre.Header[column]
		}
		out = append(out, [2]string{head, field})
	}
	add(pre.Mapping.Address, w.T("contacts.column.address"))
	add(pre.Mapping.Name, w.T("contacts.column.name"))
	for _, f := range pre.Mapping.Fields {
		add(f.Column, "{{"+f.Name+"}}")
	}
	return out
}

// problemLines tells what is wrong row by row, at most so many.
func problemLines(w *words.Catalogue, r *people.Report) []string {
	const most = 500
	var out []string
	for i := range r.Problems {
		if i == most {
			out = append(out, w.N("contacts.more_problems", int64(len(r.Problems)-most)))
			break
		}
		x := &r.Problems[i]
		line := w.T("contacts.row", x.Row) + ": " + w.Reason(x.Reason)
		if x.Value != "" {
			line += " (" + x.Value + ")"
		}
		out = append(out, line)
	}
	return out
}

func isCancelled(err error) bool {
	return errors.Is(err, context.Canceled) || post.KindOf(err) == post.KindCancelled
}

// Package contacts is the screen for people: the lists at the left, and at their
// right the table of people, one person's page, those who are not mailed, or the
// import of a file.
//
// Models (model, people, rule, plan, columns) load and change, and know no
// widget; views show and ask. What a person chose is turned into ids off the
// window's goroutine, and changed in steps that can be cancelled.
package contacts

import (
	"context"
	"errors"
	"strings"
	"time"

	"postroom/assets/words"
	"postroom/post"
	"postroom/storage"
)

// The entries beside the user's own lists.
const (
	everybody int64 = 0
	notMailed int64 = -1
)

// ListItem is one of the user's lists.
type ListItem struct {
	ID   int64
	Name string
	N    int64
	// Rule says in words who is chosen; empty: people were put there one by one.
	Rule   string
	Chosen string // when that was last done
	rule   *storage.Rule
}

// Lists is what stands at the left.
type Lists struct {
	Items     []ListItem
	All       int64 // people in the book
	NotMailed int64
}

// LoadLists reads it.
func LoadLists(ctx context.Context, l *storage.Ledger, w *words.Catalogue, now time.Time) (*Lists, error) {
	m := &Lists{}
	var err error
	if m.All, err = l.CountContacts(ctx, storage.ContactFilter{}); err != nil {
		return nil, err
	}
	if m.NotMailed, err = l.CountSuppressions(ctx, ""); err != nil {
		return nil, err
	}
	all, err := l.ListDetails(ctx)
	if err != nil {
		return nil, err
	}
	names := map[int64]string{}
	for _, d := range all {
		names[d.ID] = d.Name
	}
	for _, d := range all {
		item := ListItem{ID: d.ID, Name: d.Name, N: d.Members, rule: d.Rule}
		if d.Rule != nil {
			if item.Rule, err = ruleWords(ctx, l, w, names, *d.Rule); err != nil {
				return nil, err
			}
			item.Chosen = w.Moment(post.FromMillis(d.ChosenAt).In(now.Location()), now)
		}
		m.Items = append(m.Items, item)
	}
	return m, nil
}

// find returns the list of an id, or nil.
func (m *Lists) find(id int64) *ListItem {
	if m == nil {
		return nil
	}
	for i := range m.Items {
		if m.Items[i].ID == id {
			return &m.Items[i]
		}
	}
	return nil
}

// total is how many people a filter without a search has; negative: not known.
func (m *Lists) total(f storage.ContactFilter) int64 {
	switch {
	case m == nil || f.Search != "":
		return -1
	case f.List == everybody:
		return m.All
	}
	if item := m.find(f.List); item != nil {
		return item.N
	}
	return -1
}

// Row is one person in the table.
type Row struct {
	ID                          int64
	Address, Name, Lists, Added string
	Suppressed                  string // why they are not mailed; empty: they are
}

// Page is one page of the table.
type Page struct {
	Rows  []Row
	Pages storage.Pages
}

// LoadPage reads one page of people.
func LoadPage(ctx context.Context, l *storage.Ledger, w *words.Catalogue, now time.Time, f storage.ContactFilter, p storage.Page) (*Page, error) {
	rows, pages, err := l.Contacts(ctx, f, p)
	if err != nil {
		return nil, err
	}
	m := &Page{Pages: pages, Rows: make([]Row, 0, len(rows))}
	for i := range rows {
		m.Rows = append(m.Rows, rowOf(w, now, &rows[i]))
	}
	return m, nil
}

func rowOf(w *words.Catalogue, now time.Time, c *storage.ContactRow) Row {
	r := Row{ID: c.ID, Address: c.Address, Name: c.Name, Lists: strings.Join(c.Lists, ", "), Added: w.Moment(c.CreatedAt.In(now.Location()), now)}
	if c.Suppressed != nil {
		r.Suppressed = suppressedWords(w, c.Suppressed.Reason)
	}
	return r
}

func suppressedWords(w *words.Catalogue, reason string) string {
	if key := "suppression." + reason; w.Has(key) {
		return w.T(key)
	}
	return reason
}

// sourceWords says where a suppression came from: "you", "receipt 12",
// "delivery 12: 550 ...", or a file's name.
func sourceWords(w *words.Catalogue, source string) string {
	what, raw, _ := strings.Cut(source, ": ")
	kind, _, _ := strings.Cut(what, " ")
	key := "suppression.source." + kind
	switch {
	case !w.Has(key):
		return source
	case raw != "":
		return w.T(key) + " (" + raw + ")"
	}
	return w.T(key)
}

// Stopped is one address that is not mailed.
type Stopped struct {
	Key                           string
	Address, Reason, Source, When string
}

// StoppedPage is one page of them.
type StoppedPage struct {
	Rows  []Stopped
	Pages storage.Pages
	Total int64
}

// LoadStopped reads one page of the addresses that are not mailed.
func LoadStopped(ctx context.Context, l *storage.Ledger, w *words.Catalogue, now time.Time, search string, p storage.Page) (*StoppedPage, error) {
	rows, pages, err := l.Suppressions(ctx, search, p)
	if err != nil {
		return nil, err
	}
	m := &StoppedPage{Pages: pages}
	if m.Total, err = l.CountSuppressions(ctx, search); err != nil {
		return nil, err
	}
	for _, s := range rows {
		m.Rows = append(m.Rows, Stopped{
			Key: s.Key, Address: s.Address, Reason: suppressedWords(w, s.Reason), Source: sourceWords(w, s.Source), When: w.Moment(s.At.In(now.Location()), now),
		})
	}
	return m, nil
}

func isCancelled(err error) bool {
	return errors.Is(err, context.Canceled) || post.KindOf(err) == post.KindCancelled
}

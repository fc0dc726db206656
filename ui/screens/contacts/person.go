package contacts

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"postroom/assets/words"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/screens"
)

// Person is one contact as their page shows them.
type Person struct {
	storage.ContactRow
	Names []string // of the fields that they have, sorted
	Stop  *Stopped // nil: they may be mailed
	Parts []Part   // lists as whose member they are not mailed
	Added string
}

// Part is a list as whose member somebody is not mailed.
type Part struct {
	List         int64
	Name, Reason string
}

// LoadPerson reads one contact.
func LoadPerson(ctx context.Context, l *storage.Ledger, w *words.Catalogue, now time.Time, id int64) (*Person, error) {
	c, err := l.Contact(ctx, id)
	if err != nil {
		return nil, err
	}
	p := &Person{ContactRow: c, Names: slices.Sorted(maps.Keys(c.Fields)), Added: w.Moment(c.CreatedAt.In(now.Location()), now)}
	if s := c.Suppressed; s != nil {
		p.Stop = &Stopped{Key: s.Key, Address: s.Address, Reason: suppressedWords(w, s.Reason), Source: sourceWords(w, s.Source), When: w.Moment(s.At.In(now.Location()), now)}
	}
	parts, err := l.SuppressionsOf(ctx, c.Key)
	if err != nil || len(parts) == 0 {
		return p, err
	}
	lists, err := l.Lists(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range parts {
		for _, li := range lists {
			if li.ID == s.List {
				p.Parts = append(p.Parts, Part{li.ID, li.Name, suppressedWords(w, s.Reason)})
			}
		}
	}
	return p, nil
}

// Message is one message to a person.
type Message struct {
	ID                     int64
	Mailing, Outcome, When string
	Back                   string // what came back; empty: nothing did
	State                  post.State
	Receipt                post.ReceiptKind
}

// MessagePage is one page of them.
type MessagePage struct {
	Rows  []Message
	Pages storage.Pages
}

// LoadMessages reads one page of the messages to a person, the newest first.
func LoadMessages(ctx context.Context, l *storage.Ledger, w *words.Catalogue, now time.Time, key string, p storage.Page) (*MessagePage, error) {
	rows, pages, err := l.MessagesTo(ctx, key, p)
	if err != nil {
		return nil, err
	}
	m := &MessagePage{Pages: pages}
	for i := range rows {
		h := &rows[i]
		x := Message{ID: h.ID, Mailing: h.MailingName, Outcome: screens.Outcome(w, h), When: w.Moment(h.ChangeAt.In(now.Location()), now), State: h.State, Receipt: h.Receipt}
		if h.Receipt != post.ReceiptNone {
			x.Back = w.Receipt(h.Receipt)
		}
		m.Rows = append(m.Rows, x)
	}
	return m, nil
}

// Form is what a person's page holds.
type Form struct {
	ID            int64
	Address, Name string
	Fields        [][2]string // name and value
}

// contact turns a form into a contact. Fields without a value are none.
func (f Form) contact() post.Contact {
	c := post.Contact{ID: f.ID, Address: strings.TrimSpace(f.Address), Name: strings.TrimSpace(f.Name), Fields: map[string]string{}}
	for _, x := range f.Fields {
		if name := post.FieldName(x[0], nil); strings.TrimSpace(x[0]) != "" && x[1] != "" {
			c.Fields[name] = x[1]
		}
	}
	return c
}

// changed reports whether a form says something else than a contact.
func (f Form) changed(c post.Contact) bool {
	n := f.contact()
	return n.Address != c.Address || n.Name != c.Name || !maps.Equal(n.Fields, withoutEmpty(c.Fields))
}

func withoutEmpty(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		if v != "" {
			out[k] = v
		}
	}
	return out
}

// savePerson keeps a form; a new person is put on the list, if there is one.
func savePerson(ctx context.Context, l *storage.Ledger, f Form, list int64) (int64, error) {
	id, err := l.SaveContact(ctx, f.contact())
	if err == nil && f.ID == 0 && list > everybody {
		_, err = l.AddToList(ctx, list, []int64{id})
	}
	return id, err
}

package mailings

import (
	"context"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"postroom/accounts"
	"postroom/compose"
	"postroom/contacts"
	"postroom/mailer"
	"postroom/post"
	"postroom/storage"
)

// jobOf turns a draft into what compose checks and queues.
func jobOf(ctx context.Context, l *storage.Ledger, d post.Draft, kind post.MailingKind, now time.Time) (*compose.Job, error) {
	j := &compose.Job{Kind: kind, Content: d.Content, Lists: d.Lists, Lookup: l, Now: now}
	var err error
	if j.Senders, err = sendersOf(ctx, l, d); err != nil {
		return nil, err
	}
	if len(j.Senders) == 0 {
		return nil, errNoSender
	}
	if len(d.Lists) == 0 && len(d.To) == 0 && d.Rows == "" {
		return nil, errNobody
	}
	look, err := lookOf(ctx, l, d, j.Senders[0])
	if err != nil {
		return nil, err
	}
	if j.Content, j.Removed = look.content, look.removed; len(look.logo) > 0 {
		a, err := freezeLogo(ctx, l, look.logo)
		if err != nil {
			return nil, err
		}
		j.Content.Attachments = append(slices.Clone(j.Content.Attachments), a)
	}
	uncertain, err := l.Setting(ctx, settingUncertain, string(post.UncertainAsk))
	if err != nil {
		return nil, err
	}
	j.Uncertain = post.UncertainPolicy(uncertain)
	j.Foresee = mailer.JobOutlook(l, j, now.Location())
	j.Health = accounts.HealthNews(l, now)
	who, err := recipientsOf(ctx, l, d, nil)
	if err != nil {
		return nil, err
	}
	j.KnownFields, j.Recipients, j.Total = who.fields, who.rows, who.total
	return j, nil
}

// settingUncertain is what is done about uncertain messages where nothing else
// is said.
const settingUncertain = "uncertain"

func sendersOf(ctx context.Context, l *storage.Ledger, d post.Draft) ([]post.Sender, error) {
	var all []post.Sender
	for _, id := range d.Accounts {
		a, err := l.Account(ctx, id)
		if post.KindOf(err) == post.KindNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		s := post.Sender{Account: a.ID, Email: a.Email, FromName: a.FromName, Weight: max(1, a.Weight)}
		if w := d.Weights[a.ID]; w > 0 {
			s.Weight = w
		}
		all = append(all, s)
	}
	return all, nil
}

// addressed is whom a draft is for.
type addressed struct {
	fields []string
	rows   func() iter.Seq2[post.Recipient, error]
	total  int64 // 0: not known
}

// recipientsOf says whom a draft is for. The problems of a sheet's rows are told
// to report, which may be nil.
func recipientsOf(ctx context.Context, l *storage.Ledger, d post.Draft, report func(contacts.Problem)) (addressed, error) {
	if d.Rows != "" {
		if report == nil {
			report = func(contacts.Problem) {}
		}
		fields, rows, err := contacts.RowsAs(ctx, d.Rows, contacts.Options{Temp: filepath.Join(l.Dir(), "temp")}, report)
		if fields == nil {
			fields = []string{}
		}
		return addressed{fields: fields, rows: func() iter.Seq2[post.Recipient, error] { return rows }}, err
	}
	fields, err := l.FieldNames(ctx)
	if err != nil {
		return addressed{}, err
	}
	if fields == nil {
		fields = []string{} // known: there are none
	}
	a := addressed{fields: fields, rows: func() iter.Seq2[post.Recipient, error] { return people(ctx, l, d) }, total: int64(len(d.To))}
	lists, err := l.Lists(ctx)
	for _, li := range lists {
		for _, id := range d.Lists {
			if li.ID == id {
				a.total += li.Members
			}
		}
	}
	return a, err
}

// people walks the draft's lists, then its typed addresses; who of those is in
// the book brings name and fields.
func people(ctx context.Context, l *storage.Ledger, d post.Draft) iter.Seq2[post.Recipient, error] {
	return func(yield func(post.Recipient, error) bool) {
		for _, list := range d.Lists {
			for c, err := range l.EachMember(ctx, list) {
				if !yield(recipientOf(c), err) || err != nil {
					return
				}
			}
		}
		for _, to := range d.To {
			r, err := typedRecipient(ctx, l, to)
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

func recipientOf(c post.Contact) post.Recipient {
	return post.Recipient{Contact: c.ID, Address: c.Address, Key: c.Key, Name: c.Name, Fields: c.Fields}
}

func typedRecipient(ctx context.Context, l *storage.Ledger, to string) (post.Recipient, error) {
	name, a, err := post.ParseMailbox(to)
	if err != nil {
		return post.Recipient{}, err
	}
	r := post.Recipient{Address: a.String(), Key: post.AddressKey(a), Name: name, Fields: map[string]string{}}
	for c, err := range l.EachContact(ctx, storage.ContactFilter{Search: r.Address}) {
		if err != nil {
			return r, err
		}
		if c.Key == r.Key {
			r.Contact, r.Fields = c.ID, c.Fields
			if r.Name == "" {
				r.Name = c.Name
			}
			break
		}
	}
	return r, nil
}

// walked is how many recipients a walk keeps, to step back among.
const walked = 2000

// walk steps through the recipients of a draft in the order in which they are
// sent to, without holding all of them. Safe for concurrent use.
type walk struct {
	mu     sync.Mutex
	ledger *storage.Ledger
	draft  post.Draft
	ctx    context.Context // ends with the composer
	who    *addressed
	next   func() (post.Recipient, error, bool)
	stop   func()
	kept   []post.Recipient // the last ones read
	first  int64            // the number of kept[0], from 1
	ended  bool
}

func newWalk(ctx context.Context, l *storage.Ledger, d post.Draft) *walk {
	return &walk{ledger: l, draft: d, ctx: ctx, first: 1}
}

// same reports whether a draft is for the same people.
func (w *walk) same(d post.Draft) bool {
	return w != nil && w.draft.Rows == d.Rows && equal(w.draft.Lists, d.Lists) && equal(w.draft.To, d.To)
}

func equal[T comparable](a, b []T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// close ends the walk.
func (w *walk) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rewind()
}

func (w *walk) rewind() {
	if w.stop != nil {
		w.stop()
	}
	w.next, w.stop, w.kept, w.first, w.ended = nil, nil, nil, 1, false
}

// at returns the recipient of a number from 1, the fields that they all have, and
// how many there are: 0 where that is not known yet. A number behind the last is
// nobody.
func (w *walk) at(n int64) (r post.Recipient, fields []string, total int64, ok bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.who == nil {
		who, err := recipientsOf(w.ctx, w.ledger, w.draft, nil)
		if err != nil {
			return r, nil, 0, false, err
		}
		w.who = &who
	}
	if n < w.first {
		w.rewind()
	}
	for n >= w.first+int64(len(w.kept)) && !w.ended {
		if err := w.read(); err != nil {
			w.rewind()
			return r, w.who.fields, w.who.total, false, err
		}
	}
	if i := n - w.first; i >= 0 && i < int64(len(w.kept)) {
		return w.kept[i], w.who.fields, w.who.total, true, nil
	}
	return r, w.who.fields, w.who.total, false, nil
}

// read reads one more.
func (w *walk) read() error {
	if w.next == nil {
		w.next, w.stop = iter.Pull2(w.who.rows())
	}
	r, err, more := w.next()
	if err != nil {
		return err
	}
	if !more {
		w.ended = true
		w.who.total = w.first + int64(len(w.kept)) - 1
		return nil
	}
	if len(w.kept) == 2*walked {
		w.kept = append(w.kept[:0], w.kept[walked:]...)
		w.first += walked
	}
	w.kept = append(w.kept, r)
	return nil
}

// Gaps says which fields of a draft's recipients are empty.
type Gaps struct {
	fields  []string
	lacking map[string]int64
	rows    int64
}

// CountGaps goes through all recipients.
func CountGaps(ctx context.Context, l *storage.Ledger, d post.Draft) (Gaps, error) {
	who, err := recipientsOf(ctx, l, d, nil)
	if err != nil {
		return Gaps{}, err
	}
	g := Gaps{lacking: map[string]int64{}}
	var body strings.Builder
	seen := map[string]bool{}
	for _, f := range append([]string{"name", "email"}, who.fields...) {
		if !seen[f] {
			seen[f] = true
			g.fields = append(g.fields, f)
			body.WriteString(fieldTag(f) + "\n")
		}
	}
	m, err := compose.Compile(ctx, post.Content{Subject: "-", Format: post.FormatText, Body: body.String()}, nil, compose.Options{KnownFields: g.fields, NoAttachments: true})
	if err != nil {
		return g, err
	}
	for r, err := range who.rows() {
		if err != nil {
			return g, err
		}
		if g.rows++; g.rows%1000 == 0 && ctx.Err() != nil {
			return g, ctx.Err()
		}
		for _, f := range m.Missing(r) {
			g.lacking[f]++
		}
	}
	return g, nil
}

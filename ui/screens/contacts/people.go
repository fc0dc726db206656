package contacts

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"postroom/assets/words"
	people "postroom/contacts"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/screens"
)

// Chosen says for whom something is done: these people, or with All everybody of
// a filter but these.
type Chosen struct {
	IDs    []int64
	All    bool
	Filter storage.ContactFilter
}

// resolve returns their ids. It is asked off the window's goroutine.
func (c Chosen) resolve(ctx context.Context, l *storage.Ledger) ([]int64, error) {
	if !c.All {
		return c.IDs, nil
	}
	ids, err := l.ContactIDs(ctx, c.Filter)
	if err != nil || len(c.IDs) == 0 {
		return ids, err
	}
	but := make(map[int64]bool, len(c.IDs))
	for _, id := range c.IDs {
		but[id] = true
	}
	return slices.DeleteFunc(ids, func(id int64) bool { return but[id] }), nil
}

// report is told how far a change of many people has come.
type report func(done, total int64)

// each does a change step by step. Stopped half way, what was done stays done.
func (c Chosen) each(ctx context.Context, l *storage.Ledger, tell report, do func(ctx context.Context, ids []int64) error) error {
	ids, err := c.resolve(ctx, l)
	if err != nil {
		return err
	}
	done := int64(0)
	for step := range slices.Chunk(ids, storage.BookStep) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := do(ctx, step); err != nil {
			return err
		}
		done += int64(len(step))
		tell(done, int64(len(ids)))
	}
	return nil
}

// Target is a list that people are put on: one that is there, or a new one.
type Target struct {
	ID   int64
	Name string // of a new one
}

// ensure returns the list's id.
func (t Target) ensure(ctx context.Context, l *storage.Ledger) (int64, error) {
	if t.ID != 0 {
		return t.ID, nil
	}
	li, err := l.CreateList(ctx, t.Name)
	return li.ID, err
}

func addTo(ctx context.Context, l *storage.Ledger, c Chosen, t Target, tell report) (list int64, err error) {
	if list, err = t.ensure(ctx, l); err != nil {
		return 0, err
	}
	return list, c.each(ctx, l, tell, func(ctx context.Context, ids []int64) error {
		_, err := l.AddToList(ctx, list, ids)
		return err
	})
}

func takeOff(ctx context.Context, l *storage.Ledger, c Chosen, list int64, tell report) error {
	return c.each(ctx, l, tell, func(ctx context.Context, ids []int64) error {
		_, err := l.RemoveFromList(ctx, list, ids)
		return err
	})
}

// merge puts everybody of one list on another one, and removes the first where
// that is wanted.
func mergeLists(ctx context.Context, l *storage.Ledger, from, into int64, remove bool, tell report) error {
	if _, err := addTo(ctx, l, Chosen{All: true, Filter: storage.ContactFilter{List: from}}, Target{ID: into}, tell); err != nil || !remove {
		return err
	}
	return l.DeleteList(ctx, from)
}

// suppress stops mail to people, for good or with a list as those of it.
func suppress(ctx context.Context, l *storage.Ledger, c Chosen, list int64, reason string, tell report) error {
	return c.each(ctx, l, tell, func(ctx context.Context, ids []int64) error {
		rows, err := l.ContactsByID(ctx, ids)
		if err != nil {
			return err
		}
		all := make([]post.Suppression, len(rows))
		for i := range rows {
			all[i] = post.Suppression{List: list, Key: rows[i].Key, Address: rows[i].Address, Reason: reason, Source: "you"}
		}
		_, err = l.Suppress(ctx, all)
		return err
	})
}

// unsuppress takes that back.
func unsuppress(ctx context.Context, l *storage.Ledger, c Chosen, list int64, tell report) error {
	return c.each(ctx, l, tell, func(ctx context.Context, ids []int64) error {
		rows, err := l.ContactsByID(ctx, ids)
		if err != nil {
			return err
		}
		keys := make([]string, len(rows))
		for i := range rows {
			keys[i] = rows[i].Key
		}
		if list != everybody {
			_, err = l.UnsuppressFor(ctx, list, keys)
			return err
		}
		_, err = l.Unsuppress(ctx, keys)
		return err
	})
}

func deletePeople(ctx context.Context, l *storage.Ledger, c Chosen, tell report) error {
	return c.each(ctx, l, tell, func(ctx context.Context, ids []int64) error {
		for few := range slices.Chunk(ids, 200) { // each also leaves the search index
			if err := l.DeleteContacts(ctx, few); err != nil {
				return err
			}
		}
		return nil
	})
}

// Removal says what was erased of how many people.
type Removal struct {
	People, Lists, Messages, Cancelled, Files, Suppressed int64
	Sending                                               []string // addresses that could not be: a message is on its way
	Backups                                               []string
}

// erase removes people from everything. Whose message is on its way is passed
// over and named.
func erase(ctx context.Context, l *storage.Ledger, c Chosen, tell report) (*Removal, error) {
	r := &Removal{}
	ids, err := c.resolve(ctx, l)
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		x, err := l.Contact(ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return r, err
		}
		e, err := l.Erase(ctx, x.Key)
		if post.KindOf(err) == post.KindConflict {
			r.Sending = append(r.Sending, x.Address)
			continue
		}
		if err != nil {
			return r, err
		}
		r.add(e)
		tell(int64(i+1), int64(len(ids)))
	}
	return r, nil
}

func (r *Removal) add(e storage.Erased) {
	if e.Contact {
		r.People++
	}
	if e.Suppressed {
		r.Suppressed++
	}
	r.Lists += e.Lists
	r.Messages += e.Deliveries
	r.Cancelled += e.Cancelled
	r.Files += e.Files
	r.Backups = e.Backups
}

// lines says it.
func (r *Removal) lines(w *words.Catalogue) []string {
	all := []string{w.N("contacts.erased.people", r.People, r.Lists)}
	if r.Messages > 0 {
		all = append(all, w.N("contacts.erased.messages", r.Messages, r.Cancelled, r.Files))
	}
	if r.Suppressed > 0 {
		all = append(all, w.N("contacts.erased.suppressed", r.Suppressed))
	}
	for _, a := range r.Sending {
		all = append(all, w.T("contacts.erased.sending", a))
	}
	for _, b := range r.Backups {
		all = append(all, w.T("contacts.erased.backup", b))
	}
	return append(all, w.T("contacts.erased.elsewhere"))
}

// draftTo puts people on a new list and begins a mailing to it.
func draftTo(ctx context.Context, l *storage.Ledger, c Chosen, name string, tell report) (draft int64, err error) {
	list, err := addTo(ctx, l, c, Target{Name: name}, tell)
	if err != nil {
		return 0, err
	}
	return screens.DraftTo(ctx, l, list)
}

// copyText is what copying people puts on the clipboard: a line each, as a
// spreadsheet takes it.
func copyText(ctx context.Context, l *storage.Ledger, c Chosen) (string, error) {
	var b strings.Builder
	err := c.each(ctx, l, func(int64, int64) {}, func(ctx context.Context, ids []int64) error {
		rows, err := l.ContactsByID(ctx, ids)
		for i := range rows {
			b.WriteString(rows[i].Address + "\t" + rows[i].Name + "\n")
		}
		return err
	})
	return b.String(), err
}

// export writes people into a CSV file or, by its name, a workbook.
func export(ctx context.Context, l *storage.Ledger, c Chosen, total int64, path string, tell report) error {
	walked := int64(0)
	walk := func(yield func(post.Contact, error) bool) {
		for x, err := range c.walk(ctx, l) {
			if walked++; walked%500 == 0 {
				tell(walked, 2*total) // it is walked twice
			}
			if !yield(x, err) || err != nil {
				return
			}
		}
	}
	return people.ExportFile(path, walk)
}

func (c Chosen) walk(ctx context.Context, l *storage.Ledger) iter.Seq2[post.Contact, error] {
	return func(yield func(post.Contact, error) bool) {
		if c.All && len(c.IDs) == 0 {
			for x, err := range l.EachContact(ctx, c.Filter) {
				if !yield(x.Contact, err) {
					return
				}
			}
			return
		}
		stop := errors.New("stop")
		err := c.each(ctx, l, func(int64, int64) {}, func(ctx context.Context, ids []int64) error {
			rows, err := l.ContactsByID(ctx, ids)
			for i := range rows {
				if !yield(rows[i].Contact, nil) {
					return stop
				}
			}
			return err
		})
		if err != nil && !errors.Is(err, stop) {
			yield(post.Contact{}, err)
		}
	}
}

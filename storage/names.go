package storage

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"iter"
	"slices"
)

// names are people who are to be put into the order by name. A million of them
// lie in a few pieces of memory without pointers, each put in order by itself when
// it is full, beside whoever adds to the next one.
type names struct{ runs []*nameRun }

// nameRun is such a piece.
type nameRun struct {
	text []byte
	all  []named
	done chan struct{} // closed when it is in order; nil: it is added to
}

type named struct {
	front uint64 // the first letters of the name
	id    int64
	at, n uint32 // where the name stands in text
}

// nameRunMost is how many people are in a piece. A variable, so that tests come to
// many pieces.
var nameRunMost = 1 << 16

func (s *names) add(name string, id int64) {
	n := len(s.runs)
	if n == 0 || len(s.runs[n-1].all) == nameRunMost {
		s.end()
		s.runs = append(s.runs, &nameRun{all: make([]named, 0, nameRunMost)})
		n++
	}
	s.runs[n-1].add(name, id)
}

// end lets the last piece be put in order.
func (s *names) end() {
	if n := len(s.runs); n > 0 && s.runs[n-1].done == nil {
		r := s.runs[n-1]
		r.done = make(chan struct{})
		go r.sort()
	}
}

func (r *nameRun) add(name string, id int64) {
	r.all = append(r.all, named{front(name), id, uint32(len(r.text)), uint32(len(name))})
	r.text = append(r.text, name...)
}

func (r *nameRun) of(x named) []byte { return r.text[x.at : x.at+x.n] }

func (r *nameRun) sort() {
	defer close(r.done)
	slices.SortFunc(r.all, func(a, b named) int {
		if a.front != b.front {
			return cmp.Compare(a.front, b.front)
		}
		return cmp.Or(bytes.Compare(r.of(a), r.of(b)), cmp.Compare(a.id, b.id))
	})
}

// inOrder yields the people by name, and those of one name by id. Nobody is added
// afterwards.
func (s *names) inOrder() iter.Seq2[string, int64] {
	return func(yield func(string, int64) bool) {
		s.end()
		all := make(merging[*nameHead], 0, len(s.runs))
		for _, r := range s.runs {
			<-r.done
			all = append(all, &nameHead{r, r.all})
		}
		heap.Init(&all)
		for len(all) > 0 {
			h := all[0]
			if !yield(string(h.of(h.rest[0])), h.rest[0].id) {
				return
			}
			if h.rest = h.rest[1:]; len(h.rest) > 0 {
				heap.Fix(&all, 0)
			} else {
				heap.Pop(&all)
			}
		}
	}
}

// nameHead is where the reading of a piece stands.
type nameHead struct {
	*nameRun
	rest []named
}

func (h *nameHead) before(o *nameHead) bool {
	a, b := h.rest[0], o.rest[0]
	if a.front != b.front {
		return a.front < b.front
	}
	if c := bytes.Compare(h.of(a), o.of(b)); c != 0 {
		return c < 0
	}
	return a.id < b.id
}

// unnamed returns the people who are in no order by name yet: what an import
// that was interrupted had taken in.
func (l *Ledger) unnamed(ctx context.Context) (*names, error) {
	rows, err := l.r.QueryContext(ctx, "SELECT c.name, c.id FROM contacts c WHERE NOT EXISTS (SELECT 1 FROM contact_names n WHERE n.name = c.name AND n.id = c.id)")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := &names{}
	for rows.Next() {
		var name string
		var id int64
		if err := rows.Scan(&name, &id); err != nil {
			return nil, err
		}
		all.add(name, id)
	}
	return all, rows.Err()
}

const insertNames = "INSERT OR IGNORE INTO contact_names (name, id) SELECT name, id FROM temp.fed_names"

// naming is a person's place in the order by name, as SQLite takes it.
type naming struct{ name, id driver.Value }

// nameAll puts people into the order by name, in steps, and then takes the import's
// mark away. While some are written the next ones are found.
func (l *Ledger) nameAll(ctx context.Context, token string, s *names) error {
	sending, stop := context.WithCancel(ctx)
	groups := make(chan []naming, groupsAhead)
	go func() {
		defer close(groups)
		s.send(sending, groups)
	}()
	ended, err := l.nameSteps(ctx, token, groups)
	stop()
	for range groups { // until nobody reads the names any more
	}
	if err != nil || ended {
		return err
	}
	return l.endImport(ctx, token)
}

// send sends the people in order, a group at a time.
func (s *names) send(ctx context.Context, groups chan<- []naming) {
	var g []naming
	for name, id := range s.inOrder() {
		if g == nil {
			g = make([]naming, 0, groupPeople)
		}
		if g = append(g, naming{name, id}); len(g) < groupPeople {
			continue
		}
		select {
		case groups <- g:
			g = nil
		case <-ctx.Done():
			return
		}
	}
	select {
	case groups <- g:
	case <-ctx.Done():
	}
}

// nameSteps puts people into the order as they come, and reports whether that was
// the end of the import.
func (l *Ledger) nameSteps(ctx context.Context, token string, groups <-chan []naming) (ended bool, err error) {
	var next []naming
	more := true
	for n := applyFirst; ; {
		for more && len(next) <= n {
			var g []naming
			g, more = <-groups
			next = append(next, g...)
		}
		if len(next) == 0 {
			return false, nil
		}
		part := next[:min(n, len(next))]
		asked := l.clock.Elapsed()
		done := 0
		if err := l.write(ctx, "import contacts", func(t *Tx) error {
			began := t.w.clock.Elapsed()
			for done, ended = 0, false; done < len(part) && (done == 0 || !t.timeUp(began)); {
				some := part[done:min(done+applyLook, len(part))]
				if err := t.name(some); err != nil {
					return err
				}
				done += len(some)
			}
			if more || done < len(next) {
				return nil
			}
			// Mostly no name was given up meanwhile, and a commit is spared.
			n, err := t.change("DELETE FROM imports WHERE token = ? AND NOT EXISTS (SELECT 1 FROM names_left)", token)
			ended = n > 0
			return err
		}); err != nil || ended {
			return ended, err
		}
		next = slices.Delete(next, 0, done)
		n = stepSize(n, l.clock.Elapsed()-asked)
	}
}

func (t *Tx) name(part []naming) error {
	_, err := t.insertFrom(t.w.feeds.names, len(part), func(row, column int) driver.Value {
		if column == 0 {
			return part[row].name
		}
		return part[row].id
	}, insertNames)
	return err
}

// endImport takes out of the order those names that were given up while the import
// went on, now that no old name comes in any more, and then the mark away. All that
// in steps: an import may well give new names to a million people.
func (l *Ledger) endImport(ctx context.Context, token string) error {
	const op = "import contacts"
	at := oldName{}
	for done := false; !done; {
		var next oldName
		if err := l.write(ctx, op, func(t *Tx) (err error) {
			began := t.w.clock.Elapsed()
			next, done, err = t.dropOldNames(at)
			for err == nil && !done && !t.timeUp(began) {
				next, done, err = t.dropOldNames(next)
			}
			if err == nil && done {
				_, err = t.exec("DELETE FROM imports WHERE token = ?", token)
			}
			return err
		}); err != nil {
			return err
		}
		at = next
	}
	// Those that an end of the process leaves go with the next import.
	return l.drain(ctx, op, func(t *Tx) (int64, error) {
		return t.change("DELETE FROM names_left WHERE (name, id) IN (SELECT name, id FROM names_left WHERE NOT EXISTS (SELECT 1 FROM imports) LIMIT ?)", drainStep)
	}, nil)
}

// oldName is a name that somebody had when an import began.
type oldName struct {
	name string
	id   int64
}

// dropOldNames takes some old names, those behind one, out of the order, unless the
// person has taken theirs again, and returns the last of them.
func (t *Tx) dropOldNames(from oldName) (to oldName, done bool, err error) {
	err = t.scan("SELECT name, id FROM (SELECT name, id FROM names_left WHERE (name, id) > (?, ?) ORDER BY name, id LIMIT ?) ORDER BY name DESC, id DESC LIMIT 1",
		[]any{from.name, from.id, drainStep}, &to.name, &to.id)
	if errors.Is(err, sql.ErrNoRows) {
		return from, true, nil
	}
	if err != nil {
		return from, false, err
	}
	_, err = t.exec(`DELETE FROM contact_names WHERE (name, id) IN (SELECT name, id FROM names_left WHERE (name, id) > (?1, ?2) AND (name, id) <= (?3, ?4))
		AND NOT EXISTS (SELECT 1 FROM contacts c WHERE c.id = contact_names.id AND c.name = contact_names.name)`, from.name, from.id, to.name, to.id)
	return to, false, err
}

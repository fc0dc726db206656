package storage

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"slices"
)

// names are people who are to be put into the order by name. A million of them
// lie in two pieces of memory without pointers.
type names struct {
	text []byte
	all  []named
}

type named struct {
	front uint64 // the first letters of the name
	id    int64
	at, n uint32 // where the name stands in text
}

func (s *names) add(name string, id int64) {
	var front [8]byte
	copy(front[:], name)
	s.all = append(s.all, named{binary.BigEndian.Uint64(front[:]), id, uint32(len(s.text)), uint32(len(name))}) // a file of 200 MB has no 4 GB of names
	s.text = append(s.text, name...)
}

func (s *names) of(x named) []byte { return s.text[x.at : x.at+x.n] }

func (s *names) sort() {
	slices.SortFunc(s.all, func(a, b named) int {
		if a.front != b.front {
			return cmp.Compare(a.front, b.front)
		}
		return cmp.Or(bytes.Compare(s.of(a), s.of(b)), cmp.Compare(a.id, b.id))
	})
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

// nameAll puts people into the order by name, in steps, and then takes the import's
// mark away.
func (l *Ledger) nameAll(ctx context.Context, token string, s *names) error {
	s.sort()
	n := applyFirst
	for rest := s.all; len(rest) > 0; {
		part := rest[:min(n, len(rest))]
		asked := l.clock.Elapsed()
		done, ended := 0, false
		if err := l.write(ctx, "import contacts", func(t *Tx) error {
			began := t.w.clock.Elapsed()
			for done = 0; done < len(part) && (done == 0 || !t.timeUp(began)); {
				some := part[done:min(done+applyLook, len(part))]
				if err := t.name(s, some); err != nil {
					return err
				}
				done += len(some)
			}
			if done < len(rest) {
				return nil
			}
			// Mostly no name was given up meanwhile, and a commit is spared.
			n, err := t.change("DELETE FROM imports WHERE token = ? AND NOT EXISTS (SELECT 1 FROM names_left)", token)
			ended = n > 0
			return err
		}); err != nil {
			return err
		}
		if ended {
			return nil
		}
		rest = rest[done:]
		n = stepSize(n, l.clock.Elapsed()-asked)
	}
	return l.endImport(ctx, token)
}

func (t *Tx) name(s *names, part []named) error {
	_, err := t.insertFrom(t.w.feeds.names, len(part), func(row, column int) driver.Value {
		if column == 0 {
			return string(s.of(part[row]))
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

package storage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"time"
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

const (
	namesHead = "INSERT OR IGNORE INTO contact_names (name, id) VALUES "
	nameRow   = "(?,?)"
)

var namesMany = namesHead + nameRow + strings.Repeat(","+nameRow, manyRows-1)

// nameAll puts people into the order by name, in steps, and takes the import's
// mark away with the last one.
func (l *Ledger) nameAll(ctx context.Context, token string, s *names) error {
	s.sort()
	n := applyFirst
	for rest := s.all; ; {
		part := rest[:min(n, len(rest))]
		asked := time.Now()
		done := 0
		if err := l.write(ctx, "import contacts", func(t *Tx) error {
			began := time.Now()
			for done = 0; done < len(part) && (done == 0 || time.Since(began) < applyBound); {
				some := part[done:min(done+applyLook, len(part))]
				if err := t.name(s, some); err != nil {
					return err
				}
				done += len(some)
			}
			if done < len(rest) {
				return nil
			}
			return t.endImport(token)
		}); err != nil {
			return err
		}
		rest = rest[done:]
		took := time.Since(asked)
		l.longestStep.Store(max(l.longestStep.Load(), int64(took)))
		if len(rest) == 0 {
			return nil
		}
		n = stepSize(n, took)
	}
}

func (t *Tx) name(s *names, part []named) error {
	args := make([]any, 0, 2*manyRows)
	for len(part) > 0 {
		n, query := 1, namesHead+nameRow
		if len(part) >= manyRows {
			n, query = manyRows, namesMany
		}
		args = args[:0]
		for _, x := range part[:n] {
			args = append(args, string(s.of(x)), x.id)
		}
		if _, err := t.exec(query, args...); err != nil {
			return err
		}
		part = part[n:]
	}
	return nil
}

// endImport takes the mark away, and out of the order those names that were
// given up while the import went on.
func (t *Tx) endImport(token string) error {
	if _, err := t.exec("DELETE FROM imports WHERE token = ?", token); err != nil {
		return err
	}
	if _, err := t.exec(`DELETE FROM contact_names WHERE EXISTS (SELECT 1 FROM names_left) AND (name, id) IN (SELECT name, id FROM names_left)
		AND NOT EXISTS (SELECT 1 FROM contacts c WHERE c.id = contact_names.id AND c.name = contact_names.name)`); err != nil {
		return err
	}
	_, err := t.exec("DELETE FROM names_left WHERE NOT EXISTS (SELECT 1 FROM imports)")
	return err
}

package storage

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"time"
)

// named is somebody new, to be put into the order by name.
type named struct {
	front uint64 // the first letters of the name
	name  string
	id    int64
}

func newNamed(name string, id int64) named {
	var front [8]byte
	copy(front[:], name)
	return named{binary.BigEndian.Uint64(front[:]), name, id}
}

func sortNames(all []named) {
	slices.SortFunc(all, func(a, b named) int {
		if a.front != b.front {
			return cmp.Compare(a.front, b.front)
		}
		return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.id, b.id))
	})
}

// unnamed returns the people who are in no order by name yet: what an import
// that was interrupted had taken in.
func (l *Ledger) unnamed(ctx context.Context) ([]named, error) {
	rows, err := l.r.QueryContext(ctx, "SELECT c.name, c.id FROM contacts c WHERE NOT EXISTS (SELECT 1 FROM contact_names n WHERE n.name = c.name AND n.id = c.id)")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []named
	for rows.Next() {
		var name string
		var id int64
		if err := rows.Scan(&name, &id); err != nil {
			return nil, err
		}
		all = append(all, newNamed(name, id))
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
func (l *Ledger) nameAll(ctx context.Context, token string, all []named) error {
	sortNames(all)
	n := applyFirst
	for {
		part := all[:min(n, len(all))]
		all = all[len(part):]
		asked := time.Now()
		if err := l.write(ctx, "import contacts", func(t *Tx) error {
			if err := t.name(part); err != nil || len(all) > 0 {
				return err
			}
			return t.endImport(token)
		}); err != nil {
			return err
		}
		took := time.Since(asked)
		l.longestStep.Store(max(l.longestStep.Load(), int64(took)))
		if len(all) == 0 {
			return nil
		}
		n = stepSize(max(n, 1), took)
	}
}

func (t *Tx) name(part []named) error {
	args := make([]any, 0, 2*manyRows)
	for len(part) > 0 {
		n, query := 1, namesHead+nameRow
		if len(part) >= manyRows {
			n, query = manyRows, namesMany
		}
		args = args[:0]
		for _, x := range part[:n] {
			args = append(args, x.name, x.id)
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

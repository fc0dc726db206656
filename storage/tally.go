package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"postroom/post"
)

// tally reads rows into a stage, counts what they will do, and makes one row of
// all rows of a person: the first of a stranger is the person, whatever the
// rule, and the later ones merge with it.
type tally struct {
	ledger *Ledger
	stage  *stage
	merge  string
	list   string             // its name; may be missing yet
	person func(staged) error // gets each person, in order of their keys; nil: nobody wants them

	now counted // whose rows are being counted; nobody's at first

	added, updated, unchanged int64
	suppressed                []string
}

// counted is a person whose rows are being counted.
type counted struct {
	rows   staged        // all rows so far as one
	merged *post.Contact // the same, where there is more than one
	book   *post.Contact // what the rows so far made of the person in the book; nil for a stranger
}

// So many rows, or bytes of them, are looked up in the ledger at once.
const (
	tallyRows  = 1000
	tallyBytes = 1 << 20
)

// read stages the rows. They are encoded and written while the next ones are
// read; a row is not changed by its reader afterwards.
func (t *tally) read(ctx context.Context, rows iter.Seq2[post.Contact, error]) (err error) {
	batches := make(chan []post.Contact, 4)
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- t.add(batches)
		close(stop)
	}()
	defer func() {
		close(batches)
		if aerr := <-done; err == nil {
			err = aerr
		}
		if err == nil {
			err = t.stage.end()
		}
	}()
	batch := make([]post.Contact, 0, tallyRows)
	give := func() bool {
		select {
		case batches <- batch:
			batch = make([]post.Contact, 0, tallyRows)
			return true
		case <-stop: // it could not write
			return false
		}
	}
	for c, err := range rows {
		if err != nil {
			return err
		}
		if batch = append(batch, c); len(batch) < tallyRows {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !give() {
			return nil
		}
	}
	give()
	return ctx.Err()
}

func (t *tally) add(batches <-chan []post.Contact) error {
	for batch := range batches {
		for _, c := range batch {
			if err := t.stage.add(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// countAll counts the staged rows behind a key, in order, and gives away the
// people that come of them.
func (t *tally) countAll(ctx context.Context, after string) error {
	batch, size := make([]staged, 0, tallyRows), 0
	for s, err := range t.stage.sorted(after) {
		if err != nil {
			return fmt.Errorf("read the staged import: %w", err)
		}
		batch, size = append(batch, s), size+s.size()
		if len(batch) < tallyRows && size < tallyBytes {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.count(ctx, batch); err != nil {
			return err
		}
		batch, size = batch[:0], 0
	}
	if err := t.count(ctx, batch); err != nil {
		return err
	}
	return t.next(counted{})
}

func (t *tally) count(ctx context.Context, batch []staged) error {
	keys := make([]string, 0, len(batch))
	for _, s := range batch {
		keys = append(keys, s.key)
	}
	known, err := t.ledger.known(ctx, keys)
	if err != nil {
		return err
	}
	unwanted, err := t.ledger.suppressedKeys(ctx, t.list, keys)
	if err != nil {
		return err
	}
	erased, err := erasedKeys(ctx, t.ledger.r.QueryRowContext, keys)
	if err != nil {
		return err
	}
	for _, s := range batch {
		if t.now.rows.key != s.key {
			p := counted{rows: s}
			if c, ok := known[s.key]; ok {
				p.book = new(c)
			}
			if err := t.next(p); err != nil {
				return err
			}
			if _, gone := erased[s.key]; gone || unwanted[s.key] {
				t.suppressed = append(t.suppressed, strings.Clone(s.address)) // it is a part of a whole block
			}
			if t.now.book == nil {
				t.added++
				continue
			}
		} else if err := t.again(s); err != nil {
			return err
		}
		if err := t.meet(s); err != nil {
			return err
		}
	}
	return nil
}

// again merges a further row of a person with the earlier ones.
func (t *tally) again(s staged) error {
	if t.now.merged == nil {
		c, err := t.now.rows.contact()
		if err != nil {
			return err
		}
		t.now.merged = &c
		if t.now.book == nil { // from now on the rows meet what the first one made
			t.now.book = &c
		}
	}
	row, err := s.contact()
	if err != nil {
		return err
	}
	merged, _ := mergeContact(*t.now.merged, row, t.merge)
	t.now.merged = &merged
	return nil
}

// meet counts a row of a person who is known by now.
func (t *tally) meet(s staged) error {
	row, err := s.contact()
	if err != nil {
		return err
	}
	merged, changed := mergeContact(*t.now.book, row, t.merge)
	if !changed {
		t.unchanged++
		return nil
	}
	t.updated++
	t.now.book = &merged
	return nil
}

// next gives away the person who was counted, and turns to another one.
func (t *tally) next(p counted) (err error) {
	was := t.now
	t.now = p
	if was.rows.key == "" || t.person == nil {
		return nil
	}
	if was.merged != nil {
		if was.rows, err = stagedOf(*was.merged); err != nil {
			return err
		}
	}
	return t.person(was.rows)
}

// span returns the least and the greatest of some keys.
func span(keys []string) (from, to string) {
	if len(keys) == 0 {
		return "", ""
	}
	from, to = keys[0], keys[0]
	for _, k := range keys[1:] {
		from, to = min(from, k), max(to, k)
	}
	return from, to
}

// known returns those of some keys who are in the book. Between the keys of a
// large import there is often nobody: then that is all that is asked.
func (l *Ledger) known(ctx context.Context, keys []string) (map[string]post.Contact, error) {
	var some bool
	from, to := span(keys)
	if err := l.r.QueryRowContext(ctx, someBetween, from, to).Scan(&some); err != nil || !some {
		return nil, err
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	rows, err := l.r.QueryContext(ctx, knownQuery, string(list))
	if err != nil {
		return nil, err
	}
	return scanKnown(rows)
}

const someBetween = "SELECT EXISTS (SELECT 1 FROM contacts WHERE key >= ? AND key <= ?)"

// CROSS JOIN: the book is asked per key, never read through for its keys.
const knownQuery = "SELECT c.id, c.address, c.key, c.name, c.fields FROM json_each(?) j CROSS JOIN contacts c ON c.key = j.value"

func scanKnown(rows *sql.Rows) (map[string]post.Contact, error) {
	defer rows.Close()
	all := map[string]post.Contact{}
	for rows.Next() {
		var c post.Contact
		var fields string
		if err := rows.Scan(&c.ID, &c.Address, &c.Key, &c.Name, &fields); err != nil {
			return nil, err
		}
		var err error
		if c.Fields, err = decodeFields(fields); err != nil {
			return nil, err
		}
		all[c.Key] = c
	}
	return all, rows.Err()
}

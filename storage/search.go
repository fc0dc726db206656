package storage

import (
	"context"
	"strconv"
)

const (
	searchedTo  = "ledger.search.to"
	indexFirst  = 200
	waitingMost = 2000 // changed people who are looked at one by one
)

// IndexSearch brings the search index up to the book, in short steps, and
// returns when it stands. Stopped at any moment, the next call goes on. It is for
// the one process that has the mailer's lock; until the index stands a search
// looks through the whole book.
func (l *Ledger) IndexSearch(ctx context.Context) error {
	const op = "index the contacts"
	if err := l.tameIndex(ctx); err != nil {
		return classify(op, err)
	}
	n := indexFirst
	for {
		if err := ctx.Err(); err != nil {
			return classify(op, err)
		}
		var done int
		asked := l.clock.Elapsed()
		if err := l.write(ctx, op, func(t *Tx) (err error) {
			done, err = t.indexStep(n)
			return err
		}); err != nil {
			return err
		}
		if err := l.mergeIndex(ctx); err != nil { // also what an interrupted call left
			return classify(op, err)
		}
		if done == 0 {
			return nil
		}
		n = stepSize(n, l.clock.Elapsed()-asked)
	}
}

// tamed is how FTS5 is kept from work of its own choice within a statement or a
// commit, which took seconds where many people had changed: it neither merges the
// parts of its index by itself ("automerge", and "crisismerge" up to so many of
// them) nor puts the index in order when a tenth of it was deleted ("deletemerge").
// mergeIndex does that in pieces. What was deleted is found no more in any case; its
// space comes back when the part that it lies in is merged.
var tamed = map[string]int{"automerge": 0, "crisismerge": 1000, "deletemerge": 0}

func (l *Ledger) tameIndex(ctx context.Context) error {
	is := 0
	for k, v := range tamed {
		var so bool
		if err := l.r.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM contact_search_config WHERE k = ? AND v = ?)", k, v).Scan(&so); err != nil {
			return err
		}
		if so {
			is++
		}
	}
	if is == len(tamed) {
		return nil
	}
	return l.write(ctx, "index the contacts", func(t *Tx) error {
		for k, v := range tamed {
			if _, err := t.exec("INSERT INTO contact_search (contact_search, rank) VALUES (?, ?)", k, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// mergePages is how many pages of the index are merged between two looks at the clock.
const mergePages = 16

// mergeIndex merges parts of the index where there are several of one size, as
// searching reads all of them, in steps between which others write.
func (l *Ledger) mergeIndex(ctx context.Context) error {
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.write(ctx, "index the contacts", func(t *Tx) (err error) {
			began := t.w.clock.Elapsed()
			for more = true; more && err == nil && !t.timeUp(began); {
				more, err = t.mergeSome()
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// mergeSome merges a few pages, and reports whether there was anything to merge.
func (t *Tx) mergeSome() (bool, error) {
	var before, after int64
	if err := t.scan("SELECT total_changes()", nil, &before); err != nil {
		return false, err
	}
	if _, err := t.exec("INSERT INTO contact_search (contact_search, rank) VALUES ('merge', ?)", mergePages); err != nil {
		return false, err
	}
	// Fewer than two: it did nothing (https://sqlite.org/fts5.html, the merge command).
	err := t.scan("SELECT total_changes()", nil, &after)
	return after-before >= 2, err
}

// indexLook is how many people are indexed between two looks at the clock.
const indexLook = 50

// indexStep indexes people, n at most and for as long as it may, and returns how
// many it was done with: 0 when the index stands.
func (t *Tx) indexStep(n int) (int, error) {
	began := t.w.clock.Elapsed()
	to, err := t.searchedTo()
	if err != nil {
		return 0, err
	}
	// Who waits and was never in comes in their turn, once.
	gone, err := t.change("DELETE FROM search_waiting WHERE id IN (SELECT id FROM search_waiting WHERE id > ? LIMIT ?)", to, n)
	if err != nil || gone > 0 {
		return int(gone), err
	}
	all, err := t.toIndex(to, n)
	if err != nil {
		return 0, err
	}
	last := to
	for i, f := range all {
		if i%indexLook == 0 && i > 0 && t.timeUp(began) {
			all = all[:i]
			break
		}
		if f.waiting {
			if err := t.unindex(f.id); err != nil {
				return 0, err
			}
			if f.text == "" { // the person is gone
				continue
			}
		} else {
			last = f.id
		}
		if _, err := t.exec("INSERT INTO contact_search (rowid, grams) VALUES (?, ?)", f.id, gramText(f.text)); err != nil {
			return 0, err
		}
	}
	if last != to {
		return len(all), t.setSetting(searchedTo, strconv.FormatInt(last, 10))
	}
	return len(all), nil
}

// unindexed is a person who is to come into the index.
type unindexed struct {
	id      int64
	text    string
	waiting bool // they were in it, with another text
}

// toIndex returns n people at most of those who wait, and as many of those behind
// an id, who were never in the index.
func (t *Tx) toIndex(to int64, n int) ([]unindexed, error) {
	rows, err := t.query(`SELECT * FROM (SELECT w.id, coalesce(c.search, ''), 1 FROM search_waiting w LEFT JOIN contacts c ON c.id = w.id LIMIT ?2)
		UNION ALL SELECT id, search, 0 FROM (SELECT id, search FROM contacts WHERE id > ?1 ORDER BY id LIMIT ?2)`, to, n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []unindexed
	for rows.Next() {
		var u unindexed
		if err := rows.Scan(&u.id, &u.text, &u.waiting); err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, rows.Err()
}

// unindex takes a person out of the index and off those who wait for it.
func (t *Tx) unindex(id int64) error {
	if _, err := t.exec("DELETE FROM contact_search WHERE rowid = ?", id); err != nil {
		return err
	}
	_, err := t.exec("DELETE FROM search_waiting WHERE id = ?", id)
	return err
}

func (t *Tx) searchedTo() (int64, error) {
	var to int64
	err := t.scan("SELECT coalesce((SELECT CAST(value AS INTEGER) FROM settings WHERE key = ?), 0)", []any{searchedTo}, &to)
	return to, err
}

// indexStands reports whether every person is in the index or waits for it as
// one of few.
func (l *Ledger) indexStands(ctx context.Context) (bool, error) {
	var stands bool
	err := l.r.QueryRowContext(ctx, `SELECT coalesce((SELECT max(id) FROM contacts), 0) <= coalesce((SELECT CAST(value AS INTEGER) FROM settings WHERE key = ?), 0)
		AND (SELECT count(*) FROM (SELECT 1 FROM search_waiting LIMIT ?)) < ?`, searchedTo, waitingMost, waitingMost).Scan(&stands)
	return stands, err
}

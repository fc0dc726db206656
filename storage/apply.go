package storage

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"postroom/post"
)

const (
	// applyAim is how long a step keeps the ledger's write lock, about, with its
	// commit. Nobody may wait for it longer than 250 ms.
	applyAim   = 50 * time.Millisecond
	applyFirst = 200 // rows of the first step
	applyMost  = 5000
)

// applyImport takes the staged rows into the book, step by step, from where the
// last step ended, and removes the mark with the last one.
func (l *Ledger) applyImport(ctx context.Context, s *stage) error {
	var at, size int64
	err := l.r.QueryRowContext(ctx, "SELECT applied, bytes FROM imports WHERE token = ?", s.token).Scan(&at, &size)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // it was finished
	}
	if err != nil {
		return err
	}
	if err := l.roomForImport(ctx, true); err != nil {
		return err
	}
	defer func() {
		if rerr := l.roomForImport(ctx, false); rerr != nil {
			l.log.Warn("give back an import's memory", "err", rerr)
		}
	}()
	r := s.from(at)
	n := applyFirst
	for {
		rows, next, err := readStep(r, at, size, n)
		if err != nil {
			return err
		}
		done := next >= size
		asked := time.Now()
		if err := l.write(ctx, "import contacts", func(t *Tx) error {
			return t.applyStep(s.token, rows, at, next, done)
		}); err != nil {
			return err
		}
		took := time.Since(asked) // with the commit, which is the larger part on a busy disk
		l.longestStep.Store(max(l.longestStep.Load(), int64(took)))
		if done {
			return nil
		}
		at = next
		n = stepSize(n, took)
	}
}

// roomForImport gives the writer more memory while an import goes on: the rows
// of a file come in no order, so that each step touches pages all over the
// indexes, which would be read again and again.
func (l *Ledger) roomForImport(ctx context.Context, more bool) error {
	pragma := "PRAGMA cache_size = -16384" // as in dsn
	if more {
		pragma = "PRAGMA cache_size = -65536"
	}
	return l.write(ctx, "import contacts", func(t *Tx) error {
		_, err := t.w.conn.ExecContext(t.ctx, pragma)
		return err
	})
}

// stepSize aims the next step at applyAim.
func stepSize(n int, took time.Duration) int {
	if took <= 0 {
		return min(2*n, applyMost)
	}
	wish := int(int64(n) * int64(applyAim) / int64(took))
	return min(max(wish, n/4, 20), n+n/2, applyMost)
}

func readStep(r *bufio.Reader, at, size int64, n int) (rows []post.Contact, next int64, err error) {
	rows = make([]post.Contact, 0, n)
	for len(rows) < n && at < size {
		c, took, err := readStaged(r)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read the staged import: %w", err)
		}
		rows = append(rows, c)
		at += took
	}
	return rows, at, nil
}

// met is a person whom a step touches.
type met struct {
	contact      post.Contact
	isNew, dirty bool
}

// applyStep takes some rows in. Where it stands is part of the same commit, so
// that no row is applied twice.
func (t *Tx) applyStep(token string, rows []post.Contact, at, next int64, done bool) error {
	var applied, list int64
	var merge string
	err := t.scan("SELECT i.applied, coalesce(l.id, 0), i.merge FROM imports i LEFT JOIN lists l ON l.id = i.list_id WHERE i.token = ?", []any{token}, &applied, &list, &merge)
	if err != nil {
		return err
	}
	if applied != at {
		return fmt.Errorf("the import stands at %d, not at %d", applied, at)
	}
	people, byKey, err := t.meet(rows)
	if err != nil {
		return err
	}
	for _, c := range rows {
		m := byKey[c.Key]
		if m.isNew && !m.dirty { // the first row of a new person is the person, whatever the rule
			id := m.contact.ID
			m.contact, m.dirty = c, true
			m.contact.ID = id
			continue
		}
		if merged, changed := mergeContact(m.contact, c, merge); changed {
			m.contact, m.dirty = merged, true
		}
	}
	if err := t.writePeople(people); err != nil {
		return err
	}
	if list != 0 {
		if err := t.addMembers(list, people); err != nil {
			return err
		}
	}
	if done {
		_, err = t.exec("DELETE FROM imports WHERE token = ?", token)
	} else {
		_, err = t.exec("UPDATE imports SET applied = ? WHERE token = ?", next, token)
	}
	return err
}

// meet finds the people of some rows, in the rows' order, and gives new ones an id.
func (t *Tx) meet(rows []post.Contact) ([]*met, map[string]*met, error) {
	keys := make([]string, 0, len(rows))
	for _, c := range rows {
		keys = append(keys, c.Key)
	}
	if err := t.recallSuppressions(keys...); err != nil {
		return nil, nil, err
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return nil, nil, err
	}
	found, err := t.query(knownQuery, string(list))
	if err != nil {
		return nil, nil, err
	}
	defer found.Close()
	byKey := make(map[string]*met, len(rows))
	for found.Next() {
		c, err := scanKnown(found)
		if err != nil {
			return nil, nil, err
		}
		byKey[c.Key] = &met{contact: c}
	}
	if err := found.Err(); err != nil {
		return nil, nil, err
	}
	var last int64
	if err := t.scan("SELECT coalesce(max(id), 0) FROM contacts", nil, &last); err != nil {
		return nil, nil, err
	}
	// An id that is in the search index is never given to somebody else.
	to, err := t.searchedTo()
	if err != nil {
		return nil, nil, err
	}
	last = max(last, to)
	people := make([]*met, 0, len(rows))
	told := make(map[string]bool, len(rows))
	for _, c := range rows {
		if told[c.Key] {
			continue
		}
		told[c.Key] = true
		m := byKey[c.Key]
		if m == nil {
			last++
			m = &met{contact: post.Contact{ID: last, Key: c.Key}, isNew: true}
			byKey[c.Key] = m
		}
		people = append(people, m)
	}
	return people, byKey, nil
}

// Many rows fail as one with the transaction (OR FAIL), which spares a journal
// for each statement.
const (
	manyRows   = 40
	insertHead = "INSERT OR FAIL INTO contacts (id, address, key, key_version, name, fields, search, created_at, changed_at) VALUES "
	insertRow  = "(?,?,?,?,?,?,?,?,?)"
	memberHead = "INSERT OR IGNORE INTO list_members (list_id, contact_id) VALUES "
	memberRow  = "(?,?)"
)

var (
	insertMany = insertHead + insertRow + strings.Repeat(","+insertRow, manyRows-1)
	memberMany = memberHead + memberRow + strings.Repeat(","+memberRow, manyRows-1)
)

func (t *Tx) writePeople(people []*met) error {
	now := post.Millis(t.now)
	args := make([]any, 0, 9*manyRows)
	var waiting []post.Contact
	for _, m := range people {
		switch {
		case m.isNew:
			waiting = append(waiting, m.contact)
		case m.dirty:
			if err := t.updateContact(m.contact); err != nil {
				return err
			}
		}
	}
	for len(waiting) > 0 {
		n, query := 1, insertHead+insertRow
		if len(waiting) >= manyRows {
			n, query = manyRows, insertMany
		}
		args = args[:0]
		for _, c := range waiting[:n] {
			fields, err := encodeFields(c.Fields)
			if err != nil {
				return err
			}
			args = append(args, c.ID, c.Address, c.Key, post.AddressKeyVersion, c.Name, fields, searchText(c), now, now)
		}
		if _, err := t.exec(query, args...); err != nil {
			return err
		}
		waiting = waiting[n:]
	}
	return nil
}

func (t *Tx) addMembers(list int64, people []*met) error {
	var added int64
	args := make([]any, 0, 2*manyRows)
	for len(people) > 0 {
		n, query := 1, memberHead+memberRow
		if len(people) >= manyRows {
			n, query = manyRows, memberMany
		}
		args = args[:0]
		for _, m := range people[:n] {
			args = append(args, list, m.contact.ID)
		}
		changed, err := t.change(query, args...)
		if err != nil {
			return err
		}
		added += changed
		people = people[n:]
	}
	_, err := t.exec("UPDATE lists SET members = members + ? WHERE id = ?", added, list)
	return err
}

// finishImports completes the imports that a crash left, and removes the files
// of those that had not come to their mark. What another process is at is its own.
func (l *Ledger) finishImports(ctx context.Context) error {
	tokens, err := l.pendingImports(ctx)
	if err != nil {
		return err
	}
	pending := map[string]bool{}
	for _, token := range tokens {
		pending[token] = true
		s, err := openStage(l.dir, token)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			l.log.Warn("an import was not finished and its rows are gone") // Check tells it too
			continue
		case err != nil:
			return err
		case s == nil:
			continue
		}
		l.log.Info("finishing an import")
		if err := l.applyImport(ctx, s); err != nil {
			return errors.Join(err, s.close())
		}
		if err := s.drop(); err != nil {
			l.log.Warn("remove a staged import", "err", err)
		}
	}
	return l.sweepStages(ctx, pending)
}

func (l *Ledger) pendingImports(ctx context.Context) ([]string, error) {
	rows, err := l.r.QueryContext(ctx, "SELECT token FROM imports ORDER BY started_at")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var token string
		if err := rows.Scan(&token); err != nil {
			return nil, err
		}
		all = append(all, token)
	}
	return all, rows.Err()
}

// lostImports returns the marks whose staged rows are gone: a backup has the
// marks of its moment, and not the files.
func (l *Ledger) lostImports(ctx context.Context) (lost []string, err error) {
	tokens, err := l.pendingImports(ctx)
	if err != nil {
		return nil, err
	}
	for _, token := range tokens {
		if _, err := os.Stat(stagePath(l.dir, token, ".rows")); errors.Is(err, fs.ErrNotExist) {
			lost = append(lost, token)
		}
	}
	return lost, nil
}

// forgetLostImports takes such marks away when a file was imported since.
func (l *Ledger) forgetLostImports(ctx context.Context) error {
	lost, err := l.lostImports(ctx)
	if err != nil || len(lost) == 0 {
		return err
	}
	return l.write(ctx, "import contacts", func(t *Tx) error {
		for _, token := range lost {
			if _, err := t.exec("DELETE FROM imports WHERE token = ?", token); err != nil {
				return err
			}
		}
		return nil
	})
}

func (l *Ledger) sweepStages(ctx context.Context, pending map[string]bool) error {
	files, err := filepath.Glob(filepath.Join(l.dir, importsDir, "*.lock"))
	if err != nil {
		return err
	}
	for _, f := range files {
		token := strings.TrimSuffix(filepath.Base(f), ".lock")
		if pending[token] {
			continue
		}
		s := &stage{dir: l.dir, token: token}
		if ok, err := s.tryLock(); err != nil || !ok {
			continue
		}
		// It may have come to its mark since the marks were read; it is looked at
		// again now that nobody else can be at it.
		var n int
		if err := l.r.QueryRowContext(ctx, "SELECT count(*) FROM imports WHERE token = ?", token).Scan(&n); err != nil || n > 0 {
			_ = s.lock.Unlock()
			continue
		}
		for _, ext := range []string{".rows", mergedExt} {
			if err := os.Remove(stagePath(l.dir, token, ext)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				l.log.Warn("remove a staged import", "err", err)
			}
		}
		_ = s.lock.Unlock()
		_ = os.Remove(f)
	}
	return nil
}

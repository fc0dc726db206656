package storage

import (
	"context"
	"encoding/json"
	"errors"
	"hash/maphash"
	"iter"
	"maps"

	"postroom/post"
)

// The rules by which a row meets a person who is in the book already.
const (
	MergeReplace = "replace" // a value that is not empty replaces, an empty one keeps: the default
	MergeFill    = "fill"    // only what is empty is filled in
	MergeKeep    = "keep"    // the person stays as they are
)

// ImportContacts is ImportContactsBy with MergeReplace.
func (l *Ledger) ImportContacts(ctx context.Context, list string, dry bool, rows iter.Seq2[post.Contact, error]) (added, updated, unchanged int64, suppressed []string, err error) {
	return l.ImportContactsBy(ctx, list, MergeReplace, dry, rows)
}

// ImportContactsBy applies rows to the address book and to the list of that
// name (made where missing; "" for none): all or nothing. The rows are read
// once, and first laid into a file beside the ledger, so that nothing is locked
// while a file is read. When that file is on disk one commit says that it is to
// be taken in; from then on it is, in steps of a fraction of a second between
// which others write, and by the next Open where this process ends before. A row
// of a known person merges by the rule; one that changes nothing is unchanged.
// With dry the counts are the same and the ledger is not touched. It returns
// the suppressed addresses it met, which stay suppressed.
func (l *Ledger) ImportContactsBy(ctx context.Context, list, merge string, dry bool, rows iter.Seq2[post.Contact, error]) (added, updated, unchanged int64, suppressed []string, err error) {
	const op = "import contacts"
	if merge != MergeReplace && merge != MergeFill && merge != MergeKeep {
		return 0, 0, 0, nil, post.Errorf(post.KindInvalid, op, "people are merged by fill, keep or replace, not by %q", merge)
	}
	s, err := newStage(l.dir)
	if err != nil {
		return 0, 0, 0, nil, classify(op, err)
	}
	marked := false
	defer func() {
		if marked && err != nil { // the next Open goes on
			err = errors.Join(err, s.close())
			return
		}
		if derr := s.drop(); derr != nil {
			l.log.Warn("remove a staged import", "err", derr)
		}
	}()
	t := &tally{ledger: l, stage: s, merge: merge, seed: maphash.MakeSeed(), first: map[uint64]int64{}, again: map[uint64]int64{}}
	err = t.read(ctx, rows)
	if t.merged != nil {
		err = errors.Join(err, t.merged.dropScratch())
	}
	if err != nil {
		return 0, 0, 0, nil, classify(op, err)
	}
	if !dry {
		if marked, err = l.markImport(ctx, s, list, merge); err == nil {
			// Past the mark it is carried out whatever the caller wants.
			err = l.applyImport(context.WithoutCancel(ctx), s)
		}
		if err == nil {
			err = l.forgetLostImports(context.WithoutCancel(ctx))
		}
		if err != nil {
			return 0, 0, 0, nil, classify(op, err)
		}
	}
	return t.added, t.updated, t.unchanged, t.suppressed, nil
}

// markImport commits that the staged rows are to be taken in.
func (l *Ledger) markImport(ctx context.Context, s *stage, list, merge string) (bool, error) {
	if err := s.flush(); err != nil {
		return false, err
	}
	err := l.write(ctx, "import contacts", func(t *Tx) error {
		var id int64
		if list != "" {
			var err error
			if id, err = t.ensureList(list); err != nil {
				return err
			}
		}
		_, err := t.exec("INSERT INTO imports (token, list_id, merge, bytes, started_at) VALUES (?,?,?,?,?)", s.token, id, merge, s.size, post.Millis(t.now))
		return err
	})
	return err == nil, err
}

// tally reads rows into a stage and counts what they will do.
type tally struct {
	ledger *Ledger
	stage  *stage
	merge  string
	seed   maphash.Seed
	first  map[uint64]int64 // where a person's first row is staged, by the key's hash
	again  map[uint64]int64 // where those with several rows stand in merged
	merged *stage           // nil until there is one

	batch                     []post.Contact
	added, updated, unchanged int64
	suppressed                []string
}

// tallyRows is how many rows are looked up in the ledger at once.
const tallyRows = 1000

func (t *tally) read(ctx context.Context, rows iter.Seq2[post.Contact, error]) error {
	for c, err := range rows {
		if err != nil {
			return err
		}
		if t.batch = append(t.batch, c); len(t.batch) == tallyRows {
			if err := t.flush(ctx); err != nil {
				return err
			}
		}
	}
	return t.flush(ctx)
}

func (t *tally) flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	keys := make([]string, 0, len(t.batch))
	for _, c := range t.batch {
		keys = append(keys, c.Key)
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	known, err := t.ledger.known(ctx, string(list))
	if err != nil {
		return err
	}
	unwanted, err := t.ledger.suppressedKeys(ctx, string(list))
	if err != nil {
		return err
	}
	erased, err := erasedKeys(ctx, t.ledger.r.QueryRowContext, keys)
	if err != nil {
		return err
	}
	for key := range erased {
		unwanted[key] = true
	}
	for _, c := range t.batch {
		if err := t.count(c, known); err != nil {
			return err
		}
		if unwanted[c.Key] {
			t.suppressed = append(t.suppressed, c.Address)
		}
	}
	t.batch = t.batch[:0]
	return nil
}

func (t *tally) count(c post.Contact, known map[string]post.Contact) error {
	at, err := t.stage.add(c)
	if err != nil {
		return err
	}
	old, exists := known[c.Key]
	hash := maphash.String(t.seed, c.Key)
	_, seen := t.first[hash]
	if seen {
		if old, exists, err = t.before(c.Key, hash, old, exists); err != nil {
			return err
		}
	} else {
		t.first[hash] = at
	}
	if !exists {
		t.added++
		return nil
	}
	merged, changed := mergeContact(old, c, t.merge)
	if !changed {
		t.unchanged++
		return nil
	}
	t.updated++
	if seen {
		return t.keep(hash, merged)
	}
	return nil
}

// before returns what the earlier rows of a person made of them.
func (t *tally) before(key string, hash uint64, known post.Contact, exists bool) (post.Contact, bool, error) {
	if at, ok := t.again[hash]; ok {
		if c, err := t.merged.at(at); err != nil || c.Key == key {
			return c, true, err
		}
		return known, exists, nil
	}
	c, err := t.stage.at(t.first[hash])
	if err != nil || c.Key != key { // another person with the same hash
		return known, exists, err
	}
	if exists {
		c, _ = mergeContact(known, c, t.merge)
	}
	return c, true, nil
}

func (t *tally) keep(hash uint64, c post.Contact) (err error) {
	if t.merged == nil {
		if t.merged, err = t.stage.scratch(); err != nil {
			return err
		}
	}
	t.again[hash], err = t.merged.add(c)
	return err
}

// mergeContact makes one person of a known one and a row.
func mergeContact(old, row post.Contact, rule string) (merged post.Contact, changed bool) {
	if rule == MergeKeep {
		return old, false
	}
	take := func(have, new string) bool {
		return new != "" && new != have && (rule == MergeReplace || have == "")
	}
	merged = old
	if take(old.Name, row.Name) {
		merged.Name, changed = row.Name, true
	}
	cloned := false
	for k, v := range row.Fields {
		if !take(merged.Fields[k], v) {
			continue
		}
		if !cloned {
			cloned = true
			if merged.Fields = maps.Clone(old.Fields); merged.Fields == nil {
				merged.Fields = map[string]string{}
			}
		}
		merged.Fields[k], changed = v, true
	}
	return merged, changed
}

// known returns those of a JSON array of keys who are in the book.
func (l *Ledger) known(ctx context.Context, keys string) (map[string]post.Contact, error) {
	rows, err := l.r.QueryContext(ctx, knownQuery, keys)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]post.Contact{}
	for rows.Next() {
		c, err := scanKnown(rows)
		if err != nil {
			return nil, err
		}
		all[c.Key] = c
	}
	return all, rows.Err()
}

// CROSS JOIN: the book is asked per key, never read through for its keys.
const knownQuery = "SELECT c.id, c.address, c.key, c.name, c.fields FROM json_each(?) j CROSS JOIN contacts c ON c.key = j.value"

func scanKnown(rows interface{ Scan(...any) error }) (post.Contact, error) {
	var c post.Contact
	var fields string
	if err := rows.Scan(&c.ID, &c.Address, &c.Key, &c.Name, &fields); err != nil {
		return c, err
	}
	var err error
	c.Fields, err = decodeFields(fields)
	return c, err
}

func (l *Ledger) suppressedKeys(ctx context.Context, keys string) (map[string]bool, error) {
	rows, err := l.r.QueryContext(ctx, "SELECT s.key FROM json_each(?) j CROSS JOIN suppressions s ON s.key = j.value", keys)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]bool{}
	for rows.Next() {
		var k string
		if err := rows.Scan(&k); err != nil {
			return nil, err
		}
		all[k] = true
	}
	return all, rows.Err()
}

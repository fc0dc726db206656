package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"postroom/post"
)

const (
	// applyAim is how long a step keeps the ledger's write lock, about, with its
	// commit. Nobody may wait for it longer than 250 ms.
	applyAim   = 75 * time.Millisecond
	applyFirst = 500 // rows of the first step
	applyMost  = 20_000
)

// A step ends before its rows do when it has taken so long: how fast the last one
// was does not say what others do to the machine now. It is looked at after each
// few rows. Variables, so that tests come to ends of steps.
var (
	applyBound = applyAim * 4 / 3
	applyLook  = 1000
)

// knownLook is applyLook where people may be in the book already: to change one
// takes several times as long as to add one.
func knownLook() int { return max(1, applyLook/5) }

// ready is a staged person with the values of their row.
type ready struct {
	staged
	values [5]driver.Value // of the feed's columns
}

// readyOf makes a person ready, with the text they are found by.
func readyOf(s staged, search string) ready {
	return ready{s, [...]driver.Value{s.address, s.key, s.name, s.fields, search}}
}

// group is some people who follow each other, and the names of fields that came up
// with them first.
type group struct {
	people []ready
	size   int // bytes, about
	fields []string
}

// A group is sent on when it has so many people or bytes of them. So many groups
// wait for the writer at most: enough for the longest step.
const (
	groupPeople = 1000
	groupBytes  = 1 << 20
	groupsAhead = applyMost / groupPeople
)

func (g *group) add(r ready) {
	g.people, g.size = append(g.people, r), g.size+r.size()
}

// join takes another group in behind this one.
func (g *group) join(o group) {
	g.people, g.size, g.fields = append(g.people, o.people...), g.size+o.size, append(g.fields, o.fields...)
}

// leave lets go of the first n people, and of the names, which stand by now.
func (g *group) leave(n int) {
	for _, r := range g.people[:n] {
		g.size -= r.size()
	}
	// In place: to let the front go would make room anew at each join.
	g.people, g.fields = slices.Delete(g.people, 0, n), nil
}

// applyImport takes the staged people into the book, step by step, from where
// the last step ended, then puts those who are new into the order by name, and
// removes the mark with the last step.
func (l *Ledger) applyImport(ctx context.Context, t *tally) error {
	var reached string
	var size int64
	err := l.r.QueryRowContext(ctx, "SELECT reached, bytes, merge FROM imports WHERE token = ?", t.stage.token).Scan(&reached, &size, &t.merge)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // it was finished
	}
	if err != nil {
		return err
	}
	if size != t.stage.size {
		return fmt.Errorf("%w: it has %d bytes, not %d", errStageDamaged, t.stage.size, size)
	}
	defer l.checkpointBeside(ctx)()
	fresh, err := l.applyAll(ctx, t, reached)
	if err == nil && reached != "" { // the steps before were another process's
		fresh, err = l.unnamed(ctx)
	}
	if err != nil {
		return err
	}
	return l.nameAll(ctx, t.stage.token, fresh)
}

// applyAll takes in the people behind a key, and returns those who are new. While
// some are written the next ones are made ready.
func (l *Ledger) applyAll(ctx context.Context, t *tally, reached string) (*names, error) {
	ctx, stop := context.WithCancel(ctx)
	groups := make(chan group, groupsAhead)
	var rerr error
	go func() {
		defer close(groups)
		rerr = t.makeReady(ctx, reached, groups)
	}()
	fresh, err := l.applySteps(ctx, t.stage.token, reached, groups)
	stop()
	for range groups { // until nobody is at the stage any more
	}
	if err != nil {
		return nil, err
	}
	return fresh, rerr
}

// makeReady sends the people behind a key.
func (t *tally) makeReady(ctx context.Context, reached string, groups chan<- group) error {
	var g group
	send := func() error {
		select {
		case groups <- g:
			g = group{people: make([]ready, 0, groupPeople)}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	known := map[string]bool{}
	t.person = func(s staged) error {
		search, err := s.searchText(func(field string) {
			if !known[field] {
				field = strings.Clone(field) // it is a part of all that the row is
				known[field] = true
				g.fields = append(g.fields, field)
			}
		})
		if err != nil {
			return err
		}
		g.add(readyOf(s, search))
		if len(g.people) < groupPeople && g.size < groupBytes {
			return nil
		}
		return send()
	}
	if err := t.countAll(ctx, reached); err != nil {
		return err
	}
	return send()
}

// applySteps takes people in as they come, and returns those who are new.
func (l *Ledger) applySteps(ctx context.Context, token, reached string, groups <-chan group) (*names, error) {
	fresh := &names{}
	var next group
	for n := applyFirst; ; {
		for len(next.people) < n && next.size < groupsAhead*groupBytes {
			g, ok := <-groups
			if !ok {
				break
			}
			next.join(g)
		}
		if len(next.people) == 0 {
			return fresh, nil
		}
		asked := l.clock.Elapsed()
		var come taken
		if err := l.write(ctx, "import contacts", func(t *Tx) (err error) {
			come, err = t.applyStep(token, reached, next.people[:min(n, len(next.people))], next.fields)
			return err
		}); err != nil {
			return nil, err
		}
		took := l.clock.Elapsed() - asked // with the commit, which is the larger part on a busy disk
		n = stepSize(come.people, took)
		for _, f := range come.fresh {
			for i := range f.people {
				fresh.add(f.people[i].name, f.first+int64(i))
			}
		}
		reached = next.people[come.people-1].key
		next.leave(come.people)
	}
}

// stepSize aims the next step at applyAim.
func stepSize(n int, took time.Duration) int {
	if took <= 0 {
		return min(2*n, applyMost)
	}
	wish := int(int64(n) * int64(applyAim) / int64(took))
	return min(max(wish, n/4, 20), 2*n, applyMost)
}

// taken is what a step took in: so many of its people, and of these the new ones.
type taken struct {
	people int
	fresh  []numbered
}

// numbered are new people whose ids follow each other.
type numbered struct {
	people []ready
	first  int64
}

// applyStep takes people in for as long as it may. Where it stands is part of the
// same commit, so that nobody is applied twice.
func (t *Tx) applyStep(token, reached string, people []ready, fields []string) (all taken, err error) {
	began := t.w.clock.Elapsed()
	var stands, merge string
	var list int64
	err = t.scan("SELECT i.reached, coalesce(l.id, 0), i.merge FROM imports i LEFT JOIN lists l ON l.id = i.list_id WHERE i.token = ?", []any{token}, &stands, &list, &merge)
	if err != nil {
		return all, err
	}
	if stands != reached {
		return all, errors.New("somebody else has gone on with this import")
	}
	for _, name := range fields {
		if err := t.noteField(name); err != nil {
			return all, err
		}
	}
	for look := knownLook(); all.people < len(people) && (all.people == 0 || !t.timeUp(began)); {
		some := people[all.people:min(all.people+look, len(people))]
		fresh, err := t.applySome(some, list, merge)
		if err != nil {
			return all, err
		}
		all.people, all.fresh = all.people+len(some), append(all.fresh, fresh)
		if look = applyLook; len(fresh.people) < len(some)/2 {
			look = knownLook()
		}
	}
	_, err = t.exec("UPDATE imports SET reached = ? WHERE token = ?", people[all.people-1].key, token)
	return all, err
}

// applySome takes a few people in, and returns those who are new.
func (t *Tx) applySome(rows []ready, list int64, merge string) (fresh numbered, err error) {
	var ids []int64
	if fresh.people, ids, err = t.meet(rows, merge); err != nil {
		return fresh, err
	}
	if fresh.first, err = t.insertPeople(fresh.people); err != nil || list == 0 {
		return fresh, err
	}
	return fresh, t.addMembers(list, ids, fresh.first, int64(len(fresh.people)))
}

// meet merges rows with the people who are in the book, and returns the
// strangers, each once, and the ids of the others.
func (t *Tx) meet(rows []ready, merge string) (fresh []ready, ids []int64, err error) {
	keys := make([]string, 0, len(rows))
	for _, r := range rows {
		keys = append(keys, r.key)
	}
	if err := t.recallSuppressions(keys...); err != nil {
		return nil, nil, err
	}
	known, err := t.known(keys)
	if err != nil || len(known) == 0 {
		return rows, nil, err
	}
	fresh = make([]ready, 0, len(rows))
	for _, r := range rows {
		old, ok := known[r.key]
		if !ok {
			fresh = append(fresh, r)
			continue
		}
		ids = append(ids, old.ID)
		row, err := r.contact()
		if err != nil {
			return nil, nil, err
		}
		if merged, changed := mergeContact(old, row, merge); changed {
			if err := t.updateContact(merged); err != nil {
				return nil, nil, err
			}
		}
	}
	return fresh, ids, nil
}

// known returns those of some keys who are in the book.
func (t *Tx) known(keys []string) (map[string]post.Contact, error) {
	var some bool
	from, to := span(keys)
	if err := t.scan(someBetween, []any{from, to}, &some); err != nil || !some {
		return nil, err
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	found, err := t.query(knownQuery, string(list))
	if err != nil {
		return nil, err
	}
	return scanKnown(found)
}

// Many rows fail as one with the transaction (OR FAIL), and an id is given only
// to a row that stands alone: both spare a journal for each statement.
const (
	insertMany = `INSERT OR FAIL INTO contacts (address, key, key_version, name, fields, search, created_at, changed_at)
		SELECT address, key, ?1, name, fields, search, ?2, ?2 FROM temp.fed_people`
	insertOne = "INSERT INTO contacts (id, address, key, key_version, name, fields, search, created_at, changed_at) VALUES (?,?,?,?,?,?,?,?,?)"
)

// insertPeople adds people to the book and returns the first one's id; the
// others' follow.
func (t *Tx) insertPeople(people []ready) (first int64, err error) {
	if len(people) == 0 {
		return 0, nil
	}
	if err := t.scan("SELECT coalesce(max(id), 0) FROM contacts", nil, &first); err != nil {
		return 0, err
	}
	// An id that is in the search index is never given to somebody else.
	to, err := t.searchedTo()
	if err != nil {
		return 0, err
	}
	first = max(first, to) + 1
	now := post.Millis(t.now)
	p := people[0].values
	if _, err := t.exec(insertOne, first, p[0], p[1], post.AddressKeyVersion, p[2], p[3], p[4], now, now); err != nil {
		return 0, err
	}
	rest := people[1:]
	if _, err := t.insertFrom(t.w.feeds.people, len(rest), func(row, column int) driver.Value {
		return rest[row].values[column]
	}, insertMany, post.AddressKeyVersion, now); err != nil {
		return 0, err
	}
	var last int64
	if err := t.scan("SELECT max(id) FROM contacts", nil, &last); err != nil {
		return 0, err
	}
	if last != first+int64(len(people))-1 {
		return 0, fmt.Errorf("%d people were given the ids %d to %d", len(people), first, last)
	}
	return first, nil
}

// addMembers puts people on the list: some, and n new ones whose ids follow each
// other.
func (t *Tx) addMembers(list int64, ids []int64, first, n int64) error {
	_, err := t.addToList(list, joinBlocks(append(blocksFrom(first, n), inBlocks(ids)...)))
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
		case errors.Is(err, errStageDamaged):
			l.giveUpStage(token, err)
			continue
		case err != nil:
			return err
		case s == nil:
			continue
		}
		l.log.Info("finishing an import")
		err = l.applyImport(ctx, &tally{ledger: l, stage: s})
		if errors.Is(err, errStageDamaged) {
			l.giveUpStage(token, errors.Join(err, s.close()))
			continue
		}
		if err != nil {
			return errors.Join(err, s.close())
		}
		if err := s.drop(); err != nil {
			l.log.Warn("remove a staged import", "err", err)
		}
	}
	return l.sweepStages(ctx, pending)
}

// giveUpStage removes the rows of an import that nobody can read any more: then it
// is one whose rows are gone, and nothing keeps the ledger from opening.
func (l *Ledger) giveUpStage(token string, why error) {
	l.log.Warn("an import was not finished and its rows cannot be read", "err", why)
	if err := removeStage(l.dir, token); err != nil {
		l.log.Warn("remove a staged import", "err", err)
	}
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
		if _, err := os.Stat(stagePath(l.dir, token, stageRows)); errors.Is(err, fs.ErrNotExist) {
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
	files, err := filepath.Glob(filepath.Join(l.dir, importsDir, "*"+stageLock))
	if err != nil {
		return err
	}
	for _, f := range files {
		token := strings.TrimSuffix(filepath.Base(f), stageLock)
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
		if err := removeStage(l.dir, token); err != nil {
			l.log.Warn("remove a staged import", "err", err)
		}
		_ = s.lock.Unlock()
		_ = os.Remove(f)
	}
	return nil
}

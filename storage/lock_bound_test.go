package storage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"

	"postroom/post"
)

// lockBound is how long a change of many people may keep the write lock at most.
const lockBound = 250 * time.Millisecond

// slowDisk is a clock that goes on only as the ledger's writer works: so long for
// each row that it inserts, updates or deletes, those of triggers and of the search
// index too, and so long for each commit. How fast the machine is changes in the
// midst of it, so that no step can know. How long each transaction kept the lock is
// then a sum, the same on every machine.
type slowDisk struct {
	post.SystemClock

	mu      sync.Mutex
	rnd     *rand.Rand
	now     time.Duration
	row     time.Duration // what a row costs now
	until   int           // so many rows more
	sudden  bool          // the machine is slow then
	rows    int           // that were changed
	commits int
	broken  int // the commit that fails; 0 for none
	held    []time.Duration
}

// rowCosts are what a row may cost: about what it does cost, and ten and 24 times that.
var rowCosts = []time.Duration{2500 * time.Nanosecond, 25 * time.Microsecond, 60 * time.Microsecond}

const commitCost = 15 * time.Millisecond

// Elapsed implements post.Clock.
func (d *slowDisk) Elapsed() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

// attach makes the clock that of a ledger's writer.
func (d *slowDisk) attach(t *testing.T, l *Ledger) {
	t.Helper()
	if err := l.w.conn.Raw(func(c any) error {
		h, ok := c.(sqlite.HookRegisterer)
		if !ok {
			return fmt.Errorf("%T tells nothing of its rows", c)
		}
		h.RegisterPreUpdateHook(func(sqlite.SQLitePreUpdateData) { d.changed() })
		h.RegisterCommitHook(d.committed)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	l.w.held = func(h time.Duration) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.held = append(d.held, h)
	}
}

func (d *slowDisk) changed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.until--; d.until < 0 {
		d.row, d.until = rowCosts[d.rnd.IntN(len(rowCosts))], 500+d.rnd.IntN(40_000)
		if d.sudden {
			d.row, d.sudden = rowCosts[len(rowCosts)-1], false
		}
	}
	d.rows++
	d.now += d.row
}

func (d *slowDisk) committed() int32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now += commitCost
	if d.commits++; d.commits == d.broken {
		return 1
	}
	return 0
}

// take returns how long each transaction since the last call kept the lock, and how
// many rows they changed.
func (d *slowDisk) take() (held []time.Duration, rows int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	held, rows = d.held, d.rows
	d.held, d.rows = nil, 0
	return held, rows
}

// suddenly makes the machine fast for so many rows, so that steps become large, and
// then as slow as it gets.
func (d *slowDisk) suddenly(rows int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.row, d.until, d.sudden = rowCosts[0], rows, true
}

// breakAfter lets the n-th commit from now on fail.
func (d *slowDisk) breakAfter(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken, d.commits = n, 0
}

// renamed are the same people under other names and with other fields.
func renamed(rows iter.Seq2[post.Contact, error], n int) iter.Seq2[post.Contact, error] {
	return func(yield func(post.Contact, error) bool) {
		for c := range rows {
			if n--; n < 0 {
				return
			}
			c.Name += " again"
			c.Fields["city"] = "Bremen"
			if !yield(c, nil) {
				return
			}
		}
	}
}

// TestNobodyWaits: whatever is done to many people, no transaction keeps the write
// lock for more than 250 ms, though the machine becomes ten and 24 times as slow
// in between; and each job is one that would, were it one transaction.
func TestNobodyWaits(t *testing.T) {
	if testing.Short() {
		t.Skip("one thing after the other: nothing for the race detector; the plain run of make test has it")
	}
	const n = 10_000
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	disk := &slowDisk{rnd: rand.New(rand.NewPCG(seed, 2))}
	l, err := Open(t.Context(), t.TempDir(), Options{Clock: disk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	ctx := t.Context()
	apart := scattered(t, l, n)
	scatter, err := l.CreateList(ctx, "Scattered")
	if err != nil {
		t.Fatal(err)
	}
	disk.attach(t, l)
	var everybody, strangers, copied post.List
	for _, job := range []struct {
		name string
		do   func() error
	}{
		{"import of new people", func() error {
			added, _, _, _, err := l.ImportContacts(ctx, "Everybody", false, crowd(n))
			if err == nil && added != n {
				err = fmt.Errorf("%d added", added)
			}
			if err == nil {
				everybody, err = l.ListByName(ctx, "Everybody")
			}
			return err
		}},
		{"import of people who are known, under other names", func() error {
			_, updated, _, _, err := l.ImportContacts(ctx, "Everybody", false, renamed(crowd(n), n))
			if err == nil && updated != n {
				err = fmt.Errorf("%d updated", updated)
			}
			return err
		}},
		{"the search index of people who were changed before they were in it", func() error { return l.IndexSearch(ctx) }},
		{"import that was interrupted, finished", func() error {
			disk.breakAfter(4)
			if _, _, _, _, err := l.ImportContacts(ctx, "Others", false, others(n)); err == nil {
				return errors.New("it was not interrupted")
			}
			disk.breakAfter(0)
			err := l.finishImports(ctx)
			if err == nil {
				strangers, err = l.ListByName(ctx, "Others")
			}
			if err == nil && strangers.Members != n {
				err = fmt.Errorf("%d on the list", strangers.Members)
			}
			return err
		}},
		{"the search index of new people", func() error { return l.IndexSearch(ctx) }},
		{"import of people who are in the index", func() error {
			_, _, _, _, err := l.ImportContacts(ctx, "", false, renamed(others(n), n))
			return err
		}},
		{"the search index of people who were changed", func() error { return l.IndexSearch(ctx) }},
		{"people put on a list, of whom no two are in a block", func() error { return putOn(l, scatter.ID, apart) }},
		{"a list of them by a rule", func() (err error) {
			copied, err = l.MakeList(ctx, "Copied", Rule{Any: []int64{scatter.ID}}, false)
			if err == nil && copied.Members != n {
				err = fmt.Errorf("%d on the list", copied.Members)
			}
			return err
		}},
		{"a list of them removed", func() error { return l.DeleteList(ctx, copied.ID) }},
		{"a list of all by a rule, refreshed", func() (err error) {
			if copied, err = l.MakeList(ctx, "Copied", Rule{Not: []int64{strangers.ID}}, true); err != nil {
				return err
			}
			return l.RefreshList(ctx, copied.ID)
		}},
		{"mail stopped for a list", func() error {
			return eachStep(l, everybody.ID, func(rows []post.Contact) error {
				var all []post.Suppression
				for _, c := range rows {
					all = append(all, post.Suppression{List: copied.ID, Key: c.Key, Address: c.Address, Reason: "you", Source: "you"})
				}
				_, err := l.Suppress(ctx, all)
				return err
			})
		}},
		{"a list removed, with its suppressions", func() error { return l.DeleteList(ctx, copied.ID) }},
		{"people taken off a list, of whom no two are in a block", func() error {
			return eachStep(l, scatter.ID, func(rows []post.Contact) error {
				_, err := l.RemoveFromList(ctx, scatter.ID, ids(rows))
				return err
			})
		}},
		{"people deleted", func() error {
			return eachStep(l, strangers.ID, func(rows []post.Contact) error { return l.DeleteContacts(ctx, ids(rows)) })
		}},
	} {
		disk.take()
		disk.suddenly(6000)
		if err := job.do(); err != nil {
			t.Fatalf("%s: %v", job.name, err)
		}
		held, rows := disk.take()
		longest := slices.Max(held)
		t.Logf("%-70s %4d transactions, %6d rows, the longest %v", job.name, len(held), rows, longest.Round(time.Millisecond))
		if longest > lockBound {
			t.Errorf("%s: the lock was kept for %v", job.name, longest)
		}
		if whole := time.Duration(rows) * rowCosts[len(rowCosts)-1]; whole < 2*lockBound {
			t.Errorf("%s: all in one transaction would take %v, and this shows nothing", job.name, whole)
		}
	}
	wantSound(t, l)
}

// others are n people whom crowd does not have.
func others(n int) iter.Seq2[post.Contact, error] {
	return func(yield func(post.Contact, error) bool) {
		for c := range crowd(n) {
			c.Address, c.Key = "x"+c.Address, "x"+c.Key
			if !yield(c, nil) {
				return
			}
		}
	}
}

// eachStep gives the people of a list to do, so many at a time as the window does.
func eachStep(l *Ledger, list int64, do func([]post.Contact) error) error {
	var all []post.Contact
	for c, err := range l.EachMember(context.Background(), list) {
		if err != nil {
			return err
		}
		all = append(all, c)
	}
	for part := range slices.Chunk(all, BookStep) {
		if err := do(part); err != nil {
			return err
		}
	}
	return nil
}

func ids(rows []post.Contact) []int64 {
	all := make([]int64, len(rows))
	for i := range rows {
		all[i] = rows[i].ID
	}
	return all
}

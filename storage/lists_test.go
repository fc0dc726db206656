package storage

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"postroom/post"
)

// TestPlacesOnLists: nobody stays on a list who is gone, and no list keeps people
// when it is; what another program left is found by the check.
func TestPlacesOnLists(t *testing.T) {
	l := open(t, t.TempDir())
	for _, name := range []string{"A", "B"} {
		if _, _, _, _, err := l.ImportContacts(t.Context(), name, false, seq(people30(0))); err != nil {
			t.Fatal(err)
		}
	}
	places := func() (n int64) {
		t.Helper()
		if err := l.r.QueryRowContext(t.Context(), placesTable+"SELECT count(*) FROM places").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	ids, err := l.ContactIDs(t.Context(), ContactFilter{})
	if err != nil || len(ids) != 30 {
		t.Fatal(ids, err)
	}
	if err := l.DeleteContacts(t.Context(), ids[:3]); err != nil {
		t.Fatal(err)
	}
	if n := places(); n != 54 {
		t.Errorf("%d places after three of thirty people went from two lists", n)
	}
	if err := l.DeleteList(t.Context(), list(t, l, "B")); err != nil {
		t.Fatal(err)
	}
	if n := places(); n != 27 {
		t.Errorf("%d places after one of two lists went", n)
	}
	wantSound(t, l)
	a := list(t, l, "A")
	// Ids beyond the book and in it; one has the last bit, one is in a block with others.
	for _, place := range [][2]int64{{a, 1 << 40}, {a, 1<<40 + 63}, {a, ids[1]}, {a + 100, ids[5]}} {
		plant(t, l, place[0], place[1], 1)
		wantProblem(t, l, "1 places on lists that are nobody's or of no list")
		plant(t, l, place[0], place[1], -1)
		wantSound(t, l)
	}
	for _, more := range []int64{1, -1} { // counted too many and too few
		count := func(n int64) {
			t.Helper()
			if err := l.write(t.Context(), "plant", func(t *Tx) error {
				_, err := t.exec("UPDATE lists SET members = members + ? WHERE id = ?", n, a)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		count(more)
		wantProblem(t, l, "1 lists whose size does not match their people")
		count(-more)
	}
	if err := l.write(t.Context(), "plant", func(t *Tx) error {
		_, err := t.exec("INSERT INTO list_members (list_id, block, bits) VALUES (?, 7, 0)", a)
		return err
	}); err == nil {
		t.Error("a block without anybody was stored")
	}
	if err := l.write(t.Context(), "plant", func(t *Tx) error {
		if _, err := t.exec("PRAGMA ignore_check_constraints = 1"); err != nil {
			return err
		}
		_, err := t.exec("INSERT INTO list_members (list_id, block, bits) VALUES (?, 7, 0)", a)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, l, "1 blocks of lists that have nobody")
}

// placesTable makes of the blocks of all lists a row for each person and list, for
// the query that follows.
const placesTable = `WITH RECURSIVE bit (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM bit WHERE n < 63),
	places (list_id, contact_id) AS (SELECT list_id, 64 * block + n FROM list_members CROSS JOIN bit WHERE (bits >> n) & 1 = 1) `

// plant puts an id on a list, or takes it off with -1, as another program might:
// uncounted, and whether it is somebody's or not.
func plant(t *testing.T, l *Ledger, list, id, sign int64) {
	t.Helper()
	if err := l.write(t.Context(), "plant", func(t *Tx) error {
		var bits int64
		if err := t.scan("SELECT coalesce((SELECT bits FROM list_members WHERE list_id = ? AND block = ?), 0)", []any{list, id / 64}, &bits); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM list_members WHERE list_id = ? AND block = ?", list, id/64); err != nil {
			return err
		}
		if bits += sign << (id % 64); bits == 0 {
			return nil
		}
		_, err := t.exec("INSERT INTO list_members (list_id, block, bits) VALUES (?, ?, ?)", list, id/64, bits)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func wantProblem(t *testing.T, l *Ledger, want string) {
	t.Helper()
	problems, err := l.Check(t.Context())
	if err != nil || !slices.Contains(problems, want) {
		t.Errorf("%q %v, want %q", problems, err, want)
	}
}

// scattered puts n people into an empty book, each in a block of their own: for lists
// they are as much to do as 64 times as many whose ids follow each other.
func scattered(t *testing.T, l *Ledger, n int64) (ids []int64) {
	t.Helper()
	if err := l.write(t.Context(), "scatter", func(t *Tx) error {
		if _, err := t.exec(`WITH RECURSIVE some (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM some WHERE i < ?)
			INSERT INTO contacts (id, address, key, key_version, search, created_at, changed_at)
			SELECT 64 * i + i % 64, 'far' || i || '@x.de', 'far' || i || '@x.de', 1, 'far' || i || '@x.de', 1, 1 FROM some`, n); err != nil {
			return err
		}
		_, err := t.exec("INSERT INTO contact_names (name, id) SELECT name, id FROM contacts")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		ids = append(ids, 64*(i+1)+(i+1)%64)
	}
	return ids
}

// putOn puts people on a list, so many at a time as the window does.
func putOn(l *Ledger, list int64, ids []int64) error {
	for part := range slices.Chunk(ids, BookStep) {
		if _, err := l.AddToList(context.Background(), list, part); err != nil {
			return err
		}
	}
	return nil
}

// TestOneCopyForManyLists: who is on several lists of a mailing gets it once, and
// is named for the other times.
func TestOneCopyForManyLists(t *testing.T) {
	l := open(t, t.TempDir())
	acc := account(t, l, "shop")
	all := people30(0)
	for name, rows := range map[string][]post.Contact{"A": all[:20], "B": all[10:]} {
		if _, _, _, _, err := l.ImportContacts(t.Context(), name, false, seq(rows)); err != nil {
			t.Fatal(err)
		}
	}
	lists := []int64{list(t, l, "A"), list(t, l, "B")}
	m, skipped, err := l.Enqueue(t.Context(), post.Mailing{
		Kind: post.Live, Content: post.Content{Subject: "s"}, Lists: lists, Senders: []post.Sender{{Account: acc.ID, Email: acc.Email}},
	}, func(yield func(post.Recipient, error) bool) {
		for _, id := range lists {
			for c, err := range l.EachMember(t.Context(), id) {
				if !yield(post.Recipient{Address: c.Address, Key: c.Key}, err) {
					return
				}
			}
		}
	})
	if err != nil || m.Counts[post.StateQueued] != 30 || len(skipped) != 10 {
		t.Fatalf("queued %v, skipped %d, %v", m.Counts, len(skipped), err)
	}
	for _, s := range skipped {
		if s.Reason.Key != "skip.duplicate" {
			t.Errorf("%+v", s)
		}
	}
	wantSound(t, l)
}

// TestRemovalGoesOn: a list whose removal was interrupted is gone after the next
// start, and its people are in the book.
func TestRemovalGoesOn(t *testing.T) {
	const n = 5000
	dir := t.TempDir()
	disk := &slowDisk{rnd: rand.New(rand.NewPCG(1, 1))}
	l, err := Open(t.Context(), dir, Options{Clock: disk})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.CreateList(t.Context(), "L"); err != nil {
		t.Fatal(err)
	}
	if err := putOn(l, list(t, l, "L"), scattered(t, l, n)); err != nil {
		t.Fatal(err)
	}
	disk.attach(t, l)
	disk.row = rowCosts[2] // each step is a few rows
	disk.until = 10 * n
	id := list(t, l, "L")
	disk.breakAfter(4)
	if err := l.DeleteList(t.Context(), id); err == nil {
		t.Fatal("it was not interrupted")
	}
	li, err := l.ListByName(t.Context(), "L")
	if err != nil || li.Members == 0 || li.Members >= n {
		t.Fatalf("interrupted too early or too late: %+v, %v", li, err)
	}
	wantSound(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir)
	if _, err := l.ListByName(t.Context(), "L"); post.KindOf(err) != post.KindNotFound {
		t.Errorf("the list is there: %v", err)
	}
	if got, err := l.CountContacts(t.Context(), ContactFilter{}); err != nil || got != n {
		t.Errorf("%d people, %v", got, err)
	}
	wantSound(t, l)
	if err := l.DeleteList(t.Context(), id); post.KindOf(err) != post.KindNotFound {
		t.Errorf("a list that is gone was removed: %v", err)
	}
}

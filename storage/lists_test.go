package storage

import (
	"math/rand/v2"
	"strings"
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
		if err := l.r.QueryRowContext(t.Context(), "SELECT count(*) FROM list_members").Scan(&n); err != nil {
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
	for _, place := range [][2]int64{{a, 1 << 40}, {a + 100, ids[5]}} {
		do := func(query string) {
			t.Helper()
			if err := l.write(t.Context(), "plant", func(t *Tx) error { _, err := t.exec(query, place[0], place[1]); return err }); err != nil {
				t.Fatal(err)
			}
		}
		do("INSERT INTO list_members (list_id, contact_id) VALUES (?, ?)")
		problems, err := l.Check(t.Context())
		if err != nil || !strings.Contains(strings.Join(problems, "\n"), "1 places on lists that are nobody's or of no list") {
			t.Errorf("%v: %v %v", place, problems, err)
		}
		do("DELETE FROM list_members WHERE list_id = ? AND contact_id = ?")
	}
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
	if _, _, _, _, err := l.ImportContacts(t.Context(), "L", false, crowd(n)); err != nil {
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

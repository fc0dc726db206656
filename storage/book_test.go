package storage

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"postroom/post"
)

// book fills a ledger with people p0 to p(n-1) on a list, and returns their ids
// in that order.
func book(t *testing.T, l *Ledger, list string, n int) (post.List, []int64) {
	t.Helper()
	var rows []post.Contact
	for i := range n {
		rows = append(rows, contact(fmt.Sprintf("p%d@example.net", i), fmt.Sprintf("Person %d", i), nil))
	}
	if _, _, _, _, err := l.ImportContacts(t.Context(), list, false, seq(rows)); err != nil {
		t.Fatal(err)
	}
	li, err := l.ListByName(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := l.ContactIDs(t.Context(), ContactFilter{List: li.ID})
	if err != nil || len(ids) != n {
		t.Fatalf("%d ids, %v", len(ids), err)
	}
	slices.Sort(ids)
	return li, ids
}

func members(t *testing.T, l *Ledger, name string) int64 {
	t.Helper()
	li, err := l.ListByName(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := l.ContactIDs(t.Context(), ContactFilter{List: li.ID})
	if err != nil || int64(len(ids)) != li.Members {
		t.Fatalf("%s says %d people and has %d, %v", name, li.Members, len(ids), err)
	}
	return li.Members
}

// People are put on a list and taken off it once, and the list's number is that
// of its people.
func TestListMembers(t *testing.T) {
	ctx, l := t.Context(), open(t, t.TempDir())
	_, ids := book(t, l, "A", 10)
	b, err := l.CreateList(ctx, " B ")
	if err != nil || b.Name != "B" || b.Members != 0 {
		t.Fatal(b, err)
	}
	if _, err := l.CreateList(ctx, "b"); post.KindOf(err) != post.KindConflict {
		t.Errorf("a second list of the name: %v", err)
	}
	for _, x := range []struct{ first, last, want int64 }{{0, 4, 4}, {2, 6, 2}, {0, 6, 0}} {
		if n, err := l.AddToList(ctx, b.ID, ids[x.first:x.last]); err != nil || n != x.want {
			t.Errorf("adding %d to %d put %d on the list, want %d: %v", x.first, x.last, n, x.want, err)
		}
	}
	if n := members(t, l, "B"); n != 6 {
		t.Errorf("%d members", n)
	}
	if n, err := l.AddToList(ctx, b.ID, []int64{987654}); err != nil || n != 0 {
		t.Errorf("somebody who is not there: %d, %v", n, err)
	}
	if n, err := l.RemoveFromList(ctx, b.ID, ids[4:]); err != nil || n != 2 || members(t, l, "B") != 4 || members(t, l, "A") != 10 {
		t.Errorf("%d taken off, %v", n, err)
	}
	if _, err := l.AddToList(ctx, 4711, ids); !errors.Is(err, ErrNotFound) {
		t.Errorf("a list that is not there: %v", err)
	}
	if n, err := l.CountContacts(ctx, ContactFilter{}); err != nil || n != 10 {
		t.Errorf("%d people in the book, %v", n, err)
	}
}

// A list tells its rule, and a new rule chooses its people anew.
func TestListRules(t *testing.T) {
	ctx, l := t.Context(), open(t, t.TempDir())
	a, ids := book(t, l, "A", 10)
	b, err := l.CreateList(ctx, "B")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.AddToList(ctx, b.ID, ids[:3]); err != nil {
		t.Fatal(err)
	}
	made, err := l.MakeList(ctx, "C", Rule{Any: []int64{a.ID}, Not: []int64{b.ID}}, true)
	if err != nil || made.Members != 7 {
		t.Fatal(made, err)
	}
	if err := l.SetListRule(ctx, made.ID, Rule{All: []int64{a.ID, b.ID}}); err != nil || members(t, l, "C") != 3 {
		t.Errorf("%v", err)
	}
	if err := l.SetListRule(ctx, made.ID, Rule{}); post.KindOf(err) != post.KindInvalid {
		t.Errorf("a rule that asks nothing: %v", err)
	}
	all, err := l.ListDetails(ctx)
	if err != nil || len(all) != 3 || all[0].Rule != nil || all[2].Rule == nil || len(all[2].Rule.All) != 2 || all[2].ChosenAt == 0 {
		t.Errorf("%+v %v", all, err)
	}
}

// A person is made, changed, found under what they are called now, and never
// two of one address.
func TestSaveContact(t *testing.T) {
	ctx, l := t.Context(), open(t, t.TempDir())
	id, err := l.SaveContact(ctx, post.Contact{Address: "Anna@Example.net", Name: "Anna", Fields: map[string]string{"city": "Graz"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.SaveContact(ctx, post.Contact{Address: "anna@example.NET"}); post.KindOf(err) != post.KindConflict {
		t.Errorf("the same address again: %v", err)
	}
	if _, err := l.SaveContact(ctx, post.Contact{Address: "no address"}); post.KindOf(err) != post.KindInvalid {
		t.Errorf("no address: %v", err)
	}
	if err := l.IndexSearch(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := l.SaveContact(ctx, post.Contact{ID: id, Address: "anna@example.org", Name: "Anna Köhler", Fields: map[string]string{"city": "Linz"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.SaveContact(ctx, post.Contact{ID: 4711, Address: "x@example.org"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("a person who is not there: %v", err)
	}
	for word, want := range map[string]int{"linz": 1, "köhler": 1, "example.org": 1, "graz": 0, "example.net": 0} {
		for _, indexed := range []bool{false, true} {
			if indexed {
				if err := l.IndexSearch(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if got := found(t, l, ContactFilter{Search: word}); len(got) != want {
				t.Errorf("searching %s found %v", word, got)
			}
		}
	}
	rows, err := l.ContactsByID(ctx, []int64{id, 99})
	if err != nil || len(rows) != 1 || rows[0].Key != "anna@example.org" {
		t.Errorf("%+v %v", rows, err)
	}
}

// All messages to a person are found, page by page, rehearsals too.
func TestMessagesTo(t *testing.T) {
	ctx, l := t.Context(), open(t, t.TempDir())
	a := account(t, l, "shop")
	for range 5 {
		enqueue(t, l, post.Live, a, 3)
	}
	enqueue(t, l, post.Rehearsal, a, 2)
	for key, want := range map[string]int{"p0@example.net": 6, "p2@example.net": 5, "nobody@example.net": 0} {
		n, last, p := 0, int64(1<<62), Page{Limit: 2}
		for {
			rows, pages, err := l.MessagesTo(ctx, key, p)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				if r.Key != key || r.ID >= last || r.MailingName != "M" {
					t.Errorf("%d after %d to %s", r.ID, last, r.Key)
				}
				last = r.ID
				n++
			}
			if pages.Next == "" {
				break
			}
			p.Cursor = pages.Next
		}
		if n != want {
			t.Errorf("%d messages to %s, want %d", n, key, want)
		}
	}
}

// The suppressed are searched and paged both ways.
func TestSuppressionPages(t *testing.T) {
	ctx, l := t.Context(), open(t, t.TempDir())
	var all []post.Suppression
	for i := range 7 {
		a := fmt.Sprintf("P%d@example.net", i)
		all = append(all, post.Suppression{Key: fmt.Sprintf("p%d@example.net", i), Address: a, Reason: "you", Source: "you"})
	}
	if _, err := l.Suppress(ctx, all); err != nil {
		t.Fatal(err)
	}
	rows, pages, err := l.Suppressions(ctx, "", Page{Limit: 3})
	if err != nil || len(rows) != 3 || pages.Prev != "" || rows[2].Key != "p2@example.net" {
		t.Fatal(rows, pages, err)
	}
	rows, pages, err = l.Suppressions(ctx, "", Page{Limit: 3, Cursor: pages.Next})
	if err != nil || len(rows) != 3 || rows[0].Key != "p3@example.net" {
		t.Fatal(rows, err)
	}
	rows, _, err = l.Suppressions(ctx, "", Page{Limit: 3, Cursor: pages.Prev, Back: true})
	if err != nil || len(rows) != 3 || rows[0].Key != "p0@example.net" {
		t.Fatal(rows, err)
	}
	if rows, _, err = l.Suppressions(ctx, "p5@EXAMPLE", Page{Limit: 3}); err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	if n, err := l.CountSuppressions(ctx, "p5@EXAMPLE"); err != nil || n != 1 {
		t.Error(n, err)
	}
	if n, err := l.CountSuppressions(ctx, ""); err != nil || n != 7 {
		t.Error(n, err)
	}
}

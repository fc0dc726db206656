package storage

import (
	"fmt"
	"slices"
	"testing"

	"postroom/post"
)

// TestSortedListsFollow reads pages of a list whose order was worked out before,
// after everything that changes it, from this process and from another one.
func TestSortedListsFollow(t *testing.T) {
	for name, from := range map[string]int64{"sorted": ranksFrom, "ranked": 1} {
		t.Run(name, func(t *testing.T) {
			was, wasFrom := listShort, ranksFrom
			listShort, ranksFrom = 1<<40, from
			t.Cleanup(func() { listShort, ranksFrom = was, wasFrom })
			sortedListsFollow(t, from == 1)
		})
	}
}

func sortedListsFollow(t *testing.T, ranked bool) {
	dir := t.TempDir()
	l := open(t, dir)
	other := open(t, dir)
	for i := range 2 {
		name := string(rune('A' + i))
		if _, _, _, _, err := l.ImportContacts(t.Context(), name, false, seq(people30(i))); err != nil {
			t.Fatal(err)
		}
	}
	a, b := list(t, l, "A"), list(t, l, "B")
	who := func(key string) int64 {
		t.Helper()
		var id int64
		if err := l.r.QueryRowContext(t.Context(), "SELECT id FROM contacts WHERE key = ?", key).Scan(&id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	check := func(after string) {
		t.Helper()
		// What was read before the change must not be used after it, whether it is
		// being read again or not.
		if ranked {
			defer rankNow(t, l)
		}
		for _, f := range []ContactFilter{{List: a}, {List: a, ByName: true}, {List: b}} {
			var got, want []int64
			for p := (Page{Limit: 7}); ; {
				rows, pages, err := l.Contacts(t.Context(), f, p)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range rows {
					got = append(got, r.ID)
				}
				if p.Cursor = pages.Next; p.Cursor == "" {
					break
				}
			}
			by := "c.key"
			if f.ByName {
				by = "c.name, c.id"
			}
			want, err := l.ids(t.Context(), placesTable+"SELECT json_group_array(id) FROM (SELECT c.id FROM places m JOIN contacts c ON c.id = m.contact_id WHERE m.list_id = ? ORDER BY "+by+")", []any{f.List})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("after %s, %+v: %v, want %v, %v", after, f, got, want, err)
			}
		}
	}
	check("the import")
	if !ranked && len(l.orders.keys) != 3 {
		t.Fatalf("%d orders are kept", len(l.orders.keys))
	}
	for i, c := range []struct {
		name string
		do   func(l *Ledger) error
	}{
		{"taking somebody off", func(l *Ledger) error {
			_, err := l.RemoveFromList(t.Context(), a, []int64{who("p03@x.de")})
			return err
		}},
		{"putting somebody on", func(l *Ledger) error { _, err := l.AddToList(t.Context(), a, []int64{who("q05@x.de")}); return err }},
		{"another name", func(l *Ledger) error {
			c := contact("p04@x.de", "Zzz", nil)
			c.ID = who("p04@x.de")
			return l.UpdateContact(t.Context(), c)
		}},
		{"another address", func(l *Ledger) error {
			c := contact("zzz@x.de", "Zzz", nil)
			c.ID = who("p05@x.de")
			_, err := l.SaveContact(t.Context(), c)
			return err
		}},
		{"deleting somebody", func(l *Ledger) error { return l.DeleteContacts(t.Context(), []int64{who("p06@x.de")}) }},
		{"erasing somebody", func(l *Ledger) error { _, err := l.Erase(t.Context(), "p07@x.de"); return err }},
		{"an import", func(l *Ledger) error {
			_, _, _, _, err := l.ImportContacts(t.Context(), "A", false, seq(people30(1)))
			return err
		}},
		{"new people", func(l *Ledger) error {
			_, _, _, _, err := l.ImportContacts(t.Context(), "A", false, seq(people30(2)))
			return err
		}},
		{"a rule", func(l *Ledger) error { return l.SetListRule(t.Context(), a, Rule{All: []int64{b}}) }},
	} {
		if err := c.do([]*Ledger{l, other}[i%2]); err != nil {
			t.Fatal(c.name, err)
		}
		check(c.name)
		if ranked { // and once more with what was read since
			check(c.name)
		}
	}
}

// people30 are thirty people, the same for the same number.
func people30(n int) (all []post.Contact) {
	for i := range 30 {
		all = append(all, contact(fmt.Sprintf("%c%02d@x.de", 'p'+n, i), fmt.Sprintf("Name %02d", i*7%30), nil))
	}
	return all
}

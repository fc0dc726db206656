package storage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postroom/post"
)

// found searches page by page and returns the addresses.
func found(t rapid.TB, l *Ledger, f ContactFilter) []string {
	var all []string
	p := Page{Limit: 3}
	for range 1000 {
		rows, pages, err := l.Contacts(context.Background(), f, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			all = append(all, r.Address)
		}
		if p.Cursor = pages.Next; p.Cursor == "" {
			return all
		}
	}
	t.Fatal("there is no last page")
	return nil
}

func list(t *testing.T, l *Ledger, name string) int64 {
	li, err := l.ListByName(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return li.ID
}

// TestSearchFindsWhatIsThere compares every way of searching with looking at
// everybody, while the index stands, stands half, and after changes.
func TestSearchFindsWhatIsThere(t *testing.T) {
	walk, few, many := searchWalk, searchFew, searchMany
	t.Cleanup(func() { searchWalk, searchFew, searchMany = walk, few, many })
	words := []string{"王小明", "北京", "小", "Köhler", "koehler", "an", "anna", "x", "東京タワー", "서울", "01234", "Анна", "e\u0301a", "𠮷田", "a-b.c", "ß", "ﬁx"}
	l := open(t, t.TempDir())
	rapid.Check(t, func(rt *rapid.T) {
		if err := l.write(t.Context(), "empty the book", func(tx *Tx) error {
			for _, q := range []string{"DELETE FROM contacts", "UPDATE lists SET members = 0", "DELETE FROM contact_search", "DELETE FROM search_waiting", "DELETE FROM settings WHERE key = '" + searchedTo + "'"} {
				if _, err := tx.exec(q); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			rt.Fatal(err)
		}
		word := rapid.SampledFrom(words)
		texts, names := map[string]string{}, map[string]string{} // by address
		put := func(n int) {
			var rows []post.Contact
			for range n {
				c := contact(fmt.Sprintf("p%d@x.de", rapid.IntRange(0, 40).Draw(rt, "who")), word.Draw(rt, "name")+word.Draw(rt, "more"), map[string]string{"f": word.Draw(rt, "f") + " " + word.Draw(rt, "g")})
				rows = append(rows, c)
				texts[c.Address], names[c.Address] = searchText(c), c.Name
			}
			if _, _, _, _, err := l.ImportContacts(t.Context(), "L", false, seq(rows)); err != nil {
				rt.Fatal(err)
			}
		}
		searchWalk, searchFew = rapid.SampledFrom([]int{1, 5, 4000}).Draw(rt, "walk"), rapid.SampledFrom([]int{0, 3, 3000}).Draw(rt, "few")
		searchMany = rapid.SampledFrom([]int{0, 3000}).Draw(rt, "many")
		put(rapid.IntRange(1, 30).Draw(rt, "people"))
		for range 4 {
			switch rapid.IntRange(0, 3).Draw(rt, "then") {
			case 0:
				put(3)
			case 1, 2:
				if err := l.IndexSearch(t.Context()); err != nil {
					rt.Fatal(err)
				}
			case 3:
				rows, _, err := l.Contacts(t.Context(), ContactFilter{Desc: true}, Page{Limit: 1})
				if err != nil {
					rt.Fatal(err)
				}
				if len(rows) > 0 {
					if err := l.DeleteContacts(t.Context(), []int64{rows[0].ID}); err != nil {
						rt.Fatal(err)
					}
					delete(texts, rows[0].Address)
				}
			}
			text := []rune(word.Draw(rt, "search") + rapid.SampledFrom([]string{"", "", word.Draw(rt, "search more")}).Draw(rt, "or not"))
			from := rapid.IntRange(0, len(text)-1).Draw(rt, "from")
			query := string(text[from : from+rapid.IntRange(1, len(text)-from).Draw(rt, "length")])
			var want []string
			for a, s := range texts {
				if strings.Contains(s, post.FoldText(query)) {
					want = append(want, a)
				}
			}
			slices.Sort(want)
			f := ContactFilter{Search: query, Desc: rapid.Bool().Draw(rt, "descending"), ByName: rapid.Bool().Draw(rt, "by name")}
			if rapid.Bool().Draw(rt, "on the list") {
				f.List = list(t, l, "L")
			}
			got := found(rt, l, f)
			sorted := slices.Clone(got)
			slices.Sort(sorted)
			if !slices.Equal(sorted, want) {
				rt.Fatalf("%q found %v, want %v", query, got, want)
			}
			inOrder := func(a, b string) int {
				if f.ByName {
					a, b = names[a], names[b]
				}
				if f.Desc {
					a, b = b, a
				}
				return strings.Compare(a, b)
			}
			if n, err := l.CountContacts(t.Context(), f); err != nil || n != int64(len(want)) {
				rt.Fatalf("counted %d of %d, %v", n, len(want), err)
			}
			if !slices.IsSortedFunc(got, inOrder) {
				rt.Fatalf("%+v came as %v", f, got)
			}
		}
	})
}

// TestIndexIsAsked: with the index standing, its answer counts; a search that
// ignored it would find this person.
func TestIndexIsAsked(t *testing.T) {
	walk := searchWalk
	searchWalk = 0
	t.Cleanup(func() { searchWalk = walk })
	l := open(t, t.TempDir())
	if _, _, _, _, err := l.ImportContacts(t.Context(), "", false, crowd(10)); err != nil {
		t.Fatal(err)
	}
	if err := l.IndexSearch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(found(t, l, ContactFilter{Search: "user3"})); n != 1 {
		t.Errorf("found %d", n)
	}
	if err := l.write(t.Context(), "break the index", func(tx *Tx) error {
		_, err := tx.exec("DELETE FROM contact_search")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if n := len(found(t, l, ContactFilter{Search: "user3"})); n != 0 {
		t.Errorf("found %d without the index", n)
	}
}

// TestIndexGoesOn: stopped and started, it stands in the end, and a deleted
// person's id is never that of somebody else.
func TestIndexGoesOn(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	if _, _, _, _, err := l.ImportContacts(t.Context(), "", false, crowd(1000)); err != nil {
		t.Fatal(err)
	}
	if err := l.write(t.Context(), "index", func(tx *Tx) error {
		_, err := tx.indexStep(100)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	stands := func(want bool) {
		t.Helper()
		if got, err := l.indexStands(t.Context()); err != nil || got != want {
			t.Errorf("the index stands: %v, %v", got, err)
		}
	}
	stands(false)
	if err := l.IndexSearch(t.Context()); err != nil {
		t.Fatal(err)
	}
	stands(true)
	if err := l.DeleteContacts(t.Context(), []int64{1000}); err != nil {
		t.Fatal(err)
	}
	if _, _, _, _, err := l.ImportContacts(t.Context(), "", false, seq([]post.Contact{contact("new@x.de", "Wong", nil)})); err != nil {
		t.Fatal(err)
	}
	stands(false)
	if err := l.IndexSearch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := found(t, l, ContactFilter{Search: "wong"}); !slices.Equal(got, []string{"new@x.de"}) {
		t.Errorf("found %v", got)
	}
	var n int
	if err := l.r.QueryRowContext(t.Context(), "SELECT count(*) FROM contact_search WHERE contact_search MATCH '\"won\"'").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d entries, %v", n, err)
	}
}

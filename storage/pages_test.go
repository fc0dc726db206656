package storage

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"postroom/post"
)

// TestPages reads everybody, a long list and a short one page by page, forwards
// and back, in every order, and compares with sorting them here.
func TestPages(t *testing.T) {
	l := open(t, t.TempDir())
	people := 300
	if testing.Short() {
		people = 90
	}
	lists := map[string]int{"": people, "Long": people * 2 / 3, "Short": people / 5, "Nobody": 0}
	var rows []post.Contact
	for i := range people {
		rows = append(rows, contact(fmt.Sprintf("p%d@x.de", i*7919%people), fmt.Sprintf("Name %d", i%40), nil))
	}
	for name, n := range lists {
		if _, _, _, _, err := l.ImportContacts(t.Context(), name, false, seq(rows[:n])); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct{ short, marked, walk, sorted int64 }{
		"as it is":     {listShort, listMarked, listWalk, listSorted},
		"marked":       {0, listMarked, listWalk, listSorted},
		"asked":        {0, 0, listWalk, listSorted},
		"walk in vain": {0, listMarked, 30, listSorted},
		"walk on":      {0, 0, 30, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for v, n := range map[*int64]int64{&listShort: c.short, &listMarked: c.marked, &listWalk: c.walk, &listSorted: c.sorted} {
				was := *v
				*v = n
				t.Cleanup(func() { *v = was })
			}
			l.orders = orders{} // what the ways before this one kept
			readPages(t, l, lists)
		})
	}
	t.Run("ranked", func(t *testing.T) {
		was := ranksFrom
		ranksFrom = 1
		t.Cleanup(func() { ranksFrom = was })
		l.orders = orders{}
		rankNow(t, l)
		readPages(t, l, lists)
		if len(l.orders.keys) > 0 {
			t.Errorf("%d lists were sorted", len(l.orders.keys))
		}
	})
}

// rankNow reads the order of the book and waits for it.
func rankNow(t *testing.T, l *Ledger) {
	t.Helper()
	l.ranks.warm(l, true)
	<-l.ranks.done
	l.ranks.warm(l, true) // what went on may have been older
	<-l.ranks.done
	if l.ranks.now == nil {
		t.Fatal("the order of the book was not read")
	}
}

func readPages(t *testing.T, l *Ledger, lists map[string]int) {
	t.Helper()
	for name, n := range lists {
		f := ContactFilter{}
		if name != "" {
			f.List = list(t, l, name)
		}
		for _, f.ByName = range []bool{false, true} {
			for _, f.Desc = range []bool{false, true} {
				var all []ContactRow
				var back []string
				p := Page{Limit: 17}
				for {
					page, pages, err := l.Contacts(t.Context(), f, p)
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, page...)
					if pages.Prev != "" {
						before, _, err := l.Contacts(t.Context(), f, Page{Limit: 17, Cursor: pages.Prev, Back: true})
						if err != nil || len(before) != 17 {
							t.Fatal(len(before), err)
						}
						back = append(back, before[0].Key)
						if want := all[len(all)-len(page)-17].Key; before[0].Key != want {
							t.Fatalf("%q %+v: back to %s, want %s", name, f, before[0].Key, want)
						}
					}
					if p.Cursor = pages.Next; p.Cursor == "" {
						break
					}
				}
				if len(all) != n || n > 17 && len(back) == 0 {
					t.Fatalf("%q %+v: %d people, want %d", name, f, len(all), n)
				}
				if !slices.IsSortedFunc(all, func(a, b ContactRow) int {
					if f.Desc {
						a, b = b, a
					}
					if f.ByName {
						return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
					}
					return strings.Compare(a.Key, b.Key)
				}) {
					t.Errorf("%q %+v is out of order", name, f)
				}
				if got, err := l.CountContacts(t.Context(), f); err != nil || got != int64(n) {
					t.Errorf("%q: counted %d, want %d, %v", name, got, n, err)
				}
			}
		}
	}
}

// TestManyRowsMerge: rows of one person lie far apart in a file, and keys that
// begin alike lie side by side; the counts and the people are those of a book in
// memory.
func TestManyRowsMerge(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 3))
	l := open(t, t.TempDir())
	book := map[string]post.Contact{}
	for _, rule := range []string{MergeReplace, MergeFill, MergeReplace, MergeKeep} {
		var rows []post.Contact
		var want [3]int64
		for range 3 * tallyRows {
			c := contact(fmt.Sprintf("customer-number-%d@example.com", rnd.IntN(900)), "", map[string]string{})
			if rnd.IntN(3) == 0 {
				c.Name = fmt.Sprint("Name ", rnd.IntN(5))
			}
			if rnd.IntN(3) == 0 {
				c.Fields["city"] = fmt.Sprint("City ", rnd.IntN(5))
			}
			rows = append(rows, c)
			old, ok := book[c.Key]
			next := c
			if ok {
				next = merged(old, c, rule)
			}
			switch {
			case !ok:
				want[0]++
			case next.Name != old.Name || !maps.Equal(next.Fields, old.Fields):
				want[1]++
			default:
				want[2]++
			}
			book[c.Key] = next
		}
		for _, dry := range []bool{true, false} {
			var got [3]int64
			var err error
			if got[0], got[1], got[2], _, err = l.ImportContactsBy(t.Context(), "L", rule, dry, seq(rows)); err != nil || got != want {
				t.Fatalf("%s, dry %v: %v, want %v, %v", rule, dry, got, want, err)
			}
		}
	}
	n := 0
	for c, err := range l.EachMember(t.Context(), list(t, l, "L")) {
		if err != nil {
			t.Fatal(err)
		}
		if want := book[c.Key]; c.Name != want.Name || !maps.Equal(c.Fields, want.Fields) {
			t.Fatalf("%+v, want %+v", c, want)
		}
		n++
	}
	if n != len(book) {
		t.Errorf("%d people, want %d", n, len(book))
	}
	wantSound(t, l)
}

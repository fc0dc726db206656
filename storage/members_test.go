package storage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postroom/post"
)

// borderIDs are ids at both ends of blocks, with gaps of one and of many blocks.
var borderIDs = []int64{1, 2, 31, 62, 63, 64, 65, 126, 127, 128, 129, 191, 192, 640, 703, 704, 2047, 2048, 4095, 4096}

// roster is what a ledger must say of its lists.
type roster struct {
	book  map[int64]string // the address
	lists map[string]map[int64]bool
}

// insertPerson puts somebody with an id of the test's choice into the book.
func insertPerson(ctx context.Context, l *Ledger, id int64) (address string, err error) {
	address = fmt.Sprintf("p%d@x.de", id)
	return address, l.write(ctx, "insert", func(t *Tx) error {
		if _, err := t.exec("INSERT INTO contacts (id, address, key, key_version, search, created_at, changed_at) VALUES (?1, ?2, ?2, 1, ?2, 1, 1)", id, address); err != nil {
			return err
		}
		_, err := t.exec("INSERT INTO contact_names (name, id) VALUES ('', ?)", id)
		return err
	})
}

// compare asks a ledger in all ways who is on which list.
func (r *roster) compare(ctx context.Context, l *Ledger) error {
	on := map[int64][]string{}
	for name, members := range r.lists {
		want := slices.Sorted(maps.Keys(members))
		for _, id := range want {
			on[id] = append(on[id], name)
		}
		li, err := l.ListByName(ctx, name)
		if err != nil || li.Members != int64(len(want)) {
			return fmt.Errorf("%s has %d members, want %d, %w", name, li.Members, len(want), err)
		}
		said := map[string][]int64{}
		if said["rows"], err = l.ids(ctx, placesTable+"SELECT json_group_array(contact_id) FROM places WHERE list_id = ?", []any{li.ID}); err != nil {
			return err
		}
		if said["ids"], err = l.ContactIDs(ctx, ContactFilter{List: li.ID}); err != nil {
			return err
		}
		if said["found"], err = l.ContactIDs(ctx, ContactFilter{List: li.ID, Search: "x.de"}); err != nil {
			return err
		}
		for c, err := range l.EachMember(ctx, li.ID) {
			if err != nil {
				return err
			}
			said["members"] = append(said["members"], c.ID)
		}
		for c, err := range l.EachContact(ctx, ContactFilter{List: li.ID}) {
			if err != nil {
				return err
			}
			said["page"] = append(said["page"], c.ID)
		}
		marks, err := l.marked(ctx, chosen{list: li.ID})
		if err != nil {
			return err
		}
		for id := range int64(5000) {
			if marks.has(id) {
				said["marked"] = append(said["marked"], id)
			}
		}
		for _, way := range []string{"rows", "ids", "found", "members", "page", "marked"} {
			got := said[way]
			if way != "members" { // which are told by id
				slices.Sort(got)
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("%s of %s: %v, want %v", way, name, got, want)
			}
		}
	}
	people, err := l.ContactsByID(ctx, slices.Collect(maps.Keys(r.book)))
	if err != nil || len(people) != len(r.book) {
		return fmt.Errorf("%d people, want %d, %w", len(people), len(r.book), err)
	}
	for _, c := range people {
		if slices.Sort(on[c.ID]); !slices.Equal(c.Lists, on[c.ID]) {
			return fmt.Errorf("%d is on %v, want %v", c.ID, c.Lists, on[c.ID])
		}
	}
	problems, err := l.Check(ctx)
	if err != nil || len(problems) > 0 {
		return fmt.Errorf("check: %v %w", problems, err)
	}
	return nil
}

// TestMembersFollow does random things to people whose ids are at the borders of
// blocks, and compares the lists with sets.
func TestMembersFollow(t *testing.T) {
	was := listShort
	t.Cleanup(func() { listShort = was })
	rapid.Check(t, func(rt *rapid.T) {
		listShort = rapid.SampledFrom([]int64{-1, was}).Draw(rt, "short") // lists are walked for, or read
		ctx := t.Context()
		l, err := Open(ctx, t.TempDir(), Options{})
		if err != nil {
			rt.Fatal(err)
		}
		defer l.Close()
		r := &roster{book: map[int64]string{}, lists: map[string]map[int64]bool{}}
		names := []string{"A", "B", "C"}
		lists := map[string]int64{}
		for _, name := range names {
			li, err := l.CreateList(ctx, name)
			if err != nil {
				rt.Fatal(err)
			}
			lists[name], r.lists[name] = li.ID, map[int64]bool{}
		}
		for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom(borderIDs), 5, len(borderIDs), rapid.ID).Draw(rt, "book") {
			if r.book[id], err = insertPerson(ctx, l, id); err != nil {
				rt.Fatal(err)
			}
		}
		list := func(label string) (string, map[int64]bool) {
			name := rapid.SampledFrom(names).Draw(rt, label)
			return name, r.lists[name]
		}
		some := func(label string) []int64 { return rapid.SliceOf(rapid.SampledFrom(borderIDs)).Draw(rt, label) }
		gone := func(id int64) {
			delete(r.book, id)
			for _, members := range r.lists {
				delete(members, id)
			}
		}
		fresh := 0
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				name, members := list("list")
				ids, had := some("ids"), len(members)
				for _, id := range ids {
					if r.book[id] != "" {
						members[id] = true
					}
				}
				if n, err := l.AddToList(ctx, lists[name], ids); err != nil || n != int64(len(members)-had) {
					rt.Fatalf("added %d, want %d, %v", n, len(members)-had, err)
				}
			},
			"remove": func(rt *rapid.T) {
				name, members := list("list")
				ids, had := some("ids"), len(members)
				for _, id := range ids {
					delete(members, id)
				}
				if n, err := l.RemoveFromList(ctx, lists[name], ids); err != nil || n != int64(had-len(members)) {
					rt.Fatalf("removed %d, want %d, %v", n, had-len(members), err)
				}
			},
			"exclude": func(rt *rapid.T) {
				name, _ := list("list")
				a, with := list("with")
				b, without := list("without")
				if name == a || name == b {
					rt.Skip()
				}
				want := map[int64]bool{}
				for id := range with {
					if !without[id] {
						want[id] = true
					}
				}
				r.lists[name] = want
				if err := l.fill(ctx, lists[name], Rule{All: []int64{lists[a]}, Not: []int64{lists[b]}}); err != nil {
					rt.Fatal(err)
				}
			},
			"delete": func(rt *rapid.T) {
				ids := some("ids")
				for _, id := range ids {
					gone(id)
				}
				if err := l.DeleteContacts(ctx, ids); err != nil {
					rt.Fatal(err)
				}
			},
			"erase": func(rt *rapid.T) {
				id := rapid.SampledFrom(borderIDs).Draw(rt, "id")
				if r.book[id] == "" {
					rt.Skip()
				}
				if _, err := l.Erase(ctx, r.book[id]); err != nil {
					rt.Fatal(err)
				}
				gone(id)
			},
			"import": func(rt *rapid.T) {
				name, members := list("list")
				var rows []post.Contact
				for _, id := range some("known") {
					if r.book[id] != "" {
						rows = append(rows, contact(r.book[id], "", nil))
						members[id] = true
					}
				}
				for range rapid.IntRange(0, 70).Draw(rt, "new") {
					fresh++
					rows = append(rows, contact(fmt.Sprintf("new%d@x.de", fresh), "", nil))
				}
				if _, _, _, _, err := l.ImportContacts(ctx, name, false, seq(rows)); err != nil {
					rt.Fatal(err)
				}
				for c, err := range l.EachMember(ctx, 0) {
					if err != nil {
						rt.Fatal(err)
					}
					if r.book[c.ID] == "" {
						r.book[c.ID], members[c.ID] = c.Address, true
					}
				}
			},
			"": func(rt *rapid.T) {
				if err := r.compare(ctx, l); err != nil {
					rt.Fatal(err)
				}
			},
		})
	})
}

// TestMembersUpgrade: a ledger whose lists have a row for each member comes through
// with the same ones, and who is renamed or removed afterwards is noticed.
func TestMembersUpgrade(t *testing.T) {
	r := &roster{book: map[int64]string{}, lists: map[string]map[int64]bool{"All": {}, "Last": {}, "Even": {}, "One": {64: true}, "None": {}}}
	var rows strings.Builder
	for _, id := range borderIDs {
		r.book[id], r.lists["All"][id] = "known", true
		if id%64 == 63 {
			r.lists["Last"][id] = true
		}
		if id%2 == 0 {
			r.lists["Even"][id] = true
		}
		fmt.Fprintf(&rows, `INSERT INTO contacts (id, address, key, key_version, search, created_at, changed_at) VALUES (%[1]d, 'p%[1]d@x.de', 'p%[1]d@x.de', 1, 'p%[1]d@x.de', 1, 1);
			INSERT INTO contact_names (name, id) VALUES ('', %[1]d);`, id)
	}
	for i, name := range slices.Sorted(maps.Keys(r.lists)) {
		fmt.Fprintf(&rows, "INSERT INTO lists (id, name, members, created_at) VALUES (%d, '%s', %d, 1);", i+1, name, len(r.lists[name]))
		for id := range r.lists[name] {
			fmt.Fprintf(&rows, "INSERT INTO list_members (list_id, contact_id) VALUES (%d, %d);", i+1, id)
		}
	}
	dir := t.TempDir()
	oldLedger(t, dir, 25, rows.String())
	l := open(t, dir)
	ctx := t.Context()
	if err := r.compare(ctx, l); err != nil {
		t.Fatal(err)
	}
	versions := func() map[string]int64 {
		t.Helper()
		all := map[string]int64{}
		for name := range r.lists {
			var v int64
			if err := l.r.QueryRowContext(ctx, "SELECT version FROM lists WHERE name = ?", name).Scan(&v); err != nil {
				t.Fatal(err)
			}
			all[name] = v
		}
		return all
	}
	before := versions()
	c := contact("p63@x.de", "Another", nil)
	c.ID = 63
	if err := l.UpdateContact(ctx, c); err != nil {
		t.Fatal(err)
	}
	for name, v := range versions() {
		if moved := v != before[name]; moved != r.lists[name][63] {
			t.Errorf("%s changed with a name of 63: %v", name, moved)
		}
	}
	for _, id := range []int64{63, 64, 4095} {
		delete(r.book, id)
		for _, members := range r.lists {
			delete(members, id)
		}
		if err := l.DeleteContacts(ctx, []int64{id}); err != nil {
			t.Fatal(err)
		}
		if err := r.compare(ctx, l); err != nil {
			t.Errorf("without %d: %v", id, err)
		}
	}
	li, err := l.ListByName(ctx, "All")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.DeleteList(ctx, li.ID); err != nil {
		t.Fatal(err)
	}
	delete(r.lists, "All")
	if err := r.compare(ctx, l); err != nil {
		t.Error(err)
	}
}

// TestBlocksFrom compares blocks of ids that follow each other with those of the
// ids one by one.
func TestBlocksFrom(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		first, n := rapid.Int64Range(0, 300).Draw(rt, "first"), rapid.Int64Range(0, 300).Draw(rt, "n")
		ids := []int64{}
		for id := first; id < first+n; id++ {
			ids = append(ids, id)
		}
		got := blocksFrom(first, n)
		if !slices.Equal(got, inBlocks(ids)) {
			rt.Fatalf("%x", got)
		}
		back := []int64{}
		for _, b := range got {
			back = b.appendIDs(back)
			if b.last() != back[len(back)-1] || b.len() < 1 {
				rt.Fatalf("%x: the last is %d of %d", b, b.last(), b.len())
			}
		}
		if !slices.Equal(back, ids) {
			rt.Fatal(back)
		}
	})
}

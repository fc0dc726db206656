package storage

import (
	"testing"

	"postroom/post"
)

// TestNamesChangedMeanwhile: who is renamed or removed between the two halves of
// an import, when they are in the book and not yet in the order by name, is in
// the order as they are then.
func TestNamesChangedMeanwhile(t *testing.T) {
	l := open(t, t.TempDir())
	ctx := t.Context()
	all := &names{}
	if err := l.write(ctx, "import contacts", func(tx *Tx) error {
		if _, err := tx.exec("INSERT INTO imports (token, list_id, merge, bytes, started_at) VALUES ('now', 0, 'replace', 0, 1)"); err != nil {
			return err
		}
		var rows []ready
		for _, n := range []string{"Anna", "Bob", "Carl"} {
			rows = append(rows, readyOf(staged{n + "@x.de", n + "@x.de", n, "{}"}, n))
		}
		first, err := tx.insertPeople(rows)
		for i, r := range rows {
			all.add(r.name, first+int64(i))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := l.UpdateContact(ctx, post.Contact{ID: all.runs[0].all[0].id, Address: "Anna@x.de", Name: "Zoe"}); err != nil {
		t.Fatal(err)
	}
	if err := l.DeleteContacts(ctx, []int64{all.runs[0].all[1].id}); err != nil {
		t.Fatal(err)
	}
	if err := l.nameAll(ctx, "now", all); err != nil {
		t.Fatal(err)
	}
	wantSound(t, l)
	rows, _, err := l.Contacts(ctx, ContactFilter{ByName: true}, Page{Limit: 10})
	if err != nil || len(rows) != 2 || rows[0].Name != "Carl" || rows[1].Name != "Zoe" {
		t.Errorf("%+v, %v", rows, err)
	}
	var left int
	if err := l.r.QueryRowContext(ctx, "SELECT count(*) FROM names_left").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d old names stay, %v", left, err)
	}
}

// TestCheckFindsLostNames: the check is one that can fail.
func TestCheckFindsLostNames(t *testing.T) {
	l := open(t, t.TempDir())
	if _, _, _, _, err := l.ImportContacts(t.Context(), "L", false, crowd(10)); err != nil {
		t.Fatal(err)
	}
	wantSound(t, l)
	for _, q := range []string{"DELETE FROM contact_names WHERE id = 3", "INSERT INTO contact_names (name, id) VALUES ('Nobody', 3)"} {
		if err := l.write(t.Context(), "break it", func(tx *Tx) error { _, err := tx.exec(q); return err }); err != nil {
			t.Fatal(err)
		}
		if problems, err := l.Check(t.Context()); err != nil || len(problems) != 1 {
			t.Errorf("after %s: %q, %v", q, problems, err)
		}
	}
}

// TestNamesOfManyPieces: names are in order whatever piece they lie in, those of one
// name by their ids, and nobody is left out.
func TestNamesOfManyPieces(t *testing.T) {
	most := nameRunMost
	t.Cleanup(func() { nameRunMost = most })
	nameRunMost = 7
	all := &names{}
	for id := range int64(100) {
		all.add([]string{"", "Anna", "Anna Köhler the first", "Anna Köhler the second", "王伟"}[id*3%5], id)
	}
	if len(all.runs) != 15 {
		t.Errorf("%d pieces", len(all.runs))
	}
	n, last, lastID := 0, "", int64(-1)
	for name, id := range all.inOrder() {
		if name < last || name == last && id <= lastID {
			t.Errorf("%q %d behind %q %d", name, id, last, lastID)
		}
		n, last, lastID = n+1, name, id
	}
	if n != 100 {
		t.Errorf("%d people", n)
	}
}

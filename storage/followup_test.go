package storage

import (
	"encoding/json"
	"testing"

	"postroom/post"
)

// TestOutcomes counts those who are not in the book, too, puts them there when
// asked, once, and never those who were erased.
func TestOutcomes(t *testing.T) {
	l := open(t, t.TempDir())
	a := account(t, l, "shop")
	if _, _, _, _, err := l.ImportContacts(t.Context(), "A", false, seq([]post.Contact{contact("p1@example.net", "One", nil)})); err != nil {
		t.Fatal(err)
	}
	m, _, err := l.Enqueue(t.Context(), post.Mailing{
		Kind: post.Live, Name: "Sheet", Content: post.Content{Subject: "s"}, Senders: []post.Sender{{Account: a.ID, Email: a.Email}},
	}, seq([]post.Recipient{
		{Address: "p1@example.net", Key: "p1@example.net#2", Fields: map[string]string{"due": "7"}},
		{Address: "P2@example.net", Key: "p2@example.net#3", Name: "Two", Fields: map[string]string{"due": "8", "no": ""}},
		{Address: "P2@example.net", Key: "p2@example.net#4", Name: "Two", Fields: map[string]string{"due": "9"}},
		{Address: "p3@example.net", Key: "p3@example.net#5"},
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.write(t.Context(), "fail", func(tx *Tx) error {
		_, err := tx.exec("UPDATE deliveries SET state = 'failed', reason = 'x'")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Erase(t.Context(), "p3@example.net"); err != nil {
		t.Fatal(err)
	}
	want := map[FollowUp]FollowUpCount{FollowUpFailed: {2, 1}, FollowUpUnsent: {2, 1}}
	counts, err := l.CountFollowUps(t.Context(), m.ID)
	if err != nil || len(counts) != len(FollowUps) {
		t.Fatal(counts, err)
	}
	for o, n := range counts {
		if n != want[o] {
			t.Errorf("%q: %+v, want %+v", o, n, want[o])
		}
	}
	for again, n := range []int64{1, 0} {
		if added, err := l.AddRecipients(t.Context(), m.ID, FollowUpFailed); err != nil || added != n {
			t.Fatalf("time %d: %d added, %v", again, added, err)
		}
	}
	li, err := l.MakeList(t.Context(), "Again", Rule{Got: m.ID, FollowUp: FollowUpFailed}, true)
	if err != nil || li.Members != 2 {
		t.Fatalf("%+v %v", li, err)
	}
	rows, _, err := l.Contacts(t.Context(), ContactFilter{Search: "p2@"}, Page{Limit: 2})
	if err != nil || len(rows) != 1 || rows[0].Address != "P2@example.net" || rows[0].Name != "Two" || rows[0].Fields["due"] != "8" || len(rows[0].Fields) != 1 {
		t.Errorf("%+v %v", rows, err)
	}
	if _, err := l.MakeList(t.Context(), "Odd", Rule{Got: m.ID, FollowUp: "odd"}, true); post.KindOf(err) != post.KindInvalid {
		t.Errorf("an outcome that nobody knows: %v", err)
	}
	if _, err := l.AddRecipients(t.Context(), m.ID, "odd"); post.KindOf(err) != post.KindInvalid {
		t.Errorf("an outcome that nobody knows: %v", err)
	}
}

// TestOldRules: a rule that was kept before there were outcomes means the same.
func TestOldRules(t *testing.T) {
	r, err := readRule(`{"got":3,"silent":true}`)
	if err != nil || r.Got != 3 || r.FollowUp != FollowUpSilent {
		t.Errorf("%+v %v", r, err)
	}
	text, err := json.Marshal(r)
	if err != nil || string(text) != `{"got":3,"outcome":"silent"}` {
		t.Errorf("%s %v", text, err)
	}
}

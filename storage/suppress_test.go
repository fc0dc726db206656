package storage

import (
	"iter"
	"slices"
	"testing"
	"time"

	"postroom/post"
)

// TestSuppressedForOneList: somebody who is suppressed for a list gets no mailing
// to it, whether that was known when it was queued, when it was claimed, or only
// right before MAIL; other mail goes to them.
func TestSuppressedForOneList(t *testing.T) {
	l := open(t, t.TempDir())
	ctx := t.Context()
	acc := account(t, l, "shop")
	names := []string{"a@x.de", "b@x.de", "c@x.de", "d@x.de"}
	var rows []post.Contact
	for _, n := range names {
		rows = append(rows, contact(n, "", nil))
	}
	for _, name := range []string{"News", "Other"} {
		if _, _, _, _, err := l.ImportContacts(ctx, name, false, seq(rows)); err != nil {
			t.Fatal(err)
		}
	}
	news, other := list(t, l, "News"), list(t, l, "Other")
	suppress := func(key string) {
		t.Helper()
		if n, err := l.Suppress(ctx, []post.Suppression{{List: news, Key: key, Address: key, Reason: "asked", Source: "you"}}); err != nil || n != 1 {
			t.Fatal(n, err)
		}
	}
	send := func(list int64) (queued int64, skipped []string) {
		t.Helper()
		m, s, err := l.Enqueue(ctx, post.Mailing{
			Kind: post.Live, Name: "M", Content: post.Content{Subject: "s"}, Lists: []int64{list}, Senders: []post.Sender{{Account: acc.ID, Email: acc.Email}},
		}, iter.Seq2[post.Recipient, error](func(yield func(post.Recipient, error) bool) {
			for _, n := range names {
				if !yield(post.Recipient{Address: n, Key: n}, nil) {
					return
				}
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range s {
			skipped = append(skipped, x.Address)
		}
		return m.Counts[post.StateQueued], skipped
	}

	suppress("a@x.de")
	if n, skipped := send(news); n != 3 || !slices.Equal(skipped, []string{"a@x.de"}) {
		t.Errorf("queued %d, skipped %v", n, skipped)
	}
	suppress("b@x.de")
	claimed := claim(t, l, acc, 10)
	if len(claimed) != 2 || claimed[0].Address != "c@x.de" {
		t.Fatalf("claimed %+v", claimed)
	}
	suppress("c@x.de")
	var intents []Intent
	for _, d := range claimed {
		intents = append(intents, Intent{ID: d.ID, Claim: 1, Date: time.Now(), At: time.Now(), Live: true})
	}
	refused, err := l.Record(ctx, nil, intents)
	if err != nil || len(refused) != 1 || refused[0].ID != claimed[0].ID || refused[0].To != post.StateSuppressed || refused[0].Reason.Args[0] != "asked" {
		t.Errorf("refused %+v, %v", refused, err)
	}
	if n, skipped := send(other); n != 4 || len(skipped) != 0 {
		t.Errorf("the other list: queued %d, skipped %v", n, skipped)
	}
	_, _, _, told, err := l.ImportContacts(ctx, "news", true, seq(rows))
	if err != nil || !slices.Equal(told, []string{"a@x.de", "b@x.de", "c@x.de"}) {
		t.Errorf("an import told of %v, %v", told, err)
	}
	if _, _, _, told, err = l.ImportContacts(ctx, "Other", true, seq(rows)); err != nil || len(told) != 0 {
		t.Errorf("an import into the other list told of %v, %v", told, err)
	}

	if e, err := l.Erase(ctx, "a@x.de"); err != nil || !e.Suppressed {
		t.Errorf("%+v, %v", e, err)
	}
	var left int
	if err := l.r.QueryRowContext(ctx, "SELECT count(*) FROM list_suppressions WHERE instr(key || address, 'a@x') > 0").Scan(&left); err != nil || left != 0 {
		t.Errorf("the erased address stands there %d times, %v", left, err)
	}
	if n, skipped := send(news); n != 1 || len(skipped) != 3 {
		t.Errorf("after the erasure: queued %d, skipped %v", n, skipped)
	}
	if n, err := l.UnsuppressFor(ctx, news, []string{"a@x.de", "b@x.de", "d@x.de"}); err != nil || n != 2 {
		t.Errorf("unsuppressed %d, %v", n, err)
	}
	var shown []string
	for s, err := range l.EachSuppressionFor(ctx, news) {
		if err != nil {
			t.Fatal(err)
		}
		shown = append(shown, s.Address)
	}
	if !slices.Equal(shown, []string{"c@x.de"}) {
		t.Errorf("still suppressed: %v", shown)
	}
	wantSound(t, l)
}

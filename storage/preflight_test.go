package storage

import (
	"slices"
	"testing"
	"time"

	"postroom/post"
)

// TestPreflightLookups: who must not be mailed is found, erased people too, and
// nothing is changed by looking; who got a subject of late is found by live
// mailings that were not given up.
func TestPreflightLookups(t *testing.T) {
	l := open(t, t.TempDir())
	ctx := t.Context()
	a := account(t, l, "shop")
	if _, err := l.Suppress(ctx, []post.Suppression{
		{Key: "a@x.de", Address: "a@x.de", Reason: "asked", Source: "you"}, {Key: "b@x.de", Address: "b@x.de", Reason: "hard bounce", Source: "you"},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Erase(ctx, "b@x.de"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		why, err := l.SuppressedKeys(ctx, []string{"a@x.de", "b@x.de", "c@x.de"})
		if err != nil || len(why) != 2 || why["a@x.de"] != "asked" || why["b@x.de"] != "erased" {
			t.Fatalf("%v, %v", why, err)
		}
	}

	queue := func(kind post.MailingKind, subject, address string) post.Mailing {
		m, _, err := l.Enqueue(ctx, post.Mailing{Kind: kind, Content: post.Content{Subject: subject}, Senders: []post.Sender{{Account: a.ID, Email: a.Email}}},
			seq([]post.Recipient{{Address: address, Key: address}}))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	queue(post.Live, "Hi {{name}}", "live@x.de")
	queue(post.Live, "Hi", "other@x.de")
	queue(post.Rehearsal, "Hi {{name}}", "trap@x.de")
	given := queue(post.Live, "Hi {{name}}", "cancelled@x.de")
	if _, err := l.CancelMailing(ctx, given.ID); err != nil {
		t.Fatal(err)
	}
	recent := func(since time.Time) (keys []string) {
		for k, err := range l.RecentKeys(ctx, "Hi {{name}}", since) {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, k)
		}
		return keys
	}
	if got := recent(time.Now().Add(-time.Hour)); !slices.Equal(got, []string{"live@x.de"}) {
		t.Errorf("%v", got)
	}
	if got := recent(time.Now().Add(time.Hour)); len(got) > 0 {
		t.Errorf("from before: %v", got)
	}
}

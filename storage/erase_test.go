package storage

import (
	"bytes"
	"iter"
	"os"
	"strings"
	"testing"

	"postroom/post"
)

// TestErasedIsGone: after an erasure no file of the data folder holds the
// person's words, the history still counts the message, and a suppression holds
// when the address comes back.
func TestErasedIsGone(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	ctx := t.Context()
	const address = "zanzibar@example.net"
	a := account(t, l, "shop")
	sum, _, err := l.Put(ctx, strings.NewReader("for Zanzibarina alone"))
	if err != nil {
		t.Fatal(err)
	}
	both, _, err := l.Put(ctx, strings.NewReader("for two"))
	if err != nil {
		t.Fatal(err)
	}
	who := contact(address, "Zanzibarina", map[string]string{"city": "Zanzibarstadt"})
	if _, _, _, _, err := l.ImportContacts(ctx, "L", false, seq([]post.Contact{who, contact("other@x.de", "", nil)})); err != nil {
		t.Fatal(err)
	}
	if err := l.IndexSearch(ctx); err != nil {
		t.Fatal(err)
	}
	recipients := iter.Seq2[post.Recipient, error](func(yield func(post.Recipient, error) bool) {
		_ = yield(post.Recipient{Address: address, Key: address, Name: who.Name, Fields: who.Fields, Attachments: []post.Attachment{{Name: "a.txt", SHA256: sum}, {Name: "b.txt", SHA256: both}}}, nil) &&
			yield(post.Recipient{Address: "other@x.de", Key: "other@x.de", Attachments: []post.Attachment{{Name: "b.txt", SHA256: both}}}, nil)
	})
	if _, _, err := l.Enqueue(ctx, post.Mailing{Kind: post.Live, Name: "M", Content: post.Content{Subject: "s"}, Senders: []post.Sender{{Account: a.ID, Email: a.Email}}}, recipients); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Suppress(ctx, []post.Suppression{{Key: address, Address: address, Reason: "asked", Source: "you"}}); err != nil {
		t.Fatal(err)
	}
	if n := holds(t, dir, "anzibar"); n == 0 {
		t.Fatal("nothing to erase, so this test shows nothing")
	}
	e, err := l.Erase(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	if !e.Contact || e.Lists != 1 || e.Deliveries != 1 || e.Cancelled != 1 || e.Files != 1 || !e.Suppressed || len(e.Backups) != 0 {
		t.Errorf("%+v", e)
	}
	wantSound(t, l)
	if _, err := os.Stat(l.blobPath(both)); err != nil {
		t.Errorf("what somebody else got too went with the person: %v", err)
	}
	// Back again: by an import, and in a mailing.
	_, _, _, suppressed, err := l.ImportContacts(ctx, "L", true, seq([]post.Contact{contact(address, "", nil)}))
	if err != nil || len(suppressed) != 1 {
		t.Errorf("an import did not tell: %v, %v", suppressed, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := holds(t, dir, "anzibar"); n != 0 {
		t.Errorf("%d files still hold the person", n)
	}
	l = open(t, dir)
	_, skipped, err := l.Enqueue(ctx, post.Mailing{Kind: post.Live, Name: "M", Content: post.Content{Subject: "s"}, Senders: []post.Sender{{Account: a.ID, Email: a.Email}}}, recipients)
	if err != nil || len(skipped) != 1 || skipped[0].Reason.Key != "skip.suppressed" {
		t.Errorf("the erased person is mailed: %+v, %v", skipped, err)
	}
	if e, err := l.Erase(ctx, "nobody@x.de"); err != nil || e.Contact || e.Deliveries != 0 || e.Suppressed {
		t.Errorf("%+v, %v", e, err)
	}
}

// holds counts the files that hold a word.
func holds(t *testing.T, dir, word string) (n int) {
	t.Helper()
	var walk func(path string)
	walk = func(path string) {
		entries, err := os.ReadDir(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() {
				walk(path + "/" + e.Name())
				continue
			}
			b, err := os.ReadFile(path + "/" + e.Name())
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(b, []byte(word)) {
				t.Log(e.Name())
				n++
			}
		}
	}
	walk(dir)
	return n
}

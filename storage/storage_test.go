package storage

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postroom/post"
)

func open(t *testing.T, dir string) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

func account(t *testing.T, l *Ledger, name string) post.Account {
	t.Helper()
	a, err := l.CreateAccount(t.Context(), post.Account{
		Name: name, Email: name + "@example.org", Host: "localhost", Port: 2525, TLS: post.TLSNone, Auth: post.AuthNone, Secret: post.SecretNone,
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func people(n int) iter.Seq2[post.Recipient, error] {
	return func(yield func(post.Recipient, error) bool) {
		for i := range n {
			a := fmt.Sprintf("p%d@example.net", i)
			if !yield(post.Recipient{Address: a, Key: a, Name: "P", Fields: map[string]string{"first_name": "F"}}, nil) {
				return
			}
		}
	}
}

func enqueue(t *testing.T, l *Ledger, kind post.MailingKind, a post.Account, n int) post.Mailing {
	t.Helper()
	m, skipped, err := l.Enqueue(t.Context(), post.Mailing{
		Kind: kind, Name: "M", Content: post.Content{Subject: "s"}, Senders: []post.Sender{{Account: a.ID, Email: a.Email}},
	}, people(n))
	if err != nil || len(skipped) != 0 {
		t.Fatal(skipped, err)
	}
	return m
}

func contact(address, name string, fields map[string]string) post.Contact {
	a, err := post.ParseAddress(address)
	if err != nil {
		panic(err)
	}
	return post.Contact{Address: address, Key: post.AddressKey(a), Name: name, Fields: fields}
}

func seq[T any](s []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, x := range s {
			if !yield(x, nil) {
				return
			}
		}
	}
}

func wantSound(t *testing.T, l *Ledger) {
	t.Helper()
	problems, err := l.Check(t.Context())
	if err != nil || len(problems) > 0 {
		t.Fatalf("check: %v %v", problems, err)
	}
}

func TestFilesArePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes; the folder's access list protects it")
	}
	dir := filepath.Join(t.TempDir(), "data")
	l := open(t, dir)
	account(t, l, "a")
	for name, want := range map[string]os.FileMode{".": 0o700, FileName: 0o600, FileName + "-wal": 0o600, FileName + "-shm": 0o600} {
		fi, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := fi.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}

func TestAccountsKeepEverything(t *testing.T) {
	l := open(t, t.TempDir())
	in := post.Account{
		Name: "Shop", Email: "a@example.org", FromName: "Müller", Host: "mail.example.org", Port: 587, TLS: post.TLSStartTLS, CA: []byte("pem"),
		Auth: post.AuthPlain, User: "u", Secret: post.SecretCommand, SecretRef: "r", PasswordCommand: "pass x",
		Limits: post.Limits{PerMinute: 1, PerHour: 2, PerDay: 3}, Weight: 7, Connections: 2, IMAPHost: "i", IMAPPort: 993, IMAPTLS: post.TLSImplicit,
		Learned: post.Learned{MessagesPerConnection: 7, NoPipelining: true},
	}
	a, err := l.CreateAccount(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := l.AccountByName(t.Context(), "SHOP")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(a, got, cmp.Comparer(func(a, b time.Time) bool { return a.UnixMilli() == b.UnixMilli() })); d != "" {
		t.Error(d)
	}
	if _, err := l.CreateAccount(t.Context(), in); post.KindOf(err) != post.KindConflict {
		t.Errorf("a second account of that name: %v", err)
	}
	if _, err := l.AccountByName(t.Context(), "x"); post.KindOf(err) != post.KindNotFound {
		t.Errorf("unknown name: %v", err)
	}
	why := post.Reason{Key: "account.password", Raw: "535 5.7.8 no"}
	if err := l.HoldAccount(t.Context(), a.ID, post.AccountStopped, why); err != nil {
		t.Fatal(err)
	}
	got, _ = l.Account(t.Context(), a.ID)
	if got.State(time.Now()) != post.AccountStopped || got.Reason.Raw != why.Raw {
		t.Errorf("%+v", got)
	}
	// A wait never lifts a stop.
	if err := l.SetAccountWait(t.Context(), a.ID, time.Now().Add(time.Hour), 1, post.Reason{Key: "x"}); err != nil {
		t.Fatal(err)
	}
	if got, _ = l.Account(t.Context(), a.ID); got.Hold != post.AccountStopped || got.Reason.Key != why.Key {
		t.Errorf("%+v", got)
	}
	if err := l.RemoveAccount(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := l.CreateAccount(t.Context(), in); err != nil {
		t.Errorf("the name is not free again: %v", err)
	}
}

func TestImportAllOrNothing(t *testing.T) {
	l := open(t, t.TempDir())
	ctx := t.Context()
	if _, err := l.Suppress(ctx, []post.Suppression{{Key: "s@example.net", Address: "s@example.net", Reason: "asked", Source: "you"}}); err != nil {
		t.Fatal(err)
	}
	first := []post.Contact{
		contact("Anna@example.net", "Anna", map[string]string{"city": "Köln", "zip": "00123"}),
		contact("s@example.net", "S", nil),
		contact("anna@EXAMPLE.net", "", map[string]string{"city": "Bonn"}),
		contact("ANNA@example.net", "Anna", map[string]string{"city": ""}),
	}
	for _, dry := range []bool{true, false} {
		added, updated, unchanged, suppressed, err := l.ImportContacts(ctx, "Regulars", dry, seq(first))
		if err != nil || added != 2 || updated != 1 || unchanged != 1 || !slices.Equal(suppressed, []string{"s@example.net"}) {
			t.Fatalf("dry %v: %d %d %d %v %v", dry, added, updated, unchanged, suppressed, err)
		}
		n, err := l.CountContacts(ctx, ContactFilter{})
		if err != nil || (n == 0) != dry {
			t.Fatalf("dry %v: %d people, %v", dry, n, err)
		}
	}
	list, err := l.ListByName(ctx, "regulars")
	if err != nil || list.Members != 2 {
		t.Fatalf("%+v %v", list, err)
	}
	rows, _, err := l.Contacts(ctx, ContactFilter{List: list.ID, Search: "KÖLN"}, Page{Limit: 10})
	if err != nil || len(rows) != 0 {
		t.Fatalf("the old city is still found: %v %v", rows, err)
	}
	rows, _, err = l.Contacts(ctx, ContactFilter{Search: "bonn"}, Page{Limit: 10})
	if err != nil || len(rows) != 1 || rows[0].Address != "Anna@example.net" || rows[0].Fields["zip"] != "00123" || !slices.Equal(rows[0].Lists, []string{"Regulars"}) {
		t.Fatalf("%+v %v", rows, err)
	}
	broken := errors.New("row 3 cannot be read")
	_, _, _, _, err = l.ImportContacts(ctx, "Other", false, func(yield func(post.Contact, error) bool) {
		if yield(contact("new@example.net", "", nil), nil) {
			yield(post.Contact{}, broken)
		}
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if n, _ := l.CountContacts(ctx, ContactFilter{}); n != 2 {
		t.Errorf("%d people after a broken import", n)
	}
	if _, err := l.ListByName(ctx, "Other"); post.KindOf(err) != post.KindNotFound {
		t.Errorf("the list of a broken import exists: %v", err)
	}
	if err := l.DeleteContacts(ctx, []int64{rows[0].ID}); err != nil {
		t.Fatal(err)
	}
	wantSound(t, l)
}

func TestContactPagesForwardAndBack(t *testing.T) {
	l := open(t, t.TempDir())
	var all []post.Contact
	for i := range 25 {
		all = append(all, contact(fmt.Sprintf("c%02d@example.net", i), fmt.Sprintf("N%d", i%4), nil))
	}
	if _, _, _, _, err := l.ImportContacts(t.Context(), "", false, seq(all)); err != nil {
		t.Fatal(err)
	}
	for _, f := range []ContactFilter{{}, {Desc: true}, {ByName: true}, {ByName: true, Desc: true}} {
		var forward, back []int64
		p := Page{Limit: 10}
		for {
			rows, pages, err := l.Contacts(t.Context(), f, p)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				forward = append(forward, r.ID)
			}
			if p.Cursor = pages.Next; p.Cursor == "" {
				break
			}
		}
		p = Page{Limit: 10, Back: true}
		for {
			rows, pages, err := l.Contacts(t.Context(), f, p)
			if err != nil {
				t.Fatal(err)
			}
			var ids []int64
			for _, r := range rows {
				ids = append(ids, r.ID)
			}
			back = append(ids, back...)
			if p.Cursor = pages.Prev; p.Cursor == "" {
				break
			}
		}
		if len(forward) != 25 || !slices.Equal(forward, back) {
			t.Errorf("%+v: forward %v, back %v", f, forward, back)
		}
	}
}

// TestOutboxIsBounded: what would make too many wait is refused as a whole, and
// what was sent or dropped makes room.
func TestOutboxIsBounded(t *testing.T) {
	l := open(t, t.TempDir())
	l.maxWaiting = 10
	a := account(t, l, "a")
	enqueue := func(n int) (post.Mailing, error) {
		m, _, err := l.Enqueue(t.Context(), post.Mailing{Kind: post.Live, Name: "M", Senders: []post.Sender{{Account: a.ID, Email: a.Email}}}, people(n))
		return m, err
	}
	m, err := enqueue(7)
	if err != nil {
		t.Fatal(err)
	}
	var refused *post.Error
	if _, err := enqueue(4); !errors.As(err, &refused) || refused.Kind != post.KindInvalid || refused.Reason.Key != "outbox.full" {
		t.Errorf("%v", err)
	}
	if _, err := enqueue(3); err != nil {
		t.Errorf("three more: %v", err)
	}
	if _, err := l.CancelMailing(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := enqueue(7); err != nil {
		t.Errorf("after one was cancelled: %v", err)
	}
	if all, _, err := l.Mailings(t.Context(), false, Page{Limit: 10}); err != nil || len(all) != 3 {
		t.Errorf("%d mailings, %v", len(all), err)
	}
	wantSound(t, l)
}

func TestEnqueueSkipsAndFreezes(t *testing.T) {
	l := open(t, t.TempDir())
	ctx := t.Context()
	a := account(t, l, "a")
	if _, err := l.Suppress(ctx, []post.Suppression{{Key: "no@example.net", Address: "no@example.net", Reason: "asked", Source: "you"}}); err != nil {
		t.Fatal(err)
	}
	rows := []post.Recipient{
		{Address: "A@example.net", Key: "a@example.net", Fields: map[string]string{"x": "1"}},
		{Address: "a@EXAMPLE.net", Key: "a@example.net"},
		{Address: "no@example.net", Key: "no@example.net"},
		{Address: "b@example.net", Key: "b@example.net#4"},
		{Address: "b@example.net", Key: "b@example.net#5"},
	}
	m, skipped, err := l.Enqueue(ctx, post.Mailing{Kind: post.Live, Name: "M", Senders: []post.Sender{{Account: a.ID, Email: a.Email}}}, seq(rows))
	if err != nil || m.Counts[post.StateQueued] != 3 || len(skipped) != 2 {
		t.Fatalf("%+v %v %v", m, skipped, err)
	}
	h, _, err := l.History(ctx, HistoryFilter{Mailing: m.ID}, Page{Limit: 10})
	if err != nil || len(h) != 3 {
		t.Fatal(h, err)
	}
	seen := map[string]bool{}
	for _, d := range h {
		if seen[d.MessageID] || !strings.HasSuffix(d.MessageID, "@example.org>") {
			t.Errorf("message id %s", d.MessageID)
		}
		seen[d.MessageID] = true
	}
	// A rehearsal goes to suppressed people too: nothing leaves the machine.
	if r, skipped, err := l.Enqueue(ctx, post.Mailing{Kind: post.Rehearsal, Name: "R", Senders: []post.Sender{{Account: a.ID, Email: a.Email}}}, seq(rows)); err != nil || r.Counts[post.StateQueued] != 4 || len(skipped) != 1 {
		t.Errorf("%+v %v %v", r, skipped, err)
	}
	// Nobody left: no mailing.
	if r, skipped, err := l.Enqueue(ctx, post.Mailing{Kind: post.Live, Name: "N", Senders: []post.Sender{{Account: a.ID, Email: a.Email}}}, seq(rows[2:3])); err != nil || r.ID != 0 || len(skipped) != 1 {
		t.Errorf("%+v %v %v", r, skipped, err)
	}
	// A sequence that breaks leaves nothing behind.
	_, _, err = l.Enqueue(ctx, post.Mailing{Kind: post.Live, Name: "B", Senders: []post.Sender{{Account: a.ID, Email: a.Email}}}, func(yield func(post.Recipient, error) bool) {
		for r := range people(3 * enqueueChunk) {
			if !yield(r, nil) {
				return
			}
		}
		yield(post.Recipient{}, io.ErrUnexpectedEOF)
	})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	ms, _, err := l.Mailings(ctx, false, Page{Limit: 10})
	if err != nil || len(ms) != 2 {
		t.Fatalf("%d mailings, %v", len(ms), err)
	}
	var orphans int
	if err := l.r.QueryRowContext(ctx, "SELECT count(*) FROM deliveries WHERE mailing_id NOT IN (SELECT id FROM mailings WHERE ready=1)").Scan(&orphans); err != nil || orphans != 0 {
		t.Errorf("%d orphans, %v", orphans, err)
	}
	wantSound(t, l)
}

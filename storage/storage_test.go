package storage

import (
	"context"
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
		Limits: post.Limits{PerMinute: 1, PerHour: 2, PerDay: 3}, Connections: 2, IMAPHost: "i", IMAPPort: 993, IMAPTLS: post.TLSImplicit,
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

func claim(t *testing.T, l *Ledger, a post.Account, n int) []post.Delivery {
	t.Helper()
	ds, err := l.Claim(t.Context(), ClaimParams{Kind: post.Live, Account: a.ID, Claim: 1, N: n, Deadline: 48 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func TestOutboxRoundTrip(t *testing.T) {
	l := open(t, t.TempDir())
	ctx := t.Context()
	a := account(t, l, "a")
	m := enqueue(t, l, post.Live, a, 3)
	ds := claim(t, l, a, 2)
	if len(ds) != 2 || ds[0].Row != 1 || ds[0].Fields["first_name"] != "F" || ds[0].Kind != post.Live {
		t.Fatalf("%+v", ds)
	}
	date := time.Now().Truncate(time.Millisecond).UTC()
	refused, err := l.Record(ctx, nil, []Intent{{ID: ds[0].ID, Claim: 1, At: date, Date: date, Live: true}})
	if err != nil || len(refused) != 0 {
		t.Fatal(refused, err)
	}
	sent := Result{ID: ds[0].ID, Claim: 1, Mailing: m.ID, Live: true, From: post.StateSending, To: post.StateSent, Attempt: &post.Attempt{
		Account: a.ID, StartedAt: date, EndedAt: date, Phase: post.PhaseDot, Reply: post.NewReply(250, "2.0.0 Ok: queued as 4Zk"), QueueID: "4Zk", Charged: true, DotSent: true,
	}}
	later := date.Add(time.Hour)
	back := Result{ID: ds[1].ID, Claim: 1, Mailing: m.ID, Live: true, From: post.StateClaimed, To: post.StateQueued, NextAt: later, Attempt: &post.Attempt{
		Account: a.ID, StartedAt: date, EndedAt: date, Phase: post.PhaseRCPT, Reply: post.NewReply(451, "4.7.1 Greylisted"), Charged: true,
	}}
	if _, err := l.Record(ctx, []Result{sent, back}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Record(ctx, []Result{sent}, nil); !errors.Is(err, ErrMoved) {
		t.Errorf("the same result twice: %v", err)
	}
	got, err := l.Mailing(ctx, m.ID)
	if err != nil || got.Counts[post.StateSent] != 1 || got.Counts[post.StateQueued] != 2 || got.Counts[post.StateClaimed] != 0 {
		t.Fatalf("%+v %v", got.Counts, err)
	}
	h, err := l.Delivery(ctx, ds[0].ID)
	if err != nil || h.State != post.StateSent || h.Last.Code != 250 || h.Last.Enhanced != "2.0.0" || h.QueueID != "4Zk" || h.AccountName != "a" || !h.Date.Equal(date) || h.Attempts != 1 {
		t.Fatalf("%+v %v", h, err)
	}
	log, err := l.Attempts(ctx, ds[0].ID)
	if err != nil || len(log) != 1 || log[0].State != post.StateSent {
		t.Fatalf("%+v %v", log, err)
	}
	u, err := l.AccountUsed(ctx, a.ID)
	if err != nil || u.Day != 2 || u.Minute != 2 {
		t.Errorf("%+v %v", u, err)
	}
	// The row that waits is not due; the third is.
	if ds = claim(t, l, a, 5); len(ds) != 1 || ds[0].Row != 3 {
		t.Fatalf("%+v", ds)
	}
	due, err := l.NextDue(ctx, post.Live, a.ID)
	if err != nil || due.Now || !due.At.Equal(later) {
		t.Errorf("%+v %v", due, err)
	}
	days, err := l.Days(ctx, time.Local, 30)
	if err != nil || len(days) != 30 || days[29].Sent+days[28].Sent != 1 {
		t.Errorf("%+v %v", days[28:], err)
	}
	wantSound(t, l)
}

func TestIntentIsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(*Ledger, post.Mailing) error
		to   post.State
	}{
		{"paused", func(l *Ledger, m post.Mailing) error {
			return l.HoldMailing(t.Context(), m.ID, post.MailingPaused, post.Reason{})
		}, post.StateQueued},
		{"cancelled", func(l *Ledger, m post.Mailing) error { _, err := l.CancelMailing(t.Context(), m.ID); return err }, post.StateCancelled},
		{"suppressed", func(l *Ledger, _ post.Mailing) error {
			_, err := l.Suppress(t.Context(), []post.Suppression{{Key: "p0@example.net", Address: "p0@example.net", Reason: "asked", Source: "you"}})
			return err
		}, post.StateSuppressed},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := open(t, t.TempDir())
			a := account(t, l, "a")
			m := enqueue(t, l, post.Live, a, 1)
			ds := claim(t, l, a, 1)
			if err := c.act(l, m); err != nil {
				t.Fatal(err)
			}
			refused, err := l.Record(t.Context(), nil, []Intent{{ID: ds[0].ID, Claim: 1, At: time.Now(), Date: time.Now(), Live: true}})
			if err != nil || len(refused) != 1 || refused[0].To != c.to {
				t.Fatalf("%+v %v", refused, err)
			}
			if _, err := l.Record(t.Context(), []Result{{ID: ds[0].ID, Claim: 1, Mailing: m.ID, Live: true, From: post.StateClaimed, To: c.to}}, nil); err != nil {
				t.Fatal(err)
			}
			wantSound(t, l)
		})
	}
}

func TestRecover(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	ctx := t.Context()
	a := account(t, l, "a")
	m := enqueue(t, l, post.Live, a, 4)
	ds := claim(t, l, a, 3)
	if _, err := l.Record(ctx, nil, []Intent{{ID: ds[0].ID, Claim: 1, At: time.Now(), Date: time.Now(), Live: true}}); err != nil {
		t.Fatal(err)
	}
	// What follows is what the next process does; the first one is dead.
	for i := range 3 {
		// The first row waited for the reply to its dot, the second was being
		// rendered each time.
		out, err := l.Recover(ctx, map[int64]Progress{ds[0].ID: {}, ds[1].ID: {Rendering: true}}, true)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 && (out.Uncertain != 1 || out.Requeued != 2) {
			t.Fatalf("%+v", out)
		}
		if i < 2 {
			ds2 := claim(t, l, a, 3)
			if len(ds2) != 3 {
				t.Fatalf("round %d: %+v", i, ds2)
			}
		}
	}
	got, err := l.Delivery(ctx, ds[1].ID)
	if err != nil || !got.Held || got.State != post.StateQueued || got.Reason.Key != "delivery.crashed" {
		t.Fatalf("%+v %v", got.Delivery, err)
	}
	if ds := claim(t, l, a, 5); len(ds) != 2 {
		t.Errorf("a held row is claimed: %+v", ds)
	}
	if _, err := l.Recover(ctx, nil, false); err != nil {
		t.Fatal(err)
	}
	if n, err := l.RetryMailing(ctx, m.ID, Retry{Paused: true}); err != nil || n != 1 {
		t.Errorf("%d %v", n, err)
	}
	if n, err := l.SettleMailing(ctx, m.ID, post.StateSent); err != nil || n != 1 {
		t.Errorf("%d %v", n, err)
	}
	if ds := claim(t, l, a, 5); len(ds) != 3 {
		t.Errorf("%+v", ds)
	}
	wantSound(t, l)
}

func TestRecoverByMark(t *testing.T) {
	for _, c := range []struct {
		name    string
		p       map[int64]Progress
		trusted bool
		live    bool
		want    post.State
	}{
		{"no mark", nil, false, true, post.StateUncertain},
		{"a mark of another boot", map[int64]Progress{1: {Code: 250}}, false, true, post.StateUncertain},
		{"not started", nil, true, true, post.StateQueued},
		{"in flight", map[int64]Progress{1: {}}, true, true, post.StateUncertain},
		{"taken", map[int64]Progress{1: {Code: 250}}, true, true, post.StateSent},
		{"refused for now", map[int64]Progress{1: {Code: 451}}, true, true, post.StateQueued},
		{"refused", map[int64]Progress{1: {Code: 554}}, true, true, post.StateQueued},
		{"a rehearsal", map[int64]Progress{1: {}}, true, false, post.StateQueued},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := open(t, t.TempDir())
			a := account(t, l, "a")
			kind, id := post.Live, a.ID
			if !c.live {
				kind, id = post.Rehearsal, 0
			}
			enqueue(t, l, kind, a, 1)
			ds, err := l.Claim(t.Context(), ClaimParams{Kind: kind, Account: id, Claim: 1, N: 1})
			if err != nil || len(ds) != 1 || ds[0].ID != 1 {
				t.Fatal(ds, err)
			}
			if r, err := l.Record(t.Context(), nil, []Intent{{ID: 1, Claim: 1, At: time.Now(), Date: time.Now(), Live: c.live}}); err != nil || len(r) != 0 {
				t.Fatal(r, err)
			}
			if _, err := l.Recover(t.Context(), c.p, c.trusted); err != nil {
				t.Fatal(err)
			}
			d, err := l.Delivery(t.Context(), 1)
			if err != nil || d.State != c.want {
				t.Errorf("%s, want %s, %v", d.State, c.want, err)
			}
			wantSound(t, l)
		})
	}
}

func TestBackupAndRestorePauseEverything(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	ctx := t.Context()
	a := account(t, l, "a")
	sum, size, err := l.Put(ctx, strings.NewReader("hello"))
	if err != nil || size != 5 {
		t.Fatal(err)
	}
	m := enqueue(t, l, post.Live, a, 2)
	file := filepath.Join(t.TempDir(), "backup.zip")
	if err := l.Backup(ctx, file); err != nil {
		t.Fatal(err)
	}
	if err := l.Backup(ctx, file); post.KindOf(err) != post.KindConflict {
		t.Errorf("an existing file was replaced: %v", err)
	}
	to := t.TempDir()
	other := open(t, to)
	account(t, other, "other")
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Restore(ctx, to, file, Options{}); err != nil {
		t.Fatal(err)
	}
	r := open(t, to)
	got, err := r.Mailing(ctx, m.ID)
	if err != nil || got.Hold != post.MailingPaused || got.Reason.Key != "mailing.restored" || got.Counts[post.StateQueued] != 2 {
		t.Fatalf("%+v %v", got, err)
	}
	if ds := claim(t, r, a, 5); len(ds) != 0 {
		t.Errorf("a restored ledger sends: %+v", ds)
	}
	f, err := r.Open(sum)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil || string(b) != "hello" {
		t.Error(string(b), err)
	}
	wantSound(t, r)
	kept, _ := filepath.Glob(filepath.Join(to, "backups", "before-restore-*", FileName))
	if len(kept) != 1 {
		t.Errorf("the old ledger was not kept: %v", kept)
	}
	// Damaged and foreign files change nothing.
	for name, content := range map[string]string{"text.zip": "hello", "empty.zip": ""} {
		p := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Restore(ctx, t.TempDir(), p, Options{}); post.KindOf(err) != post.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenRefusesWhatIsNotALedger(t *testing.T) {
	write := func(t *testing.T, content []byte) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, FileName), content, 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	t.Run("not a database", func(t *testing.T) {
		junk := []byte(strings.Repeat("this is no database ", 500))
		dir := write(t, junk)
		_, err := Open(t.Context(), dir, Options{})
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v", err)
		}
		if b, _ := os.ReadFile(filepath.Join(dir, FileName)); string(b) != string(junk) {
			t.Error("the file was changed")
		}
	})
	t.Run("of another program", func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, dir)
		if err := l.write(t.Context(), "", func(x *Tx) error { _, err := x.exec("PRAGMA application_id = 7"); return err }); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), dir, Options{})
		if err == nil || !strings.Contains(err.Error(), "another program") {
			t.Errorf("%v", err)
		}
	})
	t.Run("newer", func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, dir)
		if err := l.write(t.Context(), "", func(x *Tx) error {
			_, err := x.exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), dir, Options{})
		if err == nil || !strings.Contains(err.Error(), "newer Postroom") {
			t.Errorf("%v", err)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, dir)
		enqueue(t, l, post.Live, account(t, l, "a"), 3000)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, FileName)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := 8192; i < len(b)-100; i += 4096 {
			copy(b[i:], strings.Repeat("\xff", 64))
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		l2, err := Open(t.Context(), dir, Options{})
		if err == nil {
			var problems []string
			problems, err = l2.Check(t.Context())
			if len(problems) > 0 {
				err = ErrCorrupt
			}
			if cerr := l2.Close(); cerr != nil && err == nil {
				err = cerr
			}
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("damage went unnoticed: %v", err)
		}
	})
}

func TestLockIsExclusive(t *testing.T) {
	dir := t.TempDir()
	a, err := TryLock(dir)
	if err != nil || a == nil {
		t.Fatal(err)
	}
	if b, err := TryLock(dir); err != nil || b != nil {
		t.Fatal("two locks", err)
	}
	if err := a.Unlock(); err != nil {
		t.Fatal(err)
	}
	b, err := TryLock(dir)
	if err != nil || b == nil {
		t.Fatal("not free again", err)
	}
	if err := b.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestFullDisk(t *testing.T) {
	l := open(t, t.TempDir())
	ctx := t.Context()
	a := account(t, l, "a")
	m := enqueue(t, l, post.Live, a, 10)
	if err := l.write(ctx, "", func(x *Tx) error {
		var n int64
		if err := x.scan("PRAGMA page_count", nil, &n); err != nil {
			return err
		}
		_, err := x.exec(fmt.Sprintf("PRAGMA max_page_count = %d", n))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	_, _, err := l.Enqueue(ctx, post.Mailing{Kind: post.Live, Name: "big", Senders: []post.Sender{{Account: a.ID, Email: a.Email}}}, people(9000))
	if !errors.Is(err, ErrFull) {
		t.Fatalf("%v", err)
	}
	if err := l.write(ctx, "", func(x *Tx) error { _, err := x.exec("PRAGMA max_page_count = 1000000"); return err }); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Mailing(ctx, m.ID); err != nil || got.Counts[post.StateQueued] != 10 {
		t.Errorf("%+v %v", got, err)
	}
	wantSound(t, l)
}

// Many at once share commits and none fails for another's error.
func TestGroupCommit(t *testing.T) {
	l := open(t, t.TempDir())
	errs := make(chan error)
	bad := errors.New("mine alone")
	for i := range 200 {
		go func() {
			errs <- l.write(context.Background(), "x", func(t *Tx) error {
				if i%10 == 3 {
					return bad
				}
				return t.setSetting(fmt.Sprintf("k%d", i), "v")
			})
		}()
	}
	failed := 0
	for range 200 {
		switch err := <-errs; {
		case errors.Is(err, bad):
			failed++
		case err != nil:
			t.Error(err)
		}
	}
	m, err := l.Settings(t.Context())
	if err != nil || failed != 20 || len(m) != 180 {
		t.Errorf("%d failed, %d kept, %v", failed, len(m), err)
	}
}

// A row that comes back to the queue of a mailing cancelled meanwhile is
// cancelled with it; else the mailing would wait for it for ever.
func TestCancelReachesRowsUnderWay(t *testing.T) {
	l := open(t, t.TempDir())
	a := account(t, l, "a")
	m := enqueue(t, l, post.Live, a, 3)
	ds := claim(t, l, a, 2)
	if n, err := l.CancelMailing(t.Context(), m.ID); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	for _, d := range ds {
		r := Result{ID: d.ID, Claim: 1, Mailing: m.ID, Live: true, From: post.StateClaimed, To: post.StateQueued}
		if _, err := l.Record(t.Context(), []Result{r}, nil); err != nil {
			t.Fatal(err)
		}
	}
	got, err := l.Mailing(t.Context(), m.ID)
	if err != nil || got.Counts[post.StateCancelled] != 3 || got.Pending() != 0 || got.FinishedAt.IsZero() {
		t.Errorf("%+v %v", got, err)
	}
	wantSound(t, l)
}

// Closing a ledger that is still being written to answers every writer.
func TestCloseAnswersEverybody(t *testing.T) {
	l, err := Open(t.Context(), t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error)
	for i := range 100 {
		go func() { errs <- l.SetSetting(context.Background(), fmt.Sprint("k", i), "v") }()
	}
	w := l.w
	w.stop()
	for range 100 {
		if err := <-errs; err != nil && !errors.Is(err, errClosed) {
			t.Error(err)
		}
	}
	if err := errors.Join(w.conn.Close(), l.closeHandles()); err != nil {
		t.Log("closing after the writer was stopped by hand:", err)
	}
}

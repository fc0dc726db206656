package storage

import (
	"testing"
	"time"

	"postroom/post"
)

// TestHandledDue: a report that is tied and understood waits to be moved where its
// account has a folder; what was renumbered waits under its new number alone, and
// what is gone then waits no more.
func TestHandledDue(t *testing.T) {
	l := open(t, t.TempDir())
	a := account(t, l, "shop")
	rows := gone(t, l, a, 6, post.StateSent)
	report := func(i int, uid uint32, text string, kinds ...post.ReceiptKind) Incoming {
		var says []Said
		for _, k := range kinds {
			says = append(says, said(k, rows[i].Key))
		}
		in := came(a, text, []string{refOf(rows[i])}, says...)
		in.Report, in.Says[0].UID = true, uid
		return in
	}
	read := func(validity uint32, all ...Incoming) {
		t.Helper()
		if _, err := l.RecordReceipts(t.Context(), all, Position{Account: a.ID, Server: "s", Validity: validity, UID: 9}); err != nil {
			t.Fatal(err)
		}
	}
	whole := func() {
		t.Helper()
		if err := l.NoteMailbox(t.Context(), MailboxState{Account: a.ID, Server: "s", ReadAt: time.Now(), TriedAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	due := func(want ...uint32) {
		t.Helper()
		all, err := l.HandledDue(t.Context(), a.ID, "s", 9)
		same := err == nil && len(all) == len(want)
		for i := range all {
			same = same && all[i].UID == want[i]
		}
		if !same {
			t.Errorf("%+v %v, want %v", all, err, want)
		}
	}
	read(1, report(0, 1, "without a folder", post.ReceiptBounced))
	due()
	a.HandledFolder = "Handled"
	if err := l.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	answer := report(4, 6, "answer", post.ReceiptReplied)
	answer.Report = false
	untied := report(5, 7, "untied", post.ReceiptBounced)
	untied.Refs = nil
	read(1, report(0, 1, "without a folder", post.ReceiptBounced), // known, and left where it is
		report(1, 2, "bounced", post.ReceiptBounced), report(2, 3, "both", post.ReceiptDelivered, post.ReceiptUnknown),
		report(3, 4, "unknown", post.ReceiptUnknown), report(3, 5, "read", post.ReceiptRead), answer, untied)
	due(2, 5)
	read(1, report(1, 8, "bounced", post.ReceiptBounced)) // a second one of the same bytes
	due(2, 5)
	all, err := l.HandledDue(t.Context(), a.ID, "s", 1)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if err := l.TryHandled(t.Context(), all, 1, 1); err != nil {
		t.Fatal(err)
	}
	due(5, 2) // what was refused comes last

	read(2, report(1, 20, "bounced", post.ReceiptBounced))
	due(20)
	whole()
	due(20)
	read(1) // the old numbers once more
	due()
	read(2)
	due(20)
	if all, err = l.HandledDue(t.Context(), a.ID, "s", 1); err != nil || all[0].Copies != 1 || all[0].Refused != 1 {
		t.Errorf("%+v %v", all, err)
	}
	if other, err := l.HandledDue(t.Context(), a.ID, "other", 9); err != nil || len(other) > 0 {
		t.Errorf("%+v %v", other, err)
	}
	if err := l.HandledDone(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	due()
	wantSound(t, l)
}

// A ledger of an older version has no such folder, and reads as before.
func TestUpgradeHandled(t *testing.T) {
	dir := t.TempDir()
	oldLedger(t, dir, 22, `
INSERT INTO accounts (id, name, email, host, port, tls, auth, secret, created_at, changed_at) VALUES (3, 'shop', 'shop@example.org', 'localhost', 25, 'none', 'none', 'none', 1, 1);
INSERT INTO mailboxes (account_id, server, validity, uid, read_at, tried_at, trouble) VALUES (3, 's', 7, 9, 5, 5, 'down');`)
	l := open(t, dir)
	a, err := l.Account(t.Context(), 3)
	states, e := l.MailboxStates(t.Context())
	if err != nil || a.HandledFolder != "" || e != nil || len(states) != 1 || states[0].Trouble.Raw != "down" || !states[0].HandledTrouble.IsZero() {
		t.Errorf("%+v %v, %+v %v", a, err, states, e)
	}
	if p, err := l.Mailbox(t.Context(), 3, "s"); err != nil || p.UID != 9 {
		t.Errorf("%+v %v", p, err)
	}
}

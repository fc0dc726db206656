package receipts

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"postroom/accounts"
	"postroom/internal/testkit/mailserver"
	"postroom/post"
	"postroom/storage"
)

// dovecot is a real mailbox that the account of a ledger reads.
type dovecot struct {
	t       testing.TB
	account post.Account
}

// newDovecot starts a server whose mailbox is that of office's account.
func newDovecot(t testing.TB, lines ...string) *mailserver.Server {
	t.Helper()
	return mailserver.Start(t, mailserver.Options{
		Domains: []string{"shop.example"}, User: "shop@shop.example", Password: "secret", Dovecot: lines,
	})
}

// behind is the mailbox of an account that reads it over a relay.
func behind(t testing.TB, a post.Account, server string) *dovecot {
	t.Helper()
	host, port, err := net.SplitHostPort(server)
	if err != nil || host != a.IMAPHost {
		t.Fatal(host, err)
	}
	if a.IMAPPort, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	return &dovecot{t, a}
}

// withoutMove is a server that offers UIDPLUS, but not MOVE; withoutBoth neither.
const (
	withoutMove = "imap_capability = IMAP4rev1 LITERAL+ ENABLE IDLE UNSELECT CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED SPECIAL-USE"
	withoutBoth = "imap_capability = IMAP4rev1 LITERAL+ ENABLE IDLE UNSELECT CHILDREN NAMESPACE LIST-EXTENDED SPECIAL-USE"
)

func (d *dovecot) dial() *accounts.Mailbox {
	d.t.Helper()
	dialer := &accounts.Dialer{Secrets: fixedSecret("secret")}
	box, err := dialer.DialMailbox(d.t.Context(), d.account)
	if err != nil {
		d.t.Fatal(err)
	}
	return box
}

// put lays messages into a folder, with flags.
func (d *dovecot) put(folder string, flags []imap.Flag, all ...string) {
	d.t.Helper()
	box := d.dial()
	defer box.Close()
	for _, raw := range all {
		raw = strings.ReplaceAll(raw, "\n", "\r\n")
		cmd := box.Append(folder, int64(len(raw)), &imap.AppendOptions{Flags: flags})
		if _, err := cmd.Write([]byte(raw)); err != nil {
			d.t.Fatal(err)
		}
		if err := cmd.Close(); err != nil {
			d.t.Fatal(err)
		}
		if _, err := cmd.Wait(); err != nil {
			d.t.Fatal(err)
		}
	}
}

// lies tells what lies in a folder: the subjects with their flags, in order. It
// leaves no trace, not even that a message is recent no more.
func (d *dovecot) lies(folder string) (all []string) {
	d.t.Helper()
	box := d.dial()
	defer box.Close()
	selected, err := box.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		d.t.Fatal(err)
	}
	if selected.NumMessages == 0 {
		return nil
	}
	messages, err := box.Fetch(imap.SeqSet{imap.SeqRange{Start: 1}}, &imap.FetchOptions{Envelope: true, Flags: true}).Collect()
	if err != nil {
		d.t.Fatal(err)
	}
	for _, m := range messages {
		one := m.Envelope.Subject
		slices.Sort(m.Flags)
		for _, f := range m.Flags {
			one += " " + string(f)
		}
		all = append(all, one)
	}
	return all
}

// expunge removes messages from the INBOX, as its user does.
func (d *dovecot) expunge(set imap.UIDSet) {
	d.t.Helper()
	box := d.dial()
	defer box.Close()
	if _, err := box.Select("INBOX", nil).Wait(); err != nil {
		d.t.Fatal(err)
	}
	deleted := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := errors.Join(box.Store(set, deleted, nil).Close(), box.UIDExpunge(set).Close()); err != nil {
		d.t.Fatal(err)
	}
}

// known takes out which messages are recent: opening a mailbox to change it ends
// that (RFC 3501 2.3.2), whatever is done then.
func known(lying []string) (all []string) {
	for _, s := range lying {
		all = append(all, strings.TrimSuffix(s, ` \Recent`))
	}
	return all
}

func (d *dovecot) folders() (all []string) {
	d.t.Helper()
	box := d.dial()
	defer box.Close()
	listed, err := box.List("", "*", nil).Collect()
	if err != nil {
		d.t.Fatal(err)
	}
	for _, x := range listed {
		all = append(all, x.Mailbox)
	}
	slices.Sort(all)
	return all
}

// movable are three reports and an answer, with subjects that begin with a word.
func movable(word string, ids []string) []string {
	return []string{
		bounceOf(ids[0], "failed", word+" one"), readOf(ids[1], word+" two"), subjectOf(word+" answer", answerTo(ids[2], "Yes.")), bounceOf(ids[3], "delivered", word+" three"),
	}
}

// wantMoved checks that of so many rounds of movable each report lies in the
// folder once, the answers in the INBOX, and all were counted once.
func wantMoved(t *testing.T, l *storage.Ledger, box *dovecot, folder string, words ...string) {
	t.Helper()
	var want, left []string
	for _, w := range words {
		want, left = append(want, w+" one", w+" two", w+" three"), append(left, w+" answer")
	}
	got := known(box.lies(folder))
	for _, all := range [][]string{got, want} {
		slices.Sort(all)
	}
	if !slices.Equal(got, want) {
		t.Errorf("in the folder: %v, want %v", got, want)
	}
	if got := known(box.lies("INBOX")); !slices.Equal(got, left) {
		t.Errorf("in the INBOX: %v, want %v", got, left)
	}
	n := 0
	for d, err := range l.EachDelivery(t.Context(), storage.HistoryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		all, err := l.Receipts(t.Context(), d.ID)
		if err != nil || len(all) > 1 {
			t.Errorf("%s: %+v %v", d.Address, all, err)
		}
		n += len(all)
	}
	if n != 4*len(words) {
		t.Errorf("%d receipts, want %d", n, 4*len(words))
	}
	if due, err := l.HandledDue(t.Context(), box.account.ID, accounts.MailboxName(box.account), 9); err != nil || len(due) > 0 {
		t.Errorf("still due: %v %v", due, err)
	}
}

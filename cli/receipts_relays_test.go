//go:build linux

package cli

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"postroom/internal/testkit/mailserver"
	"postroom/post"
)

// TestReceiptsFromExim reads what a real Exim reports of mail that it could not
// hand on: unknown, full, put off for now and put off for too long.
func TestReceiptsFromExim(t *testing.T) {
	readFromRelay(t, func(behind *mailserver.Server) relay {
		e := mailserver.StartEximRelay(t, behind)
		return relay{addr: e.SubmissionAddr, ca: e.CAPEM}
	})
}

// TestReceiptsFromOpenSMTPD does so with a real OpenSMTPD, whose reports name the
// reason in words only and call a message "delayed" that it gives up.
func TestReceiptsFromOpenSMTPD(t *testing.T) {
	readFromRelay(t, func(behind *mailserver.Server) relay {
		o := mailserver.StartOpenSMTPDRelay(t, behind)
		return relay{addr: o.Addr, retry: func() { o.Retry(t) }}
	})
}

// relay is a server that an account sends through, and that reports itself what
// the server behind it refuses.
type relay struct {
	addr  string
	ca    []byte // none: it has neither TLS nor sign-in
	retry func() // what was put off; nil: it does so by itself
}

func readFromRelay(t *testing.T, start func(behind *mailserver.Server) relay) {
	if testing.Short() {
		t.Skip("real mail servers beside the race detector are too slow to be timely; the plain run has this test")
	}
	syscall.Umask(0o022) // see TestReceiptsFromPostfix
	replies := map[string]string{
		"gone@far.test": mailserver.NoSuchUser, "full@far.test": "552 5.2.2 Mailbox full", "slow@far.test": mailserver.MailboxFull,
		"late@far.test": mailserver.MailboxFull, "bare@far.test": "550 no such user",
	}
	behind := mailserver.Start(t, mailserver.Options{Domains: []string{"example.test", "far.test"}, Replies: replies, MainCF: mailserver.Behind()})
	r := start(behind)
	t.Setenv("POSTROOM_WAIT_SCALE", "0.001")
	d := &desk{t, filepath.Join(t.TempDir(), "data")}
	d.addRelay(r, behind)
	want := map[string]post.ReceiptKind{"good@far.test": post.ReceiptDelivered}
	args := []string{"send", "--account", "shop", "--subject", "Hello", "--body", keepIn(t, "letter.md", []byte("Hello")), "--dsn", "all", "--to", "good@far.test"}
	for address := range replies {
		want[address] = post.ReceiptBounced
		args = append(args, "--to", address)
	}
	want["slow@far.test"] = post.ReceiptDelayed
	d.run(exitDone, args...)
	d.run(exitDone, "run", "--until-empty")
	d.waitForHistory(want, r.retry)

	// One that was put off arrives after all.
	delete(replies, "slow@far.test")
	if err := errors.Join(behind.SetReplies(replies), behind.Reload()); err != nil {
		t.Fatal(err)
	}
	want["slow@far.test"] = post.ReceiptDelivered
	d.waitForHistory(want, r.retry)
	if out := d.run(exitDone, "receipts", "list"); out != "" {
		t.Errorf("tied to nothing:\n%s", out)
	}
	d.wantReports("gone@far.test")
}

// keepIn writes a file and returns its path.
func keepIn(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// addRelay adds the account "shop", which sends through a relay; it or another
// reads the mail behind it.
func (d *desk) addRelay(r relay, behind *mailserver.Server) {
	d.t.Helper()
	host, port, err := net.SplitHostPort(r.addr)
	if err != nil {
		d.t.Fatal(err)
	}
	_, imap, err := net.SplitHostPort(behind.IMAPAddr)
	if err != nil {
		d.t.Fatal(err)
	}
	mailbox := []string{
		"--ca", keepIn(d.t, "ca.pem", append(slices.Clone(r.ca), behind.CAPEM...)), "--tls", "starttls",
		"--password-command", "cat '" + keepIn(d.t, "password", []byte(behind.Password+"\n")) + "'", "--imap-host", host, "--imap-port", imap, "--imap-tls", "starttls",
	}
	shop := []string{"account", "add", "shop", "--email", behind.User, "--host", host, "--port", port}
	if r.ca != nil { // both servers know the same user by the same password
		d.run(exitDone, append(shop, mailbox...)...)
		return
	}
	d.run(exitDone, append(shop, "--tls", "none", "--auth", "none")...)
	_, port, err = net.SplitHostPort(behind.SubmissionAddr)
	if err != nil {
		d.t.Fatal(err)
	}
	d.run(exitDone, append([]string{"account", "add", "reader", "--email", behind.User, "--host", host, "--port", port}, mailbox...)...)
}

// waitForHistory reads the mailboxes until every row has the receipt that is
// wanted. What was put off is tried again meanwhile.
func (d *desk) waitForHistory(want map[string]post.ReceiptKind, retry func()) {
	d.t.Helper()
	var last string
	d.t.Cleanup(func() {
		if d.t.Failed() {
			d.t.Log(last)
		}
	})
	var looked time.Time
	waitFor(d.t, "the receipts", func() bool {
		if time.Since(looked) < time.Second/2 {
			return false
		}
		looked = time.Now()
		if retry != nil {
			retry()
		}
		d.run(exitDone, "receipts", "fetch")
		last = d.run(exitDone, "history", "--json")
		for _, x := range lines[deliveryRow](d.t, last) {
			if x.Receipt != want[x.Address] {
				return false
			}
		}
		return true
	})
}

type deliveryRow struct {
	Address string           `json:"address"`
	Receipt post.ReceiptKind `json:"receipt"`
}

// wantReports looks that each report is understood in its particulars, that
// what is unknown is taken off, and that what is full is not.
func (d *desk) wantReports(suppressed ...string) {
	d.t.Helper()
	for _, x := range lines[struct{ Address string }](d.t, d.run(exitDone, "history", "--json")) {
		out := d.run(exitDone, "send", "--account", "shop", "--subject", "Again", "--body", keepIn(d.t, "letter.md", []byte("Again")), "--to", x.Address, "--to", "somebody@far.test", "--json")
		if got := strings.Contains(out, `"address":"`+x.Address+`"`); got != slices.Contains(suppressed, x.Address) {
			d.t.Errorf("%s is suppressed: %v", x.Address, got)
		}
	}
}

package cli

import (
	"bytes"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"postroom/internal/testkit/mailserver"
	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// lost is a server that takes every message and hangs up in the place of saying so.
func lost(t *testing.T, behind *mailserver.Server) *smtpscript.Server {
	t.Helper()
	cut, err := smtpscript.Fault("accept-close")
	if err != nil {
		t.Fatal(err)
	}
	s, err := smtpscript.Listen(smtpscript.Config{Mode: smtpscript.STARTTLS, User: behind.User, Password: behind.Password, Script: cut})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// TestSettledBySentFolder: the connection is cut behind the final dot, so that
// nobody knows what became of two messages. The provider has filed one of them in a
// real Dovecot; that one counts as accepted, and why stands in its line of life and
// in the evidence. The other stays uncertain.
func TestSettledBySentFolder(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED in short mode: real servers are used in the plain run")
	}
	syscall.Umask(0o022) // commands run before in this process have made it private, and the server's users must read its files
	behind := mailserver.Start(t, mailserver.Options{
		Dovecot: []string{"namespace inbox {", "inbox = yes", "mailbox Outgoing {", "auto = create", "special_use = \\Sent", "}", "}"},
	})
	s := lost(t, behind)
	d := &desk{t, filepath.Join(t.TempDir(), "data")}
	host, port := s.HostPort()
	ca := keepIn(t, "ca.pem", append(slices.Clone(s.CAPEM()), behind.CAPEM...))
	d.run(exitDone, append(append([]string{"account", "add", "shop"}, settingsOf(t, behind)...), "--host", host, "--port", strconv.Itoa(port), "--ca", ca)...)
	d.run(exitDone, "send", "--account", "shop", "--to", "ann@example.test", "--to", "ben@example.test", "--subject", "Hello", "--body", keepIn(t, "letter.txt", []byte("Hello")), "--dsn", "none")
	d.run(exitUser, "run", "--until-empty")
	states := func() map[string]post.State {
		all := map[string]post.State{}
		for _, x := range lines[struct {
			Address string
			State   post.State
		}](t, d.run(exitDone, "history", "--json")) {
			all[x.Address] = x.State
		}
		return all
	}
	if got := states(); got["ann@example.test"] != post.StateUncertain || got["ben@example.test"] != post.StateUncertain {
		t.Fatalf("%v", got)
	}

	if got := lines[fetchedJSON](t, d.run(exitDone, "receipts", "fetch", "--json"))[0]; got.Settled != 0 {
		t.Errorf("settled by an empty folder: %+v", got)
	}
	for _, m := range s.Messages() {
		if m.To[0] == "ann@example.test" {
			file(t, behind, m.Data)
		}
	}
	for _, want := range []int{1, 0} {
		if got := lines[fetchedJSON](t, d.run(exitDone, "receipts", "fetch", "--json"))[0]; got.Settled != want {
			t.Errorf("settled %d, want %d", got.Settled, want)
		}
	}
	if got := states(); got["ann@example.test"] != post.StateSent || got["ben@example.test"] != post.StateUncertain {
		t.Errorf("%v", got)
	}
	if out := d.run(exitDone, "history", "--search", "ann@"); !strings.Contains(out, "accepted") || !strings.Contains(out, "it lies in the account's folder for sent mail") {
		t.Errorf("the history does not say why: %s", out)
	}
	d.wantFunnel(post.Funnel{post.OutcomeAccepted: 1, post.OutcomeNoNews: 1, post.OutcomeUncertain: 1})
	if n := s.Stats().Taken; n != 2 {
		t.Errorf("%d messages were sent", n)
	}

	const why = "it lies in the account&#39;s folder for sent mail, so it had been sent"
	page := d.evidencePage("--mailing", "1")
	if strings.Count(page, why) != 1 {
		t.Errorf("the evidence does not say why it counts as accepted:\n%s", page)
	}
}

// evidencePage is the readable page of a pack.
func (d *desk) evidencePage(which ...string) string {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), "pack.zip")
	d.run(exitDone, append([]string{"history", "evidence", path}, which...)...)
	return string(unpack(d.t, path).files["index.html"])
}

// filing is what a provider does with the mail that it sends, by a real client.
const filing = `
import imaplib, ssl, sys
host, port, ca, user, password = sys.argv[1:]
with imaplib.IMAP4_SSL(host, int(port), ssl_context=ssl.create_default_context(cafile=ca)) as m:
    m.login(user, password)
    kind, said = m.append("Outgoing", r"(\Seen)", None, sys.stdin.buffer.read())
    if kind != "OK":
        sys.exit(str(said))
`

// file puts a message into the folder for sent mail.
func file(t *testing.T, s *mailserver.Server, message []byte) {
	t.Helper()
	host, port, err := net.SplitHostPort(s.IMAPSAddr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "python3", "-c", filing, host, port, s.CAFile, s.User, s.Password)
	cmd.Stdin = bytes.NewReader(message)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

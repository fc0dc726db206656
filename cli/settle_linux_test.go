package cli

import (
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/emersion/go-imap/v2"

	"postroom/accounts"
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
			file(t, behind, ca, m.Data)
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

// file puts a message into the folder for sent mail, as a provider does.
func file(t *testing.T, s *mailserver.Server, ca string, message []byte) {
	t.Helper()
	host, port, err := net.SplitHostPort(s.IMAPSAddr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	dial := accounts.Dialer{Secrets: accounts.Store{Command: accounts.NewCommand()}}
	box, err := dial.DialMailbox(t.Context(), post.Account{
		Email: s.User, Auth: post.AuthAuto, Secret: post.SecretCommand, PasswordCommand: "echo '" + s.Password + "'",
		IMAPHost: host, IMAPPort: n, IMAPTLS: post.TLSImplicit, CA: s.CAPEM,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	cmd := box.Append("Outgoing", int64(len(message)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}})
	_, werr := cmd.Write(message)
	cerr := cmd.Close()
	_, err = cmd.Wait()
	if err := errors.Join(werr, cerr, err); err != nil {
		t.Fatal(err)
	}
}

package cli

import (
	"bytes"
	"encoding/json"
	"net"
	"net/mail"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"postroom/internal/testkit/mailserver"
	"postroom/post"
)

// settingsOf are the flags of an account at a server, with its mailbox.
func settingsOf(t *testing.T, server *mailserver.Server) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(server.SubmissionAddr)
	if err != nil {
		t.Fatal(err)
	}
	_, imap, err := net.SplitHostPort(server.IMAPAddr)
	if err != nil {
		t.Fatal(err)
	}
	return []string{
		"--email", server.User, "--host", host, "--port", port, "--tls", "starttls", "--ca", server.CAFile,
		"--password-command", "cat '" + keepIn(t, "password", []byte(server.Password+"\n")) + "'", "--imap-host", host, "--imap-port", imap, "--imap-tls", "starttls",
	}
}

// step is a step of the doctor by its name; the test as a whole must have gone well.
func (d *desk) step(name string) (s stepJSON) {
	d.t.Helper()
	var got testJSON
	if err := json.Unmarshal([]byte(d.run(exitDone, "account", "test", "shop", "--send", "--json")), &got); err != nil {
		d.t.Fatal(err)
	}
	for _, s := range got.Steps {
		if s.Step == name {
			return s
		}
	}
	d.t.Fatalf("no step %s in %+v", name, got)
	return s
}

// TestPlusIsFoundOut: the doctor tells whether mail to name+token@domain reaches the
// mailbox, sets nothing by itself, and says how to set what fits; an answer that
// names nothing but such an address is then tied to its message.
func TestPlusIsFoundOut(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED in short mode: real servers are used in the plain run")
	}
	syscall.Umask(0o022) // commands run before in this process have made it private, and the server's users must read its files
	server := mailserver.Start(t, mailserver.Options{
		Users: map[string]string{"ann@example.test": "ann's own"},
		MainCF: []string{
			"recipient_delimiter = +", "smtpd_reject_unlisted_recipient = yes",
			"virtual_mailbox_maps = inline:{ {shop@example.test = example.test/shop/}, {ann@example.test = example.test/ann/} }",
		},
	})
	other := mailserver.Start(t, mailserver.Options{MainCF: []string{"smtpd_reject_unlisted_recipient = yes", "virtual_mailbox_maps = inline:{ {shop@example.test = example.test/shop/} }"}})
	d := &desk{t, filepath.Join(t.TempDir(), "data")}
	d.run(exitDone, append([]string{"account", "add", "shop"}, settingsOf(t, server)...)...)
	const on, off = "account set shop --reply-tokens plus", "account set shop --reply-tokens none"
	if s := d.step("plus"); !s.OK || !strings.HasPrefix(s.Detail, "shop+") || !strings.Contains(s.Advice, on) {
		t.Errorf("where it works: %+v", s)
	}
	if out := d.run(exitDone, "account", "show", "shop", "--json"); !strings.Contains(out, `"reply_tokens":"none"`) {
		t.Errorf("set unasked: %s", out)
	}
	d.run(exitDone, "account", "set", "shop", "--reply-tokens", "plus")
	if s := d.step("plus"); !s.OK || s.Advice != "" {
		t.Errorf("where it is on: %+v", s)
	}

	d.run(exitDone, "send", "--account", "shop", "--to", "ann@example.test", "--subject", "Hello", "--body", keepIn(t, "letter.txt", []byte("Hello")), "--dsn", "none")
	d.run(exitDone, "run", "--until-empty")
	settle(t, server, 0)
	sendAnswers(t, server, "ann@example.test", "ann's own", []answer{{Subject: "Thank you", Text: "I will come.\n", To: replyTo(t, server, "ann@example.test")}})
	settle(t, server, 0)
	if got := lines[fetchedJSON](t, d.run(exitDone, "receipts", "fetch", "--json"))[0]; got.By[post.ReceiptReplied] != 1 || got.Unmatched != 0 {
		t.Errorf("the answer: %+v", got)
	}

	// Another server takes no such mail.
	d.run(exitDone, append([]string{"account", "set", "shop"}, settingsOf(t, other)...)...)
	if s := d.step("plus"); s.OK || !strings.Contains(s.Detail, "5.1.1") || !strings.Contains(s.Advice, off) {
		t.Errorf("where it ended: %+v", s)
	}
	if out := d.run(exitDone, "account", "test", "shop", "--send"); !strings.Contains(out, "plus     no ") || strings.Contains(out, "FAILED") || !strings.Contains(out, "shop can send.") {
		t.Error(out)
	}
	d.run(exitDone, "account", "set", "shop", "--reply-tokens", "none")
	if s := d.step("plus"); s.OK || !strings.Contains(s.Advice, "Do not ask for answers there") {
		t.Errorf("where it is off: %+v", s)
	}
}

// replyTo is where an answer to the last message to an address goes.
func replyTo(t *testing.T, server *mailserver.Server, address string) (to string) {
	t.Helper()
	for _, m := range server.Messages(t) {
		got, err := mail.ReadMessage(bytes.NewReader(m.Raw))
		if err != nil {
			t.Fatal(err)
		}
		if m.Recipient == address {
			to = got.Header.Get("Reply-To")
		}
	}
	if !strings.HasPrefix(to, "shop+") {
		t.Fatalf("answers go to %q", to)
	}
	return to
}

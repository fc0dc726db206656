//go:build linux

package cli

import (
	"net/mail"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"postroom/internal/testkit/smtpscript"
)

// TestAsking: what was asked for on the command line stands in the messages, and
// what the account is told counts for mailings that are queued later.
func TestAsking(t *testing.T) {
	got := make(chan smtpscript.Message, 4)
	s, err := smtpscript.Listen(smtpscript.Config{Mode: smtpscript.Plain, OnTaken: func(m smtpscript.Message) { got <- m }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	host, port := s.HostPort()
	body := filepath.Join(t.TempDir(), "letter.txt")
	if err := os.WriteFile(body, []byte("Hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &desk{t, filepath.Join(t.TempDir(), "data")}
	d.run(exitDone, "account", "add", "shop", "--email", "shop@shop.example", "--host", host, "--port", strconv.Itoa(port), "--tls", "none", "--auth", "none")
	send := func(more ...string) mail.Header {
		t.Helper()
		d.run(exitDone, append([]string{"send", "--account", "shop", "--to", "anna@example.org", "--subject", "Hello", "--body", body}, more...)...)
		d.run(exitDone, "run", "--until-empty")
		m, err := mail.ReadMessage(strings.NewReader(string((<-got).Data)))
		if err != nil {
			t.Fatal(err)
		}
		return m.Header
	}
	if h := send(); h.Get("Reply-To") != "" || h.Get("Disposition-Notification-To") != "" {
		t.Errorf("asked unasked: %v", h)
	}
	d.run(exitUsage, "account", "set", "shop", "--reply-tokens", "minus")
	d.run(exitDone, "account", "set", "shop", "--reply-tokens", "plus")
	d.run(exitDone, "account", "set", "shop", "--per-day", "100") // keeps it
	h := send("--read-receipt")
	token, _, _ := strings.Cut(strings.Trim(h.Get("Message-ID"), "<>"), "@")
	if h.Get("Reply-To") != "shop+"+token+"@shop.example" || h.Get("Disposition-Notification-To") != "shop@shop.example" {
		t.Errorf("Reply-To %q, notifications to %q, token %s", h.Get("Reply-To"), h.Get("Disposition-Notification-To"), token)
	}
	d.run(exitDone, "account", "set", "shop", "--reply-tokens", "none")
	if h := send(); h.Get("Reply-To") != "" {
		t.Errorf("still asked: %v", h)
	}
}

// TestSentCopiesAreAsked: copies are kept for an account only where they can be
// filed and nobody else files them; what is kept is shown.
func TestSentCopiesAreAsked(t *testing.T) {
	d := &desk{t, filepath.Join(t.TempDir(), "data")}
	add := func(code int, name, host string, more ...string) {
		t.Helper()
		d.run(code, append([]string{"account", "add", name, "--email", name + "@shop.example", "--host", host, "--port", "465", "--tls", "tls", "--auth", "none"}, more...)...)
	}
	mailbox := []string{"--imap-host", "imap.shop.example", "--imap-port", "993", "--imap-tls", "tls"}
	add(exitDone, "shop", "mail.shop.example")
	d.run(exitUsage, "account", "set", "shop", "--sent-copies", "each")
	d.run(exitUsage, "account", "set", "shop", "--sent-copies", "two")
	add(exitUsage, "gmail", "smtp.gmail.com", append(mailbox, "--sent-copies", "one")...)
	if out := d.run(exitDone, "account", "list", "--json"); strings.Contains(out, "gmail") {
		t.Error("the account that was refused is there")
	}
	d.run(exitDone, append([]string{"account", "set", "shop", "--sent-copies", "each", "--reply-tokens", "plus"}, mailbox...)...)
	d.run(exitDone, "account", "set", "shop", "--per-day", "100") // keeps both
	out := d.run(exitDone, "account", "show", "shop", "--json")
	if !strings.Contains(out, `"reply_tokens":"plus"`) || !strings.Contains(out, `"sent_copies":"each"`) {
		t.Error(out)
	}
	if out := d.run(exitDone, "account", "show", "shop"); !strings.Contains(out, "name+token@domain") || !strings.Contains(out, "a copy of each message") {
		t.Error(out)
	}
}

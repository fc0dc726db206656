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

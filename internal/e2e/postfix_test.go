//go:build linux && !race

package e2e

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"testing"

	"postroom/internal/testkit/mailserver"
)

// TestPostfix sends a mailing of 200 through a real Postfix: submission with
// STARTTLS and implicit TLS share it, both with sign-in. Python reads what
// arrived.
func TestPostfix(t *testing.T) {
	server := mailserver.Start(t, mailserver.Options{
		User: "shop@example.test", Password: "correct horse 电池",
		Users: map[string]string{"kasse@example.test": "second 'pass' word"},
	})
	o := newOffice(t)
	o.addMailbox(t, "submission", "shop@example.test", server.SubmissionAddr, "starttls", server.CAFile, "correct horse 电池")
	o.addMailbox(t, "smtps", "kasse@example.test", server.SMTPSAddr, "tls", server.CAFile, "second 'pass' word")
	for _, name := range []string{"submission", "smtps"} {
		if r := o.do(t, "", "account", "test", name); r.code != 0 {
			t.Fatalf("the account does not work\n%s", r)
		}
	}
	const people = 200
	l := o.prepare(t, people)
	l.take(t, o)
	id := o.queue(t, people, append(l.args, "--account", "submission,smtps")...)
	if n, err := server.Count(); err != nil || n != 0 {
		t.Fatalf("%d messages went out before the mailer ran (%v)", n, err)
	}
	if r := object[ran](t, o.ok(t, "run", "--until-empty", "--json")); r != (ran{Sent: people}) {
		t.Errorf("the run says %+v", r)
	}

	rows := o.history(t, id)
	by := map[string]int{}
	queueIDs := map[string]bool{}
	for _, d := range rows {
		if d.State != "sent" || d.Code != 250 || d.Enhanced != "2.0.0" || d.QueueID == "" || d.Attempts != 1 || d.SentAt == nil || d.Receipt != "none" {
			t.Fatalf("history says %+v", d)
		}
		by[d.Account]++
		queueIDs[d.Account+d.QueueID] = true
	}
	if by["submission"] == 0 || by["smtps"] == 0 || len(queueIDs) != people {
		t.Errorf("the accounts sent %v, with %d different queue ids", by, len(queueIDs))
	}
	if m := o.show(t, id); m.State != "done" || m.Counts["sent"] != people || m.total() != people {
		t.Errorf("the mailing says %+v", m)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := server.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	mails := readMail(t, server.MailDir)
	l.wantLetters(t, mails, rows)
	for _, m := range mails {
		if m.Recipient == nil {
			t.Fatalf("%s: the envelope is not known", filepath.Base(m.Path))
		}
	}
	if r := object[ran](t, o.ok(t, "run", "--until-empty", "--json")); r != (ran{}) {
		t.Errorf("a second run did something: %+v", r)
	}
	if n, err := server.Count(); err != nil || n != people {
		t.Errorf("%d messages lie there after a second run (%v)", n, err)
	}
	o.sound(t)
	t.Logf("%d sent, by account %v", len(mails), by)
}

// addMailbox adds an account of a server at addr whose password a command
// prints.
func (o *office) addMailbox(t *testing.T, name, email, addr, tls, ca, password string, more ...string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	file := o.write(t, name+".password", password+"\n")
	args := append([]string{
		"account", "add", name, "--email", email, "--from-name", senderName, "--host", host, "--port", port,
		"--tls", tls, "--ca", ca, "--password-command", cat(file), "--json",
	}, more...)
	a := object[account](t, o.ok(t, args...))
	if strconv.Itoa(a.Port) != port || a.Name != name || a.TLS != tls || a.State != "ready" {
		t.Fatalf("added %+v", a)
	}
}

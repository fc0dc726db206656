//go:build linux && !race

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"postroom/internal/testkit/smtpscript"
)

// TestRehearse has the mailing of TestPostfix rehearsed without any network but
// a loopback: the practice trap catches every message, Python reads them, and
// the account's own server hears nothing.
func TestRehearse(t *testing.T) {
	const people = 200
	server := smtpscript.Start(t, smtpscript.Config{Mode: smtpscript.STARTTLS, User: "shop@example.test", Password: "secret"})
	o := newOffice(t)
	ca := o.write(t, "ca.pem", string(server.CAPEM()))
	o.addMailbox(t, "shop", "shop@example.test", server.Addr(), "starttls", ca, "secret")
	o.cutOff(t)
	l := o.prepare(t, people)
	l.take(t, o)
	id := o.queue(t, people, append(l.args, "--account", "shop", "--rehearse")...)
	if r := object[ran](t, o.ok(t, "run", "--until-empty", "--json")); r != (ran{Sent: people}) {
		t.Errorf("the run says %+v", r)
	}
	rows := o.history(t, id)
	for _, d := range rows {
		if d.State != "sent" || d.Code != 250 {
			t.Fatalf("history says %+v", d)
		}
	}
	l.wantLetters(t, readCaught(t, filepath.Join(o.data, "practice")), rows)
	if n := server.Stats().Connections; n != 0 {
		t.Errorf("the rehearsal made %d connections to the account's server", n)
	}
	a := object[account](t, o.ok(t, "account", "show", "shop", "--json"))
	for window, n := range a.Used {
		if n != 0 {
			t.Errorf("the rehearsal counts %d %s against the account", n, window)
		}
	}
	o.sound(t)
}

// TestSample runs the built-in sample, cut off as above and in a folder where
// nothing is.
func TestSample(t *testing.T) {
	o := newOffice(t)
	o.cutOff(t)
	rows := objects[delivery](t, o.ok(t, "sample", "--json"))
	if len(rows) != 20 {
		t.Fatalf("the sample has %d messages", len(rows))
	}
	files := map[string]bool{}
	for _, d := range rows {
		if d.State != "sent" || d.File == "" {
			t.Fatalf("the sample says %+v", d)
		}
		if _, err := os.Stat(d.File); err != nil {
			t.Error(err)
		}
		files[d.File] = true
	}
	mails := readCaught(t, filepath.Join(o.data, "practice"))
	if len(mails) != len(rows) || len(files) != len(rows) {
		t.Errorf("%d messages in %d files lie there", len(mails), len(files))
	}
	people := map[string]bool{}
	for _, m := range mails {
		people[m.To] = true
		if len(m.Defects) > 0 || m.Text == nil || m.HTML == nil || m.Subject == "" || len(m.Attachments) != 1 {
			t.Errorf("%s: defects %v, %d attachments", m.To, m.Defects, len(m.Attachments))
		}
	}
	if len(people) != len(rows) {
		t.Errorf("they went to %d people", len(people))
	}
	o.sound(t)
	// Once more: the same, beside the first.
	if again := objects[delivery](t, o.ok(t, "sample", "--json")); len(again) != 20 || again[0].Mailing == rows[0].Mailing {
		t.Errorf("the second sample has %d messages", len(again))
	}
}

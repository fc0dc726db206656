//go:build linux && !race

package window_test

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"postroom/internal/testkit/mailserver"
)

// TestHandledFolder chooses the folder for handled reports among those of a real
// mailbox, in both languages.
func TestHandledFolder(t *testing.T) {
	server := mailserver.Start(t, mailserver.Options{
		Domains: []string{"shop.example"}, User: "shop@shop.example", Password: "secret",
		Dovecot: []string{
			"namespace inbox {", "inbox = yes", "mailbox Verschickt {", "auto = create", "special_use = \\Sent", "}",
			"mailbox Erledigt {", "auto = create", "}", "mailbox 回执 {", "auto = create", "}", "}",
		},
	})
	smtpHost, smtpPort, err := net.SplitHostPort(server.SubmissionAddr)
	if err != nil {
		t.Fatal(err)
	}
	imapHost, imapPort, err := net.SplitHostPort(server.IMAPAddr)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct{ lang, theme, folder string }{{"en", "light", "Erledigt"}, {"zh-Hans", "dark", "回执"}} {
		step(t, one.lang)
		d := newDesk(t, 1280, 800, false)
		data := filepath.Join(d.home, "data")
		for _, args := range [][]string{
			{
				"account", "add", "Shop", "--email", server.User, "--host", smtpHost, "--port", smtpPort, "--tls", "starttls", "--ca", server.CAFile,
				"--password-command", "echo secret", "--imap-host", imapHost, "--imap-port", imapPort, "--imap-tls", "starttls",
			},
			{"settings", "set", "language", one.lang},
			{"settings", "set", "theme", one.theme},
		} {
			if out, code := d.cli(data, args...); code != 0 {
				t.Fatalf("%v: exit %d\n%s", args, code, out)
			}
		}
		w := d.open(data)
		w.key("ctrl+6")
		w.at("accounts")
		w.click("accounts.edit")
		host := w.still("the mailbox's server", func(p *picture) (thing, bool) { return p.named("accounts.form.imap_host") })
		w.do("xdotool", "mousemove", "--window", w.x, fmt.Sprint(host.Box[0]-40), fmt.Sprint(host.Box[1]), "click", "--repeat", "20", "--delay", "25", "5")
		w.click("accounts.form.handled.choose")
		w.choose("accounts.handled.folder", one.folder)
		w.picked("choose-" + one.lang)
		w.key("Return")
		w.holds("accounts.form.handled", one.folder)
		w.picked("form-" + one.lang)
		w.click("accounts.form.save")
		w.says(one.folder)
		w.picked("panel-" + one.lang)
		if out, _ := d.cli(data, "account", "show", "Shop", "--json"); !strings.Contains(out, `"handled_folder":"`+one.folder+`"`) {
			t.Error(out)
		}
		w.terminate()
	}
}

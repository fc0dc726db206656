//go:build linux

package cli

import (
	"bytes"
	"net/mail"
	"net/url"
	"strings"
	"testing"

	"postroom/internal/testkit/mailserver"
	"postroom/post"
)

// leavesByToken sends promotional mail, of which one person takes the address in
// List-Unsubscribe as programs for mail do: a new mail to it with its subject,
// which names nothing else of ours. The wish counts, with the mail as evidence,
// and is undone.
func (d *desk) leavesByToken(server *mailserver.Server) {
	d.t.Helper()
	const address = "p8@example.test"
	d.run(exitDone, "account", "letterhead", "shop", "--postal-address", "Shop, Road 1, Town")
	d.run(exitDone, "send", "--account", "shop", "--promotional", "--to", address, "--subject", "Sale", "--body", keepIn(d.t, "sale.md", []byte("Sale")), "--dsn", "none")
	d.run(exitDone, "run", "--until-empty")
	settle(d.t, server, 0)
	to, subject := unsubscribeMail(d.t, server, address)
	if to != server.User {
		d.t.Errorf("the wish goes to %q", to)
	}
	sendAnswers(d.t, server, "ann@example.test", "ann's own", []answer{{Subject: subject, Text: "\n"}})
	settle(d.t, server, 0)
	if got := lines[fetchedJSON](d.t, d.run(exitDone, "receipts", "fetch", "--json"))[0]; got.By[post.ReceiptUnsubscribed] != 1 || got.Unmatched != 0 {
		d.t.Errorf("the wish by token: %+v", got)
	}
	d.wantSuppressed(map[string]int{"the mailbox does not exist": 41, "asked not to be mailed": 3})
	d.run(exitDone, "contacts", "unsuppress", address)
	d.wantSuppressed(map[string]int{"the mailbox does not exist": 41, "asked not to be mailed": 2})
}

// unsubscribeMail reads from the mail that an address got last how to leave.
func unsubscribeMail(t *testing.T, server *mailserver.Server, address string) (to, subject string) {
	t.Helper()
	all, err := server.Delivered()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.Recipient != address {
			continue
		}
		got, err := mail.ReadMessage(bytes.NewReader(m.Raw))
		if err != nil {
			t.Fatal(err)
		}
		link := strings.Trim(strings.TrimSpace(got.Header.Get("List-Unsubscribe")), "<>")
		if link == "" {
			continue
		}
		u, err := url.Parse(link)
		if err != nil || u.Scheme != "mailto" {
			t.Fatalf("%q: %v", link, err)
		}
		if to, err = url.PathUnescape(u.Opaque); err != nil {
			t.Fatal(err)
		}
		return to, u.Query().Get("subject")
	}
	t.Fatalf("no mail to %s says how to leave", address)
	return "", ""
}

package accounts

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"postroom/internal/testkit/mailserver"
	"postroom/post"
)

// tableOfTokens signs in by tokens to a real Postfix and a real Dovecot that offer one
// mechanism alone and ask about each token (RFC 7662): whether the authorization
// server, a real one too, still knows it. A token that it gave is let in; one that the
// mail server refuses is renewed once; when the permission is withdrawn it is the
// user's turn; and where passwords alone are offered no token is sent.
func tableOfTokens(b *table) {
	for _, mech := range []string{mechXOAUTH2, mechBearer} {
		d := newDesk(b.T)
		url, _ := introspect(b.T, d, "shop@example.test")
		s := mailserver.Start(b.T, mailserver.Options{Mechanisms: []string{mech}, Introspection: url})
		d.a.User, d.a.CA = s.User, s.CAPEM
		d.signIn(b.T)
		dial := &Dialer{Secrets: Store{Keyring: d.ring, Tokens: d.Tokens}}
		for mode, at := range map[post.TLS][2]string{post.TLSImplicit: {s.SMTPSAddr, s.IMAPSAddr}, post.TLSStartTLS: {s.SubmissionAddr, s.IMAPAddr}} {
			a, box := accountAt(b.T, at[0], mode), accountAt(b.T, at[1], mode)
			d.a.Host, d.a.Port, d.a.TLS = a.Host, a.Port, mode
			d.a.IMAPHost, d.a.IMAPPort, d.a.IMAPTLS = box.Host, box.Port, mode
			b.row("Postfix with Dovecot", mech, string(mode), "signed in by "+mech, howItEnded(b.T, dial, d.a))
			b.row("Dovecot's mailboxes", mech, string(mode), "signed in", mailboxEnded(b.T, dial, d.a))
			d.swap(b.T, "ended-early")
			b.row("Postfix with Dovecot, ended early", mech, string(mode), "signed in by "+mech, howItEnded(b.T, dial, d.a))
			d.swap(b.T, "ended-early")
			b.row("Dovecot's mailboxes, ended early", mech, string(mode), "signed in", mailboxEnded(b.T, dial, d.a))
		}
		d.server.Withdraw(redirect)
		b.row("Postfix with Dovecot, withdrawn", mech, string(d.a.TLS), "secret secret advice.token", howItEnded(b.T, dial, d.a))
		stopServer(b.T, s)
	}
	d := newDesk(b.T)
	s := mailserver.Start(b.T, mailserver.Options{})
	d.a.User, d.a.CA = s.User, s.CAPEM
	d.signIn(b.T)
	a := accountAt(b.T, s.SMTPSAddr, post.TLSImplicit)
	d.a.Host, d.a.Port, d.a.TLS = a.Host, a.Port, a.TLS
	b.row("Postfix with Dovecot, by token", "PLAIN", "tls", "auth no-mechanism advice.mechanism", howItEnded(b.T, &Dialer{Secrets: Store{Keyring: d.ring, Tokens: d.Tokens}}, d.a))
	if found := told.FindString(logOf(b.T, s.Log, `disconnect from .* ehlo=1 quit=1 `)); found != "" {
		b.Errorf("a server that takes no tokens was told %q", found)
	}
	stopServer(b.T, s)
}

// swap puts another access token into the place of the one that is kept.
func (d *desk) swap(t *testing.T, access string) {
	t.Helper()
	have, seal, err := d.read(t.Context(), d.a)
	if err != nil {
		t.Fatal(err)
	}
	have.Access = access
	if err := d.write(t.Context(), d.a, seal, have); err != nil {
		t.Fatal(err)
	}
}

// introspect answers mail servers' questions about tokens (RFC 7662 2.2), whose all
// are whose, and counts them.
func introspect(t *testing.T, d *desk, whose string) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		token := r.PostFormValue("token")
		answer := map[string]any{"active": false}
		if strings.TrimSpace(token) != "" && d.server.Good(r.Context(), token) {
			answer = map[string]any{"active": true, "email": whose}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer) // the mail server may be gone
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

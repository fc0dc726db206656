package accounts

import (
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"postroom/internal/testkit/authserver"
	"postroom/internal/testkit/mailserver"
	"postroom/post"
)

// TestMailboxWithToken signs in to a real Postfix and a real Dovecot, which ask the
// authorization server about the token: one that was ended early is renewed once,
// and a permission that is withdrawn is told as that.
func TestMailboxWithToken(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED in short mode: real servers are used in the plain run")
	}
	syscall.Umask(0o022)
	for _, mech := range []string{mechXOAUTH2, mechBearer} {
		t.Run(mech, func(t *testing.T) {
			d := newDesk(t)
			url, asked := introspect(t, d, authserver.User)
			s := mailserver.Start(t, mailserver.Options{Mechanisms: []string{"PLAIN", mech}, Introspection: url})
			real := readable(t, s)
			d.a.Host, d.a.Port, d.a.TLS, d.a.CA = real.Host, real.Port, real.TLS, real.CA
			d.a.IMAPHost, d.a.IMAPPort, d.a.IMAPTLS = real.IMAPHost, real.IMAPPort, real.IMAPTLS
			d.signIn(t)
			dial := &Dialer{Secrets: Store{Keyring: d.ring, Tokens: d.Tokens}}
			try := func(requests int) error {
				t.Helper()
				before := d.server.TokenRequests()
				m, err := dial.DialMailbox(t.Context(), d.a)
				if err == nil {
					if _, err := m.Select("INBOX", nil).Wait(); err != nil {
						t.Error(err)
					}
					m.Close()
				}
				if n := d.server.TokenRequests() - before; n != requests {
					t.Errorf("%d requests for tokens, want %d", n, requests)
				}
				return err
			}
			if err := try(0); err != nil {
				t.Error(err)
			}
			if r := dial.Test(t.Context(), d.a); !r.OK || stepNames(r) != "resolve connect tls ehlo auth imap" {
				t.Errorf("%+v", r.Steps)
			}
			forget(t, d)
			if err := try(1); err != nil {
				t.Error(err)
			}
			// Tokens that the server takes for nobody's, though they are fresh.
			d.server.Instead(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/userinfo" {
					w.WriteHeader(http.StatusUnauthorized)
				}
				return r.URL.Path == "/userinfo"
			})
			asked.Store(0)
			var fault *post.Fault
			err := try(1)
			if !errors.As(err, &fault) || fault.Reason.Key != keyTokenRefused || !strings.HasPrefix(fault.Reply.Text, "NO ") || asked.Load() != 2 {
				t.Errorf("%+v, asked about %d tokens", fault, asked.Load())
			}
			d.server.Instead(nil)
			// The permission is withdrawn: one try, and then it is the user's turn.
			d.server.Withdraw(redirect)
			asked.Store(0)
			err = try(1)
			if !errors.As(err, &fault) || fault.Phase != post.PhaseSecret || fault.Reason.Key != keyTokenRevoked || asked.Load() != 1 {
				t.Errorf("%+v, asked about %d tokens", fault, asked.Load())
			}
		})
	}
}

// TestMailboxTokenNeverAsPassword: a mailbox that takes passwords only gets nothing.
func TestMailboxTokenNeverAsPassword(t *testing.T) {
	s := newIMAP(t, imapRules{signIn: "OK in"})
	a := mailboxAccount(s.addr, post.TLSNone, nil)
	a.Auth = post.AuthXOAUTH2
	_, err := (&Dialer{Secrets: planted(secretForTests)}).DialMailbox(t.Context(), a)
	var fault *post.Fault
	if !errors.As(err, &fault) || fault.Cause != post.CauseNoMechanism {
		t.Errorf("%v", err)
	}
	if _, all := s.heard(); strings.Contains(all, "AUTHENTICATE") || strings.Contains(all, "LOGIN") {
		t.Errorf("a sign-in: %s", all)
	}
}

package accounts

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"postroom/internal/testkit/authserver"
	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// TestDialWithToken sends the token to a mail server that asks the authorization
// server about it: renewed before its end, and once when it is refused early.
func TestDialWithToken(t *testing.T) {
	for _, mech := range []string{mechXOAUTH2, mechBearer} {
		t.Run(mech, func(t *testing.T) {
			d := newDesk(t)
			var asked atomic.Int64
			s, err := smtpscript.Listen(smtpscript.Config{
				Mode: smtpscript.ImplicitTLS, User: authserver.User, Password: "never", Mechanisms: []string{"PLAIN", "LOGIN", mech},
				Token: func(token string) bool {
					asked.Add(1)
					return d.server.Good(context.WithoutCancel(t.Context()), token)
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			d.a.Host, d.a.Port = s.HostPort()
			d.a.CA = s.CAPEM()
			d.signIn(t)
			dial := &Dialer{Secrets: Store{Keyring: d.ring, Tokens: d.Tokens}}
			try := func(requests int) error {
				t.Helper()
				before := d.server.TokenRequests()
				c, err := dial.Dial(t.Context(), d.a)
				if err == nil {
					if c.Session.Auth != mech {
						t.Errorf("signed in by %s", c.Session.Auth)
					}
					c.Quit(politeQuit)
				}
				if n := d.server.TokenRequests() - before; n != requests {
					t.Errorf("%d requests for tokens, want %d", n, requests)
				}
				return err
			}
			if err := try(0); err != nil {
				t.Error(err)
			}
			d.aged(t)
			if err := try(1); err != nil { // before its end
				t.Error(err)
			}
			// The server has forgotten this access token, though it should last.
			forget(t, d)
			if err := try(1); err != nil {
				t.Error(err)
			}
			if r := dial.Test(t.Context(), d.a); !r.OK {
				t.Errorf("%+v", r.Steps)
			}
			// Withdrawn: one try more, then it is the user's turn.
			d.server.Withdraw(redirect)
			asked.Store(0)
			err = try(1)
			var fault *post.Fault
			if !errors.As(err, &fault) || fault.Phase != post.PhaseSecret || fault.Cause != post.CauseSecret || fault.Reason.Key != keyTokenRevoked || asked.Load() != 1 {
				t.Errorf("%+v, %d sign-ins", fault, asked.Load())
			}
			// An authorization server that is gone is waited out.
			d.server.Instead(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(502); return true })
			if err := dialFault(t, dial, d.a); err.Phase != post.PhaseConnect || err.Cause != post.CauseUnreachable {
				t.Errorf("%+v", err)
			}
			if s.Stats().SignInFailures > 4 {
				t.Errorf("%d refused sign-ins", s.Stats().SignInFailures)
			}
		})
	}
}

func dialFault(t *testing.T, d *Dialer, a post.Account) *post.Fault {
	t.Helper()
	c, err := d.Dial(t.Context(), a)
	if err == nil {
		c.Abort()
	}
	var fault *post.Fault
	if !errors.As(err, &fault) {
		t.Fatalf("no fault but %v", err)
	}
	return fault
}

// forget puts an access token in the place of the account's that no server knows,
// though it should last.
func forget(t *testing.T, d *desk) {
	t.Helper()
	have, seal, err := d.read(t.Context(), d.a)
	if err != nil {
		t.Fatal(err)
	}
	have.Access = "ended-early"
	if err := d.write(t.Context(), d.a, seal, have); err != nil {
		t.Fatal(err)
	}
}

// TestTokenNeverAsPassword: a server that offers passwords only gets nothing.
func TestTokenNeverAsPassword(t *testing.T) {
	d := newDesk(t)
	s, err := smtpscript.Listen(smtpscript.Config{Mode: smtpscript.ImplicitTLS, User: authserver.User, Password: "x", Mechanisms: []string{"PLAIN", "LOGIN", "CRAM-MD5"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	d.a.Host, d.a.Port = s.HostPort()
	d.a.CA = s.CAPEM()
	d.signIn(t)
	fault := dialFault(t, &Dialer{Secrets: Store{Keyring: d.ring, Tokens: d.Tokens}}, d.a)
	if fault.Cause != post.CauseNoMechanism || s.Stats().SignInFailures != 0 {
		t.Errorf("%+v", fault)
	}
}

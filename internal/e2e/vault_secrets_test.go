//go:build linux && !race

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"postroom/internal/testkit/authserver"
	"postroom/internal/testkit/smtpscript"
)

// TestSecretsOfVaultAndTokens plants a passphrase, a password in a vault, and
// tokens that an authorization server gave, and looks for them wherever the
// program writes: while it runs, in its backup, and in what it says when it is
// made to crash.
func TestSecretsOfVaultAndTokens(t *testing.T) {
	const (
		user       = "shop@example.test"
		passphrase = "pl4nted passphrase 77c0"
		password   = "pA55-planted-91aa"
		access     = "ya29.planted-access-5521"
		refresh    = "1//planted-refresh-8813"
	)
	hold := make(chan struct{})
	stall := func(e smtpscript.Event) smtpscript.Action {
		if e.Phase == smtpscript.PhaseDot {
			return smtpscript.Action{Hold: hold}
		}
		return smtpscript.Action{}
	}
	server := smtpscript.Start(t, smtpscript.Config{Mode: smtpscript.ImplicitTLS, User: user, Password: password, Script: stall})
	tokens := smtpscript.Start(t, smtpscript.Config{
		Mode: smtpscript.ImplicitTLS, User: user, Password: access, Mechanisms: []string{"OAUTHBEARER"}, Script: stall,
	})
	auth := authserver.Start("http://127.0.0.1/postroom")
	t.Cleanup(auth.Close)
	auth.Instead(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/oauth/token" {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":%q,"refresh_token":%q,"token_type":"Bearer","expires_in":3600}`, access, refresh)
		return true
	})

	o := newOffice(t)
	o.write(t, "auth.pem", string(auth.CAPEM()))
	if err := os.Mkdir(o.path("bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	browser := "#!/bin/sh\nprintf %s \"$1\" >'" + o.path("page.new") + "' && mv '" + o.path("page.new") + "' '" + o.path("page") + "'\n"
	if err := os.WriteFile(o.path("bin/xdg-open"), []byte(browser), 0o700); err != nil { // a program
		t.Fatal(err)
	}
	o.extra = []string{"PATH=" + o.path("bin") + ":" + os.Getenv("PATH"), "SSL_CERT_FILE=" + o.path("auth.pem")}
	done := func(stdin string, args ...string) {
		t.Helper()
		if r := o.do(t, stdin, args...); r.code != 0 {
			t.Fatalf("%s", r)
		}
	}
	done(passphrase+"\n", "vault", "create")
	add := func(stdin, name string, s *smtpscript.Server, more ...string) {
		t.Helper()
		host, port, err := net.SplitHostPort(s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		ca := o.write(t, name+".pem", string(s.CAPEM()))
		done(stdin, append([]string{"account", "add", name, "--email", user, "--host", host, "--port", port, "--tls", "tls", "--ca", ca}, more...)...)
	}
	add(passphrase+"\n"+password, "vaulted", server, "--vault", "--vault-stdin", "--password-stdin")
	add("", "tokened", tokens, "--oauth", auth.URL, "--client-id", authserver.ClientID, "--scope", "openid,offline_access")

	signing := o.start(t, passphrase+"\n", "account", "signin", "tokened", "--vault", "--vault-stdin")
	until(t, "the browser", func() bool { _, err := os.Stat(o.path("page")); return err == nil || !signing.running() })
	page, err := os.ReadFile(o.path("page"))
	if err != nil {
		t.Fatalf("%v\n%s", err, signing.wait(t))
	}
	resp, err := auth.SignIn(t.Context(), string(page))
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if r := signing.wait(t); r.code != 0 {
		t.Fatalf("%s", r)
	}

	body := o.write(t, "b.txt", "Hello.\n")
	for _, name := range []string{"vaulted", "tokened"} {
		o.queue(t, 1, "--account", name, "--to", "anna@example.test", "--subject", "Hello", "--body", body)
	}
	p := o.start(t, passphrase+"\n", "run", "--until-empty", "--vault-stdin")
	until(t, "both messages before their answers", func() bool {
		return !p.running() || server.Stats().ByVerb["DATA"] > 0 && tokens.Stats().ByVerb["DATA"] > 0
	})
	processes := commandLines(t)
	if !p.running() || !strings.Contains(processes, binary) {
		t.Fatal("the run is not among the processes")
	}
	look := func(when string) {
		t.Helper()
		for what, secret := range map[string]string{"passphrase": passphrase, "password": password, "access token": access, "refresh token": refresh} {
			for form, text := range forms(user, secret) {
				if strings.Contains(processes, text) {
					t.Errorf("%s: a command line or the environment holds the %s (%s)", when, what, form)
				}
				for _, place := range o.leaks(t, text) {
					t.Errorf("%s: the %s (%s) stands in %s", when, what, form, place)
				}
			}
		}
	}
	look("while it runs")
	p.signal(t, syscall.SIGQUIT) // Go tells the stacks of all its goroutines, and ends
	crashed := p.wait(t)
	if !strings.Contains(crashed.err, "goroutine ") {
		t.Fatalf("it did not crash: %s", crashed)
	}
	close(hold)
	for _, args := range [][]string{
		{"account", "test", "vaulted", "--vault-stdin"},
		{"account", "test", "tokened", "--json", "--vault-stdin"},
		{"account", "show", "tokened"},
		{"account", "list", "--json"},
		{"vault", "show"},
		{"backup", o.path("data/backup")},
	} {
		o.do(t, passphrase+"\n", args...)
	}
	look("afterwards")
	if server.Stats().SignIns < 2 || tokens.Stats().SignIns < 2 {
		t.Errorf("nothing was tried: %d and %d sign-ins", server.Stats().SignIns, tokens.Stats().SignIns)
	}
	// The search finds what is there: the address, in the ledger and in words.
	if len(o.leaks(t, "anna@example.test")) < 1 {
		t.Error("the search finds nothing at all")
	}
}

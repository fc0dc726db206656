//go:build linux && !race

package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"postroom/accounts"
	"postroom/internal/testkit/smtpscript"
	"postroom/post"
	"postroom/storage"
)

// formsOfKey are the ways in which a private key might be written down: as it lies in
// the vault, as a line of a PEM file, its bytes, and as Go prints bytes.
func formsOfKey(t *testing.T, text string) map[string]string {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(der) < 1000 {
		t.Fatalf("the key has %d bytes: %v", len(der), err)
	}
	inner := der[600:640] // beyond the public half, which comes first
	return map[string]string{
		"base64": text[832:896], "bytes": string(inner), "hexadecimal": hex.EncodeToString(inner), "printed": strings.Trim(fmt.Sprint(inner), "[]"),
	}
}

// keysOf reads the private keys of an account out of the vault.
func (o *office) keysOf(t *testing.T, name, passphrase string) (all []string) {
	t.Helper()
	l, err := storage.Open(t.Context(), o.data, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it was only read
	a, err := l.AccountByName(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := accounts.KeysOf(t.Context(), l, a.ID)
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	v := accounts.NewVault(filepath.Join(o.data, accounts.VaultFile))
	if err := v.Unlock(t.Context(), passphrase); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.Secret != post.SecretVault {
			t.Fatalf("a key lies in the %s", k.Secret)
		}
		text, err := v.Get(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	return all
}

// plantOldClientSecret puts a client secret where older versions kept it, and beside it a
// copy of the ledger from before a change of the schema.
func (o *office) plantOldClientSecret(t *testing.T, secret string) {
	t.Helper()
	l, err := storage.Open(t.Context(), o.data, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.SetSetting(t.Context(), "oauth.google.client_secret", secret), l.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(o.data, storage.FileName))
	if err != nil {
		t.Fatal(err)
	}
	backups := filepath.Join(o.data, "backups")
	if err := errors.Join(os.MkdirAll(backups, 0o700), os.WriteFile(filepath.Join(backups, "before-schema-24-20261127-020000.db"), b, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// TestSecretsOfKeysAndSettings plants the passphrases of a vault and of a certificate,
// keys for DKIM and S/MIME, a password, a proxy's password, and a client secret, and
// looks for them wherever the program writes: while it runs and sends a message to
// oneself, in its backup, and in what it says when it is made to crash.
func TestSecretsOfKeysAndSettings(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is not installed: scripts/setup.sh test")
	}
	const (
		user       = "shop@example.test"
		passphrase = "pl4nted passphrase 31ab"
		opens      = "pl4nted-certificate-6d02"
		password   = "pA55-planted-c0de"
		client     = "GOCSPX-planted-41ee"
		proxied    = "pr0xy-planted-77aa"
	)
	hold := make(chan struct{})
	server := smtpscript.Start(t, smtpscript.Config{Mode: smtpscript.ImplicitTLS, User: user, Password: password, Script: func(e smtpscript.Event) smtpscript.Action {
		if e.Phase == smtpscript.PhaseDot {
			return smtpscript.Action{Hold: hold}
		}
		return smtpscript.Action{}
	}})
	o := newOffice(t)
	o.extra = []string{"GOTRACEBACK=system"} // a crash tells all that it can
	done := func(stdin string, args ...string) {
		t.Helper()
		if r := o.do(t, stdin, args...); r.code != 0 {
			t.Fatalf("%s", r)
		}
	}
	for _, args := range [][]string{
		{"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "30", "-subj", "/CN=Shop", "-addext", "subjectAltName=email:" + user},
		{"pkcs12", "-export", "-inkey", "key.pem", "-in", "cert.pem", "-out", "shop.p12", "-passout", "pass:" + opens},
	} {
		cmd := exec.CommandContext(t.Context(), openssl, args...)
		cmd.Dir = o.home
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", args[0], err, out)
		}
	}
	host, port, err := net.SplitHostPort(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	vault := passphrase + "\n"
	done(vault, "vault", "create")
	done(vault+password, "account", "add", "shop", "--email", user, "--host", host, "--port", port, "--tls", "tls", "--ca", o.write(t, "ca.pem", string(server.CAPEM())),
		"--vault", "--vault-stdin", "--password-stdin")
	done(vault, "account", "dkim", "shop", "--make", "postroom1", "--vault", "--vault-stdin")
	done(vault+opens+"\n", "account", "smime", "shop", "--import", o.path("shop.p12"), "--vault-stdin")
	o.plantOldClientSecret(t, client)
	done("", "backup", o.path("data/older")) // holds it no more
	done("", "settings", "list")             // there is no keyring, and the vault is not open: it stays
	if got := strings.Join(o.leaks(t, client), " "); !strings.Contains(got, storage.FileName) || strings.Contains(got, "older!") || strings.Contains(got, "printed") {
		t.Fatalf("an older ledger's client secret stands in %q", got)
	}
	r := o.do(t, client+"\n", "settings", "set", "oauth.google.client_secret", "--value-stdin")
	if r.code != 3 || !strings.Contains(r.err, "--vault") {
		t.Fatalf("without a keyring: %s", r)
	}
	done(vault, "settings", "list", "--vault-stdin") // moves it
	done(vault+client+"-second\n", "settings", "set", "oauth.google.client_secret", "--value-stdin", "--vault", "--vault-stdin")
	done(vault+client+"\n", "settings", "set", "oauth.google.client_secret", "--value-stdin", "--vault", "--vault-stdin")
	kept := object[struct{ Key, Value, Kept string }](t, o.ok(t, "settings", "get", "oauth.google.client_secret", "--json"))
	if kept.Kept != "vault" || kept.Value != "********" {
		t.Fatalf("%+v", kept)
	}
	for _, r = range []result{ // what is refused is told without its secret
		o.do(t, vault+opens+"-not\n", "account", "smime", "shop", "--import", o.path("shop.p12"), "--vault-stdin"),
		o.do(t, passphrase+"-not\n", "account", "test", "shop", "--vault-stdin"),
		o.do(t, "", "account", "set", "shop", "--proxy", "socks5://me:"+proxied+"@127.0.0.1:1080"),
		o.do(t, "", "account", "set", "shop", "--proxy", "socks5://me:"+proxied+"@127.0.0.1:%zz"),
	} {
		if r.code != 2 && r.code != 3 {
			t.Errorf("not refused: %s", r)
		}
	}
	keys := o.keysOf(t, "shop", passphrase)

	secrets := map[string]map[string]string{"DKIM key": formsOfKey(t, keys[0]), "S/MIME key": formsOfKey(t, keys[1])}
	for what, secret := range map[string]string{"vault's passphrase": passphrase, "certificate's passphrase": opens, "password": password, "client secret": client, "proxy's password": proxied} {
		secrets[what] = forms(user, secret)
	}
	look := func(when, processes string) {
		t.Helper()
		for what, written := range secrets {
			for form, text := range written {
				if strings.Contains(processes, text) {
					t.Errorf("%s: a command line or the environment holds the %s (%s)", when, what, form)
				}
				for _, place := range o.leaks(t, text) {
					t.Errorf("%s: the %s (%s) stands in %s", when, what, form, place)
				}
			}
		}
	}
	done("", "send", "--account", "shop", "--to", "anna@example.test", "--subject", "Hello", "--body", o.write(t, "b.txt", "Hello.\n"))
	crash := func(when string, args ...string) {
		t.Helper()
		began := server.Stats().ByVerb["DATA"]
		p := o.start(t, vault, append(args, "--vault-stdin")...)
		until(t, "a message before its answer", func() bool { return !p.running() || server.Stats().ByVerb["DATA"] > began })
		processes := commandLines(t)
		if !p.running() || !strings.Contains(processes, binary) {
			t.Fatalf("%s: it is not among the processes: %s", when, p.wait(t))
		}
		look(when, processes)
		p.signal(t, syscall.SIGQUIT) // Go tells the stacks of all its goroutines, and ends
		if r := p.wait(t); !strings.Contains(r.err, "goroutine ") {
			t.Fatalf("%s: it did not crash: %s", when, r)
		}
	}
	crash("while it tests", "account", "test", "shop", "--send")
	crash("while it sends", "run", "--until-empty")
	close(hold)
	for _, args := range [][]string{
		{"account", "test", "shop", "--send", "--json", "--vault-stdin"},
		{"mailing", "settle", "1", "--uncertain", "sent"},
		{"account", "show", "shop", "--json"},
		{"account", "dkim", "shop", "--json"},
		{"account", "smime", "shop", "--json"},
		{"settings", "list", "--json"},
		{"vault", "move", "shop", "--to", "keyring", "--vault-stdin"}, // there is none
		{"history", "evidence", o.path("data/pack.zip"), "--mailing", "1", "--vault-stdin"},
		{"backup", o.path("data/backup")},
	} {
		o.do(t, vault, args...)
	}
	look("afterwards", "")
	if s := server.Stats(); s.SignIns < 3 || s.Taken < 1 {
		t.Errorf("nothing was tried: %d sign-ins, %d taken", s.SignIns, s.Taken)
	}
	// The search finds what is there.
	found := strings.Join(o.leaks(t, "anna@example.test"), " ")
	for _, file := range []string{storage.FileName, "data/backup!", "data/pack.zip!"} {
		if !strings.Contains(found, file) {
			t.Errorf("the search finds nothing in %s: %s", file, found)
		}
	}
}

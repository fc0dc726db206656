package accounts

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/ui/widgets"
)

// testP12 writes a file with a certificate for an address under a passphrase.
func testP12(t *testing.T, key *rsa.PrivateKey, subject, address, passphrase string) string {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: subject, Organization: []string{"Test Authority"}}, EmailAddresses: []string{address},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(365 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	b, err := pkcs12.Modern.Encode(key, made, nil, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "own.p12")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// gives imports a certificate's file.
func (r *rig) gives(c *certificate, path, passphrase string) {
	r.Helper()
	c.chosen(path)
	get[*widgets.Entry](r, "smime.passphrase").SetText(passphrase)
	r.tap("smime.import")
}

// certificate is what is kept for the account.
func (r *rig) certificate(a post.Account) *post.Certificate {
	r.Helper()
	c, err := r.env.Ledger.Certificate(r.Context(), a.ID)
	if err != nil {
		r.Fatal(err)
	}
	return c
}

// TestSMIMEInTheWindow imports a certificate, shows whose it is, puts another in
// its place and removes it, in both languages. What is wrong is told and keeps
// nothing; one key is kept at most; an account that stopped for want of it goes on.
func TestSMIMEInTheWindow(t *testing.T) {
	if testing.Short() {
		t.Skip("computing keys takes minutes under the race detector; the plain run does it")
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	own, next := testP12(t, key, "Brauhaus", "hello@brauhaus.example", "geheim"), testP12(t, key, "Brauhaus 2027", "hello@brauhaus.example", "geheim")
	strange := testP12(t, key, "Ben", "ben@example.com", "geheim")
	for lang, mode := range map[words.Lang]theme.Mode{words.English: theme.Light, words.Chinese: theme.Dark} {
		t.Run(string(lang), func(t *testing.T) {
			r := newRig(t, lang, mode)
			a := withAccount(r)
			r.tap("accounts.smime")
			r.until("the dialog", r.openDialog)
			if !get[*widgets.Button](r, "smime.import").Disabled() {
				t.Error("nothing was chosen, and it can be imported")
			}
			r.tap("smime.close")
			c := &certificate{v: r.view, account: a}
			c.show()
			for _, wrong := range []struct{ path, passphrase, says string }{
				{own, "falsch", r.env.T("certificate.passphrase")}, {strange, "geheim", r.env.T("certificate.address", a.Email)},
			} {
				r.gives(c, wrong.path, wrong.passphrase)
				r.until("the refusal", func() bool { return r.openDialog() && shows(r, wrong.says) })
				if r.certificate(a) != nil || len(r.ring.all()) != 0 {
					t.Fatal("it was kept")
				}
				r.press(r.env.T("action.ok"))
			}
			if err := r.env.Ledger.HoldAccount(t.Context(), a.ID, post.AccountStopped, post.Reason{Key: "secret.certificate_ended", Args: []string{"2026-01-01"}}); err != nil {
				t.Fatal(err)
			}
			r.gives(c, own, "geheim")
			r.until("the certificate", func() bool { return r.openDialog() && shows(r, "Brauhaus, Test Authority") })
			if !shows(r, "hello@brauhaus.example") || !shows(r, now.Add(365*24*time.Hour).Format(time.DateOnly)) {
				t.Error("the certificate's facts are not shown")
			}
			if got, err := r.env.Ledger.Account(t.Context(), a.ID); err != nil || got.Hold != "" {
				t.Errorf("the account is still stopped: %q, %v", got.Hold, err)
			}
			r.keepPicture("smime-" + string(lang))
			r.gives(c, next, "geheim")
			r.until("the next certificate", func() bool { return r.openDialog() && shows(r, "Brauhaus 2027, Test Authority") })
			if n := len(r.ring.all()); n != 1 || r.certificate(a) == nil {
				t.Errorf("%d keys are kept", n)
			}
			for _, s := range r.ring.all() {
				if strings.Contains(s, "geheim") {
					t.Error("the passphrase is kept")
				}
			}
			r.tap("smime.remove")
			r.press(r.env.T("action.remove"))
			r.until("nothing kept", func() bool { return r.certificate(a) == nil && len(r.ring.all()) == 0 })
			r.until("the panel at rest", func() bool { return !get[*widgets.Button](r, "accounts.smime").Disabled() })
		})
	}
}

package accounts

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	senders "postroom/accounts"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/ui/widgets"
)

const testPhrase = "correct horse battery"

// givePhrase answers the question for the vault's passphrase.
func (r *rig) givePhrase() {
	r.Helper()
	if !r.openDialog() || !shows(r, r.env.T("accounts.vault.unlock.sentence")) {
		r.Fatal("the passphrase is not asked for")
	}
	get[*widgets.Entry](r, "accounts.vault.passphrase").SetText(testPhrase)
	r.press(r.env.T("accounts.vault.unlock.yes"))
}

// accountInVault shows an account whose password lies in a vault.
func (r *rig) accountInVault() (senders.Store, post.Account) {
	r.Helper()
	s := r.withStore()
	a := withAccount(r)
	a.Auth, a.Secret, a.SecretRef = post.AuthAuto, post.SecretVault, "account-1"
	if err := errors.Join(s.Vault.Create(r.Context(), testPhrase), s.Set(r.Context(), a, "geheim"), r.env.Ledger.UpdateAccount(r.Context(), a)); err != nil {
		r.Fatal(err)
	}
	r.view.Changed()
	r.until("the account", func() bool { return r.view.panel.shown.Account.Secret == post.SecretVault })
	return s, a
}

// TestKeysInALockedVault: the dialogs ask for the passphrase where a key that signs
// mail lies in the vault, and the keys follow the password out of it.
func TestKeysInALockedVault(t *testing.T) {
	for lang, mode := range map[words.Lang]theme.Mode{words.English: theme.Light, words.Chinese: theme.Dark} {
		t.Run(string(lang), func(t *testing.T) {
			if testing.Short() && lang == words.English {
				t.Skip("the passphrase's cost is the same in both languages")
			}
			r := newRig(t, lang, mode)
			s, a := r.accountInVault()
			sign := post.Signing{Account: a.ID, Domain: "brauhaus.example", Selector: "s1", SecretRef: "vault-signing-1", PublicKey: []byte{1}}
			cert := post.Certificate{Account: a.ID, Chain: []byte{2}, SecretRef: "vault-certificate-1"}
			entry := func(ref string) post.Account { return post.Account{ID: a.ID, Secret: post.SecretVault, SecretRef: ref} }
			if err := errors.Join(s.Set(t.Context(), entry(sign.SecretRef), "first key"), s.Set(t.Context(), entry(cert.SecretRef), "second key"), r.env.Ledger.SetSigning(t.Context(), sign), r.env.Ledger.SetCertificate(t.Context(), cert)); err != nil {
				t.Fatal(err)
			}

			// Password and keys go to the keyring.
			s.Vault.Lock()
			r.view.onEdit()
			get[*widgets.Select](r, "accounts.form.place").SetSelectedIndex(0)
			r.tap("accounts.form.save")
			r.givePhrase()
			r.until("it is moved", func() bool {
				return r.view.form == nil && r.accounts()[0].Secret == post.SecretKeyring && r.openDialog()
			})
			if said := r.env.T("accounts.keys.moved.keyring", "DKIM, S/MIME"); !shows(r, said) {
				t.Errorf("it is not said: %s", said)
			}
			r.keepPicture("keys-moved-" + string(lang))
			r.press(r.env.T("action.ok"))
			if n := len(r.ring.all()); n != 3 {
				t.Errorf("%d entries in the keyring", n)
			}
			for _, ref := range []string{a.SecretRef, sign.SecretRef, cert.SecretRef} {
				if _, err := s.Vault.Get(t.Context(), entry(ref)); err == nil {
					t.Errorf("%s is still in the vault", ref)
				}
			}

			// A key that lies in the vault is thrown away.
			if err := errors.Join(s.Set(t.Context(), entry(sign.SecretRef), "third key"), r.env.Ledger.SetSigning(t.Context(), sign)); err != nil {
				t.Fatal(err)
			}
			s.Vault.Lock()
			r.until("the panel at rest", func() bool { return !get[*widgets.Button](r, "accounts.dkim").Disabled() })
			r.tap("accounts.dkim")
			r.until("the dialog", r.openDialog)
			r.tap("dkim.off")
			r.press(r.env.T("dkim.off"))
			r.givePhrase()
			r.until("no key", func() bool {
				now, err := r.env.Ledger.Signing(t.Context(), a.ID)
				if err != nil {
					t.Fatal(err)
				}
				_, err = s.Vault.Get(t.Context(), entry(sign.SecretRef))
				return now == nil && s.Vault.Unlocked() && err != nil
			})
			r.until("the panel at rest", func() bool { return !get[*widgets.Button](r, "accounts.dkim").Disabled() })
			if testing.Short() || lang != words.English {
				return // computing a key takes minutes under the race detector
			}

			// One that is made goes where the password is.
			x := r.accounts()[0]
			x.Secret, x.SecretRef = post.SecretVault, "account-2"
			if err := errors.Join(s.Set(t.Context(), x, "geheim"), r.env.Ledger.UpdateAccount(t.Context(), x)); err != nil {
				t.Fatal(err)
			}
			s.Vault.Lock()
			r.view.Changed()
			r.until("the panel", func() bool { return r.view.panel.shown.Account.Secret == post.SecretVault })
			r.tap("accounts.dkim")
			r.until("the dialog", r.openDialog)
			r.tap("dkim.make")
			r.givePhrase()
			r.until("the key", func() bool {
				now, err := r.env.Ledger.Signing(t.Context(), a.ID)
				if err != nil {
					t.Fatal(err)
				}
				return now != nil && strings.HasPrefix(now.SecretRef, "vault-") && r.openDialog()
			})
			r.tap("dkim.close")
		})
	}
}

// TestConnectionTestAsksForTheVault: before the account is tested, the passphrase of
// the vault that has its password is asked for; who gives none is not tested.
func TestConnectionTestAsksForTheVault(t *testing.T) {
	for lang, mode := range map[words.Lang]theme.Mode{words.English: theme.Light, words.Chinese: theme.Dark} {
		t.Run(string(lang), func(t *testing.T) {
			r := newRig(t, lang, mode)
			s, _ := r.accountInVault()
			var tested atomic.Int32
			r.env.Doctor = func(ctx context.Context, a post.Account, _ *senders.Letter) senders.Report {
				tested.Add(1)
				if got, err := s.Get(ctx, a); err != nil || got != "geheim" {
					t.Errorf("tested without the password: %v", err)
				}
				return senders.Report{OK: true}
			}
			for _, button := range []string{"accounts.test", "accounts.test.send"} {
				s.Vault.Lock()
				tested.Store(0)
				r.tap(button)
				r.until("the question", r.openDialog)
				r.press(r.env.T("action.cancel"))
				if tested.Load() != 0 || r.view.stopTest != nil {
					t.Fatal("it was tested without the vault")
				}
				r.tap(button)
				r.until("the question", r.openDialog)
				r.givePhrase()
				r.until("the test", func() bool { return tested.Load() == 1 && r.view.stopTest == nil })
				r.tap(button) // now it is open
				r.until("the next test", func() bool { return tested.Load() == 2 && r.view.stopTest == nil })
			}
		})
	}
}

// TestSMIMEInALockedVault: a certificate is imported and removed where its key lies in
// the vault; the passphrase is asked for each time that it is locked.
func TestSMIMEInALockedVault(t *testing.T) {
	if testing.Short() {
		t.Skip("computing keys takes minutes under the race detector; the plain run does it")
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for lang, mode := range map[words.Lang]theme.Mode{words.English: theme.Light, words.Chinese: theme.Dark} {
		t.Run(string(lang), func(t *testing.T) {
			r := newRig(t, lang, mode)
			s, a := r.accountInVault()
			s.Vault.Lock()
			c := &certificate{v: r.view, account: a, vault: senders.UsesVault(t.Context(), r.env.Ledger, &a)}
			c.show()
			r.gives(c, testP12(t, key, "Brauhaus", "hello@brauhaus.example", "geheim"), "geheim")
			r.givePhrase()
			r.until("the certificate", func() bool { return r.certificate(a) != nil && r.openDialog() && shows(r, "Brauhaus, Test Authority") })
			if !strings.HasPrefix(r.certificate(a).SecretRef, "vault-") || len(r.ring.all()) != 0 {
				t.Errorf("its key lies in %q, %d in the keyring", r.certificate(a).SecretRef, len(r.ring.all()))
			}
			s.Vault.Lock()
			entry := post.Account{ID: a.ID, Secret: post.SecretVault, SecretRef: r.certificate(a).SecretRef}
			r.tap("smime.remove")
			r.press(r.env.T("action.remove"))
			r.givePhrase()
			r.until("nothing kept", func() bool {
				_, err := s.Get(t.Context(), entry)
				return r.certificate(a) == nil && s.Vault.Unlocked() && err != nil
			})
			r.until("the panel at rest", func() bool { return !get[*widgets.Button](r, "accounts.smime").Disabled() })
		})
	}
}

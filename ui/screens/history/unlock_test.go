package history

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2/test"

	"postroom/accounts"
	"postroom/assets/words"
	"postroom/post"
	"postroom/receipts"
	"postroom/storage"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// locked is the screen over a ledger with one message that was sent and signed with
// a key in a locked vault. The test is the window's goroutine.
type locked struct {
	*testing.T
	view     *View
	store    accounts.Store
	queue    chan func()
	asked    int // for the passphrase
	mailing  int64
	delivery int64
}

func newLocked(t *testing.T, lang words.Lang) *locked {
	t.Helper()
	const phrase = "correct horse battery"
	test.NewTempApp(t)
	l, m := queued(t)
	account := m.Senders[0].Account
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s := accounts.Store{}.In(l.Dir(), l)
	sign := post.Signing{Account: account, Domain: "shop.example", Selector: "s1", SecretRef: "vault-signing-1", PublicKey: []byte{1}}
	place := post.Account{ID: account, Secret: post.SecretVault, SecretRef: sign.SecretRef}
	now := time.Now()
	ds, err := l.Claim(t.Context(), storage.ClaimParams{Kind: post.Live, Account: account, Claim: 1, N: 1})
	if err != nil || len(ds) != 1 {
		t.Fatal(len(ds), err)
	}
	_, first := l.Record(t.Context(), nil, []storage.Intent{{ID: ds[0].ID, Claim: 1, At: now, Date: now, Live: true}})
	_, second := l.Record(t.Context(), []storage.Result{{ID: ds[0].ID, Claim: 1, Mailing: m.ID, Live: true, From: post.StateSending, To: post.StateSent, Attempt: &post.Attempt{
		Account: account, StartedAt: now, EndedAt: now, Phase: post.PhaseDot, Reply: post.NewReply(250, "2.0.0 Ok"), Charged: true, DotSent: true,
	}}}, nil)
	if err := errors.Join(first, second, s.Vault.Create(t.Context(), phrase), s.Set(t.Context(), place, base64.StdEncoding.EncodeToString(der)), l.SetSigning(t.Context(), sign)); err != nil {
		t.Fatal(err)
	}
	s.Vault.Lock()
	r := &locked{T: t, store: s, queue: make(chan func(), 1000), mailing: m.ID, delivery: ds[0].ID}
	env := &screens.Env{
		Ledger: l, Words: words.For(lang), Window: test.NewTempWindow(t, widgets.Space()), Secrets: s, Clock: post.SystemClock{}, Zone: time.UTC,
		Log: slog.New(slog.DiscardHandler), IDs: &screens.IDs{}, Post: func(f func()) { r.queue <- f }, Go: func(screens.Route) {},
	}
	env.WithVault = func(then func()) {
		r.asked++
		if err := s.Vault.Unlock(t.Context(), phrase); err != nil {
			t.Error(err)
		}
		then()
	}
	r.view = New(env)
	t.Cleanup(r.view.Hide)
	return r
}

func (r *locked) until(what string, ok func() bool) {
	r.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for !ok() {
		select {
		case f := <-r.queue:
			f()
		case <-deadline.C:
			r.Fatalf("waited in vain for %s; asked %d times", what, r.asked)
		}
	}
}

// press taps the button of the dialog that is open, or opens.
func (r *locked) press(words string) {
	r.Helper()
	var found *widgets.Button
	r.until("the button "+words, func() bool {
		if top := r.view.env.Window.Canvas().Overlays().Top(); top != nil {
			for _, o := range test.LaidOutObjects(top) {
				if b, ok := o.(*widgets.Button); ok && b.Text == words {
					found = b
				}
			}
		}
		return found != nil
	})
	test.Tap(found)
}

// TestEvidenceAsksForTheVault: where a message is signed with a key that lies in a
// locked vault, the passphrase is asked for, and then the pack is written.
func TestEvidenceAsksForTheVault(t *testing.T) {
	r := newLocked(t, words.English)
	path := filepath.Join(t.TempDir(), "evidence.zip")
	r.view.evidenceTo(path, receipts.Choice{Mailing: r.mailing})
	r.until("the pack", func() bool {
		p, err := receipts.VerifyEvidence(path)
		if err != nil || r.asked != 1 {
			return false
		}
		if p.Deliveries != 3 || len(p.Problems) > 0 {
			t.Errorf("%+v", p)
		}
		return true
	})
}

// TestMessageAsksForTheVault: one that was signed with a key in a locked vault is
// shown and saved signed once the vault is open, or as it was before, as the user
// chooses.
func TestMessageAsksForTheVault(t *testing.T) {
	for _, lang := range words.Langs {
		t.Run(string(lang), func(t *testing.T) {
			r := newLocked(t, lang)
			env := r.view.env
			saved := func(name, button string) string {
				t.Helper()
				path := filepath.Join(t.TempDir(), name)
				r.view.messageTo(path, r.delivery)
				if button != "" {
					r.press(button)
				}
				var b []byte
				r.until(name, func() bool {
					var err error
					b, err = os.ReadFile(path)
					return err == nil && strings.HasSuffix(string(b), "\r\n")
				})
				return string(b)
			}
			without := saved("without.eml", env.T("history.signed.without"))
			if strings.Contains(without, "DKIM-Signature") || r.asked != 0 || r.store.Vault.Unlocked() {
				t.Errorf("asked %d times for a message without its signature", r.asked)
			}
			with := saved("with.eml", env.T("accounts.vault.unlock"))
			if !strings.HasPrefix(with, "DKIM-Signature") || !strings.HasSuffix(with, without) || r.asked != 1 {
				t.Errorf("asked %d times; the message is\n%s", r.asked, with)
			}
			if again := saved("again.eml", ""); again != with {
				t.Errorf("another message with the vault open:\n%s", again)
			}
			r.store.Vault.Lock()
			r.view.current = r.delivery
			r.view.openMessage()
			r.press(env.T("accounts.vault.unlock"))
			r.until("the message", func() bool {
				top := env.Window.Canvas().Overlays().Top()
				return top != nil && r.asked == 2 && r.store.Vault.Unlocked()
			})
		})
	}
}

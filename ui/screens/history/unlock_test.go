package history

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"log/slog"
	"path/filepath"
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

// TestEvidenceAsksForTheVault: where a message is signed with a key that lies in a
// locked vault, the passphrase is asked for, and then the pack is written.
func TestEvidenceAsksForTheVault(t *testing.T) {
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

	queue := make(chan func(), 1000)
	win := test.NewTempWindow(t, widgets.Space())
	asked := 0
	env := &screens.Env{
		Ledger: l, Words: words.For(words.English), Window: win, Secrets: s, Clock: post.SystemClock{}, Zone: time.UTC, Log: slog.New(slog.DiscardHandler),
		IDs: &screens.IDs{}, Post: func(f func()) { queue <- f }, Go: func(screens.Route) {},
	}
	env.WithVault = func(then func()) {
		asked++
		if err := s.Vault.Unlock(t.Context(), phrase); err != nil {
			t.Error(err)
		}
		then()
	}
	v := New(env)
	t.Cleanup(v.Hide)
	path := filepath.Join(t.TempDir(), "evidence.zip")
	v.evidenceTo(path, receipts.Choice{Mailing: m.ID})
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for {
		if p, err := receipts.VerifyEvidence(path); err == nil && asked == 1 {
			if p.Deliveries != 3 || len(p.Problems) > 0 {
				t.Errorf("%+v", p)
			}
			break
		}
		select {
		case f := <-queue:
			f()
		case <-deadline.C:
			t.Fatalf("waited in vain for the pack; asked %d times", asked)
		}
	}
}

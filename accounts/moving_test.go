package accounts

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"postroom/post"
	"postroom/storage"
)

// fullDisk is a ledger whose writes of certificates can be made to fail.
type fullDisk struct {
	*storage.Ledger
	err error
}

func (f *fullDisk) SetCertificate(ctx context.Context, c post.Certificate) error {
	if f.err != nil {
		return f.err
	}
	return f.Ledger.SetCertificate(ctx, c)
}

// TestMoveKeys takes the keys that sign an account's mail to the vault and back, with
// something in the way at each turn: each is always where the ledger says it is, and
// nowhere else once it is moved.
func TestMoveKeys(t *testing.T) {
	l, err := storage.Open(t.Context(), t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // the test is over
	a, err := l.CreateAccount(t.Context(), post.Account{Name: "a", Email: "a@example.com", Host: "h.example", Port: 465, TLS: post.TLSImplicit, Auth: post.AuthNone, Secret: post.SecretNone})
	if err != nil {
		t.Fatal(err)
	}
	ring, v := newBoxed(), newVault(t)
	s, f := Store{Keyring: ring, Vault: v, Session: &Session{}}, &fullDisk{Ledger: l}
	move := func(to post.SecretKind) ([]string, error) { return s.MoveKeys(t.Context(), f, a.ID, to) }
	if moved, err := move(post.SecretVault); err != nil || len(moved) > 0 {
		t.Fatalf("nothing to move: %v, %v", moved, err)
	}
	sign := post.Signing{Account: a.ID, Domain: "example.com", Selector: "s1", SecretRef: "signing-1", PublicKey: []byte{1}}
	cert := post.Certificate{Account: a.ID, Chain: []byte{2}, SecretRef: "certificate-1"}
	if err := errors.Join(l.SetSigning(t.Context(), sign), l.SetCertificate(t.Context(), cert),
		s.Set(t.Context(), keptUnder(sign), "first key"), s.Set(t.Context(), certificateUnder(cert), "second key")); err != nil {
		t.Fatal(err)
	}
	// check reads both keys where the ledger says they are, and counts all entries.
	check := func(inRing, inVault int) {
		t.Helper()
		keys, err := KeysOf(t.Context(), l, a.ID)
		if err != nil || len(keys) != 2 {
			t.Fatal(keys, err)
		}
		wantSecret(t, s, keys[0], "first key")
		wantSecret(t, s, keys[1], "second key")
		all, err := v.contents()
		if err != nil || len(all) != inVault || len(ring.all) != inRing {
			t.Errorf("%d in the vault and %d in the keyring, want %d and %d: %v", len(all), len(ring.all), inVault, inRing, err)
		}
	}

	v.Lock()
	_, err = move(post.SecretVault)
	wantKey(t, err, post.KindSignIn, keyVaultLocked)
	if err := v.Unlock(t.Context(), phrase); err != nil {
		t.Fatal(err)
	}
	check(2, 0)
	f.err = errors.New("the disk is full")
	if moved, err := move(post.SecretVault); !errors.Is(err, f.err) || !slices.Equal(moved, []string{KeyDKIM}) {
		t.Errorf("%v, %v", moved, err)
	}
	check(1, 1)
	f.err = nil
	if moved, err := move(post.SecretVault); err != nil || !slices.Equal(moved, []string{KeySMIME}) {
		t.Errorf("%v, %v", moved, err)
	}
	check(0, 2)
	for _, to := range []post.SecretKind{post.SecretVault, post.SecretAsk, post.SecretCommand} {
		if moved, err := move(to); err != nil || len(moved) > 0 {
			t.Errorf("to %s: %v, %v", to, moved, err)
		}
	}
	ring.fail = errWaiting()
	if moved, err := move(post.SecretKeyring); err == nil || len(moved) > 0 {
		t.Errorf("%v, %v", moved, err)
	}
	ring.fail = nil
	check(0, 2)
	if moved, err := move(post.SecretKeyring); err != nil || !slices.Equal(moved, []string{KeyDKIM, KeySMIME}) {
		t.Errorf("%v, %v", moved, err)
	}
	check(2, 0)
	if got, err := l.Signing(t.Context(), a.ID); err != nil || got.Selector != "s1" || got.Domain != "example.com" || strings.HasPrefix(got.SecretRef, vaultRef) {
		t.Errorf("%+v, %v", got, err)
	}
	if elsewhere, err := KeysElsewhere(t.Context(), l, a.ID, post.SecretVault); !elsewhere || err != nil {
		t.Error(elsewhere, err)
	}
}

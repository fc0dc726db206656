package storage

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"postroom/post"
)

// TestSealedSecretsStayHere: what is sealed for an account is in the ledger and
// in no backup, and goes with the account.
func TestSealedSecretsStayHere(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	a, err := l.CreateAccount(t.Context(), post.Account{
		Name: "shop", Email: "shop@example.org", Host: "smtp.example.org", Port: 465, TLS: post.TLSImplicit, Auth: post.AuthAuto,
		Secret: post.SecretOAuth, SecretRef: "ref", OAuth: post.OAuth{Provider: "google"}, Pin: "", Colour: "blue", Signature: "Anna", Footer: "The shop",
		Proxy: "socks5://127.0.0.1:1080", Selector: "s1", Position: 3,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.AccountSecret(t.Context(), a.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	mark := bytes.Repeat([]byte("sealed bytes of this test "), 300)
	for _, home := range []post.SecretKind{post.SecretVault, post.SecretKeyring} {
		if err := l.SetAccountSecret(t.Context(), a.ID, SealedSecret{home, mark}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := l.AccountSecret(t.Context(), a.ID)
	if err != nil || got.Home != post.SecretKeyring || !bytes.Equal(got.Sealed, mark) {
		t.Errorf("%s, %d bytes, %v", got.Home, len(got.Sealed), err)
	}
	back, err := l.Account(t.Context(), a.ID)
	if err != nil || back.OAuth.Provider != "google" || back.Proxy != a.Proxy || back.Selector != "s1" || back.Colour != "blue" || back.Position != 3 || back.Signature != "Anna" || back.Footer != "The shop" {
		t.Errorf("%+v %v", back, err)
	}

	file := filepath.Join(t.TempDir(), "backup.zip")
	if err := l.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	looked := 0
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if looked += len(b); bytes.Contains(b, mark[:26]) {
			t.Errorf("%s in the backup holds what is sealed", f.Name)
		}
		if f.Name == FileName && !bytes.Contains(b, []byte("shop@example.org")) {
			t.Error("the backup cannot be looked into; this test proves nothing")
		}
	}
	if looked == 0 {
		t.Error("the backup is empty")
	}
	if err := l.RemoveAccount(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := l.AccountSecret(t.Context(), a.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
}

package storage

import (
	"os"
	"path/filepath"
	"testing"

	"postroom/post"
)

// TestACopiedLedgerIsTold: password commands run where they were given, and are
// held in a copy, on this computer or another, until they are confirmed.
func TestACopiedLedgerIsTold(t *testing.T) {
	list := filepath.Join(t.TempDir(), "state", "ledgers.json")
	dir := t.TempDir()
	openAt := func(dir, list string) *Ledger {
		t.Helper()
		l, err := Open(t.Context(), dir, Options{Known: list})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	held := func(dir, list string) bool {
		t.Helper()
		l := openAt(dir, list)
		a, err := l.AccountByName(t.Context(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return a.CommandHeld
	}
	l := openAt(dir, list)
	_, err := l.CreateAccount(t.Context(), post.Account{
		Name: "shop", Email: "shop@example.org", Host: "smtp.example.org", Port: 465, TLS: post.TLSImplicit, Auth: post.AuthAuto,
		Secret: post.SecretCommand, PasswordCommand: "pass show shop",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if held(dir, list) {
		t.Error("held where it was given")
	}
	b, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	for name, elsewhere := range map[string]string{"another folder": list, "another computer": filepath.Join(t.TempDir(), "ledgers.json")} {
		copied := t.TempDir()
		if err := os.WriteFile(filepath.Join(copied, FileName), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if !held(copied, elsewhere) {
			t.Errorf("%s: not held", name)
		}
		if !held(copied, elsewhere) {
			t.Errorf("%s: released by opening it again", name)
		}
	}
	if held(dir, list) {
		t.Error("held where it was given, because of the copy")
	}
	if info, err := os.Stat(list); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	// Without a place for the list nothing is held.
	if held(dir, "") {
		t.Error("held without a list")
	}
}

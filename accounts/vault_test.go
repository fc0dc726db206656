package accounts

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"postroom/post"
)

// cheap makes guesses cost nothing, so that tests are quick.
var cheap = cost{passes: 1, memory: 64, lanes: 1}

const phrase = "correct horse battery"

func vaultAt(path string) *Vault {
	v := NewVault(path)
	v.cost = cheap
	return v
}

func newVault(t *testing.T) *Vault {
	t.Helper()
	v := vaultAt(filepath.Join(t.TempDir(), VaultFile))
	if err := v.Create(t.Context(), phrase); err != nil {
		t.Fatal(err)
	}
	return v
}

func inVault(ref string) post.Account {
	return post.Account{ID: 1, Secret: post.SecretVault, SecretRef: ref}
}

func wantSecret(t *testing.T, s Secrets, a post.Account, want string) {
	t.Helper()
	if got, err := s.Get(t.Context(), a); err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestVault(t *testing.T) {
	v := newVault(t)
	if err := v.Set(t.Context(), inVault("a"), secretForTests); err != nil {
		t.Fatal(err)
	}
	if err := v.Set(t.Context(), inVault("b"), "密码"); err != nil {
		t.Fatal(err)
	}
	other := vaultAt(v.path) // as the next start sees it
	_, err := other.Get(t.Context(), inVault("a"))
	wantKey(t, err, post.KindSignIn, keyVaultLocked)
	wantKey(t, other.Set(t.Context(), inVault("a"), "x"), post.KindSignIn, keyVaultLocked)
	wantKey(t, other.Delete(t.Context(), inVault("a")), post.KindSignIn, keyVaultLocked)
	wantKey(t, other.Unlock(t.Context(), "correct horse batterz"), post.KindSignIn, keyVaultWrong)
	wantKey(t, other.Unlock(t.Context(), ""), post.KindSignIn, keyVaultWrong)
	if other.Unlocked() {
		t.Error("unlocked by a wrong passphrase")
	}
	if err := other.Unlock(t.Context(), phrase); err != nil {
		t.Fatal(err)
	}
	wantSecret(t, other, inVault("a"), secretForTests)
	wantSecret(t, other, inVault("b"), "密码")
	if err := other.Delete(t.Context(), inVault("a")); err != nil {
		t.Fatal(err)
	}
	if err := other.Delete(t.Context(), inVault("never")); err != nil {
		t.Error(err)
	}
	_, err = v.Get(t.Context(), inVault("a")) // the first one reads what the other wrote
	wantKey(t, err, post.KindSignIn, keyMissing)
	other.Lock()
	_, err = other.Get(t.Context(), inVault("b"))
	wantKey(t, err, post.KindSignIn, keyVaultLocked)
	wantKey(t, v.Create(t.Context(), phrase), post.KindConflict, keyVaultExists)
	wantSecret(t, v, inVault("b"), "密码")

	raw, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, plain := range []string{secretForTests, "密码", phrase} {
		if bytes.Contains(raw, []byte(plain)) {
			t.Errorf("%q lies open in the file", plain)
		}
	}
	if info, err := os.Stat(v.path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestVaultThatIsNotThere(t *testing.T) {
	v := vaultAt(filepath.Join(t.TempDir(), VaultFile))
	wantKey(t, v.Unlock(t.Context(), phrase), post.KindSignIn, keyVaultAbsent)
	_, err := v.Get(t.Context(), inVault("a"))
	wantKey(t, err, post.KindSignIn, keyVaultAbsent)
	wantKey(t, v.Set(t.Context(), inVault("a"), "x"), post.KindSignIn, keyVaultAbsent)
	if err := v.Delete(t.Context(), inVault("a")); err != nil {
		t.Error(err)
	}
	wantKey(t, v.Create(t.Context(), "seven.."), post.KindInvalid, keyVaultShort)
	if v.Exists() {
		t.Error("a refused passphrase made a vault")
	}
}

// TestVaultCost holds the real cost of a guess, and that each write is new.
func TestVaultCost(t *testing.T) {
	v := NewVault(filepath.Join(t.TempDir(), VaultFile))
	if err := v.Create(t.Context(), phrase); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseSealed(first)
	if err != nil || s.cost != (cost{3, 64 << 10, 4}) {
		t.Errorf("%+v %v", s, err)
	}
	if err := v.Set(t.Context(), inVault("a"), "x"); err != nil {
		t.Fatal(err)
	}
	second, _ := os.ReadFile(v.path)
	if n, _ := parseSealed(second); bytes.Equal(n.nonce, s.nonce) {
		t.Error("a nonce was used twice")
	}
}

// TestDamagedVault flips and cuts every byte: it is always told, and nothing is
// ever written over it.
func TestDamagedVault(t *testing.T) {
	v := newVault(t)
	if err := v.Set(t.Context(), inVault("a"), secretForTests); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, b []byte) {
		t.Helper()
		if err := os.WriteFile(v.path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, open := range []bool{true, false} {
			use := vaultAt(v.path)
			if open {
				use = v
			}
			_, err := use.Get(t.Context(), inVault("a"))
			wantKey(t, err, post.KindSignIn, keyVaultDamaged)
			wantKey(t, use.Set(t.Context(), inVault("a"), "other"), post.KindSignIn, keyVaultDamaged)
			wantKey(t, use.Unlock(t.Context(), phrase), post.KindSignIn, keyVaultDamaged)
		}
		if after, err := os.ReadFile(v.path); err != nil || !bytes.Equal(after, b) {
			t.Fatalf("%s: the file was changed: %v", what, err)
		}
	}
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 1
		try(fmt.Sprint("byte ", i), bad)
	}
	for n := range whole {
		try(fmt.Sprint("cut at ", n), whole[:n])
	}
	try("longer", append(bytes.Clone(whole), 0))
	try("huge", make([]byte, maxVault+1))
	if err := os.WriteFile(v.path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	wantSecret(t, v, inVault("a"), secretForTests)
}

// TestForgedVault: a file that asks for more than ours do is refused before
// anything is computed.
func TestForgedVault(t *testing.T) {
	k, err := newVaultKey(phrase, cheap)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []cost{{0, 64, 1}, {1 << 20, 64, 1}, {1, 1 << 31, 1}, {1, 64, 0}} {
		k.cost = c
		b, err := seal(k, contents{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseSealed(b); err == nil {
			t.Errorf("%+v was taken", c)
		}
		if binary.BigEndian.Uint32(b[len(vaultMagic):]) != c.passes {
			t.Error("the form has changed; so must its version")
		}
	}
}

func TestVaultChange(t *testing.T) {
	v := newVault(t)
	if err := v.Set(t.Context(), inVault("a"), secretForTests); err != nil {
		t.Fatal(err)
	}
	elsewhere := vaultAt(v.path)
	if err := elsewhere.Unlock(t.Context(), phrase); err != nil {
		t.Fatal(err)
	}
	wantKey(t, v.Change(t.Context(), "not the passphrase", "another phrase"), post.KindSignIn, keyVaultWrong)
	wantKey(t, v.Change(t.Context(), phrase, "short"), post.KindInvalid, keyVaultShort)
	if err := v.Change(t.Context(), phrase, "another phrase"); err != nil {
		t.Fatal(err)
	}
	wantSecret(t, v, inVault("a"), secretForTests)
	// Another process that had it open is locked, and cannot bring the old one back.
	wantKey(t, elsewhere.Set(t.Context(), inVault("b"), "x"), post.KindSignIn, keyVaultLocked)
	if elsewhere.Unlocked() {
		t.Error("still unlocked under the old passphrase")
	}
	wantKey(t, elsewhere.Unlock(t.Context(), phrase), post.KindSignIn, keyVaultWrong)
	if err := elsewhere.Unlock(t.Context(), "another phrase"); err != nil {
		t.Fatal(err)
	}
	wantSecret(t, elsewhere, inVault("a"), secretForTests)
}

// vaultCase says what the inner run of this binary does, and with which vault.
const vaultCase, vaultPath = "POSTROOM_TEST_VAULT", "POSTROOM_TEST_VAULT_PATH"

// TestInnerVault is the other process: it adds entries, or dies at a step.
func TestInnerVault(t *testing.T) {
	what := os.Getenv(vaultCase)
	if what == "" {
		t.Skip("runs inside TestVaultTwoProcesses and TestVaultKilled only")
	}
	v := vaultAt(os.Getenv(vaultPath))
	if err := v.Unlock(t.Context(), phrase); err != nil {
		t.Fatal(err)
	}
	if name, ok := strings.CutPrefix(what, "add "); ok {
		for i := range 25 {
			if err := v.Set(t.Context(), inVault(fmt.Sprint(name, i)), fmt.Sprint("secret ", name, i)); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	v.step = func(step string) {
		if step == what {
			die()
		}
	}
	err := v.Set(t.Context(), inVault("new"), "new secret")
	t.Fatalf("still alive: %v", err)
}

func inner(t *testing.T, v *Vault, what string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestInnerVault$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), vaultCase+"="+what, vaultPath+"="+v.path)
	return cmd
}

// TestVaultTwoProcesses: two processes and two goroutines write at once, and
// nothing of any is lost.
func TestVaultTwoProcesses(t *testing.T) {
	v := newVault(t)
	var wg sync.WaitGroup
	for _, name := range []string{"x", "y"} {
		cmd := inner(t, v, "add "+name)
		wg.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	for _, name := range []string{"p", "q"} {
		wg.Go(func() {
			for i := range 25 {
				if err := v.Set(t.Context(), inVault(fmt.Sprint(name, i)), fmt.Sprint("secret ", name, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, name := range []string{"x", "y", "p", "q"} {
		for i := range 25 {
			wantSecret(t, v, inVault(fmt.Sprint(name, i)), fmt.Sprint("secret ", name, i))
		}
	}
}

// TestVaultKilled kills a process at each step of a write: what is there
// afterwards is the old vault or the new one, and it can be written again.
func TestVaultKilled(t *testing.T) {
	for _, step := range []string{"create", "write", "half", "sync", "rename", "folder"} {
		t.Run(step, func(t *testing.T) {
			v := newVault(t)
			if err := v.Set(t.Context(), inVault("old"), secretForTests); err != nil {
				t.Fatal(err)
			}
			out, err := inner(t, v, step).CombinedOutput()
			if err == nil || bytes.Contains(out, []byte("still alive")) {
				t.Fatalf("it did not die: %v\n%s", err, out)
			}
			after := vaultAt(v.path)
			if err := after.Unlock(t.Context(), phrase); err != nil {
				t.Fatal(err)
			}
			wantSecret(t, after, inVault("old"), secretForTests)
			_, err = after.Get(t.Context(), inVault("new"))
			if renamed := step == "folder"; renamed != (err == nil) {
				t.Errorf("the new entry: %v", err)
			}
			if err := after.Set(t.Context(), inVault("next"), "next secret"); err != nil {
				t.Fatal(err)
			}
			if left, _ := filepath.Glob(v.path + ".*.new"); len(left) > 0 {
				t.Errorf("left lying: %v", left)
			}
		})
	}
}

// TestVaultDiskFails: a folder that takes nothing leaves the old vault.
func TestVaultDiskFails(t *testing.T) {
	v := newVault(t)
	if err := v.Set(t.Context(), inVault("old"), secretForTests); err != nil {
		t.Fatal(err)
	}
	v.step = func(step string) {
		if step == "rename" { // somebody put a folder in its place
			if err := errors.Join(os.Rename(v.path, v.path+".aside"), os.MkdirAll(filepath.Join(v.path, "full"), 0o700)); err != nil {
				t.Error(err)
			}
		}
	}
	wantKey(t, v.Set(t.Context(), inVault("new"), "x"), post.KindSignIn, keyVaultFailed)
	if left, _ := filepath.Glob(v.path + ".*.new"); len(left) > 0 {
		t.Errorf("left lying: %v", left)
	}
	if err := errors.Join(os.RemoveAll(v.path), os.Rename(v.path+".aside", v.path)); err != nil {
		t.Fatal(err)
	}
	wantSecret(t, v, inVault("old"), secretForTests)
}

// TestStoreNeverFallsBack: each kind asks its own place and no other.
func TestStoreNeverFallsBack(t *testing.T) {
	never := &counting{}
	s := Store{Keyring: never, Command: never}.In(t.TempDir(), nil)
	a := inVault("a")
	_, err := s.Get(t.Context(), a)
	wantKey(t, err, post.KindSignIn, keyVaultAbsent)
	wantKey(t, s.Set(t.Context(), a, "x"), post.KindSignIn, keyVaultAbsent)
	a.Secret = post.SecretAsk
	_, err = s.Get(t.Context(), a)
	wantKey(t, err, post.KindSignIn, keyAsk)
	if err := s.Set(t.Context(), a, secretForTests); err != nil {
		t.Fatal(err)
	}
	wantSecret(t, s, a, secretForTests)
	other := a
	other.ID++
	_, err = s.Get(t.Context(), other)
	wantKey(t, err, post.KindSignIn, keyAsk)
	if err := s.Delete(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(t.Context(), a)
	wantKey(t, err, post.KindSignIn, keyAsk)
	if never.n > 0 {
		t.Errorf("another place was asked %d times", never.n)
	}
}

// counting is a Secrets that nobody should ask.
type counting struct{ n int }

func (c *counting) Get(context.Context, post.Account) (string, error) {
	c.n++
	return "fallen back", nil
}
func (c *counting) Set(context.Context, post.Account, string) error { c.n++; return nil }
func (c *counting) Delete(context.Context, post.Account) error      { c.n++; return nil }

// boxed is a keyring in memory that can be made to fail.
type boxed struct {
	mu   sync.Mutex
	all  map[string]string
	fail error
}

func newBoxed() *boxed { return &boxed{all: map[string]string{}} }

func (b *boxed) Get(_ context.Context, a post.Account) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return "", b.fail
	}
	if s, ok := b.all[a.SecretRef]; ok {
		return s, nil
	}
	return "", errMissing()
}

func (b *boxed) Set(_ context.Context, a post.Account, secret string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail == nil {
		b.all[a.SecretRef] = secret
	}
	return b.fail
}

func (b *boxed) Delete(_ context.Context, a post.Account) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail == nil {
		delete(b.all, a.SecretRef)
	}
	return b.fail
}

// TestMove takes a password round all places, with something in the way at each
// turn: it is never in no place at all.
func TestMove(t *testing.T) {
	ring := newBoxed()
	v := newVault(t)
	s := Store{Keyring: ring, Vault: v, Session: &Session{}}
	a := post.Account{ID: 7, Secret: post.SecretKeyring, SecretRef: "first"}
	if err := s.Set(t.Context(), a, secretForTests); err != nil {
		t.Fatal(err)
	}
	stored := a
	keep := func(x post.Account) error { stored = x; return nil }
	broken := errors.New("the disk is full")

	v.Lock() // the new place is locked
	if _, err := s.Move(t.Context(), a, post.SecretVault, keep); err == nil || stored.SecretRef != "first" {
		t.Errorf("%v %+v", err, stored)
	}
	wantSecret(t, s, stored, secretForTests)
	if err := v.Unlock(t.Context(), phrase); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Move(t.Context(), a, post.SecretVault, func(post.Account) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if all, err := v.contents(); err != nil || len(all) != 0 {
		t.Errorf("%d entries stay behind: %v", len(all), err)
	}
	wantSecret(t, s, stored, secretForTests)

	var err error
	if a, err = s.Move(t.Context(), a, post.SecretVault, keep); err != nil || stored.Secret != post.SecretVault || len(ring.all) != 0 {
		t.Fatalf("%v %+v, %d left in the keyring", err, stored, len(ring.all))
	}
	wantSecret(t, s, stored, secretForTests)
	if a, err = s.Move(t.Context(), a, post.SecretAsk, keep); err != nil || stored.SecretRef != "" {
		t.Fatalf("%v %+v", err, stored)
	}
	if all, err := v.contents(); err != nil || len(all) != 0 {
		t.Errorf("%d entries stay behind: %v", len(all), err)
	}
	wantSecret(t, s, stored, secretForTests)
	ring.fail = errWaiting()
	if _, err = s.Move(t.Context(), a, post.SecretKeyring, keep); err == nil || stored.Secret != post.SecretAsk {
		t.Errorf("%v %+v", err, stored)
	}
	ring.fail = nil
	if a, err = s.Move(t.Context(), a, post.SecretKeyring, keep); err != nil {
		t.Fatal(err)
	}
	wantSecret(t, s, stored, secretForTests)
	ring.fail = errWaiting() // the old entry cannot be taken out: in both, and told
	a.Secret = post.SecretCommand
	if _, err := s.Move(t.Context(), a, post.SecretVault, keep); post.KindOf(err) != post.KindConflict {
		t.Errorf("%v", err)
	}
}

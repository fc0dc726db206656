package accounts

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"postroom/post"
)

// VaultFile is the vault's name in the data folder.
const VaultFile = "passwords.vault"

// minPassphrase is the least a passphrase must have, in characters. Nothing
// slows down somebody who took the file, but the cost of each guess.
const minPassphrase = 8

// vaultLockWait is how long another process may hold the file.
const vaultLockWait = 20 * time.Second

// Vault keeps secrets in one file under a passphrase, for computers without a
// keyring. The file's form stands in seal.go.
//
// Nothing can be read from it or written to it before Unlock; what is kept in
// memory then is the key made of the passphrase, never the passphrase. Every
// change reads the file, changes it and puts a complete new one in its place,
// under a lock that holds off other processes: after a crash there is the old
// file or the new one. A file that is damaged is refused and never written
// over. When another process changes the passphrase the vault is locked here.
// Safe for concurrent use.
type Vault struct {
	path string
	cost cost
	step func(string) // told before each step of a write; for tests that die there

	mu  sync.Mutex
	key *vaultKey // nil: locked
}

var _ Secrets = (*Vault)(nil)

// NewVault returns the vault at path, locked. It touches nothing yet.
func NewVault(path string) *Vault { return &Vault{path: path, cost: usualCost} }

// Exists reports whether there is a vault at all.
func (v *Vault) Exists() bool {
	_, err := os.Stat(v.path)
	return err == nil || !errors.Is(err, fs.ErrNotExist)
}

// Unlocked reports whether secrets can be had.
func (v *Vault) Unlocked() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.key != nil
}

// Create makes an empty vault and unlocks it. One that is there stays as it is:
// post.KindConflict.
func (v *Vault) Create(ctx context.Context, passphrase string) error {
	if err := checkPassphrase(passphrase); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.locked(ctx, func() error {
		if v.Exists() {
			return &post.Error{
				Kind: post.KindConflict, Op: opVault, Message: "there is a vault already; change its passphrase instead",
				Reason: post.Reason{Key: keyVaultExists},
			}
		}
		key, err := newVaultKey(passphrase, v.cost)
		if err != nil {
			return vaultFailed(err)
		}
		if err := v.write(key, contents{}); err != nil {
			return err
		}
		v.key = key
		return nil
	})
}

// Unlock opens the vault for this process. It takes a noticeable part of a
// second on purpose.
func (v *Vault) Unlock(_ context.Context, passphrase string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	sealed, err := v.read()
	if err != nil {
		return err
	}
	key, err := sealed.key(passphrase)
	if err != nil {
		return err
	}
	if _, err := sealed.open(key); err != nil {
		return signInError(keyVaultWrong, "this is not the vault's passphrase", nil)
	}
	v.key = key
	return nil
}

// Lock forgets the key.
func (v *Vault) Lock() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.key = nil
}

// Change gives the vault another passphrase. It stays unlocked here, and is
// locked for every other process that has it open.
func (v *Vault) Change(ctx context.Context, old, fresh string) error {
	if err := checkPassphrase(fresh); err != nil {
		return err
	}
	if err := v.Unlock(ctx, old); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.locked(ctx, func() error {
		all, err := v.contents()
		if err != nil {
			return err
		}
		key, err := newVaultKey(fresh, v.cost)
		if err != nil {
			return vaultFailed(err)
		}
		if err := v.write(key, all); err != nil {
			return err
		}
		v.key = key
		return nil
	})
}

// Get returns the secret that is kept under a.SecretRef.
func (v *Vault) Get(_ context.Context, a post.Account) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	all, err := v.contents()
	if err != nil {
		return "", err
	}
	secret, ok := all[a.SecretRef]
	if !ok || a.SecretRef == "" {
		return "", errMissing()
	}
	return usable(secret)
}

// Set keeps secret under a.SecretRef.
func (v *Vault) Set(ctx context.Context, a post.Account, secret string) error {
	if a.SecretRef == "" {
		return &post.Error{Kind: post.KindInternal, Op: opVault, Message: "the account has no name for its entry in the vault"}
	}
	if err := checkSecret(secret); err != nil {
		return err
	}
	return v.change(ctx, func(all contents) bool {
		all[a.SecretRef] = secret
		return true
	})
}

// Delete forgets the entry a.SecretRef; that there is none is not an error.
func (v *Vault) Delete(ctx context.Context, a post.Account) error {
	if a.SecretRef == "" || !v.Exists() {
		return nil
	}
	return v.change(ctx, func(all contents) bool {
		_, ok := all[a.SecretRef]
		delete(all, a.SecretRef)
		return ok
	})
}

// change writes what do made of the contents, unless it says that nothing is
// different.
func (v *Vault) change(ctx context.Context, do func(contents) bool) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.locked(ctx, func() error {
		all, err := v.contents()
		if err != nil || !do(all) {
			return err
		}
		return v.write(v.key, all)
	})
}

// contents reads the file with the key that is in memory.
func (v *Vault) contents() (contents, error) {
	sealed, err := v.read()
	switch {
	case err != nil:
		return nil, err
	case v.key == nil:
		return nil, errVaultLocked()
	case !sealed.under(v.key): // another process has changed the passphrase
		v.key = nil
		return nil, errVaultLocked()
	}
	all, err := sealed.open(v.key)
	if err != nil {
		return nil, errVaultDamaged()
	}
	return all, nil
}

// read reads the file, which must be whole.
func (v *Vault) read() (*sealed, error) {
	b, err := readVault(v.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, signInError(keyVaultAbsent, "there is no vault yet; create one and try again", nil)
	case errors.Is(err, errTooLarge):
		return nil, errVaultDamaged()
	case err != nil:
		return nil, vaultFailed(err)
	}
	return parseSealed(b)
}

// locked runs do while no other process may write.
func (v *Vault) locked(ctx context.Context, do func() error) error {
	gate := flock.New(v.path+".lock", flock.SetPermissions(0o600))
	wait, stop := context.WithTimeout(ctx, vaultLockWait)
	defer stop()
	ok, err := gate.TryLockContext(wait, 10*time.Millisecond)
	switch {
	case ctx.Err() != nil:
		return cancelled(ctx.Err())
	case err != nil || !ok:
		return vaultFailed(err)
	}
	defer gate.Unlock() //nolint:errcheck // closing the file releases it in any case
	return do()
}

// write puts a new file in the place of the old one. A reader sees one or the
// other; what an earlier crash has left lying is cleared.
func (v *Vault) write(key *vaultKey, all contents) error {
	b, err := seal(key, all)
	if err != nil {
		return vaultFailed(err)
	}
	left, err := filepath.Glob(v.path + ".*.new")
	if err != nil {
		return vaultFailed(err)
	}
	for _, file := range left {
		if err := os.Remove(file); err != nil {
			return vaultFailed(err)
		}
	}
	if err := v.replace(v.path+"."+rand.Text()+".new", b); err != nil {
		return vaultFailed(err)
	}
	return nil
}

func (v *Vault) replace(fresh string, b []byte) (err error) {
	v.at("create")
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(fresh))
		}
	}()
	v.at("write")
	half := len(b) / 2
	_, err = f.Write(b[:half])
	v.at("half")
	if err == nil {
		_, err = f.Write(b[half:])
	}
	v.at("sync")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	v.at("rename")
	if err = os.Rename(fresh, v.path); err != nil {
		return err
	}
	v.at("folder")
	return syncFolder(filepath.Dir(v.path))
}

func (v *Vault) at(step string) {
	if v.step != nil {
		v.step(step)
	}
}

func checkPassphrase(passphrase string) error {
	if len([]rune(passphrase)) < minPassphrase {
		return &post.Error{
			Kind: post.KindInvalid, Op: opVault, Message: "the passphrase needs at least 8 characters; several words are good",
			Reason: post.Reason{Key: keyVaultShort},
		}
	}
	return nil
}

const opVault = "vault"

// The catalogue keys of what can be in the way of the vault.
const (
	keyVaultAbsent  = "vault.absent"
	keyVaultLocked  = "vault.locked"
	keyVaultWrong   = "vault.wrong"
	keyVaultDamaged = "vault.damaged"
	keyVaultFailed  = "vault.failed"
	keyVaultExists  = "vault.exists"
	keyVaultShort   = "vault.short"
)

func errVaultLocked() *post.Error {
	return signInError(keyVaultLocked, "the password vault is locked; give its passphrase", nil)
}

func errVaultDamaged() *post.Error {
	return signInError(keyVaultDamaged, "the password vault is damaged and was left as it is; put a copy of it back, or move it away and create a new one", nil)
}

func vaultFailed(err error) *post.Error {
	return signInError(keyVaultFailed, "the password vault could not be read or written", err)
}

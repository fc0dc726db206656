package accounts

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"time"

	"github.com/zalando/go-keyring"

	"postroom/post"
)

// keyringService is under which name all entries of ours are kept.
const keyringService = "Postroom"

// keyringTimeout is how long a call may take. A locked keyring on a desktop
// opens a window and does not answer before the user does.
const keyringTimeout = 30 * time.Second

// Keyring keeps secrets in the operating system's keyring: Secret Service on
// Linux, the Keychain on macOS, the Credential Manager on Windows. Any program
// of the same user can read them there.
//
// Only "not found" means that there is no secret; every other failure says
// that the keyring could not be asked, and never that a password is wrong. One
// call runs at a time, so that a keyring that waits for its user is asked once
// and not again and again. Safe for concurrent use.
type Keyring struct {
	timeout time.Duration
	ring    ring
	turn    chan struct{} // holds one token; whoever has it may call the keyring
}

var _ Secrets = (*Keyring)(nil)

// ring is the part of go-keyring that is used.
type ring interface {
	Get(service, user string) (string, error)
	Set(service, user, secret string) error
	Delete(service, user string) error
}

// NewKeyring returns the keyring of this computer. It asks nothing yet.
func NewKeyring() *Keyring { return newKeyring(systemRing{}, keyringTimeout) }

func newKeyring(r ring, timeout time.Duration) *Keyring {
	k := &Keyring{timeout: timeout, ring: r, turn: make(chan struct{}, 1)}
	k.turn <- struct{}{}
	return k
}

// Open reports whether the keyring would answer now without asking its user. It
// is false where that cannot be told.
func (k *Keyring) Open() bool { return ringOpen() }

// KeyringTrouble reports whether an account's reason is that the keyring could
// not be asked, which ends when it can.
func KeyringTrouble(r post.Reason) bool {
	switch r.Key {
	case keyKeyringLocked, keyKeyringWaiting, keyKeyringAbsent, keyKeyringNone:
		return true
	}
	return false
}

// Get returns the secret that is kept under a.SecretRef.
func (k *Keyring) Get(ctx context.Context, a post.Account) (string, error) {
	if a.SecretRef == "" {
		return "", errMissing()
	}
	secret, err := k.do(ctx, func() (string, error) { return k.ring.Get(keyringService, a.SecretRef) })
	if err != nil {
		return "", err
	}
	return usable(secret)
}

// Set keeps secret under a.SecretRef. When it failed for keyring.waiting the
// keyring may still take it later, once the user has answered it.
func (k *Keyring) Set(ctx context.Context, a post.Account, secret string) error {
	if a.SecretRef == "" {
		return &post.Error{Kind: post.KindInternal, Op: opSecret, Message: "the account has no name for its keyring entry"}
	}
	if err := checkSecret(secret); err != nil {
		return err
	}
	_, err := k.do(ctx, func() (string, error) { return "", k.ring.Set(keyringService, a.SecretRef, secret) })
	return err
}

// Delete removes the entry a.SecretRef; that there is none is not an error.
func (k *Keyring) Delete(ctx context.Context, a post.Account) error {
	if a.SecretRef == "" {
		return nil
	}
	_, err := k.do(ctx, func() (string, error) { return "", k.ring.Delete(keyringService, a.SecretRef) })
	var e *post.Error
	if errors.As(err, &e) && e.Reason.Key == keyMissing {
		return nil
	}
	return err
}

// do runs one call of the keyring in a goroutine, because nothing can
// interrupt it. After a time-out that goroutine keeps the turn until the
// keyring answers.
func (k *Keyring) do(ctx context.Context, call func() (string, error)) (string, error) {
	timeout := time.NewTimer(k.timeout)
	defer timeout.Stop()
	select {
	case <-k.turn:
	case <-ctx.Done():
		return "", cancelled(ctx.Err())
	case <-timeout.C:
		return "", errWaiting()
	}
	type answer struct {
		secret string
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		secret, err := call()
		k.turn <- struct{}{}
		done <- answer{secret, err}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			return "", keyringError(a.err)
		}
		return a.secret, nil
	case <-ctx.Done():
		return "", cancelled(ctx.Err())
	case <-timeout.C:
		return "", errWaiting()
	}
}

func errWaiting() *post.Error {
	return signInError(keyKeyringWaiting, "the system keyring is waiting for you to unlock it", nil)
}

// keyringError gives a failure of the keyring its reason. Only ErrNotFound and
// ErrSetDataTooBig are stable; the rest is recognised where it can be.
func keyringError(err error) *post.Error {
	switch {
	case errors.Is(err, keyring.ErrNotFound):
		e := errMissing()
		e.Err = err
		return e
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return signInError(keyKeyringTooBig, "the password is too long for the system keyring", err)
	case errors.Is(err, keyring.ErrUnsupportedPlatform), isRingAbsent(err):
		return signInError(keyKeyringAbsent, "this computer has no keyring that Postroom can reach", err)
	case isRingWithoutCollection(err):
		return signInError(keyKeyringNone, "the system keyring has no place for passwords yet; create one and try again", err)
	case isRingLocked(err):
		return signInError(keyKeyringLocked, "the system keyring is locked; unlock it and try again", err)
	}
	return signInError(keyKeyringFailed, "the system keyring did not answer as it should", err)
}

// isRingLocked knows go-keyring's text for a Secret Service that did not
// unlock, and the exit codes of macOS's security program: interaction not
// allowed, authentication failed, cancelled by the user.
func isRingLocked(err error) bool {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		switch exit.ExitCode() {
		case 36, 51, 128:
			return true
		}
	}
	return isBusLocked(err) || strings.Contains(err.Error(), "failed to unlock correct collection")
}

// isRingWithoutCollection knows a Secret Service in which no collection was
// ever made: the alias that cannot be unlocked leads nowhere.
func isRingWithoutCollection(err error) bool {
	return strings.Contains(err.Error(), "failed to unlock correct collection") &&
		strings.Contains(err.Error(), "/aliases/default")
}

// systemRing is go-keyring.
type systemRing struct{}

func (systemRing) Get(service, user string) (string, error) {
	if err := ringReachable(); err != nil {
		return "", err
	}
	return keyring.Get(service, user)
}

func (systemRing) Set(service, user, secret string) error {
	if err := ringReachable(); err != nil {
		return err
	}
	return keyring.Set(service, user, secret)
}

func (systemRing) Delete(service, user string) error {
	if err := ringReachable(); err != nil {
		return err
	}
	return keyring.Delete(service, user)
}

package accounts

import (
	"context"
	"crypto/rand"
	"strings"

	"postroom/post"
)

// Secrets finds and keeps the password of an account. Its errors are
// *post.Error of KindSignIn with a Reason that names what is in the way
// (KindCancelled when ctx ended); they never hold a secret. Safe for concurrent
// use.
type Secrets interface {
	// Get returns the secret: a password, or an access token for XOAUTH2. It is
	// never empty.
	Get(ctx context.Context, a post.Account) (string, error)
	// Set keeps the secret in place of an older one.
	Set(ctx context.Context, a post.Account, secret string) error
	// Delete forgets the secret; that there is none is not an error.
	Delete(ctx context.Context, a post.Account) error
}

// Store is the Secrets of a whole ledger: it asks the keyring or runs the
// password command, as each account says.
type Store struct {
	Keyring Secrets // for post.SecretKeyring
	Command Secrets // for post.SecretCommand
}

var _ Secrets = Store{}

// NewStore returns the Store of this computer: its keyring and its shell.
func NewStore() Store { return Store{Keyring: NewKeyring(), Command: NewCommand()} }

// Get returns the account's secret; see Secrets.
func (s Store) Get(ctx context.Context, a post.Account) (string, error) {
	from := s.of(a)
	if from == nil {
		return "", errMissing()
	}
	secret, err := from.Get(ctx, a)
	if err != nil {
		return "", err
	}
	return usable(secret)
}

// Set keeps a secret. Only a keyring can; for any other account it is a
// KindConflict.
func (s Store) Set(ctx context.Context, a post.Account, secret string) error {
	if err := checkSecret(secret); err != nil {
		return err
	}
	from := s.of(a)
	if from == nil {
		return errNotKept()
	}
	return from.Set(ctx, a, secret)
}

// Delete forgets the account's secret where one is kept.
func (s Store) Delete(ctx context.Context, a post.Account) error {
	if from := s.of(a); from != nil {
		return from.Delete(ctx, a)
	}
	return nil
}

func (s Store) of(a post.Account) Secrets {
	switch a.Secret {
	case post.SecretKeyring:
		return s.Keyring
	case post.SecretCommand:
		return s.Command
	}
	return nil
}

// NewSecretRef returns a random name for a keyring entry, so that neither the
// entry's name nor the ledger says whose password it is.
func NewSecretRef() string { return "account-" + strings.ToLower(rand.Text()) }

// The catalogue keys of what can be in the way of a secret.
const (
	keyMissing        = "secret.missing"
	keyEmpty          = "secret.empty"
	keyUnusable       = "secret.unusable"
	keyNotKept        = "secret.not_kept"
	keyKeyringLocked  = "keyring.locked"
	keyKeyringWaiting = "keyring.waiting"
	keyKeyringAbsent  = "keyring.absent"
	keyKeyringNone    = "keyring.none"
	keyKeyringTooBig  = "keyring.too_big"
	keyKeyringFailed  = "keyring.failed"
	keyCommandHeld    = "command.held"
	keyCommandMissing = "command.missing"
	keyCommandFailed  = "command.failed"
	keyCommandTimeout = "command.timeout"
	keyCommandTooLong = "command.too_long"

	keyTooMany = "signin.too_many" // the guard's
)

const opSecret = "password"

func signInError(key, message string, err error, args ...string) *post.Error {
	return &post.Error{
		Kind: post.KindSignIn, Op: opSecret, Message: message,
		Reason: post.Reason{Key: key, Args: args}, Err: err,
	}
}

func errMissing() *post.Error {
	return signInError(keyMissing, "there is no password for this account; enter it again", nil)
}

func errNotKept() *post.Error {
	return &post.Error{
		Kind: post.KindConflict, Op: opSecret, Message: "this account's password does not come from the keyring, so it cannot be kept there",
		Reason: post.Reason{Key: keyNotKept},
	}
}

// checkSecret refuses what must never be sent to a server: nothing at all, and
// the characters that end a field in PLAIN (RFC 4616 2) and XOAUTH2.
func checkSecret(secret string) error {
	switch {
	case secret == "":
		return signInError(keyEmpty, "the password is empty", nil)
	case strings.ContainsAny(secret, "\x00\x01"):
		return signInError(keyUnusable, "the password holds a character that cannot be sent", nil)
	}
	return nil
}

// usable returns a secret that checkSecret passes.
func usable(secret string) (string, error) {
	if err := checkSecret(secret); err != nil {
		return "", err
	}
	return secret, nil
}

// cancelled is the error of a step that ctx ended.
func cancelled(err error) *post.Error {
	return &post.Error{Kind: post.KindCancelled, Op: opSecret, Message: "stopped while waiting for the password", Err: err}
}

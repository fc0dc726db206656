package accounts

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"postroom/assets/providers"
	"postroom/post"
	"postroom/storage"
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

// Store is the Secrets of a whole ledger: it asks the place that each account
// says. A place that is nil has nothing; there is no fall-back from one to
// another.
type Store struct {
	Keyring Secrets  // for post.SecretKeyring
	Command Secrets  // for post.SecretCommand
	Vault   *Vault   // for post.SecretVault
	Session *Session // for post.SecretAsk
	Tokens  *Tokens  // for post.SecretOAuth
}

var (
	_ Secrets   = Store{}
	_ Refresher = Store{}
)

// NewStore returns the Store of this computer, its keyring and its shell,
// without what belongs to a data folder: see In.
func NewStore() Store { return Store{Keyring: NewKeyring(), Command: NewCommand()} }

// In returns the Store for the data folder dir, with its vault, the passwords
// that are asked for, and the tokens on shelf. What is set already stays.
func (s Store) In(dir string, shelf Shelf) Store {
	if s.Vault == nil {
		s.Vault = NewVault(filepath.Join(dir, VaultFile))
	}
	if s.Session == nil {
		s.Session = &Session{}
	}
	if s.Tokens == nil {
		s.Tokens = &Tokens{Shelf: shelf, Keyring: s.Keyring, Vault: s.Vault}
	}
	return s
}

// Get returns the account's secret; see Secrets.
func (s Store) Get(ctx context.Context, a post.Account) (string, error) {
	from := s.of(a.Secret)
	if from == nil {
		return "", errMissing()
	}
	secret, err := from.Get(ctx, a)
	if err != nil {
		return "", err
	}
	return usable(secret)
}

// Set keeps a secret. A command cannot: that is a KindConflict.
func (s Store) Set(ctx context.Context, a post.Account, secret string) error {
	if err := checkSecret(secret); err != nil {
		return err
	}
	from := s.of(a.Secret)
	if from == nil {
		return errNotKept()
	}
	return from.Set(ctx, a, secret)
}

// Delete forgets the account's secret where one is kept.
func (s Store) Delete(ctx context.Context, a post.Account) error {
	if from := s.of(a.Secret); from != nil {
		return from.Delete(ctx, a)
	}
	return nil
}

// Refresh returns a token in place of one that a server refused; see Refresher.
func (s Store) Refresh(ctx context.Context, a post.Account, refused string) (string, error) {
	if a.Secret != post.SecretOAuth || s.Tokens == nil {
		return "", errMissing()
	}
	return s.Tokens.Refresh(ctx, a, refused)
}

// of is the place of a kind; a nil pointer in it would not be a nil Secrets.
func (s Store) of(kind post.SecretKind) Secrets {
	switch {
	case kind == post.SecretKeyring:
		return s.Keyring
	case kind == post.SecretCommand:
		return s.Command
	case kind == post.SecretVault && s.Vault != nil:
		return s.Vault
	case kind == post.SecretAsk && s.Session != nil:
		return s.Session
	case kind == post.SecretOAuth && s.Tokens != nil:
		return s.Tokens
	}
	return nil
}

// Movable reports whether an account's password can be moved to another place:
// what is in keyring or vault, or was given in this run.
func Movable(kind post.SecretKind) bool {
	return kind == post.SecretKeyring || kind == post.SecretVault || kind == post.SecretAsk
}

// Move takes an account's password to another place: keyring, vault, or ask
// (where it is in memory for the rest of the run, and then asked for). keep
// stores the changed account. The password is in its new place before the
// account says so, and leaves the old one after; a crash in between leaves it in
// both. An error of KindSignIn after keep means that the old one could not be
// forgotten: the account is moved all the same, and returned.
func (s Store) Move(ctx context.Context, a post.Account, to post.SecretKind, keep func(post.Account) error) (post.Account, error) {
	if a.Secret == to {
		return a, nil
	}
	if !Movable(a.Secret) || !Movable(to) || s.of(to) == nil {
		return a, errNotKept()
	}
	secret, err := s.Get(ctx, a)
	if err != nil {
		return a, err
	}
	moved := a
	moved.Secret, moved.SecretRef = to, NewSecretRef()
	if to == post.SecretAsk {
		moved.SecretRef = ""
	}
	if err := s.Set(ctx, moved, secret); err != nil {
		return a, err
	}
	ctx = context.WithoutCancel(ctx)
	if err := keep(moved); err != nil {
		return a, errors.Join(err, s.Delete(ctx, moved))
	}
	return moved, s.Delete(ctx, a)
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
		Kind: post.KindConflict, Op: opSecret, Message: "this account's password is not kept by Postroom, so it cannot be changed or moved here",
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

// Kept is where it is written which secrets of an account lie where; a
// *storage.Ledger is one.
type Kept interface {
	AccountSecret(ctx context.Context, account int64) (storage.SealedSecret, error)
	Signing(ctx context.Context, account int64) (*post.Signing, error)
	Certificate(ctx context.Context, account int64) (*post.Certificate, error)
	Setting(ctx context.Context, key, fallback string) (string, error)
}

// UsesVault reports whether an account needs the vault to send: for its
// password, for the key of its tokens or the client secret that renews them, or
// for a key that signs its mail.
func UsesVault(ctx context.Context, k Kept, a *post.Account) bool {
	if a.Secret == post.SecretVault {
		return true
	}
	if a.Secret == post.SecretOAuth {
		if lies, err := k.AccountSecret(ctx, a.ID); err == nil && lies.Home == post.SecretVault {
			return true
		}
		if known, ok := providers.AuthServerByID(a.OAuth.Provider); ok {
			if place, err := k.Setting(ctx, known.ClientSecretPlaceSetting(), ""); err == nil && place == string(post.SecretVault) {
				return true
			}
		}
	}
	keys, err := KeysOf(ctx, k, a.ID)
	return err == nil && slices.ContainsFunc(keys, func(key post.Account) bool { return key.Secret == post.SecretVault })
}

package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"postroom/post"
	"postroom/storage"
)

// Refresher is a Secrets that can get another secret in place of one that a
// server has refused: an access token may end before its time.
type Refresher interface {
	// Refresh returns a secret that is not refused. It asks for a new one only
	// where nobody has done so meanwhile.
	Refresh(ctx context.Context, a post.Account, refused string) (string, error)
}

// Shelf is where sealed tokens lie; a *storage.Ledger is one.
type Shelf interface {
	AccountSecret(ctx context.Context, account int64) (storage.SealedSecret, error)
	SetAccountSecret(ctx context.Context, account int64, s storage.SealedSecret) error
	DeleteAccountSecret(ctx context.Context, account int64) error
	ClientShelf
	Dir() string
}

// Tokens gets access tokens (RFC 6749) for accounts that sign in by one.
//
// An account's tokens lie on the shelf, sealed under a key of their own; that
// key is in the keyring or the vault, under the account's SecretRef, because a
// token may be larger than a keyring takes. An access token is used until
// shortly before its end. Then the refresh token buys another, and what came
// back is on disk before any of it is used: the server may have made the old
// one worthless. One process does this at a time. What the server said is told
// by its error code alone, because its text could hold a token.
//
// Errors are of KindSignIn where the user must sign in again or act, and of
// KindNetwork where the server could not be reached or did not make sense: that
// is waited out. Safe for concurrent use.
type Tokens struct {
	Shelf   Shelf
	Keyring Secrets
	Vault   Secrets
	Client  *http.Client // nil: this computer's network and authorities
	Clock   post.Clock   // nil: the system's

	mu sync.Mutex // one refresh at a time
}

var (
	_ Secrets   = (*Tokens)(nil)
	_ Refresher = (*Tokens)(nil)
)

const (
	// renewBefore is how long before its end an access token is renewed.
	renewBefore = 2 * time.Minute
	// usualLife is taken where a server does not say how long a token lasts.
	usualLife = 30 * time.Minute
	// tokenTime bounds one request to an authorization server.
	tokenTime = 30 * time.Second
	// maxToken bounds what is taken for a token, in bytes.
	maxToken = 16 << 10
)

// tokens are what is sealed.
type tokens struct {
	Access  string    `json:"access"`
	Refresh string    `json:"refresh"`
	Until   time.Time `json:"until"`
}

// Get returns an access token that is good for a while.
func (t *Tokens) Get(ctx context.Context, a post.Account) (string, error) {
	return t.token(ctx, a, func(have tokens) bool { return have.Until.Sub(t.now()) > renewBefore })
}

// Refresh returns another token than the refused one.
func (t *Tokens) Refresh(ctx context.Context, a post.Account, refused string) (string, error) {
	return t.token(ctx, a, func(have tokens) bool { return have.Access != refused && have.Until.After(t.now()) })
}

// Set is a KindConflict: tokens come from signing in.
func (t *Tokens) Set(context.Context, post.Account, string) error { return errNotKept() }

// Delete forgets the tokens and their key. It does not tell the provider.
func (t *Tokens) Delete(ctx context.Context, a post.Account) error {
	lies, err := t.Shelf.AccountSecret(ctx, a.ID)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	homes := []Secrets{t.Keyring, t.Vault}
	if err == nil {
		homes = []Secrets{t.home(lies.Home)}
	}
	err = t.Shelf.DeleteAccountSecret(ctx, a.ID)
	for _, home := range homes {
		if home == nil {
			continue
		}
		if derr := home.Delete(ctx, a); derr != nil && len(homes) == 1 {
			err = errors.Join(err, derr)
		}
	}
	return err
}

func (t *Tokens) now() time.Time {
	if t.Clock == nil {
		return time.Now()
	}
	return t.Clock.Now()
}

func (t *Tokens) home(kind post.SecretKind) Secrets {
	if kind == post.SecretVault {
		return t.Vault
	}
	return t.Keyring
}

// token returns the access token on the shelf where good says so, and otherwise
// buys another.
func (t *Tokens) token(ctx context.Context, a post.Account, good func(tokens) bool) (string, error) {
	have, _, err := t.read(ctx, a)
	if err != nil {
		return "", err
	}
	if good(have) {
		return usable(have.Access)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	leave, err := t.alone(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	have, seal, err := t.read(ctx, a) // another may have been quicker
	if err != nil {
		return "", err
	}
	if good(have) {
		return usable(have.Access)
	}
	server, err := t.server(ctx, a.OAuth, seal.home)
	if err != nil {
		return "", err
	}
	fresh, err := t.renew(ctx, server, have)
	if err != nil {
		return "", err
	}
	// The old refresh token may be worthless by now: nothing may come between.
	if err := t.write(context.WithoutCancel(ctx), a, seal, fresh); err != nil {
		return "", err
	}
	return usable(fresh.Access)
}

// alone waits until no other process renews tokens.
func (t *Tokens) alone(ctx context.Context) (leave func(), err error) {
	gate := flock.New(filepath.Join(t.Shelf.Dir(), "tokens.lock"), flock.SetPermissions(0o600))
	wait, stop := context.WithTimeout(ctx, 2*tokenTime)
	defer stop()
	ok, err := gate.TryLockContext(wait, 20*time.Millisecond)
	switch {
	case ctx.Err() != nil:
		return nil, cancelled(ctx.Err())
	case err != nil || !ok:
		return nil, tokenTrouble(err)
	}
	return func() { _ = gate.Unlock() }, nil // closing the file releases it in any case
}

// tokenSeal is where an account's tokens are sealed, and the key.
type tokenSeal struct {
	home post.SecretKind
	key  []byte
}

// read opens what is on the shelf.
func (t *Tokens) read(ctx context.Context, a post.Account) (tokens, tokenSeal, error) {
	lies, err := t.Shelf.AccountSecret(ctx, a.ID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return tokens{}, tokenSeal{}, signInError(keyTokenMissing, "this account is not signed in; sign in with its provider", nil)
	case err != nil:
		return tokens{}, tokenSeal{}, err
	}
	seal := tokenSeal{home: lies.Home}
	home := t.home(lies.Home)
	if home == nil {
		return tokens{}, seal, errMissing()
	}
	text, err := home.Get(ctx, a)
	var e *post.Error
	if errors.As(err, &e) && e.Reason.Key == keyMissing { // the tokens can never be opened again
		return tokens{}, seal, signInError(keyTokenMissing, "this account is not signed in; sign in with its provider", err)
	}
	if err != nil {
		return tokens{}, seal, err
	}
	var have tokens
	if seal.key, err = decodeKey(text); err == nil {
		var plain []byte
		if plain, err = openBox(seal.key, boxName(a), lies.Sealed); err == nil {
			err = json.Unmarshal(plain, &have)
			clear(plain)
		}
	}
	if err != nil {
		return tokens{}, seal, signInError(keyTokenMissing, "what was kept for this account cannot be opened; sign in with its provider again", nil)
	}
	return have, seal, nil
}

// write seals and keeps.
func (t *Tokens) write(ctx context.Context, a post.Account, seal tokenSeal, have tokens) error {
	plain, err := json.Marshal(have)
	if err != nil {
		return tokenTrouble(err)
	}
	box, err := sealBox(seal.key, boxName(a), plain)
	clear(plain)
	if err != nil {
		return tokenTrouble(err)
	}
	return t.Shelf.SetAccountSecret(ctx, a.ID, storage.SealedSecret{Home: seal.home, Sealed: box})
}

// checkToken takes what can be a token (RFC 6750 2.1, with room).
func checkToken(s string) bool {
	return s != "" && len(s) <= maxToken && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// The catalogue keys of what can be in the way of a token.
const (
	keyTokenMissing  = "token.missing"
	keyTokenRevoked  = "token.revoked"
	keyTokenClient   = "token.client"
	keyTokenNoClient = "token.no_client"
	keyTokenServer   = "token.server"
	keyTokenFailed   = "token.failed"
	keyTokenDenied   = "token.denied"
	keyTokenTime     = "token.time"
	keyTokenAnswer   = "token.answer"
	keyTokenIssuer   = "token.issuer"
	keyTokenRefused  = "token.refused"
	keyTokenShort    = "token.short"
)

// tokenTrouble is for what is wrong on this computer.
func tokenTrouble(err error) *post.Error {
	return signInError(keyTokenFailed, "the account's tokens could not be kept", err)
}

// serverTrouble is for an authorization server that cannot be reached or does
// not make sense: it is waited out.
func serverTrouble(detail string) *post.Error {
	return &post.Error{
		Kind: post.KindNetwork, Op: opToken, Message: "the sign-in server of the provider did not answer as it should: " + detail,
		Reason: post.Reason{Key: keyTokenServer, Args: []string{detail}},
	}
}

const opToken = "sign in"

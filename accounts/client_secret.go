package accounts

import (
	"context"
	"errors"

	"postroom/assets/providers"
	"postroom/post"
)

// ClientShelf is where it is written in which place a client secret lies; a
// *storage.Ledger is one.
type ClientShelf interface {
	Setting(ctx context.Context, key, fallback string) (string, error)
	SetSetting(ctx context.Context, key, value string) error
	EraseSetting(ctx context.Context, key string) error
}

const keyClientSecretMissing = "token.no_client_secret"

// PlaceLedger is the place of a client secret that an older version kept, readable,
// among the settings; it is moved when it is first used.
const PlaceLedger post.SecretKind = "ledger"

// SetClientSecret keeps what a provider shows beside the client id (RFC 6749
// 2.3.1) in keyring or vault, in place of an older one; empty forgets it. In a
// program that everybody can take apart it proves nothing (RFC 8252 8.5), but the
// user's own names their project at the provider, so it is kept as a password is.
// It is in its place before the ledger says so.
func (t *Tokens) SetClientSecret(ctx context.Context, s *providers.AuthServer, secret string, place post.SecretKind) error {
	old, err := t.ClientSecretPlace(ctx, s)
	if err != nil {
		return err
	}
	if secret == "" {
		place = ""
	}
	entry, err := t.clientEntry(ctx, s)
	if err != nil {
		return err
	}
	if secret == "" { // what cannot be forgotten stays where it is found again
		if home := t.kept(old); home != nil {
			if err := home.Delete(ctx, entry); err != nil {
				return err
			}
		}
		old = ""
	} else {
		home := t.kept(place)
		if home == nil {
			return errNotKept()
		}
		if err := home.Set(ctx, entry, secret); err != nil {
			return err
		}
	}
	ctx = context.WithoutCancel(ctx)
	if err := t.Shelf.SetSetting(ctx, s.ClientSecretPlaceSetting(), string(place)); err != nil {
		return err
	}
	err = t.Shelf.EraseSetting(ctx, s.ClientSecretSetting())
	if home := t.kept(old); home != nil && old != place {
		err = errors.Join(err, home.Delete(ctx, entry))
	}
	return err
}

// ClientSecretPlace says where a client secret is kept: keyring, vault,
// PlaceLedger, or empty where there is none.
func (t *Tokens) ClientSecretPlace(ctx context.Context, s *providers.AuthServer) (post.SecretKind, error) {
	old, err := t.Shelf.Setting(ctx, s.ClientSecretSetting(), "")
	if err != nil {
		return "", err
	}
	if old != "" {
		return PlaceLedger, nil
	}
	place, err := t.Shelf.Setting(ctx, s.ClientSecretPlaceSetting(), "")
	return post.SecretKind(place), err
}

// MoveClientSecrets takes the client secrets that an older version kept among the
// settings to keyring or vault. What cannot be moved stays, and can be moved later.
func (t *Tokens) MoveClientSecrets(ctx context.Context, place post.SecretKind) error {
	var failed error
	for _, s := range providers.AuthServers() {
		_, err := t.moveClientSecret(ctx, &s, place)
		failed = errors.Join(failed, err)
	}
	return failed
}

// moveClientSecret moves one, and returns it; empty where the settings hold none.
func (t *Tokens) moveClientSecret(ctx context.Context, s *providers.AuthServer, place post.SecretKind) (string, error) {
	old, err := t.Shelf.Setting(ctx, s.ClientSecretSetting(), "")
	if err != nil || old == "" {
		return "", err
	}
	return old, t.SetClientSecret(ctx, s, old, place)
}

// clientSecret returns the client secret, empty where the user gave none. home is a
// place that is open: one from an older version's settings is moved there.
func (t *Tokens) clientSecret(ctx context.Context, s *providers.AuthServer, home post.SecretKind) (string, error) {
	place, err := t.ClientSecretPlace(ctx, s)
	switch {
	case err != nil || place == "":
		return "", err
	case place == PlaceLedger:
		return t.moveClientSecret(ctx, s, home)
	}
	from := t.kept(place)
	if from == nil {
		return "", errClientSecret(s, nil)
	}
	entry, err := t.clientEntry(ctx, s)
	if err != nil {
		return "", err
	}
	secret, err := from.Get(ctx, entry)
	var e *post.Error
	if errors.As(err, &e) && e.Reason.Key == keyMissing {
		return "", errClientSecret(s, err)
	}
	return secret, err
}

// kept is the place of a kind that keeps secrets, or nil.
func (t *Tokens) kept(place post.SecretKind) Secrets {
	if place != post.SecretKeyring && place != post.SecretVault {
		return nil
	}
	return t.home(place)
}

// clientEntry is the account whose password the client secret would be taken for.
// Its name follows from the ledger's, so that two processes that keep it at once
// leave one entry.
func (t *Tokens) clientEntry(ctx context.Context, s *providers.AuthServer) (post.Account, error) {
	id, err := t.Shelf.Setting(ctx, "ledger.id", "")
	if err == nil && id == "" {
		err = &post.Error{Kind: post.KindInternal, Op: opToken, Message: "the ledger has no id"}
	}
	return post.Account{Name: s.Name, SecretRef: "client-" + s.ID + "-" + id}, err
}

func errClientSecret(s *providers.AuthServer, err error) *post.Error {
	return signInError(keyClientSecretMissing, "the client secret for "+s.Name+" is not where it was kept; give it again in the settings", err, s.Name)
}

package accounts

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"

	"postroom/post"
)

// KeyLedger is where it is written with which keys an account's mail is signed; a
// *storage.Ledger is one.
type KeyLedger interface {
	Kept
	SetSigning(ctx context.Context, s post.Signing) error
	SetCertificate(ctx context.Context, c post.Certificate) error
}

// The kinds of keys that sign mail, as users call them.
const (
	KeyDKIM  = "DKIM"
	KeySMIME = "S/MIME"
)

// KeysElsewhere reports whether a key that signs an account's mail lies in another
// place than to, which is keyring or vault.
func KeysElsewhere(ctx context.Context, l Kept, account int64, to post.SecretKind) (bool, error) {
	if to != post.SecretKeyring && to != post.SecretVault {
		return false, nil
	}
	keys, err := KeysOf(ctx, l, account)
	return slices.ContainsFunc(keys, func(k post.Account) bool { return k.Secret != to }), err
}

// MoveKeys takes the keys that sign an account's mail (DKIM, S/MIME) to keyring or
// vault, and returns which of them were moved. Nobody can type a key, so for any
// other place they stay where they are. Each is in its new place before the ledger
// says so, and leaves the old one after; what was moved before an error stays
// moved. An error beside all of them means that an old entry could not be forgotten.
func (s Store) MoveKeys(ctx context.Context, l KeyLedger, account int64, to post.SecretKind) (moved []string, err error) {
	if to != post.SecretKeyring && to != post.SecretVault {
		return nil, nil
	}
	var stayed error
	sign, err := l.Signing(ctx, account)
	if err != nil {
		return nil, err
	}
	if sign != nil && keptUnder(*sign).Secret != to {
		next := *sign
		next.SecretRef = keyRef(to, "signing-")
		stayed, err = s.moveKey(ctx, keptUnder(*sign), keptUnder(next), func(ctx context.Context) error { return l.SetSigning(ctx, next) })
		if err != nil {
			return nil, err
		}
		moved = append(moved, KeyDKIM)
	}
	cert, err := l.Certificate(ctx, account)
	if err != nil {
		return moved, err
	}
	if cert != nil && certificateUnder(*cert).Secret != to {
		next := *cert
		next.SecretRef = keyRef(to, "certificate-")
		left, err := s.moveKey(ctx, certificateUnder(*cert), certificateUnder(next), func(ctx context.Context) error { return l.SetCertificate(ctx, next) })
		if err != nil {
			return moved, err
		}
		moved, stayed = append(moved, KeySMIME), errors.Join(stayed, left)
	}
	return moved, stayed
}

// moveKey moves one key; stayed says why its old entry is still there.
func (s Store) moveKey(ctx context.Context, from, to post.Account, keep func(context.Context) error) (stayed, err error) {
	key, err := s.Get(ctx, from)
	if err != nil {
		return nil, err
	}
	if err := s.Set(ctx, to, key); err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	if err := keep(ctx); err != nil {
		return nil, errors.Join(err, s.Delete(ctx, to))
	}
	return s.Delete(ctx, from), nil
}

// keyRef returns a random name for a key in keyring or vault.
func keyRef(place post.SecretKind, kind string) string {
	ref := kind + strings.ToLower(rand.Text())
	if place == post.SecretVault {
		ref = vaultRef + ref
	}
	return ref
}

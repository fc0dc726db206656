package accounts

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"regexp"
	"strings"

	"postroom/post"
)

// signingBits is the length of a signing key: what every receiver verifies and
// a DNS record can hold (RFC 8301 3.2).
const signingBits = 2048

// selectorForm is what a selector may be: a name in DNS (RFC 6376 3.1).
var selectorForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?){0,3}$`)

// MakeSigningKey makes a key that signs an account's mail (DKIM) and keeps it where
// the account keeps its password, in the vault or else in the keyring, or with
// inVault in the vault, under a name of its own. The caller stores what is returned; mail
// is best signed once receivers find the record, see SigningRecord.
func MakeSigningKey(ctx context.Context, secrets Secrets, a post.Account, selector string, inVault bool) (post.Signing, error) {
	const op = "make the signing key"
	selector = strings.ToLower(strings.TrimSpace(selector))
	if !selectorForm.MatchString(selector) || len(selector) > 63 {
		return post.Signing{}, &post.Error{
			Kind: post.KindInvalid, Op: op, Message: "the selector is a short name of letters, digits and hyphens, such as postroom1",
			Reason: post.Reason{Key: "dkim.selector.wrong"},
		}
	}
	address, err := post.ParseAddress(a.Email)
	if err != nil {
		return post.Signing{}, err
	}
	key, err := rsa.GenerateKey(rand.Reader, signingBits)
	if err != nil {
		return post.Signing{}, &post.Error{Kind: post.KindInternal, Op: op, Err: err}
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return post.Signing{}, &post.Error{Kind: post.KindInternal, Op: op, Err: err}
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return post.Signing{}, &post.Error{Kind: post.KindInternal, Op: op, Err: err}
	}
	s := post.Signing{Account: a.ID, Domain: address.ASCII, Selector: selector, SecretRef: "signing-" + strings.ToLower(rand.Text()), PublicKey: public}
	if inVault || a.Secret == post.SecretVault {
		s.SecretRef = vaultRef + s.SecretRef
	}
	return s, secrets.Set(ctx, keptUnder(s), base64.StdEncoding.EncodeToString(private))
}

// keptUnder is the account whose password the keyring would take the key for.
func keptUnder(s post.Signing) post.Account {
	return entry(s.Account, s.Domain, s.SecretRef)
}

// SigningKey reads a signing key from the keyring. Its errors are those of Secrets.
func SigningKey(ctx context.Context, keyring Secrets, s post.Signing) (crypto.Signer, error) {
	text, err := keyring.Get(ctx, keptUnder(s))
	if err != nil {
		return nil, err
	}
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errSigningKey(nil)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errSigningKey(nil) // the cause could quote the key
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errSigningKey(nil)
	}
	return private, nil
}

func errSigningKey(err error) *post.Error {
	return signInError("secret.signing", "the signing key in the keyring cannot be used; make a new one", err)
}

// DeleteSigningKey forgets a signing key; that there is none is not an error.
func DeleteSigningKey(ctx context.Context, keyring Secrets, s post.Signing) error {
	return keyring.Delete(ctx, keptUnder(s))
}

// SigningRecord is the DNS record by which receivers find the public key: its
// name, and the value of a TXT record.
func SigningRecord(s post.Signing) (name, value string) {
	return s.Selector + "._domainkey." + s.Domain, "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(s.PublicKey)
}

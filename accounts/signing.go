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

// MakeSigningKey makes a key that signs an account's mail (DKIM) and keeps it in
// home, the keyring or the vault, under a name of its own. The caller stores what is returned; mail
// is best signed once receivers find the record, see SigningRecord.
func MakeSigningKey(ctx context.Context, secrets Secrets, a post.Account, selector string, home post.SecretKind) (post.Signing, error) {
	const op = "make the signing key"
	selector = strings.ToLower(strings.TrimSpace(selector))
	if !selectorForm.MatchString(selector) || len(selector) > 63 {
		return post.Signing{}, post.Errorf(post.KindInvalid, op, "the selector is a short name of letters, digits and hyphens, such as postroom1")
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
	s := post.Signing{Account: a.ID, Domain: address.ASCII, Selector: selector, SecretRef: "signing-" + strings.ToLower(rand.Text()), Home: home, PublicKey: public}
	return s, secrets.Set(ctx, keptUnder(s), base64.StdEncoding.EncodeToString(private))
}

// keptUnder is the account whose password the key would be taken for.
func keptUnder(s post.Signing) post.Account {
	if s.Home == "" {
		s.Home = post.SecretKeyring
	}
	return post.Account{ID: s.Account, Name: s.Domain, Secret: s.Home, SecretRef: s.SecretRef}
}

// SigningKey reads a signing key from where it is kept. Its errors are those of Secrets.
func SigningKey(ctx context.Context, secrets Secrets, s post.Signing) (crypto.Signer, error) {
	text, err := secrets.Get(ctx, keptUnder(s))
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
	return signInError("secret.signing", "the signing key that is kept cannot be used; make a new one", err)
}

// DeleteSigningKey forgets a signing key; that there is none is not an error.
func DeleteSigningKey(ctx context.Context, secrets Secrets, s post.Signing) error {
	return secrets.Delete(ctx, keptUnder(s))
}

// SigningRecord is the DNS record by which receivers find the public key: its
// name, and the value of a TXT record.
func SigningRecord(s post.Signing) (name, value string) {
	return s.Selector + "._domainkey." + s.Domain, "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(s.PublicKey)
}

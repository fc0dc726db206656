package accounts

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"postroom/post"
)

// vaultRef begins the names of keys that lie in the vault, not in the keyring.
const vaultRef = "vault-"

// KeepCertificate reads a PKCS #12 file (.p12, .pfx) with the certificate of an
// account's address, and keeps its key where the account keeps its password: in
// the vault, else in the keyring. The caller stores what is returned. Neither
// passphrase nor key is part of an error.
func KeepCertificate(ctx context.Context, secrets Secrets, a post.Account, file []byte, passphrase string, now time.Time) (post.Certificate, error) {
	key, leaf, parents, err := pkcs12.DecodeChain(file, passphrase)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return post.Certificate{}, certificateError("certificate.passphrase", "the passphrase of the certificate is wrong")
	case err != nil:
		return post.Certificate{}, certificateError("certificate.unread", "the file holds no certificate with its key; export it as .p12 or .pfx")
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		// A message that is made again must be signed to the same bytes, which
		// other keys do not do.
		return post.Certificate{}, certificateError("certificate.kind", "the certificate's key is not an RSA key; ask for one with an RSA key")
	}
	if err := fits(leaf, a, now); err != nil {
		return post.Certificate{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return post.Certificate{}, &post.Error{Kind: post.KindInternal, Op: "keep the certificate", Err: err}
	}
	c := post.Certificate{Account: a.ID, Chain: slices.Clone(leaf.Raw), SecretRef: "certificate-" + strings.ToLower(rand.Text())}
	for _, p := range parents {
		c.Chain = append(c.Chain, p.Raw...)
	}
	if a.Secret == post.SecretVault {
		c.SecretRef = vaultRef + c.SecretRef
	}
	return c, secrets.Set(ctx, certificateUnder(c), base64.StdEncoding.EncodeToString(der))
}

// fits reports why a certificate cannot sign an account's mail.
func fits(leaf *x509.Certificate, a post.Account, now time.Time) error {
	address, err := post.ParseAddress(a.Email)
	if err != nil {
		return err
	}
	named := slices.ContainsFunc(leaf.EmailAddresses, func(s string) bool {
		x, err := post.ParseAddress(s)
		return err == nil && post.AddressKey(x) == post.AddressKey(address)
	})
	switch {
	case !named:
		return certificateError("certificate.address", "the certificate is not for the address of this account", a.Email)
	case now.After(leaf.NotAfter) || now.Before(leaf.NotBefore):
		return certificateError("certificate.expired", "the certificate is not valid now; ask for a new one", leaf.NotAfter.UTC().Format(time.DateOnly))
	case leaf.KeyUsage != 0 && leaf.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0,
		len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny):
		return certificateError("certificate.use", "the certificate is not for signing mail")
	}
	return nil
}

func certificateError(key, message string, args ...string) error {
	return &post.Error{Kind: post.KindInvalid, Op: "keep the certificate", Message: message, Reason: post.Reason{Key: key, Args: args}}
}

// certificateUnder is the account whose password the key would be taken for.
func certificateUnder(c post.Certificate) post.Account {
	return entry(c.Account, "certificate", c.SecretRef)
}

// entry is the place of a key in keyring or vault.
func entry(account int64, name, ref string) post.Account {
	a := post.Account{ID: account, Name: name, Secret: post.SecretKeyring, SecretRef: ref}
	if strings.HasPrefix(ref, vaultRef) {
		a.Secret = post.SecretVault
	}
	return a
}

// KeysOf returns the places of the keys that sign an account's mail, as Secrets
// take them: who removes the account forgets them, too.
func KeysOf(ctx context.Context, l Kept, account int64) ([]post.Account, error) {
	var all []post.Account
	s, err := l.Signing(ctx, account)
	if err != nil {
		return nil, err
	}
	if s != nil {
		all = append(all, keptUnder(*s))
	}
	c, err := l.Certificate(ctx, account)
	if c != nil {
		all = append(all, certificateUnder(*c))
	}
	return all, err
}

// CertificateKey reads a certificate's key, and the chain: the account's own
// first. Its errors are those of Secrets.
func CertificateKey(ctx context.Context, secrets Secrets, c post.Certificate) (*rsa.PrivateKey, []*x509.Certificate, error) {
	chain, err := x509.ParseCertificates(c.Chain)
	if err != nil || len(chain) == 0 {
		return nil, nil, signInError("secret.certificate", "the certificate in the ledger cannot be used; import it again", nil)
	}
	text, err := secrets.Get(ctx, certificateUnder(c))
	if err != nil {
		return nil, nil, err
	}
	der, err := base64.StdEncoding.DecodeString(text)
	if err == nil {
		if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
			if private, ok := key.(*rsa.PrivateKey); ok && private.PublicKey.Equal(chain[0].PublicKey) {
				return private, chain, nil
			}
		}
	}
	return nil, nil, signInError("secret.certificate", "the key of the certificate cannot be used; import it again", nil)
}

// CertificateHolds reports that a certificate signs no mail at this time: it has
// ended, or its time has not come. Programs would warn who gets such mail.
func CertificateHolds(c post.Certificate, now time.Time) error {
	chain, err := x509.ParseCertificates(c.Chain)
	if err != nil || len(chain) == 0 {
		return signInError("secret.certificate", "the certificate in the ledger cannot be used; import it again", nil)
	}
	if now.Before(chain[0].NotBefore) || now.After(chain[0].NotAfter) {
		until := chain[0].NotAfter.UTC().Format(time.DateOnly)
		return signInError("secret.certificate_ended", "the certificate holds until "+until+"; import the new one", nil, until)
	}
	return nil
}

// DeleteCertificateKey forgets a certificate's key; that there is none is not an
// error.
func DeleteCertificateKey(ctx context.Context, secrets Secrets, c post.Certificate) error {
	return secrets.Delete(ctx, certificateUnder(c))
}

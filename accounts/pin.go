package accounts

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"

	"postroom/post"
)

// Fingerprint is what one key is pinned by: the SHA-256 of the certificate's
// public key (RFC 7469 2.4), in hexadecimal. It stays when the certificate is
// renewed for the same key.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// pinError is a server that shows another key than the pinned one.
type pinError struct{ cert *x509.Certificate }

// Error says it in the words that administrators know.
func (*pinError) Error() string {
	return "the server shows another certificate than the one that was trusted for this account"
}

// tlsConfig is how the account's server is verified: by name and authority (RFC
// 7817 3), or by the one key that its user has looked at and trusts (RFC 8314
// 5.4), which then is the only one.
func (s *signIn) tlsConfig() (*tls.Config, *post.Fault) {
	roots, fault := authorities(s.a.CA)
	if fault != nil {
		return nil, fault
	}
	c := &tls.Config{ServerName: s.host, RootCAs: roots, MinVersion: tls.VersionTLS12}
	if pin := s.a.Pin; pin != "" {
		c.InsecureSkipVerify = true //nolint:gosec // the line below verifies more strictly: one key and no other
		c.VerifyConnection = func(state tls.ConnectionState) error {
			cert := state.PeerCertificates[0]
			if subtle.ConstantTimeCompare([]byte(Fingerprint(cert)), []byte(pin)) != 1 {
				return &pinError{cert}
			}
			return nil
		}
	}
	return c, nil
}

// untrusted returns the certificate for which a handshake failed, if it was that.
func untrusted(err error) *x509.Certificate {
	var verification *tls.CertificateVerificationError
	var pin *pinError
	switch {
	case errors.As(err, &pin):
		return pin.cert
	case errors.As(err, &verification) && len(verification.UnverifiedCertificates) > 0:
		return verification.UnverifiedCertificates[0]
	}
	return nil
}

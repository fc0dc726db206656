package smtpscript

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Authority signs certificates of test servers. Safe for concurrent use.
type Authority struct {
	root, middle signer
}

type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes a root with one intermediate, valid for a year.
func NewAuthority() (*Authority, error) {
	root, err := newSigner("Test Root", nil)
	if err != nil {
		return nil, err
	}
	middle, err := newSigner("Test Intermediate", &root)
	if err != nil {
		return nil, err
	}
	return &Authority{root: root, middle: middle}, nil
}

// PEM returns the root certificate.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.cert.Raw})
}

// Pool returns a pool with the root certificate alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root.cert)
	return pool
}

func serial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("smtpscript: serial number: %w", err)
	}
	return n, nil
}

func newSigner(name string, parent *signer) (signer, error) {
	n, err := serial()
	if err != nil {
		return signer{}, err
	}
	tmpl := &x509.Certificate{
		SerialNumber:          n,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-48 * time.Hour),
		NotAfter:              time.Now().Add(365 * 24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	key, cert, err := issue(tmpl, parent)
	if err != nil {
		return signer{}, err
	}
	return signer{cert: cert, key: key}, nil
}

// issue makes a key and signs tmpl by parent, or by itself when that is nil.
func issue(tmpl *x509.Certificate, parent *signer) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("smtpscript: key: %w", err)
	}
	by := signer{cert: tmpl, key: key}
	if parent != nil {
		by = *parent
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, by.cert, &key.PublicKey, by.key)
	if err != nil {
		return nil, nil, fmt.Errorf("smtpscript: sign %s: %w", tmpl.Subject.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("smtpscript: parse own certificate: %w", err)
	}
	return key, cert, nil
}

// Issue makes a certificate for the loopback names, as kind says.
func (a *Authority) Issue(kind Certificate) (tls.Certificate, error) { return a.certificate(kind, nil) }

// certificate issues what kind asks for; hosts are added to the loopback names.
func (a *Authority) certificate(kind Certificate, hosts []string) (tls.Certificate, error) {
	n, err := serial()
	if err != nil {
		return tls.Certificate{}, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: n,
		Subject:      pkix.Name{CommonName: "localhost"},
		DNSNames:     append([]string{"localhost"}, hosts...),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:    time.Now().Add(-47 * time.Hour),
		NotAfter:     time.Now().Add(30 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	parent := &a.middle
	switch kind {
	case CertGood, CertIncomplete:
	case CertExpired:
		tmpl.NotAfter = time.Now().Add(-24 * time.Hour)
	case CertWrongName:
		tmpl.Subject.CommonName = "elsewhere.example"
		tmpl.DNSNames, tmpl.IPAddresses = []string{"elsewhere.example"}, nil
	case CertSelfSigned:
		parent = nil
	default:
		return tls.Certificate{}, fmt.Errorf("smtpscript: unknown certificate %d", kind)
	}
	key, leaf, err := issue(tmpl, parent)
	if err != nil {
		return tls.Certificate{}, err
	}
	chain := [][]byte{leaf.Raw}
	if parent != nil && kind != CertIncomplete {
		chain = append(chain, a.middle.cert.Raw)
	}
	return tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, nil
}

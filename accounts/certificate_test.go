package accounts

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"postroom/post"
)

// places are secrets by where they are kept and under which name.
type places map[string]string

func (p places) Get(_ context.Context, a post.Account) (string, error) {
	s, ok := p[string(a.Secret)+" "+a.SecretRef]
	if !ok {
		return "", errors.New("there is none")
	}
	return s, nil
}

func (p places) Set(_ context.Context, a post.Account, secret string) error {
	p[string(a.Secret)+" "+a.SecretRef] = secret
	return nil
}

func (p places) Delete(_ context.Context, a post.Account) error {
	delete(p, string(a.Secret)+" "+a.SecretRef)
	return nil
}

func pkcs12File(t *testing.T, key crypto.Signer, c x509.Certificate, passphrase string) []byte {
	t.Helper()
	c.SerialNumber = big.NewInt(1)
	der, err := x509.CreateCertificate(rand.Reader, &c, &c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	b, err := pkcs12.Modern.Encode(key, made, nil, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A certificate is taken only where it can sign the account's mail now, and its
// key lies where the account's password lies; no error tells the passphrase.
func TestKeepCertificate(t *testing.T) {
	if testing.Short() {
		t.Skip("computing keys takes minutes under the race detector; the plain run does it")
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	good := x509.Certificate{NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), EmailAddresses: []string{"Shop@Example.com"}}
	late, server, strange := good, good, good
	late.NotAfter = now.Add(-time.Minute)
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	strange.EmailAddresses = []string{"ben@example.com"}
	a := post.Account{ID: 7, Email: "shop@example.com", Secret: post.SecretKeyring}
	for _, c := range []struct {
		key  crypto.Signer
		cert x509.Certificate
		says string
	}{
		{key, late, "certificate.expired"},
		{key, server, "certificate.use"},
		{key, strange, "certificate.address"},
		{other, good, "certificate.kind"},
	} {
		kept := places{}
		_, err := KeepCertificate(t.Context(), kept, a, pkcs12File(t, c.key, c.cert, "geheim"), "geheim", now)
		var e *post.Error
		if !errors.As(err, &e) || e.Reason.Key != c.says || len(kept) != 0 {
			t.Errorf("%s: %v, %d kept", c.says, err, len(kept))
		}
	}
	file := pkcs12File(t, key, good, "geheim")
	if _, err := KeepCertificate(t.Context(), places{}, a, file, "falsch", now); err == nil || strings.Contains(err.Error(), "falsch") {
		t.Errorf("a wrong passphrase: %v", err)
	}
	for _, secret := range []post.SecretKind{post.SecretKeyring, post.SecretVault, post.SecretCommand} {
		a.Secret = secret
		kept := places{}
		c, err := KeepCertificate(t.Context(), kept, a, file, "geheim", now)
		if err != nil {
			t.Fatal(err)
		}
		home := post.SecretKeyring
		if secret == post.SecretVault {
			home = post.SecretVault
		}
		for where := range kept {
			if !strings.HasPrefix(where, string(home)+" ") {
				t.Errorf("with a password in %s the key lies in %s", secret, where)
			}
		}
		got, chain, err := CertificateKey(t.Context(), kept, c)
		if err != nil || !got.Equal(key) || len(chain) != 1 {
			t.Errorf("%v, %d certificates", err, len(chain))
		}
		for at, holds := range map[time.Time]bool{now: true, chain[0].NotAfter.Add(time.Second): false, chain[0].NotBefore.Add(-time.Second): false} {
			var e *post.Error
			if err := CertificateHolds(c, at); (err == nil) != holds || !holds && (!errors.As(err, &e) || e.Kind != post.KindSignIn || e.Reason.Key != "secret.certificate_ended") {
				t.Errorf("at %v: %v", at, err)
			}
		}
		s, err := MakeSigningKey(t.Context(), kept, a, "postroom1", false)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := kept[string(home)+" "+s.SecretRef]; !ok {
			t.Errorf("with a password in %s the signing key lies elsewhere: %v", secret, s.SecretRef)
		}
		if err := DeleteCertificateKey(t.Context(), kept, c); err != nil || len(kept) != 1 {
			t.Errorf("%v, %d kept", err, len(kept))
		}
		if _, _, err := CertificateKey(t.Context(), kept, c); err == nil {
			t.Error("a key that was forgotten is there")
		}
	}
}

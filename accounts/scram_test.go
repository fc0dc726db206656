package accounts

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/xdg-go/scram"

	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// TestSCRAMPeer signs in to another implementation of SCRAM, with and without
// channel binding, in each mode and version of TLS. No Debian package offers
// -PLUS to SMTP clients: Dovecot 2.3 does not know it, and Postfix and Exim do
// not tell Cyrus SASL of the channel.
func TestSCRAMPeer(t *testing.T) {
	b := &table{T: t}
	defer b.print()
	all := []string{"PLAIN", mechSCRAM1, mechSCRAM1Plus, "LOGIN", mechSCRAM, mechSCRAMPlus}
	for _, mode := range []post.TLS{post.TLSImplicit, post.TLSStartTLS} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			name := string(mode) + " " + tls.VersionName(version)
			endPoint := false
			try := func(offer []string, auth post.Auth, password string, other bool) string {
				s := smtpscript.Start(t, smtpscript.Config{
					Mode: map[post.TLS]smtpscript.Mode{post.TLSImplicit: smtpscript.ImplicitTLS, post.TLSStartTLS: smtpscript.STARTTLS}[mode],
					User: "shop@example.com", Password: secretForTests, Mechanisms: offer, OtherChannel: other, EndPoint: endPoint, MinTLS: version, MaxTLS: version,
				})
				a := accountAt(t, s.Addr(), mode)
				a.Email, a.CA, a.Auth = "shop@example.com", s.CAPEM(), auth
				got := howItEnded(t, &Dialer{Secrets: planted(password)}, a)
				s.Close()
				return got
			}
			for _, mech := range []string{mechSCRAM1, mechSCRAM, mechSCRAM1Plus, mechSCRAMPlus} {
				b.row("another SCRAM", mech, name, "signed in by "+mech, try([]string{mech}, post.AuthAuto, secretForTests, false))
				b.row("another SCRAM, wrong", mech, name, "auth  advice.password", try([]string{mech}, post.AuthAuto, "wrong", false))
			}
			b.row("offers all", "auto", name, "signed in by "+mechSCRAMPlus, try(all, post.AuthAuto, secretForTests, false))
			// Somebody in between is found out, and nothing weaker is tried.
			for _, mech := range []string{mechSCRAM1Plus, mechSCRAMPlus} {
				b.row("somebody in between", mech, name, "auth  advice.unbound", try([]string{mech, "PLAIN"}, post.AuthAuto, secretForTests, true))
			}
			// A server that knows only its certificate, as one behind a proxy that ends TLS.
			endPoint = true
			for _, mech := range []string{mechSCRAM1Plus, mechSCRAMPlus} {
				b.row("knows its certificate alone", mech, name, "signed in by "+mech, try([]string{mech}, post.AuthAuto, secretForTests, false))
				b.row("its certificate, wrong", mech, name, "auth  advice.password", try([]string{mech}, post.AuthAuto, "wrong", false))
				b.row("another certificate", mech, name, "auth  advice.unbound", try([]string{mech, "PLAIN"}, post.AuthAuto, secretForTests, true))
			}
			endPoint = false
			b.row("somebody in between", "by name", name, "signed in by "+mechSCRAM, try(all, post.AuthSCRAMSHA256, secretForTests, true))
		}
	}
	// Without TLS, on this computer, there is nothing to bind to.
	s := smtpscript.Start(t, smtpscript.Config{User: "shop@example.com", Password: secretForTests, Mechanisms: all})
	a := accountAt(t, s.Addr(), post.TLSNone)
	a.Email, a.Auth = "shop@example.com", post.AuthAuto
	b.row("offers all", "auto", "none", "signed in by "+mechSCRAM, howItEnded(t, &Dialer{Secrets: planted(secretForTests)}, a))
}

// TestSCRAMInBetween: somebody in between whose certificate is believed passes all
// on to the real server, both ways. Bound to the connection or to the certificate,
// the sign-in is refused; what is not bound is not noticed, which shows that all
// else is passed on.
func TestSCRAMInBetween(t *testing.T) {
	b := &table{T: t}
	defer b.print()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, endPoint := range []bool{false, true} {
			for _, mech := range []string{mechSCRAM, mechSCRAMPlus, mechSCRAM1Plus} {
				s := smtpscript.Start(t, smtpscript.Config{
					Mode: smtpscript.ImplicitTLS, User: "shop@example.com", Password: secretForTests, Mechanisms: []string{mech},
					EndPoint: endPoint, MinTLS: version, MaxTLS: version,
				})
				addr, ca := inBetween(t, s.Addr(), version)
				a := accountAt(t, addr, post.TLSImplicit)
				a.Email, a.CA, a.Auth = "shop@example.com", ca, post.AuthAuto
				want := "auth  advice.unbound"
				if mech == mechSCRAM {
					want = "signed in by " + mech
				}
				server := "bound to the connection"
				if endPoint {
					server = "bound to the certificate"
				}
				b.row(server, mech, tls.VersionName(version), want, howItEnded(t, &Dialer{Secrets: planted(secretForTests)}, a))
			}
		}
	}
}

// inBetween listens with a certificate of its own, which the returned authority
// signed, and passes everything on to the server at to.
func inBetween(t *testing.T, to string, version uint16) (addr string, ca []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "in between"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: version, MaxVersion: version,
	})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			here, err := ln.Accept()
			if err != nil {
				return // closed with the test
			}
			there, err := tls.Dial("tcp", to, &tls.Config{InsecureSkipVerify: true}) // it is the attacker
			if err != nil {
				t.Error(err)
				_ = here.Close()
				return
			}
			pass := func(to, from net.Conn) {
				_, _ = io.Copy(to, from) // until either side has enough
				_ = here.Close()
				_ = there.Close()
			}
			all.Go(func() { pass(here, there) })
			all.Go(func() { pass(there, here) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		all.Wait()
	})
	return ln.Addr().String(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TestEndPointBinding: the hash of the certificate is that of its signature, but
// SHA-256 in the place of MD5 and SHA-1 (RFC 5929 4.1); a signature without a hash
// of its own has none.
func TestEndPointBinding(t *testing.T) {
	raw := []byte("a certificate")
	sum256, sum384, sum512 := sha256.Sum256(raw), sha512.Sum384(raw), sha512.Sum512(raw)
	for algorithm, want := range map[x509.SignatureAlgorithm][]byte{
		x509.MD5WithRSA: sum256[:], x509.SHA1WithRSA: sum256[:], x509.ECDSAWithSHA1: sum256[:],
		x509.SHA256WithRSA: sum256[:], x509.SHA256WithRSAPSS: sum256[:], x509.ECDSAWithSHA256: sum256[:],
		x509.SHA384WithRSA: sum384[:], x509.ECDSAWithSHA384: sum384[:],
		x509.SHA512WithRSA: sum512[:], x509.SHA512WithRSAPSS: sum512[:], x509.ECDSAWithSHA512: sum512[:],
		x509.PureEd25519: nil,
	} {
		got, err := scram.NewTLSServerEndpointBinding(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: raw, SignatureAlgorithm: algorithm}}})
		if !bytes.Equal(got.Data, want) || (want == nil) != (err != nil) {
			t.Errorf("%s: %x, %v", algorithm, got.Data, err)
		}
	}
}

package compose

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

// testCertificate is one for an address, with the authority that vouches for it
// in a file.
func testCertificate(t *testing.T) (*Certificate, string) {
	t.Helper()
	issue := func(c, parent *x509.Certificate, pub, priv *rsa.PrivateKey) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &pub.PublicKey, priv)
		if err != nil {
			t.Fatal(err)
		}
		made, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	var keys [2]*rsa.PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Root"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	root = issue(root, root, keys[0], keys[0])
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Shop"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		EmailAddresses: []string{"shop@example.com"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	leaf = issue(leaf, root, keys[1], keys[0])
	file := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &Certificate{Key: keys[1], Chain: []*x509.Certificate{leaf, root}}, file
}

// byOpenSSL verifies a signed message and returns what was signed.
func byOpenSSL(t *testing.T, authority string, message []byte) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", "cms", "-verify", "-CAfile", authority)
	cmd.Stdin = bytes.NewReader(message)
	var why bytes.Buffer
	cmd.Stderr = &why
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, why.Bytes())
	}
	return out, nil
}

// exactly verifies the signature over the very bytes between the first two
// boundaries (RFC 1847 2.1), where nothing is put into a canonical form first.
func exactly(t *testing.T, authority string, message []byte) error {
	t.Helper()
	b := regexp.MustCompile(`boundary="([^"]+)"`).FindSubmatch(message) // the outermost comes first
	if b == nil {
		t.Fatal("no boundary")
	}
	parts := bytes.Split(message, []byte("\r\n--"+string(b[1])))
	if len(parts) != 4 {
		t.Fatalf("%d pieces", len(parts))
	}
	_, text, _ := bytes.Cut(parts[2], []byte("\r\n\r\n"))
	sig, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(text), "\r\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"signed": bytes.TrimPrefix(parts[1], []byte("\r\n")), "sig": sig} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", filepath.Join(dir, "sig"),
		"-content", filepath.Join(dir, "signed"), "-CAfile", authority, "-out", os.DevNull).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// Every kind of message is signed so that OpenSSL verifies it, is inside what it
// was without the signature, is signed to the same bytes twice, and keeps its
// DKIM signature around the whole. A changed byte is found.
func TestCertificateIsVerified(t *testing.T) {
	if testing.Short() {
		t.Skip("computing keys takes minutes under the race detector; the plain run does it")
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("openssl is missing; scripts/setup.sh test installs it")
	}
	cert, authority := testCertificate(t)
	domain, lookup := testSigner(t)
	for i, g := range goldens() {
		m, err := Compile(t.Context(), g.content, testBlobs, Options{})
		if err != nil {
			t.Fatal(err)
		}
		p := g.params()
		var plain, signed, again Message
		if err := m.Render(&plain, &p); err != nil {
			t.Fatal(err)
		}
		p.Signer = &Signer{Certificate: cert}
		if i%2 == 0 { // both
			p.Signer = &Signer{Domain: domain.Domain, Selector: domain.Selector, Key: domain.Key, Certificate: cert}
		}
		for _, msg := range []*Message{&signed, &again} {
			if err := m.Render(msg, &p); err != nil {
				t.Fatal(err)
			}
		}
		raw := signed.Bytes()
		if !bytes.Equal(raw, again.Bytes()) || int64(len(raw)) != signed.Len() {
			t.Errorf("%s: signed twice it differs, or its length is wrong", g.name)
		}
		checkBytes(t, &signed)
		inside, err := byOpenSSL(t, authority, raw)
		if err != nil {
			t.Errorf("%s: not verified: %v", g.name, err)
			continue
		}
		if err := exactly(t, authority, raw); err != nil {
			t.Errorf("%s: not verified to the byte: %v", g.name, err)
		}
		_, body, _ := bytes.Cut(plain.Bytes(), []byte("\r\n\r\n"))
		if !bytes.HasSuffix(inside, body) || !bytes.HasPrefix(inside, []byte("Content-Type: ")) {
			t.Errorf("%s: what was signed is not the message:\n%s", g.name, inside)
		}
		if i%2 == 0 {
			vs, err := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{LookupTXT: lookup})
			if err != nil || len(vs) != 1 || vs[0].Err != nil {
				t.Errorf("%s: DKIM %+v, %v", g.name, vs, err)
			}
		}
		if at := bytes.LastIndex(raw, []byte("Content-Type: text/")); i == 0 && at > 0 {
			broken := bytes.Clone(raw)
			broken[at+len("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n")]++
			if _, err := byOpenSSL(t, authority, broken); err == nil {
				t.Error("a changed message is verified")
			}
		}
	}
}

// The fields of a signed message stay where programs look for them.
func TestCertificateKeepsHeader(t *testing.T) {
	if testing.Short() {
		t.Skip("computing keys takes minutes under the race detector; the plain run does it")
	}
	cert, _ := testCertificate(t)
	m, err := Compile(t.Context(), letter(), testBlobs, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := letterParams()
	p.Signer = &Signer{Certificate: cert}
	var msg Message
	if err := m.Render(&msg, &p); err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(msg.Bytes()), "\r\n\r\n")
	for _, want := range []string{"From: ", "To: ", "Subject: ", "Date: ", "Message-ID: ", "MIME-Version: 1.0", "Content-Type: multipart/signed; "} {
		if strings.Count("\r\n"+head, "\r\n"+want) != 1 {
			t.Errorf("%q is not once in\n%s", want, head)
		}
	}
	if strings.Contains(head, "Content-Transfer-Encoding") {
		t.Errorf("the header speaks of its content:\n%s", head)
	}
}

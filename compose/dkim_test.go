package compose

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
	"pgregory.net/rapid"

	"postroom/post"
)

func testSigner(t testing.TB) (*Signer, func(domain string) ([]string, error)) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	record := "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public)
	return &Signer{Domain: "example.com", Selector: "post", Key: key}, func(domain string) ([]string, error) {
		if domain != "post._domainkey.example.com" {
			t.Errorf("asked for %s", domain)
		}
		return []string{record}, nil
	}
}

// Every signed message is verified by another program's reading of RFC 6376, is
// the unsigned one behind the signature, and is signed to the same bytes twice.
func TestSignedIsVerified(t *testing.T) {
	signer, lookup := testSigner(t)
	verified, listed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		c, _ := drawContent(t)
		m, err := Compile(context.Background(), c, testBlobs, Options{})
		if post.KindOf(err) == post.KindInvalid && c.Format != post.FormatText {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		p := drawParams(t)
		var plain, signed, again Message
		if err := m.Render(&plain, &p); err != nil {
			t.Fatal(err)
		}
		p.Signer = signer
		for _, msg := range []*Message{&signed, &again} {
			if err := m.Render(msg, &p); err != nil {
				t.Fatal(err)
			}
		}
		raw := signed.Bytes()
		if !bytes.Equal(raw, again.Bytes()) || !bytes.HasSuffix(raw, plain.Bytes()) || !bytes.HasPrefix(raw, []byte("DKIM-Signature: ")) {
			t.Fatalf("%q", raw)
		}
		checkBytes(t, &signed)
		if readMail(t, raw); c.Promotion != nil {
			listed++
			if !strings.Contains(string(raw[:700]), "list-unsubscribe:") {
				t.Fatal("the way to unsubscribe is not covered (RFC 8058 4)")
			}
		}
		verify(t, raw, lookup, true)
		// An added recipient or a changed letter is found.
		verify(t, bytes.Replace(raw, []byte("\r\nMIME-Version"), []byte("\r\nTo: eve@example.com\r\nMIME-Version"), 1), lookup, false)
		verify(t, append(bytes.Clone(raw), "x\r\n"...), lookup, false)
		verified++
	})
	if verified < 10 || listed < 3 {
		t.Errorf("%d messages were verified, %d of them promotional", verified, listed)
	}
}

func verify(t failer, raw []byte, lookup func(string) ([]string, error), good bool) {
	t.Helper()
	list, err := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{LookupTXT: lookup})
	if err != nil || len(list) != 1 || list[0].Domain != "example.com" {
		t.Fatalf("%+v, %v", list, err)
	}
	if (list[0].Err == nil) != good {
		t.Fatalf("verified %v, want %v\n%q", list[0].Err, good, raw)
	}
}

func BenchmarkRenderSigned(b *testing.B) {
	signer, _ := testSigner(b)
	m, err := Compile(context.Background(), letter(), testBlobs, Options{})
	if err != nil {
		b.Fatal(err)
	}
	p := letterParams()
	p.Signer = signer
	var msg Message
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Render(&msg, &p); err != nil {
			b.Fatal(err)
		}
	}
}

package accounts

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postroom/post"
)

// patience bounds every wait of the tests' servers; nothing waits this long
// unless it is broken.
const patience = 20 * time.Second

// talk is the server's side of one connection.
type talk struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func (c *talk) say(text string) {
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Logf("server: %v", err)
		runtime.Goexit()
	}
}

// hear reads a line and fails the test unless it begins with prefix.
func (c *talk) hear(prefix string) string {
	line, err := c.r.ReadString('\n')
	return c.want(prefix, line, err)
}

// hearOrEnd is hear for a client that may also leave, before it said anything.
// It may do so with a reset, for what it has not read (RFC 1122 4.2.2.13).
func (c *talk) hearOrEnd(prefix string) string {
	line, err := c.r.ReadString('\n')
	if err != nil && line == "" && !isTimeout(err) {
		runtime.Goexit()
	}
	return c.want(prefix, line, err)
}

func (c *talk) want(prefix, line string, err error) string {
	if err != nil || !strings.HasPrefix(line, prefix) || !strings.HasSuffix(line, "\r\n") {
		c.t.Errorf("server: heard %q (%v), want %q...", line, err, prefix)
		runtime.Goexit()
	}
	return strings.TrimSuffix(line, "\r\n")
}

// secure makes the connection the server's side of TLS.
func (c *talk) secure(cert tls.Certificate) {
	s := tls.Server(c.Conn, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	c.Conn, c.r = s, bufio.NewReader(s)
	if err := s.Handshake(); err != nil {
		runtime.Goexit() // the client tells why
	}
}

// reset ends the connection with RST.
func (c *talk) reset() {
	raw := c.Conn
	if s, ok := raw.(*tls.Conn); ok {
		raw = s.NetConn()
	}
	_ = raw.(*net.TCPConn).SetLinger(0)
	_ = raw.Close()
	runtime.Goexit()
}

// hangUp ends the connection in order.
func (c *talk) hangUp() { _ = c.Close(); runtime.Goexit() }

type server struct {
	host     string
	port     int
	wg       sync.WaitGroup
	accepted atomic.Int64
}

// serve runs script for each connection to a port of loopback. Where the script
// ends the server waits for the client to close: a connection that the client
// keeps fails the test.
func serve(t *testing.T, script func(c *talk)) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := ln.Addr().(*net.TCPAddr)
	s := &server{host: "127.0.0.1", port: at.Port}
	s.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.accepted.Add(1)
			_ = conn.SetDeadline(time.Now().Add(patience))
			s.wg.Go(func() {
				defer conn.Close()
				defer func() { // also after Goexit
					if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
						t.Error("server: the client did not close the connection")
					}
				}()
				script(&talk{Conn: conn, t: t, r: bufio.NewReader(conn)})
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		s.wg.Wait()
	})
	return s
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error) //nolint:errorlint // the wire itself
	return ok && ne.Timeout()
}

// authority makes certificates for tests.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, key := a.sign(template, nil, nil)
	a.key = key
	a.cert, _ = x509.ParseCertificate(der)
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func (a *authority) sign(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		a.t.Fatal(err)
	}
	return der, key
}

// issue makes a server's certificate for name, valid until then.
func (a *authority) issue(name string, until time.Time) tls.Certificate {
	a.t.Helper()
	return a.issueFrom(name, time.Now().Add(-2*time.Hour), until)
}

// issueFrom is issue with the beginning of its validity.
func (a *authority) issueFrom(name string, from, until time.Time) tls.Certificate {
	a.t.Helper()
	return a.issueFor("server", name, from, until)
}

// issueCommonName names the server where nobody may look any more (RFC 9525).
func (a *authority) issueCommonName(name string, until time.Time) tls.Certificate {
	a.t.Helper()
	return a.issueFor(name, "", time.Now().Add(-2*time.Hour), until)
}

func (a *authority) issueFor(commonName, name string, from, until time.Time) tls.Certificate {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: commonName},
		NotBefore: from, NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else if name != "" {
		template.DNSNames = []string{name}
	}
	der, key := a.sign(template, a.cert, a.key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// names is a Resolver from a table; what is not in it does not exist.
type names map[string][]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	found, ok := n[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var out []netip.Addr
	for _, s := range found {
		out = append(out, netip.MustParseAddr(s))
	}
	return out, nil
}

// planted is a Secrets that always finds itself.
type planted string

func (p planted) Get(context.Context, post.Account) (string, error) { return string(p), nil }
func (planted) Set(context.Context, post.Account, string) error     { return nil }
func (planted) Delete(context.Context, post.Account) error          { return nil }

const secretForTests = "pl4nted-S3cret!"

// account is one whose settings fit s.
func account(s *server, mode post.TLS) post.Account {
	return post.Account{
		ID: 7, Name: "shop", Email: "shop@example.com", Host: s.host, Port: s.port,
		TLS: mode, Auth: post.AuthAuto, Secret: post.SecretKeyring, SecretRef: "ref",
	}
}

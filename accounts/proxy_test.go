package accounts

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// carrier is a proxy for tests: it knows names of its own and records what it
// was asked for.
type carrier struct {
	addr string
	t    *testing.T

	mu    sync.Mutex
	asked []string
	names map[string]string // host:port to where it is
	wg    sync.WaitGroup
}

func startCarrier(t *testing.T, speak func(c *carrier, conn net.Conn, r *bufio.Reader) (net.Conn, error)) *carrier {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &carrier{addr: ln.Addr().String(), t: t, names: map[string]string{}}
	c.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				far, err := speak(c, conn, r)
				if err != nil || far == nil {
					return
				}
				defer far.Close()
				var both sync.WaitGroup
				both.Go(func() { _, _ = io.Copy(far, r); _ = far.Close() })
				both.Go(func() { _, _ = io.Copy(conn, far); _ = conn.Close() })
				both.Wait()
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); c.wg.Wait() })
	return c
}

func (c *carrier) reach(target string) (net.Conn, error) {
	c.mu.Lock()
	c.asked = append(c.asked, target)
	at, ok := c.names[target]
	c.mu.Unlock()
	if !ok {
		return nil, errors.New("no such name")
	}
	return net.Dial("tcp", at)
}

// speakSOCKS is RFC 1928 without sign-in.
func speakSOCKS(c *carrier, conn net.Conn, r *bufio.Reader) (net.Conn, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, r, int64(head[1])); err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte{5, 0}); err != nil {
		return nil, err
	}
	ask := make([]byte, 5)
	if _, err := io.ReadFull(r, ask); err != nil {
		return nil, err
	}
	if ask[3] != 3 { // a name; an address would mean that it was looked up here
		c.t.Errorf("asked for an address of type %d", ask[3])
		return nil, errors.New("no name")
	}
	rest := make([]byte, int(ask[4])+2)
	if _, err := io.ReadFull(r, rest); err != nil {
		return nil, err
	}
	far, err := c.reach(net.JoinHostPort(string(rest[:ask[4]]), fmt.Sprint(binary.BigEndian.Uint16(rest[ask[4]:]))))
	code := byte(0)
	if err != nil {
		code = 4 // host unreachable
	}
	_, werr := conn.Write([]byte{5, code, 0, 1, 0, 0, 0, 0, 0, 0})
	return far, errors.Join(err, werr)
}

// speakCONNECT is RFC 9110 9.3.6; its answer comes in one packet with the
// server's first line.
func speakCONNECT(c *carrier, conn net.Conn, r *bufio.Reader) (net.Conn, error) {
	req, err := http.ReadRequest(r)
	if err != nil {
		return nil, err
	}
	if req.Method != http.MethodConnect {
		c.t.Errorf("asked to %s", req.Method)
	}
	far, err := c.reach(req.Host)
	if err != nil {
		_, werr := io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return nil, errors.Join(err, werr)
	}
	answer := []byte("HTTP/1.1 200 OK\r\nVia: test\r\n\r\n")
	if strings.HasSuffix(req.Host, ":587") {
		first := make([]byte, 4)
		if _, err := io.ReadFull(far, first); err != nil {
			return nil, err
		}
		answer = append(answer, first...)
	}
	_, err = conn.Write(answer)
	return far, err
}

// noNames fails the test when a name is looked up here.
type noNames struct{ t *testing.T }

func (n noNames) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.t.Errorf("%s was looked up on this computer", host)
	return nil, errors.New("not here")
}

func TestProxy(t *testing.T) {
	for _, p := range []struct {
		scheme string
		speak  func(*carrier, net.Conn, *bufio.Reader) (net.Conn, error)
	}{{"socks5", speakSOCKS}, {"http", speakCONNECT}} {
		for _, mode := range []smtpscript.Mode{smtpscript.ImplicitTLS, smtpscript.STARTTLS} {
			t.Run(fmt.Sprint(p.scheme, mode), func(t *testing.T) {
				s, err := smtpscript.Listen(smtpscript.Config{Mode: mode, Hosts: []string{"smtp.far.example"}, User: "shop@example.com", Password: secretForTests})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(s.Close)
				c := startCarrier(t, p.speak)
				c.names["smtp.far.example:465"], c.names["smtp.far.example:587"] = s.Addr(), s.Addr()
				a := post.Account{
					ID: 7, Name: "shop", Email: "shop@example.com", Host: "smtp.far.example", Port: 465, TLS: post.TLSImplicit, Auth: post.AuthAuto,
					Secret: post.SecretKeyring, SecretRef: "ref", CA: s.CAPEM(), Proxy: p.scheme + "://" + c.addr,
				}
				if mode == smtpscript.STARTTLS {
					a.Port, a.TLS = 587, post.TLSStartTLS
				}
				d := &Dialer{Secrets: planted(secretForTests), Resolver: noNames{t}}
				r := d.Test(t.Context(), a)
				if !r.OK || s.Stats().SignIns != 1 {
					t.Fatalf("%+v", r.Steps)
				}
				want := net.JoinHostPort(a.Host, fmt.Sprint(a.Port))
				if len(c.asked) != 1 || c.asked[0] != want {
					t.Errorf("asked for %q", c.asked)
				}
				// What the proxy cannot reach is told as that, and waited out.
				a.Host = "nowhere.example"
				fault := dialFault(t, d, a)
				if fault.Phase != post.PhaseConnect || fault.Cause != post.CauseUnreachable || fault.Reason.Key != "fault.proxy" {
					t.Errorf("%+v", fault)
				}
				if r, _ := advice(a, fault); r.Key != "advice.proxy" {
					t.Errorf("advice %s", r.Key)
				}
				// A proxy that is gone, and one that is none.
				a.Proxy = p.scheme + "://" + closedPort(t)
				if fault := dialFault(t, d, a); fault.Cause != post.CauseRefused || fault.Reason.Key != "fault.proxy" {
					t.Errorf("%+v", fault)
				}
				if mode == smtpscript.ImplicitTLS {
					return // that server waits for the other side to speak
				}
				a.Proxy = p.scheme + "://" + s.Addr()
				if fault := dialFault(t, d, a); fault.Phase != post.PhaseConnect || fault.Reason.Key != "fault.proxy" {
					t.Errorf("%+v", fault)
				}
			})
		}
	}
}

// TestProxyNeverInTheClear: plain text is for this computer alone, and a proxy
// on it may lead anywhere.
func TestProxyNeverInTheClear(t *testing.T) {
	c := startCarrier(t, speakSOCKS)
	a := post.Account{ID: 7, Name: "x", Email: "x@example.com", Host: "localhost", Port: 25, TLS: post.TLSNone, Auth: post.AuthNone, Proxy: "socks5://" + c.addr}
	if a.Check() == nil {
		t.Error("it may be stored")
	}
	if fault := dialFault(t, &Dialer{}, a); fault.Cause != post.CauseNotLoopback || len(c.asked) != 0 {
		t.Errorf("%+v, asked %q", fault, c.asked)
	}
	for _, bad := range []string{"127.0.0.1:1080", "socks4://h:1", "socks5://h", "http://user:secret@h:1", "http://h:1/path", "https://h:1", "http://:1"} {
		if post.CheckProxy(bad, post.TLSImplicit) == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

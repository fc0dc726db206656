//go:build unix

package accounts

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"postroom/post"
)

// TestUnaskedInTheSystem: what has arrived and was not read counts, in the clear
// and under TLS, where a record may also say nothing; and so does the end.
func TestUnaskedInTheSystem(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls %v", encrypted), func(t *testing.T) {
			w, server := socket(t, encrypted)
			if c := w.Unasked(); c != post.CauseNone {
				t.Fatalf("%q of a silent server", c)
			}
			say := func(s string) {
				t.Helper()
				if _, err := io.WriteString(server, s); err != nil {
					t.Fatal(err)
				}
			}
			say("250 in answer\r\n")
			if r, err := w.ReadReply(time.Now().Add(time.Minute)); err != nil || r.Code != 250 {
				t.Fatalf("%v, %v", r, err)
			}
			say("250 unasked\r\n")
			arrived(t, w)
			if c := w.Unasked(); c != post.CauseProtocol {
				t.Errorf("%q: what was sent unasked is not noticed", c)
			}
			if r, err := w.ReadReply(time.Now().Add(time.Minute)); err != nil || r.Text != "unasked" || w.Unasked() != post.CauseNone {
				t.Errorf("%v, %v", r, err)
			}
			if err := server.Close(); err != nil {
				t.Fatal(err)
			}
			arrived(t, w)
			for range 2 {
				if c := w.Unasked(); c != post.CauseEOF {
					t.Errorf("%q: the end is not noticed", c)
				}
			}
		})
	}
}

// socket returns both ends of a connection over loopback; with TLS its server
// sends session tickets, which nobody reads for.
func socket(t *testing.T, encrypted bool) (*Wire, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it has served
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if encrypted {
		a := newAuthority(t)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(a.pem)
		ts := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{a.issue("mail.example", time.Now().Add(time.Hour))}})
		tc := tls.Client(client, &tls.Config{RootCAs: roots, ServerName: "mail.example"})
		shaken := make(chan error, 1)
		go func() { shaken <- ts.Handshake() }()
		if err := errors.Join(tc.Handshake(), <-shaken); err != nil {
			t.Fatal(err)
		}
		server, client = ts, tc
	}
	w := NewWire(client)
	t.Cleanup(func() { w.Close(); _ = server.Close() })
	return w, server
}

// arrived waits until the system holds something for w, or its end.
func arrived(t *testing.T, w *Wire) {
	t.Helper()
	raw, err := w.raw.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var failed error
	err = raw.Control(func(fd uintptr) {
		for failed = unix.EINTR; errors.Is(failed, unix.EINTR); {
			n, failed = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Minute.Milliseconds()))
		}
	})
	if err := errors.Join(err, failed); err != nil || n != 1 {
		t.Fatalf("nothing arrives: %d, %v", n, err)
	}
}

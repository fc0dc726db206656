package accounts

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postroom/post"
)

// hello takes EHLO and offers lines.
func (c *talk) hello(offer ...string) {
	c.hear("EHLO [127.0.0.1]")
	c.say("250-mx.test\r\n")
	for _, o := range offer {
		c.say("250-" + o + "\r\n")
	}
	c.say("250 HELP\r\n")
}

// begin greets, goes through STARTTLS and offers lines under it.
func (c *talk) begin(cert tls.Certificate, offer ...string) {
	c.say("220 mx.test ESMTP\r\n")
	c.hello("STARTTLS")
	c.hear("STARTTLS")
	c.say("220 2.0.0 go ahead\r\n")
	c.secure(cert)
	c.hello(offer...)
}

func TestDialSucceeds(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.issue("mail.test", time.Now().Add(time.Hour))
	for _, mode := range []post.TLS{post.TLSStartTLS, post.TLSImplicit} {
		s := serve(t, func(c *talk) {
			offer := []string{"size 35882577", "PIPELINING", "8bitmime", "SMTPUTF8", "dsn", "CHUNKING", "EnhancedStatusCodes", "AUTH plain login", "X-ODD thing", "SIZE"}
			if mode == post.TLSImplicit {
				c.secure(cert)
				c.say("220 mx.test\r\n")
				c.hello(offer...)
			} else {
				c.begin(cert, offer...)
			}
			want := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00shop@example.com\x00"+secretForTests))
			if got := c.hear("AUTH PLAIN "); got != want {
				t.Errorf("server: heard %q", got)
			}
			c.say("235 2.7.0 welcome\r\n")
			c.hear("QUIT")
			c.say("221 bye\r\n")
		})
		var log bytes.Buffer
		a := account(s, mode)
		a.Host, a.CA = "MAIL.test.", ca.pem
		d := &Dialer{
			Secrets: planted(secretForTests), Resolver: names{"mail.test": {"127.0.0.1"}, "MAIL.test": {"127.0.0.1"}},
			Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		}
		conn, err := d.Dial(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		e := conn.Ext
		if !e.Pipelining || !e.EightBitMIME || !e.SMTPUTF8 || !e.DSN || !e.Chunking || !e.EnhancedStatusCodes || e.StartTLS ||
			e.Size != 35882577 || strings.Join(e.Auth, " ") != "PLAIN LOGIN" || strings.Contains(fmt.Sprint(e.Keywords), "ODD") {
			t.Errorf("extensions %+v", e)
		}
		ses := conn.Session
		if ses.Account != a.ID || ses.Host != a.Host || ses.Address != fmt.Sprintf("127.0.0.1:%d", s.port) ||
			!strings.HasPrefix(ses.TLS, "TLS 1.3, TLS_") || ses.Auth != "PLAIN" || ses.OpenedAt.IsZero() {
			t.Errorf("session %+v", ses)
		}
		conn.Quit(patience)
		if strings.Contains(log.String(), secretForTests) || !strings.Contains(log.String(), "signed in") {
			t.Errorf("log: %s", log.String())
		}
	}
}

// TestContextEndsTheDialOnly: cancelling it afterwards does not touch the Conn.
func TestContextEndsTheDialOnly(t *testing.T) {
	s := serve(t, func(c *talk) {
		c.say("220 hi\r\n")
		c.hello()
		c.hear("NOOP")
		c.say("250 ok\r\n")
	})
	a := account(s, post.TLSNone)
	a.Auth = post.AuthNone
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := (&Dialer{}).Dial(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := conn.Write([]byte("NOOP\r\n"), patience); err != nil {
		t.Error(err)
	}
	if r, err := conn.ReadReply(time.Now().Add(patience)); err != nil || r.Code != 250 {
		t.Errorf("got %v, %v", r, err)
	}
	conn.Close()
}

func TestCancelledDial(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, func(c *talk) { c.say("220 hi\r\n"); c.hear("EHLO"); cancel() })
	_, err := (&Dialer{Secrets: planted(secretForTests)}).Dial(ctx, account(s, post.TLSStartTLS))
	var f *post.Fault
	if !errors.As(err, &f) || f.Cause != post.CauseCancelled || f.Phase != post.PhaseEHLO {
		t.Errorf("got %v", err)
	}
}

func TestResolveAndConnect(t *testing.T) {
	refusedAt := func() int { // a port that was ours a moment ago
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		return ln.Addr().(*net.TCPAddr).Port
	}()
	broken := errors.New("broken")
	table := names{"both.test": {"::1", "127.0.0.1"}, "out.test": {"192.0.2.1"}, "none.test": {}}
	for _, c := range []struct {
		name, host string
		resolver   Resolver
		dial       error
		mode       post.TLS
		want       outcome
	}{
		{"no such name", "nowhere.test", table, nil, post.TLSStartTLS, outcome{post.PhaseResolve, post.CauseNoHost, 0, "no such host"}},
		{"a name without addresses", "none.test", table, nil, post.TLSStartTLS, outcome{post.PhaseResolve, post.CauseNoHost, 0, ""}},
		{"DNS time-out", "slow.test", failing{&net.DNSError{Err: "i/o timeout", IsTimeout: true}}, nil, post.TLSStartTLS, outcome{post.PhaseResolve, post.CauseDNS, 0, ""}},
		{"DNS failure", "slow.test", failing{&net.DNSError{Err: "server misbehaving", IsTemporary: true}}, nil, post.TLSStartTLS, outcome{post.PhaseResolve, post.CauseDNS, 0, ""}},
		{"DNS breaks", "slow.test", failing{broken}, nil, post.TLSStartTLS, outcome{post.PhaseResolve, post.CauseDNS, 0, ""}},
		{"refused", "both.test", table, nil, post.TLSStartTLS, outcome{post.PhaseConnect, post.CauseRefused, 0, "refused"}},
		{"network unreachable", "out.test", table, &net.OpError{Op: "dial", Err: syscall.ENETUNREACH}, post.TLSStartTLS, outcome{post.PhaseConnect, post.CauseUnreachable, 0, ""}},
		{"host unreachable", "out.test", table, &net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, post.TLSStartTLS, outcome{post.PhaseConnect, post.CauseUnreachable, 0, ""}},
		{"connect times out", "out.test", table, &net.OpError{Op: "dial", Err: syscall.ETIMEDOUT}, post.TLSStartTLS, outcome{post.PhaseConnect, post.CauseTimeout, 0, ""}},
		{"plain text to another computer", "out.test", table, broken, post.TLSNone, outcome{post.PhaseConnect, post.CauseNotLoopback, 0, ""}},
		{"plain text to a name of this computer", "both.test", table, broken, post.TLSNone, outcome{post.PhaseConnect, post.CauseNotLoopback, 0, ""}},
		{"localhost that is elsewhere", "localhost", names{"localhost": {"192.0.2.1"}}, broken, post.TLSNone, outcome{post.PhaseConnect, post.CauseNotLoopback, 0, ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &Dialer{Secrets: planted(secretForTests), Resolver: c.resolver}
			if c.dial != nil {
				d.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, c.dial }
			}
			a := account(&server{host: c.host, port: refusedAt}, c.mode)
			_, err := d.Dial(t.Context(), a)
			var f *post.Fault
			if !errors.As(err, &f) {
				t.Fatal(err)
			}
			if got := (outcome{f.Phase, f.Cause, f.Reply.Code, c.want.detail}); got != c.want || !strings.Contains(err.Error(), c.want.detail) {
				t.Errorf("got %+v (%v), want %+v", got, err, c.want)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, f.err
}

// TestNextAddress: an address that does not answer is not the end, and of two
// failures the more telling one is reported.
func TestNextAddress(t *testing.T) {
	s := serve(t, func(c *talk) { c.say("220 hi\r\n"); c.hello() })
	a := account(s, post.TLSNone)
	a.Auth, a.Host = post.AuthNone, "localhost"
	var tried []string
	d := &Dialer{Resolver: names{"localhost": {"::1", "127.0.0.1"}}}
	d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		tried = append(tried, addr)
		if strings.HasPrefix(addr, "[") {
			return nil, &net.OpError{Op: "dial", Err: syscall.ENETUNREACH}
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	conn, err := d.Dial(t.Context(), a)
	if err != nil || len(tried) != 2 {
		t.Fatalf("%v, tried %v", err, tried)
	}
	conn.Close()

	for _, unreachable := range []string{"[", "127"} {
		d.DialContext = func(_ context.Context, _, addr string) (net.Conn, error) {
			e := syscall.ECONNREFUSED
			if strings.HasPrefix(addr, unreachable) {
				e = syscall.ENETUNREACH
			}
			return nil, &net.OpError{Op: "dial", Err: e}
		}
		_, err = d.Dial(t.Context(), a)
		var f *post.Fault
		if !errors.As(err, &f) || f.Cause != post.CauseRefused {
			t.Errorf("got %v, want refused", err)
		}
	}
}

// TestPlainTextChecksThePeer: what is connected to counts, not what was asked for.
func TestPlainTextChecksThePeer(t *testing.T) {
	mine, theirs := net.Pipe() // its address is "pipe", which is no loopback
	defer theirs.Close()
	a := account(&server{host: "127.0.0.1", port: 25}, post.TLSNone)
	d := &Dialer{Secrets: planted(secretForTests), DialContext: func(context.Context, string, string) (net.Conn, error) { return mine, nil }}
	_, err := d.Dial(t.Context(), a)
	var f *post.Fault
	if !errors.As(err, &f) || f.Cause != post.CauseNotLoopback {
		t.Errorf("got %v", err)
	}
	if _, err := mine.Write(nil); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the connection was left open: %v", err)
	}
}

// loopbackPipe is a pipe that claims to come from this computer.
type loopbackPipe struct{ net.Conn }

func (loopbackPipe) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:25"))
}

// TestSilence: each step has its own deadline, and a server that is silent
// there is given up when it passes, in virtual time.
func TestSilence(t *testing.T) {
	read := func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }
	for _, c := range []struct {
		name   string
		mode   post.TLS
		script func(c net.Conn)
		want   post.Phase
		after  time.Duration
	}{
		{"greeting", post.TLSNone, func(net.Conn) {}, post.PhaseGreeting, 60 * time.Second},
		{"handshake", post.TLSImplicit, read, post.PhaseTLS, 60 * time.Second},
		{"handshake not even read", post.TLSImplicit, func(net.Conn) {}, post.PhaseTLS, 60 * time.Second},
		{"ehlo", post.TLSNone, func(c net.Conn) { _, _ = io.WriteString(c, "220 hi\r\n"); read(c) }, post.PhaseEHLO, 60 * time.Second},
		{"auth", post.TLSNone, func(c net.Conn) {
			_, _ = io.WriteString(c, "220 hi\r\n")
			read(c)
			_, _ = io.WriteString(c, "250-hi\r\n250 AUTH PLAIN\r\n")
			read(c)
		}, post.PhaseAuth, 60 * time.Second},
		{"slow drip", post.TLSNone, func(c net.Conn) {
			for {
				time.Sleep(500 * time.Millisecond)
				if _, err := io.WriteString(c, "220-still\r\n"); err != nil {
					return
				}
			}
		}, post.PhaseGreeting, 60 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var peers sync.WaitGroup
				done := make(chan struct{})
				defer peers.Wait()
				defer close(done)
				d := &Dialer{Secrets: planted(secretForTests)}
				d.DialContext = func(context.Context, string, string) (net.Conn, error) {
					mine, theirs := net.Pipe()
					peers.Go(func() {
						c.script(theirs)
						<-done
						_, _ = io.Copy(io.Discard, theirs) // for ever, if the client did not close
					})
					return loopbackPipe{mine}, nil
				}
				began := time.Now()
				_, err := d.Dial(t.Context(), account(&server{host: "127.0.0.1", port: 25}, c.mode))
				var f *post.Fault
				if !errors.As(err, &f) || f.Phase != c.want || f.Cause != post.CauseTimeout {
					t.Errorf("got %v", err)
				}
				if d := time.Since(began); d != c.after {
					t.Errorf("gave up after %v, want %v", d, c.after)
				}
			})
		})
	}
}

func TestConnectTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &Dialer{Secrets: planted(secretForTests), Resolver: names{"mail.test": {"192.0.2.1", "192.0.2.2"}}}
		d.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		began := time.Now()
		_, err := d.Dial(t.Context(), account(&server{host: "mail.test", port: 25}, post.TLSImplicit))
		var f *post.Fault
		if !errors.As(err, &f) || f.Phase != post.PhaseConnect || f.Cause != post.CauseTimeout {
			t.Errorf("got %v", err)
		}
		if d := time.Since(began); d != nextAddress+connectTimeout {
			t.Errorf("took %v", d)
		}
	})
}

// TestSecretComesFirst: without a secret no connection is made.
func TestSecretComesFirst(t *testing.T) {
	s := serve(t, func(*talk) {})
	locked := refusingSecrets{signInError(keyKeyringLocked, "locked", nil)}
	for name, c := range map[string]struct {
		secrets Secrets
		key     string
	}{
		"locked": {locked, keyKeyringLocked}, "empty": {planted(""), keyEmpty}, "NUL": {planted("a\x00b"), keyUnusable}, "none": {nil, keyMissing},
	} {
		_, err := (&Dialer{Secrets: c.secrets}).Dial(t.Context(), account(s, post.TLSStartTLS))
		var f *post.Fault
		if !errors.As(err, &f) || f.Phase != post.PhaseSecret || f.Cause != post.CauseSecret || f.Reason.Key != c.key {
			t.Errorf("%s: got %+v", name, f)
		}
	}
	if n := s.accepted.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

type refusingSecrets struct{ err error }

func (r refusingSecrets) Get(context.Context, post.Account) (string, error) { return "", r.err }
func (refusingSecrets) Set(context.Context, post.Account, string) error     { return nil }
func (refusingSecrets) Delete(context.Context, post.Account) error          { return nil }

func TestNoSecretNeeded(t *testing.T) {
	for _, a := range []post.Account{{Auth: post.AuthNone, Secret: post.SecretKeyring}, {Auth: post.AuthAuto, Secret: post.SecretNone}} {
		s := serve(t, func(c *talk) { c.say("220 hi\r\n"); c.hello("AUTH PLAIN"); c.hear("QUIT") })
		b := account(s, post.TLSNone)
		b.Auth, b.Secret = a.Auth, a.Secret
		conn, err := (&Dialer{}).Dial(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		if conn.Session.Auth != "" || conn.Session.TLS != "" {
			t.Errorf("session %+v", conn.Session)
		}
		conn.Quit(0)
	}
}

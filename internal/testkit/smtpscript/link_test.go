package smtpscript_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postroom/internal/testkit/smtpscript"
)

// In memory and on a virtual clock the delays are exact.
func TestDelayRewardsPipelining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const way = 25 * time.Millisecond
		s, err := smtpscript.Listen(smtpscript.Config{Memory: true, Up: way, Down: way, Keep: smtpscript.KeepCount})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		conn := s.Pipe()
		defer func() { _ = conn.Close() }()
		c := &client{t: t, conn: conn}
		begin := time.Now()
		lap := func(what string, want time.Duration) {
			t.Helper()
			if took := time.Since(begin); took != want {
				t.Errorf("%s took %v, want %v", what, took, want)
			}
			begin = time.Now()
		}
		c.expect("220")
		lap("connecting and greeting", 4*way)
		c.send("EHLO x\r\n")
		c.expect("250")
		lap("EHLO", 2*way)
		for _, line := range []string{"MAIL FROM:<a@b.example>\r\n", "RCPT TO:<c@d.example>\r\n", "DATA\r\n", "x\r\n.\r\n"} {
			c.send(line)
			c.expect("")
		}
		lap("a message in lock-step", 8*way)
		before := s.Stats().Flights
		c.send(envelope("c@d.example"))
		c.expect("250", "250", "354")
		body := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 10_000) // many reads
		for range 9 {
			c.send(body + ".\r\n" + envelope("c@d.example"))
			c.expect("250 2.0.0", "250", "250", "354")
		}
		c.send(body + ".\r\n")
		c.expect("250 2.0.0")
		lap("ten pipelined messages", 11*2*way)
		if got := s.Stats().Flights - before; got != 11 {
			t.Errorf("%d flights, want 11", got)
		}
		// Bytes sent one after the other travel together.
		for range 5 {
			c.send("NOOP\r\n")
			time.Sleep(way / 5)
		}
		c.expect("250", "250", "250", "250", "250")
		lap("five commands, each before the reply to the last", 2*way+4*way/5)
	})
}

func TestDelayOverSocket(t *testing.T) {
	const way = 20 * time.Millisecond
	s := smtpscript.Start(t, smtpscript.Config{Up: way, Down: way})
	c := dial(t, s)
	c.hello()
	begin := time.Now()
	c.send(envelope("a@b.example"))
	c.expect("250", "250", "354")
	c.send("x\r\n.\r\nQUIT\r\n")
	c.expect("250", "221")
	if got := c.reply(); got != "EOF" { // the FIN comes behind the reply, not before
		t.Errorf("after QUIT: %s", got)
	}
	// Never sooner; how much later is the machine's business.
	if took := time.Since(begin); took < 4*way {
		t.Errorf("two round trips took %v", took)
	}
	// A client that leaves after the dot has sent the message all the same.
	c = dial(t, s)
	c.hello()
	c.send(envelope("gone@b.example"))
	c.expect("250", "250", "354")
	c.send("x\r\n.\r\n")
	if err := c.conn.Close(); err != nil {
		t.Fatal(err)
	}
	wait(t, s, "the message under way", func(st smtpscript.Stats) bool { return st.Taken == 2 })
}

func TestWaitOnVirtualClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := smtpscript.Listen(smtpscript.Config{
			Memory: true, Script: smtpscript.At(smtpscript.PhaseDot, smtpscript.Action{Wait: 9 * time.Minute, Drip: time.Second}),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		conn := s.Pipe()
		defer func() { _ = conn.Close() }()
		c := &client{t: t, conn: conn}
		c.hello()
		c.send(envelope("a@b.example"))
		c.expect("250", "250", "354")
		begin := time.Now()
		c.send("x\r\n.\r\n")
		line, _ := c.line()
		want := 9*time.Minute + time.Duration(len(line)-1)*time.Second
		if took := time.Since(begin); took != want {
			t.Errorf("%q after %v, want %v", line, took, want)
		}
		if err := s.Up(); err == nil {
			t.Error("a server in memory listens")
		}
	})
}

func TestCertificates(t *testing.T) {
	var (
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		name    x509.HostnameError
	)
	for _, test := range []struct {
		name string
		cert smtpscript.Certificate
		is   func(error) bool
	}{
		{"good", smtpscript.CertGood, func(err error) bool { return err == nil }},
		{"expired", smtpscript.CertExpired, func(err error) bool { return errors.As(err, &invalid) && invalid.Reason == x509.Expired }},
		{"wrong name", smtpscript.CertWrongName, func(err error) bool { return errors.As(err, &name) }},
		{"self-signed", smtpscript.CertSelfSigned, func(err error) bool { return errors.As(err, &unknown) }},
		{"incomplete", smtpscript.CertIncomplete, func(err error) bool { return errors.As(err, &unknown) }},
	} {
		for _, mode := range []smtpscript.Mode{smtpscript.STARTTLS, smtpscript.ImplicitTLS} {
			t.Run(test.name, func(t *testing.T) {
				s := smtpscript.Start(t, smtpscript.Config{Mode: mode, Cert: test.cert, Hosts: []string{"mail.example"}})
				host := "mail.example"
				if test.cert == smtpscript.CertGood {
					host = "127.0.0.1"
				}
				_, err := shake(t, s, mode, &tls.Config{RootCAs: s.Pool(), ServerName: host})
				if !test.is(err) {
					t.Errorf("handshake: %v", err)
				}
			})
		}
	}
}

// shake does what comes before TLS, and the handshake.
func shake(t *testing.T, s *smtpscript.Server, mode smtpscript.Mode, cfg *tls.Config) (*tls.Conn, error) {
	t.Helper()
	c := dial(t, s)
	if mode == smtpscript.STARTTLS {
		c.hello()
		c.send("STARTTLS\r\n")
		c.expect("220")
	}
	conn := tls.Client(tlsLine{Conn: c.conn, from: c}, cfg)
	err := conn.Handshake()
	return conn, err
}

func TestTLSVersions(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		s := smtpscript.Start(t, smtpscript.Config{Mode: smtpscript.ImplicitTLS, MinTLS: version, MaxTLS: version})
		_, err := shake(t, s, smtpscript.ImplicitTLS, &tls.Config{RootCAs: s.Pool(), ServerName: "localhost"})
		if modern := version >= tls.VersionTLS12; (err == nil) != modern {
			t.Errorf("%s: a usual client: %v", tls.VersionName(version), err)
		}
		conn, err := shake(t, s, smtpscript.ImplicitTLS, &tls.Config{RootCAs: s.Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS10})
		if err != nil || conn.ConnectionState().Version != version {
			t.Errorf("%s: an old client: %v", tls.VersionName(version), err)
		}
	}
	if _, err := smtpscript.Listen(smtpscript.Config{MaxTLS: tls.VersionTLS10}); err == nil {
		t.Error("no error for an empty range of versions")
	}
}

func TestTLSFaultsSeenByTLS(t *testing.T) {
	for fault, want := range map[string]string{
		"tls-drop": "EOF", "tls-reset": "reset", "tls-alert": "handshake failure",
		"tls-plain": "first record does not look like a TLS handshake", "starttls-inject": "first record does not look like a TLS handshake",
	} {
		script, err := smtpscript.Fault(fault)
		if err != nil {
			t.Fatal(err)
		}
		s := smtpscript.Start(t, smtpscript.Config{Mode: smtpscript.STARTTLS, Script: script})
		_, err = shake(t, s, smtpscript.STARTTLS, &tls.Config{RootCAs: s.Pool(), ServerName: "localhost"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", fault, err, want)
		}
	}
}

func TestSTARTTLSStripped(t *testing.T) {
	s := smtpscript.Start(t, smtpscript.Config{Mode: smtpscript.STARTTLS, Without: []string{"STARTTLS"}})
	c := dial(t, s)
	c.expect("220")
	c.send("EHLO x\r\n")
	if got := c.reply(); strings.Contains(got, "STARTTLS") {
		t.Error(got)
	}
	c.send("STARTTLS\r\n")
	c.expect("502")
}

// Under TLS the ends differ: close_notify, a bare FIN, RST.
func TestEndsUnderTLS(t *testing.T) {
	for _, test := range []struct {
		end    smtpscript.End
		want   string
		notify bool
	}{
		{smtpscript.EndClose, "EOF", true},
		{smtpscript.EndCut, "EOF", false},
		{smtpscript.EndReset, "RST", false},
	} {
		s := smtpscript.Start(t, smtpscript.Config{
			// In TLS 1.2 nothing follows the handshake but what we send.
			Mode: smtpscript.ImplicitTLS, MaxTLS: tls.VersionTLS12,
			Script: smtpscript.At(smtpscript.PhaseGreeting, smtpscript.Hang(test.end)),
		})
		c := dial(t, s)
		var wire bytes.Buffer
		conn := tls.Client(tlsLine{Conn: c.conn, from: io.TeeReader(c, &wire)}, &tls.Config{RootCAs: s.Pool(), ServerName: "localhost"})
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		_, err := conn.Read(make([]byte, 1))
		if err == nil || word(err).Error() != test.want {
			t.Errorf("end %d: %v, want %s", test.end, err, test.want)
		}
		// crypto/tls forgives a missing close_notify; look for the alert itself.
		if got := bytes.Contains(wire.Bytes(), []byte("\x15\x03\x03\x00")); got != test.notify {
			t.Errorf("end %d: close_notify %v", test.end, got)
		}
	}
}

func TestOneAuthorityForTwoServers(t *testing.T) {
	a, err := smtpscript.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	one := smtpscript.Start(t, smtpscript.Config{Mode: smtpscript.ImplicitTLS, Authority: a})
	two := smtpscript.Start(t, smtpscript.Config{Mode: smtpscript.ImplicitTLS, Authority: a})
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(one.CAPEM()) {
		t.Fatal("CAPEM is not PEM")
	}
	if _, err := shake(t, two, smtpscript.ImplicitTLS, &tls.Config{RootCAs: pool, ServerName: "localhost"}); err != nil {
		t.Error(err)
	}
	if host, port := one.HostPort(); host != "127.0.0.1" || net.JoinHostPort(host, "0") == one.Addr() || port == 0 {
		t.Errorf("%s %d", host, port)
	}
}

// BenchmarkSink is the server's own pace: one pipelining client, 5 KB messages.
func BenchmarkSink(b *testing.B) {
	b.Run("count", func(b *testing.B) { benchmarkSink(b, smtpscript.KeepCount) })
	b.Run("hash", func(b *testing.B) { benchmarkSink(b, smtpscript.KeepHash) })
}

func benchmarkSink(b *testing.B, keep smtpscript.Keep) {
	s := smtpscript.Start(b, smtpscript.Config{Keep: keep, Forget: true, Transcript: -1})
	c := dial(b, s)
	if err := c.conn.SetDeadline(time.Time{}); err != nil {
		b.Fatal(err)
	}
	c.hello()
	body := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 70) + ".\r\n"
	burst := []byte("MAIL FROM:<a@b.example> BODY=8BITMIME\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
	c.send(string(burst))
	c.expect("250", "250", "354")
	burst = append([]byte(body), burst...)
	got := make([]byte, 4096)
	b.SetBytes(int64(len(burst)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.conn.Write(burst); err != nil {
			b.Fatal(err)
		}
		for n, lines := 0, 0; lines < 4; {
			m, err := c.conn.Read(got[n:])
			if err != nil {
				b.Fatal(err)
			}
			lines += strings.Count(string(got[n:n+m]), "\n")
			n += m
		}
	}
}

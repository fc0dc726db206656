package smtpscript_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"postroom/internal/testkit/smtpscript"
)

// patience bounds what must happen; a test that works never uses it up.
const patience = 10 * time.Second

// client is a raw client: it writes bytes and reads bytes, and knows nothing.
type client struct {
	t    testing.TB
	conn net.Conn
	buf  []byte
}

func dial(t testing.TB, s *smtpscript.Server) *client {
	t.Helper()
	c, err := tryDial(t, s)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	return c
}

func tryDial(t testing.TB, s *smtpscript.Server) (*client, error) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.Addr(), patience)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{t: t, conn: conn}, nil
}

// Read gives what was read ahead first.
func (c *client) Read(p []byte) (int, error) {
	if len(c.buf) > 0 {
		n := copy(p, c.buf)
		c.buf = c.buf[n:]
		return n, nil
	}
	return c.conn.Read(p)
}

// tlsLine is a connection with a reader of its own.
type tlsLine struct {
	net.Conn
	from io.Reader
}

func (l tlsLine) Read(p []byte) (int, error) { return l.from.Read(p) }

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatalf("write %.40q: %v", text, err)
	}
}

// line reads one line; the error's text is a word for what happened.
func (c *client) line() (string, error) {
	for {
		if i := bytes.IndexByte(c.buf, '\n'); i >= 0 {
			line := string(c.buf[:i+1])
			c.buf = c.buf[i+1:]
			return line, nil
		}
		p := make([]byte, 64<<10)
		n, err := c.conn.Read(p)
		c.buf = append(c.buf, p[:n]...)
		if err != nil && n == 0 {
			return string(c.buf), word(err)
		}
	}
}

func word(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("EOF")
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errors.New("RST")
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("silence")
	}
	return err
}

// reply reads a whole reply and returns its lines joined by "|".
func (c *client) reply() string {
	var lines []string
	for {
		line, err := c.line()
		if err != nil {
			if line != "" {
				return fmt.Sprintf("%q then %v", line, err)
			}
			return strings.Join(append(lines, err.Error()), "|")
		}
		lines = append(lines, strings.TrimSuffix(line, "\r\n"))
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "|")
		}
	}
}

func (c *client) expect(prefixes ...string) {
	c.t.Helper()
	for _, want := range prefixes {
		if got := c.reply(); !strings.HasPrefix(got, want) {
			c.t.Fatalf("reply %.200q, want %q...", got, want)
		}
	}
}

func (c *client) hello() {
	c.t.Helper()
	c.expect("220 ")
	c.send("EHLO client.example\r\n")
	c.expect("250-")
}

func envelope(rcpt string) string {
	return "MAIL FROM:<shop@example.org>\r\nRCPT TO:<" + rcpt + ">\r\nDATA\r\n"
}

func wait(t testing.TB, s *smtpscript.Server, what string, ok func(smtpscript.Stats) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.WaitFor(ctx, ok); err != nil {
		t.Fatalf("%s: %v; %+v", what, err, s.Stats())
	}
}

func (c *client) startTLS(s *smtpscript.Server) *client {
	c.t.Helper()
	conn := tls.Client(c.conn, &tls.Config{RootCAs: s.Pool(), ServerName: "localhost"})
	if err := conn.Handshake(); err != nil {
		c.t.Fatalf("handshake: %v", err)
	}
	return &client{t: c.t, conn: conn}
}

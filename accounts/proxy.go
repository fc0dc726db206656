package accounts

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/net/proxy"

	"postroom/post"
)

// A proxy carries an account's connections. It is given the server's name, so
// that nothing about the server is asked of this computer's own name service;
// what it sees besides is TLS, because plain text is for this computer alone.

// errProxy marks what is the proxy's fault and not the server's.
var errProxy = errors.New("the proxy")

// resolveFar is the step resolve of an account with a proxy.
func (s *signIn) resolveFar() string { return s.host + " (looked up by the proxy)" }

// connectFar connects through the proxy.
func (s *signIn) connectFar(ctx context.Context) (net.Conn, *post.Fault) {
	if s.a.TLS == post.TLSNone {
		return nil, notLoopback()
	}
	limited, stop := context.WithTimeout(ctx, connectTimeout)
	defer stop()
	conn, err := s.dialFar(limited)
	if err != nil {
		fault := faultOf(ctx, post.PhaseConnect, err)
		if errors.Is(err, errProxy) && fault.Cause != post.CauseCancelled {
			fault.Detail = post.CleanReply(err.Error())
			fault.Reason = post.Reason{Key: "fault.proxy"}
			if fault.Cause == post.CauseReset { // nothing is known but that it did not work
				fault.Cause = post.CauseUnreachable
			}
		}
		return nil, fault
	}
	return conn, nil
}

func (s *signIn) dialFar(ctx context.Context) (net.Conn, error) {
	u, err := url.Parse(s.a.Proxy)
	if err != nil {
		return nil, fmt.Errorf("%w has an address that cannot be used", errProxy)
	}
	target := net.JoinHostPort(s.host, strconv.Itoa(s.a.Port))
	if u.Scheme == "http" {
		return s.dialCONNECT(ctx, u.Host, target)
	}
	socks, err := proxy.SOCKS5("tcp", u.Host, nil, nearDialer{s})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProxy, err)
	}
	dialer, ok := socks.(proxy.ContextDialer)
	if !ok { // it always is
		return nil, fmt.Errorf("%w cannot be used", errProxy)
	}
	conn, err := dialer.DialContext(ctx, "tcp", target) // a name stays a name: RFC 1928 5
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProxy, err)
	}
	return conn, nil
}

// dialCONNECT is RFC 9110 9.3.6.
func (s *signIn) dialCONNECT(ctx context.Context, via, target string) (net.Conn, error) {
	conn, err := nearDialer{s}.DialContext(ctx, "tcp", via)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProxy, err)
	}
	// Nothing below is interrupted by ctx but through the socket.
	release := context.AfterFunc(ctx, func() { _ = conn.Close() })
	r := bufio.NewReaderSize(conn, maxLine)
	err = askCONNECT(conn, r, target)
	if !release() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close() // it said no, or is gone
		return nil, fmt.Errorf("%w: %w", errProxy, errors.Join(err, ctx.Err()))
	}
	return &readAhead{Conn: conn, r: r}, nil
}

func askCONNECT(conn net.Conn, r *bufio.Reader, target string) error {
	if err := conn.SetDeadline(time.Now().Add(connectTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "CONNECT "+target+" HTTP/1.1\r\nHost: "+target+"\r\n\r\n"); err != nil {
		return err
	}
	capped := &io.LimitedReader{R: conn, N: maxReply}
	r.Reset(capped)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return errors.New("it did not answer as a proxy does")
	}
	_ = resp.Body.Close() // it has none (RFC 9110 9.3.6)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it refused with %d", resp.StatusCode)
	}
	capped.N = 1 << 62 // from here on the server speaks
	return conn.SetDeadline(time.Time{})
}

// readAhead is a connection of which the reader holds the first bytes: the
// server's greeting may come in one packet with the proxy's answer.
type readAhead struct {
	net.Conn
	r *bufio.Reader
}

func (c *readAhead) Read(p []byte) (int, error) {
	if c.r.Buffered() > 0 {
		return c.r.Read(p[:min(len(p), c.r.Buffered())])
	}
	return c.Conn.Read(p)
}

// SetLinger lets Wire.Abort drop what the system still holds.
func (c *readAhead) SetLinger(sec int) error {
	if t, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		return t.SetLinger(sec)
	}
	return nil
}

// nearDialer connects to the proxy itself.
type nearDialer struct{ s *signIn }

var _ proxy.ContextDialer = nearDialer{}

// Dial implements proxy.Dialer.
func (d nearDialer) Dial(network, addr string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, addr)
}

// DialContext implements proxy.ContextDialer.
func (d nearDialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if d.s.d.DialContext != nil {
		return d.s.d.DialContext(ctx, network, addr)
	}
	var near net.Dialer
	return near.DialContext(ctx, network, addr)
}

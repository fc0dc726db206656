package smtpscript

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Server is a running server. Make it with Start or Listen.
type Server struct {
	leaf      []byte // its certificate (DER)
	cfg       Config
	authority *Authority
	tls       *tls.Config // nil in Plain mode
	addr      string

	done chan struct{} // closed by Close: ends every wait
	wg   sync.WaitGroup

	scripting sync.Mutex // Script calls never overlap

	mu       sync.Mutex
	changed  *sync.Cond // on mu: something Stats shows may have changed
	closed   bool
	listener net.Listener // nil while down and in memory
	live     map[*session]struct{}
	record   record

	waiting  atomic.Int32 // goroutines in WaitFor
	counters counters
}

// Start runs a server on a free port of 127.0.0.1 until the test ends.
func Start(t testing.TB, cfg Config) *Server {
	t.Helper()
	s, err := Listen(cfg)
	if err != nil {
		t.Fatalf("start SMTP server: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Listen runs a server on a free port of 127.0.0.1 until Close.
func Listen(cfg Config) (*Server, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, authority: cfg.Authority, done: make(chan struct{}), live: map[*session]struct{}{}}
	s.changed = sync.NewCond(&s.mu)
	s.record.recipients = map[string]*tally{}
	if cfg.Mode != Plain {
		if err := s.prepareTLS(); err != nil {
			return nil, err
		}
	}
	if cfg.Memory {
		s.addr = "memory:0"
		return s, nil
	}
	s.addr = "127.0.0.1:0"
	if err := s.Up(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) prepareTLS() error {
	if s.authority == nil {
		a, err := NewAuthority()
		if err != nil {
			return err
		}
		s.authority = a
	}
	cert, err := s.authority.certificate(s.cfg.Cert, s.cfg.Hosts)
	if err != nil {
		return err
	}
	s.leaf = cert.Certificate[0]
	s.tls = &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   s.cfg.MinTLS,
		MaxVersion:   s.cfg.MaxTLS,
	}
	return nil
}

// Addr returns host:port.
func (s *Server) Addr() string { return s.addr }

// HostPort returns the host and the port apart; the port is 0 in memory.
func (s *Server) HostPort() (host string, port int) {
	if a, err := net.ResolveTCPAddr("tcp", s.addr); err == nil {
		return a.IP.String(), a.Port
	}
	return "memory", 0
}

// CAPEM returns the certificate a client must trust, nil in Plain mode. With
// CertSelfSigned it is still the authority's, which did not sign.
func (s *Server) CAPEM() []byte {
	if s.authority == nil {
		return nil
	}
	return s.authority.PEM()
}

// Pool returns CAPEM as a pool; empty in Plain mode.
func (s *Server) Pool() *x509.CertPool {
	if s.authority == nil {
		return x509.NewCertPool()
	}
	return s.authority.Pool()
}

// Up listens (again) on the server's address. It does nothing when it does so.
func (s *Server) Up() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.cfg.Memory {
		return errors.New("smtpscript: closed or in memory")
	}
	if s.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		return fmt.Errorf("smtpscript: listen: %w", err)
	}
	s.listener, s.addr = l, l.Addr().String()
	s.wg.Go(func() { s.accept(l) })
	return nil
}

// Down refuses connections and resets those that are open, until Up.
func (s *Server) Down() {
	s.mu.Lock()
	if s.listener != nil {
		_ = s.listener.Close() // the accept loop ends by it
		s.listener = nil
	}
	s.mu.Unlock()
	s.abortAll()
}

// DropAll resets the open connections and goes on listening.
func (s *Server) DropAll() { s.abortAll() }

// Close ends everything and waits for it. It may be called more than once.
func (s *Server) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
	s.mu.Unlock()
	s.Down()
	s.wg.Wait()
	s.mu.Lock()
	s.changed.Broadcast()
	s.mu.Unlock()
}

func (s *Server) abortAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.live {
		c.abort()
	}
}

func (s *Server) accept(l net.Listener) {
	for {
		raw, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Too many open files and the like: the next one may do better.
			if !s.pause(5*time.Millisecond, nil) {
				return
			}
			continue
		}
		s.serve(raw)
	}
}

// Pipe returns the client's end of a new connection in memory. Bytes are
// buffered in both directions and the delays of Config hold.
func (s *Server) Pipe() net.Conn {
	client, server := net.Pipe()
	s.serve(server)
	return client
}

// serve starts a session on raw, or closes it when the server is closed.
func (s *Server) serve(raw net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = raw.Close()
		return
	}
	s.record.opened++
	c := &session{
		srv: s, raw: raw, conn: raw, id: s.record.opened,
		gone: make(chan struct{}), buf: make([]byte, readBuffer),
	}
	_, socket := raw.(*net.TCPConn)
	if !socket || s.cfg.Up > 0 || s.cfg.Down > 0 {
		c.line = newDelayLine(raw, s.cfg.Up, s.cfg.Down, &s.wg)
		c.conn = c.line
	}
	s.live[c] = struct{}{}
	s.record.maxOpen = max(s.record.maxOpen, len(s.live))
	c.log = s.record.newLog(c.id)
	s.changed.Broadcast()
	s.wg.Go(c.run)
}

func (s *Server) forget(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, c)
	c.log.open = false
	s.changed.Broadcast()
}

// pause waits for d, and reports false when the server or the connection ended
// meanwhile. gone may be nil.
func (s *Server) pause(d time.Duration, gone <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-gone:
		return false
	case <-s.done:
		return false
	}
}

// notify wakes WaitFor after a counter moved.
func (s *Server) notify() {
	if s.waiting.Load() == 0 {
		return
	}
	s.mu.Lock()
	s.changed.Broadcast()
	s.mu.Unlock()
}

// WaitFor returns when ok holds, or with the context's error. ok is called
// again whenever something happened; it must not call the Server.
func (s *Server) WaitFor(ctx context.Context, ok func(Stats) bool) error {
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		s.changed.Broadcast()
		s.mu.Unlock()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !ok(s.stats()) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("smtpscript: wait: %w", err)
		}
		if s.closed {
			return errors.New("smtpscript: wait: server closed")
		}
		s.changed.Wait()
	}
	return nil
}

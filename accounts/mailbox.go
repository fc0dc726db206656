package accounts

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/wneessen/go-mail/smtp"

	"postroom/post"
)

// StepIMAP is the doctor's step about the account's mailbox, where it has one.
const StepIMAP = "imap"

// maxMailboxBytes bounds what one connection to a mailbox may send us, so that
// a server that never ends cannot fill the memory or run on for ever.
const maxMailboxBytes = 1 << 30

// Mailbox is a signed-in IMAP connection (RFC 9051); nothing is selected yet.
type Mailbox struct {
	*imapclient.Client
	// News gets a word, and holds no more than one, when the server says of its
	// own accord that something came or went in the mailbox that is selected.
	News    <-chan struct{}
	conn    *cappedConn
	release func() bool
}

// Close signs off and closes. It may be called at any time, and once more.
func (m *Mailbox) Close() {
	if m.release() { // else ctx ended and the connection is gone
		if err := m.conn.SetDeadline(time.Now().Add(politeQuit)); err == nil {
			_ = m.Logout().Wait() // politeness; the socket closes in any case
		}
	}
	_ = m.Client.Close()
}

// Abort ends the connection at once; what waits for an answer gets an error.
func (m *Mailbox) Abort() { _ = m.conn.Close() }

// Allow bounds what the server may send from now on to n bytes; more than that
// ends the connection.
func (m *Mailbox) Allow(n int64) { m.conn.left.Store(n) }

// MailboxOf is the account with its mailbox's server in the place of the one
// that takes its mail.
func MailboxOf(a post.Account) post.Account {
	if hostName(a.Host) != hostName(a.IMAPHost) {
		a.Pin = "" // it is for one server
	}
	a.Host, a.Port, a.TLS = a.IMAPHost, a.IMAPPort, a.IMAPTLS
	return a
}

// DialMailbox connects to the account's mailbox and signs in, under the rules
// of Dial: the secret first; STARTTLS never falls back; no password outside of
// verified TLS, except on this computer itself. Ending ctx closes the Mailbox.
// The error is always a *post.Fault, and then no connection is left open.
func (d *Dialer) DialMailbox(ctx context.Context, a post.Account) (*Mailbox, error) {
	s := d.begin(MailboxOf(a))
	if fault := d.guard.check(s.key, d.now()); fault != nil {
		return nil, fault
	}
	if fault := s.fetchSecret(ctx); fault != nil {
		return nil, fault
	}
	used := s.secret
	m, fault := s.openMailbox(ctx)
	s.secret = ""
	if renewable(a, fault) {
		s = d.begin(MailboxOf(a))
		if fault = s.renewSecret(ctx, used); fault == nil {
			m, fault = s.openMailbox(ctx)
			s.secret = ""
		}
		tokenRefused(fault)
	}
	if fault != nil {
		return nil, fault
	}
	return m, nil
}

// testMailbox is the doctor's step for the mailbox. It uses a secret of its own
// asking, as reading does.
func (d *Dialer) testMailbox(ctx context.Context, a post.Account) Step {
	began := d.now()
	s := d.begin(MailboxOf(a))
	fault := d.guard.check(s.key, began)
	if fault == nil {
		fault = s.fetchSecret(ctx)
	}
	detail := ""
	if fault == nil {
		var m *Mailbox
		if m, fault = s.openMailbox(ctx); fault == nil {
			m.Close()
			detail = s.session.Address + ", " + s.session.TLS
			if s.session.TLS == "" {
				detail = s.session.Address + ", no encryption: the server is this computer itself"
			}
		}
	}
	s.secret, s.sent = "", nil
	return s.step(StepIMAP, detail, fault, d.now().Sub(began))
}

func (s *signIn) openMailbox(ctx context.Context) (*Mailbox, *post.Fault) {
	if _, fault := s.resolve(ctx); fault != nil {
		return nil, fault
	}
	conn, fault := s.connectMailbox(ctx)
	if fault != nil {
		return nil, fault
	}
	// Nothing below is interrupted by ctx but through the socket.
	capped := &cappedConn{Conn: conn}
	capped.left.Store(maxMailboxBytes)
	release := context.AfterFunc(ctx, func() { _ = capped.Close() })
	news := make(chan struct{}, 1)
	client, fault := s.encryptMailbox(ctx, capped, news)
	if fault == nil {
		fault = s.signInMailbox(ctx, client)
	}
	if fault != nil {
		release()
		if client != nil {
			_ = client.Close()
		}
		_ = capped.Close()
		return nil, fault
	}
	return &Mailbox{Client: client, News: news, conn: capped, release: release}, nil
}

func (s *signIn) connectMailbox(ctx context.Context) (net.Conn, *post.Fault) {
	if s.a.Proxy != "" {
		conn, fault := s.connectFar(ctx)
		if fault == nil {
			s.session.Address = conn.RemoteAddr().String()
		}
		return conn, fault
	}
	if s.a.TLS == post.TLSNone {
		s.addrs = slices.DeleteFunc(s.addrs, func(ip netip.Addr) bool { return !ip.IsLoopback() })
		if len(s.addrs) == 0 || !post.IsLoopbackHost(s.a.Host) {
			return nil, notLoopback()
		}
	}
	var worst *post.Fault
	for i, ip := range s.addrs {
		timeout := connectTimeout
		if i < len(s.addrs)-1 {
			timeout = nextAddress
		}
		conn, err := s.dialOne(ctx, netip.AddrPortFrom(ip, uint16(s.a.Port)).String(), timeout) // 16 bits: checked when it was set
		if err != nil {
			fault := faultOf(ctx, post.PhaseConnect, err)
			if fault.Cause == post.CauseCancelled {
				return nil, fault
			}
			if worst == nil || worst.Cause == post.CauseUnreachable {
				worst = fault
			}
			continue
		}
		if s.a.TLS == post.TLSNone {
			if !isLoopbackPeer(conn) {
				_ = conn.Close() // refused by us; nothing was written
				return nil, notLoopback()
			}
			s.guarded = true
		}
		s.session.Address = conn.RemoteAddr().String()
		return conn, nil
	}
	return nil, worst
}

// encryptMailbox brings the connection to where a password may be sent. A
// client that it returns beside a fault is closed by the caller.
func (s *signIn) encryptMailbox(ctx context.Context, conn *cappedConn, news chan<- struct{}) (*imapclient.Client, *post.Fault) {
	config, fault := s.tlsConfig()
	if fault != nil {
		return nil, fault
	}
	var state *tls.ConnectionState
	verify := config.VerifyConnection
	config.NextProtos = []string{"imap"}
	config.VerifyConnection = func(c tls.ConnectionState) error {
		if verify != nil {
			if err := verify(c); err != nil {
				return err
			}
		}
		state = &c
		return nil
	}
	opt := imapclient.Options{TLSConfig: config, UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(*imapclient.UnilateralDataMailbox) {
			select {
			case news <- struct{}{}:
			default: // one is there already
			}
		},
	}}
	var client *imapclient.Client
	switch s.a.TLS {
	case post.TLSNone:
		client = imapclient.New(conn, &opt)
	case post.TLSImplicit:
		secure := tls.Client(conn, config)
		limited, stop := context.WithTimeout(ctx, tlsTimeout)
		defer stop()
		if err := secure.HandshakeContext(limited); err != nil {
			return nil, s.tlsFault(ctx, err)
		}
		client = imapclient.New(secure, &opt)
	default:
		var err error
		if client, err = imapclient.NewStartTLS(conn, &opt); err != nil {
			return nil, s.tlsFault(ctx, err)
		}
	}
	if state != nil {
		s.session.TLS = TLSInfo{Version: tls.VersionName(state.Version), Cipher: tls.CipherSuiteName(state.CipherSuite)}.String()
		s.guarded = true
	}
	if err := client.WaitGreeting(); err != nil {
		return client, mailboxFault(ctx, post.PhaseGreeting, err)
	}
	return client, nil
}

// tlsFault tells a server without STARTTLS from one whose certificate is wrong.
func (s *signIn) tlsFault(ctx context.Context, err error) *post.Fault {
	var refused *imap.Error
	if errors.As(err, &refused) {
		return &post.Fault{Phase: post.PhaseSTARTTLS, Cause: post.CauseNoTLS, Detail: "STARTTLS refused"}
	}
	fault := faultOf(ctx, post.PhaseTLS, err)
	var header tls.RecordHeaderError
	if errors.As(err, &header) {
		fault.Detail = notTLS
	}
	return fault
}

func (s *signIn) signInMailbox(ctx context.Context, c *imapclient.Client) *post.Fault {
	if !s.guarded {
		return &post.Fault{Phase: post.PhaseAuth, Cause: post.CauseNoTLS, Detail: "no sign-in without encryption"}
	}
	if c.State() == imap.ConnStateAuthenticated { // PREAUTH: a server of one's own
		return nil
	}
	if s.secret == "" {
		return authFault("a mailbox needs a password")
	}
	way, fault := s.mailboxWay(c)
	if fault != nil {
		return fault
	}
	if fault := s.d.guard.enter(ctx, s.key, s.d.now); fault != nil {
		return fault
	}
	s.keep(s.secret)
	err := way()
	var refused *imap.Error
	s.d.guard.leave(s.key, errors.As(err, &refused), s.d.now())
	if err == nil {
		return nil
	}
	fault = mailboxFault(ctx, post.PhaseAuth, err)
	s.scrub(fault)
	return fault
}

// mailboxWay chooses how to sign in. A token goes only where one is asked for; by
// which mechanism is not the account's to say, whose choice is for sending.
func (s *signIn) mailboxWay(c *imapclient.Client) (func() error, *post.Fault) {
	caps := c.Caps()
	switch {
	case s.isToken():
		offered := caps.AuthMechanisms()
		slices.Sort(offered)
		mech, fault := firstOffered([]string{mechBearer, mechXOAUTH2}, offered)
		if fault != nil {
			return nil, fault
		}
		return func() error { return c.Authenticate(tokenSASL{s.client(mech)}) }, nil
	case caps.Has(imap.AuthCap(sasl.Plain)):
		return func() error { return c.Authenticate(sasl.NewPlainClient("", s.a.Login(), s.secret)) }, nil
	default:
		return func() error { return c.Login(s.a.Login(), s.secret).Wait() }, nil
	}
}

// mailboxFault makes the post.Fault of an error of the IMAP client.
func mailboxFault(ctx context.Context, phase post.Phase, err error) *post.Fault {
	fault := faultOf(ctx, phase, err)
	var refused *imap.Error
	if errors.As(err, &refused) && fault.Cause != post.CauseCancelled {
		// As an SMTP server would word it, so that the same advice is given.
		fault.Cause, fault.Detail = post.CauseNone, ""
		fault.Reply = post.NewReply(535, post.CleanReply(string(refused.Type)+" "+refused.Text))
		if refused.Code == imap.ResponseCodeUnavailable || phase != post.PhaseAuth {
			fault.Reply.Code = 454
		}
		fault.Err = nil
	}
	return fault
}

// tokenSASL is a sign-in by token as SMTP has it, for IMAP, where it is the same.
type tokenSASL struct{ smtp.Auth }

var _ sasl.Client = tokenSASL{}

// Start returns the whole of it.
func (t tokenSASL) Start() (mech string, first []byte, err error) {
	return t.Auth.Start(&smtp.ServerInfo{TLS: true})
}

// Next answers the server's explanation of a refusal, which ends it (RFC 7628
// 3.2.3). XOAUTH2 would answer with nothing, which go-imap writes as "=": only a
// first response may be that (RFC 4959 3), and Dovecot complains of it instead of
// saying why it refused.
func (tokenSASL) Next([]byte) ([]byte, error) { return []byte{1}, nil }

// cappedConn reads no more than it may.
type cappedConn struct {
	net.Conn
	left atomic.Int64
}

var errMailboxTooLong = errors.New("the mailbox server sends more than it should")

func (c *cappedConn) Read(p []byte) (int, error) {
	left := c.left.Load()
	if left <= 0 {
		return 0, errMailboxTooLong
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.left.Add(-int64(n))
	return n, err
}

// MailboxName tells one mailbox from another: its server and login.
func MailboxName(a post.Account) string {
	return strings.ToLower(hostName(a.IMAPHost)) + " " + a.Login()
}

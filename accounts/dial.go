package accounts

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"postroom/post"
)

// The deadlines of a sign-in, from RFC 5321 4.5.3.2, shorter where a person waits.
const (
	resolveTimeout  = 30 * time.Second
	connectTimeout  = 30 * time.Second // the last or only address of a host
	nextAddress     = 10 * time.Second // each address before the last
	greetingTimeout = 60 * time.Second
	tlsTimeout      = 60 * time.Second
	commandTime     = 60 * time.Second // EHLO, STARTTLS, each step of AUTH
	politeQuit      = time.Second
)

// ehloName is what we call ourselves: never the computer's own name.
const ehloName = "[127.0.0.1]"

// Conn is a signed-in connection, ready for the first MAIL.
type Conn struct {
	*Wire
	Ext     Extensions   // what the last EHLO offered
	Session post.Session // ID is 0: the ledger gives it
}

// Resolver finds the addresses of a host; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Dialer connects and signs in to accounts' servers. It remembers failed
// sign-ins, so that a bug of ours cannot lock an account: after five within a
// minute it refuses, without connecting, as PhaseAuth with CauseSecret and the
// reason "signin.too_many". That is a reason to wait, not to stop: no secret was
// found wrong that the earlier faults had not told already.
//
// The zero value works, but for Secrets. Safe for concurrent use; not to be
// copied after its first use.
type Dialer struct {
	Secrets Secrets    // nil: no account with a password can sign in
	Clock   post.Clock // nil: the system's. Network deadlines are real time
	Log     *slog.Logger
	// DialContext opens the socket; nil: net.Dialer. For tests.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Resolver is net.DefaultResolver where nil.
	Resolver Resolver
	// Trace, where set, is told of each step as it ends, in Dial and in Test. It
	// must not block, and is called by several goroutines when several dial.
	Trace func(Step)

	guard guard
}

// Dial connects to the account's server and signs in. It fetches the secret
// first and holds it no longer than it runs. Cancelling ctx aborts at once; ctx
// has no effect on the Conn afterwards. The error is always a *post.Fault, and
// then no connection is left open.
func (d *Dialer) Dial(ctx context.Context, a post.Account) (*Conn, error) {
	s := d.begin(a)
	if fault := d.guard.check(s.key, d.now()); fault != nil {
		return nil, fault
	}
	if fault := s.fetchSecret(ctx); fault != nil {
		return nil, fault
	}
	used := s.secret
	fault := s.run(ctx, d.Trace)
	if renewable(a, fault) {
		s = d.begin(a)
		if fault = s.renewSecret(ctx, used); fault == nil {
			fault = s.run(ctx, d.Trace)
		}
		tokenRefused(fault)
	}
	if fault != nil {
		d.log().LogAttrs(ctx, slog.LevelDebug, "sign-in failed", slog.Int64("account", a.ID),
			slog.String("phase", string(fault.Phase)), slog.Int("code", fault.Reply.Code), slog.String("cause", string(fault.Cause)))
		return nil, fault
	}
	d.log().LogAttrs(ctx, slog.LevelDebug, "signed in", slog.Int64("account", a.ID), slog.String("host", a.Host),
		slog.String("address", s.session.Address), slog.String("tls", s.session.TLS), slog.String("auth", s.session.Auth))
	return &Conn{Wire: s.wire, Ext: s.hello.ext, Session: s.session}, nil
}

func (d *Dialer) now() time.Time {
	if d.Clock == nil {
		return time.Now()
	}
	return d.Clock.Now()
}

func (d *Dialer) log() *slog.Logger {
	if d.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.Log
}

// signIn is one Dial or Test in progress.
type signIn struct {
	d    *Dialer
	a    post.Account
	key  string // of the guard
	host string // ASCII, no brackets, no dot at the end

	secret      string
	secretFault *post.Fault // why there is no secret; the doctor goes on to AUTH without one

	addrs   []netip.Addr
	wire    *Wire
	release func() bool // ends ctx's hold on the wire
	guarded bool        // TLS is verified, or the peer is this computer and the account allows plain text
	hello   readEHLO
	tls     *TLSInfo
	session post.Session
	sent    []string // what must not come back in a text: the secret and its encodings
}

func (d *Dialer) begin(a post.Account) *signIn {
	return &signIn{
		d: d, a: a, key: guardKey(a), host: hostName(a.Host),
		session: post.Session{Account: a.ID, Host: a.Host, OpenedAt: d.now().UTC().Truncate(time.Millisecond)},
	}
}

// run takes the steps in their order. After a fault the connection is closed.
func (s *signIn) run(ctx context.Context, tell func(Step)) *post.Fault {
	defer func() { s.secret, s.sent = "", nil }()
	for _, step := range []struct {
		name string
		take func(ctx context.Context) (detail string, fault *post.Fault)
	}{
		{StepResolve, s.resolve},
		{StepConnect, s.connect},
		{StepTLS, s.encrypt},
		{StepEHLO, s.greet},
		{StepAuth, s.authenticate},
	} {
		began := s.d.now()
		detail, fault := step.take(ctx)
		if fault == nil && step.name == StepAuth && !s.release() { // ctx ended just now
			fault = faultOf(ctx, post.PhaseAuth, ctx.Err())
		}
		if tell != nil {
			tell(s.step(step.name, detail, fault, s.d.now().Sub(began)))
		}
		if fault != nil {
			s.hangUp(fault)
			return fault
		}
	}
	return nil
}

// hangUp closes after a fault: with a QUIT where the server still listens.
func (s *signIn) hangUp(fault *post.Fault) {
	switch {
	case s.wire == nil:
		return
	case fault.Reply.Code == 421: // it has closed already (RFC 5321 3.8)
		s.wire.Close()
	case !fault.Reply.IsZero(), fault.Cause == post.CauseNoTLS, fault.Cause == post.CauseNoMechanism,
		fault.Cause == post.CauseSecret:
		s.wire.Quit(0)
	default:
		s.wire.Abort()
	}
	s.release()
	s.wire = nil
}

// fetchSecret asks for the secret before any connection is made.
func (s *signIn) fetchSecret(ctx context.Context) *post.Fault {
	if !needsSecret(s.a) {
		return nil
	}
	if s.d.Secrets == nil {
		return secretFault(errMissing())
	}
	secret, err := s.d.Secrets.Get(ctx, s.a)
	if err == nil {
		err = checkSecret(secret)
	}
	if err != nil {
		return secretFault(err)
	}
	s.secret = secret
	return nil
}

// renewable reports that a server has refused a token, which may have ended
// before its time: it is renewed once.
func renewable(a post.Account, fault *post.Fault) bool {
	return fault != nil && a.Secret == post.SecretOAuth && fault.Phase == post.PhaseAuth && fault.Reply.Class() == 5
}

// tokenRefused words a refusal that a fresh token did not mend: there is no
// password to check.
func tokenRefused(fault *post.Fault) {
	if fault != nil && fault.Phase == post.PhaseAuth && fault.Reply.Code == 535 {
		fault.Reason = post.Reason{Key: keyTokenRefused}
	}
}

// renewSecret gets another token than the one that was refused.
func (s *signIn) renewSecret(ctx context.Context, refused string) *post.Fault {
	r, ok := s.d.Secrets.(Refresher)
	if !ok {
		return secretFault(errMissing())
	}
	secret, err := r.Refresh(ctx, s.a, refused)
	if err == nil {
		err = checkSecret(secret)
	}
	if err != nil {
		return secretFault(err)
	}
	s.secret = secret
	return nil
}

// needsSecret reports whether a sign-in takes a secret. An account that has
// none and leaves the mechanism open does not sign in at all.
func needsSecret(a post.Account) bool {
	return a.Auth != post.AuthNone && (a.Auth != post.AuthAuto && a.Auth != "" || a.Secret != post.SecretNone)
}

// greet reads the greeting where TLS came first, and says EHLO.
func (s *signIn) greet(ctx context.Context) (string, *post.Fault) {
	if s.a.TLS == post.TLSImplicit {
		if fault := s.greeting(ctx); fault != nil {
			return "", fault
		}
	}
	if fault := s.ehlo(ctx); fault != nil {
		return "", fault
	}
	return joinWords(s.hello.ext.Keywords), nil
}

// greeting reads what a server says first (RFC 5321 3.1).
func (s *signIn) greeting(ctx context.Context) *post.Fault {
	reply, err := s.wire.ReadReply(time.Now().Add(greetingTimeout))
	switch {
	case err != nil:
		return faultOf(ctx, post.PhaseGreeting, err)
	case reply.Code == 220:
		return nil
	}
	return refusal(post.PhaseGreeting, reply)
}

// ehlo says EHLO and keeps what is offered. HELO is no way out: it has neither
// TLS nor sign-in.
func (s *signIn) ehlo(ctx context.Context) *post.Fault {
	s.hello = readEHLO{}
	reply, fault := s.ask(ctx, post.PhaseEHLO, "EHLO "+ehloName, s.hello.line)
	switch {
	case fault != nil:
		return fault
	case reply.Class() == 2:
		return nil
	}
	return refusal(post.PhaseEHLO, reply)
}

// ask writes one command and reads its reply. Bytes that are there before the
// command are a reply nobody asked for.
func (s *signIn) ask(ctx context.Context, phase post.Phase, line string, each func([]byte)) (post.Reply, *post.Fault) {
	if s.wire.Unasked() == post.CauseProtocol {
		return post.Reply{}, faultOf(ctx, phase, &WireError{Cause: post.CauseProtocol, Detail: "the server answered before it was asked"})
	}
	if err := s.wire.Write([]byte(line+"\r\n"), commandTime); err != nil {
		return post.Reply{}, faultOf(ctx, phase, err)
	}
	reply, err := s.wire.readReply(time.Now().Add(commandTime), each)
	if err != nil {
		return post.Reply{}, faultOf(ctx, phase, err)
	}
	return reply, nil
}

package accounts

import (
	"bytes"
	"crypto/tls"
	"errors"
	"strconv"

	"github.com/wneessen/go-mail/smtp"
	"github.com/xdg-go/scram"
	"golang.org/x/text/secure/precis"
)

// The steps of SCRAM (RFC 5802 5).
const (
	scramBegun    = iota
	scramFirst    // our first message is out
	scramFinal    // our proof is out
	scramVerified // the server's proof was right
	scramRefused  // the server said what it did not like
)

// maxIterations bounds the work a server may ask for: about a third of a
// second. Servers use 4096 (RFC 7677 4) to some hundred thousand.
const maxIterations = 1_000_000

// scramClient holds a library's SCRAM to the order of RFC 5802 and its work to a
// bound, and knows whether the server proved itself: a "235" alone does not.
type scramClient struct {
	smtp.Auth
	step    int
	unbound bool // the server sees another connection than this one
	unknown bool // the server does not know what this is bound to; nothing was proven yet
}

// keyUnbound is the reason of a refusal that is about the connection, not about
// the password.
const keyUnbound = "fault.unbound"

// binding is what SCRAM's -PLUS is bound to, so that nobody in between can pass a
// sign-in on.
type binding int

const (
	bindNothing  binding = iota
	bindChannel          // tls-exporter (RFC 9266) from TLS 1.3 on, tls-unique (RFC 5929 3) before
	bindEndPoint         // tls-server-end-point, the server's certificate (RFC 5929 4)
)

// bindings returns what both sides of this connection know the same of, best
// first: the connection itself, where TLS gives it out, then the server's
// certificate, which is all that a server behind something that ends TLS for it
// can know.
func (s *signIn) bindings() (all []binding) {
	state := s.tlsState()
	if state == nil {
		return nil
	}
	if state.Version >= tls.VersionTLS13 || state.TLSUnique != nil {
		all = append(all, bindChannel)
	}
	if _, err := scram.NewTLSServerEndpointBinding(state); err == nil {
		all = append(all, bindEndPoint)
	}
	return all
}

// tlsState is the state of the connection; nil without TLS.
func (s *signIn) tlsState() *tls.ConnectionState {
	conn, ok := s.wire.c.(*tls.Conn)
	if !ok {
		return nil
	}
	state := conn.ConnectionState()
	return &state
}

// boundClient is SCRAM with -PLUS. go-mail's is bound to the connection only.
func (s *signIn) boundClient(mech string, to binding) (smtp.Auth, error) {
	user, state := s.a.Login(), s.tlsState()
	switch {
	case to == bindEndPoint:
		return newEndPointClient(mech, user, s.secret, state)
	case mech == mechSCRAMPlus:
		return &scramClient{Auth: smtp.ScramSHA256PlusAuth(user, s.secret, state)}, nil
	}
	return &scramClient{Auth: smtp.ScramSHA1PlusAuth(user, s.secret, state)}, nil
}

// endPointClient is SCRAM that is bound to the server's certificate.
type endPointClient struct {
	mech string
	talk *scram.ClientConversation
}

var _ smtp.Auth = endPointClient{}

func newEndPointClient(mech, user, password string, state *tls.ConnectionState) (smtp.Auth, error) {
	to, err := scram.NewTLSServerEndpointBinding(state)
	if err != nil {
		return nil, err
	}
	hash := scram.SHA256
	if mech == mechSCRAM1Plus {
		hash = scram.SHA1
	}
	// Prepared as go-mail does (RFC 8265), not by SASLprep.
	if user, err = precis.OpaqueString.String(user); err != nil {
		return nil, err
	}
	if password, err = precis.OpaqueString.String(password); err != nil {
		return nil, err
	}
	c, err := hash.NewClientUnprepped(user, password, "")
	if err != nil {
		return nil, err
	}
	return &scramClient{Auth: endPointClient{mech, c.NewConversationWithChannelBinding(to)}}, nil
}

// Start sends nothing yet: the first message answers the server's empty challenge.
func (c endPointClient) Start(*smtp.ServerInfo) (mech string, first []byte, err error) {
	return c.mech, nil, nil
}

// Next answers one challenge.
func (c endPointClient) Next(challenge []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	response, err := c.talk.Step(string(challenge))
	return []byte(response), err
}

var errSCRAM = errors.New("the server does not keep to SCRAM")

// Next answers one challenge.
func (c *scramClient) Next(challenge []byte, more bool) ([]byte, error) {
	switch {
	case !more:
		return nil, nil
	case c.step == scramBegun && len(challenge) == 0:
		c.step = scramFirst
	case c.step == scramFirst && bytes.HasPrefix(challenge, []byte("r=")) && boundedIterations(challenge):
		c.step = scramFinal
	case c.step == scramFinal && bytes.HasPrefix(challenge, []byte("v=")):
		response, err := c.Auth.Next(challenge, true)
		if err == nil {
			c.step = scramVerified
		}
		return response, err
	case bytes.HasPrefix(challenge, []byte("e=")) && c.step != scramRefused:
		c.unknown = c.step == scramFirst && bytes.HasPrefix(challenge, []byte("e=unsupported-channel-binding-type"))
		c.step = scramRefused
		c.unbound = bytes.Contains(challenge, []byte("channel-binding")) // RFC 5802 7
		return []byte{}, nil                                             // the refusal itself comes as a reply
	default:
		return nil, errSCRAM
	}
	return c.Auth.Next(challenge, true)
}

func boundedIterations(challenge []byte) bool {
	for _, field := range bytes.Split(challenge, []byte{','}) {
		if count, ok := bytes.CutPrefix(field, []byte("i=")); ok {
			n, err := strconv.Atoi(string(count))
			return err == nil && n >= 1 && n <= maxIterations
		}
	}
	return false
}

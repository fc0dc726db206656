package accounts

import (
	"bytes"
	"crypto/tls"
	"errors"
	"strconv"

	"github.com/wneessen/go-mail/smtp"
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

// scramClient holds go-mail's SCRAM to the order of RFC 5802 and its work to a
// bound, and knows whether the server proved itself: a "235" alone does not.
type scramClient struct {
	smtp.Auth
	step    int
	unbound bool // the server sees another connection than this one
}

// keyUnbound is the reason of a refusal that is about the connection, not about
// the password.
const keyUnbound = "fault.unbound"

// binding returns the connection that SCRAM's -PLUS is bound to, or nil where
// there is none that both sides know the same of: tls-exporter (RFC 9266) from
// TLS 1.3 on, tls-unique (RFC 5929 3) before, where TLS gives it out.
func (s *signIn) binding() *tls.ConnectionState {
	conn, ok := s.wire.c.(*tls.Conn)
	if !ok {
		return nil
	}
	state := conn.ConnectionState()
	if state.Version < tls.VersionTLS13 && state.TLSUnique == nil {
		return nil
	}
	return &state
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

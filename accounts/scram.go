package accounts

import (
	"bytes"
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
	step int
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
		return []byte{}, nil // the refusal itself comes as a reply
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

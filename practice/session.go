package practice

import (
	"crypto/subtle"
	"errors"
	"io"
	"syscall"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// The answers that are not the server library's own (RFC 4954 6, RFC 3463).
var (
	errSignInFirst = &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	errClosing     = &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "the practice server is closing"}
	errDiskFull    = &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: "the disk is full"}
	errLocal       = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "the message could not be stored"}
	errCutOff      = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 2}, Message: "the message was cut off"}
)

var _ smtp.AuthSession = (*session)(nil)

// session is one client's conversation. The server calls it from one
// goroutine at a time.
type session struct {
	trap   *Trap
	smtp   *smtp.Conn
	conn   *conn
	signed bool
	wrong  int
}

func (t *Trap) newSession(c *smtp.Conn) (smtp.Session, error) {
	nc, ok := c.Conn().(*conn)
	if !ok { // no TLS is configured, so nothing wraps it
		return nil, errLocal
	}
	return &session{trap: t, smtp: c, conn: nc}, nil
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(mech string) (sasl.Server, error) {
	if mech != sasl.Plain {
		return nil, smtp.ErrAuthUnknownMechanism
	}
	return sasl.NewPlainServer(s.signIn), nil
}

func (s *session) signIn(identity, name, password string) error {
	good := subtle.ConstantTimeCompare([]byte(name), []byte(user)) &
		subtle.ConstantTimeCompare([]byte(password), []byte(s.trap.secret))
	if identity != "" && identity != name {
		good = 0
	}
	if good == 1 {
		s.signed = true
		s.conn.trust()
		return nil
	}
	s.trap.log.Warn("a sign-in to the practice server was refused")
	if s.wrong++; s.wrong >= maxSignIns {
		_ = s.conn.Close() // somebody is guessing; the answer is the closed socket
	}
	return smtp.ErrAuthFailed
}

func (s *session) Mail(string, *smtp.MailOptions) error {
	switch {
	case !s.signed:
		return errSignInFirst
	case s.conn.isClosing():
		return errClosing
	}
	return nil
}

// Rcpt takes every recipient: who is real is not for a rehearsal to say.
func (s *session) Rcpt(string, *smtp.RcptOptions) error { return nil }

func (s *session) Data(r io.Reader) error {
	if !s.conn.begin() {
		return errClosing
	}
	defer s.conn.end()
	name, err := s.trap.store.catch(r)
	if err != nil {
		answer := refusal(err)
		s.trap.log.Warn("a message was not caught", "code", answer.Code, "error", err)
		return answer
	}
	s.trap.caught.Add(1)
	s.trap.log.Debug("caught a message", "file", name)
	return &smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "caught as " + name}
}

func (s *session) Reset() {}

func (s *session) Logout() error { return nil }

// refusal turns what went wrong with a message into the answer to its dot.
// All but the size are for now, not for good: the mailer tries again.
func refusal(err error) *smtp.SMTPError {
	var read *readError
	switch {
	case errors.Is(err, smtp.ErrDataTooLarge):
		return smtp.ErrDataTooLarge
	case errors.As(err, &read):
		return errCutOff
	case isDiskFull(err):
		return errDiskFull
	default:
		return errLocal
	}
}

// Windows says these where others say ENOSPC.
const (
	winHandleDiskFull = syscall.Errno(39)
	winDiskFull       = syscall.Errno(112)
)

func isDiskFull(err error) bool {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return true
	}
	return onWindows && (errors.Is(err, winHandleDiskFull) || errors.Is(err, winDiskFull))
}

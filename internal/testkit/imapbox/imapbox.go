// Package imapbox is an empty mailbox over IMAP (RFC 9051) for tests, in memory and
// in clear text on loopback. It takes tokens only, by OAUTHBEARER (RFC 7628).
package imapbox

import (
	"errors"
	"net"
	"sync/atomic"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-sasl"
)

const password = "of the server in memory alone" // no client is asked for it

// Server is a running server. Safe for concurrent use.
type Server struct {
	Port int

	srv  *imapserver.Server
	good func(token string) bool
	shut atomic.Bool
	done chan struct{}
}

// Listen starts a server for the mailbox of a user; good decides about tokens.
// Close ends it.
func Listen(user string, good func(token string) bool) (*Server, error) {
	box := imapmemserver.NewUser(user, password)
	if err := box.Create("INBOX", nil); err != nil {
		return nil, err
	}
	mem := imapmemserver.New()
	mem.AddUser(box)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	at, ok := ln.Addr().(*net.TCPAddr)
	if !ok {
		return nil, errors.Join(errors.New("imapbox: no TCP address"), ln.Close())
	}
	s := &Server{Port: at.Port, good: good, done: make(chan struct{})}
	s.srv = imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return session{mem.NewSession(), s}, nil, nil
		},
		InsecureAuth: true,
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}},
	})
	go func() {
		defer close(s.done)
		_ = s.srv.Serve(ln) // ends with Close
	}()
	return s, nil
}

// Shut makes the server refuse every token from now on.
func (s *Server) Shut() { s.shut.Store(true) }

// Close ends the server.
func (s *Server) Close() error {
	err := s.srv.Close()
	<-s.done
	return err
}

// session is one that lets in who has a token.
type session struct {
	imapserver.Session
	server *Server
}

var _ imapserver.SessionSASL = session{}

// AuthenticateMechanisms implements imapserver.SessionSASL.
func (session) AuthenticateMechanisms() []string { return []string{sasl.OAuthBearer} }

// Authenticate implements imapserver.SessionSASL.
func (s session) Authenticate(string) (sasl.Server, error) {
	return refusing{sasl.NewOAuthBearerServer(func(o sasl.OAuthBearerOptions) *sasl.OAuthBearerError {
		if s.server.shut.Load() || !s.server.good(o.Token) || s.Login(o.Username, password) != nil {
			return &sasl.OAuthBearerError{Status: "invalid_token", Schemes: "bearer"}
		}
		return nil
	})}, nil
}

// refusing words a refusal as IMAP servers do.
type refusing struct{ sasl.Server }

// Next implements sasl.Server.
func (r refusing) Next(response []byte) (challenge []byte, done bool, err error) {
	if challenge, done, err = r.Server.Next(response); err != nil {
		err = &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeAuthenticationFailed, Text: "the token is not good"}
	}
	return challenge, done, err
}

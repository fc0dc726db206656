package cli_test

import (
	"context"
	"net"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-sasl"
	"github.com/rogpeppe/go-internal/testscript"

	"postroom/internal/testkit/authserver"
)

// mailbox NAME starts a server for an empty mailbox until the script ends; its port
// is $NAME. It takes tokens only (RFC 7628), and the authorization server $AUTH
// decides about them.
func mailbox(ts *testscript.TestScript, _ bool, args []string) {
	s, ok := authServers.Load(ts.Getenv("AUTH"))
	if !ok {
		ts.Fatalf("start authserver AUTH first")
	}
	user := imapmemserver.NewUser(authserver.User, password)
	ts.Check(user.Create("INBOX", nil))
	closed := new(atomic.Bool)
	mem := imapmemserver.New()
	mem.AddUser(user)
	srv := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return tokenSession{mem.NewSession(), s.(*authserver.Server), closed}, nil, nil
		},
		InsecureAuth: true,
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}},
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln) // ends with Close
	}()
	ts.Defer(func() {
		ts.Check(srv.Close())
		<-done
	})
	port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	ts.Setenv(args[0], port)
	mailboxes.Store(port, closed)
}

// mailboxes are whether each is shut, by port; scripts run side by side.
var mailboxes sync.Map

// shut NAME makes a mailbox refuse every token from now on.
func shut(ts *testscript.TestScript, _ bool, args []string) {
	closed, ok := mailboxes.Load(ts.Getenv(args[0]))
	if !ok {
		ts.Fatalf("there is no mailbox %s", args[0])
	}
	closed.(*atomic.Bool).Store(true)
}

// tokenSession lets in who has a token.
type tokenSession struct {
	imapserver.Session
	tokens *authserver.Server
	shut   *atomic.Bool
}

var _ imapserver.SessionSASL = tokenSession{}

func (tokenSession) AuthenticateMechanisms() []string { return []string{sasl.OAuthBearer} }

func (s tokenSession) Authenticate(string) (sasl.Server, error) {
	return refusing{sasl.NewOAuthBearerServer(func(o sasl.OAuthBearerOptions) *sasl.OAuthBearerError {
		if s.shut.Load() || !s.tokens.Good(context.Background(), o.Token) || s.Login(o.Username, password) != nil {
			return &sasl.OAuthBearerError{Status: "invalid_token", Schemes: "bearer"}
		}
		return nil
	})}, nil
}

// refusing words a refusal as IMAP servers do.
type refusing struct{ sasl.Server }

func (r refusing) Next(response []byte) (challenge []byte, done bool, err error) {
	if challenge, done, err = r.Server.Next(response); err != nil {
		err = &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeAuthenticationFailed, Text: "the token is not good"}
	}
	return challenge, done, err
}

package practice

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"postroom/post"
)

// Limits of a trap. They are generous for one mailer and tight for everything else.
const (
	// MaxMessage is the largest message that is caught, in bytes (RFC 1870).
	MaxMessage = 55 << 20

	maxConnections = 64
	maxRecipients  = 100
	maxSignIns     = 3                // wrong ones on a connection before it is closed
	signInTime     = 30 * time.Second // from connect to a successful sign-in
	idleTime       = 5 * time.Minute  // RFC 5321 4.5.3.2.7
	bodyTime       = 10 * time.Minute // from DATA to the final dot
	writeTime      = time.Minute
	closeTime      = 5 * time.Second // for messages on their way when Close is called
)

// user is the name to sign in with; the secret differs in each run.
const user = "practice"

// Options say where a trap keeps its catch.
type Options struct {
	// Dir is the folder for the .eml files. It is created with mode 0700 when
	// it is missing.
	Dir string
	// Log gets one line per caught or refused message; nil is slog.Default.
	Log *slog.Logger
	// MaxMessage replaces the constant of that name, in bytes; 0 keeps it.
	MaxMessage int64
}

// Trap is a running practice server. Safe for concurrent use.
type Trap struct {
	log    *slog.Logger
	port   int
	secret string
	store  *store
	server *smtp.Server
	listen *listener

	caught atomic.Int64
	served chan struct{} // closed when the accept loop has ended
	closed chan struct{} // closed when Close has done its work
	once   sync.Once
	stop   func() bool // ends the watch over Start's context
	err    error       // of Close; read after closed
}

// Start opens a trap that runs until Close, or until ctx ends, whichever comes
// first. The error is a *post.Error.
func Start(ctx context.Context, o Options) (*Trap, error) {
	const op = "start the practice server"
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.MaxMessage <= 0 {
		o.MaxMessage = MaxMessage
	}
	st, err := openStore(o.Dir)
	if err != nil {
		return nil, &post.Error{
			Kind: post.KindInternal, Op: op, Message: "the folder for caught messages cannot be used",
			Reason: post.Reason{Key: "practice.folder", Args: []string{o.Dir}}, Err: err,
		}
	}
	// tcp4 and the literal address: a name could be pointed elsewhere.
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, &post.Error{
			Kind: post.KindInternal, Op: op, Message: "no local port could be opened",
			Reason: post.Reason{Key: "practice.port"}, Err: errors.Join(err, st.close()),
		}
	}
	tcp, ok := ln.Addr().(*net.TCPAddr)
	if !ok { // a TCP listener has a TCP address
		return nil, errors.Join(ln.Close(), st.close())
	}
	t := &Trap{
		log: o.Log, store: st, secret: rand.Text(),
		port:   tcp.Port,
		served: make(chan struct{}), closed: make(chan struct{}),
	}
	t.listen = newListener(ln, maxConnections)
	t.server = t.newServer(o.MaxMessage)
	go t.serve()
	t.stop = context.AfterFunc(ctx, func() {
		if err := t.shut(); err != nil {
			t.log.Warn("closing the practice server", "error", err)
		}
	})
	return t, nil
}

func (t *Trap) newServer(limit int64) *smtp.Server {
	s := smtp.NewServer(smtp.BackendFunc(t.newSession))
	s.Domain = "practice.localhost"
	s.MaxMessageBytes = limit
	s.MaxRecipients = maxRecipients
	s.AllowInsecureAuth = true // plain text, loopback only
	s.EnableSMTPUTF8 = true
	s.EnableDSN = true
	s.ReadTimeout = idleTime
	s.WriteTimeout = writeTime
	s.ErrorLog = smtpLog{t.log}
	return s
}

func (t *Trap) serve() {
	defer close(t.served)
	if err := t.server.Serve(t.listen); err != nil && !errors.Is(err, net.ErrClosed) {
		t.log.Error("the practice server stopped listening", "error", err)
	}
}

// Account returns the account that reaches this trap. It holds no secret; the
// one to sign in with is Secret.
func (t *Trap) Account() post.Account {
	return post.Account{
		Name: "Practice", Email: "practice@localhost", FromName: "Practice",
		Host: "127.0.0.1", Port: t.port, TLS: post.TLSNone,
		Auth: post.AuthPlain, User: user, Secret: post.SecretNone,
		Connections: 2,
	}
}

// Secret returns the password of this run. It lives in memory only.
func (t *Trap) Secret() string { return t.secret }

// Dir returns the folder that the caught messages lie in.
func (t *Trap) Dir() string { return t.store.dir }

// Caught returns how many messages were caught since Start, copies included.
func (t *Trap) Caught() int64 { return t.caught.Load() }

// Catch is one caught message.
type Catch struct {
	Path string
	// Copies is how often this Message-ID was caught: 1 is as it should be.
	// A file left by an earlier run in the same folder counts as one.
	Copies int64
}

// Find returns what was caught under a Message-ID, and whether anything was.
func (t *Trap) Find(messageID string) (Catch, bool) {
	path := Path(t.store.dir, messageID)
	if fi, err := os.Lstat(path); err != nil || !fi.Mode().IsRegular() {
		return Catch{}, false
	}
	return Catch{Path: path, Copies: t.store.count(fileName(messageID))}, true
}

// Close stops the trap: no new connection and no new message; messages whose
// content is arriving are finished, for at most 5 seconds. It returns when no
// goroutine of the trap is left. Closing twice is harmless.
func (t *Trap) Close() error {
	t.stop()
	return t.shut()
}

func (t *Trap) shut() error {
	t.once.Do(func() {
		defer close(t.closed)
		err := t.listen.finish()
		<-t.served
		// Only now: the server's own count of connections is complete.
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			_ = t.server.Shutdown(context.Background()) // it can only say that its listener is closed
		}()
		grace := time.NewTimer(closeTime)
		defer grace.Stop()
		select {
		case <-drained:
		case <-grace.C:
			t.listen.hangUp()
			<-drained
			t.log.Warn("the practice server cut messages off that took too long to arrive")
		}
		t.err = errors.Join(err, t.store.close())
	})
	<-t.closed
	return t.err
}

// smtpLog hands the server's complaints on; they name no content.
type smtpLog struct{ log *slog.Logger }

func (l smtpLog) Printf(format string, v ...any) {
	l.log.Warn("practice server", "detail", fmt.Sprintf(format, v...))
}

func (l smtpLog) Println(v ...any) { l.log.Warn("practice server", "detail", fmt.Sprint(v...)) }

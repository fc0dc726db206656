package accounts

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"postroom/post"
)

// Browser opens an https page for the user; it does not wait for them.
type Browser func(page string) error

const (
	signInTime  = 5 * time.Minute
	maxStray    = 50      // requests that are not the answer, until we no longer listen
	maxHeader   = 8 << 10 // bytes of one request
	maxCode     = 4 << 10
	requestTime = 10 * time.Second
)

// SignInParams are what SignIn needs besides the account.
type SignInParams struct {
	Home post.SecretKind // where the key of the tokens is kept: keyring or vault
	Open Browser
	// Page is what the browser shows afterwards, as plain text: the user may
	// close it and go back.
	Page string
}

// SignIn lets the user sign in at the account's provider in the system's
// browser (RFC 8252) and keeps what comes of it under a.ID and a.SecretRef,
// durably when it returns. The account must be stored already; that it signs in
// by token from now on is the caller's to store. ctx ends the wait for the user,
// which lasts five minutes at most.
func (t *Tokens) SignIn(ctx context.Context, a post.Account, p SignInParams) error {
	if a.ID == 0 || a.SecretRef == "" {
		return &post.Error{Kind: post.KindInternal, Op: opToken, Message: "the account is not stored yet"}
	}
	home := t.home(p.Home)
	if home == nil {
		return errNotKept()
	}
	server, err := t.server(ctx, a.OAuth, p.Home)
	if err != nil {
		return err
	}
	have, err := t.consent(ctx, server, a, p)
	if err != nil {
		return err
	}
	if have.Refresh == "" {
		return signInError(keyTokenShort, "the provider gave a token that ends soon and cannot be renewed; ask it for offline access", nil)
	}
	key, err := newBoxKey()
	if err != nil {
		return tokenTrouble(err)
	}
	seal := tokenSeal{home: p.Home}
	if old, _, err := t.keyOf(ctx, home, a); err == nil {
		key = old // tokens that lie there stay readable until they are replaced
	} else if err := home.Set(ctx, a, key); err != nil {
		return err
	}
	if seal.key, err = decodeKey(key); err != nil {
		return tokenTrouble(err)
	}
	return t.write(context.WithoutCancel(ctx), a, seal, have)
}

// keyOf returns the key that an account has already.
func (t *Tokens) keyOf(ctx context.Context, home Secrets, a post.Account) (text string, key []byte, err error) {
	if text, err = home.Get(ctx, a); err == nil {
		key, err = decodeKey(text)
	}
	return text, key, err
}

// consent is the way through the browser: it ends with tokens.
func (t *Tokens) consent(ctx context.Context, s *authServer, a post.Account, p SignInParams) (tokens, error) {
	limited, stop := context.WithTimeout(ctx, signInTime)
	defer stop()
	var lc net.ListenConfig
	ln, err := lc.Listen(limited, "tcp", "127.0.0.1:0") // before the browser opens, and never by a name
	if err != nil {
		return tokens{}, tokenTrouble(err)
	}
	w := &answerDoor{
		host: ln.Addr().String(), path: "/" + rand.Text(), state: rand.Text(), page: p.Page, server: s,
		got: make(chan answer, 1),
	}
	if s.path != "" {
		w.path = s.path // what keeps others out are state and PKCE
	}
	srv := &http.Server{
		Handler: w, ReadHeaderTimeout: requestTime, ReadTimeout: requestTime, WriteTimeout: requestTime, MaxHeaderBytes: maxHeader,
		ErrorLog: nil,
	}
	srv.SetKeepAlivesEnabled(false)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(ln) // ends by Shutdown
	}()
	defer func() {
		end, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second) // the page is on its way
		defer stop()
		if srv.Shutdown(end) != nil {
			_ = srv.Close() // nothing depends on it
		}
		<-served
	}()
	verifier := oauth2.GenerateVerifier()
	c := *s
	c.RedirectURL = "http://" + w.host + w.path
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier)}
	for key, value := range s.extra {
		options = append(options, oauth2.SetAuthURLParam(key, value))
	}
	if s.extra["login_hint"] == "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", a.Login()))
	}
	page := c.AuthCodeURL(w.state, options...)
	if !isHTTPS(page) {
		return tokens{}, serverTrouble("its addresses are not https")
	}
	if err := p.Open(page); err != nil {
		return tokens{}, signInError(keyTokenFailed, "the browser could not be opened", err)
	}
	select {
	case <-limited.Done():
		if ctx.Err() != nil {
			return tokens{}, cancelled(ctx.Err())
		}
		return tokens{}, signInError(keyTokenTime, "nobody signed in within five minutes", nil)
	case got := <-w.got:
		if got.err != nil {
			return tokens{}, got.err
		}
		return t.trade(limited, &c, got.code, verifier)
	}
}

type answer struct {
	code string
	err  error
}

// answerDoor takes the one request by which the browser comes back, and turns
// everything else away: other names (DNS rebinding), other paths and methods,
// and answers to somebody else's question.
type answerDoor struct {
	host, path, state, page string
	server                  *authServer

	mu    sync.Mutex
	done  bool
	stray int
	got   chan answer
}

// ServeHTTP implements http.Handler.
func (d *answerDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	got, status := d.judge(r)
	if status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	_, _ = w.Write([]byte(d.page + "\n")) // the browser may be gone; the answer is here
	d.got <- got
}

func (d *answerDoor) judge(r *http.Request) (answer, int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q, err := url.ParseQuery(r.URL.RawQuery)
	status := http.StatusOK
	switch {
	case d.done || d.stray >= maxStray:
		status = http.StatusGone
	case r.Host != d.host:
		status = http.StatusMisdirectedRequest
	case subtle.ConstantTimeCompare([]byte(r.URL.Path), []byte(d.path)) != 1:
		status = http.StatusNotFound
	case r.Method != http.MethodGet:
		status = http.StatusMethodNotAllowed
	case err != nil, len(q["state"]) != 1, subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(d.state)) != 1:
		status = http.StatusBadRequest
	}
	if status != http.StatusOK {
		d.stray++
		return answer{}, status
	}
	d.done = true
	return d.read(q), http.StatusOK
}

// read reads an answer that is to our question (RFC 6749 4.1.2, RFC 9207 2.4).
func (d *answerDoor) read(q url.Values) answer {
	iss := q["iss"]
	switch {
	case len(iss) > 1, len(iss) == 1 && d.server.issuer != "" && strings.TrimSuffix(iss[0], "/") != strings.TrimSuffix(d.server.issuer, "/"),
		len(iss) == 0 && d.server.named:
		return answer{err: errAnswer("the answer is of another server")}
	case q.Has("error"):
		code := q.Get("error")
		if code == "access_denied" {
			return answer{err: signInError(keyTokenDenied, "the permission was not given", nil)}
		}
		if !errorCode.MatchString(code) {
			code = "?"
		}
		return answer{err: signInError(keyTokenClient, "the provider refused ("+code+")", nil, code)}
	case len(q["code"]) != 1 || q.Get("code") == "" || len(q.Get("code")) > maxCode:
		return answer{err: errAnswer("the answer holds no code")}
	}
	return answer{code: q.Get("code")}
}

func errAnswer(why string) error {
	return signInError(keyTokenAnswer, "the provider's answer does not fit: "+why, errors.New(why))
}

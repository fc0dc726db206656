// Package authserver is an authorization server for tests: zitadel's OpenID
// provider over TLS on loopback, with one native client that needs PKCE, refresh
// tokens that are good for one use, and a user who signs in through its page.
//
// It can be told to answer a request otherwise, so that slow, broken and hostile
// servers are tested too, and to withdraw everything it has given.
package authserver

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"sync"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

// What there is to sign in with.
const (
	ClientID = "postroom"
	User     = "test-user2"
	Password = "verysecure"
)

// Scopes give a refresh token too.
var Scopes = []string{"openid", "offline_access"}

// Server is a running authorization server. Safe for concurrent use.
type Server struct {
	URL string // the issuer
	web *httptest.Server

	mu      sync.Mutex
	handler http.Handler
	instead func(http.ResponseWriter, *http.Request) bool
	tokens  int // requests to the token endpoint
}

// Start starts a server; Close ends it. redirect is the client's registered
// address without its port.
func Start(redirect string) *Server {
	s := &Server{}
	s.web = httptest.NewUnstartedServer(s)
	s.web.StartTLS()
	s.URL = s.web.URL
	s.fill(redirect)
	return s
}

func (s *Server) fill(redirect string) {
	clients := map[string]*storage.Client{ClientID: storage.NativeClient(ClientID, redirect)}
	lies := storage.NewStorageWithClients(storage.NewUserStore(s.URL), clients)
	h := exampleop.SetupServer(s.URL, lies, nil, false)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = h
}

// Withdraw forgets all that was given, as when a user takes a permission back.
func (s *Server) Withdraw(redirect string) { s.fill(redirect) }

// Close ends the server.
func (s *Server) Close() { s.web.Close() }

// Client returns a client that trusts the server.
func (s *Server) Client() *http.Client { return s.web.Client() }

// CAPEM returns the certificate to trust.
func (s *Server) CAPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.web.Certificate().Raw})
}

// Instead lets f answer requests in the server's place; it returns false for
// those that it leaves. nil ends that.
func (s *Server) Instead(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instead = f
}

// TokenRequests counts how often the token endpoint was asked.
func (s *Server) TokenRequests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	h, instead := s.handler, s.instead
	if r.URL.Path == "/oauth/token" {
		s.tokens++
	}
	s.mu.Unlock()
	if instead != nil && instead(w, r) {
		return
	}
	h.ServeHTTP(w, r)
}

// Good reports whether an access token is good, as a resource server asks.
func (s *Server) Good(ctx context.Context, token string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/userinfo", http.NoBody)
	if err != nil {
		return false
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := s.Client().Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// SignIn does what a user does in a browser, from the page to the address that
// it leads back to, and returns what that showed.
func (s *Server) SignIn(ctx context.Context, page string) (*http.Response, error) {
	return Browse(ctx, s.Client().Transport, page)
}

// Browse is SignIn for a process that does not have the Server.
func Browse(ctx context.Context, rt http.RoundTripper, page string) (*http.Response, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	c := &http.Client{Transport: rt, Jar: jar}
	resp, err := get(ctx, c, page)
	if err != nil {
		return nil, err
	}
	id := resp.Request.URL.Query().Get("authRequestID")
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return nil, err
	}
	if err := resp.Body.Close(); err != nil {
		return nil, err
	}
	if id == "" {
		return nil, fmt.Errorf("no page to sign in on, but %s", resp.Status)
	}
	form := url.Values{"id": {id}, "username": {User}, "password": {Password}}
	at := *resp.Request.URL
	at.Path, at.RawQuery = "/login/username", ""
	return post(ctx, c, at.String(), form)
}

func get(ctx context.Context, c *http.Client, page string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page, http.NoBody)
	if err != nil {
		return nil, err
	}
	return c.Do(req)
}

func post(ctx context.Context, c *http.Client, page string, form url.Values) (*http.Response, error) {
	c.CheckRedirect = func(_ *http.Request, via []*http.Request) error {
		if len(via) > 5 {
			return errors.New("led round and round")
		}
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, page, nil)
	if err != nil {
		return nil, err
	}
	req.URL.RawQuery = form.Encode() // its page takes them from there too
	return c.Do(req)
}

func init() { slog.SetDefault(slog.New(slog.DiscardHandler)) } // it logs each request

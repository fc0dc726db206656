package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"postroom/assets/providers"
	"postroom/post"
)

// authServer is an authorization server with what we are called there.
type authServer struct {
	name   string
	issuer string // answers that name another are refused (RFC 9207); empty: not known
	named  bool   // it promises to name itself
	path   string // that it leads back to; empty: any
	extra  map[string]string
	oauth2.Config
}

// FixedPath is where an issuer that is given by its address leads back to: its
// client is registered with http://127.0.0.1 and this path; the port is free
// (RFC 8252 7.3).
const FixedPath = "/postroom"

// server puts together what is known of an account's authorization server: the
// data file or what was found at its issuer, under the settings. home is where the
// account's own key is kept.
func (t *Tokens) server(ctx context.Context, o post.OAuth, home post.SecretKind) (*authServer, error) {
	s := &authServer{issuer: o.Issuer, name: o.Issuer, path: FixedPath}
	s.ClientID, s.Scopes = o.ClientID, o.Scopes
	if known, ok := providers.AuthServerByID(o.Provider); ok {
		id, err := t.Shelf.Setting(ctx, known.ClientIDSetting(), known.ClientID)
		if err != nil {
			return nil, err
		}
		if s.ClientSecret, err = t.clientSecret(ctx, &known, home); err != nil {
			return nil, err
		}
		s.name, s.issuer, s.extra, s.path = known.Name, known.Issuer, known.Extra, known.Path
		s.Endpoint = oauth2.Endpoint{AuthURL: known.AuthURL, TokenURL: known.TokenURL}
		if s.ClientID == "" {
			s.ClientID = id
		}
		if len(s.Scopes) == 0 {
			s.Scopes = known.Scopes
		}
	} else {
		if err := t.named(ctx, s); err != nil {
			return nil, err
		}
		if err := t.ask(ctx, s); err != nil {
			return nil, err
		}
	}
	s.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	if s.ClientID == "" {
		return nil, signInError(keyTokenNoClient, "no client id is set for "+post.CleanReply(s.name)+"; set one in the settings, or use an app password", nil, post.CleanReply(s.name))
	}
	return s, nil
}

// named fills in what the settings call us at an issuer, for an account that does
// not say it itself.
func (t *Tokens) named(ctx context.Context, s *authServer) error {
	own, err := t.Own(ctx)
	if err != nil || own.Issuer != s.issuer {
		return err
	}
	if s.ClientID == "" {
		s.ClientID = own.ClientID
	}
	if len(s.Scopes) == 0 {
		s.Scopes = own.Scopes
	}
	return nil
}

// Own returns the authorization server that the settings name.
func (t *Tokens) Own(ctx context.Context) (providers.OwnServer, error) {
	var failed error
	own := providers.ReadOwn(func(key string) string {
		value, err := t.Shelf.Setting(ctx, key, "")
		failed = errors.Join(failed, err)
		return value
	})
	return own, failed
}

// Whose returns who gives the tokens for an account: as the account says, else
// whose tokens its server is known to take; zero where nobody is known.
func (t *Tokens) Whose(ctx context.Context, a post.Account) (post.OAuth, error) {
	if !a.OAuth.IsZero() {
		return a.OAuth, nil
	}
	if known, ok := providers.AuthServerFor(a.Host); ok {
		return post.OAuth{Provider: known.ID}, nil
	}
	own, err := t.Own(ctx)
	if err != nil || !own.Takes(a.Host) {
		return post.OAuth{}, err
	}
	return post.OAuth{Issuer: own.Issuer}, nil
}

// maxMetadata bounds what is read from an authorization server, in bytes.
const maxMetadata = 256 << 10

// ask finds the endpoints at the issuer: RFC 8414 3, and the older place of
// OpenID Connect Discovery 4.
func (t *Tokens) ask(ctx context.Context, s *authServer) error {
	issuer, err := url.Parse(s.issuer)
	if err != nil || s.issuer == "" || !providers.CheckIssuer(s.issuer) {
		return signInError(keyTokenIssuer, "the issuer must be an https address", nil)
	}
	path := strings.TrimSuffix(issuer.Path, "/")
	var last error = serverTrouble("no settings found at " + post.CleanReply(s.issuer))
	for _, place := range []string{"/.well-known/oauth-authorization-server" + path, path + "/.well-known/openid-configuration"} {
		at := *issuer
		at.Path = place
		err := t.askAt(ctx, s, at.String())
		if err == nil || ctx.Err() != nil {
			return err
		}
		last = err
	}
	return last
}

func (t *Tokens) askAt(ctx context.Context, s *authServer, page string) error {
	ctx, stop := context.WithTimeout(ctx, tokenTime)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page, http.NoBody)
	if err != nil {
		return serverTrouble("its address cannot be used")
	}
	resp, err := t.client().Do(req)
	if err != nil {
		return serverTrouble("it cannot be reached")
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxMetadata+1))
	if err != nil || len(b) > maxMetadata || resp.StatusCode != http.StatusOK {
		return serverTrouble("its settings cannot be read")
	}
	var found struct {
		Issuer    string   `json:"issuer"`
		Auth      string   `json:"authorization_endpoint"`
		Token     string   `json:"token_endpoint"`
		Challenge []string `json:"code_challenge_methods_supported"`
		Names     bool     `json:"authorization_response_iss_parameter_supported"`
	}
	switch err := json.Unmarshal(b, &found); {
	case err != nil:
		return serverTrouble("its settings cannot be read")
	case strings.TrimSuffix(found.Issuer, "/") != strings.TrimSuffix(s.issuer, "/"): // RFC 8414 3.3
		return serverTrouble("its settings are of another server")
	case !isHTTPS(found.Auth) || !isHTTPS(found.Token):
		return serverTrouble("its addresses are not https")
	case len(found.Challenge) > 0 && !slices.Contains(found.Challenge, "S256"):
		return serverTrouble("it does not know PKCE with S256")
	}
	s.issuer, s.named = found.Issuer, found.Names
	s.Endpoint.AuthURL, s.Endpoint.TokenURL = found.Auth, found.Token
	return nil
}

func isHTTPS(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && u.Fragment == ""
}

// client follows no redirection: what is posted to a token endpoint is for
// nobody else.
func (t *Tokens) client() *http.Client {
	c := http.Client{Timeout: tokenTime}
	if t.Client != nil {
		c = *t.Client
		if c.Timeout == 0 || c.Timeout > tokenTime {
			c.Timeout = tokenTime
		}
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// renew buys an access token with the refresh token (RFC 6749 6).
func (t *Tokens) renew(ctx context.Context, s *authServer, have tokens) (tokens, error) {
	if have.Refresh == "" {
		return tokens{}, signInError(keyTokenRevoked, "the permission has ended; sign in again", nil)
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, t.client())
	got, err := s.TokenSource(ctx, &oauth2.Token{RefreshToken: have.Refresh}).Token()
	return t.taken(ctx, got, err, have.Refresh)
}

// trade turns the code of a sign-in into tokens (RFC 6749 4.1.3, RFC 7636 4.5).
func (t *Tokens) trade(ctx context.Context, s *authServer, code, verifier string) (tokens, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, t.client())
	got, err := s.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	return t.taken(ctx, got, err, "")
}

// taken checks what a token endpoint answered. Where no new refresh token came
// the old one stays good.
func (t *Tokens) taken(ctx context.Context, got *oauth2.Token, err error, old string) (tokens, error) {
	switch {
	case ctx.Err() != nil:
		return tokens{}, cancelled(ctx.Err())
	case err != nil:
		return tokens{}, tokenError(err)
	}
	fresh := tokens{Access: got.AccessToken, Refresh: got.RefreshToken, Until: got.Expiry}
	if fresh.Refresh == "" {
		fresh.Refresh = old
	}
	if fresh.Until.IsZero() {
		fresh.Until = t.now().Add(usualLife)
	} else {
		fresh.Until = t.now().Add(time.Until(got.Expiry)) // by our own clock
	}
	if !checkToken(fresh.Access) || fresh.Refresh != "" && !checkToken(fresh.Refresh) || !strings.EqualFold(got.Type(), "bearer") {
		return tokens{}, serverTrouble("what it gave is no token")
	}
	return fresh, nil
}

// errorCode is the form of an error code (RFC 6749 5.2), and short.
var errorCode = regexp.MustCompile(`^[a-z_]{1,40}$`)

// tokenError reads a refusal by its code alone. Its text, which x/oauth2 puts
// into the error, could hold a token and goes nowhere.
func tokenError(err error) *post.Error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.Response == nil {
		return serverTrouble("it cannot be reached, or what it said cannot be read")
	}
	code := refused.ErrorCode
	if !errorCode.MatchString(code) {
		code = ""
	}
	status := refused.Response.StatusCode
	switch {
	case code == "invalid_grant", code == "interaction_required", code == "consent_required", code == "login_required":
		return signInError(keyTokenRevoked, "the permission was withdrawn or has ended; sign in again", nil)
	case code == "invalid_client", code == "unauthorized_client", code == "invalid_scope", code == "unsupported_grant_type":
		return signInError(keyTokenClient, "the provider does not accept the client id ("+code+")", nil, code)
	case code != "" && status/100 == 4 && code != "temporarily_unavailable" && code != "slow_down":
		return signInError(keyTokenClient, "the provider refused ("+code+")", nil, code)
	}
	return serverTrouble(http.StatusText(status))
}

package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postroom/internal/testkit/authserver"
	"postroom/internal/testkit/smtpscript"
	"postroom/post"
	"postroom/storage"
)

// desk is an account at a real authorization server, with a ledger for its
// tokens and a keyring for their key.
type desk struct {
	*Tokens
	server *authserver.Server
	ring   *boxed
	ledger *storage.Ledger
	a      post.Account
}

const redirect = "http://127.0.0.1" + FixedPath

func newDesk(t *testing.T) *desk {
	t.Helper()
	server := authserver.Start(redirect)
	t.Cleanup(server.Close)
	ledger, err := storage.Open(t.Context(), t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ledger.Close() })
	a, err := ledger.CreateAccount(t.Context(), post.Account{
		Name: "shop", Email: authserver.User + "@example.com", User: authserver.User, Host: "127.0.0.1", Port: 465, TLS: post.TLSImplicit,
		Auth: post.AuthAuto, Secret: post.SecretOAuth, SecretRef: "ref",
		OAuth: post.OAuth{Issuer: server.URL, ClientID: authserver.ClientID, Scopes: authserver.Scopes},
	})
	if err != nil {
		t.Fatal(err)
	}
	ring := newBoxed()
	return &desk{&Tokens{Shelf: ledger, Keyring: ring, Client: server.Client()}, server, ring, ledger, a}
}

// browser signs in as a user would, and hands over what the last page showed.
func (d *desk) browser(t *testing.T, seen func(*http.Response)) Browser {
	return func(page string) error {
		go func() {
			resp, err := d.server.SignIn(context.WithoutCancel(t.Context()), page)
			if err != nil {
				t.Errorf("browser: %v", err)
				return
			}
			defer resp.Body.Close()
			if seen != nil {
				seen(resp)
			}
		}()
		return nil
	}
}

func (d *desk) signIn(t *testing.T) {
	t.Helper()
	if err := d.SignIn(t.Context(), d.a, SignInParams{Home: post.SecretKeyring, Open: d.browser(t, nil), Page: "done"}); err != nil {
		t.Fatal(err)
	}
}

// aged makes the access token one that ends now.
func (d *desk) aged(t *testing.T) {
	t.Helper()
	have, seal, err := d.read(t.Context(), d.a)
	if err != nil {
		t.Fatal(err)
	}
	have.Until = time.Now()
	if err := d.write(t.Context(), d.a, seal, have); err != nil {
		t.Fatal(err)
	}
}

func TestSignInWithBrowser(t *testing.T) {
	d := newDesk(t)
	seen := make(chan *http.Response, 1)
	var text []byte
	err := d.SignIn(t.Context(), d.a, SignInParams{Home: post.SecretKeyring, Page: "you may close this", Open: d.browser(t, func(r *http.Response) {
		text, _ = io.ReadAll(r.Body)
		seen <- r
	})})
	if err != nil {
		t.Fatal(err)
	}
	resp := <-seen
	for key, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "Content-Type": "text/plain; charset=utf-8",
	} {
		if got := resp.Header.Get(key); got != want {
			t.Errorf("%s: %q", key, got)
		}
	}
	if string(text) != "you may close this\n" || resp.StatusCode != http.StatusOK {
		t.Errorf("%d %q", resp.StatusCode, text)
	}
	token, err := d.Get(t.Context(), d.a)
	if err != nil || !d.server.Good(t.Context(), token) {
		t.Fatalf("%v, good: %v", err, err == nil)
	}
	if d.server.Good(t.Context(), token+"x") {
		t.Fatal("the server takes any token") // else this test proves nothing
	}
	if again, err := d.Get(t.Context(), d.a); err != nil || again != token || d.server.TokenRequests() != 1 {
		t.Errorf("%v, %d requests", err, d.server.TokenRequests())
	}
	// Nothing in the folder or the keyring holds a token in the open.
	have, _, err := d.read(t.Context(), d.a)
	if err != nil {
		t.Fatal(err)
	}
	wantNowhere(t, d.ledger.Dir(), token, have.Refresh)
	for _, entry := range d.ring.all {
		if strings.Contains(entry, token) || len(entry) > 100 {
			t.Error("the keyring holds more than a key")
		}
	}
	// It is no use to another account, and gone with the key.
	other := d.a
	other.SecretRef = "other"
	d.ring.all["other"] = d.ring.all["ref"]
	_, err = d.Get(t.Context(), other)
	wantKey(t, err, post.KindSignIn, keyTokenMissing)
	delete(d.ring.all, "ref")
	_, err = d.Get(t.Context(), d.a)
	wantKey(t, err, post.KindSignIn, keyTokenMissing)
	d.ring.fail = errWaiting() // locked is not lost
	_, err = d.Get(t.Context(), d.a)
	wantKey(t, err, post.KindSignIn, keyKeyringWaiting)
}

// wantNowhere looks through every file of a folder.
func wantNowhere(t *testing.T, dir string, secrets ...string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		for _, s := range secrets {
			if s == "" || strings.Contains(string(b), s) {
				t.Errorf("%s holds a secret", path)
			}
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("looked at %d files: %v", files, err)
	}
}

// TestTokensRotate: a refresh token is good once; the next is kept before use,
// also when many ask at the same time and from two processes' places.
func TestTokensRotate(t *testing.T) {
	d := newDesk(t)
	d.signIn(t)
	first, err := d.Get(t.Context(), d.a)
	if err != nil {
		t.Fatal(err)
	}
	last := first
	for range 3 {
		d.aged(t)
		before := d.server.TokenRequests()
		got := make([]string, 8)
		other := &Tokens{Shelf: d.ledger, Keyring: d.ring, Client: d.server.Client()} // another process, as far as the lock goes
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				from := d.Tokens
				if i%2 == 1 {
					from = other
				}
				var err error
				if got[i], err = from.Get(t.Context(), d.a); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		slices.Sort(got)
		if got = slices.Compact(got); len(got) != 1 || got[0] == last || !d.server.Good(t.Context(), got[0]) {
			t.Fatalf("%d tokens", len(got))
		}
		if n := d.server.TokenRequests() - before; n != 1 {
			t.Errorf("%d requests for one renewal", n)
		}
		last = got[0]
	}
	if d.server.Good(t.Context(), first) {
		t.Error("this server does not rotate; the test proves nothing")
	}
	fresh, err := d.Refresh(t.Context(), d.a, last)
	if err != nil || fresh == last {
		t.Errorf("%v", err)
	}
	if again, err := d.Refresh(t.Context(), d.a, last); err != nil || again != fresh { // somebody was quicker
		t.Errorf("%v", err)
	}
}

// TestRotationIsKeptBeforeUse: when what came back cannot be kept, it is not
// used either.
func TestRotationIsKeptBeforeUse(t *testing.T) {
	d := newDesk(t)
	d.signIn(t)
	d.aged(t)
	full := errors.New("the disk is full")
	d.Shelf = fullShelf{d.ledger, full}
	if token, err := d.Get(t.Context(), d.a); !errors.Is(err, full) || token != "" {
		t.Errorf("%v, a token: %v", err, token != "")
	}
}

type fullShelf struct {
	*storage.Ledger
	err error
}

func (s fullShelf) SetAccountSecret(context.Context, int64, storage.SealedSecret) error { return s.err }

func TestWithdrawnPermission(t *testing.T) {
	d := newDesk(t)
	d.signIn(t)
	d.aged(t)
	d.server.Withdraw(redirect)
	for range 2 {
		_, err := d.Get(t.Context(), d.a)
		wantKey(t, err, post.KindSignIn, keyTokenRevoked)
	}
	d.signIn(t) // again, over what is kept
	if token, err := d.Get(t.Context(), d.a); err != nil || !d.server.Good(t.Context(), token) {
		t.Errorf("%v", err)
	}
	if err := d.Delete(t.Context(), d.a); err != nil || len(d.ring.all) != 0 {
		t.Errorf("%v, %d left in the keyring", err, len(d.ring.all))
	}
	_, err := d.Get(t.Context(), d.a)
	wantKey(t, err, post.KindSignIn, keyTokenMissing)
}

// TestHostileTokenEndpoint: what is odd is waited out, what is a refusal stops,
// and no answer gets into an error.
func TestHostileTokenEndpoint(t *testing.T) {
	const planted = "pl4nted-t0ken"
	huge := `{"access_token":"` + strings.Repeat("x", 2<<20) + `"}`
	for name, c := range map[string]struct {
		status    int
		kind, say string
		key       string
	}{
		"revoked":          {400, "application/json", `{"error":"invalid_grant","error_description":"` + planted + `"}`, keyTokenRevoked},
		"client":           {401, "application/json", `{"error":"invalid_client","error_description":"` + planted + `"}`, keyTokenClient},
		"other refusal":    {400, "application/json", `{"error":"invalid_request"}`, keyTokenClient},
		"odd code":         {400, "application/json", `{"error":"` + planted + `"}`, keyTokenServer},
		"busy":             {503, "application/json", `{"error":"temporarily_unavailable"}`, keyTokenServer},
		"slow down":        {429, "text/plain", planted, keyTokenServer},
		"broken":           {200, "application/json", `{"access_token":"` + planted, keyTokenServer},
		"page":             {200, "text/html", `<html>` + planted, keyTokenServer},
		"nothing":          {200, "application/json", ``, keyTokenServer},
		"no token":         {200, "application/json", `{"token_type":"Bearer","refresh_token":"` + planted + `"}`, keyTokenServer},
		"another type":     {200, "application/json", `{"access_token":"` + planted + `","token_type":"mac"}`, keyTokenServer},
		"line break":       {200, "application/json", `{"access_token":"` + planted + `\r\nMAIL FROM:<x>","token_type":"Bearer"}`, keyTokenServer},
		"separator":        {200, "application/json", `{"access_token":"` + planted + `\u0001x","token_type":"Bearer"}`, keyTokenServer},
		"bad refresh":      {200, "application/json", `{"access_token":"a","refresh_token":"` + planted + ` x","token_type":"Bearer"}`, keyTokenServer},
		"huge":             {200, "application/json", huge, keyTokenServer},
		"sent elsewhere":   {307, "https://elsewhere.example/token", planted, keyTokenServer},
		"sent to plain":    {302, "http://127.0.0.1:1/", planted, keyTokenServer},
		"cut":              {0, "", "", keyTokenServer},
		"error in the 200": {200, "application/json", `{"error":"invalid_grant"}`, keyTokenRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.signIn(t)
			d.aged(t)
			d.server.Instead(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/oauth/token" {
					return false
				}
				if c.status == 0 {
					panic(http.ErrAbortHandler)
				}
				if c.status/100 == 3 {
					w.Header().Set("Location", c.kind)
				} else {
					w.Header().Set("Content-Type", c.kind)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.say)
				return true
			})
			kind := post.KindSignIn
			if c.key == keyTokenServer {
				kind = post.KindNetwork
			}
			token, err := d.Get(t.Context(), d.a)
			wantKey(t, err, kind, c.key)
			if all := fmt.Sprintf("%v %+v %#v", err, err, err); token != "" || strings.Contains(all, planted) || strings.Contains(all, "xxxx") {
				t.Errorf("got %.200s", all)
			}
			var e *post.Error
			if errors.As(err, &e) && e.Err != nil && strings.Contains(e.Err.Error(), planted) {
				t.Error("the cause holds what the server said")
			}
			d.server.Instead(nil) // and when it comes back to its senses, all is well
			if token, err := d.Get(t.Context(), d.a); err != nil || !d.server.Good(t.Context(), token) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// TestSlowTokenEndpoint: a server that never answers ends with the caller's ctx.
func TestSlowTokenEndpoint(t *testing.T) {
	d := newDesk(t)
	d.signIn(t)
	d.aged(t)
	asked := make(chan struct{})
	d.server.Instead(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/oauth/token" {
			_, _ = io.Copy(io.Discard, r.Body) // only then the server sees that the client has gone
			close(asked)
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}
		return false
	})
	ctx, stop := context.WithCancel(t.Context())
	go func() { <-asked; stop() }()
	if _, err := d.Get(ctx, d.a); post.KindOf(err) != post.KindCancelled {
		t.Errorf("%v", err)
	}
	d.server.Instead(nil)
}

// TestIssuerSettings: what an issuer says of itself must fit.
func TestIssuerSettings(t *testing.T) {
	d := newDesk(t)
	whole := map[string]any{
		"issuer": d.server.URL, "authorization_endpoint": d.server.URL + "/auth", "token_endpoint": d.server.URL + "/oauth/token",
		"code_challenge_methods_supported": []string{"S256"},
	}
	for name, change := range map[string]func(map[string]any){
		"another issuer": func(m map[string]any) { m["issuer"] = "https://elsewhere.example" },
		"plain":          func(m map[string]any) { m["token_endpoint"] = "http://127.0.0.1/token" },
		"no pkce":        func(m map[string]any) { m["code_challenge_methods_supported"] = []string{"plain"} },
		"a name in it":   func(m map[string]any) { m["authorization_endpoint"] = "https://user:pass@127.0.0.1/auth" },
		"nothing":        func(m map[string]any) { clear(m) },
	} {
		d.server.Instead(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "well-known") {
				return false
			}
			m := map[string]any{}
			for k, v := range whole {
				m[k] = v
			}
			change(m)
			_ = json.NewEncoder(w).Encode(m)
			return true
		})
		_, err := d.Tokens.server(t.Context(), d.a.OAuth)
		wantKey(t, err, post.KindNetwork, keyTokenServer)
		if err == nil {
			t.Error(name)
		}
	}
	_, err := d.Tokens.server(t.Context(), post.OAuth{Issuer: "http://127.0.0.1", ClientID: "x"})
	wantKey(t, err, post.KindSignIn, keyTokenIssuer)
	_, err = d.Tokens.server(t.Context(), post.OAuth{Provider: "google"})
	wantKey(t, err, post.KindSignIn, keyTokenNoClient)
	if err := d.ledger.SetSetting(t.Context(), "oauth.google.client_id", "ours"); err != nil {
		t.Fatal(err)
	}
	s, err := d.Tokens.server(t.Context(), post.OAuth{Provider: "google"})
	if err != nil || s.ClientID != "ours" || s.path != "" {
		t.Errorf("%+v %v", s, err)
	}
}

// TestAnswerDoor tries everything that is not the browser coming back.
func TestAnswerDoor(t *testing.T) {
	d := newDesk(t)
	opened := make(chan string, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- d.SignIn(t.Context(), d.a, SignInParams{Home: post.SecretKeyring, Page: "done", Open: func(page string) error { opened <- page; return nil }})
	}()
	page, err := url.Parse(<-opened)
	if err != nil {
		t.Fatal(err)
	}
	q := page.Query()
	if q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 || len(q.Get("state")) < 20 || q.Get("response_type") != "code" {
		t.Errorf("%v", q)
	}
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || back.Hostname() != "127.0.0.1" || back.Port() == "" {
		t.Fatalf("%v %v", back, err)
	}
	state := url.QueryEscape(q.Get("state"))
	ask := func(method, target, host string) (status int, header http.Header) {
		req, err := http.NewRequestWithContext(t.Context(), method, target, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK && len(b) > 0 {
			t.Errorf("%s: said %q", target, b)
		}
		return resp.StatusCode, resp.Header
	}
	good := back.String() + "?code=stolen&state=" + state
	for _, c := range []struct {
		name, method, target, host string
		want                       int
	}{
		{"another name", "GET", good, "evil.example:" + back.Port(), http.StatusMisdirectedRequest},
		{"localhost", "GET", good, "localhost:" + back.Port(), http.StatusMisdirectedRequest},
		{"another path", "GET", "http://" + back.Host + "/?code=x&state=" + state, "", http.StatusNotFound},
		{"favicon", "GET", "http://" + back.Host + "/favicon.ico", "", http.StatusNotFound},
		{"post", "POST", good, "", http.StatusMethodNotAllowed},
		{"head", "HEAD", good, "", http.StatusMethodNotAllowed},
		{"no state", "GET", back.String() + "?code=x", "", http.StatusBadRequest},
		{"wrong state", "GET", back.String() + "?code=x&state=" + state + "x", "", http.StatusBadRequest},
		{"two states", "GET", good + "&state=" + state, "", http.StatusBadRequest},
	} {
		if got, h := ask(c.method, c.target, c.host); got != c.want || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d", c.name, got)
		}
	}
	select {
	case err := <-ended:
		t.Fatalf("ended by a stray request: %v", err)
	default:
	}
	// The real one, with a code that is not ours: the server refuses it.
	if got, _ := ask("GET", good, ""); got != http.StatusOK {
		t.Errorf("the answer: %d", got)
	}
	if err := <-ended; post.KindOf(err) != post.KindSignIn {
		t.Errorf("%v", err)
	}
	if _, err := http.Get(good); err == nil { //nolint:noctx // it must not connect at all
		t.Error("the door is still open")
	}
	if _, err := d.ledger.AccountSecret(t.Context(), d.a.ID); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("something was kept: %v", err)
	}
}

func TestAnswersThatDoNotFit(t *testing.T) {
	for name, c := range map[string]struct{ query, key string }{
		"denied":         {"error=access_denied", keyTokenDenied},
		"refused":        {"error=invalid_scope&error_description=pl4nted", keyTokenClient},
		"odd error":      {"error=%3Cscript%3E", keyTokenClient},
		"nothing":        {"x=y", keyTokenAnswer},
		"two codes":      {"code=a&code=b", keyTokenAnswer},
		"another server": {"code=a&iss=https%3A%2F%2Felsewhere.example", keyTokenAnswer},
		"long code":      {"code=" + strings.Repeat("a", maxCode+1), keyTokenAnswer},
	} {
		d := &answerDoor{server: &authServer{issuer: "https://id.example"}}
		q, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		got := d.read(q)
		wantKey(t, got.err, post.KindSignIn, c.key)
		if got.code != "" || strings.Contains(fmt.Sprint(got.err), "pl4nted") || strings.Contains(fmt.Sprint(got.err), "<script>") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	named := &answerDoor{server: &authServer{issuer: "https://id.example", named: true}}
	if got := named.read(url.Values{"code": {"a"}}); got.err == nil {
		t.Error("a server that names itself did not, and was believed")
	}
	if got := named.read(url.Values{"code": {"a"}, "iss": {"https://id.example/"}}); got.err != nil || got.code != "a" {
		t.Errorf("%+v", got)
	}
}

// TestSignInGivenUp: a closed window ends the wait.
func TestSignInGivenUp(t *testing.T) {
	d := newDesk(t)
	ctx, stop := context.WithCancel(t.Context())
	err := d.SignIn(ctx, d.a, SignInParams{Home: post.SecretKeyring, Open: func(string) error { stop(); return nil }})
	if post.KindOf(err) != post.KindCancelled {
		t.Errorf("%v", err)
	}
	err = d.SignIn(t.Context(), d.a, SignInParams{Home: post.SecretKeyring, Open: func(string) error { return errors.New("no browser") }})
	wantKey(t, err, post.KindSignIn, keyTokenFailed)
}

// TestDialWithToken sends the token to a mail server that asks the authorization
// server about it: renewed before its end, and once when it is refused early.
func TestDialWithToken(t *testing.T) {
	for _, mech := range []string{mechXOAUTH2, mechBearer} {
		t.Run(mech, func(t *testing.T) {
			d := newDesk(t)
			var asked atomic.Int64
			s, err := smtpscript.Listen(smtpscript.Config{
				Mode: smtpscript.ImplicitTLS, User: authserver.User, Password: "never", Mechanisms: []string{"PLAIN", "LOGIN", mech},
				Token: func(token string) bool {
					asked.Add(1)
					return d.server.Good(context.WithoutCancel(t.Context()), token)
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			d.a.Host, d.a.Port = s.HostPort()
			d.a.CA = s.CAPEM()
			d.signIn(t)
			dial := &Dialer{Secrets: Store{Keyring: d.ring, Tokens: d.Tokens}}
			try := func(requests int) error {
				t.Helper()
				before := d.server.TokenRequests()
				c, err := dial.Dial(t.Context(), d.a)
				if err == nil {
					if c.Session.Auth != mech {
						t.Errorf("signed in by %s", c.Session.Auth)
					}
					c.Quit(politeQuit)
				}
				if n := d.server.TokenRequests() - before; n != requests {
					t.Errorf("%d requests for tokens, want %d", n, requests)
				}
				return err
			}
			if err := try(0); err != nil {
				t.Error(err)
			}
			d.aged(t)
			if err := try(1); err != nil { // before its end
				t.Error(err)
			}
			// The server has forgotten this access token, though it should last.
			have, seal, err := d.read(t.Context(), d.a)
			if err != nil {
				t.Fatal(err)
			}
			have.Access = "ended-early"
			if err := d.write(t.Context(), d.a, seal, have); err != nil {
				t.Fatal(err)
			}
			if err := try(1); err != nil {
				t.Error(err)
			}
			if r := dial.Test(t.Context(), d.a); !r.OK {
				t.Errorf("%+v", r.Steps)
			}
			// Withdrawn: one try more, then it is the user's turn.
			d.server.Withdraw(redirect)
			asked.Store(0)
			err = try(1)
			var fault *post.Fault
			if !errors.As(err, &fault) || fault.Phase != post.PhaseSecret || fault.Cause != post.CauseSecret || fault.Reason.Key != keyTokenRevoked || asked.Load() != 1 {
				t.Errorf("%+v, %d sign-ins", fault, asked.Load())
			}
			// An authorization server that is gone is waited out.
			d.server.Instead(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(502); return true })
			if err := dialFault(t, dial, d.a); err.Phase != post.PhaseConnect || err.Cause != post.CauseUnreachable {
				t.Errorf("%+v", err)
			}
			if s.Stats().SignInFailures > 4 {
				t.Errorf("%d refused sign-ins", s.Stats().SignInFailures)
			}
		})
	}
}

func dialFault(t *testing.T, d *Dialer, a post.Account) *post.Fault {
	t.Helper()
	c, err := d.Dial(t.Context(), a)
	if err == nil {
		c.Abort()
	}
	var fault *post.Fault
	if !errors.As(err, &fault) {
		t.Fatalf("no fault but %v", err)
	}
	return fault
}

// TestTokenNeverAsPassword: a server that offers passwords only gets nothing.
func TestTokenNeverAsPassword(t *testing.T) {
	d := newDesk(t)
	s, err := smtpscript.Listen(smtpscript.Config{Mode: smtpscript.ImplicitTLS, User: authserver.User, Password: "x", Mechanisms: []string{"PLAIN", "LOGIN", "CRAM-MD5"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	d.a.Host, d.a.Port = s.HostPort()
	d.a.CA = s.CAPEM()
	d.signIn(t)
	fault := dialFault(t, &Dialer{Secrets: Store{Keyring: d.ring, Tokens: d.Tokens}}, d.a)
	if fault.Cause != post.CauseNoMechanism || s.Stats().SignInFailures != 0 {
		t.Errorf("%+v", fault)
	}
}

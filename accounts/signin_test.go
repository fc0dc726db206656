package accounts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"postroom/post"
	"postroom/storage"
)

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
	if _, err := http.Get(good); err == nil { // it must not connect at all
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

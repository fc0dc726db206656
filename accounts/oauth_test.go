package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"postroom/post"
)

// TestHostileTokenEndpoint: what is odd is waited out, what is a refusal stops,
// and no answer gets into an error.
func TestHostileTokenEndpoint(t *testing.T) {
	const planted = "pl4nted-t0ken"
	// Where a redirection would lead: it would even give a token.
	var led atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		led.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"stolen","token_type":"Bearer"}`)
	}))
	t.Cleanup(func() {
		elsewhere.Close()
		if led.Load() != 0 {
			t.Errorf("%d redirections were followed", led.Load())
		}
	})
	d := newDesk(t) // one for all: making its keys takes longest, and after each answer it is well again
	d.signIn(t)
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
		"sent elsewhere":   {307, elsewhere.URL + "/token", planted, keyTokenServer},
		"sent to plain":    {302, elsewhere.URL, planted, keyTokenServer},
		"cut":              {0, "", "", keyTokenServer},
		"error in the 200": {200, "application/json", `{"error":"invalid_grant"}`, keyTokenRevoked},
	} {
		t.Run(name, func(t *testing.T) {
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
		_, err := d.Tokens.server(t.Context(), d.a.OAuth, post.SecretKeyring)
		wantKey(t, err, post.KindNetwork, keyTokenServer)
		if err == nil {
			t.Error(name)
		}
	}
	_, err := d.Tokens.server(t.Context(), post.OAuth{Issuer: "http://127.0.0.1", ClientID: "x"}, post.SecretKeyring)
	wantKey(t, err, post.KindSignIn, keyTokenIssuer)
	_, err = d.Tokens.server(t.Context(), post.OAuth{Provider: "google"}, post.SecretKeyring)
	wantKey(t, err, post.KindSignIn, keyTokenNoClient)
	if err := d.ledger.SetSetting(t.Context(), "oauth.google.client_id", "ours"); err != nil {
		t.Fatal(err)
	}
	s, err := d.Tokens.server(t.Context(), post.OAuth{Provider: "google"}, post.SecretKeyring)
	if err != nil || s.ClientID != "ours" || s.path != "" {
		t.Errorf("%+v %v", s, err)
	}
}

package accounts

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/internal/testkit/authserver"
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

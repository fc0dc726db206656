package accounts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postroom/assets/providers"
	"postroom/post"
	"postroom/storage"
)

// plantedClient is what an older version kept readable.
const plantedClient = "GOCSPX-planted-0f3c"

func google(t *testing.T) *providers.AuthServer {
	t.Helper()
	s, ok := providers.AuthServerByID("google")
	if !ok {
		t.Fatal("the data file has no Google")
	}
	return &s
}

// filesWith lists the files of the ledger's folder in which a text stands.
func (d *desk) filesWith(t *testing.T, text string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(d.ledger.Dir(), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(text)) {
			found = append(found, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestClientSecretLeavesTheLedger: what an older version kept among the settings is
// moved at its first use to where the account's own key lies, and no file of the
// data folder holds its bytes any more: not the database, nor its log, nor a copy
// from before a change of the schema.
func TestClientSecretLeavesTheLedger(t *testing.T) {
	d, s := newDesk(t), google(t)
	ctx := t.Context()
	for i := range 60 { // so that pages are split and merged around it
		if err := d.ledger.SetSetting(ctx, "filler."+strings.Repeat("x", i), strings.Repeat("y", 40*i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, value := range []string{plantedClient, plantedClient + "-longer", plantedClient} {
		if err := d.ledger.SetSetting(ctx, s.ClientSecretSetting(), value); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.ledger.SetSetting(ctx, s.ClientIDSetting(), "client"); err != nil {
		t.Fatal(err)
	}
	d.copyOlder(t)
	if err := d.ledger.SetSetting(ctx, s.ClientSecretSetting(), plantedClient); err != nil { // into the log
		t.Fatal(err)
	}
	if found := strings.Join(d.filesWith(t, plantedClient), " "); !strings.Contains(found, "before-schema") || !strings.Contains(found, "postroom.db") {
		t.Fatalf("the search finds it only in %q", found)
	}

	full := errors.New("no place")
	d.ring.fail = full
	if _, err := d.googles(ctx, post.SecretKeyring); err == nil {
		t.Fatal("it was taken from where the keyring could not keep it")
	}
	if place, _ := d.ClientSecretPlace(ctx, s); place != PlaceLedger {
		t.Fatalf("after a failure it is in %q", place)
	}
	d.ring.fail = nil
	got, err := d.googles(ctx, post.SecretKeyring)
	if err != nil || got != plantedClient {
		t.Fatalf("at its first use: %v, right: %t", err, got == plantedClient)
	}
	if place, err := d.ClientSecretPlace(ctx, s); place != post.SecretKeyring || err != nil {
		t.Errorf("it is in %q, %v", place, err)
	}
	if got, err = d.googles(ctx, post.SecretKeyring); err != nil || got != plantedClient {
		t.Errorf("at its second use: %v, right: %t", err, got == plantedClient)
	}
	for _, file := range d.filesWith(t, plantedClient) {
		t.Errorf("it still stands in %s", file)
	}
}

// copyOlder copies the ledger as a change of the schema would.
func (d *desk) copyOlder(t *testing.T) {
	t.Helper()
	dir := d.ledger.Dir()
	if err := d.ledger.Close(); err != nil { // the log is folded in
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, storage.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "backups"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "backups", "before-schema-24-20261127-020000.db"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if d.ledger, err = storage.Open(t.Context(), dir, storage.Options{}); err != nil {
		t.Fatal(err)
	}
	l := d.ledger
	t.Cleanup(func() { _ = l.Close() })
	d.Shelf = l
}

// googles is the client secret with which a token of Google's would be asked for.
func (d *desk) googles(ctx context.Context, home post.SecretKind) (string, error) {
	s, err := d.Tokens.server(ctx, post.OAuth{Provider: "google"}, home)
	if err != nil {
		return "", err
	}
	return s.ClientSecret, nil
}

// TestClientSecretPlaces: it goes into keyring or vault, from one to the other, is
// missed where it is gone, and an account that needs it needs the vault.
func TestClientSecretPlaces(t *testing.T) {
	d, s := newDesk(t), google(t)
	ctx := t.Context()
	vault := newBoxed()
	d.Vault = vault
	if err := d.ledger.SetSetting(ctx, s.ClientIDSetting(), "client"); err != nil {
		t.Fatal(err)
	}
	a := post.Account{ID: d.a.ID, Secret: post.SecretOAuth, OAuth: post.OAuth{Provider: "google"}}
	for _, place := range []post.SecretKind{post.SecretKeyring, post.SecretVault, post.SecretKeyring, post.SecretVault} {
		if err := d.SetClientSecret(ctx, s, plantedClient, place); err != nil {
			t.Fatal(err)
		}
		want, other := d.ring, vault
		if place == post.SecretVault {
			want, other = vault, d.ring
		}
		if len(want.all) != 1 || len(other.all) != 0 {
			t.Errorf("%s: %d there, %d in the other place", place, len(want.all), len(other.all))
		}
		if got, err := d.googles(ctx, post.SecretKeyring); err != nil || got != plantedClient {
			t.Errorf("%s: %v, right: %t", place, err, got == plantedClient)
		}
		if UsesVault(ctx, d.ledger, &a) != (place == post.SecretVault) {
			t.Errorf("%s: whether the account needs the vault is wrong", place)
		}
	}
	vault.fail = errors.New("locked")
	if err := d.SetClientSecret(ctx, s, "", post.SecretKeyring); err == nil {
		t.Error("it was forgotten where nothing could be")
	}
	if place, err := d.ClientSecretPlace(ctx, s); place != post.SecretVault || err != nil {
		t.Errorf("what could not be forgotten is in %q, %v", place, err)
	}
	vault.fail = nil
	clear(vault.all)
	_, err := d.googles(ctx, post.SecretKeyring)
	wantKey(t, err, post.KindSignIn, keyClientSecretMissing)
	if err := d.SetClientSecret(ctx, s, "", post.SecretKeyring); err != nil {
		t.Fatal(err)
	}
	if got, err := d.googles(ctx, post.SecretKeyring); err != nil || got != "" {
		t.Errorf("forgotten: %v, empty: %t", err, got == "")
	}
	if err := d.SetClientSecret(ctx, s, plantedClient, post.SecretAsk); err == nil {
		t.Error("it was kept where nothing is kept")
	}
	if files := d.filesWith(t, plantedClient); len(files) > 0 {
		t.Errorf("it was written to %v", files)
	}
}

// TestClientSecretRenews: with the client secret from where it is kept, and from an
// older ledger, tokens are renewed at a provider that asks for it; one that is gone
// stops the account, and nothing is sent without it.
func TestClientSecretRenews(t *testing.T) {
	d, s := newDesk(t), google(t)
	ctx := t.Context()
	d.signIn(t) // whose tokens they are does not matter to their seal
	var asked []url.Values
	d.Client = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		form, err := url.ParseQuery(string(b))
		if r.URL.String() != s.TokenURL {
			t.Errorf("asked %s", r.URL)
		}
		asked = append(asked, form)
		answer := httptest.NewRecorder()
		answer.Header().Set("Content-Type", "application/json")
		_, _ = answer.WriteString(`{"access_token":"fresh","token_type":"Bearer","expires_in":3600}`)
		return answer.Result(), err
	})}
	d.a.OAuth = post.OAuth{Provider: "google"}
	if err := errors.Join(d.ledger.SetSetting(ctx, s.ClientIDSetting(), "client"), d.ledger.SetSetting(ctx, s.ClientSecretSetting(), plantedClient)); err != nil {
		t.Fatal(err)
	}
	for i := range 2 { // from the ledger, then from the keyring
		d.aged(t)
		got, err := d.Get(ctx, d.a)
		if err != nil || got != "fresh" || len(asked) != i+1 || asked[i].Get("client_secret") != plantedClient || asked[i].Get("client_id") != "client" {
			t.Fatalf("%v, %d requests", err, len(asked))
		}
	}
	if place, err := d.ClientSecretPlace(ctx, s); place != post.SecretKeyring || err != nil {
		t.Errorf("it is in %q, %v", place, err)
	}
	entry, err := d.clientEntry(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	delete(d.ring.all, entry.SecretRef)
	d.aged(t)
	_, err = d.Get(ctx, d.a)
	wantKey(t, err, post.KindSignIn, keyClientSecretMissing)
	if len(asked) != 2 {
		t.Errorf("it was asked without: %d requests", len(asked))
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

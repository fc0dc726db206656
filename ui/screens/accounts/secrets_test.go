package accounts

import (
	"strings"
	"testing"

	"fyne.io/fyne/v2/test"

	senders "postroom/accounts"
	"postroom/assets/providers"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/internal/testkit/authserver"
	"postroom/internal/testkit/smtpscript"
	"postroom/post"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// withStore gives the rig the secrets of a real data folder.
func (r *rig) withStore() senders.Store {
	s := senders.Store{Keyring: r.ring, Command: senders.NewCommand()}.In(r.env.Ledger.Dir(), r.env.Ledger)
	r.env.Secrets = s
	r.view.saver.Secrets = s
	d := &senders.Dialer{Secrets: s}
	r.env.Doctor = d.Examine
	return s
}

// TestVaultInTheWindow makes a vault along with an account, and opens it after
// a new start.
func TestVaultInTheWindow(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	s := r.withStore()
	r.view.Show(screens.Route{})
	r.until("the screen", func() bool { return len(r.view.body.Objects) > 0 })
	r.view.onAdd()
	r.fillForm()
	get[*widgets.Select](r, "accounts.form.place").SetSelectedIndex(1)
	r.tap("accounts.form.save")
	get[*widgets.Entry](r, "accounts.vault.passphrase").SetText("correct horse battery")
	get[*widgets.Entry](r, "accounts.vault.again").SetText("something else")
	r.press(r.env.T("accounts.vault.create.yes"))
	if s.Vault.Exists() {
		t.Fatal("two different passphrases made a vault")
	}
	get[*widgets.Entry](r, "accounts.vault.again").SetText("correct horse battery")
	r.press(r.env.T("accounts.vault.create.yes"))
	r.until("the account", func() bool { return len(r.accounts()) == 1 && r.view.form == nil })
	a := r.accounts()[0]
	if a.Secret != post.SecretVault || len(r.ring.kept) != 0 {
		t.Errorf("%s, %d in the keyring", a.Secret, len(r.ring.kept))
	}
	if got, err := s.Vault.Get(t.Context(), a); err != nil || got != "geheim" {
		t.Errorf("%v", err)
	}

	s.Vault.Lock() // as after a start; the mailer stops the account
	if err := r.env.Ledger.HoldAccount(t.Context(), a.ID, post.AccountStopped, post.Reason{Key: "vault.locked"}); err != nil {
		t.Fatal(err)
	}
	r.view.Changed()
	way := get[*widgets.Button](r, "accounts.way")
	r.until("the way out", func() bool { return way.Visible() && way.Text == r.env.T("accounts.way.unlock", "") })
	r.tap("accounts.way")
	get[*widgets.Entry](r, "accounts.vault.passphrase").SetText("not the passphrase")
	r.press(r.env.T("accounts.vault.unlock.yes"))
	r.until("the refusal", func() bool {
		return r.win.Canvas().Overlays().Top() != nil && s.Vault.Exists() && r.sees(r.env.T("vault.wrong"))
	})
	r.press(r.env.T("action.ok")) // and it is asked for again
	get[*widgets.Entry](r, "accounts.vault.passphrase").SetText("correct horse battery")
	r.press(r.env.T("accounts.vault.unlock.yes"))
	r.until("the account goes on", func() bool { return s.Vault.Unlocked() && r.accounts()[0].Hold == "" })

	// Back to the keyring without typing the password again.
	r.until("the panel", func() bool { return r.view.panel.shown.Account.Hold == "" })
	r.view.onEdit()
	get[*widgets.Select](r, "accounts.form.place").SetSelectedIndex(0)
	r.tap("accounts.form.save")
	r.until("it is moved", func() bool { return r.view.form == nil && r.accounts()[0].Secret == post.SecretKeyring })
	if got, err := s.Get(t.Context(), r.accounts()[0]); err != nil || got != "geheim" {
		t.Errorf("%v", err)
	}
	if _, err := s.Vault.Get(t.Context(), a); err == nil {
		t.Error("it is still in the vault")
	}
}

// TestVaultAtStart: a window that opens asks for the passphrase where an account
// needs it; "Later" leaves the account stopped with the reason, and what is asked
// again lets it go on. Where none needs it nobody is asked.
func TestVaultAtStart(t *testing.T) {
	r := newRig(t, words.Chinese, theme.Dark)
	s := r.withStore()
	if err := s.Vault.Create(t.Context(), "correct horse battery"); err != nil {
		t.Fatal(err)
	}
	a := post.Account{
		Name: "shop", Email: "shop@example.com", Host: "smtp.example.com", Port: 465, TLS: post.TLSImplicit, Auth: post.AuthAuto,
		Secret: post.SecretVault, SecretRef: "ref",
	}
	if err := s.Vault.Set(t.Context(), a, "geheim"); err != nil {
		t.Fatal(err)
	}
	s.Vault.Lock()
	needed := func() bool {
		yes, err := vaultNeeded(t.Context(), r.env)
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	if needed() {
		t.Error("needed, though there is no account")
	}
	a, err := r.env.Ledger.CreateAccount(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	OpenVault(t.Context(), r.env)
	r.until("the question", func() bool { return r.sees(r.env.T("accounts.vault.start")) })
	r.press(r.env.T("accounts.vault.later"))
	if s.Vault.Unlocked() || r.win.Canvas().Overlays().Top() != nil {
		t.Error("later is not later")
	}
	if err := r.env.Ledger.HoldAccount(t.Context(), a.ID, post.AccountStopped, post.Reason{Key: "vault.locked"}); err != nil {
		t.Fatal(err)
	}
	OpenVault(t.Context(), r.env)
	r.until("the question", func() bool { return r.sees(r.env.T("accounts.vault.start")) })
	get[*widgets.Entry](r, "accounts.vault.passphrase").SetText("correct horse battery")
	r.press(r.env.T("accounts.vault.unlock.yes"))
	r.until("the account goes on", func() bool { return s.Vault.Unlocked() && r.accounts()[0].Hold == "" })
	// A key that signs counts as well.
	s.Vault.Lock()
	a.Secret, a.SecretRef = post.SecretNone, ""
	a.Auth = post.AuthNone
	if err := r.env.Ledger.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if needed() {
		t.Error("needed, though the account has no secret any more")
	}
	signing := post.Signing{Account: a.ID, Domain: "example.com", Selector: "s1", SecretRef: "vault-signing", PublicKey: []byte("key")}
	if err := r.env.Ledger.SetSigning(t.Context(), signing); err != nil {
		t.Fatal(err)
	}
	OpenVault(t.Context(), r.env)
	r.until("the question", func() bool { return r.sees(r.env.T("accounts.vault.start")) })
}

// sees reports whether the dialog on top shows a text.
func (r *rig) sees(text string) bool {
	top := r.win.Canvas().Overlays().Top()
	if top == nil {
		return false
	}
	for _, o := range test.LaidOutObjects(top) {
		if x, ok := o.(*widgets.Text); ok && strings.Contains(x.Text, text) {
			return true
		}
	}
	return false
}

// TestAskEachTime: an account without a kept password asks, once a run.
func TestAskEachTime(t *testing.T) {
	r := newRig(t, words.Chinese, theme.Dark)
	s := r.withStore()
	r.view.Show(screens.Route{})
	r.view.onAdd()
	r.fillForm()
	r.enter("password", "")
	get[*widgets.Select](r, "accounts.form.place").SetSelectedIndex(2)
	r.tap("accounts.form.save")
	r.until("the account", func() bool { return len(r.accounts()) == 1 && r.view.form == nil })
	a := r.accounts()[0]
	if a.Secret != post.SecretAsk || a.SecretRef != "" {
		t.Errorf("%+v", a)
	}
	if err := r.env.Ledger.HoldAccount(t.Context(), a.ID, post.AccountStopped, post.Reason{Key: "secret.ask"}); err != nil {
		t.Fatal(err)
	}
	r.view.Changed()
	way := get[*widgets.Button](r, "accounts.way")
	r.until("the way out", func() bool { return way.Visible() && way.Text == r.env.T("accounts.way.ask", "") })
	r.tap("accounts.way")
	r.press(r.env.T("action.ok")) // nothing typed
	if _, err := s.Session.Get(t.Context(), a); err == nil {
		t.Error("an empty password was taken")
	}
	get[*widgets.Entry](r, "accounts.ask.password").SetText("geheim")
	r.press(r.env.T("action.ok"))
	r.until("the account goes on", func() bool { return r.accounts()[0].Hold == "" })
	if got, err := s.Get(t.Context(), a); err != nil || got != "geheim" {
		t.Errorf("%v", err)
	}
}

// TestSignInInTheWindow presses "Sign in with" and comes back from the browser.
func TestSignInInTheWindow(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	s := r.withStore()
	server := authserver.Start("http://127.0.0.1" + senders.FixedPath)
	t.Cleanup(server.Close)
	s.Tokens.Client = server.Client()
	r.env.OpenURL = func(page string) error {
		go func() {
			if resp, err := server.SignIn(t.Context(), page); err == nil {
				_ = resp.Body.Close()
			}
		}()
		return nil
	}
	a, err := r.env.Ledger.CreateAccount(t.Context(), post.Account{
		Name: "shop", Email: "shop@example.com", Host: "smtp.example.com", Port: 465, TLS: post.TLSImplicit, Auth: post.AuthAuto,
		Secret: post.SecretOAuth, SecretRef: "ref", OAuth: post.OAuth{Issuer: server.URL, ClientID: authserver.ClientID, Scopes: authserver.Scopes},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.env.Ledger.HoldAccount(t.Context(), a.ID, post.AccountStopped, post.Reason{Key: "token.revoked"}); err != nil {
		t.Fatal(err)
	}
	r.view.Show(screens.Route{})
	way := get[*widgets.Button](r, "accounts.way")
	r.until("the way out", func() bool { return way.Visible() })
	r.tap("accounts.way")
	r.until("the account goes on", func() bool { return r.accounts()[0].Hold == "" })
	if token, err := s.Get(t.Context(), a); err != nil || !server.Good(t.Context(), token) {
		t.Errorf("%v", err)
	}

	// Without a client id the window says what is missing.
	b, err := r.env.Ledger.CreateAccount(t.Context(), post.Account{
		Name: "gmail", Email: "x@gmail.com", Host: "smtp.gmail.com", Port: 465, TLS: post.TLSImplicit, Auth: post.AuthAuto, Secret: post.SecretKeyring, SecretRef: "other",
	})
	if err != nil {
		t.Fatal(err)
	}
	r.view.onCurrent(b.ID)
	r.until("the other account", func() bool { return way.Text == r.env.T("accounts.way.signin", "Google") })
	r.tap("accounts.way")
	r.until("what is missing", func() bool { return r.sees(r.env.T("oauth.guide.google")) })
	if got, err := r.env.Ledger.Account(t.Context(), b.ID); err != nil || got.Secret != post.SecretKeyring {
		t.Errorf("%+v %v", got.Secret, err)
	}
	// Gmail has app passwords: the form is offered beside the settings.
	if r.press(r.env.T("accounts.signin.password")); r.view.form == nil || r.view.form.id != b.ID {
		t.Fatal("no form for a password")
	}
	r.view.closeForm()
	var gone screens.Route
	r.env.Go = func(to screens.Route) { gone = to }
	r.tap("accounts.way")
	r.until("what is missing", func() bool { return r.sees(r.env.T("accounts.signin.where")) })
	if r.press(r.env.T("accounts.signin.settings")); gone.Screen != screens.Settings || gone.Verb != "signin" {
		t.Errorf("went to %+v", gone)
	}
}

// TestOwnServerInTheWindow: an authorization server that the settings name for a
// mail server signs its accounts in; without its client id the window says so.
func TestOwnServerInTheWindow(t *testing.T) {
	r := newRig(t, words.Chinese, theme.Dark)
	s := r.withStore()
	server := authserver.Start("http://127.0.0.1" + senders.FixedPath)
	t.Cleanup(server.Close)
	s.Tokens.Client = server.Client()
	r.env.OpenURL = func(page string) error {
		go func() {
			if resp, err := server.SignIn(t.Context(), page); err == nil {
				_ = resp.Body.Close()
			}
		}()
		return nil
	}
	_, err := r.env.Ledger.CreateAccount(t.Context(), post.Account{
		Name: "shop", Email: "shop@example.com", Host: "smtp.example.com", Port: 465, TLS: post.TLSImplicit, Auth: post.AuthAuto,
		Secret: post.SecretKeyring, SecretRef: "password",
	})
	if err != nil {
		t.Fatal(err)
	}
	r.view.Show(screens.Route{})
	way := get[*widgets.Button](r, "accounts.way")
	r.until("the account", func() bool { return r.view.panel.shown != nil })
	if way.Visible() {
		t.Error("nobody is known for this server, but there is a way to sign in")
	}
	for key, value := range map[string]string{
		providers.OwnIssuerSetting: server.URL, providers.OwnHostsSetting: "smtp.example.com", providers.OwnScopesSetting: strings.Join(authserver.Scopes, " "),
	} {
		if err := r.env.Ledger.SetSetting(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	r.view.Changed()
	r.until("the way", func() bool { return way.Visible() })
	r.tap("accounts.way")
	r.until("what is missing", func() bool { return r.sees(r.env.T("accounts.signin.where")) })
	r.press(r.env.T("action.cancel"))
	if err := r.env.Ledger.SetSetting(t.Context(), providers.OwnClientSetting, authserver.ClientID); err != nil {
		t.Fatal(err)
	}
	r.tap("accounts.way")
	r.until("the sign-in", func() bool { return r.accounts()[0].Secret == post.SecretOAuth })
	a := r.accounts()[0]
	if a.OAuth.Issuer != server.URL || a.OAuth.ClientID != "" {
		t.Errorf("%+v", a.OAuth)
	}
	if token, err := s.Get(t.Context(), a); err != nil || !server.Good(t.Context(), token) {
		t.Errorf("%v", err)
	}
}

// TestPinInTheWindow: a certificate of one's own fails, is shown, and trusted.
func TestPinInTheWindow(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	r.withStore()
	server, err := smtpscript.Listen(smtpscript.Config{Mode: smtpscript.ImplicitTLS, Cert: smtpscript.CertSelfSigned})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	host, port := server.HostPort()
	if _, err := r.env.Ledger.CreateAccount(t.Context(), post.Account{
		Name: "own", Email: "shop@example.com", Host: host, Port: port, TLS: post.TLSImplicit, Auth: post.AuthNone, Secret: post.SecretNone,
	}); err != nil {
		t.Fatal(err)
	}
	r.view.Show(screens.Route{})
	pin := get[*widgets.Button](r, "accounts.pin")
	r.until("the account", func() bool { return r.view.panel.shown != nil })
	r.tap("accounts.test")
	r.until("the offer", func() bool { return r.view.panel.pin.Visible() && r.view.panel.pinKey != "" })
	test.Tap(pin)
	r.press(r.env.T("accounts.pin.trust"))
	r.until("it is pinned", func() bool { return r.accounts()[0].Pin != "" && r.view.panel.shown.Account.Pin != "" })
	r.tap("accounts.test")
	r.until("the test", func() bool { return r.view.panel.result.Text == r.env.T("accounts.test.ok") })
	if r.view.panel.pin.Visible() {
		t.Error("the offer is still there")
	}
}

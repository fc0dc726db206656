package settings

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"postroom/accounts"
	"postroom/assets/providers"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/ui/screens"
	accountscreen "postroom/ui/screens/accounts"
	"postroom/ui/widgets"
)

// TestClientIDs: what providers call us is typed here, checked, kept, and taken
// back; what is wrong is said and nothing is kept.
func TestClientIDs(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	c := r.view.signIn
	google, _ := providers.AuthServerByID("google")
	id, issuer, hosts := c.entries[google.ClientIDSetting()], c.entries[providers.OwnIssuerSetting], c.entries[providers.OwnHostsSetting]
	if !c.save.Disabled() || id.Text != "" {
		t.Fatal("there is something to keep at the start")
	}
	id.SetText("  123.apps.example  ")
	issuer.SetText("http://plain.example")
	test.Tap(c.save)
	if want := english.T("settings.signin.wrong.issuer", english.T("settings.signin.issuer")); !c.said.Visible() || c.said.Text != want {
		t.Errorf("%q", c.said.Text)
	}
	if got := r.setting(google.ClientIDSetting()); got != "" {
		t.Fatalf("half of it was kept: %q", got)
	}
	issuer.SetText("https://login.example.com")
	hosts.SetText("smtp.example.com, SMTP2.example.com")
	// What is typed outlives a change from elsewhere.
	shown := r.view.shown
	r.view.Changed()
	r.until("a load", func() bool { return r.view.shown != shown })
	test.Tap(c.save)
	r.until("it to be kept", func() bool { return c.said.Text == english.T("settings.signin.kept") })
	if got := r.setting(google.ClientIDSetting()); got != "123.apps.example" || !c.save.Disabled() {
		t.Errorf("%q", got)
	}
	own := providers.ReadOwn(r.setting)
	if own.Issuer != "https://login.example.com" || !own.Takes("smtp2.example.com.") || own.Takes("example.com") {
		t.Errorf("%+v", own)
	}
	id.SetText("")
	test.Tap(c.save)
	r.until("it to be taken back", func() bool { return c.save.Disabled() && c.kept[google.ClientIDSetting()] == "" })
	if got := r.setting(google.ClientIDSetting()); got != "" {
		t.Errorf("%q", got)
	}
}

// TestClientIDGuide: each server has its steps, and where it is known the page.
func TestClientIDGuide(t *testing.T) {
	r := newRig(t, words.Chinese, theme.Dark)
	for _, s := range r.view.signIn.servers {
		lines := strings.Split(r.env.T(s.Steps), "\n")
		if len(lines) < 5 {
			t.Errorf("%s has only %d steps", s.ID, len(lines))
		}
		r.tap("settings.signin.guide." + s.ID)
		if r.win.Canvas().Overlays().Top() == nil {
			t.Fatalf("%s: no dialog", s.ID)
		}
		if s.Console != "" {
			r.tap("settings.signin.console")
			if r.opened != s.Console {
				t.Errorf("%s opened %q", s.ID, r.opened)
			}
		}
		r.draw(filepath.Join(gallery(t), "settings-guide-"+s.ID+".png"))
		r.win.Canvas().Overlays().Remove(r.win.Canvas().Overlays().Top())
	}
	r.view.Show(screens.Route{Verb: "signin"})
	if r.win.Canvas().Focused() != r.view.signIn.entries[r.view.signIn.servers[0].Fields[0].Key] {
		t.Error("the cursor is elsewhere")
	}
}

func (r *rig) tap(id string) {
	r.Helper()
	tapped := false
	r.env.IDs.Each(func(x string, o fyne.CanvasObject) {
		if b, ok := o.(*widgets.Button); ok && x == id {
			test.Tap(b)
			tapped = true
		}
	})
	if !tapped {
		r.Fatalf("there is no button %s", id)
	}
}

// TestClientSecret: the client secret is typed hidden, kept in the vault where
// there is no keyring, never shown again, replaced, and forgotten; one that an older
// version left in the ledger goes where passwords are.
func TestClientSecret(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	google, _ := providers.AuthServerByID("google")
	key := google.ClientSecretSetting()
	l := r.env.Ledger
	s := accounts.Store{Keyring: noRing{}}.In(l.Dir(), l)
	r.env.Secrets = s
	r.env.WithVault = func(then func()) { accountscreen.WithVault(r.env, then) }
	c := r.view.signIn
	field := c.entries[key]
	place := func(want post.SecretKind) func() bool {
		return func() bool { return c.places[key] == want && field.Text == "" && c.save.Disabled() }
	}
	if !field.Password {
		t.Error("what is typed can be read")
	}
	field.SetText("GOCSPX-planted")
	test.Tap(c.save)
	r.until("the question where to keep it", func() bool { return r.win.Canvas().Overlays().Top() != nil })
	r.draw(filepath.Join(gallery(t), "settings-client-secret-no-keyring.png"))
	r.press(english.T("settings.signin.secret.to_vault"))
	r.typeInto("accounts.vault.passphrase", "long enough 1")
	r.typeInto("accounts.vault.again", "long enough 1")
	r.press(english.T("accounts.vault.create.yes"))
	r.until("it in the vault", place(post.SecretVault))
	if got := r.setting(key); got != "" {
		t.Error("it is a setting")
	}
	if field.PlaceHolder != english.T("settings.signin.secret.vault") {
		t.Errorf("the field says %q", field.PlaceHolder)
	}
	r.draw(filepath.Join(gallery(t), "settings-client-secret.png"))
	r.tap("settings." + key + ".forget")
	r.until("it forgotten", place(""))

	if err := l.SetSetting(t.Context(), key, "GOCSPX-older"); err != nil {
		t.Fatal(err)
	}
	r.view.Changed()
	r.until("the older one in the vault", place(post.SecretVault))
	if got := r.setting(key); got != "" {
		t.Error("the older one is still a setting")
	}
	if err := l.SetSetting(t.Context(), key, "GOCSPX-older"); err != nil {
		t.Fatal(err)
	}
	s.Vault.Lock()
	r.view.Changed()
	r.until("the older one where it was", place(accounts.PlaceLedger))
	if field.PlaceHolder != english.T("settings.signin.secret.ledger") {
		t.Errorf("the field says %q", field.PlaceHolder)
	}
}

// noRing is the keyring of a computer that has none.
type noRing struct{}

func (noRing) Get(context.Context, post.Account) (string, error) { return "", errNoRing }
func (noRing) Set(context.Context, post.Account, string) error   { return errNoRing }
func (noRing) Delete(context.Context, post.Account) error        { return errNoRing }

var errNoRing = &post.Error{Kind: post.KindSignIn, Reason: post.Reason{Key: "keyring.absent"}}

// press taps the button with these words.
func (r *rig) press(words string) {
	r.Helper()
	var found *widgets.Button
	r.until("the button "+words, func() bool {
		for _, o := range test.LaidOutObjects(r.win.Canvas().Overlays().Top()) {
			if b, ok := o.(*widgets.Button); ok && b.Text == words {
				found = b
			}
		}
		return found != nil
	})
	test.Tap(found)
}

// typeInto types into the entry with this name.
func (r *rig) typeInto(id, text string) {
	r.Helper()
	var found *widgets.Entry
	r.until("the entry "+id, func() bool {
		r.env.IDs.Each(func(x string, o fyne.CanvasObject) {
			if e, ok := o.(*widgets.Entry); ok && x == id {
				found = e
			}
		})
		return found != nil
	})
	found.SetText(text)
}

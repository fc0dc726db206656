package settings

import (
	"path/filepath"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"postroom/assets/providers"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/ui/screens"
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

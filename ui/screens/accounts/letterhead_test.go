package accounts

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	senders "postroom/accounts"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// openDialog reports that a dialog is in front.
func (r *rig) openDialog() bool { return r.win.Canvas().Overlays().Top() != nil }

// withAccount shows one account.
func withAccount(r *rig) post.Account {
	r.Helper()
	a, err := r.env.Ledger.CreateAccount(r.Context(), post.Account{
		Name: "own", Email: "hello@brauhaus.example", Host: "smtp.brauhaus.example", Port: 465, TLS: post.TLSImplicit, Auth: post.AuthNone, Secret: post.SecretNone,
	})
	if err != nil {
		r.Fatal(err)
	}
	r.view.Show(screens.Route{})
	r.until("the account", func() bool { return r.view.panel.shown != nil })
	return a
}

// keepPicture writes what the window shows where pictures are asked for.
func (r *rig) keepPicture(name string) {
	r.Helper()
	dir := os.Getenv("POSTROOM_GALLERY")
	if dir == "" {
		return
	}
	var b bytes.Buffer
	if err := png.Encode(&b, r.win.Canvas().Capture()); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), b.Bytes(), 0o644); err != nil {
		r.Fatal(err)
	}
}

// TestDKIMInTheWindow makes a key, shows the record that the DNS needs, copies it
// and throws the key away again, in both languages.
func TestDKIMInTheWindow(t *testing.T) {
	if testing.Short() {
		t.Skip("computing keys takes minutes under the race detector; the plain run does it")
	}
	for lang, mode := range map[words.Lang]theme.Mode{words.English: theme.Light, words.Chinese: theme.Dark} {
		t.Run(string(lang), func(t *testing.T) {
			r := newRig(t, lang, mode)
			a := withAccount(r)
			r.tap("accounts.dkim")
			r.until("the dialog", r.openDialog)
			get[*widgets.Entry](r, "dkim.selector").SetText("not a name!")
			r.tap("dkim.make")
			r.until("the refusal", func() bool { return r.openDialog() && shows(r, r.env.T("dkim.selector.wrong")) })
			if s, err := r.env.Ledger.Signing(t.Context(), a.ID); s != nil || err != nil {
				t.Fatalf("%+v, %v", s, err)
			}
			r.press(r.env.T("action.ok"))
			get[*widgets.Entry](r, "dkim.selector").SetText(firstSelector)
			r.tap("dkim.make")
			var kept *post.Signing
			r.until("the record", func() bool {
				if !r.openDialog() {
					return false
				}
				s, err := r.env.Ledger.Signing(t.Context(), a.ID)
				if err != nil {
					t.Fatal(err)
				}
				kept = s
				return s != nil
			})
			name, value := senders.SigningRecord(*kept)
			if name != "postroom1._domainkey.brauhaus.example" || len(r.ring.all()) != 1 {
				t.Errorf("%s, %d secrets", name, len(r.ring.all()))
			}
			for id, want := range map[string]string{"dkim.name.copy": name, "dkim.value.copy": value} {
				r.tap(id)
				if got := fyne.CurrentApp().Clipboard().Content(); got != want {
					t.Errorf("%s copied %q", id, got)
				}
			}
			r.keepPicture("dkim-" + string(lang))
			r.tap("dkim.off")
			r.press(r.env.T("dkim.off"))
			r.until("nothing kept", func() bool {
				s, err := r.env.Ledger.Signing(t.Context(), a.ID)
				return err == nil && s == nil && len(r.ring.all()) == 0
			})
			r.until("the panel at rest", func() bool { return !get[*widgets.Button](r, "accounts.dkim").Disabled() })
		})
	}
}

// TestLetterheadInTheWindow keeps colour, logo, postal address and page; what is
// wrong is said in the window's language and nothing is kept.
func TestLetterheadInTheWindow(t *testing.T) {
	img := image.NewPaletted(image.Rect(0, 0, 40, 20), color.Palette{color.RGBA{26, 127, 55, 255}})
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	logo, text := filepath.Join(dir, "logo.png"), filepath.Join(dir, "text.png")
	for path, what := range map[string][]byte{logo: b.Bytes(), text: []byte("no picture")} {
		if err := os.WriteFile(path, what, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ReadLogo(text); post.KindOf(err) != post.KindInvalid {
		t.Errorf("a text is a logo: %v", err)
	}
	for lang, mode := range map[words.Lang]theme.Mode{words.English: theme.Light, words.Chinese: theme.Dark} {
		t.Run(string(lang), func(t *testing.T) {
			r := newRig(t, lang, mode)
			a := withAccount(r)
			r.tap("accounts.letterhead")
			r.until("the dialog", r.openDialog)
			get[*widgets.Entry](r, "letterhead.colour").SetText("green")
			r.press(r.env.T("action.save"))
			if !r.openDialog() || !shows(r, r.env.T("letterhead.wrong.colour")) {
				t.Fatal("a wrong colour is not told")
			}
			get[*widgets.Entry](r, "letterhead.colour").SetText("#1a7f37")
			get[*widgets.Entry](r, "letterhead.address").SetText("Brauhaus\nHauptstr. 1")
			signed := get[*widgets.Entry](r, "letterhead.signature")
			signed.SetText("Anna <Koch>\nBrauhaus\nHauptstr. 1\nTel. 0941 {{x}}")
			if line := fyne.MeasureText("x", theme.TextSize, fyne.TextStyle{}).Height; signed.Size().Height < 4*line {
				t.Errorf("the signature has %v of height, and a line %v", signed.Size().Height, line)
			}
			get[*widgets.Entry](r, "letterhead.page").SetText("https://brauhaus.example/out")
			r.keepPicture("letterhead-" + string(lang))
			r.press(r.env.T("action.save"))
			h := post.Letterhead{}
			r.until("the letterhead kept", func() (ok bool) {
				var err error
				if h, err = r.env.Ledger.Letterhead(t.Context(), a.ID); err != nil {
					t.Fatal(err)
				}
				return h.Colour != ""
			})
			if h.Colour != "#1a7f37" || h.PostalAddress != "Brauhaus\nHauptstr. 1" || h.UnsubscribeURL != "https://brauhaus.example/out" {
				t.Errorf("%+v", h)
			}
			r.until("the signature kept", func() bool {
				s, err := r.env.Ledger.Signature(t.Context(), a.ID)
				return err == nil && s == "Anna <Koch>\nBrauhaus\nHauptstr. 1\nTel. 0941 {{x}}"
			})
			l := &letterhead{v: r.view, picture: widgets.HStack(0)}
			l.take(logo)
			r.until("the logo", func() bool { return len(l.logo) > 0 })
			if len(l.picture.Objects) != 3 {
				t.Errorf("%d objects show the logo", len(l.picture.Objects))
			}
			test.Tap(get[*widgets.Button](r, "letterhead.logo.remove"))
			if len(l.logo) != 0 {
				t.Error("the logo is still there")
			}
			r.until("the panel at rest", func() bool { return !get[*widgets.Button](r, "accounts.letterhead").Disabled() })
		})
	}
}

// shows reports that the dialog in front shows a text.
func shows(r *rig, text string) bool {
	for _, o := range test.LaidOutObjects(r.win.Canvas().Overlays().Top()) {
		if x, ok := o.(*widgets.Text); ok && strings.Contains(x.Text, text) {
			return true
		}
	}
	return false
}

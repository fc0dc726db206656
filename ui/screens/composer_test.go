package screens_test

import (
	"os"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/test"

	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/screens"
	"postroom/ui/screens/mailings"
	"postroom/ui/widgets"
)

// ctrl is a shortcut with a key.
func ctrl(key fyne.KeyName) *desktop.CustomShortcut {
	return &desktop.CustomShortcut{KeyName: key, Modifier: fyne.KeyModifierControl}
}

// option chooses the line of a choice that begins with text.
func (s *stage) option(id, text string) {
	s.t.Helper()
	c := named[*widgets.Select](s, id)
	for i, o := range c.Options {
		if strings.HasPrefix(o, text) {
			c.SetSelectedIndex(i)
			return
		}
	}
	s.t.Fatalf("%s offers no %q: %q", id, text, c.Options)
}

// The tools act on what is selected, undo takes a step back, and find and replace
// find, with the keyboard alone.
func TestComposerWrites(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	s.populate()
	v := mailings.New(s.env)
	s.show(v, screens.Route{Verb: "new"})
	s.settle()
	body := named[*widgets.TextArea](s, "compose.body")
	s.win.Canvas().Focus(body)
	test.Type(body, "one two one")
	body.Select(4, 7)
	body.TypedShortcut(ctrl(fyne.KeyB))
	if got := body.Text(); got != "one **two** one" {
		t.Fatalf("%q", got)
	}
	test.Tap(named[*widgets.Button](s, "compose.tool.italic"))
	if got := body.Text(); got != "one ***two*** one" {
		t.Fatalf("%q", got)
	}
	body.TypedShortcut(&fyne.ShortcutUndo{})
	body.TypedShortcut(&fyne.ShortcutUndo{})
	if got := body.Text(); got != "one two one" {
		t.Fatalf("undone to %q", got)
	}
	body.Select(0, 3)
	body.TypedShortcut(ctrl(fyne.KeyF))
	what := named[*widgets.Entry](s, "compose.find.what")
	if what.Text != "one" || s.win.Canvas().Focused() != fyne.Focusable(what) {
		t.Fatalf("find holds %q", what.Text)
	}
	what.OnSubmitted("")
	if from, to := body.Selection(); from != 8 || to != 11 {
		t.Errorf("found at %d to %d", from, to)
	}
	named[*widgets.Entry](s, "compose.find.with").SetText("three")
	test.Tap(named[*widgets.Button](s, "compose.find.all"))
	if got := body.Text(); got != "three two three" {
		t.Errorf("%q", got)
	}
	s.shoot("composer-find")
	what.TypedKey(&fyne.KeyEvent{Name: fyne.KeyEscape})
	if s.win.Canvas().Focused() != fyne.Focusable(body) {
		t.Error("Escape does not close the bar")
	}
	body.TypedShortcut(&fyne.ShortcutUndo{})
	if got := body.Text(); got != "one two one" {
		t.Errorf("all is more than one step: %q", got)
	}
	s.settle()
	drafts, err := s.env.Ledger.Drafts(t.Context())
	if err != nil || drafts[0].Content.Body != "one two one" {
		t.Errorf("%+v %v", drafts, err)
	}
	v.Hide()
}

// The checks are a list: one goes there, one mends, and one walks the rows.
func TestComposerChecks(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	s.populate()
	v := mailings.New(s.env)
	s.show(v, screens.Route{Verb: "new"})
	s.settle()
	named[*widgets.Entry](s, "compose.subject").SetText("Hours")
	body := named[*widgets.TextArea](s, "compose.body")
	body.Replace(0, 0, "Dear {{nick}}, the menu is attached.")
	s.settle()
	test.Tap(named[*widgets.Button](s, "compose.checks"))
	s.shoot("composer-checks")
	test.Tap(named[*widgets.Button](s, "compose.check.go.0"))
	if from, to := body.Selection(); string([]rune(body.Text())[from:to]) != "{{nick}}" && string([]rune(body.Text())[from:to]) != "nick" {
		t.Errorf("selected %d to %d", from, to)
	}
	// A field that a few lack: write words for them.
	body.Replace(0, len(body.Text()), "Dear {{first_name}}, welcome to {{city}}.")
	row, _, err := s.env.Ledger.Contacts(t.Context(), storage.ContactFilter{}, storage.Page{Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range row {
		c := r.Contact
		c.Fields = map[string]string{"first_name": c.Name}
		if err := s.env.Ledger.UpdateContact(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	s.settle()
	test.Tap(named[*widgets.Button](s, "compose.check.mend.0"))
	if got := body.Text(); got != `Dear {{first_name}}, welcome to {{city | default "friend"}}.` {
		t.Errorf("mended to %q", got)
	}
	if from, to := body.Selection(); string([]rune(body.Text())[from:to]) != "friend" {
		t.Errorf("%d to %d is selected", from, to)
	}
	v.Hide()
}

// Several senders and lists, a look with its text, a schedule, and back again.
func TestComposerSchedules(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	s.populate()
	ctx, l := t.Context(), s.env.Ledger
	if _, _, _, _, err := l.ImportContacts(ctx, "Staff", false, func(yield func(post.Contact, error) bool) {
		yield(post.Contact{Address: "staff@example.org", Key: "staff@example.org", Name: "Sue", Fields: map[string]string{"first_name": "Sue", "city": "Graz"}}, nil)
	}); err != nil {
		t.Fatal(err)
	}
	v := mailings.New(s.env)
	s.show(v, screens.Route{Verb: "new"})
	s.settle()
	s.option("compose.from", "Several accounts")
	accounts, err := l.Accounts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		named[*widgets.Check](s, "compose.sender."+a.Name).SetChecked(true)
	}
	named[*widgets.Entry](s, "compose.weight."+accounts[0].Name).SetText("3")
	s.press("Apply")
	s.option("compose.to", "Several lists")
	named[*widgets.Check](s, "compose.list.Regulars").SetChecked(true)
	named[*widgets.Check](s, "compose.list.Staff").SetChecked(true)
	s.press("Apply")
	named[*widgets.Entry](s, "compose.subject").SetText("Winter")
	named[*widgets.TextArea](s, "compose.body").Replace(0, 0, "Dear {{name}}")
	s.settle()
	if got := named[*widgets.Select](s, "compose.from").Selected; !strings.Contains(got, "× 3") {
		t.Errorf("the senders are shown as %q", got)
	}
	if got := named[*widgets.Select](s, "compose.to").Selected; got != "Regulars + Staff · 41" {
		t.Errorf("the lists are shown as %q", got)
	}
	test.Tap(named[*widgets.Button](s, "compose.send"))
	s.settle()
	named[*widgets.Select](s, "pacing.when").SetSelectedIndex(1)
	named[*widgets.Entry](s, "pacing.day").SetText("2099-01-01")
	s.shoot("schedule")
	named[*widgets.Entry](s, "pacing.day").SetText("2020-01-01")
	s.press("Send")
	if s.win.Canvas().Overlays().Top() == nil {
		t.Fatal("a time that is over was taken")
	}
	named[*widgets.Entry](s, "pacing.day").SetText("2099-01-01")
	named[*widgets.Entry](s, "pacing.zone").SetText("Europe/Berlin")
	named[*widgets.Select](s, "pacing.hours").SetSelectedIndex(3)
	named[*widgets.Select](s, "pacing.late").SetSelectedIndex(3)
	named[*widgets.Entry](s, "pacing.own_hours").SetText("sat,sun 10:00-12:00")
	s.press("Send")
	s.settle()
	m, _, err := l.Mailings(ctx, false, storage.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := m[0]; got.NotBefore.UTC().Format("2006-01-02 15:04") != "2099-01-01 08:00" || got.Hours.Zone != "Europe/Berlin" || got.Late.Then != post.LateSkip || len(got.Senders) != 2 || got.Senders[0].Weight != 3 || got.Total() != 40 {
		t.Fatalf("%+v", got)
	}
	s.shoot("scheduled")
	test.Tap(named[*widgets.Button](s, "mailing.call_back"))
	s.settle()
	if got := named[*widgets.Entry](s, "compose.subject").Text; got != "Winter" {
		t.Errorf("called back to %q", got)
	}
	if m, err := l.Mailing(ctx, m[0].ID); err != nil || m.Counts[post.StateQueued] != 0 {
		t.Errorf("%+v %v", m.Counts, err)
	}
	v.Hide()
}

// TestComposerPictures takes pictures for those who look: the gallery, and the composer in Chinese and dark.
func TestComposerPictures(t *testing.T) {
	for _, c := range []struct {
		lang words.Lang
		mode theme.Mode
		name string
	}{{words.English, theme.Light, "en-light"}, {words.Chinese, theme.Dark, "zh-Hans-dark"}} {
		s := newStage(t, c.lang, c.mode)
		s.populate()
		v := mailings.New(s.env)
		s.show(v, screens.Route{Verb: "new"})
		s.settle()
		v.Gallery()
		s.settle()
		s.shoot("gallery-" + c.name)
		grid := named[*widgets.DataGrid](s, "gallery.grid")
		if len(grid.Rows()) != 6 {
			t.Fatalf("%d looks", len(grid.Rows()))
		}
		grid.OnOpen(3)
		s.settle()
		body := named[*widgets.TextArea](s, "compose.body")
		if len(body.Text()) < 100 || named[*widgets.Entry](s, "compose.subject").Text == "" {
			t.Errorf("the design brought no text: %q", body.Text())
		}
		if text := named[*widgets.Letter](s, "compose.letter").Text(); len(text) < 50 {
			t.Errorf("the preview shows %q", text)
		}
		s.shoot("composer-design-" + c.name)
		named[*widgets.Select](s, "compose.as").SetSelectedIndex(2)
		s.settle()
		if raw := named[*widgets.TextArea](s, "compose.raw"); !strings.Contains(raw.Text(), "Content-Type: multipart/alternative") {
			t.Errorf("the source shows %.200q", raw.Text())
		}
		v.Hide()
	}
}

// The text version is made from the message until the user writes another; the
// draft keeps it, and it can be given back.
func TestComposerText(t *testing.T) {
	for lang, mode := range map[words.Lang]theme.Mode{words.English: theme.Light, words.Chinese: theme.Dark} {
		if lang != words.English && os.Getenv("POSTROOM_GALLERY") == "" { // it is there to be looked at
			continue
		}
		s := newStage(t, lang, mode)
		s.populate()
		v := mailings.New(s.env)
		s.show(v, screens.Route{Verb: "new"})
		s.settle()
		named[*widgets.Entry](s, "compose.subject").SetText("Hours")
		named[*widgets.TextArea](s, "compose.body").Replace(0, 0, "# New hours\n\n**Open** until {{city}}.")
		s.settle()
		edit := named[*widgets.Button](s, "compose.text")
		if edit.Visible() {
			t.Error("the text version is offered where the message is read")
		}
		named[*widgets.Select](s, "compose.as").SetSelectedIndex(1)
		if !edit.Visible() || edit.Text != s.env.T("composer.text.edit") {
			t.Fatalf("no way to the text version: %q", edit.Text)
		}
		test.Tap(edit)
		area := named[*widgets.TextArea](s, "compose.text.area")
		if got := area.Text(); got != "New hours\n\nOpen until {{city}}.\n" {
			t.Errorf("%q", got)
		}
		area.Replace(0, 3, "Other")
		s.shoot("composer-text-" + string(lang))
		s.press(s.env.T("action.apply"))
		s.settle()
		kept := func() string {
			drafts, err := s.env.Ledger.Drafts(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return drafts[0].Content.Text
		}
		if kept() != "Other hours\n\nOpen until {{city}}.\n" || edit.Text != s.env.T("composer.text.own") {
			t.Errorf("kept %q, button %q", kept(), edit.Text)
		}
		if raw := named[*widgets.TextArea](s, "compose.raw").Text(); !strings.HasPrefix(raw, "Other hours") {
			t.Errorf("shown as text: %q", raw)
		}
		test.Tap(edit)
		test.Tap(named[*widgets.Button](s, "compose.text.anew"))
		s.press(s.env.T("action.apply"))
		s.settle()
		if kept() != "" {
			t.Errorf("given back, but kept %q", kept())
		}
		v.Hide()
	}
}

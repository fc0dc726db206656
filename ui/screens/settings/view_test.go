package settings

import (
	"archive/zip"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"go.uber.org/goleak"

	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is the screen in a window of the toolkit's test driver. The test is the
// window's goroutine: what is posted waits until it is run here.
type rig struct {
	*testing.T
	env      *screens.Env
	view     *View
	win      fyne.Window
	queue    chan func()
	restyled int
	opened   string
}

func newRig(t *testing.T, lang words.Lang, mode theme.Mode) *rig {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	a := test.NewTempApp(t)
	a.Settings().SetTheme(theme.New(mode))
	r := &rig{T: t, win: test.NewTempWindow(t, widgets.Space()), queue: make(chan func(), 1000)}
	r.env = &screens.Env{
		Ledger: openLedger(t), Words: words.For(lang), Window: r.win, Clock: still{}, Zone: time.UTC,
		Log: slog.New(slog.DiscardHandler), IDs: &screens.IDs{}, Post: func(f func()) { r.queue <- f },
		Restyle: func() { r.restyled++ }, OpenURL: func(u string) error { r.opened = u; return nil },
	}
	r.view = New(r.env)
	r.win.SetPadded(false)
	r.win.SetContent(widgets.NewGround(theme.Ground, r.view.Content()))
	r.win.Resize(fyne.NewSize(1280-184, 800))
	r.view.Show(screens.Route{})
	r.until("the settings", func() bool { return r.view.shown != nil })
	t.Cleanup(r.view.Hide)
	return r
}

func (r *rig) until(what string, ok func() bool) {
	r.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for !ok() {
		select {
		case f := <-r.queue:
			f()
		case <-deadline.C:
			r.Fatalf("waited in vain for: %s", what)
		}
	}
}

func (r *rig) setting(key string) string {
	r.Helper()
	v, err := r.env.Ledger.Setting(r.Context(), key, "")
	if err != nil {
		r.Fatal(err)
	}
	return v
}

func TestLanguageAndLook(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	if r.restyled != 0 {
		t.Fatal("filling the screen changes the look")
	}
	r.view.language.SetSelectedIndex(slices.Index(words.Langs, words.Chinese))
	r.until("the language to be applied", func() bool { return r.restyled == 1 })
	if got := r.setting(keyLanguage); got != "zh-Hans" {
		t.Error(got)
	}
	r.view.look.SetSelectedIndex(slices.Index(Themes, "dark"))
	r.until("the look to be applied", func() bool { return r.restyled == 2 })
	if got := r.setting(keyTheme); got != "dark" {
		t.Error(got)
	}
	// A change from elsewhere is shown, and not stored a second time.
	if err := r.env.Ledger.SetSetting(t.Context(), keyTheme, "light"); err != nil {
		t.Fatal(err)
	}
	r.view.Changed()
	r.until("the change", func() bool { return r.view.look.SelectedIndex() == slices.Index(Themes, "light") })
	if r.restyled != 2 {
		t.Error("applied again")
	}
}

func TestHours(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	v := r.view
	if v.hours.Text != "48" || !v.keep.Disabled() {
		t.Fatalf("%q, %v", v.hours.Text, v.keep.Disabled())
	}
	v.hours.SetText("500")
	if !v.said.Visible() || !v.keep.Disabled() {
		t.Error("500 hours are taken")
	}
	v.hours.SetText("72")
	if v.said.Visible() || v.keep.Disabled() {
		t.Error("72 hours are not taken")
	}
	// What is typed stays when something else is stored meanwhile.
	v.Changed()
	shown := v.shown
	r.until("a load", func() bool { return v.shown != shown })
	if v.hours.Text != "72" {
		t.Fatalf("now %q", v.hours.Text)
	}
	test.Tap(v.keep)
	r.until("it to be kept", func() bool { return v.said.Visible() })
	if got := r.setting(keyDeadline); got != "72" || !v.keep.Disabled() || v.said.Text != english.T("settings.retry.kept") {
		t.Errorf("%s, %q", got, v.said.Text)
	}
	v.Changed()
	shown = v.shown
	r.until("a load", func() bool { return v.shown != shown })
	if !v.said.Visible() {
		t.Error("the word is gone at once")
	}
}

func TestFolder(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	r.view.onFolder()
	if r.opened != folderURL(r.env.Ledger.Dir()) || !strings.HasPrefix(r.opened, "file:///") {
		t.Error(r.opened)
	}
	if r.view.folder.Text != r.env.Ledger.Dir() || !r.view.folder.Selectable || filepath.Dir(filepath.Dir(r.view.log.Text)) != r.env.Ledger.Dir() {
		t.Errorf("%q %q", r.view.folder.Text, r.view.log.Text)
	}
}

func TestBackup(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	v := r.view
	done := func() bool { return !v.backup.Disabled() }
	path := filepath.Join(t.TempDir(), "all.zip")
	v.path.SetText(path)
	test.Tap(v.backup)
	if !v.backup.Disabled() || !v.check.Disabled() {
		t.Error("two jobs at once")
	}
	r.until("the backup", done)
	if v.result.Text != english.T("settings.backup.done", path) || !v.result.Visible() {
		t.Errorf("%q", v.result.Text)
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(z.File) == 0 {
		t.Error("the backup is empty")
	}
	if err := z.Close(); err != nil {
		t.Error(err)
	}
	// A file that is there is not replaced, and that is said.
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	v.path.SetText(path)
	test.Tap(v.backup)
	r.until("the refusal", done)
	if r.win.Canvas().Overlays().Top() == nil || v.result.Visible() {
		t.Error("nothing is said")
	}
	if after, err := os.Stat(path); err != nil || after.ModTime() != before.ModTime() || after.Size() != before.Size() {
		t.Errorf("replaced: %v", err)
	}
	v.path.SetText(" ")
	test.Tap(v.backup)
	if v.backup.Disabled() || v.result.Text != english.T("settings.backup.no_path") {
		t.Errorf("without a path: %q", v.result.Text)
	}
	// The suggestion is in the home folder.
	if got := backupPath(backupName(now), v.home); filepath.Dir(got) != os.Getenv("HOME") {
		t.Error(got)
	}
}

func TestCheck(t *testing.T) {
	r := newRig(t, words.English, theme.Light)
	v := r.view
	test.Tap(v.check)
	r.until("the check", func() bool { return v.result.Visible() })
	if v.result.Text != english.T("settings.check.sound") || r.win.Canvas().Overlays().Top() != nil {
		t.Errorf("%q", v.result.Text)
	}
	// An attachment that is not what it was is told.
	sum, _, err := r.env.Ledger.Put(t.Context(), strings.NewReader("the menu"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(r.env.Ledger.Dir(), "blobs", sum[:2], sum)); err != nil {
		t.Fatal(err)
	}
	test.Tap(v.check)
	r.until("the check", func() bool { return v.result.Visible() })
	if v.result.Text != english.N("settings.check.problems", 1) || r.win.Canvas().Overlays().Top() == nil {
		t.Errorf("%q", v.result.Text)
	}
}

// TestPictures draws the screen in both looks and languages. The pictures go to
// a folder of the test, or to the one that POSTROOM_GALLERY names. What it
// asserts is that everything can be drawn and fits into the window.
func TestPictures(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine draws; under the race detector that takes minutes")
	}
	dir := gallery(t)
	for _, lang := range words.Langs {
		for _, mode := range []theme.Mode{theme.Light, theme.Dark} {
			r := newRig(t, lang, mode)
			r.view.hours.SetText("500")
			r.view.tell(r.view.result, theme.Good, r.env.T("settings.check.sound"))
			r.draw(filepath.Join(dir, "settings-"+string(lang)+"-"+string(mode)+".png"))
		}
	}
}

// gallery is where pictures go.
func gallery(t *testing.T) string {
	if dir := os.Getenv("POSTROOM_GALLERY"); dir != "" {
		return dir
	}
	return t.TempDir()
}

func (r *rig) draw(file string) {
	r.Helper()
	if min := r.win.Content().MinSize(); min.Width > 1280-184 || min.Height > 800 {
		r.Errorf("%s wants %v", file, min)
	}
	f, err := os.Create(file)
	if err != nil {
		r.Fatal(err)
	}
	if err := png.Encode(f, r.win.Canvas().Capture()); err != nil {
		r.Error(err)
	}
	if err := f.Close(); err != nil {
		r.Error(err)
	}
}

package dialogs

import (
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"fyne.io/fyne/v2"

	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/ui/task"
	"postroom/ui/widgets"
)

// TestGallery draws every dialog, to be looked at: into the folder that
// POSTROOM_GALLERY names, or one of the test. It asserts that all of them stay
// inside a small window.
func TestGallery(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine draws; under the race detector that takes minutes")
	}
	out := os.Getenv("POSTROOM_GALLERY")
	if out == "" {
		out = t.TempDir()
	}
	dir := tree(t)
	for _, lang := range words.Langs {
		for _, mode := range []theme.Mode{theme.Light, theme.Dark} {
			w := words.For(lang)
			for name, show := range map[string]func(fyne.Window) *Dialog{
				"confirm": func(win fyne.Window) *Dialog {
					return Confirm(w, win, w.T("action.send_now"), w.T("home.empty.sentence"), w.T("action.send"), nil)
				},
				"error": func(win fyne.Window) *Dialog {
					what, advice := w.T("error.kind.network"), w.T("error.advice.network")
					return Tell(w, win, Trouble{What: what, Advice: advice, Detail: "dial tcp 192.0.2.7:587: connect: connection refused"}, nil)
				},
				"progress": func(win fyne.Window) *Dialog {
					p := NewProgress(w, win, w.T("contacts.empty.import"))
					p.Show(func() {})
					p.Report(task.Progress{Done: 3210, Total: 48211})
					return p.dialog
				},
				"pick": func(win fyne.Window) *Dialog {
					k, _, _ := picker(t, win, Picker{Pick: ManyFiles, Folder: dir})
					k.Words = w
					k.sel(t, "b.csv")
					return k.dialog
				},
			} {
				win := newWindow(t, widgets.NewGround(theme.Ground, widgets.NewText("")))
				fyne.CurrentApp().Settings().SetTheme(theme.New(mode))
				win.Resize(fyne.NewSize(800, 600))
				d := show(win)
				if at, size := d.card.Position(), d.card.Size(); at.X < 0 || at.Y < 0 || at.X+size.Width > 800 || at.Y+size.Height > 600 {
					t.Errorf("%s sticks out: %v %v", name, at, size)
				}
				save(t, win, filepath.Join(out, "dialog-"+name+"-"+string(lang)+"-"+string(mode)+".png"))
			}
		}
	}
}

func save(t *testing.T, win fyne.Window, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, win.Canvas().Capture()); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

package dialogs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/ui/widgets"
)

var english = words.For(words.English)

func newWindow(t *testing.T, content fyne.CanvasObject) fyne.Window {
	t.Helper()
	a := test.NewTempApp(t)
	a.Settings().SetTheme(theme.New(theme.Light))
	w := test.NewTempWindow(t, content)
	w.SetPadded(false)
	w.Resize(fyne.NewSize(1000, 700))
	return w
}

// typed sends a key as the driver does: to what has the focus, else to the
// window.
func typed(w fyne.Window, name fyne.KeyName) {
	ev := &fyne.KeyEvent{Name: name}
	if f := w.Canvas().Focused(); f != nil {
		f.TypedKey(ev)
		return
	}
	if f := w.Canvas().OnTypedKey(); f != nil {
		f(ev)
	}
}

func open(w fyne.Window) int { return len(w.Canvas().Overlays().List()) }

// queue is the window's goroutine of a test: what is posted waits until the
// test runs it.
type queue chan func()

func (q queue) post(f func()) { q <- f }

// until runs what is posted until a condition holds.
func (q queue) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case f := <-q:
			f()
		case <-deadline:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func TestConfirm(t *testing.T) {
	field := widgets.NewEntry()
	w := newWindow(t, field)
	for _, tc := range []struct {
		key  fyne.KeyName
		want int
	}{{fyne.KeyEscape, 0}, {fyne.KeyReturn, 1}, {fyne.KeyEnter, 1}, {fyne.KeySpace, 1}} {
		w.Canvas().Focus(field)
		n := 0
		d := Confirm(english, w, "Send now?", "1,842 messages go out.", "Send", func() { n++ })
		if open(w) != 1 || !d.Open() {
			t.Fatal("no dialog")
		}
		typed(w, tc.key)
		typed(w, tc.key) // once is enough
		if n != tc.want || open(w) != 0 {
			t.Errorf("%s: done %d times, %d open", tc.key, n, open(w))
		}
		if w.Canvas().Focused() != fyne.Focusable(field) {
			t.Errorf("%s: the focus went to %T", tc.key, w.Canvas().Focused())
		}
	}
}

// What cannot be undone is never done by Enter.
func TestConfirmLoss(t *testing.T) {
	w := newWindow(t, widgets.NewEntry())
	n := 0
	ConfirmLoss(english, w, "Delete?", "It does not come back.", "Delete", func() { n++ })
	typed(w, fyne.KeyReturn)
	if n != 0 || open(w) != 0 {
		t.Errorf("deleted %d times", n)
	}
	d := ConfirmLoss(english, w, "Delete?", "It does not come back.", "Delete", func() { n++ })
	test.Tap(d.options.Buttons[0])
	if n != 1 {
		t.Error("the button does nothing")
	}
}

// Escape works with the focus in an entry; a dialog on a dialog closes alone.
func TestEscapeClosesTheTopOne(t *testing.T) {
	before := 0
	w := newWindow(t, widgets.NewEntry())
	w.Canvas().SetOnTypedKey(func(*fyne.KeyEvent) { before++ })
	name := widgets.NewEntry()
	wrong := "Give it a name."
	Form(english, w, "New list", "Add", name, name, func() string { return wrong })
	test.Type(name, "Stamm")
	typed(w, fyne.KeyReturn)
	if open(w) != 1 {
		t.Fatal("the form closed although something is wrong")
	}
	Info(english, w, "Note", "Something else.")
	if open(w) != 2 {
		t.Fatal("no second dialog")
	}
	typed(w, fyne.KeyEscape)
	if open(w) != 1 || w.Canvas().Focused() != fyne.Focusable(name) {
		t.Fatalf("%d open, focus on %T", open(w), w.Canvas().Focused())
	}
	wrong = ""
	typed(w, fyne.KeyReturn)
	if open(w) != 0 {
		t.Error("the form stays open")
	}
	w.Canvas().Unfocus()
	typed(w, fyne.KeyF1)
	if before != 1 {
		t.Error("the window's own keys were not given back")
	}
}

func TestError(t *testing.T) {
	w := newWindow(t, widgets.NewEntry())
	if Error(english, w, nil) != nil || Error(english, w, fmt.Errorf("load: %w", context.Canceled)) != nil ||
		Error(english, w, post.Errorf(post.KindCancelled, "send", "stopped")) != nil {
		t.Error("a dialog for nothing")
	}
	d := Error(english, w, &post.Error{Kind: post.KindNetwork, Op: "test account", Err: errors.New("dial tcp: connection refused\x1b[31m")})
	if d == nil {
		t.Fatal("no dialog for an error")
	}
	markup := test.RenderObjectToMarkup(d)
	for _, want := range []string{"The server could not be reached.", "Check the internet connection", "dial tcp: connection refused"} {
		if !strings.Contains(strings.Join(strings.Fields(markup), " "), want) {
			t.Errorf("%q is not shown", want)
		}
	}
	if strings.Contains(markup, "\x1b") {
		t.Error("control characters are shown")
	}
	typed(w, fyne.KeyEscape)
	if open(w) != 0 {
		t.Error("stays open")
	}
}

func TestChooseAndList(t *testing.T) {
	w := newWindow(t, widgets.NewEntry())
	var did string
	choices := []Choice{
		{Label: "Keep sending", Do: func() { did = "keep" }, Default: true}, {Label: "Quit", Do: func() { did = "quit" }},
	}
	d := Choose(english, w, "Mail waits", "312 messages wait.", choices...)
	if last := d.options.Buttons[1]; last.Text != "Keep sending" || last.Kind != widgets.Primary {
		t.Errorf("the default is %q", last.Text)
	}
	test.Tap(d.options.Buttons[0])
	if did != "quit" {
		t.Errorf("did %q", did)
	}
	var lines []string
	for i := range 500 {
		lines = append(lines, fmt.Sprintf("row %d: no address", i))
	}
	d = List(english, w, "Not yet", "500 rows are wrong.", lines)
	if h := d.card.Size().Height; h > 600 {
		t.Errorf("a long list makes the dialog %v high", h)
	}
}

func TestWorkShowsProgressAndCancels(t *testing.T) {
	w := newWindow(t, widgets.NewEntry())
	q := make(queue, 100)
	var got error
	done := false
	Work(english, w, q.post, "Import", func(ctx context.Context, report func(done, total int64)) error {
		report(3210, 48211)
		<-ctx.Done()
		return ctx.Err()
	}, func(err error) { got, done = err, true })
	q.until(t, "the dialog", func() bool { return open(w) == 1 })
	d := w.Canvas().Overlays().Top().(*Dialog)
	q.until(t, "a report", func() bool {
		return strings.Contains(test.RenderObjectToMarkup(d), "3,210 of 48,211")
	})
	typed(w, fyne.KeyEscape)
	if b := d.options.Buttons[0]; !b.Disabled() || b.Text != "Stopping…" {
		t.Errorf("the button says %q", b.Text)
	}
	typed(w, fyne.KeyEscape)
	q.until(t, "the end", func() bool { return done })
	if !errors.Is(got, context.Canceled) || open(w) != 0 {
		t.Errorf("ended with %v, %d open", got, open(w))
	}
}

// tree makes a folder with files of some kinds.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"b.csv", "A.CSV", "note.txt", ".hidden.csv", "名单.csv"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "sub", "deeper"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sub", "c.csv"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestListFolder(t *testing.T) {
	dir := tree(t)
	names := func(f filter) string {
		l, err := list(dir, f)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range l.entries {
			out = append(out, e.name)
		}
		return strings.Join(out, " ")
	}
	for _, tc := range []struct {
		f    filter
		want string
	}{
		{filter{}, "sub A.CSV b.csv note.txt 名单.csv"},
		{filter{extensions: []string{".csv"}}, "sub A.CSV b.csv 名单.csv"},
		{filter{extensions: []string{".csv"}, hidden: true}, "sub .hidden.csv A.CSV b.csv 名单.csv"},
		{filter{folders: true}, "sub"},
	} {
		if got := names(tc.f); got != tc.want {
			t.Errorf("%+v: got %q, want %q", tc.f, got, tc.want)
		}
	}
	if _, err := list(filepath.Join(dir, "nowhere"), filter{}); pathWords(err) != "file.not_found" {
		t.Errorf("got %v", err)
	}
}

func TestExpand(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	if runtime.GOOS != "windows" {
		if got := expand(" /tmp/../x ", "/a"); got != "/x" {
			t.Errorf("got %q", got)
		}
	}
	if got := expand("sub/f.csv", home); got != filepath.Join(home, "sub", "f.csv") {
		t.Errorf("got %q", got)
	}
	if got := expand("~/f", "/a"); got != filepath.Join(home, "f") {
		t.Errorf("got %q", got)
	}
	if got := startFolder(filepath.Join(home, "gone")); got != filepath.Clean(home) {
		t.Errorf("got %q", got)
	}
}

// picker shows a picker on the sample tree and waits for its list.
func picker(t *testing.T, w fyne.Window, p Picker) (k *picking, q queue, got *[]string) {
	t.Helper()
	q, got = make(queue, 100), new([]string)
	p.Words, p.Win, p.Post, p.Done = english, w, q.post, func(paths []string) { *got = paths }
	k = p.start()
	q.until(t, "the list", func() bool { return k.shown.path == p.Folder && !k.grid.Loading() })
	return k, q, got
}

func (k *picking) sel(t *testing.T, names ...string) {
	t.Helper()
	var ids []int64
	for _, n := range names {
		i := slices.IndexFunc(k.shown.entries, func(e entry) bool { return e.name == n })
		if i < 0 {
			t.Fatalf("%q is not listed", n)
		}
		ids = append(ids, int64(i+1))
	}
	k.grid.SetSelected(ids...)
	k.onSelect()
}

func TestPickManyFiles(t *testing.T) {
	dir := tree(t)
	w := newWindow(t, widgets.NewEntry())
	k, _, got := picker(t, w, Picker{Pick: ManyFiles, Folder: dir, Extensions: []string{".csv"}})
	if !k.choose.Disabled() {
		t.Error("nothing can be chosen yet")
	}
	k.sel(t, "sub", "b.csv", "名单.csv")
	if k.choose.Disabled() || k.said.Text != "2 files chosen" {
		t.Errorf("says %q", k.said.Text)
	}
	test.Tap(k.choose)
	if want := []string{filepath.Join(dir, "b.csv"), filepath.Join(dir, "名单.csv")}; !slices.Equal(*got, want) || open(w) != 0 {
		t.Errorf("got %q", *got)
	}
	// Into a folder by Enter on its row, up again, then by a typed path.
	k, q, got := picker(t, w, Picker{Pick: OneFile, Folder: dir})
	k.grid.TypedKey(&fyne.KeyEvent{Name: fyne.KeyHome})
	k.grid.TypedKey(&fyne.KeyEvent{Name: fyne.KeyReturn})
	q.until(t, "the folder below", func() bool { return k.shown.path == filepath.Join(dir, "sub") })
	k.open(filepath.Dir(k.shown.path))
	q.until(t, "the folder above", func() bool { return k.shown.path == dir })
	k.path.SetText("nowhere.csv")
	typed(w, fyne.KeyReturn)
	if k.said.Text != english.T("file.not_found") || open(w) != 1 {
		t.Errorf("says %q", k.said.Text)
	}
	k.path.SetText(filepath.Join("sub", "c.csv"))
	typed(w, fyne.KeyReturn)
	if want := []string{filepath.Join(dir, "sub", "c.csv")}; !slices.Equal(*got, want) || open(w) != 0 {
		t.Errorf("got %q", *got)
	}
}

func TestPickFolder(t *testing.T) {
	dir := tree(t)
	w := newWindow(t, widgets.NewEntry())
	k, _, got := picker(t, w, Picker{Pick: OneFolder, Folder: dir})
	test.Tap(k.choose)
	if !slices.Equal(*got, []string{dir}) {
		t.Errorf("got %q", *got)
	}
	k, _, got = picker(t, w, Picker{Pick: OneFolder, Folder: dir})
	k.sel(t, "sub")
	test.Tap(k.choose)
	if !slices.Equal(*got, []string{filepath.Join(dir, "sub")}) {
		t.Errorf("got %q", *got)
	}
}

// Nothing is overwritten without a question.
func TestSaveFile(t *testing.T) {
	dir := tree(t)
	w := newWindow(t, widgets.NewEntry())
	k, _, got := picker(t, w, Picker{Pick: NewFile, Folder: dir, Name: "history.csv"})
	test.Tap(k.choose)
	if !slices.Equal(*got, []string{filepath.Join(dir, "history.csv")}) {
		t.Errorf("got %q", *got)
	}
	k, _, got = picker(t, w, Picker{Pick: NewFile, Folder: dir, Name: "b.csv"})
	test.Tap(k.choose)
	if open(w) != 2 || *got != nil {
		t.Fatalf("no question before replacing; got %q", *got)
	}
	typed(w, fyne.KeyEscape)
	if open(w) != 1 || *got != nil {
		t.Fatalf("%d open, got %q", open(w), *got)
	}
	test.Tap(k.choose)
	typed(w, fyne.KeyReturn)
	if !slices.Equal(*got, []string{filepath.Join(dir, "b.csv")}) || open(w) != 0 {
		t.Errorf("got %q, %d open", *got, open(w))
	}
}

// A folder that cannot be read is said, and the one before stays.
func TestUnreadableFolder(t *testing.T) {
	dir := tree(t)
	w := newWindow(t, widgets.NewEntry())
	k, q, _ := picker(t, w, Picker{Pick: OneFile, Folder: dir})
	k.open(filepath.Join(dir, "gone"))
	q.until(t, "the answer", func() bool { return !k.grid.Loading() })
	if k.said.Text != english.T("file.not_found") || k.shown.path != dir || len(k.grid.Rows()) == 0 {
		t.Errorf("says %q at %s", k.said.Text, k.shown.path)
	}
}

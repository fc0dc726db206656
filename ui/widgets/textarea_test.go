package widgets

import (
	"image"
	"image/color"
	"slices"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/test"

	"postroom/assets/theme"
	"postroom/assets/words"
)

func newArea(t *testing.T, width, height float32) (*TextArea, fyne.Window) {
	t.Helper()
	test.NewTempApp(t).Settings().SetTheme(theme.New(theme.Light))
	a := NewTextArea(words.For(words.English))
	w := test.NewTempWindow(t, a)
	w.SetPadded(false)
	w.Resize(fyne.NewSize(width, height))
	w.Canvas().Focus(a)
	return a, w
}

func strike(a *TextArea, keys ...fyne.KeyName) {
	for _, k := range keys {
		a.TypedKey(&fyne.KeyEvent{Name: k})
	}
}

func hold(a *TextArea, keys ...fyne.KeyName) {
	a.KeyDown(&fyne.KeyEvent{Name: desktop.KeyShiftLeft})
	strike(a, keys...)
	a.KeyUp(&fyne.KeyEvent{Name: desktop.KeyShiftLeft})
}

func TestTextAreaKeys(t *testing.T) {
	a, _ := newArea(t, 400, 200)
	told := 0
	a.OnChanged = func() { told++ }
	test.Type(a, "Dear {{name}}, 你好")
	strike(a, fyne.KeyReturn)
	test.Type(a, "second line")
	if a.Text() != "Dear {{name}}, 你好\nsecond line" || told == 0 {
		t.Fatalf("%q after %d calls", a.Text(), told)
	}
	hold(a, fyne.KeyHome)
	if from, to := a.Selection(); from != 18 || to != 29 {
		t.Fatalf("selected %d to %d", from, to)
	}
	clip := test.NewClipboard()
	a.TypedShortcut(&fyne.ShortcutCut{Clipboard: clip})
	if a.Text() != "Dear {{name}}, 你好\n" || clip.Content() != "second line" {
		t.Fatalf("%q, and in the clipboard %q", a.Text(), clip.Content())
	}
	clip.SetContent("a\r\nb")
	a.TypedShortcut(&fyne.ShortcutPaste{Clipboard: clip})
	if a.Text() != "Dear {{name}}, 你好\na\nb" {
		t.Fatalf("%q", a.Text())
	}
	a.TypedShortcut(&fyne.ShortcutUndo{})
	a.TypedShortcut(&fyne.ShortcutUndo{})
	if from, to := a.Selection(); !strings.HasSuffix(a.Text(), "second line") || from != 18 || to != 29 {
		t.Fatalf("undone to %q, selected %d to %d", a.Text(), from, to)
	}
	a.TypedShortcut(&desktop.CustomShortcut{KeyName: fyne.KeyHome, Modifier: fyne.KeyModifierControl})
	a.TypedShortcut(&desktop.CustomShortcut{KeyName: fyne.KeyRight, Modifier: fyne.KeyModifierControl})
	strike(a, fyne.KeyBackspace)
	if !strings.HasPrefix(a.Text(), "Dear{{name}}") && !strings.HasPrefix(a.Text(), "Dear {name}}") {
		t.Fatalf("%q", a.Text())
	}
	// The mouse: a double click takes a word, a drag what it goes over.
	a.SetText("one two three")
	h := areaRowHeight()
	w := a.script.advance('o')
	a.DoubleTapped(&fyne.PointEvent{Position: fyne.NewPos(areaInset+5.2*w, areaInset+h/2)})
	if from, to := a.Selection(); from != 4 || to != 7 {
		t.Errorf("a double click selects %d to %d", from, to)
	}
	a.MouseDown(&desktop.MouseEvent{PointEvent: fyne.PointEvent{Position: fyne.NewPos(areaInset+1, areaInset+h/2)}, Button: desktop.MouseButtonPrimary})
	a.Dragged(&fyne.DragEvent{PointEvent: fyne.PointEvent{Position: fyne.NewPos(areaInset+3*w, areaInset+h/2)}})
	if from, to := a.Selection(); from != 0 || to != 3 {
		t.Errorf("a drag selects %d to %d", from, to)
	}
}

// What the area has no use for reaches the window: Escape, and Ctrl+1.
func TestTextAreaPassesOn(t *testing.T) {
	a, w := newArea(t, 400, 200)
	var got []string
	w.Canvas().SetOnTypedKey(func(ev *fyne.KeyEvent) { got = append(got, string(ev.Name)) })
	one := &desktop.CustomShortcut{KeyName: fyne.Key1, Modifier: fyne.KeyModifierControl}
	w.Canvas().AddShortcut(one, func(fyne.Shortcut) { got = append(got, "Ctrl+1") })
	strike(a, fyne.KeyEscape)
	want := "Escape, own B"
	if _, ok := w.Canvas().(fyne.Shortcutable); ok { // the real window's is
		a.TypedShortcut(one)
		want = "Escape, Ctrl+1, own B"
	}
	a.OnKey = func(k *desktop.CustomShortcut) bool { got = append(got, "own "+string(k.KeyName)); return true }
	a.TypedShortcut(&desktop.CustomShortcut{KeyName: fyne.KeyB, Modifier: fyne.KeyModifierControl})
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("%s", s)
	}
	if _, traps := any(a).(fyne.Tabbable); traps {
		t.Error("Tab is caught: who has no mouse cannot leave")
	}
}

// The cursor stays in sight, and what is drawn is what is in sight.
func TestTextAreaScrolls(t *testing.T) {
	a, w := newArea(t, 300, 120)
	a.SetText(strings.Repeat("line\n", 100) + "end")
	r := test.WidgetRenderer(a).(*areaRenderer)
	if n := r.used; n != a.page {
		t.Errorf("%d rows are drawn of %d in sight", n, a.page)
	}
	a.Select(a.script.len(), a.script.len())
	if a.top != a.script.rows()-a.page {
		t.Errorf("the top row is %d", a.top)
	}
	strike(a, fyne.KeyPageUp, fyne.KeyUp)
	a.Scrolled(&fyne.ScrollEvent{Scrolled: fyne.Delta{DY: 10000}})
	if a.top != 0 {
		t.Errorf("the top row is %d", a.top)
	}
	w.Resize(fyne.NewSize(60, 120))
	w.Resize(fyne.NewSize(300, 120))
	a.SetText("")
	if a.top != 0 || a.Text() != "" {
		t.Errorf("%d %q", a.top, a.Text())
	}
}

// A key costs the same in a long text as in a page: what is compared is the
// median of keys typed in turn into both, so that a busy machine slows both. An
// entry of the toolkit takes fifty times as long in the long one.
func TestTextAreaIsQuick(t *testing.T) {
	const line = "Dear guest, the nights are long and so are we, from Tuesday on to Sunday evening.\n\n"
	var areas [2]*TextArea
	for i, lines := range []int{25, 250} {
		a, w := newArea(t, 600, 500)
		a.SetText(strings.Repeat(line, lines))
		a.Select(1000, 1000)
		_ = w.Canvas().Capture()
		areas[i] = a
	}
	var took [2][]time.Duration
	for range 200 {
		for i, a := range areas {
			began := time.Now()
			a.TypedRune('x')
			took[i] = append(took[i], time.Since(began))
		}
	}
	var key [2]time.Duration
	for i := range took {
		slices.Sort(took[i])
		key[i] = took[i][len(took[i])/2]
	}
	t.Logf("a key takes %s in %d bytes and %s in %d", key[0], len(areas[0].Text()), key[1], len(areas[1].Text()))
	if key[1] > 5*key[0] {
		t.Error("it costs more in a longer text")
	}
}

// The border is whole on all four sides, with and without the focus.
func TestTextAreaBorder(t *testing.T) {
	for _, mode := range []theme.Mode{theme.Light, theme.Dark} {
		test.NewTempApp(t).Settings().SetTheme(theme.New(mode))
		a := NewTextArea(words.For(words.English))
		a.SetText("Dear all")
		w := test.NewTempWindow(t, NewGround(theme.Ground, Inset(20, 20, 20, 20, a)))
		w.SetPadded(false)
		w.Resize(fyne.NewSize(300, 200))
		for _, focused := range []bool{false, true} {
			want := theme.Input
			if focused {
				want = theme.Accent
				w.Canvas().Focus(a)
			}
			img := w.Canvas().Capture()
			for side, p := range map[string]image.Point{"left": {20, 100}, "right": {279, 100}, "top": {150, 20}, "bottom": {150, 179}} {
				got, _ := color.NRGBAModel.Convert(img.At(p.X, p.Y)).(color.NRGBA)
				if c, _ := color.NRGBAModel.Convert(theme.Colour(want)).(color.NRGBA); got != c {
					t.Errorf("%s with focus %t: the border at the %s is %v, not %v", mode, focused, side, got, c)
				}
			}
		}
	}
}

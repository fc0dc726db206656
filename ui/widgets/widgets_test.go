package widgets

import (
	"image"
	"image/color"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/test"

	"postroom/assets/icons"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
)

func light(t *testing.T) fyne.App {
	t.Helper()
	a := test.NewTempApp(t)
	a.Settings().SetTheme(theme.New(theme.Light))
	return a
}

func show(t *testing.T, o fyne.CanvasObject, w, h float32) fyne.Window {
	t.Helper()
	win := test.NewTempWindow(t, o)
	win.SetPadded(false)
	win.Resize(fyne.NewSize(w, h))
	return win
}

func press(o fyne.Focusable, names ...fyne.KeyName) {
	for _, n := range names {
		o.TypedKey(&fyne.KeyEvent{Name: n})
	}
}

func TestButton(t *testing.T) {
	light(t)
	n, passed := 0, 0
	b := NewButton(Normal, "Pause", func() { n++ })
	w := show(t, b, 200, 100)
	w.Canvas().SetOnTypedKey(func(*fyne.KeyEvent) { passed++ })
	test.Tap(b)
	press(b, fyne.KeySpace, fyne.KeyReturn, fyne.KeyEnter, fyne.KeyEscape)
	if n != 4 || passed != 1 {
		t.Errorf("pressed %d times, passed on %d", n, passed)
	}
	b.Disable()
	test.Tap(b)
	press(b, fyne.KeyReturn)
	if n != 4 {
		t.Error("a button that is switched off was pressed")
	}
	if h := b.MinSize().Height; h != buttonHeight {
		t.Errorf("height %v", h)
	}
}

// What has the focus is seen: the picture changes.
func TestFocusAndDisabledAreSeen(t *testing.T) {
	light(t)
	nav := NewNavList("Postroom", []NavItem{{ID: "home", Icon: icons.Home, Label: "Home"}}, nil)
	grid := galleryGrid(words.For(words.English))
	for name, o := range map[string]fyne.Focusable{
		"button": NewButton(Normal, "Pause", nil), "primary": NewButton(Primary, "Send", nil),
		"link": NewButton(Link, "Undo", nil), "icon": NewIconButton(icons.Add, "Add", nil),
		"select": NewSelect([]string{"a", "b"}, nil), "nav": nav, "grid": grid, "title": grid.head.titles[0],
	} {
		w := show(t, o.(fyne.CanvasObject), 400, 300)
		plain := w.Canvas().Capture()
		o.FocusGained()
		if same(plain, w.Canvas().Capture()) {
			t.Errorf("%s: the focus is not seen", name)
		}
		o.FocusLost()
		if !same(plain, w.Canvas().Capture()) {
			t.Errorf("%s: the focus stays to be seen", name)
		}
		if d, ok := o.(interface{ Disable() }); ok && name != "title" {
			d.Disable()
			if same(plain, w.Canvas().Capture()) {
				t.Errorf("%s: switched off looks as on", name)
			}
		}
	}
}

func same(a, b image.Image) bool {
	if a.Bounds() != b.Bounds() {
		return false
	}
	for y := a.Bounds().Min.Y; y < a.Bounds().Max.Y; y++ {
		for x := a.Bounds().Min.X; x < a.Bounds().Max.X; x++ {
			if a.At(x, y) != b.At(x, y) {
				return false
			}
		}
	}
	return true
}

func TestNavList(t *testing.T) {
	light(t)
	var went []string
	n := NewNavList("Postroom", []NavItem{
		{ID: "home", Icon: icons.Home, Label: "Home"},
		{ID: "outbox", Icon: icons.Outbox, Label: "Outbox"},
		{ID: "history", Icon: icons.History, Label: "History"},
	}, func(id string) { went = append(went, id) })
	show(t, n, navWidth, 400)
	n.Select("home")
	press(n, fyne.KeyDown, fyne.KeyDown, fyne.KeyDown, fyne.KeyReturn, fyne.KeyHome, fyne.KeySpace, fyne.KeyEnd, fyne.KeyUp, fyne.KeyEnter)
	if got := strings.Join(went, " "); got != "history home outbox" || n.Selected() != "outbox" {
		t.Errorf("went %q, at %q", got, n.Selected())
	}
	test.Tap(n.entries[2])
	if n.Selected() != "history" || len(went) != 4 {
		t.Errorf("a click goes to %q", n.Selected())
	}
	n.SetBadge("outbox", "312")
	if got := n.entries[1].AccessibilityLabel(); got != "Outbox, 312" {
		t.Errorf("reads as %q", got)
	}
}

func TestMeterWidths(t *testing.T) {
	light(t)
	for _, tc := range []struct {
		total int64
		parts []int64
		want  []float32
	}{
		{100, []int64{50, 25}, []float32{50, 25}},
		{1_000_000, []int64{999_999, 1}, []float32{97, 3}}, // one failure is seen, and nothing sticks out
		{1_000_000, []int64{1, 0, 1}, []float32{3, 0, 3}},
		{0, []int64{0}, []float32{0}},
		{3, []int64{1, 1, 1}, []float32{34, 33, 33}}, // whole is whole
		{10, []int64{20}, []float32{100}},
		{10, []int64{-5, 5}, []float32{0, 50}},
	} {
		m := NewMeter(tc.total)
		for _, p := range tc.parts {
			m.segments = append(m.segments, Segment{Value: p})
		}
		got := m.widths(100)
		for i := range tc.want {
			if got[i] != tc.want[i] {
				t.Errorf("%v of %d: got %v, want %v", tc.parts, tc.total, got, tc.want)
				break
			}
		}
	}
}

// The colours of a meter are where they belong, to the pixel.
func TestMeterPixels(t *testing.T) {
	light(t)
	m := NewMeter(100, Segment{Value: 50, Tone: theme.Good}, Segment{Value: 10, Tone: theme.Bad})
	img := show(t, m, 100, 8).Canvas().Capture()
	for x, want := range map[int]fyne.ThemeColorName{25: theme.Green, 48: theme.Green, 52: theme.Red, 58: theme.Red, 62: theme.Line, 90: theme.Line} {
		if got := color.NRGBAModel.Convert(img.At(x, 4)); got != theme.Colour(want) {
			t.Errorf("at %d: %v is not %s", x, got, want)
		}
	}
}

func TestChart(t *testing.T) {
	light(t)
	days := galleryDays()
	c := NewChart(words.For(words.English).Number, days...)
	show(t, c, 700, 250)
	if c.top() != 1600 {
		t.Errorf("top is %d", c.top())
	}
	for most, want := range map[int64]int64{0: 10, 7: 10, 11: 12, 99: 100, 101: 120, 48211: 50000, 999999: 1000000} {
		if got := NewChart(nil, Day{Taken: most}).top(); got != want {
			t.Errorf("top for %d is %d, want %d", most, got, want)
		}
	}
	r := test.WidgetRenderer(c).(*chartRenderer)
	for i, d := range days {
		if d.Taken == 0 {
			if r.taken[i].Size().Height != 0 {
				t.Errorf("day %d: a bar for nothing", i)
			}
			continue
		}
		p, s := r.taken[i].Position(), r.taken[i].Size()
		if p.X != snap(p.X) || s.Width != snap(s.Width) || s.Height != snap(s.Height) || p.Y != snap(p.Y) {
			t.Errorf("day %d is not on whole pixels: %v %v", i, p, s)
		}
		if d.Bad > 0 && r.bad[i].Size().Height < 1 {
			t.Errorf("day %d: failures are not seen", i)
		}
	}
	if r.labels[len(days)-1].Hidden {
		t.Error("today has no label")
	}
	if !strings.HasPrefix(c.AccessibilityLabel(), "25 Oct: 240, 6; ") {
		t.Errorf("reads as %q", c.AccessibilityLabel()[:40])
	}
	c.Set()
	c.Set(days[:3]...)
}

func TestTextFitsAndWraps(t *testing.T) {
	light(t)
	style := fyne.TextStyle{}
	if got := Fit("short", 200, 14, style); got != "short" {
		t.Errorf("got %q", got)
	}
	long := "anna.köhler@example.org 王小明"
	for width := float32(10); width < 250; width += 7 {
		got := Fit(long, width, 14, style)
		if got != long && !strings.HasSuffix(got, "…") {
			t.Errorf("%v: got %q", width, got)
		}
		if w := fyne.MeasureText(got, 14, style).Width; w > width+1 && got != "…" {
			t.Errorf("%v: %q is %v wide", width, got, w)
		}
	}
	sentence := "the mailbox does not exist; 邮箱不存在，以后不再发送。 averyveryverylongwordthatcannotfit end"
	for _, width := range []float32{40, 90, 150, 400} {
		lines := wrap(sentence, width, 14, style)
		for _, line := range lines {
			if w := fyne.MeasureText(line, 14, style).Width; w > width+1 {
				t.Errorf("%v: line %q is %v wide", width, line, w)
			}
			if r := []rune(line); len(r) > 0 && strings.ContainsRune("，。；", r[0]) {
				t.Errorf("%v: line begins with %q", width, r[0])
			}
		}
		squeeze := func(s string) string { return strings.ReplaceAll(s, " ", "") }
		if squeeze(strings.Join(lines, "")) != squeeze(sentence) {
			t.Errorf("%v: something was lost: %q", width, lines)
		}
	}
}

// Wrapped text gets its height from the width it is given, within a column.
func TestWrappedTextPushesDown(t *testing.T) {
	light(t)
	text := NewText(strings.Repeat("nothing lost, nothing doubled ", 20)).Wrapping()
	below := NewText("below")
	show(t, VStack(4, text, below, Space()), 300, 600)
	lines := len(test.WidgetRenderer(text).(*textRenderer).lines)
	if lines < 8 {
		t.Fatalf("%d lines", lines)
	}
	if below.Position().Y < text.Position().Y+text.MinSize().Height {
		t.Errorf("text of %v ends below %v", text.MinSize(), below.Position())
	}
}

// A change of theme reaches what is drawn by hand.
func TestThemeChangeReachesWidgets(t *testing.T) {
	a := light(t)
	text, card := NewText("x"), NewCard("Title", nil, NewText("y"))
	show(t, VStack(4, text, card), 200, 200)
	a.Settings().SetTheme(theme.New(theme.Dark))
	text.Refresh()
	card.Refresh()
	if got := test.WidgetRenderer(text).Objects()[0].(*canvas.Text).Color; got != theme.Colour(theme.Ink) {
		t.Errorf("text stayed %v", got)
	}
	if got := test.WidgetRenderer(card).Objects()[0].(*canvas.Rectangle).FillColor; got != theme.Colour(theme.Card) {
		t.Errorf("card stayed %v", got)
	}
}

func TestStackLayout(t *testing.T) {
	light(t)
	a, b, c := canvas.NewRectangle(color.Black), canvas.NewRectangle(color.Black), canvas.NewRectangle(color.Black)
	for _, r := range []*canvas.Rectangle{a, b, c} {
		r.SetMinSize(fyne.NewSize(20, 10))
	}
	row := HStack(5, a, Grow(b), c)
	row.Resize(fyne.NewSize(100, 30))
	if b.Size() != fyne.NewSize(50, 30) || c.Position() != fyne.NewPos(80, 10) || a.Position() != fyne.NewPos(0, 10) {
		t.Errorf("%v %v %v", b.Size(), c.Position(), a.Position())
	}
	c.Hide()
	row.Resize(fyne.NewSize(101, 30))
	if b.Size().Width != 76 {
		t.Errorf("a hidden object takes room: %v", b.Size())
	}
	if got := VStack(5, a, b).MinSize(); got != fyne.NewSize(20, 25) {
		t.Errorf("%v", got)
	}
}

func TestEntryPassesOn(t *testing.T) {
	light(t)
	e, submitted := NewEntry(), 0
	w := show(t, e, 200, 50)
	var passed []fyne.KeyName
	w.Canvas().SetOnTypedKey(func(ev *fyne.KeyEvent) { passed = append(passed, ev.Name) })
	w.Canvas().Focus(e)
	test.Type(e, "王小明")
	press(e, fyne.KeyEscape, fyne.KeyReturn, fyne.KeyBackspace)
	if e.Text != "王小" || len(passed) != 2 {
		t.Errorf("text %q, passed on %v", e.Text, passed)
	}
	e.OnSubmitted = func(string) { submitted++ }
	press(e, fyne.KeyReturn)
	area := NewMultiLineEntry()
	show(t, area, 200, 100)
	test.Type(area, "a")
	press(area, fyne.KeyReturn)
	if submitted != 1 || area.Text != "a\n" {
		t.Errorf("submitted %d, area %q", submitted, area.Text)
	}
}

func TestPillAndHeader(t *testing.T) {
	light(t)
	h := NewHeader("Winter opening hours", nil, NewButton(Primary, "Send", nil))
	show(t, h, 600, 60)
	h.SetPill("draft", theme.Quiet)
	if !h.pill.Visible() || h.pill.MinSize().Height != pillHeight {
		t.Errorf("pill %v %v", h.pill.Visible(), h.pill.MinSize())
	}
	h.SetPill("", theme.Quiet)
	if h.pill.Visible() {
		t.Error("an empty pill is shown")
	}
}

// The tones keep the one meaning that each colour has.
func TestTones(t *testing.T) {
	for s, want := range map[post.State]theme.Tone{
		post.StateSent: theme.Blue, post.StateQueued: theme.Quiet, post.StateUncertain: theme.Unsure,
		post.StateFailed: theme.Bad, post.StateExpired: theme.Bad, post.StateCancelled: theme.Quiet,
	} {
		if got := StateTone(s); got != want {
			t.Errorf("%s: %v", s, got)
		}
	}
	for r, want := range map[post.ReceiptKind]theme.Tone{
		post.ReceiptDelivered: theme.Good, post.ReceiptBounced: theme.Bad, post.ReceiptNone: theme.Quiet, post.ReceiptReplied: theme.Good,
	} {
		if got := ReceiptTone(r); got != want {
			t.Errorf("%s: %v", r, got)
		}
	}
	if MailingTone(post.MailingPaused) != theme.Attention || AccountTone(post.AccountStopped) != theme.Bad {
		t.Error("a paused mailing or a stopped account has a wrong tone")
	}
}

// TestBesideOrBelow: a time stands beside its title where there is room for both,
// else below it, and is never cut.
func TestBesideOrBelow(t *testing.T) {
	title, at := NewStrong("Accepted by your provider"), NewSmall("27 Nov 01:09:36")
	both := title.MinSize().Width + 6 + at.MinSize().Width
	for _, c := range []struct {
		width float32
		below bool
	}{{both + 1, false}, {both - 1, true}, {both + 1, false}} {
		o := container.New(&besideOrBelow{gap: 6}, title, at)
		rows := VStack(0, o, NewText("next"))
		rows.Resize(fyne.NewSize(c.width, 200))
		high := max(title.MinSize().Height, at.MinSize().Height)
		if c.below {
			high = title.MinSize().Height + at.MinSize().Height
		}
		if below := at.Position().Y >= title.Size().Height; below != c.below || at.Size().Width < at.MinSize().Width || at.Position().X+at.Size().Width > c.width+1 || rows.Objects[1].Position().Y != high {
			t.Errorf("%v wide: below %v, %v at %v, what follows at %v", c.width, below, at.Size(), at.Position(), rows.Objects[1].Position())
		}
	}
}

func TestStepsAndTimeLine(t *testing.T) {
	light(t)
	undone := 0
	l := NewTimeLine(Event{Title: "Queued", Time: "13:58:10"}, Event{Title: "Bounced", Tone: theme.Bad, Code: "550 5.1.1", Note: "gone", Action: "Undo", OnAction: func() { undone++ }})
	show(t, l, 300, 300)
	test.TapCanvas(fyne.CurrentApp().Driver().CanvasForObject(l), buttonCentre(t, l.body, "Undo"))
	if undone != 1 {
		t.Error("the link of an event does nothing")
	}
	s := NewStepList(words.For(words.English), Step{Title: "Connect", State: StepOK}, Step{Title: "Sign in", State: StepFailed, Advice: "Type it again.", Detail: "535 5.7.8"})
	show(t, s, 400, 300)
	before := s.MinSize().Height
	s.Set(Step{Title: "Connect", State: StepRunning})
	if s.MinSize().Height >= before {
		t.Error("steps were not replaced")
	}
}

// buttonCentre finds a button below an object by its words.
func buttonCentre(t *testing.T, o fyne.CanvasObject, text string) fyne.Position {
	t.Helper()
	var found *Button
	var walk func(fyne.CanvasObject)
	walk = func(o fyne.CanvasObject) {
		switch o := o.(type) {
		case *Button:
			if o.Text == text {
				found = o
			}
		case *fyne.Container:
			for _, c := range o.Objects {
				walk(c)
			}
		}
	}
	walk(o)
	if found == nil {
		t.Fatalf("there is no button %q", text)
	}
	at := fyne.CurrentApp().Driver().AbsolutePositionForObject(found)
	return at.AddXY(found.Size().Width/2, found.Size().Height/2)
}

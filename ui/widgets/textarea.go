package widgets

import (
	"strings"
	"unicode"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/theme"
	"postroom/assets/words"
)

// TextArea is where a long text is written. The toolkit's entry looks at the
// whole text with every key, which is felt from 20 KB on; this one draws and cuts
// into rows what changes only, says what is selected by place, and takes back
// by steps that one would call one. Tags of the merge language stand out.
//
// Places are counted in characters (runes) from the beginning. Tab goes to the
// next widget, and what the area has no use for goes to the window.
type TextArea struct {
	widget.BaseWidget
	PlaceHolder string
	// ReadOnly lets the text be read, selected and copied only.
	ReadOnly bool
	// OnChanged is called after each change that the user makes, and Replace;
	// not by SetText.
	OnChanged func()
	// OnKey is asked first for each shortcut with a key of its own, such as
	// Ctrl+B; it returns whether it was one of its.
	OnKey func(*desktop.CustomShortcut) bool

	words   *words.Catalogue
	script  *script
	cursor  int // the end of the selection that moves
	anchor  int // the other; without a selection the same
	wanted  float32
	top     int // the row that is drawn first
	page    int // how many rows are drawn
	scroll  float32
	shift   bool
	focused bool
	bar     bool // the scroll bar is dragged
}

var (
	_ fyne.Focusable         = (*TextArea)(nil)
	_ fyne.Shortcutable      = (*TextArea)(nil)
	_ fyne.Scrollable        = (*TextArea)(nil)
	_ fyne.Draggable         = (*TextArea)(nil)
	_ fyne.DoubleTappable    = (*TextArea)(nil)
	_ fyne.SecondaryTappable = (*TextArea)(nil)
	_ fyne.Accessible        = (*TextArea)(nil)
	_ desktop.Mouseable      = (*TextArea)(nil)
	_ desktop.Keyable        = (*TextArea)(nil)
	_ desktop.Cursorable     = (*TextArea)(nil)
)

// NewTextArea returns an empty area.
func NewTextArea(w *words.Catalogue) *TextArea {
	a := &TextArea{words: w, wanted: -1, page: 1}
	a.script = newScript(advanceOf(theme.TextSize))
	a.ExtendBaseWidget(a)
	return a
}

// SetText replaces everything and forgets what could be taken back.
func (a *TextArea) SetText(s string) {
	a.script.set(strings.ReplaceAll(s, "\r\n", "\n"))
	a.cursor, a.anchor, a.top, a.wanted = 0, 0, 0, -1
	a.Refresh()
}

// Text returns what is written.
func (a *TextArea) Text() string { return a.script.text() }

// Selection returns the places between which is selected, the lesser one first;
// both are the cursor's where nothing is.
func (a *TextArea) Selection() (from, to int) {
	return min(a.anchor, a.cursor), max(a.anchor, a.cursor)
}

// Select selects between two places, leaves the cursor at the second, and brings
// it into sight.
func (a *TextArea) Select(from, to int) {
	n := a.script.len()
	a.anchor, a.cursor, a.wanted = min(max(from, 0), n), min(max(to, 0), n), -1
	a.script.open = false
	a.see()
}

// Replace puts text between two places as one step that can be taken back, and
// leaves the cursor behind it.
func (a *TextArea) Replace(from, to int, text string) { a.replace(from, to, []rune(text), false) }

func (a *TextArea) replace(from, to int, text []rune, typed bool) {
	if a.ReadOnly {
		return
	}
	a.script.replace(from, to, text, typed)
	a.cursor, a.wanted = from+len(text), -1
	a.anchor = a.cursor
	a.told()
}

func (a *TextArea) told() {
	if a.OnChanged != nil {
		a.OnChanged()
	}
	a.see()
}

// see brings the cursor into sight.
func (a *TextArea) see() {
	row, _ := a.script.row(a.cursor)
	a.top = min(max(a.top, row-a.page+1), row)
	a.Refresh()
}

// Undo takes the last step back.
func (a *TextArea) Undo() {
	if from, to, ok := a.script.undo(); ok {
		a.anchor, a.cursor, a.wanted = from, to, -1
		a.told()
	}
}

// Redo makes a step again that was taken back.
func (a *TextArea) Redo() {
	if at, ok := a.script.redo(); ok {
		a.anchor, a.cursor, a.wanted = at, at, -1
		a.told()
	}
}

// TypedRune writes a character.
func (a *TextArea) TypedRune(r rune) {
	from, to := a.Selection()
	a.replace(from, to, []rune{r}, true)
}

// TypedKey moves the cursor or deletes.
func (a *TextArea) TypedKey(ev *fyne.KeyEvent) {
	s := a.script
	row, _ := s.row(a.cursor)
	from, to := a.Selection()
	switch ev.Name {
	case fyne.KeyReturn, fyne.KeyEnter:
		a.replace(from, to, []rune{'\n'}, true)
	case fyne.KeyBackspace:
		if from == to {
			from = max(0, from-1)
		}
		a.erase(from, to)
	case fyne.KeyDelete:
		if from == to {
			to = min(s.len(), to+1)
		}
		a.erase(from, to)
	case fyne.KeyLeft:
		if from != to && !a.shift {
			a.move(from)
			return
		}
		a.move(max(0, a.cursor-1))
	case fyne.KeyRight:
		if from != to && !a.shift {
			a.move(to)
			return
		}
		a.move(min(s.len(), a.cursor+1))
	case fyne.KeyUp:
		a.vertical(row - 1)
	case fyne.KeyDown:
		a.vertical(row + 1)
	case fyne.KeyPageUp:
		a.vertical(max(0, row-a.page+1))
	case fyne.KeyPageDown:
		a.vertical(min(s.rows()-1, row+a.page-1))
	case fyne.KeyHome:
		at, _ := s.span(row)
		a.move(at)
	case fyne.KeyEnd:
		a.move(s.lastIn(row))
	default:
		PassKey(a, ev)
	}
}

// erase deletes between two places.
func (a *TextArea) erase(from, to int) {
	if from < to {
		a.replace(from, to, nil, true)
	}
}

// move sets the cursor, and with Shift selects up to it.
func (a *TextArea) move(to int) {
	a.cursor, a.wanted = to, -1
	if !a.shift {
		a.anchor = to
	}
	a.script.open = false
	a.see()
}

// vertical goes to another row, as far from the left as the cursor began.
func (a *TextArea) vertical(row int) {
	switch {
	case row < 0:
		a.move(0)
		return
	case row >= a.script.rows():
		a.move(a.script.len())
		return
	}
	x := a.wanted
	if x < 0 {
		x = a.script.x(a.cursor)
	}
	a.move(a.script.near(row, x))
	a.wanted = x
}

// TypedShortcut copies, pastes, takes back and moves by words.
func (a *TextArea) TypedShortcut(s fyne.Shortcut) {
	from, to := a.Selection()
	switch x := s.(type) {
	case *fyne.ShortcutUndo:
		a.Undo()
	case *fyne.ShortcutRedo:
		a.Redo()
	case *fyne.ShortcutSelectAll:
		a.anchor, a.cursor = 0, a.script.len()
		a.Refresh()
	case *fyne.ShortcutCopy:
		if from < to {
			x.Clipboard.SetContent(string(a.script.slice(from, to)))
		}
	case *fyne.ShortcutCut:
		if from < to {
			x.Clipboard.SetContent(string(a.script.slice(from, to)))
			a.Replace(from, to, "")
		}
	case *fyne.ShortcutPaste:
		a.paste(x.Clipboard.Content())
	case *desktop.CustomShortcut:
		if a.OnKey != nil && a.OnKey(x) || a.jump(x) {
			return
		}
		passOn(a, s)
	default:
		passOn(a, s)
	}
}

func (a *TextArea) paste(s string) {
	if s != "" {
		from, to := a.Selection()
		s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
		a.Replace(from, to, s)
	}
}

// jump moves or deletes by words and to the ends of the text.
func (a *TextArea) jump(key *desktop.CustomShortcut) bool {
	if key.Modifier == fyne.KeyModifierShortcutDefault|fyne.KeyModifierShift && key.KeyName == fyne.KeyZ {
		a.Redo()
		return true
	}
	if key.Modifier&^fyne.KeyModifierShift != fyne.KeyModifierShortcutDefault {
		return false
	}
	was := a.shift
	a.shift = key.Modifier&fyne.KeyModifierShift != 0
	defer func() { a.shift = was }()
	from, to := a.Selection()
	switch key.KeyName {
	case fyne.KeyLeft:
		a.move(a.script.word(a.cursor, false))
	case fyne.KeyRight:
		a.move(a.script.word(a.cursor, true))
	case fyne.KeyHome:
		a.move(0)
	case fyne.KeyEnd:
		a.move(a.script.len())
	case fyne.KeyBackspace:
		if from == to {
			from = a.script.word(from, false)
		}
		a.erase(from, to)
	case fyne.KeyDelete:
		if from == to {
			to = a.script.word(to, true)
		}
		a.erase(from, to)
	default:
		return false
	}
	return true
}

// FocusGained shows the cursor.
func (a *TextArea) FocusGained() { a.focused = true; a.Refresh() }

// FocusLost hides it.
func (a *TextArea) FocusLost() { a.focused, a.shift = false, false; a.Refresh() }

// KeyDown notes Shift.
func (a *TextArea) KeyDown(ev *fyne.KeyEvent) { a.onShift(ev, true) }

// KeyUp notes Shift.
func (a *TextArea) KeyUp(ev *fyne.KeyEvent) { a.onShift(ev, false) }

func (a *TextArea) onShift(ev *fyne.KeyEvent, down bool) {
	if ev.Name == desktop.KeyShiftLeft || ev.Name == desktop.KeyShiftRight {
		a.shift = down
	}
}

// MouseDown sets the cursor.
func (a *TextArea) MouseDown(ev *desktop.MouseEvent) {
	if c := fyne.CurrentApp().Driver().CanvasForObject(a); c != nil && c.Focused() != fyne.Focusable(a) {
		c.Focus(a)
	}
	a.bar = false
	if ev.Button == desktop.MouseButtonSecondary {
		return
	}
	if a.bar = a.onBar(ev.Position); a.bar {
		a.drag(ev.Position)
		return
	}
	was := a.shift
	a.shift = was || ev.Modifier&fyne.KeyModifierShift != 0
	a.move(a.placeAt(ev.Position))
	a.shift = was
}

// MouseUp does nothing.
func (a *TextArea) MouseUp(*desktop.MouseEvent) {}

// Dragged selects.
func (a *TextArea) Dragged(ev *fyne.DragEvent) {
	if a.bar {
		a.drag(ev.Position)
		return
	}
	a.cursor, a.wanted = a.placeAt(ev.Position), -1
	a.see()
}

// DragEnd does nothing.
func (a *TextArea) DragEnd() {}

// DoubleTapped selects the word.
func (a *TextArea) DoubleTapped(ev *fyne.PointEvent) {
	at := a.placeAt(ev.Position)
	in := func(i int) bool {
		r := a.script.at(i)
		return i >= 0 && i < a.script.len() && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_')
	}
	from, to := at, at
	for from > 0 && in(from-1) {
		from--
	}
	for in(to) {
		to++
	}
	a.Select(from, to)
}

// TappedSecondary opens the menu.
func (a *TextArea) TappedSecondary(ev *fyne.PointEvent) {
	c := fyne.CurrentApp().Driver().CanvasForObject(a)
	if c == nil {
		return
	}
	clip := fyne.CurrentApp().Clipboard()
	item := func(key string, s fyne.Shortcut) *fyne.MenuItem {
		return fyne.NewMenuItem(a.words.T(key), func() { a.TypedShortcut(s) })
	}
	menu := fyne.NewMenu("",
		item("action.undo", &fyne.ShortcutUndo{}), item("action.redo", &fyne.ShortcutRedo{}), fyne.NewMenuItemSeparator(),
		item("action.cut", &fyne.ShortcutCut{Clipboard: clip}), item("action.copy", &fyne.ShortcutCopy{Clipboard: clip}),
		item("action.paste", &fyne.ShortcutPaste{Clipboard: clip}), item("action.select_all", &fyne.ShortcutSelectAll{}))
	widget.ShowPopUpMenuAtPosition(menu, c, ev.AbsolutePosition)
}

// Scrolled shows other rows.
func (a *TextArea) Scrolled(ev *fyne.ScrollEvent) {
	a.scroll -= ev.Scrolled.DY / areaRowHeight()
	step := int(a.scroll)
	a.scroll -= float32(step)
	a.showFrom(a.top + step)
}

func (a *TextArea) showFrom(row int) {
	row = min(max(row, 0), max(0, a.script.rows()-a.page))
	if row != a.top {
		a.top = row
		a.Refresh()
	}
}

// Cursor is that of text.
func (a *TextArea) Cursor() desktop.Cursor { return desktop.TextCursor }

// AccessibilityLabel is the text.
func (a *TextArea) AccessibilityLabel() string { return a.Text() }

// AccessibilityRole is that of text.
func (a *TextArea) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleText }

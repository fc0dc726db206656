package widgets

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/widget"
)

// PassKey gives a key that a focused widget has no use for to the window it is
// in: the toolkit asks the window only when nothing has the focus, so without
// this Escape and Enter would die in every entry of a dialog.
func PassKey(o fyne.CanvasObject, ev *fyne.KeyEvent) {
	c := fyne.CurrentApp().Driver().CanvasForObject(o)
	if c == nil {
		return
	}
	if f := c.OnTypedKey(); f != nil {
		f(ev)
	}
}

// Entry is the toolkit's entry, which passes Escape on to the window, and Enter
// too where it is a single line without OnSubmitted.
type Entry struct {
	widget.Entry
	// OnPaste, where set, is given what is pasted, and reports whether it took it;
	// then nothing is put into the entry.
	OnPaste func(text string) bool
}

var (
	_ fyne.Focusable    = (*Entry)(nil)
	_ fyne.Shortcutable = (*Entry)(nil)
)

// TypedShortcut is for the toolkit.
func (e *Entry) TypedShortcut(s fyne.Shortcut) {
	if p, ok := s.(*fyne.ShortcutPaste); ok && e.OnPaste != nil && !e.Disabled() && e.OnPaste(p.Clipboard.Content()) {
		return
	}
	e.Entry.TypedShortcut(s)
}

// NewEntry returns an empty single-line entry.
func NewEntry() *Entry {
	e := &Entry{}
	e.ExtendBaseWidget(e)
	return e
}

// NewMultiLineEntry returns an empty entry of several lines that wraps words.
func NewMultiLineEntry() *Entry {
	e := NewEntry()
	e.MultiLine, e.Wrapping = true, fyne.TextWrapWord
	return e
}

// NewPasswordEntry returns an empty entry that hides what is typed.
func NewPasswordEntry() *Entry {
	e := NewEntry()
	e.Password = true
	return e
}

// TypedKey is for the toolkit.
func (e *Entry) TypedKey(ev *fyne.KeyEvent) {
	switch ev.Name {
	case fyne.KeyEscape:
		PassKey(e, ev)
	case fyne.KeyReturn, fyne.KeyEnter:
		if !e.MultiLine && e.OnSubmitted == nil {
			PassKey(e, ev)
			return
		}
		e.Entry.TypedKey(ev)
	default:
		e.Entry.TypedKey(ev)
	}
}

// Check is the toolkit's check box, which passes Escape and Enter on to the
// window.
type Check struct {
	widget.Check
}

// NewCheck returns a check box that is not checked.
func NewCheck(text string, changed func(bool)) *Check {
	c := &Check{}
	c.Text, c.OnChanged = text, changed
	c.ExtendBaseWidget(c)
	return c
}

// TypedKey is for the toolkit.
func (c *Check) TypedKey(ev *fyne.KeyEvent) {
	switch ev.Name {
	case fyne.KeyEscape, fyne.KeyReturn, fyne.KeyEnter:
		PassKey(c, ev)
	default:
		c.Check.TypedKey(ev)
	}
}

// TypedKey opens and changes the choice; Escape and Enter go to the window.
func (s *Select) TypedKey(ev *fyne.KeyEvent) {
	switch ev.Name {
	case fyne.KeyEscape, fyne.KeyReturn, fyne.KeyEnter:
		PassKey(s, ev)
	default:
		s.Select.TypedKey(ev)
	}
}

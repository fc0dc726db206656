package mailings

import (
	"unicode"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"

	"postroom/ui/widgets"
)

// finder is the bar for finding and replacing in the body.
type finder struct {
	bar        *fyne.Container
	what, with *widgets.Entry
	said       *widgets.Text
}

func newFinder(e *editor) *finder {
	env := e.v.env
	f := &finder{what: widgets.NewEntry(), with: widgets.NewEntry(), said: widgets.NewSmall("")}
	f.what.SetPlaceHolder(env.T("composer.find"))
	f.with.SetPlaceHolder(env.T("composer.find.with"))
	f.what.OnChanged = func(string) { f.count(e) }
	f.what.OnSubmitted = func(string) { f.next(e, true) }
	f.with.OnSubmitted = func(string) { f.replace(e) }
	small := func(id, words string, do func()) *widgets.Button {
		b := widgets.NewButton(widgets.Flat, words, do)
		b.Small = true
		env.IDs.Set("compose.find."+id, b)
		return b
	}
	shut := small("close", "✕", func() { f.close(e) })
	shut.Hint = env.T("action.close")
	f.bar = widgets.VStack(6,
		widgets.HStack(4, widgets.Grow(f.what), f.said, small("previous", "‹", func() { f.next(e, false) }), small("next", "›", func() { f.next(e, true) }), shut),
		widgets.HStack(4, widgets.Grow(f.with), small("replace", env.T("action.replace"), func() { f.replace(e) }),
			small("all", env.T("composer.find.all"), func() { f.all(e) })))
	f.bar.Hide()
	env.IDs.Set("compose.find.what", f.what)
	env.IDs.Set("compose.find.with", f.with)
	return f
}

// open shows the bar, with what is selected as what to find.
func (f *finder) open(e *editor) {
	from, to := e.body.Selection()
	if to > from && to-from < 100 {
		f.what.SetText(string([]rune(e.body.Text())[from:to]))
	}
	f.bar.Show()
	e.writing.Refresh()
	c := e.v.env.Window.Canvas()
	c.Focus(f.what)
	f.what.TypedShortcut(&fyne.ShortcutSelectAll{})
	f.count(e)
}

func (f *finder) close(e *editor) {
	f.bar.Hide()
	e.writing.Refresh()
	e.v.env.Window.Canvas().Focus(e.body)
}

// typed closes the bar by Escape.
func (f *finder) typed(e *editor, ev *fyne.KeyEvent) bool {
	if ev.Name != fyne.KeyEscape || !f.bar.Visible() {
		return false
	}
	f.close(e)
	return true
}

func (f *finder) found(e *editor) []int {
	return occurrences([]rune(e.body.Text()), []rune(f.what.Text))
}

func (f *finder) count(e *editor) {
	text := ""
	if f.what.Text != "" {
		text = e.v.env.T("composer.find.found", len(f.found(e)))
	}
	f.said.SetText(text)
	f.bar.Refresh()
}

// next selects the next or the previous place, from the end on at the beginning
// again.
func (f *finder) next(e *editor, forward bool) {
	all := f.found(e)
	f.count(e)
	if len(all) == 0 {
		return
	}
	from, to := e.body.Selection()
	n := len([]rune(f.what.Text))
	at := all[0]
	if !forward {
		at = all[len(all)-1]
	}
	for _, p := range all {
		if forward && p >= to {
			at = p
			break
		}
		if !forward && p+n <= from {
			at = p
		}
	}
	e.body.Select(at, at+n)
}

// replace replaces what is selected, if it is what is looked for, and goes on.
func (f *finder) replace(e *editor) {
	from, to := e.body.Selection()
	for _, p := range f.found(e) {
		if p == from && p+len([]rune(f.what.Text)) == to {
			e.body.Replace(from, to, f.with.Text)
			break
		}
	}
	f.next(e, true)
}

// all replaces every place as one step.
func (f *finder) all(e *editor) {
	places := f.found(e)
	if len(places) == 0 {
		return
	}
	text, with, n := []rune(e.body.Text()), []rune(f.with.Text), len([]rune(f.what.Text))
	var out []rune
	at := 0
	for _, p := range places {
		out = append(append(out, text[at:p]...), with...)
		at = p + n
	}
	out = append(out, text[at:]...)
	e.body.Replace(0, len(text), string(out))
	f.said.SetText(e.v.env.T("composer.find.replaced", len(places)))
	f.bar.Refresh()
}

// occurrences are the places at which what stands in text, one behind the other,
// without regard to case.
func occurrences(text, what []rune) []int {
	if len(what) == 0 {
		return nil
	}
	var all []int
	for i := 0; i+len(what) <= len(text); {
		k := 0
		for k < len(what) && unicode.ToLower(text[i+k]) == unicode.ToLower(what[k]) {
			k++
		}
		if k == len(what) {
			all = append(all, i)
			i += k
			continue
		}
		i++
	}
	return all
}

// onWindowKey takes the keys that nothing with the focus wanted.
func (e *editor) onWindowKey(ev *fyne.KeyEvent) {
	if !e.find.typed(e, ev) && e.keys != nil {
		e.keys(ev)
	}
}

// findKey opens the bar wherever the focus is.
var findKey = &desktop.CustomShortcut{KeyName: fyne.KeyF, Modifier: fyne.KeyModifierShortcutDefault}

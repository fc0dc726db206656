package dialogs

import (
	"context"
	"errors"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/ui/widgets"
)

// Choice is one answer to a question.
type Choice struct {
	Label   string // what will happen, not "Yes"
	Do      func() // may be nil; runs after the dialog is gone
	Default bool   // pressed by Enter, and drawn as the primary button
	Danger  bool   // takes something away that does not come back
}

// Choose asks a question with any answers. Escape closes it and does nothing.
func Choose(_ *words.Catalogue, win fyne.Window, title, sentence string, choices ...Choice) *Dialog {
	return choose(win, Options{Title: title, Body: widgets.NewQuiet(sentence).Wrapping()}, choices)
}

// choose shows a dialog whose buttons are choices; the default stands last, at
// the right.
func choose(win fyne.Window, o Options, choices []Choice) *Dialog {
	var d *Dialog
	var last *widgets.Button
	for _, c := range choices {
		kind := widgets.Normal
		switch {
		case c.Danger:
			kind = widgets.Danger
		case c.Default:
			kind = widgets.Primary
		}
		b := widgets.NewButton(kind, c.Label, func() {
			if !d.Open() {
				return
			}
			d.Close()
			if c.Do != nil {
				c.Do()
			}
		})
		if c.Default {
			o.Default, last = b, b
			continue
		}
		o.Buttons = append(o.Buttons, b)
	}
	if last != nil {
		o.Buttons = append(o.Buttons, last)
	}
	d = Show(win, o)
	return d
}

// Confirm asks whether to do something; do runs when the user says so. Enter
// does it, Escape and Cancel do not.
func Confirm(w *words.Catalogue, win fyne.Window, title, sentence, yes string, do func()) *Dialog {
	return Choose(w, win, title, sentence,
		Choice{Label: w.T("action.cancel")}, Choice{Label: yes, Do: do, Default: true})
}

// ConfirmLoss asks whether to do what cannot be undone: Enter is Cancel.
func ConfirmLoss(w *words.Catalogue, win fyne.Window, title, sentence, yes string, do func()) *Dialog {
	return Choose(w, win, title, sentence,
		Choice{Label: yes, Do: do, Danger: true}, Choice{Label: w.T("action.cancel"), Default: true})
}

// Info tells something.
func Info(w *words.Catalogue, win fyne.Window, title, sentence string) *Dialog {
	return Choose(w, win, title, sentence, Choice{Label: w.T("action.ok"), Default: true})
}

// List tells something that has many lines, such as what is wrong in a sheet.
func List(w *words.Catalogue, win fyne.Window, title, sentence string, lines []string) *Dialog {
	rows := widgets.VStack(6)
	for _, line := range lines {
		rows.Add(widgets.NewText(line).Wrapping())
	}
	const height, row = 280, 26
	scroll := container.NewVScroll(widgets.Inset(0, 12, 0, 0, rows))
	body := widgets.VStack(12, widgets.NewQuiet(sentence).Wrapping(),
		widgets.FixedHeight(min(height, row*float32(len(lines))+8), scroll))
	return choose(win, Options{Title: title, Body: body, Width: 560}, []Choice{{Label: w.T("action.ok"), Default: true}})
}

// Trouble is what Tell says.
type Trouble struct {
	Title  string // empty: "That did not work"
	What   string // what happened, one sentence
	Advice string // what to do about it, one sentence
	Detail string // as it came from below; shown small and monospaced
}

// Tell says that something went wrong. closed may be nil.
func Tell(w *words.Catalogue, win fyne.Window, t Trouble, closed func()) *Dialog {
	if t.Title == "" {
		t.Title = w.T("dialog.error")
	}
	body := widgets.VStack(8, widgets.NewText(t.What).Wrapping())
	if t.Advice != "" {
		body.Add(widgets.NewQuiet(t.Advice).Wrapping())
	}
	if t.Detail != "" {
		code := widgets.NewCode(t.Detail).Wrapping()
		code.Tone = theme.Quiet
		body.Add(widgets.Inset(4, 0, 0, 0, code))
	}
	var d *Dialog
	done := func() {
		d.Close()
		if closed != nil {
			closed()
		}
	}
	ok := widgets.NewButton(widgets.Primary, w.T("action.ok"), func() {
		if d.Open() {
			done()
		}
	})
	d = Show(win, Options{Title: t.Title, Body: body, Buttons: []*widgets.Button{ok}, Default: ok, OnCancel: done})
	return d
}

// Error tells of an error in the words of the catalogue, with what can be done
// and, small, how it came. It shows nothing and returns nil for no error and for
// work that was stopped on purpose.
func Error(w *words.Catalogue, win fyne.Window, err error) *Dialog {
	if err == nil || errors.Is(err, context.Canceled) || post.KindOf(err) == post.KindCancelled {
		return nil
	}
	what, advice := w.Error(err)
	return Tell(w, win, Trouble{What: what, Advice: advice, Detail: post.CleanReply(err.Error())}, nil)
}

// Form asks for the fields of body. first gets the focus and may be nil. submit
// returns what is wrong, which is then shown below the fields, or an empty text:
// then the dialog closes.
func Form(w *words.Catalogue, win fyne.Window, title, yes string, body fyne.CanvasObject, first fyne.Focusable, submit func() string) *Dialog {
	return FormOr(win, title, yes, w.T("action.cancel"), body, first, submit)
}

// FormOr is Form with other words than Cancel on the button that does nothing.
func FormOr(win fyne.Window, title, yes, no string, body fyne.CanvasObject, first fyne.Focusable, submit func() string) *Dialog {
	wrong := widgets.NewText("").Wrapping()
	wrong.Tone = theme.Bad
	wrong.Hide()
	var d *Dialog
	ok := widgets.NewButton(widgets.Primary, yes, func() {
		if !d.Open() {
			return
		}
		text := submit()
		if text == "" {
			d.Close()
			return
		}
		wrong.SetText(text)
		wrong.Show()
		d.Refresh()
	})
	cancel := widgets.NewButton(widgets.Normal, no, func() { d.Close() })
	d = Show(win, Options{
		Title: title, Body: widgets.VStack(10, body, wrong), Buttons: []*widgets.Button{cancel, ok}, Default: ok, First: first,
	})
	return d
}

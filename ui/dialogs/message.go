package dialogs

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/words"
	"postroom/ui/widgets"
)

// Mail is one message to be looked at.
type Mail struct {
	Subject, Text, HTML, Source string
	// Browse shows the HTML in the browser.
	Browse func()
}

// maxSource is how much of a message's source is shown, in bytes; attachments
// make it long, and nobody reads base64.
const maxSource = 20_000

// Message shows a message as text and as source, and offers its HTML in the
// browser.
func Message(w *words.Catalogue, win fyne.Window, m Mail) *Dialog {
	text := widget.NewLabel(m.Text)
	text.Wrapping, text.Selectable = fyne.TextWrapWord, true
	source := m.Source
	if len(source) > maxSource {
		source = source[:maxSource] + "\n…"
	}
	raw := widget.NewLabel(source)
	raw.TextStyle, raw.Selectable = fyne.TextStyle{Monospace: true}, true
	tabs := container.NewAppTabs(
		container.NewTabItem(w.T("message.text"), container.NewVScroll(text)),
		container.NewTabItem(w.T("message.source"), container.NewScroll(raw)),
	)
	var d *Dialog
	closing := widgets.NewButton(widgets.Primary, w.T("action.close"), func() { d.Close() })
	buttons := []*widgets.Button{}
	if m.HTML != "" && m.Browse != nil {
		buttons = append(buttons, widgets.NewButton(widgets.Normal, w.T("action.open_in_browser"), m.Browse))
	}
	d = Show(win, Options{Title: m.Subject, Body: tabs, Buttons: append(buttons, closing), Default: closing, Width: 760, Tall: true})
	return d
}

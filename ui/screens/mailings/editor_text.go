package mailings

import (
	"strings"

	"postroom/compose"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/widgets"
)

// The text version is what readers get that show no HTML. It is made from the
// message; who wants other words writes them here, with fields as anywhere.

// textHeight is how high the text version is shown while it is edited.
const textHeight = 320

// askText lets the text version be written.
func (e *editor) askText() {
	env := e.v.env
	d := e.written()
	made, err := compose.TextOf(d.Content)
	if err != nil {
		dialogs.Error(env.Words, env.Window, err)
		return
	}
	area := widgets.NewTextArea(env.Words)
	area.SetText(d.Content.Text)
	if d.Content.Text == "" {
		area.SetText(made)
	}
	anew := widgets.NewButton(widgets.Link, env.T("composer.text.anew"), func() {
		area.Replace(0, len([]rune(area.Text())), made)
		env.Window.Canvas().Focus(area)
	})
	env.IDs.Set("compose.text.area", area)
	env.IDs.Set("compose.text.anew", anew)
	body := widgets.VStack(10, widgets.NewQuiet(env.T("composer.text.why")).Wrapping(), widgets.FixedHeight(textHeight, area), widgets.HStack(0, anew, widgets.Space()))
	dialogs.Form(env.Words, env.Window, env.T("composer.text.title"), env.T("action.apply"), body, area, func() string {
		text := area.Text()
		if strings.TrimSpace(text) == strings.TrimSpace(made) {
			text = "" // it goes on following the message
		}
		e.edit(func() { e.draft.Content.Text = text })
		e.showText()
		return ""
	})
}

// showText shows the way to the text version where the message is read as text,
// and says whether it is the user's own.
func (e *editor) showText() {
	p, env := e.pane, e.v.env
	words := env.T("composer.text.edit")
	if strings.TrimSpace(e.draft.Content.Text) != "" {
		words = env.T("composer.text.own")
	}
	p.text.SetText(words)
	if reading(p.way.SelectedIndex()) == asText && e.draft.Content.Format != post.FormatText {
		p.text.Show()
	} else {
		p.text.Hide()
	}
	p.bar.Refresh()
}

package mailings

import (
	"context"
	"regexp"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/widget"

	"postroom/post"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// tools are the buttons of the bar, in its order; the letters are the same in
// every language where there is no word for it.
var tools = []struct {
	tool  tool
	sign  string // empty: the word
	key   fyne.KeyName
	shift bool
}{
	{tool: toolBold, sign: "B", key: fyne.KeyB},
	{tool: toolItalic, sign: "I", key: fyne.KeyI},
	{tool: toolHeading, sign: "H", key: fyne.KeyH, shift: true},
	{tool: toolList, sign: "•", key: fyne.KeyL, shift: true},
	{tool: toolNumbers, sign: "1.", key: fyne.KeyN, shift: true},
	{tool: toolLink, key: fyne.KeyK},
	{tool: toolImage},
	{tool: toolButton},
	{tool: toolTable},
	{tool: toolDivider, sign: "—"},
}

// toolbar marks up what is selected, or inserts a field.
func (e *editor) toolbar() fyne.CanvasObject {
	env := e.v.env
	e.tools = widgets.HStack(0)
	for _, t := range tools {
		words := t.sign
		if words == "" {
			words = env.T("composer.tool." + string(t.tool))
		}
		b := widgets.NewButton(widgets.Flat, words, func() { e.use(t.tool) })
		b.Hint, b.Small = env.T("composer.tool."+string(t.tool)), true
		env.IDs.Set("compose.tool."+string(t.tool), b)
		e.tools.Add(b)
	}
	find := widgets.NewButton(widgets.Flat, env.T("composer.find"), func() { e.find.open(e) })
	find.Small = true
	env.IDs.Set("compose.find", find)
	var insert *widgets.Button
	insert = widgets.NewButton(widgets.Link, env.T("composer.field")+" ▾", func() { e.fieldMenu(insert) })
	env.IDs.Set("compose.insert_field", insert)
	return widgets.HStack(0, e.tools, widgets.Space(), find, insert)
}

// use lets a tool do its work on what is selected, as one step that can be taken
// back.
func (e *editor) use(t tool) {
	if e.draft.Content.Format == post.FormatText {
		return
	}
	if t == toolImage {
		e.askPicture()
		return
	}
	env := e.v.env
	from, to := e.body.Selection()
	r := t.work(e.draft.Content.Format, []rune(e.body.Text()), from, to,
		sampleWords{text: env.T("composer.tool.words"), column: env.T("composer.tool.column"), cell: env.T("composer.tool.cell")})
	e.body.Replace(r.from, r.to, r.text)
	e.body.Select(r.selFrom, r.selTo)
	env.Window.Canvas().Focus(e.body)
}

// onKey takes the shortcuts of the composer.
func (e *editor) onKey(k *desktop.CustomShortcut) bool {
	if k.Modifier&^fyne.KeyModifierShift != fyne.KeyModifierShortcutDefault {
		return false
	}
	shift := k.Modifier&fyne.KeyModifierShift != 0
	if !shift && (k.KeyName == fyne.KeyF || k.KeyName == fyne.KeyH) {
		e.find.open(e)
		return true
	}
	for _, t := range tools {
		if t.key != "" && t.key == k.KeyName && t.shift == shift {
			e.use(t.tool)
			return true
		}
	}
	return false
}

// insertText puts text in the place of what is selected in the body.
func (e *editor) insertText(s string) {
	from, to := e.body.Selection()
	e.body.Replace(from, to, s)
	e.v.env.Window.Canvas().Focus(e.body)
}

// bareField is a name that may stand in a tag as it is.
var bareField = regexp.MustCompile(`^[\p{L}_][\p{L}\p{N}_]*$`)

// fieldTag is the tag of a field.
func fieldTag(name string) string {
	if bareField.MatchString(name) {
		return "{{" + name + "}}"
	}
	return `{{field "` + name + `"}}`
}

// fieldMenu offers the fields, each with how many of the recipients lack it.
func (e *editor) fieldMenu(at fyne.CanvasObject) {
	env := e.v.env
	fields := e.fields()
	items := make([]*fyne.MenuItem, 0, len(fields))
	for _, f := range fields {
		label := f
		if n := e.gaps.lacking[f]; n > 0 {
			label = env.T("composer.field.lacking", f, n, e.gaps.rows)
		}
		items = append(items, fyne.NewMenuItem(label, func() { e.insertText(fieldTag(f)) }))
	}
	c := env.Window.Canvas()
	pos := fyne.CurrentApp().Driver().AbsolutePositionForObject(at)
	menu := widget.NewPopUpMenu(fyne.NewMenu("", items...), c)
	menu.ShowAtPosition(pos.AddXY(0, at.Size().Height))
}

func (e *editor) fields() []string {
	if e.gaps.fields != nil {
		return e.gaps.fields
	}
	if e.choices != nil && len(e.choices.Fields) > 0 {
		return e.choices.Fields
	}
	return []string{"name", "email", "first_name", "last_name"}
}

// countGaps counts in the background which fields the recipients lack, each time
// others are chosen.
func (e *editor) countGaps() {
	if e.ctx == nil || e.ctx.Err() != nil {
		return
	}
	if e.counting != nil {
		e.counting()
	}
	ctx, cancel := context.WithCancel(e.ctx)
	e.counting = cancel
	e.gaps = Gaps{}
	d, env := e.draft, e.v.env
	screens.Load(ctx, env, func(ctx context.Context) (Gaps, error) { return CountGaps(ctx, e.v.env.Ledger, d) },
		func(g Gaps, err error) {
			if err == nil { // else preflight says what is wrong with the recipients
				e.gaps = g
			}
		})
}

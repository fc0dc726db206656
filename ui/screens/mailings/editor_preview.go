package mailings

import (
	"context"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"postroom/assets/theme"
	"postroom/practice"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// reading is how the preview shows a message.
type reading int

// The ways, in the order in which they are offered.
const (
	asRead reading = iota
	asText
	asSource
	asChecks
)

// sourceShown is how many bytes of a source the window shows.
const sourceShown = 200 << 10

// pane is what stands beside the body: a recipient's message, or what preflight
// found.
type pane struct {
	root    fyne.CanvasObject
	person  *widgets.Text
	way     *widgets.Select
	stack   *fyne.Container // letter, raw or checks
	letter  *widgets.Letter
	subject *widgets.Text
	behind  *widgets.Text // the preview text
	wrong   *widgets.Text
	advice  *widgets.Text
	read    *fyne.Container
	scroll  *container.Scroll
	raw     *widgets.TextArea
	checks  *checkList
	text    *widgets.Button // to the text version
	bar     *fyne.Container
}

func newPane(e *editor) *pane {
	env := e.v.env
	p := &pane{
		person: widgets.NewText("").Cutting(), letter: widgets.NewLetter(), subject: widgets.NewStrong("").Wrapping(),
		behind: widgets.NewSmall("").Wrapping(), wrong: widgets.NewStrong("").Toned(theme.Bad).Wrapping(), advice: widgets.NewQuiet("").Wrapping(),
		raw: widgets.NewTextArea(env.Words), checks: newCheckList(e),
	}
	p.raw.ReadOnly = true
	p.way = widgets.NewSelect([]string{env.T("composer.as.read"), env.T("composer.as.text"), env.T("composer.as.source"), env.T("composer.as.checks", 0)},
		func(string) {
			e.showText()
			e.showSample()
		})
	prev := widgets.NewButton(widgets.Normal, "‹", func() { e.step(-1) })
	next := widgets.NewButton(widgets.Normal, "›", func() { e.step(1) })
	prev.Hint, next.Hint = env.T("action.previous"), env.T("action.next")
	open := widgets.NewButton(widgets.Link, env.T("composer.browser"), e.onBrowser)
	p.text = widgets.NewButton(widgets.Link, env.T("composer.text.edit"), e.askText)
	p.text.Hide()
	for id, o := range map[string]fyne.CanvasObject{
		"compose.previous": prev, "compose.next": next, "compose.browser": open, "compose.text": p.text, "compose.as": p.way, "compose.letter": p.letter, "compose.raw": p.raw,
	} {
		env.IDs.Set(id, o)
	}
	p.read = widgets.VStack(8, p.subject, p.behind, p.wrong, p.advice, widgets.NewDivider(), p.letter)
	p.scroll = container.NewVScroll(widgets.Inset(2, 12, 2, 2, p.read))
	p.stack = container.NewStack(p.scroll)
	p.bar = widgets.HStack(8, widgets.FixedWidth(150, p.way), p.text, widgets.Space(), open)
	p.root = widgets.NewCard("", nil, widgets.VStack(10,
		widgets.HStack(8, prev, widgets.Grow(p.person), next),
		widgets.Grow(widgets.NewPlainCard(widgets.Inset(10, 6, 10, 12, p.stack))),
		p.bar))
	return p
}

// step shows another recipient.
func (e *editor) step(by int64) {
	if s := e.sample; s == nil || s.Nobody || by < 0 && e.index <= 1 || by > 0 && s.Total > 0 && e.index >= s.Total {
		return
	}
	e.index += by
	e.preview()
}

// goToRow shows the recipient of a number.
func (e *editor) goToRow(n int64) {
	e.index = max(1, n)
	if e.pane.way.SelectedIndex() == int(asChecks) {
		e.pane.way.SetSelectedIndex(int(asRead))
	}
	e.preview()
}

// preview makes the message of the recipient in front anew, beside the window:
// typing never waits for it.
func (e *editor) preview() {
	d, index := e.written(), e.index
	if d.ChangedAt.IsZero() { // a new draft; a message has a date
		d.ChangedAt = e.v.env.Clock.Now().Truncate(time.Second)
	}
	screens.Run(e.loader, func(ctx context.Context) (*Sample, error) { return e.proof.sample(ctx, d, index) }, func(s *Sample, err error) {
		if err != nil {
			if !isCancelled(err) {
				e.v.env.Log.Error("preview", "err", err)
			}
			return
		}
		e.sample, e.index = s, s.Index
		e.showSample()
	})
}

func (e *editor) showSample() {
	s, p, env := e.sample, e.pane, e.v.env
	if s == nil {
		return
	}
	name := s.Recipient.Name
	if name == "" {
		name = s.Recipient.Address
	}
	switch {
	case s.Nobody:
		name = env.T("composer.example", name)
	case s.Total > 0:
		name += "  ·  " + env.T("composer.person_of", s.Index, s.Total)
	default:
		name += "  ·  " + env.Words.Number(s.Index)
	}
	p.person.SetText(name)
	p.show(e, s)
}

// show shows a sample in the chosen way.
func (p *pane) show(e *editor, s *Sample) {
	env := e.v.env
	front := fyne.CanvasObject(p.scroll)
	switch way := reading(p.way.SelectedIndex()); {
	case way == asChecks:
		front = p.checks.root
	case s.Problem != nil:
		what, advice := env.Words.Error(s.Problem)
		p.set(s.Subject, "", what, advice)
		p.letter.Set(nil)
	case way == asRead:
		p.set(s.Subject, e.draft.Content.Preview, gapWords(env, s), "")
		p.letter.Set(s.Parts)
	case way == asText:
		p.raw.SetText(s.Text)
		front = p.raw
	default:
		p.raw.SetText(string(s.Source[:min(len(s.Source), sourceShown)]))
		front = p.raw
	}
	p.read.Refresh()
	if p.stack.Objects[0] != front {
		p.stack.Objects = []fyne.CanvasObject{front}
	}
	p.stack.Refresh()
}

// gapWords says which values the recipient in front lacks.
func gapWords(env *screens.Env, s *Sample) string {
	if len(s.Missing) == 0 {
		return ""
	}
	return env.T("composer.lacks", s.Missing[0])
}

func (p *pane) set(subject, behind, wrong, advice string) {
	for _, x := range []struct {
		t    *widgets.Text
		text string
	}{{p.subject, subject}, {p.behind, behind}, {p.wrong, wrong}, {p.advice, advice}} {
		x.t.SetText(x.text)
		if x.text == "" {
			x.t.Hide()
		} else {
			x.t.Show()
		}
	}
}

func (e *editor) onBrowser() {
	s, env := e.sample, e.v.env
	if s == nil || s.Problem != nil {
		return
	}
	page := s.HTML
	if page == "" {
		page = "<pre>" + escape(s.Text) + "</pre>"
	}
	files := e.draft.Content.Attachments
	screens.Load(e.ctx, env, func(context.Context) (map[string]practice.Inline, error) {
		return picturesOf(env.Ledger, files, s.Logo)
	},
		func(inline map[string]practice.Inline, err error) {
			if err != nil {
				dialogs.Error(env.Words, env.Window, err)
				return
			}
			showPage(env, []byte(page), inline)
		})
}

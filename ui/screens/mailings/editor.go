package mailings

import (
	"context"
	"slices"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"postroom/assets/theme"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// The composer waits so long after a key before it saves and renders, and before
// it checks. Whoever types without a pause is saved every so often all the same,
// so that a crash takes no more than that.
const (
	settle     = 300 * time.Millisecond
	saveEvery  = time.Second
	checkAfter = 900 * time.Millisecond
	titleRunes = 44
)

// editor is the composer: what is written at the left, what a recipient gets at
// the right, what stands in the way below.
type editor struct {
	v       *View
	draft   post.Draft
	loader  *screens.Loader // of the preview
	ctx     context.Context
	cancel  context.CancelFunc
	choices *Choices

	head     *widgets.Header
	from     *widgets.Select
	to       *widgets.Select
	senders  []option // the lines of from
	lists    []option // the lines of to
	typed    *widgets.Entry
	subject  *widgets.Entry
	behind   *widgets.Entry // the preview text
	replyTo  *widgets.Entry
	promo    *widgets.Check
	body     *widgets.TextArea
	format   *widgets.Select
	tools    *fyne.Container
	find     *finder
	writing  *fyne.Container // the bar, the finder, the body and the files
	files    *fyne.Container
	addFile  *widgets.Button
	pane     *pane
	strip    *fyne.Container
	stripTxt *widgets.Text
	root     *fyne.Container

	proof    *proof
	sample   *Sample
	index    int64 // of the recipient in front, from 1
	findings []group
	gaps     Gaps

	waits              []func() // stop what saves and checks in a moment
	checking, counting context.CancelFunc
	recount            bool          // others are typed: who lacks which field is not known
	unsaved            time.Duration // since when, by Clock.Elapsed; 0: nothing is
	saving, dirty      bool
	after              []func() // when all is saved
	quiet              bool     // controls are being filled, not typed in
	keys               func(*fyne.KeyEvent)
}

var formats = []post.BodyFormat{post.FormatMarkdown, post.FormatHTML, post.FormatText}

func newEditor(v *View, d post.Draft) *editor {
	env := v.env
	e := &editor{v: v, draft: d, loader: screens.NewLoader(env), proof: &proof{ledger: env.Ledger}, index: 1}
	if e.draft.Content.Format == "" {
		e.draft.Content.Format = post.FormatMarkdown
	}
	e.head = widgets.NewHeader(screens.Short(draftName(env.Words, d), titleRunes), nil, e.buttons()...)
	e.from = widgets.NewSelect(nil, func(string) { e.pick(e.from, e.senders) })
	e.to = widgets.NewSelect(nil, func(string) { e.pick(e.to, e.lists) })
	e.typed = widgets.NewEntry()
	e.typed.SetPlaceHolder(env.T("composer.typed"))
	e.subject = widgets.NewEntry()
	e.subject.SetPlaceHolder(env.T("composer.subject.hint"))
	e.body = widgets.NewTextArea(env.Words)
	e.body.PlaceHolder = env.T("composer.body.hint")
	e.body.OnKey = e.onKey
	e.format = widgets.NewSelect(formatNames(env), func(string) { e.onFormat() })
	e.find = newFinder(e)
	for id, o := range map[string]fyne.CanvasObject{
		"compose.from": e.from, "compose.to": e.to, "compose.typed": e.typed, "compose.subject": e.subject, "compose.body": e.body, "compose.format": e.format,
	} {
		env.IDs.Set(id, o)
	}
	e.pane = newPane(e)
	e.root = e.layout()
	e.fillFields()
	e.listen()
	return e
}

func (e *editor) buttons() []*widgets.Button {
	env := e.v.env
	back := widgets.NewButton(widgets.Normal, env.T("action.back"), func() { e.save(func() { e.v.turn(e.v.list) }) })
	var more *widgets.Button
	more = widgets.NewButton(widgets.Normal, env.T("action.more")+" ▾", func() { e.moreMenu(more) })
	rehearse := widgets.NewButton(widgets.Normal, env.T("action.rehearse"), func() { e.finish(post.Rehearsal) })
	send := widgets.NewButton(widgets.Primary, env.T("action.check_and_send"), func() { e.finish(post.Live) })
	env.IDs.Set("compose.back", back)
	env.IDs.Set("compose.more", more)
	env.IDs.Set("compose.rehearse", rehearse)
	env.IDs.Set("compose.send", send)
	return []*widgets.Button{back, more, rehearse, send}
}

// listen takes over what is typed, once the fields are filled.
func (e *editor) listen() {
	e.typed.OnChanged = func(s string) {
		e.edit(func() { e.draft.To = parseTo(s) })
		e.recount = !e.quiet
	}
	e.subject.OnChanged = func(s string) {
		e.edit(func() { e.draft.Content.Subject = s })
		e.head.SetTitle(screens.Short(draftName(e.v.env.Words, e.draft), titleRunes))
	}
	e.behind.OnChanged = func(s string) { e.edit(func() { e.draft.Content.Preview = s }) }
	e.replyTo.OnChanged = func(s string) { e.edit(func() { e.draft.Content.ReplyTo = strings.TrimSpace(s) }) }
	e.body.OnChanged = func() { e.edit(func() {}) }
}

func formatNames(env *screens.Env) []string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = env.T("composer.format." + string(f))
	}
	return names
}

func (e *editor) layout() *fyne.Container {
	env := e.v.env
	label := func(key string) fyne.CanvasObject { return widgets.FixedWidth(90, widgets.NewQuiet(env.T(key))) }
	people := widgets.Columns(12, []float32{1, 1}, e.to, e.typed)
	form := widgets.NewCard("", nil, widgets.VStack(8,
		widgets.Columns(14, []float32{9, 11},
			widgets.HStack(10, label("composer.from"), widgets.Grow(e.from)),
			widgets.HStack(10, widgets.FixedWidth(40, widgets.NewQuiet(env.T("composer.to"))), widgets.Grow(people))),
		widgets.HStack(10, label("composer.subject"), widgets.Grow(e.subject)),
		e.more(label)))
	e.files = widgets.HStack(10)
	e.writing = widgets.VStack(8, e.toolbar(), e.find.bar, widgets.Grow(e.body), e.files)
	e.stripTxt = widgets.NewText("").Cutting()
	show := widgets.NewButton(widgets.Link, env.T("composer.check.show"), e.showChecks)
	env.IDs.Set("compose.checks", show)
	e.strip = container.NewStack(widgets.NewStrip(widgets.HStack(10, widgets.NewStrong(env.T("composer.before_it_goes")).Toned(theme.Attention), widgets.Grow(e.stripTxt), show)))
	e.strip.Hide()
	return widgets.VStack(theme.Gap, e.head, form,
		widgets.Grow(widgets.Columns(theme.Gap, []float32{6, 5}, widgets.NewCard("", nil, e.writing), e.pane.root)), e.strip)
}

func (e *editor) object() fyne.CanvasObject { return e.root }

func (e *editor) show() {
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.loader.Start()
	env := e.v.env
	c := env.Window.Canvas()
	e.keys = c.OnTypedKey()
	c.SetOnTypedKey(e.onWindowKey)
	c.AddShortcut(findKey, func(fyne.Shortcut) {
		if c.Overlays().Top() == nil {
			e.find.open(e)
		}
	})
	screens.Load(e.ctx, env, func(ctx context.Context) (*Choices, error) { return LoadChoices(ctx, env.Ledger) }, e.onChoices)
	e.showState()
	e.preview()
	e.check()
}

func (e *editor) hide() {
	e.loader.Stop()
	if e.cancel != nil {
		e.cancel()
		c := e.v.env.Window.Canvas()
		c.SetOnTypedKey(e.keys)
		c.RemoveShortcut(findKey)
	}
	e.stopWaits()
	go e.proof.close() // a step may be under way
	e.save(func() {})
}

func (e *editor) changed() {}

// fillFields shows the draft in the controls.
func (e *editor) fillFields() {
	e.quiet = true
	defer func() { e.quiet = false }()
	e.subject.SetText(e.draft.Content.Subject)
	e.body.SetText(e.draft.Content.Body)
	e.typed.SetText(strings.Join(e.draft.To, ", "))
	e.behind.SetText(e.draft.Content.Preview)
	e.replyTo.SetText(e.draft.Content.ReplyTo)
	e.promo.SetChecked(e.draft.Promotional)
	e.format.SetSelectedIndex(slices.Index(formats, e.draft.Content.Format))
	e.showFiles()
}

// edit changes the draft and sees to it that it is saved, shown and checked.
func (e *editor) edit(change func()) {
	if e.quiet {
		return
	}
	change()
	env := e.v.env
	now := env.Clock.Elapsed()
	if e.unsaved == 0 {
		e.unsaved = now
	}
	e.dirty = true
	e.showState()
	e.stopWaits()
	e.waits = append(e.waits, env.After(max(0, min(settle, saveEvery-(now-e.unsaved))), func() {
		e.save(func() {})
		e.preview()
	}), env.After(checkAfter, func() {
		if e.recount {
			e.recount = false
			e.countGaps()
		}
		e.check()
	}))
}

func (e *editor) stopWaits() {
	for _, stop := range e.waits {
		stop()
	}
	e.waits = nil
}

// save makes what is written durable and then calls done. One save runs at a
// time, so that an older text never comes to lie over a newer one.
func (e *editor) save(done func()) {
	e.after = append(e.after, done)
	if e.saving {
		return
	}
	if !e.dirty {
		all := e.after
		e.after = nil
		for _, f := range all {
			f()
		}
		return
	}
	e.dirty, e.saving, e.unsaved = false, true, 0
	d := e.written()
	env := e.v.env
	// Saved even when the screen is left: nothing typed is lost.
	screens.Load(context.Background(), env, func(ctx context.Context) (int64, error) { return env.Ledger.SaveDraft(ctx, d) },
		func(id int64, err error) {
			e.saving = false
			if err != nil {
				e.dirty, e.after = true, nil
				dialogs.Error(env.Words, env.Window, err)
				return
			}
			e.draft.ID = id
			e.showState()
			if len(e.after) > 0 {
				last := e.after[len(e.after)-1]
				e.after = e.after[:len(e.after)-1]
				e.save(last)
			}
		})
}

// written is the draft with what stands in the body.
func (e *editor) written() post.Draft {
	e.draft.Content.Body = e.body.Text()
	if !e.draft.Template {
		e.draft.Name = e.draft.Content.Subject
	}
	return e.draft
}

func (e *editor) showState() {
	key := "mailing.state.draft"
	switch {
	case e.dirty || e.saving:
		key = "composer.saving"
	case e.draft.ID != 0:
		key = "mailing.state.draft_saved"
	}
	e.head.SetPill(e.v.env.T(key), theme.Quiet)
}

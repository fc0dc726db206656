package mailings

import (
	"context"
	"slices"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	base "fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/theme"
	"postroom/compose"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// The composer waits so long after a key before it saves, renders and checks.
const (
	settle     = 300 * time.Millisecond
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
	typed    *widgets.Entry
	subject  *widgets.Entry
	body     *widgets.Entry
	format   *widgets.Select
	files    *fyne.Container
	strip    *fyne.Container
	stripTxt *widgets.Text
	root     *fyne.Container
	person   *widgets.Text
	letter   *fyne.Container
	sample   *Sample
	place    storage.Page
	index    int64

	saveTimer, checkTimer *time.Timer
	checking              context.CancelFunc
	saving, dirty         bool
	quiet                 bool // controls are being filled, not typed in
}

var formats = []post.BodyFormat{post.FormatMarkdown, post.FormatHTML, post.FormatText}

func newEditor(v *View, d post.Draft) *editor {
	env := v.env
	e := &editor{v: v, draft: d, loader: screens.NewLoader(env), place: storage.Page{Limit: 1}, index: 1}
	if e.draft.Content.Format == "" {
		e.draft.Content.Format = post.FormatMarkdown
	}
	rehearse := widgets.NewButton(widgets.Normal, env.T("action.rehearse"), func() { e.finish(post.Rehearsal) })
	send := widgets.NewButton(widgets.Primary, env.T("action.check_and_send"), func() { e.finish(post.Live) })
	back := widgets.NewButton(widgets.Normal, env.T("action.back"), func() { e.save(func() { v.turn(v.list) }) })
	env.IDs.Set("compose.rehearse", rehearse)
	env.IDs.Set("compose.send", send)
	env.IDs.Set("compose.back", back)
	e.head = widgets.NewHeader(screens.Short(draftName(env.Words, d), titleRunes), nil, back, rehearse, send)
	e.from = widgets.NewSelect(nil, func(string) { e.onFrom() })
	e.to = widgets.NewSelect(nil, func(string) { e.onTo() })
	e.typed = widgets.NewEntry()
	e.typed.SetPlaceHolder(env.T("composer.typed"))
	e.subject = widgets.NewEntry()
	e.subject.SetPlaceHolder(env.T("composer.subject.hint"))
	e.body = widgets.NewMultiLineEntry()
	e.body.SetPlaceHolder(env.T("composer.body.hint"))
	e.body.TextStyle = fyne.TextStyle{Monospace: true}
	e.format = widgets.NewSelect(formatNames(env), func(string) { e.onFormat() })
	for id, o := range map[string]fyne.CanvasObject{
		"compose.from": e.from, "compose.to": e.to, "compose.typed": e.typed, "compose.subject": e.subject, "compose.body": e.body,
	} {
		env.IDs.Set(id, o)
	}
	e.root = e.layout()
	e.fillFields()
	e.typed.OnChanged = func(s string) { e.edit(func() { e.draft.To = parseTo(s) }) }
	e.subject.OnChanged = func(s string) {
		e.edit(func() { e.draft.Content.Subject = s })
		e.head.SetTitle(screens.Short(draftName(env.Words, e.draft), titleRunes))
	}
	e.body.OnChanged = func(s string) { e.edit(func() { e.draft.Content.Body = s }) }
	return e
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
		widgets.HStack(10, label("composer.subject"), widgets.Grow(e.subject))))
	e.files = widgets.HStack(10)
	writing := widgets.NewCard("", nil, widgets.VStack(8, e.toolbar(), widgets.NewDivider(), widgets.Grow(e.body), widgets.NewDivider(), e.files))
	e.person = widgets.NewText("").Cutting()
	e.letter = container.NewStack()
	prev := widgets.NewButton(widgets.Normal, "‹", func() { e.step(false) })
	next := widgets.NewButton(widgets.Normal, "›", func() { e.step(true) })
	open := widgets.NewButton(widgets.Link, env.T("action.open_in_browser"), e.onBrowser)
	env.IDs.Set("compose.previous", prev)
	env.IDs.Set("compose.next", next)
	reading := widgets.NewCard("", nil, widgets.VStack(10,
		widgets.HStack(10, prev, widgets.Grow(e.person), next, open),
		widgets.Grow(widgets.NewPlainCard(widgets.Inset(14, 14, 14, 14, e.letter)))))
	e.stripTxt = widgets.NewText("").Wrapping()
	e.strip = container.NewStack(widgets.NewStrip(widgets.HStack(10, widgets.NewStrong(env.T("composer.before_it_goes")).Toned(theme.Attention), widgets.Grow(e.stripTxt))))
	e.strip.Hide()
	return widgets.VStack(theme.Gap, e.head, form, widgets.Grow(widgets.Columns(theme.Gap, []float32{6, 5}, writing, reading)), e.strip)
}

// toolbar marks up the selected words, or inserts a field.
func (e *editor) toolbar() fyne.CanvasObject {
	env := e.v.env
	tool := func(key string, do func()) fyne.CanvasObject { return widgets.NewButton(widgets.Flat, env.T(key), do) }
	row := []fyne.CanvasObject{
		tool("composer.tool.bold", func() { e.wrap("**", "**") }),
		tool("composer.tool.italic", func() { e.wrap("*", "*") }),
		tool("composer.tool.heading", func() { e.linePrefix("## ") }),
		tool("composer.tool.list", func() { e.linePrefix("- ") }),
		tool("composer.tool.link", func() { e.wrap("[", "](https://)") }),
		widgets.Space(),
	}
	var insert *widgets.Button
	insert = widgets.NewButton(widgets.Link, env.T("action.insert_field")+" ▾", func() { e.fieldMenu(insert) })
	env.IDs.Set("compose.insert_field", insert)
	return widgets.HStack(2, append(row, insert, widgets.FixedWidth(130, e.format))...)
}

func (e *editor) fieldMenu(at fyne.CanvasObject) {
	fields := []string{"name", "email", "first_name", "last_name"}
	if e.choices != nil && len(e.choices.Fields) > 0 {
		fields = e.choices.Fields
	}
	items := make([]*fyne.MenuItem, 0, len(fields))
	for _, f := range fields {
		items = append(items, fyne.NewMenuItem(f, func() { e.insertText("{{" + f + "}}") }))
	}
	c := e.v.env.Window.Canvas()
	pos := fyne.CurrentApp().Driver().AbsolutePositionForObject(at)
	widget.ShowPopUpMenuAtPosition(fyne.NewMenu("", items...), c, pos.AddXY(0, at.Size().Height))
}

// insertText puts text at the cursor of the body.
func (e *editor) insertText(s string) {
	e.replaceRange(e.cursor(), e.cursor(), s)
}

// cursor is the place of the cursor in the body, counted in runes.
func (e *editor) cursor() int {
	lines := strings.Split(e.body.Text, "\n")
	n := 0
	for i := 0; i < e.body.CursorRow && i < len(lines); i++ {
		n += len([]rune(lines[i])) + 1
	}
	return min(n+e.body.CursorColumn, len([]rune(e.body.Text)))
}

func (e *editor) replaceRange(from, to int, s string) {
	r := []rune(e.body.Text)
	e.body.SetText(string(r[:from]) + s + string(r[to:]))
	e.moveTo(from + len([]rune(s)))
	e.v.env.Window.Canvas().Focus(e.body)
}

func (e *editor) moveTo(at int) {
	row, col := 0, 0
	for i, r := range []rune(e.body.Text) {
		if i == at {
			break
		}
		if col++; r == '\n' {
			row, col = row+1, 0
		}
	}
	e.body.CursorRow, e.body.CursorColumn = row, col
	e.body.Refresh()
}

// wrap puts marks around the selected words.
func (e *editor) wrap(before, after string) {
	sel := e.body.SelectedText()
	at := e.cursor()
	if sel == "" {
		e.replaceRange(at, at, before+after)
		e.moveTo(at + len([]rune(before)))
		return
	}
	n := len([]rune(sel))
	text := []rune(e.body.Text)
	from := at - n // the cursor is at one end of the selection
	if from < 0 || string(text[from:at]) != sel {
		from = at
	}
	e.replaceRange(from, min(from+n, len(text)), before+sel+after)
}

// linePrefix puts a mark at the beginning of the cursor's line.
func (e *editor) linePrefix(mark string) {
	at := e.cursor()
	r := []rune(e.body.Text)
	from := at
	for from > 0 && r[from-1] != '\n' {
		from--
	}
	e.replaceRange(from, from, mark)
	e.moveTo(at + len(mark))
}

func (e *editor) object() fyne.CanvasObject { return e.root }

func (e *editor) show() {
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.loader.Start()
	env := e.v.env
	screens.Load(e.ctx, env, func(ctx context.Context) (*Choices, error) { return LoadChoices(ctx, env.Ledger) }, e.onChoices)
	e.showState()
	e.preview()
	e.check()
}

func (e *editor) hide() {
	e.loader.Stop()
	if e.cancel != nil {
		e.cancel()
	}
	for _, t := range []*time.Timer{e.saveTimer, e.checkTimer} {
		if t != nil {
			t.Stop()
		}
	}
	if e.dirty {
		e.save(func() {})
	}
}

func (e *editor) changed() {}

// onChoices fills the choices of senders and lists.
func (e *editor) onChoices(c *Choices, err error) {
	env := e.v.env
	if err != nil {
		dialogs.Error(env.Words, env.Window, err)
		return
	}
	e.choices = c
	e.quiet = true
	defer func() { e.quiet = false }()
	var senders []string
	chosen := -1
	for i, a := range c.Accounts {
		senders = append(senders, accountLabel(a))
		if slices.Contains(e.draft.Accounts, a.ID) {
			chosen = i
		}
	}
	if len(senders) == 0 {
		senders = []string{env.T("composer.no_accounts")}
	}
	if chosen < 0 && len(c.Accounts) > 0 {
		chosen = 0
		e.draft.Accounts = []int64{c.Accounts[0].ID}
	}
	e.from.SetOptions(senders)
	e.from.SetSelectedIndex(max(chosen, 0))
	lists := []string{env.T("composer.no_list")}
	at := 0
	for i, l := range c.Lists {
		lists = append(lists, env.T("composer.list", l.Name, l.Members))
		if slices.Contains(e.draft.Lists, l.ID) {
			at = i + 1
		}
	}
	if at == 0 && len(e.draft.To) == 0 && len(c.Lists) == 1 && e.draft.ID == 0 {
		at = 1
		e.draft.Lists = []int64{c.Lists[0].ID}
	}
	e.to.SetOptions(lists)
	e.to.SetSelectedIndex(at)
	e.preview()
	e.check()
}

func accountLabel(a post.Account) string {
	if a.FromName != "" {
		return a.FromName + " · " + a.Email
	}
	return a.Name + " · " + a.Email
}

// fillFields shows the draft in the controls.
func (e *editor) fillFields() {
	e.quiet = true
	defer func() { e.quiet = false }()
	e.subject.SetText(e.draft.Content.Subject)
	e.body.SetText(e.draft.Content.Body)
	e.typed.SetText(strings.Join(e.draft.To, ", "))
	e.format.SetSelectedIndex(slices.Index(formats, e.draft.Content.Format))
	e.showFiles()
}

func (e *editor) onFrom() {
	if i := e.from.SelectedIndex(); e.choices != nil && i >= 0 && i < len(e.choices.Accounts) {
		e.edit(func() { e.draft.Accounts = []int64{e.choices.Accounts[i].ID} })
	}
}

func (e *editor) onTo() {
	i := e.to.SelectedIndex()
	if e.choices == nil || i < 0 {
		return
	}
	e.edit(func() {
		e.draft.Lists = nil
		if i > 0 && i <= len(e.choices.Lists) {
			e.draft.Lists = []int64{e.choices.Lists[i-1].ID}
		}
		e.place, e.index = storage.Page{Limit: 1}, 1
	})
}

func (e *editor) onFormat() {
	if i := e.format.SelectedIndex(); i >= 0 {
		e.edit(func() { e.draft.Content.Format = formats[i] })
	}
}

// edit changes the draft and sees to it that it is saved, shown and checked.
func (e *editor) edit(change func()) {
	if e.quiet {
		return
	}
	change()
	e.dirty = true
	e.showState()
	post := e.v.env.Post
	if e.saveTimer != nil {
		e.saveTimer.Stop()
	}
	e.saveTimer = time.AfterFunc(settle, func() {
		post(func() {
			e.save(func() {})
			e.preview()
		})
	})
	if e.checkTimer != nil {
		e.checkTimer.Stop()
	}
	e.checkTimer = time.AfterFunc(checkAfter, func() { post(e.check) })
}

// save makes what is written durable and then calls done.
func (e *editor) save(done func()) {
	if !e.dirty || e.saving && e.draft.ID == 0 {
		done()
		return
	}
	e.dirty, e.saving = false, true
	d := e.draft
	d.Name = d.Content.Subject
	env := e.v.env
	// Saved even when the screen is left: nothing typed is lost.
	screens.Load(context.Background(), env, func(ctx context.Context) (int64, error) { return env.Ledger.SaveDraft(ctx, d) },
		func(id int64, err error) {
			e.saving = false
			if err != nil {
				e.dirty = true
				dialogs.Error(env.Words, env.Window, err)
				return
			}
			e.draft.ID = id
			e.showState()
			done()
		})
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

// attach adds files to the draft.
func (e *editor) attach(paths []string) {
	env := e.v.env
	screens.Load(e.ctx, env, func(context.Context) ([]post.Attachment, error) {
		var all []post.Attachment
		for _, p := range paths {
			a, err := attachmentOf(p)
			if err != nil {
				return nil, err
			}
			all = append(all, a)
		}
		return all, nil
	}, func(all []post.Attachment, err error) {
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		e.edit(func() {
			for _, a := range all {
				same := func(b post.Attachment) bool { return b.Path == a.Path }
				if !slices.ContainsFunc(e.draft.Content.Attachments, same) {
					e.draft.Content.Attachments = append(e.draft.Content.Attachments, a)
				}
			}
		})
		e.showFiles()
	})
}

func (e *editor) showFiles() {
	env := e.v.env
	e.files.Objects = nil
	for i, a := range e.draft.Content.Attachments {
		e.files.Add(widgets.NewSmall(a.Name + "  " + env.Words.Size(a.Size)))
		x := widgets.NewButton(widgets.Flat, "✕", func() {
			e.edit(func() { e.draft.Content.Attachments = slices.Delete(e.draft.Content.Attachments, i, i+1) })
			e.showFiles()
		})
		x.Small, x.Hint = true, env.T("action.remove")
		e.files.Add(x)
	}
	add := widgets.NewButton(widgets.Link, "+ "+env.T("action.attach"), func() {
		dialogs.PickFiles(env.Words, env.Window, env.T("action.attach"), e.attach)
	})
	env.IDs.Set("compose.attach", add)
	e.files.Add(add)
	e.files.Refresh()
}

// step shows the next or the previous recipient.
func (e *editor) step(forward bool) {
	if e.sample == nil {
		return
	}
	switch p := e.sample.Pages; {
	case forward && p.Next != "":
		e.place, e.index = storage.Page{Limit: 1, Cursor: p.Next}, e.index+1
	case !forward && p.Prev != "":
		e.place, e.index = storage.Page{Limit: 1, Cursor: p.Prev, Back: true}, max(1, e.index-1)
	default:
		return
	}
	e.preview()
}

func (e *editor) preview() {
	d, place, index := e.draft, e.place, e.index
	if d.ChangedAt.IsZero() { // a new draft; a message has a date
		d.ChangedAt = e.v.env.Clock.Now().Truncate(time.Second)
	}
	screens.Run(e.loader, func(ctx context.Context) (*Sample, error) {
		return LoadSample(ctx, e.v.env.Ledger, d, place, index)
	}, e.showSample)
}

func (e *editor) showSample(s *Sample, err error) {
	env := e.v.env
	if err != nil {
		env.Log.Error("preview", "err", err)
		return
	}
	e.sample = s
	name := s.Recipient.Name
	if name == "" {
		name = s.Recipient.Address
	}
	if s.Total > 0 {
		name += "  ·  " + env.T("composer.person_of", s.Index, s.Total)
	} else {
		name = env.T("composer.example", name)
	}
	e.person.SetText(name)
	var body fyne.CanvasObject
	switch {
	case s.Problem != nil:
		what, advice := env.Words.Error(s.Problem)
		body = widgets.VStack(6, widgets.NewStrong(what).Toned(theme.Bad).Wrapping(), widgets.NewQuiet(advice).Wrapping())
	case s.Markdown != "":
		rich := widget.NewRichTextFromMarkdown(s.Markdown)
		rich.Wrapping = fyne.TextWrapWord
		body = widgets.VStack(4, letterHead(s.Subject), rich)
	default:
		text := widget.NewLabel(s.Text)
		text.Wrapping = fyne.TextWrapWord
		body = widgets.VStack(4, letterHead(s.Subject), text)
	}
	e.letter.Objects = []fyne.CanvasObject{container.NewVScroll(body)}
	e.letter.Refresh()
}

// letterHead is a subject that lines up with the toolkit's text below it.
func letterHead(subject string) fyne.CanvasObject {
	margin := base.InnerPadding()
	return widgets.Inset(0, margin, 0, margin, widgets.NewStrong(subject).Wrapping())
}

func (e *editor) onBrowser() {
	if e.sample == nil || e.sample.Problem != nil {
		return
	}
	page := e.sample.HTML
	if page == "" {
		page = "<pre>" + escape(e.sample.Text) + "</pre>"
	}
	showPage(e.v.env, []byte(page), nil)
}

// check runs preflight in the background and shows what it found.
func (e *editor) check() {
	if e.ctx == nil || e.ctx.Err() != nil {
		return
	}
	if e.checking != nil {
		e.checking()
	}
	ctx, cancel := context.WithCancel(e.ctx)
	e.checking = cancel
	d, env := e.draft, e.v.env
	if d.Content.Subject == "" && d.Content.Body == "" {
		e.strip.Hide()
		return
	}
	screens.Load(ctx, env, func(ctx context.Context) (compose.Findings, error) {
		j, err := jobOf(ctx, env.Ledger, d, post.Live)
		if err != nil {
			return compose.Findings{}, err
		}
		return compose.Check(ctx, j, nil)
	}, func(f compose.Findings, err error) {
		text := ""
		switch {
		case err != nil && !isCancelled(err):
			text, _ = env.Words.Error(err)
		case err == nil:
			text = findingsText(env.Words, &f)
		}
		e.stripTxt.SetText(text)
		if e.strip.Hidden = text == ""; e.strip.Hidden {
			e.strip.Hide()
		} else {
			e.strip.Show()
		}
		e.root.Refresh()
	})
}

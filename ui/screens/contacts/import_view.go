package contacts

import (
	"context"
	"os"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/theme"
	people "postroom/contacts"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/task"
	"postroom/ui/widgets"
)

// importStep is how far the assistant has come.
type importStep int

// The steps.
const (
	stepFile importStep = iota
	stepColumns
	stepPlan
	stepDone
)

// importPage takes people in from a file, step by step: the file, its columns,
// what would happen, what happened. Nothing is written before the third is left.
type importPage struct {
	v          *View
	step       importStep
	source     *Source
	plan       *Outcome // of the dry run
	result     *Outcome
	pasted     string // a file of what was pasted
	list       string
	merge      string
	busy       context.CancelFunc // of the work under way
	over       bool
	domains    people.DomainCheck // remembers the answers from the dry run on
	askDomains bool
	bringTo    int64 // the list of the import, once it is done

	head  *widgets.Header
	steps *widgets.Text
	back  *widgets.Button
	next  *widgets.Button
	body  *fyne.Container
	root  *fyne.Container
	file  *widgets.Entry
	into  *widgets.Entry
}

var _ page = (*importPage)(nil)

// startImport shows the assistant; path may be empty. One that works is not
// begun anew.
func (v *View) startImport(path string, list int64) {
	if old, ok := v.page.(*importPage); ok {
		if old.busy != nil || old.step != stepFile && path == "" {
			v.turn(old)
			return
		}
		old.cleanUp()
	}
	v.turn(newImportPage(v, path, list))
}

func newImportPage(v *View, path string, list int64) *importPage {
	env := v.env
	p := &importPage{v: v, body: container.NewStack(), merge: "replace"}
	p.steps = widgets.NewQuiet("")
	p.back = widgets.NewButton(widgets.Normal, env.T("action.cancel"), p.onBack)
	p.next = widgets.NewButton(widgets.Primary, env.T("contacts.import.next"), p.onNext)
	p.head = widgets.NewHeader(env.T("contacts.import.title"), []fyne.CanvasObject{p.steps}, p.back, p.next)
	p.file, p.into = widgets.NewEntry(), widgets.NewEntry()
	p.file.SetPlaceHolder(env.T("contacts.import.file.hint"))
	p.file.SetText(path)
	p.file.OnPaste = func(text string) bool {
		if !isTable(text) {
			return false
		}
		p.onPaste()
		return true
	}
	p.into.SetText(env.T("contacts.import.list.default"))
	if li := v.book.lists.find(list); li != nil {
		p.into.SetText(li.Name)
	} else if path != "" {
		p.into.SetText(listFor(path))
	}
	p.file.OnSubmitted = func(string) { p.onNext() }
	p.into.OnSubmitted = func(string) { p.onNext() }
	env.IDs.Set("import.file", p.file)
	env.IDs.Set("import.list", p.into)
	env.IDs.Set("import.next", p.next)
	env.IDs.Set("import.back", p.back)
	p.root = widgets.VStack(theme.Gap, p.head, widgets.Grow(p.body))
	p.showStep(stepFile)
	return p
}

func (p *importPage) object() fyne.CanvasObject { return p.root }

func (p *importPage) show() {
	if p.step == stepFile && p.busy == nil {
		p.v.env.Window.Canvas().Focus(p.file)
	}
}

func (p *importPage) hide()    {}
func (p *importPage) changed() {}

// cleanUp removes what was put aside for this import.
func (p *importPage) cleanUp() {
	p.plan.drop()
	p.result.drop()
	p.plan, p.result = nil, nil
	if p.pasted != "" {
		_ = os.Remove(p.pasted) // in the folder for such
		p.pasted = ""
	}
}

// leave ends the assistant.
func (p *importPage) leave() {
	p.over = true
	p.cleanUp()
	p.v.back()
}

func (p *importPage) showStep(s importStep) {
	env := p.v.env
	p.step = s
	p.steps.SetText(env.T("contacts.import.step", int64(s)+1, int64(stepDone)+1, env.T([]string{
		"contacts.import.step.file", "contacts.import.step.columns", "contacts.import.step.plan", "contacts.import.step.done",
	}[s])))
	p.back.SetText(env.T("action.back"))
	p.back.Show()
	p.next.SetText(env.T("contacts.import.next"))
	p.next.Enable()
	var o fyne.CanvasObject
	switch s {
	case stepFile:
		p.back.SetText(env.T("action.cancel"))
		o = p.filePanel()
	case stepColumns:
		o = p.columnsPanel()
	case stepPlan:
		p.next.SetText(env.T("action.import"))
		o = p.outcomePanel(p.plan, false)
		if p.plan.Read == p.plan.Report.Skipped {
			p.next.Disable()
		}
	case stepDone:
		p.back.Hide()
		p.next.SetText(env.T("contacts.import.show"))
		o = p.outcomePanel(p.result, true)
	}
	p.put(o)
	if s != stepFile {
		env.Window.Canvas().Focus(p.next)
	}
}

func (p *importPage) put(o fyne.CanvasObject) {
	p.body.Objects = []fyne.CanvasObject{o}
	p.head.Refresh()
	p.root.Refresh()
}

func (p *importPage) filePanel() fyne.CanvasObject {
	env := p.v.env
	const width = 110
	browse := widgets.NewButton(widgets.Normal, env.T("action.browse"), func() {
		p.v.openFile(env.T("contacts.import.title"), func(path string) {
			p.forget()
			p.file.SetText(path)
			if p.into.Text == env.T("contacts.import.list.default") {
				p.into.SetText(listFor(path))
			}
		})
	})
	paste := widgets.NewButton(widgets.Normal, env.T("contacts.import.paste"), p.onPaste)
	lists := widgets.NewButton(widgets.Normal, env.T("contacts.import.lists"), nil)
	lists.OnTapped = func() {
		var items []*fyne.MenuItem
		if p.v.book.lists != nil {
			for _, li := range p.v.book.lists.Items {
				if li.rule == nil {
					items = append(items, fyne.NewMenuItem(li.Name, func() { p.into.SetText(li.Name) }))
				}
			}
		}
		if len(items) > 0 {
			widget.ShowPopUpMenuAtPosition(fyne.NewMenu("", items...), env.Window.Canvas(), below(lists))
		}
	}
	if p.v.book.lists == nil || len(p.v.book.lists.Items) == 0 {
		lists.Disable()
	}
	env.IDs.Set("import.browse", browse)
	env.IDs.Set("import.paste", paste)
	form := widgets.VStack(12,
		widgets.NewQuiet(env.T("contacts.import.sentence")).Wrapping(),
		widgets.HStack(10, label(env, width, "contacts.import.file"), widgets.Grow(p.file), browse, paste),
		widgets.HStack(10, label(env, width, "contacts.import.list"), widgets.Grow(p.into), lists),
		widgets.NewDivider(),
		widgets.NewStrong(env.T("contacts.import.takes")),
		widgets.NewQuiet(env.T("contacts.import.takes.more")).Wrapping())
	return widgets.NewCard("", nil, form)
}

// forget drops what was pasted: another file is meant now.
func (p *importPage) forget() {
	if p.pasted != "" {
		_ = os.Remove(p.pasted)
		p.pasted = ""
		p.file.Enable()
	}
}

// isTable reports whether what is pasted where a file's name belongs is people
// rather than a name.
func isTable(text string) bool {
	text = strings.TrimSpace(text)
	return strings.ContainsAny(text, "\n\t") || strings.Contains(text, "@") && !strings.ContainsAny(text, `/\`)
}

// onPaste takes what is on the clipboard for the file.
func (p *importPage) onPaste() {
	env := p.v.env
	text := fyne.CurrentApp().Clipboard().Content()
	screens.Load(context.Background(), env, func(context.Context) (string, error) { return keepPaste(env.Ledger, text) }, func(path string, err error) {
		if err != nil {
			p.v.failed(err)
			return
		}
		p.forget()
		p.pasted = path
		p.file.SetText(env.Words.N("contacts.import.pasted", int64(strings.Count(strings.TrimSpace(text), "\n")+1)))
		p.file.Disable()
		p.onNext()
	})
}

func (p *importPage) onBack() {
	switch {
	case p.busy != nil:
		p.busy()
		p.back.Disable()
	case p.step == stepFile:
		p.leave()
	default:
		p.plan.drop()
		p.plan = nil
		p.showStep(p.step - 1)
	}
}

func (p *importPage) onNext() {
	if p.busy != nil {
		return
	}
	switch p.step {
	case stepFile:
		p.readFile()
	case stepColumns:
		p.work(true)
	case stepPlan:
		p.work(false)
	case stepDone:
		list := p.bringTo
		p.leave()
		if list != everybody {
			p.v.book.goTo(list)
		}
	}
}

// wrong says what is missing on the first step.
func (p *importPage) wrong(key string) {
	env := p.v.env
	dialogs.Info(env.Words, env.Window, env.T("contacts.import.title"), env.T(key))
}

func (p *importPage) readFile() {
	path := strings.TrimSpace(p.file.Text)
	if p.pasted != "" {
		path = p.pasted
	}
	switch p.list = strings.TrimSpace(p.into.Text); {
	case path == "":
		p.wrong("contacts.import.no_file")
		return
	case p.list == "":
		p.wrong("contacts.no_list")
		return
	}
	for _, li := range p.listItems() {
		if li.rule != nil && strings.EqualFold(li.Name, p.list) {
			p.wrong("contacts.import.rule_list")
			return
		}
	}
	p.look(Source{Path: path})
}

func (p *importPage) listItems() []ListItem {
	if p.v.book.lists == nil {
		return nil
	}
	return p.v.book.lists.Items
}

// look recognises the file, again after another encoding or sheet was chosen.
func (p *importPage) look(s Source) {
	env := p.v.env
	var found *Source
	p.run(env.T("contacts.import.looking"), true, func(ctx context.Context, _ task.Report) (err error) {
		found, err = inspect(ctx, env.Ledger, s)
		return err
	}, func() {
		p.source = found
		p.showStep(stepColumns)
	})
}

// work does the dry run, or the import.
func (p *importPage) work(dry bool) {
	env, s, list, merge := p.v.env, p.source, p.list, p.merge
	if !s.ready() {
		p.wrong("contacts.no_address_column")
		return
	}
	title := env.T("contacts.import.reading")
	if !dry {
		title = env.T("contacts.import.writing")
	}
	var out *Outcome
	asks := p.askDomains
	p.run(title, dry, func(ctx context.Context, tell task.Report) (err error) {
		s.domains, s.onDomains = nil, nil
		if asks {
			s.domains = &p.domains
			s.onDomains = func(done, total int64) { tell(done, total, env.T("contacts.import.mx.asked", done, total)) }
		}
		out, err = carryOut(ctx, env.Ledger, env.Words, s, list, merge, dry, func(rows, done, total int64) {
			tell(done, total, env.Words.N("contacts.import.rows", rows))
		})
		if err == nil && !dry {
			var li int64
			if li, err = listID(context.WithoutCancel(ctx), env, list); err == nil { // a wish to cancel that came too late
				env.Post(func() { p.bringTo = li })
			}
		}
		return err
	}, func() {
		if dry {
			p.plan.drop()
			p.plan = out
			p.showStep(stepPlan)
			return
		}
		p.result = out
		p.v.book.again()
		p.showStep(stepDone)
	})
}

func listID(ctx context.Context, env *screens.Env, name string) (int64, error) {
	li, err := env.Ledger.ListByName(ctx, name)
	return li.ID, err
}

// run does work with its progress on the page, and Back as Cancel.
func (p *importPage) run(title string, dry bool, work task.Work, then func()) {
	env, step := p.v.env, p.step
	p.next.Disable()
	p.back.SetText(env.T("action.cancel"))
	p.head.Refresh()
	p.busy = task.Run(context.Background(), env.Post, &importProgress{page: p, title: title, dry: dry}, work, func(err error) {
		p.busy = nil
		p.back.Enable()
		switch {
		case p.over:
		case err != nil:
			p.showStep(step)
			p.v.failed(err)
		default:
			then()
		}
	})
}

// importProgress shows how far the reading of a file has come, in the place of
// the step.
type importProgress struct {
	page  *importPage
	dry   bool // nothing is written, and all of it can be stopped
	title string
	text  *widgets.Text
	meter *widgets.Meter
}

var _ task.View = (*importProgress)(nil)

// Show puts it on the page.
func (i *importProgress) Show(func()) {
	p := i.page
	if p.over {
		return
	}
	i.text, i.meter = widgets.NewQuiet(p.v.env.T("progress.working")).Cutting(), widgets.NewMeter(0)
	p.put(widgets.NewCard(i.title, nil, widgets.VStack(12, i.text, i.meter, widgets.NewSmall(p.v.env.T("contacts.import.meanwhile")).Wrapping())))
}

// Report shows how many rows and how much of the file were read. Once all of it
// is, the people are taken in, which nothing stops; but for a dry run.
func (i *importProgress) Report(at task.Progress) {
	if i.meter == nil || i.page.over {
		return
	}
	text := at.Text
	if !i.dry && at.Total > 0 && at.Done >= at.Total {
		text = i.page.v.env.T("contacts.import.finishing", at.Text)
	}
	i.text.SetText(text)
	i.meter.Set(at.Total, widgets.Segment{Value: min(at.Done, at.Total), Tone: theme.Blue})
}

// Hide does nothing: the next step takes the place.
func (i *importProgress) Hide() {}

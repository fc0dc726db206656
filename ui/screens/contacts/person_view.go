package contacts

import (
	"context"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"postroom/assets/icons"
	"postroom/assets/theme"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

const personLabel = 110 // pixels

// personPage is one person: who they are at the left, what was sent to them at
// the right. With id 0 it is somebody new.
type personPage struct {
	v        *View
	id       int64
	list     int64 // a new person is put on it
	loader   *screens.Loader
	messages *screens.Loader
	pager    *screens.Pager
	person   *Person

	head    *widgets.Header
	save    *widgets.Button
	address *widgets.Entry
	name    *widgets.Entry
	fields  []*fieldRow
	who     *fyne.Container
	rows    *fyne.Container
	lists   *fyne.Container
	stop    *fyne.Container
	foot    *widgets.Text
	acts    []*widgets.Button // that need a person who is kept
	grid    *widgets.DataGrid
	right   *fyne.Container
	root    *fyne.Container
	filling bool
	sent    bool // the table of messages is shown
}

var _ page = (*personPage)(nil)

// fieldRow is one field: its name, which is typed only for a new one, and its
// value.
type fieldRow struct {
	name  *widgets.Entry // nil: fixed
	fixed string
	value *widgets.Entry
}

func (r *fieldRow) pair() [2]string {
	if r.name != nil {
		return [2]string{r.name.Text, r.value.Text}
	}
	return [2]string{r.fixed, r.value.Text}
}

func (v *View) openPerson(id int64) { v.turn(newPersonPage(v, id, everybody)) }

func (v *View) newPerson(list int64) { v.turn(newPersonPage(v, 0, list)) }

func newPersonPage(v *View, id, list int64) *personPage {
	env := v.env
	p := &personPage{
		v: v, id: id, list: list, loader: screens.NewLoader(env), messages: screens.NewLoader(env), pager: screens.NewPager(pageSize),
		rows: widgets.VStack(8), lists: widgets.VStack(4), stop: widgets.VStack(6), foot: widgets.NewSmall("").Wrapping(), right: container.NewStack(),
	}
	back := widgets.NewButton(widgets.Normal, env.T("action.back"), func() { p.leave(v.back) })
	erase := widgets.NewButton(widgets.Danger, env.T("contacts.erase"), func() { v.askErase(p.chosen(), 1, v.back) })
	remove := widgets.NewButton(widgets.Danger, env.T("action.delete"), func() { v.askDelete(p.chosen(), 1, v.back) })
	mail := widgets.NewButton(widgets.Normal, env.T("contacts.write"), p.onWrite)
	p.save = widgets.NewButton(widgets.Primary, env.T("action.save"), func() { p.keep(nil) })
	p.acts = []*widgets.Button{erase, remove, mail}
	p.head = widgets.NewHeader(env.T("contacts.new"), nil, back, erase, remove, mail, p.save)
	p.address, p.name = widgets.NewEntry(), widgets.NewEntry()
	p.address.SetPlaceHolder("anna@example.org")
	p.name.SetPlaceHolder(env.T("contacts.name.hint"))
	p.address.OnChanged = func(string) { p.edited() }
	p.name.OnChanged = func(string) { p.edited() }
	field := widgets.NewButton(widgets.Link, env.T("contacts.field.add"), func() { p.addField("", "", true) })
	for id, o := range map[string]fyne.CanvasObject{
		"person.back": back, "person.erase": erase, "person.delete": remove, "person.mail": mail, "person.save": p.save,
		"person.address": p.address, "person.name": p.name, "person.field.add": field,
	} {
		env.IDs.Set(id, o)
	}
	p.who = widgets.VStack(10,
		widgets.HStack(10, label(env, personLabel, "contacts.column.address"), widgets.Grow(p.address)),
		widgets.HStack(10, label(env, personLabel, "contacts.column.name"), widgets.Grow(p.name)),
		p.rows, widgets.HStack(0, field, widgets.Space()), widgets.NewDivider(), p.stop, widgets.NewDivider(), p.lists, p.foot)
	left := widgets.NewPlainCard(container.NewVScroll(widgets.Inset(theme.CardPadding, theme.CardPadding, theme.CardPadding, theme.CardPadding, p.who)))
	p.newGrid()
	p.root = widgets.VStack(theme.Gap, p.head, widgets.Grow(widgets.Columns(theme.Gap, []float32{9, 11}, left, p.right)))
	p.nothingSent()
	p.enable()
	return p
}

func (p *personPage) newGrid() {
	env := p.v.env
	p.grid = widgets.NewDataGrid(env.Words,
		widgets.Column{Key: "mailing", Title: env.T("history.column.mailing"), Width: 180, Grow: 2},
		widgets.Column{Key: "outcome", Title: env.T("history.column.outcome"), Width: 100},
		widgets.Column{Key: "receipt", Title: env.T("history.column.receipt"), Width: 115},
		widgets.Column{Key: "when", Title: env.T("history.column.when"), Width: 125},
	)
	p.grid.OnPage = func(t widgets.Turn) {
		if t != widgets.LastPage && p.pager.Turn(t) { // how many there are is not counted
			p.grid.SetLoading(true)
			p.loadMessages()
		}
	}
	p.grid.OnOpen = func(id int64) { p.leave(func() { p.v.env.Go(screens.Route{Screen: screens.History, ID: id}) }) }
	p.grid.Plain = true
	screens.KeepWidths(env, "person", p.grid)
	env.IDs.Set("person.messages", p.grid)
}

func (p *personPage) nothingSent() {
	p.sent = false
	p.right.Objects = []fyne.CanvasObject{widgets.NewCard(p.v.env.T("contacts.messages"), nil, widgets.NewEmptyState(icons.Mailings, p.v.env.T("contacts.no_messages")))}
}

func (p *personPage) chosen() Chosen { return Chosen{IDs: []int64{p.id}} }

func (p *personPage) object() fyne.CanvasObject { return p.root }

func (p *personPage) show() {
	p.loader.Start()
	p.messages.Start()
	p.changed()
	if p.id == 0 {
		p.fillLists()
		p.v.env.Window.Canvas().Focus(p.address)
	}
}

func (p *personPage) hide() {
	p.loader.Stop()
	p.messages.Stop()
}

func (p *personPage) changed() {
	if p.id == 0 {
		return
	}
	env, now, id := p.v.env, p.v.env.Now(), p.id
	screens.Run(p.loader, func(ctx context.Context) (*Person, error) {
		return LoadPerson(ctx, env.Ledger, env.Words, now, id)
	}, p.fill)
}

func (p *personPage) fill(x *Person, err error) {
	env := p.v.env
	switch {
	case post.KindOf(err) == post.KindNotFound: // somebody removed them
		p.v.back()
		return
	case err != nil:
		p.v.failed(err)
		return
	}
	first := p.person == nil || !p.form().changed(p.person.Contact)
	p.person = x
	if first {
		p.fillForm()
	}
	title := x.Name
	if title == "" {
		title = x.Address
	}
	p.head.SetTitle(screens.Short(title, 40))
	p.foot.SetText(env.T("contacts.added_on", x.Added))
	p.fillStop()
	p.fillLists()
	p.who.Refresh() // its parts are higher or lower than before
	p.enable()
	p.loadMessages()
}

func (p *personPage) fillForm() {
	p.filling = true
	defer func() { p.filling = false }()
	p.address.SetText(p.person.Address)
	p.name.SetText(p.person.Name)
	p.fields, p.rows.Objects = nil, nil
	for _, name := range p.person.Names {
		p.addField(name, p.person.Fields[name], false)
	}
	p.rows.Refresh()
}

// addField adds a row for a field; a fresh one's name is typed.
func (p *personPage) addField(name, value string, fresh bool) {
	env := p.v.env
	r := &fieldRow{fixed: name, value: widgets.NewEntry()}
	r.value.SetText(value)
	r.value.OnChanged = func(string) { p.edited() }
	var first fyne.CanvasObject
	if fresh {
		r.name = widgets.NewEntry()
		r.name.SetPlaceHolder(env.T("contacts.field.name"))
		r.name.OnChanged = func(string) { p.edited() }
		first = widgets.FixedWidth(personLabel, r.name)
		env.IDs.Set("person.field.name", r.name)
		env.IDs.Set("person.field.value", r.value)
	} else {
		t := widgets.NewQuiet(name).Cutting()
		first = widgets.FixedWidth(personLabel, t)
		env.IDs.Set("person.field."+name, r.value)
	}
	p.fields = append(p.fields, r)
	p.rows.Add(widgets.HStack(10, first, widgets.Grow(r.value)))
	if fresh {
		p.root.Refresh()
		env.Window.Canvas().Focus(r.name)
	}
}

func (p *personPage) form() Form {
	f := Form{ID: p.id, Address: p.address.Text, Name: p.name.Text}
	for _, r := range p.fields {
		f.Fields = append(f.Fields, r.pair())
	}
	return f
}

// dirty reports whether something was written that is not kept.
func (p *personPage) dirty() bool {
	if p.person == nil {
		f := p.form()
		return strings.TrimSpace(f.Address+f.Name) != ""
	}
	return p.form().changed(p.person.Contact)
}

func (p *personPage) edited() {
	if !p.filling {
		p.enable()
	}
}

func (p *personPage) enable() {
	on := func(b *widgets.Button, ok bool) {
		if ok {
			b.Enable()
		} else {
			b.Disable()
		}
	}
	on(p.save, p.dirty())
	for _, b := range p.acts {
		on(b, p.id != 0)
	}
}

// fillStop says whether they are mailed, and if not since when and why.
func (p *personPage) fillStop() {
	env := p.v.env
	if s := p.person.Stop; s != nil {
		undo := widgets.NewButton(widgets.Link, env.T("contacts.unsuppress"), func() { p.v.askUnsuppress(p.chosen(), 1) })
		env.IDs.Set("person.unsuppress", undo)
		p.stop.Objects = []fyne.CanvasObject{
			widgets.NewText(env.T("contacts.not_mailed", s.Reason)).Toned(theme.Attention).Wrapping(),
			widgets.NewSmall(env.T("contacts.stopped_by", s.When, s.Source)).Wrapping(),
			widgets.HStack(0, undo, widgets.Space()),
		}
	} else {
		stop := widgets.NewButton(widgets.Link, env.T("contacts.suppress"), func() { p.v.askSuppress(p.chosen(), 1, p.ownLists()...) })
		env.IDs.Set("person.suppress", stop)
		p.stop.Objects = []fyne.CanvasObject{widgets.HStack(12, widgets.Grow(widgets.NewText(env.T("contacts.is_mailed")).Cutting()), stop)}
	}
	for _, part := range p.person.Parts {
		undo := widgets.NewButton(widgets.Link, env.T("contacts.unsuppress"), func() { p.unsuppressFor(part) })
		p.stop.Objects = append(p.stop.Objects, widgets.HStack(12, widgets.Grow(widgets.NewText(env.T("contacts.not_mailed_part", part.Name, part.Reason)).Toned(theme.Attention).Cutting()), undo))
	}
	p.stop.Refresh()
}

// ownLists are the lists that they are on.
func (p *personPage) ownLists() (own []*ListItem) {
	for _, name := range p.person.Lists {
		for i := range p.v.book.lists.Items {
			if li := &p.v.book.lists.Items[i]; li.Name == name {
				own = append(own, li)
			}
		}
	}
	return own
}

// unsuppressFor lets them be mailed as one of a list again.
func (p *personPage) unsuppressFor(part Part) {
	env, who := p.v.env, p.chosen()
	dialogs.Confirm(env.Words, env.Window, env.T("contacts.unsuppress"), env.Words.N("contacts.unsuppress.sure", 1), env.T("contacts.unsuppress"), func() {
		p.v.quiet(func(ctx context.Context) error {
			return unsuppress(ctx, env.Ledger, who, part.List, func(int64, int64) {})
		}, nil)
	})
}

// fillLists says which lists they are on, with a way off each and onto others.
func (p *personPage) fillLists() {
	env := p.v.env
	rows := []fyne.CanvasObject{widgets.NewSmall(env.T("contacts.column.lists"))}
	if p.id == 0 {
		text := env.T("contacts.new.no_list")
		if li := p.v.book.lists.find(p.list); li != nil {
			text = env.T("contacts.new.list", li.Name)
		}
		rows = append(rows, widgets.NewQuiet(text).Wrapping())
		p.lists.Objects = rows
		p.lists.Refresh()
		return
	}
	for _, name := range p.person.Lists {
		off := widgets.NewIconButton(icons.Close, env.T("contacts.take_off_list", name), func() { p.takeOff(name) })
		off.Small = true
		rows = append(rows, widgets.HStack(8, widgets.Grow(widgets.NewText(name).Cutting()), off))
	}
	add := widgets.NewButton(widgets.Link, env.T("contacts.add_to"), p.onAddTo)
	env.IDs.Set("person.add_to", add)
	rows = append(rows, widgets.HStack(0, add, widgets.Space()))
	p.lists.Objects = rows
	p.lists.Refresh()
}

func (p *personPage) onAddTo() {
	env, who := p.v.env, p.chosen()
	if p.v.book.lists == nil {
		return
	}
	p.v.book.pickList(env.T("contacts.add_to.title"), env.Words.N("contacts.add_to.sentence", 1), env.T("action.add"), everybody, func(t Target) {
		p.v.run(env.T("contacts.adding"), func(ctx context.Context, tell report) error {
			_, err := addTo(ctx, env.Ledger, who, t, tell)
			return err
		}, nil)
	})
}

func (p *personPage) takeOff(name string) {
	env, id := p.v.env, p.id
	p.v.quiet(func(ctx context.Context) error {
		li, err := env.Ledger.ListByName(ctx, name)
		if err != nil {
			return err
		}
		_, err = env.Ledger.RemoveFromList(ctx, li.ID, []int64{id})
		return err
	}, nil)
}

// onWrite begins a mailing to this one.
func (p *personPage) onWrite() {
	p.leave(func() {
		p.v.env.Go(screens.Route{Screen: screens.Mailings, Verb: "new", To: []string{p.person.Address}})
	})
}

// keep stores what was written; then may be nil.
func (p *personPage) keep(then func()) {
	env, f, list := p.v.env, p.form(), p.list
	id := p.id
	p.v.quiet(func(ctx context.Context) (err error) {
		id, err = savePerson(ctx, env.Ledger, f, list)
		return err
	}, func() {
		p.id, p.person = id, nil
		if then != nil {
			then()
			return
		}
		p.changed()
	})
}

// leave asks what becomes of what was written, and goes.
func (p *personPage) leave(then func()) {
	env := p.v.env
	if !p.dirty() {
		then()
		return
	}
	dialogs.Choose(env.Words, env.Window, env.T("contacts.unsaved"), env.T("contacts.unsaved.sentence"),
		dialogs.Choice{Label: env.T("action.cancel")},
		dialogs.Choice{Label: env.T("contacts.unsaved.drop"), Danger: true, Do: func() {
			p.drop()
			then()
		}},
		dialogs.Choice{Label: env.T("action.save"), Default: true, Do: func() { p.keep(then) }})
}

// drop forgets what was written.
func (p *personPage) drop() {
	if p.person != nil {
		p.fillForm()
		return
	}
	p.filling = true
	p.address.SetText("")
	p.name.SetText("")
	p.filling = false
}

// close keeps what was written before the window goes elsewhere; what cannot be
// kept, such as half an address, stays on the page for now.
func (p *personPage) close(done func()) {
	if !p.dirty() {
		done()
		return
	}
	env, f, list := p.v.env, p.form(), p.list
	screens.Load(context.Background(), env, func(ctx context.Context) (int64, error) {
		return savePerson(ctx, env.Ledger, f, list)
	}, func(id int64, err error) {
		if err == nil {
			p.id, p.person = id, nil
		}
		done()
	})
}

func (p *personPage) loadMessages() {
	if p.person == nil {
		return
	}
	env, now, key, at := p.v.env, p.v.env.Now(), p.person.Key, p.pager.Page
	screens.Run(p.messages, func(ctx context.Context) (*MessagePage, error) {
		return LoadMessages(ctx, env.Ledger, env.Words, now, key, at)
	}, p.fillMessages)
}

func (p *personPage) fillMessages(m *MessagePage, err error) {
	if err != nil {
		p.v.failed(err)
		return
	}
	if len(m.Rows) == 0 && p.pager.From == 1 {
		p.nothingSent()
		p.right.Refresh()
		return
	}
	total := int64(-1)
	if m.Pages.Next == "" {
		total = p.pager.From + int64(len(m.Rows)) - 1
	}
	p.pager.Loaded(m.Pages, total)
	rows := make([]widgets.Row, len(m.Rows))
	for i, r := range m.Rows {
		rows[i] = widgets.Row{ID: r.ID, Cells: []widgets.Cell{
			{Text: r.Mailing},
			{Text: r.Outcome, Tone: widgets.StateTone(r.State), Pill: true},
			{Text: r.Back, Tone: widgets.ReceiptTone(r.Receipt), Pill: r.Back != ""},
			{Text: r.When, Tone: theme.Quiet},
		}}
	}
	p.grid.SetLoading(false)
	p.grid.SetPage(rows, p.pager.From, total)
	if !p.sent {
		p.sent = true
		head := widgets.Inset(12, 14, 2, 14, widgets.NewStrong(p.v.env.T("contacts.messages")))
		p.right.Objects = []fyne.CanvasObject{widgets.NewPlainCard(widgets.VStack(0, head, widgets.Grow(p.grid)))}
		p.right.Refresh()
	}
}

package mailings

import (
	"context"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"postroom/assets/icons"
	"postroom/assets/theme"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// page is one of the three things that the screen can show.
type page interface {
	object() fyne.CanvasObject
	show()
	hide()
	changed()
}

// View is the screen Mailings.
type View struct {
	env   *screens.Env
	stack *fyne.Container
	list  *listPageView
	page  page
}

var (
	_ screens.Screen  = (*View)(nil)
	_ screens.Dropper = (*View)(nil)
	_ screens.Closer  = (*View)(nil)
)

// New returns the screen, empty until it is shown.
func New(env *screens.Env) *View {
	v := &View{env: env, stack: container.NewStack()}
	v.list = newListPage(v)
	return v
}

// Content returns the screen's object.
func (v *View) Content() fyne.CanvasObject {
	return widgets.Inset(20, theme.ScreenEdge, theme.ScreenEdge, theme.ScreenEdge, v.stack)
}

// Show goes to the list, to a mailing, or to the composer.
func (v *View) Show(r screens.Route) {
	switch {
	case r.Verb == "new":
		v.turn(newEditor(v, post.Draft{To: r.To}))
	case r.Verb == "sample":
		v.turn(v.list)
		v.rehearseSample()
	case r.Draft != 0:
		v.openDraft(r.Draft)
	case r.ID != 0:
		v.turn(newDetailPage(v, r.ID))
	default:
		if _, writing := v.page.(*editor); writing {
			v.turn(v.page)
			return
		}
		v.turn(v.list)
	}
}

func (v *View) turn(p page) {
	if v.page != nil {
		v.page.hide()
	}
	v.page = p
	v.stack.Objects = []fyne.CanvasObject{p.object()}
	v.stack.Refresh()
	p.show()
}

// Hide stops what only this screen wants.
func (v *View) Hide() {
	if v.page != nil {
		v.page.hide()
	}
}

// Changed reads again what is shown.
func (v *View) Changed() {
	if v.page != nil {
		v.page.changed()
	}
}

// Drop attaches files to the draft that is being written.
func (v *View) Drop(paths []string) {
	if e, ok := v.page.(*editor); ok {
		e.attach(paths)
	}
}

// Close saves the draft that is being written.
func (v *View) Close(done func()) {
	if e, ok := v.page.(*editor); ok {
		e.save(done)
		return
	}
	done()
}

func (v *View) openDraft(id int64) {
	screens.Load(context.Background(), v.env, func(ctx context.Context) (post.Draft, error) {
		return v.env.Ledger.Draft(ctx, id)
	}, func(d post.Draft, err error) {
		if err != nil {
			dialogs.Error(v.env.Words, v.env.Window, err)
			v.turn(v.list)
			return
		}
		if d.Template { // it is begun with, not written in
			d.ID, d.Template, d.Name = 0, false, ""
		}
		v.turn(newEditor(v, d))
	})
}

// listPageView is the list of drafts and mailings.
type listPageView struct {
	v      *View
	loader *screens.Loader
	root   *fyne.Container
	body   *fyne.Container
	grid   *widgets.DataGrid
	card   fyne.CanvasObject
	items  []Item
	cursor []string // of the pages before this one
	next   string
}

func newListPage(v *View) *listPageView {
	env := v.env
	p := &listPageView{v: v, loader: screens.NewLoader(env), body: container.NewStack()}
	p.grid = widgets.NewDataGrid(env.Words,
		widgets.Column{Key: "name", Title: env.T("mailings.column.name"), Width: 320, Grow: 2},
		widgets.Column{Key: "state", Title: env.T("mailings.column.state"), Width: 190},
		widgets.Column{Key: "people", Title: env.T("mailings.column.people"), Width: 90, Align: fyne.TextAlignTrailing},
		widgets.Column{Key: "progress", Title: env.T("mailings.column.progress"), Width: 240, Grow: 1},
		widgets.Column{Key: "when", Title: env.T("mailings.column.changed"), Width: 140},
	)
	p.card = widgets.NewPlainCard(p.grid)
	p.grid.OnOpen = p.onOpen
	p.grid.OnDelete = p.onDelete
	p.grid.OnPage = p.onTurn
	fresh := widgets.NewButton(widgets.Primary, env.T("action.new_mailing"), func() { v.Show(screens.Route{Verb: "new"}) })
	sample := widgets.NewButton(widgets.Normal, env.T("action.rehearse_sample"), v.rehearseSample)
	env.IDs.Set("mailings.new", fresh)
	env.IDs.Set("mailings.sample", sample)
	env.IDs.Set("mailings.grid", p.grid)
	head := widgets.NewHeader(env.T("nav.mailings"), nil, sample, fresh)
	p.root = widgets.VStack(theme.Gap, head, widgets.Grow(p.body))
	return p
}

func (p *listPageView) object() fyne.CanvasObject { return p.root }

func (p *listPageView) show() {
	p.loader.Start()
	p.changed()
}

func (p *listPageView) hide() { p.loader.Stop() }

func (p *listPageView) changed() {
	now, cursor := p.v.env.Now(), ""
	if n := len(p.cursor); n > 0 {
		cursor = p.cursor[n-1]
	}
	screens.Run(p.loader, func(ctx context.Context) (*List, error) {
		return LoadList(ctx, p.v.env.Ledger, p.v.env.Words, now, cursor)
	}, p.fill)
}

func (p *listPageView) fill(l *List, err error) {
	if err != nil {
		dialogs.Error(p.v.env.Words, p.v.env.Window, err)
		return
	}
	p.items, p.next = l.Items, l.Next
	if len(l.Items) == 0 && len(p.cursor) == 0 {
		env := p.v.env
		p.body.Objects = []fyne.CanvasObject{widgets.NewCard("", nil, widgets.NewEmptyState(icons.Mailings, env.T("mailings.empty"),
			widgets.NewButton(widgets.Normal, env.T("mailings.empty.sample"), p.v.rehearseSample)))}
		p.body.Refresh()
		return
	}
	rows := make([]widgets.Row, len(l.Items))
	for i, it := range l.Items {
		tone := theme.Quiet
		if it.Mailing != 0 {
			tone = widgets.MailingTone(it.MailingState)
		}
		if it.Rehearsal {
			tone = theme.Quiet
		}
		rows[i] = widgets.Row{ID: rowID(it), Cells: []widgets.Cell{
			{Text: it.Name},
			{Text: it.State, Tone: tone, Pill: true},
			{Text: it.People},
			{Text: it.Progress, Tone: theme.Quiet},
			{Text: it.When, Tone: theme.Quiet},
		}}
	}
	from := int64(len(p.cursor)*listPage + 1)
	total := from + int64(len(rows)) - 1
	if l.Next != "" {
		total++
	}
	p.grid.SetPage(rows, from, total)
	if len(p.body.Objects) == 0 || p.body.Objects[0] != p.card {
		p.body.Objects = []fyne.CanvasObject{p.card}
		p.body.Refresh()
	}
}

// rowID tells drafts, which are negative, from mailings.
func rowID(it Item) int64 {
	if it.Draft != 0 {
		return -it.Draft
	}
	return it.Mailing
}

func (p *listPageView) onOpen(id int64) {
	if id < 0 {
		p.v.openDraft(-id)
		return
	}
	p.v.turn(newDetailPage(p.v, id))
}

func (p *listPageView) onTurn(t widgets.Turn) {
	switch {
	case t == widgets.NextPage && p.next != "":
		p.cursor = append(p.cursor, p.next)
	case t == widgets.PreviousPage && len(p.cursor) > 0:
		p.cursor = p.cursor[:len(p.cursor)-1]
	case t == widgets.FirstPage:
		p.cursor = nil
	default:
		return
	}
	p.changed()
}

// onDelete removes drafts; mailings are history and stay.
func (p *listPageView) onDelete(ids []int64) {
	var drafts []int64
	for _, id := range ids {
		if id < 0 {
			drafts = append(drafts, -id)
		}
	}
	if len(drafts) == 0 {
		return
	}
	env := p.v.env
	dialogs.Confirm(env.Words, env.Window, env.T("mailings.delete.title"), env.Words.N("mailings.delete", int64(len(drafts))), env.T("action.delete"), func() {
		screens.Load(context.Background(), env, func(ctx context.Context) (struct{}, error) {
			for _, id := range drafts {
				if err := env.Ledger.DeleteDraft(ctx, id); err != nil {
					return struct{}{}, err
				}
			}
			return struct{}{}, nil
		}, func(_ struct{}, err error) {
			if err != nil {
				dialogs.Error(env.Words, env.Window, err)
			}
			p.changed()
		})
	})
}

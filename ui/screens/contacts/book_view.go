package contacts

import (
	"context"
	"slices"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/icons"
	"postroom/assets/theme"
	"postroom/storage"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

const (
	typingPause = 250 * time.Millisecond
	// countPause is how often the lists are counted at most while others change
	// the ledger: with a million people that costs a tenth of a second.
	countPause = 2 * time.Second
	sideWidth  = 214 // pixels
)

// bookPage is the lists and the table beside them.
type bookPage struct {
	v       *View
	listing *screens.Loader
	loader  *screens.Loader
	counter *screens.Loader
	pager   *screens.Pager
	filter  storage.ContactFilter
	lists   *Lists
	recount time.Duration // when the lists are counted next, by Clock.Elapsed
	later   func()
	typing  func() // stops the wait for the end of typing; nil: none
	rows    []Row
	total   int64 // of what is shown; negative: not known yet

	root    *fyne.Container
	body    *fyne.Container
	right   *fyne.Container
	table   fyne.CanvasObject
	frame   fyne.CanvasObject
	strip   *fyne.Container
	rule    *widgets.Text
	side    *widgets.SideList
	search  *widgets.Entry
	grid    *widgets.DataGrid
	needed  []*widgets.Button // that act on a selection
	off     *widgets.Button   // takes off the list that is shown
	fresh   *widgets.Button   // makes a list
	more    *widgets.Button   // the list's menu
	stopped *stoppedPane
	noHits  fyne.CanvasObject // a search found nobody
	hollow  fyne.CanvasObject // instead of the table, where there is nobody
	hollows int64             // the list that it is about
}

var _ page = (*bookPage)(nil)

func newBookPage(v *View) *bookPage {
	env := v.env
	p := &bookPage{
		v: v, listing: screens.NewLoader(env), loader: screens.NewLoader(env), counter: screens.NewLoader(env),
		pager: screens.NewPager(pageSize), total: -1, body: container.NewStack(), right: container.NewStack(),
	}
	p.newGrid()
	p.search = widgets.NewEntry()
	p.search.SetPlaceHolder(env.T("contacts.search"))
	p.search.OnChanged = p.onSearch
	p.side = widgets.NewSideList()
	p.side.OnSelect = p.onList
	p.side.OnMenu = p.listMenu
	p.side.OnDelete = p.deleteList
	p.side.OnRename = p.renameList
	p.stopped = newStoppedPane(v)
	fresh := widgets.NewIconButton(icons.Add, env.T("lists.new"), p.newListMenu)
	more := widgets.NewButton(widgets.Flat, "⋯", func() { p.listMenu(p.side.Selected(), below(p.more)) })
	more.Hint = env.T("lists.more")
	p.fresh, p.more = fresh, more
	head := widgets.HStack(0, widgets.Grow(widgets.NewStrong(env.T("lists.title"))), more, fresh)
	lists := widgets.NewPlainCard(widgets.Inset(10, 8, 8, 8, widgets.VStack(6, widgets.Inset(0, 0, 0, 10, head), widgets.Grow(p.side))))
	p.rule = widgets.NewQuiet("").Wrapping()
	refresh := widgets.NewButton(widgets.Link, env.T("lists.refresh"), p.refreshList)
	change := widgets.NewButton(widgets.Link, env.T("lists.change_rule"), func() { p.editRule(p.filter.List) })
	p.strip = widgets.Inset(10, 12, 0, 14, widgets.VStack(2, p.rule, widgets.HStack(16, refresh, change, widgets.Space())))
	p.strip.Hide()
	p.table = widgets.NewPlainCard(widgets.VStack(0, p.strip, widgets.Inset(8, 12, 6, 10, p.bar()), widgets.Grow(p.grid)))
	left := widgets.FixedWidth(sideWidth, lists)
	// Tab goes through them in this order.
	p.frame = container.New(layout.NewBorderLayout(nil, nil, left, nil), left, widgets.Inset(0, 0, 0, theme.Gap-4, p.right))
	clean := widgets.NewButton(widgets.Normal, env.T("contacts.search.clear"), func() {
		p.search.SetText("")
		env.Window.Canvas().Focus(p.search)
	})
	p.noHits = widgets.NewCard("", nil, widgets.NewEmptyState(icons.Search, env.T("contacts.search.nobody"), clean))
	p.root = widgets.VStack(theme.Gap, p.header(), widgets.Grow(p.body))
	for id, o := range map[string]fyne.CanvasObject{
		"contacts.search": p.search, "contacts.lists": p.side, "contacts.grid": p.grid, "lists.new": fresh, "lists.more": more,
		"lists.refresh": refresh, "lists.change_rule": change,
	} {
		env.IDs.Set(id, o)
	}
	p.enable()
	return p
}

func (p *bookPage) newGrid() {
	env := p.v.env
	p.grid = widgets.NewDataGrid(env.Words,
		widgets.Column{Key: "address", Title: env.T("contacts.column.address"), Width: 240, Grow: 3, Sortable: true},
		widgets.Column{Key: "name", Title: env.T("contacts.column.name"), Width: 140, Grow: 2, Sortable: true},
		widgets.Column{Key: "lists", Title: env.T("contacts.column.lists"), Width: 120, Grow: 2},
		widgets.Column{Key: "mail", Title: env.T("contacts.column.mail"), Width: 150, Grow: 1},
		widgets.Column{Key: "added", Title: env.T("contacts.column.added"), Width: 120},
	)
	p.grid.Everything = true
	p.grid.SetSort("address", false)
	p.grid.OnSort = func(key string, desc bool) {
		p.filter.ByName, p.filter.Desc = key == "name", desc
		p.turned()
	}
	p.grid.OnPage = func(t widgets.Turn) {
		if t == widgets.LastPage && p.total < 0 { // its numbers are not known
			return
		}
		if p.pager.Turn(t) {
			p.grid.SetLoading(true)
			p.loadPage()
		}
	}
	p.grid.OnSelect = func([]int64) { p.enable() }
	p.grid.OnOpen = p.v.openPerson
	p.grid.OnDelete = func([]int64) { p.onDelete() }
	p.grid.OnMenu = func(_ []int64, at fyne.Position) { p.menu(at) }
	p.grid.OnPaste = p.v.onPaste
	p.grid.OnCopy = func([]int64) { p.onCopy() }
	screens.KeepWidths(env, "contacts", p.grid)
}

func (p *bookPage) header() fyne.CanvasObject {
	env := p.v.env
	person := widgets.NewButton(widgets.Normal, env.T("contacts.new"), func() { p.v.newPerson(p.list()) })
	export := widgets.NewButton(widgets.Normal, env.T("contacts.export"), p.onExport)
	load := widgets.NewButton(widgets.Primary, env.T("contacts.import"), func() { p.v.startImport("", p.list()) })
	env.IDs.Set("contacts.new", person)
	env.IDs.Set("contacts.export", export)
	env.IDs.Set("contacts.import", load)
	return widgets.NewHeader(env.T("nav.contacts"), []fyne.CanvasObject{widgets.Grow(p.search)}, person, export, load)
}

// bar holds what can be done with the people who are selected.
func (p *bookPage) bar() fyne.CanvasObject {
	env := p.v.env
	row := widgets.HStack(8)
	add := func(id, key string, do func()) *widgets.Button {
		b := widgets.NewButton(widgets.Normal, env.T(key), do)
		b.Small = true
		p.needed = append(p.needed, b)
		env.IDs.Set(id, b)
		row.Add(b)
		return b
	}
	add("contacts.add_to", "contacts.add_to", p.onAddTo)
	p.off = add("contacts.take_off", "contacts.take_off", p.onTakeOff)
	add("contacts.suppress", "contacts.suppress", p.onSuppress)
	add("contacts.mail", "contacts.mail", p.onMail)
	var more *widgets.Button
	more = add("contacts.more", "contacts.more", func() { p.menu(below(more)) })
	return row
}

// below is where a menu of a widget opens.
func below(o fyne.CanvasObject) fyne.Position {
	return fyne.CurrentApp().Driver().AbsolutePositionForObject(o).AddXY(0, o.Size().Height+2)
}

func (p *bookPage) popUp(at fyne.Position, items ...*fyne.MenuItem) {
	widget.ShowPopUpMenuAtPosition(fyne.NewMenu("", items...), p.v.env.Window.Canvas(), at)
}

func (p *bookPage) object() fyne.CanvasObject { return p.root }

func (p *bookPage) show() {
	for _, l := range []*screens.Loader{p.listing, p.loader, p.counter} {
		l.Start()
	}
	p.stopped.loader.Start()
	p.recount = 0
	p.changed()
}

func (p *bookPage) hide() {
	for _, l := range []*screens.Loader{p.listing, p.loader, p.counter, p.stopped.loader} {
		l.Stop()
	}
	if p.later != nil {
		p.later()
		p.later = nil
	}
}

// again counts the lists again without waiting, and lets go of the selection.
func (p *bookPage) again() {
	p.recount = 0
	p.grid.SetSelected()
	p.stopped.grid.SetSelected()
	p.enable()
}

func (p *bookPage) changed() {
	p.loadLists()
	switch {
	case p.filter.List == notMailed:
		p.stopped.load()
	case p.filter.Search == "": // a search is repeated no oftener than the lists are counted
		p.loadPage()
	}
}

// list is the user's list that is shown, or everybody.
func (p *bookPage) list() int64 { return max(everybody, p.filter.List) }

func (p *bookPage) loadLists() {
	env := p.v.env
	elapsed := env.Clock.Elapsed()
	if wait := p.recount - elapsed; wait > 0 {
		if p.later == nil {
			p.later = env.After(wait, func() {
				p.later = nil
				p.loadLists()
			})
		}
		return
	}
	p.recount = elapsed + countPause
	if p.filter.Search != "" && p.filter.List != notMailed {
		p.loadPage()
	}
	now := env.Now()
	screens.Run(p.listing, func(ctx context.Context) (*Lists, error) {
		return LoadLists(ctx, env.Ledger, env.Words, now)
	}, p.fillLists)
}

func (p *bookPage) fillLists(m *Lists, err error) {
	env := p.v.env
	if err != nil {
		dialogs.Error(env.Words, env.Window, err)
		return
	}
	p.lists = m
	if p.filter.List > everybody && m.find(p.filter.List) == nil { // it was removed
		p.filter.List = everybody
		p.side.Select(everybody)
		p.refilter()
	}
	items := []widgets.SideItem{{ID: everybody, Label: env.T("contacts.everybody"), Badge: env.Words.Number(m.All)}}
	for i, li := range m.Items {
		icon := icons.Icon("")
		if li.rule != nil {
			icon = icons.Search
		}
		items = append(items, widgets.SideItem{ID: li.ID, Label: li.Name, Badge: env.Words.Number(li.N), Icon: icon, Break: i == 0})
	}
	items = append(items, widgets.SideItem{ID: notMailed, Label: env.T("contacts.not_mailed_list"), Badge: env.Words.Number(m.NotMailed), Icon: icons.Stop, Break: true})
	p.side.SetItems(items)
	p.stopped.offer(m.Items)
	p.showRule()
	if p.filter.Search == "" {
		p.setTotal(m.total(p.filter))
	}
	p.arrange()
}

// setTotal takes over how many there are.
func (p *bookPage) setTotal(n int64) {
	if p.total == n {
		return
	}
	p.total, p.pager.Total = n, n
	if !p.grid.Loading() {
		p.grid.SetTotal(n)
	}
}

func (p *bookPage) showRule() {
	item := p.lists.find(p.filter.List)
	ruled := item != nil && item.rule != nil
	if ruled {
		p.rule.SetText(p.v.env.T("lists.rule.chosen", item.Rule, item.Chosen))
	}
	if p.strip.Hidden == ruled {
		p.strip.Hidden = !ruled
		p.table.Refresh() // what is below moves
	}
}

// arrange shows the table, or what there is to say instead.
func (p *bookPage) arrange() {
	want := p.frame
	if p.lists != nil && p.lists.All == 0 && len(p.lists.Items) == 0 && p.lists.NotMailed == 0 {
		want = p.instead(everybody, p.nobody)
	}
	if len(p.body.Objects) == 0 || p.body.Objects[0] != want {
		p.body.Objects = []fyne.CanvasObject{want}
		p.body.Refresh()
	}
	inside := p.table
	switch {
	case p.filter.List == notMailed:
		inside = p.stopped.card
	case len(p.rows) > 0 || p.grid.Loading():
	case p.filter.Search != "":
		inside = p.noHits
	case p.filter.List > everybody:
		inside = p.instead(p.filter.List, p.emptyList)
	}
	if len(p.right.Objects) == 0 || p.right.Objects[0] != inside {
		p.right.Objects = []fyne.CanvasObject{inside}
		p.right.Refresh()
	}
}

// showsTable reports whether the table of people is in the window.
func (p *bookPage) showsTable() bool {
	return len(p.body.Objects) == 1 && p.body.Objects[0] == p.frame && len(p.right.Objects) == 1 && p.right.Objects[0] == p.table
}

// instead makes what stands in the place of a table once a list.
func (p *bookPage) instead(list int64, build func() fyne.CanvasObject) fyne.CanvasObject {
	if p.hollow == nil || p.hollows != list {
		p.hollow, p.hollows = build(), list
	}
	return p.hollow
}

func (p *bookPage) nobody() fyne.CanvasObject {
	env := p.v.env
	load := widgets.NewButton(widgets.Primary, env.T("contacts.empty.import"), func() { p.v.startImport("", everybody) })
	person := widgets.NewButton(widgets.Normal, env.T("contacts.new"), func() { p.v.newPerson(everybody) })
	return widgets.NewCard("", nil, widgets.NewEmptyState(icons.Contacts, env.T("contacts.empty"), person, load))
}

func (p *bookPage) emptyList() fyne.CanvasObject {
	env, list := p.v.env, p.filter.List
	if item := p.lists.find(list); item != nil && item.rule != nil {
		return widgets.NewPlainCard(widgets.VStack(0, p.strip, widgets.Grow(widgets.NewEmptyState(icons.Contacts, env.T("lists.empty.rule")))))
	}
	load := widgets.NewButton(widgets.Normal, env.T("contacts.empty.import"), func() { p.v.startImport("", list) })
	person := widgets.NewButton(widgets.Normal, env.T("contacts.new"), func() { p.v.newPerson(list) })
	return widgets.NewCard("", nil, widgets.NewEmptyState(icons.Contacts, env.T("lists.empty"), person, load))
}

func (p *bookPage) loadPage() {
	env, now, f, at := p.v.env, p.v.env.Now(), p.filter, p.pager.Page
	screens.Run(p.loader, func(ctx context.Context) (*Page, error) {
		return LoadPage(ctx, env.Ledger, env.Words, now, f, at)
	}, p.fillPage)
}

func (p *bookPage) fillPage(m *Page, err error) {
	env := p.v.env
	if err != nil {
		dialogs.Error(env.Words, env.Window, err)
		return
	}
	if p.filter.Search != "" && m.Pages.Next == "" && p.pager.From == 1 {
		p.total = int64(len(m.Rows)) // all of them are here
	}
	p.pager.Loaded(m.Pages, p.total)
	same := !p.grid.Loading() && slices.Equal(p.rows, m.Rows)
	p.rows = m.Rows
	if same {
		p.arrange()
		return
	}
	rows := make([]widgets.Row, len(m.Rows))
	for i, r := range m.Rows {
		tone := theme.Plain
		if r.Suppressed != "" {
			tone = theme.Quiet
		}
		rows[i] = widgets.Row{ID: r.ID, Cells: []widgets.Cell{
			{Text: r.Address, Tone: tone},
			{Text: r.Name, Tone: tone},
			{Text: r.Lists, Tone: theme.Quiet},
			{Text: r.Suppressed, Tone: theme.Attention},
			{Text: r.Added, Tone: theme.Quiet},
		}}
	}
	p.grid.SetLoading(false)
	p.grid.SetPage(rows, p.pager.From, p.total)
	p.enable()
	p.arrange()
}

// count asks how many a search finds, beside the page, which does not wait.
func (p *bookPage) count() {
	env, f := p.v.env, p.filter
	screens.Run(p.counter, func(ctx context.Context) (int64, error) {
		return env.Ledger.CountContacts(ctx, f)
	}, func(n int64, err error) {
		if err == nil && f == p.filter {
			p.setTotal(n)
		}
	})
}

func (p *bookPage) onList(id int64) {
	p.filter.List = id
	if p.lists != nil {
		p.showRule()
	}
	p.refilter()
}

func (p *bookPage) onSearch(s string) {
	if p.typing != nil {
		p.typing()
	}
	p.typing = p.v.env.After(typingPause, func() {
		if s = strings.TrimSpace(s); s != p.filter.Search {
			p.filter.Search = s
			p.refilter()
		}
	})
}

// refilter shows other people than before: whoever was selected is let go.
func (p *bookPage) refilter() {
	p.grid.SetSelected()
	if p.filter.List == notMailed {
		p.stopped.find(p.filter.Search)
		p.arrange()
		return
	}
	p.total = p.lists.total(p.filter)
	p.turned()
	if p.filter.Search != "" {
		p.restart(p.counter)
		p.count()
	}
}

// turned begins at the first page again, and drops a page that is still read:
// nobody waits for it.
func (p *bookPage) turned() {
	p.pager.First()
	p.grid.SetLoading(true)
	p.enable()
	p.restart(p.loader)
	p.loadPage()
	p.arrange()
}

func (p *bookPage) restart(l *screens.Loader) {
	l.Stop()
	l.Start()
}

// enable switches what needs a selection.
func (p *bookPage) enable() {
	n := p.grid.Count()
	for _, b := range p.needed {
		if n > 0 != b.Disabled() {
			continue
		}
		if n > 0 {
			b.Enable()
		} else {
			b.Disable()
		}
	}
	item := p.lists.find(p.filter.List)
	if hide := item == nil || item.rule != nil; hide == p.off.Visible() {
		p.off.Hidden = hide
		p.off.Refresh()
		p.table.Refresh()
	}
}

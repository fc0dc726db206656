package contacts

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"postroom/assets/icons"
	"postroom/assets/theme"
	people "postroom/contacts"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// View is the screen Contacts.
type View struct {
	env    *screens.Env
	loader *screens.Loader
	who    *screens.Loader
	pager  *screens.Pager
	filter storage.ContactFilter
	root   *fyne.Container
	body   *fyne.Container
	table  fyne.CanvasObject
	panel  *fyne.Container
	grid   *widgets.DataGrid
	search *widgets.Entry
	list   *widgets.Select
	lists  []ListItem
	acts   []*widgets.Button
	quiet  bool
	typing *time.Timer
	person int64
	rows   map[int64]Row
}

var (
	_ screens.Screen  = (*View)(nil)
	_ screens.Dropper = (*View)(nil)
)

const pageSize = 100

// New returns the contacts, empty until they are shown.
func New(env *screens.Env) *View {
	v := &View{
		env: env, loader: screens.NewLoader(env), who: screens.NewLoader(env), pager: screens.NewPager(pageSize),
		body: container.NewStack(), panel: container.NewStack(), rows: map[int64]Row{},
	}
	v.grid = widgets.NewDataGrid(env.Words,
		widgets.Column{Key: "address", Title: env.T("contacts.column.address"), Width: 240, Grow: 2, Sortable: true},
		widgets.Column{Key: "name", Title: env.T("contacts.column.name"), Width: 150, Grow: 1, Sortable: true},
		widgets.Column{Key: "lists", Title: env.T("contacts.column.lists"), Width: 130, Grow: 1},
		widgets.Column{Key: "added", Title: env.T("contacts.column.added"), Width: 125},
	)
	v.grid.SetSort("address", false)
	v.grid.OnSort = func(key string, desc bool) {
		v.filter.ByName, v.filter.Desc = key == "name", desc
		v.refilter()
	}
	v.grid.OnPage = func(t widgets.Turn) {
		if v.pager.Turn(t) {
			v.grid.SetLoading(true)
			v.Changed()
		}
	}
	v.grid.OnSelect = func([]int64) { v.enable() }
	v.grid.OnCurrent = v.onCurrent
	v.grid.OnDelete = func([]int64) { v.onDelete() }
	v.table = widgets.NewPlainCard(v.grid)
	v.search = widgets.NewEntry()
	v.search.SetPlaceHolder(env.T("contacts.search"))
	v.search.OnChanged = v.onSearch
	v.list = widgets.NewSelect([]string{env.T("contacts.everybody")}, func(string) { v.onList() })
	v.root = widgets.VStack(theme.Gap, v.header(), widgets.Grow(v.body))
	v.enable()
	return v
}

func (v *View) header() fyne.CanvasObject {
	env := v.env
	stop := widgets.NewButton(widgets.Normal, env.T("contacts.suppress"), v.onSuppress)
	remove := widgets.NewButton(widgets.Danger, env.T("action.delete"), v.onDelete)
	v.acts = []*widgets.Button{stop, remove}
	export := widgets.NewButton(widgets.Normal, env.T("action.export"), v.onExport)
	load := widgets.NewButton(widgets.Primary, env.T("action.import"), func() { v.askImport("") })
	for id, o := range map[string]fyne.CanvasObject{
		"contacts.import": load, "contacts.export": export, "contacts.search": v.search, "contacts.list": v.list,
		"contacts.grid": v.grid, "contacts.suppress": stop, "contacts.delete": remove,
	} {
		env.IDs.Set(id, o)
	}
	return widgets.NewHeader(env.T("nav.contacts"), []fyne.CanvasObject{widgets.Grow(v.search), widgets.FixedWidth(190, v.list)}, stop, remove, export, load)
}

// Content returns the screen's object.
func (v *View) Content() fyne.CanvasObject {
	return widgets.Inset(20, theme.ScreenEdge, theme.ScreenEdge, theme.ScreenEdge, v.root)
}

// Show starts to load.
func (v *View) Show(r screens.Route) {
	v.loader.Start()
	v.who.Start()
	v.Changed()
	if r.Verb == "import" {
		v.askImport("")
	}
}

// Hide drops what is under way.
func (v *View) Hide() {
	v.loader.Stop()
	v.who.Stop()
}

// Drop begins an import of the first file.
func (v *View) Drop(paths []string) { v.askImport(paths[0]) }

// Changed reads the page again.
func (v *View) Changed() {
	now, f, p := v.env.Now(), v.filter, v.pager.Page
	screens.Run(v.loader, func(ctx context.Context) (*Model, error) {
		return Load(ctx, v.env.Ledger, v.env.Words, now, f, p)
	}, v.fill)
}

func (v *View) fill(m *Model, err error) {
	env := v.env
	if err != nil {
		dialogs.Error(env.Words, env.Window, err)
		return
	}
	v.pager.Loaded(m.Pages, m.Total)
	v.fillLists(m.Lists)
	if m.All == 0 {
		load := widgets.NewButton(widgets.Primary, env.T("contacts.empty.import"), func() { v.askImport("") })
		v.body.Objects = []fyne.CanvasObject{widgets.NewCard("", nil, widgets.NewEmptyState(icons.Contacts, env.T("contacts.empty"), load))}
		v.root.Refresh()
		return
	}
	clear(v.rows)
	rows := make([]widgets.Row, len(m.Rows))
	for i, r := range m.Rows {
		v.rows[r.ID] = r
		tone, address := theme.Plain, r.Address
		if r.Suppressed != "" {
			tone, address = theme.Quiet, r.Address+"  ("+r.Suppressed+")"
		}
		rows[i] = widgets.Row{ID: r.ID, Cells: []widgets.Cell{
			{Text: address, Tone: tone}, {Text: r.Name, Tone: tone}, {Text: r.Lists, Tone: theme.Quiet}, {Text: r.Added, Tone: theme.Quiet},
		}}
	}
	v.grid.SetLoading(false)
	v.grid.SetPage(rows, v.pager.From, m.Total)
	v.body.Objects = []fyne.CanvasObject{widgets.Columns(theme.Gap, []float32{700, 330}, v.table, v.panel)}
	if len(m.Rows) > 0 && v.person == 0 {
		v.onCurrent(m.Rows[0].ID)
	}
	v.enable()
	v.root.Refresh()
}

func (v *View) fillLists(all []ListItem) {
	v.quiet = true
	defer func() { v.quiet = false }()
	v.lists = all
	names, at := make([]string, len(all)), 0
	for i, l := range all {
		names[i] = v.env.T("composer.list", l.Name, l.N)
		if l.ID == v.filter.List {
			at = i
		}
	}
	v.list.SetOptions(names)
	v.list.SetSelectedIndex(at)
}

func (v *View) onList() {
	if i := v.list.SelectedIndex(); !v.quiet && i >= 0 && i < len(v.lists) {
		v.filter.List = v.lists[i].ID
		v.refilter()
	}
}

func (v *View) onSearch(s string) {
	if v.typing != nil {
		v.typing.Stop()
	}
	v.typing = time.AfterFunc(250*time.Millisecond, func() {
		v.env.Post(func() {
			v.filter.Search = strings.TrimSpace(s)
			v.refilter()
		})
	})
}

func (v *View) refilter() {
	v.pager.First()
	v.person = 0
	v.Changed()
}

func (v *View) enable() {
	for _, b := range v.acts {
		if len(v.grid.Selected()) > 0 {
			b.Enable()
		} else {
			b.Disable()
		}
	}
}

func (v *View) onCurrent(id int64) {
	v.person = id
	now := v.env.Now()
	screens.Run(v.who, func(ctx context.Context) (*Person, error) {
		return LoadPerson(ctx, v.env.Ledger, v.env.Words, now, id)
	}, func(p *Person, err error) {
		if err != nil || p.ID != v.person {
			return
		}
		v.panel.Objects = []fyne.CanvasObject{v.panelOf(p)}
		v.panel.Refresh()
	})
}

func (v *View) panelOf(p *Person) fyne.CanvasObject {
	env := v.env
	name := p.Name
	if name == "" {
		name = p.Address
	}
	lines := []fyne.CanvasObject{widgets.NewStrong(name).Wrapping(), widgets.NewQuiet(p.Address).Wrapping()}
	if p.Suppressed != "" {
		undo := widgets.NewButton(widgets.Link, env.T("contacts.unsuppress"), func() { v.unsuppress(p.Key) })
		lines = append(lines, widgets.NewText(env.T("contacts.not_mailed", p.Suppressed)).Toned(theme.Attention).Wrapping(), undo)
	}
	if p.Lists != "" {
		lines = append(lines, widgets.NewDivider(), widgets.NewSmall(env.T("contacts.column.lists")), widgets.NewText(p.Lists).Wrapping())
	}
	if len(p.Fields) > 0 {
		lines = append(lines, widgets.NewDivider())
		for _, f := range p.Fields {
			lines = append(lines, widgets.Columns(8, []float32{2, 3}, widgets.NewQuiet(f[0]).Cutting(), widgets.NewText(f[1]).Wrapping()))
		}
	}
	lines = append(lines, widgets.NewDivider(), widgets.NewSmall(env.T("contacts.messages")))
	if len(p.Messages) == 0 {
		lines = append(lines, widgets.NewQuiet(env.T("contacts.no_messages")).Wrapping())
	}
	for _, m := range p.Messages {
		lines = append(lines, widgets.NewText(m).Wrapping())
	}
	return widgets.NewCard("", nil, container.NewVScroll(widgets.VStack(8, lines...)))
}

// do carries out a change and reads again.
func (v *View) do(work func(context.Context) error) {
	env := v.env
	screens.Load(context.Background(), env, func(ctx context.Context) (struct{}, error) { return struct{}{}, work(ctx) },
		func(_ struct{}, err error) {
			if err != nil {
				dialogs.Error(env.Words, env.Window, err)
			}
			v.grid.SetSelected()
			v.person = 0
			v.Changed()
		})
}

func (v *View) onSuppress() {
	ids, env := v.grid.Selected(), v.env
	if len(ids) == 0 {
		return
	}
	dialogs.Confirm(env.Words, env.Window, env.T("contacts.suppress"), env.Words.N("contacts.suppress.sure", int64(len(ids))), env.T("contacts.suppress"), func() {
		v.do(func(ctx context.Context) error {
			var all []post.Suppression
			for _, id := range ids {
				c, err := env.Ledger.Contact(ctx, id)
				if err != nil {
					return err
				}
				all = append(all, post.Suppression{Key: c.Key, Address: c.Address, Reason: "you", Source: "you"})
			}
			_, err := env.Ledger.Suppress(ctx, all)
			return err
		})
	})
}

func (v *View) unsuppress(key string) {
	v.do(func(ctx context.Context) error {
		_, err := v.env.Ledger.Unsuppress(ctx, []string{key})
		return err
	})
}

func (v *View) onDelete() {
	ids, env := v.grid.Selected(), v.env
	if len(ids) == 0 {
		return
	}
	dialogs.ConfirmLoss(env.Words, env.Window, env.T("action.delete"), env.Words.N("contacts.delete.sure", int64(len(ids))), env.T("action.delete"), func() {
		v.do(func(ctx context.Context) error { return env.Ledger.DeleteContacts(ctx, ids) })
	})
}

func (v *View) onExport() {
	env, f := v.env, v.filter
	dialogs.SaveFile(env.Words, env.Window, env.T("action.export"), "contacts.csv", func(path string) {
		dialogs.Work(env.Words, env.Window, env.Post, env.T("contacts.exporting"), func(ctx context.Context, _ func(done, total int64)) error {
			return people.ExportFile(path, func(yield func(post.Contact, error) bool) {
				for c, err := range env.Ledger.EachContact(ctx, f) {
					if !yield(c.Contact, err) {
						return
					}
				}
			})
		}, func(err error) {
			if err != nil && !isCancelled(err) {
				dialogs.Error(env.Words, env.Window, err)
			}
		})
	})
}

// askImport asks for the file and the list, shows what would happen, and does
// it when the user says so.
func (v *View) askImport(path string) {
	env := v.env
	file, list := widgets.NewEntry(), widgets.NewEntry()
	file.SetText(path)
	file.SetPlaceHolder(env.T("contacts.import.file.hint"))
	list.SetText(env.T("contacts.import.list.default"))
	if path != "" {
		list.SetText(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
	}
	browse := widgets.NewButton(widgets.Normal, env.T("action.browse"), func() {
		dialogs.PickFiles(env.Words, env.Window, env.T("contacts.import.title"), func(paths []string) {
			if len(paths) > 0 {
				file.SetText(paths[0])
			}
		})
	})
	env.IDs.Set("import.file", file)
	env.IDs.Set("import.list", list)
	label := func(key string) fyne.CanvasObject { return widgets.FixedWidth(60, widgets.NewQuiet(env.T(key))) }
	body := widgets.VStack(10, widgets.NewQuiet(env.T("contacts.import.sentence")).Wrapping(),
		widgets.HStack(10, label("contacts.import.file"), widgets.Grow(file), browse),
		widgets.HStack(10, label("contacts.import.list"), widgets.Grow(list)))
	dialogs.Form(env.Words, env.Window, env.T("contacts.import.title"), env.T("action.next"), body, file, func() string {
		if strings.TrimSpace(file.Text) == "" {
			return env.T("contacts.import.no_file")
		}
		if strings.TrimSpace(list.Text) == "" {
			return env.T("contacts.no_list")
		}
		v.planImport(strings.TrimSpace(file.Text), strings.TrimSpace(list.Text))
		return ""
	})
}

func (v *View) planImport(path, list string) {
	env := v.env
	var plan *Plan
	dialogs.Work(env.Words, env.Window, env.Post, env.T("contacts.import.reading"), func(ctx context.Context, report func(done, total int64)) error {
		var err error
		plan, err = Rehearse(ctx, env.Ledger, env.Words, path, list, report)
		return err
	}, func(err error) {
		if err != nil {
			if !isCancelled(err) {
				dialogs.Error(env.Words, env.Window, err)
			}
			return
		}
		v.confirmImport(plan)
	})
}

func (v *View) confirmImport(p *Plan) {
	env, r := v.env, p.Report
	lines := []fyne.CanvasObject{widgets.NewStrong(env.T("contacts.import.columns"))}
	for _, c := range p.Columns {
		lines = append(lines, widgets.Columns(12, []float32{1, 1}, widgets.NewQuiet(c[0]).Cutting(), widgets.NewText(c[1]).Cutting()))
	}
	if len(r.Problems) > 0 {
		lines = append(lines, widgets.NewDivider(), widgets.NewStrong(env.Words.N("contacts.import.problems", int64(len(r.Problems)))))
		for _, line := range problemLines(env.Words, &r) {
			lines = append(lines, widgets.NewText(line).Wrapping())
		}
	}
	sentence := env.T("contacts.import.plan", r.Added, r.Updated, r.Unchanged, r.Skipped)
	scroll := container.NewVScroll(widgets.Inset(12, 16, 12, 14, widgets.VStack(6, lines...)))
	scroll.SetMinSize(fyne.NewSize(0, 260))
	body := widgets.VStack(10, widgets.NewText(sentence).Wrapping(), widgets.NewPlainCard(scroll))
	dialogs.Form(env.Words, env.Window, env.T("contacts.import.title"), env.T("action.import"), body, nil, func() string {
		v.carryOut(p)
		return ""
	})
}

func (v *View) carryOut(p *Plan) {
	env := v.env
	dialogs.Work(env.Words, env.Window, env.Post, env.T("contacts.import.writing"), func(ctx context.Context, report func(done, total int64)) error {
		_, err := Import(ctx, env.Ledger, p, report)
		return err
	}, func(err error) {
		if err != nil && !isCancelled(err) {
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		v.person = 0
		v.Changed()
	})
}

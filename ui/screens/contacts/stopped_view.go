package contacts

import (
	"context"
	"path/filepath"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/theme"
	people "postroom/contacts"
	"postroom/storage"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// stoppedPane is the table of the addresses that are not mailed.
type stoppedPane struct {
	v      *View
	loader *screens.Loader
	pager  *screens.Pager
	search string
	list   int64 // whose; 0: those who are never mailed
	lists  []int64
	name   string // the list's
	where  *widgets.Select
	note   *widgets.Text
	rows   []Stopped
	keys   map[int64]string // by the number that a row has in the table
	ids    map[string]int64
	grid   *widgets.DataGrid
	again  *widgets.Button
	card   fyne.CanvasObject
}

func newStoppedPane(v *View) *stoppedPane {
	env := v.env
	p := &stoppedPane{v: v, loader: screens.NewLoader(env), pager: screens.NewPager(pageSize), keys: map[int64]string{}, ids: map[string]int64{}}
	p.grid = widgets.NewDataGrid(env.Words,
		widgets.Column{Key: "address", Title: env.T("contacts.column.address"), Width: 240, Grow: 2},
		widgets.Column{Key: "reason", Title: env.T("contacts.column.reason"), Width: 200, Grow: 1},
		widgets.Column{Key: "source", Title: env.T("contacts.column.source"), Width: 170, Grow: 1},
		widgets.Column{Key: "since", Title: env.T("contacts.column.since"), Width: 125},
	)
	p.grid.OnPage = func(t widgets.Turn) {
		if p.pager.Turn(t) {
			p.grid.SetLoading(true)
			p.load()
		}
	}
	p.grid.OnSelect = func([]int64) { p.enable() }
	p.grid.OnDelete = func([]int64) { p.onAgain() }
	p.grid.OnMenu = func(_ []int64, at fyne.Position) {
		widget.ShowPopUpMenuAtPosition(fyne.NewMenu("", fyne.NewMenuItem(env.T("contacts.unsuppress"), p.onAgain)), env.Window.Canvas(), at)
	}
	screens.KeepWidths(env, "stopped", p.grid)
	p.again = widgets.NewButton(widgets.Normal, env.T("contacts.unsuppress"), p.onAgain)
	add := widgets.NewButton(widgets.Normal, env.T("stopped.add"), p.onAdd)
	load := widgets.NewButton(widgets.Normal, env.T("stopped.import"), p.onImport)
	save := widgets.NewButton(widgets.Normal, env.T("stopped.export"), p.onExport)
	p.where = widgets.NewSelect([]string{env.T("stopped.everywhere")}, nil)
	env.IDs.Set("stopped.where", p.where)
	row := widgets.HStack(8)
	for id, b := range map[string]*widgets.Button{"stopped.again": p.again, "stopped.add": add, "stopped.import": load, "stopped.export": save} {
		b.Small = true
		env.IDs.Set(id, b)
	}
	for _, b := range []*widgets.Button{p.again, add, load, save} {
		row.Add(b)
	}
	row.Add(widgets.Space())
	row.Add(widgets.FixedWidth(200, p.where))
	env.IDs.Set("stopped.grid", p.grid)
	p.note = widgets.NewQuiet(env.T("stopped.sentence")).Wrapping()
	p.card = widgets.NewPlainCard(widgets.VStack(0, widgets.Inset(10, 14, 0, 14, p.note), widgets.Inset(8, 12, 6, 10, row), widgets.Grow(p.grid)))
	p.enable()
	return p
}

func (p *stoppedPane) enable() {
	if len(p.grid.Selected()) > 0 {
		p.again.Enable()
	} else {
		p.again.Disable()
	}
}

// offer lets the user look at those of one list.
func (p *stoppedPane) offer(all []ListItem) {
	options, at := []string{p.v.env.T("stopped.everywhere")}, 0
	p.lists = []int64{everybody}
	names := []string{""}
	for i, li := range all {
		options, p.lists, names = append(options, p.v.env.T("stopped.of", li.Name)), append(p.lists, li.ID), append(names, li.Name)
		if li.ID == p.list {
			at = i + 1
		}
	}
	p.where.OnChanged = nil
	p.where.SetOptions(options)
	p.where.SetSelectedIndex(at)
	p.where.OnChanged = func(string) {
		if i := max(0, p.where.SelectedIndex()); p.lists[i] != p.list {
			p.choose(p.lists[i], names[i])
		}
	}
	if p.lists[at] != p.list { // the list is gone
		p.choose(everybody, "")
		return
	}
	p.name = names[at]
	p.tell()
}

// choose shows those of a list, or those who are never mailed.
func (p *stoppedPane) choose(list int64, name string) {
	p.list, p.name = list, name
	p.tell()
	p.find(p.search)
}

// tell says who stands here.
func (p *stoppedPane) tell() { p.note.SetText(p.sentence("stopped.sentence")) }

// sentence is what a key says of those who are never mailed, or what its fellow
// says of those of a list.
func (p *stoppedPane) sentence(key string) string {
	if p.list == everybody {
		return p.v.env.T(key)
	}
	return p.v.env.T(key+"_list", p.name)
}

// find shows those whose address holds a text.
func (p *stoppedPane) find(search string) {
	p.search = search
	p.pager.First()
	p.grid.SetSelected()
	p.grid.SetLoading(true)
	p.loader.Stop()
	p.loader.Start()
	p.load()
}

func (p *stoppedPane) load() {
	env, now, list, search, at := p.v.env, p.v.env.Now(), p.list, p.search, p.pager.Page
	screens.Run(p.loader, func(ctx context.Context) (*StoppedPage, error) {
		return LoadStopped(ctx, env.Ledger, env.Words, now, list, search, at)
	}, p.fill)
}

// number gives an address the number by which the table knows it.
func (p *stoppedPane) number(key string) int64 {
	id, ok := p.ids[key]
	if !ok {
		id = int64(len(p.ids) + 1)
		p.ids[key], p.keys[id] = id, key
	}
	return id
}

func (p *stoppedPane) fill(m *StoppedPage, err error) {
	if err != nil {
		p.v.failed(err)
		return
	}
	p.pager.Loaded(m.Pages, m.Total)
	p.rows = m.Rows
	rows := make([]widgets.Row, len(m.Rows))
	for i, r := range m.Rows {
		rows[i] = widgets.Row{ID: p.number(r.Key), Cells: []widgets.Cell{
			{Text: r.Address}, {Text: r.Reason, Tone: theme.Attention}, {Text: r.Source, Tone: theme.Quiet}, {Text: r.When, Tone: theme.Quiet},
		}}
	}
	p.grid.SetLoading(false)
	p.grid.SetPage(rows, p.pager.From, m.Total)
	p.enable()
}

func (p *stoppedPane) onAgain() {
	env, list := p.v.env, p.list
	var keys []string
	for _, id := range p.grid.Selected() {
		keys = append(keys, p.keys[id])
	}
	if len(keys) == 0 {
		return
	}
	dialogs.Confirm(env.Words, env.Window, env.T("contacts.unsuppress"), env.Words.N("contacts.unsuppress.sure", int64(len(keys))), env.T("contacts.unsuppress"), func() {
		p.v.quiet(func(ctx context.Context) error {
			var err error
			if list != everybody {
				_, err = env.Ledger.UnsuppressFor(ctx, list, keys)
			} else {
				_, err = env.Ledger.Unsuppress(ctx, keys)
			}
			return err
		}, nil)
	})
}

func (p *stoppedPane) onAdd() {
	env, list := p.v.env, p.list
	typed := widgets.NewMultiLineEntry()
	typed.SetPlaceHolder(env.T("stopped.add.hint"))
	env.IDs.Set("stopped.addresses", typed)
	body, reason := reasonForm(env, widgets.NewQuiet(p.sentence("stopped.add.sentence")).Wrapping(), widgets.FixedHeight(110, typed))
	dialogs.Form(env.Words, env.Window, env.T("stopped.add"), env.T("contacts.suppress.yes"), body, typed, func() string {
		text, why := typed.Text, reason()
		if strings.TrimSpace(text) == "" {
			return env.T("stopped.add.none")
		}
		p.v.quiet(func(ctx context.Context) error {
			_, err := stopAddresses(ctx, env.Ledger, list, text, why)
			return err
		}, nil)
		return ""
	})
}

func (p *stoppedPane) onImport() {
	env, list := p.v.env, p.list
	p.v.openFile(env.T("stopped.import"), func(path string) {
		var added, known int64
		var problems []people.Problem
		p.v.run(env.T("contacts.import.reading"), func(ctx context.Context, _ report) (err error) {
			added, known, problems, err = stopFile(ctx, env.Ledger, list, path, tempFolder(env.Ledger))
			return err
		}, func() {
			lines := make([]string, 0, len(problems))
			for _, x := range problems {
				lines = append(lines, problemLine(env.Words, x))
			}
			dialogs.List(env.Words, env.Window, filepath.Base(path), env.Words.N("stopped.imported", added, known, int64(len(problems))), lines)
		})
	})
}

func (p *stoppedPane) onExport() {
	env, list, name := p.v.env, p.list, p.v.env.T("contacts.not_mailed_list")
	if list != everybody {
		name = env.T("stopped.file_list", p.name)
	}
	p.v.pickForm(name, func(path string) {
		dialogs.Work(env.Words, env.Window, env.Post, env.T("contacts.exporting"), func(ctx context.Context, tell func(done, total int64)) error {
			return exportStopped(ctx, env.Ledger, list, path, tell)
		}, p.v.failed)
	})
}

// tempFolder is where large workbooks are unpacked: beside the ledger, where
// there is room for it.
func tempFolder(l *storage.Ledger) string { return filepath.Join(l.Dir(), "temp") }

package contacts

import (
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"postroom/assets/theme"
	people "postroom/contacts"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/dialogs"
	"postroom/ui/widgets"
)

// columnsShown is how many columns are shown, with a control each.
const columnsShown = 120

var (
	mergeRules = []string{storage.MergeReplace, storage.MergeFill, storage.MergeKeep}
	delimiters = []string{",", ";", "\t", "|"}
	shares     = []float32{5, 6, 4, 4, 4}
)

// columnsPanel shows what was found in the file: how it is read, and each column
// with its first rows and what it becomes.
func (p *importPage) columnsPanel() fyne.CanvasObject {
	env, s := p.v.env, p.source
	head := widgets.VStack(8, p.formRow(), p.domainsRow())
	note := env.T("contacts.import.columns.note")
	switch {
	case !s.ready():
		note = env.T("contacts.no_address_column") + "."
	case s.Preview.Remembered:
		note = env.T("contacts.map_remembered") + "."
	}
	if parts := s.nameParts(); len(parts) == 2 {
		note += " " + env.T("contacts.import.name_of", parts[0], parts[1])
	}
	said := widgets.NewQuiet(note).Wrapping()
	if !s.ready() {
		said.Tone = theme.Bad
	}
	head.Add(said)
	titles := []fyne.CanvasObject{small(env.T("contacts.import.column")), small(env.T("contacts.import.becomes"))}
	for i := range shownRows {
		titles = append(titles, small(env.T("contacts.import.row_n", int64(i+1))))
	}
	rows := widgets.VStack(0)
	for i := range s.Columns[:min(columnsShown, len(s.Columns))] {
		if i > 0 {
			rows.Add(widgets.NewDivider())
		}
		rows.Add(p.columnRow(i))
	}
	if n := len(s.Columns) - columnsShown; n > 0 {
		rows.Add(widgets.NewQuiet(env.Words.N("contacts.import.more_columns", int64(n))).Wrapping())
	}
	table := widgets.VStack(6, widgets.Inset(0, 14, 0, 0, widgets.Columns(12, shares, titles...)), widgets.NewDivider(),
		widgets.Grow(container.NewVScroll(widgets.Inset(0, 14, 0, 0, rows))))
	return widgets.NewCard("", nil, widgets.VStack(12, head, widgets.Grow(table)))
}

func small(s string) fyne.CanvasObject {
	t := widgets.NewSmall(s).Cutting()
	t.Bold = true
	return t
}

// formRow holds the choices of how the file is read, where there are any.
func (p *importPage) formRow() fyne.CanvasObject {
	env, s := p.v.env, p.source
	row := widgets.HStack(10)
	add := func(id, key string, pick *widgets.Select, width float32) {
		env.IDs.Set(id, pick)
		row.Add(widgets.NewQuiet(env.T(key)))
		row.Add(widgets.FixedWidth(width, pick))
	}
	again := func(change func(*Source)) {
		next := *s
		change(&next)
		p.look(next)
	}
	if sheets := s.Preview.Sheets; len(sheets) > 1 {
		add("import.sheet", "contacts.import.sheet", picking(sheets, sheets, s.Preview.Sheet, func(v string) {
			again(func(n *Source) { n.sheet = v })
		}), 170)
	}
	if s.Preview.Charset != "" {
		all := people.Encodings()
		add("import.encoding", "contacts.import.encoding", picking(all, all, s.Preview.Charset, func(v string) {
			again(func(n *Source) { n.encoding = v })
		}), 150)
	}
	if s.Preview.Delimiter != "" {
		names := []string{env.T("contacts.import.comma"), env.T("contacts.import.semicolon"), env.T("contacts.import.tab"), env.T("contacts.import.bar")}
		add("import.delimiter", "contacts.import.delimiter", picking(names, delimiters, s.Preview.Delimiter, func(v string) {
			again(func(n *Source) { n.delimiter = v })
		}), 130)
	}
	names := make([]string, len(mergeRules))
	for i, r := range mergeRules {
		names[i] = env.T("contacts.import.merge." + r)
	}
	add("import.merge", "contacts.import.merge", picking(names, mergeRules, p.merge, func(v string) { p.merge = v }), 210)
	row.Add(widgets.Space())
	return row
}

// domainsRow asks whether domains are to be looked up.
func (p *importPage) domainsRow() fyne.CanvasObject {
	env := p.v.env
	ask := widgets.NewCheck(env.T("contacts.import.mx"), func(on bool) { p.askDomains = on })
	ask.SetChecked(p.askDomains)
	env.IDs.Set("import.mx", ask)
	return widgets.HStack(0, ask, widgets.Space())
}

// picking is a choice of one value by its name; changed is told another value
// than the one that is picked.
func picking(names, values []string, now string, changed func(string)) *widgets.Select {
	pick := widgets.NewSelect(names, nil)
	for i, v := range values {
		if v == now {
			pick.SetSelectedIndex(i)
		}
	}
	pick.OnChanged = func(string) {
		if i := pick.SelectedIndex(); i >= 0 && values[i] != now {
			now = values[i]
			changed(values[i])
		}
	}
	return pick
}

func (p *importPage) columnRow(i int) fyne.CanvasObject {
	env := p.v.env
	c := &p.source.Columns[i]
	name := c.Header
	if name == "" {
		name = env.T("contacts.column_n", int64(i+1))
	}
	cells := []fyne.CanvasObject{widgets.NewText(name).Cutting(), p.roleChoice(i)}
	for _, v := range c.Examples {
		cells = append(cells, widgets.NewQuiet(strings.ReplaceAll(v, "\n", " ")).Cutting())
	}
	for len(cells) < len(shares) {
		cells = append(cells, widgets.NewText(""))
	}
	return widgets.Inset(3, 0, 3, 0, widgets.Columns(12, shares, cells...))
}

// roleChoice is what a column becomes.
func (p *importPage) roleChoice(i int) fyne.CanvasObject {
	env, s := p.v.env, p.source
	c := &s.Columns[i]
	field := c.Field
	if c.Role != asField {
		field = s.freeName(i, c.title(i))
	}
	names := []string{env.T("contacts.import.as.address"), env.T("contacts.import.as.name"), "{{" + field + "}}", env.T("contacts.import.as.other"), env.T("contacts.import.as.nothing")}
	at := map[role]int{asAddress: 0, asName: 1, asField: 2, asNothing: 4}[c.Role]
	pick := widgets.NewSelect(names, nil)
	pick.SetSelectedIndex(at)
	env.IDs.Set("import.column."+c.title(i), pick)
	pick.OnChanged = func(string) {
		switch n := pick.SelectedIndex(); n {
		case at:
			return
		case 3:
			p.askField(i, field, func() { pick.SetSelectedIndex(at) })
			return
		default:
			s.set(i, []role{asAddress, asName, asField, 0, asNothing}[n], field)
		}
		p.put(p.columnsPanel())
	}
	return pick
}

// askField asks for another name of a field.
func (p *importPage) askField(i int, field string, undo func()) {
	env := p.v.env
	entry := widgets.NewEntry()
	entry.SetText(field)
	env.IDs.Set("import.field", entry)
	undo()
	body := widgets.VStack(10, widgets.NewQuiet(env.T("contacts.import.field.sentence")).Wrapping(), entry)
	dialogs.Form(env.Words, env.Window, env.T("contacts.import.field"), env.T("action.ok"), body, entry, func() string {
		if strings.TrimSpace(entry.Text) == "" {
			return env.T("contacts.import.field.none")
		}
		p.source.set(i, asField, entry.Text)
		env.Post(func() { p.put(p.columnsPanel()) }) // once the dialog has given the focus back
		return ""
	})
}

// outcomePanel shows what would happen, or what happened, with every row that
// is worth a look.
func (p *importPage) outcomePanel(o *Outcome, done bool) fyne.CanvasObject {
	env := p.v.env
	key := "contacts.import.plan"
	if done {
		key = "contacts.import.result"
	}
	said := widgets.NewText(env.T(key, o.Added, o.Updated, o.Unchanged, o.Report.Skipped)).Wrapping()
	said.Bold = true
	top := widgets.VStack(6, said)
	if o.Read == o.Report.Skipped {
		top.Add(widgets.NewText(env.T("contacts.import.nobody")).Toned(theme.Bad).Wrapping())
	}
	n := int64(len(o.Problems)) + o.More
	if n == 0 {
		top.Add(widgets.NewQuiet(env.T("contacts.import.clean")).Wrapping())
		return widgets.NewCard("", nil, top)
	}
	row := widgets.HStack(12, widgets.Grow(widgets.NewQuiet(env.Words.N("contacts.import.problems", n)).Cutting()))
	if o.Rows > 0 {
		save := widgets.NewButton(widgets.Normal, env.Words.N("contacts.import.save_skipped", o.Rows), func() { p.onSaveSkipped(o) })
		env.IDs.Set("import.save_skipped", save)
		row.Add(save)
	}
	top.Add(row)
	if o.More > 0 {
		top.Add(widgets.NewSmall(env.T("contacts.import.only_first", int64(mostProblems))).Wrapping())
	}
	return widgets.NewPlainCard(widgets.VStack(4, widgets.Inset(14, 16, 4, 16, top), widgets.Grow(p.problemGrid(o))))
}

func (p *importPage) onSaveSkipped(o *Outcome) {
	env := p.v.env
	name := listFor(p.source.Path)
	if p.pasted != "" {
		name = p.list
	}
	p.v.saveFile(env.T("contacts.import.save_skipped.title"), env.T("contacts.import.skipped_file", fileName(name))+".csv", func(path string) {
		p.v.failed(asWriteError(o.saveSkipped(path)))
	})
}

func asWriteError(err error) error {
	if err == nil {
		return nil
	}
	return &post.Error{Kind: post.KindInternal, Op: "save the skipped rows", Message: "the file could not be written", Err: err}
}

// problemPage is how many problems stand on a page.
const problemPage = 200

// problemGrid shows the problems page by page.
func (p *importPage) problemGrid(o *Outcome) fyne.CanvasObject {
	env := p.v.env
	g := widgets.NewDataGrid(env.Words,
		widgets.Column{Key: "row", Title: env.T("contacts.import.problem.row"), Width: 70, Align: fyne.TextAlignTrailing},
		widgets.Column{Key: "what", Title: env.T("contacts.import.problem.what"), Width: 96},
		widgets.Column{Key: "reason", Title: env.T("contacts.column.reason"), Width: 280, Grow: 3},
		widgets.Column{Key: "column", Title: env.T("contacts.import.column"), Width: 120, Grow: 1},
		widgets.Column{Key: "value", Title: env.T("contacts.import.problem.value"), Width: 200, Grow: 2})
	g.Plain = true
	from := 0
	show := func() {
		page := o.Problems[from:min(from+problemPage, len(o.Problems))]
		rows := make([]widgets.Row, len(page))
		for i, x := range page {
			what := widgets.Cell{Text: env.T("contacts.import.taken"), Tone: theme.Quiet, Pill: true}
			if x.Skipped {
				what = widgets.Cell{Text: env.T("contacts.import.skipped"), Tone: theme.Bad, Pill: true}
			}
			rows[i] = widgets.Row{ID: int64(from + i + 1), Cells: []widgets.Cell{
				{Text: env.Words.Number(x.Row)}, what, {Text: env.Words.Reason(x.Reason)}, {Text: x.Column, Tone: theme.Quiet}, {Text: x.Value, Tone: theme.Quiet},
			}}
		}
		g.SetPage(rows, int64(from+1), int64(len(o.Problems)))
	}
	g.OnPage = func(t widgets.Turn) {
		last := (len(o.Problems) - 1) / problemPage * problemPage
		from = min(last, max(0, map[widgets.Turn]int{
			widgets.FirstPage: 0, widgets.PreviousPage: from - problemPage, widgets.NextPage: from + problemPage, widgets.LastPage: last,
		}[t]))
		show()
	}
	env.IDs.Set("import.problems", g)
	show()
	return g
}

package widgets

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/icons"
	"postroom/assets/theme"
)

// gridHead is the row of titles, with a box for all rows and dividers to drag.
type gridHead struct {
	widget.BaseWidget
	grid     *DataGrid
	all      *gridAll
	titles   []*gridTitle
	dividers []*gridDivider
}

func newGridHead(g *DataGrid) *gridHead {
	h := &gridHead{grid: g, all: &gridAll{grid: g}}
	h.all.ExtendBaseWidget(h.all)
	for i := range g.columns {
		t := &gridTitle{grid: g, index: i}
		t.ExtendBaseWidget(t)
		h.titles = append(h.titles, t)
		d := &gridDivider{grid: g, index: i}
		d.ExtendBaseWidget(d)
		h.dividers = append(h.dividers, d)
	}
	h.ExtendBaseWidget(h)
	return h
}

func (h *gridHead) CreateRenderer() fyne.WidgetRenderer {
	line := canvas.NewRectangle(theme.Colour(theme.Line))
	r := &parts{objects: []fyne.CanvasObject{line, h.all}}
	for _, t := range h.titles {
		r.objects = append(r.objects, t)
	}
	for _, d := range h.dividers { // above the titles: they are hit first
		r.objects = append(r.objects, d)
	}
	r.min = func() fyne.Size { return fyne.NewSize(0, gridHeadHeight) }
	r.layout = func(size fyne.Size) {
		line.Move(fyne.NewPos(0, size.Height-theme.Hairline))
		line.Resize(fyne.NewSize(size.Width, theme.Hairline))
		h.all.Hidden = h.grid.Plain
		h.all.Resize(fyne.NewSize(gridCheckWidth, size.Height))
		for i, at := range h.grid.spans {
			h.titles[i].Move(fyne.NewPos(at.x, 0))
			h.titles[i].Resize(fyne.NewSize(at.w, size.Height))
			h.dividers[i].Move(fyne.NewPos(at.x+at.w-gridDividerReach, 0))
			h.dividers[i].Resize(fyne.NewSize(2*gridDividerReach, size.Height))
		}
	}
	r.refresh = func() {
		line.FillColor = theme.Colour(theme.Line)
		r.layout(h.Size())
		for _, o := range r.objects {
			o.Refresh()
		}
	}
	return r
}

// gridTitle is the title of a column; a sortable one can have the focus.
type gridTitle struct {
	widget.BaseWidget
	grid             *DataGrid
	index            int
	hovered, focused bool
}

var (
	_ fyne.Tappable     = (*gridTitle)(nil)
	_ fyne.Focusable    = (*gridTitle)(nil)
	_ fyne.Disableable  = (*gridTitle)(nil)
	_ desktop.Hoverable = (*gridTitle)(nil)
)

func (t *gridTitle) column() Column                 { return t.grid.columns[t.index] }
func (t *gridTitle) Tapped(*fyne.PointEvent)        { t.grid.sortBy(t.column()) }
func (t *gridTitle) MouseIn(*desktop.MouseEvent)    { t.hovered = true; t.Refresh() }
func (t *gridTitle) MouseMoved(*desktop.MouseEvent) {}
func (t *gridTitle) MouseOut()                      { t.hovered = false; t.Refresh() }
func (t *gridTitle) FocusGained()                   { t.focused = true; t.Refresh() }
func (t *gridTitle) FocusLost()                     { t.focused = false; t.Refresh() }
func (t *gridTitle) TypedRune(rune)                 {}

// Disabled keeps a column that cannot be sorted out of the tab order.
func (t *gridTitle) Disabled() bool { return t.grid.Disabled() || !t.column().Sortable }
func (t *gridTitle) Enable()        {}
func (t *gridTitle) Disable()       {}

func (t *gridTitle) TypedKey(ev *fyne.KeyEvent) {
	switch ev.Name {
	case fyne.KeySpace, fyne.KeyReturn, fyne.KeyEnter:
		t.Tapped(nil)
	default:
		PassKey(t, ev)
	}
}

// text is the title, with an arrow where the rows are sorted by it.
func (t *gridTitle) text() string {
	c := t.column()
	switch {
	case c.Key != t.grid.sortKey || !c.Sortable:
		return c.Title
	case t.grid.descending:
		return c.Title + " ▾"
	default:
		return c.Title + " ▴"
	}
}

func (t *gridTitle) CreateRenderer() fyne.WidgetRenderer {
	ground, text := canvas.NewRectangle(color.Transparent), canvas.NewText("", color.Transparent)
	r := &parts{objects: []fyne.CanvasObject{ground, text}}
	r.min = func() fyne.Size { return fyne.NewSize(gridColumnLeast, gridHeadHeight) }
	r.layout = func(size fyne.Size) {
		ground.Move(fyne.NewPos(2, 5))
		ground.Resize(size.SubtractWidthHeight(4, 10))
		room := size.Width - 2*gridCellPadding
		text.Text = Fit(t.text(), room, text.TextSize, text.TextStyle)
		h := text.MinSize().Height
		text.Move(fyne.NewPos(gridCellPadding, (size.Height-h)/2))
		text.Resize(fyne.NewSize(room, h))
	}
	r.refresh = func() {
		ring(ground, 4, t.focused)
		if t.hovered && !t.Disabled() {
			ground.FillColor = theme.Colour(theme.HoverSoft)
		}
		text.TextSize, text.TextStyle.Bold = theme.SmallSize, true
		text.Alignment, text.Color = t.column().Align, theme.Colour(theme.Mute)
		r.layout(t.Size())
		ground.Refresh()
		text.Refresh()
	}
	r.refresh()
	return r
}

// gridDivider is the border of a column that can be dragged.
type gridDivider struct {
	widget.BaseWidget
	grid    *DataGrid
	index   int
	start   float32 // width when the drag began; 0: no drag
	moved   float32
	hovered bool
}

var (
	_ fyne.Draggable     = (*gridDivider)(nil)
	_ desktop.Cursorable = (*gridDivider)(nil)
	_ desktop.Hoverable  = (*gridDivider)(nil)
)

func (d *gridDivider) Cursor() desktop.Cursor         { return desktop.HResizeCursor }
func (d *gridDivider) MouseIn(*desktop.MouseEvent)    { d.hovered = true; d.Refresh() }
func (d *gridDivider) MouseMoved(*desktop.MouseEvent) {}
func (d *gridDivider) MouseOut()                      { d.hovered = false; d.Refresh() }

func (d *gridDivider) Dragged(ev *fyne.DragEvent) {
	if d.grid.Disabled() || d.index >= len(d.grid.spans) {
		return
	}
	if d.start == 0 {
		d.start, d.moved = d.grid.spans[d.index].w, 0
	}
	d.moved += ev.Dragged.DX
	d.grid.resizeColumn(d.index, d.start+d.moved)
}

func (d *gridDivider) DragEnd() {
	if d.start != 0 {
		d.start = 0
		d.grid.widthsDone()
	}
}

func (d *gridDivider) CreateRenderer() fyne.WidgetRenderer {
	line := canvas.NewRectangle(color.Transparent)
	r := &parts{objects: []fyne.CanvasObject{line}}
	r.min = func() fyne.Size { return fyne.NewSize(2*gridDividerReach, gridHeadHeight) }
	r.layout = func(size fyne.Size) {
		line.Move(fyne.NewPos(gridDividerReach, 10))
		line.Resize(fyne.NewSize(theme.Hairline, size.Height-20))
	}
	r.refresh = func() {
		line.FillColor = color.Transparent
		if d.hovered {
			line.FillColor = theme.Colour(theme.Accent)
		}
		line.Refresh()
	}
	return r
}

// gridAll is the box that selects the whole page.
type gridAll struct {
	widget.BaseWidget
	grid *DataGrid
}

var _ fyne.Tappable = (*gridAll)(nil)

func (a *gridAll) Tapped(*fyne.PointEvent) {
	if a.grid.usable() {
		all, _ := a.grid.pageSelected()
		a.grid.selectPage(!all)
	}
}

func (a *gridAll) AccessibilityLabel() string { return a.grid.words.T("grid.select_all") }

func (a *gridAll) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleButton }

func (a *gridAll) CreateRenderer() fyne.WidgetRenderer {
	d := newCheckDrawing()
	r := &parts{objects: d.objects()}
	r.min = func() fyne.Size { return fyne.NewSize(gridCheckWidth, gridHeadHeight) }
	r.layout = func(size fyne.Size) {
		d.place(fyne.NewPos((gridCheckWidth-checkSide)/2, (size.Height-checkSide)/2))
	}
	var drawn [4]int
	r.refresh = func() {
		all, some := a.grid.pageSelected()
		look := [4]int{a.grid.edition, bit(all), bit(some), bit(a.grid.Disabled())}
		if look == drawn {
			return
		}
		drawn = look
		d.paint(all, some, false, a.grid.Disabled())
		for _, o := range r.objects {
			o.Refresh()
		}
	}
	r.refresh()
	return r
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// gridFoot says which rows are shown and turns the page.
type gridFoot struct {
	widget.BaseWidget
	grid     *DataGrid
	said     *Text
	selected *Text
	all      *Button // offers the whole list
	turns    [4]*Button
	row      *fyne.Container
}

// tell says what has changed.
func (f *gridFoot) tell() {
	if f.row != nil && f.update() {
		f.row.Layout.Layout(f.row.Objects, f.row.Size())
	}
}

// update sets what is said and can be pressed, and reports whether something
// takes more or less room than before.
func (f *gridFoot) update() (changed bool) {
	set := func(t *Text, s string) {
		changed = changed || t.Text != s
		t.SetText(s)
	}
	set(f.said, f.text())
	n, selected := f.grid.Count(), ""
	if n > 1 {
		selected = f.grid.words.N("grid.selected", n)
	}
	set(f.selected, selected)
	if offer := f.grid.offersEverything(); offer == f.all.Hidden {
		changed = true
		if offer {
			f.all.SetText(f.grid.words.N("grid.select_everything", f.grid.total))
			f.all.Show()
		} else {
			f.all.Hide()
		}
	}
	for i, b := range f.turns {
		if can := f.grid.canTurn(Turn(i)); can == b.Disabled() {
			if can {
				b.Enable()
			} else {
				b.Disable()
			}
		}
	}
	return changed
}

func newGridFoot(g *DataGrid) *gridFoot {
	f := &gridFoot{grid: g, said: NewSmall(""), selected: NewSmall("")}
	for i, t := range []struct {
		icon icons.Icon
		key  string
	}{
		{icons.First, "grid.first"}, {icons.Back, "grid.previous"}, {icons.Forward, "grid.next"}, {icons.Last, "grid.last"},
	} {
		f.turns[i] = NewIconButton(t.icon, g.words.T(t.key), func() { g.turn(Turn(i)) })
		f.turns[i].Small = true
	}
	f.all = NewButton(Link, "", g.selectEverything)
	f.all.Small = true
	f.all.Hide()
	f.ExtendBaseWidget(f)
	return f
}

// text is "1–100 of 48,211".
func (f *gridFoot) text() string {
	g := f.grid
	switch {
	case g.loading:
		return g.words.T("grid.loading")
	case len(g.rows) == 0:
		return g.words.T("grid.none")
	default:
		total := "…"
		if g.total >= 0 {
			total = g.words.Number(g.total)
		}
		return g.words.T("grid.range", g.from, g.from+int64(len(g.rows))-1, total)
	}
}

func (f *gridFoot) CreateRenderer() fyne.WidgetRenderer {
	row := HStack(0, Inset(0, 8, 0, gridCellPadding, f.said), f.turns[0], f.turns[1], f.turns[2], f.turns[3], Space(),
		f.all, Inset(0, gridCellPadding, 0, 6, f.selected))
	r := &parts{objects: []fyne.CanvasObject{row}}
	r.min = row.MinSize
	r.layout = row.Resize
	r.refresh = func() {
		f.update()
		row.Refresh()
		row.Layout.Layout(row.Objects, row.Size())
	}
	f.row = row
	f.update()
	return r
}

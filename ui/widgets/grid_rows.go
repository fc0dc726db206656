package widgets

import (
	"image/color"
	"strconv"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/icons"
	"postroom/assets/theme"
)

// gridView is the scrolled part of a grid: as high as all rows of the page, but
// with widgets only for those in sight. Row i is always drawn by widget i modulo
// their number, so scrolling by a row changes one of them.
type gridView struct {
	widget.BaseWidget
	grid *DataGrid
	pool []*gridRow
}

func newGridView(g *DataGrid) *gridView {
	v := &gridView{grid: g}
	v.ExtendBaseWidget(v)
	return v
}

// length is how many rows are drawn: those of the page, or while it loads as
// many as fit.
func (v *gridView) length() int {
	if v.grid.loading {
		return max(0, int(v.grid.scroll.Size().Height/gridRowHeight))
	}
	return len(v.grid.rows)
}

// place gives every row in sight a widget.
func (v *gridView) place() {
	height := v.grid.scroll.Size().Height
	if height <= 0 {
		return
	}
	want := int(height/gridRowHeight) + 2
	if len(v.pool) < want {
		for len(v.pool) < want {
			row := &gridRow{grid: v.grid, index: -1}
			row.ExtendBaseWidget(row)
			v.pool = append(v.pool, row)
		}
		for _, row := range v.pool {
			row.index = -1
		}
		v.Refresh()
	}
	first := int(v.grid.scroll.Offset.Y / gridRowHeight)
	n := v.length()
	size := fyne.NewSize(v.grid.Size().Width-2*gridEdge, gridRowHeight)
	for i := first; i < first+len(v.pool); i++ {
		row := v.pool[i%len(v.pool)]
		if i >= n {
			row.index = -1
			row.Hide()
			continue
		}
		if row.index == i && row.Visible() && row.Size() == size {
			continue
		}
		row.index = i
		row.Move(fyne.NewPos(0, float32(i)*gridRowHeight))
		row.Show()
		row.Resize(size)
		row.Refresh()
	}
}

// refreshRows draws all rows in sight again.
func (v *gridView) refreshRows() {
	v.grid.edition++
	for _, row := range v.pool {
		row.index = -1
	}
	v.place()
}

// refreshMarks draws those rows again that are selected, or have the cursor, and
// were not, or the other way round.
func (v *gridView) refreshMarks() {
	for _, row := range v.pool {
		if row.index >= 0 {
			row.Refresh()
		}
	}
}

func (v *gridView) CreateRenderer() fyne.WidgetRenderer {
	r := &parts{}
	r.min = func() fyne.Size { return fyne.NewSize(1, float32(v.length())*gridRowHeight) }
	r.layout = func(fyne.Size) { v.place() }
	r.refresh = func() {
		r.objects = r.objects[:0]
		for _, row := range v.pool {
			r.objects = append(r.objects, row)
		}
		canvas.Refresh(v)
	}
	r.refresh()
	return r
}

// gridRow draws one row and takes the pointer.
type gridRow struct {
	widget.BaseWidget
	grid    *DataGrid
	index   int
	hovered bool
	pressed bool // the press was handled; the tap that follows is the same click
}

var (
	_ fyne.Tappable          = (*gridRow)(nil)
	_ fyne.DoubleTappable    = (*gridRow)(nil)
	_ fyne.SecondaryTappable = (*gridRow)(nil)
	_ desktop.Mouseable      = (*gridRow)(nil)
	_ desktop.Hoverable      = (*gridRow)(nil)
)

func (r *gridRow) usable() bool {
	return r.grid.usable() && r.index >= 0 && r.index < len(r.grid.rows)
}

// MouseDown selects at once: a tap would come only after the time in which a
// second click could still make it a double one.
func (r *gridRow) MouseDown(ev *desktop.MouseEvent) {
	if !r.usable() || ev.Button != desktop.MouseButtonPrimary {
		return
	}
	r.pressed = true
	r.grid.focus()
	switch {
	case ev.Modifier&fyne.KeyModifierShift != 0:
		r.grid.extend(r.index)
	case ev.Modifier&(fyne.KeyModifierControl|fyne.KeyModifierSuper) != 0, ev.Position.X < r.grid.checkWidth():
		r.grid.toggle(r.index)
	default:
		r.grid.pick(r.index)
	}
}

// MouseUp does nothing.
func (r *gridRow) MouseUp(*desktop.MouseEvent) {}

// Tapped selects where there is no mouse that told of the press.
func (r *gridRow) Tapped(ev *fyne.PointEvent) {
	if r.pressed {
		r.pressed = false
		return
	}
	r.MouseDown(&desktop.MouseEvent{PointEvent: *ev, Button: desktop.MouseButtonPrimary})
	r.pressed = false
}

// DoubleTapped opens the row.
func (r *gridRow) DoubleTapped(ev *fyne.PointEvent) {
	r.pressed = false
	if r.usable() && ev.Position.X >= r.grid.checkWidth() && r.grid.OnOpen != nil {
		r.grid.OnOpen(r.grid.rows[r.index].ID)
	}
}

// TappedSecondary asks for the context menu, for the selection if the row is in
// it, else for the row.
func (r *gridRow) TappedSecondary(ev *fyne.PointEvent) {
	if !r.usable() {
		return
	}
	r.grid.focus()
	if !r.grid.isSelected(r.grid.rows[r.index].ID) {
		r.grid.pick(r.index)
	}
	if r.grid.OnMenu != nil {
		r.grid.OnMenu(r.grid.Selected(), ev.AbsolutePosition)
	}
}

// MouseIn shades the row.
func (r *gridRow) MouseIn(*desktop.MouseEvent) { r.hovered = true; r.Refresh() }

// MouseMoved does nothing.
func (r *gridRow) MouseMoved(*desktop.MouseEvent) {}

// MouseOut ends the shade.
func (r *gridRow) MouseOut() { r.hovered = false; r.Refresh() }

func (r *gridRow) CreateRenderer() fyne.WidgetRenderer {
	d := &rowRenderer{row: r, ground: canvas.NewRectangle(color.Transparent), line: canvas.NewRectangle(color.Transparent)}
	d.check = newCheckDrawing()
	for range r.grid.columns {
		d.cells = append(d.cells, canvas.NewText("", color.Transparent))
		d.pills = append(d.pills, newPillDrawing())
	}
	d.objects = append(append(d.objects, d.ground, d.line), d.check.objects()...)
	for i := range d.cells {
		d.objects = append(d.objects, d.cells[i], d.pills[i].border, d.pills[i].text)
	}
	return d
}

// rowLook is all that decides how a row is drawn. edition is that of the grid,
// which stands for its cells, columns and colours.
type rowLook struct {
	index, edition                      int
	width                               float32
	selected, current, hovered, loading bool
}

type rowRenderer struct {
	row          *gridRow
	drawn        rowLook
	ground, line *canvas.Rectangle
	check        *checkDrawing
	cells        []*canvas.Text
	pills        []*pillDrawing
	objects      []fyne.CanvasObject
}

func (d *rowRenderer) MinSize() fyne.Size           { return fyne.NewSize(0, gridRowHeight) }
func (d *rowRenderer) Objects() []fyne.CanvasObject { return d.objects }
func (d *rowRenderer) Destroy()                     {}

func (d *rowRenderer) Layout(size fyne.Size) {
	d.ground.Resize(fyne.NewSize(size.Width, size.Height-theme.Hairline))
	d.line.Move(fyne.NewPos(0, size.Height-theme.Hairline))
	d.line.Resize(fyne.NewSize(size.Width, theme.Hairline))
	d.check.place(fyne.NewPos((gridCheckWidth-checkSide)/2, (size.Height-checkSide)/2))
}

// look returns how the row is to be drawn now.
func (d *rowRenderer) look() rowLook {
	g, i := d.row.grid, d.row.index
	l := rowLook{index: i, edition: g.edition, width: d.row.Size().Width, loading: g.loading, hovered: d.row.hovered && g.usable()}
	if !g.loading {
		l.selected = g.isSelected(g.rows[i].ID)
		l.current = g.focused && g.cursor == i
	}
	return l
}

// Refresh draws the row where it looks different than before. The canvas is told
// of the row as a whole: each word to it costs more than the drawing.
func (d *rowRenderer) Refresh() {
	g, i := d.row.grid, d.row.index
	if i < 0 || i >= g.view.length() {
		return
	}
	look := d.look()
	if look == d.drawn {
		return
	}
	ticked := look.selected && (!d.drawn.selected || look.edition != d.drawn.edition)
	d.drawn = look
	d.line.FillColor = theme.Colour(theme.Line)
	d.ground.FillColor = color.Transparent
	d.ground.StrokeWidth = 0
	switch {
	case look.selected:
		d.ground.FillColor = theme.Colour(theme.AccentSoft)
	case look.hovered:
		d.ground.FillColor = theme.Colour(theme.HoverSoft)
	}
	if look.current {
		d.ground.StrokeColor, d.ground.StrokeWidth = theme.Colour(theme.Accent), theme.Hairline
	}
	d.check.paint(look.selected, false, g.loading || g.Plain, g.Disabled())
	for c := range d.cells {
		d.paintCell(c, g.spans[c])
	}
	d.Layout(d.row.Size())
	if ticked { // an image reads its resource only when it is told
		d.check.mark.Refresh()
	}
	canvas.Refresh(d.row)
}

// paintCell draws one cell, or a dot of waiting.
func (d *rowRenderer) paintCell(c int, at span) {
	g := d.row.grid
	cell := Cell{Text: "…", Tone: theme.Quiet}
	if !g.loading {
		cell = Cell{}
		if cells := g.rows[d.row.index].Cells; c < len(cells) {
			cell = cells[c]
		}
	}
	if g.Disabled() {
		cell.Tone = theme.Quiet
	}
	text, pill := d.cells[c], d.pills[c]
	room := at.w - 2*gridCellPadding
	if cell.Pill && cell.Text != "" {
		text.Hidden = true
		w := min(pillSize(cell.Text).Width, room)
		pill.paint(Fit(cell.Text, w-2*pillPadding, theme.SmallSize, fyne.TextStyle{}), cell.Tone)
		pill.place(fyne.NewPos(at.x+gridCellPadding, snap((gridRowHeight-pillHeight)/2)), w)
		return
	}
	pill.border.Hidden, pill.text.Hidden = true, true
	text.Hidden = false
	text.TextSize, text.TextStyle = theme.TextSize, fyne.TextStyle{Bold: cell.Bold, Monospace: cell.Mono}
	if cell.Mono {
		text.TextSize = theme.SmallSize
	}
	text.Alignment = g.columns[c].Align
	text.Color = cell.Tone.Color()
	if c, ok := parseColour(cell.Colour); ok {
		text.Color = c
	}
	text.Text = Fit(cell.Text, room, text.TextSize, text.TextStyle)
	h := text.MinSize().Height
	text.Move(fyne.NewPos(at.x+gridCellPadding, (gridRowHeight-h)/2))
	text.Resize(fyne.NewSize(room, h))
}

// checkSide is the side of a check box, in pixels.
const checkSide float32 = 16

// checkDrawing is what a check box is made of.
type checkDrawing struct {
	box  *canvas.Rectangle
	mark *canvas.Image
	dash *canvas.Rectangle // some, but not all
}

func newCheckDrawing() *checkDrawing {
	return &checkDrawing{canvas.NewRectangle(color.Transparent), &canvas.Image{FillMode: canvas.ImageFillContain}, canvas.NewRectangle(color.Transparent)}
}

func (d *checkDrawing) objects() []fyne.CanvasObject {
	return []fyne.CanvasObject{d.box, d.mark, d.dash}
}

func (d *checkDrawing) place(at fyne.Position) {
	d.box.Move(at)
	d.box.Resize(fyne.NewSquareSize(checkSide))
	d.mark.Move(at.AddXY(2, 2))
	d.mark.Resize(fyne.NewSquareSize(checkSide - 4))
	d.dash.Move(at.AddXY(4, checkSide/2-1))
	d.dash.Resize(fyne.NewSize(checkSide-8, 2))
}

// paint draws the box; some is a selection that is not whole.
func (d *checkDrawing) paint(on, some, hidden, disabled bool) {
	d.box.Hidden, d.mark.Hidden = hidden, hidden || !on
	d.box.CornerRadius, d.box.StrokeWidth = 4, 1
	d.box.FillColor, d.box.StrokeColor = color.Transparent, theme.Faint(theme.Mute, 0.6)
	if on || some {
		d.box.StrokeColor = theme.Colour(theme.Accent)
	}
	d.dash.Hidden = hidden || on || !some
	d.dash.FillColor = theme.Colour(theme.Accent)
	if on {
		d.box.FillColor = theme.Colour(theme.Accent)
		if d.mark.Resource == nil || d.mark.Resource.Name() != checkMark().Name() {
			d.mark.Resource = checkMark()
		}
	}
	if disabled {
		d.box.StrokeColor = theme.Colour(theme.Line)
	}
}

// checkMark returns the tick of the current theme.
func checkMark() fyne.Resource { return icons.In(icons.Check, theme.OnAccent) }

// parseColour reads a colour written as #rrggbb.
func parseColour(s string) (color.Color, bool) {
	if len(s) != 7 || s[0] != '#' {
		return nil, false
	}
	n, err := strconv.ParseUint(s[1:], 16, 24)
	return color.NRGBA{R: uint8(n >> 16), G: uint8(n >> 8), B: uint8(n), A: 0xff}, err == nil
}

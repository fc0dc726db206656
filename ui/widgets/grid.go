package widgets

import (
	"slices"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/theme"
	"postroom/assets/words"
)

// The measures of a grid, in pixels.
const (
	gridRowHeight    float32 = 35
	gridHeadHeight   float32 = 36
	gridFootHeight   float32 = 36
	gridEdge         float32 = 8 // left and right of the rows
	gridCellPadding  float32 = 8
	gridCheckWidth   float32 = 34
	gridColumnWidth  float32 = 120
	gridColumnLeast  float32 = 48
	gridDividerReach float32 = 4 // either side of a divider
)

// Column says what one column of a grid is.
type Column struct {
	Key      string // names it in callbacks and kept widths
	Title    string
	Width    float32 // pixels; 0: 120
	Least    float32 // pixels; 0: 48
	Grow     float32 // share of the width that is left; 0: none
	Sortable bool
	// Descending is the direction of the first click, as suits times.
	Descending bool
	Align      fyne.TextAlign
}

// Cell is what stands in one column of a row.
type Cell struct {
	Text string
	Tone theme.Tone
	Pill bool // the text as a pill of the tone
	Bold bool
	Mono bool
	// Colour is one of the user's, as #rrggbb, in the place of the tone's.
	Colour string
}

// Row is one row of a page. ID is what selections and callbacks speak of; it is
// unique within everything the grid ever shows.
type Row struct {
	ID    int64
	Cells []Cell
}

// Turn is which page is wanted.
type Turn uint8

// The turns.
const (
	FirstPage Turn = iota
	PreviousPage
	NextPage
	LastPage
)

// DataGrid is a table that shows one page of rows which its owner gives it, and
// asks for others by callbacks; it holds no more than that page and never reads
// anything itself. Rows are drawn only while they are in sight.
//
// Rows are selected with the mouse (also with Shift and Ctrl), by their check
// boxes, or from the keyboard: arrows, Home, End, Page Up and Down, each also
// with Shift, Space, Ctrl+A, Escape. Enter and a double click open a row,
// Delete and the menu key call back, Ctrl+Page Up and Down turn the page, Ctrl+C
// copies. The selection is a set of row IDs and outlives a turn of the page. With
// Everything set, a page that is selected whole offers the rest of the list too.
//
// Callbacks run on the window's goroutine and must return at once; the owner
// shows SetLoading while it fetches.
type DataGrid struct {
	widget.DisableableWidget

	OnPage   func(Turn)
	OnSort   func(key string, descending bool)
	OnSelect func(ids []int64) // sorted
	// OnCurrent is told the row that the user is at, for a panel beside.
	OnCurrent func(id int64)
	OnOpen    func(id int64)
	OnDelete  func(ids []int64)
	OnPaste   func()                              // Ctrl+V; nil: it goes on to the window
	OnMenu    func(ids []int64, at fyne.Position) // at: on the canvas
	OnWidths  func(widths map[string]float32)     // after a divider was dragged
	// OnCopy is asked for what Ctrl+C copies; nil: the selected rows of the page,
	// a line each, with tabs between the cells.
	OnCopy func(ids []int64)
	// Everything lets the user select all rows of the list, also those of pages
	// that the grid never saw; see AllSelected.
	Everything bool
	// Plain leaves the check boxes out, where nothing is done with a selection.
	Plain bool

	words   *words.Catalogue
	columns []Column
	widths  map[string]float32 // what the user set
	spans   []span             // where the columns are now

	rows        []Row
	from, total int64
	loading     bool

	sortKey    string
	descending bool

	edition  int // of what the rows show and how; see rowLook
	selected map[int64]bool
	inverse  bool // selected are those left out of the whole list
	cursor   int  // index into rows; -1: none
	anchor   int  // where a range begins
	focused  bool
	shift    bool

	head   *gridHead
	view   *gridView
	foot   *gridFoot
	scroll *container.Scroll
}

// span is where a column is within a row.
type span struct{ x, w float32 }

var (
	_ fyne.Focusable    = (*DataGrid)(nil)
	_ fyne.Shortcutable = (*DataGrid)(nil)
	_ fyne.Disableable  = (*DataGrid)(nil)
	_ desktop.Keyable   = (*DataGrid)(nil)
)

// NewDataGrid returns an empty grid.
func NewDataGrid(w *words.Catalogue, columns ...Column) *DataGrid {
	g := &DataGrid{
		words: w, columns: columns, widths: map[string]float32{}, selected: map[int64]bool{}, cursor: -1, anchor: -1, edition: 1,
	}
	g.head = newGridHead(g)
	g.view = newGridView(g)
	g.scroll = container.NewVScroll(g.view)
	g.scroll.OnScrolled = func(fyne.Position) { g.view.place() }
	g.foot = newGridFoot(g)
	g.ExtendBaseWidget(g)
	return g
}

// SetPage shows one page: from is the number of its first row, from 1, within
// total; a negative total means that it is not known yet.
func (g *DataGrid) SetPage(rows []Row, from, total int64) {
	current := g.currentID()
	g.rows, g.from, g.total, g.loading = rows, from, total, false
	g.cursor, g.anchor = -1, -1
	if i := g.indexOf(current); current != 0 && i >= 0 {
		g.cursor, g.anchor = i, i
	} else {
		g.scroll.ScrollToTop()
	}
	g.Refresh()
}

// SetTotal says how many rows there are, once that is known.
func (g *DataGrid) SetTotal(total int64) {
	if g.total != total {
		g.total = total
		g.foot.tell()
	}
}

// SetLoading shows "…" in place of the page until SetPage is called.
func (g *DataGrid) SetLoading(loading bool) {
	if g.loading != loading {
		g.loading = loading
		g.Refresh()
	}
}

// Loading reports whether the grid waits for a page.
func (g *DataGrid) Loading() bool { return g.loading }

// SetSort shows by which column the rows are sorted, without calling back.
func (g *DataGrid) SetSort(key string, descending bool) {
	g.sortKey, g.descending = key, descending
	g.Refresh()
}

// SetWidths sets kept widths by column key, in pixels, without calling back.
func (g *DataGrid) SetWidths(widths map[string]float32) {
	for key, w := range widths {
		g.widths[key] = w
	}
	g.relayout()
}

// Rows returns the page as it was given.
func (g *DataGrid) Rows() []Row { return g.rows }

// Selected returns the IDs of all selected rows, sorted, also of other pages; of
// AllSelected those of the page.
func (g *DataGrid) Selected() []int64 {
	ids := make([]int64, 0, len(g.selected))
	if g.inverse {
		for _, r := range g.rows {
			if !g.selected[r.ID] {
				ids = append(ids, r.ID)
			}
		}
	} else {
		for id := range g.selected {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// AllSelected reports whether the whole list is selected, but for those ids.
func (g *DataGrid) AllSelected() (all bool, but []int64) {
	if !g.inverse {
		return false, nil
	}
	for id := range g.selected {
		but = append(but, id)
	}
	slices.Sort(but)
	return true, but
}

// Count returns how many rows are selected.
func (g *DataGrid) Count() int64 {
	if g.inverse {
		return max(0, g.total-int64(len(g.selected)))
	}
	return int64(len(g.selected))
}

// SetSelected replaces the selection without calling back.
func (g *DataGrid) SetSelected(ids ...int64) {
	g.clearSelection()
	for _, id := range ids {
		g.selected[id] = true
	}
	g.Refresh()
}

// Current returns the ID of the row that the user is at, or 0.
func (g *DataGrid) Current() int64 { return g.currentID() }

func (g *DataGrid) currentID() int64 {
	if g.cursor < 0 || g.cursor >= len(g.rows) {
		return 0
	}
	return g.rows[g.cursor].ID
}

func (g *DataGrid) indexOf(id int64) int {
	return slices.IndexFunc(g.rows, func(r Row) bool { return r.ID == id })
}

// checkWidth is the room for the check boxes.
func (g *DataGrid) checkWidth() float32 {
	if g.Plain {
		return 0
	}
	return gridCheckWidth
}

// usable reports whether rows can be picked now.
func (g *DataGrid) usable() bool { return !g.loading && !g.Disabled() && len(g.rows) > 0 }

// measure lays the columns out over a width: wanted widths first; what is left
// goes to the growing columns, what lacks is taken from these and then from all,
// down to their least.
func (g *DataGrid) measure(width float32) {
	room := width - g.checkWidth()
	w := make([]float32, len(g.columns))
	var sum, shares float32
	for i, c := range g.columns {
		w[i] = g.wanted(c)
		sum += w[i]
		if g.widths[c.Key] == 0 {
			shares += c.Grow
		}
	}
	switch {
	case sum < room && shares > 0:
		for i, c := range g.columns {
			if g.widths[c.Key] == 0 {
				w[i] += (room - sum) * c.Grow / shares
			}
		}
	case sum > room:
		lack := sum - room
		lack = shrink(w, g.columns, lack, func(c Column) bool { return c.Grow > 0 && g.widths[c.Key] == 0 })
		shrink(w, g.columns, lack, func(Column) bool { return true })
	}
	g.spans = g.spans[:0]
	x := g.checkWidth()
	for i := range w {
		g.spans = append(g.spans, span{snap(x), snap(x+w[i]) - snap(x)})
		x += w[i]
	}
}

func (g *DataGrid) wanted(c Column) float32 {
	if w := g.widths[c.Key]; w > 0 {
		return max(w, c.least())
	}
	if c.Width > 0 {
		return c.Width
	}
	return gridColumnWidth
}

func (c Column) least() float32 {
	if c.Least > 0 {
		return c.Least
	}
	return gridColumnLeast
}

// shrink takes lack off the widths of some columns, in proportion to what each
// can spare, and returns what is still lacking.
func shrink(w []float32, columns []Column, lack float32, from func(Column) bool) float32 {
	var spare float32
	for i, c := range columns {
		if from(c) {
			spare += max(0, w[i]-c.least())
		}
	}
	if spare <= 0 || lack <= 0 {
		return max(0, lack)
	}
	part := min(1, lack/spare)
	for i, c := range columns {
		if from(c) {
			w[i] -= max(0, w[i]-c.least()) * part
		}
	}
	return max(0, lack-spare)
}

// resizeColumn sets a width as the user drags; the columns left of it keep
// theirs, so that only the divider moves.
func (g *DataGrid) resizeColumn(i int, width float32) {
	for j := range i {
		g.widths[g.columns[j].Key] = g.spans[j].w
	}
	g.widths[g.columns[i].Key] = max(g.columns[i].least(), width)
	g.relayout()
}

func (g *DataGrid) widthsDone() {
	if g.OnWidths == nil {
		return
	}
	out := make(map[string]float32, len(g.widths))
	for key, w := range g.widths {
		out[key] = w
	}
	g.OnWidths(out)
}

func (g *DataGrid) relayout() {
	g.measure(g.Size().Width - 2*gridEdge)
	g.head.Refresh()
	g.view.refreshRows()
}

// sortBy sorts by a column as the user asked, turning round on the second time.
func (g *DataGrid) sortBy(c Column) {
	if !c.Sortable || g.Disabled() {
		return
	}
	if g.sortKey == c.Key {
		g.descending = !g.descending
	} else {
		g.sortKey, g.descending = c.Key, c.Descending
	}
	g.head.Refresh()
	if g.OnSort != nil {
		g.OnSort(g.sortKey, g.descending)
	}
}

// turn asks for another page where there is one.
func (g *DataGrid) turn(t Turn) {
	if g.canTurn(t) && g.OnPage != nil {
		g.OnPage(t)
	}
}

func (g *DataGrid) canTurn(t Turn) bool {
	if g.loading || g.Disabled() {
		return false
	}
	if t == FirstPage || t == PreviousPage {
		return g.from > 1
	}
	return g.total < 0 && len(g.rows) > 0 || g.from+int64(len(g.rows)) <= g.total
}

// Enable makes the grid usable again.
func (g *DataGrid) Enable() {
	g.DisableableWidget.Enable()
	g.Refresh()
}

// Disable greys the grid; it takes no input until Enable.
func (g *DataGrid) Disable() {
	g.DisableableWidget.Disable()
	g.Refresh()
}

// CreateRenderer is for the toolkit.
func (g *DataGrid) CreateRenderer() fyne.WidgetRenderer {
	// The ring stands on a card, below all else.
	frame := newSurface(theme.Corner, focusWidth)
	frame.hidden = !g.focused
	frame.paint(theme.Card, theme.Accent)
	r := &parts{objects: append(frame.objects(), g.head, g.scroll, g.foot)}
	r.min = func() fyne.Size {
		return fyne.NewSize(240, gridHeadHeight+gridFootHeight+3*gridRowHeight)
	}
	r.layout = func(size fyne.Size) {
		frame.resize(size)
		inner := size.Width - 2*gridEdge
		g.measure(inner)
		g.head.Move(fyne.NewPos(gridEdge, 0))
		g.head.Resize(fyne.NewSize(inner, gridHeadHeight))
		g.scroll.Move(fyne.NewPos(gridEdge, gridHeadHeight))
		g.scroll.Resize(fyne.NewSize(inner, max(0, size.Height-gridHeadHeight-gridFootHeight)))
		g.foot.Move(fyne.NewPos(gridEdge, size.Height-gridFootHeight))
		g.foot.Resize(fyne.NewSize(inner, gridFootHeight))
		g.view.refreshRows()
	}
	r.refresh = func() {
		g.edition++
		frame.hidden = !g.focused
		frame.paint(theme.Card, theme.Accent)
		frame.resize(g.Size())
		g.measure(g.Size().Width - 2*gridEdge)
		g.head.Refresh()
		g.scroll.Refresh()
		g.view.refreshRows()
		g.foot.Refresh()
		canvas.Refresh(g)
	}
	return r
}

package widgets

import (
	"fmt"
	"slices"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/test"

	"postroom/assets/theme"
	"postroom/assets/words"
)

// told is what a grid called back with.
type told struct {
	selected, deleted, menu []int64
	current, opened         int64
	turns                   []Turn
	sorted                  string
	widths                  map[string]float32
}

func newTestGrid(t *testing.T, n int, total int64) (*DataGrid, *told, fyne.Window) {
	t.Helper()
	a := test.NewTempApp(t)
	a.Settings().SetTheme(theme.New(theme.Light))
	g := NewDataGrid(words.For(words.English),
		Column{Key: "address", Title: "Address", Width: 200, Grow: 1, Sortable: true},
		Column{Key: "state", Title: "State", Width: 100},
		Column{Key: "when", Title: "When", Width: 120, Sortable: true, Descending: true})
	said := &told{}
	g.OnSelect = func(ids []int64) { said.selected = ids }
	g.OnCurrent = func(id int64) { said.current = id }
	g.OnOpen = func(id int64) { said.opened = id }
	g.OnDelete = func(ids []int64) { said.deleted = ids }
	g.OnMenu = func(ids []int64, _ fyne.Position) { said.menu = ids }
	g.OnPage = func(turn Turn) { said.turns = append(said.turns, turn) }
	g.OnSort = func(key string, desc bool) { said.sorted = fmt.Sprint(key, " ", desc) }
	g.OnWidths = func(w map[string]float32) { said.widths = w }
	w := test.NewTempWindow(t, g)
	w.SetPadded(false)
	w.Resize(fyne.NewSize(600, gridHeadHeight+gridFootHeight+10*gridRowHeight))
	g.SetPage(testRows(1, n), 1, total)
	return g, said, w
}

func testRows(first, n int) []Row {
	var rows []Row
	for i := range n {
		id := int64(first + i)
		rows = append(rows, Row{ID: id, Cells: []Cell{{Text: fmt.Sprintf("p%d@example.com", id)}, {Text: "taken", Tone: theme.Blue, Pill: true}, {Text: "today"}}})
	}
	return rows
}

func key(g *DataGrid, names ...fyne.KeyName) {
	for _, n := range names {
		g.TypedKey(&fyne.KeyEvent{Name: n})
	}
}

func withShift(g *DataGrid, names ...fyne.KeyName) {
	g.KeyDown(&fyne.KeyEvent{Name: desktop.KeyShiftLeft})
	key(g, names...)
	g.KeyUp(&fyne.KeyEvent{Name: desktop.KeyShiftLeft})
}

// rowOf returns the widget that draws row i now.
func rowOf(t *testing.T, g *DataGrid, i int) *gridRow {
	t.Helper()
	for _, r := range g.view.pool {
		if r.Visible() && r.index == i {
			return r
		}
	}
	t.Fatalf("row %d is not in sight", i)
	return nil
}

// click presses the mouse on a row as the driver does: down, up, tap.
func click(t *testing.T, g *DataGrid, i int, x float32, mod fyne.KeyModifier) {
	t.Helper()
	r := rowOf(t, g, i)
	at := fyne.PointEvent{Position: fyne.NewPos(x, 10)}
	r.MouseDown(&desktop.MouseEvent{PointEvent: at, Button: desktop.MouseButtonPrimary, Modifier: mod})
	r.MouseUp(&desktop.MouseEvent{PointEvent: at, Button: desktop.MouseButtonPrimary, Modifier: mod})
	r.Tapped(&at)
}

func wantIDs(t *testing.T, what string, got []int64, want ...int64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestGridKeyboard(t *testing.T) {
	g, said, w := newTestGrid(t, 100, 48211)
	w.Canvas().Focus(g)
	key(g, fyne.KeyDown)
	wantIDs(t, "down", said.selected, 2)
	if said.current != 2 {
		t.Errorf("current is %d", said.current)
	}
	withShift(g, fyne.KeyDown, fyne.KeyDown)
	wantIDs(t, "shift down twice", said.selected, 2, 3, 4)
	withShift(g, fyne.KeyUp, fyne.KeyUp, fyne.KeyUp)
	wantIDs(t, "shift up over the anchor", said.selected, 1, 2)
	key(g, fyne.KeyEnd)
	wantIDs(t, "end", said.selected, 100)
	rowOf(t, g, 99) // brought into sight
	key(g, fyne.KeyDown)
	wantIDs(t, "down at the end", said.selected, 100)
	key(g, fyne.KeyPageUp)
	wantIDs(t, "page up", said.selected, 91)
	key(g, fyne.KeyHome, fyne.KeyPageDown)
	wantIDs(t, "page down", said.selected, 10)
	key(g, fyne.KeySpace)
	wantIDs(t, "space lets go", said.selected)
	key(g, fyne.KeyReturn)
	if said.opened != 10 {
		t.Errorf("enter opened %d", said.opened)
	}
	key(g, fyne.KeyDelete)
	wantIDs(t, "delete without a selection takes the row at hand", said.deleted, 10)
	g.TypedShortcut(&fyne.ShortcutSelectAll{})
	if len(said.selected) != 100 {
		t.Errorf("ctrl+A selected %d", len(said.selected))
	}
	withShift(g, fyne.KeyF10)
	if len(said.menu) != 100 {
		t.Errorf("shift+F10: menu for %d", len(said.menu))
	}
	key(g, fyne.KeyEscape)
	wantIDs(t, "escape", said.selected)
	withShift(g, fyne.KeyHome)
	if len(said.selected) != 10 {
		t.Errorf("shift+home selected %v", said.selected)
	}
}

func TestGridMouse(t *testing.T) {
	g, said, w := newTestGrid(t, 100, 48211)
	click(t, g, 3, 100, 0)
	wantIDs(t, "click", said.selected, 4)
	if w.Canvas().Focused() != fyne.Focusable(g) {
		t.Error("a click does not take the focus")
	}
	click(t, g, 6, 100, fyne.KeyModifierShift)
	wantIDs(t, "shift click", said.selected, 4, 5, 6, 7)
	click(t, g, 5, 100, fyne.KeyModifierControl)
	wantIDs(t, "ctrl click lets go", said.selected, 4, 5, 7)
	click(t, g, 1, 10, 0)
	wantIDs(t, "click on the box", said.selected, 2, 4, 5, 7)
	click(t, g, 0, 100, 0)
	wantIDs(t, "plain click", said.selected, 1)
	r := rowOf(t, g, 2)
	r.DoubleTapped(&fyne.PointEvent{Position: fyne.NewPos(100, 5)})
	if said.opened != 3 {
		t.Errorf("double click opened %d", said.opened)
	}
	r.TappedSecondary(&fyne.PointEvent{})
	wantIDs(t, "menu on another row", said.menu, 3)
	click(t, g, 4, 100, fyne.KeyModifierControl)
	rowOf(t, g, 4).TappedSecondary(&fyne.PointEvent{})
	wantIDs(t, "menu on the selection", said.menu, 3, 5)
	test.TapAt(rowOf(t, g, 7), fyne.NewPos(100, 5)) // a touch: a tap without a press
	wantIDs(t, "tap", said.selected, 8)
	test.Tap(g.head.all)
	if len(said.selected) != 100 {
		t.Errorf("the box above selected %d", len(said.selected))
	}
	test.Tap(g.head.all)
	wantIDs(t, "the box above again", said.selected)
}

// Only the rows in sight have widgets, and each shows its own text.
func TestGridDrawsOnlyWhatIsInSight(t *testing.T) {
	g, _, _ := newTestGrid(t, 50_000, 50_000)
	if n := len(g.view.pool); n > 14 {
		t.Errorf("%d widgets for 10 rows in sight", n)
	}
	for _, top := range []int{0, 1, 7, 400, 49_990, 3} {
		g.scroll.ScrollToOffset(fyne.NewPos(0, float32(top)*gridRowHeight))
		g.view.place()
		for i := top; i < top+10; i++ {
			r := rowOf(t, g, i)
			cells := test.WidgetRenderer(r).(*rowRenderer).cells
			if want := fmt.Sprintf("p%d@example.com", i+1); cells[0].Text != want {
				t.Errorf("row %d at top %d says %q", i, top, cells[0].Text)
			}
			if r.Position().Y != float32(i)*gridRowHeight {
				t.Errorf("row %d is at %v", i, r.Position())
			}
		}
	}
}

func TestGridPages(t *testing.T) {
	g, said, _ := newTestGrid(t, 100, 250)
	if got := g.foot.text(); got != "1–100 of 250" {
		t.Errorf("foot says %q", got)
	}
	g.turn(PreviousPage) // there is none
	ctrl := &desktop.CustomShortcut{KeyName: fyne.KeyPageDown, Modifier: fyne.KeyModifierControl}
	g.TypedShortcut(ctrl)
	test.Tap(g.foot.turns[LastPage])
	if !slices.Equal(said.turns, []Turn{NextPage, LastPage}) {
		t.Errorf("turns %v", said.turns)
	}
	g.SetSelected(5)
	g.SetLoading(true)
	g.turn(NextPage) // not while one is under way
	key(g, fyne.KeyDown)
	if len(said.turns) != 2 || g.foot.text() != "Loading…" {
		t.Errorf("while loading: %v, %q", said.turns, g.foot.text())
	}
	r := rowOf(t, g, 0)
	if text := test.WidgetRenderer(r).(*rowRenderer).cells[0].Text; text != "…" {
		t.Errorf("a loading row says %q", text)
	}
	g.SetPage(testRows(201, 50), 201, 250)
	if got := g.foot.text(); got != "201–250 of 250" {
		t.Errorf("foot says %q", got)
	}
	wantIDs(t, "the selection outlives the turn", g.Selected(), 5)
	g.turn(NextPage)
	g.turn(FirstPage)
	if len(said.turns) != 3 || said.turns[2] != FirstPage {
		t.Errorf("turns %v", said.turns)
	}
	g.SetPage(nil, 1, 0)
	if got := g.foot.text(); got != "nothing here" {
		t.Errorf("foot says %q", got)
	}
	key(g, fyne.KeyDown, fyne.KeyEnd, fyne.KeySpace, fyne.KeyReturn, fyne.KeyDelete)
}

// A page that is shown again, as after a change of the ledger, keeps the place.
func TestGridKeepsThePlaceOnReload(t *testing.T) {
	g, said, _ := newTestGrid(t, 100, 100)
	click(t, g, 8, 100, 0)
	g.SetPage(testRows(4, 97), 1, 97)
	if g.Current() != 9 {
		t.Errorf("current is %d", g.Current())
	}
	key(g, fyne.KeyDown)
	wantIDs(t, "down from there", said.selected, 10)
}

func TestGridSort(t *testing.T) {
	g, said, _ := newTestGrid(t, 3, 3)
	head := g.head.titles
	test.Tap(head[2])
	if said.sorted != "when true" {
		t.Errorf("sorted by %q", said.sorted)
	}
	if head[2].text() != "When ▾" {
		t.Errorf("title says %q", head[2].text())
	}
	head[2].TypedKey(&fyne.KeyEvent{Name: fyne.KeyReturn})
	if head[2].text() != "When ▴" {
		t.Errorf("title says %q", head[2].text())
	}
	before := said.sorted
	test.Tap(head[1]) // not sortable
	if said.sorted != before {
		t.Error("sorted by a column that cannot be")
	}
}

func TestGridColumns(t *testing.T) {
	g, said, w := newTestGrid(t, 3, 3)
	room := g.Size().Width - 2*gridEdge
	last := g.spans[2]
	if last.x+last.w != room {
		t.Errorf("columns end at %v of %v", last.x+last.w, room)
	}
	d := g.head.dividers[0]
	start := g.spans[0].w
	d.Dragged(&fyne.DragEvent{Dragged: fyne.NewDelta(-30, 0)})
	d.Dragged(&fyne.DragEvent{Dragged: fyne.NewDelta(-10, 0)})
	if said.widths != nil {
		t.Error("widths are reported before the drag ends")
	}
	d.DragEnd()
	if got := said.widths["address"]; got != start-40 {
		t.Errorf("width %v, want %v", got, start-40)
	}
	d.Dragged(&fyne.DragEvent{Dragged: fyne.NewDelta(-5000, 0)})
	d.DragEnd()
	if got := said.widths["address"]; got != gridColumnLeast {
		t.Errorf("width %v after dragging it away", got)
	}
	w.Resize(fyne.NewSize(300, 400))
	if last := g.spans[2]; last.x+last.w > 300-2*gridEdge+1 {
		t.Errorf("columns end at %v in a small window", last.x+last.w)
	}
	g.SetWidths(map[string]float32{"address": 77})
	if g.spans[0].w > 77 {
		t.Errorf("kept width became %v", g.spans[0].w)
	}
}

func TestGridDisabled(t *testing.T) {
	g, said, _ := newTestGrid(t, 100, 300)
	g.Disable()
	click(t, g, 2, 100, 0)
	key(g, fyne.KeyDown)
	test.Tap(g.head.titles[0])
	g.turn(NextPage)
	if said.selected != nil || said.sorted != "" || said.turns != nil {
		t.Errorf("a grid that is switched off called back: %+v", said)
	}
	g.Enable()
	click(t, g, 2, 100, 0)
	wantIDs(t, "on again", said.selected, 3)
}

// Keys and shortcuts that the grid has no use for reach the window.
func TestGridPassesOn(t *testing.T) {
	g, _, w := newTestGrid(t, 3, 3)
	escaped, ran := 0, 0
	w.Canvas().SetOnTypedKey(func(ev *fyne.KeyEvent) {
		if ev.Name == fyne.KeyEscape {
			escaped++
		}
	})
	one := &desktop.CustomShortcut{KeyName: fyne.Key1, Modifier: fyne.KeyModifierControl}
	w.Canvas().AddShortcut(one, func(fyne.Shortcut) { ran++ })
	g.SetSelected(1)
	key(g, fyne.KeyEscape) // lets the selection go
	if escaped != 0 {
		t.Error("escape went on although there was a selection")
	}
	key(g, fyne.KeyEscape)
	if escaped != 1 {
		t.Error("escape did not reach the window")
	}
	if _, ok := w.Canvas().(fyne.Shortcutable); ok {
		g.TypedShortcut(one)
		if ran != 1 {
			t.Error("ctrl+1 did not reach the window")
		}
	}
}

// Ctrl+A takes the page, once more the whole list; what is let go is left out of
// it, also after a turn of the page, and a plain click ends it.
func TestGridSelectsEverything(t *testing.T) {
	g, said, _ := newTestGrid(t, 100, 48211)
	g.Everything = true
	all := func() { g.TypedShortcut(&fyne.ShortcutSelectAll{}) }
	all()
	if len(said.selected) != 100 || !g.foot.all.Visible() {
		t.Fatalf("%d selected; the offer is shown: %v", len(said.selected), g.foot.all.Visible())
	}
	test.Tap(g.foot.all)
	if whole, but := g.AllSelected(); !whole || len(but) != 0 || g.Count() != 48211 || g.foot.all.Visible() {
		t.Fatalf("all %v but %v, %d", whole, but, g.Count())
	}
	click(t, g, 3, 10, 0)
	g.SetPage(testRows(101, 100), 101, 48211)
	if !g.isSelected(101) || g.isSelected(4) {
		t.Error("another page is not selected, or what was left out is")
	}
	click(t, g, 0, 10, 0)
	_, but := g.AllSelected()
	wantIDs(t, "left out", but, 4, 101)
	if g.Count() != 48209 || len(g.Selected()) != 99 {
		t.Errorf("%d selected, %d on the page", g.Count(), len(g.Selected()))
	}
	all()
	_, but = g.AllSelected()
	wantIDs(t, "the page is whole again", but, 4)
	click(t, g, 2, 100, 0)
	wantIDs(t, "a plain click", said.selected, 103)
	if whole, _ := g.AllSelected(); whole {
		t.Error("a plain click left the list selected")
	}
	key(g, fyne.KeyEscape)
	g.Everything = false
	all()
	all()
	if whole, _ := g.AllSelected(); whole || len(g.Selected()) != 100 {
		t.Error("the whole list was selected where it is not offered")
	}
}

// Ctrl+C copies the selected rows of the page, or asks the owner.
func TestGridCopies(t *testing.T) {
	g, _, _ := newTestGrid(t, 3, 3)
	g.SetSelected(1, 3)
	g.TypedShortcut(&fyne.ShortcutCopy{})
	if got, want := fyne.CurrentApp().Clipboard().Content(), "p1@example.com\ttaken\ttoday\np3@example.com\ttaken\ttoday\n"; got != want {
		t.Errorf("copied %q", got)
	}
	var asked []int64
	g.OnCopy = func(ids []int64) { asked = ids }
	g.TypedShortcut(&fyne.ShortcutCopy{})
	wantIDs(t, "the owner copies", asked, 1, 3)
}

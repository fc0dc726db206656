package widgets

import (
	"slices"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
)

// pick is a plain click on a row or a plain arrow: this row alone.
func (g *DataGrid) pick(i int) {
	g.clearSelection()
	g.selected[g.rows[i].ID] = true
	g.anchor = i
	g.moveTo(i)
	g.told()
}

// toggle is Ctrl and click, Space, or a click on the check box.
func (g *DataGrid) toggle(i int) {
	id := g.rows[i].ID
	if g.selected[id] {
		delete(g.selected, id)
	} else {
		g.selected[id] = true
	}
	g.anchor = i
	g.moveTo(i)
	g.told()
}

// extend is Shift and click, or Shift and an arrow: from the anchor to here.
// What is selected on other pages is let go.
func (g *DataGrid) extend(i int) {
	if g.anchor < 0 || g.anchor >= len(g.rows) {
		g.anchor = max(0, g.cursor)
	}
	g.clearSelection()
	for j := min(g.anchor, i); j <= max(g.anchor, i); j++ {
		g.selected[g.rows[j].ID] = true
	}
	g.moveTo(i)
	g.told()
}

func (g *DataGrid) clearSelection() {
	clear(g.selected)
	g.inverse = false
}

// isSelected reports whether a row is.
func (g *DataGrid) isSelected(id int64) bool { return g.selected[id] != g.inverse }

// selectEverything selects the whole list.
func (g *DataGrid) selectEverything() {
	clear(g.selected)
	g.inverse = true
	g.told()
}

// offersEverything reports whether there is more to select than the page.
func (g *DataGrid) offersEverything() bool {
	all, _ := g.pageSelected()
	return g.Everything && all && !g.inverse && g.total > int64(len(g.selected))
}

// selectPage selects the whole page, or lets it go when it is all selected.
func (g *DataGrid) selectPage(all bool) {
	if g.inverse && !all { // all boxes are let go at once
		g.clearSelection()
		g.told()
		return
	}
	for _, r := range g.rows {
		if all != g.inverse {
			g.selected[r.ID] = true
		} else {
			delete(g.selected, r.ID)
		}
	}
	g.told()
}

// pageSelected reports whether all, or at least some, rows of the page are
// selected.
func (g *DataGrid) pageSelected() (all, some bool) {
	n := 0
	for _, r := range g.rows {
		if g.isSelected(r.ID) {
			n++
		}
	}
	return n > 0 && n == len(g.rows), n > 0
}

// told redraws what a change of the selection touches, and calls back.
func (g *DataGrid) told() {
	g.view.refreshMarks()
	g.head.all.Refresh()
	g.foot.tell()
	if g.OnSelect != nil {
		g.OnSelect(g.Selected())
	}
}

// moveTo puts the cursor on a row, brings it into sight and says so.
func (g *DataGrid) moveTo(i int) {
	changed := g.cursor != i
	g.cursor = i
	g.bringIntoSight(i)
	if changed && g.OnCurrent != nil {
		g.OnCurrent(g.rows[i].ID)
	}
}

func (g *DataGrid) bringIntoSight(i int) {
	top, height := float32(i)*gridRowHeight, g.scroll.Size().Height
	offset := g.scroll.Offset.Y
	switch {
	case height <= 0:
		return
	case top < offset:
		offset = top
	case top+gridRowHeight > offset+height:
		offset = top + gridRowHeight - height
	default:
		return
	}
	g.scroll.ScrollToOffset(fyne.NewPos(0, max(0, offset)))
	g.view.place()
}

// chosen returns the rows a command is meant for: the selection, or else the
// row with the cursor.
func (g *DataGrid) chosen() []int64 {
	if ids := g.Selected(); len(ids) > 0 {
		return ids
	}
	if id := g.currentID(); id != 0 {
		return []int64{id}
	}
	return nil
}

// FocusGained shows the ring and the cursor.
func (g *DataGrid) FocusGained() {
	g.focused = true
	if g.cursor < 0 && g.usable() {
		g.cursor, g.anchor = 0, 0
	}
	g.Refresh()
}

// FocusLost hides them.
func (g *DataGrid) FocusLost() {
	g.focused, g.shift = false, false
	g.Refresh()
}

// focus takes the focus after a click on a row.
func (g *DataGrid) focus() {
	if c := fyne.CurrentApp().Driver().CanvasForObject(g); c != nil && !g.focused {
		c.Focus(g)
	}
}

// KeyDown notices Shift.
func (g *DataGrid) KeyDown(ev *fyne.KeyEvent) {
	if ev.Name == desktop.KeyShiftLeft || ev.Name == desktop.KeyShiftRight {
		g.shift = true
	}
}

// KeyUp notices that Shift was let go.
func (g *DataGrid) KeyUp(ev *fyne.KeyEvent) {
	if ev.Name == desktop.KeyShiftLeft || ev.Name == desktop.KeyShiftRight {
		g.shift = false
	}
}

// TypedRune does nothing.
func (g *DataGrid) TypedRune(rune) {}

// TypedKey moves the cursor, selects and opens.
func (g *DataGrid) TypedKey(ev *fyne.KeyEvent) {
	if !g.usable() {
		PassKey(g, ev)
		return
	}
	page := max(1, int(g.scroll.Size().Height/gridRowHeight)-1)
	last := len(g.rows) - 1
	switch ev.Name {
	case fyne.KeyUp:
		g.step(g.cursor - 1)
	case fyne.KeyDown:
		g.step(g.cursor + 1)
	case fyne.KeyPageUp:
		g.step(g.cursor - page)
	case fyne.KeyPageDown:
		g.step(g.cursor + page)
	case fyne.KeyHome:
		g.step(0)
	case fyne.KeyEnd:
		g.step(last)
	case fyne.KeySpace:
		g.toggle(max(0, g.cursor))
	case fyne.KeyReturn, fyne.KeyEnter:
		if id := g.currentID(); id != 0 && g.OnOpen != nil {
			g.OnOpen(id)
		}
	case fyne.KeyDelete:
		if ids := g.chosen(); len(ids) > 0 && g.OnDelete != nil {
			g.OnDelete(ids)
		}
	case fyne.KeyEscape:
		if g.Count() == 0 {
			PassKey(g, ev)
			return
		}
		g.clearSelection()
		g.told()
	case desktop.KeyMenu:
		g.keyMenu()
	case fyne.KeyF10:
		if g.shift {
			g.keyMenu()
		}
	}
}

// step moves to a row, or with Shift extends the selection to it.
func (g *DataGrid) step(i int) {
	i = min(max(0, i), len(g.rows)-1)
	if g.shift {
		g.extend(i)
		return
	}
	g.pick(i)
}

// keyMenu asks for the context menu below the row with the cursor.
func (g *DataGrid) keyMenu() {
	ids := g.chosen()
	if len(ids) == 0 || g.OnMenu == nil {
		return
	}
	at := fyne.CurrentApp().Driver().AbsolutePositionForObject(g.scroll)
	y := float32(max(0, g.cursor)+1)*gridRowHeight - g.scroll.Offset.Y
	g.OnMenu(ids, at.AddXY(g.checkWidth(), min(max(0, y), g.scroll.Size().Height)))
}

// copyRows puts what is chosen on the clipboard.
func (g *DataGrid) copyRows() {
	ids := g.chosen()
	switch {
	case len(ids) == 0:
		return
	case g.OnCopy != nil:
		g.OnCopy(ids)
		return
	}
	var b strings.Builder
	for _, r := range g.rows {
		if !slices.Contains(ids, r.ID) {
			continue
		}
		cells := make([]string, len(r.Cells))
		for i, c := range r.Cells {
			cells[i] = c.Text
		}
		b.WriteString(strings.Join(cells, "\t") + "\n")
	}
	fyne.CurrentApp().Clipboard().SetContent(b.String())
}

// TypedShortcut selects all by Ctrl+A (twice: the whole list, where that is
// offered), copies by Ctrl+C, and turns pages by Ctrl+Page Up and Down. Others go
// on to the window: having the focus must not swallow its shortcuts.
func (g *DataGrid) TypedShortcut(s fyne.Shortcut) {
	switch s.(type) {
	case *fyne.ShortcutSelectAll:
		if g.usable() && g.offersEverything() {
			g.selectEverything()
		} else if g.usable() {
			g.selectPage(true)
		}
		return
	case *fyne.ShortcutCopy:
		if g.usable() {
			g.copyRows()
		}
		return
	case *fyne.ShortcutPaste:
		if g.OnPaste != nil {
			g.OnPaste()
			return
		}
	}
	if c, ok := s.(*desktop.CustomShortcut); ok && c.Modifier == fyne.KeyModifierControl {
		switch c.KeyName {
		case fyne.KeyPageDown:
			g.turn(NextPage)
			return
		case fyne.KeyPageUp:
			g.turn(PreviousPage)
			return
		}
	}
	passOn(g, s)
}

// passOn gives a shortcut that a focused widget does not want to the window.
func passOn(o fyne.CanvasObject, s fyne.Shortcut) {
	if c, ok := fyne.CurrentApp().Driver().CanvasForObject(o).(fyne.Shortcutable); ok {
		c.TypedShortcut(s)
	}
}

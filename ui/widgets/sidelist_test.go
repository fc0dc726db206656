package widgets

import (
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/test"

	"postroom/assets/theme"
)

func TestSideList(t *testing.T) {
	a := test.NewTempApp(t)
	a.Settings().SetTheme(theme.New(theme.Light))
	l := NewSideList()
	var picked, menu, deleted, renamed []int64
	l.OnSelect = func(id int64) { picked = append(picked, id) }
	l.OnMenu = func(id int64, at fyne.Position) { menu = append(menu, id, int64(at.Y)) }
	l.OnDelete = func(id int64) { deleted = append(deleted, id) }
	l.OnRename = func(id int64) { renamed = append(renamed, id) }
	w := test.NewTempWindow(t, l)
	w.SetPadded(false)
	w.Resize(fyne.NewSize(200, 4*sideHeight))
	var items []SideItem
	for i := range 20 {
		items = append(items, SideItem{ID: int64(i), Label: "list", Badge: "1", Break: i == 1})
	}
	l.SetItems(items)
	typed := func(names ...fyne.KeyName) {
		for _, n := range names {
			l.TypedKey(&fyne.KeyEvent{Name: n})
		}
	}
	w.Canvas().Focus(l)
	typed(fyne.KeyUp) // there is nothing above the first, which is picked
	typed(fyne.KeyDown, fyne.KeyEnd)
	wantIDs(t, "picked", picked, 1, 19)
	if last := l.entries[19]; last.Position().Y+last.Size().Height > l.scroll.Offset.Y+l.scroll.Size().Height+0.5 {
		t.Error("the last one was not brought into sight")
	}
	typed(fyne.KeyHome)
	if l.scroll.Offset.Y != 0 {
		t.Error("the first one was not brought into sight")
	}
	test.Tap(l.entries[1])
	wantIDs(t, "clicked", picked, 1, 19, 0, 1)
	test.TapSecondary(l.entries[2])
	typed(desktop.KeyMenu)
	l.KeyDown(&fyne.KeyEvent{Name: desktop.KeyShiftLeft})
	typed(fyne.KeyF10)
	l.KeyUp(&fyne.KeyEvent{Name: desktop.KeyShiftLeft})
	typed(fyne.KeyF10)
	if len(menu) != 6 || menu[0] != 2 || menu[2] != 2 || menu[4] != 2 || menu[5] == 0 {
		t.Errorf("menus for %v", menu)
	}
	typed(fyne.KeyDelete, fyne.KeyF2)
	wantIDs(t, "deleted", deleted, 2)
	wantIDs(t, "renamed", renamed, 2)
	// Fewer entries: the one that is picked stays so, by its id.
	l.SetItems(items[2:5])
	if l.Selected() != 2 || len(l.box.Objects) != 3 {
		t.Errorf("%d is picked of %d", l.Selected(), len(l.box.Objects))
	}
	typed(fyne.KeyDown)
	if l.Selected() != 3 {
		t.Errorf("%d is picked", l.Selected())
	}
}

package widgets

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/icons"
	"postroom/assets/theme"
)

// The measures of a side list, in pixels.
const (
	sideHeight float32 = 34
	sideIndent float32 = 10
	sideIcon   float32 = 16
	sideBreak  float32 = 13 // the room of a line between groups
)

// SideItem is one entry of a side list.
type SideItem struct {
	ID    int64
	Label string
	Badge string     // a count at the right
	Icon  icons.Icon // empty: none
	Break bool       // a line stands above it
}

// SideList is a scrolled list of which one entry is picked, such as the lists
// beside a table. Arrows, Home and End move and pick, the menu key and Shift+F10
// ask for the context menu, Delete and F2 call back.
type SideList struct {
	widget.BaseWidget
	// OnSelect is told the entry that the user picked.
	OnSelect func(id int64)
	// OnMenu asks for the context menu of an entry; at: on the canvas.
	OnMenu   func(id int64, at fyne.Position)
	OnDelete func(id int64)
	OnRename func(id int64)

	items    []SideItem
	entries  []*sideEntry
	box      *fyne.Container
	scroll   *container.Scroll
	selected int64
	focused  bool
	shift    bool
}

var (
	_ fyne.Focusable  = (*SideList)(nil)
	_ desktop.Keyable = (*SideList)(nil)
)

// NewSideList returns an empty list.
func NewSideList() *SideList {
	l := &SideList{}
	l.box = container.New(&sideLayout{list: l})
	l.scroll = container.NewVScroll(l.box)
	l.ExtendBaseWidget(l)
	return l
}

// SetItems replaces the entries; the same one stays picked. It does nothing
// where nothing has changed.
func (l *SideList) SetItems(items []SideItem) {
	if sameItems(l.items, items) {
		return
	}
	l.items = items
	for len(l.entries) < len(items) {
		e := &sideEntry{list: l, index: len(l.entries)}
		e.ExtendBaseWidget(e)
		l.entries = append(l.entries, e)
	}
	l.entries = l.entries[:len(items)]
	l.box.Objects = l.box.Objects[:0]
	for _, e := range l.entries {
		l.box.Objects = append(l.box.Objects, e)
	}
	l.Refresh()
}

func sameItems(a, b []SideItem) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// Items returns the entries as they were given.
func (l *SideList) Items() []SideItem { return l.items }

// Select marks an entry without calling back.
func (l *SideList) Select(id int64) {
	if l.selected != id {
		l.selected = id
		l.Refresh()
		l.bringIntoSight(l.index())
	}
}

// Selected returns the id of the entry that is picked.
func (l *SideList) Selected() int64 { return l.selected }

func (l *SideList) index() int {
	for i, item := range l.items {
		if item.ID == l.selected {
			return i
		}
	}
	return -1
}

// pick is what the user does.
func (l *SideList) pick(i int) {
	if i < 0 || i >= len(l.items) || l.items[i].ID == l.selected {
		return
	}
	l.Select(l.items[i].ID)
	if l.OnSelect != nil {
		l.OnSelect(l.selected)
	}
}

func (l *SideList) bringIntoSight(i int) {
	if i < 0 || i >= len(l.entries) || l.scroll.Size().Height <= 0 {
		return
	}
	top, height, offset := l.entries[i].Position().Y, l.scroll.Size().Height, l.scroll.Offset.Y
	switch {
	case top < offset:
		offset = top
	case top+sideHeight > offset+height:
		offset = top + sideHeight - height
	default:
		return
	}
	l.scroll.ScrollToOffset(fyne.NewPos(0, max(0, offset)))
}

func (l *SideList) focus() {
	if c := fyne.CurrentApp().Driver().CanvasForObject(l); c != nil && !l.focused {
		c.Focus(l)
	}
}

// FocusGained shows the ring.
func (l *SideList) FocusGained() { l.focused = true; l.Refresh() }

// FocusLost hides the ring.
func (l *SideList) FocusLost() { l.focused, l.shift = false, false; l.Refresh() }

// KeyDown notices Shift.
func (l *SideList) KeyDown(ev *fyne.KeyEvent) {
	if ev.Name == desktop.KeyShiftLeft || ev.Name == desktop.KeyShiftRight {
		l.shift = true
	}
}

// KeyUp notices that Shift was let go.
func (l *SideList) KeyUp(ev *fyne.KeyEvent) {
	if ev.Name == desktop.KeyShiftLeft || ev.Name == desktop.KeyShiftRight {
		l.shift = false
	}
}

// TypedRune does nothing.
func (l *SideList) TypedRune(rune) {}

// TypedKey moves and calls back.
func (l *SideList) TypedKey(ev *fyne.KeyEvent) {
	i := l.index()
	switch ev.Name {
	case fyne.KeyUp:
		l.pick(max(0, i-1))
	case fyne.KeyDown:
		l.pick(min(len(l.items)-1, i+1))
	case fyne.KeyHome:
		l.pick(0)
	case fyne.KeyEnd:
		l.pick(len(l.items) - 1)
	case fyne.KeyDelete:
		if l.OnDelete != nil && i >= 0 {
			l.OnDelete(l.selected)
		}
	case fyne.KeyF2:
		if l.OnRename != nil && i >= 0 {
			l.OnRename(l.selected)
		}
	case desktop.KeyMenu:
		l.keyMenu(i)
	case fyne.KeyF10:
		if l.shift {
			l.keyMenu(i)
		}
	default:
		PassKey(l, ev)
	}
}

// TypedShortcut gives shortcuts to the window.
func (l *SideList) TypedShortcut(s fyne.Shortcut) { passOn(l, s) }

func (l *SideList) keyMenu(i int) {
	if i < 0 || l.OnMenu == nil {
		return
	}
	at := fyne.CurrentApp().Driver().AbsolutePositionForObject(l.entries[i])
	l.OnMenu(l.selected, at.AddXY(sideIndent, sideHeight))
}

// CreateRenderer is for the toolkit.
func (l *SideList) CreateRenderer() fyne.WidgetRenderer {
	r := &parts{objects: []fyne.CanvasObject{l.scroll}}
	r.min = func() fyne.Size { return fyne.NewSize(120, 3*sideHeight) }
	r.layout = l.scroll.Resize
	r.refresh = func() {
		l.box.Refresh()
		for _, e := range l.entries {
			e.Refresh()
		}
		l.scroll.Refresh()
	}
	return r
}

// sideLayout stacks the entries, with room for the lines above some.
type sideLayout struct{ list *SideList }

func (s *sideLayout) MinSize([]fyne.CanvasObject) fyne.Size {
	h := float32(0)
	for _, item := range s.list.items {
		h += sideHeight
		if item.Break {
			h += sideBreak
		}
	}
	return fyne.NewSize(100, h)
}

func (s *sideLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	y := float32(0)
	for i, o := range objects {
		h := sideHeight
		if s.list.items[i].Break {
			h += sideBreak
		}
		o.Move(fyne.NewPos(0, y))
		o.Resize(fyne.NewSize(size.Width, h))
		y += h
	}
}

// sideEntry is one entry; it takes the pointer, the list takes the keys.
type sideEntry struct {
	widget.BaseWidget
	list    *SideList
	index   int
	hovered bool
}

var (
	_ fyne.Tappable          = (*sideEntry)(nil)
	_ fyne.SecondaryTappable = (*sideEntry)(nil)
	_ fyne.Accessible        = (*sideEntry)(nil)
	_ desktop.Hoverable      = (*sideEntry)(nil)
)

func (e *sideEntry) Tapped(*fyne.PointEvent) {
	e.list.focus()
	e.list.pick(e.index)
}

// TappedSecondary picks the entry and asks for its menu.
func (e *sideEntry) TappedSecondary(ev *fyne.PointEvent) {
	e.Tapped(nil)
	if e.list.OnMenu != nil {
		e.list.OnMenu(e.list.selected, ev.AbsolutePosition)
	}
}

func (e *sideEntry) MouseIn(*desktop.MouseEvent)    { e.hovered = true; e.Refresh() }
func (e *sideEntry) MouseMoved(*desktop.MouseEvent) {}
func (e *sideEntry) MouseOut()                      { e.hovered = false; e.Refresh() }

// item is what the entry shows; an entry on its way out shows nothing.
func (e *sideEntry) item() SideItem {
	if e.index < len(e.list.items) {
		return e.list.items[e.index]
	}
	return SideItem{}
}

func (e *sideEntry) AccessibilityLabel() string {
	item := e.item()
	if item.Badge == "" {
		return item.Label
	}
	return item.Label + ", " + item.Badge
}

func (e *sideEntry) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleButton }

func (e *sideEntry) CreateRenderer() fyne.WidgetRenderer {
	ground, line := canvas.NewRectangle(color.Transparent), canvas.NewRectangle(color.Transparent)
	image := &canvas.Image{FillMode: canvas.ImageFillContain}
	label, badge := canvas.NewText("", color.Transparent), canvas.NewText("", color.Transparent)
	r := &parts{objects: []fyne.CanvasObject{line, ground, image, label, badge}}
	r.min = func() fyne.Size { return fyne.NewSize(100, sideHeight) }
	r.layout = func(size fyne.Size) {
		item, top := e.item(), float32(0)
		line.Hidden = !item.Break
		if item.Break {
			top = sideBreak
			line.Move(fyne.NewPos(0, sideBreak/2))
			line.Resize(fyne.NewSize(size.Width, theme.Hairline))
		}
		ground.Move(fyne.NewPos(0, top))
		ground.Resize(fyne.NewSize(size.Width, sideHeight))
		x := sideIndent
		if image.Hidden = item.Icon == ""; !image.Hidden {
			image.Move(fyne.NewPos(x, top+(sideHeight-sideIcon)/2))
			image.Resize(fyne.NewSquareSize(sideIcon))
			x += sideIcon + 8
		}
		room := size.Width - x - sideIndent
		if item.Badge != "" {
			w := badge.MinSize().Width
			badge.Move(fyne.NewPos(size.Width-sideIndent-w, top+(sideHeight-badge.MinSize().Height)/2))
			badge.Resize(badge.MinSize())
			room -= w + 8
		}
		label.Text = Fit(item.Label, room, label.TextSize, label.TextStyle)
		label.Move(fyne.NewPos(x, top+(sideHeight-label.MinSize().Height)/2))
		label.Resize(label.MinSize())
	}
	paint := func() {
		item := e.item()
		selected := e.list.selected == item.ID
		ring(ground, theme.SoftCorner, e.list.focused && selected)
		ink := theme.Ink
		switch {
		case selected:
			ink = theme.Accent
			ground.FillColor = theme.Colour(theme.AccentSoft)
		case e.hovered:
			ground.FillColor = theme.Colour(theme.HoverSoft)
		}
		line.FillColor = theme.Colour(theme.Line)
		label.TextSize, label.Color, label.TextStyle.Bold = theme.TextSize, theme.Colour(ink), selected
		badge.Text, badge.TextSize, badge.Color = item.Badge, theme.SmallSize, theme.Colour(theme.Mute)
		if item.Icon != "" {
			image.Resource = icons.In(item.Icon, theme.Mute)
		}
		r.layout(e.Size())
	}
	r.refresh = func() {
		paint()
		for _, o := range r.objects {
			o.Refresh()
		}
		canvas.Refresh(e)
	}
	paint()
	return r
}

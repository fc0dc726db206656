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

// The measures of the navigation, in pixels.
const (
	navWidth  float32 = 184
	navMargin float32 = 10
	navHeight float32 = 36
	navGap    float32 = 2
	navTop    float32 = 57 // of the first entry; the program's name stands above
	navIndent float32 = 20
)

// NavItem is one entry of the navigation.
type NavItem struct {
	ID    string
	Icon  icons.Icon
	Label string
	Badge string // a count at the right; empty: none
}

// NavList is the navigation at the left: the program's name, the entries, and
// two small lines at the foot. Up and Down move a ring over the entries, Enter
// and Space go there.
type NavList struct {
	widget.BaseWidget
	// OnSelect is told the ID of the entry that the user picked.
	OnSelect func(id string)

	brand    string
	items    []NavItem
	entries  []*navEntry
	footer   [2]*Text
	selected int // -1: none
	cursor   int
	focused  bool
}

var (
	_ fyne.Focusable = (*NavList)(nil)
	_ fyne.Widget    = (*NavList)(nil)
)

// NewNavList returns a navigation with nothing selected.
func NewNavList(brand string, items []NavItem, onSelect func(id string)) *NavList {
	n := &NavList{brand: brand, items: items, OnSelect: onSelect, selected: -1}
	n.footer = [2]*Text{NewSmall("").Cutting(), NewSmall("").Cutting()}
	for i := range items {
		e := &navEntry{list: n, index: i}
		e.ExtendBaseWidget(e)
		n.entries = append(n.entries, e)
	}
	n.ExtendBaseWidget(n)
	return n
}

// Select marks an entry without calling OnSelect.
func (n *NavList) Select(id string) {
	for i, item := range n.items {
		if item.ID == id {
			n.selected, n.cursor = i, i
			n.Refresh()
			return
		}
	}
}

// Selected returns the ID of the marked entry, or an empty string.
func (n *NavList) Selected() string {
	if n.selected < 0 {
		return ""
	}
	return n.items[n.selected].ID
}

// SetBadge sets the count beside an entry; an empty text takes it away.
func (n *NavList) SetBadge(id, badge string) {
	for i := range n.items {
		if n.items[i].ID == id && n.items[i].Badge != badge {
			n.items[i].Badge = badge
			n.entries[i].Refresh()
		}
	}
}

// SetFooter sets the two lines at the foot.
func (n *NavList) SetFooter(first, second string) {
	n.footer[0].SetText(first)
	n.footer[1].SetText(second)
}

// pick goes to an entry as the user asked.
func (n *NavList) pick(i int) {
	if i < 0 || i >= len(n.items) {
		return
	}
	n.selected, n.cursor = i, i
	n.Refresh()
	if n.OnSelect != nil {
		n.OnSelect(n.items[i].ID)
	}
}

// FocusGained shows the ring.
func (n *NavList) FocusGained() { n.focused = true; n.Refresh() }

// FocusLost hides the ring.
func (n *NavList) FocusLost() { n.focused = false; n.Refresh() }

// TypedRune does nothing.
func (n *NavList) TypedRune(rune) {}

// TypedKey moves the ring, or goes to where it is.
func (n *NavList) TypedKey(ev *fyne.KeyEvent) {
	switch ev.Name {
	case fyne.KeyUp:
		n.cursor = max(0, n.cursor-1)
	case fyne.KeyDown:
		n.cursor = min(len(n.items)-1, n.cursor+1)
	case fyne.KeyHome:
		n.cursor = 0
	case fyne.KeyEnd:
		n.cursor = len(n.items) - 1
	case fyne.KeyReturn, fyne.KeyEnter, fyne.KeySpace:
		n.pick(n.cursor)
		return
	default:
		PassKey(n, ev)
		return
	}
	n.Refresh()
}

// CreateRenderer is for the toolkit.
func (n *NavList) CreateRenderer() fyne.WidgetRenderer {
	ground, edge := canvas.NewRectangle(color.Transparent), canvas.NewRectangle(color.Transparent)
	brand := NewStrong(n.brand)
	brand.FontSize = theme.BrandSize
	r := &parts{objects: []fyne.CanvasObject{ground, edge, brand, n.footer[0], n.footer[1]}}
	for _, e := range n.entries {
		r.objects = append(r.objects, e)
	}
	r.min = func() fyne.Size {
		return fyne.NewSize(navWidth, navTop+float32(len(n.entries))*(navHeight+navGap)+70)
	}
	r.layout = func(size fyne.Size) {
		ground.Resize(size)
		edge.Move(fyne.NewPos(size.Width-theme.Hairline, 0))
		edge.Resize(fyne.NewSize(theme.Hairline, size.Height))
		brand.Move(fyne.NewPos(navIndent, 30-brand.MinSize().Height/2))
		brand.Resize(brand.MinSize())
		for i, e := range n.entries {
			e.Move(fyne.NewPos(navMargin, navTop+float32(i)*(navHeight+navGap)))
			e.Resize(fyne.NewSize(size.Width-2*navMargin-theme.Hairline, navHeight))
		}
		for i, line := range n.footer {
			line.Move(fyne.NewPos(navIndent, size.Height-60+float32(i)*18))
			line.Resize(fyne.NewSize(size.Width-navIndent-navMargin, line.MinSize().Height))
		}
	}
	r.refresh = func() {
		ground.FillColor, edge.FillColor = theme.Colour(theme.Card), theme.Colour(theme.Line)
		for _, o := range r.objects {
			o.Refresh()
		}
	}
	ground.FillColor, edge.FillColor = theme.Colour(theme.Card), theme.Colour(theme.Line)
	return r
}

// navEntry is one entry; it takes the pointer, the list takes the keys.
type navEntry struct {
	widget.BaseWidget
	list    *NavList
	index   int
	hovered bool
}

var (
	_ fyne.Tappable     = (*navEntry)(nil)
	_ desktop.Hoverable = (*navEntry)(nil)
	_ fyne.Accessible   = (*navEntry)(nil)
)

func (e *navEntry) Tapped(*fyne.PointEvent)        { e.list.pick(e.index) }
func (e *navEntry) MouseIn(*desktop.MouseEvent)    { e.hovered = true; e.Refresh() }
func (e *navEntry) MouseMoved(*desktop.MouseEvent) {}
func (e *navEntry) MouseOut()                      { e.hovered = false; e.Refresh() }

func (e *navEntry) AccessibilityLabel() string {
	item := e.list.items[e.index]
	if item.Badge == "" {
		return item.Label
	}
	return item.Label + ", " + item.Badge
}

func (e *navEntry) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleButton }

func (e *navEntry) CreateRenderer() fyne.WidgetRenderer {
	ground := canvas.NewRectangle(color.Transparent)
	image := &canvas.Image{FillMode: canvas.ImageFillContain}
	label, badge := canvas.NewText("", color.Transparent), canvas.NewText("", color.Transparent)
	r := &parts{objects: []fyne.CanvasObject{ground, image, label, badge}}
	r.min = func() fyne.Size { return fyne.NewSize(navWidth-2*navMargin, navHeight) }
	r.layout = func(size fyne.Size) {
		ground.Resize(size)
		image.Move(fyne.NewPos(navIndent-navMargin, (size.Height-iconSize)/2))
		image.Resize(fyne.NewSquareSize(iconSize))
		label.Move(fyne.NewPos(38, (size.Height-label.MinSize().Height)/2))
		badge.Move(fyne.NewPos(0, (size.Height-badge.MinSize().Height)/2))
		badge.Resize(fyne.NewSize(size.Width-navMargin, badge.MinSize().Height))
	}
	r.refresh = func() {
		e.paint(ground, image, label, badge)
		r.layout(e.Size())
		canvas.Refresh(e)
	}
	e.paint(ground, image, label, badge)
	return r
}

func (e *navEntry) paint(ground *canvas.Rectangle, image *canvas.Image, label, badge *canvas.Text) {
	item := e.list.items[e.index]
	selected := e.list.selected == e.index
	ring(ground, theme.SoftCorner, e.list.focused && e.list.cursor == e.index)
	colour, iconColour := theme.Ink, theme.Mute
	switch {
	case selected:
		colour, iconColour = theme.Accent, theme.Accent
		ground.FillColor = theme.Colour(theme.AccentSoft)
	case e.hovered:
		ground.FillColor = theme.Colour(theme.HoverSoft)
	}
	ground.Refresh()
	image.Resource = icons.In(item.Icon, iconColour)
	image.Refresh()
	label.Text, label.TextSize, label.Color = item.Label, theme.TextSize, theme.Colour(colour)
	label.TextStyle.Bold = selected
	label.Refresh()
	badge.Text, badge.TextSize, badge.Color = item.Badge, theme.SmallSize, theme.Colour(theme.Mute)
	badge.Alignment = fyne.TextAlignTrailing
	badge.Refresh()
}

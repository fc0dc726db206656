package widgets

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/theme"
)

// headerHeight is the height of a screen's head, in pixels.
const headerHeight float32 = 36

// Header is the head of a screen: its title, perhaps a pill and some controls
// beside it, and buttons at the right, of which one is primary at the most.
type Header struct {
	widget.BaseWidget
	title *Text
	pill  *Pill
	row   *fyne.Container
}

// NewHeader returns a head. Controls stand beside the title; what is wrapped in
// Grow takes the room up to the buttons.
func NewHeader(title string, controls []fyne.CanvasObject, buttons ...*Button) *Header {
	h := &Header{title: NewTitle(title), pill: NewPill("", theme.Quiet)}
	h.pill.Hide()
	h.row = HStack(12, h.title, h.pill)
	free := true
	for _, o := range controls {
		h.row.Add(o)
		free = free && !grows(o)
	}
	if free {
		h.row.Add(Space())
	}
	for _, b := range buttons {
		h.row.Add(b)
	}
	h.ExtendBaseWidget(h)
	return h
}

// SetTitle replaces the title.
func (h *Header) SetTitle(title string) {
	h.title.SetText(title)
	h.row.Refresh()
}

// SetPill shows a state beside the title; an empty word takes it away.
func (h *Header) SetPill(text string, tone theme.Tone) {
	h.pill.Set(text, tone)
	h.pill.Hidden = text == ""
	h.row.Refresh()
}

// CreateRenderer is for the toolkit.
func (h *Header) CreateRenderer() fyne.WidgetRenderer {
	r := &parts{objects: []fyne.CanvasObject{h.row}}
	r.min = func() fyne.Size { return h.row.MinSize().Max(fyne.NewSize(0, headerHeight)) }
	r.layout = h.row.Resize
	r.refresh = h.row.Refresh
	return r
}

// NewFrame puts the navigation at the left of a screen, which stands on the
// paper ground.
func NewFrame(nav *NavList, screen fyne.CanvasObject) fyne.CanvasObject {
	return &fyne.Container{Layout: frameLayout{}, Objects: []fyne.CanvasObject{nav, NewGround(theme.Ground, screen)}}
}

type frameLayout struct{}

func (frameLayout) MinSize(o []fyne.CanvasObject) fyne.Size {
	nav, screen := o[0].MinSize(), o[1].MinSize()
	return fyne.NewSize(nav.Width+screen.Width, max(nav.Height, screen.Height))
}

func (frameLayout) Layout(o []fyne.CanvasObject, size fyne.Size) {
	o[0].Resize(fyne.NewSize(navWidth, size.Height))
	o[1].Move(fyne.NewPos(navWidth, 0))
	o[1].Resize(fyne.NewSize(max(0, size.Width-navWidth), size.Height))
}

// Screen puts a head above a screen's content, on the paper ground, with the
// margins that all screens share.
func Screen(head *Header, content fyne.CanvasObject) fyne.CanvasObject {
	return NewGround(theme.Ground, Inset(20, theme.ScreenEdge, 20, theme.ScreenEdge,
		VStack(theme.Gap, head, Grow(content))))
}

package widgets

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"

	"postroom/assets/theme"
)

// parts is a renderer made of functions, for widgets that lay out a handful of
// objects themselves.
type parts struct {
	objects []fyne.CanvasObject
	min     func() fyne.Size
	layout  func(fyne.Size)
	refresh func()
}

var _ fyne.WidgetRenderer = (*parts)(nil)

func (p *parts) Objects() []fyne.CanvasObject { return p.objects }
func (p *parts) MinSize() fyne.Size           { return p.min() }
func (p *parts) Layout(size fyne.Size)        { p.layout(size) }
func (p *parts) Refresh()                     { p.refresh() }
func (p *parts) Destroy()                     {}

// focusWidth is the thickness of the ring around what has the focus, in pixels.
const focusWidth float32 = 2

// outline paints a rectangle as a bordered surface: its ground, and a hairline
// or, with focus, the ring.
func outline(r *canvas.Rectangle, ground, border fyne.ThemeColorName, corner float32, focused bool) {
	r.FillColor = theme.Colour(ground)
	r.CornerRadius = corner
	r.StrokeColor, r.StrokeWidth = theme.Colour(border), theme.Hairline
	if focused {
		r.StrokeColor, r.StrokeWidth = theme.Colour(theme.Accent), focusWidth
	}
	r.Refresh()
}

// ring paints a rectangle as nothing, or with focus as the ring alone.
func ring(r *canvas.Rectangle, corner float32, focused bool) {
	r.FillColor = color.Transparent
	r.CornerRadius = corner
	r.StrokeWidth = 0
	if focused {
		r.StrokeColor, r.StrokeWidth = theme.Colour(theme.Accent), focusWidth
	}
	r.Refresh()
}

// snap returns a coordinate on a whole pixel at scale 1, so that hairlines and
// bars have crisp edges.
func snap(v float32) float32 { return float32(int(v + 0.5)) }

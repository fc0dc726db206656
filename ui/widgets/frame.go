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
func outline(r *canvas.Rectangle, ground, border fyne.ThemeColorName, focused bool) {
	r.FillColor = theme.Colour(ground)
	r.CornerRadius = theme.SoftCorner
	r.StrokeColor, r.StrokeWidth = theme.Colour(border), theme.Hairline
	if focused {
		r.StrokeColor, r.StrokeWidth = theme.Colour(theme.Accent), focusWidth
	}
	r.Refresh()
}

// surface is a bordered ground with round corners, put together so that only its
// upper and lower edges are round rectangles: without a graphics card each pixel
// of one takes as long as many of a plain one, and a card is half of the window.
type surface struct {
	top, bottom, middle, left, right *canvas.Rectangle
	corner, border                   float32 // radius, and thickness of the line
	hidden                           bool
}

func newSurface(corner, border float32) *surface {
	plain := func() *canvas.Rectangle { return canvas.NewRectangle(color.Transparent) }
	return &surface{plain(), plain(), plain(), plain(), plain(), corner, border, false}
}

// objects are in the order in which they are drawn: what is round goes below.
func (s *surface) objects() []fyne.CanvasObject {
	return []fyne.CanvasObject{s.top, s.bottom, s.middle, s.left, s.right}
}

func (s *surface) paint(ground, border fyne.ThemeColorName) {
	for _, edge := range []*canvas.Rectangle{s.top, s.bottom} {
		edge.FillColor, edge.CornerRadius = theme.Colour(ground), s.corner
		edge.StrokeColor, edge.StrokeWidth = theme.Colour(border), s.border
		edge.Refresh()
	}
	s.middle.FillColor = theme.Colour(ground)
	s.left.FillColor, s.right.FillColor = theme.Colour(border), theme.Colour(border)
	for _, r := range []*canvas.Rectangle{s.middle, s.left, s.right} {
		r.Refresh()
	}
}

func (s *surface) resize(size fyne.Size) {
	edge := 3 * s.corner // high enough to be round above and covered below
	tall := size.Height >= 2*edge
	s.top.Hidden = s.hidden
	for _, r := range []*canvas.Rectangle{s.bottom, s.middle, s.left, s.right} {
		r.Hidden = s.hidden || !tall
	}
	if !tall {
		s.top.Resize(size)
		return
	}
	s.top.Resize(fyne.NewSize(size.Width, edge))
	s.bottom.Move(fyne.NewPos(0, size.Height-edge))
	s.bottom.Resize(fyne.NewSize(size.Width, edge))
	height := size.Height - 2*s.corner
	s.middle.Move(fyne.NewPos(s.border, s.corner))
	s.middle.Resize(fyne.NewSize(size.Width-2*s.border, height))
	s.left.Move(fyne.NewPos(0, s.corner))
	s.left.Resize(fyne.NewSize(s.border, height))
	s.right.Move(fyne.NewPos(size.Width-s.border, s.corner))
	s.right.Resize(fyne.NewSize(s.border, height))
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

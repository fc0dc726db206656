package widgets

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	base "fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/theme"
)

// selectWidest is how wide the options may make a choice, in pixels.
const selectWidest float32 = 280

// Select is the toolkit's choice of one of several, with the border that inputs
// have on a white card.
type Select struct {
	widget.Select
	focused bool
}

var _ fyne.Focusable = (*Select)(nil)

// NewSelect returns a choice with its first option picked; changed is not called
// for that.
func NewSelect(options []string, changed func(string)) *Select {
	s := &Select{}
	s.Options, s.OnChanged = options, changed
	s.PlaceHolder = " "
	if len(options) > 0 {
		s.Selected = options[0]
	}
	s.ExtendBaseWidget(s)
	return s
}

// FocusGained shows the ring.
func (s *Select) FocusGained() { s.focused = true; s.Select.FocusGained() }

// FocusLost hides the ring.
func (s *Select) FocusLost() { s.focused = false; s.Select.FocusLost() }

// CreateRenderer is for the toolkit.
func (s *Select) CreateRenderer() fyne.WidgetRenderer {
	s.ExtendBaseWidget(s)
	r := &borderRenderer{WidgetRenderer: s.Select.CreateRenderer(), border: canvas.NewRectangle(color.Transparent)}
	r.paint = func() {
		outline(r.border, theme.Card, theme.Input, s.focused)
		r.border.FillColor = color.Transparent
	}
	r.min = func() fyne.Size {
		text, pad := s.Theme().Size(base.SizeNameText), s.Theme().Size(base.SizeNameInnerPadding)
		widest := fyne.MeasureText(s.PlaceHolder, text, fyne.TextStyle{}).Width
		for _, o := range append(s.Options, s.Selected) {
			widest = max(widest, fyne.MeasureText(o, text, fyne.TextStyle{}).Width)
		}
		return fyne.NewSize(min(widest, selectWidest)+s.Theme().Size(base.SizeNameInlineIcon)+3*pad, buttonHeight)
	}
	r.paint()
	return r
}

// borderRenderer draws a border around what another renderer draws.
type borderRenderer struct {
	fyne.WidgetRenderer
	border *canvas.Rectangle
	paint  func()
	min    func() fyne.Size
}

func (r *borderRenderer) Objects() []fyne.CanvasObject {
	inner := r.WidgetRenderer.Objects()
	return append(inner[:len(inner):len(inner)], r.border)
}

func (r *borderRenderer) MinSize() fyne.Size { return r.min() }

func (r *borderRenderer) Layout(size fyne.Size) {
	r.WidgetRenderer.Layout(size)
	r.border.Resize(size)
}

func (r *borderRenderer) Refresh() {
	r.paint()
	r.border.Refresh()
	r.WidgetRenderer.Refresh()
}

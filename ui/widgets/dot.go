package widgets

import (
	"image/color"
	"strconv"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/theme"
)

// dotSide is the width of a dot, in pixels.
const dotSide float32 = 16

// Dot is a round mark in a colour of the user's.
type Dot struct {
	widget.BaseWidget
	colour string
}

// NewDot returns a dot in a colour written as #rrggbb; what is none leaves it
// empty.
func NewDot(colour string) *Dot {
	d := &Dot{colour: colour}
	d.ExtendBaseWidget(d)
	return d
}

// Set changes the colour.
func (d *Dot) Set(colour string) {
	d.colour = colour
	d.Refresh()
}

// CreateRenderer is for the toolkit.
func (d *Dot) CreateRenderer() fyne.WidgetRenderer {
	circle := canvas.NewCircle(color.Transparent)
	r := &parts{objects: []fyne.CanvasObject{circle}}
	r.min = func() fyne.Size { return fyne.NewSize(dotSide, dotSide) }
	r.layout = func(size fyne.Size) {
		circle.Move(fyne.NewPos((size.Width-dotSide)/2, (size.Height-dotSide)/2))
		circle.Resize(fyne.NewSize(dotSide, dotSide))
	}
	r.refresh = func() {
		circle.FillColor, circle.StrokeColor, circle.StrokeWidth = color.Transparent, theme.Colour(theme.Line), theme.Hairline
		if c, ok := parseColour(d.colour); ok {
			circle.FillColor = c
		}
		canvas.Refresh(circle)
	}
	r.refresh()
	return r
}

// parseColour reads a colour written as #rrggbb.
func parseColour(s string) (color.Color, bool) {
	if len(s) != 7 || s[0] != '#' {
		return nil, false
	}
	n, err := strconv.ParseUint(s[1:], 16, 24)
	return color.NRGBA{R: uint8(n >> 16), G: uint8(n >> 8), B: uint8(n), A: 0xff}, err == nil
}

package widgets

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/theme"
)

const (
	pillHeight  float32 = 21
	pillPadding float32 = 9
)

// Pill is a state as a word in an outline of its colour.
type Pill struct {
	widget.BaseWidget
	Text string
	Tone theme.Tone
}

// NewPill returns a pill; with empty text it takes no room.
func NewPill(text string, tone theme.Tone) *Pill {
	p := &Pill{Text: text, Tone: tone}
	p.ExtendBaseWidget(p)
	return p
}

// Set replaces word and tone.
func (p *Pill) Set(text string, tone theme.Tone) {
	if p.Text != text || p.Tone != tone {
		p.Text, p.Tone = text, tone
		p.Refresh()
	}
}

// AccessibilityLabel is the word.
func (p *Pill) AccessibilityLabel() string { return p.Text }

// AccessibilityRole is that of text.
func (p *Pill) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleText }

// CreateRenderer is for the toolkit.
func (p *Pill) CreateRenderer() fyne.WidgetRenderer {
	d := newPillDrawing()
	r := &parts{objects: []fyne.CanvasObject{d.border, d.text}}
	r.min = func() fyne.Size {
		if p.Text == "" {
			return fyne.Size{}
		}
		return pillSize(p.Text)
	}
	r.layout = func(size fyne.Size) {
		d.place(fyne.NewPos(0, (size.Height-pillHeight)/2), size.Width)
	}
	r.refresh = func() {
		d.paint(p.Text, p.Tone)
		r.layout(p.Size())
		canvas.Refresh(p)
	}
	d.paint(p.Text, p.Tone)
	return r
}

// pillDrawing is what a pill is made of; the data grid draws its pills with it
// without a widget for each.
type pillDrawing struct {
	border *canvas.Rectangle
	text   *canvas.Text
}

func newPillDrawing() *pillDrawing {
	return &pillDrawing{canvas.NewRectangle(color.Transparent), canvas.NewText("", color.Transparent)}
}

func pillSize(text string) fyne.Size {
	w := fyne.MeasureText(text, theme.SmallSize, fyne.TextStyle{}).Width
	return fyne.NewSize(w+2*pillPadding, pillHeight)
}

func (d *pillDrawing) paint(text string, tone theme.Tone) {
	c := tone.Color()
	d.border.Hidden, d.text.Hidden = text == "", text == ""
	d.border.StrokeColor, d.border.StrokeWidth, d.border.CornerRadius = c, theme.Hairline, pillHeight/2
	d.border.Refresh()
	d.text.Text, d.text.Color, d.text.TextSize, d.text.Alignment = text, c, theme.SmallSize, fyne.TextAlignCenter
	d.text.Refresh()
}

// place puts the pill into a width at a position.
func (d *pillDrawing) place(at fyne.Position, width float32) {
	size := fyne.NewSize(width, pillHeight)
	d.border.Move(at)
	d.border.Resize(size)
	h := d.text.MinSize().Height
	d.text.Move(at.AddXY(0, (pillHeight-h)/2))
	d.text.Resize(fyne.NewSize(width, h))
}

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

// ButtonKind is how much a button stands out.
type ButtonKind uint8

// The kinds of button. A screen has one Primary button at the most.
const (
	Normal  ButtonKind = iota // bordered
	Primary                   // filled with the accent colour
	Danger                    // bordered, red words: it takes something away
	Link                      // words in the accent colour, no border
	Flat                      // words or an icon without a border, for tool bars
)

const (
	buttonHeight  float32 = 34
	buttonPadding float32 = 14
	linkHeight    float32 = 26
	iconSize      float32 = 18
)

// Button is a button with words, an icon, or both. Enter and Space press it
// while it has the focus.
type Button struct {
	widget.DisableableWidget
	Text     string
	Icon     icons.Icon // empty: none
	Kind     ButtonKind
	Small    bool   // small words and less height
	Hint     string // what an icon without words does, for screen readers
	OnTapped func()

	hovered, focused bool
}

var (
	_ fyne.Focusable    = (*Button)(nil)
	_ fyne.Tappable     = (*Button)(nil)
	_ fyne.Disableable  = (*Button)(nil)
	_ fyne.Accessible   = (*Button)(nil)
	_ desktop.Hoverable = (*Button)(nil)
)

// NewButton returns a button of a kind.
func NewButton(kind ButtonKind, text string, tapped func()) *Button {
	b := &Button{Text: text, Kind: kind, OnTapped: tapped}
	b.ExtendBaseWidget(b)
	return b
}

// NewIconButton returns a flat button with an icon; hint says what it does.
func NewIconButton(icon icons.Icon, hint string, tapped func()) *Button {
	b := &Button{Icon: icon, Hint: hint, Kind: Flat, OnTapped: tapped}
	b.ExtendBaseWidget(b)
	return b
}

// SetText replaces the words.
func (b *Button) SetText(s string) { b.Text = s; b.Refresh() }

// Tapped presses the button, unless it is switched off.
func (b *Button) Tapped(*fyne.PointEvent) {
	if !b.Disabled() && b.OnTapped != nil {
		b.OnTapped()
	}
}

// TypedKey presses the button by Enter and Space.
func (b *Button) TypedKey(ev *fyne.KeyEvent) {
	switch ev.Name {
	case fyne.KeySpace, fyne.KeyReturn, fyne.KeyEnter:
		b.Tapped(nil)
	default:
		PassKey(b, ev)
	}
}

// TypedRune does nothing.
func (b *Button) TypedRune(rune) {}

// FocusGained shows the ring.
func (b *Button) FocusGained() { b.focused = true; b.Refresh() }

// FocusLost hides the ring.
func (b *Button) FocusLost() { b.focused = false; b.Refresh() }

// MouseIn shades the button.
func (b *Button) MouseIn(*desktop.MouseEvent) { b.hovered = true; b.Refresh() }

// MouseMoved does nothing.
func (b *Button) MouseMoved(*desktop.MouseEvent) {}

// MouseOut ends the shade.
func (b *Button) MouseOut() { b.hovered = false; b.Refresh() }

// AccessibilityLabel is what the button says or does.
func (b *Button) AccessibilityLabel() string {
	if b.Text != "" {
		return b.Text
	}
	return b.Hint
}

// AccessibilityRole is that of a button.
func (b *Button) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleButton }

func (b *Button) textTone() theme.Tone {
	switch b.Kind {
	case Primary:
		return theme.Inverse
	case Danger:
		return theme.Bad
	case Link:
		return theme.Blue
	default:
		return theme.Plain
	}
}

// CreateRenderer is for the toolkit.
func (b *Button) CreateRenderer() fyne.WidgetRenderer {
	ground, shade := canvas.NewRectangle(color.Transparent), canvas.NewRectangle(color.Transparent)
	text := canvas.NewText("", nil)
	image := &canvas.Image{FillMode: canvas.ImageFillContain}
	r := &parts{objects: []fyne.CanvasObject{ground, shade, image, text}}
	r.min = func() fyne.Size { return b.minSize(text) }
	r.layout = func(size fyne.Size) {
		ground.Resize(size)
		shade.Resize(size)
		b.place(text, image, size)
	}
	r.refresh = func() {
		b.paint(ground, shade, text, image)
		r.layout(b.Size())
		canvas.Refresh(b)
	}
	b.paint(ground, shade, text, image)
	return r
}

func (b *Button) padding() float32 {
	switch {
	case b.Text == "":
		return 7
	case b.Kind == Link:
		return 4
	case b.Small || b.Kind == Flat:
		return 8
	default:
		return buttonPadding
	}
}

func (b *Button) minSize(text *canvas.Text) fyne.Size {
	height := buttonHeight
	if b.Small || b.Kind == Link {
		height = linkHeight
	}
	width := 2 * b.padding()
	if b.Text != "" {
		width += text.MinSize().Width
	}
	if b.Icon != "" {
		width += b.iconSide()
		if b.Text != "" {
			width += 8
		}
	}
	return fyne.NewSize(max(width, height), height)
}

func (b *Button) iconSide() float32 {
	if b.Small {
		return 14
	}
	return iconSize
}

func (b *Button) place(text *canvas.Text, image *canvas.Image, size fyne.Size) {
	words := fyne.Size{}
	if b.Text != "" {
		words = text.MinSize()
	}
	width := words.Width
	side := b.iconSide()
	if b.Icon != "" {
		width += side
		if b.Text != "" {
			width += 8
		}
	}
	x := (size.Width - width) / 2
	if b.Icon != "" {
		image.Move(fyne.NewPos(x, (size.Height-side)/2))
		image.Resize(fyne.NewSquareSize(side))
		x += side + 8
	}
	text.Move(fyne.NewPos(x, (size.Height-words.Height)/2))
	text.Resize(words)
}

func (b *Button) paint(ground, shade *canvas.Rectangle, text *canvas.Text, image *canvas.Image) {
	tone := b.textTone().Name()
	fill, border := theme.Card, theme.Line
	switch {
	case b.Kind == Link || b.Kind == Flat:
		ring(ground, theme.SoftCorner, b.focused)
	case b.Kind == Primary && !b.Disabled():
		outline(ground, theme.Accent, theme.Accent, false)
		if b.focused { // a ring of the accent colour would not be seen on it
			ground.StrokeColor, ground.StrokeWidth = theme.Colour(theme.Ink), focusWidth
		}
	default:
		outline(ground, fill, border, b.focused)
	}
	shade.CornerRadius = theme.SoftCorner
	shade.FillColor = color.Transparent
	if b.hovered && !b.Disabled() {
		shade.FillColor = theme.Colour(theme.HoverSoft)
	}
	shade.Refresh()
	text.Text, text.TextSize = b.Text, theme.TextSize
	if b.Small || b.Kind == Link {
		text.TextSize = theme.SmallSize + 1
	}
	text.TextStyle.Bold = b.Kind == Primary
	text.Color = theme.Colour(tone)
	if b.Disabled() {
		text.Color = theme.Faint(theme.Mute, 0.6)
		tone = theme.Mute
	}
	text.Refresh()
	if b.Kind == Flat {
		tone = theme.Mute
	}
	image.Hidden = b.Icon == ""
	if b.Icon != "" {
		image.Resource = icons.In(b.Icon, tone)
		image.Translucency = 0
		if b.Disabled() {
			image.Translucency = 0.5
		}
		image.Refresh()
	}
}

package theme

import (
	"image/color"

	"fyne.io/fyne/v2"
	base "fyne.io/fyne/v2/theme"
)

// The colours of the look by name, beside the toolkit's own names.
const (
	Ground     fyne.ThemeColorName = "postroom.ground"
	Card       fyne.ThemeColorName = "postroom.card"
	Line       fyne.ThemeColorName = "postroom.line"
	Input      fyne.ThemeColorName = "postroom.input" // the border of what can be typed in or chosen
	Ink        fyne.ThemeColorName = "postroom.ink"
	Mute       fyne.ThemeColorName = "postroom.mute"
	Accent     fyne.ThemeColorName = "postroom.accent"
	AccentSoft fyne.ThemeColorName = "postroom.accentSoft" // the ground of what is selected
	OnAccent   fyne.ThemeColorName = "postroom.onAccent"
	Green      fyne.ThemeColorName = "postroom.green"
	Amber      fyne.ThemeColorName = "postroom.amber"
	AmberSoft  fyne.ThemeColorName = "postroom.amberSoft" // the ground of a warning strip
	Red        fyne.ThemeColorName = "postroom.red"
	RedSoft    fyne.ThemeColorName = "postroom.redSoft"
	Purple     fyne.ThemeColorName = "postroom.purple"
	HoverSoft  fyne.ThemeColorName = "postroom.hoverSoft" // the ground under the pointer
)

// Tone is what a colour means. There is always a word beside it: no state is
// told by colour alone.
type Tone uint8

// The tones.
const (
	Plain     Tone = iota // text
	Quiet                 // grey: waiting, beside the point
	Blue                  // action, selection, taken by the provider
	Good                  // green: delivered, read, replied
	Attention             // amber: look at this
	Bad                   // red: failed, bounced, stopped
	Unsure                // purple: may or may not have arrived
	Inverse               // on a ground of the accent colour
)

// Name returns the name of the tone's colour.
func (t Tone) Name() fyne.ThemeColorName {
	switch t {
	case Quiet:
		return Mute
	case Blue:
		return Accent
	case Good:
		return Green
	case Attention:
		return Amber
	case Bad:
		return Red
	case Unsure:
		return Purple
	case Inverse:
		return OnAccent
	default:
		return Ink
	}
}

// Color returns the tone's colour in the current theme.
func (t Tone) Color() color.Color { return base.Color(t.Name()) }

// Colour returns a named colour of the current theme.
func Colour(name fyne.ThemeColorName) color.Color { return base.Color(name) }

// Faint returns a named colour of the current theme with an opacity between 0
// and 1.
func Faint(name fyne.ThemeColorName, opacity float32) color.Color {
	r, g, b, _ := base.Color(name).RGBA()
	return color.NRGBA{R: uint8(r >> 8), G: uint8(g >> 8), B: uint8(b >> 8), A: uint8(opacity * 255)}
}

// palette holds one column of colours.
type palette struct {
	ground, card, line, input, ink, mute, accent, green, amber, red, purple color.NRGBA
	accentSoft, amberSoft, redSoft, onAccent, hover, pressed, shadow        color.NRGBA
}

func rgb(v uint32) color.NRGBA {
	return color.NRGBA{R: uint8(v >> 16), G: uint8(v >> 8), B: uint8(v), A: 0xff}
}

func rgba(v uint32, alpha uint8) color.NRGBA {
	c := rgb(v)
	c.A = alpha
	return c
}

var light = palette{
	ground: rgb(0xF6F5F1), card: rgb(0xFFFFFF), line: rgb(0xE3E0D8), input: rgb(0xD3CFC4), ink: rgb(0x22262B), mute: rgb(0x6E737A),
	accent: rgb(0x1D5C9B), green: rgb(0x2E7D4F), amber: rgb(0xB7791F), red: rgb(0xB83A2B), purple: rgb(0x6B4FA0),
	accentSoft: rgb(0xE4EDF6), amberSoft: rgb(0xFBF1DC), redSoft: rgb(0xF8E7E4), onAccent: rgb(0xFFFFFF),
	hover: rgba(0x22262B, 0x0D), pressed: rgba(0x22262B, 0x1F), shadow: rgba(0x22262B, 0x20),
}

var dark = palette{
	ground: rgb(0x1A1C1F), card: rgb(0x23262A), line: rgb(0x33373D), input: rgb(0x4A4F57), ink: rgb(0xE6E7E9), mute: rgb(0x9AA0A8),
	accent: rgb(0x6BA6E0), green: rgb(0x67B98A), amber: rgb(0xD8A24A), red: rgb(0xE07A6B), purple: rgb(0xA78BDA),
	accentSoft: rgb(0x26384A), amberSoft: rgb(0x3A3122), redSoft: rgb(0x3D2A28), onAccent: rgb(0x14181D),
	hover: rgba(0xE6E7E9, 0x12), pressed: rgba(0xE6E7E9, 0x26), shadow: rgba(0x000000, 0x48),
}

// named returns the palette's colour for one of our names or of the toolkit's.
func (p *palette) named(name fyne.ThemeColorName) (color.Color, bool) {
	switch name {
	case Ground, base.ColorNameBackground:
		return p.ground, true
	case Card, base.ColorNameButton, base.ColorNameInputBackground, base.ColorNameMenuBackground,
		base.ColorNameOverlayBackground, base.ColorNameHeaderBackground:
		return p.card, true
	case Input, base.ColorNameInputBorder:
		return p.input, true
	case Line, base.ColorNameSeparator, base.ColorNameInnerWindowBorder,
		base.ColorNameInnerWindowBorderInactive:
		return p.line, true
	case Ink, base.ColorNameForeground:
		return p.ink, true
	case Mute, base.ColorNamePlaceHolder:
		return p.mute, true
	case Accent, base.ColorNamePrimary, base.ColorNameHyperlink:
		return p.accent, true
	case AccentSoft, base.ColorNameSelection:
		return p.accentSoft, true
	case OnAccent, base.ColorNameForegroundOnPrimary, base.ColorNameForegroundOnError,
		base.ColorNameForegroundOnSuccess, base.ColorNameForegroundOnWarning:
		return p.onAccent, true
	case Green, base.ColorNameSuccess:
		return p.green, true
	case Amber, base.ColorNameWarning:
		return p.amber, true
	case Red, base.ColorNameError:
		return p.red, true
	case Purple:
		return p.purple, true
	case AmberSoft:
		return p.amberSoft, true
	case RedSoft:
		return p.redSoft, true
	default:
		return p.touched(name)
	}
}

// touched returns the colours of pointer and focus, and of what is switched off.
func (p *palette) touched(name fyne.ThemeColorName) (color.Color, bool) {
	switch name {
	case HoverSoft, base.ColorNameHover:
		return p.hover, true
	case base.ColorNamePressed:
		return p.pressed, true
	case base.ColorNameFocus:
		c := p.accent
		c.A = 0x40
		return c, true
	case base.ColorNameDisabled:
		c := p.mute
		c.A = 0x99
		return c, true
	case base.ColorNameDisabledButton:
		return p.ground, true
	case base.ColorNameShadow:
		return p.shadow, true
	case base.ColorNameScrollBar:
		c := p.mute
		c.A = 0x80
		return c, true
	case base.ColorNameScrollBarBackground:
		return color.NRGBA{}, true
	default:
		return nil, false
	}
}

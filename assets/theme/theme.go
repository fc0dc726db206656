// Package theme is the look of Postroom: paper ground, white cards with a
// hairline border, 8 px corners, 14 px text, and colours that carry one meaning
// each (see Tone). Widgets ask it for colours by name, so that a change of
// theme while the program runs reaches everything that is refreshed.
package theme

import (
	"image/color"

	"fyne.io/fyne/v2"
	base "fyne.io/fyne/v2/theme"

	"postroom/assets/font"
)

// Mode says whether the look is light or dark.
type Mode string

// The modes. The names are those of the setting "theme".
const (
	System Mode = "system" // as the desktop says
	Light  Mode = "light"
	Dark   Mode = "dark"
)

// Sizes in pixels at scale 1 that the toolkit has no names for.
const (
	TextSize    float32 = 14
	SmallSize   float32 = 12
	TitleSize   float32 = 20
	BrandSize   float32 = 16
	Corner      float32 = 8  // of cards
	SoftCorner  float32 = 6  // of buttons, inputs and selected entries
	Hairline    float32 = 1  // borders and lines
	Gap         float32 = 14 // between cards
	CardPadding float32 = 16 // between a card's border and its content
	ScreenEdge  float32 = 24 // between the navigation and a screen's cards
)

// Theme implements fyne.Theme. It is immutable; make another one to change the
// mode.
type Theme struct {
	mode Mode
	base fyne.Theme
	cjk  fyne.Resource
}

// cjk is one resource for all themes: the toolkit's font cache goes by identity.
var cjk = fyne.NewStaticResource(font.Name, font.CJK())

var _ fyne.Theme = (*Theme)(nil)

// New returns the look for a mode; an unknown mode follows the system.
func New(mode Mode) *Theme {
	return &Theme{mode: mode, base: base.DefaultTheme(), cjk: cjk}
}

// Mode returns the mode the theme was made for.
func (t *Theme) Mode() Mode { return t.mode }

// IsDark reports whether colours are dark where the desktop asks for variant.
func (t *Theme) IsDark(variant fyne.ThemeVariant) bool {
	switch t.mode {
	case Light:
		return false
	case Dark:
		return true
	default:
		return variant == base.VariantDark
	}
}

// Color returns the colour of a name; names that it does not know come from the
// toolkit's own theme.
func (t *Theme) Color(name fyne.ThemeColorName, variant fyne.ThemeVariant) color.Color {
	p := &light
	if t.IsDark(variant) {
		p, variant = &dark, base.VariantDark
	} else {
		variant = base.VariantLight
	}
	if c, ok := p.named(name); ok {
		return c
	}
	return t.base.Color(name, variant)
}

// Font returns the embedded face for everything but monospaced and symbol text.
// Letters that it lacks, Latin above all, are then taken from the toolkit's
// face of that style, bold included.
func (t *Theme) Font(style fyne.TextStyle) fyne.Resource {
	if style.Monospace || style.Symbol {
		return t.base.Font(style)
	}
	return t.cjk
}

// Icon returns the toolkit's icons.
func (t *Theme) Icon(name fyne.ThemeIconName) fyne.Resource { return t.base.Icon(name) }

// Size returns the sizes of the look.
func (t *Theme) Size(name fyne.ThemeSizeName) float32 {
	switch name {
	case base.SizeNameText:
		return TextSize
	case base.SizeNameCaptionText:
		return SmallSize
	case base.SizeNameHeadingText:
		return TitleSize
	case base.SizeNameSubHeadingText:
		return BrandSize
	case base.SizeNamePadding:
		return 4
	case base.SizeNameInnerPadding:
		return 8
	case base.SizeNameLineSpacing:
		return 4
	case base.SizeNameInlineIcon:
		return 18
	case base.SizeNameButtonRadius, base.SizeNameInputRadius, base.SizeNameSelectionRadius, base.SizeNameMenuRadius:
		return SoftCorner
	case base.SizeNameCardRadius, base.SizeNameDialogRadius, base.SizeNamePopupRadius, base.SizeNameInnerWindowRadius:
		return Corner
	case base.SizeNameSeparatorThickness, base.SizeNameInputBorder:
		return Hairline
	case base.SizeNameModalBlurRadius:
		return 0 // a plain veil: blurring costs much on software renderers
	case base.SizeNameScrollBar:
		return 10
	case base.SizeNameScrollBarSmall:
		return 4
	default:
		return t.base.Size(name)
	}
}

package theme

import (
	"image/color"
	"math"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	base "fyne.io/fyne/v2/theme"
)

func TestModes(t *testing.T) {
	for _, tc := range []struct {
		mode    Mode
		variant fyne.ThemeVariant
		dark    bool
	}{
		{System, base.VariantLight, false},
		{System, base.VariantDark, true},
		{Light, base.VariantDark, false},
		{Dark, base.VariantLight, true},
		{"nonsense", base.VariantDark, true},
	} {
		th := New(tc.mode)
		if got := th.IsDark(tc.variant); got != tc.dark {
			t.Errorf("%s, variant %d: dark %v", tc.mode, tc.variant, got)
		}
		want := light.ground
		if tc.dark {
			want = dark.ground
		}
		if got := th.Color(base.ColorNameBackground, tc.variant); got != want {
			t.Errorf("%s, variant %d: ground %v", tc.mode, tc.variant, got)
		}
	}
}

// The colours are those of the agreed table.
func TestColoursAreThoseAgreed(t *testing.T) {
	table := map[fyne.ThemeColorName][2]uint32{
		Ground: {0xF6F5F1, 0x1A1C1F}, Card: {0xFFFFFF, 0x23262A}, Line: {0xE3E0D8, 0x33373D}, Ink: {0x22262B, 0xE6E7E9},
		Mute: {0x6E737A, 0x9AA0A8}, Accent: {0x1D5C9B, 0x6BA6E0}, Green: {0x2E7D4F, 0x67B98A}, Amber: {0xB7791F, 0xD8A24A},
		Red: {0xB83A2B, 0xE07A6B}, Purple: {0x6B4FA0, 0xA78BDA},
	}
	for name, want := range table {
		for i, th := range []*Theme{New(Light), New(Dark)} {
			if got := th.Color(name, base.VariantLight); got != color.Color(rgb(want[i])) {
				t.Errorf("%s: got %v, want %06x", name, got, want[i])
			}
		}
	}
}

// Every name of ours and of the toolkit has a colour, and text can be read.
func TestContrast(t *testing.T) {
	test.NewTempApp(t)
	for _, mode := range []Mode{Light, Dark} {
		th := New(mode)
		for _, tone := range []Tone{Plain, Quiet, Blue, Good, Bad, Unsure} {
			for _, under := range []fyne.ThemeColorName{Card, Ground} {
				if c := contrast(th.Color(tone.Name(), 0), th.Color(under, 0)); c < 4.3 {
					t.Errorf("%s: %s on %s has a contrast of %.1f", mode, tone.Name(), under, c)
				}
			}
		}
		if c := contrast(th.Color(OnAccent, 0), th.Color(Accent, 0)); c < 4.5 {
			t.Errorf("%s: a primary button has a contrast of %.1f", mode, c)
		}
		if c := contrast(th.Color(Ink, 0), th.Color(AccentSoft, 0)); c < 4.5 {
			t.Errorf("%s: selected text has a contrast of %.1f", mode, c)
		}
	}
}

func contrast(a, b color.Color) float64 {
	la, lb := luminance(a), luminance(b)
	if la < lb {
		la, lb = lb, la
	}
	return (la + 0.05) / (lb + 0.05)
}

// luminance is the relative luminance of WCAG 2.1.
func luminance(c color.Color) float64 {
	r, g, b, _ := c.RGBA()
	lin := func(v uint32) float64 {
		s := float64(v) / 0xffff
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*lin(r) + 0.7152*lin(g) + 0.0722*lin(b)
}

func TestFontIsEmbeddedButNotForCode(t *testing.T) {
	th := New(Light)
	for _, style := range []fyne.TextStyle{{}, {Bold: true}, {Italic: true}} {
		if th.Font(style) != cjk {
			t.Errorf("%+v is not in the embedded face", style)
		}
	}
	for _, style := range []fyne.TextStyle{{Monospace: true}, {Symbol: true}} {
		if th.Font(style) == cjk {
			t.Errorf("%+v is in the embedded face", style)
		}
	}
}

// Latin comes in the toolkit's faces, so bold is wider; Chinese has one width.
func TestLatinHasItsOwnBold(t *testing.T) {
	a := test.NewTempApp(t)
	a.Settings().SetTheme(New(Light))
	width := func(s string, bold bool) float32 {
		return fyne.MeasureText(s, TextSize, fyne.TextStyle{Bold: bold}).Width
	}
	if width("Winter opening hours", true) <= width("Winter opening hours", false) {
		t.Error("bold Latin is not bold")
	}
	if w := width("王小明", false); w < 3*TextSize*0.9 || w > 3*TextSize*1.1 {
		t.Errorf("three Han characters are %.1f px wide", w)
	}
}

package widgets

import (
	"strings"
	"unicode"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/theme"
)

// Overflow says what a text does where there is too little room.
type Overflow uint8

// The overflows.
const (
	Whole Overflow = iota // the text's width is its minimum
	Cut                   // ends with "…"
	Wrap                  // goes on in the next line
)

// Text is text without any margin, in a tone and a size of the look. Change the
// fields, then call Refresh, or use the setters.
type Text struct {
	widget.BaseWidget
	Text     string
	Tone     theme.Tone
	FontSize float32 // pixels; 0: theme.TextSize
	Bold     bool
	Mono     bool
	Align    fyne.TextAlign
	Overflow Overflow
}

var _ fyne.Widget = (*Text)(nil)

// NewText returns text of the normal size.
func NewText(s string) *Text {
	t := &Text{Text: s}
	t.ExtendBaseWidget(t)
	return t
}

// NewStrong returns bold text of the normal size, as card titles are.
func NewStrong(s string) *Text {
	t := NewText(s)
	t.Bold = true
	return t
}

// NewQuiet returns grey text of the normal size.
func NewQuiet(s string) *Text {
	t := NewText(s)
	t.Tone = theme.Quiet
	return t
}

// NewSmall returns small grey text.
func NewSmall(s string) *Text {
	t := NewQuiet(s)
	t.FontSize = theme.SmallSize
	return t
}

// NewCode returns small monospaced text, as what servers say is shown.
func NewCode(s string) *Text {
	t := NewText(s)
	t.FontSize, t.Mono = theme.SmallSize, true
	return t
}

// NewTitle returns the title of a screen.
func NewTitle(s string) *Text {
	t := NewStrong(s)
	t.FontSize = theme.TitleSize
	return t
}

// Toned sets the tone and returns the text.
func (t *Text) Toned(tone theme.Tone) *Text { t.Tone = tone; t.Refresh(); return t }

// Cutting makes the text end with "…" where there is too little room, and
// returns it.
func (t *Text) Cutting() *Text { t.Overflow = Cut; t.Refresh(); return t }

// Wrapping lets the text go on in the next line, and returns it.
func (t *Text) Wrapping() *Text { t.Overflow = Wrap; t.Refresh(); return t }

// SetText replaces the text.
func (t *Text) SetText(s string) {
	if t.Text != s {
		t.Text = s
		t.Refresh()
	}
}

// SetTone replaces the tone.
func (t *Text) SetTone(tone theme.Tone) {
	if t.Tone != tone {
		t.Tone = tone
		t.Refresh()
	}
}

func (t *Text) fontSize() float32 {
	if t.FontSize > 0 {
		return t.FontSize
	}
	return theme.TextSize
}

func (t *Text) style() fyne.TextStyle { return fyne.TextStyle{Bold: t.Bold, Monospace: t.Mono} }

// AccessibilityLabel is the text.
func (t *Text) AccessibilityLabel() string { return t.Text }

// AccessibilityRole is that of text.
func (t *Text) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleText }

// CreateRenderer is for the toolkit.
func (t *Text) CreateRenderer() fyne.WidgetRenderer {
	r := &textRenderer{text: t}
	r.build(0)
	return r
}

type textRenderer struct {
	text  *Text
	lines []*canvas.Text
	objs  []fyne.CanvasObject
	width float32 // the lines were made for it
	min   fyne.Size
	lineH float32
}

// build makes the lines for a width; 0 when none is known yet.
func (r *textRenderer) build(width float32) {
	t := r.text
	size, style := t.fontSize(), t.style()
	r.width = width
	var lines []string
	switch t.Overflow {
	case Wrap:
		lines = wrap(t.Text, width, size, style)
	case Cut:
		if width > 0 {
			lines = []string{Fit(t.Text, width, size, style)}
			break
		}
		lines = []string{t.Text}
	default:
		lines = strings.Split(t.Text, "\n")
	}
	for len(r.lines) < len(lines) {
		r.lines = append(r.lines, canvas.NewText("", nil))
	}
	r.lines = r.lines[:len(lines)]
	r.objs = r.objs[:0]
	colour := t.Tone.Color()
	r.lineH = fyne.MeasureText("M", size, style).Height
	r.min = fyne.NewSize(0, r.lineH*float32(len(lines)))
	for i, s := range lines {
		line := r.lines[i]
		line.Text, line.Color, line.TextSize, line.TextStyle, line.Alignment = s, colour, size, style, t.Align
		r.objs = append(r.objs, line)
		if t.Overflow == Whole {
			r.min.Width = max(r.min.Width, fyne.MeasureText(s, size, style).Width)
		}
	}
	if t.Overflow != Whole {
		r.min.Width = min(fyne.MeasureText(t.Text, size, style).Width, 3*size)
	}
}

func (r *textRenderer) MinSize() fyne.Size { return r.min }

func (r *textRenderer) Layout(size fyne.Size) {
	if r.text.Overflow != Whole && size.Width != r.width {
		r.build(size.Width)
	}
	y := float32(0)
	if r.text.Overflow != Wrap {
		y = (size.Height - r.min.Height) / 2
	}
	for _, line := range r.lines {
		line.Move(fyne.NewPos(0, y))
		line.Resize(fyne.NewSize(size.Width, r.lineH))
		y += r.lineH
	}
}

func (r *textRenderer) Refresh() {
	r.build(r.text.Size().Width)
	r.Layout(r.text.Size())
	for _, line := range r.lines {
		line.Refresh()
	}
	canvas.Refresh(r.text)
}

func (r *textRenderer) Objects() []fyne.CanvasObject { return r.objs }

func (r *textRenderer) Destroy() {}

// Fit returns s, or as much of its beginning as fits into a width, with "…".
func Fit(s string, width, size float32, style fyne.TextStyle) string {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		s = s[:i] + " …"
	}
	if fyne.MeasureText(s, size, style).Width <= width+0.5 {
		return s
	}
	runes := []rune(s)
	low, high := 0, len(runes)-1 // low fits with its dots, or is 0
	for low < high {
		mid := (low + high + 1) / 2
		if fyne.MeasureText(string(runes[:mid])+"…", size, style).Width <= width {
			low = mid
		} else {
			high = mid - 1
		}
	}
	return strings.TrimRightFunc(string(runes[:low]), unicode.IsSpace) + "…"
}

// wrap breaks s into lines of a width: at spaces, and anywhere between Han
// characters or inside a word that is longer than a line.
func wrap(s string, width, size float32, style fyne.TextStyle) []string {
	paragraphs := strings.Split(s, "\n")
	if width <= 0 {
		return paragraphs
	}
	fits := func(s string) bool {
		return fyne.MeasureText(strings.TrimRight(s, " "), size, style).Width <= width+0.5
	}
	var lines []string
	for _, p := range paragraphs {
		line := ""
		for _, piece := range pieces(p) {
			if fits(line + piece) {
				line += piece
				continue
			}
			if line != "" {
				lines = append(lines, strings.TrimRight(line, " "))
			}
			line = strings.TrimLeft(piece, " ")
			for !fits(line) {
				n := breakAt(line, fits)
				lines = append(lines, line[:n])
				line = line[n:]
			}
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}

// breakAt returns how many bytes of a long word fit, at least one rune.
func breakAt(word string, fits func(string) bool) int {
	n := 0
	for i, r := range word {
		end := i + len(string(r))
		if n > 0 && !fits(word[:end]) {
			break
		}
		n = end
	}
	return n
}

// pieces cuts a paragraph where a line may end: after spaces and around wide
// characters. Closing punctuation stays with what it follows.
func pieces(s string) []string {
	var out []string
	start := 0
	prevWide, prevSpace := false, false
	for i, r := range s {
		wide := unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul)
		closing := strings.ContainsRune("，。、；：？！）》」』…,.;:?!)", r)
		space := r == ' '
		if i > start && !space && (prevSpace || !closing && (wide || prevWide)) {
			out = append(out, s[start:i])
			start = i
		}
		prevWide, prevSpace = wide || closing && r > 0x2000, space
	}
	if start < len(s) {
		out = append(out, s[start:])
	}
	return out
}

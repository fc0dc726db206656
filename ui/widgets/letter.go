package widgets

import (
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/theme"
)

// LetterKind is what a part of a letter is.
type LetterKind uint8

// The kinds of part.
const (
	LetterText    LetterKind = iota
	LetterHeading            // of a Level from 1 to 6
	LetterItem               // of a list, with a Bullet
	LetterQuote
	LetterCode
	LetterLine   // across
	LetterButton // a link that looks like one
	LetterImage  // its words in a frame, or the picture where Picture is set
	LetterRow    // of a table, with Cells
)

// LetterRun is words of one look.
type LetterRun struct {
	Text                     string
	Bold, Italic, Mono, Link bool
}

// LetterPart is one paragraph, or what stands in the place of one.
type LetterPart struct {
	Kind    LetterKind
	Level   int    // of a heading, or how deep an item lies, from 1
	Bullet  string // of an item
	Head    bool   // of a row: of column titles
	Runs    []LetterRun
	Cells   [][]LetterRun
	Picture fyne.Resource
}

// Letter shows the parts of a message as rich text, simplified: what a recipient
// reads, not how each program lays it out. It is made for being set again with
// every key: only what changed is drawn anew.
type Letter struct {
	widget.BaseWidget
	parts []LetterPart
}

// NewLetter returns an empty letter.
func NewLetter() *Letter {
	l := &Letter{}
	l.ExtendBaseWidget(l)
	return l
}

// Set shows other parts.
func (l *Letter) Set(parts []LetterPart) {
	l.parts = parts
	l.Refresh()
}

// Text is what can be read in it, a line for each part.
func (l *Letter) Text() string {
	var b strings.Builder
	for _, p := range l.parts {
		b.WriteString(p.Bullet)
		for _, runs := range append([][]LetterRun{p.Runs}, p.Cells...) {
			for _, r := range runs {
				b.WriteString(r.Text)
			}
			b.WriteByte(' ')
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// AccessibilityLabel is what can be read.
func (l *Letter) AccessibilityLabel() string { return l.Text() }

// AccessibilityRole is that of text.
func (l *Letter) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleText }

// CreateRenderer is for the toolkit.
func (l *Letter) CreateRenderer() fyne.WidgetRenderer {
	return &letterRenderer{letter: l, wide: map[lookedWord]float32{}}
}

// The measures of a letter, in pixels.
const (
	letterGap    float32 = 10
	letterIndent float32 = 20
	letterPad    float32 = 6
	letterImage  float32 = 72 // the height of the frame for a picture that is not shown
	pictureMax   float32 = 200
	letterWidest         = 400 // words that are remembered, in hundreds
)

var headingSizes = [...]float32{theme.TextSize, 20, 17, 15, theme.TextSize, theme.TextSize, theme.TextSize}

// lookedWord is a word as it is measured.
type lookedWord struct {
	text  string
	style fyne.TextStyle
	size  float32
}

// letterRenderer lays words out in lines. Objects are used again: a text that
// did not change is not drawn again.
type letterRenderer struct {
	letter  *Letter
	width   float32
	height  float32
	wide    map[lookedWord]float32
	texts   []*canvas.Text
	boxes   []*canvas.Rectangle
	images  []*canvas.Image
	nt, nb  int
	ni      int
	objects []fyne.CanvasObject
}

func (r *letterRenderer) MinSize() fyne.Size { return fyne.NewSize(60, r.height) }

func (r *letterRenderer) Layout(size fyne.Size) {
	if size.Width != r.width {
		r.build(size.Width)
	}
}

func (r *letterRenderer) Refresh() {
	r.build(r.letter.Size().Width)
	canvas.Refresh(r.letter)
}

func (r *letterRenderer) Objects() []fyne.CanvasObject { return r.objects }

func (r *letterRenderer) Destroy() {}

// build lays everything out for a width.
func (r *letterRenderer) build(width float32) {
	r.width, r.nt, r.nb, r.ni = width, 0, 0, 0
	if len(r.wide) > letterWidest*100 {
		clear(r.wide)
	}
	y := float32(0)
	for i := range r.letter.parts {
		p := &r.letter.parts[i]
		if i > 0 && !joined(&r.letter.parts[i-1], p) {
			y += letterGap
		}
		y = r.part(p, y, width)
	}
	r.height = y
	r.objects = r.objects[:0]
	for _, b := range r.boxes[:r.nb] {
		r.objects = append(r.objects, b)
	}
	for _, p := range r.images[:r.ni] {
		r.objects = append(r.objects, p)
	}
	for _, t := range r.texts[:r.nt] {
		r.objects = append(r.objects, t)
	}
}

// joined reports whether two parts stand close together.
func joined(a, b *LetterPart) bool {
	return a.Kind == b.Kind && (a.Kind == LetterRow || a.Kind == LetterItem)
}

// part lays one part out and returns where the next begins.
func (r *letterRenderer) part(p *LetterPart, y, width float32) float32 {
	switch p.Kind {
	case LetterHeading:
		return r.flow(p.Runs, 0, y, width, headingSizes[min(max(p.Level, 1), 6)], true)
	case LetterItem:
		indent := letterIndent * float32(max(1, p.Level))
		r.text(p.Bullet, indent-letterIndent+2, y, theme.TextSize, fyne.TextStyle{}, theme.Ink)
		return r.flow(p.Runs, indent, y, width-indent, theme.TextSize, false) + 3
	case LetterQuote:
		end := r.flow(p.Runs, letterIndent, y, width-letterIndent, theme.TextSize, false)
		r.box(4, y, 3, end-y, theme.Line, 0)
		return end
	case LetterCode:
		at := r.nb
		r.box(0, y, width, 0, theme.HoverSoft, theme.SoftCorner)
		end := r.flow(p.Runs, letterPad, y+letterPad, width-2*letterPad, theme.SmallSize, false) + letterPad
		r.boxes[at].Resize(fyne.NewSize(width, end-y))
		return end
	case LetterLine:
		r.box(0, y+4, width, theme.Hairline, theme.Line, 0)
		return y + 9
	case LetterButton:
		return r.button(p, y, width)
	case LetterImage:
		return r.image(p, y, width)
	case LetterRow:
		return r.row(p, y, width)
	default:
		return r.flow(p.Runs, 0, y, width, theme.TextSize, false)
	}
}

func (r *letterRenderer) button(p *LetterPart, y, width float32) float32 {
	words := ""
	for _, run := range p.Runs {
		words += run.Text
	}
	style := fyne.TextStyle{Bold: true}
	words = Fit(words, width-2*buttonPadding, theme.TextSize, style)
	size := fyne.MeasureText(words, theme.TextSize, style)
	r.box(0, y, size.Width+2*buttonPadding, buttonHeight, theme.Accent, theme.SoftCorner)
	r.text(words, buttonPadding, y+(buttonHeight-size.Height)/2, theme.TextSize, style, theme.OnAccent)
	return y + buttonHeight
}

func (r *letterRenderer) image(p *LetterPart, y, width float32) float32 {
	if p.Picture != nil {
		if r.ni == len(r.images) {
			r.images = append(r.images, &canvas.Image{FillMode: canvas.ImageFillContain})
		}
		o := r.images[r.ni]
		r.ni++
		if o.Resource != p.Picture {
			o.Resource = p.Picture
			o.Refresh()
		}
		height := pictureMax
		if ratio := o.Aspect(); ratio > 0 {
			height = min(pictureMax, width/ratio)
			width = height * ratio
		}
		o.Move(fyne.NewPos(0, y))
		o.Resize(fyne.NewSize(width, height))
		return y + height
	}
	r.box(0, y, width, letterImage, theme.HoverSoft, theme.SoftCorner)
	r.flow(p.Runs, letterPad*2, y+letterImage/2-10, width-4*letterPad, theme.SmallSize, false)
	return y + letterImage
}

func (r *letterRenderer) row(p *LetterPart, y, width float32) float32 {
	if len(p.Cells) == 0 {
		return y
	}
	each := width / float32(len(p.Cells))
	first, end := r.nb, y
	for i := range p.Cells {
		r.box(each*float32(i), y, each+theme.Hairline, 0, theme.Card, 0)
		b := r.boxes[first+i]
		b.StrokeColor, b.StrokeWidth = theme.Colour(theme.Line), theme.Hairline
	}
	for i, cell := range p.Cells {
		end = max(end, r.flow(cell, each*float32(i)+letterPad, y+letterPad, each-2*letterPad, theme.TextSize, p.Head)+letterPad)
	}
	for i := range p.Cells {
		b := r.boxes[first+i]
		b.Resize(fyne.NewSize(b.Size().Width, end-y))
	}
	return end - theme.Hairline
}

// flow sets words in lines and returns where the next line would begin.
func (r *letterRenderer) flow(runs []LetterRun, x, y, width, size float32, bold bool) float32 {
	height := fyne.MeasureText("M国", size, fyne.TextStyle{Bold: bold}).Height
	at := float32(0)
	for _, run := range runs {
		style := fyne.TextStyle{Bold: run.Bold || bold, Italic: run.Italic, Monospace: run.Mono}
		colour := theme.Ink
		if run.Link {
			colour = theme.Accent
		}
		for i, line := range strings.Split(run.Text, "\n") {
			if i > 0 {
				at, y = 0, y+height
			}
			at, y = r.words(line, x, at, y, width, height, size, style, colour)
		}
	}
	return y + height
}

// words sets words of one look, beginning at from the left; a line of them is one
// object. It returns where the next ones begin.
func (r *letterRenderer) words(s string, x, at, y, width, height, size float32, style fyne.TextStyle, colour fyne.ThemeColorName) (float32, float32) {
	line, start := "", at
	end := func() {
		if strings.TrimSpace(line) != "" {
			r.text(line, x+start, y, size, style, colour)
		}
		line = ""
	}
	for _, piece := range pieces(s) {
		w := r.wideOf(piece, size, style)
		bare := w
		if t := strings.TrimRight(piece, " "); t != piece {
			bare = r.wideOf(t, size, style)
		}
		if at+bare > width && at > 0 {
			end()
			at, y, start = 0, y+height, 0
			piece = strings.TrimLeft(piece, " ")
			w = r.wideOf(piece, size, style)
		}
		for w > width && len(piece) > 1 { // longer than a line
			n := breakAt(piece, func(s string) bool { return r.wideOf(s, size, style) <= width })
			if n >= len(piece) {
				break
			}
			line = piece[:n]
			end()
			piece, y = piece[n:], y+height
			w = r.wideOf(piece, size, style)
		}
		line += piece
		at += w
	}
	end()
	return at, y
}

func (r *letterRenderer) wideOf(s string, size float32, style fyne.TextStyle) float32 {
	k := lookedWord{s, style, size}
	w, ok := r.wide[k]
	if !ok {
		w = fyne.MeasureText(s, size, style).Width
		r.wide[k] = w
	}
	return w
}

func (r *letterRenderer) text(s string, x, y, size float32, style fyne.TextStyle, colour fyne.ThemeColorName) {
	if r.nt == len(r.texts) {
		r.texts = append(r.texts, &canvas.Text{})
	}
	t := r.texts[r.nt]
	r.nt++
	c := theme.Colour(colour)
	if t.Text != s || t.TextSize != size || t.TextStyle != style || t.Color != c {
		t.Text, t.TextSize, t.TextStyle, t.Color = s, size, style, c
		t.Refresh()
	}
	t.Move(fyne.NewPos(x, y))
	t.Resize(t.MinSize())
}

func (r *letterRenderer) box(x, y, width, height float32, colour fyne.ThemeColorName, corner float32) {
	if r.nb == len(r.boxes) {
		r.boxes = append(r.boxes, &canvas.Rectangle{})
	}
	b := r.boxes[r.nb]
	r.nb++
	b.FillColor, b.CornerRadius, b.StrokeWidth = theme.Colour(colour), corner, 0
	b.Move(fyne.NewPos(x, y))
	b.Resize(fyne.NewSize(width, height))
	b.Refresh()
}

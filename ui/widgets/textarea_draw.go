package widgets

import (
	"image/color"
	"strings"
	"unicode"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"

	"postroom/assets/theme"
)

// The measures of a TextArea, in pixels.
const (
	areaInset   float32 = 8
	areaBar     float32 = 6 // the width of its scroll bar
	areaMinRows         = 3
	cursorWidth float32 = 2
)

var areaStyle = fyne.TextStyle{Monospace: true}

// advanceOf returns the width of characters of a size. Each is measured once, and
// many of it together, as the toolkit rounds.
func advanceOf(size float32) func(rune) float32 {
	const many = 32
	known := map[rune]float32{}
	return func(r rune) float32 {
		if w, ok := known[r]; ok {
			return w
		}
		s := string(r)
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
			known[r] = 0
			return 0
		case r == '\t':
			s = "    "
		}
		w := fyne.MeasureText(strings.Repeat(s, many), size, styleOf(r)).Width / many
		known[r] = w
		return w
	}
}

// styleOf is how a character is drawn: what the font of even widths lacks comes
// from the other one, which has it on every computer.
func styleOf(r rune) fyne.TextStyle {
	if r < 0x0500 || r >= 0x2000 && r < 0x2300 {
		return areaStyle
	}
	return fyne.TextStyle{}
}

func areaRowHeight() float32 {
	return snap(fyne.MeasureText("M国", theme.TextSize, areaStyle).Height)
}

// placeAt returns the place under a point.
func (a *TextArea) placeAt(p fyne.Position) int {
	y := (p.Y - areaInset) / areaRowHeight()
	row := a.top + int(y)
	if y < 0 {
		row = a.top - 1
	}
	return a.script.near(row, p.X-areaInset)
}

// onBar reports whether a point is on the scroll bar.
func (a *TextArea) onBar(p fyne.Position) bool {
	return a.script.rows() > a.page && p.X > a.Size().Width-areaBar-4
}

// drag scrolls to where the scroll bar is held.
func (a *TextArea) drag(p fyne.Position) {
	share := p.Y / max(1, a.Size().Height)
	a.showFrom(int(share*float32(a.script.rows())) - a.page/2)
}

// CreateRenderer is for the toolkit.
func (a *TextArea) CreateRenderer() fyne.WidgetRenderer {
	r := &areaRenderer{area: a, edge: canvas.NewRectangle(color.Transparent), ground: canvas.NewRectangle(color.Transparent), caret: canvas.NewRectangle(color.Transparent), bar: canvas.NewRectangle(color.Transparent)}
	r.hint = NewQuiet("").Wrapping()
	r.Refresh()
	return r
}

// areaRenderer draws the rows in sight, each as pieces of one colour. Its border
// is a ground below the ground: the toolkit cuts what can be scrolled at its
// bounds, and where it draws without a graphics card it then misplaces a line
// around a rectangle.
type areaRenderer struct {
	area                     *TextArea
	edge, ground, caret, bar *canvas.Rectangle
	hint                     *Text
	marks                    []*canvas.Rectangle // of the selection, one a row
	pieces                   []*canvas.Text
	used                     int // of the pieces
	objects                  []fyne.CanvasObject
}

func (r *areaRenderer) MinSize() fyne.Size {
	return fyne.NewSize(120, areaMinRows*areaRowHeight()+2*areaInset)
}

func (r *areaRenderer) Layout(size fyne.Size) {
	a := r.area
	border := theme.Hairline
	if a.focused {
		border = focusWidth
	}
	r.edge.Resize(size)
	r.ground.Move(fyne.NewPos(border, border))
	r.ground.Resize(size.SubtractWidthHeight(2*border, 2*border))
	r.ground.CornerRadius = theme.SoftCorner - border
	height := areaRowHeight()
	a.page = max(1, int((size.Height-2*areaInset)/height))
	row, _ := a.script.row(a.cursor)
	inSight := row >= a.top && row < a.top+a.page
	if width := size.Width - 2*areaInset - areaBar; width > 0 && width != a.script.width {
		a.script.fit(width)
		if inSight {
			row, _ = a.script.row(a.cursor)
			a.top = min(max(a.top, row-a.page+1), row)
		}
	}
	r.draw(size)
}

func (r *areaRenderer) Refresh() {
	border := theme.Input
	if r.area.focused {
		border = theme.Accent
	}
	r.edge.FillColor, r.edge.CornerRadius = theme.Colour(border), theme.SoftCorner
	r.ground.FillColor = theme.Colour(theme.Card)
	r.edge.Refresh()
	r.ground.Refresh()
	r.Layout(r.area.Size())
	canvas.Refresh(r.area)
}

// draw places what is in sight.
func (r *areaRenderer) draw(size fyne.Size) {
	a, s := r.area, r.area.script
	height := areaRowHeight()
	a.top = min(max(a.top, 0), max(0, s.rows()-1))
	r.objects = append(r.objects[:0], r.edge, r.ground)
	r.used = 0
	from, to := a.Selection()
	marks := 0
	for i := range a.page {
		row := a.top + i
		if row >= s.rows() {
			break
		}
		y := areaInset + float32(i)*height
		begin, end := s.span(row)
		if from < to && from <= end && to >= begin && to > from {
			marks = r.mark(marks, max(from, begin), min(to, end), begin, to > end, y, height)
		}
		r.row(begin, end, y, height)
	}
	for _, t := range r.pieces[:r.used] {
		r.objects = append(r.objects, t)
	}
	r.point(height)
	r.scrollBar(size)
	r.hint.Text = a.PlaceHolder
	if s.len() == 0 && a.PlaceHolder != "" {
		r.hint.Move(fyne.NewPos(areaInset, areaInset))
		r.hint.Resize(fyne.NewSize(max(0, size.Width-2*areaInset), height))
		r.hint.Refresh()
		r.objects = append(r.objects, r.hint)
	}
}

// mark draws the selected part of a row. over says that the line end is a part.
func (r *areaRenderer) mark(n, from, to, begin int, over bool, y, height float32) int {
	s := r.area.script
	if n == len(r.marks) {
		r.marks = append(r.marks, canvas.NewRectangle(color.Transparent))
	}
	m := r.marks[n]
	p := &s.lines[s.line(begin)]
	x := s.length(p.text[begin-p.at : from-p.at])
	w := s.length(p.text[from-p.at : to-p.at])
	if over {
		w = max(w, 5)
	}
	m.FillColor = theme.Faint(theme.Accent, 0.25)
	m.Move(fyne.NewPos(areaInset+x, y))
	m.Resize(fyne.NewSize(w, height))
	m.Refresh()
	r.objects = append(r.objects, m)
	return n + 1
}

// row draws the characters of a row: tags in the colour of links.
func (r *areaRenderer) row(begin, end int, y, height float32) {
	s := r.area.script
	p := &s.lines[s.line(begin)]
	text := p.text
	i, stop := begin-p.at, end-p.at
	x := areaInset
	for _, t := range tagsIn(text) {
		if t[1] <= i || t[0] >= stop {
			continue
		}
		if t[0] > i {
			x = r.piece(text[i:t[0]], x, y, height, theme.Ink)
			i = t[0]
		}
		to := min(t[1], stop)
		x = r.piece(text[i:to], x, y, height, theme.Accent)
		i = to
	}
	if i < stop {
		r.piece(text[i:stop], x, y, height, theme.Ink)
	}
}

// piece draws characters of one colour and returns where the next begin.
func (r *areaRenderer) piece(text []rune, x, y, height float32, colour fyne.ThemeColorName) float32 {
	for len(text) > 0 {
		style, n := styleOf(text[0]), 1
		for n < len(text) && styleOf(text[n]) == style {
			n++
		}
		x = r.run(text[:n], style, x, y, height, colour)
		text = text[n:]
	}
	return x
}

// run draws characters of one colour and one font.
func (r *areaRenderer) run(text []rune, style fyne.TextStyle, x, y, height float32, colour fyne.ThemeColorName) float32 {
	if r.used == len(r.pieces) {
		r.pieces = append(r.pieces, &canvas.Text{TextSize: theme.TextSize})
	}
	t := r.pieces[r.used]
	r.used++
	words := strings.ReplaceAll(string(text), "\t", "    ")
	width := r.area.script.length(text)
	c := theme.Colour(colour)
	if t.Text != words || t.Color != c || t.TextStyle != style {
		t.Text, t.Color, t.TextStyle = words, c, style
		t.Refresh()
	}
	t.Move(fyne.NewPos(x, y))
	t.Resize(fyne.NewSize(width, height))
	return x + width
}

// tagsIn finds the tags of the merge language in a paragraph.
func tagsIn(text []rune) [][2]int {
	var tags [][2]int
	for i := 0; i+1 < len(text); i++ {
		if text[i] != '{' || text[i+1] != '{' {
			continue
		}
		for k := i + 2; k+1 < len(text); k++ {
			if text[k] == '}' && text[k+1] == '}' {
				tags = append(tags, [2]int{i, k + 2})
				i = k + 1
				break
			}
		}
	}
	return tags
}

// point draws the cursor.
func (r *areaRenderer) point(height float32) {
	a := r.area
	row, _ := a.script.row(a.cursor)
	if !a.focused || row < a.top || row >= a.top+a.page {
		return
	}
	r.caret.FillColor = theme.Colour(theme.Accent)
	r.caret.Move(fyne.NewPos(areaInset+a.script.x(a.cursor)-cursorWidth/2, areaInset+float32(row-a.top)*height))
	r.caret.Resize(fyne.NewSize(cursorWidth, height))
	r.caret.Refresh()
	r.objects = append(r.objects, r.caret)
}

// scrollBar draws how much of the text is in sight.
func (r *areaRenderer) scrollBar(size fyne.Size) {
	a := r.area
	all := a.script.rows()
	if all <= a.page {
		return
	}
	room := size.Height - 4
	long := max(24, room*float32(a.page)/float32(all))
	y := 2 + (room-long)*float32(a.top)/float32(max(1, all-a.page))
	r.bar.FillColor, r.bar.CornerRadius = theme.Faint(theme.Mute, 0.45), areaBar/2
	r.bar.Move(fyne.NewPos(size.Width-areaBar-2, min(y, 2+room-long)))
	r.bar.Resize(fyne.NewSize(areaBar, long))
	r.bar.Refresh()
	r.objects = append(r.objects, r.bar)
}

func (r *areaRenderer) Objects() []fyne.CanvasObject { return r.objects }

func (r *areaRenderer) Destroy() {}

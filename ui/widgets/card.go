package widgets

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/theme"
)

// Card is a white surface with a hairline border and, if wanted, a title.
type Card struct {
	widget.BaseWidget
	Content fyne.CanvasObject
	// Warn makes it the amber strip of what wants attention.
	Warn bool

	body *fyne.Container
}

// NewCard returns a card; an empty title takes no room. aside, if not nil,
// stands at the right of the title.
func NewCard(title string, aside fyne.CanvasObject, content fyne.CanvasObject) *Card {
	c := &Card{Content: content}
	switch {
	case title == "" && aside == nil:
		c.body = Inset(theme.CardPadding, theme.CardPadding, theme.CardPadding, theme.CardPadding, content)
	default:
		head := HStack(12, Grow(NewStrong(title).Cutting()))
		if aside != nil {
			head.Add(aside)
		}
		c.body = Inset(14, theme.CardPadding, theme.CardPadding, theme.CardPadding, VStack(12, head, Grow(content)))
	}
	c.ExtendBaseWidget(c)
	return c
}

// NewStrip returns an amber card without a title.
func NewStrip(content fyne.CanvasObject) *Card {
	c := NewCard("", nil, content)
	c.Warn = true
	return c
}

// NewPlainCard returns a card without any padding, for tables.
func NewPlainCard(content fyne.CanvasObject) *Card {
	c := &Card{Content: content, body: Inset(1, 1, 1, 1, content)}
	c.ExtendBaseWidget(c)
	return c
}

// CreateRenderer is for the toolkit.
func (c *Card) CreateRenderer() fyne.WidgetRenderer {
	ground := newSurface(theme.Corner, theme.Hairline)
	paint := func() {
		if c.Warn {
			ground.paint(theme.AmberSoft, theme.Amber)
			return
		}
		ground.paint(theme.Card, theme.Line)
	}
	paint()
	r := &parts{objects: append(ground.objects(), c.body)}
	r.min = c.body.MinSize
	r.layout = func(size fyne.Size) {
		ground.resize(size)
		c.body.Resize(size)
	}
	r.refresh = func() {
		paint()
		c.body.Refresh()
		r.layout(c.Size())
		canvas.Refresh(c)
	}
	return r
}

// Divider is a hairline across, as between rows.
type Divider struct {
	widget.BaseWidget
	vertical bool
}

// NewDivider returns a horizontal line.
func NewDivider() *Divider {
	d := &Divider{}
	d.ExtendBaseWidget(d)
	return d
}

// CreateRenderer is for the toolkit.
func (d *Divider) CreateRenderer() fyne.WidgetRenderer {
	line := canvas.NewRectangle(theme.Colour(theme.Line))
	r := &parts{objects: []fyne.CanvasObject{line}}
	r.min = func() fyne.Size { return fyne.NewSquareSize(theme.Hairline) }
	r.layout = func(size fyne.Size) {
		if d.vertical {
			line.Resize(fyne.NewSize(theme.Hairline, size.Height))
			return
		}
		line.Resize(fyne.NewSize(size.Width, theme.Hairline))
	}
	r.refresh = func() {
		line.FillColor = theme.Colour(theme.Line)
		line.Refresh()
	}
	return r
}

// Ground paints the paper of a screen, or with Card the white of a side panel,
// behind an object.
type Ground struct {
	widget.BaseWidget
	colour  fyne.ThemeColorName
	content fyne.CanvasObject
}

// NewGround returns an object on a ground of a named colour.
func NewGround(colour fyne.ThemeColorName, content fyne.CanvasObject) *Ground {
	g := &Ground{colour: colour, content: content}
	g.ExtendBaseWidget(g)
	return g
}

// CreateRenderer is for the toolkit.
func (g *Ground) CreateRenderer() fyne.WidgetRenderer {
	paper := canvas.NewRectangle(theme.Colour(g.colour))
	paper.Hidden = g.colour == theme.Ground // the window itself is painted so already
	r := &parts{objects: []fyne.CanvasObject{paper, g.content}}
	r.min = g.content.MinSize
	r.layout = func(size fyne.Size) {
		paper.Resize(size)
		g.content.Resize(size)
	}
	r.refresh = func() {
		paper.FillColor = theme.Colour(g.colour)
		paper.Refresh()
		g.content.Refresh()
	}
	return r
}

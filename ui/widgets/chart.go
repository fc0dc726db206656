package widgets

import (
	"fmt"
	"image/color"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/theme"
)

const (
	chartGap    float32 = 5   // between bars, at most
	chartFoot   float32 = 22  // room of the day labels
	chartLabelW float32 = 140 // from one day label to the next, about
	chartHeight float32 = 96  // of the plot, at least
)

// Day is one bar of a chart: what was taken, and what failed or bounced on top.
type Day struct {
	Label string // "23 Nov"
	Taken int64
	Bad   int64
}

// Chart is a row of stacked bars, one a day, blue with red on top.
type Chart struct {
	widget.BaseWidget
	days   []Day
	number func(int64) string
}

// NewChart returns a chart; number writes the values of its axis.
func NewChart(number func(int64) string, days ...Day) *Chart {
	c := &Chart{days: days, number: number}
	c.ExtendBaseWidget(c)
	return c
}

// Set replaces the days.
func (c *Chart) Set(days ...Day) {
	c.days = days
	c.Refresh()
}

// AccessibilityLabel lists the days on which something went out.
func (c *Chart) AccessibilityLabel() string {
	var said []string
	for _, d := range c.days {
		if d.Taken+d.Bad > 0 {
			said = append(said, fmt.Sprintf("%s: %s, %s", d.Label, c.number(d.Taken), c.number(d.Bad)))
		}
	}
	return strings.Join(said, "; ")
}

// AccessibilityRole is that of text.
func (c *Chart) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleText }

// top returns the value at the upper edge: an even round number that no bar
// exceeds, at least 10.
func (c *Chart) top() int64 {
	var most int64
	for _, d := range c.days {
		most = max(most, d.Taken+d.Bad)
	}
	for step := int64(1); ; step *= 10 {
		for _, f := range []int64{10, 12, 16, 20, 30, 40, 50, 60, 80} {
			if f*step >= most {
				return f * step
			}
		}
	}
}

// CreateRenderer is for the toolkit.
func (c *Chart) CreateRenderer() fyne.WidgetRenderer {
	r := &chartRenderer{chart: c}
	r.Refresh()
	return r
}

type chartRenderer struct {
	chart      *Chart
	objects    []fyne.CanvasObject
	lines      [3]*canvas.Rectangle // foot, middle, top
	values     [2]*canvas.Text      // middle, top
	taken, bad []*canvas.Rectangle
	labels     []*canvas.Text
}

func (r *chartRenderer) MinSize() fyne.Size {
	return fyne.NewSize(float32(len(r.chart.days))*4+40, chartHeight+chartFoot)
}

func (r *chartRenderer) Refresh() {
	r.objects = r.objects[:0]
	for i := range r.lines {
		if r.lines[i] == nil {
			r.lines[i] = canvas.NewRectangle(color.Transparent)
		}
		r.lines[i].FillColor = theme.Colour(theme.Line)
		if i > 0 {
			r.lines[i].FillColor = theme.Faint(theme.Line, 0.6)
		}
		r.objects = append(r.objects, r.lines[i])
	}
	top := r.chart.top()
	for i := range r.values {
		if r.values[i] == nil {
			r.values[i] = canvas.NewText("", color.Transparent)
		}
		v := r.values[i]
		v.Text = r.chart.number(top * int64(i+1) / 2)
		v.TextSize, v.Color, v.Alignment = theme.SmallSize-1, theme.Colour(theme.Mute), fyne.TextAlignTrailing
		r.objects = append(r.objects, v)
	}
	n := len(r.chart.days)
	for len(r.taken) < n {
		r.taken = append(r.taken, canvas.NewRectangle(color.Transparent))
		r.bad = append(r.bad, canvas.NewRectangle(color.Transparent))
		r.labels = append(r.labels, canvas.NewText("", color.Transparent))
	}
	for i, d := range r.chart.days {
		r.taken[i].FillColor, r.bad[i].FillColor = theme.Blue.Color(), theme.Bad.Color()
		l := r.labels[i]
		l.Text, l.TextSize, l.Color = d.Label, theme.SmallSize-1, theme.Colour(theme.Mute)
		l.Alignment = fyne.TextAlignCenter
		r.objects = append(r.objects, r.taken[i], r.bad[i], l)
	}
	r.Layout(r.chart.Size())
	for _, o := range r.objects {
		o.Refresh()
	}
	canvas.Refresh(r.chart)
}

func (r *chartRenderer) Layout(size fyne.Size) {
	n := len(r.chart.days)
	if n == 0 || size.Height <= chartFoot {
		return
	}
	axis := snap(max(r.values[0].MinSize().Width, r.values[1].MinSize().Width)) + 8
	head := snap(r.values[0].MinSize().Height / 2)
	foot := snap(size.Height - chartFoot)
	plot := foot - head
	for i, line := range r.lines {
		y := snap(foot - plot*float32(i)/2)
		line.Move(fyne.NewPos(axis, y))
		line.Resize(fyne.NewSize(size.Width-axis, theme.Hairline))
		if i > 0 {
			v := r.values[i-1]
			v.Move(fyne.NewPos(0, y-v.MinSize().Height/2))
			v.Resize(fyne.NewSize(axis-8, v.MinSize().Height))
		}
	}
	pitch := (size.Width - axis) / float32(n)
	gap := min(chartGap, max(1, snap(pitch*0.2)))
	every := max(1, int(chartLabelW/pitch+0.999))
	perUnit := plot / float32(r.chart.top())
	for i, d := range r.chart.days {
		x := snap(axis + pitch*float32(i))
		w := snap(axis+pitch*float32(i+1)) - x - gap
		tall := barHeight(d.Taken, perUnit)
		red := barHeight(d.Bad, perUnit)
		r.taken[i].Move(fyne.NewPos(x, foot-tall))
		r.taken[i].Resize(fyne.NewSize(w, tall))
		r.bad[i].Move(fyne.NewPos(x, foot-tall-red))
		r.bad[i].Resize(fyne.NewSize(w, red))
		// Labels count back from the last day: today is always named.
		l := r.labels[i]
		l.Hidden = (n-1-i)%every != 0
		lw := l.MinSize().Width
		lx := min(max(axis, x+w/2-lw/2), size.Width-lw)
		l.Move(fyne.NewPos(lx, foot+6))
		l.Resize(fyne.NewSize(lw, l.MinSize().Height))
	}
}

// barHeight returns whole pixels, and at least one for what is not nothing.
func barHeight(v int64, perUnit float32) float32 {
	if v <= 0 {
		return 0
	}
	return max(1, snap(float32(v)*perUnit))
}

func (r *chartRenderer) Objects() []fyne.CanvasObject { return r.objects }
func (r *chartRenderer) Destroy()                     {}

// Legend is a row of words, each with a square of its colour.
func Legend(segments ...Segment) *fyne.Container {
	row := HStack(14)
	for _, s := range segments {
		row.Add(HStack(5, FixedHeight(10, newSwatch(s.Tone)), NewSmall(s.Name).Toned(s.Tone)))
	}
	return row
}

// swatch is a small square of a tone.
type swatch struct {
	widget.BaseWidget
	tone theme.Tone
}

func newSwatch(tone theme.Tone) *swatch {
	s := &swatch{tone: tone}
	s.ExtendBaseWidget(s)
	return s
}

func (s *swatch) CreateRenderer() fyne.WidgetRenderer {
	square := canvas.NewRectangle(s.tone.Color())
	square.CornerRadius = 2
	r := &parts{objects: []fyne.CanvasObject{square}}
	r.min = func() fyne.Size { return fyne.NewSquareSize(10) }
	r.layout = square.Resize
	r.refresh = func() {
		square.FillColor = s.tone.Color()
		square.Refresh()
	}
	return r
}

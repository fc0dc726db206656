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

// meterHeight is the height of a meter, in pixels.
const meterHeight float32 = 8

// Segment is one part of a meter.
type Segment struct {
	Value int64
	Tone  theme.Tone
	Name  string // what it counts, for screen readers
}

// Meter is a bar of coloured segments over a total; what they leave is the grey
// track. A segment that is not empty is at least 3 px wide, so that one failure
// among a million is seen.
type Meter struct {
	widget.BaseWidget
	segments []Segment
	total    int64
}

// NewMeter returns a meter over a total.
func NewMeter(total int64, segments ...Segment) *Meter {
	m := &Meter{segments: segments, total: total}
	m.ExtendBaseWidget(m)
	return m
}

// Set replaces what is shown.
func (m *Meter) Set(total int64, segments ...Segment) {
	m.total, m.segments = total, segments
	m.Refresh()
}

// AccessibilityLabel lists the segments.
func (m *Meter) AccessibilityLabel() string {
	var said []string
	for _, s := range m.segments {
		if s.Value > 0 {
			said = append(said, fmt.Sprintf("%d %s", s.Value, s.Name))
		}
	}
	return strings.Join(said, ", ")
}

// AccessibilityRole is that of text.
func (m *Meter) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleText }

// widths returns how wide each segment is within a width, in whole pixels and
// never more than the width together.
func (m *Meter) widths(width float32) []float32 {
	const least = 3
	out := make([]float32, len(m.segments))
	var sum int64
	for _, s := range m.segments {
		sum += max(0, s.Value)
	}
	total := max(m.total, sum)
	if total <= 0 {
		return out
	}
	var used float32
	widest := 0
	for i, s := range m.segments {
		if s.Value <= 0 {
			continue
		}
		out[i] = max(least, snap(width*float32(float64(s.Value)/float64(total))))
		used += out[i]
		if out[i] > out[widest] {
			widest = i
		}
	}
	if sum == total && used > 0 || used > width { // the rounding falls on the widest
		out[widest] = max(0, out[widest]+width-used)
	}
	return out
}

// CreateRenderer is for the toolkit.
func (m *Meter) CreateRenderer() fyne.WidgetRenderer {
	track := canvas.NewRectangle(color.Transparent)
	r := &parts{objects: []fyne.CanvasObject{track}}
	var bars []*canvas.Rectangle
	r.min = func() fyne.Size { return fyne.NewSize(40, meterHeight) }
	r.layout = func(size fyne.Size) {
		y := (size.Height - meterHeight) / 2
		track.Move(fyne.NewPos(0, y))
		track.Resize(fyne.NewSize(size.Width, meterHeight))
		x := float32(0)
		for i, w := range m.widths(size.Width) {
			bar := bars[i]
			bar.Move(fyne.NewPos(x, y))
			bar.Resize(fyne.NewSize(w, meterHeight))
			bar.Hidden = w <= 0
			roundEnds(bar, x <= 0, x+w >= size.Width-0.5)
			x += w
		}
	}
	r.refresh = func() {
		track.FillColor, track.CornerRadius = theme.Colour(theme.Line), meterHeight/2
		for len(bars) < len(m.segments) {
			bars = append(bars, canvas.NewRectangle(color.Transparent))
		}
		r.objects = append(r.objects[:0], track)
		for i, s := range m.segments {
			bars[i].FillColor = s.Tone.Color()
			r.objects = append(r.objects, bars[i])
		}
		r.layout(m.Size())
		for _, o := range r.objects {
			o.Refresh()
		}
		canvas.Refresh(m)
	}
	r.refresh()
	return r
}

// roundEnds rounds the ends of a bar where it begins or ends the meter.
func roundEnds(bar *canvas.Rectangle, left, right bool) {
	const corner = meterHeight / 2
	bar.TopLeftCornerRadius, bar.BottomLeftCornerRadius = 0, 0
	bar.TopRightCornerRadius, bar.BottomRightCornerRadius = 0, 0
	if left {
		bar.TopLeftCornerRadius, bar.BottomLeftCornerRadius = corner, corner
	}
	if right {
		bar.TopRightCornerRadius, bar.BottomRightCornerRadius = corner, corner
	}
}

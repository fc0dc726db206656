package widgets

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/theme"
)

// Event is one entry of a time line.
type Event struct {
	Title string
	Tone  theme.Tone
	Time  string // small, beside the title where there is room, else below
	Code  string // what the server said, monospaced
	Note  string // what it means, in words
	// Action and OnAction are a link at the end of the note, such as "undo".
	Action   string
	OnAction func()
}

// TimeLine shows what happened to one delivery, oldest first, along a rule.
type TimeLine struct {
	widget.BaseWidget
	body *fyne.Container
}

// NewTimeLine returns a time line.
func NewTimeLine(events ...Event) *TimeLine {
	l := &TimeLine{body: VStack(12)}
	l.ExtendBaseWidget(l)
	l.Set(events...)
	return l
}

// Set replaces the events.
func (l *TimeLine) Set(events ...Event) {
	l.body.RemoveAll()
	for _, e := range events {
		l.body.Add(eventRows(e))
	}
	l.Refresh()
}

func eventRows(e Event) *fyne.Container {
	title := NewStrong(e.Title)
	title.Tone = e.Tone
	rows := VStack(0, container.New(&besideOrBelow{gap: 6}, title, NewSmall(e.Time)))
	if e.Code != "" {
		rows.Add(NewCode(e.Code).Wrapping())
	}
	if e.Note != "" {
		rows.Add(NewSmall(e.Note).Wrapping())
	}
	if e.Action != "" {
		rows.Add(HStack(0, Inset(0, 0, 0, -4, NewButton(Link, e.Action, e.OnAction)), Space()))
	}
	return rows
}

// CreateRenderer is for the toolkit.
func (l *TimeLine) CreateRenderer() fyne.WidgetRenderer {
	const indent, thickness = 16, 2
	rule := canvas.NewRectangle(color.Transparent)
	r := &parts{objects: []fyne.CanvasObject{rule, l.body}}
	r.min = func() fyne.Size { return l.body.MinSize().AddWidthHeight(indent, 0) }
	r.layout = func(size fyne.Size) {
		l.body.Move(fyne.NewPos(indent, 0))
		l.body.Resize(fyne.NewSize(max(0, size.Width-indent), size.Height))
		height := float32(0)
		if len(l.body.Objects) > 0 {
			height = min(size.Height, l.body.MinSize().Height)
		}
		rule.Resize(fyne.NewSize(thickness, height))
	}
	r.refresh = func() {
		rule.FillColor = theme.Colour(theme.Line)
		rule.Refresh()
		l.body.Refresh()
		r.layout(l.Size())
	}
	r.refresh()
	return r
}

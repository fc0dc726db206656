package widgets

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/icons"
	"postroom/assets/theme"
	"postroom/assets/words"
)

// StepState is how far a step of a check has come.
type StepState string

// The states of a step. The words are those of the catalogue under "step.".
const (
	StepWaiting StepState = "waiting"
	StepRunning StepState = "running"
	StepOK      StepState = "ok"
	StepFailed  StepState = "failed"
	StepSkipped StepState = "skipped"
	StepNothing StepState = "nothing" // it was asked, and had no answer
)

// Step is one step of a check: what it is, how it went, what came back (raw,
// monospaced), and what to do about it.
type Step struct {
	Title  string
	State  StepState
	Detail string
	Advice string
}

func (s StepState) look() (icon icons.Icon, tone theme.Tone) {
	switch s {
	case StepOK:
		return icons.Check, theme.Good
	case StepFailed:
		return icons.Close, theme.Bad
	case StepRunning:
		return icons.Forward, theme.Blue
	default:
		return "", theme.Quiet
	}
}

// StepList shows the steps of a check, one below the other.
type StepList struct {
	widget.BaseWidget
	words *words.Catalogue
	body  *fyne.Container
}

// NewStepList returns a list of steps.
func NewStepList(w *words.Catalogue, steps ...Step) *StepList {
	l := &StepList{words: w, body: VStack(12)}
	l.ExtendBaseWidget(l)
	l.Set(steps...)
	return l
}

// Set replaces the steps.
func (l *StepList) Set(steps ...Step) {
	l.body.RemoveAll()
	for _, s := range steps {
		l.body.Add(l.row(s))
	}
	l.Refresh()
}

func (l *StepList) row(s Step) fyne.CanvasObject {
	icon, tone := s.State.look()
	title := NewText(s.Title)
	if s.State == StepWaiting || s.State == StepSkipped {
		title.Tone = theme.Quiet
	}
	state := NewSmall(l.words.T("step." + string(s.State)))
	state.Tone = tone
	lines := VStack(3, HStack(12, Grow(title.Cutting()), state))
	if s.Advice != "" {
		lines.Add(NewQuiet(s.Advice).Wrapping())
	}
	if s.Detail != "" {
		code := NewCode(s.Detail).Wrapping()
		code.Tone = theme.Quiet
		lines.Add(code)
	}
	mark := &stepMark{icon: icon, tone: tone}
	mark.ExtendBaseWidget(mark)
	return newBeside(mark, lines)
}

// CreateRenderer is for the toolkit.
func (l *StepList) CreateRenderer() fyne.WidgetRenderer { return widget.NewSimpleRenderer(l.body) }

// newBeside sets a mark left of lines, both from the top.
func newBeside(mark, lines fyne.CanvasObject) *fyne.Container {
	return &fyne.Container{Layout: besideLayout{gap: 12}, Objects: []fyne.CanvasObject{mark, lines}}
}

type besideLayout struct{ gap float32 }

func (l besideLayout) MinSize(o []fyne.CanvasObject) fyne.Size {
	mark, lines := o[0].MinSize(), o[1].MinSize()
	return fyne.NewSize(mark.Width+l.gap+lines.Width, max(mark.Height, lines.Height))
}

func (l besideLayout) Layout(o []fyne.CanvasObject, size fyne.Size) {
	mark := o[0].MinSize()
	o[0].Move(fyne.Position{})
	o[0].Resize(mark)
	x := mark.Width + l.gap
	o[1].Move(fyne.NewPos(x, 0))
	o[1].Resize(fyne.NewSize(max(0, size.Width-x), size.Height))
}

// stepMark is the round mark of a step.
type stepMark struct {
	widget.BaseWidget
	icon icons.Icon
	tone theme.Tone
}

func (m *stepMark) CreateRenderer() fyne.WidgetRenderer {
	const side, inner = 20, 12
	disc := canvas.NewCircle(theme.Faint(m.tone.Name(), 0.14))
	image := &canvas.Image{FillMode: canvas.ImageFillContain}
	r := &parts{objects: []fyne.CanvasObject{disc, image}}
	r.min = func() fyne.Size { return fyne.NewSquareSize(side) }
	r.layout = func(fyne.Size) {
		disc.Resize(fyne.NewSquareSize(side))
		image.Move(fyne.NewSquareOffsetPos((side - inner) / 2))
		image.Resize(fyne.NewSquareSize(inner))
	}
	r.refresh = func() {
		disc.FillColor = theme.Faint(m.tone.Name(), 0.14)
		disc.Refresh()
		image.Hidden = m.icon == ""
		if m.icon != "" {
			image.Resource = icons.In(m.icon, m.tone.Name())
			image.Refresh()
		}
	}
	r.refresh()
	return r
}

package widgets

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/icons"
	"postroom/assets/theme"
)

// emptyWidth is how wide the sentence of an empty state gets, in pixels.
const emptyWidth float32 = 420

// EmptyState says what would be here and what to do next, and offers it.
type EmptyState struct {
	widget.BaseWidget
	icon     icons.Icon
	sentence *Text
	buttons  *fyne.Container
}

// NewEmptyState returns an empty state with any number of buttons.
func NewEmptyState(icon icons.Icon, sentence string, buttons ...*Button) *EmptyState {
	e := &EmptyState{icon: icon, sentence: NewQuiet(sentence).Wrapping(), buttons: HStack(12)}
	e.sentence.Align = fyne.TextAlignCenter
	for _, b := range buttons {
		e.buttons.Add(b)
	}
	e.ExtendBaseWidget(e)
	return e
}

// CreateRenderer is for the toolkit.
func (e *EmptyState) CreateRenderer() fyne.WidgetRenderer {
	const iconSide, gap = 40, 16
	image := canvas.NewImageFromResource(icons.In(e.icon, theme.Mute))
	image.FillMode = canvas.ImageFillContain
	r := &parts{objects: []fyne.CanvasObject{image, e.sentence, e.buttons}}
	height := func() float32 {
		h := iconSide + gap + e.sentence.MinSize().Height
		if len(e.buttons.Objects) > 0 {
			h += gap + e.buttons.MinSize().Height
		}
		return h
	}
	r.min = func() fyne.Size {
		return fyne.NewSize(max(200, e.buttons.MinSize().Width), height())
	}
	r.layout = func(size fyne.Size) {
		w := min(emptyWidth, size.Width)
		e.sentence.Resize(fyne.NewSize(w, e.sentence.MinSize().Height))
		y := max(0, (size.Height-height())/2)
		image.Move(fyne.NewPos((size.Width-iconSide)/2, y))
		image.Resize(fyne.NewSquareSize(iconSide))
		y += iconSide + gap
		e.sentence.Move(fyne.NewPos((size.Width-w)/2, y))
		e.sentence.Resize(fyne.NewSize(w, e.sentence.MinSize().Height))
		y += e.sentence.MinSize().Height + gap
		b := e.buttons.MinSize()
		e.buttons.Move(fyne.NewPos((size.Width-b.Width)/2, y))
		e.buttons.Resize(b)
	}
	r.refresh = func() {
		image.Resource = icons.In(e.icon, theme.Mute)
		for _, o := range r.objects {
			o.Refresh()
		}
		r.layout(e.Size())
	}
	return r
}

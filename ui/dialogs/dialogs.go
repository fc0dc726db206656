// Package dialogs asks and tells, on a card above a veil over the window. There
// is one way in for all of them: Escape is the same as Cancel, Enter the same
// as the default button, and when a dialog closes the focus goes back to where
// it was. Only questions and errors belong here: what can be shown in a panel
// of the screen is shown there.
//
// Everything runs on the window's goroutine.
package dialogs

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/theme"
	"postroom/ui/widgets"
)

// The measures of a dialog, in pixels.
const (
	dialogWidth  float32 = 460
	dialogMargin float32 = 24 // between card and window
	dialogInset  float32 = 20
	dialogGap    float32 = 14
)

// Options is what a dialog shows.
type Options struct {
	Title   string
	Body    fyne.CanvasObject
	Buttons []*widgets.Button // from left to right
	// Default is pressed by Enter; nil: Enter does nothing.
	Default *widgets.Button
	// OnCancel is called for Escape; nil: Escape closes the dialog.
	OnCancel func()
	// First gets the focus; nil: the default button.
	First fyne.Focusable
	Width float32 // pixels; 0: 460
	// Tall makes the dialog as high as the window allows, for lists.
	Tall bool
}

// Dialog is a dialog that is shown.
type Dialog struct {
	widget.BaseWidget
	canvas  fyne.Canvas
	options Options
	card    *fyne.Container
	before  fyne.Focusable
	keys    func(*fyne.KeyEvent)
	open    bool
}

// Show shows a dialog above everything else in a window.
func Show(win fyne.Window, o Options) *Dialog {
	if o.Width == 0 {
		o.Width = dialogWidth
	}
	d := &Dialog{canvas: win.Canvas(), options: o, open: true}
	title := widgets.NewStrong(o.Title)
	title.FontSize = theme.BrandSize
	rows := widgets.VStack(dialogGap, title.Wrapping(), widgets.Grow(o.Body))
	if len(o.Buttons) > 0 {
		row := widgets.HStack(12, widgets.Space())
		for _, b := range o.Buttons {
			row.Add(b)
		}
		rows.Add(widgets.Inset(6, 0, 0, 0, row))
	}
	d.card = widgets.Inset(dialogInset, dialogInset, dialogInset, dialogInset, rows)
	d.ExtendBaseWidget(d)

	c := d.canvas
	d.before = c.Focused()
	c.Unfocus()
	d.keys = c.OnTypedKey()
	c.SetOnTypedKey(d.typed)
	c.Overlays().Add(d)
	switch {
	case o.First != nil:
		c.Focus(o.First)
	case o.Default != nil:
		c.Focus(o.Default)
	}
	return d
}

// Open reports whether the dialog is shown.
func (d *Dialog) Open() bool { return d.open }

// Close takes the dialog away and gives the focus back. Closing twice does
// nothing.
func (d *Dialog) Close() {
	if !d.open {
		return
	}
	d.open = false
	c := d.canvas
	c.Unfocus()
	c.Overlays().Remove(d)
	c.SetOnTypedKey(d.keys)
	if o, ok := d.before.(fyne.CanvasObject); ok && fyne.CurrentApp().Driver().CanvasForObject(o) == c {
		c.Focus(d.before)
	}
}

// typed gets the keys that nothing with the focus wanted.
func (d *Dialog) typed(ev *fyne.KeyEvent) {
	if !d.open || d.canvas.Overlays().Top() != fyne.CanvasObject(d) {
		return
	}
	switch ev.Name {
	case fyne.KeyEscape:
		if d.options.OnCancel != nil {
			d.options.OnCancel()
			return
		}
		d.Close()
	case fyne.KeyReturn, fyne.KeyEnter:
		if d.options.Default != nil {
			d.options.Default.Tapped(nil)
		}
	}
}

// Refresh lays the card out again, after its content has changed.
func (d *Dialog) Refresh() { d.BaseWidget.Refresh() }

// CreateRenderer is for the toolkit.
func (d *Dialog) CreateRenderer() fyne.WidgetRenderer {
	r := &dialogRenderer{dialog: d, veil: canvas.NewRectangle(color.Transparent), ground: canvas.NewRectangle(color.Transparent)}
	r.paint()
	return r
}

type dialogRenderer struct {
	dialog       *Dialog
	veil, ground *canvas.Rectangle
}

func (r *dialogRenderer) paint() {
	r.veil.FillColor = color.NRGBA{A: 0x66}
	r.ground.FillColor = theme.Colour(theme.Card)
	r.ground.StrokeColor, r.ground.StrokeWidth = theme.Colour(theme.Line), theme.Hairline
	r.ground.CornerRadius = theme.Corner + 2
}

func (r *dialogRenderer) MinSize() fyne.Size {
	return r.dialog.card.MinSize().AddWidthHeight(2*dialogMargin, 2*dialogMargin)
}

func (r *dialogRenderer) Layout(size fyne.Size) {
	r.veil.Resize(size)
	card := r.dialog.card
	width := min(max(r.dialog.options.Width, card.MinSize().Width), size.Width-2*dialogMargin)
	// The height of wrapped text is known once the width is.
	card.Resize(fyne.NewSize(width, max(card.Size().Height, card.MinSize().Height)))
	height := card.MinSize().Height
	if r.dialog.options.Tall {
		height = size.Height - 4*dialogMargin
	}
	height = min(height, size.Height-2*dialogMargin)
	at := fyne.NewPos(float32(int((size.Width-width)/2)), float32(int((size.Height-height)*0.42)))
	card.Resize(fyne.NewSize(width, height))
	card.Move(at)
	r.ground.Resize(card.Size())
	r.ground.Move(at)
}

func (r *dialogRenderer) Refresh() {
	r.paint()
	r.Layout(r.dialog.Size())
	r.veil.Refresh()
	r.ground.Refresh()
	r.dialog.card.Refresh()
}

func (r *dialogRenderer) Objects() []fyne.CanvasObject {
	return []fyne.CanvasObject{r.veil, r.ground, r.dialog.card}
}

func (r *dialogRenderer) Destroy() {}

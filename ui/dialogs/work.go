package dialogs

import (
	"context"

	"fyne.io/fyne/v2"

	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/ui/task"
	"postroom/ui/widgets"
)

// Work runs long work beside the window, with a progress dialog that appears
// only when it takes a moment, and Cancel. done is called once on the window's
// goroutine, after the dialog is gone; errors.Is finds context.Canceled in the
// error of stopped work. post runs a function on the window's goroutine. For
// work that ends with its screen use task.Run with a NewProgress and the
// screen's context.
func Work(w *words.Catalogue, win fyne.Window, post func(func()), title string,
	work func(ctx context.Context, report func(done, total int64)) error, done func(error),
) (cancel func()) {
	return task.Run(context.Background(), post, NewProgress(w, win, title),
		func(ctx context.Context, report task.Report) error {
			return work(ctx, func(done, total int64) { report(done, total, "") })
		}, done)
}

// Progress is the dialog of a task: how far it has come, and Cancel.
type Progress struct {
	words  *words.Catalogue
	win    fyne.Window
	title  string
	dialog *Dialog
	text   *widgets.Text
	count  *widgets.Text
	meter  *widgets.Meter
	button *widgets.Button
}

var _ task.View = (*Progress)(nil)

// NewProgress returns a view for task.Run; nothing is shown until the task has
// taken long enough.
func NewProgress(w *words.Catalogue, win fyne.Window, title string) *Progress {
	return &Progress{words: w, win: win, title: title}
}

// Show makes the dialog appear.
func (p *Progress) Show(cancel func()) {
	p.text = widgets.NewQuiet(p.words.T("progress.working")).Cutting()
	p.count = widgets.NewSmall("")
	p.meter = widgets.NewMeter(0)
	stop := func() {
		if p.button.Disabled() {
			return
		}
		p.button.SetText(p.words.T("progress.cancelling"))
		p.button.Disable()
		cancel()
	}
	p.button = widgets.NewButton(widgets.Normal, p.words.T("action.cancel"), stop)
	p.dialog = Show(p.win, Options{
		Title:   p.title,
		Body:    widgets.VStack(10, widgets.HStack(12, widgets.Grow(p.text), p.count), p.meter),
		Buttons: []*widgets.Button{p.button}, OnCancel: stop, First: p.button,
	})
}

// Report shows how far the task has come.
func (p *Progress) Report(at task.Progress) {
	if p.dialog == nil {
		return
	}
	if at.Text != "" {
		p.text.SetText(at.Text)
	}
	switch {
	case at.Total > 0:
		p.count.SetText(p.words.T("progress.of", at.Done, at.Total))
	case at.Done > 0:
		p.count.SetText(p.words.Number(at.Done))
	}
	p.meter.Set(at.Total, widgets.Segment{Value: min(at.Done, at.Total), Tone: theme.Blue})
	p.dialog.Refresh()
}

// Hide takes the dialog away.
func (p *Progress) Hide() {
	if p.dialog != nil {
		p.dialog.Close()
		p.dialog = nil
	}
}

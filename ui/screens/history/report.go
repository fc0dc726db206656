package history

import (
	"context"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/widget"

	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// openReport shows a message that came back as it came: others wrote it, so it
// is text and nothing else.
func (v *View) openReport(id int64, title string) {
	env := v.env
	screens.Load(context.Background(), env, func(ctx context.Context) (post.Receipt, error) { return env.Ledger.Receipt(ctx, id) }, func(r post.Receipt, err error) {
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		v.showReport(&r, title)
	})
}

func (v *View) showReport(r *post.Receipt, title string) {
	env := v.env
	text := readable(r.Excerpt)
	raw := widget.NewLabel(text)
	raw.TextStyle, raw.Selectable = fyne.TextStyle{Monospace: true}, true
	body := []fyne.CanvasObject{widgets.Grow(container.NewScroll(raw))}
	if len(r.Excerpt) >= post.MaxExcerpt {
		body = append([]fyne.CanvasObject{widgets.NewSmall(env.T("history.raw.cut"))}, body...)
	}
	var d *dialogs.Dialog
	copied := widgets.NewButton(widgets.Normal, env.T("history.raw.copy"), func() { fyne.CurrentApp().Clipboard().SetContent(text) })
	save := widgets.NewButton(widgets.Normal, env.T("history.raw.save"), func() { v.saveReport(r.Excerpt) })
	closing := widgets.NewButton(widgets.Primary, env.T("action.close"), func() { d.Close() })
	env.IDs.Set("history.raw", raw)
	env.IDs.Set("history.raw.copy", copied)
	env.IDs.Set("history.raw.save", save)
	d = dialogs.Show(env.Window, dialogs.Options{
		Title: env.T("history.raw") + ": " + title, Body: widgets.VStack(8, body...), Buttons: []*widgets.Button{copied, save, closing}, Default: closing, Width: 760, Tall: true,
	})
}

// readable makes text of bytes in whatever encoding, without what would be drawn
// as something else than it is.
func readable(b []byte) string {
	s := strings.ReplaceAll(string(b), "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < ' ' && r != '\n' && r != '\t' || r == 0x7f || unicode.In(r, unicode.Cf, unicode.Co) {
			return '\u00b7'
		}
		return r
	}, s)
}

func (v *View) saveReport(raw []byte) {
	env := v.env
	dialogs.SaveFile(env.Words, env.Window, env.T("history.raw.save"), "report.eml", func(path string) {
		screens.Load(context.Background(), env, func(context.Context) (struct{}, error) {
			return struct{}{}, os.WriteFile(path, raw, 0o600)
		}, func(_ struct{}, err error) {
			if err != nil {
				dialogs.Error(env.Words, env.Window, err)
			}
		})
	})
}

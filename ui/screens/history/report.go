package history

import (
	"context"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"fyne.io/fyne/v2"

	"postroom/assets/words"
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
	raw := widgets.NewTextArea(env.Words) // which draws what is in sight only: it may be long
	raw.ReadOnly = true
	raw.SetText(text)
	body := []fyne.CanvasObject{widgets.Grow(raw)}
	if note := cutNote(env.Words, r); note != "" {
		body = append([]fyne.CanvasObject{widgets.NewSmall(note).Wrapping()}, body...)
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

// cutNote says how much of a message was kept, where that is not all of it.
func cutNote(w *words.Catalogue, r *post.Receipt) string {
	switch {
	case !r.Cut():
		return ""
	case r.Size == 0:
		return w.T("history.raw.cut")
	}
	return w.T("history.raw.cut_of", kilobytes(int64(len(r.Excerpt))), kilobytes(r.Size))
}

// kilobytes rounds up, so that what was cut by little is still more.
func kilobytes(n int64) int64 { return (n + 1023) >> 10 }

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

package mailings

import (
	"context"

	"fyne.io/fyne/v2"

	"postroom/assets/theme"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// loadFunnel returns how far the messages of a mailing came, nil while nothing
// came back.
func loadFunnel(ctx context.Context, l *storage.Ledger, m *post.Mailing) (post.Funnel, error) {
	if m.Kind == post.Rehearsal {
		return nil, nil
	}
	f, err := l.Funnel(ctx, m)
	if err != nil {
		return nil, err
	}
	for _, o := range post.CameBack {
		if f[o] > 0 {
			return f, nil
		}
	}
	return nil, nil
}

// funnel shows what came back of what the provider took, and how many no news
// came of. Each number leads to the people behind it.
func (p *detailPage) funnel(f post.Funnel) fyne.CanvasObject {
	env := p.v.env
	row := []fyne.CanvasObject{widgets.NewQuiet(env.T("mailing.came_back"))}
	for _, o := range append(append([]post.Outcome(nil), post.CameBack...), post.OutcomeNoNews) {
		if f[o] == 0 {
			continue
		}
		b := widgets.NewButton(widgets.Link, env.Words.Number(f[o])+" "+env.Words.Outcome(o), func() {
			env.Go(screens.Route{Screen: screens.History, Mailing: p.id, Outcome: o})
		})
		env.IDs.Set("mailing.outcome."+string(o), b)
		row = append(row, b)
	}
	return widgets.HStack(theme.Gap, append(row, widgets.Space())...)
}

package mailings

import (
	"context"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"postroom/assets/theme"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// detailPage is one mailing: live counters, what can be done with it, and a row
// per recipient.
type detailPage struct {
	v      *View
	id     int64
	loader *screens.Loader
	root   *fyne.Container
	top    *fyne.Container
	bar    *fyne.Container
	grid   *widgets.DataGrid
	page   storage.Page
	from   int64
	pages  storage.Pages
	total  int64
}

const detailRows = 100

func newDetailPage(v *View, id int64) *detailPage {
	env := v.env
	p := &detailPage{v: v, id: id, loader: screens.NewLoader(env), top: container.NewStack(), bar: container.NewStack(), page: storage.Page{Limit: detailRows}, from: 1}
	p.grid = widgets.NewDataGrid(env.Words,
		widgets.Column{Key: "recipient", Title: env.T("history.column.recipient"), Width: 300, Grow: 1},
		widgets.Column{Key: "state", Title: env.T("history.column.outcome"), Width: 120},
		widgets.Column{Key: "why", Title: env.T("mailing.column.what"), Width: 360, Grow: 2},
		widgets.Column{Key: "when", Title: env.T("history.column.when"), Width: 130},
	)
	p.grid.OnOpen = func(id int64) { env.Go(screens.Route{Screen: screens.History, ID: id, Mailing: p.id}) }
	p.grid.OnPage = p.onTurn
	env.IDs.Set("mailing.grid", p.grid)
	p.root = widgets.VStack(theme.Gap, p.top, p.bar, widgets.Grow(widgets.NewPlainCard(p.grid)))
	return p
}

func (p *detailPage) object() fyne.CanvasObject { return p.root }

func (p *detailPage) show() {
	p.loader.Start()
	p.grid.SetLoading(true)
	p.changed()
}

func (p *detailPage) hide() { p.loader.Stop() }

func (p *detailPage) changed() {
	now, page := p.v.env.Now(), p.page
	screens.Run(p.loader, func(ctx context.Context) (*Detail, error) {
		return LoadDetail(ctx, p.v.env.Ledger, p.v.env.Words, now, p.id, page)
	}, p.fill)
}

func (p *detailPage) fill(d *Detail, err error) {
	env := p.v.env
	if err != nil {
		dialogs.Error(env.Words, env.Window, err)
		return
	}
	p.pages, p.total = d.Pages, d.Total
	p.top.Objects = []fyne.CanvasObject{p.head(d)}
	p.bar.Objects = []fyne.CanvasObject{p.counters(d)}
	rows := make([]widgets.Row, len(d.Rows))
	for i, r := range d.Rows {
		rows[i] = widgets.Row{ID: r.ID, Cells: []widgets.Cell{
			{Text: r.Recipient}, {Text: r.State, Tone: widgets.StateTone(r.StateKey), Pill: true}, {Text: r.Why, Tone: theme.Quiet}, {Text: r.When, Tone: theme.Quiet},
		}}
	}
	p.grid.SetLoading(false)
	p.grid.SetPage(rows, p.from, d.Total)
	p.root.Refresh() // the head and the counters have grown
}

func (p *detailPage) head(d *Detail) fyne.CanvasObject {
	env := p.v.env
	buttons := []*widgets.Button{widgets.NewButton(widgets.Normal, env.T("action.back"), func() { p.v.turn(p.v.list) })}
	again := widgets.NewButton(widgets.Normal, env.T("mailing.copy"), p.onCopy)
	env.IDs.Set("mailing.copy", again)
	buttons = append(buttons, again)
	if d.CanSendSame {
		same := widgets.NewButton(widgets.Primary, env.T("mailing.send_same"), func() { p.onSendSame(d) })
		env.IDs.Set("mailing.send_same", same)
		buttons = append(buttons, same)
	}
	if d.CanCallBack {
		back := widgets.NewButton(widgets.Primary, env.T("mailing.call_back"), p.onCallBack)
		env.IDs.Set("mailing.call_back", back)
		buttons = append(buttons, back)
	}
	if d.CanCancel {
		buttons = append(buttons, widgets.NewButton(widgets.Danger, env.T("mailing.cancel"), p.onCancel))
	}
	switch {
	case d.CanPause:
		buttons = append(buttons, widgets.NewButton(widgets.Normal, env.T("action.pause"), func() { p.hold(post.MailingPaused) }))
	case d.WaitsForWord:
		buttons = append(buttons,
			widgets.NewButton(widgets.Normal, env.T("mailing.release_some", releaseNext), func() { p.release(releaseNext) }),
			widgets.NewButton(widgets.Primary, env.T("mailing.release_all"), func() { p.release(0) }))
	case d.CanResume:
		buttons = append(buttons, widgets.NewButton(widgets.Primary, env.T("action.resume"), func() { p.hold("") }))
	}
	if d.Failed > 0 && !d.CanCancel {
		buttons = append(buttons, widgets.NewButton(widgets.Normal, env.T("mailing.retry_failed"), p.onRetry))
	}
	if d.Uncertain > 0 {
		buttons = append(buttons, widgets.NewButton(widgets.Normal, env.T("action.decide"), func() {
			env.Go(screens.Route{Screen: screens.Outbox, States: []post.State{post.StateUncertain}})
		}))
	}
	h := widgets.NewHeader(screens.Short(d.Name, titleRunes), nil, buttons...)
	h.SetPill(d.State, widgets.MailingTone(d.MailingState))
	return h
}

func (p *detailPage) counters(d *Detail) fyne.CanvasObject {
	w := p.v.env.Words
	taken := "home.count.taken"
	if d.Kind == post.Rehearsal {
		taken = "mailing.count.caught"
	}
	meter := widgets.NewMeter(d.Total,
		widgets.Segment{Value: d.Sent, Tone: theme.Good, Name: w.T(taken)},
		widgets.Segment{Value: d.Uncertain, Tone: theme.Unsure, Name: w.T("home.count.uncertain")},
		widgets.Segment{Value: d.Failed, Tone: theme.Bad, Name: w.T("home.count.failed")})
	row := []fyne.CanvasObject{number(w.Number(d.Sent), w.T(taken), theme.Plain)}
	for _, c := range []struct {
		n    int64
		key  string
		tone theme.Tone
	}{
		{d.Failed, "home.count.failed", theme.Bad},
		{d.Uncertain, "home.count.uncertain", theme.Unsure},
		{d.Waiting, "home.count.waiting", theme.Plain},
		{d.Left, "mailing.count.left_out", theme.Plain},
	} {
		if c.n > 0 {
			row = append(row, number(w.Number(c.n), w.T(c.key), c.tone))
		}
	}
	row = append(row, widgets.Space(), widgets.NewQuiet(d.Ends))
	lines := []fyne.CanvasObject{meter, widgets.HStack(22, row...)}
	if d.Funnel != nil {
		lines = append(lines, p.funnel(d.Funnel))
	}
	if d.From != "" {
		lines = append(lines, widgets.HStack(10, widgets.NewSmall(w.T("mailing.from", d.From)), widgets.Space(), widgets.NewSmall(w.T("mailing.hash", d.Hash))))
	}
	if d.Hours != "" {
		lines = append(lines, widgets.NewSmall(d.Hours))
	}
	if d.Note != "" {
		lines = append(lines, widgets.NewText(d.Note).Toned(theme.Attention).Wrapping())
	}
	return widgets.NewCard("", nil, widgets.VStack(10, lines...))
}

func number(n, what string, tone theme.Tone) fyne.CanvasObject {
	label := widgets.NewQuiet(what)
	if tone != theme.Plain {
		label.SetTone(tone)
	}
	return widgets.HStack(5, widgets.NewStrong(n).Toned(tone), label)
}

// do carries out a change and reads again.
func (p *detailPage) do(work func(context.Context) error) {
	env := p.v.env
	screens.Load(context.Background(), env, func(ctx context.Context) (struct{}, error) { return struct{}{}, work(ctx) },
		func(_ struct{}, err error) {
			if err != nil {
				dialogs.Error(env.Words, env.Window, err)
			}
			env.Mail.Kick()
			p.changed()
		})
}

func (p *detailPage) hold(state post.MailingState) {
	p.do(func(ctx context.Context) error { return p.v.env.Ledger.HoldMailing(ctx, p.id, state, post.Reason{}) })
}

// releaseNext is how many more go at a press while the user still looks on.
const releaseNext = 10

func (p *detailPage) release(n int64) {
	p.do(func(ctx context.Context) error { return p.v.env.Ledger.ReleaseMailing(ctx, p.id, n) })
}

func (p *detailPage) onRetry() {
	p.do(func(ctx context.Context) error {
		_, err := p.v.env.Ledger.RetryMailing(ctx, p.id, storage.Retry{Failed: true})
		return err
	})
}

func (p *detailPage) onCancel() {
	env := p.v.env
	dialogs.Confirm(env.Words, env.Window, env.T("mailing.cancel.title"), env.T("mailing.cancel.sentence"), env.T("mailing.cancel"), func() {
		p.do(func(ctx context.Context) error {
			_, err := env.Ledger.CancelMailing(ctx, p.id)
			return err
		})
	})
}

func (p *detailPage) onTurn(t widgets.Turn) {
	switch t {
	case widgets.FirstPage:
		p.page, p.from = storage.Page{Limit: detailRows}, 1
	case widgets.LastPage:
		p.page, p.from = storage.Page{Limit: detailRows, Back: true}, max(1, p.total-detailRows+1)
	case widgets.NextPage:
		if p.pages.Next == "" {
			return
		}
		p.page, p.from = storage.Page{Limit: detailRows, Cursor: p.pages.Next}, p.from+detailRows
	case widgets.PreviousPage:
		if p.pages.Prev == "" {
			return
		}
		p.page, p.from = storage.Page{Limit: detailRows, Cursor: p.pages.Prev, Back: true}, max(1, p.from-detailRows)
	}
	p.grid.SetLoading(true)
	p.changed()
}

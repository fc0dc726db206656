package home

import (
	"context"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"postroom/assets/icons"
	"postroom/assets/theme"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// View is the screen Home.
type View struct {
	env    *screens.Env
	loader *screens.Loader
	root   *fyne.Container
	head   *widgets.Header
	body   *fyne.Container
	chart  *widgets.Chart
}

var _ screens.Screen = (*View)(nil)

// New returns Home, empty until it is shown.
func New(env *screens.Env) *View {
	v := &View{env: env, loader: screens.NewLoader(env), body: container.NewStack(), chart: widgets.NewChart(env.Words.Number)}
	mail := widgets.NewButton(widgets.Primary, env.T("action.new_mailing"), func() {
		env.Go(screens.Route{Screen: screens.Mailings, Verb: "new"})
	})
	rehearse := widgets.NewButton(widgets.Normal, env.T("action.rehearse_sample"), v.onSample)
	env.IDs.Set("home.new_mailing", mail)
	env.IDs.Set("home.rehearse", rehearse)
	v.head = widgets.NewHeader(env.Words.Greeting(env.Now()), nil, rehearse, mail)
	v.root = widgets.VStack(theme.Gap, v.head, widgets.Grow(v.body))
	return v
}

// Content returns the screen's object.
func (v *View) Content() fyne.CanvasObject {
	return widgets.Inset(20, theme.ScreenEdge, theme.ScreenEdge, theme.ScreenEdge, v.root)
}

// Show starts to load.
func (v *View) Show(screens.Route) {
	v.loader.Start()
	v.Changed()
}

// Hide drops what is under way.
func (v *View) Hide() { v.loader.Stop() }

// Changed reads everything again.
func (v *View) Changed() {
	now := v.env.Now()
	screens.Run(v.loader, func(ctx context.Context) (*Model, error) {
		return Load(ctx, v.env.Ledger, v.env.Words, now)
	}, v.show)
}

func (v *View) onSample() {
	v.env.Go(screens.Route{Screen: screens.Mailings, Verb: "sample"})
}

func (v *View) show(m *Model, err error) {
	if err != nil {
		dialogs.Error(v.env.Words, v.env.Window, err)
		return
	}
	v.head.SetTitle(m.Greeting)
	if m.New {
		v.body.Objects = []fyne.CanvasObject{v.firstSteps()}
		v.body.Refresh()
		return
	}
	rows := []fyne.CanvasObject{v.running(m)}
	rows = append(rows, widgets.Columns(theme.Gap, []float32{704, 330}, v.needs(m), v.accounts(m)), widgets.Grow(v.days(m)))
	v.body.Objects = []fyne.CanvasObject{widgets.VStack(theme.Gap, rows...)}
	v.body.Refresh()
}

func (v *View) firstSteps() fyne.CanvasObject {
	add := widgets.NewButton(widgets.Primary, v.env.T("home.empty.add"), func() {
		v.env.Go(screens.Route{Screen: screens.Accounts, Verb: "new"})
	})
	try := widgets.NewButton(widgets.Normal, v.env.T("home.empty.practice"), v.onSample)
	v.env.IDs.Set("home.add_account", add)
	v.env.IDs.Set("home.practice", try)
	return widgets.NewCard("", nil, widgets.NewEmptyState(icons.Mailings, v.env.T("home.empty.sentence"), add, try))
}

func (v *View) running(m *Model) fyne.CanvasObject {
	if len(m.Running) == 0 {
		return widgets.NewCard("", nil, widgets.NewQuiet(v.env.T("home.nothing_running")))
	}
	rows := make([]fyne.CanvasObject, 0, 2*len(m.Running))
	for i, r := range m.Running {
		if i > 0 {
			rows = append(rows, widgets.NewDivider())
		}
		rows = append(rows, v.mailing(r))
	}
	return widgets.NewCard("", nil, widgets.VStack(12, rows...))
}

func (v *View) mailing(r Running) fyne.CanvasObject {
	w := v.env.Words
	title := []fyne.CanvasObject{widgets.NewStrong(screens.Short(r.Name, 60)), widgets.NewPill(r.State, widgets.MailingTone(r.MailingState))}
	if r.Rehearsal {
		title = append(title, widgets.NewPill(w.T("mailing.kind.rehearsal"), theme.Quiet))
	}
	title = append(title, widgets.Space(), widgets.NewQuiet(r.Ends))
	meter := widgets.NewMeter(r.Total,
		widgets.Segment{Value: r.Sent, Tone: theme.Good, Name: w.T("home.count.taken")},
		widgets.Segment{Value: r.Uncertain, Tone: theme.Unsure, Name: w.T("home.count.uncertain")},
		widgets.Segment{Value: r.Failed, Tone: theme.Bad, Name: w.T("home.count.failed")})
	counts := []fyne.CanvasObject{count(w.Number(r.Sent), w.T("home.count.taken"), theme.Plain)}
	if r.Failed > 0 {
		counts = append(counts, count(w.Number(r.Failed), w.T("home.count.failed"), theme.Bad))
	}
	if r.Uncertain > 0 {
		counts = append(counts, count(w.Number(r.Uncertain), w.T("home.count.uncertain"), theme.Unsure))
	}
	counts = append(counts, count(w.Number(r.Waiting), w.T("home.count.waiting"), theme.Plain), widgets.Space())
	counts = append(counts, v.holdButton(r), widgets.NewButton(widgets.Normal, w.T("action.open"), func() {
		v.env.Go(screens.Route{Screen: screens.Mailings, ID: r.ID})
	}))
	return widgets.VStack(8, widgets.HStack(12, title...), meter, widgets.HStack(22, counts...))
}

func (v *View) holdButton(r Running) *widgets.Button {
	hold, key := post.MailingPaused, "action.pause"
	if r.MailingState == post.MailingPaused {
		hold, key = "", "action.resume"
	}
	var b *widgets.Button
	b = widgets.NewButton(widgets.Normal, v.env.T(key), func() {
		b.Disable()
		screens.Load(context.Background(), v.env, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, v.env.Ledger.HoldMailing(ctx, r.ID, hold, post.Reason{})
		}, func(_ struct{}, err error) {
			if err != nil {
				dialogs.Error(v.env.Words, v.env.Window, err)
				b.Enable()
			}
			v.env.Mail.Kick()
		})
	})
	return b
}

func count(n, what string, tone theme.Tone) fyne.CanvasObject {
	label := widgets.NewQuiet(what)
	if tone != theme.Plain {
		label.SetTone(tone)
	}
	return widgets.HStack(5, widgets.NewStrong(n).Toned(tone), label)
}

func (v *View) needs(m *Model) fyne.CanvasObject {
	if len(m.Needs) == 0 {
		return widgets.NewCard(v.env.T("home.needs_you"), nil, widgets.NewQuiet(v.env.T("home.nothing_needs_you")))
	}
	rows := make([]fyne.CanvasObject, 0, 2*len(m.Needs))
	for _, n := range m.Needs {
		mark, tone := "!", theme.Bad
		switch n.Kind {
		case NeedUncertain:
			mark, tone = "?", theme.Unsure
		case NeedHeld, NeedMailing, NeedDelayed, NeedFolder:
			tone = theme.Attention
		}
		b := widgets.NewButton(widgets.Normal, n.Button, func() { v.env.Go(n.Go) })
		texts := widgets.Columns(12, []float32{3, 2}, widgets.NewText(n.What).Cutting(), widgets.NewQuiet(n.Why).Cutting())
		rows = append(rows, widgets.HStack(12, widgets.FixedWidth(20, widgets.NewStrong(mark).Toned(tone)), widgets.Grow(texts), widgets.FixedWidth(92, b)), widgets.NewDivider())
	}
	rows = rows[:len(rows)-1] // no rule below the last
	return widgets.NewCard(v.env.T("home.needs_you"), nil, widgets.VStack(8, rows...))
}

func (v *View) accounts(m *Model) fyne.CanvasObject {
	rows := make([]fyne.CanvasObject, 0, len(m.Accounts))
	for _, a := range m.Accounts {
		tone, bar := theme.Plain, theme.Blue
		if a.State == post.AccountStopped {
			tone, bar = theme.Bad, theme.Bad
		}
		name, used := widgets.NewText(a.Email).Cutting().Toned(tone), widgets.NewQuiet(a.Used)
		if tone != theme.Plain {
			used.SetTone(tone)
		}
		total := a.Limit
		if total == 0 {
			total = max(a.Sent, 1)
		}
		row := []fyne.CanvasObject{widgets.HStack(8, widgets.Grow(name), used)}
		if a.Limit > 0 {
			row = append(row, widgets.NewMeter(total, widgets.Segment{Value: a.Sent, Tone: bar, Name: v.env.T("home.count.taken")}))
		}
		rows = append(rows, widgets.VStack(6, row...))
	}
	if len(rows) == 0 {
		rows = append(rows, widgets.NewButton(widgets.Normal, v.env.T("accounts.add"), func() {
			v.env.Go(screens.Route{Screen: screens.Accounts, Verb: "new"})
		}))
	}
	return widgets.NewCard(v.env.T("home.accounts_today"), nil, widgets.VStack(12, rows...))
}

func (v *View) days(m *Model) fyne.CanvasObject {
	days := make([]widgets.Day, 0, len(m.Days))
	for _, d := range m.Days {
		days = append(days, widgets.Day{Label: d.Label, Taken: d.Taken, Bad: d.Failed})
	}
	v.chart.Set(days...)
	legend := widgets.Legend(
		widgets.Segment{Tone: theme.Blue, Name: v.env.T("home.chart.taken")},
		widgets.Segment{Tone: theme.Bad, Name: v.env.T("home.chart.failed")})
	return widgets.NewCard(v.env.T("home.last_30_days"), legend, v.chart)
}

package outbox

import (
	"context"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/icons"
	"postroom/assets/theme"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// View is the screen Outbox.
type View struct {
	env    *screens.Env
	loader *screens.Loader
	pager  *screens.Pager
	filter Filter
	root   *fyne.Container
	body   *fyne.Container
	card   fyne.CanvasObject
	grid   *widgets.DataGrid
	choice *widgets.Select
	bar    *fyne.Container
	said   *widgets.Text
	rows   map[int64]post.State
	acts   []*widgets.Button
}

var _ screens.Screen = (*View)(nil)

const pageSize = 100

// New returns the outbox, empty until it is shown.
func New(env *screens.Env) *View {
	v := &View{env: env, loader: screens.NewLoader(env), pager: screens.NewPager(pageSize), body: container.NewStack(), rows: map[int64]post.State{}}
	v.grid = widgets.NewDataGrid(env.Words,
		widgets.Column{Key: "recipient", Title: env.T("outbox.column.recipient"), Width: 280, Grow: 1},
		widgets.Column{Key: "mailing", Title: env.T("history.column.mailing"), Width: 200},
		widgets.Column{Key: "state", Title: env.T("history.column.outcome"), Width: 110},
		widgets.Column{Key: "why", Title: env.T("outbox.column.why"), Width: 300, Grow: 2},
		widgets.Column{Key: "next", Title: env.T("outbox.column.next"), Width: 120},
	)
	v.card = widgets.NewPlainCard(v.grid)
	v.grid.OnPage = func(t widgets.Turn) {
		if v.pager.Turn(t) {
			v.grid.SetLoading(true)
			v.Changed()
		}
	}
	v.grid.OnSelect = func([]int64) { v.enable() }
	v.grid.OnOpen = func(id int64) { env.Go(screens.Route{Screen: screens.History, ID: id}) }
	v.grid.OnMenu = v.onMenu
	v.choice = widgets.NewSelect([]string{env.T("outbox.filter.all"), env.T("outbox.filter.waiting"), env.T("outbox.filter.unsure")}, func(string) {
		v.filter = Filter(max(0, v.choice.SelectedIndex()))
		v.pager.First()
		v.grid.SetSelected()
		v.Changed()
	})
	now := widgets.NewButton(widgets.Normal, env.T("action.send_now"), func() { v.each(post.StateQueued, v.sendNow) })
	stop := widgets.NewButton(widgets.Danger, env.T("outbox.cancel"), func() { v.move(post.StateQueued, post.StateCancelled) })
	v.acts = []*widgets.Button{now, stop}
	env.IDs.Set("outbox.grid", v.grid)
	env.IDs.Set("outbox.cancel", stop)
	head := widgets.NewHeader(env.T("nav.outbox"), []fyne.CanvasObject{widgets.FixedWidth(220, v.choice)}, now, stop)
	v.said = widgets.NewText("").Wrapping()
	v.bar = container.NewStack(v.unsureBar())
	v.bar.Hide()
	v.root = widgets.VStack(theme.Gap, head, v.bar, widgets.Grow(v.body))
	v.enable()
	return v
}

// unsureBar explains uncertain messages and offers the three ways out.
func (v *View) unsureBar() fyne.CanvasObject {
	env := v.env
	arrived := widgets.NewButton(widgets.Normal, env.T("outbox.settle.sent"), func() { v.move(post.StateUncertain, post.StateSent) })
	lost := widgets.NewButton(widgets.Normal, env.T("outbox.settle.failed"), func() { v.move(post.StateUncertain, post.StateFailed) })
	again := widgets.NewButton(widgets.Normal, env.T("outbox.settle.again"), func() { v.move(post.StateUncertain, post.StateQueued) })
	env.IDs.Set("outbox.settle.sent", arrived)
	return widgets.NewStrip(widgets.HStack(12, widgets.Grow(v.said), arrived, lost, again))
}

// Content returns the screen's object.
func (v *View) Content() fyne.CanvasObject {
	return widgets.Inset(20, theme.ScreenEdge, theme.ScreenEdge, theme.ScreenEdge, v.root)
}

// Show starts to load what r asks for.
func (v *View) Show(r screens.Route) {
	v.loader.Start()
	if len(r.States) == 1 && r.States[0] == post.StateUncertain {
		v.choice.SetSelectedIndex(int(Unsure))
		return
	}
	v.Changed()
}

// Hide drops what is under way.
func (v *View) Hide() { v.loader.Stop() }

// Changed reads the page again.
func (v *View) Changed() {
	now, f, p := v.env.Now(), v.filter, v.pager.Page
	screens.Run(v.loader, func(ctx context.Context) (*Model, error) {
		return Load(ctx, v.env.Ledger, v.env.Words, now, f, p)
	}, v.fill)
}

func (v *View) fill(m *Model, err error) {
	env := v.env
	if err != nil {
		dialogs.Error(env.Words, env.Window, err)
		return
	}
	v.pager.Loaded(m.Pages, m.Total)
	if m.Unsure > 0 {
		v.said.SetText(env.Words.N("outbox.unsure", m.Unsure))
		v.bar.Show()
	} else {
		v.bar.Hide()
	}
	if m.Total == 0 {
		v.body.Objects = []fyne.CanvasObject{widgets.NewCard("", nil, widgets.NewEmptyState(icons.Outbox, env.T("outbox.empty")))}
	} else {
		v.body.Objects = []fyne.CanvasObject{v.card}
	}
	clear(v.rows)
	rows := make([]widgets.Row, len(m.Rows))
	for i, r := range m.Rows {
		v.rows[r.ID] = r.StateKey
		rows[i] = widgets.Row{ID: r.ID, Cells: []widgets.Cell{
			{Text: r.Recipient},
			{Text: r.Mailing},
			{Text: r.State, Tone: widgets.StateTone(r.StateKey), Pill: true},
			{Text: r.Why, Tone: theme.Quiet},
			{Text: r.Next, Tone: theme.Quiet},
		}}
	}
	v.grid.SetLoading(false)
	v.grid.SetPage(rows, v.pager.From, m.Total)
	v.enable()
	v.root.Refresh()
}

// enable offers only what the selection allows.
func (v *View) enable() {
	waiting := false
	for _, id := range v.grid.Selected() {
		waiting = waiting || v.rows[id] == post.StateQueued
	}
	for _, b := range v.acts {
		if waiting {
			b.Enable()
		} else {
			b.Disable()
		}
	}
}

func (v *View) onMenu(ids []int64, at fyne.Position) {
	env := v.env
	v.grid.SetSelected(ids...)
	items := []*fyne.MenuItem{
		fyne.NewMenuItem(env.T("action.send_now"), func() { v.each(post.StateQueued, v.sendNow) }),
		fyne.NewMenuItem(env.T("outbox.cancel"), func() { v.move(post.StateQueued, post.StateCancelled) }),
	}
	widget.ShowPopUpMenuAtPosition(fyne.NewMenu("", items...), env.Window.Canvas(), at)
}

func (v *View) sendNow(ctx context.Context, id int64) error { return v.env.Ledger.SendNow(ctx, id) }

// move settles the selected rows that are in a state; of uncertain ones, all on
// the page when none is selected.
func (v *View) move(from, to post.State) {
	v.each(from, func(ctx context.Context, id int64) error { return v.env.Ledger.MoveDelivery(ctx, id, from, to) })
}

func (v *View) each(state post.State, do func(context.Context, int64) error) {
	var ids []int64
	for _, id := range v.grid.Selected() {
		if v.rows[id] == state {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 && state == post.StateUncertain {
		for id, s := range v.rows {
			if s == state {
				ids = append(ids, id)
			}
		}
	}
	if len(ids) == 0 {
		return
	}
	env := v.env
	screens.Load(context.Background(), env, func(ctx context.Context) (struct{}, error) {
		for _, id := range ids {
			if err := do(ctx, id); err != nil && post.KindOf(err) != post.KindConflict {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	}, func(_ struct{}, err error) {
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
		}
		v.grid.SetSelected()
		env.Mail.Kick()
		v.Changed()
	})
}

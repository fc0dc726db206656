package accounts

import (
	"context"
	"errors"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	senders "postroom/accounts"
	"postroom/assets/icons"
	"postroom/assets/theme"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/task"
	"postroom/ui/widgets"
)

// View is the screen Accounts.
type View struct {
	env    *screens.Env
	loader *screens.Loader
	saver  Saver
	// discover is replaced by tests.
	discover Discover
	health   Health
	page     *fyne.Container // the list, or the form
	list     fyne.CanvasObject
	body     *fyne.Container
	table    fyne.CanvasObject
	empty    fyne.CanvasObject
	grid     *widgets.DataGrid
	panel    *panel
	form     *formView

	selected int64
	stopTest context.CancelFunc // nil while no test runs
}

var _ screens.Screen = (*View)(nil)

// New returns the screen, empty until it is shown.
func New(env *screens.Env) *View {
	v := &View{
		env: env, loader: screens.NewLoader(env), body: container.NewStack(),
		discover: discoverHere,
		health: func(ctx context.Context, a post.Account, now time.Time) (senders.Health, error) {
			if own, err := env.Ledger.Signing(ctx, a.ID); err == nil && own != nil && a.Selector == "" {
				a.Selector = own.Selector // we sign ourselves
			}
			return senders.KnownHealth(ctx, env.Ledger, nil, a, now, false)
		},
		saver: Saver{Ledger: env.Ledger, Secrets: env.Secrets, Log: env.Log},
	}
	v.grid = widgets.NewDataGrid(env.Words,
		widgets.Column{Key: "mark", Width: 28},
		widgets.Column{Key: "name", Title: env.T("accounts.column.name"), Width: 110, Grow: 1},
		widgets.Column{Key: "email", Title: env.T("accounts.address"), Width: 170, Grow: 2},
		widgets.Column{Key: "server", Title: env.T("accounts.server"), Width: 130, Grow: 1},
		widgets.Column{Key: "state", Title: env.T("accounts.column.state"), Width: 90},
		widgets.Column{Key: "used", Title: env.T("accounts.column.used"), Width: 90, Align: fyne.TextAlignTrailing},
	)
	v.grid.OnCurrent = v.onCurrent
	v.grid.OnOpen = func(int64) { v.onEdit() }
	v.grid.OnDelete = func([]int64) { v.onRemove() }
	v.panel = newPanel(v)
	v.table = widgets.Columns(theme.Gap, []float32{634, 400}, widgets.NewPlainCard(v.grid), v.panel.card)
	v.empty = widgets.NewCard("", nil, widgets.NewEmptyState(icons.Accounts, env.T("accounts.none"),
		widgets.NewButton(widgets.Normal, env.T("accounts.empty.add"), v.onAdd)))
	add := widgets.NewButton(widgets.Primary, env.T("accounts.add"), v.onAdd)
	many := widgets.NewButton(widgets.Normal, env.T("accounts.import.button"), v.onImport)
	env.IDs.Set("accounts.add", add)
	env.IDs.Set("accounts.import", many)
	env.IDs.Set("accounts.grid", v.grid)
	v.list = widgets.VStack(theme.Gap, widgets.NewHeader(env.T("nav.accounts"), nil, many, add), widgets.Grow(v.body))
	v.page = container.NewStack(v.list)
	return v
}

// Content returns the screen's object.
func (v *View) Content() fyne.CanvasObject {
	return widgets.Inset(20, theme.ScreenEdge, theme.ScreenEdge, theme.ScreenEdge, v.page)
}

// Show starts to load what r asks for. A form with something typed into it stays
// open.
func (v *View) Show(r screens.Route) {
	v.loader.Start()
	switch {
	case r.Verb == "new":
		v.onAdd()
	case r.ID != 0:
		v.choose(r.ID)
		if v.form != nil && !v.form.changed() {
			v.closeForm()
		}
	}
	v.Changed()
}

// Hide drops what is under way; a test is ended. What is being saved is saved.
func (v *View) Hide() {
	v.loader.Stop()
	v.endTest()
	if v.form != nil {
		v.form.finder.end()
	}
}

// Changed reads everything again.
func (v *View) Changed() {
	now, id := v.env.Now(), v.selected
	screens.Run(v.loader, func(ctx context.Context) (*Model, error) {
		return Load(ctx, v.env.Ledger, v.env.Words, now, id)
	}, func(m *Model, err error) {
		if id != v.selected {
			v.Changed() // another was chosen meanwhile
			return
		}
		v.fill(m, err)
	})
}

func (v *View) fill(m *Model, err error) {
	if err != nil {
		dialogs.Error(v.env.Words, v.env.Window, err)
		return
	}
	want := v.table
	if len(m.Rows) == 0 {
		want = v.empty
	}
	rows := make([]widgets.Row, len(m.Rows))
	for i, r := range m.Rows {
		rows[i] = widgets.Row{ID: r.ID, Cells: []widgets.Cell{
			markOf(r.Colour),
			{Text: r.Name},
			{Text: r.Email},
			{Text: r.Server, Tone: theme.Quiet},
			{Text: r.State, Tone: widgets.AccountTone(r.StateKey), Pill: true},
			{Text: r.Used, Tone: theme.Quiet},
		}}
	}
	v.grid.SetPage(rows, 1, int64(len(rows)))
	if m.Panel != nil {
		if v.selected != m.Panel.Account.ID {
			v.choose(m.Panel.Account.ID)
		}
		v.panel.show(m.Panel)
	}
	if len(v.body.Objects) != 1 || v.body.Objects[0] != want {
		v.body.Objects = []fyne.CanvasObject{want}
		v.body.Refresh()
	}
}

// choose makes an account the one that is looked at.
func (v *View) choose(id int64) {
	if v.selected != id {
		v.selected = id
		v.endTest()
		v.panel.clearSteps()
	}
	v.grid.SetSelected(id)
}

func (v *View) onCurrent(id int64) {
	if id != v.selected {
		v.selected = id
		v.endTest()
		v.panel.clearSteps()
		v.Changed()
	}
}

// current returns the account in the panel, or false.
func (v *View) current() (post.Account, bool) {
	if v.panel.shown == nil || v.selected == 0 {
		return post.Account{}, false
	}
	return v.panel.shown.Account, true
}

func (v *View) onAdd() {
	if v.form == nil || v.form.id != 0 && !v.form.changed() {
		v.openForm(nil)
	}
}

func (v *View) onEdit() {
	if a, ok := v.current(); ok && v.form == nil {
		v.openForm(&a)
	}
}

func (v *View) openForm(a *post.Account) {
	v.endTest()
	v.form = newFormView(v, a)
	v.turn(v.form.root)
	v.env.Window.Canvas().Focus(v.form.first())
}

func (v *View) closeForm() {
	v.form.finder.end()
	v.form = nil
	v.turn(v.list)
}

func (v *View) turn(page fyne.CanvasObject) {
	v.page.Objects = []fyne.CanvasObject{page}
	v.page.Refresh()
}

// saved is called when the form's account is stored.
func (v *View) saved(a post.Account) {
	v.closeForm()
	v.choose(a.ID)
	v.panel.clearSteps()
	v.env.Mail.Kick()
	v.Changed()
}

// onTest begins the test of the account in the panel, or ends it.
func (v *View) onTest() { v.test(nil) }

// onTestSend is onTest with a message to oneself.
func (v *View) onTestSend() {
	if a, ok := v.current(); ok && v.stopTest == nil {
		v.test(&senders.Letter{Subject: v.env.T("doctor.letter.subject"), Text: v.env.T("doctor.letter.text", a.Email)})
	}
}

func (v *View) test(letter *senders.Letter) {
	if v.stopTest != nil {
		v.panel.testEnding()
		v.stopTest()
		return
	}
	a, ok := v.current()
	if !ok {
		return
	}
	env := v.env
	if s, ok := storeOf(env); !ok || s.Vault.Unlocked() || !s.Vault.Exists() {
		v.beginTest(a, letter)
		return
	}
	screens.Load(context.Background(), env, func(ctx context.Context) (bool, error) { return senders.UsesVault(ctx, env.Ledger, &a), nil }, func(vault bool, _ error) {
		v.unlocked(vault, func() {
			if now, ok := v.current(); ok && now.ID == a.ID && v.stopTest == nil {
				v.beginTest(a, letter)
			}
		})
	})
}

// beginTest tests an account whose secrets can be had.
func (v *View) beginTest(a post.Account, letter *senders.Letter) {
	env, plus := v.env, v.panel.shown.Plus
	ctx, leave := context.WithCancel(context.Background())
	var steps []Step
	var report senders.Report
	stop := task.Run(ctx, env.Post, nil, func(ctx context.Context, _ task.Report) error {
		report = env.Doctor(ctx, a, letter)
		steps = StepsOf(env.Words, &a, report, letter != nil)
		return ctx.Err()
	}, func(err error) {
		leave()
		v.stopTest = nil
		v.panel.testEnded(steps, err)
		if err == nil && distrusted(report) {
			v.panel.offerPin(report.TLS)
		}
		if err == nil {
			v.panel.plus.set(v, plusAfter(report, plus))
		}
	})
	v.stopTest = stop
	v.panel.leaveTest = leave
	v.panel.testBegun(StepsBefore(env.Words, &a, letter != nil), letter != nil)
}

// distrusted reports that the certificate is all that was wrong.
func distrusted(r senders.Report) bool {
	if r.OK || len(r.Steps) == 0 {
		return false
	}
	f := r.Steps[len(r.Steps)-1].Fault
	return f != nil && f.Phase == post.PhaseTLS && f.Cause == post.CauseCertificate && r.Steps[len(r.Steps)-1].Name == senders.StepTLS
}

// onPin asks once more before one certificate is trusted.
func (v *View) onPin() {
	a, ok := v.current()
	key := v.panel.pinKey
	if !ok || key == "" {
		return
	}
	env := v.env
	dialogs.ConfirmLoss(env.Words, env.Window, env.T("accounts.pin.title"), env.T("accounts.pin.sentence", a.Host, spaced(key)), env.T("accounts.pin.trust"), func() {
		v.panel.clearSteps()
		v.change(func(ctx context.Context) error { return v.saver.Pin(ctx, a.ID, key) })
	})
}

// endTest ends a test whose result nobody wants any more.
func (v *View) endTest() {
	if v.stopTest == nil {
		return
	}
	v.panel.leaveTest()
	v.stopTest = nil
	v.panel.testEnded(nil, context.Canceled)
}

// onHold pauses the account in the panel, or lets it send again.
func (v *View) onHold() {
	a, ok := v.current()
	if !ok {
		return
	}
	hold := post.AccountPaused
	if a.Hold != "" {
		hold = ""
	}
	v.change(func(ctx context.Context) error { return v.env.Ledger.HoldAccount(ctx, a.ID, hold, post.Reason{}) })
}

func (v *View) onConfirm() {
	a, ok := v.current()
	if !ok {
		return
	}
	v.change(func(ctx context.Context) error { return v.saver.Confirm(ctx, a.ID, a.PasswordCommand) })
}

// change runs a short write, with the panel's buttons out of reach meanwhile.
func (v *View) change(do func(context.Context) error) {
	v.panel.busy(true)
	screens.Load(context.Background(), v.env, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, do(ctx)
	}, func(_ struct{}, err error) {
		v.panel.busy(false)
		if err != nil {
			dialogs.Error(v.env.Words, v.env.Window, err)
		}
		v.env.Mail.Kick()
		v.Changed()
	})
}

func (v *View) onRemove() {
	a, ok := v.current()
	if !ok {
		return
	}
	env := v.env
	dialogs.ConfirmLoss(env.Words, env.Window, env.T("accounts.remove.title", a.Name), env.T("accounts.remove.sentence"), env.T("action.remove"), func() {
		v.endTest()
		dialogs.Work(env.Words, env.Window, env.Post, env.T("accounts.removing"), func(ctx context.Context, _ func(done, total int64)) error {
			return v.saver.Remove(ctx, a.ID)
		}, func(err error) { v.removed(err) })
	})
}

func (v *View) removed(err error) {
	env := v.env
	switch {
	case errors.Is(err, errKept):
		what, _ := env.Words.Error(err)
		dialogs.Info(env.Words, env.Window, env.T("accounts.removed.kept.title"), env.T("accounts.removed.kept", what))
	case err != nil:
		dialogs.Error(env.Words, env.Window, err)
	}
	if err == nil || errors.Is(err, errKept) {
		v.selected = 0
		v.panel.clearSteps()
		v.grid.SetSelected()
	}
	env.Mail.Kick()
	v.Changed()
}

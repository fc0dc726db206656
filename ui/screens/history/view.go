package history

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"postroom/assets/icons"
	"postroom/assets/theme"
	"postroom/compose"
	"postroom/post"
	"postroom/practice"
	"postroom/storage"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// View is the screen History.
type View struct {
	env      *screens.Env
	loader   *screens.Loader
	life     *screens.Loader
	pager    *screens.Pager
	filter   storage.HistoryFilter
	mailings []post.Mailing
	root     *fyne.Container
	body     *fyne.Container
	card     fyne.CanvasObject
	panel    *fyne.Container
	grid     *widgets.DataGrid
	search   *widgets.Entry
	mailing  *widgets.Select
	outcome  *widgets.Select
	receipt  *widgets.Select
	current  int64
	quiet    bool
	asked    []post.State // by another screen; the last of the outcomes where it is none of them
	typing   func()       // stops the wait for the end of typing; nil: none
}

var _ screens.Screen = (*View)(nil)

const pageSize = 100

// outcomes are the states that the filter offers.
var outcomes = []post.State{post.StateSent, post.StateQueued, post.StateUncertain, post.StateFailed, post.StateExpired, post.StateCancelled, post.StateSuppressed}

// cameBack are the outcomes of what was taken, as far as anything came back.
var cameBack = append([]post.Outcome{post.OutcomeNoNews}, post.CameBack...)

// New returns the history, empty until it is shown.
func New(env *screens.Env) *View {
	v := &View{
		env: env, loader: screens.NewLoader(env), life: screens.NewLoader(env), pager: screens.NewPager(pageSize),
		body: container.NewStack(), panel: container.NewStack(),
	}
	v.grid = widgets.NewDataGrid(env.Words,
		widgets.Column{Key: "recipient", Title: env.T("history.column.recipient"), Width: 190, Grow: 4},
		widgets.Column{Key: "mailing", Title: env.T("history.column.mailing"), Width: 100, Grow: 1},
		widgets.Column{Key: "outcome", Title: env.T("history.column.outcome"), Width: 96},
		widgets.Column{Key: "receipt", Title: env.T("history.column.receipt"), Width: 112},
		widgets.Column{Key: "when", Title: env.T("history.column.when"), Width: 125},
		widgets.Column{Key: "account", Title: env.T("history.column.account"), Width: 84},
	)
	v.card = widgets.NewPlainCard(v.grid)
	v.grid.OnPage = func(t widgets.Turn) {
		if v.pager.Turn(t) {
			v.grid.SetLoading(true)
			v.Changed()
		}
	}
	v.grid.OnCurrent = v.onCurrent
	v.grid.OnOpen = func(int64) { v.openMessage() }
	v.search = widgets.NewEntry()
	v.search.SetPlaceHolder(env.T("history.search"))
	v.search.OnChanged = v.onSearch
	v.mailing = widgets.NewSelect([]string{env.T("history.all_mailings")}, func(string) { v.onMailing() })
	options, _ := v.outcomeWords()
	v.outcome = widgets.NewSelect(options, func(string) { v.onOutcome() })
	back := []string{env.T("history.all_receipts")}
	for _, o := range cameBack {
		back = append(back, env.Words.Outcome(o))
	}
	v.receipt = widgets.NewSelect(back, func(string) { v.onReceipt() })
	export := widgets.NewButton(widgets.Normal, env.T("action.export"), v.onExport)
	env.IDs.Set("history.search", v.search)
	env.IDs.Set("history.mailing", v.mailing)
	env.IDs.Set("history.outcome", v.outcome)
	env.IDs.Set("history.receipt", v.receipt)
	env.IDs.Set("history.grid", v.grid)
	evidence := widgets.NewButton(widgets.Normal, env.T("history.evidence"), v.onEvidence)
	env.IDs.Set("history.export", export)
	env.IDs.Set("history.evidence", evidence)
	again := widgets.NewButton(widgets.Normal, env.T("history.again"), v.onAgain)
	env.IDs.Set("history.again", again)
	head := widgets.NewHeader(env.T("nav.history"), []fyne.CanvasObject{
		widgets.Grow(v.search),
	}, again, evidence, export)
	narrow := widgets.HStack(12, widgets.FixedWidth(240, v.mailing), widgets.FixedWidth(180, v.outcome), widgets.FixedWidth(220, v.receipt))
	v.root = widgets.VStack(theme.Gap, head, narrow, widgets.Grow(v.body))
	return v
}

// Content returns the screen's object.
func (v *View) Content() fyne.CanvasObject {
	return widgets.Inset(20, theme.ScreenEdge, theme.ScreenEdge, theme.ScreenEdge, v.root)
}

// Show starts to load what r asks for.
func (v *View) Show(r screens.Route) {
	v.loader.Start()
	v.life.Start()
	switch {
	case r.ID != 0:
		v.current = r.ID
		v.showLife(r.ID)
	case r.Mailing != 0 || len(r.States) > 0 || r.Outcome != "":
		v.leave() // whom the panel is about may not be among them
	}
	if r.Mailing != 0 {
		v.filter.Mailing = r.Mailing
	}
	v.choose(r)
	v.Changed()
}

// sendingOutcomes are the outcomes that say how far the sending came; they are
// filtered for by state.
var sendingOutcomes = map[post.Outcome][]post.State{
	post.OutcomeAccepted: {post.StateSent}, post.OutcomeUncertain: {post.StateUncertain},
	post.OutcomeFailed: {post.StateFailed, post.StateExpired}, post.OutcomeWaiting: {post.StateQueued, post.StateClaimed, post.StateSending},
	post.OutcomeLeftOut: {post.StateCancelled, post.StateSuppressed},
}

// choose filters for what another screen asks for. Both choices above the table
// say so; what one chose before is not mixed into it.
func (v *View) choose(r screens.Route) {
	if len(r.States) == 0 && r.Outcome == "" {
		return
	}
	v.filter.States, v.filter.Outcome = r.States, r.Outcome
	if states := sendingOutcomes[r.Outcome]; states != nil {
		v.filter.States, v.filter.Outcome = states, ""
	}
	v.asked = v.filter.States
	v.pager.First()
	v.quiet = true
	defer func() { v.quiet = false }()
	options, at := v.outcomeWords()
	v.outcome.SetOptions(options)
	v.outcome.SetSelectedIndex(at)
	v.receipt.SetSelectedIndex(slices.Index(cameBack, v.filter.Outcome) + 1)
}

// outcomeWords are what the choice of outcomes offers, and which of it is the
// filter: several states at once are one choice more, at the end.
func (v *View) outcomeWords() (options []string, at int) {
	options = []string{v.env.T("history.all_outcomes")}
	for i, s := range outcomes {
		options = append(options, v.env.Words.State(s))
		if len(v.filter.States) == 1 && v.filter.States[0] == s {
			at = i + 1
		}
	}
	if len(v.filter.States) == 0 || at > 0 {
		return options, at
	}
	var several []string
	for _, s := range v.filter.States {
		if word := v.env.Words.State(s); !slices.Contains(several, word) {
			several = append(several, word)
		}
	}
	return append(options, strings.Join(several, ", ")), len(options)
}

// Hide drops what is under way.
func (v *View) Hide() {
	v.loader.Stop()
	v.life.Stop()
}

// Changed reads the page and the panel again.
func (v *View) Changed() {
	now, f, p := v.env.Now(), v.filter, v.pager.Page
	screens.Run(v.loader, func(ctx context.Context) (*Model, error) {
		return Load(ctx, v.env.Ledger, v.env.Words, now, f, p)
	}, v.fill)
	if v.current != 0 {
		v.showLife(v.current)
	}
}

func (v *View) fill(m *Model, err error) {
	env := v.env
	if err != nil {
		dialogs.Error(env.Words, env.Window, err)
		return
	}
	v.pager.Loaded(m.Pages, m.Total)
	v.fillMailings(m.Mailings)
	filtered := v.filter.Search != "" || v.filter.Mailing != 0 || len(v.filter.States) > 0 || v.filter.Outcome != ""
	if m.Total == 0 && !filtered {
		v.body.Objects = []fyne.CanvasObject{widgets.NewCard("", nil, widgets.NewEmptyState(icons.History, env.T("history.empty")))}
		v.root.Refresh()
		return
	}
	rows := make([]widgets.Row, len(m.Rows))
	for i, r := range m.Rows {
		back := widgets.Cell{Text: r.Back, Tone: widgets.ReceiptTone(r.Receipt), Pill: r.Back != ""}
		rows[i] = widgets.Row{ID: r.ID, Cells: []widgets.Cell{
			{Text: r.Recipient}, {Text: r.Mailing}, {Text: r.Outcome, Tone: widgets.StateTone(r.State), Pill: true}, back, {Text: r.When, Tone: theme.Quiet}, {Text: r.Through, Tone: theme.Quiet},
		}}
	}
	v.grid.SetLoading(false)
	v.grid.SetPage(rows, v.pager.From, m.Total)
	if v.current == 0 && len(m.Rows) > 0 {
		v.onCurrent(m.Rows[0].ID)
	}
	if len(v.grid.Selected()) == 0 {
		v.grid.SetSelected(v.current) // the row that the panel is about
	}
	v.body.Objects = []fyne.CanvasObject{widgets.Columns(theme.Gap, []float32{725, 330}, v.card, v.panel)}
	v.root.Refresh()
}

func (v *View) fillMailings(all []post.Mailing) {
	v.quiet = true
	defer func() { v.quiet = false }()
	v.mailings = all
	names, at := []string{v.env.T("history.all_mailings")}, 0
	for i, m := range all {
		names = append(names, m.Name)
		if m.ID == v.filter.Mailing {
			at = i + 1
		}
	}
	v.mailing.SetOptions(names)
	v.mailing.SetSelectedIndex(at)
}

func (v *View) onMailing() {
	if v.quiet {
		return
	}
	v.filter.Mailing = 0
	if i := v.mailing.SelectedIndex(); i > 0 && i <= len(v.mailings) {
		v.filter.Mailing = v.mailings[i-1].ID
	}
	v.refilter()
}

func (v *View) onOutcome() {
	if v.quiet {
		return
	}
	i := v.outcome.SelectedIndex()
	switch {
	case i > len(outcomes):
		v.filter.States = v.asked
	case i > 0:
		v.filter.States = []post.State{outcomes[i-1]}
	default:
		v.filter.States = nil
	}
	v.refilter()
}

func (v *View) onReceipt() {
	if v.quiet {
		return
	}
	v.filter.Outcome = ""
	if i := v.receipt.SelectedIndex(); i > 0 {
		v.filter.Outcome = cameBack[i-1]
	}
	v.refilter()
}

func (v *View) onSearch(s string) {
	if v.typing != nil {
		v.typing()
	}
	v.typing = v.env.After(250*time.Millisecond, func() {
		v.filter.Search = s
		v.refilter()
	})
}

func (v *View) refilter() {
	v.pager.First()
	v.leave()
	v.Changed()
}

// leave empties the panel; it is about the first row of what is read next.
func (v *View) leave() {
	v.current = 0
	v.panel.Objects = nil
	v.grid.SetSelected()
}

func (v *View) onCurrent(id int64) {
	v.current = id
	v.showLife(id)
}

func (v *View) showLife(id int64) {
	now := v.env.Now()
	screens.Run(v.life, func(ctx context.Context) (*Life, error) {
		return LoadLife(ctx, v.env.Ledger, v.env.Words, now, id)
	}, func(l *Life, err error) {
		if err != nil || l.ID != v.current {
			return
		}
		v.panel.Objects = []fyne.CanvasObject{v.panelOf(l)}
		v.panel.Refresh()
	})
}

func (v *View) panelOf(l *Life) fyne.CanvasObject {
	env := v.env
	events := make([]widgets.Event, 0, len(l.Events))
	for _, e := range l.Events {
		tone := theme.Plain
		switch e.Tone {
		case Taken:
			tone = theme.Blue
		case Bad:
			tone = theme.Bad
		case Unsure:
			tone = theme.Unsure
		case Late:
			tone = theme.Attention
		case Arrived:
			tone = theme.Good
		}
		shown := widgets.Event{Title: e.Title, Time: e.Time, Code: e.Code, Note: e.Note, Tone: tone}
		if e.Receipt != 0 {
			shown.Action, shown.OnAction = env.T("history.raw.open"), func() { v.openReport(e.Receipt, e.Title) }
		}
		events = append(events, shown)
	}
	open := widgets.NewButton(widgets.Normal, env.T("action.open_message"), v.openMessage)
	save := widgets.NewButton(widgets.Normal, env.T("history.save_eml"), v.saveMessage)
	env.IDs.Set("history.open", open)
	env.IDs.Set("history.save", save)
	return widgets.NewCard("", nil, widgets.VStack(10, widgets.NewStrong(l.Recipient).Wrapping(), widgets.NewSmall(l.Sub).Wrapping(),
		widgets.Grow(container.NewVScroll(widgets.Inset(0, 12, 0, 0, widgets.NewTimeLine(events...)))), widgets.HStack(12, open, save)))
}

// message is one delivery's mail as it went, or would go, over the wire.
type message struct {
	preview compose.Preview
	inline  map[string]practice.Inline
}

// read renders the message from what the ledger keeps: the same bytes as went
// over the wire. A caught rehearsal is read from the trap's own file. Without its
// key a message is shown as it was before it was signed; where that lies in a locked
// vault it is a fault, unless unsigned will do.
func (v *View) read(ctx context.Context, id int64, unsigned bool) (*message, error) {
	l := v.env.Ledger
	h, err := l.Delivery(ctx, id)
	if err != nil {
		return nil, err
	}
	m, err := l.Mailing(ctx, h.Mailing)
	if err != nil {
		return nil, err
	}
	c, err := compose.Compile(ctx, m.Content, l, compose.Options{})
	if err != nil {
		return nil, err
	}
	from := m.Senders[0]
	for _, s := range m.Senders {
		if s.Account == h.Account {
			from = s
		}
	}
	p := compose.ParamsOf(&h.Delivery, from)
	if p.Date.IsZero() {
		p.Date = v.env.Clock.Now().Truncate(time.Second)
	}
	if p.Signer, err = signerOf(ctx, v.env, from.Account); err != nil {
		if !unsigned && vaultLocked(err) && v.env.WithVault != nil {
			return nil, err
		}
		slog.Warn("a message is shown without its signature", "delivery", id, "err", err)
		p.Signer = nil
	}
	out, err := compose.MakePreview(c, &p)
	if err != nil {
		return nil, err
	}
	if h.Kind == post.Rehearsal {
		if src, err := os.ReadFile(practice.Path(v.env.Practice, h.MessageID)); err == nil {
			out.Source = src
		}
	}
	return &message{preview: out}, nil
}

// vaultLocked reports that the vault's passphrase is all that is missing.
func vaultLocked(err error) bool {
	var e *post.Error
	return errors.As(err, &e) && e.Reason.Key == "vault.locked"
}

// withMessage reads a message and calls then. Where the key that signed it lies in a
// locked vault, the user chooses whether to open that or to go without.
func (v *View) withMessage(id int64, then func(*message)) {
	env := v.env
	var read func(unsigned bool)
	read = func(unsigned bool) {
		screens.Load(context.Background(), env, func(ctx context.Context) (*message, error) { return v.read(ctx, id, unsigned) }, func(m *message, err error) {
			switch {
			case err == nil:
				then(m)
			case vaultLocked(err) && !unsigned && env.WithVault != nil:
				dialogs.Choose(env.Words, env.Window, env.T("history.signed"), env.T("history.signed.sentence"),
					dialogs.Choice{Label: env.T("history.signed.without"), Do: func() { read(true) }},
					dialogs.Choice{Label: env.T("accounts.vault.unlock"), Default: true, Do: func() { env.WithVault(func() { read(false) }) }})
			default:
				dialogs.Error(env.Words, env.Window, err)
			}
		})
	}
	read(false)
}

func (v *View) openMessage() {
	id, env := v.current, v.env
	if id == 0 {
		return
	}
	v.withMessage(id, func(m *message) {
		dialogs.Message(env.Words, env.Window, dialogs.Mail{
			Subject: m.preview.Subject, Text: m.preview.Text, Source: string(m.preview.Source), HTML: m.preview.HTML,
			Browse: func() { browse(env, m) },
		})
	})
}

func browse(env *screens.Env, m *message) {
	address, stop, err := practice.Serve([]byte(m.preview.HTML), m.inline)
	if err == nil {
		if err = env.OpenURL(address); err != nil {
			stop()
		}
	}
	if err != nil {
		dialogs.Error(env.Words, env.Window, err)
	}
}

func (v *View) saveMessage() {
	id, env := v.current, v.env
	if id == 0 {
		return
	}
	dialogs.SaveFile(env.Words, env.Window, env.T("history.save_eml"), "message.eml", func(path string) {
		v.messageTo(path, id)
	})
}

// messageTo writes a message into a file.
func (v *View) messageTo(path string, id int64) {
	env := v.env
	v.withMessage(id, func(m *message) {
		screens.Load(context.Background(), env, func(context.Context) (struct{}, error) {
			return struct{}{}, os.WriteFile(path, m.preview.Source, 0o600)
		}, func(_ struct{}, err error) {
			if err != nil {
				dialogs.Error(env.Words, env.Window, err)
			}
		})
	})
}

func (v *View) onExport() {
	env, f := v.env, v.filter
	dialogs.SaveFile(env.Words, env.Window, env.T("action.export"), "history.csv", func(path string) {
		dialogs.Work(env.Words, env.Window, env.Post, env.T("history.exporting"), func(ctx context.Context, report func(done, total int64)) error {
			_, err := Export(ctx, env.Ledger, f, path, report)
			return err
		}, func(err error) {
			if err != nil && post.KindOf(err) != post.KindCancelled {
				dialogs.Error(env.Words, env.Window, err)
			}
		})
	})
}

package contacts

import (
	"context"
	"strings"

	"fyne.io/fyne/v2"

	"postroom/assets/theme"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// chosen is whom an action is for: the selection, or else the row that the user
// is at.
func (p *bookPage) chosen() (c Chosen, n int64) {
	c.Filter = p.filter
	if c.All, c.IDs = p.grid.AllSelected(); c.All {
		return c, p.grid.Count()
	}
	if c.IDs = p.grid.Selected(); len(c.IDs) == 0 && p.grid.Current() != 0 {
		c.IDs = []int64{p.grid.Current()}
	}
	return c, int64(len(c.IDs))
}

// menu is the context menu of the table, and of the button More.
func (p *bookPage) menu(at fyne.Position) {
	env := p.v.env
	c, n := p.chosen()
	if n == 0 {
		return
	}
	item := func(key string, do func()) *fyne.MenuItem { return fyne.NewMenuItem(env.T(key), do) }
	var items []*fyne.MenuItem
	if n == 1 && !c.All {
		items = append(items, item("contacts.open", func() { p.v.openPerson(c.IDs[0]) }), fyne.NewMenuItemSeparator())
	}
	items = append(items, item("contacts.add_to", p.onAddTo))
	if p.off.Visible() {
		items = append(items, item("contacts.take_off", p.onTakeOff))
	}
	items = append(items, item("contacts.mail", p.onMail), item("contacts.copy", p.onCopy), item("contacts.export_these", func() { p.askExport(c, n, "contacts") }), fyne.NewMenuItemSeparator(),
		item("contacts.suppress", p.onSuppress), item("contacts.unsuppress", p.onUnsuppress), fyne.NewMenuItemSeparator(),
		item("contacts.delete", p.onDelete), item("contacts.erase", p.onErase))
	p.popUp(at, items...)
}

// pickList asks for a list: one of those whose people are put there one by one,
// or a new one.
func (p *bookPage) pickList(title, sentence, yes string, without int64, do func(Target)) {
	env := p.v.env
	var ids []int64
	var names []string
	for _, li := range p.lists.Items {
		if li.rule == nil && li.ID != without {
			ids, names = append(ids, li.ID), append(names, li.Name)
		}
	}
	fresh := widgets.NewEntry()
	fresh.SetPlaceHolder(env.T("lists.name"))
	names = append(names, env.T("lists.pick.new"))
	var body *fyne.Container
	line := widgets.HStack(10, widgets.FixedWidth(90, widgets.NewQuiet(env.T("lists.name"))), widgets.Grow(fresh))
	pick := widgets.NewSelect(names, nil)
	pick.OnChanged = func(string) {
		line.Hidden = pick.SelectedIndex() < len(ids)
		body.Refresh()
	}
	line.Hidden = len(ids) > 0
	env.IDs.Set("lists.pick", pick)
	env.IDs.Set("lists.pick.name", fresh)
	body = widgets.VStack(10, widgets.NewQuiet(sentence).Wrapping(), pick, line)
	var first fyne.Focusable = pick
	if len(ids) == 0 {
		first = fresh
	}
	dialogs.Form(env.Words, env.Window, title, yes, body, first, func() string {
		i := max(0, pick.SelectedIndex())
		if i < len(ids) {
			do(Target{ID: ids[i]})
			return ""
		}
		name := strings.TrimSpace(fresh.Text)
		if name == "" {
			return env.T("contacts.no_list")
		}
		do(Target{Name: name})
		return ""
	})
}

func (p *bookPage) onAddTo() {
	env := p.v.env
	c, n := p.chosen()
	if n == 0 || p.lists == nil {
		return
	}
	p.pickList(env.T("contacts.add_to.title"), env.Words.N("contacts.add_to.sentence", n), env.T("action.add"), p.filter.List, func(t Target) {
		p.v.run(env.T("contacts.adding"), func(ctx context.Context, tell report) error {
			_, err := addTo(ctx, env.Ledger, c, t, tell)
			return err
		}, nil)
	})
}

func (p *bookPage) onTakeOff() {
	env := p.v.env
	c, n := p.chosen()
	item := p.lists.find(p.filter.List)
	if n == 0 || item == nil {
		return
	}
	list := item.ID
	dialogs.Confirm(env.Words, env.Window, env.T("contacts.take_off"), env.Words.N("contacts.take_off.sure", n, item.Name), env.T("contacts.take_off"), func() {
		p.v.run(env.T("contacts.taking_off"), func(ctx context.Context, tell report) error {
			return takeOff(ctx, env.Ledger, c, list, tell)
		}, nil)
	})
}

// reasonForm asks why somebody is not to be mailed.
func reasonForm(env *screens.Env, above ...fyne.CanvasObject) (body *fyne.Container, reason func() string) {
	names := make([]string, len(reasons))
	for i, r := range reasons {
		names[i] = suppressedWords(env.Words, r)
	}
	pick := widgets.NewSelect(append(names, env.T("suppression.other")), nil)
	own := widgets.NewEntry()
	own.SetPlaceHolder(env.T("suppression.other.hint"))
	own.Hide()
	env.IDs.Set("contacts.reason", pick)
	env.IDs.Set("contacts.reason.own", own)
	body = widgets.VStack(10, above...)
	body.Add(widgets.HStack(10, label(env, reasonWidth, "contacts.reason"), widgets.Grow(pick)))
	body.Add(own)
	pick.OnChanged = func(string) {
		own.Hidden = pick.SelectedIndex() < len(reasons)
		body.Refresh()
	}
	return body, func() string {
		if i := max(0, pick.SelectedIndex()); i < len(reasons) {
			return reasons[i]
		}
		if s := strings.TrimSpace(own.Text); s != "" {
			return s
		}
		return "you"
	}
}

// reasonWidth is how wide the words before the choices of that form are.
const reasonWidth = 70

// askSuppress asks what mail is to stop, all of it or that to one of the lists,
// and why, and stops it.
func (v *View) askSuppress(c Chosen, n int64, lists ...*ListItem) {
	env := v.env
	what := []string{env.T("contacts.suppress.all")}
	for _, li := range lists {
		what = append(what, env.T("contacts.suppress.list", li.Name))
	}
	where := widgets.NewSelect(what, nil)
	env.IDs.Set("contacts.suppress.where", where)
	sentence := widgets.NewQuiet(env.Words.N("contacts.suppress.sure", n)).Wrapping()
	above := []fyne.CanvasObject{sentence}
	if len(lists) > 0 {
		above = append(above, widgets.HStack(10, label(env, reasonWidth, "contacts.suppress.what"), widgets.Grow(where)))
	}
	body, reason := reasonForm(env, above...)
	list := everybody
	where.OnChanged = func(string) {
		list = everybody
		sentence.SetText(env.Words.N("contacts.suppress.sure", n))
		if i := where.SelectedIndex(); i > 0 {
			list = lists[i-1].ID
			sentence.SetText(env.Words.N("contacts.suppress.sure_list", n, lists[i-1].Name))
		}
		body.Refresh()
	}
	dialogs.Form(env.Words, env.Window, env.T("contacts.suppress.yes"), env.T("contacts.suppress.yes"), body, nil, func() string {
		why, of := reason(), list
		v.run(env.T("contacts.suppressing"), func(ctx context.Context, tell report) error {
			return suppress(ctx, env.Ledger, c, of, why, tell)
		}, nil)
		return ""
	})
}

func (p *bookPage) onSuppress() {
	c, n := p.chosen()
	if n == 0 {
		return
	}
	var lists []*ListItem
	if li := p.lists.find(p.filter.List); li != nil {
		lists = append(lists, li)
	}
	p.v.askSuppress(c, n, lists...)
}

func (v *View) askUnsuppress(c Chosen, n int64) {
	env := v.env
	dialogs.Confirm(env.Words, env.Window, env.T("contacts.unsuppress"), env.Words.N("contacts.unsuppress.sure", n), env.T("contacts.unsuppress"), func() {
		v.run(env.T("contacts.unsuppressing"), func(ctx context.Context, tell report) error {
			if list := c.Filter.List; list > everybody { // as people of the list that is shown, too
				if err := unsuppress(ctx, env.Ledger, c, list, tell); err != nil {
					return err
				}
			}
			return unsuppress(ctx, env.Ledger, c, everybody, tell)
		}, nil)
	})
}

func (p *bookPage) onUnsuppress() {
	if c, n := p.chosen(); n > 0 {
		p.v.askUnsuppress(c, n)
	}
}

func (p *bookPage) onDelete() {
	if c, n := p.chosen(); n > 0 {
		p.v.askDelete(c, n, nil)
	}
}

func (v *View) askDelete(c Chosen, n int64, then func()) {
	env := v.env
	dialogs.ConfirmLoss(env.Words, env.Window, env.T("contacts.delete"), env.Words.N("contacts.delete.sure", n), env.T("action.delete"), func() {
		v.run(env.T("contacts.deleting"), func(ctx context.Context, tell report) error {
			return deletePeople(ctx, env.Ledger, c, tell)
		}, then)
	})
}

func (p *bookPage) onErase() {
	if c, n := p.chosen(); n > 0 {
		p.v.askErase(c, n, nil)
	}
}

// askErase erases people and says what was removed.
func (v *View) askErase(c Chosen, n int64, then func()) {
	env := v.env
	dialogs.ConfirmLoss(env.Words, env.Window, env.T("contacts.erase.title"), env.Words.N("contacts.erase.sure", n), env.T("contacts.erase.yes"), func() {
		var r *Removal
		tell := func() {
			if r != nil {
				dialogs.List(env.Words, env.Window, env.T("contacts.erased"), env.T("contacts.erased.sentence"), r.lines(env.Words))
			}
		}
		v.run(env.T("contacts.erasing"), func(ctx context.Context, told report) (err error) {
			r, err = erase(ctx, env.Ledger, c, told)
			return err
		}, func() {
			if then != nil && r.People > 0 {
				then()
			}
			tell()
		})
	})
}

// onMail begins a mailing to the selection: the list that is shown where all of
// it is meant, else a new list of them.
func (p *bookPage) onMail() {
	env := p.v.env
	c, n := p.chosen()
	if n == 0 {
		return
	}
	write := func(draft *int64) func() {
		return func() { env.Go(screens.Route{Screen: screens.Mailings, Draft: *draft}) }
	}
	var draft int64
	if c.All && len(c.IDs) == 0 && c.Filter.Search == "" && c.Filter.List > everybody {
		p.v.quiet(func(ctx context.Context) (err error) {
			draft, err = screens.DraftTo(ctx, env.Ledger, c.Filter.List)
			return err
		}, write(&draft))
		return
	}
	name := widgets.NewEntry()
	name.SetText(env.T("contacts.mail.name", env.Now().Format("2006-01-02 15:04")))
	env.IDs.Set("contacts.mail.name", name)
	body := widgets.VStack(10, widgets.NewQuiet(env.Words.N("contacts.mail.sentence", n)).Wrapping(),
		widgets.HStack(10, widgets.NewQuiet(env.T("lists.name")), widgets.Grow(name)))
	dialogs.Form(env.Words, env.Window, env.T("contacts.mail"), env.T("contacts.mail.yes"), body, name, func() string {
		list := strings.TrimSpace(name.Text)
		if list == "" {
			return env.T("contacts.no_list")
		}
		p.v.run(env.T("contacts.adding"), func(ctx context.Context, tell report) (err error) {
			draft, err = draftTo(ctx, env.Ledger, c, list, tell)
			return err
		}, write(&draft))
		return ""
	})
}

// mostCopied is how many people go onto the clipboard at most: programs that
// are given more hang.
const mostCopied = 50_000

func (p *bookPage) onCopy() {
	env := p.v.env
	c, n := p.chosen()
	if n == 0 {
		return
	}
	if n > mostCopied {
		dialogs.Info(env.Words, env.Window, env.T("contacts.copy"), env.T("contacts.copy.many", int64(mostCopied)))
		return
	}
	screens.Load(context.Background(), env, func(ctx context.Context) (string, error) {
		return copyText(ctx, env.Ledger, c)
	}, func(text string, err error) {
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		fyne.CurrentApp().Clipboard().SetContent(text)
	})
}

// onExport writes what is shown: a list, what a search finds, or everybody.
func (p *bookPage) onExport() {
	env := p.v.env
	if p.filter.List == notMailed {
		p.stopped.onExport()
		return
	}
	name := env.T("contacts.export.everybody")
	if item := p.lists.find(p.filter.List); item != nil {
		name = item.Name
	}
	p.askExport(Chosen{All: true, Filter: p.filter}, p.total, name)
}

// askExport asks for the form and the file.
func (p *bookPage) askExport(c Chosen, n int64, name string) {
	env := p.v.env
	p.v.pickForm(name, func(path string) {
		dialogs.Work(env.Words, env.Window, env.Post, env.T("contacts.exporting"), func(ctx context.Context, tell func(done, total int64)) error {
			return export(ctx, env.Ledger, c, n, path, func(done, total int64) {
				if ctx.Err() == nil {
					tell(done, max(total, 0))
				}
			})
		}, p.v.failed)
	})
}

// pickForm asks for CSV or a workbook, and then for the file.
func (v *View) pickForm(name string, do func(path string)) {
	env := v.env
	save := func(ext string) func() {
		return func() {
			v.saveFile(env.T("contacts.export"), fileName(name)+ext, do)
		}
	}
	dialogs.Choose(env.Words, env.Window, env.T("contacts.export"), env.T("contacts.export.form"),
		dialogs.Choice{Label: env.T("contacts.export.xlsx"), Do: save(".xlsx")},
		dialogs.Choice{Label: env.T("contacts.export.csv"), Do: save(".csv"), Default: true})
}

// fileName makes a list's name one of a file.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '-'
		}
		return r
	}, s)
}

// failed tells an error that was not the user's wish.
func (v *View) failed(err error) {
	if err != nil && !isCancelled(err) {
		dialogs.Error(v.env.Words, v.env.Window, err)
	}
}

// label is the word before a control, as wide as its neighbours'.
func label(env *screens.Env, width float32, key string) fyne.CanvasObject {
	t := widgets.NewText(env.T(key)).Cutting()
	t.Tone = theme.Quiet
	return widgets.FixedWidth(width, t)
}

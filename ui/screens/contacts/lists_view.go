package contacts

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"postroom/post"
	"postroom/storage"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// newListMenu offers the two kinds of list.
func (p *bookPage) newListMenu() {
	env := p.v.env
	p.popUp(below(p.fresh),
		fyne.NewMenuItem(env.T("lists.new.empty"), p.newList),
		fyne.NewMenuItem(env.T("lists.new.rule"), func() { p.editRule(everybody) }))
}

// listMenu is what can be done with an entry at the left.
func (p *bookPage) listMenu(id int64, at fyne.Position) {
	env := p.v.env
	item := func(key string, do func()) *fyne.MenuItem { return fyne.NewMenuItem(env.T(key), do) }
	li := p.lists.find(id)
	var items []*fyne.MenuItem
	switch {
	case id == notMailed:
		items = append(items, item("stopped.add", p.stopped.onAdd), item("stopped.import", p.stopped.onImport))
	case li == nil:
		items = append(items, item("contacts.import", func() { p.v.startImport("", everybody) }))
	default:
		items = append(items, item("lists.mail", func() { p.mailList(id) }), item("contacts.import_into", func() { p.v.startImport("", id) }), fyne.NewMenuItemSeparator(),
			item("lists.rename", func() { p.renameList(id) }), item("lists.copy", func() { p.copyList(id) }))
		if li.rule == nil {
			items = append(items, item("lists.merge", func() { p.mergeList(id) }))
		} else {
			items = append(items, item("lists.change_rule", func() { p.editRule(id) }), item("lists.refresh", p.refreshList))
		}
	}
	items = append(items, fyne.NewMenuItemSeparator(), item("contacts.export", p.onExport))
	if li != nil {
		items = append(items, item("lists.delete", func() { p.deleteList(id) }))
	}
	p.popUp(at, items...)
}

// askName asks for a list's name.
func (p *bookPage) askName(title, yes, name string, do func(string)) {
	env := p.v.env
	entry := widgets.NewEntry()
	entry.SetText(name)
	env.IDs.Set("lists.name", entry)
	dialogs.Form(env.Words, env.Window, title, yes, widgets.HStack(10, widgets.NewQuiet(env.T("lists.name")), widgets.Grow(entry)), entry, func() string {
		s := strings.TrimSpace(entry.Text)
		if s == "" {
			return env.T("contacts.no_list")
		}
		for _, li := range p.lists.Items {
			if strings.EqualFold(li.Name, s) && s != name {
				return env.T("lists.exists", s)
			}
		}
		do(s)
		return ""
	})
}

// goTo shows a list.
func (p *bookPage) goTo(id int64) {
	p.side.Select(id)
	p.onList(id)
}

func (p *bookPage) newList() {
	env := p.v.env
	p.askName(env.T("lists.new.empty"), env.T("action.add"), "", func(name string) {
		var li post.List
		p.v.quiet(func(ctx context.Context) (err error) {
			li, err = env.Ledger.CreateList(ctx, name)
			return err
		}, func() { p.goTo(li.ID) })
	})
}

func (p *bookPage) renameList(id int64) {
	env := p.v.env
	if li := p.lists.find(id); li != nil {
		p.askName(env.T("lists.rename"), env.T("action.save"), li.Name, func(name string) {
			p.v.quiet(func(ctx context.Context) error { return env.Ledger.RenameList(ctx, id, name) }, nil)
		})
	}
}

func (p *bookPage) copyList(id int64) {
	env := p.v.env
	li := p.lists.find(id)
	if li == nil {
		return
	}
	p.askName(env.T("lists.copy"), env.T("lists.copy.yes"), env.T("lists.copy.name", li.Name), func(name string) {
		rule, keep := storage.Rule{Any: []int64{id}}, false
		if li.rule != nil {
			rule, keep = *li.rule, true
		}
		var made post.List
		p.v.run(env.T("lists.choosing"), func(ctx context.Context, _ report) (err error) {
			made, err = env.Ledger.MakeList(ctx, name, rule, keep)
			return err
		}, func() { p.goTo(made.ID) })
	})
}

// mergeList puts the people of a list on another one.
func (p *bookPage) mergeList(id int64) {
	env := p.v.env
	li := p.lists.find(id)
	if li == nil {
		return
	}
	remove := widgets.NewCheck(env.T("lists.merge.remove", li.Name), nil)
	remove.SetChecked(true)
	var ids []int64
	var names []string
	for _, other := range p.lists.Items {
		if other.rule == nil && other.ID != id {
			ids, names = append(ids, other.ID), append(names, other.Name)
		}
	}
	if len(ids) == 0 {
		dialogs.Info(env.Words, env.Window, env.T("lists.merge"), env.T("lists.merge.none"))
		return
	}
	into := widgets.NewSelect(names, nil)
	env.IDs.Set("lists.into", into)
	body := widgets.VStack(10, widgets.NewQuiet(env.Words.N("lists.merge.sentence", li.N, li.Name)).Wrapping(), into, remove)
	dialogs.Form(env.Words, env.Window, env.T("lists.merge"), env.T("lists.merge.yes"), body, into, func() string {
		target, gone := ids[max(0, into.SelectedIndex())], remove.Checked
		p.v.run(env.T("contacts.adding"), func(ctx context.Context, tell report) error {
			return mergeLists(ctx, env.Ledger, id, target, gone, tell)
		}, func() { p.goTo(target) })
		return ""
	})
}

func (p *bookPage) deleteList(id int64) {
	env := p.v.env
	li := p.lists.find(id)
	if li == nil {
		return
	}
	dialogs.ConfirmLoss(env.Words, env.Window, env.T("lists.delete"), env.T("lists.delete.sure", li.Name), env.T("action.delete"), func() {
		p.v.quiet(func(ctx context.Context) error { return env.Ledger.DeleteList(ctx, id) }, nil)
	})
}

func (p *bookPage) refreshList() {
	env, id := p.v.env, p.filter.List
	p.v.run(env.T("lists.choosing"), func(ctx context.Context, _ report) error { return env.Ledger.RefreshList(ctx, id) }, nil)
}

func (p *bookPage) mailList(id int64) {
	env := p.v.env
	var draft int64
	p.v.quiet(func(ctx context.Context) (err error) {
		draft, err = screens.DraftTo(ctx, env.Ledger, id)
		return err
	}, func() { env.Go(screens.Route{Screen: screens.Mailings, Draft: draft}) })
}

// ruleFollowUps are what may have become of a mailing, the plainest first.
var ruleFollowUps = append([]storage.FollowUp{storage.FollowUpSent}, storage.FollowUps[:len(storage.FollowUps)-1]...)

// ruleForm is the dialog for who is on a list.
type ruleForm struct {
	name     *widgets.Entry
	quiet    *widgets.Entry
	got      *widgets.Select
	keep     *widgets.Check
	outcome  *widgets.Select
	parts    []*widgets.Select
	lists    []int64
	mailings []post.Mailing
}

// editRule makes a list by a rule, or changes the rule of one.
func (p *bookPage) editRule(id int64) {
	env := p.v.env
	screens.Load(context.Background(), env, func(ctx context.Context) ([]post.Mailing, error) {
		return loadMailings(ctx, env.Ledger)
	}, func(mailings []post.Mailing, err error) {
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		p.showRuleForm(id, mailings)
	})
}

func (p *bookPage) showRuleForm(id int64, mailings []post.Mailing) {
	env := p.v.env
	old := p.lists.find(id)
	f := &ruleForm{name: widgets.NewEntry(), quiet: widgets.NewEntry(), keep: widgets.NewCheck(env.T("lists.keep"), nil), mailings: mailings}
	var r *storage.Rule
	if old != nil {
		r = old.rule
	}
	f.keep.SetChecked(true)
	title, yes := env.T("lists.new.rule"), env.T("action.add")
	body := widgets.VStack(10)
	if old != nil {
		title, yes = env.T("lists.change_rule"), env.T("action.save")
		body.Add(widgets.NewStrong(old.Name).Wrapping())
	} else {
		body.Add(widgets.HStack(10, label(env, 120, "lists.name"), widgets.Grow(f.name)))
	}
	body.Add(widgets.NewSmall(env.T("lists.rule.lists")))
	body.Add(f.listRows(p, id, partsOf(r)))
	names := []string{env.T("lists.got.any")}
	for _, m := range mailings {
		names = append(names, screens.Short(m.Name, 50))
	}
	f.got = widgets.NewSelect(names, nil)
	words := make([]string, len(ruleFollowUps))
	for i, o := range ruleFollowUps {
		words[i] = env.T(screens.FollowUpKey(o))
	}
	f.outcome = widgets.NewSelect(words, nil)
	f.quiet.SetPlaceHolder(env.T("lists.quiet.hint"))
	f.take(r)
	body.Add(widgets.HStack(10, label(env, 120, "lists.got"), widgets.Grow(f.got)))
	body.Add(widgets.HStack(10, label(env, 120, "lists.outcome"), widgets.Grow(f.outcome)))
	body.Add(widgets.HStack(10, label(env, 120, "lists.quiet"), widgets.FixedWidth(110, f.quiet), widgets.NewQuiet(env.T("lists.quiet.days")), widgets.Space()))
	if old == nil {
		body.Add(f.keep)
	}
	env.IDs.Set("rule.name", f.name)
	env.IDs.Set("rule.quiet", f.quiet)
	env.IDs.Set("rule.got", f.got)
	env.IDs.Set("rule.outcome", f.outcome)
	var first fyne.Focusable = f.name
	if old != nil {
		first = f.got
	}
	dialogs.Form(env.Words, env.Window, title, yes, body, first, func() string { return p.submitRule(f, id) })
}

// listRows are the user's lists, each with what it means in the rule.
func (f *ruleForm) listRows(p *bookPage, id int64, parts map[int64]part) fyne.CanvasObject {
	env := p.v.env
	words := make([]string, len(partKeys))
	for i, key := range partKeys {
		words[i] = env.T(key)
	}
	rows := widgets.VStack(6)
	for _, li := range p.lists.Items {
		if li.ID == id {
			continue
		}
		pick := widgets.NewSelect(words, nil)
		pick.SetSelectedIndex(int(parts[li.ID]))
		env.IDs.Set("rule.list."+li.Name, pick)
		f.parts, f.lists = append(f.parts, pick), append(f.lists, li.ID)
		rows.Add(widgets.HStack(10, widgets.Grow(widgets.NewText(li.Name).Cutting()), widgets.FixedWidth(200, pick)))
	}
	if len(f.parts) == 0 {
		return widgets.NewQuiet(env.T("lists.rule.no_lists")).Wrapping()
	}
	const row, most = 40, 5
	return widgets.FixedHeight(row*float32(min(most, len(f.parts))), container.NewVScroll(widgets.Inset(0, 12, 0, 0, rows)))
}

// take shows a rule that is there already.
func (f *ruleForm) take(r *storage.Rule) {
	if r == nil {
		return
	}
	if r.QuietDays > 0 {
		f.quiet.SetText(strconv.Itoa(r.QuietDays))
	}
	for i, m := range f.mailings {
		if m.ID == r.Got {
			f.got.SetSelectedIndex(i + 1)
			f.outcome.SetSelectedIndex(slices.Index(ruleFollowUps, r.FollowUp))
		}
	}
}

// rule returns what the form says; ok is false where the days are no number.
func (f *ruleForm) rule() (r storage.Rule, ok bool) {
	for i, pick := range f.parts {
		setPart(&r, f.lists[i], part(max(0, pick.SelectedIndex())))
	}
	if i := f.got.SelectedIndex(); i > 0 {
		r.Got, r.FollowUp = f.mailings[i-1].ID, ruleFollowUps[max(0, f.outcome.SelectedIndex())]
	}
	if s := strings.TrimSpace(f.quiet.Text); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 36500 {
			return r, false
		}
		r.QuietDays = n
	}
	return r, true
}

func (p *bookPage) submitRule(f *ruleForm, id int64) string {
	env := p.v.env
	r, ok := f.rule()
	name, keep := strings.TrimSpace(f.name.Text), f.keep.Checked
	switch {
	case !ok:
		return env.T("lists.quiet.wrong")
	case id == everybody && name == "":
		return env.T("contacts.no_list")
	case r.IsEmpty():
		return env.T("lists.rule.nothing")
	}
	made := id
	p.v.run(env.T("lists.choosing"), func(ctx context.Context, _ report) error {
		if id != everybody {
			return env.Ledger.SetListRule(ctx, id, r)
		}
		li, err := env.Ledger.MakeList(ctx, name, r, keep)
		made = li.ID
		return err
	}, func() { p.goTo(made) })
	return ""
}

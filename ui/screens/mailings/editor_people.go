package mailings

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// option is one line of a choice and what it does.
type option struct {
	label string
	do    func()
}

// offer fills a choice; picked is called with the number of a line.
func offer(s *widgets.Select, all []option, chosen int) {
	labels := make([]string, len(all))
	for i, o := range all {
		labels[i] = o.label
	}
	s.SetOptions(labels)
	s.SetSelectedIndex(chosen)
}

// onChoices fills the choices of senders and lists.
func (e *editor) onChoices(c *Choices, err error) {
	env := e.v.env
	if err != nil {
		dialogs.Error(env.Words, env.Window, err)
		return
	}
	e.choices = c
	known := func(id int64) bool {
		return slices.ContainsFunc(c.Accounts, func(a post.Account) bool { return a.ID == id })
	}
	e.draft.Accounts = slices.DeleteFunc(e.draft.Accounts, func(id int64) bool { return !known(id) })
	if len(e.draft.Accounts) == 0 && len(c.Accounts) > 0 {
		e.draft.Accounts = []int64{c.Accounts[0].ID}
	}
	if len(e.draft.Lists) == 0 && len(e.draft.To) == 0 && e.draft.Rows == "" && len(c.Lists) == 1 && e.draft.ID == 0 {
		e.draft.Lists = []int64{c.Lists[0].ID}
	}
	e.offerAll()
	e.preview()
	e.check()
	e.countGaps()
}

// offerAll shows the senders and recipients of the draft in the choices.
func (e *editor) offerAll() {
	e.quiet = true
	defer func() { e.quiet = false }()
	e.offerSenders()
	e.offerLists()
}

func (e *editor) offerSenders() {
	env, c := e.v.env, e.choices
	var all []option
	chosen := 0
	if len(e.draft.Accounts) > 1 {
		all = append(all, option{label: e.sendersLine()})
	}
	for _, a := range c.Accounts {
		if len(e.draft.Accounts) == 1 && e.draft.Accounts[0] == a.ID {
			chosen = len(all)
		}
		all = append(all, option{accountLabel(a), func() { e.setSenders([]int64{a.ID}, nil) }})
	}
	switch len(c.Accounts) {
	case 0:
		all = []option{{label: env.T("composer.no_accounts")}}
	case 1:
	default:
		all = append(all, option{env.T("composer.senders.several"), e.askSenders})
	}
	e.senders = all
	offer(e.from, all, chosen)
}

// sendersLine names several senders with their shares.
func (e *editor) sendersLine() string {
	var parts []string
	for _, a := range e.choices.Accounts {
		if slices.Contains(e.draft.Accounts, a.ID) {
			parts = append(parts, e.v.env.T("composer.sender.weight", a.Name, e.weightOf(a)))
		}
	}
	return strings.Join(parts, ", ")
}

func (e *editor) weightOf(a post.Account) int {
	if w := e.draft.Weights[a.ID]; w > 0 {
		return w
	}
	return max(1, a.Weight)
}

func (e *editor) setSenders(ids []int64, weights map[int64]int) {
	e.edit(func() { e.draft.Accounts, e.draft.Weights = ids, weights })
	e.offerAll()
}

// askSenders lets several accounts share the mailing, each with its weight.
func (e *editor) askSenders() {
	env := e.v.env
	type row struct {
		account post.Account
		on      *widgets.Check
		weight  *widgets.Entry
	}
	var rows []row
	box := widgets.VStack(6)
	for _, a := range e.choices.Accounts {
		r := row{a, widgets.NewCheck(accountLabel(a), nil), widgets.NewEntry()}
		r.on.Checked = slices.Contains(e.draft.Accounts, a.ID)
		r.weight.SetText(strconv.Itoa(e.weightOf(a)))
		env.IDs.Set("compose.sender."+a.Name, r.on)
		env.IDs.Set("compose.weight."+a.Name, r.weight)
		rows = append(rows, r)
		box.Add(widgets.HStack(8, widgets.Grow(r.on), widgets.NewSmall(env.T("composer.weight")), widgets.FixedWidth(70, r.weight)))
	}
	body := widgets.VStack(12, widgets.NewQuiet(env.T("composer.senders.why")).Wrapping(), box)
	dialogs.Form(env.Words, env.Window, env.T("composer.senders.title"), env.T("action.apply"), body, nil, func() string {
		var ids []int64
		weights := map[int64]int{}
		for _, r := range rows {
			if !r.on.Checked {
				continue
			}
			n, err := strconv.Atoi(strings.TrimSpace(r.weight.Text))
			if err != nil || n < 1 || n > 1000 {
				return env.T("composer.weight.wrong")
			}
			ids = append(ids, r.account.ID)
			if n != max(1, r.account.Weight) {
				weights[r.account.ID] = n
			}
		}
		if len(ids) == 0 {
			return env.T("composer.no_sender")
		}
		e.setSenders(ids, weights)
		return ""
	})
	e.offerAll() // whoever cancels sees what is
}

func (e *editor) offerLists() {
	env, c := e.v.env, e.choices
	all := []option{{env.T("composer.no_list"), func() { e.setPeople(nil, "") }}}
	chosen := 0
	switch {
	case e.draft.Rows != "":
		all, chosen = append(all, option{label: env.T("composer.sheet", filepath.Base(e.draft.Rows))}), 1
	case len(e.draft.Lists) > 1:
		all, chosen = append(all, option{label: e.listsLine()}), 1
	}
	for _, l := range c.Lists {
		if chosen == 0 && len(e.draft.Lists) == 1 && e.draft.Lists[0] == l.ID {
			chosen = len(all)
		}
		all = append(all, option{env.T("composer.list", l.Name, l.Members), func() { e.setPeople([]int64{l.ID}, "") }})
	}
	if len(c.Lists) > 1 {
		all = append(all, option{env.T("composer.lists.several"), e.askLists})
	}
	all = append(all, option{env.T("composer.sheet.choose"), e.askSheet})
	e.lists = all
	offer(e.to, all, chosen)
	if e.draft.Rows != "" {
		e.typed.Disable()
	} else {
		e.typed.Enable()
	}
}

func (e *editor) listsLine() string {
	var names []string
	var n int64
	for _, l := range e.choices.Lists {
		if slices.Contains(e.draft.Lists, l.ID) {
			names = append(names, l.Name)
			n += l.Members
		}
	}
	return e.v.env.T("composer.list", strings.Join(names, " + "), n)
}

func (e *editor) setPeople(lists []int64, sheet string) {
	e.edit(func() { e.draft.Lists, e.draft.Rows = lists, sheet })
	e.index = 1
	e.offerAll()
	e.countGaps()
}

// askLists lets a mailing go to several lists; who is on two gets one message.
func (e *editor) askLists() {
	env := e.v.env
	var checks []*widgets.Check
	box := widgets.VStack(2)
	for _, l := range e.choices.Lists {
		c := widgets.NewCheck(env.T("composer.list", l.Name, l.Members), nil)
		c.Checked = slices.Contains(e.draft.Lists, l.ID)
		env.IDs.Set("compose.list."+l.Name, c)
		checks = append(checks, c)
		box.Add(c)
	}
	const height = 300
	body := widgets.VStack(12, widgets.NewQuiet(env.T("composer.lists.why")).Wrapping(),
		widgets.FixedHeight(min(height, box.MinSize().Height), container.NewVScroll(box)))
	dialogs.Form(env.Words, env.Window, env.T("composer.lists.title"), env.T("action.apply"), body, nil, func() string {
		var ids []int64
		for i, c := range checks {
			if c.Checked {
				ids = append(ids, e.choices.Lists[i].ID)
			}
		}
		e.setPeople(ids, "")
		return ""
	})
	e.offerAll()
}

// askSheet takes the recipients from a sheet: one message per row.
func (e *editor) askSheet() {
	env := e.v.env
	dialogs.PickFile(env.Words, env.Window, env.T("composer.sheet.title"), []string{".csv", ".tsv", ".txt", ".xlsx"}, func(path string) { e.setPeople(nil, path) })
	e.offerAll()
}

func accountLabel(a post.Account) string {
	if a.FromName != "" {
		return a.FromName + " · " + a.Email
	}
	return a.Name + " · " + a.Email
}

// pick does what the chosen line of a choice says.
func (e *editor) pick(s *widgets.Select, all []option) {
	if i := s.SelectedIndex(); !e.quiet && i >= 0 && i < len(all) && all[i].do != nil {
		all[i].do()
	}
}

func (e *editor) onFormat() {
	i := e.format.SelectedIndex()
	if i < 0 {
		return
	}
	e.edit(func() { e.draft.Content.Format = formats[i] })
	if formats[i] == post.FormatText {
		e.tools.Hide()
	} else {
		e.tools.Show()
	}
	e.showText()
}

// more is the row of what is not always needed: preview text, answers, and
// whether it advertises.
func (e *editor) more(label func(string) fyne.CanvasObject) fyne.CanvasObject {
	env := e.v.env
	e.behind, e.replyTo = widgets.NewEntry(), widgets.NewEntry()
	e.behind.SetPlaceHolder(env.T("composer.preview.hint"))
	e.replyTo.SetPlaceHolder(env.T("composer.reply_to.hint"))
	e.promo = widgets.NewCheck(env.T("composer.promotional"), func(on bool) { e.edit(func() { e.draft.Promotional = on }) })
	env.IDs.Set("compose.preview_text", e.behind)
	env.IDs.Set("compose.reply_to", e.replyTo)
	env.IDs.Set("compose.promotional", e.promo)
	return widgets.HStack(10, label("composer.preview"), widgets.Grow(widgets.Columns(12, []float32{3, 2}, e.behind, e.replyTo)), e.promo, widgets.FixedWidth(130, e.format))
}

// confirmFrom is how the question before sending names the senders.
func (e *editor) confirmFrom() string {
	if e.choices != nil && len(e.draft.Accounts) > 1 {
		return e.sendersLine()
	}
	return screens.Short(e.from.Selected, 80)
}

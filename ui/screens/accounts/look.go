package accounts

import (
	"context"
	"slices"
	"strings"

	"fyne.io/fyne/v2"

	"postroom/assets/theme"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// onLook shows the account's letterhead: its colour, which marks it in lists and
// is that of designs, and what promotional mail says in the footer.
func (v *View) onLook() {
	a, ok := v.current()
	if !ok {
		return
	}
	env := v.env
	screens.Load(context.Background(), env, func(ctx context.Context) (post.Letterhead, error) {
		return env.Ledger.Letterhead(ctx, a.ID)
	}, func(h post.Letterhead, err error) {
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		v.askLook(&a, h)
	})
}

func (v *View) askLook(a *post.Account, h post.Letterhead) {
	env := v.env
	colour, page, said := widgets.NewEntry(), widgets.NewEntry(), widgets.NewEntry()
	address := widgets.NewMultiLineEntry()
	colour.SetText(h.Colour)
	colour.SetPlaceHolder("#1a7f37")
	address.SetText(h.PostalAddress)
	page.SetText(h.UnsubscribeURL)
	page.SetPlaceHolder("https://")
	said.SetText(h.UnsubscribeWords)
	dot := widgets.NewDot(h.Colour)
	colour.OnChanged = func(s string) { dot.Set(strings.TrimSpace(s)) }
	rows := widgets.VStack(8, widgets.NewQuiet(env.T("accounts.look.why")).Wrapping(),
		v.lookRow("accounts.look.colour", widgets.HStack(8, widgets.Grow(colour), dot)),
		v.lookRow("accounts.look.address", widgets.FixedHeight(92, address)),
		v.lookRow("accounts.look.unsubscribe", page), v.lookRow("accounts.look.words", said))
	env.IDs.Set("accounts.look.colour", colour)
	env.IDs.Set("accounts.look.address", address)
	env.IDs.Set("accounts.look.unsubscribe", page)
	dialogs.Form(env.Words, env.Window, env.T("accounts.look.title", a.Name), env.T("action.save"), rows, colour, func() string {
		h.Colour, h.PostalAddress = strings.TrimSpace(colour.Text), strings.TrimSpace(address.Text)
		h.UnsubscribeURL, h.UnsubscribeWords = strings.TrimSpace(page.Text), strings.TrimSpace(said.Text)
		if h.Check() != nil {
			return env.T("accounts.look.wrong")
		}
		v.change(func(ctx context.Context) error { return env.Ledger.SetLetterhead(ctx, h) })
		return ""
	})
}

func (v *View) lookRow(key string, control fyne.CanvasObject) fyne.CanvasObject {
	return widgets.HStack(10, widgets.FixedWidth(130, widgets.NewQuiet(v.env.T(key)).Cutting()), widgets.Grow(control))
}

// onMove moves the account in the panel up (-1) or down (1) in all lists.
func (v *View) onMove(by int) {
	a, ok := v.current()
	if !ok {
		return
	}
	v.change(func(ctx context.Context) error { return v.saver.Move(ctx, a.ID, by) })
}

// Move changes an account's place in lists by so many places; beyond the ends it
// stays. All accounts get places of their own then.
func (s Saver) Move(ctx context.Context, id int64, by int) error {
	all, err := s.Ledger.Accounts(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(all, func(a post.Account) bool { return a.ID == id })
	to := at + by
	if at < 0 || to < 0 || to >= len(all) {
		return nil
	}
	a := all[at]
	all = slices.Insert(slices.Delete(all, at, at+1), to, a)
	for i := range all {
		if all[i].Position == i+1 {
			continue
		}
		all[i].Position = i + 1
		if err := s.Ledger.UpdateAccount(ctx, all[i]); err != nil {
			return err
		}
	}
	return nil
}

// markOf is an account's colour in a list.
func markOf(colour string) widgets.Cell {
	if colour == "" {
		return widgets.Cell{}
	}
	return widgets.Cell{Text: "●", Tone: theme.Quiet, Colour: colour}
}

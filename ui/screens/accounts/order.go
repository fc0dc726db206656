package accounts

import (
	"context"
	"slices"

	"postroom/assets/theme"
	"postroom/post"
	"postroom/ui/widgets"
)

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

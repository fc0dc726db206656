package cli

import (
	"context"

	"github.com/spf13/cobra"

	"postroom/storage"
)

func (a *app) contactsLists() *cobra.Command {
	return group("lists", "The lists that people are on", `A list is a set of people. It can be made of others: "on A and B but not C, and
without mail from us in the last 14 days". With --filter the rule is kept:
"refresh" chooses the people anew, and so does each mailing to the list.`,
		&cobra.Command{
			Use: "show", Short: "List the lists", Args: takes(0, "nothing"),
			RunE: a.onLedger(func(ctx context.Context, l *storage.Ledger, _ []string) error {
				all, err := l.Lists(ctx)
				if err != nil {
					return err
				}
				for _, li := range all {
					if err := a.answer(map[string]any{"list": li.Name, "members": li.Members}, "%s: %s", oneLine(li.Name), plural(li.Members, "person", "people")); err != nil {
						return err
					}
				}
				return nil
			}),
		},
		a.listsMake(),
		&cobra.Command{
			Use: "refresh LIST", Short: "Choose the people of a list that was made with --filter anew", Args: takes(1, "the list"),
			RunE: a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
				li, err := l.ListByName(ctx, args[0])
				if err == nil {
					err = l.RefreshList(ctx, li.ID)
				}
				if err != nil {
					return err
				}
				return a.tellList(ctx, l, args[0])
			}),
		},
		&cobra.Command{
			Use: "rename LIST NAME", Short: "Give a list another name", Args: takes(2, "the list and its new name"),
			RunE: a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
				li, err := l.ListByName(ctx, args[0])
				if err == nil {
					err = l.RenameList(ctx, li.ID, args[1])
				}
				if err != nil {
					return err
				}
				return a.tellList(ctx, l, args[1])
			}),
		},
		&cobra.Command{
			Use: "remove LIST", Short: "Remove a list; its people stay", Args: takes(1, "the list"),
			RunE: a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
				li, err := l.ListByName(ctx, args[0])
				if err == nil {
					err = l.DeleteList(ctx, li.ID)
				}
				if err != nil {
					return err
				}
				return a.answer(map[string]string{"removed": li.Name}, "removed the list %s", oneLine(li.Name))
			}),
		},
	)
}

func (a *app) tellList(ctx context.Context, l *storage.Ledger, name string) error {
	li, err := l.ListByName(ctx, name)
	if err != nil {
		return err
	}
	return a.answer(map[string]any{"list": li.Name, "members": li.Members}, "%s: %s", oneLine(li.Name), plural(li.Members, "person", "people"))
}

func (a *app) listsMake() *cobra.Command {
	var some, every, none []string
	var r storage.Rule
	var keep bool
	c := &cobra.Command{
		Use: "make NAME", Short: "Make a list of the people of others",
		Example: `  postroom contacts lists make Copy --any Guests
  postroom contacts lists make "A and B" --all A --all B --not Staff
  postroom contacts lists make Again --got 3 --no-reply --quiet-days 14 --filter`,
		Args: takes(1, "the new list's name"),
	}
	c.Flags().StringArrayVar(&some, "any", nil, "people on this `list` or another one given so; can be repeated")
	c.Flags().StringArrayVar(&every, "all", nil, "only people on this `list`; can be repeated")
	c.Flags().StringArrayVar(&none, "not", nil, "nobody on this `list`; can be repeated")
	c.Flags().IntVar(&r.QuietDays, "quiet-days", 0, "nobody who had mail from you in the last `days`")
	c.Flags().Int64Var(&r.Got, "got", 0, "only people to whom this `mailing` was sent, by its number")
	c.Flags().BoolVar(&r.Silent, "no-reply", false, "of those whom --got names, only people who did not answer")
	c.Flags().BoolVar(&keep, "filter", false, "keep the rule: the people are chosen anew by refresh, and for each mailing to the list")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		for _, x := range []struct {
			names []string
			ids   *[]int64
		}{{some, &r.Any}, {every, &r.All}, {none, &r.Not}} {
			for _, name := range x.names {
				li, err := l.ListByName(ctx, name)
				if err != nil {
					return err
				}
				*x.ids = append(*x.ids, li.ID)
			}
		}
		if _, err := l.MakeList(ctx, args[0], r, keep); err != nil {
			return err
		}
		return a.tellList(ctx, l, args[0])
	})
	return c
}

package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postroom/post"
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
			Use: "add LIST ADDR...", Short: "Put people on a list, by address; the list and the people are made where they are missing",
			Example: "  postroom contacts lists add Guests 'Anna Köhler <anna@example.com>' bob@example.com",
			Args:    listAndMore, RunE: a.onLedger(a.addToList),
		},
		&cobra.Command{
			Use: "drop LIST ADDR...", Short: "Take people off a list, by address; they stay in the book",
			Args: listAndMore, RunE: a.onLedger(a.dropFromList),
		},
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

func listAndMore(c *cobra.Command, args []string) error {
	if len(args) < 2 {
		return takesMore("the list and the addresses")(c, nil)
	}
	return nil
}

func (a *app) addToList(ctx context.Context, l *storage.Ledger, args []string) error {
	var people []post.Contact
	for _, arg := range args[1:] {
		name, x, err := post.ParseMailbox(arg)
		if err != nil {
			return err
		}
		people = append(people, post.Contact{Address: x.String(), Key: post.AddressKey(x), Name: name})
	}
	if li, err := l.ListByName(ctx, args[0]); err == nil {
		if err := a.refuseRule(ctx, l, li); err != nil {
			return err
		}
	} else if post.KindOf(err) != post.KindNotFound {
		return err
	}
	rows := func(yield func(post.Contact, error) bool) {
		for _, p := range people {
			if !yield(p, nil) {
				return
			}
		}
	}
	_, _, _, suppressed, err := l.ImportContactsBy(ctx, args[0], storage.MergeFill, false, rows)
	if err != nil {
		return err
	}
	for _, x := range suppressed {
		a.note("%s is not mailed all the same: see postroom contacts suppressed", oneLine(x))
	}
	return a.tellList(ctx, l, args[0])
}

func (a *app) dropFromList(ctx context.Context, l *storage.Ledger, args []string) error {
	all, err := parseAddresses(args[1:])
	if err != nil {
		return err
	}
	li, err := l.ListByName(ctx, args[0])
	if err != nil {
		return err
	}
	if err := a.refuseRule(ctx, l, li); err != nil {
		return err
	}
	keys := make([]string, 0, len(all))
	for _, x := range all {
		keys = append(keys, post.AddressKey(x))
	}
	if _, err := l.TakeOffList(ctx, li.ID, keys); err != nil {
		return err
	}
	return a.tellList(ctx, l, args[0])
}

// refuseRule refuses to change a list by hand that chooses its people itself.
func (a *app) refuseRule(ctx context.Context, l *storage.Ledger, li post.List) error {
	has, err := l.ChoosesItself(ctx, li.ID)
	if err != nil {
		return err
	}
	if has {
		return &post.Error{Kind: post.KindConflict, Op: "change the list", Message: "the people of " + oneLine(li.Name) + " are chosen by its rule; make another list of them"}
	}
	return nil
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
	var keep, silent, add bool
	var outcome string
	c := &cobra.Command{
		Use: "make NAME", Short: "Make a list of the people of others",
		Example: `  postroom contacts lists make Copy --any Guests
  postroom contacts lists make "A and B" --all A --all B --not Staff
  postroom contacts lists make Again --got 3 --no-reply --quiet-days 14 --filter
  postroom contacts lists make "Try again" --got 3 --outcome failed --add`,
		Args: takes(1, "the new list's name"),
	}
	c.Flags().StringArrayVar(&some, "any", nil, "people on this `list` or another one given so; can be repeated")
	c.Flags().StringArrayVar(&every, "all", nil, "only people on this `list`; can be repeated")
	c.Flags().StringArrayVar(&none, "not", nil, "nobody on this `list`; can be repeated")
	c.Flags().IntVar(&r.QuietDays, "quiet-days", 0, "nobody who had mail from you in the last `days`")
	c.Flags().Int64Var(&r.Got, "got", 0, "only people to whom this `mailing` was sent, by its number")
	c.Flags().StringVar(&outcome, "outcome", "", "what became of that mailing for them, a `word`: "+followUpNames()+" (without it: sent)")
	c.Flags().BoolVar(&silent, "no-reply", false, "the same as --outcome silent: only people who got it and did not answer")
	c.Flags().BoolVar(&add, "add", false, "put those of them who are not in the book into it, as the mailing knew them")
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
		if r.FollowUp = storage.FollowUp(outcome); silent {
			if outcome != "" && r.FollowUp != storage.FollowUpSilent {
				return usage("--no-reply is --outcome silent: say one of them")
			}
			r.FollowUp = storage.FollowUpSilent
		}
		if outcome == "sent" {
			r.FollowUp = storage.FollowUpSent
		}
		if !slices.Contains(storage.FollowUps, r.FollowUp) || (outcome != "" || silent || add) && r.Got == 0 {
			return usage("--outcome is one of %s; it, --no-reply and --add go with --got", followUpNames())
		}
		if err := a.addRecipients(ctx, l, r, add); err != nil {
			return err
		}
		if _, err := l.MakeList(ctx, args[0], r, keep); err != nil {
			return err
		}
		return a.tellList(ctx, l, args[0])
	})
	return c
}

// addRecipients puts recipients of the rule's mailing into the book, or says how
// many are left out because they are not there.
func (a *app) addRecipients(ctx context.Context, l *storage.Ledger, r storage.Rule, add bool) error {
	if r.Got == 0 {
		return nil
	}
	if add {
		_, err := l.AddRecipients(ctx, r.Got, r.FollowUp)
		return err
	}
	counts, err := l.CountFollowUps(ctx, r.Got)
	if n := counts[r.FollowUp].Strangers; err == nil && n > 0 {
		a.note("%s not in the book and left out; with --add they are put there", plural(n, "recipient of that mailing is", "recipients of that mailing are"))
	}
	return err
}

// followUpNames lists the outcomes as --outcome takes them.
func followUpNames() string {
	names := make([]string, len(storage.FollowUps))
	for i, o := range storage.FollowUps {
		if names[i] = string(o); o == storage.FollowUpSent {
			names[i] = "sent"
		}
	}
	return strings.Join(names, ", ")
}

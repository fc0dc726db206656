package cli

import (
	"context"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"postroom/contacts"
	"postroom/post"
	"postroom/storage"
)

func (a *app) contactsCommand() *cobra.Command {
	return group("contacts", "The people you write to, and who must not be mailed",
		`Contacts are people with an address, a name and any fields of yours, in lists.
Addresses on the suppression list are never mailed, whichever list they are in;
those suppressed for one list are not mailed as people of that list.`,
		a.contactsImport(), a.contactsList(), a.contactsExport(), a.contactsErase(), a.contactsLists(),
		a.contactsSuppress(), a.contactsSuppressed(),
		a.contactsUnsuppress(),
	)
}

type suppressedJSON struct {
	Reason string `json:"reason"`
	Source string `json:"source"`
	At     stamp  `json:"at"`
}

type contactJSON struct {
	Address    string            `json:"address"`
	Name       string            `json:"name"`
	Fields     map[string]string `json:"fields"`
	Lists      []string          `json:"lists"`
	Suppressed *suppressedJSON   `json:"suppressed"`
}

func (a *app) contactsList() *cobra.Command {
	var list, search string
	c := &cobra.Command{
		Use: "list", Short: "List people, all of them or some",
		Example: "  postroom contacts list --list Guests --search regensburg",
		Args:    takes(0, "nothing"),
	}
	c.Flags().StringVar(&list, "list", "", "only people in this `list`")
	c.Flags().StringVar(&search, "search", "", "only people whose address, name or fields hold this `text`, in any case")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, _ []string) error {
		f, err := contactFilter(ctx, l, list)
		if err != nil {
			return err
		}
		f.Search = search
		for x, err := range l.EachContact(ctx, f) {
			if err != nil {
				return err
			}
			if err := a.tellContact(x); err != nil {
				return err
			}
		}
		return nil
	})
	return c
}

// contactFilter chooses a list by name; no name is everybody.
func contactFilter(ctx context.Context, l *storage.Ledger, list string) (storage.ContactFilter, error) {
	if list == "" {
		return storage.ContactFilter{}, nil
	}
	li, err := l.ListByName(ctx, list)
	return storage.ContactFilter{List: li.ID}, err
}

func (a *app) tellContact(x storage.ContactRow) error {
	if a.json {
		out := contactJSON{Address: x.Address, Name: x.Name, Fields: x.Fields, Lists: x.Lists}
		if out.Fields == nil {
			out.Fields = map[string]string{}
		}
		if out.Lists == nil {
			out.Lists = []string{}
		}
		if s := x.Suppressed; s != nil {
			out.Suppressed = &suppressedJSON{a.suppression(s.Reason), s.Source, stamp(s.At)}
		}
		return a.object(out)
	}
	line := x.Address
	if x.Name != "" {
		line = x.Name + " <" + x.Address + ">"
	}
	if len(x.Lists) > 0 {
		line += "  [" + strings.Join(x.Lists, ", ") + "]"
	}
	if x.Suppressed != nil {
		line += "  not mailed: " + a.suppression(x.Suppressed.Reason)
	}
	a.say("%s", oneLine(line))
	return nil
}

func (a *app) contactsExport() *cobra.Command {
	var list string
	c := &cobra.Command{
		Use: "export FILE", Short: "Write people to a CSV or XLSX file that any spreadsheet opens",
		Example: "  postroom contacts export guests.csv --list Guests\n  postroom contacts export everybody.xlsx",
		Args:    takes(1, "the file to write"),
	}
	c.Flags().StringVar(&list, "list", "", "only people in this `list`")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		f, err := contactFilter(ctx, l, list)
		if err != nil {
			return err
		}
		var n int64
		people := func(yield func(post.Contact, error) bool) {
			n = 0 // it is read twice
			for x, err := range l.EachContact(ctx, f) {
				n++
				if !yield(x.Contact, err) || err != nil {
					return
				}
			}
		}
		if err := contacts.ExportFile(args[0], iter.Seq2[post.Contact, error](people)); err != nil {
			return err
		}
		return a.answer(map[string]any{"file": args[0], "exported": n}, "%s written to %s", plural(n, "contact", "contacts"), args[0])
	})
	return c
}

// parseAddresses checks all addresses before anything is done with one.
func parseAddresses(args []string) ([]post.Address, error) {
	all := make([]post.Address, 0, len(args))
	for _, arg := range args {
		_, a, err := post.ParseMailbox(arg)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

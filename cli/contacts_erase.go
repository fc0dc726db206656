package cli

import (
	"context"

	"github.com/spf13/cobra"

	"postroom/post"
	"postroom/storage"
)

type erasedJSON struct {
	Contact    bool     `json:"contact"`
	Lists      int64    `json:"lists"`
	Deliveries int64    `json:"deliveries"`
	Cancelled  int64    `json:"cancelled"`
	Files      int64    `json:"files"`
	Suppressed bool     `json:"suppressed"`
	Backups    []string `json:"backups"`
}

func (a *app) contactsErase() *cobra.Command {
	return &cobra.Command{
		Use: "erase ADDR", Short: "Remove one person from everything, as they may ask",
		Long: `Erase removes a person from the address book and its lists, and empties what the
history holds of them: the address, the name, the values of their messages, their
own attachments and what servers answered. That a message was sent to somebody,
when and how it ended stays. What waited to be sent is cancelled. If they were
not to be mailed, a keyed hash of the address keeps that so. Backups that it
cannot reach are named: delete them yourself.`,
		Example: "  postroom contacts erase anna@example.com",
		Args:    takes(1, "the address"),
		RunE: a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
			_, x, err := post.ParseMailbox(args[0])
			if err != nil {
				return err
			}
			e, err := l.Erase(ctx, post.AddressKey(x))
			if err != nil {
				return err
			}
			return a.tellErased(e)
		}),
	}
}

func (a *app) tellErased(e storage.Erased) error {
	if a.json {
		return a.object(erasedJSON{e.Contact, e.Lists, e.Deliveries, e.Cancelled, e.Files, e.Suppressed, append([]string{}, e.Backups...)})
	}
	if !e.Contact && e.Deliveries == 0 && !e.Suppressed {
		a.say("Nothing was known of this address.")
	}
	if e.Contact {
		a.say("removed from the address book and %s", plural(e.Lists, "list", "lists"))
	}
	if e.Deliveries > 0 {
		a.say("emptied %s, %d of them cancelled; removed %s", plural(e.Deliveries, "message", "messages"), e.Cancelled, plural(e.Files, "attachment", "attachments"))
	}
	if e.Suppressed {
		a.say("still not mailed: a hash of the address is kept")
	}
	for _, b := range e.Backups {
		a.say("may still hold the person: %s", oneLine(b))
	}
	a.note("Backups that were made elsewhere, and messages kept by rehearsals, may still hold the person.")
	return nil
}

package cli

import (
	"context"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"postroom/contacts"
	"postroom/post"
	"postroom/storage"
)

func (a *app) contactsSuppress() *cobra.Command {
	var from string
	c := &cobra.Command{
		Use: "suppress ADDR...", Short: "Never mail these addresses again",
		Long: `Suppress puts addresses on the list of those that are never mailed. With --from
they are read from a file, which may say why, from where and since when in the
columns reason, source and date, as "contacts suppressed --export" writes it.`,
		Example: "  postroom contacts suppress anna@example.com\n  postroom contacts suppress --from unsubscribed.csv",
		Args: func(c *cobra.Command, args []string) error {
			if from != "" {
				return takes(0, "nothing beside --from")(c, args)
			}
			return takesMore("the addresses")(c, args)
		},
	}
	c.Flags().StringVar(&from, "from", "", "take the addresses from this `file`")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		if from != "" {
			return a.suppressFrom(ctx, l, from)
		}
		return a.suppress(ctx, l, args)
	})
	return c
}

// suppressRows is how many addresses one transaction takes.
const suppressRows = 500

func (a *app) suppressFrom(ctx context.Context, l *storage.Ledger, path string) error {
	var problems []problemJSON
	_, rows, err := contacts.RowsAs(ctx, path, contacts.Options{Temp: filepath.Join(a.data, "temp")}, func(p contacts.Problem) {
		if p.Skipped {
			problems = append(problems, problemJSON{p.Row, p.Column, p.Value, a.reason(p.Reason)})
		}
	})
	if err != nil {
		return err
	}
	// All are read before one is written: the file may be refused at its end.
	var all []post.Suppression
	for r, err := range rows {
		if err != nil {
			return err
		}
		x, err := post.ParseAddress(r.Address)
		if err != nil {
			return err
		}
		s := post.Suppression{Key: post.AddressKey(x), Address: r.Address, Reason: r.Fields["reason"], Source: r.Fields["source"], At: readDate(r.Fields["date"])}
		if s.Reason == "" {
			s.Reason = "you"
		}
		if s.Source == "" {
			s.Source = filepath.Base(path)
		}
		all = append(all, s)
	}
	var added int64
	for rest := all; len(rest) > 0; {
		n := min(len(rest), suppressRows)
		more, err := l.Suppress(ctx, rest[:n])
		if err != nil {
			return err
		}
		added += more
		rest = rest[n:]
	}
	for _, p := range problems {
		a.note("%s", problemLine(p, true))
	}
	return a.answer(map[string]any{"suppressed": added, "skipped": len(problems)}, "%s will not be mailed; %d were on the list already, %d rows skipped",
		plural(added, "more address", "more addresses"), int64(len(all))-added, len(problems))
}

// readDate reads a date as exports write it; anything else is now.
func readDate(s string) time.Time {
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}

func (a *app) contactsSuppressed() *cobra.Command {
	var export string
	c := &cobra.Command{
		Use: "suppressed", Short: "List the addresses that are never mailed",
		Example: "  postroom contacts suppressed --export unsubscribed.csv", Args: takes(0, "nothing"),
	}
	c.Flags().StringVar(&export, "export", "", "write them to this CSV or XLSX `file` instead")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, _ []string) error {
		if export != "" {
			return a.exportSuppressed(ctx, l, export)
		}
		for s, err := range l.EachSuppression(ctx) {
			if err != nil {
				return err
			}
			if err := a.tellSuppressed(s); err != nil {
				return err
			}
		}
		return nil
	})
	return c
}

func (a *app) tellSuppressed(s post.Suppression) error {
	return a.answer(struct {
		Address string `json:"address"`
		suppressedJSON
	}{s.Address, suppressedJSON{a.suppression(s.Reason), s.Source, stamp(s.At)}}, "%s  %s (%s, %s)",
		oneLine(s.Address), oneLine(a.suppression(s.Reason)), oneLine(s.Source), moment(s.At))
}

// exportSuppressed writes the reasons as they are kept, so that they come back.
func (a *app) exportSuppressed(ctx context.Context, l *storage.Ledger, path string) error {
	var n int64
	err := contacts.ExportFile(path, func(yield func(post.Contact, error) bool) {
		n = 0 // it is read twice
		for s, err := range l.EachSuppression(ctx) {
			n++
			if !yield(post.Contact{Address: s.Address, Fields: map[string]string{"reason": s.Reason, "source": s.Source, "date": stamp(s.At).String()}}, err) || err != nil {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return a.answer(map[string]any{"file": path, "exported": n}, "%s written to %s", plural(n, "address", "addresses"), path)
}

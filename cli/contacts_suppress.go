package cli

import (
	"context"
	"iter"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"postroom/contacts"
	"postroom/post"
	"postroom/storage"
)

func (a *app) contactsSuppress() *cobra.Command {
	var from, list string
	c := &cobra.Command{
		Use: "suppress ADDR...", Short: "Never mail these addresses again",
		Long: `Suppress puts addresses on the list of those that are never mailed, or with
--list are not mailed as people of one list, whoever else writes to them. What is
queued is looked at again right before it is sent. With --from the addresses
are read from a file, which may say why, from where and since when in the
columns reason, source and date, as "contacts suppressed --export" writes it.`,
		Example: "  postroom contacts suppress anna@example.com\n  postroom contacts suppress anna@example.com --list Newsletter\n  postroom contacts suppress --from unsubscribed.csv",
		Args: func(c *cobra.Command, args []string) error {
			if from != "" {
				return takes(0, "nothing beside --from")(c, args)
			}
			return takesMore("the addresses")(c, args)
		},
	}
	c.Flags().StringVar(&from, "from", "", "take the addresses from this `file`")
	c.Flags().StringVar(&list, "list", "", "only as people of this `list`")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		id, err := listID(ctx, l, list)
		if err != nil {
			return err
		}
		if from != "" {
			return a.suppressFrom(ctx, l, id, from)
		}
		return a.suppress(ctx, l, id, args)
	})
	return c
}

// listID looks a list up by name; no name is 0.
func listID(ctx context.Context, l *storage.Ledger, name string) (int64, error) {
	if name == "" {
		return 0, nil
	}
	li, err := l.ListByName(ctx, name)
	return li.ID, err
}

func (a *app) suppress(ctx context.Context, l *storage.Ledger, list int64, args []string) error {
	all, err := parseAddresses(args)
	if err != nil {
		return err
	}
	rows := make([]post.Suppression, 0, len(all))
	for _, x := range all {
		rows = append(rows, post.Suppression{List: list, Key: post.AddressKey(x), Address: x.String(), Reason: "you", Source: "you"})
	}
	n, err := l.Suppress(ctx, rows)
	if err != nil {
		return err
	}
	return a.answer(map[string]int64{"suppressed": n}, "%s will not be mailed; %s on the list already",
		plural(n, "more address", "more addresses"), plural(int64(len(rows))-n, "was", "were"))
}

func (a *app) contactsUnsuppress() *cobra.Command {
	var list string
	c := &cobra.Command{
		Use: "unsuppress ADDR...", Short: "Allow mail to these addresses again",
		Args: takesMore("the addresses"),
	}
	c.Flags().StringVar(&list, "list", "", "as people of this `list`")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		id, err := listID(ctx, l, list)
		if err != nil {
			return err
		}
		all, err := parseAddresses(args)
		if err != nil {
			return err
		}
		keys := make([]string, 0, len(all))
		for _, x := range all {
			keys = append(keys, post.AddressKey(x))
		}
		var n int64
		if id != 0 {
			n, err = l.UnsuppressFor(ctx, id, keys)
		} else {
			n, err = l.Unsuppress(ctx, keys)
		}
		if err != nil {
			return err
		}
		return a.answer(map[string]int64{"unsuppressed": n}, "%s may be mailed again", plural(n, "address", "addresses"))
	})
	return c
}

// suppressRows is how many addresses one transaction takes.
const suppressRows = 500

func (a *app) suppressFrom(ctx context.Context, l *storage.Ledger, list int64, path string) error {
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
		s := post.Suppression{List: list, Key: post.AddressKey(x), Address: r.Address, Reason: r.Fields["reason"], Source: r.Fields["source"], At: readDate(r.Fields["date"])}
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
	return a.answer(map[string]any{"suppressed": added, "skipped": len(problems)}, "%s will not be mailed; %s on the list already, %s skipped",
		plural(added, "more address", "more addresses"), plural(int64(len(all))-added, "was", "were"), plural(int64(len(problems)), "row", "rows"))
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
	var export, list string
	c := &cobra.Command{
		Use: "suppressed", Short: "List the addresses that are never mailed",
		Example: "  postroom contacts suppressed --export unsubscribed.csv", Args: takes(0, "nothing"),
	}
	c.Flags().StringVar(&export, "export", "", "write them to this CSV or XLSX `file` instead")
	c.Flags().StringVar(&list, "list", "", "those of this `list` instead of those that are never mailed")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, _ []string) error {
		id, err := listID(ctx, l, list)
		if err != nil {
			return err
		}
		all := l.EachSuppression(ctx)
		if id != 0 {
			all = l.EachSuppressionFor(ctx, id)
		}
		if export != "" {
			return a.exportSuppressed(all, export)
		}
		for s, err := range all {
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
func (a *app) exportSuppressed(all iter.Seq2[post.Suppression, error], path string) error {
	var n int64
	err := contacts.ExportFile(path, func(yield func(post.Contact, error) bool) {
		n = 0 // it is read twice
		for s, err := range all {
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

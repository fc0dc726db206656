package cli

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postroom/accounts"
	"postroom/contacts"
	"postroom/post"
	"postroom/storage"
)

func (a *app) accountImport() *cobra.Command {
	var vault, dry bool
	c := &cobra.Command{
		Use: "import FILE", Short: "Add an account for each row of a CSV or XLSX file",
		Long: `Import adds an account for each row. The columns are email (needed), account (its
name here), from_name or name (the sender's), host, port, tls, user, password,
per_minute, per_hour, per_day, connections, weight, imap_host, imap_port, imap_tls and proxy. Where the host is
missing the server is looked for, as account discover does.

Passwords go straight into the keyring, or with --vault into the vault, and are
kept nowhere else; delete the file afterwards. Accounts that are there already
stay as they are.`,
		Example: "  postroom account import accounts.xlsx --dry-run\n  postroom account import accounts.xlsx",
		Args:    takes(1, "the file"),
	}
	c.Flags().BoolVar(&vault, "vault", false, "keep the passwords in the vault")
	c.Flags().BoolVar(&dry, "dry-run", false, "only say what would happen")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		return a.importAccounts(ctx, l, args[0], vault, dry)
	})
	return c
}

// importedJSON is what an import did.
type importedJSON struct {
	Read     int64           `json:"read"`
	Added    int64           `json:"added"`
	Skipped  int64           `json:"skipped"`
	Problems []importRowJSON `json:"problems"`
	Unused   []string        `json:"unused"` // columns
}

type importRowJSON struct {
	Row     int64  `json:"row"`
	Address string `json:"address"`
	Reason  string `json:"reason"`
}

func (a *app) importAccounts(ctx context.Context, l *storage.Ledger, file string, vault, dry bool) error {
	p := accounts.ImportParams{Ledger: l, Secrets: a.Secrets, Place: post.SecretKeyring, DryRun: dry, Find: a.proposal}
	if vault {
		p.Place = post.SecretVault
		if err := a.openSecrets(ctx, l, nil, !dry); err != nil {
			return err
		}
	}
	out := importedJSON{Problems: []importRowJSON{}, Unused: []string{}}
	_, rows, err := contacts.RowsAs(ctx, file, contacts.Options{}, func(x contacts.Problem) {
		if x.Skipped { // what else a sheet has to say could show a password
			out.Read++
			out.Skipped++
			out.Problems = append(out.Problems, importRowJSON{x.Row, "", a.reason(x.Reason)})
		}
	})
	if err != nil {
		return err
	}
	r, err := accounts.Import(ctx, p, rows)
	out.Read, out.Added, out.Skipped = out.Read+r.Read, r.Added, out.Skipped+r.Skipped
	out.Unused = append(out.Unused, r.Unused...)
	for _, x := range r.Problems {
		out.Problems = append(out.Problems, importRowJSON{x.Row, x.Address, a.reason(x.Reason)})
	}
	if a.json {
		err = join(err, a.object(out))
	} else {
		for _, x := range out.Problems {
			row := "row " + strconv.FormatInt(x.Row, 10)
			if x.Address != "" {
				row += " " + oneLine(x.Address)
			}
			a.say("%s: %s", row, oneLine(x.Reason))
		}
		verb := "added"
		if dry {
			verb = "would be added"
		}
		a.say("%s read, %d %s, %d skipped", plural(out.Read, "row", "rows"), out.Added, verb, out.Skipped)
	}
	if len(out.Unused) > 0 {
		a.note("No account has a place for these columns, and nothing was done with them: %s", oneLine(strings.Join(out.Unused, ", ")))
	}
	switch {
	case err != nil:
		return err
	case out.Added == 0:
		return ended{exitFailed}
	case !dry:
		a.note("The passwords are kept now; delete %s, or take them out of it.", oneLine(file))
	}
	return nil
}

// join keeps the first error; a terminal that is gone says less.
func join(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// proposal looks for the server of an address without a word.
func (a *app) proposal(ctx context.Context, address string) (*accounts.Proposal, error) {
	var d accounts.Discoverer
	if a.Discoverer != nil {
		d = *a.Discoverer
	}
	found, err := d.Discover(ctx, address)
	return found.Proposal, err
}

package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"postroom/contacts"
	"postroom/post"
	"postroom/storage"
)

type problemJSON struct {
	Row    int64  `json:"row"`
	Column string `json:"column"`
	Value  string `json:"value"`
	Reason string `json:"reason"`
}

type importJSON struct {
	Read      int64         `json:"read"`
	Added     int64         `json:"added"`
	Updated   int64         `json:"updated"`
	Unchanged int64         `json:"unchanged"`
	Skipped   int64         `json:"skipped"`
	Problems  []problemJSON `json:"problems"`
}

// importFlags are the choices of an import.
type importFlags struct {
	list, encoding, sheet, merge, skipped string
	maps                                  []string
	dry, domains                          bool
}

func (a *app) contactsImport() *cobra.Command {
	var f importFlags
	c := &cobra.Command{
		Use: "import FILE --list LIST", Short: "Take people in from a file",
		Long: `Import takes a spreadsheet (XLSX, CSV, TSV), vCards or a plain list of addresses,
whatever the file is called; "-" reads standard input. It recognises the columns
by their headers and puts the people into a list, which is made where it is
missing. A person who is known already, by address, is merged: with --merge
replace (the default) a value replaces and an empty cell keeps what is there, with
fill only what is empty is filled in, with keep the person stays as they are.
Columns given with --map are remembered for the next file with the same header.
Rows that cannot be taken are named with the reason; the others are taken. When
the file itself cannot be read nothing is changed.`,
		Example: `  postroom contacts import guests.csv --list Guests --dry-run
  postroom contacts import guests.xlsx --sheet 2026 --list Guests --map email=3 --map city=Town
  postroom contacts import guests.csv --list Guests --skipped mend.csv`,
		Args: takes(1, "the file"),
	}
	c.Flags().StringVar(&f.list, "list", "", "the `list` that the people are put into")
	c.Flags().StringArrayVar(&f.maps, "map", nil, "give a column a meaning: `field=COLUMN`, by header or by number from 1; can be repeated")
	c.Flags().StringVar(&f.encoding, "encoding", "", "how the letters are encoded, such as GB18030 or Windows-1250; else it is found out: `name`")
	c.Flags().StringVar(&f.sheet, "sheet", "", "the sheet of a workbook, by `name` or by number from 1; else the first that is visible")
	c.Flags().StringVar(&f.merge, "merge", storage.MergeReplace, "what becomes of known people: fill, keep or replace: `rule`")
	c.Flags().StringVar(&f.skipped, "skipped", "", "write the rows that were skipped to this `file`, with the reasons, to mend and import again")
	c.Flags().BoolVar(&f.domains, "check-mx", false, "ask DNS whether the domains of the addresses take mail, and name those that do not")
	c.Flags().BoolVar(&f.dry, "dry-run", false, "say what would happen and change nothing")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		return a.importFile(ctx, l, args[0], f)
	})
	return c
}

func (a *app) importFile(ctx context.Context, l *storage.Ledger, path string, f importFlags) (err error) {
	if strings.TrimSpace(f.list) == "" {
		return usage("give the list that the people are put into: --list LIST")
	}
	columns, err := parseMap(f.maps)
	if err != nil {
		return err
	}
	temp := filepath.Join(a.data, "temp")
	if path == "-" {
		file, err := a.keepInput(temp)
		if err != nil {
			return err
		}
		defer os.Remove(file) //nolint:errcheck // a copy of what was piped in; the folder is the user's own
		path = file
	}
	o := contacts.Options{
		List: f.list, Map: columns, DryRun: f.dry, Encoding: f.encoding, Sheet: f.sheet, Merge: f.merge, Temp: temp, Memory: l,
		Progress: func(rows, _, _ int64) { a.status("%s read", plural(rows, "row", "rows")) },
	}
	if f.domains {
		o.Domains = &contacts.DomainCheck{}
		if dns, ok := a.HealthDNS.(contacts.DNS); ok { // a resolver is both
			o.Domains.DNS = dns
		}
		o.OnDomains = func(done, total int64) { a.status("%d of %s asked for", done, plural(total, "domain", "domains")) }
	}
	var rows bytes.Buffer
	if f.skipped != "" {
		o.Skipped = &contacts.SkippedRows{W: &rows, Words: a.reason}
	}
	rep, err := contacts.Import(ctx, l, path, o)
	a.clearStatus()
	if err != nil {
		return err
	}
	if rows.Len() > 0 {
		if err := os.WriteFile(f.skipped, rows.Bytes(), 0o600); err != nil {
			return &post.Error{Kind: post.KindInvalid, Message: "the people were taken in, but the file of skipped rows could not be written", Err: err}
		}
	}
	return a.tellImport(rep, f.dry)
}

// keepInput puts what is piped in into a file: an import reads it twice.
func (a *app) keepInput(dir string) (path string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(dir, "input-*")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, io.LimitReader(a.in, contacts.MaxFile+1)) // one more is too large
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// parseMap reads field=COLUMN.
func parseMap(maps []string) (map[string]string, error) {
	columns := map[string]string{}
	for _, m := range maps {
		field, column, ok := strings.Cut(m, "=")
		field, column = strings.TrimSpace(field), strings.TrimSpace(column)
		if !ok || field == "" || column == "" {
			return nil, usage("--map is field=COLUMN, such as email=3 or city=Town, not %q", m)
		}
		if _, twice := columns[field]; twice {
			return nil, usage("--map names the field %q twice", field)
		}
		columns[field] = column
	}
	return columns, nil
}

func (a *app) tellImport(rep contacts.Report, dry bool) error {
	out := importJSON{rep.Read, rep.Added, rep.Updated, rep.Unchanged, rep.Skipped, []problemJSON{}}
	for _, p := range rep.Problems {
		out.Problems = append(out.Problems, problemJSON{p.Row, p.Column, p.Value, a.reason(p.Reason)})
	}
	if a.json {
		if err := a.object(out); err != nil {
			return err
		}
	} else {
		would := ""
		if dry {
			would = " (nothing was changed)"
		}
		a.say("%s: %d added, %d updated, %d unchanged, %d skipped%s",
			plural(out.Read, "row", "rows"), out.Added, out.Updated, out.Unchanged, out.Skipped, would)
		for i, p := range out.Problems {
			a.say("  %s", problemLine(p, rep.Problems[i].Skipped))
		}
	}
	if rep.Read == rep.Skipped {
		return ended{exitFailed}
	}
	return nil
}

func problemLine(p problemJSON, skipped bool) string {
	var b strings.Builder
	if p.Row > 0 {
		b.WriteString("row " + number(p.Row))
	} else {
		b.WriteString("the file")
	}
	if p.Column != "" {
		b.WriteString(", " + p.Column)
	}
	b.WriteString(": " + p.Reason)
	if p.Value != "" {
		b.WriteString(" (" + p.Value + ")")
	}
	if skipped {
		b.WriteString("; skipped")
	}
	return oneLine(b.String())
}

package contacts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"postroom/assets/words"
	people "postroom/contacts"
	"postroom/post"
	"postroom/storage"
)

// role is what a column of a file becomes.
type role uint8

// The roles, in the order in which they are offered.
const (
	asAddress role = iota
	asName
	asField
	asNothing
)

// Column is one column of a file with what it becomes.
type Column struct {
	Header   string // as the file has it; empty: none
	Examples []string
	Role     role
	Field    string // with asField

	was      role // as it was recognised
	wasField string
}

// shownRows is how many of a file's rows are shown beside its columns.
const shownRows = 3

// Source is a file to import, as it was recognised and as the user wants it.
type Source struct {
	domains   *people.DomainCheck     // nil: no domain is asked
	onDomains func(done, total int64) // may be nil

	Path    string
	Preview people.Preview
	Columns []Column

	encoding, sheet, delimiter string // what the user chose; empty: as found
}

// inspect recognises a file. Where no column of addresses is found the user says
// which one it is, so that is no error here.
func inspect(ctx context.Context, l *storage.Ledger, s Source) (*Source, error) {
	o := s.options(l)
	o.Map, o.Leave = nil, nil
	pre, err := people.InspectAs(ctx, s.Path, o)
	lost := false
	var pe *post.Error
	if errors.As(err, &pe) && pe.Reason.Key == "contacts.no_address_column" {
		o.Map, lost = map[string]string{"email": "1"}, true
		pre, err = people.InspectAs(ctx, s.Path, o)
	}
	if err != nil {
		return nil, err
	}
	s.Preview, s.Columns = pre, columnsOf(pre)
	if lost {
		for i := range s.Columns {
			if c := &s.Columns[i]; c.Role == asAddress {
				c.Role, c.Field = asField, post.FieldName(c.title(i), nil)
			}
		}
	}
	return &s, nil
}

func columnsOf(pre people.Preview) []Column {
	m := pre.Mapping
	width := len(pre.Header)
	for _, r := range pre.First {
		width = max(width, len(r))
	}
	all := make([]Column, width)
	for i := range all {
		c := Column{Role: asNothing}
		if i < len(pre.Header) {
			c.Header = pre.Header[i]
		}
		for _, r := range pre.First[:min(shownRows, len(pre.First))] {
			v := ""
			if i < len(r) {
				v = r[i]
			}
			c.Examples = append(c.Examples, v)
		}
		switch i {
		case m.Address:
			c.Role = asAddress
		case m.Name:
			c.Role = asName
		}
		all[i] = c
	}
	for _, f := range m.Fields {
		if f.Column < width && all[f.Column].Role == asNothing {
			all[f.Column].Role, all[f.Column].Field = asField, f.Name
		}
	}
	for i := range all {
		all[i].was, all[i].wasField = all[i].Role, all[i].Field
	}
	return all
}

// title is what a column is called; those without a header are counted from 1.
func (c *Column) title(i int) string {
	if c.Header != "" {
		return c.Header
	}
	return "column " + strconv.Itoa(i+1)
}

// nameParts are the headers of the two columns that the name is put together of,
// where no column holds whole names.
func (s *Source) nameParts() []string {
	if slices.ContainsFunc(s.Columns, func(c Column) bool { return c.Role == asName }) {
		return nil
	}
	var parts []string
	for _, i := range []int{s.Preview.Mapping.First, s.Preview.Mapping.Last} {
		if i >= 0 && i < len(s.Columns) {
			parts = append(parts, s.Columns[i].Header)
		}
	}
	return parts
}

// set gives a column a role; one column is the address, and one the name at most.
func (s *Source) set(i int, r role, field string) {
	if r == asAddress || r == asName {
		for j := range s.Columns {
			if c := &s.Columns[j]; j != i && c.Role == r {
				c.Role, c.Field = asField, s.freeName(j, c.title(j))
			}
		}
	}
	c := &s.Columns[i]
	c.Role, c.Field = r, ""
	if r == asField {
		if field == "" {
			field = c.title(i)
		}
		c.Field = s.freeName(i, field)
	}
}

// freeName makes a field's name of a text, which no other column has.
func (s *Source) freeName(i int, text string) string {
	return post.FieldName(text, func(name string) bool {
		if name == "email" || name == "e_mail" || name == "name" { // they mean the address and the name
			return true
		}
		for j, c := range s.Columns {
			if j != i && c.Role == asField && c.Field == name {
				return true
			}
		}
		return false
	})
}

// ready reports whether it is said which column holds the addresses.
func (s *Source) ready() bool {
	return slices.ContainsFunc(s.Columns, func(c Column) bool { return c.Role == asAddress })
}

// options are those of the import. Columns are named only where the user changed
// something: then all of them are, and remembered for the next file.
func (s *Source) options(l *storage.Ledger) people.Options {
	o := people.Options{Encoding: s.encoding, Sheet: s.sheet, Delimiter: s.delimiter, Temp: tempFolder(l), Memory: l}
	changed := false
	for i := range s.Columns {
		c := &s.Columns[i]
		changed = changed || c.Role != c.was || c.Field != c.wasField
		if c.Role == asNothing {
			o.Leave = append(o.Leave, i)
		}
	}
	if !changed {
		return o
	}
	o.Map = map[string]string{}
	for i := range s.Columns {
		c := &s.Columns[i]
		switch c.Role {
		case asAddress:
			o.Map["email"] = s.columnKey(i)
		case asName:
			o.Map["name"] = s.columnKey(i)
		case asField:
			o.Map[c.Field] = s.columnKey(i)
		case asNothing:
		}
	}
	return o
}

// columnKey names a column to the import: by its header where that is the only
// one of its kind, else by number.
func (s *Source) columnKey(i int) string {
	h := s.Columns[i].Header
	same := 0
	for _, c := range s.Columns {
		if post.FoldText(c.Header) == post.FoldText(h) {
			same++
		}
	}
	if h != "" && same == 1 {
		return h
	}
	return strconv.Itoa(i + 1)
}

// mostProblems is how many problems are kept to be shown; a file of two million
// bad rows would fill the memory. All of them are in the file of skipped rows.
const mostProblems = 10_000

// Outcome is what an import did, or would do.
type Outcome struct {
	people.Report
	Problems []people.Problem
	More     int64  // problems that are not in Problems
	Skipped  string // a file with the rows that were not taken; empty: none
	Rows     int64  // in it
}

// drop removes the file of skipped rows.
func (o *Outcome) drop() {
	if o != nil && o.Skipped != "" {
		_ = os.Remove(o.Skipped) // a copy in the folder for such
	}
}

// carryOut imports a file, or with dry says what would happen. Where the source has
// Domains, they are asked whether the people's domains take mail.
func carryOut(ctx context.Context, l *storage.Ledger, w *words.Catalogue, s *Source, list, merge string, dry bool, tell func(rows, done, total int64)) (_ *Outcome, err error) {
	o := s.options(l)
	o.List, o.Merge, o.DryRun, o.Progress = list, merge, dry, tell
	o.Domains, o.OnDomains = s.domains, s.onDomains
	if err := os.MkdirAll(o.Temp, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for temporary files: %w", err)
	}
	f, err := os.CreateTemp(o.Temp, "skipped-*.csv")
	if err != nil {
		return nil, fmt.Errorf("make a temporary file: %w", err)
	}
	out := &Outcome{Skipped: f.Name()}
	defer func() {
		if err != nil {
			out.drop()
		}
	}()
	o.Skipped = &people.SkippedRows{W: f, Words: w.Reason}
	o.OnProblem = func(p people.Problem) {
		if len(out.Problems) == mostProblems {
			out.More++
			return
		}
		out.Problems = append(out.Problems, p)
	}
	out.Report, err = people.Import(ctx, l, s.Path, o)
	err = errors.Join(err, f.Close())
	if err != nil {
		return nil, err
	}
	if out.Rows = o.Skipped.Rows; out.Rows == 0 {
		out.drop()
		out.Skipped = ""
	}
	// Those that must be mended come first; of each kind by row.
	slices.SortStableFunc(out.Problems, func(a, b people.Problem) int {
		if a.Skipped != b.Skipped {
			if a.Skipped {
				return -1
			}
			return 1
		}
		return int(a.Row - b.Row)
	})
	return out, nil
}

// saveSkipped copies the file of skipped rows to where the user wants it.
func (o *Outcome) saveSkipped(path string) error {
	in, err := os.Open(o.Skipped)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// keepPaste puts what was pasted into a file, because an import reads it twice.
func keepPaste(l *storage.Ledger, text string) (path string, err error) {
	if strings.TrimSpace(text) == "" {
		return "", &post.Error{Kind: post.KindInvalid, Op: "paste", Message: "the clipboard holds no text", Reason: post.Reason{Key: "contacts.paste_empty"}}
	}
	dir := tempFolder(l)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(dir, "pasted-*.csv")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, bytes.NewReader([]byte(text)))
	return f.Name(), errors.Join(err, f.Close())
}

// problemLine says one problem in a line.
func problemLine(w *words.Catalogue, p people.Problem) string {
	line := w.T("contacts.row", p.Row) + ": " + w.Reason(p.Reason)
	if p.Value != "" {
		line += " (" + p.Value + ")"
	}
	return line
}

// listFor suggests the list's name for a file.
func listFor(path string) string {
	return strings.TrimSpace(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
}

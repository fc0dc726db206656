package contacts

import (
	"context"
	"errors"
	"io"
	"iter"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"postroom/post"
)

// Problem is one thing about a file that its owner should know.
type Problem struct {
	Row    int64  // as a spreadsheet numbers it; 0: the whole file
	Column string // its header, or its number from 1 where it has none; empty: the whole row
	Value  string // what stood there; cleaned and cut for showing
	Reason post.Reason
	// Skipped says that the row was not taken. Otherwise it was, as Reason says.
	Skipped bool
}

// row is one data row that can be taken.
type row struct {
	number  int64
	contact post.Contact // Address, Key, Name and Fields only
}

// pass is one reading of a sheet's data rows.
type pass struct {
	*sheet
	report   func(Problem)
	progress func(rows, done, total int64) // may be nil
	keep     *SkippedRows                  // may be nil
	// empties keeps fields without a value in Contact.Fields.
	empties bool

	roles   counted  // addresses of functions
	domains *domains // nil: nobody asks for them

	read, skipped int64 // data rows
	complete      bool  // the end was reached and the file is still the same
}

// checkEvery is how many rows go by between looks at the context.
const checkEvery = 1024

// rows yields what can be taken, in order; at most once an error, as the last.
// Reading again starts from the front.
func (p *pass) rows(ctx context.Context) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		p.read, p.skipped, p.complete, p.roles = 0, 0, false, counted{}
		if err := p.each(ctx, yield); err != nil {
			yield(row{}, asRefusal(p.path, err))
		}
	}
}

// errStop says that the consumer has had enough.
var errStop = errors.New("stopped by the consumer")

func (p *pass) each(ctx context.Context, yield func(row, error) bool) error {
	r, err := p.scan()
	if err != nil {
		return err
	}
	defer r.Close()
	if p.guessed {
		p.report(Problem{Value: string(p.charset), Reason: post.Reason{Key: "contacts.charset_guessed", Args: []string{string(p.charset)}}})
	}
	if p.remembered {
		p.report(Problem{Reason: post.Reason{Key: "contacts.map_remembered"}})
	}
	for n := 0; ; n++ {
		if n%checkEvery == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			p.tell(r)
		}
		rec, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = p.record(rec, yield)
		}
		if errors.Is(err, errStop) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	if err := r.unchanged(); err != nil {
		return err
	}
	p.complete = true
	p.hints()
	p.tell(r)
	return nil
}

func (p *pass) tell(r records) {
	if p.progress != nil {
		p.progress(p.read, r.progress(), p.info.Size())
	}
}

func (p *pass) record(rec record, yield func(row, error) bool) error {
	lost := rec.flaw == flawLong || rec.flaw == flawQuote
	if rec.row == p.headerRow || !lost && isBlankRecord(rec.cells) {
		return nil
	}
	if usedWidth(rec.cells) > MaxColumns {
		return tooManyColumns(rec.row)
	}
	if p.read++; p.read > MaxRows {
		return refuse("contacts.too_many_rows", "the file has more than 2,000,000 rows", strconv.Itoa(MaxRows))
	}
	c, ok := p.contact(rec)
	if !ok {
		p.skipped++
		return nil
	}
	if !yield(row{rec.row, c}, nil) {
		return errStop
	}
	return nil
}

// contact makes a person of a record, or reports why not.
func (p *pass) contact(rec record) (post.Contact, bool) {
	if why := wholeRow(rec); why.Key != "" {
		p.skip(rec, -1, rec.start, why.Key, why.Args...)
		return post.Contact{}, false
	}
	for col, c := range rec.cells {
		if len(c) > maxCell {
			p.skip(rec, col, c, "contacts.cell_too_long", strconv.Itoa(maxCell>>10))
			return post.Contact{}, false
		}
	}
	address := p.cell(rec, p.mapping.Address)
	beside, a, why := parseAddressCell(address)
	if !why.IsZero() {
		p.skip(rec, p.mapping.Address, address, why.Key, why.Args...)
		return post.Contact{}, false
	}
	c := post.Contact{Address: a.String(), Key: post.AddressKey(a)}
	if rec.flaw == flawOdd {
		p.note(rec, -1, strings.Join(rec.cells, string(rune(p.delim))), "contacts.quote_odd")
	}
	p.hint(rec, a)
	c.Name = p.name(rec, beside, c.Key)
	c.Fields = p.fields(rec)
	p.extra(rec)
	return c, true
}

func wholeRow(rec record) post.Reason {
	switch rec.flaw {
	case flawLong:
		return post.Reason{Key: "contacts.row_too_long", Args: []string{strconv.Itoa(maxRecord >> 20)}}
	case flawQuote:
		return post.Reason{Key: "contacts.quote_open"}
	}
	return post.Reason{}
}

// cell returns a column's value, trimmed and without the mark against formulas.
func (p *pass) cell(rec record, col int) string {
	if col < 0 || col >= len(rec.cells) {
		return ""
	}
	if p.kind != kindText { // a text cell of a workbook is text, whatever it begins with
		return trimCell(rec.cells[col])
	}
	return trimCell(unescapeCell(trimCell(rec.cells[col])))
}

// name takes the name column, else given and family name, else what stood
// beside the address.
func (p *pass) name(rec record, beside, key string) string {
	name := p.line(rec, p.mapping.Name)
	if name == "" {
		name = joinName(p.line(rec, p.mapping.First), p.line(rec, p.mapping.Last))
	}
	col := p.mapping.Name
	if name == "" {
		col = p.mapping.Address
		clean, dirty := cleanLineCell(trimCell(beside))
		p.checkCleaned(rec, col, beside, dirty)
		name = clean
	}
	if short, cut := cutName(name); cut {
		p.note(rec, col, name, "contacts.name_cut", strconv.Itoa(maxNameRunes))
		name = short
	}
	if strings.Contains(name, "@") {
		if a, err := post.ParseAddress(name); err == nil {
			if post.AddressKey(a) == key {
				return "" // the address again is no name
			}
			p.note(rec, col, name, "contacts.name_is_address")
		}
	}
	return name
}

// line returns a cell for one line, and reports what was cleaned.
func (p *pass) line(rec record, col int) string {
	raw := p.cell(rec, col)
	clean, dirty := cleanLineCell(raw)
	p.checkCleaned(rec, col, raw, dirty)
	return clean
}

func (p *pass) fields(rec record) map[string]string {
	if len(p.mapping.Fields) == 0 {
		return nil
	}
	values := make(map[string]string, len(p.mapping.Fields))
	for _, f := range p.mapping.Fields {
		raw := p.cell(rec, f.Column)
		clean, dirty := cleanTextCell(raw)
		if f.Column != p.mapping.First && f.Column != p.mapping.Last || p.mapping.Name >= 0 { // those were reported as the name
			p.checkCleaned(rec, f.Column, raw, dirty)
		}
		if clean != "" || p.empties {
			values[f.Name] = clean
		}
	}
	return values
}

func (p *pass) checkCleaned(rec record, col int, raw string, dirty bool) {
	if dirty {
		p.note(rec, col, raw, "contacts.cleaned")
	}
	if !isPlain(raw) && strings.ContainsRune(raw, utf8.RuneError) {
		p.note(rec, col, raw, "contacts.damaged")
	}
}

// extra reports cells to the right of all columns: they go nowhere.
func (p *pass) extra(rec record) {
	used := usedWidth(rec.cells)
	if used <= p.width {
		return
	}
	p.report(Problem{
		Row: rec.row, Column: strconv.Itoa(p.width + 1),
		Value:  show(strings.Join(rec.cells[p.width:used], string(rune(p.delim)))),
		Reason: post.Reason{Key: "contacts.extra_cells", Args: []string{strconv.Itoa(used - p.width)}},
	})
}

func (p *pass) skip(rec record, col int, value, key string, args ...string) {
	why := post.Reason{Key: key, Args: args}
	p.report(Problem{Row: rec.row, Column: p.label(col), Value: show(value), Reason: why, Skipped: true})
	if p.keep != nil {
		p.keep.add(p.sheet, rec, why)
	}
}

func (p *pass) note(rec record, col int, value, key string, args ...string) {
	p.report(Problem{Row: rec.row, Column: p.label(col), Value: show(value), Reason: post.Reason{Key: key, Args: args}})
}

// label names a column as the file does.
func (s *sheet) label(col int) string {
	switch {
	case col < 0:
		return ""
	case col < len(s.header) && s.header[col] != "":
		return s.header[col]
	}
	return strconv.Itoa(col + 1)
}

// joinName puts a given and a family name together: with a space between, and
// where both are Chinese characters the family name first, without one.
func joinName(first, last string) string {
	switch {
	case first == "":
		return last
	case last == "":
		return first
	case isHan(first) && isHan(last):
		return last + first
	}
	return first + " " + last
}

func isHan(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !unicode.Is(unicode.Han, r) }) < 0
}

package contacts

import (
	"context"
	"errors"
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
	err = eachBatch(ctx, r, p.sheet, p.empties, func(b *batch) error {
		p.tell(b.progress)
		for i := range b.made {
			if err := p.take(&b.made[i], yield); err != nil {
				return err
			}
		}
		return b.err
	})
	if errors.Is(err, errStop) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.unchanged(); err != nil {
		return err
	}
	p.complete = true
	p.hints()
	p.tell(r.progress())
	return nil
}

func (p *pass) tell(done int64) {
	if p.progress != nil {
		p.progress(p.read, done, p.info.Size())
	}
}

// take counts what was made of a record, says what there is to say about it, and
// gives the person away.
func (p *pass) take(m *made, yield func(row, error) bool) error {
	if m.nothing {
		return nil
	}
	if m.refused != nil {
		return m.refused
	}
	if p.read++; p.read > MaxRows {
		return refuse("contacts.too_many_rows", "the file has more than 2,000,000 rows", strconv.Itoa(MaxRows))
	}
	for _, n := range m.notes {
		p.report(n)
	}
	if !m.skipped.IsZero() {
		p.skipped++
		if p.keep != nil {
			p.keep.add(p.sheet, m.record, m.skipped)
		}
		return nil
	}
	if m.role {
		p.roles.meet(m.row, m.contact.Address)
	}
	if p.domains != nil {
		p.domains.meet(m.domain, m.row)
	}
	if !yield(row{m.row, m.contact}, nil) {
		return errStop
	}
	return nil
}

// made is what a record becomes: nothing, a refusal of the whole file, a reason to
// skip it, or a person. It is made apart from all other records.
type made struct {
	*sheet
	record
	empties bool

	nothing bool
	refused error
	skipped post.Reason
	contact post.Contact // Address, Key, Name and Fields only
	role    bool         // the address is of a function
	domain  string       // of the address, in ASCII form
	notes   []Problem
}

// make looks at the record.
func (m *made) make() {
	lost := m.flaw == flawLong || m.flaw == flawQuote
	switch {
	case m.row == m.headerRow || !lost && isBlankRecord(m.cells):
		m.nothing = true
	case usedWidth(m.cells) > MaxColumns:
		m.refused = tooManyColumns(m.row)
	default:
		m.person()
	}
}

// person makes a person of the record, or notes why not.
func (m *made) person() {
	if why := wholeRow(m.record); why.Key != "" {
		m.skip(-1, m.start, why.Key, why.Args...)
		return
	}
	for col, c := range m.cells {
		if len(c) > maxCell {
			m.skip(col, c, "contacts.cell_too_long", strconv.Itoa(maxCell>>10))
			return
		}
	}
	address := m.cell(m.mapping.Address)
	var beside string
	a, key, plain := post.ParsePlain(address)
	if plain {
		m.contact.Address, m.contact.Key = address, key
	} else {
		var why post.Reason
		if beside, a, why = parseAddressCell(address); !why.IsZero() {
			m.skip(m.mapping.Address, address, why.Key, why.Args...)
			return
		}
		m.contact.Address, m.contact.Key = a.String(), post.AddressKey(a)
	}
	if m.flaw == flawOdd {
		m.note(-1, strings.Join(m.cells, string(rune(m.delim))), "contacts.quote_odd")
	}
	m.hint(a)
	m.contact.Name = m.name(beside, m.contact.Key)
	m.contact.Fields = m.fields()
	m.extra()
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
func (m *made) cell(col int) string {
	if col < 0 || col >= len(m.cells) {
		return ""
	}
	if m.kind != kindText { // a text cell of a workbook is text, whatever it begins with
		return trimCell(m.cells[col])
	}
	return trimCell(unescapeCell(trimCell(m.cells[col])))
}

// name takes the name column, else given and family name, else what stood
// beside the address.
func (m *made) name(beside, key string) string {
	name := m.line(m.mapping.Name)
	if name == "" {
		name = joinName(m.line(m.mapping.First), m.line(m.mapping.Last))
	}
	col := m.mapping.Name
	if name == "" {
		col = m.mapping.Address
		clean, dirty := cleanLineCell(trimCell(beside))
		m.checkCleaned(col, beside, dirty)
		name = clean
	}
	if short, cut := cutName(name); cut {
		m.note(col, name, "contacts.name_cut", strconv.Itoa(maxNameRunes))
		name = short
	}
	if strings.Contains(name, "@") {
		if a, err := post.ParseAddress(name); err == nil {
			if post.AddressKey(a) == key {
				return "" // the address again is no name
			}
			m.note(col, name, "contacts.name_is_address")
		}
	}
	return name
}

// line returns a cell for one line, and reports what was cleaned.
func (m *made) line(col int) string {
	raw := m.cell(col)
	if isClean(raw) {
		return raw
	}
	clean, dirty := cleanLineCell(raw)
	m.checkCleaned(col, raw, dirty)
	return clean
}

func (m *made) fields() map[string]string {
	if len(m.mapping.Fields) == 0 {
		return nil
	}
	values := make(map[string]string, len(m.mapping.Fields))
	for _, f := range m.mapping.Fields {
		raw := m.cell(f.Column)
		clean := raw
		if !isClean(raw) {
			var dirty bool
			clean, dirty = cleanTextCell(raw)
			if f.Column != m.mapping.First && f.Column != m.mapping.Last || m.mapping.Name >= 0 { // those were reported as the name
				m.checkCleaned(f.Column, raw, dirty)
			}
		}
		if clean != "" || m.empties {
			values[f.Name] = clean
		}
	}
	return values
}

func (m *made) checkCleaned(col int, raw string, dirty bool) {
	if dirty {
		m.note(col, raw, "contacts.cleaned")
	}
	if strings.ContainsRune(raw, utf8.RuneError) {
		m.note(col, raw, "contacts.damaged")
	}
}

// extra reports cells to the right of all columns: they go nowhere.
func (m *made) extra() {
	used := usedWidth(m.cells)
	if used <= m.width {
		return
	}
	m.notes = append(m.notes, Problem{
		Row: m.row, Column: strconv.Itoa(m.width + 1),
		Value:  show(strings.Join(m.cells[m.width:used], string(rune(m.delim)))),
		Reason: post.Reason{Key: "contacts.extra_cells", Args: []string{strconv.Itoa(used - m.width)}},
	})
}

func (m *made) skip(col int, value, key string, args ...string) {
	m.note(col, value, key, args...)
	last := &m.notes[len(m.notes)-1]
	last.Skipped, m.skipped = true, last.Reason
}

func (m *made) note(col int, value, key string, args ...string) {
	m.notes = append(m.notes, Problem{Row: m.row, Column: m.label(col), Value: show(value), Reason: post.Reason{Key: key, Args: args}})
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

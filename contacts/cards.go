package contacts

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
	"mime/quotedprintable"
	"slices"
	"strconv"
	"strings"
)

// maxEmails is how many addresses of one card are kept: the first is the
// person's, the others are fields.
const maxEmails = 5

// cardColumns are the columns that a vCard is laid out in, in this order.
var cardColumns = append([]string{fieldEmail, fieldName, "first_name", "last_name"},
	"email_2", "email_3", "email_4", "email_5", "phone", "mobile", "company", "title", "street", "city", "region", "zip", "country", "birthday", "website", "note", "categories")

// isCards recognises a vCard file.
func isCards(text []byte) bool {
	front := strings.TrimLeftFunc(string(text[:min(len(text), 4096)]), isBlank)
	return len(front) >= 11 && strings.EqualFold(front[:11], "begin:vcard")
}

// openCards reads the file through for the columns that its cards need.
func (s *sheet) openCards() ([]sampleRow, error) {
	r, err := s.read()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	sc := newCardScanner(r, cardColumns)
	used := make([]bool, len(cardColumns))
	used[0], used[1] = true, true // the address and the name
	var rows []sampleRow
	for {
		rec, err := sc.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		for i, c := range rec.cells {
			used[i] = used[i] || c != ""
		}
		if len(rows) < sniffRecords && len(rec.cells) > 0 {
			rows = append(rows, sampleRow{rec.row, slices.Clone(rec.cells)})
		}
	}
	for i, c := range cardColumns {
		if used[i] {
			s.cards = append(s.cards, c)
		}
	}
	for n, row := range rows {
		var cells []string
		for i, c := range row.cells {
			if used[i] {
				cells = append(cells, cleanHeader(c))
			}
		}
		rows[n].cells = cells
	}
	return rows, nil
}

// cardScanner reads vCards 2.1 (with its QUOTED-PRINTABLE and CHARSET), 3.0
// (RFC 2426) and 4.0 (RFC 6350), one card a record; its row is the line where
// the card begins. Lines that are none are passed over, as in all versions
// unknown properties are. A card that does not end before the next one begins
// is a record by itself.
type cardScanner struct {
	r       *bufio.Reader
	columns []string
	line    int64
	held    *string // a line that was read too far
	heldRow int64
}

func newCardScanner(r io.Reader, columns []string) *cardScanner {
	return &cardScanner{r: bufio.NewReaderSize(r, 64<<10), columns: columns}
}

func (c *cardScanner) next() (record, error) {
	var p *cardParts
	rec := record{}
	size := 0
	for {
		prop, row, err := c.property()
		if errors.Is(err, io.EOF) && p != nil { // the last card has no end
			return c.finish(rec, p, size), nil
		}
		if err != nil {
			return record{}, err
		}
		size += len(prop)
		name, params, value := splitProperty(prop)
		switch {
		case name == "BEGIN" && strings.EqualFold(trimCell(value), "vcard"):
			if p != nil {
				c.held, c.heldRow = &prop, row
				return c.finish(rec, p, size), nil
			}
			p, rec.row, size = &cardParts{values: map[string]string{}}, row, 0
		case p == nil:
		case name == "END" && strings.EqualFold(trimCell(value), "vcard"):
			return c.finish(rec, p, size), nil
		case size <= maxRecord:
			p.take(name, params, value)
		}
	}
}

func (c *cardScanner) finish(rec record, p *cardParts, size int) record {
	if size > maxRecord && len(p.emails) == 0 { // a picture may be that long; the person is taken all the same
		return record{row: rec.row, flaw: flawLong, start: p.values[fieldName]}
	}
	p.order()
	for _, col := range c.columns {
		rec.cells = append(rec.cells, trimCell(p.values[col]))
	}
	return rec
}

// property reads one unfolded line: a line that begins with white space goes on
// with the one before, and one of quoted-printable text that ends with "=" does
// not end there. What is longer than a record is cut: it is a picture.
func (c *cardScanner) property() (string, int64, error) {
	line, row, err := c.rawLine()
	if err != nil {
		return "", 0, err
	}
	head, _, _ := strings.Cut(line, ":")
	soft := strings.Contains(strings.ToUpper(head), "QUOTED-PRINTABLE")
	for {
		if soft && strings.HasSuffix(line, "=") {
			next, _, err := c.rawLine()
			if errors.Is(err, io.EOF) {
				return line, row, nil
			}
			if err != nil {
				return "", 0, err
			}
			line = joinCapped(line, "\r\n"+next)
			continue
		}
		next, err := c.r.Peek(1)
		if c.held != nil || err != nil || next[0] != ' ' && next[0] != '\t' {
			return line, row, nil // an error comes again when the next line is read
		}
		folded, _, err := c.rawLine()
		if err != nil {
			return "", 0, err
		}
		if trimCell(folded) == "" { // some programs put an empty line behind a picture
			return line, row, nil
		}
		line = joinCapped(line, folded[1:])
	}
}

func joinCapped(a, b string) string {
	if len(a) > maxRecord {
		return a
	}
	return a + b
}

func (c *cardScanner) rawLine() (string, int64, error) {
	if c.held != nil {
		line := *c.held
		c.held = nil
		return line, c.heldRow, nil
	}
	var b []byte
	for {
		part, err := c.r.ReadSlice('\n')
		if len(b) <= maxRecord {
			b = append(b, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(b) > 0:
		case err != nil:
			return "", 0, err
		}
		c.line++
		return strings.TrimRight(string(b), "\r\n"), c.line, nil
	}
}

// splitProperty takes "item1.EMAIL;TYPE=work:a@b" apart. A colon within
// quotation marks belongs to a parameter.
func splitProperty(line string) (name string, params []string, value string) {
	quoted := false
	colon := strings.IndexFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ':' && !quoted
	})
	if colon < 0 {
		return "", nil, ""
	}
	parts := strings.Split(line[:colon], ";")
	name = parts[0]
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		name = name[dot+1:]
	}
	return strings.ToUpper(trimCell(name)), parts[1:], line[colon+1:]
}

// cardParts are the values of one card so far, by column.
type cardParts struct {
	values map[string]string
	emails []cardEmail
}

type cardEmail struct {
	address   string
	preferred int // less is better
}

func (p *cardParts) take(name string, params []string, value string) {
	value = decodeValue(params, value)
	switch name {
	case "EMAIL":
		if v := trimCell(unescapeValue(value)); v != "" && len(p.emails) < maxEmails {
			p.emails = append(p.emails, cardEmail{v, preference(params)})
		}
	case "FN":
		p.set(fieldName, unescapeValue(value))
	case "N":
		parts := splitValue(value, ';', 5)
		p.set("last_name", parts[0])
		p.set("first_name", parts[1])
	case "TEL":
		if hasType(params, "cell") {
			p.set("mobile", strings.TrimPrefix(unescapeValue(value), "tel:"))
		} else if !hasType(params, "fax") {
			p.set("phone", strings.TrimPrefix(unescapeValue(value), "tel:"))
		}
	case "ADR":
		parts := splitValue(value, ';', 7)
		if p.values["street"]+p.values["city"]+p.values["zip"] == "" {
			for i, col := range []string{"street", "city", "region", "zip", "country"} {
				p.set(col, parts[i+2])
			}
		}
	case "ORG":
		p.set("company", splitValue(value, ';', 1)[0])
	default:
		if col := map[string]string{"TITLE": "title", "BDAY": "birthday", "URL": "website", "NOTE": "note", "CATEGORIES": "categories"}[name]; col != "" {
			p.set(col, unescapeValue(value))
		}
	}
}

// set keeps the first value of each kind.
func (p *cardParts) set(column, value string) {
	if p.values[column] == "" {
		p.values[column] = value
	}
}

// order puts the preferred address first and gives the card a name.
func (p *cardParts) order() {
	slices.SortStableFunc(p.emails, func(a, b cardEmail) int { return a.preferred - b.preferred })
	for i, e := range p.emails {
		col := fieldEmail
		if i > 0 {
			col += "_" + strconv.Itoa(i+1)
		}
		p.values[col] = e.address
	}
	if p.values[fieldName] == "" {
		p.values[fieldName] = joinName(trimCell(p.values["first_name"]), trimCell(p.values["last_name"]))
	}
}

// preference is 1 for the best (RFC 6350 5.3), 101 without a word.
func preference(params []string) int {
	if hasType(params, "pref") {
		return 1
	}
	for _, s := range params {
		if k, v, _ := strings.Cut(s, "="); strings.EqualFold(k, "pref") {
			if n, err := strconv.Atoi(strings.Trim(v, `"`)); err == nil && n >= 1 && n <= 100 {
				return n
			}
		}
	}
	return 101
}

// hasType looks for "TYPE=work,pref", "type=pref" and the bare "PREF" of 2.1.
func hasType(params []string, want string) bool {
	for _, s := range params {
		k, v, has := strings.Cut(s, "=")
		if !has {
			v = k
		} else if !strings.EqualFold(k, "type") {
			continue
		}
		for t := range strings.SplitSeq(strings.Trim(v, `"`), ",") {
			if strings.EqualFold(strings.Trim(t, `"`), want) {
				return true
			}
		}
	}
	return false
}

// decodeValue undoes the encodings of 2.1 and 3.0. What is damaged stays as it was.
func decodeValue(params []string, value string) string {
	var raw []byte
	cs := ""
	for _, s := range params {
		k, v, has := strings.Cut(s, "=")
		if !has {
			v = k
		}
		switch {
		case strings.EqualFold(k, "charset"):
			cs = strings.Trim(v, `"`)
		case strings.EqualFold(v, "quoted-printable"):
			if b, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(value))); err == nil {
				raw = b
			}
		case strings.EqualFold(v, "base64"), strings.EqualFold(v, "b"):
			if b, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(value, " ", "")); err == nil && len(b) <= maxCell {
				raw = b
			}
		}
	}
	if raw == nil {
		return value
	}
	if c, ok := findCharset(cs); ok && encodings[c] != nil {
		if b, err := encodings[c].NewDecoder().Bytes(raw); err == nil {
			raw = b
		}
	}
	return strings.ToValidUTF8(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\uFFFD")
}

// splitValue splits a structured value at sep and pads it to n parts; a
// backslash takes the meaning from what follows.
func splitValue(value string, sep byte, n int) []string {
	var parts []string
	from := 0
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '\\':
			i++
		case sep:
			parts = append(parts, unescapeValue(value[from:i]))
			from = i + 1
		}
	}
	parts = append(parts, unescapeValue(value[from:]))
	for len(parts) < n {
		parts = append(parts, "")
	}
	return parts
}

func unescapeValue(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\N`, "\n", `\,`, ",", `\;`, ";", `\:`, ":").Replace(s)
}

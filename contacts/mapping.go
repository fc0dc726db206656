package contacts

import (
	"slices"
	"strconv"
	"strings"

	"postroom/post"
)

// Names that a field cannot have, because they are a contact's own.
const (
	fieldEmail = "email"
	fieldName  = "name"
)

// Mapping says what the columns of a file are. Columns count from 0; -1 is none.
type Mapping struct {
	Address int
	Name    int // whole names
	// First and Last are joined to a name where Name is -1. They stay fields too.
	First, Last int
	Fields      []Field
}

// Field is one column that becomes a contact's field.
type Field struct {
	Name   string // a post.FieldName, unique within the mapping
	Column int
}

// FieldNames returns the fields' names in the order of their columns.
func (m Mapping) FieldNames() []string {
	names := make([]string, 0, len(m.Fields))
	for _, f := range m.Fields {
		names = append(names, f.Name)
	}
	return names
}

// newMapping recognises columns by their header, then by the rows below, and
// lets overrides (field -> header or number from 1) have the last word.
func newMapping(header []string, width int, rows [][]string, overrides map[string]string) (Mapping, error) {
	m := Mapping{Address: -1, Name: -1, First: -1, Last: -1}
	wanted, err := readOverrides(header, width, overrides)
	if err != nil {
		return m, err
	}
	recognised := columns{header: header, width: width, rows: rows}
	if col, ok := wanted[fieldEmail]; ok {
		m.Address = col
	} else if m.Address = recognised.address(); m.Address < 0 {
		return m, refuse("contacts.no_address_column", "no column with e-mail addresses was found; say which one it is with --map email=COLUMN")
	}
	if col, ok := wanted[fieldName]; ok {
		m.Name = col
	} else {
		m.Name, m.First, m.Last = recognised.names(m.Address)
	}
	m.Fields = fields(header, width, m, wanted)
	return m, nil
}

// readOverrides resolves --map field=COLUMN.
func readOverrides(header []string, width int, overrides map[string]string) (map[string]int, error) {
	wanted := make(map[string]int, len(overrides))
	for _, field := range sortedKeys(overrides) {
		column := strings.TrimSpace(overrides[field])
		name := post.FieldName(field, nil)
		if strings.TrimSpace(field) == "" || column == "" {
			return nil, refuse("contacts.bad_map", "a column is mapped as field=COLUMN, such as email=2 or city=Town", field+"="+column)
		}
		if name == "e_mail" {
			name = fieldEmail
		}
		if _, twice := wanted[name]; twice {
			return nil, refuse("contacts.map_twice", "the field "+name+" is mapped twice", name)
		}
		col := findColumn(header, width, column)
		if col < 0 {
			return nil, refuse("contacts.no_such_column", "the file has no column "+strconv.Quote(column), column)
		}
		wanted[name] = col
	}
	return wanted, nil
}

// findColumn looks for a header first, without regard to case, then for a number.
func findColumn(header []string, width int, column string) int {
	for i, h := range header {
		if h != "" && post.FoldText(h) == post.FoldText(cleanHeader(column)) {
			return i
		}
	}
	if n, err := strconv.Atoi(column); err == nil && n >= 1 && n <= width {
		return n - 1
	}
	return -1
}

// fields names the columns that are not the address or the name. Mapped ones
// have their name first; the others give way.
func fields(header []string, width int, m Mapping, wanted map[string]int) []Field {
	taken := map[string]bool{fieldEmail: true, fieldName: true}
	var all []Field
	named := make(map[int]bool)
	for _, name := range sortedKeys(wanted) {
		named[wanted[name]] = true
		if taken[name] {
			continue
		}
		taken[name] = true
		all = append(all, Field{Name: name, Column: wanted[name]})
	}
	for col := range width {
		if col == m.Address || col == m.Name || named[col] || col < len(header) && header[col] == problemColumn {
			continue
		}
		label := "column " + strconv.Itoa(col+1)
		if col < len(header) && header[col] != "" {
			label = header[col]
		}
		name := post.FieldName(label, func(s string) bool { return taken[s] })
		taken[name] = true
		all = append(all, Field{Name: name, Column: col})
	}
	slices.SortStableFunc(all, func(a, b Field) int { return a.Column - b.Column })
	return all
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// columns is what recognition looks at.
type columns struct {
	header []string
	width  int
	rows   [][]string
}

// address returns the column of addresses: the first whose header says so,
// else the first whose header sounds so and that holds one, else by content.
func (c columns) address() int {
	for i, h := range c.header {
		if emailWords[headerWord(h)] {
			return i
		}
	}
	for i, h := range c.header {
		if soundsLikeEmail(headerWord(h)) && c.addresses(i) > 0 {
			return i
		}
	}
	best, most := -1, 0
	for i := range c.width {
		if n := c.addresses(i); n > most {
			best, most = i, n
		}
	}
	return best
}

// addresses counts the cells of a column that are one, and a thousandth for
// those that only look so: a column of nothing but broken ones is still the one.
func (c columns) addresses(col int) int {
	n := 0
	for _, r := range c.rows {
		switch {
		case col >= len(r):
		case isAddressCell(r[col]):
			n += 1000
		case strings.Contains(r[col], "@"):
			n++
		}
	}
	return n
}

// names returns the column of whole names, or those of given and family name.
// Some words mean either: "Name" beside "Vorname" is a family name, "Nombre"
// beside "Apellidos" a given one.
func (c columns) names(address int) (name, first, last int) {
	name, first, last = c.find(nameWords, address), c.find(firstWords, address), c.find(lastWords, address)
	if name >= 0 && first == name { // "имя", "imię", "名"
		first = -1
	}
	switch {
	case c.isExport():
		return name, -1, -1
	case name < 0:
		return -1, first, last
	}
	word := headerWord(c.header[name])
	switch {
	case last >= 0 && first < 0 && firstIfLast[word] && !c.contains(name, last):
		return -1, name, last
	case first >= 0 && last < 0 && lastIfFirst[word] && !c.contains(name, first):
		return -1, first, name
	}
	return name, first, last
}

func (c columns) find(set map[string]bool, not int) int {
	for i, h := range c.header {
		if i != not && set[headerWord(h)] {
			return i
		}
	}
	return -1
}

// isExport reports the header that Export writes, which means what it says: a
// person without a name has none, whatever the fields are called.
func (c columns) isExport() bool {
	return len(c.header) >= 2 && c.header[0] == fieldEmail && c.header[1] == fieldName
}

// contains reports whether the whole column holds the part in more rows than not.
func (c columns) contains(whole, part int) bool {
	yes, no := 0, 0
	for _, r := range c.rows {
		if whole >= len(r) || part >= len(r) || r[whole] == "" || r[part] == "" {
			continue
		}
		if strings.Contains(post.FoldText(r[whole]), post.FoldText(r[part])) {
			yes++
		} else {
			no++
		}
	}
	return yes > no
}

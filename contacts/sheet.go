package contacts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
)

const (
	sniffRecords = 200
	delimiters   = ",;\t|" // in the order in which they win a draw
)

// sheet is a source whose form was recognised: delimiter, header and columns.
type sheet struct {
	*source
	delim     byte
	separator bool     // the first line is Excel's "sep=;" and no row
	header    []string // cleaned, one per column; nil for none
	headerRow int64    // its number; 0 for none
	width     int      // columns that are named or held data in the sample
	mapping   Mapping
	first     [][]string // data rows of the sample

	list       string   // the separators of a plain list of addresses; empty for a table
	page       string   // the sheet of a workbook
	pages      []string // all visible ones
	cards      []string // the properties that the file's vCards have, by header
	temp       string   // where a workbook may be unpacked
	remembered bool     // the mapping is the one that was given the last time
}

// openSheet recognises a file.
func openSheet(ctx context.Context, path string, o Options) (*sheet, error) {
	src, err := openSource(ctx, path, o)
	if err != nil {
		return nil, err
	}
	s := &sheet{source: src, delim: ',', temp: o.Temp}
	var rows []sampleRow
	if src.kind == kindBook {
		rows, err = s.openBook(o.Sheet)
	} else {
		rows, err = s.openText(len(o.Map) > 0, o.Delimiter)
	}
	if err != nil {
		return nil, asRefusal(path, err)
	}
	if err := s.recognise(rows); err != nil {
		return nil, err
	}
	overrides := o.Map
	if len(overrides) == 0 && o.Memory != nil {
		if overrides, err = recall(ctx, o.Memory, s.header); err != nil {
			return nil, err
		}
		s.remembered = len(overrides) > 0
	}
	s.mapping, err = newMapping(s.header, s.width, s.first, overrides)
	if err != nil && s.remembered { // it was for another file with this header
		s.remembered = false
		s.mapping, err = newMapping(s.header, s.width, s.first, nil)
	}
	s.mapping.Fields = slices.DeleteFunc(s.mapping.Fields, func(f Field) bool { return slices.Contains(o.Leave, f.Column) })
	return s, err
}

// openText finds the form of a text file. mapped says that somebody named its
// columns, so that it is a table; a chosen delimiter says so, too.
func (s *sheet) openText(mapped bool, delimiter string) ([]sampleRow, error) {
	text, whole, err := s.sample()
	if err != nil {
		return nil, err
	}
	if err := checkText(text); err != nil {
		return nil, err
	}
	if isCards(text) {
		s.kind = kindCards
		return s.openCards()
	}
	if len(delimiter) == 1 {
		s.delim = delimiter[0]
		if _, rest, ok := cutSeparator(text); ok {
			s.separator, text = true, rest
		}
		return sampleRows(text, s.delim, whole), nil
	}
	if sep := plainSeparators(text); sep != "" && !mapped {
		s.list = sep
		return sampleRecords(newPlainScanner(bytes.NewReader(text), sep), whole), nil
	}
	if delim, rest, ok := cutSeparator(text); ok {
		s.delim, s.separator = delim, true
		return sampleRows(rest, delim, whole), nil
	}
	var rows []sampleRow
	s.delim, rows = sniff(text, whole)
	return rows, nil
}

// cutSeparator takes the line off by which Excel is told the delimiter.
func cutSeparator(text []byte) (delim byte, rest []byte, ok bool) {
	if len(text) < 6 || !strings.EqualFold(string(text[:4]), "sep=") || strings.IndexByte(delimiters, text[4]) < 0 {
		return 0, nil, false
	}
	switch rest = text[5:]; {
	case bytes.HasPrefix(rest, []byte("\r\n")):
		return text[4], rest[2:], true
	case rest[0] == '\n', rest[0] == '\r':
		return text[4], rest[1:], true
	}
	return 0, nil, false
}

// sampleRow is one row of the sample that is not blank; cells are cleaned.
type sampleRow struct {
	row   int64
	cells []string
}

// sampleRows reads the first rows. Where the sample ends within the file, its
// last row may be half a row and is left out.
func sampleRows(text []byte, delim byte, whole bool) []sampleRow {
	return sampleRecords(newScanner(bytes.NewReader(text), delim), whole)
}

func sampleRecords(sc interface{ next() (record, error) }, whole bool) []sampleRow {
	var rows []sampleRow
	for len(rows) < sniffRecords {
		rec, err := sc.next()
		if err != nil { // only io.EOF: the text is in memory
			if !whole && len(rows) > 1 {
				rows = rows[:len(rows)-1]
			}
			break
		}
		if rec.flaw == flawLong || rec.flaw == flawQuote || isBlankRecord(rec.cells) {
			continue
		}
		cells := make([]string, 0, len(rec.cells))
		for _, c := range rec.cells[:usedWidth(rec.cells)] {
			cells = append(cells, cleanHeader(c))
		}
		rows = append(rows, sampleRow{rec.row, cells})
	}
	return rows
}

// sniff finds the delimiter: the one that leaves an address or a known header
// alone in a cell in most rows, and gives most rows the same number of cells.
func sniff(text []byte, whole bool) (byte, []sampleRow) {
	var best byte
	var bestRows []sampleRow
	bestScore := -1.0
	for i := range len(delimiters) {
		rows := sampleRows(text, delimiters[i], whole)
		if score := formScore(rows); score > bestScore+1e-9 {
			best, bestRows, bestScore = delimiters[i], rows, score
		}
	}
	return best, bestRows
}

// formScore judges what a delimiter makes of the sample. Where the first row
// is one cell, a row that falls into several addresses is not split but wrong:
// it is two addresses in one cell, which a person must look at.
func formScore(rows []sampleRow) float64 {
	if len(rows) == 0 {
		return 0
	}
	good, widths, mode := 0, make(map[int]int), 0
	for n, r := range rows {
		found, known := 0, false
		for _, c := range r.cells {
			if isAddressCell(c) {
				found++
			}
			known = known || n == 0 && isKnownHeader(c)
		}
		if known || found == 1 || found > 1 && len(rows[0].cells) > 1 {
			good++
		}
		w := len(r.cells)
		if widths[w]++; widths[w] > widths[mode] {
			mode = w
		}
	}
	n := float64(len(rows))
	return 2*float64(good)/n + float64(widths[mode])/n + float64(min(mode, 50))/1000
}

func isKnownHeader(cell string) bool {
	w := headerWord(cell)
	return emailWords[w] || nameWords[w] || firstWords[w] || lastWords[w]
}

func isAddressCell(cell string) bool {
	if !strings.Contains(cell, "@") {
		return false
	}
	_, _, reason := parseAddressCell(cell)
	return reason.IsZero()
}

// cleanHeader trims a cell and keeps its first line, without control characters.
func cleanHeader(cell string) string {
	clean, _ := cleanLineCell(unescapeCell(trimCell(cell)))
	return clean
}

// usedWidth is the number of cells without the empty ones at the end.
func usedWidth(cells []string) int {
	n := len(cells)
	for n > 0 && trimCell(cells[n-1]) == "" {
		n--
	}
	return n
}

func isBlankRecord(cells []string) bool { return usedWidth(cells) == 0 }

// recognise finds the header and the width.
func (s *sheet) recognise(rows []sampleRow) error {
	if len(rows) == 0 {
		// Nothing but flawed rows: read on, every one is reported.
		rows = []sampleRow{{cells: []string{""}}}
	}
	for _, r := range rows {
		if len(r.cells) > MaxColumns {
			return tooManyColumns(r.row)
		}
		s.width = max(s.width, len(r.cells))
	}
	s.first = make([][]string, 0, len(rows))
	for _, r := range rows {
		s.first = append(s.first, r.cells)
	}
	if s.kind == kindCards {
		s.header, s.width = s.cards, len(s.cards)
		return nil
	}
	if isHeader(rows[0].cells) && rows[0].row > 0 {
		s.headerRow = rows[0].row
		s.header = make([]string, s.width)
		copy(s.header, rows[0].cells)
		s.first = s.first[1:]
	}
	return nil
}

// isHeader reports whether a file's first row names its columns. No header
// holds an @, and a row of data without one in a file of addresses is rarer
// than a header of unknown words.
func isHeader(cells []string) bool {
	for _, c := range cells {
		if strings.Contains(c, "@") {
			return false
		}
	}
	return true
}

// records are the rows of one pass over a file.
type records interface {
	next() (record, error) // io.EOF after the last
	progress() int64       // bytes of the file that were read
	unchanged() error      // asked after the last: is it still the same file?
	Close() error
}

// textRecords are rows of decoded text.
type textRecords struct {
	*reading
	rows interface{ next() (record, error) }
}

func (t textRecords) next() (record, error) { return t.rows.next() }

// scan opens a pass over the rows.
func (s *sheet) scan() (records, error) {
	if s.kind == kindBook {
		return s.scanBook()
	}
	r, err := s.read()
	if err != nil {
		return nil, err
	}
	switch {
	case s.kind == kindCards:
		return textRecords{r, newCardScanner(r, s.cards)}, nil
	case s.list != "":
		return textRecords{r, newPlainScanner(r, s.list)}, nil
	}
	sc := newScanner(r, s.delim)
	if s.separator {
		if _, err := sc.next(); err != nil && !errors.Is(err, io.EOF) {
			return nil, errors.Join(unreadable(s.path, err), r.Close())
		}
		sc.row = 0 // a spreadsheet does not show that line
	}
	return textRecords{r, sc}, nil
}

// Preview is what was recognised in a file, for showing it before an import.
type Preview struct {
	Charset   string // e.g. "UTF-8"; empty for a workbook
	Delimiter string // one character; empty where there is none
	Sheet     string // of a workbook
	Sheets    []string
	Mapping   Mapping
	// Remembered says that the mapping is the one given for this header before.
	Remembered bool
	// Header names the columns as the file does; nil where there is none.
	Header []string
	// First holds the first data rows, cleaned of control characters, at most 200.
	First [][]string
}

// Inspect says what is recognised in a file, and changes nothing. overrides
// are those of Options.Map. The error is a *post.Error of KindInvalid for a
// file that is not taken.
func Inspect(ctx context.Context, path string, overrides map[string]string) (Preview, error) {
	return InspectAs(ctx, path, Options{Map: overrides})
}

// InspectAs is Inspect with all choices of an import.
func InspectAs(ctx context.Context, path string, o Options) (Preview, error) {
	s, err := openSheet(ctx, path, o)
	if err != nil {
		return Preview{}, err
	}
	delim := ""
	if s.kind == kindText && s.list == "" {
		delim = string(s.delim)
	}
	return Preview{
		Charset: string(s.charset), Delimiter: delim, Sheet: s.page, Sheets: s.pages,
		Mapping: s.mapping, Remembered: s.remembered, Header: s.header, First: s.first,
	}, nil
}

package contacts

import (
	"bytes"
	"context"
	"errors"
	"io"
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
}

// openSheet recognises a file. overrides are those of Options.Map.
func openSheet(ctx context.Context, path string, overrides map[string]string) (*sheet, error) {
	src, err := openSource(ctx, path)
	if err != nil {
		return nil, err
	}
	text, whole, err := src.sample()
	if err != nil {
		return nil, asRefusal(path, err)
	}
	if err := checkText(text); err != nil {
		return nil, err
	}
	s := &sheet{source: src}
	var rows []sampleRow
	if delim, rest, ok := cutSeparator(text); ok {
		s.delim, s.separator = delim, true
		rows = sampleRows(rest, delim, whole)
	} else {
		s.delim, rows = sniff(text, whole)
	}
	if err := s.recognise(rows, overrides); err != nil {
		return nil, err
	}
	return s, nil
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
	var rows []sampleRow
	sc := newScanner(bytes.NewReader(text), delim)
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

// recognise finds the header and what each column is.
func (s *sheet) recognise(rows []sampleRow, overrides map[string]string) error {
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
	if isHeader(rows[0].cells) && rows[0].row > 0 {
		s.headerRow = rows[0].row
		s.header = make([]string, s.width)
		copy(s.header, rows[0].cells)
		s.first = s.first[1:]
	}
	m, err := newMapping(s.header, s.width, s.first, overrides)
	s.mapping = m
	return err
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

// scan opens a pass over the rows.
func (s *sheet) scan() (*reading, *scanner, error) {
	r, err := s.read()
	if err != nil {
		return nil, nil, err
	}
	sc := newScanner(r, s.delim)
	if s.separator {
		if _, err := sc.next(); err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, errors.Join(unreadable(s.path, err), r.Close())
		}
		sc.row = 0 // a spreadsheet does not show that line
	}
	return r, sc, nil
}

// Preview is what was recognised in a file, for showing it before an import.
type Preview struct {
	Charset   string // e.g. "UTF-8"
	Delimiter string // one character
	Mapping   Mapping
	// Header names the columns as the file does; nil where there is none.
	Header []string
	// First holds the first data rows, cleaned of control characters, at most 200.
	First [][]string
}

// Inspect says what is recognised in a file, and changes nothing. overrides
// are those of Options.Map. The error is a *post.Error of KindInvalid for a
// file that is not taken.
func Inspect(ctx context.Context, path string, overrides map[string]string) (Preview, error) {
	s, err := openSheet(ctx, path, overrides)
	if err != nil {
		return Preview{}, err
	}
	return Preview{
		Charset: string(s.charset), Delimiter: string(s.delim),
		Mapping: s.mapping, Header: s.header, First: s.first,
	}, nil
}

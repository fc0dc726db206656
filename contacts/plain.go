package contacts

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// plainSeparators recognises a plain list of addresses, as it is copied from a
// mail program: "Anna <a@example.com>; b@example.com", on one line or on many.
// It returns what stands between the people besides line ends; empty: this is
// no such list. One address a line is a table of one column, and no affair of
// this function.
func plainSeparators(text []byte) string {
	for _, sep := range []string{";", ","} {
		sc := newPlainScanner(strings.NewReader(string(text)), sep)
		people, others, shared := 0, 0, false
		last := int64(0)
		for people+others < sniffRecords {
			rec, err := sc.next()
			if err != nil {
				break
			}
			if isBlankRecord(rec.cells) || rec.flaw != flawNone {
				continue
			}
			if !strings.Contains(rec.cells[0], "@") {
				others++
				if people == 0 {
					break // a header, or a table whose first column is something else
				}
				continue
			}
			people++
			shared = shared || rec.row == last
			last = rec.row
		}
		if shared && people > 10*others {
			return sep
		}
	}
	return ""
}

// plainScanner reads a plain list, one person a record of one cell. A record's
// row is its line.
type plainScanner struct {
	r    *bufio.Reader
	sep  string
	row  int64
	half bool // the last byte was CR
}

func newPlainScanner(r io.Reader, sep string) *plainScanner {
	return &plainScanner{r: bufio.NewReaderSize(r, 64<<10), sep: sep, row: 1}
}

func (p *plainScanner) next() (record, error) {
	var b []byte
	row, quoted, angle := p.row, false, false
	for {
		c, err := p.r.ReadByte()
		switch {
		case errors.Is(err, io.EOF) && len(b) > 0:
			return plainRecord(row, b), nil
		case err != nil:
			return record{}, err
		case c == '\n' && p.half:
			p.half = false
			continue
		}
		p.half = c == '\r'
		switch {
		case c == '\n' || c == '\r':
			p.row++
			return plainRecord(row, b), nil
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<', c == '>':
			angle = c == '<'
		case !angle && strings.IndexByte(p.sep, c) >= 0:
			return plainRecord(row, b), nil
		}
		if len(b) <= maxRecord { // one more shows that it is too long
			b = append(b, c)
		}
	}
}

func plainRecord(row int64, b []byte) record {
	if len(b) > maxRecord {
		return record{row: row, flaw: flawLong, start: string(b[:maxShown])}
	}
	return record{row: row, cells: []string{string(b)}}
}

package contacts

import (
	"errors"
	"io"
)

// Limits of a row; beyond them that row alone is skipped.
const (
	maxRecord = 1 << 20  // bytes
	maxCell   = 32 << 10 // bytes
)

// flaw is what is wrong with the form of a record.
type flaw uint8

const (
	flawNone  flaw = iota
	flawLong       // over maxRecord; no cells
	flawQuote      // a quotation mark is never closed; no cells
	flawOdd        // text stands after a closing quotation mark; taken as it is
)

// record is one row of a file. cells is reused by the next call; the strings
// themselves stay.
type record struct {
	row   int64 // from 1; blank lines count
	cells []string
	flaw  flaw
	start string // the beginning of a record without cells, to be recognised by
}

// scanner reads records in a stream: RFC 4180 with any one-byte delimiter, line
// ends CRLF, LF or CR, embedded line breaks. A quotation mark counts as one
// only at the very front of a cell. Where a quoted cell that spans lines does
// not end as it should, its first line alone is given up and reading goes on
// with the next line, so that one stray mark cannot swallow the rest.
//
// Each byte is looked at a bounded number of times: a line that is left open
// is rescanned up to the next line with an odd number of marks, at most.
type scanner struct {
	r        io.Reader
	delim    byte
	endsCell [256]bool // bytes that end a cell without quotation marks
	row      int64

	buf        []byte
	start, end int   // what is in buf and not yet used
	err        error // of r; io.EOF at its end
	half       bool  // a LF may follow that belongs to the last line end

	out   []byte // the cells' text, one after the other
	ends  []int  // where each ends in out
	cells []string

	looked int64 // bytes looked at within quotation marks, again and again
}

func newScanner(r io.Reader, delim byte) *scanner {
	s := &scanner{r: r, delim: delim, buf: make([]byte, 64<<10)}
	s.endsCell[delim], s.endsCell['\n'], s.endsCell['\r'] = true, true, true
	return s
}

// errLong says within this file that a record does not fit.
var errLong = errors.New("record too long")

// at returns the i-th byte after start; false at the end of the text, at
// maxRecord, and after an error (see stopped).
func (s *scanner) at(i int) (byte, bool) {
	for s.start+i >= s.end {
		if i >= maxRecord || s.err != nil {
			return 0, false
		}
		s.fill()
	}
	return s.buf[s.start+i], true
}

// stopped says why at gave false at i.
func (s *scanner) stopped(i int) error {
	if i >= maxRecord && s.start+i >= s.end {
		return errLong
	}
	return s.err
}

// fill reads more, making room first. A record never needs more than
// maxRecord, which bounds the buffer.
func (s *scanner) fill() {
	if s.start > 0 && s.end == len(s.buf) {
		s.end = copy(s.buf, s.buf[s.start:s.end])
		s.start = 0
	}
	if s.end == len(s.buf) {
		grown := make([]byte, min(2*len(s.buf), maxRecord))
		s.end = copy(grown, s.buf[:s.end])
		s.buf = grown
	}
	for tries := 0; ; tries++ {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		s.err = err
		if n > 0 || err != nil {
			return
		}
		if tries == 100 {
			s.err = io.ErrNoProgress
			return
		}
	}
}

// next returns the next record, io.EOF after the last, or an error of the
// reader below.
func (s *scanner) next() (record, error) {
	s.dropHalf()
	s.out, s.ends = s.out[:0], s.ends[:0]
	odd := false
	for i := 0; ; {
		var state cellEnd
		i, state = s.cell(i, &odd)
		switch state {
		case endCell:
			continue
		case endQuote:
			return s.giveUp(flawQuote)
		case endText:
			err := s.stopped(i)
			switch {
			case errors.Is(err, errLong):
				return s.giveUp(flawLong)
			case !errors.Is(err, io.EOF):
				return record{}, err
			case i == 0:
				return record{}, io.EOF
			}
		}
		s.start += i
		return s.finish(odd), nil
	}
}

type cellEnd uint8

const (
	endCell  cellEnd = iota // a delimiter: another cell follows
	endLine                 // a line end
	endText                 // no more bytes: see stopped
	endQuote                // a quoted cell over several lines did not end well
)

// cell reads one cell that begins at i and returns where the next thing begins.
func (s *scanner) cell(i int, odd *bool) (int, cellEnd) {
	if c, ok := s.at(i); ok && c == '"' {
		next, lines, closed := s.quoted(i + 1)
		if !closed {
			return next, endQuote
		}
		i = next
		if !s.cellEndsAt(i) {
			if lines > 0 {
				return i, endQuote
			}
			*odd = *odd || !s.addressAt(i)
		}
	}
	for {
		if _, ok := s.at(i); !ok {
			s.ends = append(s.ends, len(s.out))
			return i, endText
		}
		chunk := s.buf[s.start+i : s.end]
		n := 0
		for n < len(chunk) && !s.endsCell[chunk[n]] {
			n++
		}
		s.out = append(s.out, chunk[:n]...)
		if i += n; n == len(chunk) {
			continue
		}
		s.ends = append(s.ends, len(s.out))
		if chunk[n] == s.delim {
			return i + 1, endCell
		}
		return s.lineEnd(i), endLine
	}
}

// quoted reads on from behind an opening mark up to behind the closing one.
func (s *scanner) quoted(i int) (next, lines int, closed bool) {
	for {
		if _, ok := s.at(i); !ok {
			s.looked++
			return i, lines, false
		}
		chunk := s.buf[s.start+i : s.end]
		n := 0
		for n < len(chunk) && chunk[n] != '"' && chunk[n] != '\n' && chunk[n] != '\r' {
			n++
		}
		s.out = append(s.out, chunk[:n]...)
		s.looked += int64(n)
		if i += n; n == len(chunk) {
			continue
		}
		s.looked++
		if chunk[n] != '"' {
			lines++
			i = s.lineEnd(i)
			s.out = append(s.out, '\n')
			continue
		}
		if c, ok := s.at(i + 1); !ok || c != '"' {
			return i + 1, lines, true
		}
		s.out = append(s.out, '"')
		i += 2
	}
}

// cellEndsAt reports whether nothing but spaces stands between i and the end of a cell.
func (s *scanner) cellEndsAt(i int) bool {
	for {
		c, ok := s.at(i)
		switch {
		case !ok, c == s.delim, c == '\n', c == '\r':
			return true
		case c != ' ' && c != '\t':
			return false
		}
		i++
	}
}

// addressAt reports whether an address in angle brackets stands at i, as behind the
// name in "Köhler, Anna" <a@x.de>.
func (s *scanner) addressAt(i int) bool {
	c, ok := s.at(i)
	for ; ok && c == ' '; c, ok = s.at(i) {
		i++
	}
	return ok && c == '<'
}

// lineEnd returns what follows the line end at i: CRLF is one.
func (s *scanner) lineEnd(i int) int {
	if c, _ := s.at(i); c == '\r' {
		c, ok := s.at(i + 1)
		if ok && c == '\n' {
			return i + 2
		}
		s.half = !ok && errors.Is(s.stopped(i+1), errLong)
	}
	return i + 1
}

// dropHalf passes over the LF of a CRLF whose CR was the last byte of a record
// of just maxRecord bytes.
func (s *scanner) dropHalf() {
	if !s.half {
		return
	}
	s.half = false
	if c, ok := s.at(0); ok && c == '\n' {
		s.start++
	}
}

func (s *scanner) finish(odd bool) record {
	s.row++
	all := string(s.out)
	s.cells = s.cells[:0]
	from := 0
	for _, end := range s.ends {
		s.cells = append(s.cells, all[from:end])
		from = end
	}
	rec := record{row: s.row, cells: s.cells}
	if odd {
		rec.flaw = flawOdd
	}
	return rec
}

// giveUp passes over one line and returns it as a record without cells.
func (s *scanner) giveUp(why flaw) (record, error) {
	s.row++
	s.half = false // of the attempt that is given up
	rec := record{row: s.row, flaw: why}
	for i := 0; ; i++ {
		c, ok := s.at(i)
		if ok && c != '\n' && c != '\r' {
			continue
		}
		if rec.start == "" {
			rec.start = string(s.buf[s.start : s.start+min(i, maxShown)])
		}
		if ok {
			s.start += s.lineEnd(i)
			return rec, nil
		}
		err := s.stopped(i)
		s.start += i
		switch {
		case errors.Is(err, errLong): // the line alone is too long: on to its end
			rec.flaw = flawLong
			i = -1
		case errors.Is(err, io.EOF):
			return rec, nil
		default:
			return record{}, err
		}
	}
}

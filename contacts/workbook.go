package contacts

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/xuri/excelize/v2"
	"github.com/xuri/nfp"

	"postroom/post"
)

// Limits of a workbook; beyond them the whole file is refused.
const (
	maxEntries  = 10_000
	maxUnzipped = 2 << 30  // bytes of all entries
	maxInMemory = 16 << 20 // bytes of an entry; larger ones are unpacked to disk
	maxRatio    = 250      // of an entry over maxInMemory: an honest sheet stays below 50
)

// encryptedPackage is the name of the stream that holds a workbook with a
// password, as its container writes it (UTF-16).
var encryptedPackage = []byte("E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00")

// looksLikeBook recognises an XLSX workbook, and refuses one that cannot be
// opened or is made to fill the disk. f is read by position only.
func looksLikeBook(f *os.File, size int64, head []byte) (bool, error) {
	if bytes.HasPrefix(head, []byte("\xD0\xCF\x11\xE0")) {
		all := make([]byte, min(size, 4<<20)) // the directory is near the front
		n, err := f.ReadAt(all, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, unreadable(f.Name(), err)
		}
		if bytes.Contains(all[:n], encryptedPackage) {
			return false, refuse("contacts.book_locked", "the workbook has a password; save it without one and import that")
		}
		return false, nil
	}
	if !bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		return false, nil
	}
	z, err := zip.NewReader(f, size)
	if err != nil {
		return false, nil //nolint:nilerr // no zip file that we can read: checkMagic has the words for it
	}
	if len(z.File) > maxEntries {
		return false, refuse("contacts.book_bomb", "the workbook would unpack to far more than a sheet needs")
	}
	var all uint64
	book := false
	for _, e := range z.File {
		all += e.UncompressedSize64
		book = book || strings.EqualFold(strings.TrimPrefix(e.Name, "/"), "xl/workbook.xml")
		if e.UncompressedSize64 > maxInMemory && e.UncompressedSize64/maxRatio > e.CompressedSize64 {
			all = maxUnzipped + 1
		}
		if all > maxUnzipped {
			return false, refuse("contacts.book_bomb", "the workbook would unpack to far more than a sheet needs")
		}
	}
	return book, nil
}

// openBook chooses the sheet and reads its first rows.
func (s *sheet) openBook(wanted string) ([]sampleRow, error) {
	f, err := s.excel()
	if err != nil {
		return nil, err
	}
	all := f.GetSheetList()
	for _, name := range all {
		if visible, err := f.GetSheetVisible(name); err == nil && visible {
			s.pages = append(s.pages, name)
		}
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if s.page = choosePage(all, s.pages, wanted); s.page == "" {
		return nil, refuse("contacts.no_such_sheet", "the workbook has no sheet "+strconv.Quote(wanted)+"; it has: "+strings.Join(s.pages, ", "), wanted, strings.Join(s.pages, ", "))
	}
	r, err := s.scanBook()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	rows := sampleRecords(r, true)
	if len(rows) == 0 {
		if err := s.whole(f.CharsetReader); err != nil {
			return nil, err
		}
		return nil, refuse("contacts.empty_file", "the sheet is empty")
	}
	return rows, nil
}

// choosePage finds a sheet by name, then by number from 1; without a wish it
// is the first visible one.
func choosePage(all, visible []string, wanted string) string {
	if wanted == "" {
		if len(visible) > 0 {
			return visible[0]
		}
		return ""
	}
	for _, name := range all {
		if post.FoldText(name) == post.FoldText(wanted) {
			return name
		}
	}
	if n, err := strconv.Atoi(wanted); err == nil && n >= 1 && n <= len(all) {
		return all[n-1]
	}
	return ""
}

// excel opens the workbook. Dates are shown as ISO 8601, whatever the sheet
// says: they must mean the same to everybody who gets them in a letter.
func (s *sheet) excel() (*excelize.File, error) {
	if s.temp != "" {
		if err := os.MkdirAll(s.temp, 0o700); err != nil {
			return nil, err
		}
	}
	f, err := excelize.OpenFile(s.path, excelize.Options{UnzipSizeLimit: maxUnzipped, UnzipXMLSizeLimit: maxInMemory, TmpDir: s.temp})
	if err != nil {
		return nil, s.damaged(err)
	}
	isoDates(f)
	return f, nil
}

func (s *sheet) damaged(err error) error {
	return &post.Error{
		Kind: post.KindInvalid, Message: "the workbook is damaged",
		Reason: post.Reason{Key: "contacts.book_damaged", Args: []string{filepath.Base(s.path)}}, Err: err,
	}
}

// whole reads the workbook's sheets and the table of their words to the end, and
// refuses it where that cannot be done: excelize takes what comes before the fault for
// all there is, and the rows behind it would be missing without a word.
func (s *sheet) whole(charset func(label string, r io.Reader) (io.Reader, error)) error {
	z, err := zip.OpenReader(s.path)
	if err != nil {
		return s.damaged(err)
	}
	defer z.Close()
	for _, e := range z.File {
		name := strings.ToLower(strings.TrimPrefix(strings.ReplaceAll(e.Name, "\\", "/"), "/"))
		if name != "xl/sharedstrings.xml" && !(strings.HasPrefix(name, "xl/worksheets/") && strings.HasSuffix(name, ".xml")) {
			continue
		}
		if err := wholeXML(e, charset); err != nil {
			return s.damaged(fmt.Errorf("%s: %w", e.Name, err))
		}
	}
	return nil
}

// wholeXML reads one file of a zip archive, whose length and checksum are looked at
// with its end.
func wholeXML(e *zip.File, charset func(label string, r io.Reader) (io.Reader, error)) error {
	r, err := e.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	d := xml.NewDecoder(bufio.NewReaderSize(r, 64<<10))
	d.CharsetReader = charset
	for depth := 0; ; {
		t, err := d.RawToken()
		switch {
		case errors.Is(err, io.EOF) && depth > 0:
			return io.ErrUnexpectedEOF
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		switch t.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		}
	}
}

// The numbers of our own formats; a workbook's begin at 164 and are few.
const (
	isoDate = 60_001 + iota
	isoTime
	isoDateTime
)

var isoFormats = map[int]string{isoDate: "yyyy-mm-dd", isoTime: "hh:mm:ss", isoDateTime: "yyyy-mm-dd hh:mm:ss"}

// isoDates replaces the formats of dates and times by our own.
func isoDates(f *excelize.File) {
	st := f.Styles
	if st == nil || st.CellXfs == nil {
		return
	}
	custom := map[int]int{}
	if st.NumFmts != nil {
		for _, nf := range st.NumFmts.NumFmt {
			if id := dateFormat(nf.FormatCode); id != 0 {
				custom[nf.NumFmtID] = id
				nf.FormatCode = isoFormats[id]
			}
		}
	}
	for i := range st.CellXfs.Xf {
		id := st.CellXfs.Xf[i].NumFmtID
		if id == nil || custom[*id] != 0 {
			continue
		}
		if own := builtinDate(*id); own != "" {
			if n, err := f.NewStyle(&excelize.Style{CustomNumFmt: &own}); err == nil {
				st.CellXfs.Xf[i].NumFmtID = st.CellXfs.Xf[n].NumFmtID
			}
		}
	}
}

// builtinDate returns our format for one that needs no code (ECMA-376 18.8.30,
// with those of East Asian languages).
func builtinDate(id int) string {
	switch {
	case id >= 14 && id <= 17, id >= 27 && id <= 31, id == 36, id >= 50 && id <= 54, id == 57, id == 58:
		return isoFormats[isoDate]
	case id >= 18 && id <= 21, id >= 32 && id <= 35, id == 55, id == 56:
		return isoFormats[isoTime]
	case id == 22:
		return isoFormats[isoDateTime]
	}
	return ""
}

// dateFormat returns which of our formats a format code means, or 0 where it
// shows no whole date or time. A length of time ("[h]:mm") stays as it is.
func dateFormat(code string) int {
	parser := nfp.NumberFormatParser()
	var date, clock bool
	sections := parser.Parse(code)
	if len(sections) == 0 {
		return 0
	}
	for _, t := range sections[0].Items { // the others are for negative numbers and text
		switch t.TType {
		case nfp.TokenTypeElapsedDateTimes:
			return 0
		case nfp.TokenTypeDateTimes:
			v := strings.ToLower(t.TValue)
			date = date || strings.ContainsAny(v, "yde") || v == "mmm" || v == "mmmm"
			clock = clock || strings.ContainsAny(v, "hs")
		}
	}
	switch {
	case date && clock:
		return isoDateTime
	case date:
		return isoDate
	case clock:
		return isoTime
	}
	return 0
}

// bookRecords reads the rows of one sheet.
type bookRecords struct {
	sheet *sheet
	file  *excelize.File
	rows  *excelize.Rows
	row   int64
	size  int64
}

func (s *sheet) scanBook() (records, error) {
	f, err := s.excel()
	if err != nil {
		return nil, err
	}
	rows, err := f.Rows(s.page)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &bookRecords{sheet: s, file: f, rows: rows, size: s.info.Size()}, nil
}

func (b *bookRecords) next() (record, error) {
	if !b.rows.Next() {
		if err := b.rows.Error(); err != nil {
			return record{}, err
		}
		return record{}, io.EOF
	}
	b.row++
	cells, err := b.rows.Columns()
	if err != nil {
		return record{}, err
	}
	length := 0
	for i, c := range cells {
		length += len(c)
		if strings.Contains(c, "\r") {
			cells[i] = strings.ReplaceAll(strings.ReplaceAll(c, "\r\n", "\n"), "\r", "\n")
		}
	}
	if length > maxRecord {
		return record{row: b.row, flaw: flawLong, start: cells[0]}, nil
	}
	return record{row: b.row, cells: cells}, nil
}

// progress says that all was read: a workbook is unpacked before its first row.
func (b *bookRecords) progress() int64 { return b.size }

// unchanged also looks whether what was read was all there is.
func (b *bookRecords) unchanged() error {
	if err := b.sheet.whole(b.file.CharsetReader); err != nil {
		return err
	}
	f, err := os.Open(b.sheet.path)
	if err != nil {
		return unreadable(b.sheet.path, err)
	}
	defer f.Close()
	r := &reading{src: b.sheet.source, file: f, sum: crc32.New(castagnoli)}
	if _, err := io.Copy(io.Discard, rawReader{r}); err != nil {
		return unreadable(b.sheet.path, err)
	}
	return r.unchanged()
}

func (b *bookRecords) Close() error { return errors.Join(b.rows.Close(), b.file.Close()) }

package contacts

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"postroom/post"
)

// Export writes people as CSV: UTF-8 with a byte order mark (Excel needs it),
// CRLF, the header email,name and the fields of all of them in alphabetical
// order. Lines that a spreadsheet would run as a formula get an apostrophe in
// front, which Import takes off again, so that an import of an export gives
// the same people. What Import would clean or trim (see cells.go) is no part of
// that promise, and an empty field is the same as none.
//
// contacts is read twice, first for the names of the fields; it must give the
// same people both times. A field that turns up only in the second reading is
// an error, never a dropped value.
func Export(w io.Writer, contacts iter.Seq2[post.Contact, error]) error {
	fields, err := exportFields(contacts)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	line := make([]byte, 0, 1024)
	line = append(line, "\xEF\xBB\xBF"...)
	line = appendRow(line, append([]string{fieldEmail, fieldName}, fields...))
	cells := make([]string, 2+len(fields))
	for c, err := range contacts {
		if err != nil {
			return err
		}
		if _, err := out.Write(line); err != nil {
			return fmt.Errorf("writing the file: %w", err)
		}
		cells[0], cells[1] = c.Address, c.Name
		found := 0
		for i, f := range fields {
			v, ok := c.Fields[f]
			if ok {
				found++
			}
			cells[2+i] = v
		}
		if found != len(c.Fields) {
			return errExportChanged
		}
		line = appendRow(line[:0], cells)
	}
	if _, err := out.Write(line); err != nil {
		return fmt.Errorf("writing the file: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the file: %w", err)
	}
	return nil
}

func exportFields(contacts iter.Seq2[post.Contact, error]) ([]string, error) {
	names := make(map[string]bool)
	for c, err := range contacts {
		if err != nil {
			return nil, err
		}
		for f := range c.Fields {
			names[f] = true
		}
	}
	return sortedKeys(names), nil
}

// appendRow writes one record (RFC 4180).
func appendRow(b []byte, cells []string) []byte {
	for i, c := range cells {
		if i > 0 {
			b = append(b, ',')
		}
		c = escapeCell(c)
		// The other delimiters are quoted too, so that none of them can pass for the file's own.
		if !strings.ContainsAny(c, ",;\t|\"\r\n") && (c == "" || c[0] != ' ' && c[len(c)-1] != ' ') {
			b = append(b, c...)
			continue
		}
		b = append(b, '"')
		b = append(b, strings.ReplaceAll(c, `"`, `""`)...)
		b = append(b, '"')
	}
	return append(b, '\r', '\n')
}

// ExportFile is Export, or for a name that ends in ".xlsx" ExportBook, into a
// file with mode 0600: written beside it, flushed, renamed, so that what stood there is replaced only by a whole file. Errors
// about the file are a *post.Error; those of contacts come through as they are.
func ExportFile(path string, contacts iter.Seq2[post.Contact, error]) error {
	var source error // what contacts itself said
	tracked := func(yield func(post.Contact, error) bool) {
		for c, err := range contacts {
			if err != nil {
				source = err
			}
			if !yield(c, err) {
				return
			}
		}
	}
	err := exportFile(path, tracked)
	if err == nil || source != nil || post.KindOf(err) == post.KindConflict || post.KindOf(err) == post.KindInvalid {
		return err
	}
	return &post.Error{
		Kind: post.KindInternal, Op: "export contacts", Message: "the file could not be written",
		Reason: post.Reason{Key: "contacts.export_failed", Args: []string{filepath.Base(path)}}, Err: err,
	}
}

func exportFile(path string, contacts iter.Seq2[post.Contact, error]) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".export-*.part") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error is the one to tell
		}
	}()
	if strings.EqualFold(filepath.Ext(path), ".xlsx") {
		err = ExportBook(f, filepath.Dir(path), contacts)
	} else {
		err = Export(f, contacts)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

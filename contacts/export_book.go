package contacts

import (
	"fmt"
	"io"
	"iter"

	"github.com/xuri/excelize/v2"

	"postroom/post"
)

// maxBookRows is how many rows a sheet of a workbook holds, with the header.
const maxBookRows = 1 << 20

// ExportBook writes people as an XLSX workbook with the columns of Export, in a
// stream (through a file in temp where it is large; empty: the system's folder).
// Every cell is text, so that none is a formula and no zero is lost; an import
// gives the same people again.
func ExportBook(w io.Writer, temp string, contacts iter.Seq2[post.Contact, error]) (err error) {
	fields, err := exportFields(contacts)
	if err != nil {
		return err
	}
	f := excelize.NewFile(excelize.Options{TmpDir: temp})
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	out, err := f.NewStreamWriter("Sheet1")
	if err != nil {
		return err
	}
	cells := make([]any, 2+len(fields))
	cells[0], cells[1] = fieldEmail, fieldName
	for i, name := range fields {
		cells[2+i] = name
	}
	row := 1
	for c, err := range contacts {
		if err != nil {
			return err
		}
		if err := setBookRow(out, row, cells); err != nil {
			return err
		}
		row++
		cells[0], cells[1] = c.Address, c.Name
		found := 0
		for i, name := range fields {
			v, ok := c.Fields[name]
			if ok {
				found++
			}
			cells[2+i] = v
		}
		if found != len(c.Fields) {
			return errExportChanged
		}
	}
	if err := setBookRow(out, row, cells); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the workbook: %w", err)
	}
	if err := f.Write(w); err != nil {
		return fmt.Errorf("writing the workbook: %w", err)
	}
	return nil
}

var errExportChanged = &post.Error{Kind: post.KindConflict, Op: "export contacts", Message: "contacts were changed while they were written; try again", Reason: post.Reason{Key: "contacts.export_changed"}}

func setBookRow(w *excelize.StreamWriter, row int, cells []any) error {
	if row > maxBookRows {
		return refuse("contacts.export_too_many", "a sheet holds 1,048,576 rows; export a list, or a CSV file")
	}
	cell, err := excelize.CoordinatesToCellName(1, row)
	if err != nil {
		return err
	}
	if err := w.SetRow(cell, cells); err != nil {
		return fmt.Errorf("writing the workbook: %w", err)
	}
	return nil
}

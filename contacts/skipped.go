package contacts

import (
	"fmt"
	"io"
	"slices"

	"postroom/post"
)

// problemColumn is the header of the column that says why a row was skipped.
// An import does not take it for a field, so that the mended file can be
// imported as it is.
const problemColumn = "postroom_problem"

// SkippedRows writes the rows that an import did not take as a CSV file with
// the file's own columns and the reason in one more: to be mended and imported
// again. Of a row whose cells could not be told apart only the beginning is there.
type SkippedRows struct {
	W     io.Writer
	Words func(post.Reason) string // says a reason in the user's language

	Rows int64 // how many were written

	err error
}

func (k *SkippedRows) add(s *sheet, rec record, why post.Reason) {
	if k.err != nil {
		return
	}
	var line []byte
	if k.Rows == 0 {
		line = append(line, "\xEF\xBB\xBF"...)
		titles := s.titles()
		if !slices.Contains(titles, problemColumn) {
			titles = append(titles, problemColumn)
		}
		line = appendRow(line, titles)
	}
	k.Rows++
	cells := slices.Clone(rec.cells)
	if len(cells) == 0 {
		cells = append(cells, rec.start)
	}
	for i, c := range cells {
		if s.kind == kindText { // appendRow marks formulas again
			cells[i] = unescapeCell(c)
		}
	}
	for len(cells) < s.width {
		cells = append(cells, "")
	}
	cells = cells[:s.width]
	if old := slices.Index(s.header, problemColumn); old >= 0 { // the file is one of these itself
		cells[old] = k.Words(why)
	} else {
		cells = append(cells, k.Words(why))
	}
	if _, err := k.W.Write(appendRow(line, cells)); err != nil {
		k.err = &post.Error{Kind: post.KindInternal, Op: "write the skipped rows", Message: "the file of skipped rows could not be written", Err: fmt.Errorf("write: %w", err)}
	}
}

// titles are the columns' headers, or where there are none such as say what
// the columns were taken for.
func (s *sheet) titles() []string {
	titles := make([]string, s.width)
	copy(titles, s.header)
	if s.header != nil {
		return titles
	}
	for _, f := range s.mapping.Fields {
		titles[f.Column] = f.Name
	}
	if s.mapping.Name >= 0 {
		titles[s.mapping.Name] = fieldName
	}
	if s.mapping.Address >= 0 {
		titles[s.mapping.Address] = fieldEmail
	}
	return titles
}

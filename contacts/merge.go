package contacts

import (
	"context"
	"iter"
	"strconv"

	"postroom/post"
)

// Rows opens a sheet for a plain mail merge: each row is its own message, and
// its people need not be contacts. fields are the merge fields that the sheet
// offers; every recipient has all of them, empty where the cell is. The
// recipient key is the address key, "#" and the row's number, so that two rows
// of one address are two messages. overrides are those of Options.Map.
//
// report gets each problem as its row is read; those with Skipped set are rows
// that are not yielded. An error comes last, and means that none of the rows
// may be used: the file was changed meanwhile, or is beyond the limits.
func Rows(ctx context.Context, path string, overrides map[string]string, report func(Problem)) (fields []string, rows iter.Seq2[post.Recipient, error], err error) {
	return RowsAs(ctx, path, Options{Map: overrides}, report)
}

// RowsAs is Rows with all choices about how a file is read.
func RowsAs(ctx context.Context, path string, o Options, report func(Problem)) (fields []string, rows iter.Seq2[post.Recipient, error], err error) {
	s, err := openSheet(ctx, path, o)
	if err != nil {
		return nil, nil, err
	}
	p := &pass{sheet: s, report: report, empties: true}
	return s.mapping.FieldNames(), func(yield func(post.Recipient, error) bool) {
		for r, err := range p.rows(ctx) {
			if err != nil {
				yield(post.Recipient{}, err)
				return
			}
			if !yield(post.Recipient{
				Address: r.contact.Address,
				Key:     r.contact.Key + "#" + strconv.FormatInt(r.number, 10),
				Name:    r.contact.Name,
				Fields:  r.contact.Fields,
			}, nil) {
				return
			}
		}
	}, nil
}

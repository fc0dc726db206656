package storage

import (
	"encoding/base64"
	"encoding/json"

	"postroom/post"
)

// Page asks for one page of a long list: the rows after (or, going back,
// before) a cursor. The zero Cursor is the beginning, or going back the end.
// Pages are read by key, never by counting rows, so the last page of a million
// costs what the first does.
type Page struct {
	Limit  int
	Cursor string // from a Pages value; opaque
	Back   bool
}

// Pages says how to go on from a page that was read. An empty cursor means
// that there is nothing more in that direction.
type Pages struct {
	Next, Prev string
}

// mark is a place in a list: the sort key's value and the id that makes it unique.
type mark struct {
	Value string `json:"v,omitempty"`
	ID    int64  `json:"i"`
}

func (m mark) encode() string {
	b, err := json.Marshal(m)
	if err != nil { // a string and a number always marshal
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func decodeMark(s string) (mark, error) {
	var m mark
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return m, post.Errorf(post.KindInvalid, "turn the page", "the cursor is not one of this list")
	}
	return m, nil
}

// paginate trims the look-ahead row, puts a page that was read backwards the
// right way round, and works out the cursors.
func paginate[T any](rows []T, p Page, at func(T) mark) ([]T, Pages) {
	more := len(rows) > p.Limit
	if more {
		rows = rows[:p.Limit]
	}
	if p.Back {
		for i, j := 0, len(rows)-1; i < j; i, j = i+1, j-1 {
			rows[i], rows[j] = rows[j], rows[i]
		}
	}
	if len(rows) == 0 {
		return rows, Pages{}
	}
	first, last := at(rows[0]).encode(), at(rows[len(rows)-1]).encode()
	switch {
	case p.Back && more:
		return rows, Pages{Next: nextIf(p.Cursor != "", last), Prev: first}
	case p.Back:
		return rows, Pages{Next: nextIf(p.Cursor != "", last)}
	case more:
		return rows, Pages{Next: last, Prev: nextIf(p.Cursor != "", first)}
	default:
		return rows, Pages{Prev: nextIf(p.Cursor != "", first)}
	}
}

func nextIf(ok bool, s string) string {
	if ok {
		return s
	}
	return ""
}

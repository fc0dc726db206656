package storage

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// Merge values are kept as one flat JSON object of strings with sorted names.
// They are written once and read once per delivery, so the plain case (no
// escapes) is read and written here without reflection; everything else goes
// through encoding/json.

func encodeFields(m map[string]string) (string, error) {
	if len(m) == 0 {
		return "{}", nil
	}
	var few [16]string
	names, size := few[:0], 2
	for k, v := range m {
		if !plainJSON(k) || !plainJSON(v) {
			b, err := json.Marshal(m)
			return string(b), err
		}
		names = append(names, k)
		size += len(k) + len(v) + 6
	}
	slices.Sort(names)
	var b strings.Builder
	b.Grow(size)
	for i, k := range names {
		if i == 0 {
			b.WriteString(`{"`)
		} else {
			b.WriteString(`,"`)
		}
		b.WriteString(k)
		b.WriteString(`":"`)
		b.WriteString(m[k])
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String(), nil
}

// fieldWriter writes fields as encodeFields does, row after row: those of a sheet have
// the same names, which are put in order once.
type fieldWriter struct {
	names []string // of the rows so far, in order; only such as stand in JSON as they are
	out   []byte
}

const maxFieldNames = 256 // a sheet has no more columns

// encode returns what is good until the next call.
func (w *fieldWriter) encode(m map[string]string) ([]byte, error) {
	if w.quick(m) {
		return w.out, nil
	}
	for name := range m {
		if at, known := slices.BinarySearch(w.names, name); !known && len(w.names) < maxFieldNames && plainJSON(name) {
			w.names = slices.Insert(w.names, at, strings.Clone(name))
		}
	}
	fields, err := encodeFields(m)
	w.out = append(w.out[:0], fields...)
	return w.out, err
}

// quick writes fields whose names are all known and whose values are plain.
func (w *fieldWriter) quick(m map[string]string) bool {
	w.out = append(w.out[:0], '{')
	found := 0
	for _, name := range w.names {
		value, ok := m[name]
		if !ok {
			continue
		}
		if !plainJSON(value) {
			return false
		}
		if found++; found > 1 {
			w.out = append(w.out, ',')
		}
		w.out = append(w.out, '"')
		w.out = append(w.out, name...)
		w.out = append(w.out, `":"`...)
		w.out = append(w.out, value...)
		w.out = append(w.out, '"')
	}
	w.out = append(w.out, '}')
	return found == len(m)
}

// plainJSON reports whether s stands in JSON as it is, as encoding/json would
// write it too.
func plainJSON(s string) bool {
	ascii := true
	for i := range len(s) {
		switch c := s[i]; {
		case c < 0x20, c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		case c >= 0x80:
			ascii = false
		}
	}
	// U+2028 and U+2029 are escaped, and what is not UTF-8 is replaced.
	return ascii || utf8.ValidString(s) && !strings.ContainsAny(s, "\u2028\u2029")
}

func decodeFields(s string) (map[string]string, error) {
	if s == "" || s == "{}" {
		return map[string]string{}, nil
	}
	if m, ok := decodePlain(s); ok {
		return m, nil
	}
	m := map[string]string{}
	err := json.Unmarshal([]byte(s), &m)
	return m, err
}

// decodePlain reads an object of strings without escapes and white space.
func decodePlain(s string) (map[string]string, bool) {
	m := make(map[string]string, strings.Count(s, `":"`))
	return m, eachPlain(s, func(name, value string) { m[name] = value })
}

// eachPlain reads the names and values of such an object one after the other; not
// ok, perhaps after some of them, where s is another one.
func eachPlain(s string, yield func(name, value string)) (ok bool) {
	if strings.IndexByte(s, '\\') >= 0 || !utf8.ValidString(s) || s[0] != '{' || s[len(s)-1] != '}' {
		return false
	}
	for s = s[1:]; ; {
		if s[0] != '"' {
			return false
		}
		name, rest, ok := strings.Cut(s[1:], `":"`)
		if !ok || strings.IndexByte(name, '"') >= 0 {
			return false
		}
		value, rest, ok := strings.Cut(rest, `"`)
		if !ok || rest == "" {
			return false
		}
		yield(name, value)
		switch {
		case rest == "}":
			return true
		case rest[0] != ',' || len(rest) < 2:
			return false
		}
		s = rest[1:]
	}
}

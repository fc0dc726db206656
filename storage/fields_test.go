package storage

import (
	"encoding/json"
	"maps"
	"testing"
)

// FuzzFields: what is written is what encoding/json writes, and is read back as
// what encoding/json reads.
func FuzzFields(f *testing.F) {
	for _, s := range [][4]string{
		{"first_name", "Ann", "town", "Lübeck"},
		{"a", "", "b", `say "hi"`},
		{"", "", "x", "tab\there"},
		{"name", "王小明", "note", "a\u2028b"},
		{"a", `\`, "b", "<b>&amp;</b>"},
		{"k", "\xff", "l", `":"`},
		{"a", "}", "b", `,"c":"d`},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		m := map[string]string{k1: v1, k2: v2}
		want, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := encodeFields(m)
		if err != nil || got != string(want) {
			t.Fatalf("wrote %s, want %s (%v)", got, want, err)
		}
		back, err := decodeFields(got)
		if err != nil {
			t.Fatal(err)
		}
		read := map[string]string{}
		if err := json.Unmarshal(want, &read); err != nil || !maps.Equal(back, read) {
			t.Fatalf("read %v, want %v (%v)", back, read, err)
		}
	})
}

// FuzzDecodeFields: the quick reader never differs from encoding/json on what
// that accepts, and neither accepts more nor panics.
func FuzzDecodeFields(f *testing.F) {
	for _, s := range []string{`{"a":"b"}`, `{"a":"b","c":""}`, `{"a": "b"}`, `{"a":1}`, `{"a":"b"`, `{}`, ``, `{"a":"b",}`, `{"a":"b"}}`, `{`, `}`, `{"`, "{\"a\":\"\x01\"}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := decodeFields(s)
		want := map[string]string{}
		werr := json.Unmarshal([]byte(s), &want)
		if werr == nil && (err != nil || !maps.Equal(got, want)) {
			t.Fatalf("%q: %v (%v), want %v", s, got, err, want)
		}
	})
}

package contacts

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postroom/post"
)

func each(cs []post.Contact) iter.Seq2[post.Contact, error] {
	return func(yield func(post.Contact, error) bool) {
		for _, c := range cs {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func TestExportWording(t *testing.T) {
	var b bytes.Buffer
	err := Export(&b, each([]post.Contact{
		{Address: "a@x.de", Name: "=cmd|' /C calc'!A0", Fields: map[string]string{"note": "fine\n  @SUM(1)", "city": "Köln"}},
		{Address: "+b@x.de", Name: `O"Neil; Bob`, Fields: map[string]string{"note": "＝1", "zip": "01"}},
		{Address: "c@x.de", Name: "'=1", Fields: map[string]string{"note": "  -2", "city": "'quoted", "zip": "\nx"}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := "\xEF\xBB\xBFemail,name,city,note,zip\r\n" +
		"a@x.de,\"'=cmd|' /C calc'!A0\",Köln,\"fine\n'  @SUM(1)\",\r\n" +
		"'+b@x.de,\"O\"\"Neil; Bob\",,'＝1,01\r\n" +
		"c@x.de,''=1,'quoted,'  -2,\"'\nx\"\r\n"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
}

// TestNoCellIsAFormula reads exports with another reader, as a spreadsheet would.
func TestNoCellIsAFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringOf(rapid.SampledFrom([]rune("=+-@'\t\r\n ＝＋－＠a,\";|ü\u00A0"))).Draw(t, "value")
		var b bytes.Buffer
		if err := Export(&b, each([]post.Contact{{Address: "a@x.de", Name: value, Fields: map[string]string{"f": value}}})); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&b).ReadAll()
		if err != nil || len(rows) != 2 {
			t.Fatalf("%v, %d rows", err, len(rows))
		}
		for _, cell := range rows[1] {
			lines := strings.FieldsFunc(cell, func(r rune) bool { return r == '\n' || r == '\r' })
			if c := strings.TrimLeft(cell, " "); c != "" && strings.ContainsRune("\t\r\n", rune(c[0])) {
				t.Fatalf("%q begins with a control character", cell)
			}
			for _, line := range lines {
				line = strings.TrimLeftFunc(line, unicode.IsSpace)
				if line != "" && strings.ContainsAny(string([]rune(line)[:1]), "=+-@＝＋－＠") {
					t.Fatalf("%q would be run", cell)
				}
			}
		}
	})
}

// people draws contacts as an import leaves them: clean, trimmed, one per key.
func people(t *rapid.T) []post.Contact {
	text := rapid.Custom(func(t *rapid.T) string {
		s := rapid.StringOf(rapid.OneOf(
			rapid.SampledFrom([]rune("=+-@'\n ＝＋－＠,\";|aé王\u00A0")), rapid.RuneFrom(nil, unicode.Letter, unicode.Punct),
		)).Draw(t, "text")
		s, _ = cleanTextCell(s)
		return trimCell(strings.ToValidUTF8(strings.ReplaceAll(s, "\uFFFD", ""), ""))
	})
	address := rapid.Custom(func(t *rapid.T) string {
		a, err := post.ParseAddress(rapid.StringMatching(`[=+'a-zäé王-][=+'a-z0-9]{0,8}@[a-z]{1,5}(\.[a-zü]{2,3})?`).Draw(t, "address"))
		if err != nil {
			t.Skip("not an address")
		}
		return a.String()
	})
	fields := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) string {
		return post.FieldName(rapid.OneOf(rapid.SampledFrom([]string{"E-Mail", "Vorname", "Nachname", "姓名", "mail", "First Name", "column", "2nd"}), rapid.String()).Draw(t, "field"),
			func(s string) bool { return s == fieldEmail || s == fieldName })
	}), 0, 5, rapid.ID[string]).Draw(t, "fields")
	fields = slices.DeleteFunc(fields, func(f string) bool { return post.FieldName(f, nil) != f })
	all := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) post.Contact {
		a := address.Draw(t, "a")
		parsed, err := post.ParseAddress(a)
		if err != nil {
			t.Fatal(err)
		}
		name, _ := cleanLineCell(text.Draw(t, "name"))
		if n, err := post.ParseAddress(name); err == nil && post.AddressKey(n) == post.AddressKey(parsed) {
			name = ""
		}
		name, _ = cutName(name)
		c := post.Contact{Address: a, Key: post.AddressKey(parsed), Name: name, Fields: map[string]string{}}
		for _, f := range fields {
			if v := text.Draw(t, f); v != "" {
				c.Fields[f] = v
			}
		}
		return c
	}), 0, 8, func(c post.Contact) string { return c.Key }).Draw(t, "people")
	return all
}

// TestRoundTrip: an import of an export gives the same people.
func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		want := people(t)
		path := filepath.Join(dir, "out.csv")
		if err := ExportFile(path, each(want)); err != nil {
			t.Fatal(err)
		}
		book := newBook()
		rep, err := Import(context.Background(), book, path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if rep.Added != int64(len(want)) || rep.Read != rep.Added {
			src, _ := os.ReadFile(path)
			t.Fatalf("%+v of %d\n%s", rep, len(want), src)
		}
		var got []post.Contact
		for _, c := range want { // in the order of want
			got = append(got, book.people[c.Key])
		}
		if d := cmp.Diff(want, got); d != "" && len(want) > 0 {
			src, _ := os.ReadFile(path)
			t.Fatalf("%s\n%s", d, src)
		}
	})
}

func TestExportFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.csv")
	if err := os.WriteFile(path, []byte("before"), 0o644); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the ledger is gone")
	failing := func(yield func(post.Contact, error) bool) {
		if yield(post.Contact{Address: "a@x.de"}, nil) {
			yield(post.Contact{}, broken)
		}
	}
	if err := ExportFile(path, failing); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	pass := 0
	changing := func(yield func(post.Contact, error) bool) {
		pass++
		c := post.Contact{Address: "a@x.de", Fields: map[string]string{"city": "x"}}
		if pass == 2 {
			c.Fields["new"] = "lost"
		}
		yield(c, nil)
	}
	if err := ExportFile(path, changing); post.KindOf(err) != post.KindConflict {
		t.Errorf("a field that came late: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "before" {
		t.Errorf("a failed export left %q, %v", got, err)
	}
	if err := ExportFile(path, each(nil)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "\xEF\xBB\xBFemail,name\r\n" {
		t.Errorf("%q, %v", got, err)
	}
	if fi, err := os.Stat(path); runtime.GOOS != "windows" && (err != nil || fi.Mode().Perm() != 0o600) {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if err := ExportFile(filepath.Join(dir, "no", "folder.csv"), each(nil)); post.KindOf(err) != post.KindInternal || err == nil {
		t.Errorf("no folder: %v", err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("left behind: %v, %v", all, err)
	}
	if err := Export(failingWriter{}, each([]post.Contact{{Address: "a@x.de"}})); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a full disk: %v", err)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// TestBookComesBack: an import of an exported workbook gives the same people,
// and no cell is a formula or a number.
func TestBookComesBack(t *testing.T) {
	people := []post.Contact{
		{Address: "a@x.de", Key: "a@x.de", Name: "=cmd|' /C calc'!A0", Fields: map[string]string{"zip": "01234", "n": "12345678901234567890", "day": "2026-11-26", "note": "two\nlines"}},
		{Address: "b@x.de", Key: "b@x.de", Name: "'=1", Fields: map[string]string{"zip": "+49", "note": "_x000D_ & <b>"}},
	}
	path := filepath.Join(t.TempDir(), "people.XLSX")
	if err := ExportFile(path, each(people)); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("files left: %v", left)
	}
	b := newBook()
	if rep, err := Import(context.Background(), b, path, Options{}); err != nil || len(rep.Problems) != 0 {
		t.Fatal(rep, err)
	}
	for _, want := range people {
		if d := cmp.Diff(describeContact(want), describeContact(b.people[want.Key])); d != "" {
			t.Error(d)
		}
	}
}

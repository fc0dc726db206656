package contacts

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"postroom/post"
)

func readAll(t testing.TB, r io.Reader, delim byte) []string {
	t.Helper()
	sc := newScanner(r, delim)
	var all []string
	for {
		rec, err := sc.next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%d %d %q %s", rec.row, rec.flaw, rec.cells, rec.start))
	}
}

// TestScannerDoesNotDependOnReads gives the same text in pieces of every kind.
func TestScannerDoesNotDependOnReads(t *testing.T) {
	text := "a,\"b\"\"c\"\r\n\r\nd,\"e\r\nf\"\rg,\"h\ni,\"j\"\nk,\"open\nl\n" + strings.Repeat("x", 200_000) + ",y\r\nz"
	want := readAll(t, strings.NewReader(text), ',')
	for name, r := range map[string]io.Reader{
		"one byte":    iotest.OneByteReader(strings.NewReader(text)),
		"half":        iotest.HalfReader(strings.NewReader(text)),
		"error early": iotest.DataErrReader(strings.NewReader(text)),
	} {
		if got := readAll(t, r, ','); !slices.Equal(got, want) {
			t.Errorf("%s:\n%.500v\nwant\n%.500v", name, got, want)
		}
	}
}

// TestRecordLimit: one byte decides, however the bytes arrive.
func TestRecordLimit(t *testing.T) {
	for _, more := range []int{-1, 0, 1, 40_000, 100_000} {
		row := strings.Repeat("x", maxRecord-1+more) // its LF or CR counts too
		want := flawNone
		if more > 0 {
			want = flawLong
		}
		for name, r := range map[string]io.Reader{
			"LF":         strings.NewReader(row + "\nb\n"),
			"CR":         strings.NewReader(row + "\rb\n"),
			"CRLF":       strings.NewReader(row + "\r\nb\n"),
			"half reads": iotest.HalfReader(strings.NewReader(row + "\r\nb\n")),
		} {
			sc := newScanner(r, ',')
			rec, err := sc.next()
			if err != nil || rec.flaw != want {
				t.Errorf("%+d, %s: flaw %d, %v; want %d", more, name, rec.flaw, err, want)
			}
			if rec, err := sc.next(); err != nil || rec.row != 2 || rec.cells[0] != "b" {
				t.Errorf("%+d, %s: the next row is %d %q, %v", more, name, rec.row, rec.cells, err)
			}
		}
	}
}

func TestScannerErrors(t *testing.T) {
	for _, text := range []string{"a,b\nc", "a,b\n\"c", ""} {
		sc := newScanner(io.MultiReader(strings.NewReader(text), iotest.ErrReader(io.ErrClosedPipe)), ',')
		var err error
		for err == nil {
			_, err = sc.next()
		}
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := newScanner(stuck{}, ',').next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that gives nothing: %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// TestScannerIsLinear holds the promise of the scanner's comment: the worst
// files for recovery take time in proportion to their size.
func TestScannerIsLinear(t *testing.T) {
	for name, unit := range map[string]string{
		"open quotes":    "a,\"b\n",
		"doubled quotes": "\"\"\"\n",
		"even lines":     "x,\"\"\n",
		"CR only":        "a,b\r",
		"blank":          "\n",
		"odd every 1000": "a,\"b\n" + strings.Repeat("\"\"\"\",\"\"x\n", 999),
	} {
		size := int64(4 << 20)
		sc := newScanner(strings.NewReader(strings.Repeat(unit, int(size)/len(unit))), ',')
		rows := 0
		for {
			if _, err := sc.next(); err != nil {
				break
			}
			rows++
		}
		if rows == 0 || sc.looked > 4*size || len(sc.buf) > maxRecord {
			t.Errorf("%s: %d rows, %d bytes looked at, buffer of %d bytes", name, rows, sc.looked, len(sc.buf))
		}
	}
}

// FuzzScanner compares with encoding/csv wherever that one takes a file as
// well-formed, and holds what must be true of any file.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{"a,b\n\"c\",\"d\ne\"\n", "\"a\"x\n", "\"", "a\rb", "\n\n", "\"a\"\"b\",", "a,\"b\nc,\"d\"\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sc := newScanner(strings.NewReader(text), ',')
		var got [][]string
		odd, last := false, int64(0)
		for {
			rec, err := sc.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if rec.row != last+1 {
				t.Fatalf("row %d after %d", rec.row, last)
			}
			last = rec.row
			odd = odd || rec.flaw != flawNone
			if len(rec.cells) == 1 && rec.cells[0] == "" {
				continue // encoding/csv leaves blank lines out
			}
			got = append(got, slices.Clone(rec.cells))
		}
		if strings.Contains(strings.ReplaceAll(text, "\r\n", ""), "\r") {
			return // line ends that encoding/csv does not know
		}
		cr := csv.NewReader(strings.NewReader(text))
		cr.FieldsPerRecord = -1
		want, err := cr.ReadAll()
		if err != nil {
			return
		}
		if odd && len(text) < maxRecord {
			t.Fatalf("%q is well-formed, and something is found wrong with it", text)
		}
		want = slices.DeleteFunc(want, func(r []string) bool { return len(r) == 1 && r[0] == "" }) // a quoted nothing
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Fatalf("%q\ngot  %q\nwant %q", text, got, want)
		}
	})
}

// FuzzImport: whatever the file, rows are accounted for; and what was taken
// survives an export and a second import.
func FuzzImport(f *testing.F) {
	for _, tc := range awkwardFiles(f) {
		if len(tc.file) < 2000 {
			f.Add([]byte(tc.file))
		}
	}
	f.Add([]byte("0000,\"\"\" \"\" <0@A>\"")) // a name of one space, in quotes
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, file []byte) {
		path := filepath.Join(dir, fmt.Sprintf("%d.csv", rand.Uint64()))
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(path) //nolint:errcheck // a leftover harms nobody
		book := newBook()
		rep, err := Import(t.Context(), book, path, Options{})
		if err != nil {
			if k := post.KindOf(err); k != post.KindInvalid || book.calls > 0 && len(book.people) > 0 {
				t.Fatalf("kind %v: %v", k, err)
			}
			return
		}
		skipped := int64(0)
		for _, p := range rep.Problems {
			if p.Skipped {
				skipped++
			}
		}
		if rep.Read != rep.Added+rep.Updated+rep.Unchanged+rep.Skipped || skipped != rep.Skipped {
			t.Fatalf("rows unaccounted for: %+v", rep)
		}
		var before []post.Contact
		for _, k := range sortedKeys(book.people) {
			before = append(before, book.people[k])
		}
		if err := ExportFile(path, each(before)); err != nil {
			t.Fatal(err)
		}
		again := newBook()
		if _, err := Import(t.Context(), again, path, Options{}); err != nil {
			t.Fatal(err)
		}
		if a, b := describe(book), describe(again); !slices.Equal(a, b) {
			t.Fatalf("exported %q\nimported %q", a, b)
		}
	})
}

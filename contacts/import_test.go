package contacts

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postroom/post"
)

func TestMap(t *testing.T) {
	const file = "Mail1,Mail2,Who,Town\na@x.de,b@y.de,Anna,Berlin\n"
	for _, tc := range []struct {
		name    string
		file    string
		m       map[string]string
		want    string
		refused string
	}{
		{name: "recognised", file: file, want: "a@x.de||mail2=b@y.de town=Berlin who=Anna"},
		{name: "by header", file: file, m: map[string]string{"email": "mail2", "name": " WHO "}, want: "b@y.de|Anna|mail1=a@x.de town=Berlin"},
		{name: "by number", file: file, m: map[string]string{"email": "2", "name": "3", "City": "4"}, want: "b@y.de|Anna|city=Berlin mail1=a@x.de"},
		{name: "E-Mail means email", file: file, m: map[string]string{"E-Mail": "2"}, want: "b@y.de||mail1=a@x.de town=Berlin who=Anna"},
		{name: "a mapped name wins over a header's", file: file, m: map[string]string{"town": "3"}, want: "a@x.de||mail2=b@y.de town=Anna town_2=Berlin"},
		{name: "one column for two", file: file, m: map[string]string{"name": "3", "who": "3"}, want: "a@x.de|Anna|mail2=b@y.de town=Berlin who=Anna"},
		{name: "without a header", file: "a@x.de,Anna\n", m: map[string]string{"name": "2"}, want: "a@x.de|Anna|"},
		{name: "header of digits", file: "email,2,1\na@x.de,two,one\n", m: map[string]string{"field": "1"}, want: "a@x.de||f_2=two field=one"},
		{name: "unknown column", file: file, m: map[string]string{"name": "Nobody"}, refused: "contacts.no_such_column"},
		{name: "number too high", file: file, m: map[string]string{"name": "5"}, refused: "contacts.no_such_column"},
		{name: "number zero", file: file, m: map[string]string{"name": "0"}, refused: "contacts.no_such_column"},
		{name: "no column", file: file, m: map[string]string{"name": ""}, refused: "contacts.bad_map"},
		{name: "no field", file: file, m: map[string]string{" ": "1"}, refused: "contacts.bad_map"},
		{name: "twice", file: file, m: map[string]string{"city": "3", "City": "4"}, refused: "contacts.map_twice"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			book := newBook()
			_, err := Import(context.Background(), book, writeFile(t, tc.file), Options{Map: tc.m})
			if tc.refused != "" {
				wantRefusal(t, err, tc.refused)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(describe(book), "\n"); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestSuppressedIsReportedAndTaken(t *testing.T) {
	book := newBook()
	book.suppressed["b@xn--exmple-cua.de"] = true
	rep, err := Import(context.Background(), book, writeFile(t, "name,email\nA,a@x.de\nbad,bad\nB,B@exämple.de\nB,b@exämple.de\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Added != 2 || rep.Skipped != 1 || rep.Read != 4 {
		t.Errorf("%+v", rep)
	}
	want := []string{"-3 email contacts.address_no_at", "4 email contacts.suppressed"}
	if d := cmp.Diff(want, describeProblems(rep.Problems)); d != "" {
		t.Error(d)
	}
}

func TestProblemsCanBeStreamed(t *testing.T) {
	var got []Problem
	rep, err := Import(context.Background(), newBook(), writeFile(t, "email\nbad\na@x.de\nworse\n"), Options{OnProblem: func(p Problem) { got = append(got, p) }})
	if err != nil || len(rep.Problems) != 0 || rep.Skipped != 2 {
		t.Errorf("%+v, %v", rep, err)
	}
	if d := cmp.Diff([]string{"-2 email contacts.address_no_at", "-4 email contacts.address_no_at"}, describeProblems(got)); d != "" {
		t.Error(d)
	}
}

// interfering runs f when the first row comes by.
type interfering struct {
	*memoryBook
	f func()
}

func (b interfering) ImportContacts(ctx context.Context, list string, dry bool, rows iter.Seq2[post.Contact, error]) (int64, int64, int64, []string, error) {
	return b.memoryBook.ImportContacts(ctx, list, dry, func(yield func(post.Contact, error) bool) {
		first := true
		for c, err := range rows {
			if first {
				first = false
				b.f()
			}
			if !yield(c, err) {
				return
			}
		}
	})
}

func TestFileThatChangesWhileItIsRead(t *testing.T) {
	content := "email\n" + strings.Repeat("a@x.de\n", 200_000)
	for name, change := range map[string]func(path string) error{
		"grows": func(path string) error {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("b@x.de\n")
			return errors.Join(err, f.Close())
		},
		"shrinks": func(path string) error { return os.Truncate(path, 10) },
		"is touched": func(path string) error {
			then := time.Now().Add(-time.Hour)
			return os.Chtimes(path, then, then)
		},
		"is replaced": func(path string) error {
			fi, err := os.Stat(path)
			if err != nil {
				return err
			}
			other := path + ".new"
			return errors.Join(os.WriteFile(other, []byte(content), 0o600), os.Chtimes(other, fi.ModTime(), fi.ModTime()), os.Rename(other, path))
		},
		"is rewritten within the clock's tick": func(path string) error {
			fi, err := os.Stat(path)
			if err != nil {
				return err
			}
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte("b"), int64(len(content)-8))
			return errors.Join(err, f.Close(), os.Chtimes(path, fi.ModTime(), fi.ModTime()))
		},
		"vanishes": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, content)
			book := newBook()
			_, err := Import(context.Background(), interfering{book, func() {
				if err := change(path); err != nil {
					t.Error(err)
				}
			}}, path, Options{})
			if name == "vanishes" {
				if post.KindOf(err) != post.KindNotFound {
					t.Errorf("got %v", err)
				}
			} else {
				wantRefusal(t, err, "contacts.file_changed")
			}
			if len(book.people) != 0 {
				t.Error("the book was changed")
			}
		})
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	book := newBook()
	_, err := Import(ctx, interfering{book, cancel}, writeFile(t, "email\n"+strings.Repeat("a@x.de\n", 10_000)), Options{})
	if post.KindOf(err) != post.KindCancelled || !errors.Is(err, context.Canceled) || len(book.people) != 0 {
		t.Errorf("got %v, %d people", err, len(book.people))
	}
	if _, err := Import(ctx, book, writeFile(t, "email\na@x.de\n"), Options{}); post.KindOf(err) != post.KindCancelled {
		t.Errorf("cancelled before: %v", err)
	}
}

func TestBookErrorsComeThrough(t *testing.T) {
	book := newBook()
	book.fail = &post.Error{Kind: post.KindInternal, Message: "the disk is full"}
	if _, err := Import(context.Background(), book, writeFile(t, "email\na@x.de\n"), Options{}); !errors.Is(err, book.fail) {
		t.Errorf("got %v", err)
	}
}

// lazyBook does not read what it is given.
type lazyBook struct{ takes int }

func (b lazyBook) ImportContacts(_ context.Context, _ string, _ bool, rows iter.Seq2[post.Contact, error]) (n, _, _ int64, _ []string, _ error) {
	for range rows {
		if n++; int(n) == b.takes {
			break
		}
	}
	return n, 0, 0, nil, nil
}

func TestABookThatStopsEarlyIsNotBelieved(t *testing.T) {
	if _, err := Import(context.Background(), lazyBook{takes: 2}, writeFile(t, "email\na@x.de\nb@x.de\nc@x.de\n"), Options{}); err == nil {
		t.Error("rows are missing and nobody says so")
	}
}

func TestMissingAndUnreadable(t *testing.T) {
	dir := t.TempDir()
	if _, err := Import(context.Background(), newBook(), filepath.Join(dir, "none.csv"), Options{}); post.KindOf(err) != post.KindNotFound {
		t.Errorf("missing: %v", err)
	}
	_, err := Import(context.Background(), newBook(), dir, Options{})
	wantRefusal(t, err, "contacts.not_a_file")
	big := filepath.Join(dir, "big.csv")
	if err := os.WriteFile(big, []byte("email\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, MaxFile+1); err != nil {
		t.Fatal(err)
	}
	_, err = Import(context.Background(), newBook(), big, Options{})
	wantRefusal(t, err, "contacts.file_too_large")
}

// countingBook counts, so that millions of rows fit.
type countingBook struct{ n int64 }

func (b *countingBook) ImportContacts(_ context.Context, _ string, _ bool, rows iter.Seq2[post.Contact, error]) (int64, int64, int64, []string, error) {
	b.n = 0
	for _, err := range rows {
		if err != nil {
			return 0, 0, 0, nil, err
		}
		b.n++
	}
	return b.n, 0, 0, nil, nil
}

func TestRowLimitAndProgress(t *testing.T) {
	full := "email\n" + strings.Repeat("a@x.de\n", MaxRows)
	var calls, last int64
	rep, err := Import(context.Background(), &countingBook{}, writeFile(t, full), Options{Progress: func(rows, done, total int64) {
		if calls++; rows < last || done > total || total != int64(len(full)) {
			t.Errorf("progress %d rows, %d of %d bytes after %d rows", rows, done, total, last)
		}
		last = rows
	}})
	if err != nil || rep.Read != MaxRows || last != MaxRows || calls < 100 {
		t.Errorf("%+v, %v; %d calls, last %d", rep.Read, err, calls, last)
	}
	_, err = Import(context.Background(), &countingBook{}, writeFile(t, full+"\n\na@x.de\n"), Options{})
	wantRefusal(t, err, "contacts.too_many_rows")
}

func TestRows(t *testing.T) {
	path := writeFile(t, "Email,Name,Invoice\nA@x.de,Anna,1\nbad,,2\na@x.de,,3\n")
	var problems []Problem
	fields, rows, err := Rows(context.Background(), path, nil, func(p Problem) { problems = append(problems, p) })
	if err != nil {
		t.Fatal(err)
	}
	var got []post.Recipient
	for r, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	want := []post.Recipient{
		{Address: "A@x.de", Key: "a@x.de#2", Name: "Anna", Fields: map[string]string{"invoice": "1"}},
		{Address: "a@x.de", Key: "a@x.de#4", Fields: map[string]string{"invoice": "3"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"invoice"}, fields); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"-3 Email contacts.address_no_at"}, describeProblems(problems)); d != "" {
		t.Error(d)
	}
	for range rows { // an early end leaves nothing open
		break
	}
	if err := os.WriteFile(path, []byte("email\nb@x.de\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var last error
	for _, last = range rows {
	}
	wantRefusal(t, last, "contacts.file_changed")

	_, rows, err = Rows(context.Background(), writeFile(t, "email,city\na@x.de,\n"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range rows {
		if v, ok := r.Fields["city"]; err != nil || !ok || v != "" {
			t.Errorf("an empty cell is no field: %+v, %v", r, err)
		}
	}
	_, _, err = Rows(context.Background(), writeFile(t, ""), nil, nil)
	wantRefusal(t, err, "contacts.empty_file")
}

func TestInspect(t *testing.T) {
	p, err := Inspect(context.Background(), writeFile(t, "Email;Vorname;Ort\na@x.de;Anna;Köln\nbad;;\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Preview{
		Charset: "UTF-8", Delimiter: ";", Header: []string{"Email", "Vorname", "Ort"},
		Mapping: Mapping{Address: 0, Name: -1, First: 1, Last: -1, Fields: []Field{{"vorname", 1}, {"ort", 2}}},
		First:   [][]string{{"a@x.de", "Anna", "Köln"}, {"bad"}},
	}
	if d := cmp.Diff(want, p); d != "" {
		t.Error(d)
	}
	_, err = Inspect(context.Background(), writeFile(t, "\x89PNG\r\n"), nil)
	wantRefusal(t, err, "contacts.is_image")
}

func TestPreviewShowsNoHalfRow(t *testing.T) {
	row := "a@x.de," + strings.Repeat("n", 3000) + ",end\n"
	p, err := Inspect(context.Background(), writeFile(t, "email,note,mark\n"+strings.Repeat(row, 200)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.First) < 50 {
		t.Errorf("%d rows", len(p.First))
	}
	for i, r := range p.First {
		if len(r) != 3 || r[2] != "end" {
			t.Errorf("row %d ends in %.20q", i, r[len(r)-1])
		}
	}
}

func TestLongHeaderlessFile(t *testing.T) {
	// The sample ends in the middle of a row; nothing of that may show.
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, "user%d@example.com,Name %d,\"some, text\"\n", i, i)
	}
	book := &countingBook{}
	rep, err := Import(context.Background(), book, writeFile(t, b.String()), Options{})
	if err != nil || rep.Added != 20_000 || len(rep.Problems) != 0 {
		t.Errorf("%+v, %v", rep, err)
	}
}

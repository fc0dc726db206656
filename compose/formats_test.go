package compose

import (
	"context"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postroom/post"
)

func TestDates(t *testing.T) {
	for _, c := range []struct{ pattern, lang, value, want string }{
		{"d MMMM yyyy", "", "2026-03-04", "4 March 2026"},
		{"D MMM YY", "", "2026-03-04 17:05", "4 Mar 26"},
		{"dd.MM.yyyy HH:mm", "", "2026-03-04T07:05:09Z", "04.03.2026 07:05"},
		{"h:mm a", "", "2026-03-04 00:05", "12:05 am"},
		{"h:mm a", "", "2026-03-04 12:05:59", "12:05 pm"},
		{"E d/M", "", "2026-03-04", "Wed 4/3"},
		{"long", "", "4 March 2026", "4 March 2026"},
		{"long", "de", "4.3.2026", "4. März 2026"},
		{"EEEE, d. MMM", "de", "2026-03-04", "Mittwoch, 4. März"},
		{"short", "fr", "20260304", "04/03/2026"},
		{"long", "es", "2026-03-04", "4 de marzo de 2026"},
		{"long", "zh", "2026/3/4", "2026年3月4日"},
		{"yyyy年MM月dd日 EEEE ah:mm", "zh", "2026年3月4日", "2026年03月04日 星期三 上午12:00"},
		{"'day' d", "", "2026-03-04", "day 4"},
		{"s", "", "2026-03-04 00:00:07", "7"},
	} {
		lang := c.lang
		if lang == "" {
			lang = "en"
		}
		f, what := parseDateFormat(c.pattern, lang)
		if what != "" {
			t.Errorf("%q: %s", c.pattern, what)
			continue
		}
		if got, ok := f.apply(c.value); got != c.want || !ok {
			t.Errorf("%q of %q is %q, %v; want %q", c.pattern, c.value, got, ok, c.want)
		}
	}
	f, _ := parseDateFormat("long", "en")
	for _, bad := range []string{"", "03/04/2026", "04-03-2026", "2026-02-30", "next week", "12.2026", "0", strings.Repeat("2026-01-01", 9)} {
		if got, ok := f.apply(bad); ok || got != bad {
			t.Errorf("%q was read as %q", bad, got)
		}
	}
}

// Every day is written and read back as Go's own time package does.
func TestDatesEqualGo(t *testing.T) {
	f, _ := parseDateFormat("EEEE EEE d dd MMMM MMM MM M yyyy yy HH hh h mm m ss s", "en")
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "at"), 0).UTC()
		want := at.Format("Monday Mon 2 02 January Jan 01 1 2006 06 15 03 3 04 4 05 5")
		if got, ok := f.apply(at.Format(time.RFC3339)); got != want || !ok {
			t.Fatalf("%q, want %q", got, want)
		}
	})
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ pattern, value, want string }{
		{"1,234.56", "1234567.895", "1,234,567.90"},
		{"1.234,56", "1234567.895", "1.234.567,90"},
		{"1 234,5", "-1234", "-1 234,0"},
		{"1234", "1.234.567", "1234567"},
		{"1'234.56", "1'234'567", "1'234'567.00"},
		{"1,234", "999.5", "1,000"},
		{"1234.5", "0.125", "0.1"},
		{"1234.56", ",5", "0.50"},
		{"1234.56", "-0.001", "0.00"},
		{"1234,567", "1 234 567,8", "1234567,800"},
		{"1234", "\u22127", "-7"},
		{"1234", "000", "0"},
	} {
		f, what := parseNumberFormat(c.pattern)
		if what != "" {
			t.Errorf("%q: %s", c.pattern, what)
			continue
		}
		if got, ok := f.apply(c.value); got != c.want || !ok {
			t.Errorf("%q of %q is %q, %v; want %q", c.pattern, c.value, got, ok, c.want)
		}
	}
	f, _ := parseNumberFormat("1234.56")
	for _, bad := range []string{"", "1,234", "1.234", "-12.345", "12 EUR", "€5", "1.2.3", "1,23,456", "--1", "1e5", ".", "1.234,5.6", "١", strings.Repeat("9", 61)} {
		if got, ok := f.apply(bad); ok || got != bad {
			t.Errorf("%q was read as %q", bad, got)
		}
	}
	for _, bad := range []string{"", "0.00", "#,##0.00", "1,234,56", "1.234.56", "12,34", "1,234.", "1,234.5678901", "1,234.99", "1x234"} {
		if _, what := parseNumberFormat(bad); what == "" {
			t.Errorf("the pattern %q was taken", bad)
		}
	}
}

// Rounding is that of exact arithmetic.
func TestNumbersEqualExact(t *testing.T) {
	f, _ := parseNumberFormat("1234.56")
	rapid.Check(t, func(t *rapid.T) {
		s := fmt.Sprintf("%d.%d", rapid.Int64().Draw(t, "whole"), rapid.Uint16().Draw(t, "fraction"))
		exact, _ := new(big.Rat).SetString(s)
		got, ok := f.apply(s)
		if !ok {
			whole, fraction, _ := strings.Cut(strings.TrimPrefix(s, "-"), ".")
			if len(whole) <= 3 && len(fraction) == 3 && whole != "0" {
				return // nobody knows
			}
			t.Fatalf("%q was not read", s)
		}
		if want := strings.TrimPrefix(exact.FloatString(2), "-"); strings.TrimPrefix(got, "-") != want {
			t.Fatalf("%q is %q, want %q", s, got, want)
		}
	})
}

func TestFormatErrors(t *testing.T) {
	for src, want := range map[string]string{
		"x\n{{due | date}}":                  `body, line 2: a date is written like {{due | date "d MMMM yyyy"}}`,
		"{{date due \"long\"}}":              "the pattern of date comes first, in quotes",
		"{{due | date \"mm/dd/bbbb\"}}":      `"bbbb" is not part of a date`,
		"{{due | date \"long\" \"xx\"}}":     "en, de, fr, es or zh",
		"{{due | date \"d 'x\"}}":            "second single quote",
		"{{due | date \"\"}}":                "a date is written like",
		"{{amount | number}}":                `{{amount | number "1,234.56"}}`,
		"{{amount | number \"#,##0\"}}":      `one written as you want yours`,
		"{{amount | number due}}":            "the pattern of number comes first",
		"{{not due | date \"long\"}}":        "date works on text",
		"{{due | date \"a\" \"b\" \"c\" }}":  "a date is written like",
		"{{if date \"long\"}}{{end}}":        "a date is written like",
		"{{date}} {{number | upper}}":        `there is no field "date"`,
		"{{due | date \"yyy\"}}":             `"yyy" is not part of a date`,
		"{{due | date (upper \"long\")}}":    "comes first, in quotes",
		"{{(due | date \"long\" | number)}}": `{{amount | number "1,234.56"}}`,
	} {
		_, err := Compile(context.Background(), post.Content{Subject: "s", Body: src, Format: post.FormatText}, nil, Options{KnownFields: []string{"due", "amount"}})
		if post.KindOf(err) != post.KindInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", src, err, want)
		}
	}
	_, err := Compile(context.Background(), post.Content{Subject: "s", Preview: "{{nme}}"}, nil, Options{KnownFields: []string{"name"}})
	if err == nil || !strings.Contains(err.Error(), "preview text, line 1") {
		t.Errorf("preview: %v", err)
	}
	_, err = Compile(context.Background(), post.Content{Subject: "s", Attachments: []post.Attachment{{Name: "{{if x}}", SHA256: "y"}}}, nil, Options{})
	if err == nil || !strings.Contains(err.Error(), "file name") {
		t.Errorf("file name: %v", err)
	}
}

// Names of files are merged; a file whose own name has braces keeps them.
func TestFileNamesAreMerged(t *testing.T) {
	c := letter()
	c.Attachments = []post.Attachment{testBlobs.add("Invoice {{city}} {{first_name | upper}}.pdf", []byte("%PDF-1.7"))}
	m, err := Compile(context.Background(), c, testBlobs, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := letterParams()
	p.Recipient.Fields["city"] = "../../etc/\r\nBcc: x@y.de"
	var msg Message
	if err := m.Render(&msg, &p); err != nil {
		t.Fatal(err)
	}
	h, leaves := readMail(t, msg.Bytes())
	if got := leaves[len(leaves)-1]; got.Name != "Bcc_ x@y.de ANNA.pdf" || got.Type != "application/pdf" {
		t.Errorf("%q, %s", got.Name, got.Type)
	}
	if len(h["Bcc"]) > 0 {
		t.Error("a value became a header field")
	}
	if got := nameSource(&post.Attachment{Name: "{{x}}.txt", Path: "/tmp/{{x}}.txt"}); got != `{{"{{"}}x}}.txt` {
		t.Errorf("%q", got)
	}
	own, err := Compile(context.Background(), post.Content{Subject: "s", Body: "b", AttachColumn: "file", AttachAs: "Invoice {{number}}"}, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	files := []post.Attachment{{Name: "0815.pdf"}, {Name: "terms.pdf"}}
	if err := own.callAs(files, own.values(nil, &post.Recipient{Fields: map[string]string{"number": "7/2026"}}, "")); err != nil {
		t.Fatal(err)
	}
	if files[0].Name != "2026.pdf" || files[1].Name != "2026 2.pdf" {
		t.Errorf("%+v", files)
	}
}

// A list may well have columns that are called date and number.
func TestFieldsCalledLikeFormats(t *testing.T) {
	m, err := Compile(context.Background(), post.Content{
		Subject: "Invoice {{number}}", Format: post.FormatText,
		Body: `{{if eq number "7"}}{{date | date "d.M.yy"}}{{end}} {{number | number "1234.5"}} {{number "1234.5" number}}`,
	}, nil, Options{KnownFields: []string{"date", "number"}})
	if err != nil {
		t.Fatal(err)
	}
	p := letterParams()
	p.Recipient.Fields = map[string]string{"number": "7", "date": "2026-12-01"}
	pv, err := MakePreview(m, &p)
	if err != nil || pv.Subject != "Invoice 7" || pv.Text != "1.12.26 7.0 7.0\n" {
		t.Errorf("%q, %q, %v", pv.Subject, pv.Text, err)
	}
}

// The tags of one message read a bounded number of bytes, whatever they do with them.
func TestWorkIsBounded(t *testing.T) {
	m, err := Compile(context.Background(), post.Content{Subject: "s", Format: post.FormatText, Body: strings.Repeat("{{if eq (upper big) city}}x{{end}}", 1000)}, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := letterParams()
	p.Recipient.Fields["big"] = strings.Repeat("ä", 1<<20)
	began := time.Now()
	if err := m.Render(&Message{}, &p); post.KindOf(err) != post.KindInvalid {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

package contacts

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postroom/post"
)

// TestSkippedRowsComeBack: the skipped rows, mended, can be imported.
func TestSkippedRowsComeBack(t *testing.T) {
	for name, file := range map[string]string{
		"header":    "E-Mail;Stadt;Notiz\na@x.de;Bonn;x\nb@@x.de;\"Köln; Deutz\";'=1\n",
		"no header": "a@x.de;Bonn;x\nb@@x.de;\"Köln; Deutz\";'=1\n",
	} {
		t.Run(name, func(t *testing.T) {
			words := func(r post.Reason) string { return "why " + r.Key }
			b := newBook()
			var out bytes.Buffer
			kept := SkippedRows{W: &out, Words: words}
			rep, err := Import(t.Context(), b, writeFile(t, file), Options{Skipped: &kept})
			if err != nil || rep.Skipped != 1 || kept.Rows != 1 {
				t.Fatal(rep, kept.Rows, err)
			}
			if !strings.Contains(out.String(), "why contacts.address_local") {
				t.Errorf("no reason in %q", out.String())
			}
			// Not mended: it is skipped again, and the file stays as it is.
			var again bytes.Buffer
			if _, err := Import(t.Context(), b, writeFile(t, out.String()), Options{Skipped: &SkippedRows{W: &again, Words: words}}); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(out.String(), again.String()); d != "" {
				t.Error(d)
			}
			rep, err = Import(t.Context(), b, writeFile(t, strings.Replace(out.String(), "@@", "@", 1)), Options{})
			if err != nil || rep.Added != 1 || rep.Skipped != 0 {
				t.Fatal(rep, err)
			}
			for k := range b.people["b@x.de"].Fields {
				if strings.Contains(k, "problem") {
					t.Errorf("the reason became the field %q", k)
				}
			}
			one, two := b.people["a@x.de"].Fields, b.people["b@x.de"].Fields
			if len(one) != 2 || len(two) != 2 {
				t.Errorf("fields %v and %v", one, two)
			}
			for k := range one {
				if two[k] == "" {
					t.Errorf("the mended row has no %q: %v", k, two)
				}
			}
		})
	}
}

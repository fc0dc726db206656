package receipts

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

const ourRef = "abcdefgh234567ab.17.3k9x2m1p0q"

// sample is one message of testdata and what it says.
type sample struct {
	name, want string
	raw        []byte
}

func samples(t testing.TB) (all []sample) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			name, want, ok := strings.Cut(f.Name, ": ")
			if !ok {
				t.Fatalf("%s: %q says nothing of what is wanted", file, f.Name)
			}
			all = append(all, sample{name, want, f.Data})
		}
	}
	return all
}

// tell writes a reading as the names in testdata do.
func tell(r Reading) string {
	if len(r.Says) == 0 {
		return "nothing"
	}
	dash := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	var said []string
	for _, s := range r.Says {
		said = append(said, fmt.Sprintf("%s %s %d %s", s.Kind, dash(s.Address), s.Reply.Code, dash(s.Reply.Enhanced)))
	}
	tie := " loose"
	if len(r.Refs) > 0 {
		tie = " tied"
	}
	return strings.Join(said, ", ") + tie
}

func TestParse(t *testing.T) {
	all := samples(t)
	if len(all) < 80 {
		t.Fatalf("only %d samples", len(all))
	}
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			for _, raw := range [][]byte{s.raw, bytes.ReplaceAll(s.raw, []byte("\n"), []byte("\r\n"))} {
				r := Parse(raw)
				if got := tell(r); got != s.want {
					t.Errorf("it says %q, want %q", got, s.want)
				}
				for _, ref := range r.Refs {
					if ref != ourRef {
						t.Errorf("tied by %q", ref)
					}
				}
				head, _ := cutHeader(raw)
				if len(r.Says) > 0 && !Concerns(head) {
					t.Error("its header alone would have been passed over")
				}
			}
		})
	}
}

// TestMoved: the new address is told in words, for the user; a colleague to turn
// to meanwhile, a quoted line and the sender's own address are none.
func TestMoved(t *testing.T) {
	for _, s := range samples(t) {
		if !strings.HasPrefix(s.name, "moved-") || s.want == "nothing" {
			continue
		}
		if r := Parse(s.raw); !strings.Contains(r.Says[0].Reply.Text, "ann.new@other.example") {
			t.Errorf("%s: %+v", s.name, r.Says)
		}
	}
	for _, body := range []string{
		"I am away. In urgent cases write to bob@other.example.", "> my new address is bob@other.example", "My new address is ann@example.net",
		"Our new address is 5 Mill Lane.\n\nKind regards\nAnn\n\nbob@other.example",
	} {
		raw := "From: ann@example.net\nTo: shop@shop.example\nSubject: Re: Hello\nIn-Reply-To: <" + ourRef + "@shop.example>\n\n" + body + "\n"
		if r := Parse([]byte(raw)); len(r.Says) != 1 || r.Says[0].Reply.Text != "Re: Hello" {
			t.Errorf("%q: %+v", body, r.Says)
		}
	}
}

package sample

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"postroom/post"
)

func TestPeopleCannotExist(t *testing.T) {
	rows, err := csv.NewReader(bytes.NewReader(people)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"email", "first_name", "last_name", "city", "vip"}; !slices.Equal(rows[0], want) {
		t.Fatalf("header %q", rows[0])
	}
	if len(rows) != 21 {
		t.Fatalf("%d people, want 20", len(rows)-1)
	}
	reserved := regexp.MustCompile(`@example\.(com|net|org|test)$`)
	seen := map[string]bool{}
	for _, row := range rows[1:] {
		if _, err := post.ParseAddress(row[0]); err != nil {
			t.Errorf("%s: %v", row[0], err)
		}
		if !reserved.MatchString(row[0]) || seen[row[0]] {
			t.Errorf("%s could exist, or is there twice", row[0])
		}
		seen[row[0]] = true
	}
}

// Every tag of the message is a column of the sheet.
func TestMessageUsesOnlyItsColumns(t *testing.T) {
	if !utf8.Valid(message) {
		t.Fatal("not UTF-8")
	}
	words := regexp.MustCompile(`\{\{([^}]*)\}\}`)
	known := []string{"first_name", "last_name", "city", "vip", "if", "else", "end", "default"}
	found := 0
	for _, m := range words.FindAllStringSubmatch(string(message)+Subject, -1) {
		tag := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(m[1], "")
		for _, w := range regexp.MustCompile(`\pL[\pL\d_]*`).FindAllString(tag, -1) {
			found++
			if !slices.Contains(known, w) {
				t.Errorf("{{%s}}: %s is no column", m[1], w)
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d words in tags", found)
	}
}

// The cross-reference table of a PDF holds byte offsets: they must be right.
func TestAttachmentIsAPDF(t *testing.T) {
	s := string(hours)
	if !strings.HasPrefix(s, "%PDF-1.") || !strings.HasSuffix(s, "%%EOF\n") {
		t.Fatal("not a PDF")
	}
	offsets := regexp.MustCompile(`(?m)^(\d{10}) 00000 n `).FindAllStringSubmatch(s, -1)
	if len(offsets) != 6 {
		t.Fatalf("%d objects", len(offsets))
	}
	for i, m := range offsets {
		var at int
		if _, err := fmt.Sscanf(m[1], "%d", &at); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%d 0 obj", i+1); !strings.HasPrefix(s[at:], want) {
			t.Errorf("object %d is not at %d", i+1, at)
		}
	}
	if len(Files()) != 3 {
		t.Error("files missing")
	}
}

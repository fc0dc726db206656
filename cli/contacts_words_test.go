package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postroom/assets/words"
)

// TestContactsHaveWords: every reason that is named anywhere in the contacts
// room has words, those that are only passed on to be told among them.
func TestContactsHaveWords(t *testing.T) {
	files, err := filepath.Glob("../contacts/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	keys := map[string]bool{}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"(contacts\.[a-z_]+)"`).FindAllStringSubmatch(string(text), -1) {
			keys[m[1]] = true
		}
	}
	if len(keys) < 30 {
		t.Fatalf("found %d reasons only", len(keys))
	}
	for k := range keys {
		if !words.For(words.English).Has(k) {
			t.Errorf("%s has no words", k)
		}
	}
}

package cli

import (
	"testing"

	"postroom/assets/words"
	"postroom/compose"
)

// Whatever preflight finds is said, with the way to mend it, in every language.
func TestFindingsHaveWords(t *testing.T) {
	keys := compose.FindingKeys()
	if len(keys) < 40 {
		t.Fatalf("only %d findings are known", len(keys))
	}
	for _, lang := range words.Langs {
		c := words.For(lang)
		for _, key := range keys {
			for _, k := range []string{key, key + ".mend"} {
				if c.T(k) == k {
					t.Errorf("%s: there are no words for %s", lang, k)
				}
			}
		}
	}
}

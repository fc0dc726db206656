package compose

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestDisplayNames: what turns or hides text goes out of a name, nothing can end
// its line, and it is cut at a whole character.
func TestDisplayNames(t *testing.T) {
	for name, want := range map[string]string{
		"Anna Müller":                "Anna Müller",
		"\u202egnp.annA\u202c\u200e": "gnp.annA",
		"\u2066A\u2069\ufeff":        "A",
		"A\r\nBcc: b@example.com":    "A  Bcc: b@example.com",
		" A\tB \x00\x1b[31m":         "A B [31m",
	} {
		got := cleanName(name)
		if strings.ContainsAny(got, "\r\n\t\x00\x1b\u202e\u202c\u200e\u2066\u2069\ufeff") || strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	for _, long := range []string{strings.Repeat("x", 300), strings.Repeat("王", 100)} {
		if got := cleanName(long); len(got) > maxName || len(got) < maxName-3 || !utf8.ValidString(got) {
			t.Errorf("%d bytes of %d: %q", len(got), len(long), got)
		}
	}
}

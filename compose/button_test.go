package compose_test

import (
	"strings"
	"testing"
	"time"

	"postroom/compose"
	"postroom/post"
)

// A link in bold letters that is a paragraph by itself is a button; any other is
// a link.
func TestButton(t *testing.T) {
	for body, want := range map[string]bool{
		"**[Book a table](https://x.example/{{city}})**":          true,
		"**[Book a table](https://x.example)** now":               false,
		"[Book a table](https://x.example)":                       false,
		"Words\n\n**[Book](https://x.example)**\n\nmore":          true,
		"**[Book](https://x.example) now**":                       false,
		"*[Book](https://x.example)*":                             false,
		"{{if city}}\n\n**[Book](https://x.example)**\n\n{{end}}": true,
	} {
		m, err := compose.Compile(t.Context(), post.Content{Subject: "s", Format: post.FormatMarkdown, Body: body}, nil, compose.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := compose.MakePreview(m, &compose.Params{
			Recipient: post.Recipient{Address: "a@example.org", Fields: map[string]string{"city": "Graz"}},
			From:      post.Sender{Email: "b@example.org"}, MessageID: "<1@example.org>", Date: time.Unix(0, 0),
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(p.HTML, "background-color:#1d5c9b"); got != want {
			t.Errorf("%q is a button: %v\n%s", body, got, p.HTML)
		}
	}
}

package compose

import (
	"slices"
	"strings"
	"testing"

	"postroom/post"
)

// The user's own text alternative is sent in the place of the one that is made,
// its lines are those that errors name, and its fields count.
func TestOwnText(t *testing.T) {
	c := post.Content{Subject: "s", Body: "**{{city}}**\n", Text: "one\n{{first_name}}"}
	m, err := Compile(t.Context(), c, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := letterParams()
	pv, err := MakePreview(m, &p)
	if err != nil || pv.Text != "one\nAnna\n" || !strings.Contains(pv.HTML, "<strong>") {
		t.Errorf("%q, %v", pv.Text, err)
	}
	if gaps := m.Missing(post.Recipient{}); !slices.Equal(gaps, []string{"city", "first_name"}) {
		t.Errorf("missing: %q", gaps)
	}
	c.Text = "one\n{{nobody}}"
	_, err = Compile(t.Context(), c, nil, Options{KnownFields: []string{"city"}})
	if err == nil || !strings.Contains(err.Error(), "text version, line 2") {
		t.Errorf("%v", err)
	}
	made, err := TextOf(c)
	if err != nil || made != "{{city}}\n" {
		t.Errorf("made: %q, %v", made, err)
	}
	made, err = TextOf(post.Content{Format: post.FormatHTML, Body: `<p>{{if city}}<a href="https://x.example/">{{city}}</a>{{end}}</p>`})
	if err != nil || made != "{{if city}}{{city}} (https://x.example/){{end}}\n" {
		t.Errorf("made of HTML: %q, %v", made, err)
	}
}

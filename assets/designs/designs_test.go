package designs

import (
	"context"
	"fmt"
	"iter"
	"regexp"
	"strings"
	"testing"
	"time"

	"postroom/compose"
	"postroom/post"
)

var langs = []string{"en", "zh-Hans"}

// dressed is a design's starter as a mailing's content.
func dressed(t *testing.T, name, lang, colour string) post.Content {
	t.Helper()
	sender := map[string]string{"en": "Köhler & Sons", "zh-Hans": "科勒花店"}[lang]
	s, err := Start(name, lang, sender)
	if err != nil {
		t.Fatal(err)
	}
	h := post.Letterhead{Colour: colour, PostalAddress: sender + "\n1 Main Street"}
	d, err := Dress(name, h, sender)
	if err != nil {
		t.Fatal(err)
	}
	c := post.Content{Subject: s.Subject, Preview: s.Preview, Body: s.Body, Design: d}
	if name == "newsletter" || name == "invitation" {
		c.Promotion = h.Promote("Guests")
	}
	return c
}

func guest() post.Recipient {
	return post.Recipient{Address: "anna@example.com", Name: "Anna", Fields: map[string]string{
		"first_name": "Anna", "city": "Regensburg", "number": "2026-0815", "amount": "1234.5", "due": "2026-12-31",
	}}
}

func preview(t *testing.T, c post.Content) compose.Preview {
	t.Helper()
	m, err := compose.Compile(context.Background(), c, nil, compose.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := compose.Params{
		Recipient: guest(), From: post.Sender{Email: "shop@example.com", FromName: "Shop"}, MessageID: "<abcdefghijklmnop.1.abc@example.com>", Seed: 1,
		Date: time.Now().Add(-time.Minute).Truncate(time.Second),
	}
	pv, err := compose.MakePreview(m, &p)
	if err != nil {
		t.Fatal(err)
	}
	return pv
}

// Every design can be sent as it starts: preflight finds nothing.
func TestDesignsAreSound(t *testing.T) {
	for _, name := range Names() {
		for _, lang := range langs {
			c := dressed(t, name, lang, "")
			for _, f := range []bool{true, false} { // with values, and with none where that is thought of
				r := guest()
				if !f {
					delete(r.Fields, "first_name")
					delete(r.Fields, "city")
				}
				job := compose.Job{
					Content: c, Senders: []post.Sender{{Email: "shop@example.com"}}, KnownFields: []string{"first_name", "city", "number", "amount", "due"},
					Recipients: func() iter.Seq2[post.Recipient, error] {
						return func(yield func(post.Recipient, error) bool) { yield(r, nil) }
					},
				}
				found, err := compose.Check(context.Background(), &job, nil)
				if err != nil || found.Errors+found.Warnings > 0 {
					t.Errorf("%s.%s: %+v, %v", name, lang, found.List, err)
				}
			}
			pv := preview(t, c)
			if strings.Contains(pv.HTML, "{name}") || strings.Contains(pv.HTML, "{colour}") || strings.Contains(pv.HTML, "<!--") || strings.TrimSpace(pv.Text) == "" {
				t.Errorf("%s.%s: something was not filled in:\n%s", name, lang, pv.HTML)
			}
			if strings.Contains(pv.Subject, "{") {
				t.Errorf("%s.%s: subject %q", name, lang, pv.Subject)
			}
		}
	}
	if _, err := Start("none", "en", "x"); post.KindOf(err) != post.KindNotFound {
		t.Errorf("%v", err)
	}
	if _, err := Dress("../designs", post.Letterhead{}, "x"); post.KindOf(err) != post.KindNotFound {
		t.Errorf("%v", err)
	}
}

// A name is no tag and no markup.
func TestNamesAreData(t *testing.T) {
	const evil = `</span><script>x</script>{{.}}{{range}}`
	for _, name := range Names() {
		s, err := Start(name, "en", evil)
		if err != nil {
			t.Fatal(err)
		}
		d, err := Dress(name, post.Letterhead{}, evil)
		if err != nil {
			t.Fatal(err)
		}
		pv := preview(t, post.Content{Subject: s.Subject, Preview: s.Preview, Body: s.Body, Design: d})
		if strings.Contains(pv.HTML, "<script") {
			t.Errorf("%s: %s", name, pv.HTML)
		}
	}
}

var widths = regexp.MustCompile(`(?:[^-]width:\s*|width=")(\d+)px?`)

// Whatever the account's colour, what is written in it or on it can be read.
func TestColoursCanBeRead(t *testing.T) {
	for _, colour := range []string{"", "#000000", "#ffffff", "#ffff00", "#808080", "#1a7f37", "#c01c28", "#00ffff", "#330033"} {
		for _, name := range Names() {
			d, err := Dress(name, post.Letterhead{Colour: colour}, "Shop")
			if err != nil {
				t.Fatal(err)
			}
			var ground, text string
			if _, err := fmt.Sscanf(strings.ReplaceAll(d.Button, ";", " "), "background-color:%7s color:%7s", &ground, &text); err != nil {
				t.Fatalf("%q: %v", d.Button, err)
			}
			check := func(what, text, ground string) {
				a, aerr := parseColour(text)
				b, berr := parseColour(ground)
				if aerr != nil || berr != nil || contrast(a, b) < 4.5 {
					t.Errorf("%s, %s: %s on %s is %.1f to 1", name, what, text, ground, contrast(a, b))
				}
			}
			// The middle grey has no better partner than 4.5 minus a little.
			if b, err := parseColour(ground); err != nil || contrast(b, white) < 4.5 && contrast(b, black) < 4.5 {
				t.Fatal(ground, err)
			}
			check("button", text, ground)
			ink := regexp.MustCompile(`a\{color:(#\w{6})\}`).FindStringSubmatch(d.Page)
			dark := regexp.MustCompile(`\.pr-name\{color:(#\w{6})`).FindStringSubmatch(d.Page)
			if ink == nil || dark == nil {
				t.Fatalf("%s has no colours", name)
			}
			check("link", ink[1], "#ffffff")
			check("link in the dark", dark[1], cardDark.String())
			for _, w := range widths.FindAllStringSubmatch(d.Page, -1) {
				if len(w[1]) > 2 && w[1] > "320" {
					t.Errorf("%s is %s pixels wide whatever the screen", name, w[1])
				}
			}
		}
	}
	if _, err := Dress("letter", post.Letterhead{Colour: "red"}, "x"); post.KindOf(err) != post.KindInvalid {
		t.Errorf("%v", err)
	}
}

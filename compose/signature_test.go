package compose

import (
	"strings"
	"testing"

	"postroom/post"
)

// A message ends in the signature of the account that sends it and of no other:
// as text below its own line, as HTML escaped; tags in it are words.
func TestSignatures(t *testing.T) {
	const first, second = "Anna & <Bert> {{first_name}} {{unknown\nShop + Sons \"x\"", "Zweite\nKöln"
	signatures := map[int64]string{1: first, 2: second}
	html := map[int64]string{1: "Anna &amp; &lt;Bert&gt; {{first_name}} {{unknown<br>Shop + Sons &#34;x&#34;</div>", 2: "Zweite<br>Köln</div>"}
	for name, c := range map[string]post.Content{
		"markdown":    {Body: "Hello {{first_name}}"},
		"text":        {Format: post.FormatText, Body: "Hello {{first_name}}"},
		"html":        {Format: post.FormatHTML, Body: "<html><body><p>Hello {{first_name}}</p></body></html>"},
		"fragment":    {Format: post.FormatHTML, Body: "<p>Hello {{first_name}}</p>"},
		"slow":        {Body: "Hello [x](https://example.com/{{first_name}})"},
		"own text":    {Body: "Hello {{first_name}}", Text: "Hello without any HTML"},
		"design":      {Body: "Hello {{first_name}}", Design: &post.Design{Name: "d", Page: "<html><body><!--preview--><div><!--content--></div><!--footer--></body></html>"}},
		"promotional": {Body: "Hello", Promotion: &post.Promotion{List: "Guests", PostalAddress: "Hauptstr. 1"}},
		"slow promo":  {Body: "Hello [x](https://example.com/{{first_name}})", Promotion: &post.Promotion{List: "Guests", PostalAddress: "Hauptstr. 1"}},
		"base64":      {Body: strings.Repeat("您好，", 50)},
	} {
		t.Run(name, func(t *testing.T) {
			c.Subject, c.Signatures = "s", signatures
			m, err := Compile(t.Context(), c, nil, Options{KnownFields: []string{"first_name"}})
			if err != nil {
				t.Fatal(err)
			}
			for account := range int64(4) {
				p := letterParams()
				p.From.Account = account
				pv, err := MakePreview(m, &p)
				if err != nil {
					t.Fatal(err)
				}
				_, leaves := readMail(t, pv.Source)
				if want := strings.TrimRight(pv.Text, "\n"); leaves[0].Data != want {
					t.Errorf("sent %q, shown %q", leaves[0].Data, want)
				}
				signed := signatures[account] != ""
				before, below, found := strings.Cut(pv.Text, "\n\n-- \n")
				if found != signed || !strings.HasPrefix(below, signatures[account]) || signed && strings.HasSuffix(before, "\n") {
					t.Errorf("account %d: %q", account, pv.Text)
				}
				if c.Promotion != nil && (strings.Contains(pv.Text, "\n----------\nHauptstr. 1\n") != true || strings.Contains(pv.Text, unsubscribeMark)) {
					t.Errorf("the footer: %q", pv.Text)
				}
				if pv.HTML != "" && (strings.Count(pv.HTML, "pr-signature") == 1) != signed || signed && pv.HTML != "" && !strings.Contains(pv.HTML, html[account]) {
					t.Errorf("account %d: %s", account, pv.HTML)
				}
				for _, other := range []string{pv.Text, pv.HTML} {
					if account != 1 && strings.Contains(other, "Sons") || account != 2 && strings.Contains(other, "Zweite") || strings.Contains(other, signatureMark) {
						t.Errorf("account %d: %s", account, other)
					}
				}
				if strings.Contains(pv.HTML, "Hauptstr") && strings.Index(pv.HTML, "pr-signature") > strings.Index(pv.HTML, "pr-foot") {
					t.Error("the signature stands below the footer")
				}
			}
			if missing := m.Missing(post.Recipient{Fields: map[string]string{"first_name": "A"}}); len(missing) > 0 {
				t.Errorf("a signature asks for %v", missing)
			}
		})
	}
}

package compose

import (
	"context"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"postroom/post"
)

func TestCleanHTML(t *testing.T) {
	for _, c := range []struct {
		name, src string
		holds     []string
		lacks     []string
		removed   []string
	}{
		{"as it was", `<p  class=x>Dear {{first_name}} &nbsp; <a href="https://example.com/{{x}}">y</a></p>`, []string{`<p  class=x>Dear {{first_name}} &nbsp; <a href="https://example.com/{{x}}">y</a></p>`}, nil, nil},
		{"script", `<p>a</p><script>alert("{{x}}")</script>b`, []string{"<p>a</p>b"}, []string{"alert", "script"}, []string{"script"}},
		{"handler", `<p onclick="x()">{{if city}}a{{else}}b{{end}}</p>`, []string{"<p>{{if city}}a{{else}}b{{end}}</p>"}, []string{"onclick"}, []string{"p onclick"}},
		{"form", `<form action="https://e.example/"><input name=a>text<button>b</button></form>`, []string{"text"}, []string{"<form", "<input", "<button"}, []string{"button", "form", "form action", "input", "input name"}},
		{"remote style", `<link rel=stylesheet href="https://e.example/a.css"><p>x</p>`, []string{"<p>x</p>"}, []string{"link"}, []string{"link", "link href", "link rel"}},
		{"import", "<style>@import url(https://e.example/a.css); p{color:#123456}</style><p>x</p>", []string{`color:#123456`}, []string{"@import", "e.example"}, []string{"@import"}},
		{"address", `<a href="javascript:alert(1)">x</a>`, []string{"x"}, []string{"javascript"}, []string{"a", "a href"}},
		{"frame", `<iframe src="https://e.example/"></iframe>z`, []string{"z"}, []string{"iframe"}, []string{"iframe", "iframe src"}},
		{"refresh", `<meta http-equiv="refresh" content="0;url=https://e.example/"><p>x`, []string{"<p>x"}, []string{"refresh"}, []string{"meta http-equiv"}},
		{"css", `<p style="width:expression(alert(1));color:red">x</p>`, []string{"color:red"}, []string{"expression"}, []string{"expression()"}},
		{"css escapes", `<p style="beh\61vior:url(x.htc);color:red">x</p>`, []string{"x"}, nil, nil},
		{"sheet", "<html><head><style>p{color:#123456}@media (max-width:400px){p{color:red}}</style></head><body><p>{{city}}</p></body></html>", []string{`<p style="color:#123456`, "@media", "{{city}}</p>"}, nil, nil},
		{"table", "<style>td{padding:3px}</style><table>{{if city}}<tr><td>{{city}}</td></tr>{{else}}<tr><td>b</td></tr>{{end}}</table>",
			[]string{"{{if city}}<tbody><tr><td style=\"padding:3px", "{{else}}<tr>", "</tr>{{end}}"}, nil, nil},
		{"svg", `<svg><script>1</script></svg><p>x</p>`, []string{"<p>x</p>"}, []string{"<svg", "script"}, []string{"svg"}},
		{"quotes in tags", `<style>p{color:red}</style><p title="{{city | default "a \"b\""}}">{{city | default "x<y"}}</p>`, []string{`{{city | default "a \"b\""}}`, `{{city | default "x<y"}}`}, nil, nil},
	} {
		got, removed, err := CleanHTML(c.src)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, h := range c.holds {
			if !strings.Contains(got, h) {
				t.Errorf("%s: %q is not in\n%s", c.name, h, got)
			}
		}
		for _, l := range c.lacks {
			if strings.Contains(got, l) {
				t.Errorf("%s: %q is in\n%s", c.name, l, got)
			}
		}
		if !slices.Equal(removed, c.removed) {
			t.Errorf("%s: removed %q, want %q", c.name, removed, c.removed)
		}
		if again, more, err := CleanHTML(got); err != nil || len(more) > 0 || !strings.Contains(got, "@media") && again != got {
			t.Errorf("%s: a second time took out %q, %v:\n%s", c.name, more, err, again)
		}
		if _, err := Compile(context.Background(), post.Content{Subject: "s", Format: post.FormatHTML, Body: got}, nil, Options{}); err != nil {
			t.Errorf("%s: what is left does not compile: %v\n%s", c.name, err, got)
		}
	}
}

// Whatever is imported, nothing that runs is left, and all merge tags are.
func TestCleanHTMLLeavesNothingThatRuns(t *testing.T) {
	pieces := append([]string{
		"<script>", "</script>", "<style>", "</style>", "p{color:red}", "<svg onload=alert(1)>", "<img src=x onerror=alert(1)>", "<a href='jAvascript:alert(1)'>",
		"<a href=\"java\nscript:x\">", "<iframe srcdoc='<script>x</script>'>", "<base href=https://e.example>", "<form action=javascript:x>", "<math><mi xlink:href=javascript:x>",
		"<p style='background:url(javascript:x)'>", "<!--", "-->", "<![CDATA[", "]]>", "<noscript>", "</noscript>", "<template>", "</title>", "<title>", "<plaintext>", "<xmp>", "<textarea>",
		"<table><tr><td>", "</table>", "\x00", "<meta http-equiv=refresh content='0;javascript:x'>", "<object data=x>", "&lt;script&gt;",
	}, htmlPieces...)
	rapid.Check(t, func(t *rapid.T) {
		src := strings.Join(rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(pieces), rapid.String()), 0, 12).Draw(t, "pieces"), "")
		got, _, err := CleanHTML(src)
		if err != nil {
			t.Fatal(err)
		}
		root, err := html.Parse(strings.NewReader(got)) // as a browser would
		if err != nil {
			t.Fatal(err)
		}
		for n := range root.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			switch n.Data {
			case "script", "iframe", "object", "embed", "form", "input", "base", "link", "svg", "math", "noscript", "template", "frame":
				t.Fatalf("%s in %q from %q", n.Data, got, src)
			}
			for _, a := range n.Attr {
				v := strings.ToLower(strings.Map(func(r rune) rune {
					if r <= ' ' {
						return -1
					}
					return r
				}, a.Val))
				if strings.HasPrefix(a.Key, "on") || a.Key == "srcdoc" || a.Key == "http-equiv" || strings.HasPrefix(v, "javascript:") || a.Key == "style" && strings.Contains(v, "javascript:") {
					t.Fatalf("%s=%q in %q from %q", a.Key, a.Val, got, src)
				}
			}
		}
	})
}

package compose

import (
	"context"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/post"
)

// What is wrong with a template is said with its part, its line and a way out.
func TestTemplateErrors(t *testing.T) {
	known := []string{"first_name", "city", "len"}
	for src, want := range map[string]string{
		"a\nb {{frist_name}}":                  `body, line 2: there is no field "frist_name" in this list; did you mean {{first_name}}?`,
		"{{zzzzzzzz}}":                         `body, line 1: there is no field "zzzzzzzz" in this list`,
		"{{field \"Nope Nope\"}}":              `there is no field "Nope Nope"`,
		"x\n\n{{if city}}y":                    `an {{if}} is not closed; write {{end}}`,
		"{{city":                               "opened with {{ and not closed",
		"{{end}}":                              "without an {{if}} before it",
		"{{}}":                                 "empty tag",
		"{{.city}}":                            "write {{city}} without the dot",
		"{{First Name}}":                       "write {{first_name}}",
		"{{first-name}}":                       `{{field "Its Name"}}`,
		"{{city | default “x”}}":               "straight quotes",
		"{{city | default \"x}}":               "quot",
		"{{city | default}}":                   `default "customer"`,
		"{{city | city}}":                      "must be a function",
		"{{len}}":                              `{{field "len"}}`,
		"{{printf \"%s\" city}}":               "printf is not offered",
		"{{$x := city}}":                       "no variables",
		"a\n{{range city}}{{end}}":             "body, line 2: {{range}} cannot be used here: there are no loops",
		"{{define \"x\"}}{{end}}":              "{{define}} cannot be used here",
		"{{template \"x\"}}":                   "{{template}} cannot be used here",
		"{{block \"x\" .}}{{end}}":             "{{block}} cannot be used here",
		"{{with city}}{{end}}":                 "use {{if name}}",
		"{{break}}":                            "there are no loops",
		"{{if eq city 3}}{{end}}":              `put the number in quotes: "3"`,
		"{{not city | upper}}":                 "upper works on text",
		"{{eq city}}":                          "eq compares two texts",
		"{{upper upper}}":                      "upper is a function; put it and its values in brackets",
		"{{field city}}":                       "field takes one name in quotes",
		"{{.}}":                                "cannot be used here",
		"{{nil}}":                              "",
		"{{(city).x}}":                         "cannot be used here",
		"**{{if city}}a** b\n\n# c {{else}}\n": "not closed",
		strings.Repeat("{{city}}", maxTags+1):  "more than 10000 merge tags",
		"{{city" + strings.Repeat(" ", 5000) + "}}": "longer than 4 KB",
	} {
		c := post.Content{Subject: "s", Body: src, Format: post.FormatText}
		_, err := Compile(context.Background(), c, nil, Options{KnownFields: known})
		if post.KindOf(err) != post.KindInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v; want %q", src, err, want)
		}
	}
	_, err := Compile(context.Background(), post.Content{Subject: "Hi {{nme}}"}, nil, Options{KnownFields: []string{}})
	if err == nil || !strings.Contains(err.Error(), "subject, line 1") || !strings.Contains(err.Error(), "{{name}}") {
		t.Errorf("subject: %v", err)
	}
	for _, src := range []string{"<a {{if city}}href=\"x{{end}}>y</a>", "<a href=\"x", "<p title={{city}}{{city}} <"} {
		_, err := Compile(context.Background(), post.Content{Body: src, Format: post.FormatHTML}, nil, Options{})
		if post.KindOf(err) != post.KindInvalid {
			t.Errorf("%q: %v", src, err)
		}
	}
}

func TestFieldsAndMissing(t *testing.T) {
	r := post.Recipient{Address: "a@b.de", Fields: map[string]string{"first_name": " \t", "city": "Köln", "strange_name": "s"}}
	for _, c := range []struct {
		body    string
		fields  []Field
		missing []string
	}{
		{"{{first_name}} {{email}}", []Field{{"first_name", true}, {"email", true}}, []string{"first_name"}},
		{"{{name}}", []Field{{"name", true}}, []string{"name"}},
		{`{{first_name | default "x"}} {{default "" first_name | upper}}`, []Field{{"first_name", false}}, nil},
		{"{{if first_name}}{{first_name}}{{end}}", []Field{{"first_name", false}}, nil},
		{"{{if and city first_name}}{{first_name}}{{else}}{{city}}{{end}}", []Field{{"city", true}, {"first_name", false}}, nil},
		{"{{if not first_name}}{{first_name}}{{end}}", []Field{{"first_name", true}}, []string{"first_name"}},
		{`{{if eq city "Köln"}}{{gone}}{{end}}`, []Field{{"city", false}, {"gone", true}}, []string{"gone"}},
		{`{{if eq city "Bonn"}}{{gone}}{{end}}`, []Field{{"city", false}, {"gone", true}}, nil},
		{"{{or first_name city}}", []Field{{"first_name", true}, {"city", true}}, nil},
		{`{{field "Strange Name"}}{{City}}`, []Field{{"Strange Name", true}, {"City", true}}, nil},
	} {
		m, err := Compile(context.Background(), post.Content{Body: c.body, Format: post.FormatText}, nil, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.body, err)
			continue
		}
		if got := m.Fields(); !reflect.DeepEqual(got, c.fields) {
			t.Errorf("%s: fields %v, want %v", c.body, got, c.fields)
		}
		if got := m.Missing(r); !reflect.DeepEqual(got, c.missing) {
			t.Errorf("%s: missing %v, want %v", c.body, got, c.missing)
		}
	}
}

func TestMarkdown(t *testing.T) {
	p := letterParams()
	p.Recipient.Fields["url"] = "https://example.com/?a=b&c=d"
	p.Recipient.Fields["bad"] = "javascript:alert(1)"
	for _, c := range []struct{ body, html, text string }{
		{"**{{first_name}}**{{city}}", "<strong>Anna</strong>Köln &amp; Bonn</p>", "AnnaKöln & Bonn\n"},
		{"# {{first_name}}\n\n- {{city}}\n  - b\n\n3. c\n4. d\n", ">Anna</h1>", "Anna\n\n- Köln & Bonn\n  - b\n\n3. c\n4. d\n"},
		{"[{{first_name}}]({{url}} \"{{city}}\")", `<a href="https://example.com/?a=b&amp;c=d" title="Köln &amp; Bonn">Anna</a>`, "Anna (https://example.com/?a=b&c=d)\n"},
		{"[x]({{bad}})", `<a href="#ZgotmplZ">x</a>`, "x (javascript:alert(1))\n"},
		{"{{if city}}\n\nA\n\n{{else}}\n\nB\n\n{{end}}\n\nC", ">A</p>\n\n<p style=\"margin:0 0 16px\">C</p>", "A\n\nC\n"},
		{"x {{if zip}}a {{end}}y", ">x y</p>", "x y\n"},
		{"{{if city}}info@example.com{{end}} https://example.com/{{if city}}a{{end}} b", "</a>", ""},
		{"<b onclick=x>{{city}}</b>\n\n<script>alert(1)</script>", "&lt;b onclick=x&gt;Köln &amp; Bonn&lt;/b&gt;", "<b onclick=x>Köln & Bonn</b>\n\n<script>alert(1)</script>\n"},
		{"a \\{\\{city}} `{` {{first_name}}", ">a {{city}} <code>{</code> Anna</p>", "a {{city}} { Anna\n"},
		{"| a | {{first_name}} |\n|---|---|\n{{if zip}}\n| z | {{zip}} |\n{{end}}\n| b | c |", "<tbody>\n\n<tr>", "a | Anna\nb | c\n"},
		{"one\ntwo  \nthree\n\n> q\n> r\n\n---\n\n```\n a\n  b\n```\n", "one\ntwo<br />\nthree", "one two\nthree\n\n> q r\n\n----------\n\n a\n  b\n"},
		{"https://example.com/{{first_name}} <a@example.com> xmtg0x", `<a href="https://example.com/Anna">`, "https://example.com/Anna a@example.com xmtg0x\n"},
		{"**[Go {{city}}](https://example.com/)**", `<a href="https://example.com/" class="pr-button" style="display:inline-block;padding:10px 20px;background-color:#1d5c9b;color:#ffffff;text-decoration:none;border-radius:6px">Go Köln`, "Go Köln & Bonn (https://example.com/)\n"},
		{"now **[Go](https://example.com/)**", `<strong><a href="https://example.com/">Go</a></strong>`, ""},
		{"![{{first_name}}](https://example.com/a.png)", `alt="Anna"`, "Anna\n"},
	} {
		m, err := Compile(context.Background(), post.Content{Subject: "s", Body: c.body}, nil, Options{})
		if err != nil {
			t.Errorf("%q: %v", c.body, err)
			continue
		}
		pv, err := MakePreview(m, &p)
		if err != nil {
			t.Errorf("%q: %v", c.body, err)
			continue
		}
		if !strings.Contains(pv.HTML, c.html) {
			t.Errorf("%q: HTML\n%s\nwant %s", c.body, strings.TrimPrefix(pv.HTML, pageHead), c.html)
		}
		if c.text != "" && pv.Text != c.text {
			t.Errorf("%q: text %q, want %q", c.body, pv.Text, c.text)
		}
	}
}

// One mailing serves many connections at once.
func TestRenderAtOnce(t *testing.T) {
	c := letter()
	c.Body += "[x]({{city}}) {{first_name | title}}"
	c.Attachments = []post.Attachment{testBlobs.add("a.txt", []byte("a"))}
	m, err := Compile(context.Background(), c, testBlobs, Options{})
	if err != nil {
		t.Fatal(err)
	}
	own := testBlobs.add("own.txt", []byte("own"))
	render := func(n int, msg *Message) string {
		p := letterParams()
		p.Recipient.Fields = map[string]string{"first_name": strings.Repeat("ä", n), "city": "x", "company": "y"}
		p.Recipient.Attachments = []post.Attachment{own}
		if err := m.Render(msg, &p); err != nil {
			t.Error(err)
		}
		return string(msg.Bytes())
	}
	var want [8]string
	for n := range want {
		want[n] = render(n, &Message{})
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var msg Message
			for i := range 200 {
				if n := i % len(want); render(n, &msg) != want[n] {
					t.Errorf("message %d differs", n)
				}
			}
		})
	}
	wg.Wait()
}

func TestRenderRefuses(t *testing.T) {
	m, err := Compile(context.Background(), post.Content{Subject: "s", Body: "{{first_name}}", Format: post.FormatText}, testBlobs, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Params){
		"address":        func(p *Params) { p.Recipient.Address = "a@b.de\r\nBcc: c@d.de" },
		"two addresses":  func(p *Params) { p.Recipient.Address = "a@b.de, c@d.de" },
		"sender":         func(p *Params) { p.From.Email = "" },
		"message id":     func(p *Params) { p.MessageID = "<a@b>\r\nX: y" },
		"date":           func(p *Params) { p.Date = time.Time{} },
		"no message id":  func(p *Params) { p.MessageID = "" },
		"text too long":  func(p *Params) { p.Recipient.Fields["first_name"] = strings.Repeat("x", maxText+1) },
		"encoded longer": func(p *Params) { p.Recipient.Fields["first_name"] = strings.Repeat("ü", 4*maxText) },
		"file":           func(p *Params) { p.Recipient.Attachments = []post.Attachment{{Name: "x", SHA256: "none"}} },
	} {
		p := letterParams()
		change(&p)
		if err := m.Render(&Message{}, &p); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	sum := testBlobs.add("x", []byte("one")).SHA256
	testBlobs["f"+sum[1:]] = []byte("two") // the store gives back something else
	p := letterParams()
	p.Recipient.Attachments = []post.Attachment{{Name: "x", SHA256: "f" + sum[1:]}}
	if err := m.Render(&Message{}, &p); err == nil || !strings.Contains(err.Error(), "not what was frozen") {
		t.Errorf("damaged file: %v", err)
	}
}

func TestFileNames(t *testing.T) {
	for in, want := range map[string]string{
		"a.pdf": "a.pdf", "../../etc/passwd": "passwd", `C:\Users\x\Rechnung.pdf`: "Rechnung.pdf", "": "attachment", "...": "attachment",
		"con.txt": "_con.txt", "LPT1": "_LPT1", "aux.tar.gz": "_aux.tar.gz", "a<b>:c?.txt": "a_b__c_.txt", "evil\u202egnp.exe": "evilgnp.exe",
		"x\r\nBcc: a@b.txt": "xBcc_ a@b.txt", "name. . .": "name", "e\u0301.txt": "é.txt", ".htaccess": ".htaccess", "\xff.txt": "_.txt",
		strings.Repeat("ü", 100) + ".pdf": strings.Repeat("ü", 73) + ".pdf",
	} {
		if got := CleanFileName(in); got != want || len(got) > maxFileName {
			t.Errorf("CleanFileName(%q) = %q, want %q", in, got, want)
		}
	}
	zip := "PK\x03\x04xxxxxxxxxxxxxxxx"
	for _, c := range [][3]string{
		{"a.docx", zip, officeTypes[".docx"]},
		{"a.zip", zip, "application/zip"},
		{"a.csv", "a,b\n", "text/csv"},
		{"a.pdf", "%PDF-1.7", "application/pdf"},
		{"a.pdf", "\x00\x01\x02", "application/octet-stream"},
		{"a.png", "MZ\x90\x00\x03", "application/octet-stream"},
		{"a.txt", "hello", "text/plain; charset=utf-8"},
		{"a.xls", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/vnd.ms-excel"},
		{"a.csv", "<html><script>", "text/html; charset=utf-8"},
	} {
		if got := MediaType(c[0], []byte(c[1])); got != c[2] {
			t.Errorf("MediaType(%q, %q) = %q, want %q", c[0], c[1], got, c[2])
		}
	}
	for _, bad := range []string{"message/rfc822", "multipart/mixed", "x", "a/b\r\nX: y", ""} {
		if isAttachable(bad) {
			t.Errorf("%q may be attached", bad)
		}
	}
}

// Seeds give boundaries of their own, and no encoded text can hold one.
func TestBoundaries(t *testing.T) {
	seen := map[boundaryText]bool{}
	for seed := range uint64(20000) {
		for _, level := range []byte("ma") {
			b := boundary(level, seed*0x9e3779b97f4a7c15)
			if seen[b] || !strings.HasPrefix(string(b[:]), "=_") {
				t.Fatalf("boundary %s of seed %d", b, seed)
			}
			seen[b] = true
		}
	}
}

package compose

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"postroom/post"
)

// memoryBlobs keeps frozen files in memory.
type memoryBlobs map[string][]byte

func (b memoryBlobs) Open(sum string) (io.ReadCloser, error) {
	data, ok := b[sum]
	if !ok {
		return nil, os.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (b memoryBlobs) add(name string, data []byte) post.Attachment {
	sum := sha256.Sum256(data)
	key := hex.EncodeToString(sum[:])
	b[key] = data
	return post.Attachment{Name: name, SHA256: key, Size: int64(len(data))}
}

// testBlobs is shared by the tests of this package, which run one by one.
var testBlobs = memoryBlobs{}

// sample is a random template in our language, and each of its tags in Go's.
type sample struct {
	src  strings.Builder
	tags []string // ours, Go's, ours, Go's ...
}

var sampleFields = []string{"first_name", "city", "公司", "straße"}

func (s *sample) tag(ours, theirs string) {
	s.tags = append(s.tags, "{{"+ours+"}}", "{{"+theirs+"}}")
	s.src.WriteString("{{" + ours + "}}")
}

// print adds a tag that prints something.
func (s *sample) print(t *rapid.T) {
	f := rapid.SampledFrom(append(sampleFields, "email", "name")).Draw(t, "field")
	ours, theirs := f, "."+f
	if rapid.Bool().Draw(t, "by field function") {
		ours = "field \"" + f + "\""
	}
	switch rapid.IntRange(0, 11).Draw(t, "form") {
	case 7:
		ours, theirs = `due | date "EEEE, d MMMM yyyy"`, `.due | date "x"`
	case 8:
		ours, theirs = `amount | number "1,234.56"`, `.amount | number "x"`
	case 0:
		ours, theirs = ours+` | default "cust<o>mer & co"`, theirs+` | default "cust<o>mer & co"`
	case 1:
		ours, theirs = ours+` | upper`, theirs+` | upper`
	case 2:
		ours, theirs = ours+` | trim | title | default ""`, theirs+` | trim | title | default ""`
	case 3:
		ours, theirs = `or (`+ours+`) city "nobody"`, `or (`+theirs+`) .city "nobody"`
	case 4:
		ours, theirs = `eq (`+ours+`) city`, `eq (`+theirs+`) .city`
	case 5:
		ours, theirs = `and (`+ours+`) (lower city)`, `and (`+theirs+`) (lower .city)`
	case 6:
		ours, theirs = `"}} <b>" | default "x"`, `"}} <b>" | default "x"`
	}
	s.tag(ours, theirs)
}

func (s *sample) condition(t *rapid.T) {
	c := rapid.SampledFrom([][2]string{
		{"city", ".city"},
		{"not first_name", "not .first_name"},
		{`eq city "Berlin" "x"`, `eq .city "Berlin" "x"`},
		{`and city (ne first_name "x")`, `and .city (ne .first_name "x")`},
		{`or 公司 straße`, `or .公司 .straße`},
	}).Draw(t, "condition")
	s.tag("if "+c[0], "if "+c[1])
}

var plainPieces = []string{
	"Dear ", ",\n", "\n", "\n\n", ".", ".\n", "\n.", "\n..x\n", "From ", "\nFrom here\n", "--=_a", "\n--=_m0", "Grüße ", "你好，世界",
	" ", "\t\n", " \n", "=", "=20", "a line that goes on and on and on, well past where any encoder would like to break it, to the very end of it all ",
	"=?utf-8?q?x?=", "{", "}", "}}", "👩‍👩‍👧", "\\", "x",
}

// text adds a plain text template.
func (s *sample) text(t *rapid.T, depth int, pieces []string) {
	for n := rapid.IntRange(0, 6).Draw(t, "pieces"); n > 0; n-- {
		switch k := rapid.IntRange(0, 9).Draw(t, "kind"); {
		case k < 5:
			p := rapid.SampledFrom(pieces).Draw(t, "piece")
			if strings.HasSuffix(s.src.String(), "{") && strings.HasPrefix(p, "{") {
				p = " " + p
			}
			s.src.WriteString(p)
		case k < 8 || depth > 2:
			s.guard()
			s.print(t)
		default:
			s.guard()
			s.condition(t)
			s.text(t, depth+1, pieces)
			s.guard()
			if rapid.Bool().Draw(t, "else") {
				s.tag("else", "else")
				s.text(t, depth+1, pieces)
				s.guard()
			}
			s.tag("end", "end")
		}
	}
}

// guard keeps a brace of the text from joining those of a tag.
func (s *sample) guard() {
	if strings.HasSuffix(s.src.String(), "{") {
		s.src.WriteString(" ")
	}
}

var htmlPieces = []string{
	"<p>", "</p>\n", "<br>", "plain &amp; simple", "<b>bold</b> ", "<table><tr><td>", "</td></tr></table>\n", "\n.", "From ", "你好", "<!-- note -->",
	"<h1>Head</h1>", "<ul><li>one</li></ul>", "<blockquote>q</blockquote>", "<pre>a\n  b</pre>", "--=_a ", "&#123;&#123;",
}

// elements are pieces of HTML with a tag in them, at |.
var elements = [][2]string{
	{`<a href="https://example.com/?q=`, `">x</a>`},
	{`<a href="`, `">x</a>`},
	{`<img alt="`, `" src="https://example.com/i.png">`},
	{`<td title='`, `'>`},
	{`<p class=`, `>`},
	{`<div style="color:`, `">x</div>`},
	{`<textarea>`, `</textarea>`},
	{`<script>var v = `, `;</script>`},
	{`<b>`, `</b>`},
}

func (s *sample) html(t *rapid.T) {
	s.src.WriteString("<html><body>")
	for n := rapid.IntRange(0, 5).Draw(t, "elements"); n > 0; n-- {
		s.text(t, 1, htmlPieces)
		// The last kinds are those that only html/template serves.
		e := rapid.SampledFrom(elements).Draw(t, "element")
		s.src.WriteString(e[0])
		s.print(t)
		s.src.WriteString(e[1])
	}
	s.src.WriteString("</body></html>")
}

var markdownPieces = append([]string{
	"# ", "## Head\n", "**", "*", "- ", "1. ", "> ", "`code` ", "[link](https://example.com/) ", "https://example.com/x ", "| a | b |\n|---|---|\n| c | d |\n\n",
	"---\n\n", "~~", "![alt](https://example.com/i.png)", "<b>raw</b>", "a@example.com ", "\n```\ncode\n```\n", "    indented\n",
}, plainPieces...)

func (s *sample) replacer() *strings.Replacer { return strings.NewReplacer(s.tags...) }

var nasty = []string{
	"", "x", "Anna", "Berlin", "  ", "a\r\nBcc: victim@example.com", "\r\n\r\n--=_a", "a\rb", "a\nb\n", "\x00", "a\x00b\x1b[31m", ".", ".\r\n.", "\n.\nQUIT\n",
	"From me", "</script><script>alert(1)</script>", `"onload="alert(1)`, "javascript:alert(1)", "{{.}}", "{{range}}", "&lt;", "=?utf-8?q?a?=", "=0D=0A",
	"<img src=x onerror=alert(1)>", "\xff\xfe", "Grüße aus Köln", "王小明", "👩‍👩‍👧", "\u202egnp.exe", "a@b.de, c@d.de", "\u0085\u2028", "+1 234", "'",
	strings.Repeat("long", 60), strings.Repeat("wörter und ", 30), "--=_m000000000000000000000000--", " lead", "trail ", "tab\t",
}

func drawValue(t *rapid.T, label string) string {
	return rapid.OneOf(rapid.SampledFrom(nasty), rapid.String()).Draw(t, label)
}

// What dates and numbers become, by hand.
var (
	dueDates = map[string]string{
		"": "", "2026-12-01": "Tuesday, 1 December 2026", "1.12.2026": "Tuesday, 1 December 2026", "2026-12-01 09:30": "Tuesday, 1 December 2026",
		"03/04/2026": "03/04/2026", "soon": "soon", "<b>": "<b>",
	}
	amounts = map[string]string{
		"": "", "1234.5": "1,234.50", "-0.005": "-0.01", "1.234.567,891": "1,234,567.89", "999.999": "999.999", "0.004": "0.00", "12 EUR": "12 EUR", `"><script>`: `"><script>`,
	}
)

func keys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

func drawParams(t *rapid.T) Params {
	r := post.Recipient{Address: rapid.SampledFrom([]string{"anna@example.com", "köhler@exämple.de", `"a b"@example.com`}).Draw(t, "address"), Name: drawValue(t, "name"), Fields: map[string]string{}}
	for _, f := range sampleFields {
		if rapid.IntRange(0, 5).Draw(t, "there") > 0 {
			r.Fields[f] = drawValue(t, f)
		}
	}
	r.Fields["due"] = rapid.SampledFrom(keys(dueDates)).Draw(t, "due")
	r.Fields["amount"] = rapid.SampledFrom(keys(amounts)).Draw(t, "amount")
	if rapid.IntRange(0, 3).Draw(t, "own file") == 0 {
		r.Attachments = []post.Attachment{testBlobs.add(drawValue(t, "file"), rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "own"))}
	}
	return Params{
		Recipient: r, From: post.Sender{Email: "shop@example.com", FromName: drawValue(t, "from")},
		MessageID: "<1.abc@example.com>", Seed: rapid.Uint64().Draw(t, "seed"),
		Date: time.Unix(rapid.Int64Range(1, 4e9).Draw(t, "date"), 0),
	}
}

func drawContent(t *rapid.T) (post.Content, *strings.Replacer) {
	var subject, body sample
	subject.text(t, 0, plainPieces)
	c := post.Content{Subject: subject.src.String(), Format: rapid.SampledFrom([]post.BodyFormat{post.FormatText, post.FormatHTML, post.FormatMarkdown}).Draw(t, "format")}
	switch c.Format {
	case post.FormatHTML:
		body.html(t)
	case post.FormatMarkdown:
		body.text(t, 0, markdownPieces)
	default:
		body.text(t, 0, plainPieces)
	}
	c.Body = body.src.String()
	if rapid.IntRange(0, 2).Draw(t, "promotional") == 0 {
		c.Promotion = &post.Promotion{
			List: drawValue(t, "list"), PostalAddress: drawValue(t, "address"), UnsubscribeWords: rapid.SampledFrom([]string{"", "leave & <go> {{x}}"}).Draw(t, "words"),
			UnsubscribeURL: rapid.SampledFrom([]string{"", "https://shop.example/out?a=1", "https://shop.example/{token}/out"}).Draw(t, "page"),
		}
		if rapid.Bool().Draw(t, "placed") {
			c.Body = map[post.BodyFormat]string{
				post.FormatText: c.Body + "\nout: {{unsubscribe_link}}\n", post.FormatMarkdown: c.Body + "\n\n[out]({{ unsubscribe_link }})\n",
				post.FormatHTML: strings.Replace(c.Body, "</body>", `<a href="{{unsubscribe_link}}">out</a></body>`, 1),
			}[c.Format]
		}
	}
	var preview, name sample
	if rapid.Bool().Draw(t, "preview") {
		preview.text(t, 0, []string{"Your order", " & more", "<b>", "你好", "."})
		c.Preview = preview.src.String()
	}
	body.tags = append(append(body.tags, subject.tags...), preview.tags...)
	if rapid.IntRange(0, 2).Draw(t, "shared file") == 0 {
		called := drawValue(t, "file")
		if rapid.Bool().Draw(t, "name with tags") || strings.Contains(called, "{{") {
			name.text(t, 0, []string{"Invoice ", "Nr.", "你好"})
			called = name.src.String() + ".pdf"
			body.tags = append(body.tags, name.tags...)
		}
		c.Attachments = []post.Attachment{testBlobs.add(called, rapid.SliceOfN(rapid.Byte(), 0, 500).Draw(t, "data"))}
	}
	if rapid.IntRange(0, 3).Draw(t, "picture") == 0 {
		a := testBlobs.add(strings.ReplaceAll(drawValue(t, "picture's name"), "{{", ""), append([]byte("\x89PNG\r\n\x1a\n"), rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "picture's data")...))
		a.CID = "p1.abc@postroom"
		c.Attachments = append(c.Attachments, a)
	}
	return c, body.replacer()
}

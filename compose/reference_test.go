package compose

import (
	"bytes"
	"encoding/base64"
	"fmt"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"

	"postroom/post"
)

// The reference: the same message without anything compiled. Go's own template
// packages merge, and plain loops encode the whole text from its beginning.

// refQuoted is quoted-printable as quoter promises it, line by line.
func refQuoted(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	var out strings.Builder
	for _, line := range strings.SplitAfter(text, "\n") {
		if line == "" {
			continue
		}
		line = strings.TrimSuffix(line, "\n")
		var row string
		for i := range len(line) {
			c := line[i]
			token := string([]byte{c})
			switch last := i == len(line)-1; {
			case c == '=' || c > 126 || c < 32 && c != '\t':
				token = fmt.Sprintf("=%02X", c)
			case (c == ' ' || c == '\t') && last:
				token = fmt.Sprintf("=%02X", c)
			}
			if len(row)+len(token) > 75 {
				out.WriteString(row + "=\r\n")
				row = ""
			}
			if row == "" && token == "." || row == "From" && (token == " " || token == "\t") {
				token = fmt.Sprintf("=%02X", c)
			}
			row += token
		}
		out.WriteString(row + "\r\n")
	}
	return out.String()
}

func refBase64(data []byte) string {
	all := base64.StdEncoding.EncodeToString(data)
	var lines []string
	for len(all) > 76 {
		lines = append(lines, all[:76])
		all = all[76:]
	}
	return strings.Join(append(lines, all), "\r\n")
}

var refFuncs = map[string]any{
	"default": func(instead, s string) string {
		if s == "" {
			return instead
		}
		return s
	},
	"upper": strings.ToUpper, "lower": strings.ToLower, "trim": strings.TrimSpace, "title": textFuncs["title"],
	"date": func(_, s string) string { return dueDates[s] }, "number": func(_, s string) string { return amounts[s] },
}

// failer is what a testing.T and a rapid.T have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// reference renders content for p. goTags turns our tags into Go's own.
func reference(t failer, c post.Content, p *Params, goTags *strings.Replacer, m *Mailing) string {
	t.Helper()
	data := map[string]string{"email": cleanValue(p.Recipient.Address), "name": cleanValue(p.Recipient.Name)}
	for k, v := range p.Recipient.Fields {
		data[k] = cleanValue(v)
	}
	text := func(src string) string {
		var b bytes.Buffer
		tm := texttemplate.Must(texttemplate.New("t").Funcs(refFuncs).Option("missingkey=zero").Parse(goTags.Replace(src)))
		if err := tm.Execute(&b, data); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	page := func(src string) string {
		var b bytes.Buffer
		tm := htmltemplate.Must(htmltemplate.New("h").Funcs(refFuncs).Option("missingkey=zero").Parse(goTags.Replace(src)))
		if err := tm.Execute(&b, data); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	part := func(mediaType, text string, isBase64 bool) string {
		if isBase64 {
			return "Content-Type: " + mediaType + "; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
				refBase64([]byte(strings.ReplaceAll(text, "\n", "\r\n"))) + "\r\n"
		}
		return "Content-Type: " + mediaType + "; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + refQuoted(text)
	}
	multi := func(kind string, b boundaryText, parts ...string) string {
		s := "Content-Type: multipart/" + kind + ";\r\n boundary=\"" + string(b[:]) + "\"\r\n\r\n"
		for i, part := range parts {
			if i > 0 {
				s += "\r\n"
			}
			s += "--" + string(b[:]) + "\r\n" + part
		}
		return s + "\r\n--" + string(b[:]) + "--\r\n"
	}

	related := func(page string) string {
		parts := []string{page}
		for _, a := range c.Attachments {
			if data := testBlobs[a.SHA256]; a.CID != "" {
				parts = append(parts, string(attachmentHead(a, data[:min(512, len(data))]))+refBase64(data))
			}
		}
		if len(parts) == 1 {
			return page
		}
		return multi("related; type=\"text/html\"", boundary('r', p.Seed), parts...)
	}
	body, placed := placeLink(cleanText(c.Body), c.Promotion)
	foot := footerOf(c.Promotion, body, placed)
	from, err := post.ParseAddress(p.From.Email)
	if err != nil {
		t.Fatal(err)
	}
	link := ""
	if c.Promotion != nil {
		link = unsubscribeLink(c.Promotion, from, token(p.MessageID))
	}
	plainly := func(src string) string { return strings.ReplaceAll(text(src), unsubscribeMark, link) }
	asHTML := func(src string) string {
		return strings.ReplaceAll(page(src), unsubscribeMark, strings.NewReplacer("&", "&amp;", "+", "&#43;").Replace(link))
	}
	var texts string
	switch c.Format {
	case post.FormatText:
		texts = part("text/plain", plainly(endLine(endLine(body)+foot.text)), m.text.base64)
	default:
		protected, s := protect(body)
		inner, src := protected, body
		if c.Format == post.FormatMarkdown {
			var err error
			if inner, err = markdownHTML(protected, s); err != nil {
				t.Fatal(err)
			}
			src = pageHead + previewLine(c.Preview) + s.restore(inner) + foot.html + pageFoot
		} else {
			src = strings.Replace(src, "<body>", "<body>"+previewLine(c.Preview), 1)
			src = strings.Replace(src, "</body>", foot.html+"</body>", 1)
		}
		texts = multi("alternative", boundary('a', p.Seed),
			part("text/plain", plainly(s.restore(plainText(inner, s))+foot.text), m.text.base64),
			related(part("text/html", asHTML(endLine(src)), m.html.base64)))
	}

	to, err := post.ParseAddress(p.Recipient.Address)
	if err != nil {
		t.Fatal(err)
	}
	h := appendMailbox(nil, "From", cleanName(p.From.FromName), from)
	h = appendMailbox(h, "To", cleanName(p.Recipient.Name), to)
	h = appendUnstructured(h, "Subject", cleanHeader(text(cleanHeader(c.Subject))))
	head := string(h) + "Date: " + p.Date.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700") +
		"\r\nMessage-ID: " + p.MessageID + "\r\n"
	if c.Promotion != nil {
		head += string(appendListFields(nil, c.Promotion, from, token(p.MessageID)))
	}
	head += "MIME-Version: 1.0\r\n"

	var files []post.Attachment
	for _, a := range c.Attachments {
		if a.CID != "" && c.Format != post.FormatText {
			continue
		}
		if strings.Contains(a.Name, "{{") {
			a.Name = text(a.Name)
		}
		files = append(files, a)
	}
	files = append(files, p.Recipient.Attachments...)
	if len(files) == 0 {
		return head + texts
	}
	parts := []string{texts}
	for _, a := range files {
		data := testBlobs[a.SHA256]
		parts = append(parts, string(attachmentHead(a, data[:min(512, len(data))]))+refBase64(data))
	}
	return head + multi("mixed", boundary('m', p.Seed), parts...)
}

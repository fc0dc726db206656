package compose

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"postroom/post"
	"postroom/receipts"
)

// What the headers and the footer offer leads back to the delivery: the mail
// that they make is read as this recipient's wish, and no other's.
func TestUnsubscribeComesBack(t *testing.T) {
	const id = "<abcdefghijklmnop.12.3kj9z@example.com>"
	for _, c := range []struct {
		name, body, page string
		format           post.BodyFormat
	}{
		{"markdown", "Hello", "", post.FormatMarkdown},
		{"text", "Hello", "", post.FormatText},
		{"html", "<html><body><p>Hello</p></body></html>", "", post.FormatHTML},
		{"slow", "[x](https://example.com/{{first_name}})", "", post.FormatMarkdown},
		{"page", "Hello", "https://shop.example/out?a=b", post.FormatMarkdown},
		{"placed", "[leave]({{unsubscribe_link}})", "", post.FormatMarkdown},
		{"中文", "您好，欢迎光临", "", post.FormatMarkdown},
	} {
		content := post.Content{Subject: "News", Format: c.format, Body: c.body, Promotion: &post.Promotion{
			List: "Stammgäste", PostalAddress: "Köhlers <Blumen>\nHauptstr. 1 {{x}}", UnsubscribeURL: c.page,
		}}
		m, err := Compile(context.Background(), content, nil, Options{KnownFields: []string{"first_name"}})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		p := letterParams()
		p.MessageID = id
		var msg Message
		if err := m.Render(&msg, &p); err != nil {
			t.Fatal(err)
		}
		h, leaves := readMail(t, msg.Bytes())
		list := strings.Join(strings.Fields(h.Get("List-Unsubscribe")), " ")
		mail := regexp.MustCompile(`<(mailto:[^>]+)>`).FindStringSubmatch(list)
		if mail == nil || (c.page != "") != strings.Contains(list, "<https://shop.example/out?a=b&token=abcdefghijklmnop.12.3kj9z>") ||
			(c.page != "") != (h.Get("List-Unsubscribe-Post") == "List-Unsubscribe=One-Click") || !strings.HasPrefix(h.Get("List-Id"), "<stammg") {
			t.Errorf("%s: %v", c.name, h)
			continue
		}
		u, err := url.Parse(mail[1])
		if err != nil {
			t.Fatal(err)
		}
		r := receipts.Parse([]byte("From: anna@example.com\r\nTo: " + u.Opaque + "\r\nSubject: " + u.Query().Get("subject") + "\r\n\r\n"))
		if len(r.Says) != 1 || r.Says[0].Kind != post.ReceiptUnsubscribed || len(r.Refs) == 0 || !strings.HasPrefix(id, "<"+strings.Split(r.Refs[0], "@")[0]) {
			t.Errorf("%s: %+v", c.name, r)
		}
		for _, l := range leaves {
			if !strings.Contains(l.Data, "abcdefghijklmnop.12.3kj9z") || strings.Contains(l.Data, "postroom.invalid") || !strings.Contains(l.Data, "Hauptstr. 1 {{x}}") ||
				strings.Contains(l.Data, "<Blumen>") == (l.Type == "text/html") {
				t.Errorf("%s: %s\n%s", c.name, l.Type, l.Data)
			}
			if n := strings.Count(l.Data, "abcdefghijklmnop"); n != 1 {
				t.Errorf("%s: the link stands in %s %d times", c.name, l.Type, n)
			}
			if c.name == "中文" && !strings.Contains(l.Data, "退订") {
				t.Errorf("not in the message's language: %s", l.Data)
			}
		}
	}
	// Elsewhere the tag is no field.
	_, err := Compile(context.Background(), post.Content{Subject: "s", Body: "{{unsubscribe_link}}"}, nil, Options{KnownFields: []string{}})
	if post.KindOf(err) != post.KindInvalid {
		t.Errorf("without a promotion: %v", err)
	}
}

func TestListLabels(t *testing.T) {
	for in, want := range map[string]string{"Guests": "guests", "  My - big  List ": "my-big-list", "a_b.c": "a-b-c"} {
		if got := listLabel(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	form := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	seen := map[string]bool{}
	for _, in := range []string{"", "客户", "顾客", "Gäste", "G\r\nBcc: x", strings.Repeat("x", 300), "<>"} {
		got := listLabel(in)
		if !form.MatchString(got) || len(got) > 63 || seen[got] {
			t.Errorf("%q: %q", in, got)
		}
		seen[got] = true
	}
}

// A promotional letter keeps the speed of any other.
func BenchmarkRenderPromotional(b *testing.B) {
	c := letter()
	c.Promotion = &post.Promotion{List: "Guests", PostalAddress: "1 Main St", UnsubscribeURL: "https://shop.example/out"}
	benchmarkRender(b, c)
}

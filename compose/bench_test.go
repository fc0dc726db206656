package compose

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"postroom/post"
)

// letter is a personalised Markdown mailing of about 5 KB as text and HTML
// together, with three fields.
func letter() post.Content {
	para := "your order has left our shop this morning, and the carrier says that it will be with you within two days; " +
		"if nobody is in, it goes to the nearest shop, and a card tells which one that is.\n\n"
	return post.Content{
		Subject: "Your order, {{first_name}}", Format: post.FormatMarkdown,
		Body: "# Dear {{first_name | default \"customer\"}}\n\n" + strings.Repeat(para, 4) + "We send it to **{{city}}**.\n\n" +
			strings.Repeat(para, 4) + "Kind regards to {{company}}\n",
	}
}

func letterParams() Params {
	return Params{
		Recipient: post.Recipient{Address: "anna@example.com", Name: "Anna Köhler", Fields: map[string]string{"first_name": "Anna", "city": "Köln & Bonn", "company": "Blumen"}},
		From:      post.Sender{Email: "shop@example.com", FromName: "The Shop"}, MessageID: "<1.abc@example.com>", Seed: 1, Date: time.Unix(1e9, 0),
	}
}

func benchmarkRender(b *testing.B, c post.Content) {
	m, err := Compile(context.Background(), c, testBlobs, Options{})
	if err != nil {
		b.Fatal(err)
	}
	p := letterParams()
	var msg Message
	if err := m.Render(&msg, &p); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		p.Seed++
		if err := m.Render(&msg, &p); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(msg.Len()), "message-bytes")
}

func BenchmarkRenderLetter(b *testing.B) { benchmarkRender(b, letter()) }

func BenchmarkRenderLetterWithLink(b *testing.B) { // html/template at work
	c := letter()
	c.Body += "\n[track it](https://example.com/?q={{city}})\n"
	benchmarkRender(b, c)
}

func BenchmarkRenderOneLineHTML(b *testing.B) { // nothing to encode beforehand
	c := letter()
	c.Format, c.Body = post.FormatHTML, strings.ReplaceAll(c.Body, "\n", " ")
	benchmarkRender(b, c)
}

func BenchmarkRenderChinese(b *testing.B) { // base64
	c := letter()
	c.Format, c.Body = post.FormatText, "亲爱的{{first_name}}：\n"+strings.Repeat("您的订单已经准备好了，请尽快来我们店里领取。\n", 80)+"{{city}}"
	benchmarkRender(b, c)
}

func BenchmarkRender5MB(b *testing.B) {
	data := make([]byte, 5<<20)
	rand.NewChaCha8([32]byte{1}).Read(data) //nolint:errcheck // it never fails
	c := letter()
	c.Attachments = []post.Attachment{testBlobs.add("big.bin", data)}
	benchmarkRender(b, c)
}

func BenchmarkCheckRow(b *testing.B) {
	c := checking{job: &Job{Content: letter(), Senders: []post.Sender{{Email: "a@example.com"}}}}
	c.content(context.Background())
	p := letterParams()
	b.ReportAllocs()
	for b.Loop() {
		c.row(1, &p.Recipient, nil)
	}
	if c.found.Errors > 0 {
		b.Fatal(c.found.Err())
	}
}

// A message with a large shared file costs no more memory than one without:
// 5 MB are spliced, never copied.
func TestSharedFileIsNotCopied(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16)
	c := letter()
	c.Attachments = []post.Attachment{testBlobs.add("big.bin", data)}
	m, err := Compile(context.Background(), c, testBlobs, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := letterParams()
	var msg Message
	if err := m.Render(&msg, &p); err != nil {
		t.Fatal(err)
	}
	if segs := msg.Segments(); len(segs) != 3 || &segs[1][0] != &m.files[0].body[0] {
		t.Errorf("the file is not the mailing's own")
	}
	r := testing.Benchmark(BenchmarkRender5MB)
	if got := r.AllocedBytesPerOp(); got > 64<<10 {
		t.Errorf("%d bytes are allocated for each message, at most 65,536 are allowed", got)
	}
}

package compose

import (
	"net/mail"
	"strings"
	"testing"
	"time"

	"postroom/post"
)

// Where answers and notifications go stands in the header as it was chosen, and
// a token never makes an address that no server takes.
func TestAnswers(t *testing.T) {
	const id = "<abcdefghijklmnop.12.3zzzzzzzzzzzz@shop.example>"
	for name, c := range map[string]struct {
		content post.Content
		email   string
		replyTo string
		receipt string
	}{
		"as usual":       {post.Content{}, "shop@shop.example", "", ""},
		"read receipt":   {post.Content{ReadReceipt: true}, "shop@shop.example", "", "shop@shop.example"},
		"plus":           {post.Content{PlusAccounts: []int64{3, 7}}, "shop@shop.example", "shop+abcdefghijklmnop.12.3zzzzzzzzzzzz@shop.example", ""},
		"another's plus": {post.Content{PlusAccounts: []int64{3}}, "shop@shop.example", "", ""},
		"the user's":     {post.Content{PlusAccounts: []int64{7}, ReplyTo: "desk@shop.example"}, "shop@shop.example", "desk@shop.example", ""},
		"too long":       {post.Content{PlusAccounts: []int64{7}}, strings.Repeat("s", 40) + "@shop.example", "", ""},
		"a plus already": {post.Content{PlusAccounts: []int64{7}}, "shop+a@shop.example", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.content.Subject, c.content.Format, c.content.Body = "Hello", post.FormatText, "Hello"
			m, err := Compile(t.Context(), c.content, testBlobs, Options{})
			if err != nil {
				t.Fatal(err)
			}
			var msg Message
			err = m.Render(&msg, &Params{
				Recipient: post.Recipient{Address: "anna@example.org"}, MessageID: id, Date: time.Unix(1e9, 0), From: post.Sender{Account: 7, Email: c.email, FromName: "Shop"},
			})
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := mail.ReadMessage(strings.NewReader(string(msg.Bytes())))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if a, err := mail.ParseAddress(parsed.Header.Get("Reply-To")); err == nil {
				got = a.Address
			}
			if got != c.replyTo || parsed.Header.Get("Disposition-Notification-To") != c.receipt {
				t.Errorf("Reply-To %q, notifications to %q", parsed.Header.Get("Reply-To"), parsed.Header.Get("Disposition-Notification-To"))
			}
		})
	}
}

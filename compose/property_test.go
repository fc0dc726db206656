package compose

import (
	"bytes"
	"context"
	"testing"

	"pgregory.net/rapid"

	"postroom/post"
)

// The compiled message is the uncompiled one, to the byte; and it keeps what
// the package promises about its bytes.
func TestCompiledEqualsReference(t *testing.T) {
	var fast, slow, refused int
	rapid.Check(t, func(t *rapid.T) {
		c, goTags := drawContent(t)
		m, err := Compile(context.Background(), c, testBlobs, Options{})
		if post.KindOf(err) == post.KindInvalid && c.Format != post.FormatText {
			refused++ // a context that html/template refuses too, or a condition across a layout
			return
		}
		if err != nil {
			t.Fatalf("%v\n%q", err, c.Body)
		}
		if m.html == nil || m.html.slow == nil {
			fast++
		} else {
			slow++
		}
		var msg Message
		for range 2 { // the second render reuses what the first one held
			p := drawParams(t)
			if err := m.Render(&msg, &p); err != nil {
				t.Fatal(err)
			}
			got, want := string(msg.Bytes()), reference(t, c, &p, goTags, m)
			if got != want {
				t.Fatalf("body %q\ngot  %q\nwant %q", c.Body, got, want)
			}
			checkBytes(t, &msg)
		}
	})
	t.Logf("%d by our own programs, %d by html/template, %d refused", fast, slow, refused)
	if n := fast + slow + refused; n >= 100 && (fast < 10 || slow < 3 || refused > fast) {
		t.Errorf("the templates are not those that this test is for")
	}
}

// checkBytes holds a message to the rules about its bytes.
func checkBytes(t failer, msg *Message) {
	t.Helper()
	all := msg.Bytes()
	if int64(len(all)) != msg.Len() {
		t.Fatalf("Len is %d, the message has %d bytes", msg.Len(), len(all))
	}
	if wire := bytes.Join(msg.AppendWire(nil), nil); !bytes.Equal(wire, all) {
		t.Fatalf("the wire differs from the message")
	}
	if !bytes.HasSuffix(all, []byte("\r\n")) {
		t.Fatalf("the message does not end with a line end")
	}
	for i, line := range bytes.Split(bytes.TrimSuffix(all, []byte("\r\n")), []byte("\r\n")) {
		switch {
		case bytes.ContainsAny(line, "\r\n\x00"):
			t.Fatalf("line %d holds a bare CR, LF or NUL: %q", i+1, line)
		case len(line) > 78 && !bytes.HasPrefix(line, []byte("Message-ID")):
			t.Fatalf("line %d has %d octets: %q", i+1, len(line), line)
		case bytes.HasPrefix(line, []byte(".")):
			t.Fatalf("line %d begins with a dot: %q", i+1, line)
		case bytes.HasPrefix(line, []byte("From ")):
			t.Fatalf("line %d begins with From: %q", i+1, line)
		}
	}
}

// Any way to cut a text into literals and values encodes to the same bytes.
func TestQuoterPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q quoter
		var text string
		for i := range rapid.IntRange(0, 12).Draw(t, "n") {
			s := cleanText(rapid.OneOf(rapid.SampledFrom(plainPieces), rapid.SampledFrom(nasty), rapid.String(), rapid.StringMatching(`[a-z =.F]{0,90}\n?`)).Draw(t, "piece"))
			if rapid.Bool().Draw(t, "literal") {
				l := literal{text: s}
				l.prepare(i == 0)
				q.literal(&l)
			} else {
				q.write(s)
			}
			text += s
		}
		q.finish()
		if want := refQuoted(text); string(q.out) != want {
			t.Fatalf("%q\ngot  %q\nwant %q", text, q.out, want)
		}
	})
}

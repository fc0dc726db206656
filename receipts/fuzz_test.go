package receipts

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"postroom/post"
)

// FuzzParse: whatever comes, Parse ends, keeps its bounds, ties only by an id
// that stands in the message, and weighs no garbage as a mailbox that is gone.
func FuzzParse(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		began := time.Now()
		r := Parse(raw)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%d bytes took %s", len(raw), took)
		}
		wantSane(t, raw, r)
	})
}

func wantSane(t *testing.T, raw []byte, r Reading) {
	t.Helper()
	if len(r.Refs) > 10*maxRefs || len(r.Says) > maxBlocks {
		t.Errorf("%d refs, %d sayings", len(r.Refs), len(r.Says))
	}
	if len(r.Says) == 0 && len(r.Refs) > 0 {
		t.Error("tied, and says nothing")
	}
	for _, s := range r.Says {
		if len(s.Reply.Text) > post.MaxReplyText || len(s.Address) > post.MaxReplyText || !utf8.ValidString(s.Address+s.Original+s.Reply.Text+r.Source) {
			t.Errorf("not cleaned: %q", s)
		}
		gone, _ := weigh(s.Reply)
		if gone && s.Reply.Enhanced == "" && s.Reply.Code != 556 {
			t.Errorf("gone without a word of it: %+v", s)
		}
	}
	plain := !bytes.Contains(bytes.ToLower(raw), []byte("encoding")) && !bytes.Contains(raw, []byte("=?")) && !bytes.Contains(raw, []byte("+"))
	for _, ref := range r.Refs {
		if !refPattern.MatchString(" " + ref + "@") {
			t.Errorf("tied by %q", ref)
		}
		if plain && !strings.Contains(strings.ToLower(string(raw)), ref) {
			t.Errorf("tied by %q, which is not in it", ref)
		}
	}
}

// TestHostile: messages that were made to hurt. Each is read within its bounds.
func TestHostile(t *testing.T) {
	deep := "Content-Type: multipart/report; boundary=b0\n\n"
	for i := range 400 {
		deep += "--b" + string(rune('0'+i%10)) + "\nContent-Type: multipart/mixed; boundary=b" + string(rune('0'+(i+1)%10)) + "\n\n"
	}
	block := "Final-Recipient: rfc822; ann@example.net\nAction: failed\nStatus: 5.1.1\n\n"
	for name, raw := range map[string]string{
		"empty":           "",
		"zeros":           strings.Repeat("\x00", 1<<20),
		"a header of 1 M": "From: MAILER-DAEMON@x.example\nSubject: failure notice\nX: " + strings.Repeat("a", 1<<20),
		"many fields":     strings.Repeat("Message-ID: <"+ourRef+"@shop.example>\n", 20000),
		"many folds":      "From: MAILER-DAEMON@x.example\nReferences: x\n" + strings.Repeat(" <"+ourRef+"@shop.example>\n", 20000),
		"10,000 parts":    "Content-Type: multipart/report; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 10000),
		"nested":          deep,
		"many recipients": "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n" + strings.Repeat(block, 10000) + "--b--\n",
		"many comments":   "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\nAction: " + strings.Repeat("(x)", 20000) + "failed\n\n--b--\n",
		"broken tags":     "From: MAILER-DAEMON@x.example\nContent-Type: text/html\n\n" + strings.Repeat("<style ", 100000),
		"open styles":     "From: MAILER-DAEMON@x.example\nContent-Type: text/html\n\n" + strings.Repeat("<style>x", 30000),
		"50 MB":           "From: MAILER-DAEMON@x.example\nSubject: failure notice\n\n" + strings.Repeat("550 5.1.1 a@b.example\n", 50<<20/22),
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			r := Parse([]byte(raw))
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("took %s", took)
			} else {
				t.Logf("%d bytes in %s: %d sayings", len(raw), took.Round(time.Microsecond), len(r.Says))
			}
			wantSane(t, []byte(raw), r)
		})
	}
}

func TestWeigh(t *testing.T) {
	for _, c := range []struct {
		reply       post.Reply
		gone, again bool
	}{
		{post.Reply{Code: 550, Enhanced: "5.1.1"}, true, false},
		{post.Reply{Enhanced: "5.1.10"}, true, false},
		{post.Reply{Enhanced: "5.2.1"}, true, false},
		{post.Reply{Enhanced: "5.1.6"}, true, false},
		{post.Reply{Enhanced: "5.1.3"}, true, false},
		{post.Reply{Code: 556}, true, false},
		{post.Reply{Enhanced: "5.1.2"}, false, true},
		{post.Reply{Enhanced: "5.2.2"}, false, true},
		{post.Reply{Enhanced: "4.4.1"}, false, true},
		{post.Reply{Enhanced: "4.1.1"}, false, true},
		{post.Reply{Enhanced: "5.0.0"}, false, true},
		{post.Reply{Enhanced: "5.7.1"}, false, false},
		{post.Reply{Code: 550}, false, false},
		{post.Reply{}, false, false},
	} {
		if gone, again := weigh(c.reply); gone != c.gone || again != c.again {
			t.Errorf("%+v: gone %v, again %v", c.reply, gone, again)
		}
	}
}

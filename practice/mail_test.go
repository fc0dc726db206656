package practice

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postroom/post"
)

func writeMail(t *testing.T, src string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.eml")
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

const sample = `From: =?UTF-8?q?B=C3=A4ckerei?= <shop@example.com>
To: =?UTF-8?b?546L5bCP5piO?= <wang@example.com>
Subject: =?UTF-8?q?Gr=C3=BC=C3=9Fe_?= =?UTF-8?b?8J+Mtw==?=
Date: Tue, 01 Dec 2026 09:00:00 +0100
Message-ID: <m.1@example.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=a

--a
Content-Type: multipart/related; boundary=b

--b
Content-Type: multipart/alternative; boundary=c

--c
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Gr=FC=DFe
--c
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: base64

PGI+R3LDvMOfZTwvYj48aW1nIHNyYz0iY2lkOnBpY0B4Ij4=
--c--
--b
Content-Type: image/png
Content-ID: <pic@x>
Content-Disposition: inline; filename=pic.png
Content-Transfer-Encoding: base64

iVBORw0KGgo=
--b--
--a
Content-Type: application/pdf; name="x.pdf"
Content-Disposition: attachment; filename*=UTF-8''%E5%8F%91%E7%A5%A8%E2%80%AEfdp.exe
Content-Transfer-Encoding: base64

AAECAwQ=
--a
Content-Type: message/rfc822

Subject: forwarded

x
--a--
`

func TestRead(t *testing.T) {
	src := crlf(sample)
	m, err := Read(writeMail(t, src))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, got, want string }{
		{"Subject", m.Subject, "Grüße 🌷"},
		{"From", m.From, "Bäckerei <shop@example.com>"},
		{"To", m.To, "王小明 <wang@example.com>"},
		{"MessageID", m.MessageID, "<m.1@example.com>"},
		{"Date", m.Date.UTC().Format(time.RFC3339), "2026-12-01T08:00:00Z"},
		{"Text", strings.TrimSpace(m.Text), "Grüße"},
		{"HTML", strings.TrimSpace(m.HTML), `<b>Grüße</b><img src="cid:pic@x">`},
		{"Source", string(m.Source), src},
		{"Inline", fmt.Sprint(m.Inline["pic@x"]), fmt.Sprint(Inline{"image/png", []byte("\x89PNG\r\n\x1a\n")})},
		{"Attachments", fmt.Sprint(m.Attachments), "[{发票fdp.exe application/pdf 5} { message/rfc822 23}]"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
	if m.Cut {
		t.Error("said to be cut")
	}
}

func TestReadAwkward(t *testing.T) {
	nested := func(depth int) string {
		var b strings.Builder
		for i := range depth {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=n%d\n\n--n%d\n", i, i)
		}
		return b.String() + "Content-Type: text/plain\n\ndeep\n"
	}
	many := "Subject: x\nContent-Type: multipart/mixed; boundary=m\n\n" + strings.Repeat("--m\nContent-Type: application/x\n\na\n", maxParts+50) + "--m--\n"
	for name, tc := range map[string]struct {
		src, text string
		cut       bool
		attached  int
	}{
		"plain":               {src: "Subject: x\n\nhello\n", text: "hello"},
		"header only":         {src: "Subject: x\n\n"},
		"latin1 without MIME": {src: "Subject: x\n\nGr\xfc\xdfe\n", text: "Gr\uFFFDe"},
		"unknown charset":     {src: "Subject: x\nContent-Type: text/plain; charset=klingon\n\nhello\n", text: "hello"},
		"unknown encoding":    {src: "Subject: x\nContent-Transfer-Encoding: rot13\n\nhello\n", text: "hello"},
		"bad content type":    {src: "Subject: x\nContent-Type: ;;;\n\nhello\n", text: "hello"},
		"broken base64":       {src: "Subject: x\nContent-Transfer-Encoding: base64\n\naGVsbG8!!!!\n", text: "hel", cut: true},
		"no closing line":     {src: "Subject: x\nContent-Type: multipart/mixed; boundary=q\n\n--q\n\nhello\n", text: "hello", cut: true},
		"no boundary":         {src: "Subject: x\nContent-Type: multipart/mixed\n\nhello\n", cut: true},
		"just deep enough":    {src: "Subject: x\n" + nested(maxDepth), text: "deep", cut: true}, // cut: no closing lines
		"too deep":            {src: "Subject: x\n" + nested(maxDepth+1), cut: true},
		"too many parts":      {src: many, cut: true, attached: maxParts - 1},
		"named text":          {src: "Subject: x\nContent-Type: text/plain; name=a.txt\n\nhello\n", attached: 1},
		"long":                {src: "Subject: x\n\n" + strings.Repeat("ü", maxBody), text: strings.Repeat("ü", maxBody/2), cut: true},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Read(writeMail(t, crlf(tc.src)))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSpace(m.Text); got != tc.text {
				t.Errorf("text %.80q, want %.80q", got, tc.text)
			}
			if m.Cut != tc.cut || len(m.Attachments) != tc.attached || m.Subject != "x" {
				t.Errorf("cut %v, %d attachments, subject %q", m.Cut, len(m.Attachments), m.Subject)
			}
		})
	}
}

func TestReadRefusals(t *testing.T) {
	big := filepath.Join(t.TempDir(), "big.eml")
	f, err := os.Create(big)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(maxSource + 1); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]post.Kind{
		filepath.Join(t.TempDir(), "none.eml"): post.KindNotFound,
		big:                                    post.KindInternal,
		writeMail(t, ""):                       post.KindInvalid,
		writeMail(t, "\x89PNG\r\n\x1a\n\x00\x00"):                  post.KindInvalid,
		writeMail(t, "X: "+strings.Repeat("a", maxHeaders)+"\r\n"): post.KindInvalid,
	} {
		if _, err := Read(path); err == nil || post.KindOf(err) != kind {
			t.Errorf("%s: %v, want kind %v", filepath.Base(path), err, kind)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(crlf(sample)))
	f.Add([]byte("Subject: x\r\nContent-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\n--\r\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		m, err := parse(src)
		if err != nil {
			return
		}
		if !bytes.Equal(m.Source, src) {
			t.Error("the source is not what was read")
		}
		if len(m.Text) > maxBody*3 || len(m.HTML) > maxBody*3 || len(m.Attachments) > maxParts {
			t.Error("beyond the limits")
		}
		for _, s := range []string{m.Subject, m.From, m.To} {
			if strings.ContainsAny(s, "\r\n\x00\u202e") {
				t.Errorf("%q is not fit to be shown", s)
			}
		}
	})
}

func TestSaveAs(t *testing.T) {
	src := writeMail(t, crlf(sample))
	dir := t.TempDir()
	dst := filepath.Join(dir, "out.eml")
	for range 2 { // the second time over the first
		if err := SaveAs(src, dst); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(dst)
	if err != nil || string(got) != crlf(sample) {
		t.Errorf("saved %d bytes, %v", len(got), err)
	}
	if fi, err := os.Stat(dst); err != nil || fi.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if err := SaveAs(filepath.Join(dir, "none"), dst); err == nil {
		t.Error("saved what does not exist")
	}
	if err := SaveAs(src, filepath.Join(dir, "no", "folder.eml")); err == nil {
		t.Error("saved into a folder that does not exist")
	}
	if err := SaveAs(src, dir); err == nil {
		t.Error("saved over a folder")
	}
	if all := files(t, dir); len(all) != 1 {
		t.Errorf("left behind: %v", all)
	}
}

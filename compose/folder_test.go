package compose

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postroom/post"
)

// What is exported and imported again makes the same message, to the byte.
func TestFolderRoundTrip(t *testing.T) {
	for _, g := range goldens() {
		dir := filepath.Join(t.TempDir(), "new", "folder")
		if err := ExportFolder(context.Background(), g.content, testBlobs, dir); err != nil {
			t.Errorf("%s: %v", g.name, err)
			continue
		}
		if err := ExportFolder(context.Background(), g.content, testBlobs, dir); post.KindOf(err) != post.KindConflict {
			t.Errorf("%s: written over what was there: %v", g.name, err)
		}
		in, err := ImportFolder(dir)
		if err != nil || len(in.Removed) > 0 || in.Promotional != (g.content.Promotion != nil) {
			t.Errorf("%s: %+v, %v", g.name, in, err)
			continue
		}
		c, err := freezeAll(context.Background(), testBlobs, in.Content)
		if err != nil {
			t.Fatal(err)
		}
		c.Promotion, c.Signatures = g.content.Promotion, g.content.Signatures
		render := func(c post.Content) []byte {
			m, err := Compile(context.Background(), c, testBlobs, Options{})
			if err != nil {
				t.Fatalf("%s: %v", g.name, err)
			}
			p := g.params()
			var msg Message
			if err := m.Render(&msg, &p); err != nil {
				t.Fatal(err)
			}
			return msg.Bytes()
		}
		if got, want := render(c), render(g.content); !bytes.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", g.name, got, want)
		}
	}
}

func TestFolderRefuses(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"empty":        {},
		"no json":      {folderFile: "no"},
		"no body":      {folderFile: `{"body":"message.md"}`},
		"outside":      {folderFile: `{"body":"../secret.md"}`},
		"other body":   {folderFile: `{"body":"message.doc"}`, "message.doc": "x"},
		"latin1":       {folderFile: `{"body":"message.md"}`, "message.md": "Gr\xfc\xdfe"},
		"file outside": {folderFile: `{"body":"message.md","attachments":[{"file":"../../secret.md","name":"x"}]}`, "message.md": "x"},
		"no file":      {folderFile: `{"body":"message.md","attachments":[{"file":"a","name":"x"}]}`, "message.md": "x"},
	} {
		top := t.TempDir()
		write(t, filepath.Join(top, "secret.md"), "secret")
		dir := filepath.Join(top, "folder")
		if err := os.MkdirAll(filepath.Join(dir, "attachments"), 0o700); err != nil {
			t.Fatal(err)
		}
		for f, data := range files {
			write(t, filepath.Join(dir, f), data)
		}
		if in, err := ImportFolder(dir); err == nil || post.KindOf(err) == post.KindInternal {
			t.Errorf("%s: %+v, %v", name, in, err)
		}
	}
}

// Every golden message is read back: its subject, its text, its files.
func TestImportEML(t *testing.T) {
	for _, g := range goldens() {
		raw, err := os.ReadFile(filepath.Join("testdata", g.name+".eml"))
		if err != nil {
			t.Fatal(err)
		}
		in, err := ImportEML(context.Background(), raw, testBlobs)
		if err != nil {
			t.Errorf("%s: %v", g.name, err)
			continue
		}
		m, err := Compile(context.Background(), g.content, testBlobs, Options{})
		if err != nil {
			t.Fatal(err)
		}
		p := g.params()
		subject, leaves := wanted(t, m, &g.content, &p)
		files, inline := 0, 0
		for _, l := range leaves {
			if l.Name != "" {
				files++
			}
		}
		for _, a := range in.Content.Attachments {
			if a.CID != "" {
				inline++
				if !strings.Contains(in.Content.Body, "cid:"+a.CID) {
					t.Errorf("%s: the picture %s is not shown", g.name, a.Name)
				}
			}
		}
		if in.Content.Subject != cleanHeader(subject) || len(in.Content.Attachments) != files || inline != len(m.inline) || (in.Content.Format == post.FormatHTML) != (m.html != nil) {
			t.Errorf("%s: %+v", g.name, in.Content)
		}
		if m.html == nil && strings.TrimRight(in.Content.Body, "\n") != leaves[0].Data {
			t.Errorf("%s: %q, want %q", g.name, in.Content.Body, leaves[0].Data)
		}
	}
	latin := "From: a@b.de\r\nSubject: =?iso-8859-1?Q?Gr=FC=DFe?=\r\nContent-Type: text/plain; charset=gb2312\r\nContent-Transfer-Encoding: base64\r\n\r\nxOO6ww==\r\n"
	if in, err := ImportEML(context.Background(), []byte(latin), testBlobs); err != nil || in.Content.Subject != "Grüße" || strings.TrimSpace(in.Content.Body) != "你好" {
		t.Errorf("%+v, %v", in, err)
	}
	evil := "Subject: x\r\nBcc: eve@example.com\r\nContent-Type: text/html\r\n\r\n<p onclick=x()>a</p><script>b</script>\r\n"
	if in, err := ImportEML(context.Background(), []byte(evil), testBlobs); err != nil || len(in.Removed) != 2 || strings.Contains(in.Content.Body, "script") {
		t.Errorf("%+v, %v", in, err)
	}
	for _, bad := range []string{"", "no message", "Subject: x\r\n\r\n", "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"} {
		if _, err := ImportEML(context.Background(), []byte(bad), testBlobs); post.KindOf(err) != post.KindInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	many := "Content-Type: multipart/mixed; boundary=x\r\n\r\n" + strings.Repeat("--x\r\n\r\na\r\n", maxParts+5) + "--x--\r\n"
	if _, err := ImportEML(context.Background(), []byte(many), testBlobs); post.KindOf(err) != post.KindInvalid {
		t.Errorf("many parts: %v", err)
	}
}

// Damaged messages are refused or read, and never worse.
func TestImportDamagedEML(t *testing.T) {
	var raws [][]byte
	for _, g := range goldens() {
		raw, err := os.ReadFile(filepath.Join("testdata", g.name+".eml"))
		if err != nil {
			t.Fatal(err)
		}
		raws = append(raws, raw)
	}
	rapid.Check(t, func(t *rapid.T) {
		raw := bytes.Clone(raws[rapid.IntRange(0, len(raws)-1).Draw(t, "message")])
		for i := range rapid.IntRange(1, 6).Draw(t, "damages") {
			at := rapid.IntRange(0, len(raw)-1).Draw(t, fmt.Sprint("at", i))
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				raw[at] = rapid.Byte().Draw(t, "byte")
			case 1:
				raw = raw[:at+1]
			default:
				raw = append(raw[:at:at], append([]byte("\r\n\r\n--=_"), raw[at:]...)...)
			}
		}
		in, err := ImportEML(context.Background(), raw, testBlobs)
		if err != nil {
			if post.KindOf(err) == post.KindInternal {
				t.Fatal(err)
			}
			return
		}
		if strings.ContainsAny(in.Content.Subject, "\r\n\x00") {
			t.Fatalf("%q", in.Content.Subject)
		}
	})
}

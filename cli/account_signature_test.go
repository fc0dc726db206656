//go:build linux

package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"postroom/internal/testkit/smtpscript"
)

// TestSignature: the accounts that share a mailing end each their own messages; what
// was queued goes out as it was then, and the history makes the same bytes of it.
func TestSignature(t *testing.T) {
	const count = 40 // more than one account may be ahead of the other
	got := make(chan smtpscript.Message, count)
	s, err := smtpscript.Listen(smtpscript.Config{Mode: smtpscript.Plain, OnTaken: func(m smtpscript.Message) { got <- m }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	host, port := s.HostPort()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	d := &desk{t, filepath.Join(t.TempDir(), "data")}
	server := []string{"--host", host, "--port", strconv.Itoa(port), "--tls", "none", "--auth", "none"}
	d.run(exitDone, append([]string{"account", "add", "shop", "--email", "shop@shop.example", "--signature", `Anna {{name}} \nThe Shop`}, server...)...)
	d.run(exitDone, append([]string{"account", "add", "desk", "--email", "desk@shop.example"}, server...)...)
	d.run(exitDone, "account", "set", "desk", "--signature", file("signature.txt", "\ufeff-- \r\nBüro\r\nTel. 1\r\n\r\n"))
	d.run(exitUsage, "account", "set", "desk", "--signature", strings.Repeat("x", 2001))
	d.run(exitUsage, "account", "set", "desk", "--signature", "a\x07b")
	for name, want := range map[string]string{"shop": "Anna {{name}}\nThe Shop", "desk": "Büro\nTel. 1"} {
		if x := lines[accountJSON](t, d.run(exitDone, "account", "show", name, "--json"))[0]; x.Signature != want {
			t.Errorf("%s: %q", name, x.Signature)
		}
	}
	if out := d.run(exitDone, "account", "show", "desk"); !strings.Contains(out, "Büro / Tel. 1") {
		t.Error(out)
	}
	if x := lines[accountJSON](t, d.run(exitDone, "account", "copy", "desk", "third", "--email", "third@shop.example", "--json"))[0]; x.Signature != "Büro\nTel. 1" {
		t.Errorf("the copy: %q", x.Signature)
	}

	who := func(i int) string { return fmt.Sprintf("p%02d@example.org", i) }
	people := "email,name\n"
	for i := range count {
		people += who(i) + ",P\n"
	}
	d.run(exitDone, "contacts", "import", file("people.csv", people), "--list", "All")
	d.run(exitDone, "send", "--account", "shop,desk", "--list", "All", "--subject", "Hello", "--body", file("letter.txt", "Dear {{name}}"))
	d.run(exitDone, "account", "set", "shop", "--signature", "")
	d.run(exitDone, "account", "set", "desk", "--signature", "Later")
	d.run(exitDone, "run", "--until-empty")
	taken, by := map[string][]byte{}, map[string]int{}
	for range count {
		m := <-got
		taken[m.To[0]] = m.Data
		end := map[string]string{"shop@shop.example": "\r\n\r\n--=20\r\nAnna {{name}}\r\nThe Shop\r\n", "desk@shop.example": "\r\n\r\n--=20\r\nB=C3=BCro\r\nTel. 1\r\n"}[m.From]
		if by[m.From]++; end == "" || !bytes.Contains(m.Data, []byte("Dear P"+end)) {
			t.Errorf("from %s:\n%s", m.From, m.Data)
		}
	}
	if len(by) != 2 {
		t.Errorf("one account sent everything: %v", by)
	}
	path := filepath.Join(dir, "pack.zip")
	d.run(exitDone, "history", "evidence", path, "--mailing", "1")
	p := unpack(t, path)
	for i := range count {
		if m := p.files["people/"+strconv.Itoa(i+1)+"/message.eml"]; len(m) == 0 || !bytes.Equal(m, taken[who(i)]) {
			t.Errorf("message %d is kept as\n%s", i+1, m)
		}
	}

	if x := lines[accountJSON](t, d.run(exitDone, "account", "show", "shop", "--json"))[0]; x.Signature != "" {
		t.Errorf("still %q", x.Signature)
	}
}

package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"postroom/internal/testkit/mailserver"
	"postroom/post"
)

// TestLongAnswerIsCut: of an answer of 600 KB that a real client sent and a real
// Dovecot gave out the first 256 KB are kept; whoever looks at it is told so, on the
// command line and on the page of an evidence pack.
func TestLongAnswerIsCut(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED in short mode: real servers are used in the plain run")
	}
	syscall.Umask(0o022) // commands run before in this process have made it private, and the server's users must read its files
	server := mailserver.Start(t, mailserver.Options{Users: map[string]string{"ann@example.test": "ann's own"}})
	d := &desk{t, filepath.Join(t.TempDir(), "data")}
	d.run(exitDone, append([]string{"account", "add", "shop"}, settingsOf(t, server)...)...)
	d.run(exitDone, "send", "--account", "shop", "--to", "ann@example.test", "--to", "ben@example.test", "--subject", "Hello", "--body", keepIn(t, "letter.txt", []byte("Hello")), "--dsn", "none")
	d.run(exitDone, "run", "--until-empty")
	re := map[string]map[string]string{}
	for _, x := range lines[struct {
		Address string
		ID      string `json:"message_id"`
	}](t, d.run(exitDone, "history", "--json")) {
		re[x.Address] = map[string]string{"In-Reply-To": x.ID}
	}
	line := strings.Repeat("I come. ", 8) + "\n"
	sendAnswers(t, server, "ann@example.test", "ann's own", []answer{
		{Subject: "Re: Hello", Headers: re["ann@example.test"], Text: strings.Repeat(line, 600<<10/len(line))},
		{Subject: "Re: Hello", Headers: re["ben@example.test"], Text: line},
	})
	settle(t, server, 0)
	if got := lines[fetchedJSON](t, d.run(exitDone, "receipts", "fetch", "--json"))[0]; got.By[post.ReceiptReplied] != 2 {
		t.Fatalf("%+v", got)
	}
	show := func(id int, more ...string) (out, said string) {
		t.Helper()
		var o, s bytes.Buffer
		if code := Run(t.Context(), Deps{Version: "test"}, append([]string{"--data", d.data, "receipts", "show", fmt.Sprint(id)}, more...), strings.NewReader(""), &o, &s); code != exitDone {
			t.Fatalf("%d, %s", code, s.String())
		}
		return o.String(), s.String()
	}
	var long, short struct {
		Message string
		Size    int
		Cut     bool
	}
	for id, x := range map[int]any{1: &long, 2: &short} {
		out, _ := show(id, "--json")
		if err := json.Unmarshal([]byte(out), x); err != nil {
			t.Fatal(err)
		}
	}
	if !long.Cut || len(long.Message) != post.MaxExcerpt || long.Size < 600<<10-len(line) {
		t.Errorf("JSON of the long one: %d of %d bytes, cut %v", len(long.Message), long.Size, long.Cut)
	}
	if short.Cut || len(short.Message) != short.Size {
		t.Errorf("JSON of the short one: %d of %d bytes, cut %v", len(short.Message), short.Size, short.Cut)
	}
	if out, said := show(1); len(out) > post.MaxExcerpt || !strings.Contains(said, fmt.Sprintf("Only its first %d bytes were kept, of %d", post.MaxExcerpt, long.Size)) {
		t.Errorf("%d bytes, %q", len(out), said)
	}
	if _, said := show(2); said != "" {
		t.Errorf("of the short one: %q", said)
	}

	path := filepath.Join(t.TempDir(), "pack.zip")
	d.run(exitDone, "history", "evidence", path, "--mailing", "1")
	p := unpack(t, path)
	page := string(p.files["index.html"])
	if strings.Count(page, "Only its beginning was kept.") != 1 {
		t.Errorf("the page says it %d times, want once", strings.Count(page, "Only its beginning was kept."))
	}
	_, ann, _ := strings.Cut(page, "ann@example.test")
	if ann, _, _ = strings.Cut(ann, "</tr>"); !strings.Contains(ann, "Only its beginning was kept.") {
		t.Errorf("the page says it of another: %s", ann)
	}
	if record := string(p.files["people/1/record.json"]); !strings.Contains(record, `"cut": true`) || !strings.Contains(record, fmt.Sprintf(`"size": %d`, long.Size)) {
		t.Error(record)
	}
	if got := p.files["people/1/came-back-1.eml"]; len(got) != post.MaxExcerpt {
		t.Errorf("%d bytes of it are in the pack", len(got))
	}
}

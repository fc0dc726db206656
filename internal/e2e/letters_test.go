//go:build linux && !race

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"math/rand/v2"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// guest is one made-up recipient. The code is in nobody else's message.
type guest struct{ address, name, first, city, code string }

var (
	firstNames = []string{"Käthe", "Jürgen", "李明", "Zoë", "王芳", "Søren", "O'Neill", "Łukasz", "Мария", "Ana & Bo", "François", "さくら"}
	cities     = []string{"Köln", "北京", "Zürich", "São Paulo", "Århus", "Łódź", "Paris", "台北"}
)

func makeGuests(n int) []guest {
	all := make([]guest, n)
	for i := range all {
		first := firstNames[i%len(firstNames)]
		all[i] = guest{
			address: fmt.Sprintf("gast%03d@example.test", i), name: first + " Müller-" + number(i), first: first,
			city: cities[i%len(cities)], code: fmt.Sprintf("CODE-%04d-%04x", i, 7919*(i+1)%65536),
		}
	}
	return all
}

const (
	letterSubject = "🎉 {{first_name}}, Einladung nach {{city}} – 邀请"
	letterBody    = `# Grüße, {{first_name}}!

您好，{{name}}！ Wir freuen uns auf Sie in **{{city}}**.

Ihr Code ist {{code}}. A line of only ASCII with a dot at its start follows.

.dot
`
	attachmentName = "Käthes Räumung 北京.bin"
	senderName     = "Käthes Blumenladen"
)

// letters is a mailing that is ready to be sent.
type letters struct {
	guests []guest
	sheet  string
	args   []string // of send: all but the accounts
	sum    string   // SHA-256 of the attachment
	size   int
}

// prepare writes the sheet, the body and an attachment of 300 KB.
func (o *office) prepare(t *testing.T, n int) letters {
	t.Helper()
	l := letters{guests: makeGuests(n), size: 300 << 10}
	var sheet strings.Builder
	sheet.WriteString("E-Mail;Name;First name;City;Code\r\n")
	for _, g := range l.guests {
		fmt.Fprintf(&sheet, "%s;%s;%s;%s;%s\r\n", g.address, g.name, g.first, g.city, g.code)
	}
	l.sheet = o.write(t, "gäste.csv", sheet.String())
	body := o.write(t, "brief.md", letterBody)
	noise := make([]byte, l.size)
	random := rand.NewChaCha8(sha256.Sum256([]byte("attachment")))
	_, _ = random.Read(noise) // never fails
	copy(noise[1000:], "\r\n.\r\nQUIT\r\n")
	attachment := o.write(t, attachmentName, string(noise))
	sum := sha256.Sum256(noise)
	l.sum = hex.EncodeToString(sum[:])
	l.args = []string{"--list", "Gäste", "--subject", letterSubject, "--body", body, "--attach", attachment, "--name", "Einladung"}
	return l
}

// take imports the sheet.
func (l *letters) take(t *testing.T, o *office) {
	t.Helper()
	got := object[imported](t, o.ok(t, "contacts", "import", l.sheet, "--list", "Gäste", "--json"))
	if n := len(l.guests); got.Read != n || got.Added != n || got.Skipped != 0 || len(got.Problems) != 0 {
		t.Fatalf("import of %d people: %+v", n, got)
	}
}

// read is a message as Python's e-mail package reads it; see readmail.py.
type read struct {
	Recipient   *string `json:"recipient"`
	Path        string  `json:"path"`
	Subject     string  `json:"subject"`
	From        string  `json:"from"`
	To          string  `json:"to"`
	MessageID   string  `json:"message_id"`
	Date        string  `json:"date"`
	Text        *string `json:"text"`
	HTML        *string `json:"html"`
	Attachments []struct {
		Name        string  `json:"name"`
		Type        string  `json:"type"`
		Size        int     `json:"size"`
		SHA256      string  `json:"sha256"`
		Disposition string  `json:"disposition"`
		ContentID   *string `json:"content_id"`
	} `json:"attachments"`
	Defects []string `json:"defects"`
}

// readMail has Python read all messages below a folder of Maildirs. A machine
// without Python fails the test: mail cannot be judged without.
func readMail(t *testing.T, folder string) []read {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "python3", "../testkit/mailserver/readmail.py", folder)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("readmail.py: %v: %s", err, &stderr)
	}
	var all []read
	for line := range bytes.Lines(out) {
		var m read
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&m); err != nil {
			t.Fatalf("%v: %s", err, clip(string(line)))
		}
		all = append(all, m)
	}
	return all
}

// readCaught has Python read what the practice trap caught: the folder is shown
// to it as the "new" of a Maildir.
func readCaught(t *testing.T, folder string) []read {
	t.Helper()
	if other, err := filepath.Glob(filepath.Join(folder, "*")); err != nil {
		t.Fatal(err)
	} else if i := slices.IndexFunc(other, func(name string) bool { return filepath.Ext(name) != ".eml" }); i >= 0 {
		t.Errorf("%s is no .eml file", other[i])
	}
	maildir := filepath.Join(t.TempDir(), "new")
	if err := os.Symlink(folder, maildir); err != nil {
		t.Fatal(err)
	}
	return readMail(t, maildir)
}

// wantLetters compares messages with what was to be written and with history.
func (l *letters) wantLetters(t *testing.T, mails []read, rows []delivery) {
	t.Helper()
	byAddress := map[string]guest{}
	for _, g := range l.guests {
		byAddress[g.address] = g
	}
	ids := map[string]string{}
	for _, d := range rows {
		if ids[d.Address] != "" {
			t.Errorf("history has %s twice", d.Address)
		}
		ids[d.Address] = d.MessageID
	}
	if len(rows) != len(l.guests) || len(ids) != len(l.guests) {
		t.Errorf("history has %d rows about %d people; there are %d", len(rows), len(ids), len(l.guests))
	}
	seen := map[string]int{}
	for i := range mails {
		to, err := mail.ParseAddress(mails[i].To)
		if err != nil {
			t.Errorf("%s: To is %q: %v", mails[i].Path, mails[i].To, err)
			continue
		}
		g, known := byAddress[to.Address]
		if !known {
			t.Errorf("%s went to a stranger: %s", mails[i].Path, to.Address)
			continue
		}
		seen[g.address]++
		for _, fault := range l.faults(&mails[i], to, g, ids[g.address]) {
			t.Errorf("%s: %s", g.address, fault)
		}
		if t.Failed() && i > 5 {
			t.Fatal("the others are not looked at")
		}
	}
	for _, g := range l.guests {
		if seen[g.address] != 1 {
			t.Errorf("%s got %d messages", g.address, seen[g.address])
		}
	}
	if len(mails) != len(l.guests) {
		t.Errorf("%d messages lie there; %d were to be", len(mails), len(l.guests))
	}
}

var codes = regexp.MustCompile(`CODE-[0-9]{4}-[0-9a-f]{4}`)

// faults are the differences between a message and what it was to be.
func (l *letters) faults(m *read, to *mail.Address, g guest, id string) (all []string) {
	note := func(ok bool, format string, args ...any) {
		if !ok {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	if m.Text == nil || m.HTML == nil {
		return []string{fmt.Sprintf("parts are missing: text %t, HTML %t", m.Text != nil, m.HTML != nil)}
	}
	note(m.Recipient == nil || *m.Recipient == g.address, "the envelope went to %v", m.Recipient)
	note(to.Name == g.name, "the name in To is %q, not %q", to.Name, g.name)
	note(m.Subject == "🎉 "+g.first+", Einladung nach "+g.city+" – 邀请", "the subject is %q", m.Subject)
	note(strings.HasPrefix(m.From, senderName+" <") && strings.HasSuffix(m.From, "@example.test>"), "From is %q", m.From)
	note(id != "" && m.MessageID == id, "the Message-ID is %s; history has %s", m.MessageID, id)
	_, err := time.Parse(time.RFC3339, m.Date)
	note(err == nil, "the date is %q: %v", m.Date, err)
	note(len(m.Defects) == 0, "Python found defects: %v", m.Defects)

	text := strings.Join(strings.Fields(*m.Text), " ")
	shown := html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(*m.HTML, ""))
	shown = strings.Join(strings.Fields(shown), " ")
	for _, want := range []string{
		"Grüße, " + g.first + "!",
		"您好，" + g.name + "！ Wir freuen uns auf Sie in",
		"Ihr Code ist " + g.code + ". A line of only ASCII with a dot at its start follows. .dot",
	} {
		note(strings.Contains(text, want), "the text lacks %q:\n%s", want, *m.Text)
		note(strings.Contains(shown, want), "the HTML lacks %q:\n%s", want, *m.HTML)
	}
	note(strings.Contains(text, g.city) && strings.Contains(*m.HTML, ">"+g.city+"</strong>"), "the city is missing:\n%s\n%s", *m.Text, *m.HTML)
	for _, part := range []string{*m.Text, *m.HTML} {
		found := codes.FindAllString(part, -1)
		note(len(found) == 1 && found[0] == g.code, "the codes in it are %v; its own is %s", found, g.code)
		note(!strings.Contains(part, "{{") && !strings.Contains(part, "<no value>"), "a merge tag was left:\n%s", part)
	}
	note(len(m.Attachments) == 1, "it has %d attachments", len(m.Attachments))
	for _, x := range m.Attachments {
		note(x.Name == attachmentName && x.Disposition == "attachment", "the attachment is %s %q", x.Disposition, x.Name)
		note(x.Size == l.size && x.SHA256 == l.sum, "the attachment has %d bytes and sum %s; it had %d and %s", x.Size, x.SHA256, l.size, l.sum)
	}
	return all
}

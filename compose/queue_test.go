package compose

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postroom/post"
)

// memoryLedger keeps what was queued.
type memoryLedger struct {
	mailing post.Mailing
	rows    []post.Recipient
}

func (l *memoryLedger) Enqueue(_ context.Context, m post.Mailing, rows iter.Seq2[post.Recipient, error]) (post.Mailing, []post.Skipped, error) {
	var kept []post.Recipient
	var skipped []post.Skipped
	seen := map[string]bool{}
	for r, err := range rows {
		if err != nil {
			return post.Mailing{}, nil, err
		}
		if seen[r.Key] {
			skipped = append(skipped, post.Skipped{Address: r.Address})
			continue
		}
		seen[r.Key] = true
		kept = append(kept, r)
	}
	m.ID, m.Counts = 7, map[post.State]int64{post.StateQueued: int64(len(kept))}
	l.mailing, l.rows = m, kept
	return m, skipped, nil
}

func (b memoryBlobs) Put(_ context.Context, r io.Reader) (string, int64, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return "", 0, err
	}
	a := b.add("", data)
	return a.SHA256, a.Size, nil
}

func rowsOf(rs ...post.Recipient) func() iter.Seq2[post.Recipient, error] {
	return func() iter.Seq2[post.Recipient, error] {
		return func(yield func(post.Recipient, error) bool) {
			for _, r := range rs {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

func person(address, name string, fields ...string) post.Recipient {
	r := post.Recipient{Address: address, Fields: map[string]string{"first_name": name}}
	for i := 0; i+1 < len(fields); i += 2 {
		r.Fields[fields[i]] = fields[i+1]
	}
	return r
}

func goodJob() *Job {
	return &Job{
		Content:    post.Content{Subject: "Hello {{first_name}}", Body: "Dear {{first_name}}"},
		Senders:    []post.Sender{{Account: 1, Email: "shop@example.com"}},
		Recipients: rowsOf(person("anna@example.com", "Anna"), person("ben@example.com", "Ben")),
	}
}

func write(t *testing.T, name, data string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestCheckRefuses(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "files", "a.pdf"), "%PDF")
	secret := write(t, filepath.Join(dir, "secret.txt"), "s")
	if err := os.Symlink(secret, filepath.Join(dir, "files", "link.txt")); err != nil {
		t.Fatal(err)
	}
	big := write(t, filepath.Join(dir, "files", "big.bin"), "")
	if err := os.Truncate(big, MaxMessage); err != nil {
		t.Fatal(err)
	}
	half := write(t, filepath.Join(dir, "half.bin"), "")
	if err := os.Truncate(half, MaxMessage/2); err != nil {
		t.Fatal(err)
	}
	column := func(value string) func(j *Job) {
		return func(j *Job) {
			j.Content.AttachColumn, j.Content.AttachRoot = "File", filepath.Join(dir, "files")
			j.Recipients = rowsOf(person("anna@example.com", "Anna", "file", value))
		}
	}
	for _, c := range []struct {
		key    string
		row    int64
		change func(j *Job)
	}{
		{"compose.no-subject", 0, func(j *Job) { j.Content.Subject = " " }},
		{"compose.subject-control", 0, func(j *Job) { j.Content.Subject = "a\r\nBcc: b@c.de" }},
		{"compose.no-body", 0, func(j *Job) { j.Content.Body = "\n" }},
		{"compose.no-sender", 0, func(j *Job) { j.Senders = nil }},
		{"compose.bad-sender", 0, func(j *Job) { j.Senders[0].Email = "x" }},
		{"compose.bad-reply-to", 0, func(j *Job) { j.Content.ReplyTo = "a@b.de, c@d.de" }},
		{"compose.no-such-field", 0, func(j *Job) { j.KnownFields = []string{"city"} }},
		{"compose.unknown-field", 0, func(j *Job) { j.KnownFields = []string{"firstname"} }},
		{"compose.template", 0, func(j *Job) { j.Content.Body = "{{if x}}" }},
		{"compose.no-recipients", 0, func(j *Job) { j.Recipients = rowsOf() }},
		{"compose.file-unreadable", 0, func(j *Job) { j.Content.Attachments = []post.Attachment{{Name: "x", Path: filepath.Join(dir, "none")}} }},
		{"compose.file-unreadable", 0, func(j *Job) { j.Content.Attachments = []post.Attachment{{Name: "x", Path: dir}} }},
		{"compose.file-unreadable", 0, func(j *Job) { j.Content.Attachments = []post.Attachment{{Name: "x", Path: big}} }},
		{"compose.too-large", 0, func(j *Job) {
			j.Content.Attachments = []post.Attachment{{Name: "x", Path: half}, {Name: "y", Path: half}}
		}},
		{"compose.bad-address", 2, func(j *Job) {
			j.Recipients = rowsOf(person("a@example.com", "A"), person("a@example.com, b@example.com", "B"))
		}},
		{"compose.missing-value", 2, func(j *Job) { j.Recipients = rowsOf(person("a@example.com", "A"), person("b@example.com", " ")) }},
		{"compose.no-subject", 1, func(j *Job) {
			j.Content.Subject = `{{first_name | default ""}}`
			j.Content.Body = "x"
			j.Recipients = rowsOf(person("a@example.com", ""))
		}},
		{"compose.subject-long", 1, func(j *Job) { j.Recipients = rowsOf(person("a@example.com", strings.Repeat("x", 2000))) }},
		{"compose.missing-value", 1, column("")},
		{"compose.file-unreadable", 1, column("none.pdf")},
		{"compose.file-unreadable", 1, column("a.pdf; ../secret.txt")},
		{"compose.file-unreadable", 1, column("link.txt")},
		{"compose.file-unreadable", 1, column(secret)},
		{"compose.file-unreadable", 1, column("big.bin")},
		{"compose.file-unreadable", 0, func(j *Job) { column("a.pdf")(j); j.Content.AttachRoot = filepath.Join(dir, "nowhere") }},
		{"compose.no-attach-column", 0, func(j *Job) { column("a.pdf")(j); j.KnownFields = []string{"first_name"} }},
	} {
		j := goodJob()
		c.change(j)
		var ledger memoryLedger
		q, err := Queue(context.Background(), &ledger, testBlobs, j, nil)
		if post.KindOf(err) != post.KindInvalid || ledger.mailing.ID != 0 || q.Queued != 0 {
			t.Errorf("%s: %v", c.key, err)
		}
		found := false
		for _, f := range q.Findings.List {
			found = found || f.Severity == SeverityError && f.Reason.Key == c.key && f.Row == c.row && f.Message != "" && (f.Row == 0 || f.Address != "")
		}
		if !found {
			t.Errorf("%s, row %d: findings %+v", c.key, c.row, q.Findings.List)
		}
	}
}

func TestQueue(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "Preise.csv"), "a,b\n")
	write(t, filepath.Join(dir, "own", "sub", "a.pdf"), "%PDF-a")
	write(t, filepath.Join(dir, "own", "b.txt"), "b")
	j := goodJob()
	j.Content.Attachments = []post.Attachment{{Name: "Preise.csv", Path: file}}
	j.Content.AttachColumn, j.Content.AttachRoot = "file", filepath.Join(dir, "own")
	j.Recipients = rowsOf(
		person("anna@example.com", "Anna", "file", `sub\a.pdf; b.txt`),
		person("ANNA@example.com", "Anna", "file", "b.txt"),
		post.Recipient{Address: "ben@example.com", Key: "ben@example.com#3", Name: "ben@other.example", Fields: map[string]string{"first_name": "Ben", "file": "b.txt"}},
	)
	var ledger memoryLedger
	var done int64
	q, err := Queue(context.Background(), &ledger, testBlobs, j, func(n, _ int64) { done = n })
	if err != nil || q.Mailing != 7 || q.Queued != 2 || len(q.Skipped) != 1 || q.Findings.Warnings != 2 || done != 3 {
		t.Fatalf("%+v, %v, %d", q, err, done)
	}
	if err := os.RemoveAll(dir); err != nil { // the files may go, the mail may not change
		t.Fatal(err)
	}
	m, r := ledger.mailing, ledger.rows[0]
	a := m.Content.Attachments[0]
	if m.Kind != post.Live || m.Name != "Hello {{first_name}}" || a.Path != "" || a.Type != "text/csv" || a.Size != 4 {
		t.Errorf("mailing %+v", m)
	}
	if r.Key != "anna@example.com" || ledger.rows[1].Key != "ben@example.com#3" || len(r.Attachments) != 2 || r.Attachments[0].Name != "a.pdf" {
		t.Errorf("rows %+v", ledger.rows)
	}
	words, err := Compile(context.Background(), m.Content, testBlobs, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := letterParams()
	p.Recipient = r
	pv, err := MakePreview(words, &p)
	if err != nil || pv.Subject != "Hello Anna" || len(pv.Missing) > 0 {
		t.Fatalf("%+v, %v", pv, err)
	}
	_, leaves := readMail(t, pv.Source)
	if len(leaves) != 5 || leaves[2].Name != "Preise.csv" || leaves[3].Data != fmt.Sprintf("%x", "%PDF-a") || leaves[4].Name != "b.txt" {
		t.Errorf("leaves %+v", leaves)
	}
}

// Rows that are others when they are queued than when they were checked undo it all.
func TestQueueRowsChanged(t *testing.T) {
	reads := 0
	j := goodJob()
	j.Recipients = func() iter.Seq2[post.Recipient, error] {
		reads++
		name := "Anna"
		if reads > 1 {
			name = ""
		}
		return rowsOf(person("anna@example.com", name))()
	}
	var ledger memoryLedger
	if _, err := Queue(context.Background(), &ledger, testBlobs, j, nil); post.KindOf(err) != post.KindConflict || ledger.mailing.ID != 0 {
		t.Errorf("%v, %+v", err, ledger.mailing)
	}
	broken := errors.New("the sheet is gone")
	j.Recipients = func() iter.Seq2[post.Recipient, error] {
		return func(yield func(post.Recipient, error) bool) { yield(post.Recipient{}, broken) }
	}
	if _, err := Queue(context.Background(), &ledger, testBlobs, j, nil); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

func manyRows(n int, fields map[string]string) func() iter.Seq2[post.Recipient, error] {
	return func() iter.Seq2[post.Recipient, error] {
		return func(yield func(post.Recipient, error) bool) {
			for i := range n {
				if !yield(post.Recipient{Address: fmt.Sprintf("p%d@example.com", i), Fields: fields}, nil) {
					return
				}
			}
		}
	}
}

func TestCheckManyRows(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	j := goodJob()
	j.Content = letter()
	j.Recipients = manyRows(n, letterParams().Recipient.Fields)
	f, err := Check(context.Background(), j, nil)
	if err != nil || !f.OK() || f.Rows != int64(n) {
		t.Fatalf("%+v, %v", f, err)
	}
	j.Recipients = manyRows(n, nil)
	if f, err = Check(context.Background(), j, nil); err != nil || f.Errors < int64(n) || len(f.List) != MaxFindings {
		t.Errorf("%d errors, %d listed, %v", f.Errors, len(f.List), err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err = Check(ctx, j, func(done, _ int64) { cancel() })
	if post.KindOf(err) != post.KindCancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A draft that is not ready can be looked at; its files come from their paths.
func TestPreviewOfDraft(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "a.txt"), "a")
	m, err := Compile(context.Background(), post.Content{Body: "Dear {{first_name}}", Attachments: []post.Attachment{{Name: "a.txt", Path: file}}}, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := letterParams()
	p.Recipient.Fields = nil
	pv, err := MakePreview(m, &p)
	if err != nil || len(pv.Missing) != 1 || pv.Subject != "" || !bytes.Contains(pv.Source, []byte("Subject: \r\n")) {
		t.Errorf("%+v, %v", pv, err)
	}
}

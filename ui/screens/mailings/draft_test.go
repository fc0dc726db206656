package mailings

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postroom/assets/words"
	"postroom/compose"
	"postroom/contacts"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/screens"
)

var testNow = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// newBook is a ledger with an account and lists of so many people each; every
// third person has no city.
func newBook(t testing.TB, lists map[string]int) (*storage.Ledger, post.Account) {
	t.Helper()
	l, err := storage.Open(t.Context(), t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	a, err := l.CreateAccount(t.Context(), post.Account{
		Name: "shop", Email: "shop@brauhaus.example", FromName: "Brauhaus", Host: "127.0.0.1", Port: 25, TLS: post.TLSNone, Auth: post.AuthNone, Secret: post.SecretNone,
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range lists {
		if _, _, _, _, err := l.ImportContacts(t.Context(), name, false, func(yield func(post.Contact, error) bool) {
			for i := range n {
				address := fmt.Sprintf("%s%d@example.org", strings.ToLower(name), i)
				c := post.Contact{Address: address, Key: address, Name: fmt.Sprintf("%s %d", name, i), Fields: map[string]string{"city": "Köln"}}
				if i%3 == 0 {
					c.Fields["city"] = ""
				}
				if !yield(c, nil) {
					return
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	return l, a
}

func listID(t testing.TB, l *storage.Ledger, name string) int64 {
	t.Helper()
	li, err := l.ListByName(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return li.ID
}

func markdown(subject, body string) post.Content {
	return post.Content{Subject: subject, Body: body, Format: post.FormatMarkdown}
}

// The walk shows the same people in the same order as the mailing has, in both
// directions, also behind what it keeps, over lists and typed addresses.
func TestWalk(t *testing.T) {
	l, a := newBook(t, map[string]int{"Guests": 4500, "Staff": 3})
	d := post.Draft{Accounts: []int64{a.ID}, Lists: []int64{listID(t, l, "Guests"), listID(t, l, "Staff")}, To: []string{"Extra <extra@example.org>", "staff1@example.org"}}
	job, err := jobOf(t.Context(), l, d, post.Live, testNow)
	if err != nil || job.Total != 4505 {
		t.Fatal(job, err)
	}
	var want []string
	for r, err := range job.Recipients() {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, r.Address+r.Name)
	}
	w := newWalk(t.Context(), l, d)
	defer w.close()
	for _, n := range []int64{1, 2, 4505, 4504, 3000, 2999, 1, 4502, 4506} {
		r, _, total, ok, err := w.at(n)
		if err != nil || ok != (n <= 4505) || total != 4505 {
			t.Fatalf("%d: %v of %d, %v", n, ok, total, err)
		}
		if ok && r.Address+r.Name != want[n-1] {
			t.Errorf("%d is %s, want %s", n, r.Address+r.Name, want[n-1])
		}
	}
	if !strings.Contains(want[4504], "Staff 1") {
		t.Errorf("who is typed and in the book has no name: %s", want[4504])
	}
}

// Rows of a sheet are messages of their own; fields that some lack are counted,
// and rows that cannot be taken are among the warnings.
func TestSheetAndGaps(t *testing.T) {
	l, a := newBook(t, nil)
	sheet := filepath.Join(t.TempDir(), "invoices.csv")
	if err := os.WriteFile(sheet, []byte("email,name,number\na@example.org,Anna,1\na@example.org,Anna,2\nnobody,X,3\nb@example.org,Ben,\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := post.Draft{Accounts: []int64{a.ID}, Rows: sheet, Content: markdown("Invoice {{number}}", "Dear {{name}}, welcome to the shop.")}
	g, err := CountGaps(t.Context(), l, d)
	if err != nil || g.rows != 3 || g.lacking["number"] != 1 || g.lacking["name"] != 0 || !slices.Contains(g.fields, "number") {
		t.Fatalf("%+v %v", g, err)
	}
	job, err := jobOf(t.Context(), l, d, post.Live, testNow)
	if err != nil {
		t.Fatal(err)
	}
	f, err := checkJob(t.Context(), job, testEnv(l), d, nil)
	if err != nil || f.Rows != 3 || f.Errors != 1 {
		t.Fatalf("%+v %v", f, err)
	}
	groups := groupsOf(&f)
	if groups[0].first.Reason.Key != "compose.missing-value" || !slices.Equal(groups[0].rows, []int64{3}) {
		t.Errorf("%+v", groups[0])
	}
	if !slices.ContainsFunc(groups, func(g group) bool { return g.first.Reason.Key == "composer.row_left" }) {
		t.Errorf("the row that cannot be taken is not told: %+v", groups)
	}
}

// Several senders have their own weights, those of the account, or those of the
// draft; what is done about uncertain messages follows the setting.
func TestJobFollows(t *testing.T) {
	l, a := newBook(t, nil)
	b, err := l.CreateAccount(t.Context(), post.Account{Name: "office", Email: "office@brauhaus.example", Host: "127.0.0.1", Port: 25, TLS: post.TLSNone, Auth: post.AuthNone, Secret: post.SecretNone, Weight: 3})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SetSetting(t.Context(), "uncertain", "resend"); err != nil {
		t.Fatal(err)
	}
	d := post.Draft{Accounts: []int64{a.ID, b.ID, 99}, Weights: map[int64]int{a.ID: 2}, To: []string{"x@example.org"}, Promotional: true, Content: post.Content{Subject: "s", Format: post.FormatHTML, Body: "<p onclick=x>hi</p><script>1</script>"}}
	j, err := jobOf(t.Context(), l, d, post.Live, testNow)
	if err != nil {
		t.Fatal(err)
	}
	if len(j.Senders) != 2 || j.Senders[0].Weight != 2 || j.Senders[1].Weight != 3 || j.Uncertain != post.UncertainResend {
		t.Errorf("%+v %q", j.Senders, j.Uncertain)
	}
	if j.Content.Promotion == nil || strings.Contains(j.Content.Body, "script") || len(j.Removed) == 0 {
		t.Errorf("not cleaned or no footer: %q, %v", j.Content.Body, j.Removed)
	}
}

// What was rehearsed goes out the same: the words, the values, the files.
func TestSendSame(t *testing.T) {
	l, a := newBook(t, map[string]int{"Guests": 5})
	file := filepath.Join(t.TempDir(), "menu.pdf")
	if err := os.WriteFile(file, []byte("%PDF-1.4"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := post.Draft{Accounts: []int64{a.ID}, Lists: []int64{listID(t, l, "Guests")}, Look: "letter", Content: markdown("Hello {{name}}", "Dear {{name}} in {{city | default \"town\"}}")}
	d.Content.Attachments = []post.Attachment{{Name: "menu.pdf", Path: file}}
	queue := func(j *compose.Job, err error) post.Mailing {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		q, err := compose.Queue(t.Context(), l, l, j, nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := l.Mailing(t.Context(), q.Mailing)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	rehearsed := queue(jobOf(t.Context(), l, d, post.Rehearsal, testNow))
	if err := os.WriteFile(file, []byte("another menu"), 0o600); err != nil { // what is frozen counts
		t.Fatal(err)
	}
	live := queue(sameJob(t.Context(), l, rehearsed.ID, testNow))
	if hashOf(&rehearsed) != hashOf(&live) || live.Kind != post.Live || live.Total() != 5 {
		t.Errorf("%s and %s, %d rows", hashOf(&rehearsed), hashOf(&live), live.Total())
	}
	rows := func(id int64) (all []string) {
		for h, err := range l.EachDelivery(t.Context(), storage.HistoryFilter{Mailing: id}) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprint(h.Address, h.Name, h.Fields, h.Attachments))
		}
		return all
	}
	if x, y := rows(rehearsed.ID), rows(live.ID); !slices.Equal(x, y) {
		t.Errorf("the rows differ:\n%v\n%v", x, y)
	}
	d.Content.Body += "!"
	if other := queue(jobOf(t.Context(), l, d, post.Rehearsal, testNow)); hashOf(&other) == hashOf(&rehearsed) {
		t.Error("other words have the same hash")
	}
}

// What has not begun can be called back, with its draft; what has begun cannot.
func TestCallBack(t *testing.T) {
	l, a := newBook(t, map[string]int{"Guests": 2})
	d := post.Draft{Accounts: []int64{a.ID}, Lists: []int64{listID(t, l, "Guests")}, Content: markdown("Hello", "words")}
	j, err := jobOf(t.Context(), l, d, post.Live, testNow)
	if err != nil {
		t.Fatal(err)
	}
	j.NotBefore = testNow.Add(time.Minute)
	q, err := compose.Queue(t.Context(), l, l, j, nil)
	if err != nil {
		t.Fatal(err)
	}
	d.Held = q.Mailing
	if d.ID, err = l.SaveDraft(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	w := words.For(words.English)
	if list, err := LoadList(t.Context(), l, w, testNow, ""); err != nil || len(list.Items) != 1 {
		t.Fatalf("the held draft is listed: %+v %v", list, err)
	}
	if _, err := callBack(t.Context(), l, q.Mailing, testNow.Add(time.Minute)); post.KindOf(err) != post.KindConflict {
		t.Fatalf("called back too late: %v", err)
	}
	back, err := callBack(t.Context(), l, q.Mailing, testNow)
	if err != nil || back.ID != d.ID || back.Held != 0 || len(back.Lists) != 1 {
		t.Fatalf("%+v %v", back, err)
	}
	m, err := l.Mailing(t.Context(), q.Mailing)
	if err != nil || m.Counts[post.StateCancelled] != 2 {
		t.Fatalf("%+v %v", m.Counts, err)
	}
	// A draft that is held for a mailing that has begun is forgotten.
	back.Held = q.Mailing
	if _, err := l.SaveDraft(t.Context(), back); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadList(t.Context(), l, w, testNow.Add(time.Hour), ""); err != nil {
		t.Fatal(err)
	}
	if drafts, err := l.Drafts(t.Context()); err != nil || len(drafts) != 0 {
		t.Errorf("%d drafts are left, %v", len(drafts), err)
	}
}

// A test goes to the address given, and says what the person in front would read.
func TestTestJob(t *testing.T) {
	l, a := newBook(t, map[string]int{"Guests": 3})
	d := post.Draft{Accounts: []int64{a.ID}, Lists: []int64{listID(t, l, "Guests")}, Content: markdown("Hello {{name}}", "from {{city}}")}
	p := &proof{ledger: l}
	defer p.close()
	me, err := post.ParseAddress("me@brauhaus.example")
	if err != nil {
		t.Fatal(err)
	}
	j, err := testJob(t.Context(), l, d, p, 2, me, testNow)
	if err != nil {
		t.Fatal(err)
	}
	q, err := compose.Queue(t.Context(), l, l, j, nil)
	if err != nil || q.Queued != 1 {
		t.Fatalf("%+v %v", q, err)
	}
	for h, err := range l.EachDelivery(t.Context(), storage.HistoryFilter{Mailing: q.Mailing}) {
		if err != nil || h.Address != "me@brauhaus.example" || h.Name != "Guests 1" || h.Fields["city"] != "Köln" {
			t.Errorf("%+v", h.Recipient)
		}
	}
}

// Messages from files come in cleaned, with their pictures.
func TestImportMessage(t *testing.T) {
	l, _ := newBook(t, nil)
	dir := t.TempDir()
	png := "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
	raw, err := base64.StdEncoding.DecodeString(png)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"a.md": "\ufeff# Hi {{name}}\r\n\r\n![stove](stove.png)", "b.html": "<p onclick=x>Hi</p><script>1</script>", "c.txt": "Hi", "d.doc": "x", "e.md": "\xff\xfe",
		"f.eml": "Subject: =?utf-8?q?Men=C3=BC?= {{x}}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" +
			"<p>Hi {{name}}</p><img alt=x src=\"cid:pic@there\"><script>1</script>\r\n--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <pic@there>\r\nContent-Disposition: inline\r\n\r\n" + png + "\r\n--b--\r\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "stove.png"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	take := func(name string) (post.Content, []string) {
		t.Helper()
		in, err := ImportMessage(t.Context(), l, filepath.Join(dir, name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return in.Content, in.Removed
	}
	if c, _ := take("a.md"); !strings.HasPrefix(c.Body, "# Hi {{name}}\n\n![stove](cid:") || len(c.Attachments) != 1 || c.Format != post.FormatMarkdown {
		t.Errorf("%+v", c)
	}
	if c, removed := take("b.html"); strings.Contains(c.Body, "script") || strings.Contains(c.Body, "onclick") || len(removed) < 2 {
		t.Errorf("%q %v", c.Body, removed)
	}
	if c, _ := take("c.txt"); c.Format != post.FormatText || c.Body != "Hi" {
		t.Errorf("%+v", c)
	}
	c, _ := take("f.eml")
	if c.Subject != "Menü {{x}}" || strings.Contains(c.Body, "script") || len(c.Attachments) != 1 || !strings.Contains(c.Body, "cid:"+c.Attachments[0].CID) {
		t.Errorf("%+v", c)
	}
	in, err := picturesOf(l, c.Attachments, nil)
	if err != nil || string(in[c.Attachments[0].CID].Data) != string(raw) || in[c.Attachments[0].CID].Type != "image/png" {
		t.Errorf("the picture did not come along: %v", err)
	}
	for _, name := range []string{"d.doc", "e.md", "missing.md"} {
		if _, err := ImportMessage(t.Context(), l, filepath.Join(dir, name)); post.KindOf(err) != post.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An exported folder comes back as it was, and its people are a sheet.
func TestExportMailing(t *testing.T) {
	l, a := newBook(t, map[string]int{"Guests": 4})
	file := filepath.Join(t.TempDir(), "menu.pdf")
	if err := os.WriteFile(file, []byte("%PDF-1.4"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := post.Draft{Accounts: []int64{a.ID}, Lists: []int64{listID(t, l, "Guests")}, Look: "letter", Content: markdown("It's {{name}}", "Dear {{city | default \"x\"}}")}
	d.Content.Attachments = []post.Attachment{{Name: "menu.pdf", Path: file}}
	folder := filepath.Join(t.TempDir(), "out")
	if err := ExportMailing(t.Context(), l, d, folder); err != nil {
		t.Fatal(err)
	}
	if err := ExportMailing(t.Context(), l, d, folder); post.KindOf(err) != post.KindInvalid {
		t.Errorf("written over: %v", err)
	}
	in, err := ImportMessage(t.Context(), l, filepath.Join(folder, "mailing.json"))
	if err != nil {
		t.Fatal(err)
	}
	back := draftOf(in.Content)
	if back.Content.Subject != d.Content.Subject || back.Content.Body != d.Content.Body || back.Look != "letter" || len(back.Content.Attachments) != 1 {
		t.Errorf("came back as %+v", back)
	}
	_, rows, err := contacts.RowsAs(t.Context(), filepath.Join(folder, "people.csv"), contacts.Options{}, func(p contacts.Problem) { t.Errorf("%+v", p) })
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for r, err := range rows {
		if err != nil || r.Name != fmt.Sprintf("Guests %d", n) {
			t.Errorf("%+v %v", r, err)
		}
		n++
	}
	if n != 4 {
		t.Errorf("%d people", n)
	}
}

// Every design reads in both languages, and templates stand behind them.
func TestLoadStarts(t *testing.T) {
	l, a := newBook(t, nil)
	if _, err := l.SaveDraft(t.Context(), post.Draft{Name: "Mine", Template: true, Content: markdown("s", "own words")}); err != nil {
		t.Fatal(err)
	}
	for _, lang := range []words.Lang{words.English, words.Chinese} {
		all, err := LoadStarts(t.Context(), l, words.For(lang), []int64{a.ID}, "Brauhaus")
		if err != nil || len(all) != 7 || all[6].Name != "Mine" {
			t.Fatalf("%d %v", len(all), err)
		}
		for _, s := range all[1:] {
			if len(s.Parts) == 0 || s.Name == "" {
				t.Errorf("%s in %s shows nothing", s.Name, lang)
			}
		}
	}
}

func TestParseMoment(t *testing.T) {
	for _, c := range []struct{ day, clock, zone, want, wrong string }{
		{"2026-12-01", "09:00", "Europe/Berlin", "2026-12-01T08:00:00Z", ""},
		{" 2026-12-01 ", "9:00", "Asia/Shanghai", "2026-12-01T01:00:00Z", ""},
		{"2027-03-28", "02:30", "Europe/Berlin", "", "pacing.moment.gap"},
		{"1.12.2026", "09:00", "Europe/Berlin", "", "pacing.moment.wrong"},
		{"2026-12-01", "25:00", "UTC", "", "pacing.moment.wrong"},
		{"2026-12-01", "09:00", "Mars/Base", "", "pacing.zone.wrong"},
		{"2026-12-01", "09:00", "", "", "pacing.zone.wrong"},
	} {
		at, err := parseMoment(c.day, c.clock, c.zone)
		if c.wrong == "" {
			if err != nil || at.UTC().Format(time.RFC3339) != c.want {
				t.Errorf("%+v: %v %v", c, at, err)
			}
			continue
		}
		if f := findingOf(err); err == nil || f.Reason.Key != c.wrong {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestOccurrences(t *testing.T) {
	for _, c := range []struct {
		text, what string
		want       []int
	}{
		{"Köln köln KÖLN", "köln", []int{0, 5, 10}}, {"aaaa", "aa", []int{0, 2}}, {"abc", "", nil}, {"abc", "abcd", nil}, {"你好你好", "好", []int{1, 3}},
	} {
		if got := occurrences([]rune(c.text), []rune(c.what)); !slices.Equal(got, c.want) {
			t.Errorf("%q in %q: %v, want %v", c.what, c.text, got, c.want)
		}
	}
}

// What a finding is about is found in the body.
func TestSpotOf(t *testing.T) {
	for _, c := range []struct {
		body string
		x    compose.Finding
		want string
	}{
		{"你好 {{city}} x", compose.Finding{Field: "city"}, "{{city}}"},
		{"see http://x.example/a", compose.Finding{Reason: post.Reason{Args: []string{"http://x.example/a", "1"}}}, "http://x.example/a"},
		{"{{nme}}", compose.Finding{Reason: post.Reason{Args: []string{"body", "1", "nme"}}}, "nme"},
		{"nothing", compose.Finding{Reason: post.Reason{Args: []string{"1"}}}, ""},
	} {
		from, to, ok := spotOf(c.body, &c.x)
		if got := string([]rune(c.body)[from:to]); got != c.want || ok != (c.want != "") {
			t.Errorf("%q: %q, want %q", c.body, got, c.want)
		}
	}
}

// A file that is edited outside is taken over once it stands, and goes in the end.
func TestWatchFile(t *testing.T) {
	path, err := writeOutside(t.TempDir(), post.Draft{ID: 7, Content: markdown("s", "one")})
	if err != nil || filepath.Base(path) != "message-7.md" {
		t.Fatal(path, err)
	}
	ctx, cancel := contextOf(t)
	got, over := make(chan string, 4), make(chan struct{})
	go func() {
		watchFile(ctx, path, "one", func(s string) { got <- s })
		close(over)
	}()
	if err := os.WriteFile(path, []byte("two\r\nlines"), 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case s := <-got:
		if s != "two\nlines" {
			t.Errorf("%q", s)
		}
	case <-time.After(30 * time.Second):
		t.Error("the change was not noticed")
	}
	cancel()
	<-over
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}

func testEnv(l *storage.Ledger) *screens.Env {
	return &screens.Env{Ledger: l, Words: words.For(words.English)}
}

package compose

import (
	"context"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"postroom/post"
)

// knowing is a Lookup in memory.
type knowing struct {
	account    post.Account
	suppressed map[string]string
	recent     []string
	since      time.Time
	asked      int
}

func (k *knowing) Account(context.Context, int64) (post.Account, error) { return k.account, nil }

func (k *knowing) SuppressedKeys(_ context.Context, keys []string) (map[string]string, error) {
	k.asked++
	out := map[string]string{}
	for _, key := range keys {
		if why, ok := k.suppressed[key]; ok {
			out[key] = why
		}
	}
	return out, nil
}

func (k *knowing) RecentKeys(_ context.Context, _ string, since time.Time) iter.Seq2[string, error] {
	k.since = since
	return func(yield func(string, error) bool) {
		for _, key := range k.recent {
			if !yield(key, nil) {
				return
			}
		}
	}
}

// finds runs Check and returns what it found, as "severity key row".
func finds(t *testing.T, j *Job) []string {
	t.Helper()
	f, err := Check(context.Background(), j, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, x := range f.List {
		if x.Mend == "" || x.Message == "" {
			t.Errorf("%s has no words or no way to mend it", x.Reason.Key)
		}
		out = append(out, string(x.Severity)+" "+x.Reason.Key+" "+strconv.FormatInt(x.Row, 10))
	}
	return out
}

func TestPreflight(t *testing.T) {
	account := post.Account{Name: "shop", Email: "shop@example.com", Host: "mail.example.com", Auth: post.AuthAuto}
	for _, c := range []struct {
		name   string
		change func(j *Job, k *knowing)
		want   string // empty: nothing is found
	}{
		{"sound", func(*Job, *knowing) {}, ""},
		{"cleaned", func(j *Job, _ *knowing) { j.Removed = []string{"script"} }, "warning compose.removed 0"},
		{"own subdomain of a provider", func(j *Job, k *knowing) {
			j.Senders[0].Email, k.account.Email, k.account.Host = "x@gmail.com", "x@gmail.com", "smtp.gmail.com"
		}, ""},
		{"free mail elsewhere", func(j *Job, k *knowing) { j.Senders[0].Email, k.account.User = "x@QQ.com", "x@qq.com" }, "warning compose.from-foreign 0"},
		{"a host that only ends alike", func(j *Job, k *knowing) {
			j.Senders[0].Email, k.account.User, k.account.Host = "x@qq.com", "x@qq.com", "evilqq.com"
		}, "warning compose.from-foreign 0"},
		{"another login", func(_ *Job, k *knowing) { k.account.User = "me@other.example" }, "warning compose.from-login 0"},
		{"bad domain", func(j *Job, k *knowing) {
			j.Health = func(_ context.Context, a post.Account) []string {
				if a.Email != k.account.Email {
					return nil
				}
				return []string{"SPF", "DMARC"}
			}
		}, "warning compose.domain 0"},
		{"bad domain, rehearsal", func(j *Job, _ *knowing) {
			j.Kind = post.Rehearsal
			j.Health = func(context.Context, post.Account) []string { return []string{"SPF"} }
		}, ""},
		{"good domain", func(j *Job, _ *knowing) { j.Health = func(context.Context, post.Account) []string { return nil } }, ""},
		{"login is no address", func(_ *Job, k *knowing) { k.account.User = "me" }, ""},
		{"suppressed", func(_ *Job, k *knowing) { k.suppressed = map[string]string{"ben@example.com": "asked"} }, "warning compose.suppressed 2"},
		{"suppressed, rehearsal", func(j *Job, k *knowing) {
			j.Kind, k.suppressed = post.Rehearsal, map[string]string{"ben@example.com": "asked"}
		}, ""},
		{"recent", func(_ *Job, k *knowing) { k.recent = []string{"zoe@example.com", "ben@example.com"} }, "warning compose.recent 2"},
		{"twice", func(j *Job, _ *knowing) {
			j.Recipients = rowsOf(person("anna@example.com", "A"), person("Anna@Example.com", "A"))
		}, "warning compose.duplicate 2"},
		{"twice in a sheet", func(j *Job, _ *knowing) {
			a, b := person("anna@example.com", "A"), person("anna@example.com", "A")
			a.Key, b.Key = "anna@example.com#2", "anna@example.com#3"
			j.Recipients = rowsOf(a, b)
		}, ""},
		{"recent in a sheet", func(j *Job, k *knowing) {
			a := person("anna@example.com", "A")
			a.Key = "anna@example.com#2"
			j.Recipients, k.recent = rowsOf(a), []string{"anna@example.com"}
		}, "warning compose.recent 1"},
		{"date", func(j *Job, _ *knowing) {
			j.Content.Body = `{{due | date "long"}}`
			j.Recipients = rowsOf(person("a@example.com", "A", "due", "2026-12-01"), person("b@example.com", "B", "due", "12/01/2026"))
		}, "error compose.bad-date 2"},
		{"number in the subject", func(j *Job, _ *knowing) {
			j.Content.Subject = `{{sum | number "1,234.56"}} EUR`
			j.Recipients = rowsOf(person("a@example.com", "A", "sum", "1,234"))
		}, "error compose.bad-number 1"},
		{"number where nobody gets to", func(j *Job, _ *knowing) {
			j.Content.Body = `{{if due}}{{sum | number "1,234.56"}}{{end}}x`
			j.Recipients = rowsOf(person("a@example.com", "A", "sum", "1,234"))
		}, ""},
		{"name like another address", func(j *Job, _ *knowing) {
			a, b := person("a@example.com", "A"), person("b@example.com", "B")
			a.Name, b.Name = "a@example.com", "ceo@bank.example"
			j.Recipients = rowsOf(a, b)
		}, "warning compose.name-is-address 2"},
		{"link from a value", func(j *Job, _ *knowing) {
			j.Content.Body = `[x]({{url}})`
			j.Recipients = rowsOf(person("a@example.com", "A", "url", "https://a.example/"), person("b@example.com", "B", "url", "JavaScript:alert(1)"))
		}, "error compose.bad-link 2"},
		{"link without a scheme", func(j *Job, _ *knowing) {
			j.Content.Body = `[x]({{url}})`
			j.Recipients = rowsOf(person("a@example.com", "A", "url", "www.example.com"))
		}, "error compose.bad-link 1"},
		{"value within a link", func(j *Job, _ *knowing) {
			j.Content.Body = `[x](https://example.com/?q={{url}})`
			j.Recipients = rowsOf(person("a@example.com", "A", "url", "javascript:alert(1)"))
		}, ""},
		{"fixed link", func(j *Job, _ *knowing) { j.Content.Body = "a\n\n[x](www.example.com)" }, "warning compose.link-relative 0"},
		{"fixed link of another kind", func(j *Job, _ *knowing) {
			j.Content.Format, j.Content.Body = post.FormatHTML, `<a href="ftp://example.com/">x</a>`
		}, "error compose.link-scheme 0"},
		{"script in Markdown", func(j *Job, _ *knowing) { j.Content.Body = "[x](javascript:alert(1))" }, "warning compose.link-empty 0"},
		{"no host", func(j *Job, _ *knowing) { j.Content.Body = "[x](https:///page)" }, "error compose.link-broken 0"},
		{"anchor, mail", func(j *Job, _ *knowing) { j.Content.Body = "[x](#below) [y](mailto:a@example.com)" }, ""},
		{"shortened", func(j *Job, _ *knowing) { j.Content.Body = "https://bit.ly/abc" }, "warning compose.link-short 0"},
		{"no alt", func(j *Job, _ *knowing) { j.Content.Body = "words ![](https://example.com/a.png)" }, "warning compose.image-alt 0"},
		{"alt", func(j *Job, _ *knowing) { j.Content.Body = "words ![a bicycle](https://example.com/a.png)" }, ""},
		{"decoration", func(j *Job, _ *knowing) {
			j.Content.Format, j.Content.Body = post.FormatHTML, `x<img src="https://example.com/a.png" alt="" role="presentation">`
		}, ""},
		{"pictures only", func(j *Job, _ *knowing) { j.Content.Body = "![a bicycle](https://example.com/a.png)" }, "warning compose.no-text 0"},
		{"attachment forgotten", func(j *Job, _ *knowing) { j.Content.Body = "Please find attached our menu." }, "warning compose.attach-forgotten 0"},
		{"附件", func(j *Job, _ *knowing) { j.Content.Format, j.Content.Body = post.FormatText, "请查收附件。" }, "warning compose.attach-forgotten 0"},
		{"Anhang", func(j *Job, _ *knowing) { j.Content.Body = "Die Rechnung ist im Anhang." }, "warning compose.attach-forgotten 0"},
		{"no attachment meant", func(j *Job, _ *knowing) {
			j.Content.Body = "There are no attachments in our mail; I am attached to you."
		}, ""},
		{"attached", func(j *Job, _ *knowing) {
			j.Content.Body = "Please find attached our menu."
			j.Content.Attachments = []post.Attachment{testBlobs.add("menu.pdf", []byte("%PDF"))}
		}, ""},
		{"program", func(j *Job, _ *knowing) {
			j.Content.Attachments = []post.Attachment{testBlobs.add("setup.EXE", []byte("MZ"))}
		}, "warning compose.file-refused 0"},
		{"too large for the account", func(j *Job, k *knowing) {
			k.account.Learned.Size = 1 << 20
			j.Content.Attachments = []post.Attachment{testBlobs.add("a.bin", make([]byte, 1<<20))}
		}, "error compose.too-large-account 0"},
		{"large", func(j *Job, _ *knowing) {
			j.Content.Attachments = []post.Attachment{{Name: "a.bin", SHA256: "x", Size: 9 << 20}}
		}, "warning compose.large 0"},
		{"shouting", func(j *Job, _ *knowing) { j.Content.Subject = "BUY NOW or NEVER" }, "warning compose.spam-subject 0"},
		{"marks", func(j *Job, _ *knowing) { j.Content.Subject = "今天最后一天！！！" }, "warning compose.spam-subject 0"},
		{"sales", func(j *Job, _ *knowing) { j.Content.Body = "Act now: 100% free! Click here." }, "warning compose.spam-words 0"},
		{"promotional, not marked", func(j *Job, _ *knowing) { j.Content.Subject = "Our newsletter" }, "warning compose.promotional 0"},
		{"促销", func(j *Job, _ *knowing) { j.Content.Subject = "春季促销" }, "warning compose.promotional 0"},
		{"promotional, marked", func(j *Job, _ *knowing) {
			j.Content.Subject, j.Content.Promotion = "Our newsletter", &post.Promotion{List: "Guests", PostalAddress: "Shop, 1 Main St"}
			j.Content.Body += " [leave]({{unsubscribe_link}})"
		}, ""},
		{"no address", func(j *Job, _ *knowing) { j.Content.Promotion = &post.Promotion{List: "Guests"} }, "warning compose.no-postal-address 0"},
		{"long subject", func(j *Job, _ *knowing) { j.Content.Subject = strings.Repeat("long ", 30) }, "warning compose.subject-long 0"},
		{"huge value", func(j *Job, _ *knowing) {
			j.Content.Body = strings.Repeat("{{big}}", 6)
			j.Recipients = rowsOf(person("a@example.com", "A", "big", strings.Repeat("x", 1<<20)))
		}, "error compose.text-too-long 1"},
		{"quota", func(j *Job, _ *knowing) {
			j.Foresee = func(_ context.Context, n int64) (Outlook, error) { return Outlook{Today: n - 1, Later: 1}, nil }
		}, "warning compose.quota 0"},
		{"quota enough", func(j *Job, _ *knowing) {
			j.Foresee = func(_ context.Context, n int64) (Outlook, error) { return Outlook{Today: n}, nil }
		}, ""},
	} {
		j := goodJob()
		k := &knowing{account: account}
		j.Lookup, j.Now = k, time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
		c.change(j, k)
		got := finds(t, j)
		if c.want == "" && len(got) > 0 || c.want != "" && !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// The forecast is asked about those who will get a message.
func TestForecastCountsWhoGetsOne(t *testing.T) {
	j := goodJob()
	j.Recipients = rowsOf(person("a@example.com", "A"), person("a@example.com", "A"), person("b@example.com", "B"), person("c@example.com", "C"))
	j.Lookup = &knowing{suppressed: map[string]string{"b@example.com": "asked"}}
	asked := int64(0)
	j.Foresee = func(_ context.Context, n int64) (Outlook, error) { asked = n; return Outlook{}, nil }
	finds(t, j)
	if asked != 2 {
		t.Errorf("asked about %d messages, want 2", asked)
	}
}

// Findings about rows come in the order of the rows, although suppressed people
// are looked up many at a time.
func TestFindingsAreInOrder(t *testing.T) {
	var all []post.Recipient
	k := &knowing{suppressed: map[string]string{}}
	for i := range 3*rowBatch + 7 {
		r := person("p"+strconv.Itoa(i)+"@example.com", "A")
		if i%3 == 0 {
			k.suppressed[r.Address] = "asked"
		}
		if i%5 == 0 {
			k.recent = append(k.recent, r.Address)
		}
		all = append(all, r)
	}
	j := goodJob()
	j.Recipients, j.Lookup = rowsOf(all...), k
	f, err := Check(context.Background(), j, nil)
	if err != nil || k.asked != 4 {
		t.Fatalf("%v, asked %d times", err, k.asked)
	}
	if int(f.Warnings) != len(k.suppressed)+len(k.recent) {
		t.Errorf("%d warnings, want %d", f.Warnings, len(k.suppressed)+len(k.recent))
	}
	if !slices.IsSortedFunc(f.List, func(a, b Finding) int { return int(a.Row - b.Row) }) {
		t.Error("the rows are out of order")
	}
}

func TestTryLinks(t *testing.T) {
	heads := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/gone":
			w.WriteHeader(http.StatusGone)
		case "/get-only":
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusMethodNotAllowed)
			}
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/shy":
			w.WriteHeader(http.StatusForbidden)
		default:
			if r.Method == http.MethodHead {
				heads++
			}
		}
	}))
	defer server.Close()
	try := LinkTrier(nil)
	for path, dead := range map[string]bool{"/": false, "/gone": true, "/get-only": false, "/round": true, "/shy": false} {
		if err := try(context.Background(), server.URL+path); (err != nil) != dead {
			t.Errorf("%s: %v", path, err)
		}
	}
	if heads == 0 {
		t.Error("no page was asked for its head alone")
	}
	j := goodJob()
	j.Content.Body = "[a](" + server.URL + "/gone) [b](" + server.URL + "/gone) [c](" + server.URL + "/{{first_name}})"
	j.TryLink = try
	if got := finds(t, j); !slices.Equal(got, []string{"warning compose.link-http 0", "warning compose.link-dead 0"}) {
		t.Errorf("%q", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Check(ctx, j, nil); post.KindOf(err) != post.KindCancelled {
		t.Errorf("cancelled: %v", err)
	}
}

// A check of many rows says how far it is, and stops when it is told to.
func TestCheckCanBeCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	j := manyLetters(50_000)
	told := int64(0)
	f, err := Check(ctx, j, func(done, total int64) {
		if told = done; done >= 3000 {
			cancel()
		}
		if total != 50_000 {
			t.Errorf("total %d", total)
		}
	})
	if post.KindOf(err) != post.KindCancelled || told < 3000 || f.Rows > 5000 {
		t.Errorf("%v after %d rows, told %d", err, f.Rows, told)
	}
}

func manyLetters(n int) *Job {
	j := goodJob()
	j.Content = letter()
	j.Total = int64(n)
	j.Lookup = &knowing{}
	j.Recipients = func() iter.Seq2[post.Recipient, error] {
		return func(yield func(post.Recipient, error) bool) {
			for i := range n {
				r := person("p"+strconv.Itoa(i)+"@example.com", "Anna", "city", "Köln & Bonn", "company", "Blumen")
				if !yield(r, nil) {
					return
				}
			}
		}
	}
	return j
}

func BenchmarkCheck100000(b *testing.B) {
	for b.Loop() {
		f, err := Check(context.Background(), manyLetters(100_000), nil)
		if err != nil || f.Rows != 100_000 || !f.OK() {
			b.Fatal(f.Err(), err)
		}
	}
}

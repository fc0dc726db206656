package mailings

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"postroom/post"
)

// worked is the processor time that this process has taken so far.
func worked(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// tell reports the processor time of a run beside its time on the clock, and how
// busy the machine was: the clock alone says little on one that others use.
func tell(b *testing.B, since time.Duration) {
	b.Helper()
	b.ReportMetric((worked(b)-since).Seconds()/float64(b.N), "cpu-s/op")
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		b.Fatal(err)
	}
	load, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(load, "load")
}

// BenchmarkPreflight100000 checks a mailing to 100,000 people of a list, with
// their suppressions and what they got of late, as the window does before it
// asks. The goal is 5 s.
func BenchmarkPreflight100000(b *testing.B) {
	l, a := newBook(b, map[string]int{"Guests": 100_000})
	env := testEnv(l)
	d := post.Draft{
		Accounts: []int64{a.ID}, Lists: []int64{listID(b, l, "Guests")}, Look: "newsletter",
		Content: markdown("{{name}}, hello", strings.Repeat("Dear {{name | default \"you\"}}, the **nights** are long{{if city}} in {{city}}{{end}}.\n\n", 20)),
	}
	told := int64(0)
	since := worked(b)
	for b.Loop() {
		job, err := jobOf(b.Context(), l, d, post.Live, testNow)
		if err != nil {
			b.Fatal(err)
		}
		f, err := checkJob(b.Context(), job, env, d, func(done, _ int64) { told = done })
		if err != nil || f.Rows != 100_000 || !f.OK() || told != 100_000 {
			b.Fatal(f.Rows, told, f.Err(), err)
		}
	}
	tell(b, since)
}

// BenchmarkPreviewStep goes from one recipient to the next with a body of 17 KB
// in a design: the message is merged and read. The goal is 50 ms.
func BenchmarkPreviewStep(b *testing.B) {
	l, a := newBook(b, map[string]int{"Guests": 300})
	d := post.Draft{Accounts: []int64{a.ID}, Lists: []int64{listID(b, l, "Guests")}, Look: "newsletter", Content: markdown("{{name}}, hello", strings.Repeat("Dear {{name | default \"you\"}}, the **nights** are long.\n\n", 300))}
	p := &proof{ledger: l}
	defer p.close()
	if _, err := p.sample(b.Context(), d, 1); err != nil {
		b.Fatal(err)
	}
	n, since := int64(1), worked(b)
	for b.Loop() {
		n = n%299 + 1
		s, err := p.sample(b.Context(), d, n+1)
		if err != nil || s.Problem != nil || s.Index != n+1 || s.Subject != s.Recipient.Name+", hello" || len(s.Parts) < 300 {
			b.Fatalf("%+v %v", s.Problem, err)
		}
	}
	tell(b, since)
}

package receipts

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func reportOn(id, address string) string {
	return "From: MAILER-DAEMON@mx.example.net\nTo: shop@shop.example\nSubject: Undelivered Mail Returned to Sender\n" +
		"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nI am sorry.\n" + strings.Repeat("It did not go as it should have gone.\n", 50) +
		"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\nFinal-Recipient: rfc822; " + address +
		"\nAction: failed\nStatus: 5.2.2\nDiagnostic-Code: smtp; 552 5.2.2 mailbox full\n\n--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: " + id + "\n\n--b--\n"
}

// BenchmarkMailbox reads a mailbox of 100,000 messages, 5,000 of them reports, in
// a process of its own: the first time, and again after 100 more have come.
func BenchmarkMailbox(b *testing.B) {
	dir := b.TempDir()
	box, l := newPostbox(b), openLedger(b, dir)
	a, ids := office(b, l, box.addr, 5000)
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	more := 0
	for i := range 100_000 {
		if i%20 == 7 {
			box.put(reportOn(ids[i/20], fmt.Sprintf("p%d@example.net", i/20)))
			continue
		}
		box.put(ordinary(i))
	}
	read := func(want, matched int) (ms, peak float64) {
		out, err := childReader(b, dir).CombinedOutput()
		if err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			var n, m int
			if got, err := fmt.Sscanf(line, "read %d matched %d in %g ms", &n, &m, &ms); got == 3 && err == nil && (n != want || m != matched) {
				b.Fatal(line)
			}
			if got, err := fmt.Sscanf(line, "VmHWM: %g kB", &peak); got == 1 && err == nil && peak > 150<<10 {
				b.Errorf("%s is more than 150 MB", line)
			}
		}
		return ms, peak / 1024
	}
	for b.Loop() {
		// As the mailbox of one more account: the ledger then knows none of it.
		l = openLedger(b, dir)
		a.ID, a.Name, a.SecretRef = 0, a.Name+"x", ""
		_, err := l.CreateAccount(b.Context(), a)
		if err = errors.Join(err, l.Close()); err != nil {
			b.Fatal(err)
		}
		first, peak := read(100_000+more, 5000)
		for i := range 100 {
			box.put(ordinary(i))
			more++
		}
		later, small := read(100, 0)
		b.ReportMetric(first/1000, "s-first")
		b.ReportMetric(peak, "MB-first")
		b.ReportMetric(later, "ms-later")
		b.ReportMetric(small, "MB-later")
	}
}

func BenchmarkParse(b *testing.B) {
	all := samples(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		Parse(all[i%len(all)].raw)
		i++
	}
}

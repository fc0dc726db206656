package receipts

import (
	"testing"

	"postroom/post"
)

// BenchmarkFetch reads a mailbox of 100,000 messages, 5,000 of them answers, for
// the first time; the server is in this process, so its share is in the figures.
func BenchmarkFetch(b *testing.B) {
	box := newPostbox(b)
	l := openLedger(b, b.TempDir())
	defer l.Close()
	a, ids := office(b, l, box.addr, 5000)
	for i := range 100_000 {
		if i%20 == 7 {
			box.put(answerTo(ids[i/20], "Yes."))
			continue
		}
		box.put(ordinary(i))
	}
	b.ReportAllocs()
	matched := 0
	for b.Loop() {
		// As the mailbox of one more account: the ledger then knows none of it.
		a.Name += "x"
		other := post.Account{
			Name: a.Name, Email: a.Email, Host: a.Host, Port: a.Port, TLS: a.TLS, Auth: a.Auth, Secret: a.Secret,
			IMAPHost: a.IMAPHost, IMAPPort: a.IMAPPort, IMAPTLS: a.IMAPTLS,
		}
		other, err := l.CreateAccount(b.Context(), other)
		if err != nil {
			b.Fatal(err)
		}
		r, err := fetcher(l).Fetch(b.Context(), other)
		if err != nil || r.Read != 100_000 {
			b.Fatal(r, err)
		}
		matched += r.Matched
	}
	b.ReportMetric(float64(matched)/float64(b.N), "matched")
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

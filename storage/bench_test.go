package storage

import (
	"fmt"
	"iter"
	"strconv"
	"testing"

	"postroom/post"
)

func customers(n int) iter.Seq2[post.Recipient, error] {
	return func(yield func(post.Recipient, error) bool) {
		for i := range n {
			a := fmt.Sprintf("customer%d@example.net", (i*7919)%n)
			if !yield(post.Recipient{Address: a, Key: a, Name: fmt.Sprint("Customer ", i), Fields: map[string]string{
				"first_name": fmt.Sprint("Name", i), "town": "Springfield", "number": strconv.Itoa(i),
			}}, nil) {
				return
			}
		}
	}
}

// BenchmarkEnqueue queues a mailing to 100,000 people with three merge values
// each, from the first row to the last commit.
func BenchmarkEnqueue(b *testing.B) {
	const people = 100_000
	for b.Loop() {
		b.StopTimer()
		l, err := Open(b.Context(), b.TempDir(), Options{})
		if err != nil {
			b.Fatal(err)
		}
		a, err := l.CreateAccount(b.Context(), post.Account{
			Name: "shop", Email: "shop@example.org", Host: "localhost", Port: 25, TLS: post.TLSNone, Auth: post.AuthNone, Secret: post.SecretNone,
		})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		m, _, err := l.Enqueue(b.Context(), post.Mailing{Kind: post.Live, Name: "M", Senders: []post.Sender{{Account: a.ID, Email: a.Email}}}, customers(people))
		if err != nil || m.Counts[post.StateQueued] != people {
			b.Fatal(m.Counts, err)
		}
		b.StopTimer()
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

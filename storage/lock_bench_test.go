package storage

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"postroom/post"
)

// BenchmarkLock tells how long the write lock is kept while many people are
// imported, given other names, indexed, taken off lists and deleted: the median, the
// 95th percentile and the longest transaction of each. The bound itself is held by
// TestNobodyWaits. POSTROOM_BENCH_ROWS says how many people; 100,000 without it.
func BenchmarkLock(b *testing.B) {
	n := 100_000
	if v, err := strconv.Atoi(os.Getenv("POSTROOM_BENCH_ROWS")); err == nil {
		n = v
	}
	for b.Loop() {
		ctx := b.Context()
		l, err := Open(ctx, b.TempDir(), Options{})
		if err != nil {
			b.Fatal(err)
		}
		var held []time.Duration
		l.w.held = func(h time.Duration) { held = append(held, h) } // by the writer; read when it waits
		for _, job := range []struct {
			name string
			do   func() error
		}{
			{"import", func() error {
				_, _, _, _, err := l.ImportContacts(ctx, "Everybody", false, crowd(n))
				return err
			}},
			{"rename", func() error {
				_, _, _, _, err := l.ImportContacts(ctx, "Everybody", false, renamed(crowd(n), n))
				return err
			}},
			{"index", func() error { return l.IndexSearch(ctx) }},
			{"rename-again", func() error {
				_, _, _, _, err := l.ImportContacts(ctx, "", false, crowd(n))
				return err
			}},
			{"index-again", func() error { return l.IndexSearch(ctx) }},
			{"unlist", func() error {
				li, err := l.ListByName(ctx, "Everybody")
				if err != nil {
					return err
				}
				return l.DeleteList(ctx, li.ID)
			}},
			{"delete", func() error {
				return eachStep(l, 0, func(rows []post.Contact) error { return l.DeleteContacts(ctx, ids(rows)) })
			}},
		} {
			held = held[:0]
			began := time.Now()
			if err := job.do(); err != nil {
				b.Fatal(job.name, err)
			}
			b.ReportMetric(time.Since(began).Seconds(), job.name+"-s")
			slices.Sort(held)
			for _, p := range []struct {
				unit string
				at   int
			}{{"p50", len(held) / 2}, {"p95", len(held) * 95 / 100}, {"max", len(held) - 1}} {
				b.ReportMetric(float64(held[p.at].Microseconds())/1000, job.name+"-"+p.unit+"-ms")
			}
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

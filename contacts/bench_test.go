package contacts

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkImport reads 200,000 rows of five columns into a book that only counts.
func BenchmarkImport(b *testing.B) {
	const rows = 200_000
	path := filepath.Join(b.TempDir(), "people.csv")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "email,name,city,zip,note")
	for i := range rows {
		fmt.Fprintf(w, "user%d@example%d.com,Anna Köhler %d,Berlin,%05d,\"likes tulips, roses\"\n", i, i%100, i, i%99999)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if rep, err := Import(context.Background(), &countingBook{}, path, Options{}); err != nil || rep.Added != rows {
			b.Fatal(rep, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
}

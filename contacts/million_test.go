package contacts

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"postroom/storage"
)

// benchRows is how many people the benchmarks below import: 1,000,000 in the
// figures that docs/measurements.md gives (POSTROOM_BENCH_ROWS=1000000).
func benchRows(b *testing.B) int {
	n, err := strconv.Atoi(os.Getenv("POSTROOM_BENCH_ROWS"))
	if err != nil || n < 1000 {
		n = 50_000
	}
	b.Logf("%d rows", n)
	return n
}

// peakMemory is the most that this process ever had in memory, in MB.
func peakMemory(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0 // not on Linux
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				b.Fatal(err)
			}
			return float64(kb) / 1024
		}
	}
	return 0
}

func writePeople(b *testing.B, path string, rows int) {
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "email,name,city,zip,note")
	family, given := []rune("王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"), []rune("伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平")
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range rows {
		name := fmt.Sprintf("Anna Köhler %d", i%1000)
		if i%3 == 0 {
			name = string([]rune{family[rnd.IntN(20)], given[rnd.IntN(20)], given[rnd.IntN(20)]})
		}
		fmt.Fprintf(w, "user%d@example%d.com,%s,Berlin,%05d,\"likes tulips, roses\"\n", i*7919%rows, i%100, name, i%99999)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkBook imports a CSV file into a real ledger, beside sqlite3's .import
// of the same file, builds the search index, and reads pages and searches.
func BenchmarkBook(b *testing.B) {
	rows := benchRows(b)
	dir := b.TempDir()
	path := filepath.Join(dir, "people.csv")
	writePeople(b, path, rows)
	var plain time.Duration
	if bin, err := exec.LookPath("sqlite3"); err == nil {
		began := time.Now()
		out, err := exec.Command(bin, filepath.Join(dir, "plain.db"), ".mode csv", ".import "+path+" people").CombinedOutput()
		if err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		plain = time.Since(began) // told after the loop, which forgets what was reported before
	}
	l, err := storage.Open(context.Background(), filepath.Join(dir, "data"), storage.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for b.Loop() {
		began := time.Now()
		rep, err := Import(context.Background(), l, path, Options{List: "Everybody"})
		if err != nil || rep.Read != int64(rows) {
			b.Fatal(rep, err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/import")
	}
	b.ReportMetric(plain.Seconds(), "s/sqlite3")
	b.ReportMetric(peakMemory(b), "MB/import")
	began := time.Now()
	if err := l.IndexSearch(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(time.Since(began).Seconds(), "s/index")
	list, err := l.ListByName(context.Background(), "Everybody")
	if err != nil {
		b.Fatal(err)
	}
	for name, filters := range map[string][]storage.ContactFilter{
		"page":   {{}, {Desc: true}, {ByName: true}, {ByName: true, Desc: true}, {List: list.ID}, {List: list.ID, ByName: true}},
		"search": {{Search: "王伟"}, {Search: "芳芳"}, {Search: "user99"}, {Search: "ser123"}, {Search: "köhler 77"}, {Search: "tulips"}, {Search: "zz"}, {Search: "示例"}, {Search: "example42.com"}, {Search: "er9", ByName: true}, {Search: "01234"}},
	} {
		var took []time.Duration
		worst := map[string]time.Duration{}
		for _, f := range filters {
			p := storage.Page{Limit: 100}
			for range 8 {
				began := time.Now()
				_, pages, err := l.Contacts(context.Background(), f, p)
				if err != nil {
					b.Fatal(err)
				}
				d := time.Since(began)
				took = append(took, d)
				key := fmt.Sprintf("%+v", f)
				worst[key] = max(worst[key], d)
				p.Cursor = pages.Next
			}
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "ms/"+name+"-p95")
		for f, d := range worst {
			b.Logf("%s %s: worst %v", name, f, d)
		}
	}
}

// BenchmarkWorkbook imports the same people from an XLSX file of 200,000 rows at most.
func BenchmarkWorkbook(b *testing.B) {
	rows := min(benchRows(b), 200_000)
	dir := b.TempDir()
	path := filepath.Join(dir, "people.xlsx")
	writeBook(b, path, rows, "likes tulips, roses")
	for b.Loop() {
		began := time.Now()
		if rep, err := Import(context.Background(), &countingBook{}, path, Options{Temp: dir}); err != nil || rep.Added != int64(rows) {
			b.Fatal(rep, err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/import")
	}
	b.ReportMetric(peakMemory(b), "MB/import")
}

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

	"postroom/post"
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

// plainImport takes sqlite3's .import of a file into an empty database, with
// nothing checked and no index: how long, or 0 where there is no sqlite3.
func plainImport(b *testing.B, path string) time.Duration {
	bin, err := exec.LookPath("sqlite3")
	if err != nil {
		return 0
	}
	db := filepath.Join(b.TempDir(), "plain.db")
	began := time.Now()
	out, err := exec.Command(bin, db, ".mode csv", ".import "+path+" people").CombinedOutput()
	if err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return time.Since(began)
}

// BenchmarkBook imports a CSV file into a real ledger, with sqlite3's .import of
// the same file before it and after it, builds the search index, and reads pages
// and searches.
func BenchmarkBook(b *testing.B) {
	rows := benchRows(b)
	dir := b.TempDir()
	path := filepath.Join(dir, "people.csv")
	writePeople(b, path, rows)
	l, err := storage.Open(context.Background(), filepath.Join(dir, "data"), storage.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var plain, ours time.Duration
	for b.Loop() {
		plain = plainImport(b, path)
		began := time.Now()
		rep, err := Import(context.Background(), l, path, Options{List: "Everybody"})
		if err != nil || rep.Read != int64(rows) {
			b.Fatal(rep, err)
		}
		ours = time.Since(began)
		plain = (plain + plainImport(b, path)) / 2
	}
	b.ReportMetric(ours.Seconds(), "s/import") // after the loop, which forgets what was reported before
	b.ReportMetric(plain.Seconds(), "s/sqlite3")
	if plain > 0 {
		b.ReportMetric(ours.Seconds()/plain.Seconds(), "x/sqlite3")
	}
	b.ReportMetric(peakMemory(b), "MB/import")
	began := time.Now()
	if err := l.IndexSearch(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(time.Since(began).Seconds(), "s/index")
	for n, name := range map[int]string{rows / 200: "Few", rows / 20: "Many"} {
		if _, err := Import(context.Background(), l, every(b, path, rows/n), Options{List: name, Merge: storage.MergeKeep}); err != nil {
			b.Fatal(err)
		}
	}
	for name, filters := range map[string][]storage.ContactFilter{"page": pagesOf(b, l), "search": searches} {
		readPages(b, l, name, filters)
	}
}

// every writes each n-th row of a file into another one.
func every(b *testing.B, path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	var some strings.Builder
	i := 0
	for line := range strings.Lines(string(text)) {
		if i%n == 0 { // the header is the first
			some.WriteString(line)
		}
		i++
	}
	out := fmt.Sprintf("%s.%d.csv", path, n)
	if err := os.WriteFile(out, []byte(some.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	return out
}

func pagesOf(b *testing.B, l *storage.Ledger) (all []storage.ContactFilter) {
	lists, err := l.Lists(context.Background())
	if err != nil || len(lists) != 3 {
		b.Fatal(lists, err)
	}
	for _, li := range append(lists, post.List{}) {
		for _, f := range []storage.ContactFilter{{}, {Desc: true}, {ByName: true}, {ByName: true, Desc: true}} {
			f.List = li.ID
			all = append(all, f)
		}
	}
	return all
}

var searches = []storage.ContactFilter{
	{Search: "王伟"},
	{Search: "芳芳"},
	{Search: "芳芳", ByName: true},
	{Search: "示例"},
	{Search: "王"},
	{Search: "zz"},
	{Search: "77"},
	{Search: "user99"},
	{Search: "ser123"},
	{Search: "ser123", Desc: true},
	{Search: "er9", ByName: true},
	{Search: "example42.com"},
	{Search: "köhler 77"},
	{Search: "Anna"},
	{Search: "tulips"},
	{Search: "tulips", ByName: true},
	{Search: "01234"},
	{Search: "er4567@"},
}

func readPages(b *testing.B, l *storage.Ledger, name string, filters []storage.ContactFilter) {
	var took []time.Duration
	for _, f := range filters {
		p := storage.Page{Limit: 100}
		var worst time.Duration
		for range 8 {
			began := time.Now()
			_, pages, err := l.Contacts(context.Background(), f, p)
			if err != nil {
				b.Fatal(err)
			}
			d := time.Since(began)
			took = append(took, d)
			worst = max(worst, d)
			if p.Cursor = pages.Next; p.Cursor == "" {
				break
			}
		}
		b.Logf("%s %+v: worst %v", name, f, worst)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "ms/"+name+"-p95")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms/"+name+"-p50")
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

//go:build linux && !race

package window_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// frames is how long the rounds of the window's goroutine took.
type frames struct {
	Rounds    int
	Wall, CPU spread
}

// spread is in milliseconds.
type spread struct {
	Median, P95, Most float64
	Over              int // of 100 ms
}

func (s spread) String() string {
	return fmt.Sprintf("median %.1f, p95 %.1f, most %.1f, %d over 100 ms", s.Median, s.P95, s.Most, s.Over)
}

// measure measures while do drives the window.
func (w *window) measure(what string, do func()) frames {
	w.t.Helper()
	got := make(chan frames, 1)
	long := &http.Client{Transport: w.geo.Transport, Timeout: 10 * time.Minute}
	go func() {
		var f frames
		defer func() { got <- f }()
		resp, err := long.Get("http://window/frames")
		if err != nil {
			return
		}
		defer resp.Body.Close()
		_ = json.NewDecoder(resp.Body).Decode(&f) // no rounds: seen below
	}()
	do()
	resp, err := w.geo.Get("http://window/frames/stop")
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close()
	f := <-got
	w.t.Logf("%s: %d rounds; CPU %s; wall %s", what, f.Rounds, f.CPU, f.Wall)
	if f.Rounds < 20 {
		w.t.Errorf("%s: measured only %d rounds", what, f.Rounds)
	}
	return f
}

// quiet reports whether the machine had little else to do: only then does the
// time on the wall say something about this program.
func quiet(t *testing.T) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	load, err := strconv.ParseFloat(strings.Fields(string(b))[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("load %.1f on %d cores", load, runtime.NumCPU())
	return load < float64(runtime.NumCPU())
}

// crowd writes a file of so many people.
func crowd(t *testing.T, path string, n int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(f)
	fmt.Fprintln(out, "email,name,city,zip,note")
	family, given := []rune("王李张刘陈杨赵黄周吴"), []rune("伟芳娜敏静丽强磊军洋")
	for i := range n {
		name := fmt.Sprintf("Anna Köhler %d", i%1000)
		if i%3 == 0 {
			name = string([]rune{family[i/3%10], given[i/30%10], given[i/300%10]})
		}
		fmt.Fprintf(out, "user%d@example%d.com,%s,Berlin,%05d,\"likes tulips, roses\"\n", i, i%100, name, i%99999)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSoakFrames scrolls, turns pages, sorts and types in the search with a book
// of a million people (POSTROOM_BENCH_ROWS: another number), and wants no frame
// over 100 ms: of CPU of the window's own thread (the pixels are the display
// driver's), and where the machine has little else to do, of time. POSTROOM_BOOK names a folder with such a book, made by an earlier
// run; without one it is made, which takes minutes.
func TestSoakFrames(t *testing.T) {
	if os.Getenv("POSTROOM_SOAK") == "" {
		t.Skip("SKIPPED: POSTROOM_SOAK is not set; this takes minutes")
	}
	rows, err := strconv.Atoi(os.Getenv("POSTROOM_BENCH_ROWS"))
	if err != nil {
		rows = 1_000_000
	}
	d := newDesk(t, 1280, 800, false)
	data := os.Getenv("POSTROOM_BOOK")
	if data == "" {
		data = filepath.Join(d.home, "data")
	}
	if _, err := os.Stat(filepath.Join(data, "postroom.db")); err != nil {
		csv := filepath.Join(t.TempDir(), "crowd.csv")
		crowd(t, csv, rows)
		began := time.Now()
		load := exec.Command(program, "--data", data, "contacts", "import", csv, "--list", "Crowd")
		load.Env = d.env()
		if out, err := load.CombinedOutput(); err != nil {
			t.Fatalf("import: %v\n%.2000s", err, out)
		}
		t.Logf("%d people were imported in %s", rows, time.Since(began).Round(time.Second))
	}
	w := d.open(data)
	w.key("ctrl+3")
	w.at("contacts")
	all := fmt.Sprintf("of %s", grouped(rows))
	w.says("1–100 " + all)
	w.picked("crowd")
	var worst []string
	within := func(what string, f frames) {
		if f.CPU.Over > 0 || f.Wall.Over > 0 && quiet(t) {
			worst = append(worst, what)
		}
	}
	at := w.still("the grid", named("contacts.grid"))
	wheel := func(button string, times int) {
		x, y := at.Box[0]+at.Box[2]/2, at.Box[1]+at.Box[3]/2
		w.do("xdotool", "mousemove", "--window", w.x, fmt.Sprint(x), fmt.Sprint(y), "click", "--repeat", fmt.Sprint(times), "--delay", "25", button)
	}
	within("scrolling", w.measure("scrolling by the wheel", func() {
		for range 3 {
			wheel("5", 60)
			wheel("4", 60)
		}
	}))
	w.mouse(at, 1)
	within("keys", w.measure("keys down and up", func() {
		for range 2 {
			w.do("xdotool", "key", "--repeat", "60", "--delay", "25", "Down")
			w.do("xdotool", "key", "--repeat", "60", "--delay", "25", "Up")
		}
	}))
	within("pages", w.measure("turning pages", func() {
		for i := range 20 {
			w.key("ctrl+Next")
			w.says(fmt.Sprintf("%s–%s %s", grouped(100*i+101), grouped(100*i+200), all))
		}
	}))
	within("typing", w.measure("typing in the search", func() {
		w.focus("contacts.search")
		for _, x := range []struct{ word, found string }{
			{"user123456", "1–1 of 1"}, {"hler 77", "Anna Köhler 77"}, {"tulips", "1–100 " + all}, {"example77.c", "example77.com"}, {"nothing like this", "Nobody here fits"},
		} {
			w.do("xdotool", "type", "--delay", "60", x.word)
			w.says(x.found)
			w.key("ctrl+a", "BackSpace")
			w.until("everybody again", func(p *picture) bool { return p.says("user0@example0.com") && p.says("1–100 "+all) })
		}
	}))
	within("selecting", w.measure("selecting everybody", func() {
		w.clickText("user0@example0.com", 1)
		w.key("ctrl+a", "ctrl+a")
		w.says(grouped(rows) + " selected")
		w.key("Escape")
	}))
	w.picked("crowd-after")
	if len(worst) > 0 {
		t.Errorf("frames that took too long: %s", strings.Join(worst, "; "))
	}
	w.terminate()
}

// grouped writes a number as the window does.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

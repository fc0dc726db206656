//go:build linux && !race

package window_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// thing is something in the window, as ui/tests_on.go tells it.
type thing struct {
	ID, Kind, Text            string
	Box                       [4]int
	Layer                     int
	Visible, Focused, Enabled bool
}

type picture struct {
	Front   string
	Layers  int
	Widgets []thing
	Seen    []thing
}

// named returns the widget of a name, if it is in sight.
func (p *picture) named(id string) (thing, bool) {
	for _, w := range p.Widgets {
		if w.ID == id && w.Visible {
			return w, true
		}
	}
	return thing{}, false
}

// find returns the first thing of a kind in the layer on top that says text.
func (p *picture) find(kind, text string) (thing, bool) {
	for _, s := range p.Seen {
		if s.Kind == kind && s.Text == text && s.Layer == p.Layers-1 {
			return s, true
		}
	}
	return thing{}, false
}

// says reports whether text is in sight in the layer on top, as a part of a line
// or across wrapped lines.
func (p *picture) says(text string) bool { return strings.Contains(p.text(), text) }

func (p *picture) text() string {
	var b strings.Builder
	for _, s := range p.Seen {
		if s.Kind == "text" && s.Layer == p.Layers-1 {
			b.WriteString(s.Text)
			b.WriteString(" ")
		}
	}
	return b.String()
}

// window is the running program.
type window struct {
	*desk
	data string
	cmd  *exec.Cmd
	said *safeBuffer
	geo  *http.Client
	x    string // the window's number at the display
	over bool
}

// safeBuffer is what a process writes while the test reads.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// open starts the program on a data folder and waits until its window is drawn.
func (d *desk) open(data string) *window {
	d.t.Helper()
	// A socket's path is short, and a test's folder is not.
	dir, err := os.MkdirTemp("", "pr-")
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "geo")
	w := &window{desk: d, data: data, said: &safeBuffer{}}
	w.geo = &http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	w.cmd = exec.Command(program, "--data", data)
	w.cmd.Env = d.env("POSTROOM_E2E=" + socket)
	w.cmd.Stdout, w.cmd.Stderr = w.said, w.said
	if err := w.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(w.end)
	w.wait("the window", func() bool {
		out, err := d.output("xdotool", "search", "--onlyvisible", "--name", "^Postroom$")
		lines := strings.Fields(out)
		if err == nil && len(lines) > 0 {
			w.x = lines[len(lines)-1]
		}
		return w.x != ""
	})
	w.wait("the first drawing", func() bool { return d.drawn() && w.settled() })
	return w
}

// settled reports whether two looks at the window, some frames apart, are equal.
func (w *window) settled() bool {
	a, err := w.tryLook()
	if err != nil {
		return false
	}
	time.Sleep(60 * time.Millisecond) // some frames
	b, err := w.tryLook()
	return err == nil && a.text() == b.text() && len(a.Seen) == len(b.Seen)
}

func (w *window) tryLook() (*picture, error) {
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://window/geo", nil)
	if err != nil {
		return nil, err
	}
	resp, err := w.geo.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	var p picture
	return &p, json.NewDecoder(resp.Body).Decode(&p)
}

// look asks what is in the window now.
func (w *window) look() *picture {
	w.t.Helper()
	p, err := w.tryLook()
	if err != nil {
		w.t.Fatalf("ask the window: %v\n%s", err, w.said)
	}
	return p
}

// until waits for a condition of what is shown.
func (w *window) until(what string, holds func(*picture) bool) {
	w.t.Helper()
	var last *picture
	end := time.Now().Add(patience)
	for {
		if last = w.look(); holds(last) {
			return
		}
		if time.Now().After(end) {
			w.shot("failed")
			w.t.Fatalf("waited in vain for: %s\nthe window shows %s: %s", what, last.Front, last.text())
		}
		time.Sleep(40 * time.Millisecond)
	}
}

// says waits until text is in sight in the layer on top.
func (w *window) says(text string) {
	w.t.Helper()
	w.until("the words "+strconv.Quote(text), func(p *picture) bool { return p.says(text) })
}

// at waits until a place is in front.
func (w *window) at(place string) {
	w.t.Helper()
	w.until("the place "+place, func(p *picture) bool { return p.Front == place })
}

// still waits until the thing that get finds is there, enabled, and stays where
// it is, and returns it: what is still moving is not clicked.
func (w *window) still(what string, get func(*picture) (thing, bool)) thing {
	w.t.Helper()
	var was thing
	w.until(what, func(p *picture) bool {
		is, ok := get(p)
		same := ok && is.Enabled && is.Box == was.Box
		was = is
		return same
	})
	return was
}

func named(id string) func(*picture) (thing, bool) {
	return func(p *picture) (thing, bool) { return p.named(id) }
}

// click clicks a named widget.
func (w *window) click(id string) {
	w.t.Helper()
	w.mouse(w.still("the widget "+id, named(id)), 1)
}

// press clicks a button by its words.
func (w *window) press(label string) {
	w.t.Helper()
	w.mouse(w.still("the button "+label, func(p *picture) (thing, bool) { return p.find("button", label) }), 1)
}

// clickText clicks words, such as a row or an entry of a menu, as often as times.
func (w *window) clickText(text string, times int) {
	w.t.Helper()
	w.mouse(w.still("the words "+text, func(p *picture) (thing, bool) { return p.find("text", text) }), times)
}

func (w *window) mouse(at thing, times int) {
	w.t.Helper()
	x, y := at.Box[0]+at.Box[2]/2, at.Box[1]+at.Box[3]/2
	args := []string{"mousemove", "--window", w.x, strconv.Itoa(x), strconv.Itoa(y), "click"}
	if times > 1 {
		args = append(args, "--repeat", strconv.Itoa(times), "--delay", "60")
	}
	w.do("xdotool", append(args, "1")...)
}

// key presses keys, such as "ctrl+a".
func (w *window) key(keys ...string) {
	w.t.Helper()
	w.do("xdotool", append([]string{"key", "--delay", "20"}, keys...)...)
}

// focus clicks an entry and waits until it takes what is typed.
func (w *window) focus(id string) {
	w.t.Helper()
	w.click(id)
	w.until("the focus on "+id, func(p *picture) bool {
		e, ok := p.named(id)
		return ok && e.Focused
	})
}

// fill types text into an entry, in the place of what is there.
func (w *window) fill(id, text string) {
	w.t.Helper()
	w.focus(id)
	w.write(id, text)
}

// write types text into the entry that has the focus.
func (w *window) write(id, text string) {
	w.t.Helper()
	if e, _ := w.look().named(id); e.Text != "" {
		w.key("ctrl+a", "BackSpace")
	}
	w.do("xdotool", "type", "--delay", "8", text)
	w.holds(id, text)
}

func (w *window) holds(id, text string) {
	w.t.Helper()
	w.until(id+" to hold "+strconv.Quote(text), func(p *picture) bool {
		e, ok := p.named(id)
		return ok && e.Text == text
	})
}

// choose picks an option of a choice with the mouse.
func (w *window) choose(id, option string) {
	w.t.Helper()
	layers := w.look().Layers
	w.click(id)
	w.until("the menu of "+id, func(p *picture) bool { return p.Layers > layers })
	w.clickText(option, 1)
	w.until("the menu to go", func(p *picture) bool { return p.Layers <= layers })
}

// alone waits until no dialog is open.
func (w *window) alone() {
	w.t.Helper()
	w.until("the dialogs to go", func(p *picture) bool { return p.Layers == 1 })
}

// picked takes a picture when what is shown has settled.
func (w *window) picked(name string) {
	w.t.Helper()
	w.wait("the window to settle", w.settled)
	w.shot(name)
}

// terminate asks the program to end, and it must do so in order, in time.
func (w *window) terminate() {
	w.t.Helper()
	began := time.Now()
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		w.t.Fatal(err)
	}
	late := time.AfterFunc(30*time.Second, func() { _ = w.cmd.Process.Kill() })
	err := w.cmd.Wait()
	late.Stop()
	w.over = true
	if took := time.Since(began); err != nil || took > 10*time.Second {
		w.t.Errorf("SIGTERM: ended with %v after %s, want exit 0 within 10 s", err, took.Round(100*time.Millisecond))
	}
	w.checkLogs()
}

// end kills what a failed test left, and shows its words.
func (w *window) end() {
	if !w.over {
		_ = w.cmd.Process.Kill()
		_ = w.cmd.Wait()
		w.over = true
	}
	w.geo.CloseIdleConnections()
	if w.t.Failed() {
		w.t.Logf("the program said:\n%s\nits log:\n%s", w.said, w.log())
	}
}

func (w *window) log() string {
	b, err := os.ReadFile(filepath.Join(w.data, "logs", "postroom.log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err.Error()
	}
	return string(b)
}

// checkLogs looks for what must not be said.
func (w *window) checkLogs() {
	w.t.Helper()
	said := w.said.String() + w.log()
	for _, bad := range []string{"Error in Fyne call thread", "panic:", "level=ERROR", "goroutine 1 [", "Failed to focus object"} {
		if i := strings.Index(said, bad); i >= 0 {
			w.t.Errorf("the program said %q:\n%s", bad, said[max(0, i-200):min(len(said), i+1500)])
		}
	}
}

// cli runs a command of the program beside the window and returns its standard
// output and exit code.
func (d *desk) cli(data string, args ...string) (string, int) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"--data", data}, args...)...)
	cmd.Env = d.env()
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatalf("postroom %s: %v", strings.Join(args, " "), err)
	}
	if said.Len() > 0 {
		d.t.Logf("postroom %s: %s", strings.Join(args, " "), said.String())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// mailing is what the command line says of one.
type mailing struct {
	Mailing int64
	Name    string
	State   string
	Counts  map[string]int64
}

func (d *desk) mailings(data string) []mailing {
	d.t.Helper()
	out, code := d.cli(data, "mailing", "list", "--json")
	if code != 0 {
		d.t.Fatalf("mailing list: exit %d", code)
	}
	var all []mailing
	for line := range strings.Lines(out) {
		var m mailing
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			d.t.Fatalf("mailing list: %v in %q", err, line)
		}
		all = append(all, m)
	}
	return all
}

// step says what is done, so that a failed test tells how far it came.
func step(t testing.TB, what string) { t.Logf("%s  %s", time.Now().Format("05.0"), what) }

func writeFile(path, content string) error { return os.WriteFile(path, []byte(content), 0o600) }

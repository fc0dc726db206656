//go:build linux && !race

package window_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds what must happen soon; a test that works never uses it up.
const patience = 40 * time.Second

// tools are the programs that the test needs beside Go.
var tools = []string{"Xvfb", "xdotool", "xclip", "import", "convert", "openbox"}

// TestMain builds the program once.
func TestMain(m *testing.M) { os.Exit(run(m)) }

// program is the path of the program under test; an inner run is told it by the
// outer one.
var program string

const programVar = "POSTROOM_WINDOW_PROGRAM"

func run(m *testing.M) int {
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		fmt.Fprintf(os.Stderr, "WINDOW TESTS NOT RUN: %s is not installed (scripts/setup.sh test installs it)\n", tool)
		if os.Getenv("CI") == "true" {
			return 1
		}
		return 0
	}
	if program = os.Getenv(programVar); program != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "postroom-window-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what stays behind is in the folder for such
	program = filepath.Join(dir, "postroom")
	build := exec.Command("go", "build", "-tags", "e2e", "-o", program, "../..")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// desk is a display with a person at it.
type desk struct {
	t       testing.TB
	display string
	home    string // of everything that is started here
	shots   string
	number  int      // of the next picture
	more    []string // of the environment
}

// newDesk starts a display. With a window manager, windows have frames and can
// be minimised.
func newDesk(t testing.TB, width, height int, manager bool) *desk {
	t.Helper()
	d := &desk{t: t, home: t.TempDir(), shots: os.Getenv("POSTROOM_SHOTS")}
	if d.shots == "" {
		d.shots = t.TempDir()
	}
	for _, dir := range []string{d.shots, filepath.Join(d.home, "run"), filepath.Join(d.home, "cache"), filepath.Join(d.home, "config")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", fmt.Sprintf("%dx%dx24", width, height), "-nolisten", "tcp", "-noreset")
	server.ExtraFiles = []*os.File{write}
	d.start(server, "Xvfb")
	_ = write.Close()
	_ = read.SetReadDeadline(time.Now().Add(patience)) // where a pipe cannot have one, Xvfb's end ends the wait
	line, err := bufio.NewReader(read).ReadString('\n')
	_ = read.Close()
	if err != nil {
		t.Fatalf("Xvfb told no display number: %v", err)
	}
	d.display = ":" + strings.TrimSpace(line)
	if manager {
		wm := exec.Command("openbox", "--sm-disable")
		wm.Env = d.env()
		d.start(wm, "openbox")
		d.wait("the window manager", func() bool { return d.try("xdotool", "get_desktop") == nil })
	}
	return d
}

// start starts a server of the desk, which is ended by its pid after the test.
func (d *desk) start(cmd *exec.Cmd, name string) {
	d.t.Helper()
	said := &bytes.Buffer{}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		d.t.Fatalf("start %s: %v", name, err)
	}
	d.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		kill.Stop()
		if d.t.Failed() && said.Len() > 0 {
			d.t.Logf("%s said:\n%s", name, said)
		}
	})
}

// env is what programs at the desk see: nothing of whoever runs the test.
func (d *desk) env(more ...string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "TZ=Europe/Vienna", "HOME=" + d.home, "XDG_RUNTIME_DIR=" + filepath.Join(d.home, "run"),
		"XDG_DATA_HOME=" + filepath.Join(d.home, "share"), "XDG_CONFIG_HOME=" + filepath.Join(d.home, "config"),
		"XDG_CACHE_HOME=" + filepath.Join(d.home, "cache"), "LANG=en_US.UTF-8", "FYNE_SCALE=1",
		"DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent", "LIBGL_ALWAYS_SOFTWARE=1", "DISPLAY=" + d.display,
	}
	return append(append(env, d.more...), more...)
}

// try runs a small program at the desk.
func (d *desk) try(name string, args ...string) error {
	_, err := d.output(name, args...)
	return err
}

func (d *desk) output(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = d.env("LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), err
}

// do is try that must work.
func (d *desk) do(name string, args ...string) string {
	d.t.Helper()
	out, err := d.output(name, args...)
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

// wait waits until a condition holds.
func (d *desk) wait(what string, holds func() bool) {
	d.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(40 * time.Millisecond) {
		if time.Now().After(end) {
			d.shot("failed")
			d.t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// shot takes a picture of the display.
func (d *desk) shot(name string) {
	d.t.Helper()
	d.number++
	path := filepath.Join(d.shots, fmt.Sprintf("%s-%02d-%s.png", strings.TrimPrefix(d.t.Name(), "Test"), d.number, name))
	if err := d.try("import", "-window", "root", path); err != nil {
		d.t.Errorf("take a picture: %v", err)
	}
}

// drawn reports whether the display shows more than one colour.
func (d *desk) drawn() bool {
	out, err := d.output("convert", "x:root", "-resize", "64x64!", "-format", "%k", "info:")
	return err == nil && out != "1"
}

// clipboard puts text there, as another program would.
func (d *desk) clipboard(text string) {
	d.t.Helper()
	clip := exec.Command("xclip", "-selection", "clipboard", "-i", "-quiet")
	clip.Env = d.env("LC_ALL=C.UTF-8")
	clip.Stdin = strings.NewReader(text)
	d.start(clip, "xclip")
	d.wait("the clipboard", func() bool {
		out, err := d.output("xclip", "-selection", "clipboard", "-o")
		return err == nil && out == strings.TrimSpace(text)
	})
}

//go:build linux && !race

package window_test

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postroom/internal/testkit/smtpscript"
)

// prepare gives a data folder an account on server, with a pace, and people.
func (d *desk) prepare(data string, server *smtpscript.Server, perMinute int) {
	d.t.Helper()
	host, port := server.HostPort()
	_, code := d.cli(data, "account", "add", "Shop", "--email", "shop@brauhaus.example", "--host", host, "--port", fmt.Sprint(port),
		"--tls", "none", "--auth", "none", "--per-minute", fmt.Sprint(perMinute))
	if code != 0 {
		d.t.Fatalf("account add: exit %d", code)
	}
}

// queue queues a small mailing to so many addresses.
func (d *desk) queue(data, subject string, count int) {
	d.t.Helper()
	text := filepath.Join(d.t.TempDir(), "text.txt")
	if err := writeFile(text, "Hello\n"); err != nil {
		d.t.Fatal(err)
	}
	args := []string{"send", "--account", "Shop", "--subject", subject, "--body", text}
	for i := range count {
		args = append(args, "--to", fmt.Sprintf("guest%d@example.org", i+1))
	}
	if _, code := d.cli(data, args...); code != 0 {
		d.t.Fatalf("send: exit %d", code)
	}
}

// TestRunElsewhere opens the window while "postroom run" sends: the window says
// so, shows its progress, and takes over when the other has ended.
func TestRunElsewhere(t *testing.T) {
	d := newDesk(t, 1280, 800, false)
	data := filepath.Join(d.home, "data")
	server := smtpscript.Start(t, smtpscript.Config{})
	d.prepare(data, server, 3)
	d.queue(data, "A slow one", 8)
	runner, said := exec.Command(program, "--data", data, "run"), &safeBuffer{}
	runner.Env, runner.Stderr = d.env(), said
	if err := runner.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	t.Cleanup(func() {
		if !ended {
			_ = runner.Process.Kill()
			_ = runner.Wait()
		}
	})
	d.wait("the first messages", func() bool { return len(server.Taken()) >= 3 })

	w := d.open(data)
	w.at("home")
	w.says("Another Postroom sends")
	w.until("the other's progress", func(p *picture) bool { return p.says("3 accepted by your provider") && p.says("5 waiting") })
	w.picked("another-sends")
	if out, code := d.cli(data, "run"); code == 0 {
		t.Errorf("a third one that wants to send ended with exit 0: %s", out)
	}

	if err := runner.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := runner.Wait()
	ended = true
	if err != nil {
		t.Errorf("postroom run ended with %v: %s", err, said)
	}
	w.until("the window to take over", func(p *picture) bool { return !p.says("Another Postroom sends") })
	w.picked("took-over")
	w.terminate()
	for who, n := range server.Taken() {
		if n != 1 {
			t.Errorf("%s got %d messages", who, n)
		}
	}
}

// TestWindowFirst starts "postroom run" while the window sends: it says so and
// ends, and the window sends what is queued from outside.
func TestWindowFirst(t *testing.T) {
	d := newDesk(t, 1280, 800, false)
	data := filepath.Join(d.home, "data")
	server := smtpscript.Start(t, smtpscript.Config{})
	d.prepare(data, server, 0)
	w := d.open(data)
	w.says("Nothing to send")
	cmd := exec.Command(program, "--data", data, "run")
	cmd.Env = d.env()
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(said.String(), "already sending") {
		t.Errorf("postroom run beside the window: %v, %q; want exit 1 and the reason", err, &said)
	}
	d.queue(data, "From outside", 5)
	began := time.Now()
	d.wait("the window to send", func() bool { return len(server.Taken()) == 5 })
	t.Logf("sent %s after it was queued", time.Since(began).Round(10*time.Millisecond))
	w.until("the counts", func(p *picture) bool { return p.says("Nothing to send") })
	w.terminate()
}

// TestFrames needs a window manager: a second start brings the minimised window
// back, and closing it while mail waits asks first.
func TestFrames(t *testing.T) {
	d := newDesk(t, 1400, 900, true)
	data := filepath.Join(d.home, "data")
	server := smtpscript.Start(t, smtpscript.Config{})
	d.prepare(data, server, 1)
	w := d.open(data)
	shown := func() bool {
		out, err := d.output("xdotool", "search", "--onlyvisible", "--name", "^Postroom$")
		return err == nil && out != ""
	}
	w.do("xdotool", "windowminimize", w.x)
	w.wait("the window to be gone", func() bool { return !shown() })
	if _, code := d.cli(data); code != 0 {
		t.Errorf("the second start ended with exit %d, want 0", code)
	}
	w.wait("the window to be back", shown)

	d.queue(data, "Slowly", 3)
	w.says("2 waiting")
	w.do("xdotool", "windowactivate", "--sync", w.x)
	// The window manager may swallow the keys while it is busy with the window; who sees nothing happen presses again, and
	// is asked once all the same.
	var pressed time.Time
	w.until("the question", func(p *picture) bool {
		if p.Layers == 1 && time.Since(pressed) > 5*time.Second {
			w.key("alt+F4")
			pressed = time.Now()
		}
		return p.Layers == 2 && p.says("Mail still waits")
	})
	w.key("alt+F4")
	w.picked("close-question")
	if p := w.look(); p.Layers != 2 {
		t.Errorf("asked in %d layers, want one question over the window", p.Layers)
	}
	w.press("Quit")
	late := time.AfterFunc(30*time.Second, func() { _ = w.cmd.Process.Kill() })
	err := w.cmd.Wait()
	late.Stop()
	if w.over = true; err != nil {
		t.Errorf("Quit: the program ended with %v", err)
	}
	w.checkLogs()
	if n := d.mailings(data)[0].Counts["queued"]; n != 2 {
		t.Errorf("%d messages wait after Quit, want 2", n)
	}
}

// Command testrun runs the tests the way "make test" promises: first every package that does not draw with the real
// window driver under the race detector, then every package plainly, and at last a look for processes that the tests
// left behind. Each step is one run of "go test", whose own lines it shows, so the output ends with them.
//
// The race detector makes everything ten times slower, so there the tests that try many moments of one thing try fewer
// (-short). The plain run leaves out nothing but what has a reason to be: each test that it did leave out is listed, and
// one without such a reason fails the run.
//
// A failed step does not keep the next from running. The exit code is 0 when all passed, otherwise 1.
//
// The tests see neither the display nor the session bus of whoever runs them: what needs one starts its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// windowDriver is the package that needs OpenGL; what imports it would be compiled in C a second time for the race
// detector, which takes minutes and finds nothing: the same code is tested under it with the toolkit's test driver.
const windowDriver = "fyne.io/fyne/v2/app"

// notSQLite leaves SQLite's own code, which is C made into Go, out of the race detector: it is not ours to look for
// races in, and twenty times as slow under it. The driver around it is looked at.
const notSQLite = "-gcflags=modernc.org/sqlite/lib=-race=false"

// runnerVariable tells the last step the process whose descendants must be gone.
const runnerVariable = "POSTROOM_TESTRUN_PID"

const reapEvery = 200 * time.Millisecond

// desktop lists the variables that lead to the desktop, or to settings of Postroom, of whoever runs the tests.
var desktop = []string{
	"DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS", "POSTROOM_DATA", "POSTROOM_WAIT_SCALE",
}

type step struct {
	title string
	args  []string // of go
	whole bool     // no test may be left out without a reason that counts
}

func main() {
	timeout := flag.Duration("timeout", 30*time.Minute, "longest time for the tests of one package")
	race := flag.Bool("race", true, "run under the race detector first")
	flag.Parse()
	packages := flag.Args()
	if len(packages) == 0 {
		packages = []string{"./..."}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, packages, *timeout, *race)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, packages []string, timeout time.Duration, race bool) error {
	if err := adoptOrphans(); err != nil {
		return fmt.Errorf("take charge of the tests' processes: %w", err)
	}
	steps, err := plan(ctx, packages, timeout, race)
	if err != nil {
		return err
	}
	env := environment(os.Environ())
	var failed []string
	for _, step := range steps {
		fmt.Printf("== %s\n", step.title)
		if err := step.run(ctx, env); err != nil {
			failed = append(failed, fmt.Sprintf("%s: %v", step.title, err))
		}
		if ctx.Err() != nil {
			return errors.New("stopped")
		}
	}
	if len(failed) > 0 {
		return errors.New("failed: " + strings.Join(failed, "; "))
	}
	return nil
}

// plan lists the steps for packages (patterns of the go command).
func plan(ctx context.Context, packages []string, timeout time.Duration, race bool) ([]step, error) {
	limit := "-timeout=" + timeout.String()
	var steps []step
	if race {
		raced, err := withoutWindowDriver(ctx, packages)
		if err != nil {
			return nil, err
		}
		steps = append(steps, step{
			title: fmt.Sprintf("tests under the race detector (%d packages; those with the window driver come without it)", len(raced)),
			args:  append([]string{"test", "-count=1", "-race", "-short", notSQLite, limit}, raced...),
		})
	}
	return append(steps,
		step{title: "all tests", args: append([]string{"test", "-count=1", "-json", limit}, packages...), whole: true},
		step{title: "no process may be left behind", args: []string{
			"test", "-count=1", "-v", "-run=^TestNothingIsLeftRunning$", "postroom/internal/testrun",
		}},
	), nil
}

// withoutWindowDriver lists the packages of patterns that neither they nor their tests need the window driver for.
func withoutWindowDriver(ctx context.Context, patterns []string) ([]string, error) {
	format := `{{.ImportPath}} {{.ForTest}} {{range .Deps}}{{if eq . "` + windowDriver + `"}}window{{end}}{{end}}`
	args := append([]string{"list", "-test", "-f", format}, patterns...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages: %w", err)
	}
	var all []string
	drawing := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		// A package is listed as itself, as "path.test", and as "path [path.test]" when its tests change it.
		path, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		path = strings.TrimSuffix(strings.TrimSuffix(path, ".test"), "_test")
		if !slices.Contains(all, path) {
			all = append(all, path)
		}
		if strings.HasSuffix(rest, "window") {
			drawing[path] = true
		}
	}
	return slices.DeleteFunc(all, func(path string) bool { return drawing[path] }), nil
}

func (s step) run(ctx context.Context, env []string) error {
	if !s.whole {
		return goTest(ctx, s.args, env, os.Stdout)
	}
	told := newReport(os.Stdout)
	return errors.Join(goTest(ctx, s.args, env, told), told.list())
}

func goTest(ctx context.Context, args, env []string, out io.Writer) error {
	start := time.Now()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	// go test passes an interrupt on to the tests, which then end their own processes; killing it would not.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	reaped := make(chan error, 1)
	go func() { reaped <- reapUntil(ended, cmd.Process.Pid) }()
	err := cmd.Wait()
	close(ended)
	if err != nil {
		err = fmt.Errorf("%w after %s", err, time.Since(start).Round(time.Second))
	}
	return errors.Join(err, <-reaped)
}

// reapUntil waits for adopted processes as they end, until done is closed; own is the child that is not adopted.
func reapUntil(done <-chan struct{}, own int) error {
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-tick.C:
			if err := reapOrphans(own); err != nil {
				return err
			}
		}
	}
}

// environment is that of the tests: ours without the desktop, and with a bus address that leads nowhere. Leaving it
// unset would make the D-Bus library start a bus of its own, which stays behind.
func environment(ours []string) []string {
	env := slices.DeleteFunc(slices.Clone(ours), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(desktop, name)
	})
	return append(env,
		"DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent",
		runnerVariable+"="+strconv.Itoa(os.Getpid()))
}

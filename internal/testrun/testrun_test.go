package main

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestNothingIsLeftRunning is the last step of a run: whatever lives below the runner, except the go command that runs
// this very test, was left behind by a test. A server may need a moment to end after its test did.
func TestNothingIsLeftRunning(t *testing.T) {
	runner, err := strconv.Atoi(os.Getenv(runnerVariable))
	if err != nil || !lastStep() {
		t.Skip("only the last step of a run can tell; TestOrphanIsSeen shows that it would see something")
	}
	if !watches {
		t.Skip("SKIPPED, NOT CHECKED: this system does not let us see what the tests leave behind")
	}
	own := childOf(t, runner)
	var left []process
	for deadline := time.Now().Add(5 * time.Second); ; {
		if left, err = descendants(runner, own); err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			t.Log("nothing is left running")
			return
		}
		if time.Now().After(deadline) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, p := range left {
		t.Errorf("left running: process %d: %s", p.pid, p.command)
	}
}

// lastStep reports whether this is that step and not the plain run of all tests.
func lastStep() bool {
	return slices.Contains(os.Args, "-test.run=^TestNothingIsLeftRunning$")
}

// childOf returns the child of runner that this process descends from: the go command.
func childOf(t *testing.T, runner int) int {
	t.Helper()
	pid := os.Getpid()
	for pid > 1 {
		data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			t.Fatal(err)
		}
		p, err := parseStat(string(data))
		if err != nil {
			t.Fatal(err)
		}
		if p.parent == runner {
			return pid
		}
		pid = p.parent
	}
	t.Fatalf("process %d is not above this test", runner)
	return 0
}

// A process that breaks away the way daemons do (its parent ends, a session and an environment of its own) is still
// seen, and seen gone once it has ended.
func TestOrphanIsSeen(t *testing.T) {
	if !watches {
		t.Skip("SKIPPED, NOT CHECKED: this system does not let us see what the tests leave behind")
	}
	if err := adoptOrphans(); err != nil {
		t.Fatal(err)
	}
	// The orphan lives until the pipe it reads ends.
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	parent := exec.Command("sh", "-c", "env -i setsid cat <&3 >/dev/null 2>&1 & echo $!")
	parent.ExtraFiles = []*os.File{reader}
	if _, err := parent.Output(); err != nil {
		t.Fatal(err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the orphan to be seen", func() bool { return len(orphans(t)) == 1 })
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the orphan to be gone", func() bool { return len(orphans(t)) == 0 })
}

// orphans lists the cats below this process.
func orphans(t *testing.T) []process {
	t.Helper()
	found, err := descendants(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(found, func(p process) bool { return p.command != "cat" || p.parent != os.Getpid() })
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain for ", what)
		}
	}
}

func TestWindowDriverIsKeptOutOfTheRaceRun(t *testing.T) {
	all := []string{"fyne.io/fyne/v2/cmd/hello", "postroom/post", "postroom/internal/testrun"}
	raced, err := withoutWindowDriver(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	if want := all[1:]; !slices.Equal(raced, want) {
		t.Errorf("under the race detector: %v, want %v", raced, want)
	}
}

func TestEnvironmentHidesTheDesktop(t *testing.T) {
	env := environment([]string{"HOME=/home/ann", "DISPLAY=:0", "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus", "CI=true"})
	if slices.Contains(env, "DISPLAY=:0") || !slices.Contains(env, "HOME=/home/ann") || !slices.Contains(env, "CI=true") {
		t.Errorf("environment: %v", env)
	}
	buses := slices.DeleteFunc(env, func(v string) bool { return !strings.HasPrefix(v, "DBUS_SESSION_BUS_ADDRESS=") })
	if want := []string{"DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent"}; !slices.Equal(buses, want) {
		t.Errorf("bus: %v, want %v", buses, want)
	}
}

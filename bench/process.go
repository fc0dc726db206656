//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// result is what one run of one sender cost.
type result struct {
	Sent   int    `json:"sent"`
	Allocs uint64 `json:"allocs"` // Go senders only
	Bytes  uint64 `json:"bytes"`  // allocated; Go senders only

	took    time.Duration
	cpu     time.Duration // user and system, of the sender alone, from ready to done
	peak    int64         // resident memory in KB; 0 where it is not known
	flights int           // round trips that the sink saw; 0 where it does not count
}

// measure runs one sender to its end.
func measure(ctx context.Context, s sender, t target, folder, people string, n int) (result, error) {
	if s.plain {
		return measurePlain(ctx, s.command(t, folder, people, n), n)
	}
	cmd := s.command(t, folder, people, n).start(ctx)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	in, err := cmd.StdinPipe()
	if err != nil {
		return result{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return result{}, err
	}
	if err := cmd.Start(); err != nil {
		return result{}, err
	}
	r, err := follow(cmd.Process.Pid, in, bufio.NewReader(out))
	err = errors.Join(err, in.Close(), cmd.Wait())
	if err == nil && r.Sent != n {
		err = fmt.Errorf("sent %d of %d", r.Sent, n)
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w\n%s", s.name, err, complaint.String())
	}
	return r, nil
}

func follow(pid int, in io.Writer, out *bufio.Reader) (r result, err error) {
	line, err := out.ReadString('\n')
	if err != nil || line != "ready\n" {
		return r, fmt.Errorf("it is not ready but says %q: %w", line, err)
	}
	before, err := cpuOf(pid)
	if err != nil {
		return r, err
	}
	began := time.Now()
	if _, err := io.WriteString(in, "\n"); err != nil {
		return r, err
	}
	answer, err := out.ReadBytes('\n')
	if err != nil {
		return r, err
	}
	r.took = time.Since(began)
	after, err := cpuOf(pid)
	if err != nil {
		return r, err
	}
	r.cpu = after - before
	if r.peak, err = peakOf(pid); err != nil {
		return r, err
	}
	err = json.Unmarshal(answer, &r)
	return r, err
}

// measurePlain runs a program that knows nothing of ready and done: its start counts, which is short. Its peak memory is
// not known: the system's figure for an ended child has the parent's in it.
func measurePlain(ctx context.Context, c command, n int) (result, error) {
	began := time.Now()
	cmd := c.start(ctx)
	if out, err := cmd.CombinedOutput(); err != nil {
		return result{}, fmt.Errorf("%w: %s", err, out)
	}
	return result{Sent: n, took: time.Since(began), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
}

// cpuOf reads the clock of another process's CPU time, to the nanosecond: what clock_getcpuclockid computes.
func cpuOf(pid int) (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &ts); err != nil { // a pid has at most 22 bits
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(ts.Nano()), nil
}

func peakOf(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		}
	}
	return 0, errors.New("the system does not tell peak memory")
}

// command is a program with its arguments and, where it needs other libraries, where they lie.
type command struct {
	path      string
	args      []string
	libraries string
}

func (c command) start(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	if c.libraries != "" {
		cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+c.libraries)
	}
	// It must not outlive us, whatever becomes of us. Our own programs also end with their standard input.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// prSetChildSubreaper is PR_SET_CHILD_SUBREAPER of prctl(2).
const prSetChildSubreaper = 36

// watches says whether this system lets us see what the tests leave behind.
const watches = true

// adoptOrphans makes every process that outlives the test which started it a child of this process, whatever it did to
// its session, group or environment. So what is left after the tests are the children of this process.
func adoptOrphans() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		return errno
	}
	return nil
}

type process struct {
	pid, parent int
	command     string
	ended       bool // but nobody has waited for it
}

// descendants lists the running processes below ancestor, leaving out the one called except and all below it.
func descendants(ancestor, except int) ([]process, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	below := map[int][]process{}
	for _, p := range all {
		if !p.ended {
			below[p.parent] = append(below[p.parent], p)
		}
	}
	var found []process
	queue := []int{ancestor}
	for len(queue) > 0 {
		for _, p := range below[queue[0]] {
			if p.pid != except {
				found = append(found, p)
				queue = append(queue, p.pid)
			}
		}
		queue = queue[1:]
	}
	return found, nil
}

// reapOrphans waits for the adopted processes that have ended, as init does for others: a test may be looking for the
// end of one. The child called own is left to who started it.
func reapOrphans(own int) error {
	all, err := processes()
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.ended && p.parent == os.Getpid() && p.pid != own {
			if _, err := syscall.Wait4(p.pid, nil, syscall.WNOHANG, nil); err != nil && !errors.Is(err, syscall.ECHILD) {
				return fmt.Errorf("wait for process %d: %w", p.pid, err)
			}
		}
	}
	return nil
}

// processes lists every process of this machine.
func processes() ([]process, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, stat := range stats {
		data, err := os.ReadFile(stat)
		if err != nil {
			continue // ended since
		}
		p, err := parseStat(string(data))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", stat, err)
		}
		if line, err := os.ReadFile(filepath.Join(filepath.Dir(stat), "cmdline")); err == nil && len(line) > 0 {
			p.command = strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
		}
		all = append(all, p)
	}
	return all, nil
}

// parseStat reads the start of /proc/PID/stat: id, name in brackets (which may hold brackets and blanks), state, parent.
func parseStat(line string) (process, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return process{}, fmt.Errorf("no name in %q", line)
	}
	p := process{command: line[open+1 : end]}
	if _, err := fmt.Sscan(line[:open], &p.pid); err != nil {
		return process{}, err
	}
	var state string
	if _, err := fmt.Sscan(line[end+1:], &state, &p.parent); err != nil {
		return process{}, err
	}
	p.ended = state == "Z" || state == "X"
	return p, nil
}

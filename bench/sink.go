//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"postroom/internal/testkit/smtpscript"
)

// target is where a sink listens.
type target struct {
	host string
	port int
}

// sink is a server in a process of its own.
type sink struct {
	target
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader // nil: it counts nothing
}

// startSink starts the test kit's server with flags.
func startSink(ctx context.Context, program string, flags ...string) (*sink, error) {
	s := &sink{cmd: command{path: program, args: flags}.start(ctx)}
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	line, err := s.out.ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the sink says %q: %w", line, err), s.in.Close(), s.cmd.Wait())
	}
	host, port, err := net.SplitHostPort(strings.TrimSpace(strings.TrimPrefix(line, "listening ")))
	if err != nil {
		return nil, errors.Join(err, s.in.Close(), s.cmd.Wait())
	}
	s.host = host
	s.port, err = strconv.Atoi(port)
	return s, err
}

// startPostfixSink starts Postfix's smtp-sink on a port that the system chooses.
func startPostfixSink(ctx context.Context, tree, libraries string) (*sink, error) {
	args := []string{"127.0.0.1:0", "100"}
	if os.Geteuid() == 0 { // it refuses to work as root
		args = append([]string{"-u", "nobody"}, args...)
	}
	s := &sink{cmd: command{path: tree + "/usr/sbin/smtp-sink", args: args, libraries: libraries}.start(ctx)}
	var complaint strings.Builder
	s.cmd.Stderr = &complaint
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if port, err := listeningPort(s.cmd.Process.Pid); err == nil {
			s.target = target{"127.0.0.1", port}
			return s, nil
		}
	}
	_ = s.cmd.Process.Kill() // it may have ended already
	return nil, errors.Join(fmt.Errorf("smtp-sink does not listen"), s.cmd.Wait(), errors.New(complaint.String()))
}

// listeningPort finds the port a process listens on in the system's table of sockets.
func listeningPort(pid int) (int, error) {
	folder := fmt.Sprintf("/proc/%d/fd", pid)
	files, err := os.ReadDir(folder)
	if err != nil {
		return 0, err
	}
	own := map[string]bool{}
	for _, f := range files {
		to, err := os.Readlink(folder + "/" + f.Name())
		if err != nil {
			continue // it was closed meanwhile
		}
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		const listening = "0A"
		if len(f) < 10 || f[3] != listening || !own[f[9]] {
			continue
		}
		_, port, _ := strings.Cut(f[1], ":")
		n, err := strconv.ParseUint(port, 16, 16)
		return int(n), err
	}
	return 0, errors.New("it does not listen")
}

// stop ends the sink and returns what it counted.
func (s *sink) stop() (smtpscript.Stats, error) {
	var st smtpscript.Stats
	if s.out == nil {
		err := s.cmd.Process.Kill()
		_ = s.cmd.Wait() // it was killed
		return st, err
	}
	err := s.in.Close() // it says its counts and ends
	if line, readErr := s.out.ReadBytes('\n'); readErr != nil {
		err = errors.Join(err, readErr)
	} else {
		err = errors.Join(err, json.Unmarshal(line, &st))
	}
	return st, errors.Join(err, s.cmd.Wait())
}

//go:build !windows

package accounts

import (
	"context"
	"os/exec"
	"syscall"
)

// shellCommand is the command in a process group of its own, so that what it
// started ends with it when the time is up.
func shellCommand(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

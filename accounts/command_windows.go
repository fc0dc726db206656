package accounts

import (
	"context"
	"os"
	"os/exec"
	"syscall"
)

// shellCommand is the command run by cmd.exe without a window. The line is
// passed as it is: cmd.exe has quoting rules of its own.
func shellCommand(ctx context.Context, line string) *exec.Cmd {
	shell := os.Getenv("COMSPEC")
	if shell == "" {
		shell = "cmd.exe"
	}
	cmd := exec.CommandContext(ctx, shell)
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: `/d /s /c "` + line + `"`, HideWindow: true}
	return cmd
}

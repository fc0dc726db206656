//go:build unix

package accounts

import (
	"os"
	"syscall"
)

// die ends the process as kill -9 does.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

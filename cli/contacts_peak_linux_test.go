package cli_test

import (
	"os"
	"syscall"
)

// peakMB is how much memory a process that has ended had at most.
func peakMB(p *os.ProcessState) int64 {
	u, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return u.Maxrss >> 10
}

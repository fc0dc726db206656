//go:build unix

package mailer

import (
	"os"
	"syscall"
)

// mapFile maps the first n bytes of f, or returns nil where that fails.
func mapFile(f *os.File, n int) []byte {
	b, err := syscall.Mmap(int(f.Fd()), 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil
	}
	return b
}

func unmapFile(b []byte) error {
	if b == nil {
		return nil
	}
	return os.NewSyscallError("munmap", syscall.Munmap(b))
}

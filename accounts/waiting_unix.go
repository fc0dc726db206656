//go:build unix

package accounts

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// waiting reports whether the socket holds bytes that were not read yet, or its
// end. It never blocks.
func waiting(c net.Conn) bool {
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	var b [1]byte
	asked := unix.EAGAIN
	err = raw.Control(func(fd uintptr) { // unlike Read it does not look at deadlines
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		asked, _ = err.(unix.Errno) //nolint:errorlint // the call returns nothing else; nil is 0
	})
	return err == nil && !errors.Is(asked, unix.EAGAIN) && !errors.Is(asked, unix.EINTR)
}

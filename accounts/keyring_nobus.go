//go:build !(linux || freebsd || netbsd || openbsd || dragonfly)

package accounts

import (
	"errors"
	"os/exec"
)

// ringReachable has nothing to find out here.
func ringReachable() error { return nil }

// isRingAbsent reports that the system's keyring program is not there.
func isRingAbsent(err error) bool {
	var start *exec.Error
	return errors.As(err, &start)
}

// isBusLocked is for systems with a Secret Service only.
func isBusLocked(error) bool { return false }

// ringOpen cannot be told here without opening a window.
func ringOpen() bool { return false }

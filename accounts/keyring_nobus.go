//go:build !(linux || freebsd || netbsd || openbsd || dragonfly)

package accounts

import (
	"errors"
	"os/exec"
)

// isRingAbsent reports that the system's keyring program is not there.
func isRingAbsent(err error) bool {
	var start *exec.Error
	return errors.As(err, &start)
}

// isBusLocked is for systems with a Secret Service only.
func isBusLocked(error) bool { return false }

//go:build unix

package cli

import "syscall"

// privateFiles makes everything this process creates readable by its user only:
// ledger, log, backups, exports.
func privateFiles() { syscall.Umask(0o077) }

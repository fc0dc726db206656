//go:build unix

package storage

import "golang.org/x/sys/unix"

// FreeSpace returns how many bytes the user may still write in dir's file system.
func FreeSpace(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, classify("look at the disk", err)
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // the types differ between systems
}

package storage

import "golang.org/x/sys/windows"

// FreeSpace returns how many bytes the user may still write in dir's volume.
func FreeSpace(dir string) (int64, error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, classify("look at the disk", err)
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, nil, nil); err != nil {
		return 0, classify("look at the disk", err)
	}
	return int64(min(free, 1<<62)), nil
}

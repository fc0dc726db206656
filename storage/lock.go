package storage

import (
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// Lock is the right to run the mailer on a data folder. The kernel frees it
// when the process ends, however it ends.
type Lock struct{ f *flock.Flock }

// TryLock takes the mailer's lock of the data folder dir, or returns nil when
// another process has it.
func TryLock(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, classify("lock the mailer", err)
	}
	f := flock.New(filepath.Join(dir, "postroom.lock"), flock.SetPermissions(0o600))
	ok, err := f.TryLock()
	if err != nil {
		return nil, classify("lock the mailer", err)
	}
	if !ok {
		return nil, nil
	}
	return &Lock{f}, nil
}

// Unlock gives the right back.
func (l *Lock) Unlock() error { return l.f.Unlock() }

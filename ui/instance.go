package ui

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Instance is the right to be the window of a data folder. A second start finds
// the first through a socket that only this user can reach.
type Instance struct {
	l    net.Listener
	path string
}

// socketPath returns where the window of a data folder listens. A socket's path
// may hold about 100 bytes, so a deep folder gets a short name elsewhere.
func socketPath(dir string) string {
	p := filepath.Join(dir, "window.sock")
	if len(p) < 100 {
		return p
	}
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(os.TempDir(), "postroom-"+hex.EncodeToString(sum[:8])+".sock")
}

// ErrRaised says that the window was open already and was brought to the front.
var ErrRaised = errors.New("the window is open already")

// Claim makes this process the window of dir, or raises the one that is, and
// returns ErrRaised.
func Claim(ctx context.Context, dir string) (*Instance, error) {
	path := socketPath(dir)
	d := net.Dialer{Timeout: 2 * time.Second}
	if c, err := d.DialContext(ctx, "unix", path); err == nil {
		defer c.Close() //nolint:errcheck // nothing was written that could be lost
		if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return nil, err
		}
		if _, err := c.Write([]byte("raise\n")); err != nil {
			return nil, err
		}
		answer := make([]byte, 3)
		if _, err := c.Read(answer); err != nil {
			return nil, err
		}
		return nil, ErrRaised
	}
	// Nobody answers: what is there was left by a process that died.
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &Instance{l: l, path: path}, nil
}

// Serve calls raise for each further start, until Close.
func (i *Instance) Serve(raise func()) {
	for {
		c, err := i.l.Accept()
		if err != nil {
			return
		}
		buf := make([]byte, 6)
		if c.SetDeadline(time.Now().Add(2*time.Second)) == nil {
			if n, err := c.Read(buf); err == nil && string(buf[:n]) == "raise\n" {
				raise()
				_, _ = c.Write([]byte("ok\n")) // the other one leaves in any case
			}
		}
		_ = c.Close()
	}
}

// Close gives the right back.
func (i *Instance) Close() error { return i.l.Close() }

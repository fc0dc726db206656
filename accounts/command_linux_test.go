package accounts

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postroom/post"
)

// waitGone waits until no process of that id is left (a zombie is none).
func waitGone(t *testing.T, pid string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		if err != nil || bytes.Contains(stat, []byte(") Z ")) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %s is still there", pid)
		}
	}
}

// TestCommandTimesOut: what the command started ends with it.
func TestCommandTimesOut(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	c := &Command{timeout: 200 * time.Millisecond}
	_, err := c.Get(t.Context(), command("sleep 600 & echo $! > "+pidFile+"; wait"))
	wantKey(t, err, post.KindSignIn, keyCommandTimeout)
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	waitGone(t, strings.TrimSpace(string(pid)))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = NewCommand().Get(ctx, command("echo x"))
	wantKey(t, err, post.KindCancelled, "")
}

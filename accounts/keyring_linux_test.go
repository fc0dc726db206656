package accounts

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"postroom/post"
)

// The real keyring is tested in a session of its own: this test binary runs
// itself once more, in a private home, under dbus-run-session, and there starts
// gnome-keyring-daemon. Neither the user's keyring nor a display is touched.

const ringCase = "POSTROOM_TEST_RING"

func TestRealKeyring(t *testing.T) {
	if os.Getenv(ringCase) != "" {
		t.Skip("the inner run has tests of its own")
	}
	for _, program := range []string{"dbus-run-session", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing: install the packages dbus and gnome-keyring", program)
			}
			t.Skipf("SKIPPED: the keyring is NOT TESTED: %s is missing; install the packages dbus and gnome-keyring", program)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"unlocked", "locked", "wrong", "fresh", "absent", "nobus", "noaddress"} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			inner := []string{self, "-test.run=^TestInnerKeyring$", "-test.v", "-test.timeout=60s"}
			env := privateEnv(t, home, name)
			switch name {
			case "nobus":
				env = append(env, "DBUS_SESSION_BUS_ADDRESS=unix:path="+filepath.Join(home, "nowhere"))
			case "noaddress":
				if _, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Getuid())); err == nil {
					t.Skip("SKIPPED, NOT TESTED: this user has a bus that would be found; it is not to be touched")
				}
			default:
				inner = append([]string{"dbus-run-session", "--config-file", busConfig(t, home), "--"}, inner...)
			}
			ctx, stop := context.WithTimeout(t.Context(), 90*time.Second)
			defer stop()
			cmd := exec.CommandContext(ctx, inner[0], inner[1:]...)
			cmd.Env = env
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
			cmd.WaitDelay = 5 * time.Second
			out, err := cmd.CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("--- PASS: TestInnerKeyring")) {
				t.Fatalf("%v\n%s", err, out)
			}
			if _, err := os.Stat(filepath.Join(home, "launched")); err == nil {
				t.Error("a bus was launched")
			}
			pids, _ := filepath.Glob(filepath.Join(home, "*.pid"))
			if none := name == "absent" || name == "nobus" || name == "noaddress"; none != (len(pids) == 0) {
				t.Errorf("%d keyrings were started", len(pids))
			}
			for _, f := range pids {
				pid, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				waitGone(t, string(pid))
			}
		})
	}
}

// privateEnv is an environment without a display and without the user's own
// directories and bus.
func privateEnv(t *testing.T, home, name string) []string {
	t.Helper()
	launch := "#!/bin/sh\ntouch " + filepath.Join(home, "launched") + "\nexit 1\n"
	if err := os.WriteFile(filepath.Join(home, "dbus-launch"), []byte(launch), 0o700); err != nil { // a program
		t.Fatal(err)
	}
	env := []string{"PATH=" + home + ":" + os.Getenv("PATH"), "LANG=C.UTF-8", ringCase + "=" + name, "HOME=" + home}
	for key, dir := range map[string]string{"XDG_RUNTIME_DIR": "run", "XDG_DATA_HOME": "data", "XDG_CACHE_HOME": "cache", "XDG_CONFIG_HOME": "config", "TMPDIR": "tmp"} {
		path := filepath.Join(home, dir)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		env = append(env, key+"="+path)
	}
	return env
}

// busConfig is a session bus that starts no services by itself.
func busConfig(t *testing.T, home string) string {
	t.Helper()
	file := filepath.Join(home, "bus.conf")
	config := `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:dir=` + filepath.Join(home, "run") + `</listen>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// daemon is a gnome-keyring-daemon of this test's own.
type daemon struct{ cmd *exec.Cmd }

// startRing starts the daemon in the foreground and waits until it is on the
// bus. An unlock password makes the login keyring, or unlocks it.
func startRing(t *testing.T, unlock string) *daemon {
	t.Helper()
	args := []string{"--foreground", "--components=secrets"}
	if unlock != "" {
		args = append(args, "--unlock")
	}
	cmd := exec.Command("gnome-keyring-daemon", args...)
	cmd.Stdin = strings.NewReader(unlock)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(os.Getenv("HOME"), fmt.Sprintf("%d.pid", cmd.Process.Pid))
	if err := os.WriteFile(file, fmt.Append(nil, cmd.Process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &daemon{cmd}
	t.Cleanup(d.stop)
	bus, err := dbus.SessionBus()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		var has bool
		if err := bus.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, "org.freedesktop.secrets").Store(&has); err != nil {
			t.Fatal(err)
		}
		if has {
			return d
		}
		if time.Now().After(deadline) {
			t.Fatal("the keyring did not come up")
		}
	}
}

func (d *daemon) stop() {
	_ = d.cmd.Process.Kill() // may have been stopped before
	_ = d.cmd.Wait()
}

// waitOffBus waits until nobody serves secrets any longer.
func waitOffBus(t *testing.T) {
	t.Helper()
	bus, err := dbus.SessionBus()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		var has bool
		if err := bus.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, "org.freedesktop.secrets").Store(&has); err == nil && !has {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the keyring is still on the bus")
		}
	}
}

// TestInnerKeyring is the inner run of TestRealKeyring.
func TestInnerKeyring(t *testing.T) {
	a := post.Account{Secret: post.SecretKeyring, SecretRef: NewSecretRef()}
	s := NewStore()
	ctx := t.Context()
	switch os.Getenv(ringCase) {
	case "":
		t.Skip("runs inside TestRealKeyring only")
	case "unlocked":
		startRing(t, "ring-password")
		wantOpen(t, s, true)
		testUnlocked(t, s, a)
	case "locked":
		first := startRing(t, "ring-password")
		if err := s.Set(ctx, a, secretForTests); err != nil {
			t.Fatal(err)
		}
		first.stop()
		waitOffBus(t)
		locked := startRing(t, "")
		wantNoAnswer(t, s, a, keyKeyringLocked)
		wantOpen(t, s, false)
		locked.stop() // gone
		waitOffBus(t)
		wantNoAnswer(t, s, a, keyKeyringAbsent)
		wantOpen(t, s, false)
		startRing(t, "ring-password") // and back, unlocked
		wantOpen(t, s, true)
		if got, err := s.Get(ctx, a); err != nil || got != secretForTests {
			t.Errorf("after it came back: %v", err)
		}
	case "wrong":
		first := startRing(t, "ring-password")
		if err := s.Set(ctx, a, secretForTests); err != nil {
			t.Fatal(err)
		}
		first.stop()
		waitOffBus(t)
		startRing(t, "another-password")
		wantNoAnswer(t, s, a, keyKeyringLocked)
	case "fresh":
		startRing(t, "")
		wantNoAnswer(t, s, a, keyKeyringNone)
		wantOpen(t, s, false)
	case "absent", "nobus", "noaddress":
		wantNoAnswer(t, s, a, keyKeyringAbsent)
		wantOpen(t, s, false)
	}
}

// wantOpen looks at the keyring as the program does while accounts wait for it.
func wantOpen(t *testing.T, s Store, want bool) {
	t.Helper()
	if got := s.Keyring.(*Keyring).Open(); got != want {
		t.Errorf("open: %v", got)
	}
}

func testUnlocked(t *testing.T, s Store, a post.Account) {
	ctx := t.Context()
	_, err := s.Get(ctx, a)
	wantKey(t, err, post.KindSignIn, keyMissing)
	for _, secret := range []string{secretForTests, "changed", " spaces and\nlines ", "密码🔑", strings.Repeat("x", 64<<10)} {
		if err := s.Set(ctx, a, secret); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(ctx, a); err != nil || got != secret {
			t.Errorf("got %d bytes, %v; want %d", len(got), err, len(secret))
		}
	}
	b := a
	b.SecretRef = NewSecretRef()
	_, err = s.Get(ctx, b)
	wantKey(t, err, post.KindSignIn, keyMissing)
	for range 2 {
		if err := s.Delete(ctx, a); err != nil {
			t.Error(err)
		}
	}
	_, err = s.Get(ctx, a)
	wantKey(t, err, post.KindSignIn, keyMissing)
}

// wantNoAnswer: each call says what is in the way, and none says that there is
// no password or a wrong one.
func wantNoAnswer(t *testing.T, s Store, a post.Account, key string) {
	t.Helper()
	_, err := s.Get(t.Context(), a)
	wantKey(t, err, post.KindSignIn, key)
	wantKey(t, s.Set(t.Context(), a, "x"), post.KindSignIn, key)
	wantKey(t, s.Delete(t.Context(), a), post.KindSignIn, key)
}

//go:build linux && !race

package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"postroom/internal/testkit/smtpscript"
)

// The program is tested with a real keyring in a session of its own: this test
// program runs itself once more under dbus-run-session, with a bus that starts
// nothing by itself, and there starts gnome-keyring-daemon. Neither the user's
// keyring nor a display is touched.

const (
	ringVar      = "POSTROOM_E2E_RING"
	ringPassword = "opens the ring"
	ringSecret   = "Geheim-9f27-密码-of-the-keyring"
	ringClient   = "GOCSPX-9f27-of-the-keyring"
)

func TestKeyring(t *testing.T) {
	for _, program := range []string{"dbus-run-session", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is missing: install the packages dbus and gnome-keyring", program)
			}
			t.Skipf("SKIPPED: the keyring is NOT TESTED: %s is missing; install the packages dbus and gnome-keyring", program)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"unlocked", "locked", "absent", "nobus"} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			inner := []string{self, "-test.run=^TestInnerKeyring$", "-test.v", "-test.timeout=80s"}
			env := []string{
				"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + home, "TMPDIR=" + home,
				ringVar + "=" + name, binaryVar + "=" + binary,
			}
			for key, dir := range map[string]string{"XDG_RUNTIME_DIR": "run", "XDG_DATA_HOME": "share", "XDG_CACHE_HOME": "cache", "XDG_CONFIG_HOME": "config"} {
				path := filepath.Join(home, dir)
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Fatal(err)
				}
				env = append(env, key+"="+path)
			}
			if name == "nobus" {
				env = append(env, "DBUS_SESSION_BUS_ADDRESS=unix:path="+filepath.Join(home, "nowhere"))
			} else {
				inner = append([]string{"dbus-run-session", "--config-file", busConfig(t, home), "--"}, inner...)
			}
			ctx, stop := context.WithTimeout(t.Context(), patience)
			defer stop()
			cmd := exec.CommandContext(ctx, inner[0], inner[1:]...)
			cmd.Env = env
			// A group of its own, so that the bus and the keyring go with it.
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
			cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
			cmd.WaitDelay = 5 * time.Second
			out, err := cmd.CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("--- PASS: TestInnerKeyring")) {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
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

// TestInnerKeyring is the inner run of TestKeyring.
func TestInnerKeyring(t *testing.T) {
	situation := os.Getenv(ringVar)
	if situation == "" {
		t.Skip("runs inside TestKeyring only")
	}
	server := smtpscript.Start(t, smtpscript.Config{Mode: smtpscript.STARTTLS, User: "shop@example.test", Password: ringSecret, Keep: smtpscript.KeepCount})
	o := newOffice(t)
	for _, name := range []string{"HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "DBUS_SESSION_BUS_ADDRESS"} {
		o.extra = append(o.extra, name+"="+os.Getenv(name))
	}
	switch situation {
	case "unlocked":
		startRing(t, ringPassword)
		keyringSends(t, o, server)
		keyringClientSecret(t, o)
	case "locked":
		ring := startRing(t, ringPassword)
		o.addWithKeyring(t, server)
		ring.stop()
		startRing(t, "")
		keyringLocked(t, o, server)
	case "absent", "nobus":
		keyringRefuses(t, o, server)
	default:
		t.Fatalf("unknown situation %q", situation)
	}
	for _, r := range []string{ringClient, ringSecret, base64.StdEncoding.EncodeToString([]byte(ringSecret))} {
		o.holdsNo(t, r)
	}
}

// ringArgs is "account add" with the password on standard input.
func (o *office) ringArgs(t *testing.T, name string, server *smtpscript.Server) []string {
	t.Helper()
	host, port := server.HostPort()
	return []string{
		"account", "add", name, "--email", "shop@example.test", "--host", host, "--port", number(port), "--tls", "starttls",
		"--ca", o.write(t, "ca.pem", string(server.CAPEM())), "--password-stdin",
	}
}

func (o *office) addWithKeyring(t *testing.T, server *smtpscript.Server) {
	t.Helper()
	if r := o.do(t, ringSecret+"\n", o.ringArgs(t, "shop", server)...); r.code != 0 {
		t.Fatalf("with an open keyring\n%s", r)
	}
	o.queue(t, 2, "--account", "shop", "--to", "a@example.test", "--to", "b@example.test", "--subject", "Hello", "--body", o.write(t, "b.txt", "Hello.\n"))
}

func keyringSends(t *testing.T, o *office, server *smtpscript.Server) {
	o.addWithKeyring(t, server)
	if r := object[ran](t, o.ok(t, "run", "--until-empty", "--json")); r != (ran{Sent: 2}) {
		t.Errorf("the run says %+v", r)
	}
	if s := server.Stats(); s.Taken != 2 || s.SignIns < 1 || s.SignInFailures != 0 {
		t.Errorf("the server took %d, with %d sign-ins and %d failed ones", s.Taken, s.SignIns, s.SignInFailures)
	}
	o.ok(t, "account", "remove", "shop")
}

// keyringClientSecret: a client secret is kept in the keyring, and one that an older
// version left in the ledger goes there when the settings are looked at.
func keyringClientSecret(t *testing.T, o *office) {
	const key = "oauth.google.client_secret"
	type kept struct{ Key, Value, Kept string }
	want := kept{key, "********", "keyring"}
	if r := o.do(t, ringClient+"\n", "settings", "set", key, "--value-stdin", "--json"); r.code != 0 || object[kept](t, r.out) != want {
		t.Errorf("%s", r)
	}
	if r := object[kept](t, o.ok(t, "settings", "set", key, "", "--json")); r != (kept{Key: key}) {
		t.Errorf("forgotten: %+v", r)
	}
	o.plantOldClientSecret(t, ringClient)
	if found := o.leaks(t, ringClient); len(found) != 2 {
		t.Errorf("an older version's stands in %v", found)
	}
	if r := object[kept](t, o.ok(t, "settings", "get", key, "--json")); r != want {
		t.Errorf("moved: %+v", r)
	}
}

// keyringLocked: the mailer stops the account for the keyring's reason and asks
// the server nothing, and no further account is made.
func keyringLocked(t *testing.T, o *office, server *smtpscript.Server) {
	keyringRefuses(t, o, server)
	r := o.expect(t, 3, "run", "--until-empty")
	if !strings.Contains(r.err, "shop") || !strings.Contains(strings.ToLower(r.err), "keyring") {
		t.Errorf("it does not say that the keyring is in the way\n%s", r)
	}
	a := object[account](t, o.ok(t, "account", "show", "shop", "--json"))
	if a.State != "stopped" || !strings.Contains(strings.ToLower(a.Reason), "keyring") || !strings.Contains(strings.ToLower(a.Reason), "lock") {
		t.Errorf("the account is %s: %s", a.State, a.Reason)
	}
	if s := server.Stats(); s.ByVerb["AUTH"] != 0 || s.SignIns+s.SignInFailures != 0 || s.ByVerb["MAIL"] != 0 {
		t.Errorf("the server was asked: %v", s.ByVerb)
	}
	if m := o.show(t, 1); m.Counts["queued"] != 2 || m.total() != 2 {
		t.Errorf("the mailing says %+v", m)
	}
}

// keyringRefuses: without a keyring no account is made, and the ways out are
// told.
func keyringRefuses(t *testing.T, o *office, server *smtpscript.Server) {
	before := o.ok(t, "account", "list", "--json")
	r := o.do(t, ringSecret+"\n", o.ringArgs(t, "another", server)...)
	if r.code != 3 || !strings.Contains(r.err, "--password-command") || !strings.Contains(strings.ToLower(r.err), "keyring") || strings.Count(r.err, "\n") != 1 {
		t.Errorf("without a usable keyring\n%s", r)
	}
	if after := o.ok(t, "account", "list", "--json"); after != before {
		t.Errorf("the accounts were\n%sand are\n%s", before, after)
	}
	if n := server.Stats().Connections; n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
}

// ring is a gnome-keyring-daemon of this test's own.
type ring struct {
	t   *testing.T
	cmd *exec.Cmd
}

// startRing starts the daemon in the foreground and waits until it is on the
// bus. A password makes the login keyring, or unlocks it.
func startRing(t *testing.T, unlock string) *ring {
	t.Helper()
	args := []string{"--foreground", "--components=secrets"}
	if unlock != "" {
		args = append(args, "--unlock")
	}
	r := &ring{t, exec.Command("gnome-keyring-daemon", args...)}
	r.cmd.Stdin = strings.NewReader(unlock)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.end)
	until(t, "the keyring on the bus", func() bool { return onBus(t) })
	return r
}

func (r *ring) end() {
	_ = r.cmd.Process.Kill() // may have ended before
	_ = r.cmd.Wait()
}

// stop ends the daemon and waits until the bus knows.
func (r *ring) stop() {
	r.t.Helper()
	r.end()
	until(r.t, "the keyring off the bus", func() bool { return !onBus(r.t) })
}

func onBus(t *testing.T) bool {
	t.Helper()
	bus, err := dbus.SessionBus()
	if err != nil {
		t.Fatal(err)
	}
	var has bool
	if err := bus.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, "org.freedesktop.secrets").Store(&has); err != nil {
		t.Fatal(fmt.Errorf("ask the bus: %w", err))
	}
	return has
}

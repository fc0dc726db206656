//go:build linux

package mailserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// OpenSMTPD is a running OpenSMTPD that hands all mail to a server behind it and reports to the sender what could not be
// handed on, as StartEximRelay does. It comes from a Debian package that is unpacked and never installed.
type OpenSMTPD struct {
	// Addr is host:port, without TLS and sign-in: its part in TLS does not work with the keys we make.
	Addr string

	run string // 13 bytes, see openSMTPDPaths
	gid uint32 // of the group that the control program insists on
	env []string
	cmd *exec.Cmd
}

// openSMTPDPaths are what is built into the programs, and what stands there in a run's own copies: as many bytes. Each
// of the program's processes locks itself up in one of the folders.
func openSMTPDPaths(run string) map[string]string {
	return map[string]string{
		"/var/spool/smtpd": run + "/sp", "/var/run/smtpd.sock": run + "/s.sck", "/var/lib/opensmtpd/empty": run + "/empty-root",
	}
}

// StartOpenSMTPDRelay runs one until the test ends, behind which a server stands that was started with Behind. Only root
// may lock processes up in folders, so without root the test is skipped. A machine that can't run it skips the test,
// too, but fails it when CI is set.
func StartOpenSMTPDRelay(t testing.TB, behind *Server) *OpenSMTPD {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOTHING WAS TESTED AGAINST A REAL OPENSMTPD: it needs root for chroot")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // the first start downloads packages
	defer cancel()
	for try := 1; ; try++ {
		o, err := launchOpenSMTPD(ctx, behind)
		switch {
		case err == nil:
			t.Cleanup(func() { o.stop(t) })
			return o
		case errors.Is(err, ErrUnavailable) && os.Getenv("CI") == "":
			t.Skipf("SKIPPED, NOTHING WAS TESTED AGAINST A REAL OPENSMTPD: %v", err)
		case try == startTries || !errors.Is(err, errPortTaken):
			t.Fatalf("start OpenSMTPD: %v", err)
		}
	}
}

func launchOpenSMTPD(ctx context.Context, behind *Server) (*OpenSMTPD, error) {
	tree, err := fetchTree(ctx, "opensmtpd")
	if err != nil {
		return nil, err
	}
	ids, err := chooseIdentities()
	if err != nil {
		return nil, err
	}
	random := make([]byte, 3)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	run := "/tmp/pr" + hex.EncodeToString(random)
	if err := errors.Join(os.Mkdir(run, 0o755), os.Chmod(run, 0o755)); err != nil { // whatever the umask
		return nil, err
	}
	o := &OpenSMTPD{run: run}
	if err := o.start(ctx, tree, ids, behind); err != nil {
		return nil, errors.Join(err, os.RemoveAll(run))
	}
	return o, nil
}

func (o *OpenSMTPD) start(ctx context.Context, tree string, ids identities, behind *Server) error {
	gid, err := strconv.ParseUint(ids.deliver.Gid, 10, 32)
	if err != nil {
		return err
	}
	o.gid = uint32(gid)
	if err := o.write(tree, ids); err != nil {
		return err
	}
	wrapper, err := filepath.Glob(filepath.Join(tree, "usr/lib/*/libnss_wrapper.so"))
	if err != nil || len(wrapper) != 1 {
		return fmt.Errorf("libnss_wrapper.so: found %d, %w", len(wrapper), err)
	}
	libraries, err := libraryPath(tree)
	if err != nil {
		return err
	}
	o.env = []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TZ=UTC", "LC_ALL=C", "LD_LIBRARY_PATH=" + libraries, "LD_PRELOAD=" + wrapper[0],
		"NSS_WRAPPER_PASSWD=" + filepath.Join(o.run, "passwd"), "NSS_WRAPPER_GROUP=" + filepath.Join(o.run, "group"),
	}
	if err := o.configure(behind); err != nil {
		return err
	}
	said, err := os.Create(filepath.Join(o.run, "said"))
	if err != nil {
		return err
	}
	o.cmd = exec.Command(filepath.Join(o.run, "smtpd"), "-d", "-f", filepath.Join(o.run, "smtpd.conf"))
	o.cmd.Stdout, o.cmd.Stderr = said, said
	o.cmd.Dir, o.cmd.Env = "/", o.env
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL} // the others end with the first
	if err := errors.Join(o.cmd.Start(), said.Close()); err != nil {
		return err
	}
	return o.ready(ctx)
}

// write makes the folders, the programs, and the users that they look for by name.
func (o *OpenSMTPD) write(tree string, ids identities) error {
	for _, dir := range []string{"sp", "empty-root"} {
		path := filepath.Join(o.run, dir)
		if err := errors.Join(os.Mkdir(path, 0o711), os.Chmod(path, 0o711)); err != nil {
			return err
		}
	}
	for _, name := range []string{"smtpd", "smtpctl"} {
		program, err := os.ReadFile(filepath.Join(tree, "usr/sbin", name))
		if err != nil {
			return err
		}
		for built, ours := range openSMTPDPaths(o.run) {
			if len(built) != len(ours) {
				return fmt.Errorf("%s is not as long as %s", ours, built)
			}
			program = bytes.ReplaceAll(program, []byte(built), []byte(ours))
		}
		if err := os.WriteFile(filepath.Join(o.run, name), program, 0o700); err != nil {
			return err
		}
	}
	for name, add := range map[string]string{
		"passwd": fmt.Sprintf("opensmtpd:x:%[1]s:%[2]s::/nonexistent:/usr/sbin/nologin\nopensmtpq:x:65534:%[2]s::/nonexistent:/usr/sbin/nologin\n", ids.deliver.Uid, ids.deliver.Gid),
		"group":  fmt.Sprintf("opensmtpd:x:%[1]s:\nopensmtpq:x:%[1]s:\n", ids.deliver.Gid),
	} {
		b, err := os.ReadFile("/etc/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(o.run, name), append(b, add...), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// configure writes the configuration.
func (o *OpenSMTPD) configure(behind *Server) error {
	_, onward, err := net.SplitHostPort(behind.SubmissionAddr)
	if err != nil {
		return err
	}
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	o.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))
	conf := fmt.Sprintf(`listen on 127.0.0.1 port %[1]d hostname mail.example.test
action "onward" relay host "smtp+notls://127.0.0.1:%[2]s"
action "briefly" relay host "smtp+notls://127.0.0.1:%[2]s" ttl 3s
bounce warn-interval 1s
match from any for any rcpt-to "late@%[3]s" action "briefly"
match from any for any action "onward"
`, ports[0], onward, lateDomain)
	return os.WriteFile(filepath.Join(o.run, "smtpd.conf"), []byte(conf), 0o600)
}

// Retry makes it try all that was put off; by itself it would after minutes.
func (o *OpenSMTPD) Retry(t testing.TB) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(o.run, "smtpctl"), "schedule", "all")
	cmd.Dir, cmd.Env = "/", o.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 0, Gid: o.gid}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("smtpctl: %v\n%s", err, out)
	}
}

// ready waits until it greets.
func (o *OpenSMTPD) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := greet(ctx, o.Addr, "220 ", nil)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil && !zombie(o.cmd.Process.Pid) {
			select {
			case <-ctx.Done():
			case <-time.After(pollEvery):
			}
			continue
		}
		logs := o.logs()
		_ = o.cmd.Process.Kill()
		_ = o.cmd.Wait()
		if strings.Contains(logs, "Address already in use") {
			return fmt.Errorf("%w: %s", errPortTaken, logs)
		}
		return fmt.Errorf("OpenSMTPD does not answer at %s: %w\n%s", o.Addr, err, logs)
	}
}

func (o *OpenSMTPD) logs() string {
	text, err := os.ReadFile(filepath.Join(o.run, "said"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// stop ends all its processes, by their session.
func (o *OpenSMTPD) stop(t testing.TB) {
	if t.Failed() {
		t.Logf("OpenSMTPD's log:\n%s", o.logs())
	}
	endSession(t, o.cmd, o.run)
}

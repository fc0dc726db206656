//go:build linux

package mailserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	_ "embed"
)

//go:embed files/exim.conf.tmpl
var eximTemplate string

// Exim is a running Exim (another TLS library and other ways of wording things than Postfix's), from a Debian package
// that is unpacked and never installed. It takes mail for example.test, after sign-in under TLS.
type Exim struct {
	SubmissionAddr string // host:port, STARTTLS
	SMTPSAddr      string // host:port, implicit TLS
	CAPEM          []byte
	User, Password string

	onward   string           // port on this computer that all mail is handed to; empty: it is kept
	shown    *tls.Certificate // in the place of a good one; may be nil
	run      string
	cmd      *exec.Cmd
	lifeline io.WriteCloser // of the process that ends Exim with us
	mourner  *exec.Cmd
}

// StartExim runs one until the test ends that offers a single mechanism: PLAIN, LOGIN or CRAM-MD5, or none when it is
// empty. A machine that can't run it skips the test, but fails it when CI is set.
func StartExim(t testing.TB, mechanism string) *Exim {
	t.Helper()
	return startExim(t, mechanism, "", nil)
}

// StartEximShowing is StartExim with that certificate in the place of a good one; it offers PLAIN.
func StartEximShowing(t testing.TB, cert *tls.Certificate) *Exim {
	t.Helper()
	return startExim(t, "PLAIN", "", cert)
}

func startExim(t testing.TB, mechanism, onward string, cert *tls.Certificate) *Exim {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // the first start downloads packages
	defer cancel()
	for try := 1; ; try++ {
		e, err := launchExim(ctx, mechanism, onward, cert)
		switch {
		case err == nil:
			t.Cleanup(func() { e.stop(t) })
			return e
		case errors.Is(err, ErrUnavailable) && os.Getenv("CI") == "":
			t.Skipf("SKIPPED, NOTHING WAS TESTED AGAINST A REAL EXIM: %v", err)
		case try == startTries || !errors.Is(err, errPortTaken):
			t.Fatalf("start Exim: %v", err)
		}
	}
}

func launchExim(ctx context.Context, mechanism, onward string, cert *tls.Certificate) (*Exim, error) {
	tree, err := fetchTree(ctx, "exim")
	if err != nil {
		return nil, err
	}
	ids, err := chooseIdentities()
	if err != nil {
		return nil, err
	}
	run, err := os.MkdirTemp(shortTempDir(), "postroom-exim-")
	if err != nil {
		return nil, err
	}
	e := &Exim{onward: onward, shown: cert, run: run, User: "shop@example.test", Password: "correct horse battery"}
	if err := e.start(ctx, tree, ids, mechanism); err != nil {
		return nil, errors.Join(err, os.RemoveAll(run))
	}
	return e, nil
}

func (e *Exim) start(ctx context.Context, tree string, ids identities, mechanism string) error {
	if err := os.Chmod(e.run, 0o755); err != nil { // another user's processes work in it
		return err
	}
	tree, err := reachable(ctx, tree, e.run, ids)
	if err != nil {
		return err
	}
	certs, err := newCertificates()
	if err != nil {
		return err
	}
	if e.shown != nil {
		if certs.server, certs.key, err = inPEM(e.shown); err != nil {
			return err
		}
	}
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	e.CAPEM = certs.authority
	e.SubmissionAddr, e.SMTPSAddr = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0])), net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[1]))
	if err := e.write(tree, ids, certs, ports, mechanism); err != nil {
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
	said, err := os.Create(filepath.Join(e.run, "said"))
	if err != nil {
		return err
	}
	e.cmd = exec.Command(filepath.Join(e.run, "exim4"), "-C", filepath.Join(e.run, "exim.conf"), "-bdf")
	if e.onward != "" { // what was put off is tried again every second
		e.cmd.Args = append(e.cmd.Args, "-q1s")
	}
	e.cmd.Stdout, e.cmd.Stderr = said, said
	e.cmd.Dir = "/"
	e.cmd.Env = []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TZ=UTC", "LC_ALL=C", "LD_LIBRARY_PATH=" + libraries, "LD_PRELOAD=" + wrapper[0],
		"NSS_WRAPPER_PASSWD=" + filepath.Join(e.run, "passwd"), "NSS_WRAPPER_GROUP=" + filepath.Join(e.run, "group"),
	}
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if err := errors.Join(e.cmd.Start(), said.Close()); err != nil {
		return err
	}
	if err := e.mourn(); err != nil {
		_ = e.cmd.Process.Kill()
		_ = e.cmd.Wait()
		return err
	}
	return e.ready(ctx)
}

// mourn starts a process that ends Exim's when this one has gone without a word: the system forgets about the signal
// of a parent's death once a process changes its user, as Exim does.
func (e *Exim) mourn() (err error) {
	e.mourner = exec.Command("sh", "-c", `read word || { kill -9 "-$1"; rm -rf -- "$2"; }`, "mourner", strconv.Itoa(e.cmd.Process.Pid), e.run)
	e.mourner.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what ends our group is not for it
	e.mourner.Dir = "/"
	if e.lifeline, err = e.mourner.StdinPipe(); err != nil {
		return err
	}
	return e.mourner.Start()
}

// dismiss lets the mourner go; Exim has ended, or is about to.
func (e *Exim) dismiss() error {
	_, err := e.lifeline.Write([]byte("done\n"))
	return errors.Join(err, e.mourner.Wait())
}

// write writes everything a start needs. Exim looks for a user of its own by name, whom no minimal Debian has and who
// is not added: a library put before the system's own tells it of one.
func (e *Exim) write(tree string, ids identities, certs certificates, ports []int, mechanism string) error {
	for _, dir := range []string{"spool", "log", "mail"} {
		path := filepath.Join(e.run, dir)
		if err := errors.Join(os.Mkdir(path, 0o755), ids.own(path, ids.deliverName)); err != nil {
			return err
		}
	}
	parsed, err := template.New("exim").Parse(eximTemplate)
	if err != nil {
		return err
	}
	var conf bytes.Buffer
	if err := parsed.Execute(&conf, map[string]any{
		"Tree": tree, "Run": e.run, "Submission": ports[0], "SMTPS": ports[1], "Mechanism": mechanism, "User": e.User, "Password": e.Password,
		"Onward": e.onward, "Late": lateDomain,
	}); err != nil {
		return err
	}
	for name, add := range map[string]string{
		"passwd": "Debian-exim:x:" + ids.deliver.Uid + ":" + ids.deliver.Gid + "::/nonexistent:/usr/sbin/nologin\n",
		"group":  "Debian-exim:x:" + ids.deliver.Gid + ":\n",
	} {
		b, err := os.ReadFile("/etc/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(e.run, name), append(b, add...), 0o644); err != nil {
			return err
		}
	}
	// The package's program takes root's rights when others start it, as its own processes do; to such a program the
	// system gives no library before its own.
	program, err := os.ReadFile(filepath.Join(tree, "usr/sbin/exim4"))
	if err != nil {
		return err
	}
	key := filepath.Join(e.run, "key.pem")
	return errors.Join(
		os.WriteFile(filepath.Join(e.run, "exim.conf"), conf.Bytes(), 0o644),
		os.WriteFile(filepath.Join(e.run, "exim4"), program, 0o755),
		os.WriteFile(filepath.Join(e.run, "cert.pem"), certs.server, 0o644),
		os.WriteFile(key, certs.key, 0o600), ids.own(key, ids.deliverName),
	)
}

// ready waits until both doors greet.
func (e *Exim) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(e.CAPEM)
	secure := &tls.Config{RootCAs: roots, ServerName: "localhost", InsecureSkipVerify: e.shown != nil} // so that it is seen to be there
	for addr, config := range map[string]*tls.Config{e.SubmissionAddr: nil, e.SMTPSAddr: secure} {
		for {
			err := greet(ctx, addr, "220 ", config)
			if err == nil {
				break
			}
			if ctx.Err() == nil && e.cmd.Process.Signal(syscall.Signal(0)) == nil && !zombie(e.cmd.Process.Pid) {
				select {
				case <-ctx.Done():
				case <-time.After(pollEvery):
				}
				continue
			}
			logs := e.logs()
			_ = e.dismiss()
			_ = e.cmd.Process.Kill()
			_ = e.cmd.Wait()
			if strings.Contains(logs, "Address already in use") {
				return fmt.Errorf("%w: %s", errPortTaken, logs)
			}
			return fmt.Errorf("exim does not answer at %s: %w\n%s", addr, err, logs)
		}
	}
	return nil
}

// zombie reports whether a process of ours has ended and was not waited for.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// Log is the path of Exim's main log.
func (e *Exim) Log() string { return filepath.Join(e.run, "log", "mainlog") }

func (e *Exim) logs() string {
	var b strings.Builder
	for _, name := range []string{"said", "log/mainlog", "log/paniclog"} {
		if text, err := os.ReadFile(filepath.Join(e.run, name)); err == nil && len(text) > 0 {
			fmt.Fprintf(&b, "--- %s\n%s", name, text)
		}
	}
	return b.String()
}

// stop ends the daemon and, by their session, whatever still serves a connection.
func (e *Exim) stop(t testing.TB) {
	if t.Failed() {
		t.Logf("Exim's logs:\n%s", e.logs())
	}
	if err := e.dismiss(); err != nil {
		t.Error(err)
	}
	endSession(t, e.cmd, e.run)
}

// endSession kills all processes of a server's session and removes its folder.
func endSession(t testing.TB, cmd *exec.Cmd, run string) {
	members, err := sessionMembers(cmd.Process.Pid)
	if err != nil {
		t.Error(err)
	}
	for _, pid := range members {
		_ = syscall.Kill(pid, syscall.SIGKILL) // one that has gone meanwhile is no failure
	}
	_ = cmd.Wait() // killed
	if err := os.RemoveAll(run); err != nil {
		t.Error(err)
	}
}

//go:build linux

// Package mailserver runs a real Postfix and a real Dovecot, privately, for tests: submission over STARTTLS and over
// implicit TLS with sign-in, delivery into Maildirs, and IMAP to read them.
//
// The programs are Debian packages, fetched once into a cache folder by fetch.sh and never installed. A server listens
// on 127.0.0.1 only, on ports of its own, and nothing it takes ever leaves the machine: a recipient outside its domains
// is refused with "554 5.7.1 Relay access denied". Every address in its domains is taken and delivered exactly once.
//
// It runs as root (in CI) with the system users a minimal Debian has, and as an ordinary user with everything under
// that user; the latter needs a C compiler (cc), which building the window needs anyway.
//
// A keeper process stands between the test and the servers: it holds the reading end of a pipe and ends them when the
// pipe closes. So they go with the test process even when that panics or is killed.
package mailserver

import (
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Replies for Options.Replies, as real servers word them.
const (
	NoSuchUser  = "550 5.1.1 No such user here"
	MailboxFull = "452 4.2.2 Mailbox full"
	Greylisted  = "451 4.7.1 Greylisted, please try again later"
)

// ErrUnavailable is wrapped by the errors of Launch when this machine can't run the server (no Debian, packages not
// cached and no network, no C compiler for an ordinary user). A server that fails to start is not among them.
var ErrUnavailable = errors.New("test mail server unavailable")

const (
	startTimeout = time.Minute
	stopTimeout  = 20 * time.Second
	startTries   = 4 // each with other ports
	pollEvery    = 10 * time.Millisecond
	tailBytes    = 8 << 10 // of each log, shown when a start or a test fails
)

//go:embed files/keeper.sh
var keeperScript string

// Options say how a server behaves. The zero value is a plain server for example.test.
type Options struct {
	Domains    []string          // taken and delivered locally; default example.test
	User       string            // signs in and owns an IMAP mailbox; default shop@example.test
	Password   string            // of User; default "correct horse battery"
	Users      map[string]string // further addresses that sign in and own a mailbox, with their passwords
	Mechanisms []string          // SASL, e.g. SCRAM-SHA-256, CRAM-MD5; default PLAIN, LOGIN

	// Replies answers RCPT TO for an address ("ann@example.test") or a whole domain ("example.test") with a refusal
	// such as NoSuchUser: "CODE [ENHANCED] text". SetReplies changes it while the server runs.
	Replies map[string]string

	// BounceLater takes mail for an address and then returns it to its sender as a real bounce: address to
	// "ENHANCED text", e.g. "5.1.1 mailbox closed".
	BounceLater map[string]string

	// LMTP hands mail to Dovecot over LMTP, which gives every address a mailbox of its own. Otherwise Postfix delivers:
	// addresses that sign in have a mailbox each, all others share one.
	LMTP bool

	// Introspection is the address of an endpoint (RFC 7662) that both servers ask about access tokens, for the mechanisms
	// XOAUTH2 and OAUTHBEARER; its answer has "active", and in "email" whose token it is.
	Introspection string

	// Certificate is shown by both servers in the place of a good one; its key must be its own. CAPEM has nothing to do with
	// it then.
	Certificate *tls.Certificate
	// OldTLS makes both servers speak TLS 1.0 and nothing newer.
	OldTLS bool

	MainCF  []string // lines "name = value" for Postfix, after and thus over our own
	Dovecot []string // lines for Dovecot, likewise
}

// Server is a running pair of Postfix and Dovecot. Its methods may be called from several goroutines.
type Server struct {
	SubmissionAddr string // host:port, STARTTLS, sign-in only under TLS
	SMTPSAddr      string // host:port, implicit TLS
	IMAPAddr       string // host:port, STARTTLS
	IMAPSAddr      string // host:port, implicit TLS
	CAPEM          []byte // the authority that signed the certificate for localhost, mail.example.test, 127.0.0.1, ::1
	CAFile         string // CAPEM as a file; gone after Stop
	User           string
	Password       string
	MailDir        string // folder of all Maildirs; gone after Stop unless Launch was given a folder
	Log            string // Postfix's log file; Dovecot's is dovecot.log beside it

	odd      bool   // its certificate or version of TLS is not for anybody to trust
	run      string // folder of everything of this server
	keeper   *exec.Cmd
	lifeline io.Closer // writing end of the pipe; closing it ends the servers
	gone     chan struct{}
	stopOnce sync.Once
	stopErr  error

	tables     sync.Mutex
	tableStamp time.Time // modification time given to the last table, see writeTable
}

// Start runs a server until the test ends. When this machine can't run it, the test is skipped with the reason, but
// fails when CI is set; every other fault fails the test. When the test fails, the ends of the logs are shown.
func Start(t testing.TB, opt Options) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // the first start downloads packages
	defer cancel()
	server, err := Launch(ctx, "", opt)
	if errors.Is(err, ErrUnavailable) && os.Getenv("CI") == "" {
		t.Skipf("SKIPPED, NOTHING WAS TESTED AGAINST A REAL MAIL SERVER: %v", err)
	}
	if err != nil {
		t.Fatalf("start the mail server: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("mail server logs:\n%s", server.tails())
		}
		if err := server.Stop(); err != nil {
			t.Errorf("stop the mail server: %v", err)
		}
	})
	return server
}

// Launch is Start without a test, for TestMain and programs. The server lives until Stop or until this process ends;
// ctx limits the start only. Everything lies in a new folder in dir, which all users must be able to enter when we are
// root (t.TempDir() is not such a folder), and stays after Stop; with an empty dir it is a temporary folder and removed.
func Launch(ctx context.Context, dir string, opt Options) (*Server, error) {
	opt, err := opt.complete()
	if err != nil {
		return nil, err
	}
	tree, err := fetchTree(ctx)
	if err != nil {
		return nil, err
	}
	ids, err := chooseIdentities()
	if err != nil {
		return nil, err
	}
	// Neither server can be given a listener or tell a port it chose, so a free port may be taken by another process
	// before ours listens on it; then the start fails and is repeated with other ports.
	for try := 1; ; try++ {
		server, err := launchOnce(ctx, dir, tree, ids, opt)
		if err == nil {
			return server, nil
		}
		if try == startTries || ctx.Err() != nil || !errors.Is(err, errPortTaken) {
			return nil, err
		}
	}
}

func launchOnce(ctx context.Context, dir, tree string, ids identities, opt Options) (server *Server, err error) {
	keep := "keep"
	if dir == "" {
		dir, keep = shortTempDir(), "remove"
	}
	run, err := os.MkdirTemp(dir, "postroom-mail-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(run))
		}
	}()
	if err := os.Chmod(run, 0o755); err != nil { // other users' processes work in it
		return nil, err
	}
	s := &Server{odd: opt.Certificate != nil || opt.OldTLS, run: run, User: opt.User, Password: opt.Password, gone: make(chan struct{})}
	tree, err = s.prepare(ctx, tree, ids, opt)
	if err != nil {
		return nil, err
	}
	libraries, err := libraryPath(tree)
	if err != nil {
		return nil, err
	}
	s.keeper = exec.Command("sh", "-c", keeperScript, "keeper.sh", run, tree, libraries, keep)
	s.keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	s.keeper.Dir = "/"
	s.keeper.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TZ=UTC", "LC_ALL=C"}
	if s.lifeline, err = s.keeper.StdinPipe(); err != nil {
		return nil, err
	}
	if err := s.keeper.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = s.keeper.Wait() // how it ended is told by what it leaves behind, which Stop looks at
		close(s.gone)
	}()
	if err := s.waitReady(ctx); err != nil {
		logs := s.tails()
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, logs), s.Stop())
	}
	return s, nil
}

// Stop ends both servers and returns when no process of them is left. Further calls return the same result.
func (s *Server) Stop() error {
	s.stopOnce.Do(func() { s.stopErr = s.stop() })
	return s.stopErr
}

func (s *Server) stop() error {
	if err := s.lifeline.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("close the pipe of the keeper: %w", err)
	}
	select {
	case <-s.gone:
	case <-time.After(stopTimeout):
		// The keeper's session is its own, so this ends it alone; what it kept is reported below.
		_ = s.keeper.Process.Kill()
		<-s.gone
	}
	left, err := s.Processes()
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("mail server processes left behind: %v", left)
	}
	return nil
}

// Processes returns the ids of the running processes of this server, the keeper included; none after Stop.
func (s *Server) Processes() ([]int, error) {
	return sessionMembers(s.keeper.Process.Pid)
}

// sessionMembers lists the live processes of a session (proc(5), /proc/PID/stat field 6).
func sessionMembers(session int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var members []int
	for _, stat := range stats {
		line, err := os.ReadFile(stat)
		if err != nil {
			continue // ended since
		}
		var pid, parent, group, of int
		var state string
		// The name in brackets may hold anything, brackets too.
		rest := string(line[strings.LastIndexByte(string(line), ')')+1:])
		if _, err := fmt.Sscan(string(line), &pid); err != nil {
			return nil, fmt.Errorf("read %s: %w", stat, err)
		}
		if _, err := fmt.Sscan(rest, &state, &parent, &group, &of); err != nil {
			return nil, fmt.Errorf("read %s: %w", stat, err)
		}
		if of == session && state != "Z" {
			members = append(members, pid)
		}
	}
	return members, nil
}

// shortTempDir is the folder for temporary files, unless its name is too long for the sockets in it (unix(7): 108
// bytes).
func shortTempDir() string {
	if dir := os.TempDir(); len(dir) <= 40 {
		return dir
	}
	return "/tmp"
}

// tails returns the last lines of all logs.
func (s *Server) tails() string {
	var b strings.Builder
	for _, name := range []string{"ended", "out", "mail.log", "dovecot.log"} {
		data, err := os.ReadFile(filepath.Join(s.run, "log", name))
		if err != nil || len(data) == 0 {
			continue
		}
		if len(data) > tailBytes {
			data = data[len(data)-tailBytes:]
		}
		fmt.Fprintf(&b, "--- %s\n%s", name, data)
	}
	return b.String()
}

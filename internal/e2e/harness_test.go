//go:build linux && !race

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// patience bounds every single command and every wait for a condition.
	patience = 90 * time.Second
	// lookEvery is how often a condition is looked at.
	lookEvery = 10 * time.Millisecond

	// binaryVar hands the binary to the inner runs of this test program.
	binaryVar = "POSTROOM_E2E_BINARY"
)

// binary is the program under test.
var binary string

func TestMain(m *testing.M) {
	if os.Getenv(loopbackVar) != "" {
		fmt.Fprintln(os.Stderr, "cut off from the network:", enterLoopback(os.Args[1:]))
		os.Exit(120)
	}
	os.Exit(runAll(m))
}

// runAll builds the program, unless an outer run has done so, and tests it.
func runAll(m *testing.M) int {
	if binary = os.Getenv(binaryVar); binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "postroom-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	binary = filepath.Join(dir, "postroom")
	build := exec.Command("go", "build", "-o", binary, "../..")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// office is one user of the program: a data folder, a home and an environment
// that leads to nothing of the real user's.
type office struct {
	home  string
	data  string
	extra []string         // more of the environment
	wrap  func(*exec.Cmd)  // changes a command before it starts; may be nil
	said  *strings.Builder // all output of all commands, for the search for secrets
}

func newOffice(t *testing.T) *office {
	t.Helper()
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	return &office{home: home, data: filepath.Join(home, "data"), said: &strings.Builder{}}
}

func (o *office) path(name string) string { return filepath.Join(o.home, name) }

// write puts a file into the home and returns its path.
func (o *office) write(t *testing.T, name, content string) string {
	t.Helper()
	if err := os.WriteFile(o.path(name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return o.path(name)
}

func (o *office) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, append([]string{"--data", o.data, "--log-level", "debug"}, args...)...)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + o.home, "TMPDIR=" + o.path("tmp"),
		"XDG_DATA_HOME=" + o.path("share"), "XDG_CONFIG_HOME=" + o.path("config"), "XDG_CACHE_HOME=" + o.path("cache"),
		"XDG_RUNTIME_DIR=" + o.path("tmp"), "DBUS_SESSION_BUS_ADDRESS=unix:path=" + o.path("no-bus"),
	}, o.extra...)
	cmd.Dir = o.home
	// The child goes when we do, even when we panic or are killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	if o.wrap != nil {
		o.wrap(cmd)
	}
	return cmd
}

// result is what became of one command.
type result struct {
	args     []string
	code     int // -1: killed
	out, err string
}

func (r result) String() string {
	return fmt.Sprintf("postroom %s\nexit code %d\n--- stdout\n%s--- stderr\n%s", strings.Join(r.args, " "), r.code, clip(r.out), clip(r.err))
}

func clip(s string) string {
	const most = 4000
	if len(s) > most {
		return s[:most] + "...\n"
	}
	return s
}

// do runs a command to its end, whatever its exit code.
func (o *office) do(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	p := o.start(t, stdin, args...)
	return p.wait(t)
}

// ok runs a command that must succeed, and returns its standard output.
func (o *office) ok(t *testing.T, args ...string) string {
	t.Helper()
	return o.expect(t, 0, args...).out
}

// expect runs a command that must end with code.
func (o *office) expect(t *testing.T, code int, args ...string) result {
	t.Helper()
	r := o.do(t, "", args...)
	if r.code != code {
		t.Fatalf("exit code %d was expected\n%s", code, r)
	}
	return r
}

// process is a command that runs.
type process struct {
	o      *office
	cmd    *exec.Cmd
	args   []string
	out    bytes.Buffer
	err    bytes.Buffer
	ended  chan struct{} // closed when it was waited for
	waited error
}

// start starts a command; it is ended with the test at the latest.
func (o *office) start(t *testing.T, stdin string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	p := &process{o: o, cmd: o.command(ctx, args), args: args, ended: make(chan struct{})}
	p.cmd.Stdin = strings.NewReader(stdin)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	if err := p.cmd.Start(); err != nil {
		cancel()
		t.Fatalf("start postroom: %v", err)
	}
	go func() {
		defer cancel()
		p.waited = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-p.ended
	})
	return p
}

// signal sends a signal to the process alone.
func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("signal %s: %v", s, err)
	}
}

// running reports whether the process has not ended yet.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// wait returns when the process has ended.
func (p *process) wait(t *testing.T) result {
	t.Helper()
	<-p.ended
	var exit *exec.ExitError
	if p.waited != nil && !errors.As(p.waited, &exit) {
		t.Fatalf("postroom %s: %v\n%s%s", strings.Join(p.args, " "), p.waited, &p.out, &p.err)
	}
	p.o.said.WriteString(p.out.String() + p.err.String())
	return result{args: p.args, code: p.cmd.ProcessState.ExitCode(), out: p.out.String(), err: p.err.String()}
}

// until waits for a condition; what names it in the failure.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("after %s still waiting for: %s", patience, what)
		}
	}
}

// objects reads JSON, one object a line, and nothing else.
func objects[T any](t *testing.T, out string) []T {
	t.Helper()
	var all []T
	for line := range strings.Lines(out) {
		var one T
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&one); err != nil {
			t.Fatalf("%v in the line %s", err, clip(line))
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			t.Fatalf("more than one object in the line %s", clip(line))
		}
		all = append(all, one)
	}
	return all
}

func object[T any](t *testing.T, out string) T {
	t.Helper()
	all := objects[T](t, out)
	if len(all) != 1 {
		t.Fatalf("one line was expected, got %d:\n%s", len(all), clip(out))
	}
	return all[0]
}

// What the commands print with --json, as the contract has it.
type (
	imported struct {
		Read, Added, Updated, Unchanged, Skipped int
		Problems                                 []struct {
			Row           int
			Column, Value string
			Reason        string
		}
	}
	sent struct {
		Mailing *int64
		Queued  int
		Skipped []struct{ Address, Reason string }
	}
	ran struct{ Sent, Failed, Uncertain, Waiting int }

	mailing struct {
		Mailing       int64
		Name          string
		State         string
		Reason        string
		Counts        map[string]int
		RatePerMinute int     `json:"rate_per_minute"`
		EndsAt        *string `json:"ends_at"`
		Funnel        map[string]int
		Content       string // of show only
		Changed       int    // of retry, settle and cancel
	}
	delivery struct {
		Mailing   int64
		Address   string
		State     string
		Account   string
		Attempts  int
		Code      int
		Enhanced  string
		Text      string
		QueueID   string  `json:"queue_id"`
		MessageID string  `json:"message_id"`
		QueuedAt  *string `json:"queued_at"`
		SentAt    *string `json:"sent_at"`
		Receipt   string
		File      string // of sample only
	}
	account struct {
		Name, Email, Host string
		Port              int
		TLS, Auth         string
		State, Reason     string
		Until             *string
		Limits, Used      map[string]int
		ReplyTokens       string `json:"reply_tokens"`
		SentCopies        string `json:"sent_copies"`
		Signature         string `json:"signature"`
		HandledFolder     string `json:"handled_folder"`
	}
	checked struct {
		OK       bool
		Problems []string
	}
)

// total is the number of deliveries of a mailing.
func (m *mailing) total() int {
	n := 0
	for _, count := range m.Counts {
		n += count
	}
	return n
}

func (o *office) show(t *testing.T, id int64) mailing {
	t.Helper()
	return object[mailing](t, o.ok(t, "--json", "mailing", "show", number(id)))
}

func (o *office) history(t *testing.T, id int64) []delivery {
	t.Helper()
	return objects[delivery](t, o.ok(t, "history", "--mailing", number(id), "--json"))
}

// sound asks for the program's own check of its ledger.
func (o *office) sound(t *testing.T) {
	t.Helper()
	r := o.do(t, "", "check", "--json")
	if c := object[checked](t, r.out); r.code != 0 || !c.OK || len(c.Problems) > 0 {
		t.Fatalf("the ledger is not sound\n%s", r)
	}
}

// queue sends and returns the number of the mailing, which must have n messages.
func (o *office) queue(t *testing.T, n int, args ...string) int64 {
	t.Helper()
	s := object[sent](t, o.ok(t, append([]string{"send", "--json"}, args...)...))
	if s.Mailing == nil || s.Queued != n || len(s.Skipped) > 0 {
		t.Fatalf("%d messages were to be queued, got %+v", n, s)
	}
	return *s.Mailing
}

// crowd writes a sheet of n made-up people and returns its path and addresses.
func (o *office) crowd(t *testing.T, name string, n int) (path string, addresses []string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("email,first_name,city\n")
	for i := range n {
		address := fmt.Sprintf("%s%05d@example.test", name, i)
		addresses = append(addresses, address)
		fmt.Fprintf(&b, "%s,Zoë %d,Köln\n", address, i)
	}
	return o.write(t, name+".csv", b.String()), addresses
}

func number[N int | int64](n N) string { return strconv.FormatInt(int64(n), 10) }

// cat is a password command that prints the file.
func cat(file string) string { return "cat '" + file + "'" }

// log is what the program has logged so far.
func (o *office) log(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(o.data, "logs", "postroom.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postroom/internal/testkit/smtpscript"
)

// asSink makes the test program the sink itself, so that tests run the real
// process without building it again.
const asSink = "SINK_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asSink) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const patience = 20 * time.Second

type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	addr string
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0], args...)}
	p.cmd.Env = append(os.Environ(), asSink+"=1")
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	t.Cleanup(func() {
		watchdog.Stop()
		_ = p.cmd.Process.Kill() // it has ended already unless the test failed
	})
	p.out = bufio.NewReader(out)
	line := p.line()
	addr, ok := strings.CutPrefix(line, "listening ")
	if !ok {
		t.Fatalf("said %q", line)
	}
	p.addr = addr
	return p
}

func (p *process) line() string {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		p.t.Fatalf("read from the sink: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

func (p *process) stats() smtpscript.Stats {
	p.t.Helper()
	var st smtpscript.Stats
	if err := json.Unmarshal([]byte(p.line()), &st); err != nil {
		p.t.Fatal(err)
	}
	return st
}

func body(i int) string {
	return fmt.Sprintf("Message-ID: <%d@shop.example>\r\n\r\nhello %d\r\n", i, i)
}

func deliver(c *smtp.Client, i int) error {
	if err := c.Mail("shop@example.org"); err != nil {
		return err
	}
	if err := c.Rcpt(fmt.Sprintf("r%d@example.net", i)); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, body(i)); err != nil {
		return err
	}
	return w.Close()
}

func TestReportsEachMessageBeforeItsReply(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report")
	p := start(t, "--report", file)
	c, err := smtp.Dial(p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var want bytes.Buffer
	for i := range 20 {
		if err := deliver(c, i); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&want, "r%d@example.net <%d@shop.example> %x\n", i, i, sha256.Sum256([]byte(body(i))))
		got, err := os.ReadFile(file) // at once: the line was there first
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("report:\n%s\nwant\n%s", got, want.Bytes())
		}
	}
	if _, err := io.WriteString(p.in, "stats\n"); err != nil {
		t.Fatal(err)
	}
	if st := p.stats(); st.Taken != 20 || st.Open != 1 || st.Flights != 81 {
		t.Errorf("%+v", st)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if st := p.stats(); st.Taken != 20 {
		t.Errorf("at the end %+v", st)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

// Taken, but the reply never comes: the report has it all the same.
func TestFaultAndEndOfInput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report")
	p := start(t, "--report", file, "--fault", "accept-reset@2")
	for i := range 4 {
		c, err := smtp.Dial(p.addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := deliver(c, i); (err != nil) != (i%2 == 1) {
			t.Errorf("message %d: %v", i, err)
		}
		_ = c.Close()
	}
	if err := p.in.Close(); err != nil {
		t.Fatal(err)
	}
	if st := p.stats(); st.Taken != 4 {
		t.Errorf("%+v", st)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("after the end of its input: %v", err)
	}
	got, err := os.ReadFile(file)
	if err != nil || bytes.Count(got, []byte("\n")) != 4 {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestTLSAndDelay(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	p := start(t, "--tls", "tls", "--ca", ca, "--rtt", "40ms", "--user", "u", "--password", "p")
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate")
	}
	conn, err := tls.Dial("tcp", p.addr, &tls.Config{RootCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	c, err := smtp.NewClient(conn, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Auth(smtp.PlainAuth("", "u", "p", "127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := c.Noop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 40*time.Millisecond {
		t.Errorf("a round trip of 40ms took %v", took)
	}
	if err := p.in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{
		{"--fault", "nonsense"}, {"--tls", "maybe"}, {"extra"}, {"--no-such-flag"}, {"--report", "/no/such/folder/file"},
	} {
		if err := run(args, strings.NewReader(""), io.Discard); err == nil {
			t.Errorf("no error for %q", args)
		}
	}
}

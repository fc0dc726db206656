package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"

	"postroom/accounts"
	"postroom/cli"
	"postroom/internal/testkit/authserver"
	"postroom/internal/testkit/smtpscript"
	"postroom/post"
	"postroom/storage"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"postroom": postroom, "xdg-open": browser})
}

// postroom is the real command in a process of its own; only the keyring is one
// that the scripts can lock.
func postroom() {
	os.Exit(cli.Run(context.Background(), cli.Deps{
		Version: "1.2.3",
		Secrets: accounts.Store{Keyring: folderRing(os.Getenv("TEST_KEYRING")), Command: accounts.NewCommand()},
		// There is no network for what is not known.
		Discoverer: &accounts.Discoverer{DNS: &net.Resolver{PreferGo: true, Dial: unplugged}, Pages: &http.Client{Transport: &http.Transport{DialContext: unplugged}}, DialContext: unplugged},
		HealthDNS:  &net.Resolver{PreferGo: true, Dial: testDNS},
	}, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// testDNS is the way to the name server of a script, if it has one.
func testDNS(ctx context.Context, network, address string) (net.Conn, error) {
	at := os.Getenv("TEST_DNS")
	if at == "" {
		return unplugged(ctx, network, address)
	}
	var d net.Dialer
	return d.DialContext(ctx, "udp", at)
}

// nameserver FILE answers from the records of a file.
func nameserver(ts *testscript.TestScript, _ bool, args []string) {
	zone := map[string][]dns.RR{}
	for line := range strings.SplitSeq(strings.TrimSpace(ts.ReadFile(args[0])), "\n") {
		rr, err := dns.NewRR(line)
		ts.Check(err)
		name := strings.ToLower(rr.Header().Name)
		zone[name] = append(zone[name], rr)
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	ts.Check(err)
	started := make(chan struct{})
	s := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		found, ok := zone[strings.ToLower(q.Question[0].Name)]
		if !ok {
			m.Rcode = dns.RcodeNameError
		}
		for _, rr := range found {
			if rr.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
		_ = w.WriteMsg(m)
	})}
	ended := make(chan error, 1)
	go func() { ended <- s.ActivateAndServe() }()
	<-started
	ts.Defer(func() { _ = s.Shutdown(); <-ended })
	ts.Setenv("TEST_DNS", pc.LocalAddr().String())
}

func unplugged(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("the network is unplugged")
}

// browser is what signin opens: a user who signs in without a word.
func browser() {
	resp, err := authserver.Browse(context.Background(), http.DefaultTransport, os.Args[1])
	if err == nil {
		err = resp.Body.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// authServer NAME starts an authorization server, puts its address into a
// variable and its certificate beside those that this computer trusts.
func authServer(ts *testscript.TestScript, _ bool, args []string) {
	s := authserver.Start("http://127.0.0.1" + accounts.FixedPath)
	ts.Defer(s.Close)
	authServers.Store(s.URL, s)
	ts.Setenv(args[0], s.URL)
	ts.Check(os.WriteFile(ts.MkAbs("auth.pem"), s.CAPEM(), 0o600))
	ts.Setenv("SSL_CERT_FILE", ts.MkAbs("auth.pem"))
}

// withdraw NAME makes an authorization server forget all that it gave.
func withdraw(ts *testscript.TestScript, _ bool, args []string) {
	s, ok := authServers.Load(ts.Getenv(args[0]))
	if !ok {
		ts.Fatalf("there is no authorization server %s", args[0])
	}
	s.(*authserver.Server).Withdraw("http://127.0.0.1" + accounts.FixedPath)
}

// pin ACCOUNT NAME puts the fingerprint that a failed test shows into a variable.
func pin(ts *testscript.TestScript, _ bool, args []string) {
	_ = ts.Exec("postroom", "account", "test", args[0]) // it fails
	out := ts.ReadFile("stdout")
	_, key, ok := strings.Cut(out, "--pin ")
	if !ok {
		ts.Fatalf("no fingerprint is shown")
	}
	ts.Setenv(args[1], strings.TrimSpace(key))
}

// authServers by address.
var authServers sync.Map

// folderRing is a keyring for tests: one file per entry in a folder; without a
// folder it is locked.
type folderRing string

var errLocked = &post.Error{Kind: post.KindSignIn, Message: "the keyring is locked", Reason: post.Reason{Key: "keyring.locked"}}

func (r folderRing) Get(_ context.Context, a post.Account) (string, error) {
	if r == "" {
		return "", errLocked
	}
	b, err := os.ReadFile(filepath.Join(string(r), a.SecretRef))
	if err != nil {
		return "", &post.Error{Kind: post.KindSignIn, Message: "there is no password", Reason: post.Reason{Key: "secret.missing"}}
	}
	return string(b), nil
}

func (r folderRing) Set(_ context.Context, a post.Account, secret string) error {
	if r == "" {
		return errLocked
	}
	return os.WriteFile(filepath.Join(string(r), a.SecretRef), []byte(secret), 0o600)
}

func (r folderRing) Delete(_ context.Context, a post.Account) error {
	if r == "" {
		return errLocked
	}
	return os.Remove(filepath.Join(string(r), a.SecretRef))
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			ring := filepath.Join(env.WorkDir, "ring")
			env.Setenv("TEST_KEYRING", ring)
			env.Setenv("POSTROOM_DATA", filepath.Join(env.WorkDir, "data"))
			env.Setenv("POSTROOM_WAIT_SCALE", "0.0001")
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("TZ", "Europe/Berlin")
			return os.Mkdir(ring, 0o700)
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("no condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": code, "keys": keys, "value": value, "server": server, "mailbox": mailbox, "shut": shut, "authserver": authServer, "withdraw": withdraw, "pin": pin, "nameserver": nameserver, "taken": taken, "connected": connected,
			"ledger": ledger, "crowd": crowd, "lock": lock, "term": term, "logged": logged, "closedport": closedPort,
		},
	})
}

// code N COMMAND... runs a command and wants its exit code.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// keys FILE KEY... wants every line of FILE to be an object with exactly these
// keys.
func keys(ts *testscript.TestScript, neg bool, args []string) {
	want := slices.Sorted(slices.Values(args[1:]))
	lines := strings.Split(strings.TrimSpace(ts.ReadFile(args[0])), "\n")
	for _, line := range lines {
		var object map[string]json.RawMessage
		ts.Check(json.Unmarshal([]byte(line), &object))
		if got := slices.Sorted(maps.Keys(object)); neg || !slices.Equal(got, want) {
			ts.Fatalf("keys %v, want %v in %s", got, want, line)
		}
	}
}

// value FILE KEY[.KEY...] JSON wants the first line of FILE to hold that value.
func value(ts *testscript.TestScript, neg bool, args []string) {
	line, _, _ := strings.Cut(strings.TrimSpace(ts.ReadFile(args[0])), "\n")
	raw := json.RawMessage(line)
	for key := range strings.SplitSeq(args[1], ".") {
		if n, err := strconv.Atoi(key); err == nil {
			var list []json.RawMessage
			ts.Check(json.Unmarshal(raw, &list))
			if n >= len(list) {
				ts.Fatalf("no element %d in %s", n, raw)
			}
			raw = list[n]
			continue
		}
		var object map[string]json.RawMessage
		ts.Check(json.Unmarshal(raw, &object))
		raw = object[key]
	}
	if (string(raw) == args[2]) == neg {
		ts.Fatalf("%s is %s, want %s in %s", args[1], raw, args[2], line)
	}
}

const password = "correct horse" // of every server that wants one

// server NAME [FAULT] starts a mail server until the script ends; its port is
// $NAME. Its name is found again by taken. FAULT is one of smtpscript's, or
// "sign-in", "starttls" (its authority is in NAME.pem), or PHASE:REPLY.
func server(ts *testscript.TestScript, _ bool, args []string) {
	cfg := smtpscript.Config{Mode: smtpscript.Plain}
	for _, what := range args[1:] {
		if what == "sign-in" {
			cfg.User, cfg.Password, cfg.AuthInClear = "shop@example.com", password, true
			continue
		}
		if what == "tokens" { // XOAUTH2 only, and the authorization server $AUTH decides
			s, ok := authServers.Load(ts.Getenv("AUTH"))
			if !ok {
				ts.Fatalf("start authserver AUTH first")
			}
			cfg.User, cfg.Password, cfg.AuthInClear, cfg.Mechanisms = authserver.User, "never", true, []string{"XOAUTH2"}
			cfg.Token = func(token string) bool { return s.(*authserver.Server).Good(context.Background(), token) }
			continue
		}
		if what == "starttls" {
			cfg.Mode = smtpscript.STARTTLS
			continue
		}
		script, err := smtpscript.Fault(what)
		if phase, reply, ok := strings.Cut(what, ":"); ok {
			script, err = smtpscript.At(post.Phase(phase), smtpscript.Reply(reply)), nil
			if reply == "" {
				script = smtpscript.At(post.Phase(phase), smtpscript.Hang(smtpscript.EndClose))
			}
		}
		ts.Check(err)
		cfg.Script = script
	}
	s, err := smtpscript.Listen(cfg)
	ts.Check(err)
	ts.Defer(s.Close)
	_, port := s.HostPort()
	ts.Setenv(args[0], strconv.Itoa(port))
	servers.Store(port, s)
	if pem := s.CAPEM(); pem != nil {
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pem"), pem, 0o600))
	}
}

// servers by port; scripts run side by side.
var servers sync.Map

func serverAt(ts *testscript.TestScript, name string) *smtpscript.Server {
	port, err := strconv.Atoi(ts.Getenv(name))
	ts.Check(err)
	s, ok := servers.Load(port)
	if !ok {
		ts.Fatalf("there is no server %s", name)
	}
	found, ok := s.(*smtpscript.Server)
	if !ok {
		ts.Fatalf("%s is no server", name)
	}
	return found
}

// taken NAME N wants the server to have taken N messages, each recipient once.
func taken(ts *testscript.TestScript, neg bool, args []string) {
	s := serverAt(ts, args[0])
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	if got := s.Stats().Taken; (got == want) == neg {
		ts.Fatalf("%d messages taken, want %d\n%s", got, want, s.Transcript())
	}
	for address, n := range s.Taken() {
		if n != 1 {
			ts.Fatalf("%s got %d copies", address, n)
		}
	}
}

// connected NAME N waits until N whole messages have reached the server.
func connected(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ts.Check(serverAt(ts, args[0]).WaitFor(ctx, func(s smtpscript.Stats) bool { return s.Dots >= n }))
}

// ledger NAME puts a file of testdata in the place of the ledger.
func ledger(ts *testscript.TestScript, _ bool, args []string) {
	b, err := os.ReadFile(filepath.Join("testdata", args[0]))
	ts.Check(err)
	dir := ts.Getenv("POSTROOM_DATA")
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(os.WriteFile(filepath.Join(dir, storage.FileName), b, 0o600))
}

// crowd FILE N writes a sheet of N people.
func crowd(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var b strings.Builder
	b.WriteString("email,first_name\n")
	for i := range n {
		fmt.Fprintf(&b, "guest%d@example.com,Guest %d\n", i, i)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
}

// lock holds the mailer's lock of $POSTROOM_DATA until the script ends.
func lock(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := storage.TryLock(ts.Getenv("POSTROOM_DATA"))
	ts.Check(err)
	if l == nil {
		ts.Fatalf("the lock is taken")
	}
	ts.Defer(func() { _ = l.Unlock() })
}

// term sends SIGTERM to the commands in the background.
func term(ts *testscript.TestScript, _ bool, _ []string) {
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(syscall.SIGTERM))
	}
}

// logged TEXT N waits until the log holds TEXT N times.
func logged(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	name := filepath.Join(ts.Getenv("POSTROOM_DATA"), "logs", "postroom.log")
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-look.C {
		if b, err := os.ReadFile(name); err == nil && strings.Count(string(b), args[0]) >= want {
			return
		}
	}
	ts.Fatalf("the log does not say %q %d times", args[0], want)
}

// closedport NAME sets $NAME to a port of 127.0.0.1 on which nothing answers.
func closedPort(ts *testscript.TestScript, _ bool, args []string) {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	ts.Check(err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	ts.Check(err)
	ts.Setenv(args[0], port)
	ts.Check(l.Close())
}

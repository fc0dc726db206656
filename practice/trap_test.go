package practice

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startTrap(t *testing.T, o Options) *Trap {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "caught")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	trap, err := Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := trap.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return trap
}

func address(trap *Trap) string {
	a := trap.Account()
	return fmt.Sprintf("%s:%d", a.Host, a.Port)
}

func dial(t *testing.T, trap *Trap) *smtp.Client {
	t.Helper()
	c, err := smtp.Dial(address(trap))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func signIn(t *testing.T, trap *Trap) *smtp.Client {
	t.Helper()
	c := dial(t, trap)
	a := trap.Account()
	if err := c.Auth(sasl.NewPlainClient("", a.Login(), trap.Secret())); err != nil {
		t.Fatalf("sign-in: %v", err)
	}
	return c
}

// send returns the server's text to the dot.
func send(c *smtp.Client, msg string) (string, error) {
	if err := c.Mail("shop@example.com", nil); err != nil {
		return "", err
	}
	if err := c.Rcpt("anna@example.com", nil); err != nil {
		return "", err
	}
	w, err := c.Data()
	if err != nil {
		return "", err
	}
	if _, err := io.WriteString(w, msg); err != nil {
		return "", err
	}
	res, err := w.CloseWithResponse()
	if err != nil {
		return "", err
	}
	return res.StatusText, nil
}

func eml(id, body string) string {
	return "From: shop@example.com\r\nTo: anna@example.com\r\nMessage-ID: " + id + "\r\nSubject: x\r\n\r\n" + body
}

// wantCode checks that err is an SMTP refusal with that code and class of enhanced code.
func wantCode(t *testing.T, err error, code int, enhanced smtp.EnhancedCode) {
	t.Helper()
	var se *smtp.SMTPError
	if !errors.As(err, &se) {
		t.Fatalf("want an SMTP refusal %d, got %v", code, err)
	}
	if se.Code != code || se.EnhancedCode != enhanced {
		t.Fatalf("got %d %v %s, want %d %v", se.Code, se.EnhancedCode, se.Message, code, enhanced)
	}
}

// files lists everything below dir, relative to it.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, rerr := filepath.Rel(dir, path)
			names = append(names, rel)
			return rerr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestCatchKeepsEveryByte(t *testing.T) {
	trap := startTrap(t, Options{})
	c := signIn(t, trap)
	msg := eml("<m1.abc@example.com>", ".\r\n..dots\r\n.leading\r\nüñ 王\r\n\r\n. \r\nend\r\n")
	text, err := send(c, msg)
	if err != nil {
		t.Fatal(err)
	}
	path := Path(trap.Dir(), "<m1.abc@example.com>")
	if want := "2.0.0 caught as " + filepath.Base(path); text != want && "2.0.0 "+text != want {
		t.Errorf("answer %q, want %q", text, want)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != msg {
		t.Errorf("stored\n%q\nwant\n%q", got, msg)
	}
	if all := files(t, trap.Dir()); len(all) != 1 {
		t.Errorf("the folder holds %v", all)
	}
	if n := trap.Caught(); n != 1 {
		t.Errorf("Caught = %d", n)
	}
	if runtime.GOOS != "windows" {
		for p, want := range map[string]os.FileMode{path: 0o600, trap.Dir(): 0o700 | os.ModeDir} {
			fi, err := os.Stat(p)
			if err != nil || fi.Mode() != want {
				t.Errorf("%s: mode %v, %v; want %v", p, fi.Mode(), err, want)
			}
		}
	}
}

func TestExtensions(t *testing.T) {
	trap := startTrap(t, Options{})
	c := signIn(t, trap)
	for _, ext := range []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE", "ENHANCEDSTATUSCODES", "DSN"} {
		if ok, _ := c.Extension(ext); !ok {
			t.Errorf("%s is not offered", ext)
		}
	}
	if ok, mechs := c.Extension("AUTH"); !ok || mechs != "PLAIN" {
		t.Errorf("AUTH offers %q", mechs)
	}
	if ok, _ := c.Extension("STARTTLS"); ok {
		t.Error("STARTTLS is offered without a certificate")
	}
	if size, ok := c.MaxMessageSize(); !ok || size != MaxMessage {
		t.Errorf("SIZE %d", size)
	}
}

func TestAccount(t *testing.T) {
	trap, other := startTrap(t, Options{}), startTrap(t, Options{})
	a := trap.Account()
	if err := a.Check(); err != nil {
		t.Error(err)
	}
	if trap.Secret() == other.Secret() || len(trap.Secret()) < 20 {
		t.Error("the credential is not random per run")
	}
}

func TestSignInIsNeeded(t *testing.T) {
	var logged bytes.Buffer
	trap := startTrap(t, Options{Log: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})

	_, err := send(dial(t, trap), eml("<a@b>", "x"))
	wantCode(t, err, 530, smtp.EnhancedCode{5, 7, 0})

	wrong := []sasl.Client{
		sasl.NewPlainClient("", "practice", "guess"),
		sasl.NewPlainClient("", "root", trap.Secret()),
		sasl.NewPlainClient("root", "practice", trap.Secret()),
		sasl.NewPlainClient("", "practice", ""),
	}
	for i, cl := range wrong {
		c := dial(t, trap)
		wantCode(t, c.Auth(cl), 535, smtp.EnhancedCode{5, 7, 8})
		_, err := send(c, eml("<a@b>", "x"))
		wantCode(t, err, 530, smtp.EnhancedCode{5, 7, 0})
		if t.Failed() {
			t.Fatalf("credential %d", i)
		}
	}
	c := dial(t, trap)
	for range maxSignIns - 1 {
		wantCode(t, c.Auth(wrong[0]), 535, smtp.EnhancedCode{5, 7, 8})
	}
	if err := c.Auth(wrong[0]); err == nil || errors.As(err, new(*smtp.SMTPError)) {
		t.Errorf("after %d wrong sign-ins: %v, want a closed connection", maxSignIns, err)
	}
	if all := files(t, trap.Dir()); len(all) != 0 || trap.Caught() != 0 {
		t.Errorf("caught %v without a sign-in", all)
	}
	if err := trap.Close(); err != nil { // no writer is left
		t.Fatal(err)
	}
	if strings.Contains(logged.String(), trap.Secret()) || strings.Contains(logged.String(), "guess") {
		t.Error("a secret is in the log")
	}
}

func TestTwoConnectionsAtOnce(t *testing.T) {
	trap := startTrap(t, Options{})
	const each = 25
	var wg sync.WaitGroup
	for n := range 2 {
		c := signIn(t, trap)
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprintf("<%d.%d@x>", n, i)
				if i == each-1 {
					id = "<shared@x>"
				}
				if _, err := send(c, eml(id, strings.Repeat(id+"\r\n", 500))); err != nil {
					t.Errorf("%s: %v", id, err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(files(t, trap.Dir())); n != 2*each-1 {
		t.Errorf("%d files", n)
	}
	if f, _ := trap.Find("<shared@x>"); f.Copies != 2 {
		t.Errorf("shared: %+v", f)
	}
	if trap.Caught() != 2*each {
		t.Errorf("Caught = %d", trap.Caught())
	}
}

func TestTooLarge(t *testing.T) {
	trap := startTrap(t, Options{MaxMessage: 100_000})
	c := signIn(t, trap)
	// Announced: refused at MAIL.
	err := c.Mail("shop@example.com", &smtp.MailOptions{Size: 100_001})
	if err == nil {
		t.Fatal("an announced size over the limit was taken")
	}
	// Not announced: refused at the dot, and the connection lives on.
	_, err = send(c, eml("<big@x>", strings.Repeat("0123456789\r\n", 20_000)))
	wantCode(t, err, 552, smtp.EnhancedCode{5, 3, 4})
	if all := files(t, trap.Dir()); len(all) != 0 {
		t.Errorf("left behind: %v", all)
	}
	if _, err := send(c, eml("<small@x>", "x")); err != nil {
		t.Errorf("the next message: %v", err)
	}
}

// TestHugeMessage sends more than the real limit.
func TestHugeMessage(t *testing.T) {
	trap := startTrap(t, Options{})
	c := signIn(t, trap)
	line := strings.Repeat("x", 998) + "\r\n"
	_, err := send(c, eml("<huge@x>", strings.Repeat(line, MaxMessage/len(line)+1)))
	wantCode(t, err, 552, smtp.EnhancedCode{5, 3, 4})
	if all := files(t, trap.Dir()); len(all) != 0 {
		t.Errorf("left behind: %v", all)
	}
}

// TestCloseFinishesWhatArrives closes the trap while a message's content is on
// its way: that message is still answered, an idle connection ends at once.
func TestCloseFinishesWhatArrives(t *testing.T) {
	trap := startTrap(t, Options{})
	idle, c := signIn(t, trap), signIn(t, trap)
	if err := c.Mail("a@x", nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("b@x", nil); err != nil {
		t.Fatal(err)
	}
	reached := make(chan struct{})
	good := trap.store.create
	trap.store.create = func(n string) (file, error) { close(reached); return good(n) }
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	<-reached
	closed := make(chan error, 1)
	go func() { closed <- trap.Close() }()
	if err := idle.Noop(); err == nil { // blocks until the trap hangs up, or answers once more before it closes
		for idle.Noop() == nil {
		}
	}
	if _, err := io.WriteString(w, eml("<late@x>", "x")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.CloseWithResponse(); err != nil {
		t.Errorf("the message on its way: %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if all := files(t, trap.Dir()); len(all) != 1 || trap.Caught() != 1 {
		t.Errorf("the folder holds %v", all)
	}
	if _, err := net.Dial("tcp", address(trap)); err == nil {
		t.Error("still listening after Close")
	}
	if err := trap.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

func TestContextEndsTheTrap(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	trap, err := Start(ctx, Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-trap.closed
	if err := trap.Close(); err != nil {
		t.Error(err)
	}
}

func TestTooManyConnections(t *testing.T) {
	trap := startTrap(t, Options{})
	for range maxConnections {
		dial(t, trap)
	}
	nc, err := net.Dial("tcp", address(trap))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(nc).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "421 4.3.2 ") {
		t.Errorf("got %q, %v", line, err)
	}
}

// TestPipelined writes two whole envelopes ahead, as the mailer does.
func TestPipelined(t *testing.T) {
	trap := startTrap(t, Options{})
	nc, err := net.Dial("tcp", address(trap))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(nc)
	expect := func(prefixes ...string) {
		t.Helper()
		for _, p := range prefixes {
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					t.Fatalf("waiting for %s: %v", p, err)
				}
				if !strings.HasPrefix(line, p[:3]) {
					t.Fatalf("got %q, want %q", line, p)
				}
				if line[3] == ' ' {
					if !strings.HasPrefix(line, p) {
						t.Fatalf("got %q, want %q", line, p)
					}
					break
				}
			}
		}
	}
	write := func(s string) {
		t.Helper()
		if _, err := io.WriteString(nc, s); err != nil {
			t.Fatal(err)
		}
	}
	expect("220")
	write("EHLO me\r\n")
	expect("250")
	plain := base64.StdEncoding.EncodeToString([]byte("\x00practice\x00" + trap.Secret()))
	write("AUTH PLAIN " + plain + "\r\n")
	expect("235")
	envelope := "MAIL FROM:<a@x> SIZE=1000 BODY=8BITMIME RET=HDRS ENVID=d1\r\nRCPT TO:<b@x> NOTIFY=FAILURE\r\nDATA\r\n"
	write(envelope)
	expect("250", "250", "354")
	write(eml("<p1@x>", "x\r\n.\r\n") + envelope)
	expect("250 2.0.0 caught as p1-", "250", "250", "354")
	write(eml("<p2@x>", "x\r\n.\r\n") + "QUIT\r\n")
	expect("250 2.0.0 caught as p2-", "221")
}

func TestStartRefusals(t *testing.T) {
	occupied := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(occupied, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", occupied, filepath.Join(occupied, "below")} {
		if trap, err := Start(context.Background(), Options{Dir: dir}); err == nil {
			t.Errorf("Start took the folder %q", dir)
			_ = trap.Close()
		}
	}
}

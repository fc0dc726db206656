//go:build linux

package mailserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestDelivery sends one message through each door and reads both back with Python.
func TestDelivery(t *testing.T) {
	server := Start(t, Options{})
	attachment := []byte("\x00\x01 Rechnung \xff")
	sum := sha256.Sum256(attachment)
	for i, secure := range []bool{false, true} {
		client := dial(t, server, secure)
		signIn(t, client, smtp.PlainAuth("", server.User, server.Password, "localhost"))
		recipient := fmt.Sprintf("ann.%d@example.test", i)
		if err := send(client, server.User, []string{recipient}, sampleMessage(recipient, attachment)); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, server)
	mails := readMail(t, server.MailDir)
	if len(mails) != 2 {
		t.Fatalf("%d messages delivered, want 2: %+v", len(mails), mails)
	}
	for i, mail := range mails {
		want := mailJSON{
			Recipient: fmt.Sprintf("ann.%d@example.test", i),
			Subject:   "Grüße 你好", From: "Käthe <shop@example.test>", To: fmt.Sprintf("ann.%d@example.test", i),
			MessageID: fmt.Sprintf("<one.ann.%d@example.test>", i), Date: "2026-03-01T10:00:00+01:00",
			Text: "Guten Tag, Käthe.\n", HTML: "<p>Guten Tag</p>\n",
			Attachments: []attachmentJSON{{
				Name: "Räumung.bin", Type: "application/octet-stream", Size: len(attachment),
				SHA256: hex.EncodeToString(sum[:]), Disposition: "attachment",
			}},
			Defects: []string{}, Path: mail.Path,
		}
		if got, wanted := mustJSON(t, mail), mustJSON(t, want); got != wanted {
			t.Errorf("message %d:\n got %s\nwant %s", i, got, wanted)
		}
	}
	messages := server.Messages(t)
	if len(messages) != 2 || messages[0].Recipient != "ann.0@example.test" || messages[0].Sender != server.User {
		t.Errorf("Messages = %+v", messages)
	}
	if count, err := server.Count(); err != nil || count != 2 {
		t.Errorf("Count = %d, %v", count, err)
	}
}

// TestReadMailReportsDefects guards the reader itself: a broken message must not look sound.
func TestReadMailReportsDefects(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	broken := "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD*R\r\n"
	if err := os.WriteFile(filepath.Join(dir, "1"), []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	mails := readMail(t, filepath.Dir(dir))
	if len(mails) != 1 || len(mails[0].Defects) < 2 {
		t.Errorf("got %+v, want one message with an unclosed multipart and bad base64", mails)
	}
}

func TestSignIn(t *testing.T) {
	server := Start(t, Options{
		Users:      map[string]string{"bob@example.test": "bob's own"},
		Mechanisms: []string{"PLAIN", "CRAM-MD5", "SCRAM-SHA-256"},
	})
	for _, secure := range []bool{false, true} {
		client := dial(t, server, secure)
		err := client.Auth(smtp.PlainAuth("", server.User, "wrong", "localhost"))
		if code := replyCode(err); code != 535 {
			t.Errorf("wrong password: %v, want 535", err)
		}
		// Without sign-in nothing is taken.
		client = dial(t, server, secure)
		err = send(client, server.User, []string{"ann@example.test"}, []byte("Subject: x\r\n\r\nx\r\n"))
		if code := replyCode(err); code != 554 {
			t.Errorf("no sign-in: %v, want 554", err)
		}
	}
	client := dial(t, server, true)
	_, mechanisms := client.Extension("AUTH")
	if got := strings.Fields(mechanisms); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"CRAM-MD5", "PLAIN", "SCRAM-SHA-256"}) {
		t.Errorf("AUTH %v", got)
	}
	if _, size := client.Extension("SIZE"); size != "52428800" {
		t.Errorf("SIZE %s", size)
	}
	if ok, _ := client.Extension("SMTPUTF8"); !ok {
		t.Error("no SMTPUTF8")
	}
	signIn(t, client, smtp.CRAMMD5Auth("bob@example.test", "bob's own"))

	// Before TLS there is no sign-in.
	conn, err := net.Dial("tcp", server.SubmissionAddr)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if ok, _ := plain.Extension("AUTH"); ok {
		t.Error("AUTH is offered without TLS")
	}
}

// TestReplies provokes each refusal, changes them while the server runs, and has one message come back as a bounce.
func TestReplies(t *testing.T) {
	server := Start(t, Options{
		Replies: map[string]string{
			"gone@example.test": NoSuchUser, "full@example.test": MailboxFull, "grey@example.test": Greylisted,
		},
		BounceLater: map[string]string{"closed@example.test": "5.1.1 mailbox closed"},
	})
	try := func(recipient, want string) {
		t.Helper()
		client := dial(t, server, true)
		signIn(t, client, smtp.PlainAuth("", server.User, server.Password, "localhost"))
		err := send(client, server.User, []string{recipient}, []byte("Subject: to "+recipient+"\r\n\r\nx\r\n"))
		var reply *textproto.Error
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v, want it taken", recipient, err)
		case want != "" && (!errors.As(err, &reply) || !strings.HasPrefix(fmt.Sprint(reply.Code, " ", reply.Msg), want)):
			t.Errorf("%s: %v, want %s", recipient, err, want)
		}
	}
	try("gone@example.test", "550 5.1.1")
	try("full@example.test", "452 4.2.2")
	try("grey@example.test", "451 4.7.1")
	try("ann@elsewhere.test", "554 5.7.1")
	try("closed@example.test", "")
	if err := server.SetReplies(map[string]string{"full@example.test": NoSuchUser}); err != nil {
		t.Fatal(err)
	}
	try("grey@example.test", "")
	try("full@example.test", "550 5.1.1")
	if err := server.SetReplies(map[string]string{"two words@example.test": NoSuchUser}); err == nil {
		t.Error("a table key with a space was accepted")
	}

	settle(t, server)
	messages := server.Messages(t)
	if len(messages) != 2 {
		t.Fatalf("%d messages, want the one to grey and the bounce", len(messages))
	}
	bounce := messages[slices.IndexFunc(messages, func(m Delivered) bool { return m.Recipient == server.User })]
	for _, want := range []string{"multipart/report", "Status: 5.1.1", "Final-Recipient: rfc822; closed@example.test"} {
		if !bytes.Contains(bounce.Raw, []byte(want)) {
			t.Errorf("the bounce lacks %q:\n%s", want, bounce.Raw)
		}
	}
	if bounce.Sender != "" {
		t.Errorf("the bounce comes from %q", bounce.Sender)
	}
	for _, secure := range []bool{false, true} {
		if exists := imapExists(t, server, secure); exists != 1 {
			t.Errorf("IMAP shows %d messages, want the bounce", exists)
		}
	}
}

func TestLMTP(t *testing.T) {
	server := Start(t, Options{LMTP: true})
	client := dial(t, server, false)
	signIn(t, client, smtp.PlainAuth("", server.User, server.Password, "localhost"))
	recipients := []string{"ann@example.test", "bob@example.test", server.User}
	if err := send(client, server.User, recipients, []byte("Subject: x\r\n\r\nx\r\n")); err != nil {
		t.Fatal(err)
	}
	settle(t, server)
	var got []string
	for _, message := range server.Messages(t) {
		got = append(got, message.Recipient)
	}
	slices.Sort(got)
	if !slices.Equal(got, recipients) {
		t.Errorf("delivered to %v, want %v", got, recipients)
	}
}

func TestStopLeavesNothing(t *testing.T) {
	server, err := Launch(t.Context(), "", Options{})
	if errors.Is(err, ErrUnavailable) {
		Start(t, Options{}) // skips or fails by the one rule there is
	}
	if err != nil {
		t.Fatal(err)
	}
	client := dial(t, server, true) // a session in progress must not hold it up
	signIn(t, client, smtp.PlainAuth("", server.User, server.Password, "localhost"))
	running, err := server.Processes()
	if err != nil || len(running) < 5 {
		t.Errorf("processes %v (%v), want the keeper, both servers and their children", running, err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range running {
		// Ended processes whose parent ended, too, are init's to bury; a zombie holds nothing.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !bytes.Contains(stat, []byte(") Z ")) {
			t.Errorf("process %d still there: %s", pid, stat)
		}
	}
	for _, addr := range []string{server.SubmissionAddr, server.SMTPSAddr, server.IMAPAddr, server.IMAPSAddr} {
		if conn, err := net.Dial("tcp", addr); err == nil {
			_ = conn.Close()
			t.Errorf("%s still answers", addr)
		}
	}
	if _, err := os.Stat(server.MailDir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("folder still there: %v", err)
	}
	if err := server.Stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}

// TestLaunchInFolder keeps what was delivered, and lets settings of the test win over ours.
func TestLaunchInFolder(t *testing.T) {
	dir, err := os.MkdirTemp(shortTempDir(), "postroom-kept-") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if os.Geteuid() == 0 { // the new folder is closed to others
		if server, err := Launch(t.Context(), dir, Options{}); err == nil {
			t.Errorf("a closed folder was accepted; stopped: %v", server.Stop())
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	server, err := Launch(t.Context(), dir, Options{MainCF: []string{"message_size_limit = 4096"}})
	if errors.Is(err, ErrUnavailable) {
		Start(t, Options{}) // skips or fails by the one rule there is
	}
	if err != nil {
		t.Fatal(err)
	}
	client := dial(t, server, true)
	signIn(t, client, smtp.PlainAuth("", server.User, server.Password, "localhost"))
	sendErr := send(client, server.User, []string{"ann@example.test"}, []byte("Subject: x\r\n\r\nx\r\n"))
	settle(t, server)
	largeErr := send(client, server.User, []string{"ann@example.test"}, bytes.Repeat([]byte("x: 12345\r\n"), 1000))
	if err := errors.Join(sendErr, server.Stop()); err != nil {
		t.Fatal(err)
	}
	if code := replyCode(largeErr); code != 552 {
		t.Errorf("10 kB: %v, want 552", largeErr)
	}
	if messages := server.Messages(t); len(messages) != 1 {
		t.Errorf("%d messages kept, want 1", len(messages))
	}
}

// childHow tells a copy of the test program to start a server and then to end in that way.
const childHow = "POSTROOM_MAILSERVER_TEST_CHILD"

func TestMain(m *testing.M) {
	how := os.Getenv(childHow)
	if how == "" {
		os.Exit(m.Run())
	}
	if how == "exim" {
		e, err := launchExim(context.Background(), "PLAIN", "", nil)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(e.cmd.Process.Pid, e.run)
		select {}
	}
	server, err := Launch(context.Background(), "", Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(server.keeper.Process.Pid, server.run)
	if how == "panic" {
		go panic("as planned")
	}
	select {}
}

// TestCrashLeavesNothing starts a server in another process, which then panics or is killed.
func TestCrashLeavesNothing(t *testing.T) {
	Start(t, Options{}) // skips or fails by the one rule there is
	for _, how := range []string{"panic", "kill", "exim"} {
		t.Run(how, func(t *testing.T) {
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), childHow+"="+how)
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			var keeper int
			var run string
			_, scanErr := fmt.Fscan(out, &keeper, &run)
			if how != "panic" {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			if err := child.Wait(); err == nil {
				t.Error("the child ended well")
			}
			if scanErr != nil {
				t.Fatalf("the child did not start its server: %v", scanErr)
			}
			ctx, cancel := context.WithTimeout(t.Context(), stopTimeout)
			defer cancel()
			for {
				left, err := sessionMembers(keeper)
				if err != nil {
					t.Fatal(err)
				}
				if len(left) == 0 {
					break
				}
				select {
				case <-ctx.Done():
					t.Fatalf("processes %v left behind", left)
				case <-time.After(pollEvery):
				}
			}
			for _, err := os.Stat(run); !errors.Is(err, fs.ErrNotExist); _, err = os.Stat(run) {
				select {
				case <-ctx.Done():
					t.Fatalf("folder %s still there: %v", run, err)
				case <-time.After(pollEvery):
				}
			}
		})
	}
}

func TestOptionsRefused(t *testing.T) {
	for name, opt := range map[string]Options{
		"user without domain":      {User: "shop"},
		"colon in password":        {Password: "a:b"},
		"line break in a reply":    {Replies: map[string]string{"a@example.test": "550 a\nb"}},
		"reply without text":       {Replies: map[string]string{"a@example.test": " "}},
		"space in bounced address": {BounceLater: map[string]string{"a b@example.test": "5.1.1 x"}},
	} {
		if _, err := opt.complete(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

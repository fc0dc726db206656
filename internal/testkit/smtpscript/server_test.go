package smtpscript_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/smtp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postroom/internal/testkit/smtpscript"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOffersAndObeysWhatItOffers(t *testing.T) {
	s := smtpscript.Start(t, smtpscript.Config{User: "u", Password: "p", Without: []string{"dsn"}, With: []string{"LIMITS MAILMAX=100"}})
	c := dial(t, s)
	c.expect("220 mail.example ESMTP")
	c.send("EHLO x\r\n")
	want := "250-mail.example|250-PIPELINING|250-SIZE 52428800|250-AUTH PLAIN LOGIN|250-8BITMIME|250-SMTPUTF8|250-ENHANCEDSTATUSCODES|250 LIMITS MAILMAX=100"
	if got := c.reply(); got != want {
		t.Errorf("EHLO:\n got %s\nwant %s", got, want)
	}
	auth := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00u\x00p")) + "\r\n"
	for _, step := range []struct{ send, want string }{
		{"MAIL FROM:<a@b.example>\r\n", "530 5.7.0"},
		{auth, "235 2.7.0"},
		{auth, "503 5.5.1"},
		{"RCPT TO:<a@b.example>\r\n", "503 5.5.1"},
		{"MAIL FROM:a@b.example\r\n", "501 5.5.4"},
		{"MAIL FROM:<a b@c.example>\r\n", "501 5.5.4"},
		{"MAIL FROM:<a@b.example> RET=HDRS\r\n", "555 5.5.4"},
		{"MAIL FROM:<a@b.example> SIZE=99999999999\r\n", "552 5.3.4"},
		{"MAIL FROM:<ä@b.example>\r\n", "553 5.6.7"},
		{"MAIL FROM:<ä@b.example> SMTPUTF8 SIZE=10 BODY=8BITMIME\r\n", "250 2.1.0"},
		{"MAIL FROM:<a@b.example>\r\n", "503 5.5.1"},
		{"DATA\r\n", "554 5.5.1"},
		{"RCPT TO:<>\r\n", "501 5.5.4"},
		{"RCPT TO:<a@b.example> NOTIFY=NEVER\r\n", "555 5.5.4"},
		{"RCPT TO:<\"odd > one\"@b.example>\r\n", "250 2.1.5"},
		{"RSET\r\n", "250 2.0.0"},
		{"RCPT TO:<a@b.example>\r\n", "503 5.5.1"},
		{"BDAT 3 LAST\r\n", "500 5.5.1"},
		{"STARTTLS\r\n", "502 5.5.1"},
		{"NOOP\r\n", "250 2.0.0"},
		{"VRFY a\r\n", "252 2.5.0"},
		{"NOOP " + strings.Repeat("x", 3000) + "\r\n", "500 5.5.6"},
		{strings.Repeat("x", 70_000) + "\r\n", "500 5.5.6"},
		{"QUIT\r\n", "221 2.0.0"},
	} {
		c.send(step.send)
		if got := c.reply(); !strings.HasPrefix(got, step.want) {
			t.Errorf("%.60q: %s, want %s", step.send, got, step.want)
		}
	}
	if got := c.reply(); got != "EOF" {
		t.Errorf("after QUIT: %s", got)
	}
}

// A body may arrive in any pieces; what is kept is what was meant.
func TestBodyInAnyPieces(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	s := smtpscript.Start(t, smtpscript.Config{})
	c := dial(t, s)
	c.hello()
	pieces := []string{".", "\r\n", "\n", "\r", "a", "..", "\r\n.", "\n.\n", "\n.\r\n", strings.Repeat("long ", 5000)}
	var want []string
	for i := range 300 {
		var lines []string
		for range r.IntN(5) {
			var b strings.Builder
			for range r.IntN(4) {
				b.WriteString(pieces[r.IntN(len(pieces))])
			}
			lines = append(lines, b.String())
		}
		body := "Message-ID:\r\n <m" + fmt.Sprint(i) + "@x>\r\n\r\n" + strings.Join(lines, "\r\n") + "\r\n"
		if i%10 == 0 {
			body = "" // a lone dot
		}
		want = append(want, body)
		stuffed := strings.ReplaceAll("\r\n"+body, "\r\n.", "\r\n..")[2:] + ".\r\n"
		c.send(envelope("r@example.net"))
		c.expect("250", "250", "354")
		for len(stuffed) > 0 {
			n := min(len(stuffed), 1+r.IntN(6))
			if len(stuffed) > 50 && r.IntN(3) > 0 {
				n = 1 + r.IntN(len(stuffed))
			}
			c.send(stuffed[:n])
			stuffed = stuffed[n:]
		}
		c.expect("250 2.0.0 Ok: queued as Q")
	}
	got := s.Messages()
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i, m := range got {
		if string(m.Data) != want[i] || m.Sum != sha256.Sum256([]byte(want[i])) || m.Size != int64(len(want[i])) {
			t.Fatalf("message %d:\n got %.300q\nwant %.300q", i, m.Data, want[i])
		}
		if id := fmt.Sprintf("<m%d@x>", i); want[i] != "" && m.MessageID != id {
			t.Errorf("message %d: Message-ID %q", i, m.MessageID)
		}
	}
	if n := s.Taken()["r@example.net"]; n != len(want) {
		t.Errorf("taken %d", n)
	}
}

func TestOneFlightPerPipelinedMessage(t *testing.T) {
	const n = 200
	body := "Subject: x\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 300)
	for _, mode := range []smtpscript.Mode{smtpscript.Plain, smtpscript.ImplicitTLS} {
		s := smtpscript.Start(t, smtpscript.Config{Mode: mode, Keep: smtpscript.KeepHash})
		c := dial(t, s)
		if mode == smtpscript.ImplicitTLS {
			c = c.startTLS(s)
		}
		c.hello()
		before := s.Stats().Flights
		c.send(envelope("r0@example.net"))
		c.expect("250 2.1.0", "250 2.1.5", "354")
		for i := 1; i < n; i++ {
			c.send(body + ".\r\n" + envelope(fmt.Sprintf("r%d@example.net", i)))
			c.expect("250 2.0.0", "250 2.1.0", "250 2.1.5", "354")
		}
		c.send(body + ".\r\nQUIT\r\n")
		c.expect("250 2.0.0", "221")
		st := s.Stats()
		if per := float64(st.Flights-before) / n; per > 1.01 {
			t.Errorf("%.3f flights a message", per)
		}
		if st.Taken != n || len(s.Taken()) != n || st.Violations != 0 {
			t.Errorf("%+v %v", st, s.Conns()[0].Violations)
		}
		if got := s.Conns()[0]; got.Messages != n || got.Commands != 3*n+2 || got.Flights != st.Flights {
			t.Errorf("connection: %d messages, %d commands, %d flights", got.Messages, got.Commands, got.Flights)
		}
	}
}

func TestLockStepCostsFourFlights(t *testing.T) {
	s := smtpscript.Start(t, smtpscript.Config{})
	c := dial(t, s)
	c.hello()
	before := s.Stats().Flights
	for range 10 {
		for _, line := range []string{"MAIL FROM:<a@b.example>\r\n", "RCPT TO:<c@d.example>\r\n", "DATA\r\n", "x\r\n.\r\n"} {
			c.send(line)
			c.reply()
		}
	}
	if got := s.Stats().Flights - before; got != 40 {
		t.Errorf("%d flights, want 40", got)
	}
}

func TestSeesWhatTheClientDoesWrong(t *testing.T) {
	for _, test := range []struct {
		name, send, want string
		replies          int
		cfg              smtpscript.Config
	}{
		{"bare LF", "NOOP\n", "command ends in a bare LF", 1, smtpscript.Config{}},
		{"behind EHLO", "EHLO x\r\nNOOP\r\n", "input behind EHLO", 2, smtpscript.Config{}},
		{"not offered", envelope("a@b.example"), "pipelining that was not offered", 3, smtpscript.Config{Without: []string{"PIPELINING"}}},
		{"before 354", envelope("a@b.example") + "x\r\n.\r\n", "spoke before the reply to DATA", 4, smtpscript.Config{}},
		{"behind STARTTLS", "STARTTLS\r\nNOOP\r\n", "plain text behind STARTTLS", 1, smtpscript.Config{Mode: smtpscript.STARTTLS, AuthInClear: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := smtpscript.Start(t, test.cfg)
			c := dial(t, s)
			c.hello()
			c.send(test.send)
			for range test.replies {
				c.reply()
			}
			wait(t, s, "violation", func(st smtpscript.Stats) bool { return st.Violations > 0 })
			if got := s.Conns()[0].Violations; !slices.Contains(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestSignIn(t *testing.T) {
	s := smtpscript.Start(t, smtpscript.Config{
		User: "anna", Password: "geheim", Mechanisms: []string{"PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2"},
	})
	b64 := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, test := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"plain", []string{"AUTH PLAIN " + b64("\x00anna\x00geheim")}, "235"},
		{"plain in two", []string{"AUTH PLAIN", b64("\x00anna\x00geheim")}, "235"},
		{"plain wrong", []string{"AUTH PLAIN " + b64("\x00anna\x00other")}, "535 5.7.8"},
		{"plain given up", []string{"AUTH PLAIN", "*"}, "535 5.7.8"},
		{"login", []string{"AUTH LOGIN", b64("anna"), b64("geheim")}, "235"},
		{"login wrong", []string{"auth login " + b64("anna"), b64("x")}, "535 5.7.8"},
		{"xoauth2", []string{"AUTH XOAUTH2 " + b64("user=anna\x01auth=Bearer geheim\x01\x01")}, "235"},
		{"xoauth2 wrong", []string{"AUTH XOAUTH2 " + b64("user=anna\x01auth=Bearer old\x01\x01"), ""}, "535 5.7.8"},
		{"unknown", []string{"AUTH GSSAPI"}, "504"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := dial(t, s)
			c.hello()
			for i, line := range test.lines {
				if i > 0 {
					c.expect("334 ")
				}
				c.send(line + "\r\n")
			}
			c.expect(test.want)
		})
	}
	t.Run("cram-md5", func(t *testing.T) {
		conn := dial(t, s)
		c, err := smtp.NewClient(conn.conn, "localhost")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Auth(smtp.CRAMMD5Auth("anna", "geheim")); err != nil {
			t.Error(err)
		}
	})
	if st := s.Stats(); st.SignIns != 5 || st.SignInFailures != 5 {
		t.Errorf("%d sign-ins, %d failures", st.SignIns, st.SignInFailures)
	}
	for _, secret := range []string{"geheim", b64("geheim"), b64("\x00anna\x00geheim")} {
		if strings.Contains(s.Transcript(), secret) {
			t.Errorf("the transcript holds the secret:\n%s", s.Transcript())
		}
	}
}

// Go's own client, over STARTTLS: a second opinion on the default behaviour.
func TestNetSMTP(t *testing.T) {
	s := smtpscript.Start(t, smtpscript.Config{Mode: smtpscript.STARTTLS, User: "anna", Password: "geheim"})
	c, err := smtp.Dial(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if ok, _ := c.Extension("AUTH"); ok {
		t.Error("AUTH offered in the clear")
	}
	if err := c.StartTLS(&tls.Config{RootCAs: s.Pool(), ServerName: "localhost"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Auth(smtp.PlainAuth("", "anna", "geheim", "127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	if err := c.Mail("shop@example.org"); err != nil {
		t.Fatal(err)
	}
	for _, rcpt := range []string{"one@example.net", "two@example.net"} {
		if err := c.Rcpt(rcpt); err != nil {
			t.Fatal(err)
		}
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("Subject: x\n\n.dot\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	m := s.Messages()[0]
	if string(m.Data) != "Subject: x\r\n\r\n.dot\r\n" || !m.TLS || m.User != "anna" || len(m.To) != 2 || m.FromParams != "BODY=8BITMIME SMTPUTF8" {
		t.Errorf("%+v", m)
	}
	if got := s.Taken(); len(got) != 2 || got["two@example.net"] != 1 {
		t.Errorf("taken %v", got)
	}
}

func TestCountsConnectionsAndComesBack(t *testing.T) {
	s := smtpscript.Start(t, smtpscript.Config{})
	for range 3 {
		c := dial(t, s)
		c.hello()
	}
	if st := s.Stats(); st.Open != 3 || st.MaxOpen != 3 || st.Connections != 3 {
		t.Errorf("%+v", st)
	}
	c := dial(t, s)
	c.hello()
	s.Down()
	if got := c.reply(); got != "RST" {
		t.Errorf("open connection saw %s", got)
	}
	if conn, err := net.Dial("tcp", s.Addr()); err == nil {
		_ = conn.Close()
		t.Error("connected while down")
	}
	wait(t, s, "all closed", func(st smtpscript.Stats) bool { return st.Open == 0 })
	addr := s.Addr()
	if err := s.Up(); err != nil {
		t.Fatal(err)
	}
	if s.Addr() != addr {
		t.Errorf("came back at %s, was %s", s.Addr(), addr)
	}
	dial(t, s).hello()
}

func TestWaitForEnds(t *testing.T) {
	s := smtpscript.Start(t, smtpscript.Config{})
	never := func(smtpscript.Stats) bool { return false }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.WaitFor(ctx, never); err == nil {
		t.Error("no error from a cancelled wait")
	}
	failed := make(chan error, 1)
	go func() { failed <- s.WaitFor(context.Background(), never) }()
	s.Close()
	select {
	case err := <-failed:
		if err == nil {
			t.Error("no error from a closed server")
		}
	case <-time.After(patience):
		t.Error("WaitFor outlived the server")
	}
}

func TestKeepsAsMuchAsAsked(t *testing.T) {
	for keep, check := range map[smtpscript.Keep]func([]smtpscript.Message) bool{
		smtpscript.KeepRaw:   func(m []smtpscript.Message) bool { return len(m) == 1 && bytes.Contains(m[0].Data, []byte("hi")) },
		smtpscript.KeepHash:  func(m []smtpscript.Message) bool { return len(m) == 1 && m[0].Data == nil && m[0].MessageID == "<1@x>" },
		smtpscript.KeepCount: func(m []smtpscript.Message) bool { return len(m) == 0 },
	} {
		var seen []string
		s := smtpscript.Start(t, smtpscript.Config{Keep: keep, OnTaken: func(m smtpscript.Message) { seen = append(seen, m.To...) }})
		c := dial(t, s)
		c.hello()
		c.send(envelope("a@b.example"))
		c.expect("250", "250", "354")
		c.send("message-id: <1@x>\r\n\r\nhi\r\n.\r\n")
		c.expect("250")
		if !check(s.Messages()) || s.Taken()["a@b.example"] != 1 || len(seen) != 1 {
			t.Errorf("keep %d: %+v, told %v", keep, s.Messages(), seen)
		}
	}
}

// Many connections at once: the counts agree.
func TestManyConnectionsAtOnce(t *testing.T) {
	const conns, each = 20, 50
	s := smtpscript.Start(t, smtpscript.Config{Keep: smtpscript.KeepHash, Script: func(smtpscript.Event) smtpscript.Action { return smtpscript.Action{} }})
	done := make(chan error, conns)
	for n := range conns {
		c := dial(t, s)
		go func() {
			text := "EHLO x\r\n"
			for i := range each {
				text += envelope(fmt.Sprintf("r%d-%d@example.net", n, i))
				if _, err := io.WriteString(c.conn, text); err != nil {
					done <- err
					return
				}
				for got := ""; !strings.HasPrefix(got, "354"); got = c.reply() {
					if strings.Contains(got, "RST") || strings.Contains(got, "EOF") {
						done <- fmt.Errorf("connection %d: %s", n, got)
						return
					}
				}
				text = "x\r\n.\r\n"
			}
			_, err := io.WriteString(c.conn, text+"QUIT\r\n")
			done <- err
		}()
	}
	for range conns {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	wait(t, s, "all taken and closed", func(st smtpscript.Stats) bool { return st.Taken == conns*each && st.Open == 0 })
	taken := s.Taken()
	for rcpt, n := range taken {
		if n != 1 {
			t.Errorf("%s: %d", rcpt, n)
		}
	}
	st := s.Stats()
	if len(taken) != conns*each || st.MaxOpen != conns || st.ByVerb["MAIL"] != conns*each || len(s.Messages()) != conns*each {
		t.Errorf("%d recipients, %+v", len(taken), st)
	}
}

// Whatever a client sends, the server neither panics nor hangs on to it.
func FuzzAnyInput(f *testing.F) {
	f.Add([]byte("EHLO x\r\nMAIL FROM:<a@b.c> SIZE=1\r\nRCPT TO:<\"q\\\">\"@x> NOTIFY=NEVER\r\nDATA\r\n..x\r\n.\r\nQUIT\r\n"), byte(0))
	f.Add([]byte("EHLO x\r\nAUTH LOGIN\r\n*\r\nAUTH\r\nAUTH PLAIN =\r\nSTARTTLS\r\nx"), byte(3))
	f.Add([]byte("DATA\n\n\r\n.\r\n \x00\xff\r\n"), byte(15))
	f.Fuzz(func(t *testing.T, input []byte, flags byte) {
		cfg := smtpscript.Config{Memory: true, Break: smtpscript.Breakage(flags & 15)}
		if flags&16 != 0 {
			cfg.User, cfg.Password = "u", "p"
		}
		s, err := smtpscript.Listen(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		conn := s.Pipe()
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			_, _ = io.Copy(io.Discard, conn) // ends by the close below
		}()
		_, _ = conn.Write(input) // the server may have hung up at a QUIT
		_ = conn.Close()
		<-drained
		wait(t, s, "the session's end", func(st smtpscript.Stats) bool { return st.Open == 0 })
	})
}

package accounts

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/post"
)

// imapServer takes one sign-in after the other and notes all that it was sent
// outside of TLS.
type imapServer struct {
	addr string
	mu   sync.Mutex
	open strings.Builder // what came in the clear
	all  strings.Builder
}

// imapRules is how an imapServer behaves.
type imapRules struct {
	implicit *tls.Config
	starttls *tls.Config
	inject   bool   // sends more with the answer to STARTTLS
	preauth  bool   // greets as signed in already
	signIn   string // its answer to a sign-in
	more     string // what else it can do
	search   string // what it finds, {tag} for the command's; empty: it says nothing from then on
}

func newIMAP(t *testing.T, rules imapRules) *imapServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &imapServer{addr: ln.Addr().String()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.serve(c, rules)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	return s
}

func (s *imapServer) note(line string, secure bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.WriteString(line)
	if !secure {
		s.open.WriteString(line)
	}
}

func (s *imapServer) heard() (open, all string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open.String(), s.all.String()
}

func (s *imapServer) serve(c net.Conn, rules imapRules) {
	secure := rules.implicit != nil
	if secure {
		c = tls.Server(c, rules.implicit)
	}
	say := func(text string) bool {
		_, err := c.Write([]byte(text + "\r\n"))
		return err == nil
	}
	greeting := "* OK ready"
	if rules.preauth {
		greeting = "* PREAUTH welcome"
	}
	if !say(greeting) {
		return
	}
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		s.note(line, secure)
		tag, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, _, _ := strings.Cut(strings.ToUpper(rest), " ")
		switch name {
		case "CAPABILITY":
			say("* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN STARTTLS" + rules.more + "\r\n" + tag + " OK done")
		case "EXAMINE":
			say("* 1 EXISTS\r\n" + tag + " OK [READ-ONLY] done")
		case "UID":
			if rules.search != "" && say(strings.ReplaceAll(rules.search, "{tag}", tag)) {
				say(tag + " OK done")
			}
		case "STARTTLS":
			if rules.starttls == nil {
				say(tag + " BAD unknown command")
				continue
			}
			more := ""
			if rules.inject {
				more = "\r\n* OK injected"
			}
			say(tag + " OK go on" + more)
			c, secure = tls.Server(c, rules.starttls), true
			r = bufio.NewReader(c)
		case "AUTHENTICATE", "LOGIN":
			say(tag + " " + rules.signIn)
		case "LOGOUT":
			say("* BYE\r\n" + tag + " OK done")
			return
		default:
			say(tag + " BAD unknown command")
		}
	}
}

func mailboxAccount(addr string, mode post.TLS, ca []byte) post.Account {
	host, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port)
	return post.Account{
		Name: "shop", Email: "shop@example.test", Host: "smtp.example.test", Port: 465, TLS: post.TLSImplicit, Auth: post.AuthAuto, Secret: post.SecretKeyring,
		IMAPHost: host, IMAPPort: n, IMAPTLS: mode, CA: ca,
	}
}

// TestDialMailbox: the rules of sending hold for reading too: no password goes
// out before TLS is verified, and nothing falls back.
func TestDialMailbox(t *testing.T) {
	authority, other := newAuthority(t), newAuthority(t)
	good := &tls.Config{Certificates: []tls.Certificate{authority.issue("127.0.0.1", time.Now().Add(time.Hour))}, MinVersion: tls.VersionTLS12}
	const secret = "correct horse"
	for name, c := range map[string]struct {
		rules imapRules
		mode  post.TLS
		ca    []byte
		phase post.Phase // empty: it works
		cause post.Cause
	}{
		"tls":                    {imapRules{implicit: good, signIn: "OK in"}, post.TLSImplicit, authority.pem, "", ""},
		"starttls":               {imapRules{starttls: good, signIn: "OK in"}, post.TLSStartTLS, authority.pem, "", ""},
		"this computer":          {imapRules{signIn: "OK in"}, post.TLSNone, nil, "", ""},
		"unknown authority":      {imapRules{implicit: good, signIn: "OK in"}, post.TLSImplicit, other.pem, post.PhaseTLS, post.CauseCertificate},
		"unknown, starttls":      {imapRules{starttls: good, signIn: "OK in"}, post.TLSStartTLS, other.pem, post.PhaseTLS, post.CauseCertificate},
		"starttls refused":       {imapRules{signIn: "OK in"}, post.TLSStartTLS, authority.pem, post.PhaseSTARTTLS, post.CauseNoTLS},
		"injected":               {imapRules{starttls: good, inject: true, signIn: "OK in"}, post.TLSStartTLS, authority.pem, post.PhaseTLS, ""},
		"preauth before tls":     {imapRules{starttls: good, preauth: true, signIn: "OK in"}, post.TLSStartTLS, authority.pem, post.PhaseTLS, ""},
		"no tls where it is due": {imapRules{signIn: "OK in"}, post.TLSImplicit, authority.pem, post.PhaseTLS, ""},
		"wrong password":         {imapRules{implicit: good, signIn: "NO [AUTHENTICATIONFAILED] not with " + secret}, post.TLSImplicit, authority.pem, post.PhaseAuth, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newIMAP(t, c.rules)
			d := &Dialer{Secrets: planted(secret)}
			m, err := d.DialMailbox(t.Context(), mailboxAccount(s.addr, c.mode, c.ca))
			if err == nil {
				m.Close()
			}
			var fault *post.Fault
			switch {
			case c.phase == "":
				if err != nil {
					t.Fatal(err)
				}
			case !errors.As(err, &fault):
				t.Fatalf("it worked, or %v", err)
			case fault.Phase != c.phase || c.cause != "" && fault.Cause != c.cause:
				t.Errorf("%s, %s: %v", fault.Phase, fault.Cause, fault)
			case strings.Contains(fault.Error(), secret):
				t.Error("the fault tells the password")
			}
			open, all := s.heard()
			if c.mode != post.TLSNone && (strings.Contains(open, "AUTHENTICATE") || strings.Contains(open, "LOGIN ")) {
				t.Errorf("a sign-in in the clear: %s", open)
			}
			if signedIn := strings.Contains(all, "AUTHENTICATE"); signedIn != (c.phase == "" || c.phase == post.PhaseAuth) {
				t.Errorf("signed in: %v", signedIn)
			}
		})
	}
}

// Plain text goes to this computer only, whatever its name resolves to.
func TestDialMailboxPlainOnlyHere(t *testing.T) {
	d := &Dialer{Secrets: planted("x"), DialContext: func(context.Context, string, string) (net.Conn, error) {
		t.Error("something was dialled")
		return nil, net.ErrClosed
	}}
	a := mailboxAccount("192.0.2.1:143", post.TLSNone, nil)
	_, err := d.DialMailbox(t.Context(), a)
	var fault *post.Fault
	if !errors.As(err, &fault) || fault.Cause != post.CauseNotLoopback {
		t.Errorf("%v", err)
	}
}

// Wrong passwords are not tried on and on.
func TestDialMailboxIsGuarded(t *testing.T) {
	s := newIMAP(t, imapRules{signIn: "NO [AUTHENTICATIONFAILED] wrong"})
	d := &Dialer{Secrets: planted("x")}
	for range 8 {
		if m, err := d.DialMailbox(t.Context(), mailboxAccount(s.addr, post.TLSNone, nil)); err == nil {
			m.Close()
			t.Fatal("it worked")
		}
	}
	if _, all := s.heard(); strings.Count(all, "AUTHENTICATE") != maxFailedSignIns {
		t.Errorf("%d sign-ins", strings.Count(all, "AUTHENTICATE"))
	}
}

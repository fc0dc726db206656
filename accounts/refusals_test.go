package accounts

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"postroom/post"
)

type outcome struct {
	phase  post.Phase
	cause  post.Cause
	code   int
	detail string // part of Fault.Error
}

// TestDialFailures: each way a sign-in can fail gives its own phase and cause,
// the connection is closed, and the secret is nowhere in what is shown.
func TestDialFailures(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	hour := time.Now().Add(time.Hour)
	good, expired := ca.issue("mail.test", hour), ca.issue("mail.test", time.Now().Add(-time.Hour))
	wrongName, unknown := ca.issue("other.test", hour), other.issue("mail.test", hour)
	commonName, early := ca.issueCommonName("mail.test", hour), ca.issueFrom("mail.test", time.Now().Add(30*time.Minute), hour)
	b64 := base64.StdEncoding.EncodeToString([]byte(secretForTests))

	for _, c := range []struct {
		name   string
		mode   post.TLS
		auth   post.Auth
		script func(c *talk)
		want   outcome
	}{
		{"421 greeting", post.TLSStartTLS, "", func(c *talk) { c.say("421 4.3.2 too busy\r\n"); c.hangUp() }, outcome{post.PhaseGreeting, "", 421, "421 4.3.2 too busy"}},
		{"554 greeting", post.TLSStartTLS, "", func(c *talk) { c.say("554 no service\r\n"); c.hear("QUIT"); c.say("221 bye\r\n") }, outcome{post.PhaseGreeting, "", 554, "no service"}},
		{"554 greeting, no answer to QUIT", post.TLSStartTLS, "", func(c *talk) { c.say("554 no service\r\n"); c.hear("QUIT") }, outcome{post.PhaseGreeting, "", 554, ""}},
		{"garbage greeting", post.TLSStartTLS, "", func(c *talk) { c.say("SSH-2.0-OpenSSH_9.9\r\n") }, outcome{post.PhaseGreeting, post.CauseProtocol, 0, "SSH-2.0"}},
		{"250 greeting", post.TLSStartTLS, "", func(c *talk) { c.say("250 hi\r\n") }, outcome{post.PhaseGreeting, post.CauseProtocol, 0, "250 hi"}},
		{"EOF instead of greeting", post.TLSStartTLS, "", func(c *talk) { c.hangUp() }, outcome{post.PhaseGreeting, post.CauseEOF, 0, "hung up"}},
		{"reset at EHLO", post.TLSStartTLS, "", func(c *talk) { c.say("220 hi\r\n"); c.hear("EHLO"); c.reset() }, outcome{post.PhaseEHLO, post.CauseReset, 0, ""}},
		{"endless greeting", post.TLSStartTLS, "", func(c *talk) {
			for range 200_000 {
				if _, err := io.WriteString(c, "220-more\r\n"); err != nil {
					return
				}
			}
		}, outcome{post.PhaseGreeting, post.CauseTooLong, 0, "too long"}},
		{"two greetings", post.TLSStartTLS, "", func(c *talk) { c.say("220 one\r\n220 two\r\n") }, outcome{post.PhaseEHLO, post.CauseProtocol, 0, "before it was asked"}},
		{"EHLO 500", post.TLSStartTLS, "", func(c *talk) { c.say("220 hi\r\n"); c.hear("EHLO"); c.say("500 what?\r\n"); c.hear("QUIT") }, outcome{post.PhaseEHLO, "", 500, "what?"}},
		{"EHLO 421", post.TLSStartTLS, "", func(c *talk) { c.say("220 hi\r\n"); c.hear("EHLO"); c.say("421 later\r\n") }, outcome{post.PhaseEHLO, "", 421, ""}},
		{"EHLO 354", post.TLSStartTLS, "", func(c *talk) { c.say("220 hi\r\n"); c.hear("EHLO"); c.say("354 go\r\n") }, outcome{post.PhaseEHLO, post.CauseProtocol, 0, ""}},
		{"EOF at EHLO", post.TLSStartTLS, "", func(c *talk) { c.say("220 hi\r\n"); c.hear("EHLO"); c.hangUp() }, outcome{post.PhaseEHLO, post.CauseEOF, 0, ""}},
		{"EHLO with two codes", post.TLSStartTLS, "", func(c *talk) { c.say("220 hi\r\n"); c.hear("EHLO"); c.say("250-a\r\n550 b\r\n") }, outcome{post.PhaseEHLO, post.CauseProtocol, 0, "two codes"}},
		{"STARTTLS stripped", post.TLSStartTLS, "", func(c *talk) { c.say("220 hi\r\n"); c.hello("AUTH PLAIN LOGIN"); c.hear("QUIT"); c.say("221 bye\r\n") }, outcome{post.PhaseSTARTTLS, post.CauseNoTLS, 0, "STARTTLS not offered"}},
		{"STARTTLS 502", post.TLSStartTLS, "", func(c *talk) {
			c.say("220 hi\r\n")
			c.hello("starttls")
			c.hear("STARTTLS")
			c.say("502 no\r\n")
			c.hear("QUIT")
		}, outcome{post.PhaseSTARTTLS, post.CauseNoTLS, 502, ""}},
		{"STARTTLS 454", post.TLSStartTLS, "", func(c *talk) {
			c.say("220 hi\r\n")
			c.hello("STARTTLS")
			c.hear("STARTTLS")
			c.say("454 4.7.0 not now\r\n")
		}, outcome{post.PhaseSTARTTLS, "", 454, ""}},
		{"injected", post.TLSStartTLS, "", func(c *talk) {
			c.say("220 hi\r\n")
			c.hello("STARTTLS")
			c.hear("STARTTLS")
			c.say("220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n")
		}, outcome{post.PhaseSTARTTLS, post.CauseInjected, 0, ""}},
		{"EOF at STARTTLS", post.TLSStartTLS, "", func(c *talk) { c.say("220 hi\r\n"); c.hello("STARTTLS"); c.hear("STARTTLS"); c.hangUp() }, outcome{post.PhaseSTARTTLS, post.CauseEOF, 0, ""}},
		{"EOF in the handshake", post.TLSStartTLS, "", func(c *talk) {
			c.say("220 hi\r\n")
			c.hello("STARTTLS")
			c.hear("STARTTLS")
			c.say("220 go\r\n")
			_, _ = c.r.ReadByte()
			_, _ = io.CopyN(io.Discard, c.r, int64(c.r.Buffered()))
			c.hangUp()
		}, outcome{post.PhaseTLS, post.CauseEOF, 0, ""}},
		{"reset in the handshake", post.TLSImplicit, "", func(c *talk) { _, _ = c.r.ReadByte(); c.reset() }, outcome{post.PhaseTLS, post.CauseReset, 0, ""}},
		{"plain text where TLS should be", post.TLSImplicit, "", func(c *talk) { c.say("220 mx.test ESMTP\r\n") }, outcome{post.PhaseTLS, post.CauseTLS, 0, "does not speak TLS"}},
		{"alert", post.TLSImplicit, "", func(c *talk) { c.say("\x15\x03\x01\x00\x02\x02\x28") }, outcome{post.PhaseTLS, post.CauseTLS, 0, ""}},
		{"TLS 1.1", post.TLSImplicit, "", func(c *talk) {
			s := tls.Server(c.Conn, &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}) // what is to be refused
			_ = s.Handshake()
		}, outcome{post.PhaseTLS, post.CauseTLS, 0, ""}},
		{"unknown authority", post.TLSImplicit, "", func(c *talk) { c.secure(unknown) }, outcome{post.PhaseTLS, post.CauseCertificate, 0, "certificate signed by unknown authority"}},
		{"wrong name", post.TLSImplicit, "", func(c *talk) { c.secure(wrongName) }, outcome{post.PhaseTLS, post.CauseCertificate, 0, "certificate is valid for other.test, not mail.test"}},
		{"TLS 1.1 under STARTTLS", post.TLSStartTLS, "", func(c *talk) {
			c.say("220 hi\r\n")
			c.hello("STARTTLS", "AUTH PLAIN")
			c.hear("STARTTLS")
			c.say("220 go\r\n")
			s := tls.Server(c.Conn, &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}) // what is to be refused
			_ = s.Handshake()
		}, outcome{post.PhaseTLS, post.CauseTLS, 0, ""}},
		{"the name as common name only", post.TLSImplicit, "", func(c *talk) { c.secure(commonName) }, outcome{post.PhaseTLS, post.CauseCertificate, 0, ""}},
		{"not yet valid", post.TLSImplicit, "", func(c *talk) { c.secure(early) }, outcome{post.PhaseTLS, post.CauseCertificate, 0, "not yet valid"}},
		{"expired", post.TLSImplicit, "", func(c *talk) { c.secure(expired) }, outcome{post.PhaseTLS, post.CauseCertificate, 0, "certificate has expired"}},
		{"expired under STARTTLS", post.TLSStartTLS, "", func(c *talk) { c.begin(expired) }, outcome{post.PhaseTLS, post.CauseCertificate, 0, "certificate has expired"}},
		{"EOF instead of greeting under TLS", post.TLSImplicit, "", func(c *talk) { c.secure(good); c.hangUp() }, outcome{post.PhaseGreeting, post.CauseEOF, 0, ""}},
		{"554 greeting under TLS", post.TLSImplicit, "", func(c *talk) { c.secure(good); c.say("554 5.7.1 go away\r\n"); c.hear("QUIT") }, outcome{post.PhaseGreeting, "", 554, ""}},
		{"EHLO under TLS refused", post.TLSStartTLS, "", func(c *talk) {
			c.say("220 hi\r\n")
			c.hello("STARTTLS", "AUTH PLAIN")
			c.hear("STARTTLS")
			c.say("220 go\r\n")
			c.secure(good)
			c.hear("EHLO")
			c.say("501 no\r\n")
		}, outcome{post.PhaseEHLO, "", 501, ""}},
		{"offered before TLS only", post.TLSStartTLS, "", func(c *talk) {
			c.say("220 hi\r\n")
			c.hello("STARTTLS", "AUTH PLAIN")
			c.hear("STARTTLS")
			c.say("220 go\r\n")
			c.secure(good)
			c.hello("SIZE 1000")
			c.hear("QUIT")
		}, outcome{post.PhaseAuth, post.CauseNoMechanism, 0, "offers no sign-in"}},
		{"no common mechanism", post.TLSStartTLS, "", func(c *talk) { c.begin(good, "AUTH XOAUTH2 CRAM-MD5 NTLM"); c.hear("QUIT") }, outcome{post.PhaseAuth, post.CauseNoMechanism, 0, "XOAUTH2, CRAM-MD5, NTLM"}},
		{"named mechanism not offered", post.TLSStartTLS, post.AuthCRAMMD5, func(c *talk) { c.begin(good, "AUTH PLAIN"); c.hear("QUIT") }, outcome{post.PhaseAuth, post.CauseNoMechanism, 0, "not CRAM-MD5"}},
		{"535", post.TLSStartTLS, "", func(c *talk) {
			c.begin(good, "AUTH PLAIN LOGIN")
			c.hear("AUTH PLAIN ")
			c.say("535 5.7.8 bad credentials\r\n")
			c.hear("QUIT")
			c.say("221 bye\r\n")
		}, outcome{post.PhaseAuth, "", 535, "535 5.7.8 bad credentials"}},
		{"454", post.TLSStartTLS, "", func(c *talk) {
			c.begin(good, "AUTH PLAIN LOGIN")
			c.hear("AUTH PLAIN ")
			c.say("454 4.7.0 later\r\n")
		}, outcome{post.PhaseAuth, "", 454, ""}},
		{"432", post.TLSStartTLS, "", func(c *talk) {
			c.begin(good, "AUTH=LOGIN")
			c.hear("AUTH LOGIN")
			c.say("432 4.7.12 change it\r\n")
		}, outcome{post.PhaseAuth, "", 432, ""}},
		{"EOF at AUTH", post.TLSStartTLS, "", func(c *talk) { c.begin(good, "AUTH PLAIN"); c.hear("AUTH"); c.hangUp() }, outcome{post.PhaseAuth, post.CauseEOF, 0, ""}},
		{"echo of the secret", post.TLSStartTLS, "", func(c *talk) {
			c.begin(good, "AUTH PLAIN")
			c.hear("AUTH")
			c.say("535-5.7.8 no " + secretForTests + "\r\n535 5.7.8 nor " + b64 + "\r\n")
		}, outcome{post.PhaseAuth, "", 535, "535 5.7.8 no ***"}},
		{"echo of the command as garbage", post.TLSStartTLS, "", func(c *talk) { c.begin(good, "AUTH PLAIN"); c.say(c.hear("AUTH") + "\r\n") }, outcome{post.PhaseAuth, post.CauseProtocol, 0, ""}},
		{"echo of the secret as garbage", post.TLSStartTLS, "", func(c *talk) { c.begin(good, "AUTH PLAIN"); c.hear("AUTH"); c.say(secretForTests + "\r\n") }, outcome{post.PhaseAuth, post.CauseProtocol, 0, "***"}},
		{"echo cut off", post.TLSStartTLS, "", func(c *talk) {
			c.begin(good, "AUTH PLAIN")
			c.hear("AUTH")
			c.say("535 " + secretForTests)
			c.hangUp()
		}, outcome{post.PhaseAuth, post.CauseEOF, 0, ""}},
		{"challenges without end", post.TLSStartTLS, "", func(c *talk) {
			c.begin(good, "AUTH XOAUTH2 PLAIN LOGIN")
			c.hear("AUTH XOAUTH2 ")
			for range 100 {
				if _, err := io.WriteString(c, "334 \r\n"); err != nil {
					return
				}
				if _, err := c.r.ReadString('\n'); err != nil {
					return
				}
			}
		}, outcome{post.PhaseAuth, post.CauseProtocol, 0, "on and on"}},
		{"a challenge to PLAIN", post.TLSStartTLS, "", func(c *talk) { c.begin(good, "AUTH PLAIN"); c.hear("AUTH PLAIN "); c.say("334 YQ==\r\n") }, outcome{post.PhaseAuth, post.CauseProtocol, 0, ""}},
		{"a challenge that is not base64", post.TLSStartTLS, post.AuthCRAMMD5, func(c *talk) { c.begin(good, "AUTH CRAM-MD5"); c.hear("AUTH CRAM-MD5"); c.say("334 <hello>\r\n") }, outcome{post.PhaseAuth, post.CauseProtocol, 0, ""}},
		{"LOGIN asks a third time", post.TLSStartTLS, "", func(c *talk) {
			c.begin(good, "AUTH LOGIN")
			c.hear("AUTH LOGIN")
			for range 3 {
				c.say("334 " + b64 + "\r\n")
				_, _ = c.r.ReadString('\n')
			}
		}, outcome{post.PhaseAuth, post.CauseProtocol, 0, ""}},
		{"a reply after 235", post.TLSStartTLS, "", func(c *talk) { c.begin(good, "AUTH PLAIN"); c.hear("AUTH"); c.say("235 ok\r\n250 more\r\n") }, outcome{post.PhaseAuth, post.CauseProtocol, 0, "before it was asked"}},
		{"mixed replies to AUTH", post.TLSStartTLS, "", func(c *talk) { c.begin(good, "AUTH PLAIN"); c.hear("AUTH"); c.say("250 ok\r\n535 no\r\n") }, outcome{post.PhaseAuth, post.CauseProtocol, 0, ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.script)
			a := account(s, c.mode)
			a.Host, a.CA = "mail.test", ca.pem
			if c.auth != "" {
				a.Auth = c.auth
			}
			if c.name == "challenges without end" {
				a.Auth = post.AuthXOAUTH2
			}
			var log bytes.Buffer
			d := &Dialer{
				Secrets: planted(secretForTests), Resolver: names{"mail.test": {"127.0.0.1"}},
				Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			}
			conn, err := d.Dial(t.Context(), a)
			var f *post.Fault
			if conn != nil || !errors.As(err, &f) {
				t.Fatalf("got %v, %v", conn, err)
			}
			got := outcome{f.Phase, f.Cause, f.Reply.Code, c.want.detail}
			if got != c.want || !strings.Contains(f.Error(), c.want.detail) {
				t.Errorf("got %+v (%v), want %+v", got, err, c.want)
			}
			noSecret(t, f, log.String())
			if s.accepted.Load() != 1 {
				t.Errorf("%d connections were made, want one", s.accepted.Load())
			}
		})
	}
}

// noSecret looks for the planted secret, bare and in base64, in all that
// anybody may print of a fault.
func noSecret(t *testing.T, f *post.Fault, logged string) {
	t.Helper()
	all := f.Error() + logged + fmt.Sprintf("%+v %+v", *f, f.Reply)
	for err := f.Err; err != nil; err = errors.Unwrap(err) {
		all += fmt.Sprintf(" %v %+v %#v", err, err, err)
		var we *WireError
		if errors.As(err, &we) {
			all += we.Partial.String()
		}
	}
	plain := base64.StdEncoding.EncodeToString([]byte("\x00shop@example.com\x00" + secretForTests))
	for _, s := range []string{secretForTests, base64.StdEncoding.EncodeToString([]byte(secretForTests)), plain} {
		if strings.Contains(all, s) {
			t.Errorf("the secret is shown: %s", all)
		}
	}
}

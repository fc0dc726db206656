package accounts

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"net/mail"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"postroom/internal/testkit/mailserver"
	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// readable is an account at a real server, with its mailbox.
func readable(t *testing.T, s *mailserver.Server) post.Account {
	t.Helper()
	a := accountAt(t, s.SubmissionAddr, post.TLSStartTLS)
	a.Email, a.CA, a.Auth = s.User, s.CAPEM, post.AuthAuto
	host, port, err := net.SplitHostPort(s.IMAPSAddr)
	if err != nil {
		t.Fatal(err)
	}
	a.IMAPHost, a.IMAPTLS = host, post.TLSImplicit
	if a.IMAPPort, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestLetterArrives sends a message to oneself through a real Postfix and finds
// it in a real Dovecot; and where it is put among the junk, says so. Whether one to
// the address with a detail gets there is told apart from it, and where it does not
// no report comes into the mailbox.
func TestLetterArrives(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED in short mode: real servers are used in the plain run")
	}
	const junk = `namespace inbox {
  inbox = yes
  mailbox Junk {
    auto = create
    special_use = \Junk
  }
}`
	for _, c := range []struct {
		name, steps, advice string
		opt                 mailserver.Options
		wait                time.Duration
		messages            int
	}{
		{"no plus", "resolve connect tls ehlo auth send imap arrive plus!", "advice.plus_refused", mailserver.Options{
			MainCF: []string{"smtpd_reject_unlisted_recipient = yes", "virtual_mailbox_maps = inline:{{shop@example.test = example.test/shop/}}"},
		}, 2 * time.Minute, 1},
		{"plus is another's", "resolve connect tls ehlo auth send imap arrive plus!", "advice.plus_lost", mailserver.Options{
			Dovecot: []string{junk}, MainCF: []string{"virtual_mailbox_maps = inline:{{shop@example.test = example.test/shop/}}, static:example.test/shop/.Junk/"},
		}, 2 * time.Minute, 2},
		{"inbox", "resolve connect tls ehlo auth send imap arrive plus", "", mailserver.Options{
			MainCF: []string{"recipient_delimiter = +", "virtual_mailbox_maps = inline:{{shop@example.test = example.test/shop/}}"},
		}, 2 * time.Minute, 2},
		{"junk", "resolve connect tls ehlo auth send imap arrive!", "advice.junk", mailserver.Options{
			Dovecot: []string{junk}, MainCF: []string{"virtual_mailbox_maps = inline:{{shop@example.test = example.test/shop/.Junk/}}"},
		}, 2 * time.Minute, 1},
		{"nowhere", "resolve connect tls ehlo auth send imap arrive!", "advice.not_arrived", mailserver.Options{
			MainCF: []string{"virtual_mailbox_maps = inline:{{shop@example.test = example.test/somebody/}}"},
		}, time.Second, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mailserver.Start(t, c.opt)
			d := &Dialer{Secrets: planted(s.Password)}
			text := strings.Repeat("问候 and a line.\n", 20) + ".\n"
			r := d.Examine(t.Context(), readable(t, s), &Letter{Subject: "发信测试 of a shop", Text: text, Wait: c.wait})
			last := r.Steps[len(r.Steps)-1]
			plus := last.Name == StepPlus
			if stepNames(r) != c.steps || r.OK != (c.advice == "" || plus) || last.Advice.Key != c.advice {
				t.Fatalf("%s, ok %v: %+v", stepNames(r), r.OK, last)
			}
			ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
			defer stop()
			if err := s.Settle(ctx); err != nil {
				t.Fatal(err)
			}
			all := s.Messages(t)
			if len(all) != c.messages { // no report either of one that nobody takes
				t.Fatalf("%d messages, want %d", len(all), c.messages)
			}
			slices.SortFunc(all, func(a, b mailserver.Delivered) int { return len(a.Recipient) - len(b.Recipient) })
			if all[0].Sender != s.User || all[0].Recipient != s.User {
				t.Errorf("to %s from %s", all[0].Recipient, all[0].Sender)
			}
			if len(all) > 1 {
				detail := strings.TrimSuffix(strings.TrimPrefix(all[1].Recipient, "shop+"), "@example.test")
				if !regexp.MustCompile(`^[a-z2-7]{16}\.0\.[a-z2-7]{10}$`).MatchString(detail) {
					t.Errorf("the second went to %s", all[1].Recipient)
				}
			}
			m, err := mail.ReadMessage(bytes.NewReader(all[0].Raw))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, m.Body))
			if err != nil || string(body) != strings.ReplaceAll(text, "\n", "\r\n") {
				t.Errorf("%q, %v", body, err)
			}
			if m.Header.Get("Auto-Submitted") != "auto-generated" || m.Header.Get("Message-Id") == "" || m.Header.Get("Date") == "" {
				t.Errorf("%v", m.Header)
			}
		})
	}
}

// TestLetterRefused: what a server says against the message is the step's fault,
// and the mailbox is not looked into.
func TestLetterRefused(t *testing.T) {
	for fault, advice := range map[string]string{
		"mail-quota": "advice.sender", "rcpt-550": "advice.sender", "data-554": "advice.sender", "dot-451": "advice.try_later", "dot-421": "advice.try_later",
		"data-drop": "advice.try_later", "body-drop": "advice.try_later", "data-250": "advice.not_smtp",
	} {
		t.Run(fault, func(t *testing.T) {
			hook, err := smtpscript.Fault(fault)
			if err != nil {
				t.Fatal(err)
			}
			s := smtpscript.Start(t, smtpscript.Config{Mode: smtpscript.ImplicitTLS, Script: hook})
			a := accountAt(t, s.Addr(), post.TLSImplicit)
			a.Email, a.CA, a.Auth, a.Secret = "shop@example.com", s.CAPEM(), post.AuthNone, post.SecretNone
			a.IMAPHost, a.IMAPPort, a.IMAPTLS = "127.0.0.1", 1, post.TLSImplicit
			r := (&Dialer{}).Examine(t.Context(), a, &Letter{Subject: "x", Text: "y"})
			last := r.Steps[len(r.Steps)-1]
			if stepNames(r) != "resolve connect tls ehlo auth send!" || r.OK || last.Fault == nil || last.Advice.Key != advice {
				t.Errorf("%s: %+v", stepNames(r), last)
			}
		})
	}
}

// TestLetterAtLiars: a mailbox that makes up what it finds, or says nothing or no
// end of things, costs the doctor neither memory nor more than the time that it has.
func TestLetterAtLiars(t *testing.T) {
	ca := newAuthority(t)
	tlsConfig := &tls.Config{Certificates: []tls.Certificate{ca.issue("127.0.0.1", time.Now().Add(time.Hour))}, MinVersion: tls.VersionTLS12}
	for name, c := range map[string]struct {
		more, search string
		arrived      bool
		advice       string
	}{
		"all numbers there are": {" ESEARCH", `* ESEARCH (TAG "{tag}") UID ALL 1:4294967295`, true, ""},
		"the same many times":   {" ESEARCH", `* ESEARCH (TAG "{tag}") UID ALL 1:4294967295` + strings.Repeat(",1:4294967294", 1000), true, ""},
		"one by one":            {"", "* SEARCH" + strings.Repeat(" 4294967295 1", 1000), true, ""},
		"nonsense":              {"", "* SEARCH x y z", false, "advice.try_later"},
		"without end":           {"", "* SEARCH" + strings.Repeat(" 1 3", arriveSize/4), false, "advice.try_later"},
		"nothing":               {"", "", false, "advice.not_arrived"},
		"none":                  {"", "* SEARCH", false, "advice.not_arrived"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newIMAP(t, imapRules{implicit: tlsConfig, signIn: "OK in", more: c.more, search: c.search})
			wait := arriveTime
			if c.advice == "advice.not_arrived" {
				wait = 500 * time.Millisecond
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			d, a := &Dialer{Secrets: planted(secretForTests)}, mailboxAccount(s.addr, post.TLSImplicit, ca.pem)
			step := d.testArrival(t.Context(), a, &Letter{Wait: wait}, "<x@example.test>")
			plus := d.findPlus(t.Context(), a, &Letter{Wait: wait}, Step{OK: true}, &letterCopy{id: "<x@example.test>"})
			runtime.ReadMemStats(&after)
			if step.OK != c.arrived || step.Advice.Key != c.advice {
				t.Errorf("%+v", step)
			}
			if lost := strings.Replace(c.advice, "not_arrived", "plus_lost", 1); plus.Name != StepPlus || plus.OK != c.arrived || plus.Advice.Key != lost || plus.Failed() {
				t.Errorf("%+v", plus)
			}
			if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 256 { // all the numbers there are take 16384
				t.Errorf("%d MiB", took)
			}
		})
	}
}

package accounts

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"postroom/post"
)

func stepNames(r Report) string {
	var names []string
	for _, s := range r.Steps {
		if s.OK {
			names = append(names, s.Name)
		} else {
			names = append(names, s.Name+"!")
		}
	}
	return strings.Join(names, " ")
}

func TestDoctor(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	hour := time.Now().Add(time.Hour)
	good, expired := ca.issue("mail.test", hour), ca.issue("mail.test", time.Now().Add(-time.Hour))
	wrongName, unknown := ca.issue("other.test", hour), other.issue("mail.test", hour)
	noSecret := refusingSecrets{signInError(keyKeyringLocked, "the system keyring is locked; unlock it and try again", nil)}
	refuse := func(reply string) func(*talk) {
		return func(c *talk) {
			c.begin(good, "AUTH PLAIN")
			c.hear("AUTH PLAIN")
			c.say(reply + "\r\n")
			c.hear("QUIT")
		}
	}
	for _, c := range []struct {
		name    string
		mode    post.TLS
		secrets Secrets
		script  func(*talk)
		steps   string
		detail  string // of the last step
		advice  string
	}{
		{"all is well", post.TLSStartTLS, nil, func(c *talk) {
			c.begin(good, "PIPELINING", "AUTH PLAIN")
			c.hear("AUTH PLAIN")
			c.say("235 ok\r\n")
			c.hear("QUIT")
			c.say("221 bye\r\n")
		}, "resolve connect tls ehlo auth", "PLAIN", ""},
		{"busy", post.TLSStartTLS, nil, func(c *talk) { c.say("421 busy\r\n") }, "resolve connect!", "421 busy", "advice.try_later"},
		{"not wanted", post.TLSStartTLS, nil, func(c *talk) { c.say("554 5.7.1 go away\r\n") }, "resolve connect!", "554 5.7.1 go away", "advice.refused_here"},
		{"an IMAP server", post.TLSStartTLS, nil, func(c *talk) { c.say("* OK IMAP4rev1 ready\r\n") }, "resolve connect!", "IMAP4rev1", "advice.not_smtp"},
		{"hangs up", post.TLSStartTLS, nil, func(c *talk) { c.hangUp() }, "resolve connect!", "hung up", "advice.try_implicit"},
		{"no STARTTLS", post.TLSStartTLS, nil, func(c *talk) { c.say("220 hi\r\n"); c.hello("AUTH PLAIN") }, "resolve connect tls!", "STARTTLS not offered", "advice.no_encryption"},
		{"STARTTLS refused", post.TLSStartTLS, nil, func(c *talk) {
			c.say("220 hi\r\n")
			c.hello("STARTTLS")
			c.hear("STARTTLS")
			c.say("502 no\r\n")
		}, "resolve connect tls!", "502 no", "advice.no_encryption"},
		{"injected", post.TLSStartTLS, nil, func(c *talk) {
			c.say("220 hi\r\n")
			c.hello("STARTTLS")
			c.hear("STARTTLS")
			c.say("220 go\r\n250 evil\r\n")
		}, "resolve connect tls!", "", "advice.injected"},
		{"plain text on this port", post.TLSImplicit, nil, func(c *talk) { c.say("220 hi\r\n") }, "resolve connect tls!", notTLS, "advice.try_starttls"},
		{"unknown authority", post.TLSImplicit, nil, func(c *talk) { c.secure(unknown) }, "resolve connect tls!", "certificate signed by unknown authority", "advice.authority"},
		{"wrong name", post.TLSImplicit, nil, func(c *talk) { c.secure(wrongName) }, "resolve connect tls!", "certificate is valid for other.test, not mail.test", "advice.certificate_name"},
		{"expired", post.TLSImplicit, nil, func(c *talk) { c.secure(expired) }, "resolve connect tls!", "certificate has expired", "advice.certificate_time"},
		{"EHLO refused", post.TLSImplicit, nil, func(c *talk) { c.secure(good); c.say("220 hi\r\n"); c.hear("EHLO"); c.say("550 no\r\n") }, "resolve connect tls ehlo!", "550 no", "advice.refused_here"},
		{"locked keyring", post.TLSStartTLS, noSecret, func(c *talk) { c.begin(good, "AUTH PLAIN"); c.hear("QUIT") }, "resolve connect tls ehlo auth!", "locked", "advice.keyring"},
		{"only tokens", post.TLSStartTLS, nil, func(c *talk) { c.begin(good, "AUTH XOAUTH2"); c.hear("QUIT") }, "resolve connect tls ehlo auth!", "XOAUTH2", "advice.mechanism"},
		{"no sign-in", post.TLSStartTLS, nil, func(c *talk) { c.begin(good); c.hear("QUIT") }, "resolve connect tls ehlo auth!", "no sign-in", "advice.no_sign_in"},
		{"wrong password", post.TLSStartTLS, nil, refuse("535 5.7.8 bad"), "resolve connect tls ehlo auth!", "535 5.7.8 bad", "advice.password"},
		{"app password", post.TLSStartTLS, nil, refuse("534 5.7.9 Application-specific password required"), "resolve connect tls ehlo auth!", "534", "advice.app_password"},
		{"authorisation code", post.TLSStartTLS, nil, refuse("535 请使用授权码登录"), "resolve connect tls ehlo auth!", "授权码", "advice.app_password"},
		{"passwords off", post.TLSStartTLS, nil, refuse("535 5.7.139 basic authentication is disabled"), "resolve connect tls ehlo auth!", "5.7.139", "advice.password_off"},
		{"change it", post.TLSStartTLS, nil, refuse("432 4.7.12 change"), "resolve connect tls ehlo auth!", "432", "advice.password_change"},
		{"too many", post.TLSStartTLS, nil, refuse("454 4.7.0 later"), "resolve connect tls ehlo auth!", "454", "advice.try_later"},
		{"wants TLS", post.TLSStartTLS, nil, refuse("538 5.7.11 encryption"), "resolve connect tls ehlo auth!", "538", "advice.encryption"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.script)
			a := account(s, c.mode)
			a.Host, a.CA = "mail.test", ca.pem
			var traced []Step
			d := &Dialer{Secrets: planted(secretForTests), Resolver: names{"mail.test": {"127.0.0.1"}}, Trace: func(s Step) { traced = append(traced, s) }}
			if c.secrets != nil {
				d.Secrets = c.secrets
			}
			r := d.Test(t.Context(), a)
			last := r.Steps[len(r.Steps)-1]
			if stepNames(r) != c.steps || r.OK != last.OK || !strings.Contains(last.Detail, c.detail) {
				t.Errorf("steps %s, ok %v, detail %q; want %s, %q", stepNames(r), r.OK, last.Detail, c.steps, c.detail)
			}
			if last.Advice.Key != c.advice || (c.advice != "") != (last.AdviceText != "") || strings.Contains(last.AdviceText, "{0}") {
				t.Errorf("advice %+v %q, want %s", last.Advice, last.AdviceText, c.advice)
			}
			if len(traced) != len(r.Steps) {
				t.Errorf("traced %d of %d steps", len(traced), len(r.Steps))
			}
			if len(r.Steps) > 3 && (r.TLS == nil || r.TLS.Version != "TLS 1.3" || r.TLS.Cipher == "" || r.TLS.Server != "CN=server" || r.TLS.Issuer != "CN=Test Authority" || r.TLS.NotAfter.IsZero()) {
				t.Errorf("tls %+v", r.TLS)
			}
			if strings.HasPrefix(c.advice, "advice.cert") && (r.TLS == nil || r.TLS.Version != "" || len(r.TLS.Names) != 1) {
				t.Errorf("the bad certificate is not shown: %+v", r.TLS)
			}
		})
	}
}

func TestDoctorBeforeConnecting(t *testing.T) {
	for host, want := range map[string]string{"nowhere.test": "resolve! advice.host nowhere.test", "out.test": "resolve connect! advice.network ", "off.test": "resolve connect! advice.port 587"} {
		d := &Dialer{Secrets: planted(secretForTests), Resolver: names{"out.test": {"192.0.2.1"}, "off.test": {"192.0.2.2"}}}
		d.DialContext = refusingDial
		a := account(&server{host: host, port: 587}, post.TLSStartTLS)
		r := d.Test(t.Context(), a)
		last := r.Steps[len(r.Steps)-1]
		if got := fmt.Sprint(stepNames(r), " ", last.Advice.Key, " ", strings.Join(last.Advice.Args, "")); got != want {
			t.Errorf("%s: got %q, want %q", host, got, want)
		}
	}
}

// TestAdviceIsComplete: each key that can come up has English words, and each
// of the words is used.
func TestAdviceIsComplete(t *testing.T) {
	source, err := os.ReadFile("advice.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, found := strings.Cut(string(source), "\nfunc advice(")
	if !found {
		t.Fatal("advice.go has another shape than this test thinks")
	}
	for key, words := range adviceWords {
		if !strings.Contains(code, `"`+key+`"`) || words == "" {
			t.Errorf("%s is not used", key)
		}
	}
	for _, piece := range strings.Split(code, `"advice.`)[1:] {
		key, _, _ := strings.Cut(piece, `"`)
		if adviceWords["advice."+key] == "" {
			t.Errorf("advice.%s has no words", key)
		}
	}
}

func refusingDial(_ context.Context, _, addr string) (net.Conn, error) {
	e := syscall.ENETUNREACH
	if strings.HasPrefix(addr, "192.0.2.2:") {
		e = syscall.ECONNREFUSED
	}
	return nil, &net.OpError{Op: "dial", Err: e}
}

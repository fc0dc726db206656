package accounts

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"postroom/internal/testkit/mailserver"
	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// tableOfBadServers signs in to a real Postfix and a real Dovecot whose certificate is
// not to be trusted, or that speak an old TLS alone: refused in the right words, and
// by the servers' own logs neither a password nor MAIL was sent.
func tableOfBadServers(b *table) {
	authority, err := smtpscript.NewAuthority()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range badCertificates {
		cert, err := authority.Issue(c.cert)
		if err != nil {
			b.Fatal(err)
		}
		s := mailserver.Start(b.T, mailserver.Options{Certificate: &cert})
		want := "tls certificate " + c.advice
		badServer(b, s, "certificate "+c.name, authority.PEM(), want, want, tls.VersionTLS13)
		exim := mailserver.StartEximShowing(b.T, &cert)
		for mode, addr := range map[post.TLS]string{post.TLSImplicit: exim.SMTPSAddr, post.TLSStartTLS: exim.SubmissionAddr} {
			a := accountAt(b.T, addr, mode)
			a.Email, a.CA, a.Auth = exim.User, authority.PEM(), post.AuthAuto
			b.row("Exim, certificate "+c.name, "auto", string(mode), want, howItEnded(b.T, &Dialer{Secrets: planted(exim.Password)}, a))
		}
		logOf(b.T, exim.Log(), `(?s)(gnutls_handshake.*){2}`)
		if found := eximTold.FindString(logOf(b.T, exim.Log(), `C=EHLO,STARTTLS\n`)); found != "" {
			b.Errorf("certificate %s: Exim was told %q", c.name, found)
		}
	}
	cert, err := authority.Issue(smtpscript.CertGood)
	if err != nil {
		b.Fatal(err)
	}
	old := mailserver.Start(b.T, mailserver.Options{Certificate: &cert, OldTLS: true})
	badServer(b, old, "TLS 1.0 only", authority.PEM(), "tls tls advice.tls", "tls eof advice.tls_ended", tls.VersionTLS10) // Dovecot hangs up without a word
	good := mailserver.Start(b.T, mailserver.Options{Certificate: &cert})
	a := accountAt(b.T, good.SMTPSAddr, post.TLSImplicit)
	a.Email, a.CA, a.Auth = good.User, authority.PEM(), post.AuthAuto
	b.row("Postfix, certificate good", "auto", "tls", "signed in by PLAIN", howItEnded(b.T, &Dialer{Secrets: planted(good.Password)}, a))
	// The search finds what it looks for.
	if log := logOf(b.T, good.Log, `(?m)disconnect from .* auth=1.*$`); !told.MatchString(log) {
		b.Errorf("the search for a sign-in finds nothing in\n%s", log)
	}
	stopServer(b.T, good)
}

// told finds what Postfix and Dovecot log about whoever came further than TLS.
var told = regexp.MustCompile(`auth=|mail=|sasl_username|Login: |auth failed|secs: user=<.+>`)

// eximTold finds the same in Exim's log.
var eximTold = regexp.MustCompile(`AUTH| A=|authenticator|MAIL,|<= `)

func badServer(b *table, s *mailserver.Server, name string, ca []byte, postfix, dovecot string, version uint16) {
	b.Helper()
	if got := versionOf(b.T, s.SMTPSAddr); got != version {
		b.Errorf("%s: Postfix speaks %s", name, tls.VersionName(got))
	}
	if got := versionOf(b.T, s.IMAPSAddr); got != version {
		b.Errorf("%s: Dovecot speaks %s", name, tls.VersionName(got))
	}
	d := &Dialer{Secrets: planted(s.Password)}
	for mode, at := range map[post.TLS][2]string{post.TLSImplicit: {s.SMTPSAddr, s.IMAPSAddr}, post.TLSStartTLS: {s.SubmissionAddr, s.IMAPAddr}} {
		a := accountAt(b.T, at[0], mode)
		a.Email, a.CA, a.Auth = s.User, ca, post.AuthAuto
		b.row("Postfix, "+name, "auto", string(mode), postfix, howItEnded(b.T, d, a))
		box := accountAt(b.T, at[1], mode)
		a.IMAPHost, a.IMAPPort, a.IMAPTLS = box.Host, box.Port, mode
		b.row("Dovecot, "+name, "auto", string(mode), dovecot, mailboxEnded(b.T, d, a))
	}
	// One look at TLS, and one at each door: each connection's last line is there.
	for path, last := range map[string]string{
		s.Log: `(?s)(disconnect from .*){4}`, filepath.Join(filepath.Dir(s.Log), "dovecot.log"): `(?s)(imap-login: .*Disconnected.*){2}`,
	} {
		if found := told.FindString(logOf(b.T, path, last)); found != "" {
			b.Errorf("%s: %s was told %q", name, filepath.Base(path), found)
		}
	}
	stopServer(b.T, s)
}

// mailboxEnded is how a sign-in to the account's mailbox ended, in short.
func mailboxEnded(t *testing.T, d *Dialer, a post.Account) string {
	t.Helper()
	m, err := d.DialMailbox(t.Context(), a)
	if err == nil {
		m.Close()
		return "signed in"
	}
	var fault *post.Fault
	if !errors.As(err, &fault) {
		return err.Error()
	}
	r, _ := advice(MailboxOf(a), fault)
	return string(fault.Phase) + " " + string(fault.Cause) + " " + r.Key
}

// versionOf is the version of TLS that a server speaks at best.
func versionOf(t *testing.T, addr string) uint16 {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", addr, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10}) // nothing is sent
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().Version
}

// logOf reads a log once it holds what last says.
func logOf(t *testing.T, path, last string) string {
	t.Helper()
	deadline, tick := time.NewTimer(patience), time.NewTicker(10*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	want := regexp.MustCompile(last)
	for {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want.Match(b) {
			return string(b)
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("the log does not hold %s:\n%s", last, strings.TrimSpace(string(b)))
		}
	}
}

func stopServer(t *testing.T, s *mailserver.Server) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

package accounts

import (
	"crypto/tls"
	"testing"

	"postroom/internal/testkit/mailserver"
	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// TestServersAndMechanisms signs in to a real Postfix with Dovecot, and to a real
// Exim, that offer one mechanism alone, over both kinds of TLS, and to ones that
// offer none.
func TestServersAndMechanisms(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED in short mode: real servers are signed in to in the plain run")
	}
	b := &table{T: t}
	defer b.print()
	for _, mech := range []string{"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "none"} {
		opt := mailserver.Options{Mechanisms: []string{mech}}
		auth, want := post.AuthAuto, "signed in by "+mech
		switch mech {
		case "CRAM-MD5": // only by name
			auth = post.AuthCRAMMD5
		case "none":
			opt = mailserver.Options{MainCF: []string{"smtpd_sasl_auth_enable = no"}}
			want = "auth no-mechanism advice.no_sign_in"
		}
		opt.Dovecot = []string{"auth_failure_delay = 0"} // a wrong password costs two seconds otherwise
		s := mailserver.Start(t, opt)
		for _, door := range []struct {
			mode post.TLS
			addr string
		}{{post.TLSImplicit, s.SMTPSAddr}, {post.TLSStartTLS, s.SubmissionAddr}} {
			a := accountAt(t, door.addr, door.mode)
			a.Email, a.CA, a.Auth = s.User, s.CAPEM, auth
			b.row("Postfix with Dovecot", mech, string(door.mode), want, howItEnded(t, &Dialer{Secrets: planted(s.Password)}, a))
			if mech == "none" {
				continue
			}
			b.row("Postfix with Dovecot, wrong", mech, string(door.mode), "auth  advice.password", howItEnded(t, &Dialer{Secrets: planted("wrong")}, a))
			if mech == "CRAM-MD5" { // never by itself
				a.Auth = post.AuthAuto
				b.row("Postfix with Dovecot", "auto", string(door.mode), "auth no-mechanism advice.mechanism", howItEnded(t, &Dialer{Secrets: planted(s.Password)}, a))
			}
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
	for _, mech := range []string{"PLAIN", "LOGIN", "CRAM-MD5", ""} {
		s := mailserver.StartExim(t, mech)
		for mode, addr := range map[post.TLS]string{post.TLSImplicit: s.SMTPSAddr, post.TLSStartTLS: s.SubmissionAddr} {
			a := accountAt(t, addr, mode)
			a.Email, a.CA, a.Auth = s.User, s.CAPEM, post.AuthAuto
			switch mech {
			case "CRAM-MD5":
				a.Auth = post.AuthCRAMMD5
			case "":
				b.row("Exim", "none", string(mode), "auth no-mechanism advice.no_sign_in", howItEnded(t, &Dialer{Secrets: planted(s.Password)}, a))
				continue
			}
			b.row("Exim", mech, string(mode), "signed in by "+mech, howItEnded(t, &Dialer{Secrets: planted(s.Password)}, a))
			b.row("Exim, wrong", mech, string(mode), "auth  advice.password", howItEnded(t, &Dialer{Secrets: planted("wrong")}, a))
		}
	}
	tableOfTokens(b)
	tableOfBadServers(b)
	for _, mode := range []smtpscript.Mode{smtpscript.ImplicitTLS, smtpscript.STARTTLS} {
		name := map[smtpscript.Mode]string{smtpscript.ImplicitTLS: "tls", smtpscript.STARTTLS: "starttls"}[mode]
		for _, c := range badCertificates {
			s, a := certServer(t, mode, c.cert, 0, 0)
			b.row("certificate "+c.name, "auto", name, "tls certificate "+c.advice, howItEnded(t, &Dialer{Secrets: planted(secretForTests)}, a))
			wantNothingSent(t, s)
		}
		for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
			s, a := certServer(t, mode, smtpscript.CertGood, version, version)
			b.row(tls.VersionName(version)+" only", "auto", name, "tls tls advice.tls", howItEnded(t, &Dialer{Secrets: planted(secretForTests)}, a))
			wantNothingSent(t, s)
		}
	}
}

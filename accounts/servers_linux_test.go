package accounts

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"postroom/internal/testkit/mailserver"
	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// table collects a line for each server, mechanism and TLS.
type table struct {
	*testing.T
	lines          []string
	passed, failed int
}

func (b *table) row(server, mech, mode, want, got string) {
	b.Helper()
	result := "ok"
	if want == got {
		b.passed++
	} else {
		b.failed++
		result = "FAILED, want " + want
		b.Errorf("%s, %s, %s: %s, want %s", server, mech, mode, got, want)
	}
	b.lines = append(b.lines, fmt.Sprintf("%-28s %-14s %-9s %-40s %s", server, mech, mode, got, result))
}

func (b *table) print() {
	b.Logf("\n%s\n%d passed, %d failed", strings.Join(b.lines, "\n"), b.passed, b.failed)
}

// howItEnded is how a sign-in ended, in short.
func howItEnded(t *testing.T, d *Dialer, a post.Account) string {
	t.Helper()
	c, err := d.Dial(t.Context(), a)
	if err == nil {
		defer c.Quit(politeQuit)
		return "signed in by " + c.Session.Auth
	}
	var fault *post.Fault
	if !errors.As(err, &fault) {
		return err.Error()
	}
	r, _ := advice(a, fault)
	return string(fault.Phase) + " " + string(fault.Cause) + " " + r.Key
}

// TestServersAndMechanisms signs in to a real Postfix with Dovecot that offers one
// mechanism alone, over both kinds of TLS, and to one that offers none.
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
		s := mailserver.Start(t, opt)
		for _, door := range []struct {
			mode post.TLS
			addr string
		}{{post.TLSImplicit, s.SMTPSAddr}, {post.TLSStartTLS, s.SubmissionAddr}} {
			host, port, err := net.SplitHostPort(door.addr)
			if err != nil {
				t.Fatal(err)
			}
			n, err := strconv.Atoi(port)
			if err != nil {
				t.Fatal(err)
			}
			a := post.Account{
				ID: 7, Name: "shop", Email: s.User, Host: host, Port: n, TLS: door.mode, CA: s.CAPEM, Auth: auth,
				Secret: post.SecretKeyring, SecretRef: "ref",
			}
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

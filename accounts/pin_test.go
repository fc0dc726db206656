package accounts

import (
	"crypto/tls"
	"strings"
	"testing"

	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// badCertificates are servers that must be refused, and the words for it.
var badCertificates = []struct {
	name   string
	cert   smtpscript.Certificate
	detail string // in the fault
	advice string
}{
	{"self-signed", smtpscript.CertSelfSigned, "certificate signed by unknown authority", "advice.authority"},
	{"expired", smtpscript.CertExpired, "certificate has expired", "advice.certificate_time"},
	{"wrong name", smtpscript.CertWrongName, "cannot validate certificate for 127.0.0.1", "advice.certificate_name"},
	{"incomplete chain", smtpscript.CertIncomplete, "certificate signed by unknown authority", "advice.authority"},
}

// certServer is a server with that certificate and an account that would sign
// in there.
func certServer(t *testing.T, mode smtpscript.Mode, cert smtpscript.Certificate, lowest, highest uint16) (*smtpscript.Server, post.Account) {
	t.Helper()
	s, err := smtpscript.Listen(smtpscript.Config{
		Mode: mode, Cert: cert, User: "shop@example.com", Password: secretForTests, MinTLS: lowest, MaxTLS: highest,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	a := post.Account{ID: 7, Name: "shop", Email: "shop@example.com", TLS: post.TLSImplicit, Auth: post.AuthAuto, Secret: post.SecretKeyring, SecretRef: "ref", CA: s.CAPEM()}
	if mode == smtpscript.STARTTLS {
		a.TLS = post.TLSStartTLS
	}
	a.Host, a.Port = s.HostPort()
	return s, a
}

// wantNothingSent: no sign-in was tried, and not even EHLO was said under TLS.
func wantNothingSent(t *testing.T, s *smtpscript.Server) {
	t.Helper()
	st := s.Stats()
	if st.SignIns+st.SignInFailures != 0 || st.ByVerb["AUTH"] != 0 || st.ByVerb["MAIL"] != 0 || strings.Contains(s.Transcript(), secretForTests) {
		t.Errorf("something was sent: %+v", st)
	}
}

func TestPin(t *testing.T) {
	d := &Dialer{Secrets: planted(secretForTests)}
	for _, mode := range []smtpscript.Mode{smtpscript.ImplicitTLS, smtpscript.STARTTLS} {
		for _, c := range badCertificates {
			t.Run(c.name, func(t *testing.T) {
				s, a := certServer(t, mode, c.cert, 0, 0)
				r := d.Test(t.Context(), a)
				last := r.Steps[len(r.Steps)-1]
				if r.OK || last.Name != StepTLS || !strings.Contains(last.Detail, c.detail) || last.Advice.Key != c.advice || r.TLS == nil || len(r.TLS.Key) != 64 {
					t.Fatalf("%+v %+v", last, r.TLS)
				}
				wantNothingSent(t, s)
				good := r.TLS.Key

				// Another key, by a bit.
				a.Pin = strings.Map(func(r rune) rune {
					if r == '0' {
						return '1'
					}
					return r
				}, "0"+good[1:])
				if a.Pin == good {
					a.Pin = "2" + good[1:]
				}
				r = d.Test(t.Context(), a)
				last = r.Steps[len(r.Steps)-1]
				if r.OK || last.Fault.Cause != post.CauseCertificate || last.Advice.Key != "advice.pin" || r.TLS == nil || r.TLS.Key != good {
					t.Errorf("%+v", last)
				}
				wantNothingSent(t, s)

				a.Pin = good
				if r = d.Test(t.Context(), a); !r.OK || s.Stats().SignIns != 1 {
					t.Errorf("%+v", r.Steps)
				}
			})
		}
	}
}

// TestPinIsForOneKey: under a pin a certificate that everybody vouches for is
// refused, and an old TLS stays refused.
func TestPinIsForOneKey(t *testing.T) {
	d := &Dialer{Secrets: planted(secretForTests)}
	_, other := certServer(t, smtpscript.ImplicitTLS, smtpscript.CertSelfSigned, 0, 0)
	pin := d.Test(t.Context(), other).TLS.Key
	s, a := certServer(t, smtpscript.ImplicitTLS, smtpscript.CertGood, 0, 0)
	if r := d.Test(t.Context(), a); !r.OK {
		t.Fatalf("%+v", r.Steps)
	}
	a.Pin = pin
	if fault := dialFault(t, d, a); fault.Cause != post.CauseCertificate || s.Stats().SignIns != 1 {
		t.Errorf("%+v", fault)
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		s, a := certServer(t, smtpscript.STARTTLS, smtpscript.CertGood, version, version)
		fault := dialFault(t, d, a)
		if fault.Phase != post.PhaseTLS || fault.Cause != post.CauseTLS {
			t.Errorf("%x: %+v", version, fault)
		}
		if r, _ := advice(a, fault); r.Key != "advice.tls" {
			t.Errorf("%x: advice %s", version, r.Key)
		}
		wantNothingSent(t, s)
	}
	// The mailbox's server is another one: the pin is not for it.
	a.IMAPHost = "imap.example.com"
	if MailboxOf(a).Pin != "" {
		t.Error("the pin is taken to another server")
	}
	a.IMAPHost = strings.ToUpper(a.Host)
	if MailboxOf(a).Pin != pin {
		t.Error("the pin is lost")
	}
}

// TestTLSLater: a server that cannot encrypt right now is not said to offer no
// encryption.
func TestTLSLater(t *testing.T) {
	s, err := smtpscript.Listen(smtpscript.Config{Mode: smtpscript.STARTTLS, Script: smtpscript.At(post.PhaseSTARTTLS, smtpscript.Reply("454 4.7.0 TLS not available due to temporary reason"))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	a := post.Account{ID: 7, Name: "shop", Email: "shop@example.com", TLS: post.TLSStartTLS, Auth: post.AuthAuto, Secret: post.SecretKeyring, SecretRef: "ref"}
	a.Host, a.Port = s.HostPort()
	d := &Dialer{Secrets: planted(secretForTests)}
	fault := dialFault(t, d, a)
	if fault.Reason.Key != "account.tls_later" || fault.Cause != post.CauseNone {
		t.Errorf("%+v", fault)
	}
	if r, _ := advice(a, fault); r.Key != "advice.try_later" {
		t.Errorf("advice %s", r.Key)
	}
	wantNothingSent(t, s)
}

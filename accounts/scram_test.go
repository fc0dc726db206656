package accounts

import (
	"crypto/tls"
	"testing"

	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// TestSCRAMPeer signs in to another implementation of SCRAM, with and without
// channel binding, in each mode and version of TLS. No Debian package offers
// -PLUS to SMTP clients: Dovecot 2.3 does not know it, and Postfix and Exim do
// not tell Cyrus SASL of the channel.
func TestSCRAMPeer(t *testing.T) {
	b := &table{T: t}
	defer b.print()
	all := []string{"PLAIN", mechSCRAM1, mechSCRAM1Plus, "LOGIN", mechSCRAM, mechSCRAMPlus}
	for _, mode := range []post.TLS{post.TLSImplicit, post.TLSStartTLS} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			name := string(mode) + " " + tls.VersionName(version)
			try := func(offer []string, auth post.Auth, password string, other bool) string {
				s := smtpscript.Start(t, smtpscript.Config{
					Mode: map[post.TLS]smtpscript.Mode{post.TLSImplicit: smtpscript.ImplicitTLS, post.TLSStartTLS: smtpscript.STARTTLS}[mode],
					User: "shop@example.com", Password: secretForTests, Mechanisms: offer, OtherChannel: other, MinTLS: version, MaxTLS: version,
				})
				a := accountAt(t, s.Addr(), mode)
				a.Email, a.CA, a.Auth = "shop@example.com", s.CAPEM(), auth
				got := howItEnded(t, &Dialer{Secrets: planted(password)}, a)
				s.Close()
				return got
			}
			for _, mech := range []string{mechSCRAM1, mechSCRAM, mechSCRAM1Plus, mechSCRAMPlus} {
				b.row("another SCRAM", mech, name, "signed in by "+mech, try([]string{mech}, post.AuthAuto, secretForTests, false))
				b.row("another SCRAM, wrong", mech, name, "auth  advice.password", try([]string{mech}, post.AuthAuto, "wrong", false))
			}
			b.row("offers all", "auto", name, "signed in by "+mechSCRAMPlus, try(all, post.AuthAuto, secretForTests, false))
			// Somebody in between is found out, and nothing weaker is tried.
			for _, mech := range []string{mechSCRAM1Plus, mechSCRAMPlus} {
				b.row("somebody in between", mech, name, "auth  advice.unbound", try([]string{mech, "PLAIN"}, post.AuthAuto, secretForTests, true))
			}
			b.row("somebody in between", "by name", name, "signed in by "+mechSCRAM, try(all, post.AuthSCRAMSHA256, secretForTests, true))
		}
	}
	// Without TLS, on this computer, there is nothing to bind to.
	s := smtpscript.Start(t, smtpscript.Config{User: "shop@example.com", Password: secretForTests, Mechanisms: all})
	a := accountAt(t, s.Addr(), post.TLSNone)
	a.Email, a.Auth = "shop@example.com", post.AuthAuto
	b.row("offers all", "auto", "none", "signed in by "+mechSCRAM, howItEnded(t, &Dialer{Secrets: planted(secretForTests)}, a))
}

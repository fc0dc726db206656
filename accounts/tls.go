package accounts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"postroom/post"
)

// isCertificate reports that the server's certificate, and not the handshake,
// is what was wrong (RFC 7817, RFC 5280).
func isCertificate(err error) bool {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var pin *pinError
	return errors.As(err, &pin) || errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid)
}

// certificateDetail says what is wrong with a certificate in the words that
// administrators know.
func certificateDetail(err error, now time.Time) string {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &authority):
		return "certificate signed by unknown authority"
	case errors.As(err, &host):
		return post.CleanReply(strings.TrimPrefix(host.Error(), "x509: "))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		if invalid.Cert != nil && now.Before(invalid.Cert.NotBefore) {
			return "certificate is not yet valid"
		}
		return "certificate has expired"
	}
	text := strings.TrimPrefix(err.Error(), "tls: failed to verify certificate: ")
	return post.CleanReply(strings.TrimPrefix(text, "x509: "))
}

// TLSInfo describes a TLS connection, or the certificate on which it failed.
type TLSInfo struct {
	Version  string    `json:"version,omitempty"` // "TLS 1.3"; empty when the handshake failed
	Cipher   string    `json:"cipher,omitempty"`
	Server   string    `json:"server,omitempty"` // the certificate's subject
	Names    []string  `json:"names,omitempty"`  // what it is valid for
	Issuer   string    `json:"issuer,omitempty"`
	NotAfter time.Time `json:"not_after,omitzero"`
	// Chain are the subjects from the server's certificate to the authority that is
	// trusted; empty where none is.
	Chain []string `json:"chain,omitempty"`
	// Pinned: it was trusted by its key alone.
	Pinned bool `json:"pinned,omitempty"`

	vouchers []string // who signed it, from the nearest, as people know them
	// Key is what this one key can be pinned by: see Fingerprint.
	Key string `json:"key_sha256,omitempty"`
}

// String returns version and cipher, as the send log keeps them.
func (t TLSInfo) String() string { return t.Version + ", " + t.Cipher }

// encrypt sets up TLS as the account says, or leaves it out for this computer
// itself. There is no way back to plain text from here.
func (s *signIn) encrypt(ctx context.Context) (string, *post.Fault) {
	switch s.a.TLS {
	case post.TLSImplicit:
	case post.TLSNone:
		return "no encryption: the server is this computer itself", nil
	default:
		if fault := s.startTLS(ctx); fault != nil {
			return "", fault
		}
	}
	if fault := s.handshake(ctx); fault != nil {
		return "", fault
	}
	return s.session.TLS, nil
}

// startTLS brings a plain connection to the point where the handshake begins
// (RFC 3207 4). What the server said before it is forgotten.
func (s *signIn) startTLS(ctx context.Context) *post.Fault {
	if fault := s.ehlo(ctx); fault != nil {
		return fault
	}
	if !s.hello.ext.StartTLS {
		return &post.Fault{Phase: post.PhaseSTARTTLS, Cause: post.CauseNoTLS, Detail: "STARTTLS not offered"}
	}
	reply, fault := s.ask(ctx, post.PhaseSTARTTLS, "STARTTLS", nil)
	switch {
	case fault != nil:
		return fault
	case reply.Class() == 5:
		return &post.Fault{Phase: post.PhaseSTARTTLS, Reply: reply, Cause: post.CauseNoTLS, Detail: "STARTTLS refused"}
	case reply.Class() == 4: // it does offer it, and cannot now (RFC 3207 4)
		fault := refusal(post.PhaseSTARTTLS, reply)
		fault.Reason = post.Reason{Key: "account.tls_later"}
		return fault
	case reply.Code != 220:
		return refusal(post.PhaseSTARTTLS, reply)
	case s.wire.Unasked() == post.CauseProtocol:
		return &post.Fault{
			Phase: post.PhaseSTARTTLS, Cause: post.CauseInjected,
			Detail: "the server, or somebody in between, sent more before the encryption began",
		}
	}
	s.hello = readEHLO{}
	return nil
}

// handshake puts TLS on the connection. The name is verified against the host
// as configured (RFC 7817 3).
func (s *signIn) handshake(ctx context.Context) *post.Fault {
	config, fault := s.tlsConfig()
	if fault != nil {
		return fault
	}
	conn := tls.Client(s.wire.raw, config)
	err := s.wire.raw.SetDeadline(time.Now().Add(tlsTimeout))
	if err == nil {
		err = conn.HandshakeContext(ctx)
	}
	if err == nil {
		err = s.wire.raw.SetDeadline(time.Time{})
	}
	if err != nil {
		if cert := untrusted(err); cert != nil {
			s.tls = infoOf(cert)
		}
		fault := faultOf(ctx, post.PhaseTLS, err)
		var header tls.RecordHeaderError
		if errors.As(err, &header) {
			fault.Detail = notTLS
		}
		return fault
	}
	state := conn.ConnectionState()
	s.tls = infoOf(state.PeerCertificates[0])
	s.tls.Version, s.tls.Cipher = tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite)
	s.tls.Pinned = s.a.Pin != ""
	if len(state.VerifiedChains) > 0 {
		for i, cert := range state.VerifiedChains[0] {
			s.tls.Chain = append(s.tls.Chain, post.CleanReply(cert.Subject.String()))
			if i > 0 {
				s.tls.vouchers = append(s.tls.vouchers, voucherName(cert.Subject))
			}
		}
	}
	s.session.TLS = s.tls.String()
	s.wire.encrypted(conn)
	s.guarded = true
	return nil
}

const notTLS = "the server does not speak TLS on this port"

// authorities is the account's own pool, or nil for the system's.
func authorities(pem []byte) (*x509.CertPool, *post.Fault) {
	if len(pem) == 0 {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, &post.Fault{
			Phase: post.PhaseTLS, Cause: post.CauseCertificate,
			Detail: "the account's own certificate authority cannot be read",
			Reason: post.Reason{Key: "fault.authority"},
		}
	}
	return pool, nil
}

func infoOf(cert *x509.Certificate) *TLSInfo {
	info := &TLSInfo{
		Server: post.CleanReply(cert.Subject.String()), Issuer: post.CleanReply(cert.Issuer.String()),
		NotAfter: cert.NotAfter.UTC(), Key: Fingerprint(cert),
	}
	for _, name := range cert.DNSNames[:min(len(cert.DNSNames), maxNames)] {
		info.Names = append(info.Names, post.CleanReply(name))
	}
	for _, ip := range cert.IPAddresses[:min(len(cert.IPAddresses), maxNames)] {
		info.Names = append(info.Names, ip.String())
	}
	return info
}

// maxNames bounds how many names of a certificate are told.
const maxNames = 20

package accounts

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail/smtp"
	"golang.org/x/text/secure/precis"

	"postroom/post"
)

// The SASL mechanisms that are spoken, by their registered names.
const (
	mechPlain   = "PLAIN"         // RFC 4616
	mechLogin   = "LOGIN"         // draft-murchison-sasl-login
	mechCRAMMD5 = "CRAM-MD5"      // RFC 2195, by name only
	mechSCRAM   = "SCRAM-SHA-256" // RFC 7677
	mechSCRAM1  = "SCRAM-SHA-1"   // RFC 5802; still better than sending the password
	// The same, bound to this one TLS connection: whoever is in between cannot
	// pass a sign-in on, even with a certificate that is believed.
	mechSCRAMPlus  = "SCRAM-SHA-256-PLUS"
	mechSCRAM1Plus = "SCRAM-SHA-1-PLUS"
	mechXOAUTH2    = "XOAUTH2"     // Google's; its secret is a token
	mechBearer     = "OAUTHBEARER" // RFC 7628; its secret is a token
)

const (
	maxChallenges = 8
	maxAuthLine   = 510 // RFC 5321 4.5.3.1.4, less the line end
)

// authenticate signs in by one mechanism (RFC 4954). A second one is never
// tried: it would send the same wrong password twice.
func (s *signIn) authenticate(ctx context.Context) (string, *post.Fault) {
	if !needsSecret(s.a) {
		return "no sign-in", nil
	}
	if s.secretFault != nil {
		return "", s.secretFault
	}
	if !s.guarded { // cannot happen; a password in the clear must not depend on it
		return "", &post.Fault{Phase: post.PhaseAuth, Cause: post.CauseNoTLS, Detail: "no sign-in without encryption"}
	}
	mech, fault := s.mechanism()
	if fault != nil {
		return "", fault
	}
	if fault := s.d.guard.enter(ctx, s.key, s.d.now); fault != nil {
		return "", fault
	}
	fault = s.signInBy(ctx, mech)
	s.d.guard.leave(s.key, fault != nil && fault.Reply.Class() == 5, s.d.now())
	if fault != nil {
		s.scrub(fault)
		return "", fault
	}
	s.session.Auth = mech
	return mech, nil
}

// signInBy signs in by a mechanism. One that is bound to the connection may meet a
// server that knows only its own certificate: that one refuses before anything was
// proven, and is asked once more, bound to the certificate. Nobody in between gains
// by forging that refusal, because theirs is another certificate.
func (s *signIn) signInBy(ctx context.Context, mech string) *post.Fault {
	if mech != mechSCRAMPlus && mech != mechSCRAM1Plus {
		return s.exchange(ctx, mech, s.client(mech))
	}
	var fault *post.Fault
	for _, to := range s.bindings() {
		client, err := s.boundClient(mech, to)
		if err != nil {
			return authFault("the sign-in could not begin")
		}
		fault = s.exchange(ctx, mech, client)
		if c, ok := client.(*scramClient); fault == nil || !ok || !c.unknown || fault.Reply.Class() != 5 {
			break
		}
	}
	return fault
}

// mechanism chooses how to sign in from what is offered, best first.
func (s *signIn) mechanism() (string, *post.Fault) {
	var wanted []string
	switch {
	case s.isToken():
		wanted = []string{mechBearer, mechXOAUTH2}
		if s.a.Auth == post.AuthXOAUTH2 {
			wanted = wanted[1:]
		}
	case s.a.Auth == post.AuthAuto, s.a.Auth == "":
		wanted = []string{mechPlain, mechLogin}
		if preparable(s.a.Login()) && preparable(s.secret) {
			wanted = []string{mechSCRAM, mechSCRAM1, mechPlain, mechLogin}
			if len(s.bindings()) > 0 {
				wanted = append([]string{mechSCRAMPlus, mechSCRAM1Plus}, wanted...)
			}
		}
	case s.a.Auth == post.AuthSCRAMSHA256:
		if !preparable(s.a.Login()) || !preparable(s.secret) {
			return "", secretFault(signInError(keyUnusable, "the name or password holds a character that cannot be sent", nil))
		}
		wanted = []string{mechSCRAM}
	default:
		wanted = []string{strings.ToUpper(string(s.a.Auth))}
	}
	return firstOffered(wanted, s.hello.ext.Auth)
}

// firstOffered returns the first of the mechanisms that are wanted, best first,
// which the server offers.
func firstOffered(wanted, offered []string) (string, *post.Fault) {
	for _, mech := range wanted {
		if slices.Contains(offered, mech) {
			return mech, nil
		}
	}
	f := &post.Fault{
		Phase: post.PhaseAuth, Cause: post.CauseNoMechanism, Detail: "the server offers no sign-in",
		Reason: post.Reason{Key: "fault.no_sign_in"},
	}
	if offer := joinWords(offered); offer != "" {
		f.Detail = post.CleanReply("the server offers " + offer + ", not " + joinWords(wanted))
		f.Reason = post.Reason{Key: "fault.no_mechanism", Args: []string{offer}}
	}
	return "", f
}

// isToken reports that the secret is an access token, which never goes where a
// password is asked for.
func (s *signIn) isToken() bool {
	return s.a.Secret == post.SecretOAuth || s.a.Auth == post.AuthXOAUTH2
}

// preparable reports whether SCRAM's preparation of strings (RFC 8265) takes s.
func preparable(s string) bool {
	_, err := precis.OpaqueString.String(s)
	return err == nil
}

func (s *signIn) client(mech string) smtp.Auth {
	user, loopback := s.a.Login(), s.a.TLS == post.TLSNone
	switch mech {
	case mechSCRAM:
		return &scramClient{Auth: smtp.ScramSHA256Auth(user, s.secret)}
	case mechSCRAM1:
		return &scramClient{Auth: smtp.ScramSHA1Auth(user, s.secret)}
	case mechLogin:
		return smtp.LoginAuth(user, s.secret, s.host, loopback)
	case mechCRAMMD5:
		return smtp.CRAMMD5Auth(user, s.secret)
	case mechBearer:
		return bearerClient{user: user, token: s.secret, host: s.host, port: s.a.Port}
	case mechXOAUTH2:
		return smtp.XOAuth2Auth(user, s.secret)
	default:
		return smtp.PlainAuth("", user, s.secret, s.host, loopback)
	}
}

// exchange is the conversation of RFC 4954 4: AUTH, then a response to each
// challenge.
func (s *signIn) exchange(ctx context.Context, mech string, client smtp.Auth) *post.Fault {
	_, initial, err := client.Start(&smtp.ServerInfo{Name: s.host, TLS: s.session.TLS != "", Auth: s.hello.ext.Auth})
	if err != nil {
		return authFault("the sign-in could not begin")
	}
	s.keep(s.secret)
	line, held := "AUTH "+mech, []byte(nil)
	if initial != nil {
		if first := line + " " + s.encode(initial); mech == mechPlain && len(first) > maxAuthLine {
			held = initial // too long for a command line: sent when the server asks
		} else {
			line = first
		}
	}
	for range maxChallenges {
		var challenge []byte
		reply, fault := s.ask(ctx, post.PhaseAuth, line, func(text []byte) { challenge = append(challenge[:0], text...) })
		switch {
		case fault != nil:
			return fault
		case reply.Class() == 2 && s.wire.Unasked() == post.CauseProtocol:
			return authFault("the server answered before it was asked")
		case reply.Class() == 2:
			return s.proven(client)
		case reply.Code != 334:
			fault := refusal(post.PhaseAuth, reply)
			if c, ok := client.(*scramClient); ok && c.unbound && fault.Reply.Class() == 5 {
				fault.Reason = post.Reason{Key: keyUnbound}
			}
			return fault
		}
		if line, fault = s.respond(mech, client, challenge, &held); fault != nil {
			return fault
		}
	}
	return authFault("the server asks on and on")
}

// respond makes the line that answers a challenge.
func (s *signIn) respond(mech string, client smtp.Auth, challenge []byte, held *[]byte) (string, *post.Fault) {
	data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(challenge)))
	if err != nil && mech != mechLogin { // LOGIN's challenges are to be ignored
		return "", authFault("the server's challenge cannot be read")
	}
	if *held != nil {
		data, *held = *held, nil
		return s.encode(data), nil
	}
	response, err := client.Next(data, true)
	if err != nil {
		return "", authFault("the server's challenge does not fit " + mech)
	}
	return s.encode(response), nil
}

// proven makes sure that a server which has to prove itself did so.
func (s *signIn) proven(client smtp.Auth) *post.Fault {
	if c, ok := client.(*scramClient); ok && c.step != scramVerified {
		return authFault("the server did not prove that it knows the password")
	}
	return nil
}

// encode returns b in base64 and remembers it as nothing to be shown.
func (s *signIn) encode(b []byte) string {
	text := base64.StdEncoding.EncodeToString(b)
	s.keep(text)
	return text
}

func (s *signIn) keep(secret string) {
	if secret != "" {
		s.sent = append(s.sent, post.CleanReply(secret), base64.StdEncoding.EncodeToString([]byte(secret)))
	}
}

// scrub takes out of a fault what a server echoed of the secret. Texts are
// cut where it begins: a long secret may itself have been cut short.
func (s *signIn) scrub(f *post.Fault) {
	for _, secret := range s.sent {
		f.Reply.Text = cutSecret(f.Reply.Text, secret)
		f.Detail = cutSecret(f.Detail, secret)
	}
	var we *WireError
	if errors.As(f.Err, &we) { // its detail and partial reply are the server's words as well
		f.Err = we.Err
	}
}

// cutSecret looks for the beginning of secret; for a very short one it drops
// the text, because the place would tell it.
func cutSecret(text, secret string) string {
	if secret == "" || text == "" {
		return text
	}
	before, _, found := strings.Cut(text, secret[:min(len(secret), 12)])
	switch {
	case !found:
		return text
	case len(secret) < 4:
		return "***"
	}
	return before + "***"
}

// bearerClient is OAUTHBEARER (RFC 7628 3.1).
type bearerClient struct {
	user, token, host string
	port              int
}

var _ smtp.Auth = bearerClient{}

// Start returns the whole of it.
func (b bearerClient) Start(*smtp.ServerInfo) (mech string, first []byte, err error) {
	name := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(b.user) // RFC 5801 4
	return mechBearer, []byte("n,a=" + name + ",\x01host=" + b.host + "\x01port=" + strconv.Itoa(b.port) + "\x01auth=Bearer " + b.token + "\x01\x01"), nil
}

// Next answers the server's explanation of a refusal, which ends it (3.2.3).
func (bearerClient) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	return []byte{1}, nil
}

func authFault(detail string) *post.Fault {
	return &post.Fault{Phase: post.PhaseAuth, Cause: post.CauseProtocol, Detail: detail}
}

package post

// Cause is the class of what went wrong on our side of a conversation when no
// usable reply decided: the network, TLS, the protocol, or this machine.
type Cause string

// The causes.
const (
	CauseNone        Cause = ""
	CauseNoHost      Cause = "no-host"      // DNS: the name does not exist
	CauseDNS         Cause = "dns"          // DNS: time-out or server failure
	CauseRefused     Cause = "refused"      // connection refused
	CauseUnreachable Cause = "unreachable"  // no route, network down
	CauseTimeout     Cause = "timeout"      // a deadline passed
	CauseEOF         Cause = "eof"          // the server hung up
	CauseReset       Cause = "reset"        // connection reset or broken pipe
	CauseCertificate Cause = "certificate"  // chain, name or dates
	CauseTLS         Cause = "tls"          // any other handshake failure
	CauseNoTLS       Cause = "no-tls"       // STARTTLS not offered or refused for good
	CauseInjected    Cause = "injected"     // bytes in the buffer before the handshake (CVE-2021-38371)
	CauseProtocol    Cause = "protocol"     // garbage, mixed codes, an unasked reply
	CauseTooLong     Cause = "too-long"     // a line or reply beyond the caps
	CauseNoMechanism Cause = "no-mechanism" // no common way to sign in
	CauseNotLoopback Cause = "not-loopback" // plain text to an address that is not this computer
	CauseSecret      Cause = "secret"       // keyring locked or gone, password command failed
	CauseLocal       Cause = "local"        // this machine: rendering, disk
	CauseCancelled   Cause = "cancelled"    // we were asked to stop
)

// Fault is what ended or troubled a conversation: where, the server's reply or
// the local cause. It is an error; its text is safe to show and holds no secret.
type Fault struct {
	Phase  Phase
	Reply  Reply  // zero when no complete reply came
	Cause  Cause  // CauseNone when Reply decided
	Detail string // cleaned, plain, e.g. "certificate signed by unknown authority"
	Reason Reason // catalogue key where a more exact one than the phase's is known
	Err    error  // for errors.Is; never shown
}

// Error returns the phase and what came, in that order; about a secret what came
// is a sentence, which says it all.
func (f *Fault) Error() string {
	if f.Phase == PhaseSecret && f.Detail != "" {
		return f.Detail
	}
	s := string(f.Phase) + ": "
	switch {
	case !f.Reply.IsZero():
		s += f.Reply.String()
	case f.Detail != "":
		s += f.Detail
	default:
		s += string(f.Cause)
	}
	return s
}

// Unwrap returns the underlying error.
func (f *Fault) Unwrap() error { return f.Err }

package accounts

import (
	"crypto/x509"
	"errors"
	"strconv"
	"strings"

	"postroom/assets/providers"
	"postroom/post"
)

// adviceWords is the English of each piece of advice, by its catalogue key.
// {0} is the port, the host or the offer, as advice fills it in.
var adviceWords = map[string]string{
	"advice.host":             "Check the server's name, {0}: there is no server of that name.",
	"advice.dns":              "Check the network connection: the server's address could not be looked up.",
	"advice.port":             "Check the port: nothing answers on {0}. Usual are 465 with TLS and 587 with STARTTLS.",
	"advice.port_blocked":     "Nothing came back from port {0}. Check the port; some networks and firewalls block mail ports.",
	"advice.network":          "Check the network connection: the server cannot be reached from here.",
	"advice.try_implicit":     "The server says nothing on this port: it may want TLS from the start. Try TLS, usually on port 465.",
	"advice.try_starttls":     "The server does not begin with TLS on this port. Try STARTTLS, usually on port 587.",
	"advice.tls":              "The encryption could not be set up. The server may be too old for TLS 1.2, or something in between disturbs it.",
	"advice.tls_ended":        "The server hung up while the encryption was set up. It may know only old encryption that is not safe any more, or want the other kind: TLS is usual on port 465, STARTTLS on 587.",
	"advice.authority":        "The server's certificate is not from an authority that this computer knows. If the server is your own, give the account its authority's certificate.",
	"advice.certificate_name": "The server's certificate is for another name. Check the server's name; use the one that your provider tells you.",
	"advice.certificate_time": "The server's certificate is out of date, or this computer's clock is wrong. Check the clock, then ask the provider.",
	"advice.certificate":      "The server's certificate cannot be trusted. Ask the provider before you send a password there.",
	"advice.no_encryption":    "The server offers no encryption on this port: try port 465.",
	"advice.injected":         "Somebody may be between this computer and the server. Try another network, and tell your provider.",
	"advice.not_loopback":     "Choose TLS or STARTTLS: without encryption Postroom sends to this computer itself only.",
	"advice.not_smtp":         "What answers there does not speak as a mail server for sending. Check the server's name and port; 465 and 587 are usual.",
	"advice.try_later":        "The server is busy or wants a pause. Try again in some minutes.",
	"advice.refused_here":     "The server does not want to talk to this computer. Check the server's name; if it is right, ask your provider.",
	"advice.password":         "The server does not accept this name and password. Check both. Many providers want an app password or authorisation code from their web site instead of your usual password.",
	"advice.app_password":     "This provider wants an app password or authorisation code instead of your usual password. Make one on its web site, in the security settings.",
	"advice.password_off":     "The provider has switched off sign-in by password for this mailbox. Ask its administrator to allow “Authenticated SMTP”, or sign in through the browser instead.",
	"advice.password_change":  "The provider wants you to change the password or sign in on its web site first.",
	"advice.mechanism":        "The server has no way to sign in that fits the account's settings. It offers: {0}. Choose automatic sign-in, or ask your provider.",
	"advice.no_sign_in":       "The server offers no sign-in on this port. Try port 465 or 587, or choose no sign-in for a server of your own.",
	"advice.encryption":       "The server wants encryption before the sign-in. Choose TLS or STARTTLS.",
	"advice.wait":             "Wait a minute before the next try, so that the provider does not lock the account.",
	"advice.keyring":          "Unlock the system's keyring, then try again.",
	"advice.no_keyring":       "Postroom cannot reach a keyring on this computer. Use a password command, or start the system's keyring.",
	"advice.enter_password":   "Enter the account's password again.",
	"advice.short_password":   "The password does not fit into the system's keyring. Use a password command, or an app password.",
	"advice.command":          "Run the password command in a terminal: it must print the password and nothing else.",
	"advice.pin":              "The server shows another certificate than the one that you trusted. If it was renewed, compare its fingerprint again; if nobody knows of it, somebody may be in between.",
	"advice.proxy":            "The account's proxy did not connect. Check its address, or send without it.",
	"advice.vault":            "Unlock the password vault, then try again.",
	"advice.vault_damaged":    "Put a copy of the vault file back, or move it away and make a new one; then give the passwords again.",
	"advice.ask":              "Give the account's password; it is asked for each time.",
	"advice.unbound":          "The server is at the other end of another connection: somebody or something is in between. Ask your provider; where that is a machine of theirs, choose SCRAM-SHA-256 as the way to sign in.",
	"advice.token":            "Sign in with the provider again.",
	"advice.client_id":        "Set the client id for this provider in the settings, or use an app password.",
	"advice.not_arrived":      "The server took the message, but it is not in the inbox yet. Look there in some minutes, and in the folder for junk.",
	"advice.plus_refused":     "The server takes no mail to name+token@domain. Do not ask for answers there: they come to the address itself.",
	"advice.plus_lost":        "Mail to name+token@domain does not come to the inbox. Do not ask for answers there: they come to the address itself.",
	"advice.junk":             "The message came, but as junk. Check the domain: SPF, DKIM and DMARC tell others that your mail is real.",
	"advice.sender":           "The server did not take the message; why stands beside it. Often the account's address must be the one that belongs to the sign-in.",
	"advice.confirm_command":  "Look at the password command and confirm it, because the ledger was restored or copied.",
}

// advice says what the user can do about a fault: the key with its arguments,
// and the English words.
func advice(a post.Account, f *post.Fault) (post.Reason, string) {
	key, arg := adviceKey(a, f), ""
	switch key {
	case "":
		return post.Reason{}, ""
	case "advice.host":
		arg = post.CleanReply(a.Host)
	case "advice.port", "advice.port_blocked":
		arg = strconv.Itoa(a.Port)
	case "advice.mechanism":
		if len(f.Reason.Args) > 0 {
			arg = f.Reason.Args[0]
		} else {
			arg = "?"
		}
	}
	words, r := adviceWords[key], post.Reason{Key: key}
	if arg != "" {
		r.Args = []string{arg}
		words = strings.ReplaceAll(words, "{0}", arg)
	}
	return r, words
}

func adviceKey(a post.Account, f *post.Fault) string {
	if f.Cause == post.CauseSecret {
		return secretAdvice(f.Reason.Key)
	}
	switch {
	case f.Reason.Key == keyTokenRefused:
		return "advice.token"
	case f.Reason.Key == keyTokenServer:
		return "advice.try_later"
	case f.Reason.Key == keyUnbound:
		return "advice.unbound"
	case f.Reason.Key == "fault.proxy":
		return "advice.proxy"
	}
	if !f.Reply.IsZero() && f.Cause != post.CauseNoTLS {
		return replyAdvice(a, f)
	}
	switch f.Cause {
	case post.CauseNoHost:
		return "advice.host"
	case post.CauseDNS:
		return "advice.dns"
	case post.CauseRefused:
		return "advice.port"
	case post.CauseUnreachable:
		return "advice.network"
	case post.CauseCertificate:
		return certificateAdvice(f.Err)
	case post.CauseNoTLS:
		return "advice.no_encryption"
	case post.CauseInjected:
		return "advice.injected"
	case post.CauseNotLoopback:
		return "advice.not_loopback"
	case post.CauseNoMechanism:
		if len(f.Reason.Args) > 0 {
			return "advice.mechanism"
		}
		return "advice.no_sign_in"
	case post.CauseTLS:
		if f.Detail == notTLS {
			return "advice.try_starttls"
		}
		return "advice.tls"
	case post.CauseProtocol, post.CauseTooLong:
		return "advice.not_smtp"
	case post.CauseCancelled:
		return ""
	}
	return silenceAdvice(a, f)
}

// silenceAdvice is for a server that hung up or said nothing.
func silenceAdvice(a post.Account, f *post.Fault) string {
	switch {
	case f.Phase == post.PhaseConnect:
		return "advice.port_blocked"
	case f.Phase == post.PhaseGreeting && a.TLS == post.TLSStartTLS:
		return "advice.try_implicit"
	case f.Phase == post.PhaseTLS && f.Cause != post.CauseTimeout: // Dovecot does so where it knows only an old TLS
		return "advice.tls_ended"
	case f.Phase == post.PhaseTLS && a.TLS == post.TLSImplicit:
		return "advice.try_starttls"
	}
	return "advice.try_later"
}

// arrivalAdvice is for a letter that is not in the inbox; junk is the folder that
// it was found in instead.
func arrivalAdvice(junk string) string {
	if junk != "" {
		return "advice.junk"
	}
	return "advice.not_arrived"
}

const (
	keyPlusRefused = "advice.plus_refused"
	keyPlusLost    = "advice.plus_lost"
)

// plusAdvice is for a letter to an address with a detail that was refused, or is
// not in the inbox.
func plusAdvice(f *post.Fault) string {
	switch {
	case f == nil:
		return keyPlusLost
	case f.Phase == post.PhaseRCPT && f.Reply.Class() == 5:
		return keyPlusRefused
	}
	return ""
}

func secretAdvice(key string) string {
	switch key {
	case keyKeyringLocked, keyKeyringWaiting:
		return "advice.keyring"
	case keyKeyringAbsent, keyKeyringNone, keyKeyringFailed:
		return "advice.no_keyring"
	case keyKeyringTooBig:
		return "advice.short_password"
	case keyCommandHeld:
		return "advice.confirm_command"
	case keyCommandMissing, keyCommandFailed, keyCommandTimeout, keyCommandTooLong:
		return "advice.command"
	case keyTooMany:
		return "advice.wait"
	case keyVaultLocked, keyVaultAbsent, keyVaultWrong:
		return "advice.vault"
	case keyVaultDamaged, keyVaultFailed:
		return "advice.vault_damaged"
	case keyAsk:
		return "advice.ask"
	case keyTokenNoClient, keyTokenClient, keyTokenIssuer:
		return "advice.client_id"
	case keyTokenMissing, keyTokenRevoked, keyTokenDenied, keyTokenTime, keyTokenAnswer, keyTokenShort, keyTokenFailed:
		return "advice.token"
	case "":
		return ""
	}
	return "advice.enter_password"
}

func certificateAdvice(err error) string {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var pin *pinError
	switch {
	case errors.As(err, &pin):
		return "advice.pin"
	case errors.As(err, &authority):
		return "advice.authority"
	case errors.As(err, &host):
		return "advice.certificate_name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "advice.certificate_time"
	}
	return "advice.certificate"
}

// replyAdvice reads a refusal: RFC 4954 6 for AUTH, and what large providers
// say in words.
func replyAdvice(a post.Account, f *post.Fault) string {
	r := f.Reply
	switch {
	case r.Code == 432 && f.Phase == post.PhaseAuth, r.Enhanced == "4.7.12":
		return "advice.password_change"
	case r.Class() == 4:
		return "advice.try_later"
	case r.Class() == 5 && (f.Phase == post.PhaseMAIL || f.Phase == post.PhaseRCPT || f.Phase == post.PhaseDATA || f.Phase == post.PhaseDot):
		return "advice.sender"
	case f.Phase != post.PhaseAuth:
		return "advice.refused_here"
	case r.Code == 538, r.Code == 530, r.Enhanced == "5.7.11":
		return "advice.encryption"
	case r.Code == 504, r.Code == 502, r.Code == 500:
		return "advice.mechanism"
	case r.Enhanced == "5.7.139" && !strings.Contains(strings.ToLower(r.Text), "credentials were incorrect"), r.Enhanced == "5.7.30":
		return "advice.password_off"
	case r.Code == 534, r.Enhanced == "5.7.9", wantsAppPassword(a.Host, r.Text):
		return "advice.app_password"
	}
	return "advice.password"
}

// wantsAppPassword knows providers that never take the usual password, and the
// words that others use.
func wantsAppPassword(host, text string) bool {
	if p, ok := providers.ForHost(host); ok && p.WantsAppPassword() {
		return true
	}
	text = strings.ToLower(text)
	for _, w := range []string{"app password", "application password", "application-specific", "app-specific", "authorization code", "授权码"} {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

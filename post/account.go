package post

import (
	"encoding/hex"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// TLS is how a connection to a mail server is protected.
type TLS string

// The TLS modes. None is allowed to loopback hosts only.
const (
	TLSStartTLS TLS = "starttls" // RFC 3207, mandatory: never falls back
	TLSImplicit TLS = "tls"      // RFC 8314 3.3
	TLSNone     TLS = "none"
)

// Auth is a sign-in mechanism (RFC 4954), or auto to take the best one offered.
type Auth string

// The sign-in mechanisms.
const (
	AuthAuto        Auth = "auto"
	AuthPlain       Auth = "plain"
	AuthLogin       Auth = "login"
	AuthCRAMMD5     Auth = "cram-md5"
	AuthSCRAMSHA256 Auth = "scram-sha-256"
	AuthXOAUTH2     Auth = "xoauth2"
	AuthNone        Auth = "none"
)

// SecretKind is where an account's password is found.
type SecretKind string

// The places a secret can be in.
const (
	SecretKeyring SecretKind = "keyring" // the operating system's keyring
	SecretVault   SecretKind = "vault"   // a file under a passphrase, where there is no keyring
	SecretCommand SecretKind = "command" // the output of a command, run at each sign-in
	SecretAsk     SecretKind = "ask"     // asked for each time the program runs, and kept nowhere
	SecretOAuth   SecretKind = "oauth"   // a token of the provider's, see OAuth
	SecretNone    SecretKind = "none"    // no password is needed
)

// OAuth is the authorization server of an account that signs in by token (RFC
// 6749), and what we are called there. It holds no secret.
type OAuth struct {
	Provider string   `json:"provider,omitempty"` // of the data file; empty: the rest says all
	Issuer   string   `json:"issuer,omitempty"`   // an https address; the rest is found there (RFC 8414)
	ClientID string   `json:"client_id,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`
}

// IsZero reports whether there is none.
func (o *OAuth) IsZero() bool { return o.Provider == "" && o.Issuer == "" }

// Limits are an account's quotas over rolling windows, in messages. 0 is no limit.
type Limits struct {
	PerMinute int `json:"per_minute,omitempty"`
	PerHour   int `json:"per_hour,omitempty"`
	PerDay    int `json:"per_day,omitempty"`
}

// AccountState is what an account is doing, as users are told.
type AccountState string

// The states of an account.
const (
	AccountReady   AccountState = "ready"
	AccountWaiting AccountState = "waiting" // until Account.Until, then by itself
	AccountStopped AccountState = "stopped" // until the user acts
	AccountPaused  AccountState = "paused"  // by the user
)

// Account is one sender: an address, the submission server that takes its
// mail, and how to sign in there. It never holds a secret.
type Account struct {
	ID       int64
	Name     string // unique without regard to case
	Email    string
	FromName string

	Host string
	Port int
	TLS  TLS
	CA   []byte // PEM of a private authority; empty: the system's authorities
	Auth Auth
	User string // empty: Email is used

	// Pin is the SHA-256 of the one public key (its SubjectPublicKeyInfo) that
	// the server may show, in hexadecimal; empty: an authority vouches for it.
	Pin   string
	Proxy string // socks5://HOST:PORT or http://HOST:PORT; empty: none

	Secret          SecretKind
	SecretRef       string // the name of its entry in keyring or vault; random, not guessable from the account
	OAuth           OAuth
	PasswordCommand string // run by the shell; its output less the last newline is the password
	// CommandHeld is true after a restore or a copied ledger: the command is
	// shown and must be confirmed before it runs again.
	CommandHeld bool

	Limits      Limits
	Connections int // at once from the start; 0: one, more by slow start
	Weight      int // its part of a mailing that several accounts share; 0 is 1

	IMAPHost string
	IMAPPort int
	IMAPTLS  TLS
	// HandledFolder is the folder of the mailbox that reports are moved to once
	// they are understood; empty: the mailbox is only read.
	HandledFolder string

	Selector string // under which its server signs (RFC 6376 3.1); empty: not known
	Position int    // its place in lists; those of one place are by name

	// Hold is empty, AccountPaused or AccountStopped.
	Hold   AccountState
	Reason Reason    // why it waits or is stopped
	Until  time.Time // waits until then; zero: does not wait
	// WaitStep is how many waits in a row this is; it picks the next backoff.
	WaitStep int
	Learned  Learned

	CreatedAt time.Time
	ChangedAt time.Time
}

// Learned is what a server taught us about itself by refusing.
type Learned struct {
	MessagesPerConnection int     `json:"messages_per_connection,omitempty"` // 0: none learned
	Connections           int     `json:"connections,omitempty"`             // 0: none learned
	NoPipelining          bool    `json:"no_pipelining,omitempty"`           // broke under RFC 2920
	HadTLS                bool    `json:"had_tls,omitempty"`                 // RFC 8314 5.2
	Rate                  float64 `json:"rate,omitempty"`                    // messages a minute; 0: none learned
	Size                  int64   `json:"size,omitempty"`                    // bytes it takes in one message (RFC 1870); 0: not said
}

// State returns what the account is doing at now.
func (a *Account) State(now time.Time) AccountState {
	switch {
	case a.Hold != "":
		return a.Hold
	case a.Until.After(now):
		return AccountWaiting
	default:
		return AccountReady
	}
}

// Login returns the name to sign in with.
func (a *Account) Login() string {
	if a.User != "" {
		return a.User
	}
	return a.Email
}

// Check reports the first thing that is wrong with the account's own fields,
// as a KindInvalid error, without touching the network.
func (a *Account) Check() error {
	const op = "account"
	if strings.TrimSpace(a.Name) == "" {
		return Errorf(KindInvalid, op, "give the account a name")
	}
	if hasControl(a.Name) || hasControl(a.FromName) || hasControl(a.Host) || hasControl(a.User) {
		return Errorf(KindInvalid, op, "names and hosts cannot hold line breaks or control characters")
	}
	if _, err := ParseAddress(a.Email); err != nil {
		return &Error{Kind: KindInvalid, Op: op, Message: "the sender address is not valid", Err: err}
	}
	if a.Host == "" || strings.ContainsAny(a.Host, " /@") {
		return Errorf(KindInvalid, op, "give the server's name, such as smtp.example.com")
	}
	if a.Port < 1 || a.Port > 65535 {
		return Errorf(KindInvalid, op, "the port must be between 1 and 65535; 465 and 587 are usual")
	}
	switch a.TLS {
	case TLSStartTLS, TLSImplicit:
	case TLSNone:
		if !IsLoopbackHost(a.Host) {
			return Errorf(KindInvalid, op, "sending without encryption is allowed only to this computer itself (127.0.0.1, ::1 or localhost), not to %s", a.Host)
		}
	default:
		return Errorf(KindInvalid, op, "tls must be starttls, tls or none, not %q", a.TLS)
	}
	switch a.Auth {
	case AuthAuto, AuthPlain, AuthLogin, AuthCRAMMD5, AuthSCRAMSHA256, AuthXOAUTH2, AuthNone:
	default:
		return Errorf(KindInvalid, op, "auth must be auto, plain, login, cram-md5, scram-sha-256, xoauth2 or none, not %q", a.Auth)
	}
	if a.Limits.PerMinute < 0 || a.Limits.PerHour < 0 || a.Limits.PerDay < 0 {
		return Errorf(KindInvalid, op, "limits cannot be negative; 0 means no limit")
	}
	if a.Connections < 0 || a.Connections > MaxConnections {
		return Errorf(KindInvalid, op, "connections must be between 0 and %d", MaxConnections)
	}
	if a.Weight < 0 || a.Weight > MaxWeight {
		return Errorf(KindInvalid, op, "the weight must be between 1 and %d", MaxWeight)
	}
	return a.checkMore(op)
}

func (a *Account) checkMore(op string) error {
	if a.Pin != "" {
		if b, err := hex.DecodeString(a.Pin); err != nil || len(b) != 32 || a.Pin != strings.ToLower(a.Pin) {
			return Errorf(KindInvalid, op, "a pin is the SHA-256 of a public key: 64 hexadecimal digits, as account test shows it")
		}
	}
	if a.Proxy != "" {
		if err := CheckProxy(a.Proxy, a.TLS); err != nil {
			return err
		}
	}
	if hasControl(a.HandledFolder) {
		return Errorf(KindInvalid, op, "the name of a folder cannot hold line breaks or control characters")
	}
	if a.Secret == SecretOAuth && a.OAuth.IsZero() {
		return Errorf(KindInvalid, op, "say which provider gives the token")
	}
	if hasControl(a.Selector) || strings.ContainsAny(a.Selector, " /@") || len(a.Selector) > 63 {
		return Errorf(KindInvalid, op, "a DKIM selector is a short name such as mail or s1")
	}
	return nil
}

// CheckProxy takes the two kinds of proxies that carry mail. A password has no
// place in an address that is shown and logged, and plain text none in a proxy.
func CheckProxy(proxy string, mode TLS) error {
	const op = "account"
	u, err := url.Parse(proxy)
	switch {
	case mode == TLSNone:
		return Errorf(KindInvalid, op, "without encryption nothing goes through a proxy")
	case err != nil || u.Hostname() == "" || u.Port() == "" || u.Scheme != "socks5" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		return Errorf(KindInvalid, op, "a proxy is socks5://HOST:PORT or http://HOST:PORT")
	case u.User != nil:
		return Errorf(KindInvalid, op, "a proxy with a name and password cannot be used; its address is kept in the open")
	}
	return nil
}

// MaxWeight is the largest weight of an account.
const MaxWeight = 100

// MaxConnections is how many connections one account, and all together, may hold.
const MaxConnections = 50

// IsLoopbackHost reports whether host is this computer by name or literal:
// localhost, 127.0.0.0/8 or ::1. What localhost resolves to is checked again
// when it is dialled.
func IsLoopbackHost(host string) bool {
	h := strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if h == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(h)
	return err == nil && ip.Unmap().IsLoopback()
}

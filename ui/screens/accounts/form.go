package accounts

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"postroom/post"
)

// Field names one field of the form; the widgets' ids are "accounts.form." and
// the field.
type Field string

// The fields of the form.
const (
	FieldName        Field = "name"
	FieldEmail       Field = "email"
	FieldFromName    Field = "from_name"
	FieldHost        Field = "host"
	FieldPort        Field = "port"
	FieldTLS         Field = "tls"
	FieldUser        Field = "user"
	FieldAuth        Field = "auth"
	FieldPassword    Field = "password"
	FieldCommand     Field = "command"
	FieldCA          Field = "ca"
	FieldPerMinute   Field = "per_minute"
	FieldPerHour     Field = "per_hour"
	FieldPerDay      Field = "per_day"
	FieldConnections Field = "connections"
	FieldPlace       Field = "place"
	FieldPin         Field = "pin"
	FieldProxy       Field = "proxy"
	FieldWeight      Field = "weight"
)

// Problem is what is wrong with one field.
type Problem struct {
	Field Field
	Why   post.Reason
}

// Problems are what is wrong with a form, in the order of its fields. As an
// error they name the keys only.
type Problems []Problem

// Error lists the fields with their keys.
func (p Problems) Error() string {
	said := make([]string, len(p))
	for i, x := range p {
		said[i] = string(x.Field) + ": " + x.Why.Key
	}
	return strings.Join(said, ", ")
}

// Form is an account as it is typed. It holds a secret: it is neither logged
// nor printed.
type Form struct {
	Name, FromName, Email string
	Host, Port            string
	TLS                   post.TLS
	User                  string
	Auth                  post.Auth
	Password              string          // empty: the one that is kept stays
	Place                 post.SecretKind // where the password is kept: one of Places
	UseCommand            bool
	Command               string
	CAPath                string // a PEM file to read; empty: what is kept stays
	DropCA                bool   // the kept authority is not wanted any more

	PerMinute, PerHour, PerDay, Connections string
	Weight, Proxy                           string
	DropPin                                 bool // the one certificate is not wanted any more

	Mailbox
}

// String keeps the secret out of whatever prints a form.
func (f Form) String() string { return "account form " + f.Name }

// GoString is String, for %#v.
func (f Form) GoString() string { return f.String() }

// Modes and Mechanisms are the choices of the form in their order.
var (
	Modes      = []post.TLS{post.TLSImplicit, post.TLSStartTLS, post.TLSNone}
	Mechanisms = []post.Auth{post.AuthAuto, post.AuthPlain, post.AuthLogin, post.AuthCRAMMD5, post.AuthSCRAMSHA256, post.AuthXOAUTH2, post.AuthNone}
)

// NewForm returns the form of a new account.
func NewForm() Form {
	return Form{TLS: post.TLSImplicit, Port: usualPort(post.TLSImplicit), Auth: post.AuthAuto, Place: post.SecretKeyring, Mailbox: mailboxOf(&post.Account{})}
}

// FormOf returns the form of an account that is there. The password is not
// fetched.
func FormOf(a *post.Account) Form {
	place := a.Secret
	if !slices.Contains(Places, place) {
		place = post.SecretKeyring
	}
	weight := ""
	if a.Weight > 1 {
		weight = number(a.Weight)
	}
	return Form{
		Place: place, Weight: weight, Proxy: a.Proxy, Mailbox: mailboxOf(a),
		Name: a.Name, FromName: a.FromName, Email: a.Email, Host: a.Host, Port: number(a.Port), TLS: a.TLS, User: a.User, Auth: a.Auth,
		UseCommand: a.Secret == post.SecretCommand, Command: a.PasswordCommand,
		PerMinute: number(a.Limits.PerMinute), PerHour: number(a.Limits.PerHour), PerDay: number(a.Limits.PerDay), Connections: number(a.Connections),
	}
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// usualPort is the port of a mode (RFC 8314 3.3, RFC 6409 3.1).
func usualPort(mode post.TLS) string {
	switch mode {
	case post.TLSImplicit:
		return "465"
	case post.TLSStartTLS:
		return "587"
	}
	return "25"
}

// PortFor returns the port that suits a mode, unless the user typed one that is
// not the usual one of any mode.
func PortFor(mode post.TLS, typed string) string {
	switch strings.TrimSpace(typed) {
	case "", "25", "465", "587":
		return usualPort(mode)
	}
	return typed
}

// Problems reports what is wrong with the fields, without touching disk, keyring
// or network. old is the account that is changed, the zero value for a new one.
func (f *Form) Problems(old *post.Account) Problems {
	_, problems := f.account(old)
	return problems
}

// account builds the account from the fields over old. The secret's reference
// and the authority stay those of old.
func (f *Form) account(old *post.Account) (post.Account, Problems) {
	var wrong Problems
	bad := func(field Field, key string, args ...string) {
		wrong = append(wrong, Problem{field, post.Reason{Key: key, Args: args}})
	}
	count := func(field Field, typed string, most int) int {
		typed = strings.TrimSpace(typed)
		if typed == "" {
			return 0
		}
		n, err := strconv.Atoi(typed)
		if err != nil || n < 0 || n > most {
			bad(field, "accounts.wrong.number", strconv.Itoa(most))
		}
		return n
	}
	a := *old
	a.Name, a.FromName, a.User = strings.TrimSpace(f.Name), strings.TrimSpace(f.FromName), strings.TrimSpace(f.User)
	a.Email, a.Host, a.TLS, a.Auth = strings.TrimSpace(f.Email), strings.TrimSpace(f.Host), f.TLS, f.Auth
	if a.Email == "" {
		bad(FieldEmail, "accounts.wrong.email_empty")
	} else if _, err := post.ParseAddress(a.Email); err != nil {
		bad(FieldEmail, "accounts.wrong.email")
	}
	if a.Name == "" {
		a.Name = a.Email
	}
	if a.Host == "" || strings.ContainsAny(a.Host, " /@") {
		bad(FieldHost, "accounts.wrong.host")
	}
	port, err := strconv.Atoi(strings.TrimSpace(f.Port))
	if a.Port = port; err != nil || port < 1 || port > 65535 {
		bad(FieldPort, "accounts.wrong.port")
	}
	if a.TLS == post.TLSNone && !post.IsLoopbackHost(a.Host) {
		bad(FieldTLS, "accounts.wrong.tls")
	}
	f.secret(&a, old, bad)
	f.Mailbox.set(&a, bad)
	const mostLimit = 100_000_000
	a.Limits = post.Limits{
		PerMinute: count(FieldPerMinute, f.PerMinute, mostLimit), PerHour: count(FieldPerHour, f.PerHour, mostLimit),
		PerDay: count(FieldPerDay, f.PerDay, mostLimit),
	}
	a.Connections = count(FieldConnections, f.Connections, post.MaxConnections)
	a.Weight = max(1, count(FieldWeight, f.Weight, post.MaxWeight))
	if a.Proxy = strings.TrimSpace(f.Proxy); a.Proxy != "" && post.CheckProxy(a.Proxy, a.TLS) != nil {
		bad(FieldProxy, "accounts.wrong.proxy")
	}
	if f.DropPin || a.Host != old.Host {
		a.Pin = ""
	}
	if len(wrong) == 0 {
		// What is left are control characters, which no entry lets one type.
		if err := a.Check(); err != nil {
			bad(FieldName, "accounts.wrong.characters")
		}
	}
	return a, wrong
}

// secret sets where the password comes from.
func (f *Form) secret(a, old *post.Account, bad func(Field, string, ...string)) {
	switch {
	case f.Auth == post.AuthNone:
		a.Secret, a.SecretRef, a.PasswordCommand, a.CommandHeld = post.SecretNone, "", "", false
	case f.UseCommand:
		a.Secret, a.SecretRef, a.PasswordCommand = post.SecretCommand, "", strings.TrimSpace(f.Command)
		// A command that came with a restored ledger is confirmed by itself,
		// not along with some other change; one that was typed here is known.
		a.CommandHeld = old.CommandHeld && a.PasswordCommand == old.PasswordCommand
		if a.PasswordCommand == "" {
			bad(FieldCommand, "accounts.wrong.command")
		}
	case f.Password == "" && old.Secret == post.SecretOAuth: // it stays signed in
		a.PasswordCommand, a.CommandHeld = "", false
	case f.Place == post.SecretAsk:
		a.Secret, a.SecretRef, a.PasswordCommand, a.CommandHeld = post.SecretAsk, "", "", false
		if strings.ContainsAny(f.Password, "\x00\x01") {
			bad(FieldPassword, "accounts.wrong.password_characters")
		}
	default:
		a.Secret, a.PasswordCommand, a.CommandHeld = f.Place, "", false
		switch {
		case strings.ContainsAny(f.Password, "\x00\x01"):
			bad(FieldPassword, "accounts.wrong.password_characters")
		case f.Password == "" && !(old.Secret == post.SecretKeyring || old.Secret == post.SecretVault) || f.Password == "" && old.SecretRef == "":
			bad(FieldPassword, "accounts.wrong.password")
		}
	}
}

// moves reports that the password which is kept goes to another place.
func (f *Form) moves(old *post.Account, a *post.Account) bool {
	kept := old.Secret == post.SecretKeyring || old.Secret == post.SecretVault
	return f.Password == "" && kept && a.Secret != old.Secret && (a.Secret == post.SecretKeyring || a.Secret == post.SecretVault)
}

// maxCA bounds the file of a private authority, in bytes.
const maxCA = 1 << 20

// readCA reads the certificates of a private authority from a PEM file and
// returns them and nothing else of the file: a private key that stands beside
// them is not kept.
func readCA(path string) ([]byte, error) {
	bad := func(key string) error {
		return Problems{{FieldCA, post.Reason{Key: key}}}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", bad("accounts.wrong.ca_unreadable"), err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	b, err := io.ReadAll(io.LimitReader(file, maxCA+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", bad("accounts.wrong.ca_unreadable"), err)
	}
	if len(b) > maxCA {
		return nil, bad("accounts.wrong.ca")
	}
	var out bytes.Buffer
	for rest := b; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("%w: %w", bad("accounts.wrong.ca"), err)
		}
		out.Write(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
	}
	if out.Len() == 0 {
		return nil, bad("accounts.wrong.ca")
	}
	return out.Bytes(), nil
}

// authorityNames returns who the kept certificates are of, empty for none.
func authorityNames(ca []byte) string {
	var names []string
	for rest := ca; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			name := c.Subject.CommonName
			if name == "" {
				name = c.Subject.String()
			}
			names = append(names, post.CleanReply(name))
		}
	}
	return strings.Join(names, ", ")
}

package post

import (
	"net/mail"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// AddressKeyVersion is stored beside each key, so that a later rule can be
// applied to old rows.
const AddressKeyVersion = 1

// Address is one mailbox, checked: RFC 5321 4.1.2, RFC 6531 for letters beyond
// ASCII, RFC 5891 for the domain.
type Address struct {
	Local  string // as written, without quotes' meaning changed
	Domain string // as written
	ASCII  string // Domain in its ASCII form, lower case
}

// String returns the address as it was written.
func (a Address) String() string { return a.Local + "@" + a.Domain }

// Wire returns the address as it goes over the wire: the domain in ASCII form.
func (a Address) Wire() string { return a.Local + "@" + a.ASCII }

// maxLocal is how long the part before "@" may be, in bytes (RFC 5321 4.5.3.1.1).
const maxLocal = 64

// WithDetail returns the address with a detail behind "+" (RFC 5233 1), which
// servers that know of it deliver to the address itself. ok is false where that
// makes no address: there is a "+" already, the local part is quoted, or it would
// be too long.
func (a Address) WithDetail(detail string) (with Address, ok bool) {
	if strings.ContainsAny(a.Local, "+\"") {
		return a, false
	}
	with = a
	with.Local += "+" + detail
	return with, len(with.Local) <= maxLocal
}

// NeedsSMTPUTF8 reports whether the local part is beyond ASCII, which a server
// must offer SMTPUTF8 for (RFC 6531).
func (a Address) NeedsSMTPUTF8() bool { return !isASCII(a.Local) }

// domainProfile is UTS 46 as look-ups use it, with the length limits of DNS.
var domainProfile = idna.New(
	idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false),
	idna.StrictDomainName(true), idna.VerifyDNSLength(true),
)

// ParseAddress checks one bare address ("anna@example.com", no display name,
// no angle brackets, spaces around it ignored). The error is KindInvalid and
// says what is wrong in plain words.
func ParseAddress(s string) (Address, error) {
	const op = "address"
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return Address{}, Errorf(KindInvalid, op, "there is no address")
	case len(s) > 320:
		return Address{}, Errorf(KindInvalid, op, "the address is too long")
	case !utf8.ValidString(s):
		return Address{}, Errorf(KindInvalid, op, "the address is not valid text")
	case hasControl(s):
		return Address{}, Errorf(KindInvalid, op, "the address holds a line break or control character")
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return Address{}, Errorf(KindInvalid, op, "%q has no @", s)
	}
	local, domain := s[:at], s[at+1:]
	if why := checkLocal(local); why != "" {
		return Address{}, Errorf(KindInvalid, op, "%q: %s", s, why)
	}
	ascii, why := checkDomain(domain)
	if why != "" {
		return Address{}, Errorf(KindInvalid, op, "%q: %s", s, why)
	}
	return Address{Local: local, Domain: domain, ASCII: ascii}, nil
}

// ParsePlain is ParseMailbox for what most addresses are, letters, digits and signs of
// ASCII and nothing else, and gives AddressKey of it, too. Where ok is false
// ParseMailbox decides.
func ParsePlain(s string) (a Address, key string, ok bool) {
	at := strings.IndexByte(s, '@')
	if at < 1 || at > maxLocal || s[0] == '.' || s[at-1] == '.' {
		return Address{}, "", false
	}
	upper := false
	for i := range at {
		c := s[i]
		if !isAtext(c) && (c != '.' || s[i-1] == '.') {
			return Address{}, "", false
		}
		upper = upper || 'A' <= c && c <= 'Z'
	}
	a = Address{Local: s[:at], Domain: s[at+1:], ASCII: asciiDomain(s[at+1:])}
	switch {
	case a.ASCII == "":
		return Address{}, "", false
	case upper || a.ASCII != a.Domain:
		return a, AddressKey(a), true
	}
	return a, s, true
}

// ParseMailbox checks one mailbox with or without a display name, such as
// "Anna Köhler <anna@example.com>". Two addresses are an error, not two people.
func ParseMailbox(s string) (name string, a Address, err error) {
	s = strings.TrimSpace(s)
	if !strings.ContainsAny(s, "<>,;\" \t") {
		a, err = ParseAddress(s)
		return "", a, err
	}
	if strings.Count(s, "@") > 1 && strings.ContainsAny(s, ",; ") && !strings.Contains(s, "<") {
		return "", Address{}, Errorf(KindInvalid, "address", "there is more than one address in %q", s)
	}
	if open := strings.LastIndexByte(s, '<'); open >= 0 && strings.HasSuffix(s, ">") && strings.Count(s, "<") == 1 {
		name = strings.TrimSpace(s[:open])
		if !strings.ContainsRune(name, '@') {
			a, err = ParseAddress(s[open+1 : len(s)-1])
			return unquoteName(name), a, err
		}
	}
	list, perr := mail.ParseAddressList(s)
	switch {
	case perr == nil && len(list) > 1:
		return "", Address{}, Errorf(KindInvalid, "address", "there is more than one address in %q", s)
	case perr == nil && len(list) == 1:
		a, err = ParseAddress(list[0].Address)
		return list[0].Name, a, err
	}
	a, err = ParseAddress(s)
	return "", a, err
}

func unquoteName(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' && i+1 < len(s)-1 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// AddressKey returns what makes two spellings one person: the local part in
// NFC and folded without regard to case, the domain in ASCII form. Whether
// "Anna" and "anna" are one mailbox is the receiver's affair (RFC 5321 2.4);
// in practice they are, and a second copy would embarrass.
func AddressKey(a Address) string {
	if isASCII(a.Local) {
		return strings.ToLower(a.Local) + "@" + a.ASCII
	}
	return norm.NFC.String(cases.Fold().String(norm.NFC.String(a.Local))) + "@" + a.ASCII
}

// checkLocal returns why a local part is not valid, or "".
func checkLocal(s string) string {
	switch {
	case s == "":
		return "nothing stands before the @"
	case len(s) > maxLocal:
		return "the part before the @ is longer than 64 characters"
	case s[0] == '"':
		return checkQuoted(s)
	case s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, ".."):
		return "dots are in the wrong place before the @"
	}
	for _, r := range s {
		if r >= utf8.RuneSelf {
			if r == 0xFEFF || (r >= 0x2000 && r <= 0x206F) || r == 0x3000 {
				return "there is an invisible character before the @"
			}
			continue
		}
		if r == '@' {
			return "there is more than one @"
		}
		if !isAtext(byte(r)) && r != '.' {
			return "the character " + string(r) + " cannot stand before the @"
		}
	}
	return ""
}

// checkQuoted checks a quoted local part (RFC 5321 4.1.2).
func checkQuoted(s string) string {
	const bad = "the quotation marks before the @ do not match"
	if len(s) < 3 || s[len(s)-1] != '"' {
		return bad
	}
	for i := 1; i < len(s)-1; i++ {
		switch s[i] {
		case '"':
			return bad
		case '\\':
			i++
			if i == len(s)-1 {
				return bad
			}
		case '<', '>':
			// RFC 5321 allows them; no real mailbox has them, and every
			// envelope line that holds one is an accident or an attack.
			return "the characters < and > cannot stand in an address"
		}
	}
	return ""
}

// checkDomain returns the ASCII form, or why there is none.
func checkDomain(s string) (ascii, why string) {
	if s == "" {
		return "", "nothing stands after the @"
	}
	if fast := asciiDomain(s); fast != "" {
		return fast, ""
	}
	ascii, err := domainProfile.ToASCII(s)
	if err != nil || ascii == "" || strings.HasSuffix(ascii, ".") {
		return "", "the part after the @ is not a valid domain"
	}
	if last := ascii[strings.LastIndexByte(ascii, '.')+1:]; isDigits(last) {
		return "", "the part after the @ is not a valid domain"
	}
	return ascii, ""
}

// asciiDomain is the fast path for plain letters, digits, hyphens and dots: it
// returns the lower-case domain, or "" when the slow path must decide.
func asciiDomain(s string) string {
	if len(s) > 253 {
		return ""
	}
	label, digits, upper := 0, true, false
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '.':
			if label == 0 || s[i-1] == '-' {
				return ""
			}
			label, digits = 0, true
			continue
		case c == '-':
			if label == 0 || label >= 2 && s[i-1] == '-' { // "--" may be punycode: let idna judge
				return ""
			}
			digits = false
		case c >= '0' && c <= '9':
		case c >= 'a' && c <= 'z':
			digits = false
		case c >= 'A' && c <= 'Z':
			digits, upper = false, true
		default:
			return ""
		}
		if label++; label > 63 {
			return ""
		}
	}
	if label == 0 || digits || s[len(s)-1] == '-' {
		return ""
	}
	if upper {
		return strings.ToLower(s)
	}
	return s
}

// atext is what a word before the @ is made of (RFC 5322 3.2.3).
var atext = func() (set [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~") {
		set[c] = true
	}
	return set
}()

func isAtext(c byte) bool { return atext[c] }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

package post

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Letterhead is how an account's mail looks and what its promotional mail says
// in the footer.
type Letterhead struct {
	Account int64
	Colour  string // #rrggbb; empty: the design's own
	Logo    []byte // a PNG, JPEG or GIF; empty: none
	// PostalAddress is where the sender lives, in lines. The law asks for it in
	// promotional mail in many countries.
	PostalAddress string
	// UnsubscribeURL is the user's own HTTPS page that takes a POST (RFC 8058).
	// {token} in it stands for what names the delivery; without it, the token is
	// added as a parameter of that name.
	UnsubscribeURL string
	// UnsubscribeWords are those of the link in the footer; empty: by the
	// message's language.
	UnsubscribeWords string
}

// MaxLogo is how large a logo may be, in bytes: it goes out with each message.
const MaxLogo = 200 << 10

var colourForm = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// Check reports the first thing that is wrong, as a KindInvalid error.
func (h *Letterhead) Check() error {
	switch {
	case h.Colour != "" && !colourForm.MatchString(h.Colour):
		return letterheadError("colour", "write the colour as #1a7f37")
	case len(h.Logo) > MaxLogo:
		return letterheadError("logo", "the logo is larger than 200 KB", "200")
	case len(h.PostalAddress) > 1000 || len(h.UnsubscribeWords) > 200:
		return letterheadError("long", "the footer is too long")
	case hasControl(strings.ReplaceAll(h.PostalAddress, "\n", "")) || hasControl(h.UnsubscribeWords) || hasControl(h.UnsubscribeURL):
		return letterheadError("control", "the footer cannot hold control characters")
	}
	if h.UnsubscribeURL == "" {
		return nil
	}
	u, err := url.Parse(strings.ReplaceAll(h.UnsubscribeURL, "{token}", "x"))
	if err != nil || u.Scheme != "https" || u.Host == "" || len(h.UnsubscribeURL) > 500 || strings.ContainsAny(h.UnsubscribeURL, " <>\",\\") || !isASCIIText(h.UnsubscribeURL) {
		return letterheadError("page", "the unsubscribe page must be an address that begins with https://")
	}
	return nil
}

// maxSignature is how long a signature may be, in bytes.
const maxSignature = 2000

// CleanSignature returns what stands below an account's mail as it is kept: in
// lines, without spaces at their ends and without the line of two hyphens that
// begins it, which is ours to write. What cannot be one is a KindInvalid error.
func CleanSignature(s string) (string, error) {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t")
	}
	s = strings.Trim(strings.Join(lines, "\n"), "\n")
	s = strings.Trim(strings.TrimPrefix(s+"\n", "--\n"), "\n")
	switch {
	case !utf8.ValidString(s) || hasControl(strings.NewReplacer("\n", "", "\t", "").Replace(s)):
		return "", letterheadError("signature.control", "the signature cannot hold control characters")
	case len(s) > maxSignature:
		return "", letterheadError("signature.long", "the signature is longer than 2,000 bytes", strconv.Itoa(maxSignature))
	}
	return s, nil
}

func letterheadError(key, message string, args ...string) error {
	return &Error{Kind: KindInvalid, Op: "letterhead", Message: message, Reason: Reason{Key: "letterhead.wrong." + key, Args: args}}
}

func isASCIIText(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// Promotion is what promotional mail carries: a List-Id, a way to unsubscribe
// that names the delivery, and a footer. It is frozen with the content.
type Promotion struct {
	List             string `json:"list"` // what the List-Id is made of
	PostalAddress    string `json:"postal_address,omitempty"`
	UnsubscribeURL   string `json:"unsubscribe_url,omitempty"`
	UnsubscribeWords string `json:"unsubscribe_words,omitempty"`
}

// Promote returns the promotion of a mailing to a list under this letterhead.
func (h *Letterhead) Promote(list string) *Promotion {
	return &Promotion{
		List: list, PostalAddress: strings.TrimSpace(h.PostalAddress),
		UnsubscribeURL: h.UnsubscribeURL, UnsubscribeWords: strings.TrimSpace(h.UnsubscribeWords),
	}
}

// Signing is how an account's mail is signed (DKIM, RFC 6376). The private key
// lies in the keyring.
type Signing struct {
	Account   int64
	Domain    string // in ASCII form
	Selector  string
	SecretRef string // the keyring entry's name
	PublicKey []byte // as it stands in the DNS record: PKIX, DER
	CreatedAt time.Time
}

// Certificate is with what an account's mail is signed so that programs show from
// whom it is (S/MIME, RFC 8551). The private key lies in the keyring or the vault.
type Certificate struct {
	Account   int64
	Chain     []byte // DER: the account's own, then those that vouch for it
	SecretRef string // the entry's name in keyring or vault
	CreatedAt time.Time
}

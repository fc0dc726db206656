package post

import (
	"net/url"
	"regexp"
	"strings"
	"time"
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
	const op = "letterhead"
	switch {
	case h.Colour != "" && !colourForm.MatchString(h.Colour):
		return Errorf(KindInvalid, op, "write the colour as #1a7f37")
	case len(h.Logo) > MaxLogo:
		return Errorf(KindInvalid, op, "the logo is larger than %d KB", MaxLogo>>10)
	case len(h.PostalAddress) > 1000 || len(h.UnsubscribeWords) > 200:
		return Errorf(KindInvalid, op, "the footer is too long")
	case hasControl(strings.ReplaceAll(h.PostalAddress, "\n", "")) || hasControl(h.UnsubscribeWords) || hasControl(h.UnsubscribeURL):
		return Errorf(KindInvalid, op, "the footer cannot hold control characters")
	}
	if h.UnsubscribeURL == "" {
		return nil
	}
	u, err := url.Parse(strings.ReplaceAll(h.UnsubscribeURL, "{token}", "x"))
	if err != nil || u.Scheme != "https" || u.Host == "" || len(h.UnsubscribeURL) > 500 || strings.ContainsAny(h.UnsubscribeURL, " <>\",\\") || !isASCIIText(h.UnsubscribeURL) {
		return Errorf(KindInvalid, op, "the unsubscribe page must be an address that begins with https://")
	}
	return nil
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
// lies in the keyring or the vault.
type Signing struct {
	Account   int64
	Domain    string // in ASCII form
	Selector  string
	SecretRef string     // the name of its entry
	Home      SecretKind // where that is: keyring (also when empty) or vault
	PublicKey []byte     // as it stands in the DNS record: PKIX, DER
	CreatedAt time.Time
}

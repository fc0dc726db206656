package post

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Contact is one person in the address book. Address keeps the spelling that
// was seen first and is what mail is sent to; Key (AddressKey of it) is what
// makes a person one person.
type Contact struct {
	ID        int64
	Address   string
	Key       string
	Name      string
	Fields    map[string]string // by FieldName; values as they stood in the sheet
	CreatedAt time.Time
	ChangedAt time.Time
}

// List is a named set of contacts.
type List struct {
	ID        int64
	Name      string // unique without regard to case
	Members   int64
	CreatedAt time.Time
}

// Suppression says that an address is not to be mailed.
type Suppression struct {
	List    int64  // only as one of this list; 0: never
	Key     string // AddressKey
	Address string
	Reason  string // "asked", "bounced", "complaint" ...: a catalogue key
	Source  string // where it came from, e.g. "you", "delivery 12"
	At      time.Time
}

// FieldName turns a column's header into a name usable as a merge tag: NFC,
// lower case, letters, digits and single underscores; a leading digit gets
// "f_". taken, where not nil, reports names that are already used; then "_2",
// "_3" and so on is added. An empty header becomes "column".
func FieldName(header string, taken func(string) bool) string {
	var b strings.Builder
	gap := false
	for _, r := range norm.NFC.String(strings.TrimSpace(header)) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			if gap && b.Len() > 0 {
				b.WriteByte('_')
			}
			gap = false
			b.WriteRune(unicode.ToLower(r))
			continue
		}
		gap = true
	}
	name := b.String()
	if name == "" {
		name = "column"
	}
	if first, _ := firstRune(name); unicode.IsDigit(first) {
		name = "f_" + name
	}
	if taken == nil || !taken(name) {
		return name
	}
	for n := 2; ; n++ {
		if s := name + "_" + strconv.Itoa(n); !taken(s) {
			return s
		}
	}
}

func firstRune(s string) (rune, bool) {
	for _, r := range s {
		return r, true
	}
	return 0, false
}

package contacts

import (
	"strconv"
	"strings"

	"postroom/post"
)

// Domains of many people, long enough that one wrong letter means a slip.
var bigDomains = []string{"gmail.com", "googlemail.com", "hotmail.com", "outlook.com", "yahoo.com", "icloud.com", "t-online.de", "foxmail.com"}

// realDomains are one letter from those and belong to others.
var realDomains = words("mail.com ymail.com gmail.co gmail.cn hotmail.co outlook.co yahoo.co yahoo.cn email.com foxmail.co")

// typoOf returns the domain that was probably meant, or nothing: it is a hint,
// and the row is taken as it is.
func typoOf(domain string) string {
	for _, big := range bigDomains {
		if domain == big {
			return ""
		}
		if oneSlip(domain, big) && !realDomains[domain] {
			return big
		}
	}
	return ""
}

// oneSlip reports that one letter was changed, left out, put in, or swapped with the next.
func oneSlip(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	if i == len(a) {
		return false
	}
	return a[i+1:] == b[i+1:] || i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}

// Names of functions, before the @: somebody reads them, but nobody in person.
var roleNames = words("info office sales contact kontakt support service help hello mail admin administrator webmaster hr jobs " +
	"billing accounting buchhaltung rechnung vertrieb verkauf bestellung order orders shop team marketing press presse kefu contacto ventas")

// deafNames are those that nobody reads.
var deafNames = words("noreply no-reply no_reply donotreply do-not-reply mailer-daemon postmaster abuse bounce bounces nobody")

// hint tells what is probably wrong with an address that can be mailed. Addresses
// of functions are counted, and told of once.
func (m *made) hint(a post.Address) {
	switch local := strings.ToLower(a.Local); {
	case deafNames[local]:
		m.note(m.mapping.Address, m.cell(m.mapping.Address), "contacts.hint_deaf")
	case roleNames[local]:
		m.role = true
	}
	if meant := typoOf(a.ASCII); meant != "" {
		m.note(m.mapping.Address, m.cell(m.mapping.Address), "contacts.hint_typo", meant)
	}
	m.domain = a.ASCII
}

// counted is a hint that many rows may deserve.
type counted struct {
	n, row int64 // the first row
	value  string
}

func (c *counted) meet(row int64, value string) {
	if c.n++; c.n == 1 {
		c.row, c.value = row, value
	}
}

// hints tells what was counted.
func (p *pass) hints() {
	if r := p.roles; r.n > 0 {
		why := post.Reason{Key: "contacts.hint_roles", Args: []string{strconv.FormatInt(r.n, 10)}}
		if r.n == 1 {
			why = post.Reason{Key: "contacts.hint_role"}
		}
		p.report(Problem{Row: r.row, Column: p.label(p.mapping.Address), Value: show(r.value), Reason: why})
	}
}

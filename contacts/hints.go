package contacts

import "strings"

// Domains of many people, long enough that one wrong letter means a slip.
var bigDomains = []string{"gmail.com", "googlemail.com", "hotmail.com", "outlook.com", "yahoo.com", "icloud.com", "t-online.de", "foxmail.com"}

// realDomains are one letter from those and belong to others.
var realDomains = words("mail.com ymail.com gmail.co gmail.cn hotmail.co outlook.co yahoo.co yahoo.cn email.com foxmail.co")

// typoOf returns the domain that was probably meant, or nothing: it is a hint,
// and the row is taken as it is.
func typoOf(domain string) string {
	if realDomains[domain] {
		return ""
	}
	for _, big := range bigDomains {
		if domain == big {
			return ""
		}
		if oneSlip(domain, big) {
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

// hint tells what is probably wrong with an address that can be mailed.
func (p *pass) hint(rec record, domain string) {
	if meant := typoOf(strings.ToLower(domain)); meant != "" {
		p.note(rec, p.mapping.Address, p.cell(rec, p.mapping.Address), "contacts.hint_typo", meant)
	}
}

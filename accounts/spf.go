package accounts

import (
	"context"
	"net"
	"net/netip"
	"strings"
)

// spfVerdict is what a domain's SPF record says of a sender (RFC 7208 2.6).
type spfVerdict string

const (
	spfPass    spfVerdict = "pass"
	spfRefused spfVerdict = "refused" // fail, softfail or neutral: not vouched for
	spfBroken  spfVerdict = "broken"  // permerror
	spfUnsure  spfVerdict = "unsure"  // the name service did not answer, or it depends on a single message
	spfNone    spfVerdict = "none"
)

// The limits of RFC 7208 4.6.4.
const (
	maxSPFLookups = 10
	maxSPFHosts   = 10
)

// spfWalk evaluates one domain's records for the addresses of one server.
type spfWalk struct {
	dns     HealthDNS
	from    []netip.Addr // nil: nobody in particular; then only the form is looked at
	lookups int
	named   []string // whose records it refers to, by include or redirect
	open    bool     // "+all": everybody may send
	closed  bool     // it ends in all or redirect
	unsure  bool     // a macro, or an answer that did not come
}

// records returns a domain's SPF records.
func spfRecords(texts []string) []string {
	var found []string
	for _, t := range texts {
		if lower := strings.ToLower(t); lower == "v=spf1" || strings.HasPrefix(lower, "v=spf1 ") {
			found = append(found, t)
		}
	}
	return found
}

// check evaluates a record, terms from left to right (4.6).
func (w *spfWalk) check(ctx context.Context, domain, record string, depth int) spfVerdict {
	redirect := ""
	for _, term := range strings.Fields(record)[1:] {
		name, value, isModifier := strings.Cut(term, "=")
		if isModifier && !strings.ContainsAny(name, ":/") {
			if strings.EqualFold(name, "redirect") {
				redirect = value
			}
			continue
		}
		sign := byte('+')
		if strings.IndexByte("+-~?", term[0]) >= 0 {
			sign, term = term[0], term[1:]
		}
		matched, verdict := w.mechanism(ctx, domain, term, depth)
		if verdict != "" {
			return verdict
		}
		if strings.EqualFold(term, "all") && depth == 0 {
			w.closed, w.open = true, sign == '+'
		}
		if matched && w.from != nil {
			if sign == '+' {
				return spfPass
			}
			return spfRefused
		}
	}
	if redirect == "" {
		return spfRefused
	}
	if depth == 0 {
		w.closed = true
	}
	return w.other(ctx, redirect, depth)
}

// mechanism reports whether one fits (5). A verdict ends the evaluation.
func (w *spfWalk) mechanism(ctx context.Context, domain, term string, depth int) (bool, spfVerdict) {
	head, cidr, _ := strings.Cut(term, "/")
	name, of, _ := strings.Cut(head, ":")
	name = strings.ToLower(name)
	if name == "ip4" || name == "ip6" { // an IPv6 address has colons of its own
		_, network, _ := strings.Cut(term, ":")
		return w.within(network)
	}
	if of == "" {
		of = domain
	}
	if strings.Contains(of, "%") {
		w.unsure = true
		return false, w.count()
	}
	switch name {
	case "all":
		return true, ""
	case "include":
		verdict := w.other(ctx, of, depth)
		switch verdict {
		case spfPass:
			return true, ""
		case spfBroken, spfNone:
			return false, spfBroken
		}
		return false, ""
	case "a":
		return w.hosts(ctx, []string{of}, cidr), w.count()
	case "mx":
		if verdict := w.count(); verdict != "" {
			return false, verdict
		}
		list, err := w.dns.LookupMX(ctx, of+".")
		if err != nil && !isNoRecord(err) {
			w.unsure = true
		}
		var names []string
		for _, mx := range list[:min(len(list), maxSPFHosts)] {
			names = append(names, mx.Host)
		}
		return w.hosts(ctx, names, cidr), ""
	case "ptr", "exists":
		w.unsure = true
		return false, w.count()
	}
	return false, spfBroken
}

func (w *spfWalk) count() spfVerdict {
	if w.lookups++; w.lookups > maxSPFLookups {
		return spfBroken
	}
	return ""
}

// other evaluates another domain's record.
func (w *spfWalk) other(ctx context.Context, domain string, depth int) spfVerdict {
	domain = strings.ToLower(strings.TrimSuffix(domain, ".")) // it may end in a dot (7.1)
	w.named = append(w.named, domain)
	if verdict := w.count(); verdict != "" {
		return verdict
	}
	if depth >= maxSPFLookups || strings.Contains(domain, "%") {
		w.unsure = true
		return spfRefused
	}
	texts, err := w.dns.LookupTXT(ctx, domain+".")
	if err != nil && !isNoRecord(err) {
		w.unsure = true
		return spfUnsure
	}
	switch found := spfRecords(texts); len(found) {
	case 0:
		return spfNone
	case 1:
		return w.check(ctx, domain, found[0], depth+1)
	}
	return spfBroken
}

func (w *spfWalk) within(text string) (bool, spfVerdict) {
	network, err := netip.ParsePrefix(text)
	if err != nil {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return false, spfBroken
		}
		network = netip.PrefixFrom(ip, ip.BitLen())
	}
	for _, ip := range w.from {
		if network.Contains(ip) {
			return true, ""
		}
	}
	return false, ""
}

// hosts compares with the addresses of names, within the network that cidr says.
func (w *spfWalk) hosts(ctx context.Context, names []string, cidr string) bool {
	four, six, _ := strings.Cut(cidr, "//")
	for _, name := range names {
		found, err := w.dns.LookupNetIP(ctx, "ip", strings.TrimSuffix(name, ".")+".")
		if err != nil && !isNoRecord(err) {
			w.unsure = true
		}
		for _, ip := range found {
			ip = ip.Unmap()
			size := four
			if ip.Is6() {
				size = six
			}
			text := ip.String()
			if size != "" {
				text += "/" + size
			}
			if fits, _ := w.within(text); fits {
				return true
			}
		}
	}
	return false
}

func isNoRecord(err error) bool {
	e, ok := err.(*net.DNSError) //nolint:errorlint // what net.Resolver returns
	return ok && e.IsNotFound
}

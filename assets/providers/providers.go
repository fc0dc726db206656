// Package providers is what is known about mail providers: their servers, how
// one signs in there, how much they take, what a domain's records must say for
// them, and what they mean by their own refusals. All of it is in one data file,
// where each fact has its grade of certainty, and each provider the pages that
// were read and the month; the file is data, and no promise of the providers:
// what comes from it is shown to the user, who can change it.
//
// Words are keys of the catalogue. Nothing here connects to anything.
package providers

import (
	_ "embed"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"

	"postroom/post"
)

// Grade says how certain a fact is.
type Grade string

// The grades.
const (
	Own         Grade = "A" // the provider's own page
	Thunderbird Grade = "D" // Thunderbird's provider database
	Third       Grade = "B" // a third party
	Zones       Grade = "Z" // what several customers' domains have in their published records
	Unconfirmed Grade = "U"
)

// Kind is what a provider wants to be signed in with.
type Kind string

// The kinds.
const (
	Password       Kind = "password"        // the one of the web site
	AppPassword    Kind = "app_password"    // made on the web site, for one program
	AuthCode       Kind = "auth_code"       // the same in China
	ClientPassword Kind = "client_password" // the same in company mail
	APIKey         Kind = "api_key"         // of a sending service
	OAuth2         Kind = "oauth2"          // a token
)

// Provider is one provider.
type Provider struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	User    string   `json:"user"`    // the name to sign in with; empty: the address; LocalPart: what stands before its @
	Domains Names    `json:"domains"` // of its addresses
	MX      Names    `json:"mx"`      // ends of the names of the servers that take mail for its customers' own domains
	SMTP    []Server `json:"smtp"`    // best first
	IMAP    *Server  `json:"imap"`    // nil: it keeps no mailboxes, or nothing is known
	Hosts   Names    `json:"hosts"`   // where its servers have many names: the ends of them
	SignIn  []SignIn `json:"sign_in"` // best first
	Limits  []Limit  `json:"limits"`
	Note    string   `json:"note"` // words: where to make what one signs in with
	Page    string   `json:"page"` // where that is done or explained; empty: not known

	// SPF are the names of which a customer's own domain has one in an include
	// (RFC 7208 5.2), the one to publish today first. Only of providers that send
	// with the customer's address as the sender on the envelope; others put their
	// own there, and the domain's SPF record is not asked.
	SPF Names `json:"spf"`
	// DKIM are the selectors (RFC 6376 3.1) that it gives its customers.
	DKIM Names `json:"dkim"`

	// FilesSent: it files a copy of all that is sent through it by itself.
	FilesSent Filing `json:"files_sent"`

	Checked string   `json:"checked"` // the month in which its facts were last compared with the sources, "2026-11"
	Sources []string `json:"sources"` // the pages that were read; none: nothing could be read, and all is unconfirmed
}

// LocalPart as a User stands for what is before the @ of the address.
const LocalPart = "local"

// Login returns the name to sign in with for an address, or nothing when that
// is the address itself.
func (p *Provider) Login(local string) string {
	if p.User == LocalPart {
		return local
	}
	return p.User
}

// Filing is what is known of that; without a grade nothing is.
type Filing struct {
	Grade Grade `json:"grade"`
}

// Names are domains or hosts in lower case.
type Names struct {
	Names []string `json:"names"`
	Grade Grade    `json:"grade"`
}

// Server is a submission server, or one with mailboxes.
type Server struct {
	Host  string   `json:"host"`
	Port  int      `json:"port"`
	TLS   post.TLS `json:"tls"`
	Grade Grade    `json:"grade"`
}

// SignIn is one way to sign in.
type SignIn struct {
	Kind  Kind  `json:"kind"`
	Grade Grade `json:"grade"`
}

// Limit is how many messages a provider takes in a rolling span of time, which
// is "per_minute", "per_hour" or "per_day". Where a provider names a range, it
// is the lower end.
type Limit struct {
	Span     string `json:"span"`
	Messages int    `json:"messages"`
	Grade    Grade  `json:"grade"`
}

// refusal is what a provider means by a reply. What is empty fits everything.
type refusal struct {
	Hosts    []string `json:"hosts"`
	Code     int      `json:"code"`
	Enhanced string   `json:"enhanced"`
	Contains string   `json:"contains"` // without regard to case
	Words    string   `json:"words"`
	Grade    Grade    `json:"grade"`
	Source   string   `json:"source"` // the page that shows it; empty: unconfirmed
}

type file struct {
	Providers []Provider `json:"providers"`
	Refusals  []refusal  `json:"refusals"`
}

//go:embed providers.json
var raw []byte

// known reads the file once; a test reads it strictly, so that it cannot fail.
var known = sync.OnceValue(func() file {
	var f file
	if err := json.Unmarshal(raw, &f); err != nil {
		panic("providers.json: " + err.Error())
	}
	return f
})

// All returns every provider, in the order of the file. It is shared: do not
// change it.
func All() []Provider { return known().Providers }

// ForDomain returns the provider whose addresses are of that domain (ASCII).
func ForDomain(domain string) (Provider, bool) {
	return find(func(p *Provider) bool { return slices.Contains(p.Domains.Names, fold(domain)) })
}

// ForMX returns the provider that takes mail at that host. Of several that fit,
// the one with the longest name counts.
func ForMX(host string) (Provider, bool) {
	best, length := Provider{}, 0
	for _, p := range All() {
		for _, end := range p.MX.Names {
			if under(host, end) && len(end) > length {
				best, length = p, len(end)
			}
		}
	}
	return best, length > 0
}

// ForHost returns the provider whose submission server that is. Of several, the
// one that names it first in its own list counts.
func ForHost(host string) (Provider, bool) {
	if p, ok := find(func(p *Provider) bool { return p.SMTP[0].Host == fold(host) }); ok {
		return p, true
	}
	return find(func(p *Provider) bool { return p.SendsAt(host) })
}

// SendsAt reports whether host is one of the provider's submission servers.
func (p *Provider) SendsAt(host string) bool {
	return slices.ContainsFunc(p.SMTP, func(s Server) bool { return s.Host == fold(host) }) ||
		slices.ContainsFunc(p.Hosts.Names, func(end string) bool { return under(host, end) })
}

// WantsAppPassword reports whether the provider takes a password made for one
// program, and never the one of its web site.
func (p *Provider) WantsAppPassword() bool {
	return !p.PasswordEnded() && !slices.ContainsFunc(p.SignIn, func(s SignIn) bool { return s.Kind == Password || s.Kind == APIKey })
}

// PasswordEnded reports whether the provider takes nothing but a token.
func (p *Provider) PasswordEnded() bool {
	return !slices.ContainsFunc(p.SignIn, func(s SignIn) bool { return s.Kind != OAuth2 })
}

// Quota returns the limits that are better than a guess.
func (p *Provider) Quota() post.Limits {
	var q post.Limits
	for _, l := range p.Limits {
		switch l.Span {
		case "per_minute":
			q.PerMinute = l.Messages
		case "per_hour":
			q.PerHour = l.Messages
		case "per_day":
			q.PerDay = l.Messages
		}
	}
	return q
}

// FilesSentMail reports whether the provider whose submission server that is
// files what is sent by itself.
func FilesSentMail(host string) bool {
	p, ok := ForHost(host)
	return ok && p.FilesSent.Grade != ""
}

// Meaning returns what the provider at host means by a reply, given as it came
// ("550 5.4.5 Daily ..."), or an empty reason when we do not know better than
// the reply itself.
func Meaning(host, reply string) post.Reason {
	first, rest, _ := strings.Cut(reply, " ")
	code, err := strconv.Atoi(first)
	if err != nil {
		return post.Reason{}
	}
	enhanced, _, _ := strings.Cut(rest, " ")
	for _, r := range known().Refusals {
		if (r.Code == 0 || r.Code == code) && (r.Enhanced == "" || r.Enhanced == enhanced) &&
			strings.Contains(strings.ToLower(rest), strings.ToLower(r.Contains)) &&
			slices.ContainsFunc(r.Hosts, func(end string) bool { return under(host, end) }) {
			return post.Reason{Key: r.Words}
		}
	}
	return post.Reason{}
}

func find(fits func(*Provider) bool) (Provider, bool) {
	all := All()
	if i := slices.IndexFunc(all, func(p Provider) bool { return fits(&p) }); i >= 0 {
		return all[i], true
	}
	return Provider{}, false
}

// under reports whether host is end or below it.
func under(host, end string) bool {
	host = fold(host)
	return host == end || strings.HasSuffix(host, "."+end)
}

func fold(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".") }

// Package providers is what is known about mail providers: their servers, how
// one signs in there, how much they take, and what they mean by their own
// refusals. All of it is in one data file, where each fact has its grade of
// certainty; the file is data, and no promise of the providers: what comes from
// it is shown to the user, who can change it.
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
	User    string   `json:"user"`    // the name to sign in with; empty: the address
	Domains Names    `json:"domains"` // of its addresses
	MX      Names    `json:"mx"`      // ends of the names of the servers that take mail for its customers' own domains
	SMTP    []Server `json:"smtp"`    // best first
	Hosts   Names    `json:"hosts"`   // where its servers have many names: the ends of them
	SignIn  []SignIn `json:"sign_in"` // best first
	Limits  []Limit  `json:"limits"`
	Note    string   `json:"note"` // words: where to make what one signs in with

	// FilesSent: it files a copy of all that is sent through it by itself.
	FilesSent Filing `json:"files_sent"`
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

// Server is a submission server.
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

// ForHost returns the provider whose submission server that is.
func ForHost(host string) (Provider, bool) {
	return find(func(p *Provider) bool {
		return slices.ContainsFunc(p.SMTP, func(s Server) bool { return s.Host == fold(host) }) ||
			slices.ContainsFunc(p.Hosts.Names, func(end string) bool { return under(host, end) })
	})
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

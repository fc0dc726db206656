package accounts

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"postroom/assets/providers"
	"postroom/post"
)

// HealthDNS is what is asked about a domain; *net.Resolver is one.
type HealthDNS interface {
	Resolver
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupAddr(ctx context.Context, addr string) ([]string, error)
}

// The records that are looked at, in their order.
const (
	RecordFrom  = "from" // whether the address and the server belong together
	RecordSPF   = "spf"  // RFC 7208
	RecordDKIM  = "dkim" // RFC 6376
	RecordDMARC = "dmarc"
	RecordMX    = "mx"
	RecordPTR   = "ptr" // of a server of one's own
)

// Finding states.
const (
	HealthGood    = "good"
	HealthWeak    = "weak"    // it is there and could be better
	HealthBad     = "bad"     // missing or wrong
	HealthUnknown = "unknown" // the name service did not answer, or nobody told us enough
)

// Finding is one record of a domain.
type Finding struct {
	Record string
	State  string
	What   post.Reason // in words for the domain's owner
	Found  []string    // as it stands
	// Name and Value are the record to publish, where one can be told.
	Name, Value string
}

// Health is what a domain's records say about mail from an account.
type Health struct {
	Domain   string
	AskedAt  time.Time
	OK       bool // nothing is bad
	Findings []Finding
}

// healthTime bounds all questions together.
const healthTime = 30 * time.Second

// usualSelectors are tried, after the provider's own, where an account does not
// say under which its server signs.
var usualSelectors = []string{"google", "selector1", "selector2", "default", "mail", "dkim", "s1", "s2", "k1", "fm1"}

// CheckHealth asks the name service what there is about the domain of an
// account's address: who may send for it, how its mail is signed, what others
// shall do with the rest, where answers go, and whether a server of its own has a
// name for its address. It asks the computer's own resolver and nobody else;
// nil is that. The error is KindInvalid for an address, KindCancelled when ctx
// ended.
func CheckHealth(ctx context.Context, dns HealthDNS, a post.Account, now time.Time) (Health, error) {
	address, err := post.ParseAddress(a.Email)
	if err != nil {
		return Health{}, err
	}
	if dns == nil {
		dns = net.DefaultResolver
	}
	limited, stop := context.WithTimeout(ctx, healthTime)
	defer stop()
	c := &healthCheck{dns: dns, a: a, domain: address.ASCII, host: hostName(a.Host)}
	c.own = base(c.host) == base(c.domain)
	c.provider, _ = providers.ForHost(c.host)
	if c.own {
		c.ips, _ = dns.LookupNetIP(limited, "ip", c.host+".") // without them the record's form is looked at
		for i := range c.ips {
			c.ips[i] = c.ips[i].Unmap()
		}
	}
	h := Health{Domain: c.domain, AskedAt: now.UTC().Truncate(time.Second), OK: true}
	looks := []func(context.Context) (Finding, bool){c.from, c.spf, c.dkim, c.dmarc, c.mx, c.ptr}
	if _, known := providers.ForDomain(c.domain); known {
		looks = looks[:1] // the rest is the provider's, and nobody else can change it
	}
	for _, look := range looks {
		f, ok := look(limited)
		if !ok {
			continue
		}
		for i := range f.Found {
			f.Found[i] = post.CleanReply(f.Found[i])
		}
		h.OK = h.OK && f.State != HealthBad
		h.Findings = append(h.Findings, f)
	}
	if ctx.Err() != nil {
		return Health{}, &post.Error{Kind: post.KindCancelled, Op: "look at the domain", Message: "stopped while asking the name service", Err: ctx.Err()}
	}
	return h, nil
}

// HealthShelf keeps reports; a *storage.Ledger is one.
type HealthShelf interface {
	Health(ctx context.Context, question string) (report string, at time.Time, err error)
	SetHealth(ctx context.Context, question, report string, at time.Time) error
}

// How long a report is believed. One with something bad in it is asked anew
// sooner, because somebody may be at work on it.
const (
	healthLife    = 12 * time.Hour
	badHealthLife = 5 * time.Minute
)

// shelved returns the report on the shelf and how old it is; without one it is
// too old for anything.
func shelved(ctx context.Context, shelf HealthShelf, question string, now time.Time) (h Health, age time.Duration) {
	text, at, err := shelf.Health(ctx, question)
	if age = now.Sub(at); err != nil || age < 0 || json.Unmarshal([]byte(text), &h) != nil {
		return Health{}, math.MaxInt64
	}
	return h, age
}

// HealthNews returns, for a check before sending, which records of an account's
// domain were missing or wrong when last asked for, in at most twelve hours. It
// asks nobody: what was never looked at is not told.
func HealthNews(shelf HealthShelf, now time.Time) func(ctx context.Context, a post.Account) []string {
	return func(ctx context.Context, a post.Account) (bad []string) {
		h, age := shelved(ctx, shelf, HealthQuestion(a), now)
		if age >= healthLife {
			return nil
		}
		for _, f := range h.Findings {
			if f.State == HealthBad && f.Record != RecordFrom { // the check sees that by itself
				bad = append(bad, strings.ToUpper(f.Record))
			}
		}
		return bad
	}
}

// KnownHealth returns what is on the shelf, if that is young enough, and else
// asks with CheckHealth and keeps the answer. fresh asks in any case.
func KnownHealth(ctx context.Context, shelf HealthShelf, dns HealthDNS, a post.Account, now time.Time, fresh bool) (Health, error) {
	question := HealthQuestion(a)
	if !fresh {
		if h, age := shelved(ctx, shelf, question, now); age < badHealthLife || h.OK && age < healthLife {
			return h, nil
		}
	}
	h, err := CheckHealth(ctx, dns, a, now)
	if err != nil {
		return h, err
	}
	text, err := json.Marshal(h)
	if err == nil {
		err = shelf.SetHealth(ctx, question, string(text), now)
	}
	return h, err
}

// HealthQuestion is what a report can be kept under: all that it depends on.
func HealthQuestion(a post.Account) string {
	address, err := post.ParseAddress(a.Email)
	if err != nil {
		return ""
	}
	return address.ASCII + " " + a.Selector + " " + hostName(a.Host) + " " + a.Login()
}

type healthCheck struct {
	dns          HealthDNS
	a            post.Account
	domain, host string
	own          bool               // the server is of the domain itself
	provider     providers.Provider // whose the server is; zero: not known
	ips          []netip.Addr
}

// base is the part of a name that somebody registered.
func base(name string) string {
	if b, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(name)); err == nil {
		return b
	}
	return strings.ToLower(name)
}

func finding(record, state, key string, args ...string) Finding {
	return Finding{Record: record, State: state, What: post.Reason{Key: key, Args: args}}
}

// asked tells a question that was not answered from one whose answer is no.
func asked(record string, err error) (Finding, bool) {
	if err == nil || isNoRecord(err) {
		return Finding{}, false
	}
	return finding(record, HealthUnknown, "health.no_answer"), true
}

// from looks whether address and server belong together: a mailbox provider's
// address sent through another server fails everywhere.
func (c *healthCheck) from(context.Context) (Finding, bool) {
	p, known := providers.ForDomain(c.domain)
	if known {
		if q, ok := providers.ForHost(c.host); !p.SendsAt(c.host) && (!ok || q.Name != p.Name) {
			return finding(RecordFrom, HealthBad, "health.from.elsewhere", p.Name, c.host), true
		}
		return finding(RecordFrom, HealthGood, "health.from.provider", p.Name), true
	}
	if _, at, ok := strings.Cut(c.a.Login(), "@"); ok && base(hostName(at)) != base(c.domain) {
		return finding(RecordFrom, HealthWeak, "health.from.login", c.a.Login(), c.domain), true
	}
	return Finding{}, false
}

func (c *healthCheck) spf(ctx context.Context) (Finding, bool) {
	texts, err := c.dns.LookupTXT(ctx, c.domain+".")
	if f, ok := asked(RecordSPF, err); ok {
		return f, true
	}
	records := spfRecords(texts)
	f := c.judgeSPF(ctx, records)
	f.Record, f.Found, f.Name = RecordSPF, records, c.domain
	if f.State == HealthGood || f.State == HealthUnknown {
		f.Name = ""
	}
	return f, true
}

func (c *healthCheck) judgeSPF(ctx context.Context, records []string) Finding {
	allow := "mx"
	if c.own {
		for _, ip := range c.ips {
			if ip.IsLoopback() {
				continue
			}
			kind := "ip4:"
			if ip.Is6() {
				kind = "ip6:"
			}
			allow += " " + kind + ip.String()
		}
	}
	switch len(records) {
	case 0:
		f := finding("", HealthBad, "health.spf.missing")
		switch include := c.include(); {
		case c.own:
			f = finding("", HealthBad, "health.spf.missing_own", c.host)
			f.Value = "v=spf1 " + allow + " ~all"
		case include != "":
			f = finding("", HealthBad, "health.spf.missing_known", c.provider.Name)
			f.Value = "v=spf1 " + include + " ~all"
		}
		return f
	case 1:
	default:
		return finding("", HealthBad, "health.spf.several", strconv.Itoa(len(records)))
	}
	w := &spfWalk{dns: c.dns}
	if c.own && len(c.ips) > 0 {
		w.from = c.ips
	}
	verdict := w.check(ctx, c.domain, records[0], 0)
	switch {
	case w.lookups > maxSPFLookups:
		return finding("", HealthBad, "health.spf.long")
	case verdict == spfBroken:
		return finding("", HealthBad, "health.spf.broken")
	case w.open:
		return finding("", HealthBad, "health.spf.open")
	case w.from != nil && verdict == spfPass:
		return finding("", HealthGood, "health.spf.good", c.host)
	case w.unsure || verdict == spfUnsure:
		return finding("", HealthUnknown, "health.spf.unsure")
	case w.from != nil:
		f := finding("", HealthBad, "health.spf.not_us", c.host)
		f.Value = allowing(records[0], strings.TrimPrefix(allow, "mx "))
		return f
	case c.include() != "" && !slices.ContainsFunc(c.provider.SPF.Names, func(name string) bool { return slices.Contains(w.named, name) }):
		f := finding("", HealthWeak, "health.spf.without", c.provider.Name)
		f.Value = allowing(records[0], c.include())
		return f
	case !w.closed:
		f := finding("", HealthWeak, "health.spf.no_end")
		f.Value = records[0] + " ~all"
		return f
	}
	if c.include() != "" {
		return finding("", HealthGood, "health.spf.provider", c.provider.Name)
	}
	return finding("", HealthGood, "health.spf.there")
}

// include is what a record says to let the provider send (RFC 7208 5.2), empty
// where that is not known or not needed.
func (c *healthCheck) include() string {
	if len(c.provider.SPF.Names) == 0 {
		return ""
	}
	return "include:" + c.provider.SPF.Names[0]
}

// allowing puts terms at the front of a record, before any that ends it.
func allowing(record, terms string) string {
	return "v=spf1 " + terms + record[len("v=spf1"):]
}

func (c *healthCheck) dkim(ctx context.Context) (Finding, bool) {
	selectors := append(slices.Clone(c.provider.DKIM.Names), usualSelectors...)
	if c.a.Selector != "" {
		selectors = []string{c.a.Selector}
	}
	for _, s := range selectors {
		name := s + "._domainkey." + c.domain
		texts, err := c.dns.LookupTXT(ctx, name+".")
		if c.a.Selector != "" {
			if f, ok := asked(RecordDKIM, err); ok {
				return f, true
			}
		}
		for _, t := range texts {
			if tags := tagsOf(t); tags["p"] != "" || strings.Contains(t, "p=") {
				f := judgeKey(tags, s)
				f.Record, f.Found = RecordDKIM, []string{name + ": " + t}
				return f, true
			}
		}
	}
	if c.a.Selector == "" {
		return finding(RecordDKIM, HealthUnknown, "health.dkim.unknown"), true
	}
	f := finding(RecordDKIM, HealthBad, "health.dkim.missing", c.a.Selector)
	f.Name = c.a.Selector + "._domainkey." + c.domain
	return f, true
}

// judgeKey reads a key record (RFC 6376 3.6.1, RFC 8301 3.2).
func judgeKey(tags map[string]string, selector string) Finding {
	if tags["p"] == "" {
		return finding("", HealthBad, "health.dkim.revoked", selector)
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(tags["p"]), ""))
	if err != nil {
		return finding("", HealthBad, "health.dkim.broken", selector)
	}
	if kind := tags["k"]; kind != "" && kind != "rsa" {
		return finding("", HealthGood, "health.dkim.good", selector)
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		if key, err = x509.ParsePKCS1PublicKey(der); err != nil {
			return finding("", HealthBad, "health.dkim.broken", selector)
		}
	}
	if k, ok := key.(*rsa.PublicKey); ok {
		switch bits := k.N.BitLen(); {
		case bits < 1024:
			return finding("", HealthBad, "health.dkim.short", selector, strconv.Itoa(bits))
		case bits < 2048:
			return finding("", HealthWeak, "health.dkim.short", selector, strconv.Itoa(bits))
		}
	}
	return finding("", HealthGood, "health.dkim.good", selector)
}

// tagsOf reads a list of tags (RFC 6376 3.2).
func tagsOf(record string) map[string]string {
	tags := map[string]string{}
	for part := range strings.SplitSeq(record, ";") {
		name, value, ok := strings.Cut(part, "=")
		if name = strings.ToLower(strings.TrimSpace(name)); ok && tags[name] == "" {
			tags[name] = strings.TrimSpace(value)
		}
	}
	return tags
}

// dmarc looks at the domain, then at the one that was registered (RFC 7489 6.6.3).
func (c *healthCheck) dmarc(ctx context.Context) (Finding, bool) {
	names := []string{c.domain}
	if b := base(c.domain); b != c.domain {
		names = append(names, b)
	}
	for _, name := range names {
		texts, err := c.dns.LookupTXT(ctx, "_dmarc."+name+".")
		if f, ok := asked(RecordDMARC, err); ok {
			return f, true
		}
		var records []string
		for _, t := range texts {
			if strings.HasPrefix(strings.ToLower(strings.ReplaceAll(t, " ", "")), "v=dmarc1") {
				records = append(records, t)
			}
		}
		if len(records) == 0 {
			continue
		}
		f := judgePolicy(records)
		f.Record, f.Found = RecordDMARC, records
		return f, true
	}
	f := finding(RecordDMARC, HealthBad, "health.dmarc.missing")
	f.Name, f.Value = "_dmarc."+base(c.domain), "v=DMARC1; p=none; rua=mailto:"+c.a.Email
	return f, true
}

func judgePolicy(records []string) Finding {
	if len(records) > 1 {
		return finding("", HealthBad, "health.dmarc.several", strconv.Itoa(len(records)))
	}
	switch policy := strings.ToLower(tagsOf(records[0])["p"]); policy {
	case "none":
		return finding("", HealthGood, "health.dmarc.none")
	case "quarantine", "reject":
		return finding("", HealthGood, "health.dmarc.good", policy)
	}
	return finding("", HealthBad, "health.dmarc.broken")
}

func (c *healthCheck) mx(ctx context.Context) (Finding, bool) {
	list, err := c.dns.LookupMX(ctx, c.domain+".")
	if len(list) == 0 {
		if f, ok := asked(RecordMX, err); ok {
			return f, true
		}
		return finding(RecordMX, HealthBad, "health.mx.missing"), true
	}
	var hosts []string
	for _, mx := range list {
		hosts = append(hosts, strconv.Itoa(int(mx.Pref))+" "+mx.Host)
	}
	f := finding(RecordMX, HealthGood, "health.mx.good")
	if strings.Trim(list[0].Host, ".") == "" { // RFC 7505
		f = finding(RecordMX, HealthBad, "health.mx.none")
	}
	f.Found = hosts
	return f, true
}

// ptr looks at the addresses of a server of one's own: each needs a name that
// leads back to it. Those of a provider are the provider's.
func (c *healthCheck) ptr(ctx context.Context) (Finding, bool) {
	f := finding(RecordPTR, HealthGood, "health.ptr.good", c.host)
	some := false
	for _, ip := range c.ips {
		if ip.IsLoopback() || ip.IsPrivate() {
			continue
		}
		some = true
		names, err := c.dns.LookupAddr(ctx, ip.String())
		if g, ok := asked(RecordPTR, err); ok {
			return g, true
		}
		if len(names) == 0 {
			g := finding(RecordPTR, HealthBad, "health.ptr.missing", ip.String())
			g.Value = c.host
			return g, true
		}
		f.Found = append(f.Found, ip.String()+": "+strings.Join(names, ", "))
		if !c.leadsBack(ctx, names, ip) {
			f.State, f.What = HealthBad, post.Reason{Key: "health.ptr.wrong", Args: []string{ip.String()}}
		}
	}
	return f, some
}

func (c *healthCheck) leadsBack(ctx context.Context, names []string, ip netip.Addr) bool {
	for _, name := range names[:min(len(names), maxSPFHosts)] {
		found, _ := c.dns.LookupNetIP(ctx, "ip", strings.TrimSuffix(name, ".")+".") // none is no
		for _, back := range found {
			if back.Unmap() == ip {
				return true
			}
		}
	}
	return false
}

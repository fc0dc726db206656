package accounts

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"postroom/assets/providers"
	"postroom/post"
)

// Source is a place where settings are looked for.
type Source string

// The places, in the order in which they are asked. Each is HTTPS or DNS only,
// but for the guesses, which connect to mail servers and sign in to none.
const (
	FromPreset     Source = "preset"     // a provider known by the address's domain
	FromMX         Source = "mx"         // a provider known by the server that takes the domain's mail
	FromAutoconfig Source = "autoconfig" // the domain's own page, in Thunderbird's format
	FromSRV        Source = "srv"        // RFC 8314 5.1, RFC 6186 3.1
	FromGuess      Source = "guess"      // smtp. and mail., where the certificate is good
)

// Sources are all of them in their order.
var Sources = []Source{FromPreset, FromMX, FromAutoconfig, FromSRV, FromGuess}

// How long things may take.
const (
	discoverTime = 40 * time.Second // all together
	lookupTime   = 6 * time.Second
	pageTime     = 8 * time.Second // each page
	guessTime    = 12 * time.Second
)

// Look is one place that was asked.
type Look struct {
	Source Source
	Found  bool
	Tried  []string    // the names and pages that were asked, as they are
	Result post.Reason // in Raw what went wrong, as it came
	Took   time.Duration
}

// Proposal is a server that may be the right one. It comes from the net, or
// from a data file that may be old: nothing is sent there before the user has
// seen the server's name.
type Proposal struct {
	Source   Source
	Provider string // its name; empty when it is not a known one
	Host     string // ASCII
	Port     int
	TLS      post.TLS // never none
	User     string   // empty: the address
	Limits   post.Limits
	Mailbox  *providers.Server // where answers and reports can be read (IMAP); nil: not known
	Note     post.Reason       // where to make what one signs in with; empty: not known
	Page     string            // the provider's page about that; empty: not known
	// TokenOnly says that no password is of use there.
	TokenOnly bool
}

// Discovery is what was found for an address.
type Discovery struct {
	Looks    []Look    // up to the one that found something
	Proposal *Proposal // nil: nothing was found
}

// DNS is what is asked of the resolver; *net.Resolver is one.
type DNS interface {
	Resolver
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// Discoverer finds the settings for an address. The zero value works. Safe for
// concurrent use.
type Discoverer struct {
	DNS DNS // nil: the computer's
	// Pages fetches over HTTPS; nil: the system's authorities and proxy. What it
	// does with redirects is overruled.
	Pages *http.Client
	// DialContext opens the sockets of guesses; nil: net.Dialer. CA is a private
	// authority for them. Both are for tests.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	CA          []byte
	// Trace, where set, is told of each place: before it is asked, with nothing
	// but its Source, and after. It must not block.
	Trace func(Look)
}

// Discover asks one place after the other until one has an answer. It is bounded
// in time, and offline it ends soon with nothing found. The address goes to
// pages of its own domain only. The error is KindInvalid for what is no address,
// and KindCancelled when ctx ended; that nothing is found is none.
func (d *Discoverer) Discover(ctx context.Context, address string) (Discovery, error) {
	a, err := post.ParseAddress(strings.TrimSpace(address))
	if err != nil {
		return Discovery{}, err
	}
	bounded, cancel := context.WithTimeout(ctx, discoverTime)
	defer cancel()
	var found Discovery
	for _, place := range []struct {
		source Source
		ask    func(context.Context, post.Address, *Look) *Proposal
	}{
		{FromPreset, d.preset}, {FromMX, d.mx}, {FromAutoconfig, d.autoconfig}, {FromSRV, d.srv}, {FromGuess, d.guess},
	} {
		look := Look{Source: place.source}
		d.tell(look)
		began := time.Now()
		p := place.ask(bounded, a, &look)
		if ctx.Err() != nil {
			return found, &post.Error{Kind: post.KindCancelled, Op: "find settings", Message: "stopped while looking for settings", Err: ctx.Err()}
		}
		look.Took, look.Found = time.Since(began), p != nil
		found.Looks = append(found.Looks, look)
		d.tell(look)
		if p != nil {
			p.Source = place.source
			found.Proposal = p
			break
		}
	}
	return found, nil
}

func (d *Discoverer) tell(l Look) {
	if d.Trace != nil {
		d.Trace(l)
	}
}

func (d *Discoverer) dns() DNS {
	if d.DNS == nil {
		return net.DefaultResolver
	}
	return d.DNS
}

func (d *Discoverer) preset(_ context.Context, a post.Address, look *Look) *Proposal {
	look.Tried = []string{a.ASCII}
	p, ok := providers.ForDomain(a.ASCII)
	if !ok {
		look.Result = post.Reason{Key: "discover.unknown"}
		return nil
	}
	look.Result = post.Reason{Key: "discover.known", Args: []string{p.Name}}
	return proposalOf(&p, a)
}

// proposalOf is a known provider's first server, for an address there.
func proposalOf(p *providers.Provider, a post.Address) *Proposal {
	s := p.SMTP[0]
	return &Proposal{
		Provider: p.Name, Host: s.Host, Port: s.Port, TLS: s.TLS, User: p.Login(a.Local), Limits: p.Quota(),
		Mailbox: p.IMAP, Note: post.Reason{Key: p.Note}, Page: p.Page, TokenOnly: p.PasswordEnded(),
	}
}

func (d *Discoverer) mx(ctx context.Context, a post.Address, look *Look) *Proposal {
	look.Tried = []string{"MX " + a.ASCII}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	list, err := d.dns().LookupMX(ctx, a.ASCII+".")
	best := ""
	for _, mx := range list { // the most wanted first; "." takes no mail (RFC 7505)
		host := hostName(mx.Host)
		if host == "" {
			continue
		}
		if best == "" {
			best = host
		}
		if p, ok := providers.ForMX(host); ok {
			look.Result = post.Reason{Key: "discover.mx", Args: []string{post.CleanReply(host), p.Name}}
			return proposalOf(&p, a)
		}
	}
	look.Result = dnsResult(err)
	if best != "" {
		look.Result = post.Reason{Key: "discover.mx_unknown", Args: []string{post.CleanReply(best)}}
	}
	return nil
}

// dnsResult says why a look-up brought nothing.
func dnsResult(err error) post.Reason {
	var e *net.DNSError
	if err == nil || errors.As(err, &e) && e.IsNotFound {
		return post.Reason{Key: "discover.nothing"}
	}
	return failed(err)
}

func failed(err error) post.Reason {
	return post.Reason{Key: "discover.failed", Raw: post.CleanReply(err.Error())}
}

func (d *Discoverer) srv(ctx context.Context, a post.Address, look *Look) *Proposal {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	var wrong error
	for _, s := range []struct {
		service string
		mode    post.TLS
	}{{"submissions", post.TLSImplicit}, {"submission", post.TLSStartTLS}} {
		look.Tried = append(look.Tried, "SRV _"+s.service+"._tcp."+a.ASCII)
		_, list, err := d.dns().LookupSRV(ctx, s.service, "tcp", a.ASCII+".")
		if err != nil && dnsResult(err).Key == "discover.failed" {
			wrong = err
		}
		for _, r := range list { // by priority, then by chance of weight; "." is not offered
			if p := proposed(r.Target, int(r.Port), s.mode); p != nil {
				look.Result = post.Reason{Key: "discover.named", Args: []string{p.server()}}
				return p
			}
		}
	}
	look.Result = dnsResult(wrong)
	return nil
}

// proposed is a server that somebody on the net names, or nil when it is no
// server's name.
func proposed(host string, port int, mode post.TLS) *Proposal {
	at, err := post.ParseAddress("x@" + hostName(host))
	switch {
	case err != nil || !strings.Contains(at.ASCII, ".") || port < 1 || port > 65535:
		return nil
	case net.ParseIP(at.ASCII) != nil: // a certificate is for a name
		return nil
	}
	return &Proposal{Host: at.ASCII, Port: port, TLS: mode}
}

func (p *Proposal) server() string { return net.JoinHostPort(p.Host, strconv.Itoa(p.Port)) }

// guess tries the usual names side by side; the first of the list that answers
// with a good certificate counts. No password is there to be sent.
func (d *Discoverer) guess(ctx context.Context, a post.Address, look *Look) *Proposal {
	ctx, cancel := context.WithTimeout(ctx, guessTime)
	defer cancel()
	var all []*Proposal
	for _, mode := range []post.TLS{post.TLSImplicit, post.TLSStartTLS} {
		for _, name := range []string{"smtp.", "mail."} {
			port := 465
			if mode == post.TLSStartTLS {
				port = 587
			}
			all = append(all, &Proposal{Host: name + a.ASCII, Port: port, TLS: mode})
		}
	}
	good := make([]chan *post.Fault, len(all))
	for i, p := range all {
		look.Tried = append(look.Tried, p.server())
		good[i] = make(chan *post.Fault, 1)
		go func() { good[i] <- d.probe(ctx, p) }()
	}
	var first *Proposal
	var why *post.Fault
	for i, p := range all { // all are waited for, so that none outlives this
		switch fault := <-good[i]; {
		case fault == nil && first == nil:
			first = p
			cancel() // those that are better have answered
		case fault != nil && why == nil:
			why = fault
		}
	}
	if first == nil {
		look.Result = post.Reason{Key: "discover.no_answer", Raw: why.Error()}
		return nil
	}
	look.Result = post.Reason{Key: "discover.answers", Args: []string{first.server()}}
	return first
}

// probe connects as far as EHLO under verified TLS.
func (d *Discoverer) probe(ctx context.Context, p *Proposal) *post.Fault {
	dialer := Dialer{DialContext: d.DialContext, Resolver: d.dns()}
	r := dialer.Test(ctx, post.Account{Host: p.Host, Port: p.Port, TLS: p.TLS, CA: d.CA, Auth: post.AuthNone})
	return r.Steps[len(r.Steps)-1].Fault
}

// pages returns the client for one discovery: over HTTPS, few redirects, and
// none of them to anything but HTTPS.
func (d *Discoverer) pages() *http.Client {
	client := http.Client{Timeout: pageTime}
	if d.Pages != nil {
		client = *d.Pages
	} else if t, ok := http.DefaultTransport.(*http.Transport); ok {
		t = t.Clone()
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		t.DisableKeepAlives, t.MaxResponseHeaderBytes = true, 64<<10
		client.Transport = t
	}
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.URL.Scheme != "https" {
			return errors.New("a redirect to a page without encryption was not followed")
		}
		if len(via) > 3 {
			return errors.New("too many redirects")
		}
		return nil
	}
	return &client
}

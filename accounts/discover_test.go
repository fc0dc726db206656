package accounts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"postroom/assets/providers"
	"postroom/post"
)

// internet is a private one: a DNS server, web servers and mail servers, all on
// loopback, with an authority for their certificates.
type internet struct {
	t     *testing.T
	ca    *authority
	zone  string           // records, one a line
	mail  map[string]int   // host:port as it is known, and the port on loopback
	pages http.HandlerFunc // nil: no web server at all

	asked *log // pages, and mail servers that were connected to
}

// log is written by several servers.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (n *internet) note(what string) {
	n.asked.mu.Lock()
	defer n.asked.mu.Unlock()
	n.asked.lines = append(n.asked.lines, what)
}

// discoverer looks into this internet, and nowhere else.
func (n *internet) discoverer() *Discoverer {
	n.t.Helper()
	n.asked = &log{}
	pool := x509.NewCertPool()
	pool.AddCert(n.ca.cert)
	web := ""
	if n.pages != nil {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n.note(r.Host + r.URL.Path)
			n.pages(w, r)
		}))
		s.TLS = &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			c := n.ca.issue(h.ServerName, time.Now().Add(time.Hour))
			return &c, nil
		}}
		s.StartTLS()
		n.t.Cleanup(s.Close)
		web = s.Listener.Addr().String()
	}
	var d net.Dialer
	return &Discoverer{
		DNS: &net.Resolver{PreferGo: true, Dial: n.serveDNS()}, CA: n.ca.pem,
		Pages: &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if web == "" || !strings.HasSuffix(addr, ":443") {
					return nil, fmt.Errorf("nothing answers on %s", addr)
				}
				return d.DialContext(ctx, network, web)
			},
		}},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			n.note(addr)
			at, ok := n.mail[net.JoinHostPort(host, port)]
			if !ok {
				return nil, errors.New("refused")
			}
			return d.DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", at))
		},
	}
}

// serveDNS starts the DNS server and returns the way to it. A record "x DROP"
// makes it say nothing.
func (n *internet) serveDNS() func(ctx context.Context, network, _ string) (net.Conn, error) {
	n.t.Helper()
	zone := map[string][]dns.RR{}
	names := map[string]bool{}
	for line := range strings.SplitSeq(strings.TrimSpace(n.zone), "\n") {
		rr, err := dns.NewRR(strings.TrimSpace(line))
		if err != nil {
			n.t.Fatal(err)
		}
		if rr == nil {
			continue
		}
		key := fmt.Sprint(strings.ToLower(rr.Header().Name), rr.Header().Rrtype)
		zone[key] = append(zone[key], rr)
		names[strings.ToLower(rr.Header().Name)] = true
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	started := make(chan struct{})
	s := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		name := strings.ToLower(q.Question[0].Name)
		if m.Answer = zone[fmt.Sprint(name, q.Question[0].Qtype)]; !names[name] {
			m.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(m)
	})}
	ended := make(chan error, 1)
	go func() { ended <- s.ActivateAndServe() }()
	<-started
	n.t.Cleanup(func() {
		_ = s.Shutdown()
		<-ended
	})
	var d net.Dialer
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "udp", pc.LocalAddr().String())
	}
}

func discover(t *testing.T, d *Discoverer, address string) Discovery {
	t.Helper()
	found, err := d.Discover(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range found.Looks {
		if l.Source != Sources[i] || len(l.Tried) == 0 || l.Result.Key == "" || l.Found != (found.Proposal != nil && i == len(found.Looks)-1) {
			t.Errorf("step %d: %+v", i, l)
		}
	}
	return found
}

const config = `<?xml version="1.0" encoding="UTF-8"?>
<clientConfig version="1.1"><emailProvider id="shop.example"><domain>shop.example</domain><displayName>Shop Mail</displayName>
<incomingServer type="imap"><hostname>imap.shop.example</hostname><port>993</port><socketType>SSL</socketType></incomingServer>
%s</emailProvider></clientConfig>`

func outgoing(host, port, socket, user, how string) string {
	return "<outgoingServer type=\"smtp\"><hostname>" + host + "</hostname><port>" + port + "</port><socketType>" + socket +
		"</socketType><username>" + user + "</username><authentication>" + how + "</authentication></outgoingServer>"
}

// mailServer is one that is asked for no more than EHLO. A guess that another one
// has won is given up wherever it is, so the client may leave at any line.
func mailServer(t *testing.T, cert tls.Certificate, mode post.TLS) int {
	t.Helper()
	return serve(t, func(c *talk) {
		if mode == post.TLSImplicit {
			c.secure(cert)
		}
		c.say("220 hi\r\n")
		if mode == post.TLSStartTLS {
			c.hearOrEnd("EHLO")
			c.say("250-hi\r\n250 STARTTLS\r\n")
			c.hearOrEnd("STARTTLS")
			c.say("220 go\r\n")
			c.secure(cert)
		}
		c.hearOrEnd("EHLO")
		c.say("250-hi\r\n250 AUTH PLAIN\r\n")
		c.hearOrEnd("QUIT") // and nothing of a sign-in
		c.say("221 bye\r\n")
	}).port
}

func TestDiscover(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	hour := time.Now().Add(time.Hour)
	page := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
	}
	const srvZone = "_submissions._tcp.shop.example. IN SRV 20 0 465 second.shop.example.\n" +
		"_submissions._tcp.shop.example. IN SRV 10 0 4465 first.shop.example.\n" +
		"_submission._tcp.shop.example. IN SRV 0 0 587 third.shop.example."
	const guessZone = "smtp.shop.example. IN A 192.0.2.1\nmail.shop.example. IN A 192.0.2.2"
	for _, c := range []struct {
		name, address string
		net           internet
		want          *Proposal // nil: nothing is found
	}{
		{"preset", "anna@gmail.com", internet{}, &Proposal{
			Source: FromPreset, Provider: "Gmail", Host: "smtp.gmail.com", Port: 465, TLS: post.TLSImplicit,
			Limits: post.Limits{PerDay: 500}, Note: post.Reason{Key: "provider.note.gmail"}, Page: "https://myaccount.google.com/apppasswords",
			Mailbox: &providers.Server{Host: "imap.gmail.com", Port: 993, TLS: post.TLSImplicit, Grade: providers.Thunderbird},
		}},
		{"name before the @", "anna@free.fr", internet{}, &Proposal{
			Source: FromPreset, Provider: "Free", Host: "smtp.free.fr", Port: 465, TLS: post.TLSImplicit, User: "anna", Note: post.Reason{Key: "provider.note.usual"},
			Mailbox: &providers.Server{Host: "imap.free.fr", Port: 993, TLS: post.TLSImplicit, Grade: providers.Thunderbird},
		}},
		{"token only", "anna@hotmail.com", internet{}, &Proposal{
			Source: FromPreset, Provider: "Outlook.com", Host: "smtp-mail.outlook.com", Port: 587, TLS: post.TLSStartTLS,
			Note: post.Reason{Key: "provider.note.outlook"}, TokenOnly: true,
			Mailbox: &providers.Server{Host: "outlook.office365.com", Port: 993, TLS: post.TLSImplicit, Grade: providers.Thunderbird},
		}},
		{"MX", "anna@shop.example", internet{zone: "shop.example. IN MX 10 backup.example.\nshop.example. IN MX 20 shop-example.mail.protection.outlook.com."}, &Proposal{
			Source: FromMX, Provider: "Microsoft 365", Host: "smtp.office365.com", Port: 587, TLS: post.TLSStartTLS,
			Limits: post.Limits{PerMinute: 30, PerDay: 10000}, Note: post.Reason{Key: "provider.note.microsoft365"}, Page: "https://aka.ms/smtp_auth_disabled",
			Mailbox: &providers.Server{Host: "outlook.office365.com", Port: 993, TLS: post.TLSImplicit, Grade: providers.Thunderbird},
		}},
		{"autoconfig", "anna@shop.example", internet{pages: page(fmt.Sprintf(config,
			outgoing("plain.shop.example", "25", "plain", "%EMAILADDRESS%", "password-cleartext")+
				outgoing("192.0.2.9", "465", "SSL", "", "password-cleartext")+
				outgoing("a b", "465", "SSL", "", "password-cleartext")+
				outgoing("big.shop.example", "70000", "SSL", "", "password-cleartext")+
				outgoing("ask.shop.example", "465", "SSL", "%CUSTOMER%", "password-cleartext")+
				outgoing("open.shop.example", "465", "SSL", "", "none")+
				outgoing("Out.shop.example", "587", "STARTTLS", "%EMAILLOCALPART%", "password-cleartext")+
				outgoing("late.shop.example", "465", "SSL", "", "password-cleartext")))}, &Proposal{
			Source: FromAutoconfig, Provider: "Shop Mail", Host: "out.shop.example", Port: 587, TLS: post.TLSStartTLS, User: "anna",
		}},
		{"autoconfig by token", "anna@shop.example", internet{pages: page(fmt.Sprintf(config, outgoing("out.shop.example", "465", "SSL", "%EMAILADDRESS%", "OAuth2")))}, &Proposal{
			Source: FromAutoconfig, Provider: "Shop Mail", Host: "out.shop.example", Port: 465, TLS: post.TLSImplicit, TokenOnly: true,
			Note:    post.Reason{Key: "provider.note.token"},
			Mailbox: &providers.Server{Host: "imap.shop.example", Port: 993, TLS: post.TLSImplicit},
		}},
		{"SRV", "anna@shop.example", internet{zone: srvZone}, &Proposal{Source: FromSRV, Host: "first.shop.example", Port: 4465, TLS: post.TLSImplicit}},
		{"SRV with STARTTLS", "anna@shop.example", internet{zone: "_submissions._tcp.shop.example. IN SRV 0 0 0 .\n_submission._tcp.shop.example. IN SRV 0 0 587 third.shop.example."}, &Proposal{
			Source: FromSRV, Host: "third.shop.example", Port: 587, TLS: post.TLSStartTLS,
		}},
		{"guess", "anna@shop.example", internet{zone: guessZone, mail: map[string]int{
			"192.0.2.1:465": mailServer(t, other.issue("smtp.shop.example", hour), post.TLSImplicit),
			"192.0.2.2:465": mailServer(t, ca.issue("elsewhere.example", hour), post.TLSImplicit),
			"192.0.2.2:587": mailServer(t, ca.issue("mail.shop.example", hour), post.TLSStartTLS),
		}}, &Proposal{Source: FromGuess, Host: "mail.shop.example", Port: 587, TLS: post.TLSStartTLS}},
		{"guess, the best", "anna@shop.example", internet{zone: guessZone, mail: map[string]int{
			"192.0.2.1:465": mailServer(t, ca.issue("smtp.shop.example", hour), post.TLSImplicit),
			"192.0.2.2:465": mailServer(t, ca.issue("mail.shop.example", hour), post.TLSImplicit),
		}}, &Proposal{Source: FromGuess, Host: "smtp.shop.example", Port: 465, TLS: post.TLSImplicit}},
		{"guess, the best does not wait", "anna@shop.example", internet{zone: guessZone, mail: map[string]int{
			"192.0.2.1:465": mailServer(t, ca.issue("smtp.shop.example", hour), post.TLSImplicit),
			"192.0.2.2:465": serve(t, func(c *talk) { c.secure(ca.issue("mail.shop.example", hour)); c.hearOrEnd("nothing") }).port,
		}}, &Proposal{Source: FromGuess, Host: "smtp.shop.example", Port: 465, TLS: post.TLSImplicit}},
		{"no good certificate", "anna@shop.example", internet{zone: guessZone, mail: map[string]int{
			"192.0.2.1:465": mailServer(t, ca.issue("smtp.shop.example", time.Now().Add(-time.Hour)), post.TLSImplicit),
		}}, nil},
		{"nothing", "anna@shop.example", internet{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := c.net
			n.t, n.ca = t, ca
			found := discover(t, n.discoverer(), c.address)
			if diff := cmp.Diff(c.want, found.Proposal); diff != "" {
				t.Errorf("%s\n%+v", diff, found.Looks)
			}
			if c.want == nil && len(found.Looks) != len(Sources) {
				t.Errorf("%d places were asked", len(found.Looks))
			}
			if c.want != nil && c.want.Source == FromPreset && len(n.asked.lines) != 0 {
				t.Errorf("a known domain needs no network: %q", n.asked.lines)
			}
		})
	}
}

// What a page says is not believed when it is not a page of settings over HTTPS.
func TestHostilePages(t *testing.T) {
	ca := newAuthority(t)
	good := fmt.Sprintf(config, outgoing("out.shop.example", "465", "SSL", "", "password-cleartext"))
	for _, c := range []struct {
		name  string
		pages http.HandlerFunc
		found bool
		raw   string // part of what is told
	}{
		{"redirect within HTTPS", func(w http.ResponseWriter, r *http.Request) {
			if r.Host == "elsewhere.example" {
				fmt.Fprint(w, good)
				return
			}
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
		}, true, ""},
		{"redirect to plain HTTP", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere.example/", http.StatusFound)
		}, false, "without encryption"},
		{"redirects without end", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://shop.example/x", http.StatusFound)
		}, false, "too many"},
		{"endless page", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<clientConfig>")
			for range 20_000 {
				if _, err := w.Write([]byte(strings.Repeat("<a>", 2000))); err != nil {
					return
				}
			}
			t.Error("120 MB were read")
		}, false, "too long"},
		{"a home page for everything", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<!DOCTYPE html><html><body>Shop<br></body></html>")
		}, false, "no list of settings"},
		{"entities", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>`+strings.Replace(good, "out.shop.example", "&e;", 1))
		}, false, "no list of settings"},
		{"deep", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<clientConfig>"+strings.Repeat("<a>", 80_000))
		}, false, "no list of settings"},
		{"control characters in the name to sign in with", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, config, outgoing("out.shop.example", "465", "SSL", "a&#10;b", "password-cleartext"))
		}, false, "no server"},
		{"no page", http.NotFound, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := internet{t: t, ca: ca, pages: c.pages}
			found := discover(t, n.discoverer(), "anna+secret@shop.example")
			look := found.Looks[2]
			if look.Found != c.found || !strings.Contains(look.Result.Raw, c.raw) || c.raw == "" && look.Result.Raw != "" {
				t.Errorf("%+v", look)
			}
			if strings.Contains(fmt.Sprint(found.Looks[2:]), "secret") {
				t.Errorf("the address is told: %+v", found.Looks)
			}
		})
	}
	// A web server with a certificate of nobody is not read.
	n := internet{t: t, ca: ca, pages: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, good) }}
	d := n.discoverer()
	d.Pages.Transport.(*http.Transport).TLSClientConfig.RootCAs = x509.NewCertPool()
	if found := discover(t, d, "anna@shop.example"); found.Looks[2].Found || len(n.asked.lines) != 0 {
		t.Errorf("%+v, %q", found.Looks[2], n.asked.lines)
	}
}

// offline is a computer without a network.
type offline struct{}

var errOffline = &net.DNSError{Err: "network is unreachable", IsTemporary: true}

func (offline) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, errOffline
}

func (offline) LookupMX(context.Context, string) ([]*net.MX, error) { return nil, errOffline }

func (offline) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", nil, errOffline
}

func TestDiscoverOffline(t *testing.T) {
	var told []Look
	n := internet{t: t, ca: newAuthority(t)}
	d := n.discoverer()
	d.DNS, d.Trace = offline{}, func(l Look) { told = append(told, l) }
	found := discover(t, d, "anna+secret@shop.example")
	if strings.Contains(fmt.Sprint(found), "secret") {
		t.Errorf("the address is told: %+v", found)
	}
	if found.Proposal != nil || len(found.Looks) != len(Sources) || len(told) != 2*len(Sources) {
		t.Fatalf("%+v", found)
	}
	for i, l := range found.Looks[1:] {
		if l.Result.Raw == "" {
			t.Errorf("%s does not say why: %+v", l.Source, l)
		}
		if told[2*(i+1)].Source != l.Source || told[2*(i+1)].Result.Key != "" || told[2*(i+1)+1].Result.Key != l.Result.Key {
			t.Errorf("told %+v", told[2*(i+1):2*(i+2)])
		}
	}
	if found = discover(t, d, "anna@gmail.com"); found.Proposal == nil {
		t.Error("what is known is known offline too")
	}
}

func TestDiscoverStopped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	n := internet{t: t, ca: newAuthority(t), pages: func(_ http.ResponseWriter, r *http.Request) {
		stop()
		<-r.Context().Done()
	}}
	if found, err := n.discoverer().Discover(ctx, "anna@shop.example"); post.KindOf(err) != post.KindCancelled || found.Proposal != nil {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := n.discoverer().Discover(t.Context(), "anna"); post.KindOf(err) != post.KindInvalid {
		t.Errorf("no address: %v", err)
	}
}

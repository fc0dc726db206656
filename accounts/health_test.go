package accounts

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"postroom/post"
	"postroom/storage"
)

// zoneDNS answers from a zone through a real name server.
func zoneDNS(t *testing.T, zone string) *net.Resolver {
	n := &internet{t: t, zone: zone}
	return &net.Resolver{PreferGo: true, StrictErrors: true, Dial: n.serveDNS()}
}

func sender(host string) post.Account {
	return post.Account{Name: "shop", Email: "shop@shop.example", Host: host, Port: 465, TLS: post.TLSImplicit}
}

// keyText is a public key as it is published, in pieces of a TXT record.
func keyText(t *testing.T, bits int) string {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	text := "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
	return `"` + text[:200] + `" "` + text[200:] + `"`
}

// of returns the finding about a record.
func (h *Health) of(t *testing.T, record string) Finding {
	t.Helper()
	for _, f := range h.Findings {
		if f.Record == record {
			return f
		}
	}
	return Finding{}
}

func checkHealth(t *testing.T, a post.Account, zone string) Health {
	t.Helper()
	h, err := CheckHealth(t.Context(), zoneDNS(t, zone), a, time.Unix(1_800_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHealthOfASoundDomain(t *testing.T) {
	a := sender("smtp.shop.example")
	a.Selector = "s9"
	h := checkHealth(t, a, `
		shop.example. 60 IN TXT "v=spf1 mx a:smtp.shop.example -all"
		shop.example. 60 IN TXT "some other text"
		shop.example. 60 IN MX 10 mail.shop.example.
		mail.shop.example. 60 IN A 192.0.2.9
		smtp.shop.example. 60 IN A 192.0.2.5
		s9._domainkey.shop.example. 60 IN TXT `+keyText(t, 2048)+`
		_dmarc.shop.example. 60 IN TXT "v=DMARC1; p=quarantine"
		5.2.0.192.in-addr.arpa. 60 IN PTR smtp.shop.example.`)
	if !h.OK || h.Domain != "shop.example" {
		t.Errorf("%+v", h)
	}
	for record, key := range map[string]string{
		RecordSPF: "health.spf.good", RecordDKIM: "health.dkim.good", RecordDMARC: "health.dmarc.good", RecordMX: "health.mx.good", RecordPTR: "health.ptr.good",
	} {
		if f := h.of(t, record); f.State != HealthGood || f.What.Key != key || len(f.Found) == 0 || f.Value != "" {
			t.Errorf("%s: %+v", record, f)
		}
	}
}

func TestHealthOfABareDomain(t *testing.T) {
	a := sender("smtp.shop.example")
	a.Selector = "s9"
	h := checkHealth(t, a, `
		shop.example. 60 IN TXT "nothing of use"
		smtp.shop.example. 60 IN A 192.0.2.5
		smtp.shop.example. 60 IN AAAA 2001:db8::5`)
	if h.OK {
		t.Error("a bare domain is said to be sound")
	}
	for record, want := range map[string]Finding{
		RecordSPF:   {What: post.Reason{Key: "health.spf.missing_own"}, Name: "shop.example", Value: "v=spf1 mx ip4:192.0.2.5 ip6:2001:db8::5 ~all"},
		RecordDKIM:  {What: post.Reason{Key: "health.dkim.missing"}, Name: "s9._domainkey.shop.example"},
		RecordDMARC: {What: post.Reason{Key: "health.dmarc.missing"}, Name: "_dmarc.shop.example", Value: "v=DMARC1; p=none; rua=mailto:shop@shop.example"},
		RecordMX:    {What: post.Reason{Key: "health.mx.missing"}},
		RecordPTR:   {What: post.Reason{Key: "health.ptr.missing"}, Value: "smtp.shop.example"},
	} {
		if f := h.of(t, record); f.State != HealthBad || f.What.Key != want.What.Key || f.Name != want.Name || f.Value != want.Value {
			t.Errorf("%s: %+v", record, f)
		}
	}
	// What it tells to copy makes it sound.
	after := checkHealth(t, a, `
		shop.example. 60 IN TXT "v=spf1 mx ip4:192.0.2.5 ip6:2001:db8::5 ~all"
		_dmarc.shop.example. 60 IN TXT "v=DMARC1; p=none; rua=mailto:shop@shop.example"
		smtp.shop.example. 60 IN A 192.0.2.5`)
	if f := after.of(t, RecordSPF); f.What.Key != "health.spf.good" {
		t.Errorf("%+v", f)
	}
	if f := after.of(t, RecordDMARC); f.What.Key != "health.dmarc.none" {
		t.Errorf("%+v", f)
	}
}

func TestSPF(t *testing.T) {
	chain := "shop.example. 60 IN TXT \"v=spf1 include:c0.example ~all\"\n"
	for i := range 12 {
		chain += fmt.Sprintf("c%d.example. 60 IN TXT \"v=spf1 include:c%d.example ~all\"\n", i, i+1)
	}
	const own = "\nsmtp.shop.example. 60 IN A 192.0.2.5\nrelay.example. 60 IN A 192.0.2.5\n"
	for name, c := range map[string]struct{ zone, state, key string }{
		"ip4":          {`shop.example. 60 IN TXT "v=spf1 ip4:192.0.2.0/24 -all"` + own, HealthGood, "health.spf.good"},
		"include":      {`shop.example. 60 IN TXT "v=spf1 include:inc.example ~all"` + "\n" + `inc.example. 60 IN TXT "v=spf1 a:relay.example -all"` + own, HealthGood, "health.spf.good"},
		"redirect":     {`shop.example. 60 IN TXT "v=spf1 redirect=inc.example"` + "\n" + `inc.example. 60 IN TXT "v=spf1 ip4:192.0.2.5 -all"` + own, HealthGood, "health.spf.good"},
		"a with size":  {`shop.example. 60 IN TXT "v=spf1 a:near.example/30 -all"` + "\nnear.example. 60 IN A 192.0.2.6" + own, HealthGood, "health.spf.good"},
		"not us":       {`shop.example. 60 IN TXT "v=spf1 ip4:198.51.100.0/24 -all"` + own, HealthBad, "health.spf.not_us"},
		"refused":      {`shop.example. 60 IN TXT "v=spf1 -ip4:192.0.2.5 ip4:192.0.2.0/24 -all"` + own, HealthBad, "health.spf.not_us"},
		"open":         {`shop.example. 60 IN TXT "v=spf1 +all"` + own, HealthBad, "health.spf.open"},
		"open by all":  {`shop.example. 60 IN TXT "v=spf1 all"` + own, HealthBad, "health.spf.open"},
		"two":          {"shop.example. 60 IN TXT \"v=spf1 mx -all\"\nshop.example. 60 IN TXT \"v=spf1 a -all\"" + own, HealthBad, "health.spf.several"},
		"misspelt":     {`shop.example. 60 IN TXT "v=spf1 ipv4:192.0.2.5 -all"` + own, HealthBad, "health.spf.broken"},
		"bad network":  {`shop.example. 60 IN TXT "v=spf1 ip4:192.0.2 -all"` + own, HealthBad, "health.spf.broken"},
		"no colon":     {`shop.example. 60 IN TXT "v=spf1 ip4 -all"` + own, HealthBad, "health.spf.broken"},
		"include gone": {`shop.example. 60 IN TXT "v=spf1 include:gone.example -all"` + own, HealthBad, "health.spf.broken"},
		"macro":        {`shop.example. 60 IN TXT "v=spf1 exists:%{i}.list.example -all"` + own, HealthUnknown, "health.spf.unsure"},
		"chain":        {chain + own, HealthBad, "health.spf.long"},
		"itself":       {`shop.example. 60 IN TXT "v=spf1 include:shop.example -all"` + own, HealthBad, "health.spf.long"},
		"spf10":        {`shop.example. 60 IN TXT "v=spf10 -all"` + own, HealthBad, "health.spf.missing_own"},
	} {
		h := checkHealth(t, sender("smtp.shop.example"), c.zone)
		if f := h.of(t, RecordSPF); f.State != c.state || f.What.Key != c.key {
			t.Errorf("%s: %+v", name, f)
		}
	}
	// Through a provider's server only the form can be judged.
	for zone, key := range map[string]string{
		`shop.example. 60 IN TXT "v=spf1 ip4:198.51.100.1 -all"`: "health.spf.there",
		`shop.example. 60 IN TXT "v=spf1 ip4:198.51.100.1"`:      "health.spf.no_end",
		`shop.example. 60 IN TXT "x"`:                            "health.spf.missing",
	} {
		h := checkHealth(t, sender("smtp.provider.example.net"), zone)
		f := h.of(t, RecordSPF)
		if f.What.Key != key || key == "health.spf.missing" && f.Value != "" {
			t.Errorf("%s: %+v", zone, f)
		}
		if ptr := h.of(t, RecordPTR); ptr.Record != "" {
			t.Errorf("a provider's server is judged: %+v", ptr)
		}
	}
}

// TestSPFOfAProvider: through a known provider its name in the record is looked
// for, and what to publish is told.
func TestSPFOfAProvider(t *testing.T) {
	const google = "\n_spf.google.com. 60 IN TXT \"v=spf1 ip4:198.51.100.0/24 ~all\"\n"
	for name, c := range map[string]struct{ host, zone, state, key, value string }{
		"missing":      {"smtp.gmail.com", `shop.example. 60 IN TXT "x"`, HealthBad, "health.spf.missing_known", "v=spf1 include:_spf.google.com ~all"},
		"named":        {"smtp.gmail.com", `shop.example. 60 IN TXT "v=spf1 include:_spf.google.com ~all"` + google, HealthGood, "health.spf.provider", ""},
		"in any case":  {"smtp.gmail.com", `shop.example. 60 IN TXT "v=spf1 INCLUDE:_SPF.Google.com. -all"` + google, HealthGood, "health.spf.provider", ""},
		"through":      {"smtp.gmail.com", `shop.example. 60 IN TXT "v=spf1 include:all.shop.example -all"` + "\n" + `all.shop.example. 60 IN TXT "v=spf1 include:_spf.google.com -all"` + google, HealthGood, "health.spf.provider", ""},
		"redirected":   {"smtp.gmail.com", `shop.example. 60 IN TXT "v=spf1 redirect=_spf.google.com"` + google, HealthGood, "health.spf.provider", ""},
		"without":      {"smtp.gmail.com", `shop.example. 60 IN TXT "v=spf1 ip4:192.0.2.1 -all"`, HealthWeak, "health.spf.without", "v=spf1 include:_spf.google.com ip4:192.0.2.1 -all"},
		"another":      {"smtp.office365.com", `shop.example. 60 IN TXT "v=spf1 include:_spf.google.com -all"` + google, HealthWeak, "health.spf.without", "v=spf1 include:spf.protection.outlook.com include:_spf.google.com -all"},
		"an older one": {"smtp.qiye.aliyun.com", "shop.example. 60 IN TXT \"v=spf1 include:spf.mxhichina.com -all\"\nspf.mxhichina.com. 60 IN TXT \"v=spf1 ip4:198.51.100.7 -all\"", HealthGood, "health.spf.provider", ""},
		"gone":         {"smtp.gmail.com", `shop.example. 60 IN TXT "v=spf1 include:_spf.google.com -all"`, HealthBad, "health.spf.broken", ""},
		// Its own address stands on the envelope: the record is not asked.
		"a service": {"smtp.sendgrid.net", `shop.example. 60 IN TXT "v=spf1 ip4:192.0.2.1 -all"`, HealthGood, "health.spf.there", ""},
	} {
		f := ptrTo(checkHealth(t, sender(c.host), c.zone)).of(t, RecordSPF)
		if f.State != c.state || f.What.Key != c.key || f.Value != c.value {
			t.Errorf("%s: %+v", name, f)
		}
		if f.Value == "" || !strings.Contains(f.Value, "google") || c.host != "smtp.gmail.com" {
			continue
		}
		// What it tells to copy makes it good.
		if f = ptrTo(checkHealth(t, sender(c.host), `shop.example. 60 IN TXT "`+f.Value+`"`+google)).of(t, RecordSPF); f.What.Key != "health.spf.provider" {
			t.Errorf("%s, after: %+v", name, f)
		}
	}
}

func TestDKIMAndDMARC(t *testing.T) {
	a := sender("smtp.provider.example.net")
	for name, c := range map[string]struct{ selector, zone, key string }{
		"found by its usual name": {"", `selector1._domainkey.shop.example. 60 IN TXT ` + keyText(t, 2048), "health.dkim.good"},
		"not found":               {"", `shop.example. 60 IN TXT "x"`, "health.dkim.unknown"},
		"withdrawn":               {"s", `s._domainkey.shop.example. 60 IN TXT "v=DKIM1; p="`, "health.dkim.revoked"},
		"cut":                     {"s", `s._domainkey.shop.example. 60 IN TXT "v=DKIM1; p=MIIBIjANBgkq"`, "health.dkim.broken"},
		"short":                   {"s", `s._domainkey.shop.example. 60 IN TXT ` + keyText(t, 1024), "health.dkim.short"},
		"ed25519":                 {"s", `s._domainkey.shop.example. 60 IN TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="`, "health.dkim.good"},
	} {
		a.Selector = c.selector
		h := checkHealth(t, a, c.zone)
		if f := h.of(t, RecordDKIM); f.What.Key != c.key {
			t.Errorf("%s: %+v", name, f)
		}
	}
	a.Selector, a.Host = "", "smtppro.zoho.com" // its own selector is tried
	if f := ptrTo(checkHealth(t, a, `zmail._domainkey.shop.example. 60 IN TXT `+keyText(t, 2048))).of(t, RecordDKIM); f.What.Key != "health.dkim.good" {
		t.Errorf("%+v", f)
	}
	for zone, key := range map[string]string{
		`_dmarc.shop.example. 60 IN TXT "v=DMARC1; p=reject"`:                                                        "health.dmarc.good",
		`_dmarc.shop.example. 60 IN TXT "v=DMARC1; sp=none"`:                                                         "health.dmarc.broken",
		"_dmarc.shop.example. 60 IN TXT \"v=DMARC1; p=none\"\n_dmarc.shop.example. 60 IN TXT \"v=DMARC1; p=none\"\n": "health.dmarc.none",
	} {
		h := checkHealth(t, a, zone)
		if f := h.of(t, RecordDMARC); f.What.Key != key && f.What.Key != "health.dmarc.several" {
			t.Errorf("%s: %+v", zone, f)
		}
	}
	// The record of the registered domain is for its parts too.
	a.Email = "shop@news.shop.example"
	h := checkHealth(t, a, `_dmarc.shop.example. 60 IN TXT "v=DMARC1; p=none"`)
	if f := h.of(t, RecordDMARC); f.What.Key != "health.dmarc.none" {
		t.Errorf("%+v", f)
	}
}

func TestHealthOfAddressAndServer(t *testing.T) {
	a := sender("smtp.shop.example")
	a.Email = "me@gmail.com"
	if f := ptrTo(checkHealth(t, a, `shop.example. 60 IN TXT "x"`)).of(t, RecordFrom); f.What.Key != "health.from.elsewhere" || f.State != HealthBad {
		t.Errorf("%+v", f)
	}
	// The records of a provider's own domain are no business of its customer.
	for email, host := range map[string]string{"me@gmail.com": "smtp.gmail.com", "me@hotmail.co.uk": "smtp.office365.com", "me@outlook.com": "smtp-mail.outlook.com"} {
		a.Email, a.Host = email, host
		h := checkHealth(t, a, `shop.example. 60 IN TXT "x"`)
		if f := h.of(t, RecordFrom); f.What.Key != "health.from.provider" || len(h.Findings) != 1 || !h.OK {
			t.Errorf("%s: %+v", email, h)
		}
	}
	a = sender("smtp.provider.example.net")
	a.User = "me@other.example"
	if f := ptrTo(checkHealth(t, a, `shop.example. 60 IN TXT "x"`)).of(t, RecordFrom); f.What.Key != "health.from.login" {
		t.Errorf("%+v", f)
	}
}

func ptrTo(h Health) *Health { return &h }

// TestHealthOffline: a name service that does not answer is told as that, and
// never as a missing record; nothing is kept of an end on purpose.
func TestHealthOffline(t *testing.T) {
	offline := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("unplugged") }}
	h, err := CheckHealth(t.Context(), offline, sender("smtp.provider.example.net"), time.Now())
	if err != nil || !h.OK {
		t.Errorf("%+v %v", h, err)
	}
	for _, f := range h.Findings {
		if f.State != HealthUnknown {
			t.Errorf("%+v", f)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := CheckHealth(ctx, offline, sender("x.example"), time.Now()); post.KindOf(err) != post.KindCancelled {
		t.Errorf("%v", err)
	}
}

func TestKnownHealth(t *testing.T) {
	ledger, err := storage.Open(t.Context(), t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ledger.Close() })
	a := sender("smtp.provider.example.net")
	now := time.Unix(1_800_000_000, 0)
	bare := zoneDNS(t, `shop.example. 60 IN TXT "x"`)
	sound := zoneDNS(t, `
		shop.example. 60 IN TXT "v=spf1 mx -all"
		shop.example. 60 IN MX 10 mail.shop.example.
		_dmarc.shop.example. 60 IN TXT "v=DMARC1; p=none"`)
	get := func(dns HealthDNS, at time.Time, fresh bool) Health {
		t.Helper()
		h, err := KnownHealth(t.Context(), ledger, dns, a, at, fresh)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	if get(bare, now, false).OK {
		t.Error("a bare domain is said to be sound")
	}
	for at, want := range map[time.Duration]string{time.Minute: "SPF DMARC MX", healthLife: "", -time.Minute: ""} {
		if got := strings.Join(HealthNews(ledger, now.Add(at))(t.Context(), a), " "); got != want {
			t.Errorf("%v later the news are %q, want %q", at, got, want)
		}
	}
	if get(sound, now.Add(time.Minute), false).OK { // kept
		t.Error("it was asked again at once")
	}
	if !get(sound, now.Add(badHealthLife), false).OK { // and asked anew soon, because it was bad
		t.Error("it was not asked again")
	}
	if !get(bare, now.Add(healthLife), false).OK {
		t.Error("what is sound was asked again early")
	}
	if get(bare, now.Add(healthLife), true).OK {
		t.Error("it was not asked though wished for")
	}
	a.Selector = "other"
	if get(bare, now, false).Findings[1].What.Key != "health.dkim.missing" {
		t.Error("another question got the same answer")
	}
}

package providers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"postroom/assets/words"
	"postroom/post"
)

// faults returns what is wrong with a data file, one line each.
func faults(b []byte) []string {
	var wrong []string
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	var f file
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return []string{err.Error()}
	}
	seen := map[string]string{}
	once := func(what, name, of string) {
		if other, ok := seen[what+name]; ok {
			bad("%s: %s %q is also of %s", of, what, name, other)
		}
		seen[what+name] = of
	}
	sure := map[string]bool{} // who has a fact that somebody confirmed
	host := func(of, name string) {
		if a, err := post.ParseAddress("x@" + name); err != nil || a.ASCII != name || name != fold(name) {
			bad("%s: %q is no name", of, name)
		}
		if _, err := netip.ParseAddr(name); err == nil {
			bad("%s: %q is an address", of, name)
		}
	}
	graded := func(of, what string, g Grade) {
		if !slices.Contains([]Grade{Own, Thunderbird, Third, Zones, Unconfirmed}, g) {
			bad("%s: %s has the grade %q", of, what, g)
		}
		if g == Own || g == Thunderbird || g == Third {
			sure[of] = true
		}
	}
	page := func(of, address string) {
		if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
			bad("%s: %q is no page", of, address)
		}
	}
	server := func(of string, s Server) {
		host(of, s.Host)
		graded(of, s.Host, s.Grade)
		if s.TLS != post.TLSImplicit && s.TLS != post.TLSStartTLS || s.Port < 1 || s.Port > 65535 {
			bad("%s: %s:%d %s", of, s.Host, s.Port, s.TLS)
		}
	}
	said := func(of, key string) {
		for _, lang := range words.Langs {
			if !words.For(lang).Has(key) {
				bad("%s: no words in %s for %q", of, lang, key)
			}
		}
	}
	for _, p := range f.Providers {
		if p.ID == "" || p.Name == "" || len(p.SMTP) == 0 || len(p.SignIn) == 0 {
			bad("%s: incomplete", p.ID)
		}
		once("id", p.ID, p.ID)
		said(p.ID, p.Note)
		for what, names := range map[string]Names{"domain": p.Domains, "mx": p.MX, "host": p.Hosts, "spf": p.SPF} {
			if len(names.Names) > 0 {
				graded(p.ID, what, names.Grade)
			}
			for _, name := range names.Names {
				if what == "spf" { // of one company, which may be here more than once
					host(p.ID, strings.TrimPrefix(name, "_"))
					continue
				}
				host(p.ID, name)
				once(what, name, p.ID)
			}
		}
		if g := p.FilesSent.Grade; g != "" {
			graded(p.ID, "files_sent", g)
		}
		for _, s := range p.SMTP {
			server(p.ID, s)
		}
		if p.IMAP != nil {
			server(p.ID, *p.IMAP)
		}
		if len(p.DKIM.Names) > 0 {
			graded(p.ID, "dkim", p.DKIM.Grade)
		}
		for _, name := range p.DKIM.Names {
			host(p.ID, name+".example.com")
		}
		for _, s := range p.SignIn {
			graded(p.ID, string(s.Kind), s.Grade)
			if !slices.Contains([]Kind{Password, AppPassword, AuthCode, ClientPassword, APIKey, OAuth2}, s.Kind) {
				bad("%s: sign-in %q", p.ID, s.Kind)
			}
			once("sign-in of "+p.ID, string(s.Kind), p.ID)
		}
		for _, l := range p.Limits {
			graded(p.ID, l.Span, l.Grade)
			if l.Grade == Unconfirmed {
				bad("%s: the limit %s is a guess", p.ID, l.Span)
			}
			if !slices.Contains([]string{"per_minute", "per_hour", "per_day"}, l.Span) || l.Messages < 1 {
				bad("%s: %d %s", p.ID, l.Messages, l.Span)
			}
			once("limit of "+p.ID, l.Span, p.ID)
		}
		if p.Page != "" {
			page(p.ID, p.Page)
		}
		for _, s := range p.Sources {
			page(p.ID, s)
			once("source of "+p.ID, s, p.ID)
		}
		if _, err := time.Parse("2006-01", p.Checked); err != nil {
			bad("%s: checked in %q", p.ID, p.Checked)
		}
		if sure[p.ID] != (len(p.Sources) > 0) {
			bad("%s: a fact that is more than unconfirmed needs a source, and a source a fact", p.ID)
		}
	}
	for _, r := range f.Refusals {
		said("refusal", r.Words)
		graded(r.Words, "refusal", r.Grade)
		if r.Source != "" {
			page(r.Words, r.Source)
		}
		if (r.Source == "") != (r.Grade == Unconfirmed) {
			bad("%s: the grade %q with the source %q", r.Words, r.Grade, r.Source)
		}
		if len(r.Hosts) == 0 || r.Code == 0 && r.Enhanced == "" {
			bad("%s: fits too much", r.Words)
		}
		for _, h := range r.Hosts {
			host(r.Words, h)
			once("refusal", fmt.Sprintf("%s %d %s %s", h, r.Code, r.Enhanced, r.Contains), r.Words)
		}
	}
	return wrong
}

func TestFile(t *testing.T) {
	for _, wrong := range faults(raw) {
		t.Error(wrong)
	}
	// Each fault is planted once and seen.
	for _, planted := range [][2]string{
		{`"per_day", "messages": 500, "grade": "B"`, `"per_day", "messages": 500, "grade": "U"`},
		{`"per_day", "messages": 500, "grade": "B"`, `"per_day", "messages": 500`},
		{`"per_day", "messages": 500`, `"per_week", "messages": 500`},
		{`"id": "aol"`, `"id": "yahoo"`},
		{`"googlemail.com"], "grade": "D"`, `"yahoo.com"], "grade": "D"`},
		{`"smtp.gmail.com"`, `"smtp_gmail.com "`},
		{`"smtp.gmail.com"`, `"192.0.2.1"`},
		{`"tls": "tls"`, `"tls": "none"`},
		{`"port": 465`, `"port": 0`},
		{`"note": "provider.note.gmail"`, `"note": "provider.note.nobody"`},
		{`"provider.refusal.gmail_day"`, `"provider.refusal.nothing"`},
		{`"kind": "oauth2"`, `"kind": "magic"`},
		{`"name": "Gmail"`, `"nom": "Gmail"`},
		{`"hosts": ["gmail.com"], "code": 550, "enhanced": "5.4.5"`, `"hosts": ["gmail.com"]`},
		{`"checked": "2026-11"`, `"checked": "lately"`},
		{`"sources": ["https://github.com/thunderbird/autoconfig/blob/master/ispdb/zoho.com.xml"]`, `"sources": []`},
		{`"sources": []`, `"sources": ["https://example.com/"]`},
		{`"page": "https://`, `"page": "my`},
		{`, "grade": "B", "source": "https://github.com/gen-smtp/gen_smtp/issues/140"`, `, "grade": "B"`},
		{`, "grade": "B", "source": "https://github.com/gen-smtp/`, `, "grade": "U", "source": "https://github.com/gen-smtp/`},
		{`"imap": {"host": "imap.gmail.com", "port": 993`, `"imap": {"host": "imap.gmail.com", "port": 99300`},
		{`"dkim": {"names": ["google"]`, `"dkim": {"names": ["goo gle"]`},
		{`"_spf.google.com"`, `"_spf google.com"`},
	} {
		b := strings.Replace(string(raw), planted[0], planted[1], 1)
		if b == string(raw) || len(faults([]byte(b))) == 0 {
			t.Errorf("%s in place of %s is not seen", planted[1], planted[0])
		}
	}
}

func TestFind(t *testing.T) {
	for domain, want := range map[string]string{"gmail.com": "gmail", "GMAIL.com.": "gmail", "qq.com": "qq", "notgmail.com": "", "mail.gmail.com": "", "": ""} {
		if p, ok := ForDomain(domain); p.ID != want || ok != (want != "") {
			t.Errorf("%s: %s", domain, p.ID)
		}
	}
	for host, want := range map[string]string{
		"aspmx.l.google.com.": "google-workspace", "shop-example.mail.protection.outlook.com": "microsoft365",
		"hotmail-com.olc.protection.outlook.com": "outlook", "mx-aol.mail.gm0.yahoodns.net": "aol", "mta5.am0.yahoodns.net": "yahoo",
		"hzmx01.mxmail.netease.com": "netease-hz", "qiye163mx01.mxmail.netease.com": "netease-enterprise", "mxbiz1.qq.com": "exmail", "mx1.qq.com": "", "evilgoogle.com": "", "google.com.evil.example": "", "": "",
	} {
		if p, ok := ForMX(host); p.ID != want || ok != (want != "") {
			t.Errorf("%s: %s", host, p.ID)
		}
	}
	for host, want := range map[string]string{
		// Of two that send there, the one that names it first.
		"smtp.office365.com": "microsoft365", "smtp-mail.outlook.com": "outlook", "smtp.eu.mailgun.org": "mailgun",
		"SMTP.sendgrid.net.": "sendgrid", "email-smtp.eu-west-1.amazonaws.com": "ses", "smtp.gmail.com": "gmail", "gmail.com": "", "evilamazonaws.com": "", "": "",
	} {
		if p, ok := ForHost(host); p.ID != want || ok != (want != "") {
			t.Errorf("%s: %s", host, p.ID)
		}
	}
	for host, want := range map[string]bool{"smtp.gmail.com": true, "smtp.qq.com": true, "smtp.exmail.qq.com": true, "smtp.zoho.com": false, "smtp-mail.outlook.com": false, "smtp.sendgrid.net": false} {
		if p, _ := ForHost(host); p.WantsAppPassword() != want {
			t.Errorf("%s: %v", host, p.SignIn)
		}
	}
	for domain, want := range map[string]string{"free.fr": "anna.b", "web.de": "anna.b", "gmx.de": ""} {
		if p, _ := ForDomain(domain); p.Login("anna.b") != want {
			t.Errorf("%s: signs in as %q", domain, p.Login("anna.b"))
		}
	}
	if p, _ := ForDomain("hotmail.co.uk"); !p.SendsAt("smtp.office365.com") || p.SendsAt("smtp.gmail.com") {
		t.Errorf("%+v", p.SMTP)
	}
	p, _ := ForDomain("hotmail.com")
	if !p.PasswordEnded() || p.Quota() != (post.Limits{}) {
		t.Errorf("%+v", p)
	}
	if p, _ = ForMX("x.mail.protection.outlook.com"); p.PasswordEnded() || p.Quota() != (post.Limits{PerMinute: 30, PerDay: 10000}) {
		t.Errorf("%+v", p.Quota())
	}
}

func TestMeaning(t *testing.T) {
	for _, tc := range []struct{ host, reply, want string }{
		{"smtp.gmail.com", "550 5.4.5 Daily user sending limit exceeded", "gmail_day"},
		{"smtp.example.com", "550 5.4.5 Daily user sending limit exceeded", ""},
		{"smtp.gmail.com", "550 5.7.1 Daily SMTP relay limit exceeded", "gmail_relay"},
		{"smtp.gmail.com", "550 5.7.1 no", ""},
		{"smtp.office365.com", "535 5.7.139 Authentication unsuccessful", "microsoft_off"},
		{"smtp-mail.outlook.com", "550 5.7.30 Basic authentication is not supported", "microsoft_basic"},
		{"SMTP.163.com.", "451 MI:SFQ,163 smtp4", "netease_quarter"},
		{"smtphz.qiye.163.com", "554 5.5.0 MI:STC", "netease_day"},
		{"smtp.163.com", "554 5.5.0 MI:STC", "netease_day"},
		{"mx.example.com", "554 5.5.0 MI:STC", ""},
		{"email-smtp.eu-west-1.amazonaws.com", "454 Throttling failure: Maximum sending rate exceeded.", "ses_rate"},
		{"email-smtp.eu-west-1.amazonaws.com", "454 Temporary authentication failure", ""},
		{"smtp.qq.com", "535 Login Fail", "auth_code"},
		{"smtp.exmail.qq.com", "535 Login Fail", "client_password"},
		{"smtp.gmail.com", "the connection was lost", ""},
		{"smtp.gmail.com", "", ""},
	} {
		want := post.Reason{}
		if tc.want != "" {
			want.Key = "provider.refusal." + tc.want
		}
		if got := Meaning(tc.host, tc.reply); got.Key != want.Key {
			t.Errorf("%s, %q: %q", tc.host, tc.reply, got.Key)
		}
	}
}

func TestFilesSentMail(t *testing.T) {
	for host, want := range map[string]bool{"smtp.gmail.com": true, "SMTP.Office365.com": true, "smtp-mail.outlook.com": true, "mail.gmx.net": false, "smtp.example.org": false} {
		if got := FilesSentMail(host); got != want {
			t.Errorf("%s: %v, want %v", host, got, want)
		}
	}
}

// TestAuthServers: the facts hold together, and the guide in each language says
// the very text that is offered for copying.
func TestAuthServers(t *testing.T) {
	var f struct {
		Servers []AuthServer `json:"servers"`
	}
	d := json.NewDecoder(bytes.NewReader(oauthText))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		t.Fatal(err)
	}
	for _, s := range f.Servers {
		for what, address := range map[string]string{"auth_url": s.AuthURL, "token_url": s.TokenURL, "console": s.Console} {
			if u, err := url.Parse(address); err != nil || u.Scheme != "https" || u.Host == "" {
				t.Errorf("%s: %s %q", s.ID, what, address)
			}
		}
		if _, err := time.Parse("2006-01", s.Checked); err != nil || len(s.Sources) == 0 && s.Grade != Unconfirmed || len(s.Scopes) == 0 || len(s.Hosts) == 0 {
			t.Errorf("%s: %+v", s.ID, s)
		}
		for _, lang := range words.Langs {
			w := words.For(lang)
			steps := strings.Split(w.T(s.Steps), "\n")
			if s.CopyStep < 1 || s.CopyStep > len(steps) || !strings.Contains(steps[s.CopyStep-1], s.Copy) {
				t.Errorf("%s: the guide in %s does not say %q in step %d", s.ID, lang, s.Copy, s.CopyStep)
			}
			for i, step := range steps {
				if !strings.HasPrefix(step, fmt.Sprintf("%d. ", i+1)) {
					t.Errorf("%s: step %d in %s: %q", s.ID, i+1, lang, step)
				}
			}
			if s.Path != "" && !strings.Contains(w.T(s.Guide), "http://127.0.0.1"+s.Path) {
				t.Errorf("%s: the address is not in the short guide in %s", s.ID, lang)
			}
		}
	}
}

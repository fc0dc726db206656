package providers

import (
	"net/url"
	"slices"
	"strings"
)

// The settings for one authorization server that the data file does not know: a
// company's own, or a provider's. What it calls us is no secret (RFC 8252 8.5).
const (
	OwnIssuerSetting = "oauth.own.issuer"
	OwnClientSetting = "oauth.own.client_id"
	OwnScopesSetting = "oauth.own.scopes" // with blanks between them
	OwnHostsSetting  = "oauth.own.hosts"  // the mail servers that take its tokens, with blanks between them
)

// OwnServer is what the settings say of that server. The zero value is none.
type OwnServer struct {
	Issuer, ClientID string
	Scopes, Hosts    []string
}

// ReadOwn reads the settings, of which get returns one.
func ReadOwn(get func(key string) string) OwnServer {
	return OwnServer{
		Issuer: get(OwnIssuerSetting), ClientID: get(OwnClientSetting),
		Scopes: strings.Fields(get(OwnScopesSetting)), Hosts: strings.Fields(strings.ToLower(get(OwnHostsSetting))),
	}
}

// Takes reports whether the mail server at host takes this server's tokens.
func (o *OwnServer) Takes(host string) bool {
	return o.Issuer != "" && slices.Contains(o.Hosts, fold(host))
}

// Name is what a user calls the server: its host.
func (o *OwnServer) Name() string { return IssuerName(o.Issuer) }

// IssuerName is the host of an issuer, which is what a user knows of it.
func IssuerName(issuer string) string {
	if u, err := url.Parse(issuer); err == nil && u.Host != "" {
		return u.Host
	}
	return issuer
}

// maxSetting bounds one of these settings, in bytes.
const maxSetting = 500

// CheckWord reports whether a value is what a provider shows as an id: one
// word, or nothing.
func CheckWord(value string) bool {
	return len(value) <= maxSetting && !strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' })
}

// CheckWords is CheckWord for several, with blanks between them.
func CheckWords(value string) bool { return CheckWord(strings.ReplaceAll(value, " ", "")) }

// CheckIssuer reports whether a value can be the address of an authorization
// server (RFC 8414 2), or is nothing.
func CheckIssuer(value string) bool {
	u, err := url.Parse(value)
	return value == "" || CheckWord(value) && err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

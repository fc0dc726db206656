package providers

import (
	_ "embed"
	"encoding/json"
	"slices"
	"strings"
	"sync"
)

// AuthServer is an authorization server (RFC 6749) that gives tokens for mail;
// each of its facts can be changed.
type AuthServer struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Issuer   string            `json:"issuer"` // what its answers are compared with (RFC 9207); empty: not compared
	AuthURL  string            `json:"auth_url"`
	TokenURL string            `json:"token_url"`
	Scopes   []string          `json:"scopes"`
	Extra    map[string]string `json:"extra"` // further parameters of the page to sign in on
	Hosts    []string          `json:"hosts"` // the mail servers that take its tokens
	// Path of the address that it leads back to, where it must be registered;
	// empty: it takes any, and a random one is used.
	Path     string `json:"path"`
	ClientID string `json:"client_id"` // what we are called there; empty: nobody registered us yet
	Secret   bool   `json:"secret"`    // it shows a client secret beside the id, and asks for it
	Guide    string `json:"guide"`     // words: how to get a client id
	Steps    string `json:"steps"`     // words: the same, a step a line
	Console  string `json:"console"`   // the page where that is done
	Copy     string `json:"copy"`      // what one of the steps says to type there exactly; empty: nothing
	CopyStep int    `json:"copy_step"` // which one, from 1
	Grade    Grade  `json:"grade"`

	Checked string   `json:"checked"` // see Provider
	Sources []string `json:"sources"`
}

// ClientIDSetting is the setting that holds what a server calls us, in place of
// the data file.
func (s *AuthServer) ClientIDSetting() string { return "oauth." + s.ID + ".client_id" }

// ClientSecretSetting is how users name the client secret that a few providers give
// programs and ask for. It is kept where passwords are, see
// accounts.Tokens.SetClientSecret; older versions kept it as a setting.
func (s *AuthServer) ClientSecretSetting() string { return "oauth." + s.ID + ".client_secret" }

// ClientSecretPlaceSetting is the setting that says where it is kept: keyring or
// vault.
func (s *AuthServer) ClientSecretPlaceSetting() string { return s.ClientSecretSetting() + "_place" }

//go:embed oauth.json
var oauthText []byte

var readOAuth = sync.OnceValue(func() []AuthServer {
	var f struct {
		Servers []AuthServer `json:"servers"`
	}
	if err := json.Unmarshal(oauthText, &f); err != nil {
		panic("oauth.json: " + err.Error()) // a test reads the file
	}
	return f.Servers
})

// AuthServers returns all that are known.
func AuthServers() []AuthServer { return readOAuth() }

// AuthServerByID returns one by its id.
func AuthServerByID(id string) (AuthServer, bool) {
	for _, s := range readOAuth() {
		if s.ID == id {
			return s, true
		}
	}
	return AuthServer{}, false
}

// AuthServerFor returns the one whose tokens the mail server at host takes.
func AuthServerFor(host string) (AuthServer, bool) {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	for _, s := range readOAuth() {
		if slices.Contains(s.Hosts, host) {
			return s, true
		}
	}
	return AuthServer{}, false
}

package accounts

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"postroom/assets/providers"
	"postroom/post"
)

// maxPage is more than any page of settings has, in bytes.
const maxPage = 256 << 10

// clientConfig is what we read of a page in Thunderbird's format, version 1.1.
type clientConfig struct {
	XMLName  xml.Name `xml:"clientConfig"`
	Provider struct {
		Name      string         `xml:"displayName"`
		Servers   []configServer `xml:"outgoingServer"`
		Mailboxes []configServer `xml:"incomingServer"`
	} `xml:"emailProvider"`
}

type configServer struct {
	Type     string   `xml:"type,attr"`
	Host     string   `xml:"hostname"`
	Port     int      `xml:"port"`
	Socket   string   `xml:"socketType"`
	User     string   `xml:"username"`
	SignedIn []string `xml:"authentication"` // best first
}

// autoconfig asks the domain itself, at the two places where Thunderbird looks.
// A database of somebody else is not asked: it would learn who is a customer of
// whom, and what it knows of the large ones is in our presets.
func (d *Discoverer) autoconfig(ctx context.Context, a post.Address, look *Look) *Proposal {
	query := "?emailaddress=" + url.QueryEscape(a.Wire())
	client := d.pages()
	look.Result = post.Reason{Key: "discover.nothing"}
	for _, page := range []string{
		"https://autoconfig." + a.ASCII + "/mail/config-v1.1.xml",
		"https://" + a.ASCII + "/.well-known/autoconfig/mail/config-v1.1.xml",
	} {
		look.Tried = append(look.Tried, page)
		b, err := fetch(ctx, client, page+query)
		switch {
		case errors.Is(err, errNoPage):
			continue
		case err != nil:
			look.Result = failed(withoutAddress(err))
			continue
		}
		p, err := readConfig(b, a)
		if err != nil {
			look.Result = post.Reason{Key: "discover.no_server", Raw: post.CleanReply(err.Error())}
			continue
		}
		look.Result = post.Reason{Key: "discover.named", Args: []string{p.server()}}
		return p
	}
	return nil
}

// errNoPage says that the web server has no such page.
var errNoPage = errors.New("no such page")

// withoutAddress leaves the page's address, with whom it asks for, out of an
// error of net/http.
func withoutAddress(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

func fetch(ctx context.Context, client *http.Client, page string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, page, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "Postroom")
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, errNoPage
	}
	b, err := io.ReadAll(io.LimitReader(answer.Body, maxPage+1))
	if err == nil && len(b) > maxPage {
		err = errors.New("the page is too long")
	}
	return b, err
}

// readConfig returns the first server of a page that takes mail with encryption
// and knows its senders by something we have.
func readConfig(b []byte, a post.Address) (*Proposal, error) {
	var c clientConfig
	if err := xml.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("no list of settings: %w", err)
	}
	for i := range c.Provider.Servers {
		s := &c.Provider.Servers[i]
		p := s.read("smtp", a)
		if p == nil {
			continue
		}
		p.Provider = post.CleanReply(strings.TrimSpace(c.Provider.Name))
		if p.TokenOnly {
			p.Note = post.Reason{Key: "provider.note.token"}
		}
		for i := range c.Provider.Mailboxes {
			// An account signs in to both by one name.
			if m := c.Provider.Mailboxes[i].read("imap", a); m != nil && m.User == p.User {
				p.Mailbox = &providers.Server{Host: m.Host, Port: m.Port, TLS: m.TLS}
				break
			}
		}
		return p, nil
	}
	return nil, errors.New("no server with encryption and sign-in")
}

// read returns a server that can be used for the address, else nil.
func (s *configServer) read(kind string, a post.Address) *Proposal {
	mode, ok := map[string]post.TLS{"SSL": post.TLSImplicit, "STARTTLS": post.TLSStartTLS}[strings.TrimSpace(s.Socket)]
	if !ok || s.Type != kind {
		return nil
	}
	p := proposed(strings.TrimSpace(s.Host), s.Port, mode)
	user, known := fillUser(strings.TrimSpace(s.User), a)
	password, token := s.takes()
	if p == nil || !known || !password && !token {
		return nil
	}
	p.User, p.TokenOnly = user, !password
	return p
}

// takes says what a server wants to be signed in with; one that says nothing
// takes passwords.
func (s *configServer) takes() (password, token bool) {
	for _, how := range s.SignedIn {
		switch strings.TrimSpace(how) {
		case "password-cleartext", "password-encrypted", "plain", "secure":
			password = true
		case "OAuth2":
			token = true
		}
	}
	return password || len(s.SignedIn) == 0, token
}

// fillUser puts the address into the name to sign in with; empty is the address
// itself. ok is false for a name that needs more than the address, or that no
// server takes.
func fillUser(s string, a post.Address) (user string, ok bool) {
	user = strings.NewReplacer("%EMAILADDRESS%", a.String(), "%EMAILLOCALPART%", a.Local, "%EMAILDOMAIN%", a.Domain).Replace(s)
	if user == a.String() {
		user = ""
	}
	return user, !strings.Contains(user, "%") && len(user) <= 320 && post.CleanReply(user) == user
}

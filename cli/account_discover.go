package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"postroom/accounts"
	"postroom/post"
)

func (a *app) accountDiscover() *cobra.Command {
	return &cobra.Command{
		Use: "discover ADDR", Short: "Find the server for an address, and store nothing",
		Long: `Discover looks for the server that sends mail for an address: among the providers
that are known here, then at the domain's mail server, its own settings page, its
service records, and under the usual names. Only HTTPS and DNS are used, and for
the usual names a connection that ends before the sign-in. No password is needed.`,
		Example: "  postroom account discover anna@example.com", Args: takes(1, "the sender address"),
		RunE: func(c *cobra.Command, args []string) error {
			found, err := a.discover(c.Context(), args[0])
			if err == nil && found.Proposal == nil {
				err = ended{exitFailed}
			}
			return err
		},
	}
}

// lookJSON is one place that was asked for settings.
type lookJSON struct {
	Step   accounts.Source `json:"step"`
	Found  bool            `json:"found"`
	Tried  []string        `json:"tried"`
	Detail string          `json:"detail"`
}

// serverJSON is where answers and reports can be read (IMAP).
type serverJSON struct {
	Host string   `json:"host"`
	Port int      `json:"port"`
	TLS  post.TLS `json:"tls"`
}

type proposalJSON struct {
	Source    accounts.Source `json:"source"`
	Provider  string          `json:"provider"`
	Host      string          `json:"host"`
	Port      int             `json:"port"`
	TLS       post.TLS        `json:"tls"`
	User      string          `json:"user"`
	Limits    post.Limits     `json:"limits"`
	Mailbox   *serverJSON     `json:"mailbox"`
	Note      string          `json:"note"`
	Page      string          `json:"page"`
	TokenOnly bool            `json:"token_only"`
}

type discoveryJSON struct {
	Address  string        `json:"address"`
	Found    bool          `json:"found"`
	Steps    []lookJSON    `json:"steps"`
	Proposal *proposalJSON `json:"proposal"`
}

// discover looks for the settings of an address and tells how.
func (a *app) discover(ctx context.Context, address string) (accounts.Discovery, error) {
	var d accounts.Discoverer
	if a.Discoverer != nil {
		d = *a.Discoverer
	}
	if !a.json {
		d.Trace = a.tellLook
	}
	found, err := d.Discover(ctx, address)
	if err != nil {
		return found, err
	}
	if a.json {
		out := discoveryJSON{Address: strings.TrimSpace(address), Found: found.Proposal != nil, Steps: []lookJSON{}}
		for _, l := range found.Looks {
			out.Steps = append(out.Steps, lookJSON{l.Source, l.Found, l.Tried, a.reason(l.Result)})
		}
		if p := found.Proposal; p != nil {
			out.Proposal = &proposalJSON{p.Source, p.Provider, p.Host, p.Port, p.TLS, p.User, p.Limits, nil, a.reason(p.Note), p.Page, p.TokenOnly}
			if m := p.Mailbox; m != nil {
				out.Proposal.Mailbox = &serverJSON{m.Host, m.Port, m.TLS}
			}
		}
		return found, a.object(out)
	}
	if p := found.Proposal; p != nil {
		a.say("%-12s %s", "Server", serverOf(post.Account{Host: p.Host, Port: p.Port, TLS: p.TLS}))
		if m := p.Mailbox; m != nil {
			a.say("%-12s %s", "Mailbox", serverOf(post.Account{Host: m.Host, Port: m.Port, TLS: m.TLS}))
		}
		for _, more := range []string{a.reason(p.Note), p.Page} {
			if more != "" {
				a.say("%-12s %s", "", oneLine(more))
			}
		}
	} else {
		a.say("%s", a.words.T("accounts.find.none"))
	}
	return found, a.out.Flush()
}

// tellLook prints each place when it was asked.
func (a *app) tellLook(l accounts.Look) {
	if l.Result.Key == "" { // it begins
		return
	}
	result := "-"
	if l.Found {
		result = "found"
	}
	a.say("%-12s %-7s %s", l.Source, result, oneLine(a.reason(l.Result)))
	for _, t := range l.Tried {
		a.say("%-20s %s", "", oneLine(t))
	}
	_ = a.out.Flush() // a failure comes back at the end
}

// findServer fills in what discovery finds for an account without a server.
// Flags that were given are put over it afterwards.
func (a *app) findServer(ctx context.Context, x *post.Account, f *accountFlags) error {
	for _, name := range []string{"port", "tls"} {
		if f.changed(name) {
			return usage("give --host with --%s; without them the server is looked for", name)
		}
	}
	if !f.passwordStdin && !f.changed("password-command") && !strings.EqualFold(f.auth, string(post.AuthNone)) {
		return errNoSecretFlag() // rather now than after the search
	}
	found, err := a.discover(ctx, f.email)
	if err != nil {
		return err
	}
	p := found.Proposal
	if p == nil {
		return usage("no server was found for %s; give --host, --port and --tls", strings.TrimSpace(f.email))
	}
	x.Host, x.Port, x.TLS, x.User, x.Limits = p.Host, p.Port, p.TLS, p.User, p.Limits
	return nil
}

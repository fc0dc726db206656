package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"postroom/accounts"
	"postroom/storage"
)

func (a *app) accountHealth() *cobra.Command {
	var fresh bool
	c := &cobra.Command{
		Use: "health NAME", Short: "Say what the account's domain lacks so that its mail is trusted",
		Long: `Health asks the name service about the domain of the account's address: who may
send for it (SPF), how its mail is signed (DKIM; give the selector with account
set --dkim-selector), what others do with the rest (DMARC), where answers go (MX),
and whether a server of your own has a name for its address. Where a record is
missing it shows one to copy. Answers are kept for half a day.

The exit code is 1 when something is missing or wrong.`,
		Example: "  postroom account health shop", Args: takes(1, "the name of the account"),
	}
	c.Flags().BoolVar(&fresh, "refresh", false, "ask again, whatever is kept")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		x, err := l.AccountByName(ctx, args[0])
		if err != nil {
			return err
		}
		if own, err := l.Signing(ctx, x.ID); err == nil && own != nil && x.Selector == "" {
			x.Selector = own.Selector // we sign ourselves
		}
		h, err := accounts.KnownHealth(ctx, l, a.HealthDNS, x, a.Clock.Now(), fresh)
		if err != nil {
			return err
		}
		if err := a.tellHealth(h); err != nil {
			return err
		}
		if !h.OK {
			return ended{exitFailed}
		}
		return nil
	})
	return c
}

// healthJSON is a report as scripts see it.
type healthJSON struct {
	Domain    string       `json:"domain"`
	OK        bool         `json:"ok"`
	CheckedAt stamp        `json:"checked_at"`
	Findings  []recordJSON `json:"findings"`
}

type recordJSON struct {
	Record string   `json:"record"`
	State  string   `json:"state"`
	Reason string   `json:"reason"`
	Found  []string `json:"found"`
	Name   string   `json:"name"`
	Value  string   `json:"value"`
}

func (a *app) tellHealth(h accounts.Health) error {
	out := healthJSON{Domain: h.Domain, OK: h.OK, CheckedAt: stamp(h.AskedAt), Findings: []recordJSON{}}
	for _, f := range h.Findings {
		out.Findings = append(out.Findings, recordJSON{f.Record, f.State, a.reason(f.What), append([]string{}, f.Found...), f.Name, f.Value})
	}
	if a.json {
		return a.object(out)
	}
	a.say("%s, asked %s", h.Domain, moment(time.Time(out.CheckedAt)))
	for _, f := range out.Findings {
		a.say("%-6s %-8s %s", f.Record, f.State, oneLine(f.Reason))
		for _, found := range f.Found {
			a.say("%-15s there is: %s", "", oneLine(found))
		}
		switch {
		case f.Name != "" && f.Value != "":
			a.say("%-15s to copy:  %s  TXT  %s", "", oneLine(f.Name), oneLine(f.Value))
		case f.Value != "":
			a.say("%-15s to set:   %s", "", oneLine(f.Value))
		}
	}
	return nil
}

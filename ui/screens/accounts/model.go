// Package accounts is the screen for sender accounts: what each is doing and
// why, how much of its limits is used, a test of its settings step by step, and
// the form to add or change one.
package accounts

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	senders "postroom/accounts"
	"postroom/assets/providers"
	"postroom/assets/words"
	"postroom/post"
	"postroom/storage"
)

// Row is one account in the table.
type Row struct {
	ID                               int64
	Name, Email, Server, State, Used string
	StateKey                         post.AccountState
	Colour                           string // of its letterhead
}

// Model is what the screen shows. It is made off the user interface's goroutine
// and never changed.
type Model struct {
	Rows  []Row
	Panel *Panel // nil when there is no account
}

// Panel is the account that is looked at.
type Panel struct {
	Account  post.Account
	State    string
	StateKey post.AccountState
	Why      string // in words, empty when there is nothing to say
	Raw      string // the server's own text
	Means    string // what its provider means by that, where it is known
	Facts    []Fact
	Limits   []Limit
	Own      providers.OwnServer // the authorization server of the settings
	// Command is a password command that must be looked at and confirmed
	// before it runs; empty: none.
	Command string
	// Trouble is what kept the mailbox from being read the last time; empty:
	// nothing did.
	Trouble string
	// Unmoved is likewise what kept its handled reports from being moved.
	Unmoved string
	Plus    bool            // see Mailbox
	Copies  post.SentCopies // likewise
}

// Fact is one setting with its name.
type Fact struct{ Name, Value string }

// Limit is one of the account's limits and how much of it is used.
type Limit struct {
	Name, Text  string
	Used, Total int64
}

// Load reads all accounts, and of the one with the id selected (of the first
// when there is none) everything.
func Load(ctx context.Context, l *storage.Ledger, w *words.Catalogue, now time.Time, selected int64) (*Model, error) {
	list, err := l.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	m := &Model{Rows: make([]Row, 0, len(list))}
	at := -1
	used := make([]storage.Used, len(list))
	for i := range list {
		a := &list[i]
		if used[i], err = l.AccountUsed(ctx, a.ID); err != nil {
			return nil, err
		}
		h, err := l.Letterhead(ctx, a.ID)
		if err != nil {
			return nil, err
		}
		state := a.State(now)
		m.Rows = append(m.Rows, Row{
			ID: a.ID, Name: a.Name, Email: a.Email, Server: a.Host, State: w.AccountState(state), StateKey: state,
			Used: usedOf(w, used[i].Day, a.Limits.PerDay), Colour: h.Colour,
		})
		if a.ID == selected || at < 0 {
			at = i
		}
	}
	if at >= 0 {
		set, err := l.Settings(ctx)
		if err != nil {
			return nil, err
		}
		m.Panel = panelOf(w, list[at], used[at], now)
		m.Panel.Own = providers.ReadOwn(func(key string) string { return set[key] })
		if err := m.Panel.reading(ctx, l, w, now); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func usedOf(w *words.Catalogue, used int64, limit int) string {
	if limit > 0 {
		return w.T("account.used", used, limit)
	}
	return w.Number(used)
}

func panelOf(w *words.Catalogue, a post.Account, used storage.Used, now time.Time) *Panel {
	p := &Panel{Account: a, StateKey: a.State(now)}
	p.State = w.AccountState(p.StateKey)
	switch p.StateKey {
	case post.AccountStopped:
		p.Why, p.Raw = w.Reason(a.Reason), a.Reason.Raw
	case post.AccountWaiting:
		p.Why, p.Raw = w.T("account.waiting_until", w.When(a.Until.In(now.Location()), now)), a.Reason.Raw
		if why := w.Reason(a.Reason); why != "" {
			p.Why += ": " + why
		}
	case post.AccountPaused:
		p.Why = w.T("accounts.paused.why")
	}
	p.Means = w.Reason(providers.Meaning(a.Host, p.Raw))
	p.Facts = factsOf(w, &a)
	for _, l := range []struct {
		key   string
		used  int64
		limit int
	}{{"minute", used.Minute, a.Limits.PerMinute}, {"hour", used.Hour, a.Limits.PerHour}, {"day", used.Day, a.Limits.PerDay}} {
		if l.limit == 0 && l.key != "day" {
			continue
		}
		p.Limits = append(p.Limits, Limit{Name: w.T("accounts.used." + l.key), Text: usedOf(w, l.used, l.limit), Used: l.used, Total: int64(l.limit)})
	}
	if a.Secret == post.SecretCommand && a.CommandHeld {
		p.Command = a.PasswordCommand
	}
	return p
}

func factsOf(w *words.Catalogue, a *post.Account) []Fact {
	from := a.Email
	if a.FromName != "" {
		from = a.FromName + " <" + a.Email + ">"
	}
	facts := []Fact{
		{w.T("accounts.fact.sender"), from},
		{w.T("accounts.server"), net.JoinHostPort(a.Host, strconv.Itoa(a.Port))},
		{w.T("accounts.encryption"), w.T("accounts.tls." + string(a.TLS))},
		{w.T("accounts.auth"), w.T("accounts.auth." + string(a.Auth))},
	}
	if a.Auth != post.AuthNone {
		facts = append(facts,
			Fact{w.T("accounts.user"), a.Login()},
			Fact{w.T("accounts.password"), w.T("accounts.secret." + string(a.Secret))})
	}
	if a.Pin != "" {
		facts = append(facts, Fact{w.T("accounts.pin.fact"), short(a.Pin) + " …"})
	}
	if a.Proxy != "" {
		facts = append(facts, Fact{w.T("accounts.proxy"), a.Proxy})
	}
	if names := authorityNames(a.CA); names != "" {
		facts = append(facts, Fact{w.T("accounts.authority"), names})
	}
	if a.Connections > 0 {
		facts = append(facts, Fact{w.T("accounts.connections"), w.Number(int64(a.Connections))})
	}
	return facts
}

// Step is one step of the doctor in words.
type Step struct {
	Name                  string // of senders; empty for one that was not come to
	Title, Detail, Advice string
	Took                  string // how long it took
	OK, Skipped, Waiting  bool
	Nothing               bool // it was not found, and that is no failure
}

var stepNames = []string{senders.StepResolve, senders.StepConnect, senders.StepTLS, senders.StepEHLO, senders.StepAuth}

// stepsFor are the steps that an account has; letter says that a message to
// oneself is sent.
func stepsFor(a *post.Account, letter bool) []string {
	names := slices.Clip(stepNames)
	if letter {
		names = append(names, senders.StepSend)
	}
	if a.IMAPHost != "" {
		names = append(names, senders.StepIMAP)
		if letter {
			names = append(names, senders.StepArrive, senders.StepPlus)
		}
	}
	return names
}

// StepsBefore are the doctor's steps while it works.
func StepsBefore(w *words.Catalogue, a *post.Account, letter bool) []Step {
	names := stepsFor(a, letter)
	steps := make([]Step, len(names))
	for i, name := range names {
		steps[i] = Step{Title: w.T("doctor." + name), Waiting: true}
	}
	return steps
}

// StepsOf says in words what the doctor found; steps that it did not come to
// are skipped. Where the refusal of the account's provider is known, its meaning is
// the advice.
func StepsOf(w *words.Catalogue, a *post.Account, r senders.Report, letter bool) []Step {
	done := map[string]bool{}
	steps := make([]Step, 0, len(stepNames))
	for _, s := range r.Steps {
		done[s.Name] = true
		step := Step{Name: s.Name, Title: w.T("doctor." + s.Name), OK: s.OK, Nothing: !s.OK && !s.Failed(), Detail: s.Detail, Took: tookOf(w, s.Took)}
		var notes []string
		for _, n := range s.Notes {
			notes = append(notes, w.Reason(n))
		}
		step.Advice = strings.Join(notes, "\n")
		if !s.OK {
			step.Advice = s.AdviceText
			if w.Has(s.Advice.Key) {
				step.Advice = w.Reason(s.Advice)
			}
			if s.Fault != nil {
				if what := w.Fault(s.Fault); what != "" && step.Advice == "" {
					step.Advice = what
				}
				if means := w.Reason(providers.Meaning(a.Host, s.Fault.Reply.String())); means != "" {
					step.Advice = means
				}
			}
		}
		steps = append(steps, step)
	}
	for _, name := range stepsFor(a, letter) {
		if !done[name] && !r.OK { // else it is not for this account
			steps = append(steps, Step{Title: w.T("doctor." + name), Skipped: true})
		}
	}
	return steps
}

// tookOf says how long a step took.
func tookOf(w *words.Catalogue, d time.Duration) string {
	if d < time.Second {
		return w.T("doctor.ms", d.Milliseconds())
	}
	return w.Duration(d)
}

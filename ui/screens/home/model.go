// Package home is the first screen. It answers three questions in order: what
// is running and when does it end, what needs me, how did it go.
package home

import (
	"context"
	"time"

	"postroom/assets/words"
	"postroom/mailer"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/screens"
)

// Model is what Home shows, in words. It is made off the user interface's
// goroutine and never changed.
type Model struct {
	New      bool // nothing was ever set up: first steps are offered
	Greeting string
	Running  []Running
	Needs    []Need
	Accounts []Account
	Days     []Day
}

// Running is one mailing that is not done.
type Running struct {
	ID                               int64
	Name, State, Ends                string
	MailingState                     post.MailingState
	Rehearsal                        bool
	Sent, Failed, Uncertain, Waiting int64
	Total                            int64
}

// NeedKind is what a need is about.
type NeedKind uint8

// The kinds of need.
const (
	NeedUncertain NeedKind = iota
	NeedAccount
	NeedHeld
	NeedMailing
	NeedDelayed
	NeedFolder
)

// Need is one thing that wants the user's word.
type Need struct {
	Kind              NeedKind
	What, Why, Button string
	Go                screens.Route
}

// Account is one sender account and what it has used of its day.
type Account struct {
	Email, Used string
	State       post.AccountState
	Sent, Limit int64 // Limit 0: none
}

// Day is one bar of the chart.
type Day struct {
	Label         string
	Taken, Failed int64
}

const (
	chartDays   = 30
	maxRunning  = 4
	maxAccounts = 6
)

// Load reads what Home shows.
func Load(ctx context.Context, l *storage.Ledger, w *words.Catalogue, now time.Time) (*Model, error) {
	m := &Model{Greeting: w.Greeting(now)}
	accounts, err := l.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	open, _, err := l.Mailings(ctx, true, storage.Page{Limit: 50})
	if err != nil {
		return nil, err
	}
	if m.New, err = isNew(ctx, l, accounts, open); err != nil {
		return nil, err
	}
	if err := m.running(ctx, l, w, open, now); err != nil {
		return nil, err
	}
	needs, err := l.Needs(ctx)
	if err != nil {
		return nil, err
	}
	m.needs(w, needs, accounts, open, now)
	if service := l.SyncedBy(); service != "" {
		m.Needs = append(m.Needs, Need{
			Kind: NeedFolder, What: w.T("home.synced", service), Why: w.T("home.synced.why"), Button: w.T("action.look"),
			Go: screens.Route{Screen: screens.Settings},
		})
	}
	if err := m.accounts(ctx, l, w, accounts, now); err != nil {
		return nil, err
	}
	days, err := l.Days(ctx, now.Location(), chartDays)
	if err != nil {
		return nil, err
	}
	for _, d := range days {
		m.Days = append(m.Days, Day{Label: w.Day(d.Start), Taken: d.Sent, Failed: d.Failed})
	}
	return m, nil
}

func isNew(ctx context.Context, l *storage.Ledger, accounts []post.Account, open []post.Mailing) (bool, error) {
	if len(accounts) > 0 || len(open) > 0 {
		return false, nil
	}
	any, _, err := l.Mailings(ctx, false, storage.Page{Limit: 1})
	return len(any) == 0, err
}

func (m *Model) running(ctx context.Context, l *storage.Ledger, w *words.Catalogue, open []post.Mailing, now time.Time) error {
	forecasts, err := mailer.Foresee(ctx, l, now, now.Location())
	if err != nil {
		return err
	}
	for _, x := range open {
		if len(m.Running) == maxRunning {
			break
		}
		state := x.State(now)
		if state == post.MailingCancelled {
			continue
		}
		r := Running{
			ID: x.ID, Name: x.Name, State: w.MailingState(state), MailingState: state, Rehearsal: x.Kind == post.Rehearsal,
			Sent: x.Counts[post.StateSent], Failed: x.Counts[post.StateFailed] + x.Counts[post.StateExpired],
			Uncertain: x.Counts[post.StateUncertain], Waiting: x.Pending(), Total: x.Total(),
		}
		switch state {
		case post.MailingScheduled:
			r.Ends = w.T("home.starts", w.When(x.NotBefore.In(now.Location()), now))
		case post.MailingRunning:
			r.Ends = screens.Ends(w, forecasts[x.ID], now)
		case post.MailingPaused:
			r.Ends = w.Reason(x.Reason)
		}
		m.Running = append(m.Running, r)
	}
	return nil
}

func (m *Model) needs(w *words.Catalogue, n storage.Needs, accounts []post.Account, open []post.Mailing, now time.Time) {
	if n.Uncertain > 0 {
		m.Needs = append(m.Needs, Need{
			Kind: NeedUncertain, What: w.N("home.uncertain", n.Uncertain), Why: w.T("home.uncertain.why"), Button: w.T("action.decide"),
			Go: screens.Route{Screen: screens.Outbox, States: []post.State{post.StateUncertain}},
		})
	}
	for _, a := range accounts {
		if a.Hold == post.AccountStopped {
			m.Needs = append(m.Needs, Need{
				Kind: NeedAccount, What: w.T("account.stopped", a.Email), Why: w.Reason(a.Reason), Button: w.T("action.look"),
				Go: screens.Route{Screen: screens.Accounts, ID: a.ID},
			})
		}
	}
	if n.Held > 0 {
		m.Needs = append(m.Needs, Need{
			Kind: NeedHeld, What: w.N("home.held", n.Held), Why: w.T("home.held.why"), Button: w.T("action.look"),
			Go: screens.Route{Screen: screens.Outbox},
		})
	}
	if n.Delayed > 0 {
		m.Needs = append(m.Needs, Need{
			Kind: NeedDelayed, What: w.N("home.delayed", n.Delayed), Why: w.T("home.delayed.why"), Button: w.T("action.look"),
			Go: screens.Route{Screen: screens.Outbox},
		})
	}
	for _, x := range open {
		if x.State(now) == post.MailingPaused && !x.Reason.IsZero() {
			m.Needs = append(m.Needs, Need{
				Kind: NeedMailing, What: w.T("home.paused", x.Name), Why: w.Reason(x.Reason), Button: w.T("action.look"),
				Go: screens.Route{Screen: screens.Mailings, ID: x.ID},
			})
		}
	}
}

func (m *Model) accounts(ctx context.Context, l *storage.Ledger, w *words.Catalogue, accounts []post.Account, now time.Time) error {
	for _, a := range accounts[:min(len(accounts), maxAccounts)] {
		used, err := l.AccountUsed(ctx, a.ID)
		if err != nil {
			return err
		}
		row := Account{Email: a.Email, State: a.State(now), Sent: used.Day, Limit: int64(a.Limits.PerDay)}
		switch {
		case row.State == post.AccountStopped || row.State == post.AccountPaused:
			row.Used = w.AccountState(row.State)
		case row.Limit > 0:
			row.Used = w.T("account.used", used.Day, a.Limits.PerDay)
		default:
			row.Used = w.Number(used.Day)
		}
		m.Accounts = append(m.Accounts, row)
	}
	return nil
}

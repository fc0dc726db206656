// Package outbox is the screen for what has not been settled yet: what waits
// and why, and what may or may not have arrived.
package outbox

import (
	"context"
	"time"

	"postroom/assets/words"
	"postroom/post"
	"postroom/storage"
)

// Filter chooses what the outbox shows.
type Filter uint8

// The filters.
const (
	Everything Filter = iota
	Waiting
	Unsure
)

// States returns the states of a filter.
func (f Filter) States() []post.State {
	switch f {
	case Waiting:
		return []post.State{post.StateQueued, post.StateClaimed, post.StateSending}
	case Unsure:
		return []post.State{post.StateUncertain}
	}
	return []post.State{post.StateQueued, post.StateClaimed, post.StateSending, post.StateUncertain}
}

// Row is one delivery that is not settled.
type Row struct {
	ID                                   int64
	Recipient, Mailing, State, Why, Next string
	StateKey                             post.State
}

// Model is what the outbox shows.
type Model struct {
	Rows   []Row
	Pages  storage.Pages
	Total  int64
	Unsure int64
}

// Load reads one page.
func Load(ctx context.Context, l *storage.Ledger, w *words.Catalogue, now time.Time, f Filter, p storage.Page) (*Model, error) {
	filter := storage.HistoryFilter{States: f.States()}
	rows, pages, err := l.History(ctx, filter, p)
	if err != nil {
		return nil, err
	}
	m := &Model{Pages: pages}
	if m.Total, err = l.CountHistory(ctx, filter); err != nil {
		return nil, err
	}
	if m.Unsure, err = l.CountHistory(ctx, storage.HistoryFilter{States: Unsure.States()}); err != nil {
		return nil, err
	}
	why, err := reasons(ctx, l, w, now)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		m.Rows = append(m.Rows, rowOf(w, &rows[i], why, now))
	}
	return m, nil
}

// waits says why accounts and mailings hold their mail up.
type waits struct {
	accounts map[string]string
	mailings map[int64]string
}

func reasons(ctx context.Context, l *storage.Ledger, w *words.Catalogue, now time.Time) (waits, error) {
	out := waits{accounts: map[string]string{}, mailings: map[int64]string{}}
	accounts, err := l.Accounts(ctx)
	if err != nil {
		return out, err
	}
	for _, a := range accounts {
		switch a.State(now) {
		case post.AccountWaiting:
			out.accounts[a.Name] = w.T("account.waiting_until", w.When(a.Until.In(now.Location()), now)) + ": " + w.Reason(a.Reason)
		case post.AccountStopped:
			out.accounts[a.Name] = w.T("account.stopped", a.Email) + ": " + w.Reason(a.Reason)
		case post.AccountPaused:
			out.accounts[a.Name] = a.Email + ": " + w.AccountState(post.AccountPaused)
		}
	}
	open, _, err := l.Mailings(ctx, true, storage.Page{Limit: 1000})
	if err != nil {
		return out, err
	}
	for i := range open {
		m := &open[i]
		switch m.State(now) {
		case post.MailingPaused:
			out.mailings[m.ID] = w.MailingState(post.MailingPaused)
			if !m.Reason.IsZero() {
				out.mailings[m.ID] += ": " + w.Reason(m.Reason)
			}
		case post.MailingScheduled:
			out.mailings[m.ID] = w.T("home.starts", w.When(m.NotBefore.In(now.Location()), now))
		case post.MailingRunning:
			if m.Kind == post.Live && len(m.Senders) == 1 {
				for _, a := range accounts {
					if a.ID == m.Senders[0].Account && out.accounts[a.Name] != "" {
						out.mailings[m.ID] = out.accounts[a.Name]
					}
				}
			}
		}
	}
	return out, nil
}

func rowOf(w *words.Catalogue, h *storage.HistoryRow, why waits, now time.Time) Row {
	r := Row{ID: h.ID, Recipient: h.Address, Mailing: h.MailingName, State: w.State(h.State), StateKey: h.State}
	if h.Name != "" {
		r.Recipient = h.Name + " <" + h.Address + ">"
	}
	if h.Held {
		r.State = w.T("state.paused")
	}
	switch {
	case h.State == post.StateQueued && why.mailings[h.Mailing] != "":
		r.Why = why.mailings[h.Mailing]
	case !h.Reason.IsZero():
		r.Why = w.Reason(h.Reason)
	case h.State == post.StateQueued:
		r.Why = why.accounts[h.AccountName]
	}
	if h.NextAt.After(now) {
		r.Next = w.When(h.NextAt.In(now.Location()), now)
	}
	return r
}

package cli

import (
	"context"
	"fmt"
	"time"

	"postroom/post"
	"postroom/storage"
)

// leave says what a run left behind, one line per account or mailing, and turns
// it into the exit code: 3 when it needs the user, else 1 when something failed.
func (a *app) leave(ctx context.Context, l *storage.Ledger, failed []*deliveries) error {
	n := 0
	for _, tell := range []func(context.Context, *storage.Ledger) (int, error){a.tellHeld, a.tellAside, a.tellUncertain} {
		more, err := tell(ctx, l)
		if err != nil {
			return err
		}
		n += more
	}
	for _, g := range failed {
		a.leftBehind(fmt.Sprintf("mailing %d (%s): %s failed", g.mailing, g.name, plural(g.n, "message", "messages")), g.why, map[string]any{"mailing": g.mailing})
	}
	switch {
	case n > 0:
		return ended{exitUser}
	case len(failed) > 0:
		return ended{exitFailed}
	}
	return nil
}

// leftBehind prints one line: what, why, and the cause as it came.
func (a *app) leftBehind(line string, why post.Reason, more map[string]any) {
	if words := a.reason(why); words != "" {
		line += ": " + words
	}
	a.complain(oneLine(line), post.KindRejected, more)
}

// openMailings walks the mailings that have something waiting.
func openMailings(ctx context.Context, l *storage.Ledger, f func(*post.Mailing) error) error {
	p := storage.Page{Limit: 200}
	for {
		all, pages, err := l.Mailings(ctx, true, p)
		if err != nil {
			return err
		}
		for i := range all {
			if all[i].Pending() == 0 {
				continue
			}
			if err := f(&all[i]); err != nil {
				return err
			}
		}
		if pages.Next == "" {
			return nil
		}
		p.Cursor = pages.Next
	}
}

// tellHeld tells of paused mailings, and of stopped or paused accounts, that
// have mail waiting.
func (a *app) tellHeld(ctx context.Context, l *storage.Ledger) (int, error) {
	list, err := l.Accounts(ctx)
	if err != nil {
		return 0, err
	}
	byID := map[int64]post.Account{}
	for _, x := range list {
		byID[x.ID] = x
	}
	n, waits := 0, map[int64]int64{}
	err = openMailings(ctx, l, func(m *post.Mailing) error {
		if m.State(a.Clock.Now()) == post.MailingPaused {
			n++
			a.leftBehind(fmt.Sprintf("mailing %d (%s) is paused with %s waiting", m.ID, m.Name, plural(m.Pending(), "message", "messages")),
				m.Reason, map[string]any{"mailing": m.ID})
			return nil
		}
		if m.Kind == post.Rehearsal || m.NotBefore.After(a.Clock.Now()) {
			return nil
		}
		for _, s := range m.Senders {
			if byID[s.Account].Hold == "" {
				return nil // another account takes it
			}
		}
		for _, s := range m.Senders {
			waits[s.Account] += m.Pending()
		}
		return nil
	})
	if err != nil {
		return n, err
	}
	for _, x := range list {
		if waits[x.ID] == 0 {
			continue
		}
		n++
		a.leftBehind(fmt.Sprintf("account %s is %s with %s waiting", x.Name, x.Hold, plural(waits[x.ID], "message", "messages")),
			x.Reason, map[string]any{"account": x.Name})
	}
	return n, nil
}

// tellAside tells of deliveries that are paused by themselves.
func (a *app) tellAside(ctx context.Context, l *storage.Ledger) (int, error) {
	needs, err := l.Needs(ctx)
	if err != nil || needs.Held == 0 {
		return 0, err
	}
	n := 0
	err = openMailings(ctx, l, func(m *post.Mailing) error {
		if m.Hold == post.MailingPaused {
			return nil // told already
		}
		var held int64
		var why post.Reason
		for d, err := range l.EachDelivery(ctx, storage.HistoryFilter{Mailing: m.ID, States: []post.State{post.StateQueued}}) {
			if err != nil {
				return err
			}
			if d.Held {
				held, why = held+1, d.Reason
			}
		}
		if held > 0 {
			n++
			a.leftBehind(fmt.Sprintf("mailing %d (%s) has %s put aside; postroom mailing retry %d --paused tries again",
				m.ID, m.Name, plural(held, "message", "messages"), m.ID), why, map[string]any{"mailing": m.ID})
		}
		return nil
	})
	return n, err
}

// deliveries counts deliveries of one mailing and keeps the first cause.
type deliveries struct {
	mailing int64
	name    string
	n       int64
	why     post.Reason
}

// byMailing groups the deliveries that a filter chooses and keep wants.
func (a *app) byMailing(ctx context.Context, l *storage.Ledger, f storage.HistoryFilter, keep func(*storage.HistoryRow) bool) ([]*deliveries, error) {
	var all []*deliveries
	known := map[int64]*deliveries{}
	for d, err := range l.EachDelivery(ctx, f) {
		if err != nil {
			return nil, err
		}
		if !keep(&d) {
			continue
		}
		g := known[d.Mailing]
		if g == nil {
			g = &deliveries{mailing: d.Mailing, name: d.MailingName, why: cause(&d)}
			known[d.Mailing] = g
			all = append(all, g)
		}
		g.n++
	}
	return all, nil
}

// cause is why a delivery is as it is, with the server's last reply as it came.
func cause(d *storage.HistoryRow) post.Reason {
	why := d.Reason
	if !d.Last.IsZero() {
		why.Raw = d.Last.String()
	}
	return why
}

func (a *app) tellUncertain(ctx context.Context, l *storage.Ledger) (int, error) {
	all, err := a.byMailing(ctx, l, storage.HistoryFilter{States: []post.State{post.StateUncertain}}, func(*storage.HistoryRow) bool { return true })
	for _, g := range all {
		a.leftBehind(fmt.Sprintf("mailing %d (%s) has %s that may or may not have arrived; say which with: postroom mailing settle %d --uncertain sent|failed",
			g.mailing, g.name, plural(g.n, "message", "messages"), g.mailing), g.why, map[string]any{"mailing": g.mailing})
	}
	return len(all), err
}

// failedSince groups the deliveries that were refused or given up since a time.
// What the breakers took back meanwhile is not among them.
func (a *app) failedSince(ctx context.Context, l *storage.Ledger, began time.Time) ([]*deliveries, error) {
	began = began.Truncate(time.Millisecond) // as the ledger keeps times
	return a.byMailing(ctx, l, storage.HistoryFilter{States: []post.State{post.StateFailed, post.StateExpired}},
		func(d *storage.HistoryRow) bool { return !d.ChangeAt.Before(began) })
}

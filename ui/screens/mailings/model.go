// Package mailings is the screen for drafts and mailings: the list of them, the
// composer, and a mailing at work.
package mailings

import (
	"context"
	"slices"
	"time"

	"postroom/assets/designs"
	"postroom/assets/words"
	"postroom/mailer"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/screens"
)

// Item is one row of the list: a draft or a mailing.
type Item struct {
	Draft, Mailing      int64 // one of the two is set
	Name, State, People string
	Progress, When      string
	MailingState        post.MailingState // empty for a draft
	Rehearsal           bool
	Template            bool
}

// List is the list in words.
type List struct {
	Items []Item
	Next  string // cursor of older mailings; empty: none
}

const listPage = 100

// LoadList reads the drafts and the newest mailings.
func LoadList(ctx context.Context, l *storage.Ledger, w *words.Catalogue, now time.Time, cursor string) (*List, error) {
	out := &List{}
	if cursor == "" {
		drafts, err := l.Drafts(ctx)
		if err != nil {
			return nil, err
		}
		for _, d := range drafts {
			if held, err := stillHeld(ctx, l, d, now); err != nil {
				return nil, err
			} else if held {
				continue
			}
			state := "mailing.state.draft"
			if d.Template {
				state = "mailing.state.template"
			}
			out.Items = append(out.Items, Item{
				Draft: d.ID, Name: draftName(w, d), State: w.T(state), Template: d.Template, When: w.When(d.ChangedAt.In(now.Location()), now),
			})
		}
	}
	list, pages, err := l.Mailings(ctx, false, storage.Page{Limit: listPage, Cursor: cursor})
	if err != nil {
		return nil, err
	}
	out.Next = pages.Next
	for i := range list {
		out.Items = append(out.Items, itemOf(w, &list[i], now))
	}
	return out, nil
}

// stillHeld reports whether a draft is kept only to be called back, and forgets
// it once its mailing has begun.
func stillHeld(ctx context.Context, l *storage.Ledger, d post.Draft, now time.Time) (bool, error) {
	if d.Held == 0 {
		return false, nil
	}
	m, err := l.Mailing(ctx, d.Held)
	if err != nil && post.KindOf(err) != post.KindNotFound {
		return false, err
	}
	if err == nil && now.Before(m.NotBefore) {
		return true, nil
	}
	return true, l.DeleteDraft(ctx, d.ID)
}

// callBack cancels a mailing that has not begun and returns the draft that it was
// made of.
func callBack(ctx context.Context, l *storage.Ledger, mailing int64, now time.Time) (post.Draft, error) {
	m, err := l.Mailing(ctx, mailing)
	if err != nil {
		return post.Draft{}, err
	}
	// A second is left for the mailer, which may be about to begin.
	if !now.Add(time.Second).Before(m.NotBefore) || m.Hold == post.MailingCancelled {
		return post.Draft{}, &post.Error{Kind: post.KindConflict, Op: "call back", Message: "it has begun already", Reason: post.Reason{Key: "mailing.call_back.late"}}
	}
	drafts, err := l.Drafts(ctx)
	if err != nil {
		return post.Draft{}, err
	}
	if _, err := l.CancelMailing(ctx, mailing); err != nil {
		return post.Draft{}, err
	}
	for _, d := range drafts {
		if d.Held == mailing {
			d.Held = 0
			_, err := l.SaveDraft(ctx, d)
			return d, err
		}
	}
	return copyOf(&m), nil
}

// copyOf is a new draft with the words and files of a mailing, for nobody yet.
func copyOf(m *post.Mailing) post.Draft {
	d := draftOf(m.Content)
	for _, s := range m.Senders {
		d.Accounts = append(d.Accounts, s.Account)
	}
	d.Content.AttachColumn, d.Content.AttachRoot, d.Content.AttachAs = "", "", ""
	return d
}

// draftOf is a draft with a content that was frozen: its design and footer are
// named again, so that they are made of what the account is like now.
func draftOf(c post.Content) post.Draft {
	d := post.Draft{Content: c, Promotional: c.Promotion != nil}
	d.Content.Promotion = nil
	if x := c.Design; x != nil && slices.Contains(designs.Names(), x.Name) {
		d.Look, d.Content.Design = x.Name, nil
		d.Content.Attachments = slices.DeleteFunc(slices.Clone(c.Attachments), func(a post.Attachment) bool { return a.CID == designs.LogoCID })
	}
	return d
}

func draftName(w *words.Catalogue, d post.Draft) string {
	switch {
	case d.Template && d.Name != "":
		return d.Name
	case d.Content.Subject != "":
		return d.Content.Subject
	case d.Name != "":
		return d.Name
	}
	return w.T("mailings.untitled")
}

func itemOf(w *words.Catalogue, m *post.Mailing, now time.Time) Item {
	state := m.State(now)
	it := Item{
		Mailing: m.ID, Name: m.Name, State: stateWords(w, m, state), MailingState: state, Rehearsal: m.Kind == post.Rehearsal,
		People: w.Number(m.Total()), When: w.When(m.CreatedAt.In(now.Location()), now), Progress: progressOf(w, m),
	}
	return it
}

// stateWords say what a mailing does, and that it is a rehearsal where it is one.
func stateWords(w *words.Catalogue, m *post.Mailing, state post.MailingState) string {
	switch s := w.MailingState(state); {
	case m.RealSpeed:
		return w.T("mailing.kind.rehearsal_real") + " · " + s
	case m.Kind == post.Rehearsal:
		return w.T("mailing.kind.rehearsal") + " · " + s
	default:
		return s
	}
}

func progressOf(w *words.Catalogue, m *post.Mailing) string {
	s := w.T("mailings.progress", m.Counts[post.StateSent], m.Total())
	if n := m.Counts[post.StateFailed] + m.Counts[post.StateExpired]; n > 0 {
		s += " · " + w.T("mailings.progress.failed", n)
	}
	if n := m.Counts[post.StateUncertain]; n > 0 {
		s += " · " + w.T("mailings.progress.uncertain", n)
	}
	return s
}

// Detail is one mailing in words.
type Detail struct {
	ID                                   int64
	Kind                                 post.MailingKind
	Name, State, Ends, From, Hours, Note string
	WaitsForWord                         bool
	MailingState                         post.MailingState
	Sent, Failed, Uncertain, Waiting     int64
	Left                                 int64 // cancelled and suppressed
	Total                                int64
	Rows                                 []Row
	From1                                int64 // number of the first row, from 1
	Pages                                storage.Pages
	Hash                                 string // of what everybody gets
	CanCallBack, CanSendSame             bool
	CanPause, CanResume, CanCancel, Held bool
	Funnel                               post.Funnel // nil: nothing came back, or a rehearsal
}

// Row is one recipient of a mailing.
type Row struct {
	ID                          int64
	Recipient, State, Why, When string
	StateKey                    post.State
}

// LoadDetail reads one mailing and a page of its recipients.
func LoadDetail(ctx context.Context, l *storage.Ledger, w *words.Catalogue, now time.Time, id int64, p storage.Page) (*Detail, error) {
	m, err := l.Mailing(ctx, id)
	if err != nil {
		return nil, err
	}
	state := m.State(now)
	d := &Detail{
		ID: id, Kind: m.Kind, Name: m.Name, State: stateWords(w, &m, state), MailingState: state,
		Sent: m.Counts[post.StateSent], Failed: m.Counts[post.StateFailed] + m.Counts[post.StateExpired],
		Uncertain: m.Counts[post.StateUncertain], Waiting: m.Pending(), Total: m.Total(),
		Left:     m.Counts[post.StateCancelled] + m.Counts[post.StateSuppressed],
		CanPause: m.Hold == "" && m.Pending() > 0 && !m.WaitsForWord(), CanResume: state == post.MailingPaused,
		CanCancel: m.Hold != post.MailingCancelled && m.Pending() > 0,
	}
	d.Hash = hashOf(&m)
	d.CanCallBack = state == post.MailingScheduled && m.Kind == post.Live && now.Before(m.NotBefore)
	d.CanSendSame = m.Kind == post.Rehearsal && m.Pending() == 0 && m.Hold == "" && m.Counts[post.StateSent] > 0
	if !m.Hours.IsZero() {
		d.Hours = w.T("mailing.hours", w.Hours(m.Hours))
	}
	d.WaitsForWord = m.WaitsForWord()
	for i, s := range m.Senders {
		if i > 0 {
			d.From += ", "
		}
		d.From += s.Email
	}
	if err := d.ends(ctx, l, w, &m, state, now); err != nil {
		return nil, err
	}
	rows, pages, err := l.History(ctx, storage.HistoryFilter{Mailing: id}, p)
	if err != nil {
		return nil, err
	}
	d.Pages = pages
	if d.Funnel, err = loadFunnel(ctx, l, &m); err != nil {
		return nil, err
	}
	for i := range rows {
		d.Rows = append(d.Rows, rowOf(w, &rows[i], now))
	}
	return d, nil
}

func (d *Detail) ends(ctx context.Context, l *storage.Ledger, w *words.Catalogue, m *post.Mailing, state post.MailingState, now time.Time) error {
	switch state {
	case post.MailingRunning:
		forecasts, err := mailer.Foresee(ctx, l, now, now.Location())
		if err != nil {
			return err
		}
		d.Ends = screens.Ends(w, forecasts[m.ID], now)
		d.Note, err = waitingNote(ctx, l, w, m, now)
		return err
	case post.MailingScheduled:
		d.Ends = w.T("home.starts", w.When(m.NotBefore.In(now.Location()), now))
	case post.MailingPaused:
		d.Note = w.Reason(m.Reason)
	}
	return nil
}

// waitingNote says why a running mailing stands still, where its accounts do.
func waitingNote(ctx context.Context, l *storage.Ledger, w *words.Catalogue, m *post.Mailing, now time.Time) (string, error) {
	if m.Kind == post.Rehearsal {
		return "", nil
	}
	note := ""
	for _, s := range m.Senders {
		a, err := l.Account(ctx, s.Account)
		if post.KindOf(err) == post.KindNotFound {
			continue
		}
		if err != nil {
			return "", err
		}
		switch a.State(now) {
		case post.AccountReady:
			return "", nil
		case post.AccountWaiting:
			note = w.T("account.waiting_until", w.When(a.Until.In(now.Location()), now)) + ": " + w.Reason(a.Reason)
		case post.AccountStopped:
			note = w.T("account.stopped", a.Email) + ": " + w.Reason(a.Reason)
		case post.AccountPaused:
			note = a.Email + ": " + w.AccountState(post.AccountPaused)
		}
	}
	return note, nil
}

func rowOf(w *words.Catalogue, h *storage.HistoryRow, now time.Time) Row {
	r := Row{ID: h.ID, Recipient: recipientName(h), State: screens.Outcome(w, h), StateKey: h.State}
	switch {
	case !h.Reason.IsZero():
		r.Why = w.Reason(h.Reason)
	case h.State == post.StateSent && !h.Last.IsZero():
		r.Why = h.Last.String()
	}
	at := h.ChangeAt
	if h.State == post.StateQueued && !h.NextAt.IsZero() && h.NextAt.After(now) {
		at = h.NextAt
	}
	r.When = w.Moment(at.In(now.Location()), now)
	return r
}

func recipientName(h *storage.HistoryRow) string {
	if h.Name == "" {
		return h.Address
	}
	return h.Name + " <" + h.Address + ">"
}

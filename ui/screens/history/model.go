// Package history is the screen for all deliveries: search and filters at the
// left, one delivery's line of life at the right.
package history

import (
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"postroom/assets/words"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/screens"
)

// Row is one delivery in the table.
type Row struct {
	ID                                         int64
	Recipient, Mailing, Outcome, When, Through string
	Back                                       string // what came back, in a word; empty: nothing did
	State                                      post.State
	Receipt                                    post.ReceiptKind
	Rehearsal                                  bool
}

// Model is one page of the table, and the mailings to choose from.
type Model struct {
	Rows     []Row
	Pages    storage.Pages
	Total    int64
	Mailings []post.Mailing
}

// Load reads one page.
func Load(ctx context.Context, l *storage.Ledger, w *words.Catalogue, now time.Time, f storage.HistoryFilter, p storage.Page) (*Model, error) {
	rows, pages, err := l.History(ctx, f, p)
	if err != nil {
		return nil, err
	}
	m := &Model{Pages: pages}
	if m.Total, err = l.CountHistory(ctx, f); err != nil {
		return nil, err
	}
	if m.Mailings, _, err = l.Mailings(ctx, false, storage.Page{Limit: 50}); err != nil {
		return nil, err
	}
	for i := range rows {
		h := &rows[i]
		r := Row{
			ID: h.ID, Recipient: name(h), Mailing: h.MailingName, Outcome: screens.Outcome(w, h), Through: h.AccountName,
			State: h.State, Receipt: h.Receipt, Rehearsal: h.Kind == post.Rehearsal, When: w.Moment(h.ChangeAt.In(now.Location()), now),
		}
		if h.Receipt != post.ReceiptNone {
			r.Back = w.Receipt(h.Receipt)
		}
		if r.Rehearsal {
			r.Through = w.T("mailing.kind.rehearsal")
		}
		m.Rows = append(m.Rows, r)
	}
	return m, nil
}

func name(h *storage.HistoryRow) string {
	if h.Name == "" {
		return h.Address
	}
	return h.Name + " <" + h.Address + ">"
}

// Tone names what an event of the line of life means; the view colours it.
type Tone uint8

// The tones.
const (
	Plain Tone = iota
	Taken
	Bad
	Unsure
	Arrived
	Late
)

// Event is one step in a delivery's life.
type Event struct {
	Title, Time, Code, Note string
	Tone                    Tone
	Receipt                 int64 // whose message can be opened; 0: none
}

// Life is one delivery from its queueing on.
type Life struct {
	ID        int64
	Recipient string
	Sub       string
	MessageID string
	Events    []Event
	State     post.State
	Rehearsal bool
}

// LoadLife reads a delivery, its send log, and what came back.
func LoadLife(ctx context.Context, l *storage.Ledger, w *words.Catalogue, now time.Time, id int64) (*Life, error) {
	h, err := l.Delivery(ctx, id)
	if err != nil {
		return nil, err
	}
	log, err := l.Attempts(ctx, id)
	if err != nil {
		return nil, err
	}
	life := &Life{ID: id, Recipient: name(&h), Sub: h.MailingName, MessageID: h.MessageID, State: h.State, Rehearsal: h.Kind == post.Rehearsal}
	if h.AccountName != "" {
		life.Sub += "  ·  " + w.T("history.through", h.AccountName)
	}
	zone := now.Location()
	at := func(t time.Time) string { return w.Moment(t.In(zone), now) + ":" + t.In(zone).Format("05") }
	life.Events = append(life.Events, Event{Title: w.T("history.step.queued"), Time: at(h.QueuedAt), Note: w.T("history.message_id", strings.Trim(h.MessageID, "<>"))})
	for i := range log {
		all := attemptEvents(w, &log[i], i, life.Rehearsal, at)
		if i+1 < len(log) && log[i].State == post.StateQueued && log[i].Reply.Code/100 == 4 {
			wait := log[i+1].StartedAt.Sub(log[i].EndedAt)
			all[0].Note = w.T("history.asked_to_come_back", w.Duration(wait))
		}
		life.Events = append(life.Events, all...)
	}
	if n := len(log); n > 0 && log[n-1].State == h.State && (h.State == post.StateFailed || h.State == post.StateUncertain) {
		end := &life.Events[len(life.Events)-1] // of the last try, which is the end so far
		end.Note = strings.TrimSpace(w.Reason(h.Reason) + "\n" + end.Note)
	} else {
		life.Events = append(life.Events, last(w, &h, at, now)...)
	}
	came, err := l.Receipts(ctx, id)
	if err != nil {
		return nil, err
	}
	for i := range came {
		life.Events = append(life.Events, receiptEvent(w, &h, &came[i], at))
	}
	return life, nil
}

// attemptEvents tells one try: a heading for the try itself, and what came of it.
func attemptEvents(w *words.Catalogue, a *storage.AttemptRow, n int, rehearsal bool, at func(time.Time) string) []Event {
	title := w.T("history.step.first_try")
	if n > 0 {
		title = w.T("history.step.try", int64(n+1))
	}
	when := at(a.StartedAt)
	if a.Session.TLS != "" {
		tls, _, _ := strings.Cut(a.Session.TLS, ",")
		when += "  ·  " + tls
	}
	server := a.Session.Host
	if server != "" {
		server = w.T("history.server", server, a.Session.Address)
	}
	code := replies(a.Replies)
	switch a.State {
	case post.StateSent:
		done := Event{Title: w.T("history.step.taken"), Time: at(a.EndedAt), Tone: Taken, Code: a.Reply.String()}
		if rehearsal {
			done.Title = w.T("history.step.caught")
		}
		if a.QueueID != "" {
			done.Note = w.T("history.queue_id", a.QueueID)
		}
		return []Event{{Title: title, Time: when, Note: server, Code: code}, done}
	case post.StateUncertain:
		return []Event{{Title: title, Time: when, Note: server, Code: code}, {Title: w.T("history.step.uncertain"), Time: at(a.EndedAt), Tone: Unsure, Note: w.T("history.uncertain.note")}}
	case post.StateFailed:
		return []Event{{Title: title, Time: when, Note: server, Code: code}, {Title: w.T("history.step.failed"), Time: at(a.EndedAt), Tone: Bad, Code: a.Reply.String()}}
	}
	note := server
	if a.Error != "" {
		note = w.T("cause." + a.Error)
	}
	return []Event{{Title: title, Time: when, Code: code, Note: note}}
}

// receiptEvent tells one thing that came back. Only a bounce is bad news.
func receiptEvent(w *words.Catalogue, h *storage.HistoryRow, r *post.Receipt, at func(time.Time) string) Event {
	e := Event{Title: w.T("history.step." + string(r.Kind)), Time: at(r.At), Note: w.T("history.receipt.source", r.Source), Tone: Plain, Receipt: r.ID}
	if r.Address != "" && !strings.EqualFold(r.Address, h.Address) && !strings.EqualFold(r.Address, r.Source) {
		e.Note = w.T("history.receipt.other", r.Address, r.Source)
	}
	switch r.Kind {
	case post.ReceiptDelivered, post.ReceiptRead, post.ReceiptReplied:
		e.Tone = Arrived
	case post.ReceiptBounced, post.ReceiptComplaint:
		e.Tone = Bad
	case post.ReceiptDelayed:
		e.Tone = Late
	case post.ReceiptUnknown:
		e.Tone = Unsure
	}
	e.Code = r.Reply.String()
	if e.Code != "" && r.Reply.Code == 0 && r.Reply.Enhanced != "" {
		e.Code = r.Reply.Enhanced + " " + e.Code
	}
	return e
}

// replies writes the transcript of a try: a command and its reply a line.
func replies(s string) string {
	if s == "" {
		return ""
	}
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.Replace(l, "\t", "  ", 1)
	}
	return strings.Join(lines, "\n")
}

// last says what holds where the send log does not end the story.
func last(w *words.Catalogue, h *storage.HistoryRow, at func(time.Time) string, now time.Time) []Event {
	why := w.Reason(h.Reason)
	switch h.State {
	case post.StateQueued:
		e := Event{Title: w.StateLong(h.State), Note: why}
		if h.NextAt.After(now) {
			e.Time = w.When(h.NextAt.In(now.Location()), now)
		}
		return []Event{e}
	case post.StateFailed, post.StateUncertain:
		tone := Bad
		if h.State == post.StateUncertain {
			tone = Unsure
		}
		return []Event{{Title: w.State(h.State), Time: at(h.ChangeAt), Note: why, Tone: tone}}
	case post.StateCancelled, post.StateSuppressed, post.StateExpired:
		return []Event{{Title: w.StateLong(h.State), Time: at(h.ChangeAt), Note: why, Tone: Bad}}
	case post.StateSent:
		if why != "" {
			return []Event{{Title: w.State(h.State), Time: at(h.ChangeAt), Note: why, Tone: Taken}}
		}
	}
	return nil
}

// Export writes the deliveries that a filter chooses as CSV, safe to open in a
// spreadsheet, and returns how many.
func Export(ctx context.Context, l *storage.Ledger, f storage.HistoryFilter, dst string, report func(done, total int64)) (int64, error) {
	total, err := l.CountHistory(ctx, f)
	if err != nil {
		return 0, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(dst), ".postroom-export-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // gone after the rename
	n, err := writeRows(ctx, l, f, tmp, func(n int64) { report(n, total) })
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), dst)
	}
	return n, err
}

func writeRows(ctx context.Context, l *storage.Ledger, f storage.HistoryFilter, out *os.File, report func(int64)) (int64, error) {
	c := csv.NewWriter(out)
	if _, err := out.WriteString("\ufeff"); err != nil {
		return 0, err
	}
	if err := c.Write([]string{"mailing", "address", "state", "account", "attempts", "code", "enhanced", "text", "queue_id", "message_id", "queued_at", "sent_at", "receipt"}); err != nil {
		return 0, err
	}
	var n int64
	for h, err := range l.EachDelivery(ctx, f) {
		if err != nil {
			return n, err
		}
		sent := ""
		if !h.SentAt.IsZero() {
			sent = h.SentAt.Format(time.RFC3339)
		}
		cells := []string{
			strconv.FormatInt(h.Mailing, 10), h.Address, string(h.State), h.AccountName, strconv.Itoa(h.Attempts), strconv.Itoa(h.Last.Code),
			h.Last.Enhanced, h.Last.Text, h.QueueID, h.MessageID, h.QueuedAt.Format(time.RFC3339), sent, string(h.Receipt),
		}
		for i := range cells {
			cells[i] = safeCell(cells[i])
		}
		if err := c.Write(cells); err != nil {
			return n, err
		}
		if n++; n%1000 == 0 {
			report(n)
		}
	}
	c.Flush()
	return n, c.Error()
}

// safeCell keeps a spreadsheet from taking a cell for a formula: server replies
// and addresses are other people's words.
func safeCell(s string) string {
	t := strings.TrimLeft(s, " \u00a0")
	if t != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(t)[0]) {
		return "'" + s
	}
	return s
}

package storage

import (
	"context"
	"iter"
	"strings"
	"time"

	"postroom/post"
)

// HistoryRow is a delivery as the history and the outbox show it, with the
// last line of its send log.
type HistoryRow struct {
	post.Delivery
	MailingName string
	AccountName string
}

// HistoryFilter chooses deliveries.
type HistoryFilter struct {
	Mailing int64        // 0: all
	States  []post.State // none: all
	Kind    post.MailingKind
	Contact int64        // 0: all
	Outcome post.Outcome // empty: all
	// Search is a substring of address, name or merge values, without regard to
	// case.
	Search string
}

// History returns one page of deliveries, the newest first.
func (l *Ledger) History(ctx context.Context, f HistoryFilter, p Page) ([]HistoryRow, Pages, error) {
	where, args := historyWhere(f)
	order, cmp := "DESC", "<"
	if p.Back {
		order, cmp = "ASC", ">"
	}
	if p.Cursor != "" {
		m, err := decodeMark(p.Cursor)
		if err != nil {
			return nil, Pages{}, err
		}
		where = append(where, "d.id "+cmp+" ?")
		args = append(args, m.ID)
	}
	rows, err := l.historyRows(ctx, "WHERE "+strings.Join(where, " AND ")+" ORDER BY d.id "+order+" LIMIT ?", append(args, p.Limit+1))
	if err != nil {
		return nil, Pages{}, err
	}
	rows, pages := paginate(rows, p, func(r HistoryRow) mark { return mark{ID: r.ID} })
	return rows, pages, nil
}

// EachDelivery walks all deliveries a filter chooses, the oldest first.
func (l *Ledger) EachDelivery(ctx context.Context, f HistoryFilter) iter.Seq2[HistoryRow, error] {
	return func(yield func(HistoryRow, error) bool) {
		var last int64
		for {
			where, args := historyWhere(f)
			where, args = append(where, "d.id > ?"), append(args, last)
			rows, err := l.historyRows(ctx, "WHERE "+strings.Join(where, " AND ")+" ORDER BY d.id LIMIT 500", args)
			if err != nil {
				yield(HistoryRow{}, err)
				return
			}
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
				last = r.ID
			}
			if len(rows) < 500 {
				return
			}
		}
	}
}

// CountHistory returns how many deliveries a filter chooses. Without a search
// it is read from the counters.
func (l *Ledger) CountHistory(ctx context.Context, f HistoryFilter) (int64, error) {
	const op = "count deliveries"
	var n int64
	if f.Search != "" || f.Contact != 0 || f.Outcome != "" {
		where, args := historyWhere(f)
		err := l.r.QueryRowContext(ctx, "SELECT count(*) FROM deliveries d JOIN mailings m ON m.id = d.mailing_id WHERE "+strings.Join(where, " AND "), args...).Scan(&n)
		return n, classify(op, err)
	}
	where, args := []string{"m.ready = 1"}, []any{}
	if f.Mailing != 0 {
		where, args = append(where, "m.id = ?"), append(args, f.Mailing)
	}
	if f.Kind != "" {
		where, args = append(where, "m.kind = ?"), append(args, string(f.Kind))
	}
	if len(f.States) > 0 {
		where = append(where, "c.state IN (?"+strings.Repeat(",?", len(f.States)-1)+")")
		for _, s := range f.States {
			args = append(args, string(s))
		}
	}
	err := l.r.QueryRowContext(ctx, "SELECT coalesce(sum(c.n), 0) FROM mailings m JOIN mailing_counts c ON c.mailing_id = m.id WHERE "+strings.Join(where, " AND "), args...).Scan(&n)
	return n, classify(op, err)
}

// Delivery returns one delivery.
func (l *Ledger) Delivery(ctx context.Context, id int64) (HistoryRow, error) {
	rows, err := l.historyRows(ctx, "WHERE d.id = ? AND m.ready = 1", []any{id})
	if err == nil && len(rows) == 0 {
		err = &post.Error{Kind: post.KindNotFound, Op: "look up the delivery", Message: "the delivery does not exist", Err: ErrNotFound}
	}
	if err != nil {
		return HistoryRow{}, err
	}
	return rows[0], nil
}

func historyWhere(f HistoryFilter) (where []string, args []any) {
	where = []string{"m.ready = 1"}
	if f.Mailing != 0 {
		where, args = append(where, "d.mailing_id = ?"), append(args, f.Mailing)
	}
	if f.Kind != "" {
		where, args = append(where, "m.kind = ?"), append(args, string(f.Kind))
	}
	if f.Contact != 0 {
		where, args = append(where, "d.key = (SELECT key FROM contacts WHERE id = ?)"), append(args, f.Contact)
	}
	if len(f.States) > 0 {
		where = append(where, "d.state IN (?"+strings.Repeat(",?", len(f.States)-1)+")")
		rest := true
		for _, s := range f.States {
			args = append(args, string(s))
			rest = rest && s != post.StateQueued && s != post.StateSent
		}
		if rest { // the words of the partial index, so that it is used
			where = append(where, "d.state NOT IN ('queued', 'sent')")
		}
	}
	if f.Outcome != "" {
		where = append(where, outcomeWhere[f.Outcome])
	}
	if f.Search != "" {
		where = append(where, "instr(fold(d.address || char(10) || d.name || char(10) || d.fields), ?) > 0")
		args = append(args, post.FoldText(f.Search))
	}
	return where, args
}

func (l *Ledger) historyRows(ctx context.Context, tail string, args []any) ([]HistoryRow, error) {
	const op = "read the history"
	rows, err := l.r.QueryContext(ctx, `SELECT d.`+strings.ReplaceAll(strings.Join(strings.Fields(deliveryColumns), " "), ", ", ", d.")+`,
			m.kind, m.name, coalesce(a.name, ''), coalesce(t.code, 0), coalesce(t.enhanced, ''), coalesce(t.text, ''), coalesce(t.queue_id, '')
		FROM deliveries d JOIN mailings m ON m.id = d.mailing_id LEFT JOIN accounts a ON a.id = d.account_id
		LEFT JOIN attempts t ON t.delivery_id = d.id AND t.try = d.tries `+tail, args...)
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var all []HistoryRow
	for rows.Next() {
		var h HistoryRow
		var kind post.MailingKind
		var last post.Reply
		var queueID string
		h.Delivery, err = scanDelivery(rows, &kind, &h.MailingName, &h.AccountName, &last.Code, &last.Enhanced, &last.Text, &queueID)
		if err != nil {
			return nil, classify(op, err)
		}
		h.Kind, h.Last, h.QueueID = kind, last, queueID
		all = append(all, h)
	}
	return all, classify(op, rows.Err())
}

// AttemptRow is a line of the send log with the connection it went over.
type AttemptRow struct {
	post.Attempt
	Session     post.Session // zero when no connection stood
	AccountName string
}

// Attempts returns a delivery's send log, the oldest first.
func (l *Ledger) Attempts(ctx context.Context, delivery int64) ([]AttemptRow, error) {
	const op = "read the send log"
	rows, err := l.r.QueryContext(ctx, `SELECT t.try, t.account_id, t.session_id, t.started_at, t.ended_at, t.state, t.phase, t.code, t.enhanced,
			t.text, t.queue_id, t.charged, t.dot_sent, t.replies, t.error, coalesce(a.name, ''),
			coalesce(s.host, ''), coalesce(s.address, ''), coalesce(s.tls, ''), coalesce(s.auth, ''), coalesce(s.opened_at, 0)
		FROM attempts t LEFT JOIN sessions s ON s.id = t.session_id LEFT JOIN accounts a ON a.id = t.account_id
		WHERE t.delivery_id = ? ORDER BY t.try`, delivery)
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var all []AttemptRow
	for rows.Next() {
		var a AttemptRow
		var started, ended, opened int64
		if err := rows.Scan(&a.Number, &a.Account, &a.Attempt.Session, &started, &ended, &a.State, &a.Phase, &a.Reply.Code, &a.Reply.Enhanced,
			&a.Reply.Text, &a.QueueID, &a.Charged, &a.DotSent, &a.Replies, &a.Error, &a.AccountName,
			&a.Session.Host, &a.Session.Address, &a.Session.TLS, &a.Session.Auth, &opened); err != nil {
			return nil, classify(op, err)
		}
		a.Delivery, a.StartedAt, a.EndedAt = delivery, post.FromMillis(started), post.FromMillis(ended)
		a.Session.ID, a.Session.Account, a.Session.OpenedAt = a.Attempt.Session, a.Account, post.FromMillis(opened)
		all = append(all, a)
	}
	return all, classify(op, rows.Err())
}

// Day is the outcome of one calendar day.
type Day struct {
	Start        time.Time // local midnight
	Sent, Failed int64
}

// Days returns the outcomes of live mailings of the last n days up to today, in
// the calendar of loc, the oldest first.
func (l *Ledger) Days(ctx context.Context, loc *time.Location, n int) ([]Day, error) {
	const op = "read the last days"
	now := l.clock.Now().In(loc)
	days := make([]Day, n)
	for i := range days {
		days[i].Start = time.Date(now.Year(), now.Month(), now.Day()-(n-1-i), 0, 0, 0, 0, loc)
	}
	rows, err := l.r.QueryContext(ctx, "SELECT hour, sent, failed FROM outcomes WHERE hour >= ? ORDER BY hour", days[0].Start.Unix()/3600)
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	i := 0
	for rows.Next() {
		var hour, sent, failed int64
		if err := rows.Scan(&hour, &sent, &failed); err != nil {
			return nil, classify(op, err)
		}
		at := time.Unix(hour*3600, 0)
		for i+1 < n && !at.Before(days[i+1].Start) {
			i++
		}
		if !at.Before(days[i].Start) {
			days[i].Sent += sent
			days[i].Failed += failed
		}
	}
	return days, classify(op, rows.Err())
}

// Needs counts what wants the user's word.
type Needs struct {
	Uncertain int64 // deliveries to settle
	Held      int64 // deliveries paused by themselves
	Delayed   int64 // deliveries that were put off five times or more and are tried again, rehearsals left out
	Waiting   int64 // deliveries queued, claimed or sending, rehearsals left out
}

// Needs returns what wants the user's word.
func (l *Ledger) Needs(ctx context.Context) (Needs, error) {
	var n Needs
	err := l.r.QueryRowContext(ctx, `SELECT
		(SELECT count(*) FROM deliveries WHERE state NOT IN ('queued', 'sent') AND state = 'uncertain'),
		(SELECT count(*) FROM deliveries d JOIN mailings m ON m.id = d.mailing_id WHERE d.held = 1 AND d.state = 'queued' AND m.ready = 1 AND m.finished_at = 0),
		(SELECT count(*) FROM deliveries d JOIN mailings m ON m.id = d.mailing_id WHERE d.state = 'queued' AND d.attempts >= 5
			AND m.ready = 1 AND m.finished_at = 0 AND m.kind = 'live'),
		(SELECT coalesce(sum(c.n), 0) FROM mailings m JOIN mailing_counts c ON c.mailing_id = m.id AND c.state IN ('queued', 'claimed', 'sending')
			WHERE m.ready = 1 AND m.finished_at = 0 AND m.kind = 'live')`).Scan(&n.Uncertain, &n.Held, &n.Delayed, &n.Waiting)
	return n, classify("look what needs you", err)
}

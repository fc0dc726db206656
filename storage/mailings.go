package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"postroom/post"
)

const mailingColumns = `m.id, m.kind, m.real_speed, m.name, m.content, m.token, m.hold, m.reason, m.not_before, m.hours, m.release_left, m.uncertain, m.late_after, m.late_then, m.created_at, m.finished_at,
	coalesce((SELECT json_group_object(state, n) FROM mailing_counts c WHERE c.mailing_id = m.id), '{}'),
	coalesce((SELECT json_group_array(json_array(s.account_id, s.email, s.from_name, s.weight) ORDER BY s.position)
		FROM mailing_senders s WHERE s.mailing_id = m.id), '[]')`

func scanMailing(row interface{ Scan(...any) error }) (m post.Mailing, err error) {
	var content, reason, hours, counts, senders string
	var notBefore, late, created, finished int64
	if err := row.Scan(&m.ID, &m.Kind, &m.RealSpeed, &m.Name, &content, &m.Token, &m.Hold, &reason, &notBefore, &hours, &m.ReleaseLeft, &m.Uncertain, &late, &m.Late.Then, &created,
		&finished, &counts, &senders); err != nil {
		return m, err
	}
	m.Staged = m.ReleaseLeft >= 0
	if m.Hours, err = post.DecodeHours(hours); err != nil {
		return m, err
	}
	m.Late.After = time.Duration(late) * time.Millisecond
	m.Reason = post.DecodeReason(reason)
	m.NotBefore, m.CreatedAt, m.FinishedAt = post.FromMillis(notBefore), post.FromMillis(created), post.FromMillis(finished)
	if err := json.Unmarshal([]byte(content), &m.Content); err != nil {
		return m, err
	}
	if err := json.Unmarshal([]byte(counts), &m.Counts); err != nil {
		return m, err
	}
	var list [][4]any
	if err := json.Unmarshal([]byte(senders), &list); err != nil {
		return m, err
	}
	for _, s := range list {
		id, _ := s[0].(float64)
		email, _ := s[1].(string)
		name, _ := s[2].(string)
		weight, _ := s[3].(float64)
		m.Senders = append(m.Senders, post.Sender{Account: int64(id), Email: email, FromName: name, Weight: int(weight)})
	}
	if m.WaitsForWord() {
		m.Reason = post.Reason{Key: "mailing.release"}
	}
	return m, nil
}

// Mailing returns one mailing.
func (l *Ledger) Mailing(ctx context.Context, id int64) (post.Mailing, error) {
	m, err := scanMailing(l.r.QueryRowContext(ctx, "SELECT "+mailingColumns+" FROM mailings m WHERE m.id=? AND m.ready=1", id))
	return m, classifyMissing("look up the mailing", "there is no mailing "+strconv.FormatInt(id, 10)+"; see: postroom mailing list", err)
}

// Mailings lists mailings, the newest first; open ones only where asked.
func (l *Ledger) Mailings(ctx context.Context, open bool, p Page) ([]post.Mailing, Pages, error) {
	const op = "list the mailings"
	where, args := "m.ready = 1", []any{}
	if open {
		where += " AND m.finished_at = 0"
	}
	order, after := "DESC", "<"
	if p.Back {
		order, after = "ASC", ">"
	}
	if p.Cursor != "" {
		mk, err := decodeMark(p.Cursor)
		if err != nil {
			return nil, Pages{}, err
		}
		where += " AND m.id " + after + " ?"
		args = append(args, mk.ID)
	}
	rows, err := l.r.QueryContext(ctx, "SELECT "+mailingColumns+" FROM mailings m WHERE "+where+" ORDER BY m.id "+order+" LIMIT ?", append(args, p.Limit+1)...)
	if err != nil {
		return nil, Pages{}, classify(op, err)
	}
	defer rows.Close()
	var all []post.Mailing
	for rows.Next() {
		m, err := scanMailing(rows)
		if err != nil {
			return nil, Pages{}, classify(op, err)
		}
		all = append(all, m)
	}
	all, pages := paginate(all, p, func(m post.Mailing) mark { return mark{ID: m.ID} })
	return all, pages, classify(op, rows.Err())
}

// OpenSenders returns the accounts of every live mailing, or of every rehearsal
// at real speed, that may be sent from now or later, by mailing.
func (l *Ledger) OpenSenders(ctx context.Context, kind post.MailingKind) (map[int64][]post.Sender, error) {
	const op = "look who sends"
	rows, err := l.r.QueryContext(ctx, `SELECT s.mailing_id, s.account_id, s.weight FROM mailings m JOIN mailing_senders s ON s.mailing_id = m.id
		WHERE m.ready = 1 AND m.finished_at = 0 AND m.hold = '' AND m.kind = ? AND (m.kind = 'live' OR m.real_speed = 1) ORDER BY s.mailing_id, s.position`, string(kind))
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	all := map[int64][]post.Sender{}
	for rows.Next() {
		var id int64
		var s post.Sender
		if err := rows.Scan(&id, &s.Account, &s.Weight); err != nil {
			return nil, classify(op, err)
		}
		all[id] = append(all[id], s)
	}
	return all, classify(op, rows.Err())
}

// Rate is how many attempts of an account for a mailing began in the last
// minute, and when the first of them did, or a minute ago.
type Rate struct {
	Account, Mailing int64
	Attempts         int64
	Since            time.Time
}

// Rates returns how fast the live mailings went in the last minute.
func (l *Ledger) Rates(ctx context.Context) ([]Rate, error) {
	const op = "measure the rate"
	now := l.clock.Now()
	rows, err := l.r.QueryContext(ctx, `SELECT a.account_id, d.mailing_id, count(*), min(a.started_at)
		FROM accounts x JOIN attempts a ON a.account_id = x.id AND a.charged = 1 AND a.account_id <> 0 AND a.started_at > ?1
			JOIN deliveries d ON d.id = a.delivery_id
		GROUP BY 1, 2`, post.Millis(now.Add(-time.Minute)))
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var all []Rate
	for rows.Next() {
		var r Rate
		var first int64
		if err := rows.Scan(&r.Account, &r.Mailing, &r.Attempts, &first); err != nil {
			return nil, classify(op, err)
		}
		r.Since = now.Add(-time.Minute)
		if began := post.FromMillis(first); r.Attempts > 1 && began.Sub(r.Since) > 2*time.Second {
			r.Since = began // it has not been going for a minute
		}
		all = append(all, r)
	}
	return all, classify(op, rows.Err())
}

// HoldMailing pauses a mailing, or (hold "") resumes it; one that waits for the
// user's word gives the rest free, and one that was too late is not any more. One that was cancelled stays cancelled:
// post.KindConflict.
func (l *Ledger) HoldMailing(ctx context.Context, id int64, hold post.MailingState, why post.Reason) error {
	const op = "hold the mailing"
	return l.write(ctx, op, func(t *Tx) error {
		n, err := t.change(`UPDATE mailings SET hold = ?1, reason = ?2, release_left = CASE WHEN ?1 = '' AND hold = '' AND release_left = 0 THEN -1 ELSE release_left END,
				late_then = CASE ?1 WHEN '' THEN '' ELSE late_then END
			WHERE id = ?3 AND ready = 1 AND hold <> 'cancelled'`, string(hold), why.Encode(), id)
		if err == nil && n == 0 {
			return t.whyNotMailing(op, id)
		}
		return err
	})
}

// ReleaseMailing gives n more rows of a mailing that waits for the user's word
// free, or with n 0 all of them. post.KindConflict when it does not wait.
func (l *Ledger) ReleaseMailing(ctx context.Context, id, n int64) error {
	const op = "release the mailing"
	if n < 0 {
		return post.Errorf(post.KindInvalid, op, "release 1 or more, or all")
	}
	return l.write(ctx, op, func(t *Tx) error {
		changed, err := t.change(`UPDATE mailings SET release_left = CASE ?1 WHEN 0 THEN -1 ELSE release_left + ?1 END
			WHERE id = ?2 AND ready = 1 AND hold <> 'cancelled' AND release_left >= 0`, n, id)
		if err != nil || changed == 1 {
			return err
		}
		if err := t.whyNotMailing(op, id); post.KindOf(err) == post.KindNotFound {
			return err
		}
		return post.Errorf(post.KindConflict, op, "mailing %d does not wait to be released", id)
	})
}

// CancelMailing ends a mailing: what has not been sent will not be. A message
// that is past its dot is finished. It returns how many rows it cancelled.
func (l *Ledger) CancelMailing(ctx context.Context, id int64) (int64, error) {
	const op = "cancel the mailing"
	err := l.write(ctx, op, func(t *Tx) error {
		n, err := t.change("UPDATE mailings SET hold='cancelled', reason='' WHERE id=? AND ready=1 AND hold<>'cancelled'", id)
		if err == nil && n == 0 {
			return t.whyNotMailing(op, id)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	// From here on nothing of it is claimed, so the rows may go in their own time.
	return l.moveRows(context.WithoutCancel(ctx), op, id, post.StateQueued, post.StateCancelled, "reason = ''")
}

func (t *Tx) whyNotMailing(op string, id int64) error {
	var hold string
	err := t.scan("SELECT hold FROM mailings WHERE id=? AND ready=1", []any{id}, &hold)
	if errors.Is(err, sql.ErrNoRows) {
		return &post.Error{Kind: post.KindNotFound, Op: op, Message: "there is no mailing " + strconv.FormatInt(id, 10), Err: ErrNotFound}
	}
	if err != nil {
		return err
	}
	return post.Errorf(post.KindConflict, op, "mailing %d was cancelled", id)
}

// Retry says which rows of a mailing are to be tried again.
type Retry struct{ Failed, Uncertain, Paused bool }

// RetryMailing puts rows back into the queue at the user's word, with a fresh
// deadline, and returns how many.
func (l *Ledger) RetryMailing(ctx context.Context, id int64, r Retry) (int64, error) {
	const op = "retry"
	m, err := l.Mailing(ctx, id)
	if err != nil {
		return 0, err
	}
	if m.Hold == post.MailingCancelled {
		return 0, post.Errorf(post.KindConflict, op, "mailing %d was cancelled", id)
	}
	var total int64
	again := "next_at = 0, first_at = 0, attempts = 0, crashes = 0, held = 0, reason = ''"
	for _, x := range []struct {
		on   bool
		from post.State
		set  string
	}{
		{r.Failed, post.StateFailed, again},
		{r.Failed, post.StateExpired, again},
		{r.Uncertain, post.StateUncertain, again + ", resends = resends + 1"},
	} {
		if !x.on {
			continue
		}
		n, err := l.moveRows(ctx, op, id, x.from, post.StateQueued, x.set)
		total += n
		if err != nil {
			return total, err
		}
	}
	if r.Paused {
		err := l.write(ctx, op, func(t *Tx) error {
			n, err := t.change("UPDATE deliveries SET held=0, crashes=0, reason='' WHERE mailing_id=? AND state='queued' AND held=1", id)
			total += n
			return err
		})
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// SettleMailing gives all uncertain rows of a mailing the outcome that the user
// knows, sent or failed, and returns how many.
func (l *Ledger) SettleMailing(ctx context.Context, id int64, to post.State) (int64, error) {
	if _, err := l.Mailing(ctx, id); err != nil {
		return 0, err
	}
	return l.moveRows(ctx, "settle", id, post.StateUncertain, to, settleSet(to))
}

func settleSet(to post.State) string {
	set := "reason = '" + post.Reason{Key: "settled." + string(to)}.Encode() + "'"
	if to == post.StateSent {
		set += ", sent_at = changed_at"
	}
	return set
}

// moveRows moves all rows of a mailing from one state to another at the user's
// word, in short transactions. set is a literal of this package.
func (l *Ledger) moveRows(ctx context.Context, op string, mailing int64, from, to post.State, set string) (int64, error) {
	if !post.CanMove(from, to, post.ByUser) {
		return 0, post.Errorf(post.KindConflict, op, "a delivery that is %s cannot become %s", from, to)
	}
	// The planner takes a partial index only when its own words stand in the query.
	where := "state NOT IN ('queued', 'sent') AND state = ?4"
	if from == post.StateQueued {
		where = "state = 'queued' AND state = ?4"
	}
	var total int64
	for {
		var n int64
		err := l.write(ctx, op, func(t *Tx) error {
			now := post.Millis(t.now)
			var err error
			n, err = t.change(`UPDATE deliveries SET state = ?1, changed_at = ?2, `+set+` WHERE id IN
				(SELECT id FROM deliveries WHERE mailing_id = ?3 AND `+where+` LIMIT 5000)`, string(to), now, mailing, string(from))
			if err != nil {
				return err
			}
			t.count(mailing, from, -n)
			t.count(mailing, to, n)
			return nil
		})
		total += n
		if err != nil || n == 0 {
			return total, err
		}
	}
}

// MoveDelivery moves one row at the user's word: settle an uncertain one, try
// one again, cancel a waiting one.
func (l *Ledger) MoveDelivery(ctx context.Context, id int64, from, to post.State) error {
	const op = "change the delivery"
	if !post.CanMove(from, to, post.ByUser) {
		return post.Errorf(post.KindConflict, op, "a delivery that is %s cannot become %s", from, to)
	}
	set := "reason = ''"
	switch {
	case from == post.StateUncertain && to != post.StateQueued:
		set = settleSet(to)
	case to == post.StateQueued:
		set = "next_at = 0, first_at = 0, attempts = 0, crashes = 0, held = 0, reason = '', resends = resends + (state = 'uncertain')"
	}
	return l.write(ctx, op, func(t *Tx) error {
		var mailing int64
		err := t.scan("UPDATE deliveries SET state=?, changed_at=?, "+set+" WHERE id=? AND state=? RETURNING mailing_id",
			[]any{string(to), post.Millis(t.now), id, string(from)}, &mailing)
		if errors.Is(err, sql.ErrNoRows) {
			return &post.Error{Kind: post.KindConflict, Op: op, Message: "it is no longer " + string(from), Err: ErrMoved}
		}
		if err != nil {
			return err
		}
		t.count(mailing, from, -1)
		t.count(mailing, to, 1)
		return nil
	})
}

// SendNow ends a delivery's own backoff or pause, so that it is tried at once.
func (l *Ledger) SendNow(ctx context.Context, id int64) error {
	const op = "send now"
	return l.write(ctx, op, func(t *Tx) error {
		n, err := t.change("UPDATE deliveries SET next_at=0, held=0, crashes=0, changed_at=? WHERE id=? AND state='queued'", post.Millis(t.now), id)
		if err == nil && n == 0 {
			return &post.Error{Kind: post.KindConflict, Op: op, Message: "it is no longer waiting", Err: ErrMoved}
		}
		return err
	})
}

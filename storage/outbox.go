package storage

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"postroom/post"
)

// Intent is commit B for one delivery: from here on the dot may go out.
type Intent struct {
	ID, Claim int64
	At        time.Time
	Date      time.Time // the header's; kept from the first intent on
	Live      bool
}

// Refusal says that an intent was not granted: nothing may be sent.
type Refusal struct {
	ID int64
	// To is what the delivery must become: cancelled, suppressed, or queued
	// when its mailing was paused.
	To     post.State
	Reason post.Reason
}

// Result is commit C for one delivery: what became of a try.
type Result struct {
	ID, Claim int64
	Mailing   int64
	Live      bool
	From, To  post.State
	NextAt    time.Time // with To queued
	Reason    post.Reason
	Held      bool // with To queued: stays until the user releases it
	// Attempt is the line of the send log; nil when the try left no trace worth
	// one (the account failed before this delivery's turn).
	Attempt *post.Attempt
	Try     int // the attempt's number, one more than Delivery.Tries; 0: looked up
	// Suppress puts the address on the suppression list; with SecondTime only
	// when a delivery to it failed before and at most one was taken since.
	Suppress   *post.Suppression
	SecondTime bool
	// Crashes is kept as it is when negative, else stored.
	Crashes int
}

// Record commits results and intents together (commits C and B), durably. An
// intent that is refused does not fail the others. A result for a delivery that
// is not in the state it claims to come from fails everything with ErrMoved:
// somebody else owns the row.
func (l *Ledger) Record(ctx context.Context, results []Result, intents []Intent) (refused []Refusal, err error) {
	err = l.write(ctx, "record deliveries", func(t *Tx) error {
		refused = refused[:0]
		for i := range results {
			if err := t.result(&results[i]); err != nil {
				return err
			}
		}
		for _, in := range intents {
			r, err := t.intent(in)
			if err != nil {
				return err
			}
			if r != nil {
				refused = append(refused, *r)
			}
		}
		return nil
	})
	return refused, err
}

func (t *Tx) intent(in Intent) (*Refusal, error) {
	var mailing int64
	err := t.scan(`UPDATE deliveries SET state = 'sending', date = CASE date WHEN 0 THEN ?1 ELSE date END, changed_at = ?2
		WHERE id = ?3 AND state = 'claimed' AND claim = ?4
			AND (SELECT hold FROM mailings WHERE id = deliveries.mailing_id) = ''
			AND (?5 = 0 OR `+unwanted+` IS NULL)
		RETURNING mailing_id`, []any{post.Millis(in.Date), post.Millis(in.At), in.ID, in.Claim, in.Live}, &mailing)
	if err == nil {
		t.count(mailing, post.StateClaimed, -1)
		t.count(mailing, post.StateSending, 1)
		return nil, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	return t.whyRefused(in)
}

func (t *Tx) whyRefused(in Intent) (*Refusal, error) {
	var state, hold string
	var claim int64
	var suppressed sql.NullString
	err := t.scan(`SELECT deliveries.state, deliveries.claim, m.hold, `+unwanted+`
		FROM deliveries JOIN mailings m ON m.id = deliveries.mailing_id WHERE deliveries.id = ?`, []any{in.ID}, &state, &claim, &hold, &suppressed)
	if err != nil {
		return nil, err
	}
	switch {
	case post.State(state) != post.StateClaimed || claim != in.Claim:
		return nil, &post.Error{Kind: post.KindInternal, Op: "record deliveries", Err: ErrMoved}
	case hold == string(post.MailingCancelled):
		return &Refusal{ID: in.ID, To: post.StateCancelled}, nil
	case hold != "":
		return &Refusal{ID: in.ID, To: post.StateQueued}, nil
	default:
		return &Refusal{ID: in.ID, To: post.StateSuppressed, Reason: post.Reason{Key: "skip.suppressed", Args: []string{suppressed.String}}}, nil
	}
}

func (t *Tx) result(r *Result) error {
	if !post.CanMove(r.From, r.To, post.ByMailer) {
		return post.Errorf(post.KindInternal, "record deliveries", "no move from %s to %s", r.From, r.To)
	}
	n, err := t.moveResult(r)
	if err != nil {
		return err
	}
	if n != 1 {
		return &post.Error{Kind: post.KindInternal, Op: "record deliveries", Err: ErrMoved}
	}
	t.count(r.Mailing, r.From, -1)
	t.count(r.Mailing, r.To, 1)
	if r.Attempt != nil {
		if err := t.logAttempt(r); err != nil {
			return err
		}
	}
	switch {
	case r.To == post.StateQueued:
		return t.requeued(r)
	case !r.Live:
	case r.To == post.StateSent:
		t.outcomeAt(t.now, 1, 0)
	case r.To == post.StateFailed:
		t.outcomeAt(t.now, 0, 1)
	}
	if r.Live && r.Suppress != nil {
		return t.suppressFor(r)
	}
	return nil
}

// moveResult writes the row itself. The common case has a statement of its own,
// because binding words costs as much as writing the row.
func (t *Tx) moveResult(r *Result) (int64, error) {
	now := post.Millis(t.now)
	var sentAt, firstAt, charged, tries int64
	if a := r.Attempt; a != nil {
		tries = 1
		if a.Charged {
			charged, firstAt = 1, post.Millis(a.StartedAt)
		}
		if r.To == post.StateSent {
			sentAt = post.Millis(a.EndedAt)
		}
	}
	if r.To == post.StateSent && r.From == post.StateSending && charged == 1 && r.Crashes == 0 {
		return t.change(`UPDATE deliveries SET state = 'sent', claim = 0, next_at = 0, reason = '', held = 0, crashes = 0, attempts = attempts + 1,
				tries = tries + 1, first_at = CASE first_at WHEN 0 THEN ? ELSE first_at END, sent_at = ?, changed_at = ?
			WHERE id = ? AND state = 'sending' AND claim = ?`, firstAt, sentAt, now, r.ID, r.Claim)
	}
	return t.change(`UPDATE deliveries SET state = ?1, claim = 0, next_at = ?2, reason = ?3, held = ?4,
			crashes = CASE WHEN ?5 < 0 THEN crashes ELSE ?5 END, attempts = attempts + ?6, tries = tries + ?7,
			first_at = CASE first_at WHEN 0 THEN ?8 ELSE first_at END, sent_at = ?9, changed_at = ?10,
			account_id = CASE WHEN ?1 = 'queued' AND ?7 = 0 THEN 0 ELSE account_id END
		WHERE id = ?11 AND state = ?12 AND claim = ?13`,
		string(r.To), post.Millis(r.NextAt), r.Reason.Encode(), r.Held, r.Crashes, charged, tries, firstAt, sentAt, now,
		r.ID, string(r.From), r.Claim)
}

// requeued does what follows when a row came back to the queue: a mailing
// that was cancelled meanwhile takes it along, and a row that was not tried is
// not counted as released.
func (t *Tx) requeued(r *Result) error {
	if r.Attempt == nil && r.NextAt.IsZero() {
		if _, err := t.exec("UPDATE mailings SET release_left = release_left + 1 WHERE id = ? AND release_left >= 0", r.Mailing); err != nil {
			return err
		}
	}
	return t.followCancel(r)
}

// suppressFor puts the address of a refused delivery on the suppression list.
func (t *Tx) suppressFor(r *Result) error {
	if r.SecondTime {
		second, err := t.refusedBefore(r)
		if err != nil || !second {
			return err
		}
	}
	_, err := t.suppress(*r.Suppress)
	return err
}

// refusedBefore reports whether two of the last three live deliveries to this
// person failed, at once or by a report that came later, the one at hand included.
func (t *Tx) refusedBefore(r *Result) (bool, error) {
	var before, taken int64
	err := t.scan(`SELECT coalesce(max(d.mailing_id), 0) FROM deliveries d JOIN mailings m ON m.id = d.mailing_id AND m.kind = 'live'
		WHERE d.key = ?1 AND (d.state = 'failed' OR d.receipt = 'bounced') AND d.id <> ?2 AND d.mailing_id <= ?3`, []any{r.Suppress.Key, r.ID, r.Mailing}, &before)
	if err != nil || before == 0 {
		return false, err
	}
	err = t.scan(`SELECT count(*) FROM mailings m JOIN deliveries d ON d.mailing_id = m.id AND d.key = ?1
		WHERE m.kind = 'live' AND m.id > ?2 AND m.id < ?3 AND d.state = 'sent' AND d.receipt <> 'bounced'`, []any{r.Suppress.Key, before, r.Mailing}, &taken)
	return taken <= 1, err
}

// followCancel cancels a row that came back to the queue of a mailing which was
// cancelled while the row was under way: nothing would ever claim it again.
func (t *Tx) followCancel(r *Result) error {
	n, err := t.change(`UPDATE deliveries SET state = 'cancelled', next_at = 0, held = 0 WHERE id = ?1 AND state = 'queued'
		AND (SELECT hold FROM mailings WHERE id = deliveries.mailing_id) = 'cancelled'`, r.ID)
	if err != nil || n == 0 {
		return err
	}
	t.count(r.Mailing, post.StateQueued, -n)
	t.count(r.Mailing, post.StateCancelled, n)
	return nil
}

func (t *Tx) logAttempt(r *Result) error {
	a := r.Attempt
	if r.To == post.StateSent && a.Phase == post.PhaseDot && a.Error == "" && r.Try > 0 { // the common case: less to bind and to look up
		_, err := t.exec(`INSERT INTO attempts (delivery_id, try, account_id, session_id, started_at, ended_at, state, phase, code, enhanced,
				text, queue_id, charged, dot_sent, replies)
			VALUES (?, ?, ?, ?, ?, ?, 'sent', 'dot', ?, ?, ?, ?, ?, ?, ?)`,
			r.ID, r.Try, a.Account, a.Session, post.Millis(a.StartedAt), post.Millis(a.EndedAt), a.Reply.Code, a.Reply.Enhanced, a.Reply.Text, a.QueueID,
			a.Charged, a.DotSent, a.Replies)
		return err
	}
	_, err := t.exec(`INSERT INTO attempts (delivery_id, try, account_id, session_id, started_at, ended_at, state, phase, code, enhanced,
			text, queue_id, charged, dot_sent, replies, error)
		VALUES (?1, (SELECT tries FROM deliveries WHERE id = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)`,
		r.ID, a.Account, a.Session, post.Millis(a.StartedAt), post.Millis(a.EndedAt), string(r.To), string(a.Phase), a.Reply.Code,
		a.Reply.Enhanced, a.Reply.Text, a.QueueID, a.Charged, a.DotSent, a.Replies, a.Error)
	return err
}

// TakeBack puts refused deliveries back into the queue because the refusals
// turned out to be about the account and not about the people. Their addresses
// were not suppressed for it.
func (l *Ledger) TakeBack(ctx context.Context, ids []int64) error {
	return l.write(ctx, "take refusals back", func(t *Tx) error {
		for _, id := range ids {
			var mailing int64
			var live bool
			err := t.scan(`UPDATE deliveries SET state='queued', next_at=0, reason='', changed_at=? WHERE id=? AND state='failed'
				RETURNING mailing_id, (SELECT kind = 'live' FROM mailings WHERE id = mailing_id)`, []any{post.Millis(t.now), id}, &mailing, &live)
			if errors.Is(err, sql.ErrNoRows) {
				continue // the user was quicker
			}
			if err != nil {
				return err
			}
			t.count(mailing, post.StateFailed, -1)
			t.count(mailing, post.StateQueued, 1)
			if live {
				t.outcomeAt(t.now, 0, -1)
			}
		}
		return nil
	})
}

// AddSession notes a new connection in the send log and returns its id.
func (l *Ledger) AddSession(ctx context.Context, s post.Session) (int64, error) {
	var id int64
	err := l.write(ctx, "note the connection", func(t *Tx) error {
		res, err := t.exec("INSERT INTO sessions (account_id, host, address, tls, auth, opened_at) VALUES (?,?,?,?,?,?)",
			s.Account, s.Host, s.Address, s.TLS, s.Auth, post.Millis(s.OpenedAt))
		if err != nil {
			return err
		}
		id, err = res.LastInsertId()
		return err
	})
	return id, err
}

// Due says when an account has something to do next.
type Due struct {
	// At is when the next delivery may be claimed; zero: nothing waits.
	At time.Time
	// Now is whether one may be claimed at once.
	Now bool
}

// NextDue returns when something can be claimed for an account (see
// ClaimParams.Account), as seen from now: not before the mailing's time, in
// its sending hours, and of one that waits for the user's word only what was
// tried before.
func (l *Ledger) NextDue(ctx context.Context, kind post.MailingKind, account int64) (Due, error) {
	const op = "look what is due"
	now := l.clock.Now()
	rows, err := l.r.QueryContext(ctx, `SELECT m.not_before, m.hours, CASE m.release_left WHEN 0
			THEN (SELECT d.next_at FROM deliveries d INDEXED BY deliveries_due
				WHERE d.mailing_id = m.id AND d.state = 'queued' AND d.held = 0 AND d.next_at > 0 ORDER BY d.next_at, d.id LIMIT 1)
			ELSE (SELECT d.next_at FROM deliveries d INDEXED BY deliveries_due
				WHERE d.mailing_id = m.id AND d.state = 'queued' AND d.held = 0 ORDER BY d.next_at, d.id LIMIT 1) END AS next
		FROM mailings m WHERE m.ready = 1 AND m.finished_at = 0 AND m.hold = '' AND m.kind = ?1 AND `+sentBy, string(kind), account)
	if err != nil {
		return Due{}, classify(op, err)
	}
	defer rows.Close()
	var due Due
	for rows.Next() {
		var notBefore int64
		var hours string
		var next sql.NullInt64
		if err := rows.Scan(&notBefore, &hours, &next); err != nil {
			return Due{}, classify(op, err)
		}
		if !next.Valid {
			continue
		}
		at := now
		if ms := max(notBefore, next.Int64); ms > post.Millis(now) {
			at = post.FromMillis(ms)
		}
		h, err := post.DecodeHours(hours)
		if err != nil {
			return Due{}, classify(op, err)
		}
		if open, until := h.Open(at); !open {
			at = until
		}
		if due.At.IsZero() || at.Before(due.At) {
			due = Due{At: at, Now: !at.After(now)}
		}
	}
	return due, classify(op, rows.Err())
}

// Clamp pulls in backoffs that a clock set back has left too far ahead.
func (l *Ledger) Clamp(ctx context.Context, maxBackoff time.Duration) error {
	return l.write(ctx, "clamp the backoffs", func(t *Tx) error {
		latest := post.Millis(t.now.Add(maxBackoff))
		if _, err := t.exec("UPDATE deliveries SET next_at=?1 WHERE state='queued' AND next_at>?1", latest); err != nil {
			return err
		}
		_, err := t.exec("UPDATE accounts SET wait_until=?1 WHERE wait_until>?1", post.Millis(t.now.Add(24*time.Hour)))
		return err
	})
}

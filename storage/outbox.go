package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"postroom/post"
)

// ClaimParams says who claims, and how much.
type ClaimParams struct {
	Kind    post.MailingKind
	Account int64 // the sender account; 0 with rehearsals, which go to the trap
	Claim   int64 // the claimer's mark, unique in the process; not 0
	N       int
	After   int64 // the mailing that was served last: the next ones come first
	// Deadline is how long after its first charged attempt a delivery is given up.
	Deadline time.Duration
}

// Claim moves up to p.N due deliveries to claimed and returns them in order
// (the claim commit). Nothing was sent for them yet; a crash gives them back.
// People suppressed since they were queued are moved to suppressed, rows past
// their deadline to expired, and neither is returned.
func (l *Ledger) Claim(ctx context.Context, p ClaimParams) ([]post.Delivery, error) {
	var got []post.Delivery
	err := l.write(ctx, "claim deliveries", func(t *Tx) error {
		got = got[:0]
		ids, err := t.claimable(p)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if len(got) >= p.N {
				break
			}
			rows, err := t.claimFrom(id, p, p.N-len(got))
			if err != nil {
				return err
			}
			got = append(got, rows...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return got, nil
}

// claimable lists the mailings that this account may send from now, in turn.
func (t *Tx) claimable(p ClaimParams) ([]int64, error) {
	rows, err := t.query(`SELECT m.id FROM mailings m WHERE m.ready = 1 AND m.finished_at = 0 AND m.hold = '' AND m.kind = ?1 AND m.not_before <= ?2
		AND (?3 = 0 OR EXISTS (SELECT 1 FROM mailing_senders s WHERE s.mailing_id = m.id AND s.account_id = ?3))
		ORDER BY m.id <= ?4, m.id`, string(p.Kind), post.Millis(t.now), p.Account, p.After)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

const deliveryColumns = `id, mailing_id, row, contact_id, address, key, copy, name, fields, attachments, message_id, seed, state,
	account_id, attempts, next_at, date, reason, held, resends, crashes, queued_at, first_at, sent_at, changed_at`

func scanDelivery(row interface{ Scan(...any) error }, more ...any) (d post.Delivery, err error) {
	var fields, attachments, reason string
	var copyNo, seed, next, date, queued, first, sent, changed int64
	dest := []any{
		&d.ID, &d.Mailing, &d.Row, &d.Contact, &d.Address, &d.Key, &copyNo, &d.Name, &fields, &attachments, &d.MessageID, &seed, &d.State,
		&d.Account, &d.Attempts, &next, &date, &reason, &d.Held, &d.Resends, &d.Crashes, &queued, &first, &sent, &changed,
	}
	if err := row.Scan(append(dest, more...)...); err != nil {
		return d, err
	}
	d.Seed = uint64(seed)
	d.NextAt, d.Date, d.QueuedAt = post.FromMillis(next), post.FromMillis(date), post.FromMillis(queued)
	d.FirstAt, d.SentAt, d.ChangeAt = post.FromMillis(first), post.FromMillis(sent), post.FromMillis(changed)
	d.Reason = post.DecodeReason(reason)
	d.Receipt = post.ReceiptNone
	if d.Fields, err = decodeFields(fields); err != nil {
		return d, err
	}
	if attachments != "" {
		err = json.Unmarshal([]byte(attachments), &d.Attachments)
	}
	return d, err
}

func (t *Tx) claimFrom(mailing int64, p ClaimParams, n int) ([]post.Delivery, error) {
	now := post.Millis(t.now)
	if p.Deadline > 0 {
		if err := t.expire(mailing, p); err != nil {
			return nil, err
		}
	}
	rows, err := t.query(`UPDATE deliveries SET state = 'claimed', claim = ?1, account_id = ?2, changed_at = ?3 WHERE id IN (
			SELECT d.id FROM deliveries d WHERE d.mailing_id = ?4 AND d.state = 'queued' AND d.held = 0 AND d.next_at <= ?3
				AND (d.account_id IN (0, ?2) OR NOT EXISTS (SELECT 1 FROM accounts a JOIN mailing_senders s ON s.account_id = a.id AND s.mailing_id = ?4
					WHERE a.id = d.account_id AND a.hold = '' AND a.wait_until <= ?3 AND a.removed_at = 0))
			ORDER BY d.next_at, d.id LIMIT ?5)
		RETURNING `+deliveryColumns, p.Claim, p.Account, now, mailing, n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var got []post.Delivery
	for rows.Next() {
		d, err := scanDelivery(rows)
		if err != nil {
			return nil, err
		}
		d.Kind = p.Kind
		got = append(got, d)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(got) == 0 {
		return nil, nil
	}
	t.count(mailing, post.StateQueued, -int64(len(got)))
	t.count(mailing, post.StateClaimed, int64(len(got)))
	slices.SortFunc(got, func(a, b post.Delivery) int { return int(a.ID - b.ID) })
	if p.Kind != post.Live {
		return got, nil
	}
	return t.dropSuppressed(got)
}

func (t *Tx) dropSuppressed(got []post.Delivery) ([]post.Delivery, error) {
	keep := got[:0]
	for _, d := range got {
		var reason string
		err := t.scan("SELECT reason FROM suppressions WHERE key=?", []any{d.Key}, &reason)
		if errors.Is(err, sql.ErrNoRows) {
			keep = append(keep, d)
			continue
		}
		if err != nil {
			return nil, err
		}
		why := post.Reason{Key: "skip.suppressed", Args: []string{reason}}
		if _, err := t.exec("UPDATE deliveries SET state='suppressed', claim=0, reason=? WHERE id=?", why.Encode(), d.ID); err != nil {
			return nil, err
		}
		t.count(d.Mailing, post.StateClaimed, -1)
		t.count(d.Mailing, post.StateSuppressed, 1)
	}
	return keep, nil
}

// expire gives up rows of a mailing whose deadline has passed.
func (t *Tx) expire(mailing int64, p ClaimParams) error {
	n, err := t.change(`UPDATE deliveries SET state = 'expired', changed_at = ?1 WHERE mailing_id = ?2 AND state = 'queued'
		AND next_at > 0 AND next_at <= ?1 AND first_at > 0 AND first_at <= ?3`,
		post.Millis(t.now), mailing, post.Millis(t.now.Add(-p.Deadline)))
	if err != nil || n == 0 {
		return err
	}
	t.count(mailing, post.StateQueued, -n)
	t.count(mailing, post.StateExpired, n)
	if p.Kind == post.Live {
		t.outcomeAt(t.now, 0, n)
	}
	return nil
}

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
	Attempt  *post.Attempt
	Suppress *post.Suppression
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
			AND (?5 = 0 OR NOT EXISTS (SELECT 1 FROM suppressions s WHERE s.key = deliveries.key))
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
	err := t.scan(`SELECT d.state, d.claim, m.hold, (SELECT reason FROM suppressions s WHERE s.key = d.key)
		FROM deliveries d JOIN mailings m ON m.id = d.mailing_id WHERE d.id = ?`, []any{in.ID}, &state, &claim, &hold, &suppressed)
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
	n, err := t.change(`UPDATE deliveries SET state = ?1, claim = 0, next_at = ?2, reason = ?3, held = ?4,
			crashes = CASE WHEN ?5 < 0 THEN crashes ELSE ?5 END, attempts = attempts + ?6, tries = tries + ?7,
			first_at = CASE first_at WHEN 0 THEN ?8 ELSE first_at END, sent_at = ?9, changed_at = ?10,
			account_id = CASE WHEN ?1 = 'queued' AND ?7 = 0 THEN 0 ELSE account_id END
		WHERE id = ?11 AND state = ?12 AND claim = ?13`,
		string(r.To), post.Millis(r.NextAt), r.Reason.Encode(), r.Held, r.Crashes, charged, tries, firstAt, sentAt, now,
		r.ID, string(r.From), r.Claim)
	if err != nil {
		return err
	}
	if n != 1 {
		return &post.Error{Kind: post.KindInternal, Op: "record deliveries", Err: ErrMoved}
	}
	t.count(r.Mailing, r.From, -1)
	t.count(r.Mailing, r.To, 1)
	if r.To == post.StateQueued {
		if err := t.followCancel(r); err != nil {
			return err
		}
	}
	if r.Live {
		switch r.To {
		case post.StateSent:
			t.outcomeAt(t.now, 1, 0)
		case post.StateFailed:
			t.outcomeAt(t.now, 0, 1)
		}
		if r.Suppress != nil {
			if _, err := t.suppress(*r.Suppress); err != nil {
				return err
			}
		}
	}
	if r.Attempt == nil {
		return nil
	}
	return t.logAttempt(r)
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

// Recovered counts what Recover found.
type Recovered struct{ Requeued, Sent, Uncertain, Held int64 }

// Progress is what the mark of a dead process says about one delivery.
type Progress struct {
	Rendering bool
	Code      int // of the reply to its dot; 0 while that was awaited
}

// Recover settles what a dead process left behind; the caller holds the lock
// and runs no mailer yet. Claimed rows go back to the queue, for nothing was
// sent. Rows in sending had a durable intent and perhaps a dot on the wire. Of
// a rehearsal they are queued again. Of a live mailing they become uncertain,
// unless the mark is trusted: then a row that it does not name was never
// started and is queued, one with a reply is what the reply says, and only one
// that waited for its reply is uncertain. A trusted mark also tells which rows
// were being worked on; their crash count rises, and at post.MaxCrashes a row
// is held.
func (l *Ledger) Recover(ctx context.Context, progress map[int64]Progress, trusted bool) (Recovered, error) {
	var out Recovered
	err := l.write(ctx, "recover", func(t *Tx) error {
		out = Recovered{}
		left, err := t.left()
		if err != nil {
			return err
		}
		for _, x := range left {
			p, named := progress[x.ID]
			r := x.settle(p, named, trusted, t.now)
			switch {
			case r.To == post.StateSent:
				out.Sent++
			case r.To == post.StateUncertain:
				out.Uncertain++
			case r.Held:
				out.Held++
			default:
				out.Requeued++
			}
			if err := t.result(&r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Recovered{}, err
	}
	return out, l.dropStale(ctx)
}

// leftover is a row that a dead process had claimed.
type leftover struct {
	Result
	account int64
	changed time.Time
}

func (t *Tx) left() ([]leftover, error) {
	rows, err := t.query(`SELECT d.id, d.mailing_id, d.state, d.claim, d.account_id, d.crashes, d.changed_at, m.kind = 'live'
		FROM deliveries d JOIN mailings m ON m.id = d.mailing_id WHERE d.state NOT IN ('queued', 'sent') AND d.state IN ('claimed', 'sending')`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []leftover
	for rows.Next() {
		var x leftover
		var changed int64
		if err := rows.Scan(&x.ID, &x.Mailing, &x.From, &x.Claim, &x.account, &x.Crashes, &changed, &x.Live); err != nil {
			return nil, err
		}
		x.changed = post.FromMillis(changed)
		all = append(all, x)
	}
	return all, rows.Err()
}

// settle works out what a leftover row becomes.
func (x leftover) settle(p Progress, named, trusted bool, now time.Time) Result {
	r := x.Result
	r.To = post.StateQueued
	inFlight := x.From == post.StateSending && (!trusted || named && !p.Rendering && p.Code == 0)
	answered := x.From == post.StateSending && trusted && named && p.Code > 0
	if trusted && named && p.Code <= 0 {
		r.Crashes++
	}
	if !x.Live {
		inFlight, answered = false, false
	}
	attempt := &post.Attempt{
		Account: x.account, StartedAt: x.changed, EndedAt: now, Phase: post.PhaseDot, Charged: true, DotSent: true,
		Error: "the program was interrupted",
	}
	switch {
	case inFlight:
		r.To, r.Reason, r.Attempt = post.StateUncertain, post.Reason{Key: "uncertain.interrupted"}, attempt
	case answered && p.Code/100 == 2:
		attempt.Reply = post.Reply{Code: p.Code}
		r.To, r.Attempt = post.StateSent, attempt
	case r.Crashes >= post.MaxCrashes:
		r.Held, r.Reason = true, post.Reason{Key: "delivery.crashed"}
	}
	return r
}

// dropStale removes mailings whose enqueue died before it became visible.
func (l *Ledger) dropStale(ctx context.Context) error {
	const op = "clear up"
	ids, err := l.stale(ctx)
	if err != nil {
		return classify(op, err)
	}
	for _, id := range ids {
		if err := l.dropMailing(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) stale(ctx context.Context) ([]int64, error) {
	rows, err := l.r.QueryContext(ctx, "SELECT id FROM mailings WHERE ready=0 AND created_at < ?", post.Millis(l.clock.Now().Add(-time.Hour)))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// Due says when an account has something to do next.
type Due struct {
	// At is when the next delivery may be claimed; zero: nothing waits.
	At time.Time
	// Now is whether one may be claimed at once.
	Now bool
}

// NextDue returns when something can be claimed for an account (0 and
// Rehearsal: by the trap), as seen from now.
func (l *Ledger) NextDue(ctx context.Context, kind post.MailingKind, account int64) (Due, error) {
	now := l.clock.Now()
	var at sql.NullInt64
	err := l.r.QueryRowContext(ctx, `SELECT min(max(m.not_before, (SELECT d.next_at FROM deliveries d INDEXED BY deliveries_due
			WHERE d.mailing_id = m.id AND d.state = 'queued' AND d.held = 0 ORDER BY d.next_at, d.id LIMIT 1)))
		FROM mailings m WHERE m.ready = 1 AND m.finished_at = 0 AND m.hold = '' AND m.kind = ?1
			AND (?2 = 0 OR EXISTS (SELECT 1 FROM mailing_senders s WHERE s.mailing_id = m.id AND s.account_id = ?2))`,
		string(kind), account).Scan(&at)
	if err != nil {
		return Due{}, classify("look what is due", err)
	}
	if !at.Valid {
		return Due{}, nil
	}
	if at.Int64 <= post.Millis(now) {
		return Due{At: now, Now: true}, nil
	}
	return Due{At: post.FromMillis(at.Int64)}, nil
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

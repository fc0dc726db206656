package storage

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"postroom/post"
)

// Undecided is a delivery that may or may not have arrived, of a mailing that
// does not ask the user about it.
type Undecided struct {
	ID, Mailing, Account int64
	Policy               post.UncertainPolicy
	Since                time.Time
}

// Undecided lists up to 500 live deliveries that the mailer may settle by
// itself: to be sent once more, if they were not before, or taken for sent.
func (l *Ledger) Undecided(ctx context.Context) ([]Undecided, error) {
	const op = "look for uncertain deliveries"
	rows, err := l.r.QueryContext(ctx, `SELECT d.id, d.mailing_id, d.account_id, m.uncertain, d.changed_at
		FROM deliveries d JOIN mailings m ON m.id = d.mailing_id
		WHERE d.state NOT IN ('queued', 'sent') AND d.state = 'uncertain' AND m.kind = 'live' AND m.hold = ''
			AND (m.uncertain = 'sent' OR m.uncertain = 'resend' AND d.resends = 0)
		ORDER BY d.id LIMIT 500`)
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var all []Undecided
	for rows.Next() {
		var u Undecided
		var since int64
		if err := rows.Scan(&u.ID, &u.Mailing, &u.Account, &u.Policy, &since); err != nil {
			return nil, classify(op, err)
		}
		u.Since = post.FromMillis(since)
		all = append(all, u)
	}
	return all, classify(op, rows.Err())
}

// SettleByPolicy carries out what a mailing says about an uncertain delivery:
// it goes back into the queue, once, or counts as sent. One that was settled
// meanwhile is left alone.
func (l *Ledger) SettleByPolicy(ctx context.Context, u Undecided) error {
	to, set, why := post.StateSent, "sent_at = changed_at", post.Reason{Key: "settled.assumed"}
	if u.Policy == post.UncertainResend {
		to, set, why = post.StateQueued, "next_at = 0, held = 0, crashes = 0, resends = resends + 1", post.Reason{Key: "uncertain.resend"}
	}
	if !post.CanMove(post.StateUncertain, to, post.ByMailer) {
		return post.Errorf(post.KindInternal, "settle", "no move from uncertain to %s", to)
	}
	return l.write(ctx, "settle", func(t *Tx) error {
		var id int64
		err := t.scan("UPDATE deliveries SET state = ?, reason = ?, changed_at = ?, "+set+` WHERE id = ? AND state = 'uncertain'
			AND (SELECT uncertain FROM mailings m WHERE m.id = deliveries.mailing_id) = ? AND (? <> 'resend' OR resends = 0) RETURNING id`,
			[]any{string(to), why.Encode(), post.Millis(t.now), u.ID, string(u.Policy), string(u.Policy)}, &id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		t.count(u.Mailing, post.StateUncertain, -1)
		t.count(u.Mailing, to, 1)
		return nil
	})
}

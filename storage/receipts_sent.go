package storage

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"postroom/post"
)

// copiesAgain is how far back is looked for messages whose copy is missing:
// longer than a message is on its way, as they are noted when they were taken,
// not in the order in which they began.
const copiesAgain = time.Hour

// settledYet is how long a delivery that is uncertain keeps the place from which
// is looked: reports come within days, or never.
const settledYet = 7 * 24 * time.Hour

func sentCopiesKey(account int64) string {
	return "account.sent_copies." + strconv.FormatInt(account, 10)
}

func sentSinceKey(account int64) string {
	return "account.sent_copies_since." + strconv.FormatInt(account, 10)
}

// SentCopies returns of which messages of an account a copy is filed.
func (l *Ledger) SentCopies(ctx context.Context, account int64) (post.SentCopies, error) {
	v, err := l.Setting(ctx, sentCopiesKey(account), string(post.SentCopiesNone))
	return post.SentCopies(v), err
}

// SetSentCopies keeps it for what is sent from now on.
func (l *Ledger) SetSentCopies(ctx context.Context, account int64, v post.SentCopies) error {
	before, err := l.SentCopies(ctx, account)
	if err != nil || before == v {
		return err
	}
	return l.write(ctx, "keep a setting", func(t *Tx) error {
		if err := t.setSetting(sentSinceKey(account), strconv.FormatInt(post.Millis(t.now), 10)); err != nil {
			return err
		}
		return t.setSetting(sentCopiesKey(account), string(v))
	})
}

func (l *Ledger) sentSince(ctx context.Context, account int64) (int64, error) {
	v, err := l.Setting(ctx, sentSinceKey(account), "0")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(v, 10, 64)
	return n, classify("read a setting", err)
}

// CopiesDue returns up to n live messages that an account has sent since copies
// are kept, and of which none is filed yet; of a mailing with one copy, one.
func (l *Ledger) CopiesDue(ctx context.Context, account int64, n int) ([]HistoryRow, error) {
	how, err := l.SentCopies(ctx, account)
	if err != nil || how == post.SentCopiesNone {
		return nil, err
	}
	since, err := l.sentSince(ctx, account)
	if err != nil {
		return nil, err
	}
	if how == post.SentCopiesOne {
		n = 1
	}
	return l.historyRows(ctx, "WHERE d.id IN ("+copiesDue(how)+") ORDER BY d.id", []any{account, since, n})
}

// copiesDue selects the deliveries of an account, since a moment, whose copy is
// not filed, up to a number. An attempt that nobody knew the end of counts once
// its delivery was settled.
func copiesDue(how post.SentCopies) string {
	filed := "c.delivery_id = s.delivery_id"
	if how == post.SentCopiesOne {
		filed = "c.mailing_id = e.mailing_id AND c.account_id = s.account_id"
	}
	return `SELECT s.delivery_id FROM attempts s
			JOIN deliveries e ON e.id = s.delivery_id AND e.state = 'sent' JOIN mailings m2 ON m2.id = e.mailing_id AND m2.kind = 'live'
		WHERE s.account_id = ? AND s.account_id <> 0 AND s.charged = 1 AND s.started_at >= ?
			AND (s.state = 'sent' OR s.state = 'uncertain' AND e.account_id = s.account_id)
			AND NOT EXISTS (SELECT 1 FROM sent_copies c WHERE ` + filed + ") ORDER BY s.started_at LIMIT ?"
}

// HoldCopies lets one holder at a time file an account's copies, for so long;
// it may ask again to go on. It reports false while another does so: two that
// look at the same time would both find no copy, and file two.
func (l *Ledger) HoldCopies(ctx context.Context, account int64, holder string, long time.Duration) (held bool, err error) {
	return l.hold(ctx, copiesHeldKey(account), holder, long)
}

// LetCopiesGo ends a holder's time.
func (l *Ledger) LetCopiesGo(ctx context.Context, account int64, holder string) error {
	return l.letGo(ctx, copiesHeldKey(account), holder)
}

func copiesHeldKey(account int64) string {
	return "account.sent_copies_held." + strconv.FormatInt(account, 10)
}

// NoteCopy keeps that a copy of a delivery is filed, or never can be.
func (l *Ledger) NoteCopy(ctx context.Context, account int64, d *post.Delivery) error {
	return l.write(ctx, "note a copy", func(t *Tx) error {
		_, err := t.exec("INSERT INTO sent_copies (delivery_id, mailing_id, account_id, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", d.ID, d.Mailing, account, post.Millis(t.now))
		return err
	})
}

// CopiesDone keeps that nothing was due at a moment, so that the next look need
// not go through all that was sent before. It does not pass what is uncertain
// and may be settled yet, nor what became due since.
func (l *Ledger) CopiesDone(ctx context.Context, account int64, at time.Time) error {
	since, err := l.sentSince(ctx, account)
	if err != nil {
		return err
	}
	next := post.Millis(at.Add(-copiesAgain))
	if next < since+copiesAgain.Milliseconds() { // not a commit for every look
		return nil
	}
	how, err := l.SentCopies(ctx, account)
	if err != nil {
		return err
	}
	return l.write(ctx, "keep a setting", func(t *Tx) error {
		var due int64
		err := t.scan(copiesDue(how), []any{account, since, 1}, &due)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		var unsure int64
		err = t.scan(`SELECT coalesce(min(s.started_at), ?1) FROM deliveries d JOIN attempts s ON s.delivery_id = d.id AND s.state = 'uncertain'
			WHERE d.state NOT IN ('queued', 'sent') AND d.state = 'uncertain' AND d.account_id = ?2 AND s.account_id = ?2 AND s.started_at >= ?3`,
			[]any{next, account, max(since, post.Millis(at.Add(-settledYet)))}, &unsure)
		if err != nil {
			return err
		}
		return t.setSetting(sentSinceKey(account), strconv.FormatInt(min(next, unsure), 10))
	})
}

// UncertainOf returns up to n live deliveries of an account that may or may not
// have been taken, the newest first.
func (l *Ledger) UncertainOf(ctx context.Context, account int64, n int) ([]HistoryRow, error) {
	return l.historyRows(ctx, `WHERE d.state NOT IN ('queued', 'sent') AND d.state = 'uncertain' AND d.account_id = ? AND m.kind = 'live' AND m.ready = 1
		ORDER BY d.id DESC LIMIT ?`, []any{account, n})
}

// SettleBySentFolder takes an uncertain delivery for sent, because it lies in
// the folder for sent mail. One that was settled meanwhile is left alone.
func (l *Ledger) SettleBySentFolder(ctx context.Context, delivery int64) error {
	return l.write(ctx, "settle", func(t *Tx) error {
		d := tied{id: delivery}
		if err := t.scan("SELECT mailing_id, state FROM deliveries WHERE id = ?", []any{delivery}, &d.mailing, &d.state); err != nil || d.state != post.StateUncertain {
			return err
		}
		return t.settleBy(&d, "settled.sent_folder")
	})
}

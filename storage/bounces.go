package storage

import (
	"database/sql"
	"errors"
	"strconv"

	"postroom/post"
)

// SettingBounceLimit is the setting that holds at what share of bounces, in
// percent, a mailing pauses itself; 0: never.
const SettingBounceLimit = "bounce.limit_percent"

// DefaultBounceLimit is what holds where it is not set. Providers close accounts
// over far less in the long run; in a single mailing some old addresses are no
// scandal.
const DefaultBounceLimit = 10

// minResults is how many messages must have been taken before their bounces are
// a rate.
const minResults = 20

// pauseOnBounces pauses a mailing that still has mail to send and of which too
// much came back. After the user let it go on it pauses again only when twice as
// much has come back. It reports whether it paused it.
func (t *Tx) pauseOnBounces(mailing int64) (bool, error) {
	limit := int64(DefaultBounceLimit)
	var value string
	err := t.scan("SELECT value FROM settings WHERE key = ?", []any{SettingBounceLimit}, &value)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		limit = n
	}
	var bounced, taken, left, before int64
	err = t.scan(`SELECT coalesce((SELECT n FROM receipt_counts WHERE mailing_id = m.id AND receipt = 'bounced'), 0),
			coalesce((SELECT n FROM mailing_counts WHERE mailing_id = m.id AND state = 'sent'), 0),
			coalesce((SELECT sum(n) FROM mailing_counts WHERE mailing_id = m.id AND state IN ('queued', 'claimed')), 0), m.bounces_paused
		FROM mailings m WHERE m.id = ? AND m.hold = ''`, []any{mailing}, &bounced, &taken, &left, &before)
	if errors.Is(err, sql.ErrNoRows) { // it is held already
		return false, nil
	}
	if err != nil || limit <= 0 || left == 0 || taken < minResults || bounced*100 < limit*taken || bounced < 2*before {
		return false, err
	}
	why := post.Reason{Key: "mailing.bounces", Args: []string{strconv.FormatInt(bounced, 10), strconv.FormatInt(taken, 10)}}
	_, err = t.exec("UPDATE mailings SET hold = ?, reason = ?, bounces_paused = ? WHERE id = ?", string(post.MailingPaused), why.Encode(), bounced, mailing)
	return err == nil, err
}

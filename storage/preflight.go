package storage

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"postroom/post"
)

// SuppressedKeys returns which of the address keys must not be mailed, and why.
// It changes nothing: what becomes of the rows is decided when they are queued.
func (l *Ledger) SuppressedKeys(ctx context.Context, keys []string) (map[string]string, error) {
	const op = "look up who must not be mailed"
	list, err := json.Marshal(keys)
	if err != nil {
		return nil, classify(op, err)
	}
	rows, err := l.r.QueryContext(ctx, "SELECT s.key, s.reason FROM json_each(?) j CROSS JOIN suppressions s ON s.key = j.value", string(list))
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	all := map[string]string{}
	for rows.Next() {
		var key, reason string
		if err := rows.Scan(&key, &reason); err != nil {
			return nil, classify(op, err)
		}
		all[key] = reason
	}
	if err := rows.Err(); err != nil {
		return nil, classify(op, err)
	}
	erased, err := erasedKeys(ctx, l.r.QueryRowContext, keys)
	if err != nil {
		return nil, classify(op, err)
	}
	for key := range erased {
		all[key] = "erased"
	}
	return all, nil
}

// RecentKeys walks the address keys of those who got, or will get, a live
// mailing with this very subject (before the merge) that was queued since then.
// One person may come more than once.
func (l *Ledger) RecentKeys(ctx context.Context, subject string, since time.Time) iter.Seq2[string, error] {
	const op = "look up who got this subject before"
	return func(yield func(string, error) bool) {
		rows, err := l.r.QueryContext(ctx, `SELECT d.key FROM mailings m JOIN deliveries d ON d.mailing_id = m.id
			WHERE m.ready = 1 AND m.kind = 'live' AND m.created_at >= ? AND json_extract(m.content, '$.subject') = ?
				AND d.state NOT IN ('failed', 'cancelled', 'suppressed', 'expired')`, post.Millis(since), subject)
		if err != nil {
			yield("", classify(op, err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var key string
			if err := rows.Scan(&key); err != nil {
				yield("", classify(op, err))
				return
			}
			if !yield(key, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield("", classify(op, err))
		}
	}
}

package storage

import (
	"context"
	"encoding/json"
	"iter"

	"postroom/post"
)

// unwanted is why a row of deliveries must not be mailed, or NULL: the address is
// suppressed, or it is for a list that the mailing goes to. It is asked when rows
// are claimed and again with the intent, right before MAIL.
const unwanted = `coalesce((SELECT s.reason FROM suppressions s WHERE s.key = deliveries.key),
				(SELECT s.reason FROM mailing_lists ml JOIN list_suppressions s ON s.list_id = ml.list_id AND s.key = deliveries.key
					WHERE ml.mailing_id = deliveries.mailing_id LIMIT 1))`

// unwantedAmong asks the same of a JSON array of keys when they are queued.
const unwantedAmong = `SELECT s.key, s.reason FROM suppressions s WHERE EXISTS (SELECT 1 FROM suppressions) AND s.key IN (SELECT value FROM json_each(?1))
	UNION ALL SELECT s.key, s.reason FROM mailing_lists ml JOIN list_suppressions s ON s.list_id = ml.list_id
		WHERE ml.mailing_id = ?2 AND s.key IN (SELECT value FROM json_each(?1))`

// noteLists keeps whose people a mailing goes to.
func (t *Tx) noteLists(mailing int64, lists []int64) error {
	for _, id := range lists {
		if _, err := t.exec("INSERT OR IGNORE INTO mailing_lists (mailing_id, list_id) VALUES (?, ?)", mailing, id); err != nil {
			return err
		}
	}
	return nil
}

// Suppress puts addresses on the suppression list, or with List on that of one
// list. One that is on it already keeps its first reason. It returns how many were
// new.
func (l *Ledger) Suppress(ctx context.Context, s []post.Suppression) (int64, error) {
	var added int64
	err := l.write(ctx, "suppress", func(t *Tx) error {
		added = 0
		for _, x := range s {
			n, err := t.suppress(x)
			if err != nil {
				return err
			}
			added += n
		}
		return nil
	})
	return added, err
}

func (t *Tx) suppress(s post.Suppression) (int64, error) {
	at := s.At
	if at.IsZero() {
		at = t.now
	}
	if s.List != 0 {
		return t.change("INSERT INTO list_suppressions (list_id, key, address, reason, source, at) VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING",
			s.List, s.Key, s.Address, s.Reason, s.Source, post.Millis(at))
	}
	return t.change("INSERT INTO suppressions (key, address, reason, source, at) VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING",
		s.Key, s.Address, s.Reason, s.Source, post.Millis(at))
}

// Unsuppress takes addresses, given by key, off the list and returns how many
// were on it.
func (l *Ledger) Unsuppress(ctx context.Context, keys []string) (int64, error) {
	return l.unsuppress(ctx, "DELETE FROM suppressions WHERE key = ?", keys)
}

// UnsuppressFor takes addresses, given by key, off the suppressions of one list.
func (l *Ledger) UnsuppressFor(ctx context.Context, list int64, keys []string) (int64, error) {
	return l.unsuppress(ctx, "DELETE FROM list_suppressions WHERE key = ? AND list_id = ?", keys, list)
}

func (l *Ledger) unsuppress(ctx context.Context, query string, keys []string, more ...any) (int64, error) {
	var removed int64
	err := l.write(ctx, "unsuppress", func(t *Tx) error {
		removed = 0
		for _, k := range keys {
			n, err := t.change(query, append([]any{k}, more...)...)
			if err != nil {
				return err
			}
			removed += n
		}
		return nil
	})
	return removed, err
}

// EachSuppression walks all addresses that are not mailed, by key.
func (l *Ledger) EachSuppression(ctx context.Context) iter.Seq2[post.Suppression, error] {
	return l.eachSuppression(ctx, "SELECT key, address, reason, source, at FROM suppressions WHERE key > ? ORDER BY key LIMIT ?")
}

// EachSuppressionFor walks the addresses that are not mailed as those of one list.
func (l *Ledger) EachSuppressionFor(ctx context.Context, list int64) iter.Seq2[post.Suppression, error] {
	// What is left of people who were erased is not shown: it has no address.
	return l.eachSuppression(ctx, "SELECT key, address, reason, source, at FROM list_suppressions WHERE key > ? AND list_id = ?3 AND address <> '' ORDER BY key LIMIT ?2", list)
}

func (l *Ledger) eachSuppression(ctx context.Context, query string, more ...any) iter.Seq2[post.Suppression, error] {
	return func(yield func(post.Suppression, error) bool) {
		after := ""
		for {
			page, err := l.suppressions(ctx, query, append([]any{after, memberPage}, more...))
			if err != nil {
				yield(post.Suppression{}, classify("list the suppressions", err))
				return
			}
			for _, s := range page {
				if len(more) > 0 {
					s.List, _ = more[0].(int64)
				}
				if !yield(s, nil) {
					return
				}
				after = s.Key
			}
			if len(page) < memberPage {
				return
			}
		}
	}
}

func (l *Ledger) suppressions(ctx context.Context, query string, args []any) ([]post.Suppression, error) {
	rows, err := l.r.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []post.Suppression
	for rows.Next() {
		var s post.Suppression
		var at int64
		if err := rows.Scan(&s.Key, &s.Address, &s.Reason, &s.Source, &at); err != nil {
			return nil, err
		}
		s.At = post.FromMillis(at)
		page = append(page, s)
	}
	return page, rows.Err()
}

// suppressedKeys returns those of some keys that are not mailed: never, or as
// those of one list.
func (l *Ledger) suppressedKeys(ctx context.Context, list string, keys []string) (map[string]bool, error) {
	var some bool
	from, to := span(keys)
	if err := l.r.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM suppressions WHERE key >= ?1 AND key <= ?2)
		OR EXISTS (SELECT 1 FROM lists l CROSS JOIN list_suppressions s ON s.list_id = l.id AND s.key >= ?1 AND s.key <= ?2 WHERE l.name = ?3)`, from, to, list).Scan(&some); err != nil || !some {
		return nil, err
	}
	array, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	rows, err := l.r.QueryContext(ctx, `SELECT s.key FROM json_each(?1) j CROSS JOIN suppressions s ON s.key = j.value
		UNION ALL SELECT s.key FROM lists l CROSS JOIN list_suppressions s ON s.list_id = l.id AND s.key >= ?2 AND s.key <= ?3
			WHERE l.name = ?4 AND s.key IN (SELECT value FROM json_each(?1))`, string(array), from, to, list)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]bool{}
	for rows.Next() {
		var k string
		if err := rows.Scan(&k); err != nil {
			return nil, err
		}
		all[k] = true
	}
	return all, rows.Err()
}

package storage

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"strings"

	"postroom/post"
)

// Lists returns all lists by name.
func (l *Ledger) Lists(ctx context.Context) ([]post.List, error) {
	const op = "list the lists"
	rows, err := l.r.QueryContext(ctx, "SELECT id, name, members, created_at FROM lists ORDER BY name")
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var all []post.List
	for rows.Next() {
		var li post.List
		var created int64
		if err := rows.Scan(&li.ID, &li.Name, &li.Members, &created); err != nil {
			return nil, classify(op, err)
		}
		li.CreatedAt = post.FromMillis(created)
		all = append(all, li)
	}
	return all, classify(op, rows.Err())
}

// ListByName returns one list; case does not matter.
func (l *Ledger) ListByName(ctx context.Context, name string) (post.List, error) {
	var li post.List
	var created int64
	err := l.r.QueryRowContext(ctx, "SELECT id, name, members, created_at FROM lists WHERE name=?", name).
		Scan(&li.ID, &li.Name, &li.Members, &created)
	li.CreatedAt = post.FromMillis(created)
	return li, classifyMissing("look up the list", "there is no list named "+name, err)
}

// DeleteList removes a list; its people stay.
func (l *Ledger) DeleteList(ctx context.Context, id int64) error {
	const op = "remove the list"
	return l.write(ctx, op, func(t *Tx) error {
		n, err := t.change("DELETE FROM lists WHERE id=?", id)
		return oneRow(op, "the list", n, err)
	})
}

// ensureList returns the id of the list of that name, made where missing.
func (t *Tx) ensureList(name string) (int64, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		return 0, post.Errorf(post.KindInvalid, "make a list", "give the list a name")
	}
	var id int64
	err := t.scan("SELECT id FROM lists WHERE name=?", []any{name}, &id)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	res, err := t.exec("INSERT INTO lists (name, created_at) VALUES (?, ?)", name, post.Millis(t.now))
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// Suppress puts addresses on the suppression list. One that is on it already
// keeps its first reason. It returns how many were new.
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
	return t.change("INSERT INTO suppressions (key, address, reason, source, at) VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING",
		s.Key, s.Address, s.Reason, s.Source, post.Millis(at))
}

// Unsuppress takes addresses, given by key, off the list and returns how many
// were on it.
func (l *Ledger) Unsuppress(ctx context.Context, keys []string) (int64, error) {
	var removed int64
	err := l.write(ctx, "unsuppress", func(t *Tx) error {
		removed = 0
		for _, k := range keys {
			n, err := t.change("DELETE FROM suppressions WHERE key=?", k)
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
	return func(yield func(post.Suppression, error) bool) {
		after := ""
		for {
			page, err := l.suppressions(ctx, after)
			if err != nil {
				yield(post.Suppression{}, classify("list the suppressions", err))
				return
			}
			for _, s := range page {
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

func (l *Ledger) suppressions(ctx context.Context, after string) ([]post.Suppression, error) {
	rows, err := l.r.QueryContext(ctx, "SELECT key, address, reason, source, at FROM suppressions WHERE key > ? ORDER BY key LIMIT ?", after, memberPage)
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

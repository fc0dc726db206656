package storage

import (
	"context"
	"database/sql"
	"errors"
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

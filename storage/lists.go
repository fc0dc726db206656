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

// leaving begins the setting of a list that is being removed; its id follows.
const leaving = "ledger.list.leaving."

// DeleteList removes a list; its people stay. They leave it in steps between which
// others write; where the process ends in between, the next Open goes on.
func (l *Ledger) DeleteList(ctx context.Context, id int64) error {
	const op = "remove the list"
	if err := l.write(ctx, op, func(t *Tx) error {
		n, err := t.change("INSERT OR REPLACE INTO settings (key, value) SELECT ?1 || id, '1' FROM lists WHERE id = ?2", leaving, id)
		return oneRow(op, "the list", n, err)
	}); err != nil {
		return err
	}
	return l.emptyAndDelete(context.WithoutCancel(ctx), id)
}

func (l *Ledger) emptyAndDelete(ctx context.Context, id int64) error {
	const op = "remove the list"
	if err := l.drain(ctx, op, func(t *Tx) (int64, error) {
		return t.change(`DELETE FROM list_suppressions WHERE list_id = ?1 AND key IN
			(SELECT key FROM list_suppressions WHERE list_id = ?1 LIMIT ?2)`, id, drainStep)
	}, nil); err != nil {
		return err
	}
	return l.drain(ctx, op, func(t *Tx) (int64, error) {
		some, err := t.firstBlocks(id, drainStep)
		if err != nil || len(some) == 0 {
			return 0, err
		}
		_, err = t.removeFromList(id, some)
		return int64(len(some)), err
	}, func(t *Tx) error {
		if _, err := t.exec("DELETE FROM lists WHERE id = ?", id); err != nil {
			return err
		}
		_, err := t.exec("DELETE FROM settings WHERE key = ?1 || ?2", leaving, id)
		return err
	})
}

// finishLists removes the lists that an end of the process left half removed.
func (l *Ledger) finishLists(ctx context.Context) error {
	ids, err := l.ids(ctx, "SELECT json_group_array(CAST(substr(key, length(?1) + 1) AS INTEGER)) FROM settings WHERE key >= ?1 AND key < ?1 || ':'", []any{leaving})
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := l.emptyAndDelete(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// TakeOffList takes people, given by key, off a list and returns how many were
// on it; they stay in the book.
func (l *Ledger) TakeOffList(ctx context.Context, id int64, keys []string) (int64, error) {
	known, err := l.known(ctx, keys)
	if err != nil || len(known) == 0 {
		return 0, classify("take people off the list", err)
	}
	ids := make([]int64, 0, len(known))
	for _, c := range known {
		ids = append(ids, c.ID)
	}
	return l.RemoveFromList(ctx, id, ids)
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

package storage

import (
	"context"
	"encoding/json"

	"postroom/post"
)

// SaveDraft stores a draft, new when its id is 0, and returns its id.
func (l *Ledger) SaveDraft(ctx context.Context, d post.Draft) (int64, error) {
	const op = "save the draft"
	body := d
	body.ID = 0
	b, err := json.Marshal(body)
	if err != nil {
		return 0, classify(op, err)
	}
	id := d.ID
	err = l.write(ctx, op, func(t *Tx) error {
		now := post.Millis(t.now)
		if d.ID != 0 {
			n, err := t.change("UPDATE messages SET name=?, draft=?, changed_at=? WHERE id=?", d.Name, string(b), now, d.ID)
			return oneRow(op, "the draft", n, err)
		}
		res, err := t.exec("INSERT INTO messages (name, draft, created_at, changed_at) VALUES (?,?,?,?)", d.Name, string(b), now, now)
		if err != nil {
			return err
		}
		id, err = res.LastInsertId()
		return err
	})
	return id, err
}

// Drafts lists all drafts, the one changed last first.
func (l *Ledger) Drafts(ctx context.Context) ([]post.Draft, error) {
	const op = "list the drafts"
	rows, err := l.r.QueryContext(ctx, "SELECT id, draft, created_at, changed_at FROM messages ORDER BY changed_at DESC, id DESC")
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var all []post.Draft
	for rows.Next() {
		d, err := scanDraft(rows)
		if err != nil {
			return nil, classify(op, err)
		}
		all = append(all, d)
	}
	return all, classify(op, rows.Err())
}

// Draft returns one draft.
func (l *Ledger) Draft(ctx context.Context, id int64) (post.Draft, error) {
	d, err := scanDraft(l.r.QueryRowContext(ctx, "SELECT id, draft, created_at, changed_at FROM messages WHERE id=?", id))
	return d, classifyMissing("look up the draft", "the draft does not exist", err)
}

// DeleteDraft removes a draft; one that is gone already is no error.
func (l *Ledger) DeleteDraft(ctx context.Context, id int64) error {
	return l.write(ctx, "delete the draft", func(t *Tx) error {
		_, err := t.exec("DELETE FROM messages WHERE id=?", id)
		return err
	})
}

func scanDraft(row interface{ Scan(...any) error }) (d post.Draft, err error) {
	var body string
	var id, created, changed int64
	if err := row.Scan(&id, &body, &created, &changed); err != nil {
		return d, err
	}
	err = json.Unmarshal([]byte(body), &d)
	d.ID, d.CreatedAt, d.ChangedAt = id, post.FromMillis(created), post.FromMillis(changed)
	return d, err
}

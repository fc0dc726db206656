package storage

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"postroom/post"
)

// maxHealth is how many reports are kept.
const maxHealth = 500

// Health returns a report that was kept for a question, and when it was asked;
// ErrNotFound when there is none.
func (l *Ledger) Health(ctx context.Context, question string) (report string, at time.Time, err error) {
	var ms int64
	err = l.r.QueryRowContext(ctx, "SELECT report, asked_at FROM domain_health WHERE question=?", question).Scan(&report, &ms)
	if errors.Is(err, sql.ErrNoRows) {
		return "", time.Time{}, ErrNotFound
	}
	return report, post.FromMillis(ms), classify("read what is known of the domain", err)
}

// SetHealth keeps a report, and forgets the oldest when there are many.
func (l *Ledger) SetHealth(ctx context.Context, question, report string, at time.Time) error {
	return l.write(ctx, "keep what is known of the domain", func(t *Tx) error {
		if _, err := t.exec("INSERT INTO domain_health (question, asked_at, report) VALUES (?1, ?2, ?3) ON CONFLICT (question) DO UPDATE SET asked_at=?2, report=?3",
			question, post.Millis(at), report); err != nil {
			return err
		}
		_, err := t.exec("DELETE FROM domain_health WHERE question NOT IN (SELECT question FROM domain_health ORDER BY asked_at DESC LIMIT ?)", maxHealth)
		return err
	})
}

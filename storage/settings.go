package storage

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
)

// Setting returns the value of a setting, or fallback when it was never set.
func (l *Ledger) Setting(ctx context.Context, key, fallback string) (string, error) {
	var v string
	err := l.r.QueryRowContext(ctx, "SELECT value FROM settings WHERE key = ?", key).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return fallback, nil
	}
	return v, classify("read a setting", err)
}

// Settings returns all settings that were set.
func (l *Ledger) Settings(ctx context.Context) (map[string]string, error) {
	rows, err := l.r.QueryContext(ctx, "SELECT key, value FROM settings WHERE key NOT LIKE 'ledger.%'")
	if err != nil {
		return nil, classify("read the settings", err)
	}
	defer rows.Close()
	m := map[string]string{}
	for rows.Next() {
		var k, v string
		if err := rows.Scan(&k, &v); err != nil {
			return nil, classify("read the settings", err)
		}
		m[k] = v
	}
	return m, classify("read the settings", rows.Err())
}

// SetSetting keeps a setting.
func (l *Ledger) SetSetting(ctx context.Context, key, value string) error {
	return l.write(ctx, "keep a setting", func(t *Tx) error { return t.setSetting(key, value) })
}

func (t *Tx) setSetting(key, value string) error {
	_, err := t.exec("INSERT INTO settings (key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2", key, value)
	return err
}

// ID returns the ledger's own random id; it is made with the file.
func (l *Ledger) ID(ctx context.Context) (string, error) { return l.Setting(ctx, "ledger.id", "") }

func (l *Ledger) ensureID(ctx context.Context) error {
	id, err := l.ID(ctx)
	if err != nil || id != "" {
		return err
	}
	return l.write(ctx, "mark the ledger", func(t *Tx) error { return t.setSetting("ledger.id", randomHex(16)) })
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

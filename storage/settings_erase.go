package storage

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"

	"postroom/post"
)

// EraseSetting takes a setting out of the ledger and its bytes out of the files:
// the database, its log, and the copies below backups/ that were made before a
// change of the schema or a restore. It is for what should never have been kept
// there. A copy that cannot be changed is logged; that is no error.
func (l *Ledger) EraseSetting(ctx context.Context, key string) error {
	const op = "erase a setting"
	path := filepath.Join(l.dir, FileName)
	// Through a connection of its own: the writer's leaves the bytes of freed pages.
	if err := eraseSetting(ctx, dsn(path, false), key); err != nil {
		return classify(op, err)
	}
	var copies []string
	for _, pattern := range []string{"before-schema-*.db", filepath.Join("before-restore-*", FileName)} {
		found, err := filepath.Glob(filepath.Join(l.dir, "backups", pattern))
		if err != nil {
			return &post.Error{Kind: post.KindInternal, Op: op, Err: err}
		}
		copies = append(copies, found...)
	}
	for _, path := range copies {
		if err := eraseSetting(ctx, path, key); err != nil {
			l.log.Warn("erase a setting in a copy of the ledger", slog.String("setting", key), slog.String("copy", path), slog.Any("err", err))
		}
	}
	return nil
}

// eraseSetting deletes a setting with its bytes. Where others still read, the
// ledger's log keeps them until the last one closes it.
func eraseSetting(ctx context.Context, source, key string) error {
	db, err := sql.Open("sqlite", source)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	for _, do := range []struct {
		query string
		args  []any
	}{
		{"PRAGMA busy_timeout=10000", nil},
		{"PRAGMA secure_delete=ON", nil},
		{"DELETE FROM settings WHERE key=?", []any{key}},
		{"PRAGMA wal_checkpoint(TRUNCATE)", nil},
	} {
		if _, err := db.ExecContext(ctx, do.query, do.args...); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	return db.Close()
}

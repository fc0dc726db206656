package storage

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"postroom/post"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date, each step in one transaction, after a
// copy of the file as it was. A newer schema is refused.
func migrate(ctx context.Context, db *sql.DB, path string, clock post.Clock, log *slog.Logger) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(database.DialectSQLite3, db, files, goose.WithSlog(log), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	have, newest, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	switch {
	case have == newest:
		return nil
	case have > newest:
		return &post.Error{
			Kind: post.KindInvalid, Op: "open the ledger", Reason: post.Reason{Key: "ledger.newer"},
			Message: fmt.Sprintf("this ledger was written by a newer Postroom (schema %d, this one knows %d); nothing was changed: install the newer version", have, newest),
		}
	case have > 0:
		if err := copyBefore(ctx, db, path, have, clock); err != nil {
			return fmt.Errorf("copy the ledger before changing it: %w", err)
		}
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("bring the ledger up to date: %w", err)
	}
	return nil
}

// copyBefore keeps the file as it was before a migration.
func copyBefore(ctx context.Context, db *sql.DB, path string, version int64, clock post.Clock) error {
	dir := filepath.Join(filepath.Dir(path), "backups")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	dst := filepath.Join(dir, fmt.Sprintf("before-schema-%d-%s.db", version+1, clock.Now().UTC().Format("20060102-150405")))
	return vacuumInto(ctx, db, dst)
}

// vacuumInto writes a compact copy, 0600, by temporary name, fsync and rename.
func vacuumInto(ctx context.Context, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, dst string,
) error {
	tmp := dst + ".tmp"
	if err := os.Remove(tmp); err != nil && !os.IsNotExist(err) {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	defer os.Remove(tmp) //nolint:errcheck // gone after the rename
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", tmp); err != nil {
		return err
	}
	return finishFile(tmp, dst)
}

// finishFile flushes tmp, gives it its name, and flushes the folder.
func finishFile(tmp, dst string) error {
	f, err := os.OpenFile(tmp, os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp, dst); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dst))
}

package storage

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"postroom/post"
)

// What the disk or another process can do to a ledger.
var (
	ErrFull     = errors.New("the disk is full")
	ErrBusy     = errors.New("another program keeps the ledger busy")
	ErrCorrupt  = errors.New("the ledger is damaged")
	ErrReadOnly = errors.New("the ledger cannot be written to")
	ErrDisk     = errors.New("the disk does not answer properly")
	ErrNotFound = errors.New("not found")
	// ErrMoved says that a delivery was not in the state that a move expected:
	// somebody else owns it.
	ErrMoved = errors.New("the delivery is not in the expected state")
)

// classify turns an error of SQLite or of the file system into a *post.Error
// with words for the user. nil stays nil, and a *post.Error stays as it is.
func classify(op string, err error) error {
	if err == nil {
		return nil
	}
	var known *post.Error
	if errors.As(err, &known) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &post.Error{Kind: post.KindCancelled, Op: op, Err: err}
	}
	if errors.Is(err, sql.ErrNoRows) {
		return &post.Error{Kind: post.KindNotFound, Op: op, Err: ErrNotFound}
	}
	wrap := func(kind post.Kind, sentinel error, key, message string) error {
		return &post.Error{Kind: kind, Op: op, Message: message, Reason: post.Reason{Key: key}, Err: errors.Join(sentinel, err)}
	}
	switch sqliteCode(err) & 0xff {
	case sqlite3.SQLITE_FULL:
		return wrap(post.KindInternal, ErrFull, "ledger.full", "make room on the disk; nothing was lost")
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return wrap(post.KindConflict, ErrBusy, "ledger.busy", "close the other program (another Postroom, a backup or virus scanner) and try again")
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return wrap(post.KindInternal, ErrReadOnly, "ledger.readonly", "check the rights of the data folder")
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return wrap(post.KindInternal, ErrCorrupt, "ledger.corrupt", "nothing was changed; restore the last backup with: postroom restore FILE")
	case sqlite3.SQLITE_CANTOPEN:
		return wrap(post.KindInternal, ErrReadOnly, "ledger.cantopen", "the data folder cannot be opened")
	}
	if sqliteCode(err)&0xff == sqlite3.SQLITE_IOERR || errors.Is(err, syscall.EIO) {
		return wrap(post.KindInternal, ErrDisk, "ledger.disk", "nothing was lost; look after the disk, and make a backup elsewhere")
	}
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return wrap(post.KindInternal, ErrFull, "ledger.full", "make room on the disk; nothing was lost")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return wrap(post.KindInternal, ErrReadOnly, "ledger.readonly", "check the rights of the data folder")
	}
	return &post.Error{Kind: post.KindInternal, Op: op, Err: err}
}

// sqliteCode returns SQLite's result code, extended, or 0.
func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// isUnique reports a violated UNIQUE constraint.
func isUnique(err error) bool {
	c := sqliteCode(err)
	return c == sqlite3.SQLITE_CONSTRAINT_UNIQUE || c == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
}

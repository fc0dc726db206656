// Package storage is the ledger: one SQLite file, postroom.db, in the data
// folder, and the files of attachments beside it. It is the only package that
// knows SQL.
//
// A Ledger has one write handle, owned by one goroutine, and a read-only pool.
// Every change is a function run inside a transaction by that goroutine;
// requests that arrive while a commit is on its way to the disk share the next
// one (group commit). When a method that changes something returns nil, the
// change is durable: journal_mode is WAL and synchronous is FULL.
//
// Several processes may have a ledger open; they write short transactions. The
// mailer's loop and the recovery belong to the one that holds the lock
// (TryLock). Reads see committed rows only and never block a writer.
//
// All methods are safe for concurrent use. Errors are *post.Error with words
// for the user; ErrFull, ErrBusy, ErrCorrupt and ErrReadOnly can be told with
// errors.Is.
package storage

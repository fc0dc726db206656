package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"postroom/post"
)

// FileName is the ledger's name in the data folder.
const FileName = "postroom.db"

// applicationID marks the file as ours (PRAGMA application_id): "PSTR".
const applicationID = 0x50535452

// Options are what Open needs besides the folder.
type Options struct {
	Clock post.Clock   // nil: the machine's
	Log   *slog.Logger // nil: nothing is logged
	// Known is the file outside of all ledgers by which a copied one is told;
	// empty: none is.
	Known string
}

// Ledger is an open ledger. See the package comment.
type Ledger struct {
	dir   string
	w     *writer
	wdb   *sql.DB
	r     *sql.DB
	clock post.Clock
	log   *slog.Logger

	closed     atomic.Bool
	orders     orders
	ranks      ranks
	maxWaiting int64 // MaxWaiting, or less in tests
}

// Open opens the ledger in dir, making folder (0700) and file (0600) where
// they are missing, brings its schema up to date after a copy, and asserts the
// pragmas. A file of another program, a newer version or a damaged file is
// refused with a clear message and left as it is. An import that was
// interrupted past its mark is completed, and so is the removal of a list.
func Open(ctx context.Context, dir string, opt Options) (*Ledger, error) {
	const op = "open the ledger"
	if opt.Clock == nil {
		opt.Clock = post.SystemClock{}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, classify(op, err)
	}
	l := &Ledger{dir: dir, clock: opt.Clock, log: opt.Log, maxWaiting: MaxWaiting}
	if err := l.openGated(ctx); err != nil {
		return nil, errors.Join(classify(op, err), l.closeHandles())
	}
	if err := l.recognise(ctx, opt.Known); err != nil {
		return nil, errors.Join(classify(op, err), l.Close())
	}
	if err := l.finishImports(ctx); err != nil {
		return nil, errors.Join(classify("finish an import", err), l.Close())
	}
	if err := l.finishLists(ctx); err != nil {
		return nil, errors.Join(classify("remove a list", err), l.Close())
	}
	return l, nil
}

// openGated opens while no other process does: two first starts at once must
// not both make the schema.
func (l *Ledger) openGated(ctx context.Context) error {
	gate := flock.New(filepath.Join(l.dir, "open.lock"), flock.SetPermissions(0o600))
	wait, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if ok, err := gate.TryLockContext(wait, 20*time.Millisecond); err != nil || !ok {
		return fmt.Errorf("wait for another start: %w", errors.Join(err, errGate))
	}
	defer gate.Unlock() //nolint:errcheck // closing the file releases it in any case
	return l.open(ctx)
}

var errGate = errors.New("postroom is being opened elsewhere")

func (l *Ledger) open(ctx context.Context) error {
	path := filepath.Join(l.dir, FileName)
	// The -wal and -shm files take their mode from this one. Made only when it
	// is missing: closing a second descriptor of an open database would drop
	// this process's locks on it.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	switch {
	case err == nil:
		if err := f.Close(); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	if l.wdb, err = sql.Open("sqlite", dsn(path, false)); err != nil {
		return err
	}
	l.wdb.SetMaxOpenConns(1)
	if err := identify(ctx, l.wdb); err != nil {
		return err
	}
	if err := migrate(ctx, l.wdb, path, l.clock, l.log); err != nil {
		return err
	}
	conn, err := l.wdb.Conn(ctx)
	if err != nil {
		return err
	}
	if err := assertPragmas(ctx, conn); err != nil {
		return errors.Join(err, conn.Close())
	}
	if l.r, err = sql.Open("sqlite", dsn(path, true)); err != nil {
		return errors.Join(err, conn.Close())
	}
	l.r.SetMaxOpenConns(8)
	l.r.SetMaxIdleConns(4)
	if l.w, err = newWriter(ctx, conn, l.clock); err != nil {
		return errors.Join(err, conn.Close())
	}
	return l.ensureID(ctx)
}

// dsn builds the data source name, so that each connection has the pragmas.
func dsn(path string, readOnly bool) string {
	q := url.Values{}
	q.Set("_dqs", "0")
	pragmas := []string{
		"busy_timeout(10000)", "foreign_keys(1)", "trusted_schema(0)", "cell_size_check(1)", "temp_store(2)",
	}
	if readOnly {
		q.Set("mode", "ro")
		pragmas = append(pragmas, "query_only(1)", "cache_size(-2048)")
	} else {
		q.Set("_txlock", "immediate")
		pragmas = append(pragmas, "cache_size(-8192)", "journal_mode(WAL)", "synchronous(FULL)", "fullfsync(1)", "checkpoint_fullfsync(1)",
			"secure_delete(FAST)", fmt.Sprintf("wal_autocheckpoint(%d)", checkpointPages), "journal_size_limit(67108864)")
	}
	for _, p := range pragmas {
		q.Add("_pragma", p)
	}
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(), RawQuery: q.Encode()}
	return u.String()
}

// identify refuses a database that is not a ledger.
func identify(ctx context.Context, db *sql.DB) error {
	var id, tables int
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	switch {
	case id == applicationID:
		return nil
	case id == 0 && tables == 0:
		_, err := db.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID))
		return err
	}
	return &post.Error{
		Kind: post.KindInvalid, Op: "open the ledger", Reason: post.Reason{Key: "ledger.foreign"},
		Message: FileName + " belongs to another program; choose another data folder",
	}
}

// assertPragmas holds what the rules of sending rest on.
func assertPragmas(ctx context.Context, c *sql.Conn) error {
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "trusted_schema": "0", "cell_size_check": "1",
	} {
		var got string
		if err := c.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&got); err != nil {
			return err
		}
		if !strings.EqualFold(got, want) {
			return post.Errorf(post.KindInternal, "open the ledger",
				"%s is %s and must be %s; is the data folder on a network drive? Postroom needs a local disk", pragma, got, want)
		}
	}
	return nil
}

// Dir returns the data folder.
func (l *Ledger) Dir() string { return l.dir }

// Close finishes the writes that wait, folds the log into the file and closes
// it. Whoever writes afterwards is told that it is closed.
func (l *Ledger) Close() error {
	l.ranks.end()
	if l.w != nil && l.closed.CompareAndSwap(false, true) {
		l.w.stop()
		// With other processes reading this may do less than all; they will.
		_, err := l.w.conn.ExecContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
		if err != nil && sqliteCode(err) == 0 {
			l.log.Warn("fold the ledger's log", "err", err)
		}
		for _, s := range l.w.stmts {
			_ = s.Close()
		}
		return errors.Join(l.w.conn.Close(), l.closeHandles())
	}
	return l.closeHandles()
}

func (l *Ledger) closeHandles() error {
	var errs []error
	for _, db := range []*sql.DB{l.r, l.wdb} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// write runs fn in a transaction of the writer; see writer.do.
func (l *Ledger) write(ctx context.Context, op string, fn func(*Tx) error) error {
	return classify(op, l.w.do(ctx, fn))
}

// Watch is a connection on which commits by others can be noticed cheaply. Not
// safe for concurrent use.
type Watch struct{ conn *sql.Conn }

// Watch returns a connection on which changes by others can be noticed.
func (l *Ledger) Watch(ctx context.Context) (*Watch, error) {
	c, err := l.r.Conn(ctx)
	if err != nil {
		return nil, classify("watch the ledger", err)
	}
	return &Watch{c}, nil
}

// Version returns SQLite's data_version: a number that differs from the one
// before when any other connection has committed in between.
func (w *Watch) Version(ctx context.Context) (int64, error) {
	var v int64
	err := w.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&v)
	return v, classify("watch the ledger", err)
}

// Close gives the connection back.
func (w *Watch) Close() error { return w.conn.Close() }

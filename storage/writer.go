package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"postroom/post"
)

// maxBatch is how many requests one commit carries at most.
const maxBatch = 64

// writer owns the one connection that writes. Requests queue up in a channel;
// whatever waits when a transaction begins shares its commit, so that a busy
// ledger flushes the disk once for many requests and an idle one at once.
type writer struct {
	conn  *sql.Conn
	reqs  chan *request
	quit  chan struct{} // closed by stop
	done  chan struct{} // closed when the loop has ended
	stmts map[string]*sql.Stmt
	feeds *feeds
	other *checkpointer // nil: the writer makes its checkpoints itself
	clock post.Clock
	held  func(time.Duration) // where set, is told how long each transaction kept the write lock; for tests
}

// request is one function to run inside a transaction. It may run twice: a
// batch in which one function fails is rolled back, and each is run alone.
type request struct {
	ctx  context.Context
	fn   func(*Tx) error
	done chan error
}

// Tx is one write transaction. It is used by one goroutine and ends with the
// function that received it.
type Tx struct {
	ctx    context.Context
	w      *writer
	now    time.Time
	counts map[countKey]int64
	hours  map[int64]outcome
}

type countKey struct {
	mailing int64
	state   post.State
}

type outcome struct{ sent, failed int64 }

func newWriter(ctx context.Context, conn *sql.Conn, clock post.Clock) (*writer, error) {
	f, err := newFeeds(ctx, conn)
	if err != nil {
		return nil, err
	}
	w := &writer{
		conn: conn, feeds: f, reqs: make(chan *request, maxBatch), quit: make(chan struct{}), done: make(chan struct{}),
		stmts: map[string]*sql.Stmt{}, clock: clock,
	}
	go w.run()
	return w, nil
}

// do runs fn in a transaction and returns when that is durable or has failed.
// It waits for a transaction already begun even when ctx ends, because only
// then it knows what became of it.
func (w *writer) do(ctx context.Context, fn func(*Tx) error) error {
	r := &request{ctx: ctx, fn: fn, done: make(chan error, 1)}
	select {
	case <-w.quit:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	case w.reqs <- r:
	}
	select {
	case err := <-r.done:
		return err
	case <-w.done:
		// The loop answers everything it took before it ends.
		select {
		case err := <-r.done:
			return err
		default:
			return errClosed
		}
	}
}

var errClosed = errors.New("the ledger is closed")

// stop ends the loop after the requests that wait, and closes the connection.
func (w *writer) stop() {
	close(w.quit)
	<-w.done
}

func (w *writer) run() {
	defer close(w.done)
	defer w.feeds.close()
	batch := make([]*request, 0, maxBatch)
	for {
		first, ok := w.next()
		if !ok {
			return
		}
		batch = append(batch[:0], first)
	more:
		for len(batch) < maxBatch {
			select {
			case r := <-w.reqs:
				batch = append(batch, r)
			default:
				break more
			}
		}
		w.commit(batch)
	}
}

// next waits for a request; after stop it returns only those that wait already.
func (w *writer) next() (*request, bool) {
	select {
	case r := <-w.reqs:
		return r, true
	case <-w.quit:
	}
	select {
	case r := <-w.reqs:
		return r, true
	default:
		return nil, false
	}
}

// commit runs a batch in one transaction; if anything in it fails, each
// request runs in one of its own, so that none fails for another.
func (w *writer) commit(batch []*request) {
	if len(batch) > 1 {
		if err := w.transact(batch); err == nil {
			for _, r := range batch {
				r.done <- nil
			}
			return
		}
	}
	for i, r := range batch {
		r.done <- w.transact(batch[i : i+1])
	}
}

func (w *writer) transact(batch []*request) (err error) {
	// A transaction that has begun is finished whatever the callers want.
	ctx := context.WithoutCancel(batch[0].ctx)
	if len(batch) == 1 {
		if err := batch[0].ctx.Err(); err != nil {
			return err
		}
	}
	tx := &Tx{ctx: ctx, w: w}
	if _, err := tx.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	began := w.clock.Elapsed()
	defer func() {
		if w.held != nil {
			w.held(w.clock.Elapsed() - began)
		}
	}()
	defer func() {
		if err != nil {
			// After some errors SQLite has rolled back by itself and says so.
			_, _ = w.conn.ExecContext(ctx, "ROLLBACK")
		}
	}()
	tx.now = w.clock.Now()
	for _, r := range batch {
		if err := r.fn(tx); err != nil {
			return err
		}
	}
	if err := tx.flushCounts(); err != nil {
		return err
	}
	if _, err = tx.exec("COMMIT"); err == nil && w.other != nil {
		w.other.nudge()
	}
	return err
}

// exec runs a statement, prepared once per connection.
func (t *Tx) exec(query string, args ...any) (sql.Result, error) {
	s, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(t.ctx, args...)
}

// change runs a statement and returns how many rows it changed.
func (t *Tx) change(query string, args ...any) (int64, error) {
	res, err := t.exec(query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t *Tx) query(query string, args ...any) (*sql.Rows, error) {
	s, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(t.ctx, args...)
}

func (t *Tx) queryRow(query string, args ...any) (*sql.Row, error) {
	s, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	return s.QueryRowContext(t.ctx, args...), nil
}

// scan reads one row into dest; sql.ErrNoRows when there is none.
func (t *Tx) scan(query string, args []any, dest ...any) error {
	row, err := t.queryRow(query, args...)
	if err != nil {
		return err
	}
	return row.Scan(dest...)
}

func (t *Tx) stmt(query string) (*sql.Stmt, error) {
	if s := t.w.stmts[query]; s != nil {
		return s, nil
	}
	s, err := t.w.conn.PrepareContext(t.ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	t.w.stmts[query] = s
	return s, nil
}

// count notes that n deliveries of a mailing came into (or, negative, left) a
// state. The counters are written once, before the commit.
func (t *Tx) count(mailing int64, s post.State, n int64) {
	if t.counts == nil {
		t.counts = map[countKey]int64{}
	}
	t.counts[countKey{mailing, s}] += n
}

// outcomeAt notes live outcomes for the chart.
func (t *Tx) outcomeAt(at time.Time, sent, failed int64) {
	if t.hours == nil {
		t.hours = map[int64]outcome{}
	}
	h := at.Unix() / 3600
	o := t.hours[h]
	t.hours[h] = outcome{o.sent + sent, o.failed + failed}
}

func (t *Tx) flushCounts() error {
	pending := map[int64]int64{} // by mailing, how its number of pending rows changes
	for k, n := range t.counts {
		if n == 0 {
			continue
		}
		if _, err := t.exec(`INSERT INTO mailing_counts (mailing_id, state, n) VALUES (?, ?, max(?, 0))
			ON CONFLICT DO UPDATE SET n = n + ?`, k.mailing, string(k.state), n, n); err != nil {
			return err
		}
		if k.state.IsPending() {
			pending[k.mailing] += n
		}
	}
	for id, n := range pending {
		if n == 0 {
			continue
		}
		if _, err := t.exec(`UPDATE mailings SET finished_at = CASE WHEN (SELECT coalesce(sum(n), 0) FROM mailing_counts
				WHERE mailing_id = ?1 AND state IN ('queued', 'claimed', 'sending')) = 0 THEN ?2 ELSE 0 END
			WHERE id = ?1 AND (finished_at = 0) = ((SELECT coalesce(sum(n), 0) FROM mailing_counts
				WHERE mailing_id = ?1 AND state IN ('queued', 'claimed', 'sending')) = 0)`, id, post.Millis(t.now)); err != nil {
			return err
		}
	}
	for h, o := range t.hours {
		if _, err := t.exec(`INSERT INTO outcomes (hour, sent, failed) VALUES (?1, ?2, ?3)
			ON CONFLICT DO UPDATE SET sent = sent + ?2, failed = failed + ?3`, h, o.sent, o.failed); err != nil {
			return err
		}
	}
	return nil
}

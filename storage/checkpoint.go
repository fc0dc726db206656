package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
)

// The log is copied into the file (a checkpoint, https://sqlite.org/wal.html) in the
// commit with which it has come to so many pages; to more of them while somebody else
// copies it meanwhile.
const (
	checkpointPages       = 1000
	checkpointPagesBeside = 8 * checkpointPages
)

// checkpointer makes checkpoints on a connection of its own, while the writer is at
// the next transaction. Such a checkpoint keeps nobody waiting (PASSIVE), and it never
// begins the log anew: that does the writer's own, which then has little left to copy.
type checkpointer struct {
	db   *sql.DB
	due  chan struct{}
	quit chan struct{}
	done chan struct{}
	log  *slog.Logger
}

// nudge says that something was committed. It never waits.
func (c *checkpointer) nudge() {
	select {
	case c.due <- struct{}{}:
	default: // it is to look again in any case
	}
}

func (c *checkpointer) run() {
	defer close(c.done)
	for {
		select {
		case <-c.due:
		case <-c.quit:
			c.checkpoint() // of what was committed last
			return
		}
		c.checkpoint()
	}
}

// checkpoint makes one. What fails here is left to the writer's own.
func (c *checkpointer) checkpoint() {
	if _, err := c.db.ExecContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
		c.log.Warn("make a checkpoint", slog.Any("err", err))
	}
}

func (c *checkpointer) stop() error {
	close(c.quit)
	<-c.done
	return c.db.Close()
}

// checkpointBeside lets checkpoints be made beside the writer until end is called. It
// is for what writes much in many transactions; where it cannot be had all goes on
// without it, and of two who want it the second has the first one's.
func (l *Ledger) checkpointBeside(ctx context.Context) (end func()) {
	db, err := sql.Open("sqlite", dsn(filepath.Join(l.dir, FileName), false))
	if err != nil {
		l.log.Warn("make checkpoints beside the writer", slog.Any("err", err))
		return func() {}
	}
	db.SetMaxOpenConns(1)
	c := &checkpointer{db: db, due: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}), log: l.log}
	if err := l.w.do(ctx, func(t *Tx) error { return t.checkpointsBy(nil, c) }); err != nil {
		l.log.Warn("make checkpoints beside the writer", slog.Any("err", err))
	}
	go c.run()
	return func() {
		if err := l.w.do(context.WithoutCancel(ctx), func(t *Tx) error { return t.checkpointsBy(c, nil) }); err != nil && !errors.Is(err, errClosed) {
			l.log.Warn("make checkpoints beside the writer", slog.Any("err", err))
		}
		if err := c.stop(); err != nil {
			l.log.Warn("make checkpoints beside the writer", slog.Any("err", err))
		}
	}
}

// checkpointsBy leaves the checkpoints to another one, if was is who makes them now.
func (t *Tx) checkpointsBy(was, other *checkpointer) error {
	if t.w.other != was {
		return nil
	}
	pages := checkpointPages
	if other != nil {
		pages = checkpointPagesBeside
	}
	t.w.other = other
	_, err := t.exec(fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", pages))
	return err
}

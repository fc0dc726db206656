package storage

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"postroom/post"
)

// hold gives a piece of work, named by the key of a setting, to one holder at a
// time, also of several processes. It ends by itself, for holders that died.
func (l *Ledger) hold(ctx context.Context, key, holder string, long time.Duration) (held bool, err error) {
	err = l.write(ctx, "hold a piece of work", func(t *Tx) error {
		held = false
		by, until, err := t.heldBy(key)
		if err != nil || by != holder && t.now.Before(until) && until.Sub(t.now) <= long { // one beyond that is of a clock that ran ahead
			return err
		}
		held = true
		return t.setSetting(key, holder+" "+strconv.FormatInt(post.Millis(t.now.Add(long)), 10))
	})
	return held, err
}

// letGo ends a holder's time.
func (l *Ledger) letGo(ctx context.Context, key, holder string) error {
	return l.write(ctx, "let a piece of work go", func(t *Tx) error {
		by, _, err := t.heldBy(key)
		if err != nil || by != holder {
			return err
		}
		_, err = t.exec("DELETE FROM settings WHERE key = ?", key)
		return err
	})
}

func (t *Tx) heldBy(key string) (by string, until time.Time, err error) {
	var v string
	err = t.scan("SELECT value FROM settings WHERE key = ?", []any{key}, &v)
	if errors.Is(err, sql.ErrNoRows) {
		return "", time.Time{}, nil
	}
	if err != nil {
		return "", time.Time{}, err
	}
	by, at, _ := strings.Cut(v, " ")
	n, err := strconv.ParseInt(at, 10, 64)
	return by, post.FromMillis(n), err
}

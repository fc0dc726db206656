package storage

import (
	"context"
	"time"
)

// timeUp reports whether a transaction has done its part for as long as a step
// may, by the clock that the step began at: it then ends, and another one goes on.
func (t *Tx) timeUp(began time.Duration) bool {
	return t.w.clock.Elapsed()-began >= applyBound
}

// inSteps gives parts of all to do, at most part of them at a time, in transactions
// that end when their time is up, so that others write between them. What do did in
// the transaction that failed is undone, what it did in those before stays.
func inSteps[T any](ctx context.Context, l *Ledger, op string, all []T, part int, do func(t *Tx, some []T) error) error {
	for len(all) > 0 {
		rest := all
		if err := l.write(ctx, op, func(t *Tx) error {
			rest = all
			began := t.w.clock.Elapsed()
			for len(rest) > 0 && (len(rest) == len(all) || !t.timeUp(began)) {
				n := min(part, len(rest))
				if err := do(t, rest[:n]); err != nil {
					return err
				}
				rest = rest[n:]
			}
			return nil
		}); err != nil {
			return err
		}
		all = rest
	}
	return nil
}

// drainStep is how many rows a piece of a drain changes at most.
const drainStep = 500

// drain lets do change rows, drainStep at most, until it changes less, in
// transactions that end when their time is up. The one with the last rows ends with
// last, where that is given.
func (l *Ledger) drain(ctx context.Context, op string, do func(t *Tx) (int64, error), last func(t *Tx) error) error {
	for done := false; !done; {
		if err := l.write(ctx, op, func(t *Tx) error {
			began := t.w.clock.Elapsed()
			for {
				n, err := do(t)
				if err != nil {
					return err
				}
				if done = n < drainStep; done || t.timeUp(began) {
					break
				}
			}
			if done && last != nil {
				return last(t)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

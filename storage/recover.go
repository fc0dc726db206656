package storage

import (
	"context"
	"time"

	"postroom/post"
)

// Recovered counts what Recover found.
type Recovered struct{ Requeued, Sent, Uncertain, Held int64 }

// Progress is what the mark of a dead process says about one delivery.
type Progress struct {
	Rendering bool
	Code      int // of the reply to its dot; 0 while that was awaited
}

// Recover settles what a dead process left behind; the caller holds the lock
// and runs no mailer yet. Claimed rows go back to the queue, for nothing was
// sent. Rows in sending had a durable intent and perhaps a dot on the wire. Of
// a rehearsal they are queued again. Of a live mailing they become uncertain,
// unless the mark is trusted: then a row that it does not name was never
// started and is queued, one with a reply is what the reply says, and only one
// that waited for its reply is uncertain. A trusted mark also tells which rows
// were being worked on; their crash count rises, and at post.MaxCrashes a row
// is held.
func (l *Ledger) Recover(ctx context.Context, progress map[int64]Progress, trusted bool) (Recovered, error) {
	var out Recovered
	err := l.write(ctx, "recover", func(t *Tx) error {
		out = Recovered{}
		left, err := t.left()
		if err != nil {
			return err
		}
		for _, x := range left {
			p, named := progress[x.ID]
			r := x.settle(p, named, trusted, t.now)
			switch {
			case r.To == post.StateSent:
				out.Sent++
			case r.To == post.StateUncertain:
				out.Uncertain++
			case r.Held:
				out.Held++
			default:
				out.Requeued++
			}
			if err := t.result(&r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Recovered{}, err
	}
	return out, l.dropStale(ctx)
}

// leftover is a row that a dead process had claimed.
type leftover struct {
	Result
	account int64
	changed time.Time
}

func (t *Tx) left() ([]leftover, error) {
	rows, err := t.query(`SELECT d.id, d.mailing_id, d.state, d.claim, d.account_id, d.crashes, d.changed_at, m.kind = 'live'
		FROM deliveries d JOIN mailings m ON m.id = d.mailing_id WHERE d.state NOT IN ('queued', 'sent') AND d.state IN ('claimed', 'sending')`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []leftover
	for rows.Next() {
		var x leftover
		var changed int64
		if err := rows.Scan(&x.ID, &x.Mailing, &x.From, &x.Claim, &x.account, &x.Crashes, &changed, &x.Live); err != nil {
			return nil, err
		}
		x.changed = post.FromMillis(changed)
		all = append(all, x)
	}
	return all, rows.Err()
}

// settle works out what a leftover row becomes.
func (x leftover) settle(p Progress, named, trusted bool, now time.Time) Result {
	r := x.Result
	r.To = post.StateQueued
	inFlight := x.From == post.StateSending && (!trusted || named && !p.Rendering && p.Code == 0)
	answered := x.From == post.StateSending && trusted && named && p.Code > 0
	if trusted && named && p.Code <= 0 {
		r.Crashes++
	}
	if !x.Live {
		inFlight, answered = false, false
	}
	attempt := &post.Attempt{
		Account: x.account, StartedAt: x.changed, EndedAt: now, Phase: post.PhaseDot, Charged: true, DotSent: true,
		Error: "the program was interrupted",
	}
	switch {
	case inFlight:
		r.To, r.Reason, r.Attempt = post.StateUncertain, post.Reason{Key: "uncertain.interrupted"}, attempt
	case answered && p.Code/100 == 2:
		attempt.Reply = post.Reply{Code: p.Code}
		r.To, r.Attempt = post.StateSent, attempt
	case r.Crashes >= post.MaxCrashes:
		r.Held, r.Reason = true, post.Reason{Key: "delivery.crashed"}
	}
	return r
}

// dropStale removes mailings whose enqueue died before it became visible.
func (l *Ledger) dropStale(ctx context.Context) error {
	const op = "clear up"
	ids, err := l.stale(ctx)
	if err != nil {
		return classify(op, err)
	}
	for _, id := range ids {
		if err := l.dropMailing(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) stale(ctx context.Context) ([]int64, error) {
	rows, err := l.r.QueryContext(ctx, "SELECT id FROM mailings WHERE ready=0 AND created_at < ?", post.Millis(l.clock.Now().Add(-time.Hour)))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

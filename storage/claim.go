package storage

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"postroom/post"
)

// ClaimParams says who claims, and how much.
type ClaimParams struct {
	Kind post.MailingKind
	// Account is the sender account. With a rehearsal it is the one in whose place
	// the trap takes messages at real speed; 0: those that go as fast as they can.
	Account int64
	Claim   int64 // the claimer's mark, unique in the process; not 0
	N       int
	After   int64 // the mailing that was served last: the next ones come first
	// Most limits how many rows of one mailing are taken, where it is set: the
	// account's share of it.
	Most func(mailing int64) int
	// Deadline is how long after its first charged attempt a delivery is given up.
	Deadline time.Duration
	// Intend takes the rows on to sending at once (commit B together with the
	// claim), with At as their Date where they have none yet.
	Intend bool
	At     time.Time
	// Results are recorded in the same transaction (commit C), as by Record.
	Results []Result
}

// Claim moves up to p.N due deliveries to claimed, or with p.Intend to sending,
// and returns them in order. Nothing was sent for them yet; a crash gives those
// that are claimed back. People suppressed since they were queued are moved to
// suppressed, rows past their deadline to expired, and neither is returned.
// Mailings outside their sending hours give nothing. p.Results are durable when
// it returns without an error, also where nothing was claimed; ErrMoved is as in
// Record.
func (l *Ledger) Claim(ctx context.Context, p ClaimParams) ([]post.Delivery, error) {
	var got []post.Delivery
	var skipped []int64
	err := l.write(ctx, "claim deliveries", func(t *Tx) error {
		got, skipped = got[:0], skipped[:0]
		for i := range p.Results {
			if err := t.result(&p.Results[i]); err != nil {
				return err
			}
		}
		open, late, err := t.claimable(p)
		if err != nil {
			return err
		}
		for i := range late {
			if err := t.holdLate(&late[i]); err != nil {
				return err
			}
			if late[i].Late.Then == post.LateSkip {
				skipped = append(skipped, late[i].ID)
			}
		}
		for _, m := range open {
			n := p.N - len(got)
			if p.Most != nil {
				n = min(n, p.Most(m.id))
			}
			if n <= 0 {
				continue
			}
			rows, err := t.claimFrom(m, p, n)
			if err != nil {
				return err
			}
			got = append(got, rows...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, id := range skipped { // nothing of them is claimed any more
		if _, err := l.moveRows(context.WithoutCancel(ctx), "skip the mailing", id, post.StateQueued, post.StateCancelled, "reason = ''"); err != nil {
			l.log.Warn("cancel a mailing that was too late", "mailing", id, "err", err)
		}
	}
	return got, nil
}

// holdLate does what the user wished for a mailing that is too late to begin.
func (t *Tx) holdLate(m *post.Mailing) error {
	hold, why := post.MailingPaused, post.Reason{Key: "mailing.late", Args: []string{m.NotBefore.UTC().Format("2006-01-02 15:04 UTC")}}
	if m.Late.Then == post.LateSkip {
		hold, why = post.MailingCancelled, post.Reason{Key: "mailing.late_skipped", Args: []string{m.NotBefore.UTC().Format("2006-01-02 15:04 UTC")}}
	}
	_, err := t.exec("UPDATE mailings SET hold=?, reason=? WHERE id=?", string(hold), why.Encode(), m.ID)
	return err
}

// claimable is a mailing that may be claimed from.
type claimable struct {
	id      int64
	release int64 // how many may be tried for the first time; -1: all
}

// sentBy says of a mailing m whether the account ?2 sends it; 0 takes the
// rehearsals that go as fast as they can.
const sentBy = `CASE ?2 WHEN 0 THEN m.real_speed = 0 ELSE m.real_speed = (m.kind <> 'live')
	AND EXISTS (SELECT 1 FROM mailing_senders s WHERE s.mailing_id = m.id AND s.account_id = ?2) END`

// claimable lists the mailings that this account may send from now, in turn; and
// those of which nothing was tried and that are too late to begin.
func (t *Tx) claimable(p ClaimParams) (all []claimable, late []post.Mailing, err error) {
	rows, err := t.query(`SELECT m.id, m.hours, m.release_left, m.not_before, m.late_after,
			CASE WHEN m.late_then = '' OR EXISTS (SELECT 1 FROM mailing_counts c WHERE c.mailing_id = m.id AND c.state <> 'queued' AND c.n > 0)
				THEN '' ELSE m.late_then END FROM mailings m
		WHERE m.ready = 1 AND m.finished_at = 0 AND m.hold = '' AND m.kind = ?1 AND m.not_before <= ?3
		AND `+sentBy+`
		ORDER BY m.id <= ?4, m.id`, string(p.Kind), p.Account, post.Millis(t.now), p.After)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c claimable
		var m post.Mailing
		var hours string
		var notBefore, after int64
		if err := rows.Scan(&c.id, &hours, &c.release, &notBefore, &after, &m.Late.Then); err != nil {
			return nil, nil, err
		}
		if hours != "" {
			if m.Hours, err = post.DecodeHours(hours); err != nil {
				return nil, nil, err
			}
		}
		m.ID, m.NotBefore, m.Late.After = c.id, post.FromMillis(notBefore), time.Duration(after)*time.Millisecond
		if m.Missed(t.now) {
			late = append(late, m)
			continue
		}
		if open, _ := m.Hours.Open(t.now); hours != "" && !open {
			continue
		}
		all = append(all, c)
	}
	return all, late, rows.Err()
}

const deliveryColumns = `id, mailing_id, row, contact_id, address, key, copy, name, fields, attachments, message_id, seed, state,
	account_id, attempts, next_at, date, reason, held, resends, crashes, queued_at, first_at, sent_at, changed_at, receipt`

func scanDelivery(row interface{ Scan(...any) error }, more ...any) (d post.Delivery, err error) {
	var fields, attachments, reason string
	var copyNo, seed, next, date, queued, first, sent, changed int64
	dest := []any{
		&d.ID, &d.Mailing, &d.Row, &d.Contact, &d.Address, &d.Key, &copyNo, &d.Name, &fields, &attachments, &d.MessageID, &seed, &d.State,
		&d.Account, &d.Attempts, &next, &date, &reason, &d.Held, &d.Resends, &d.Crashes, &queued, &first, &sent, &changed,
		&d.Receipt,
	}
	if err := row.Scan(append(dest, more...)...); err != nil {
		return d, err
	}
	d.Seed = uint64(seed)
	d.NextAt, d.Date, d.QueuedAt = post.FromMillis(next), post.FromMillis(date), post.FromMillis(queued)
	d.FirstAt, d.SentAt, d.ChangeAt = post.FromMillis(first), post.FromMillis(sent), post.FromMillis(changed)
	d.Reason = post.DecodeReason(reason)
	err = decodeMerge(&d, fields, attachments)
	return d, err
}

// decodeMerge reads a delivery's frozen merge values.
func decodeMerge(d *post.Delivery, fields, attachments string) (err error) {
	if d.Fields, err = decodeFields(fields); err != nil || attachments == "" {
		return err
	}
	return json.Unmarshal([]byte(attachments), &d.Attachments)
}

// claimFrom claims up to n rows of one mailing.
func (t *Tx) claimFrom(m claimable, p ClaimParams, n int) ([]post.Delivery, error) {
	if p.Deadline > 0 {
		if err := t.expire(m.id, p); err != nil {
			return nil, err
		}
	}
	if m.release < 0 {
		return t.claimRows(m.id, p, n, claimDue)
	}
	// Only rows that were not tried yet wait to be released.
	got, err := t.claimRows(m.id, p, n, claimAgain)
	if n = min(n-len(got), int(m.release)); err != nil || n <= 0 {
		return got, err
	}
	fresh, err := t.claimRows(m.id, p, n, claimFresh)
	return append(got, fresh...), err
}

// Which rows of a mailing are claimed. A row that waits for its turn and was
// never touched has no next_at.
const (
	claimDue   = "d.next_at <= ?3"
	claimAgain = "d.next_at > 0 AND d.next_at <= ?3"
	claimFresh = "d.next_at = 0"
)

// A row keeps its account while that may send; the columns returned are what a
// mailer needs.
const (
	claimHead = `UPDATE OR FAIL deliveries SET claim = ?1, account_id = ?2, changed_at = ?3, `
	claimRows = ` WHERE id IN (SELECT d.id FROM deliveries d WHERE d.mailing_id = ?4 AND d.state = 'queued' AND d.held = 0 AND `
	claimTail = ` AND (d.account_id IN (0, ?2) OR NOT EXISTS (SELECT 1 FROM accounts a JOIN mailing_senders s ON s.account_id = a.id AND s.mailing_id = ?4
					WHERE a.id = d.account_id AND a.hold = '' AND a.wait_until <= ?3 AND a.removed_at = 0))
			ORDER BY d.next_at, d.id LIMIT ?5)
		RETURNING id, row, contact_id, address, key, name, fields, attachments, message_id, seed, attempts, tries, next_at, date, resends, crashes, first_at,
			` + unwanted + ` IS NOT NULL`
	claimOnly   = `state = 'claimed'`
	claimIntend = `state = 'sending', date = CASE date WHEN 0 THEN ?6 ELSE date END`
)

func (t *Tx) claimRows(mailing int64, p ClaimParams, n int, which string) ([]post.Delivery, error) {
	set, state := claimOnly, post.StateClaimed
	args := []any{p.Claim, p.Account, post.Millis(t.now), mailing, n}
	if p.Intend {
		set, state = claimIntend, post.StateSending
		args = append(args, post.Millis(p.At))
	}
	got, suppressed, err := t.scanClaimed(claimHead+set+claimRows+which+claimTail, args)
	if err != nil || len(got)+len(suppressed) == 0 {
		return nil, err
	}
	if p.Kind != post.Live { // a rehearsal goes to everybody
		got, suppressed = append(got, suppressed...), nil
	}
	for i := range got {
		got[i].Mailing, got[i].Kind, got[i].State, got[i].Account = mailing, p.Kind, state, p.Account
	}
	all := int64(len(got) + len(suppressed))
	t.count(mailing, post.StateQueued, -all)
	t.count(mailing, state, all)
	if which == claimFresh {
		if _, err := t.exec("UPDATE mailings SET release_left = release_left - ?1 WHERE id = ?2", all, mailing); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(got, func(a, b post.Delivery) int { return int(a.ID - b.ID) })
	return got, t.dropSuppressed(suppressed, mailing, state)
}

// scanClaimed runs a claiming statement and tells the suppressed rows apart.
func (t *Tx) scanClaimed(query string, args []any) (got, suppressed []post.Delivery, err error) {
	rows, err := t.query(query, args...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var d post.Delivery
		var fields, attachments string
		var seed, next, date, first int64
		var drop bool
		err := rows.Scan(&d.ID, &d.Row, &d.Contact, &d.Address, &d.Key, &d.Name, &fields, &attachments, &d.MessageID, &seed, &d.Attempts, &d.Tries, &next, &date,
			&d.Resends, &d.Crashes, &first, &drop)
		if err != nil {
			return nil, nil, err
		}
		d.Seed, d.NextAt, d.Date, d.FirstAt = uint64(seed), post.FromMillis(next), post.FromMillis(date), post.FromMillis(first)
		if err := decodeMerge(&d, fields, attachments); err != nil {
			return nil, nil, err
		}
		if drop {
			suppressed = append(suppressed, d)
		} else {
			got = append(got, d)
		}
	}
	return got, suppressed, rows.Err()
}

// dropSuppressed gives up rows that were just claimed.
func (t *Tx) dropSuppressed(rows []post.Delivery, mailing int64, from post.State) error {
	for _, d := range rows {
		if _, err := t.exec(`UPDATE deliveries SET state = 'suppressed', claim = 0,
			reason = json_object('key', 'skip.suppressed', 'args', json_array(`+unwanted+`))
			WHERE id = ?`, d.ID); err != nil {
			return err
		}
	}
	t.count(mailing, from, -int64(len(rows)))
	t.count(mailing, post.StateSuppressed, int64(len(rows)))
	return nil
}

// expire gives up rows of a mailing whose deadline has passed.
func (t *Tx) expire(mailing int64, p ClaimParams) error {
	n, err := t.change(`UPDATE deliveries SET state = 'expired', changed_at = ?1 WHERE mailing_id = ?2 AND state = 'queued'
		AND next_at > 0 AND next_at <= ?1 AND first_at > 0 AND first_at <= ?3`,
		post.Millis(t.now), mailing, post.Millis(t.now.Add(-p.Deadline)))
	if err != nil || n == 0 {
		return err
	}
	t.count(mailing, post.StateQueued, -n)
	t.count(mailing, post.StateExpired, n)
	if p.Kind == post.Live {
		t.outcomeAt(t.now, 0, n)
	}
	return nil
}

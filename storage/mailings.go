package storage

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base32"
	"encoding/json"
	"errors"
	"iter"
	mathrand "math/rand/v2"
	"strconv"
	"strings"
	"time"

	"postroom/post"
)

// enqueueChunk is how many rows one transaction of an enqueue writes: about 30
// ms, so that a running mailer and other processes are not held up.
const enqueueChunk = 2000

// Enqueue freezes a mailing and writes one delivery per row (commit A). The
// rows are written in short transactions while nobody sees the mailing; the
// last one makes it visible with its counters, so the mailing is there whole
// or not at all, whatever happens in between. Suppressed people (not in a
// rehearsal) and second rows with the same recipient key come back as skipped.
// When nothing is left to send, no mailing is made and the returned ID is 0.
func (l *Ledger) Enqueue(ctx context.Context, m post.Mailing, rows iter.Seq2[post.Recipient, error]) (post.Mailing, []post.Skipped, error) {
	const op = "queue the mailing"
	if len(m.Senders) == 0 {
		return m, nil, post.Errorf(post.KindInvalid, op, "choose a sender account")
	}
	from, err := post.ParseAddress(m.Senders[0].Email)
	if err != nil {
		return m, nil, err
	}
	m.Token = newToken()
	if m, err = l.createMailing(ctx, m); err != nil {
		return m, nil, err
	}
	e := enqueuer{mailing: m, domain: from.ASCII, rnd: newRand()}
	if err := e.run(ctx, l, rows); err != nil {
		return m, nil, errors.Join(err, l.dropMailing(context.WithoutCancel(ctx), m.ID))
	}
	if e.queued == 0 {
		err := l.dropMailing(context.WithoutCancel(ctx), m.ID)
		m.ID = 0
		return m, e.skipped, err
	}
	err = l.write(ctx, op, func(t *Tx) error {
		n, err := t.change("UPDATE mailings SET ready=1 WHERE id=? AND ready=0", m.ID)
		t.count(m.ID, post.StateQueued, e.queued)
		return oneRow(op, "the mailing", n, err)
	})
	if err != nil {
		return m, nil, errors.Join(err, l.dropMailing(context.WithoutCancel(ctx), m.ID))
	}
	m.Counts = map[post.State]int64{post.StateQueued: e.queued}
	return m, e.skipped, nil
}

func (l *Ledger) createMailing(ctx context.Context, m post.Mailing) (post.Mailing, error) {
	const op = "queue the mailing"
	content, err := json.Marshal(m.Content)
	if err != nil {
		return m, classify(op, err)
	}
	err = l.write(ctx, op, func(t *Tx) error {
		res, err := t.exec(`INSERT INTO mailings (kind, name, content, token, hold, not_before, created_at) VALUES (?,?,?,?,?,?,?)`,
			string(m.Kind), m.Name, string(content), m.Token, string(m.Hold), post.Millis(m.NotBefore), post.Millis(t.now))
		if err != nil {
			return err
		}
		if m.ID, err = res.LastInsertId(); err != nil {
			return err
		}
		m.CreatedAt = t.now
		for i, s := range m.Senders {
			if _, err := t.exec(`INSERT INTO mailing_senders (mailing_id, account_id, position, weight, email, from_name) VALUES (?,?,?,?,?,?)`,
				m.ID, s.Account, i, max(s.Weight, 1), s.Email, s.FromName); err != nil {
				return err
			}
		}
		return nil
	})
	return m, err
}

// enqueuer writes the rows of one mailing.
type enqueuer struct {
	mailing post.Mailing
	domain  string
	rnd     *mathrand.ChaCha8
	row     int64
	queued  int64
	skipped []post.Skipped
}

func (e *enqueuer) run(ctx context.Context, l *Ledger, rows iter.Seq2[post.Recipient, error]) error {
	chunk := make([]post.Recipient, 0, enqueueChunk)
	for r, err := range rows {
		if err != nil {
			return err
		}
		if chunk = append(chunk, r); len(chunk) == cap(chunk) {
			if err := e.flush(ctx, l, chunk); err != nil {
				return err
			}
			chunk = chunk[:0]
		}
	}
	if len(chunk) == 0 {
		return nil
	}
	return e.flush(ctx, l, chunk)
}

func (e *enqueuer) flush(ctx context.Context, l *Ledger, chunk []post.Recipient) error {
	before, queued, skipped := e.row, e.queued, len(e.skipped)
	return l.write(ctx, "queue the mailing", func(t *Tx) error {
		e.row, e.queued, e.skipped = before, queued, e.skipped[:skipped] // it may run twice
		for _, r := range chunk {
			if err := e.put(t, r); err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *enqueuer) put(t *Tx, r post.Recipient) error {
	e.row++
	key, copyNo := splitKey(r.Key)
	if e.mailing.Kind == post.Live {
		if err := t.recallSuppressions(key); err != nil {
			return err
		}
		var reason string
		switch err := t.scan("SELECT reason FROM suppressions WHERE key=?", []any{key}, &reason); {
		case err == nil:
			e.skipped = append(e.skipped, post.Skipped{Address: r.Address, Reason: post.Reason{Key: "skip.suppressed", Args: []string{reason}}})
			return nil
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
	}
	fields, err := encodeFields(r.Fields)
	if err != nil {
		return err
	}
	attachments := ""
	if len(r.Attachments) > 0 {
		b, err := json.Marshal(r.Attachments)
		if err != nil {
			return err
		}
		attachments = string(b)
	}
	now := post.Millis(t.now)
	n, err := t.change(`INSERT INTO deliveries (mailing_id, row, contact_id, address, key, copy, name, fields, attachments,
		message_id, seed, state, queued_at, changed_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,'queued',?,?) ON CONFLICT DO NOTHING`,
		e.mailing.ID, e.row, r.Contact, r.Address, key, copyNo, r.Name, fields, attachments,
		e.messageID(), int64(e.rnd.Uint64()>>1), now, now)
	if err != nil {
		return err
	}
	if n == 0 {
		e.skipped = append(e.skipped, post.Skipped{Address: r.Address, Reason: post.Reason{Key: "skip.duplicate"}})
		return nil
	}
	e.queued++
	return nil
}

// messageID makes the Message-ID that a delivery keeps over all its attempts
// (RFC 5322 3.6.4). Mailing token and row make it unique, the random part keeps
// it from being guessed: a report that names it can only be about this message.
func (e *enqueuer) messageID() string {
	b := make([]byte, 0, 64)
	b = append(b, '<')
	b = append(b, e.mailing.Token...)
	b = append(b, '.')
	b = strconv.AppendInt(b, e.row, 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, e.rnd.Uint64(), 36)
	b = append(b, '@')
	b = append(b, e.domain...)
	return string(append(b, '>'))
}

// splitKey takes the row number off a recipient key, "address key#row". A '#'
// may stand in a local part but never in a domain.
func splitKey(key string) (addressKey string, copyNo int64) {
	at := strings.LastIndexByte(key, '@')
	hash := strings.LastIndexByte(key, '#')
	if hash > at && at >= 0 {
		if n, err := strconv.ParseInt(key[hash+1:], 10, 64); err == nil {
			return key[:hash], n
		}
	}
	return key, 0
}

// dropMailing removes a mailing that never became visible.
func (l *Ledger) dropMailing(ctx context.Context, id int64) error {
	for {
		var n int64
		err := l.write(ctx, "undo the queueing", func(t *Tx) error {
			var err error
			n, err = t.change(`DELETE FROM deliveries WHERE id IN (SELECT d.id FROM deliveries d JOIN mailings m ON m.id = d.mailing_id
				WHERE d.mailing_id = ? AND m.ready = 0 LIMIT 5000)`, id)
			if err != nil || n > 0 {
				return err
			}
			_, err = t.exec("DELETE FROM mailings WHERE id=? AND ready=0", id)
			return err
		})
		if err != nil || n == 0 {
			return err
		}
	}
}

const mailingColumns = `m.id, m.kind, m.name, m.content, m.token, m.hold, m.reason, m.not_before, m.created_at, m.finished_at,
	coalesce((SELECT json_group_object(state, n) FROM mailing_counts c WHERE c.mailing_id = m.id), '{}'),
	coalesce((SELECT json_group_array(json_array(s.account_id, s.email, s.from_name, s.weight) ORDER BY s.position)
		FROM mailing_senders s WHERE s.mailing_id = m.id), '[]')`

func scanMailing(row interface{ Scan(...any) error }) (m post.Mailing, err error) {
	var content, reason, counts, senders string
	var notBefore, created, finished int64
	if err := row.Scan(&m.ID, &m.Kind, &m.Name, &content, &m.Token, &m.Hold, &reason, &notBefore, &created, &finished, &counts, &senders); err != nil {
		return m, err
	}
	m.Reason = post.DecodeReason(reason)
	m.NotBefore, m.CreatedAt, m.FinishedAt = post.FromMillis(notBefore), post.FromMillis(created), post.FromMillis(finished)
	if err := json.Unmarshal([]byte(content), &m.Content); err != nil {
		return m, err
	}
	if err := json.Unmarshal([]byte(counts), &m.Counts); err != nil {
		return m, err
	}
	var list [][4]any
	if err := json.Unmarshal([]byte(senders), &list); err != nil {
		return m, err
	}
	for _, s := range list {
		id, _ := s[0].(float64)
		email, _ := s[1].(string)
		name, _ := s[2].(string)
		weight, _ := s[3].(float64)
		m.Senders = append(m.Senders, post.Sender{Account: int64(id), Email: email, FromName: name, Weight: int(weight)})
	}
	return m, nil
}

// Mailing returns one mailing.
func (l *Ledger) Mailing(ctx context.Context, id int64) (post.Mailing, error) {
	m, err := scanMailing(l.r.QueryRowContext(ctx, "SELECT "+mailingColumns+" FROM mailings m WHERE m.id=? AND m.ready=1", id))
	return m, classifyMissing("look up the mailing", "there is no mailing "+strconv.FormatInt(id, 10)+"; see: postroom mailing list", err)
}

// Mailings lists mailings, the newest first; open ones only where asked.
func (l *Ledger) Mailings(ctx context.Context, open bool, p Page) ([]post.Mailing, Pages, error) {
	const op = "list the mailings"
	where, args := "m.ready = 1", []any{}
	if open {
		where += " AND m.finished_at = 0"
	}
	order, cmp := "DESC", "<"
	if p.Back {
		order, cmp = "ASC", ">"
	}
	if p.Cursor != "" {
		mk, err := decodeMark(p.Cursor)
		if err != nil {
			return nil, Pages{}, err
		}
		where += " AND m.id " + cmp + " ?"
		args = append(args, mk.ID)
	}
	rows, err := l.r.QueryContext(ctx, "SELECT "+mailingColumns+" FROM mailings m WHERE "+where+" ORDER BY m.id "+order+" LIMIT ?", append(args, p.Limit+1)...)
	if err != nil {
		return nil, Pages{}, classify(op, err)
	}
	defer rows.Close()
	var all []post.Mailing
	for rows.Next() {
		m, err := scanMailing(rows)
		if err != nil {
			return nil, Pages{}, classify(op, err)
		}
		all = append(all, m)
	}
	all, pages := paginate(all, p, func(m post.Mailing) mark { return mark{ID: m.ID} })
	return all, pages, classify(op, rows.Err())
}

// MailingRate returns how many of a mailing's attempts began in the last
// minute.
func (l *Ledger) MailingRate(ctx context.Context, id int64) (int64, error) {
	var n int64
	err := l.r.QueryRowContext(ctx, `SELECT count(*) FROM mailing_senders s JOIN attempts a ON a.account_id = s.account_id AND a.charged = 1
			AND a.account_id <> 0 AND a.started_at > ?2 JOIN deliveries d ON d.id = a.delivery_id AND d.mailing_id = s.mailing_id
		WHERE s.mailing_id = ?1`, id, post.Millis(l.clock.Now().Add(-time.Minute))).Scan(&n)
	return n, classify("measure the rate", err)
}

// HoldMailing pauses a mailing, or (hold "") resumes it. One that was cancelled
// stays cancelled: post.KindConflict.
func (l *Ledger) HoldMailing(ctx context.Context, id int64, hold post.MailingState, why post.Reason) error {
	const op = "hold the mailing"
	return l.write(ctx, op, func(t *Tx) error {
		n, err := t.change("UPDATE mailings SET hold=?, reason=? WHERE id=? AND ready=1 AND hold<>'cancelled'", string(hold), why.Encode(), id)
		if err == nil && n == 0 {
			return t.whyNotMailing(op, id)
		}
		return err
	})
}

// CancelMailing ends a mailing: what has not been sent will not be. A message
// that is past its dot is finished. It returns how many rows it cancelled.
func (l *Ledger) CancelMailing(ctx context.Context, id int64) (int64, error) {
	const op = "cancel the mailing"
	err := l.write(ctx, op, func(t *Tx) error {
		n, err := t.change("UPDATE mailings SET hold='cancelled', reason='' WHERE id=? AND ready=1 AND hold<>'cancelled'", id)
		if err == nil && n == 0 {
			return t.whyNotMailing(op, id)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	// From here on nothing of it is claimed, so the rows may go in their own time.
	return l.moveRows(context.WithoutCancel(ctx), op, id, post.StateQueued, post.StateCancelled, "reason = ''")
}

func (t *Tx) whyNotMailing(op string, id int64) error {
	var hold string
	err := t.scan("SELECT hold FROM mailings WHERE id=? AND ready=1", []any{id}, &hold)
	if errors.Is(err, sql.ErrNoRows) {
		return &post.Error{Kind: post.KindNotFound, Op: op, Message: "there is no mailing " + strconv.FormatInt(id, 10), Err: ErrNotFound}
	}
	if err != nil {
		return err
	}
	return post.Errorf(post.KindConflict, op, "mailing %d was cancelled", id)
}

// Retry says which rows of a mailing are to be tried again.
type Retry struct{ Failed, Uncertain, Paused bool }

// RetryMailing puts rows back into the queue at the user's word, with a fresh
// deadline, and returns how many.
func (l *Ledger) RetryMailing(ctx context.Context, id int64, r Retry) (int64, error) {
	const op = "retry"
	m, err := l.Mailing(ctx, id)
	if err != nil {
		return 0, err
	}
	if m.Hold == post.MailingCancelled {
		return 0, post.Errorf(post.KindConflict, op, "mailing %d was cancelled", id)
	}
	var total int64
	again := "next_at = 0, first_at = 0, attempts = 0, crashes = 0, held = 0, reason = ''"
	for _, x := range []struct {
		on   bool
		from post.State
		set  string
	}{
		{r.Failed, post.StateFailed, again},
		{r.Failed, post.StateExpired, again},
		{r.Uncertain, post.StateUncertain, again + ", resends = resends + 1"},
	} {
		if !x.on {
			continue
		}
		n, err := l.moveRows(ctx, op, id, x.from, post.StateQueued, x.set)
		total += n
		if err != nil {
			return total, err
		}
	}
	if r.Paused {
		err := l.write(ctx, op, func(t *Tx) error {
			n, err := t.change("UPDATE deliveries SET held=0, crashes=0, reason='' WHERE mailing_id=? AND state='queued' AND held=1", id)
			total += n
			return err
		})
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// SettleMailing gives all uncertain rows of a mailing the outcome that the user
// knows, sent or failed, and returns how many.
func (l *Ledger) SettleMailing(ctx context.Context, id int64, to post.State) (int64, error) {
	if _, err := l.Mailing(ctx, id); err != nil {
		return 0, err
	}
	return l.moveRows(ctx, "settle", id, post.StateUncertain, to, settleSet(to))
}

func settleSet(to post.State) string {
	set := "reason = '" + post.Reason{Key: "settled." + string(to)}.Encode() + "'"
	if to == post.StateSent {
		set += ", sent_at = changed_at"
	}
	return set
}

// moveRows moves all rows of a mailing from one state to another at the user's
// word, in short transactions. set is a literal of this package.
func (l *Ledger) moveRows(ctx context.Context, op string, mailing int64, from, to post.State, set string) (int64, error) {
	if !post.CanMove(from, to, post.ByUser) {
		return 0, post.Errorf(post.KindConflict, op, "a delivery that is %s cannot become %s", from, to)
	}
	// The planner takes a partial index only when its own words stand in the query.
	where := "state NOT IN ('queued', 'sent') AND state = ?4"
	if from == post.StateQueued {
		where = "state = 'queued' AND state = ?4"
	}
	var total int64
	for {
		var n int64
		err := l.write(ctx, op, func(t *Tx) error {
			now := post.Millis(t.now)
			var err error
			n, err = t.change(`UPDATE deliveries SET state = ?1, changed_at = ?2, `+set+` WHERE id IN
				(SELECT id FROM deliveries WHERE mailing_id = ?3 AND `+where+` LIMIT 5000)`, string(to), now, mailing, string(from))
			if err != nil {
				return err
			}
			t.count(mailing, from, -n)
			t.count(mailing, to, n)
			return nil
		})
		total += n
		if err != nil || n == 0 {
			return total, err
		}
	}
}

// MoveDelivery moves one row at the user's word: settle an uncertain one, try
// one again, cancel a waiting one.
func (l *Ledger) MoveDelivery(ctx context.Context, id int64, from, to post.State) error {
	const op = "change the delivery"
	if !post.CanMove(from, to, post.ByUser) {
		return post.Errorf(post.KindConflict, op, "a delivery that is %s cannot become %s", from, to)
	}
	set := "reason = ''"
	switch {
	case from == post.StateUncertain && to != post.StateQueued:
		set = settleSet(to)
	case to == post.StateQueued:
		set = "next_at = 0, first_at = 0, attempts = 0, crashes = 0, held = 0, reason = '', resends = resends + (state = 'uncertain')"
	}
	return l.write(ctx, op, func(t *Tx) error {
		var mailing int64
		err := t.scan("UPDATE deliveries SET state=?, changed_at=?, "+set+" WHERE id=? AND state=? RETURNING mailing_id",
			[]any{string(to), post.Millis(t.now), id, string(from)}, &mailing)
		if errors.Is(err, sql.ErrNoRows) {
			return &post.Error{Kind: post.KindConflict, Op: op, Message: "it is no longer " + string(from), Err: ErrMoved}
		}
		if err != nil {
			return err
		}
		t.count(mailing, from, -1)
		t.count(mailing, to, 1)
		return nil
	})
}

// SendNow ends a delivery's own backoff or pause, so that it is tried at once.
func (l *Ledger) SendNow(ctx context.Context, id int64) error {
	const op = "send now"
	return l.write(ctx, op, func(t *Tx) error {
		n, err := t.change("UPDATE deliveries SET next_at=0, held=0, crashes=0, changed_at=? WHERE id=? AND state='queued'", post.Millis(t.now), id)
		if err == nil && n == 0 {
			return &post.Error{Kind: post.KindConflict, Op: op, Message: "it is no longer waiting", Err: ErrMoved}
		}
		return err
	})
}

func newToken() string {
	b := make([]byte, 10)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return strings.ToLower(base32.StdEncoding.EncodeToString(b))
}

// newRand returns a generator seeded by the system: fast, and as hard to guess
// as its seed.
func newRand() *mathrand.ChaCha8 {
	var seed [32]byte
	_, _ = rand.Read(seed[:])
	return mathrand.NewChaCha8(seed)
}

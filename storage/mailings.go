package storage

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base32"
	"encoding/json"
	"errors"
	"hash/maphash"
	"iter"
	mathrand "math/rand/v2"
	"strconv"
	"strings"
	"time"

	"postroom/post"
)

// enqueueChunk is how many rows one transaction of an enqueue writes: well under
// the 250 ms for which other processes may be held up, and enough that the pages
// of the index, which are hit at random, are not written over and over.
const enqueueChunk = 8000

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
		res, err := t.exec(`INSERT INTO mailings (kind, name, content, token, hold, not_before, hours, release_left, uncertain, created_at)
			VALUES (?,?,?,?,?,?,?,?,?,?)`, string(m.Kind), m.Name, string(content), m.Token, string(m.Hold), post.Millis(m.NotBefore),
			m.Hours.Encode(), releaseLeft(&m), string(cmp.Or(m.Uncertain, post.UncertainAsk)), post.Millis(t.now))
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

// releaseLeft is how the ledger keeps Mailing.Staged and ReleaseLeft.
func releaseLeft(m *post.Mailing) int64 {
	if !m.Staged {
		return -1
	}
	return max(0, m.ReleaseLeft)
}

// enqueuer writes the rows of one mailing.
type enqueuer struct {
	mailing post.Mailing
	domain  string
	rnd     *mathrand.ChaCha8
	row     int64
	queued  int64
	skipped []post.Skipped
	seed    maphash.Seed
	seen    map[uint64]struct{} // hashes of the recipient keys so far
	args    []any               // of the statement that is being filled
}

// run reads the rows and writes them in chunks: one is being written while the
// next is being read.
func (e *enqueuer) run(ctx context.Context, l *Ledger, rows iter.Seq2[post.Recipient, error]) error {
	e.seed, e.seen = maphash.MakeSeed(), map[uint64]struct{}{}
	written := make(chan error, 1)
	written <- nil
	chunk, spare := make([]newRow, 0, enqueueChunk), make([]newRow, 0, enqueueChunk)
	var err error
	for r, rerr := range rows {
		var x newRow
		if err = rerr; err == nil {
			x, err = e.prepare(r)
		}
		if err != nil {
			break
		}
		if chunk = append(chunk, x); len(chunk) == cap(chunk) {
			if err := <-written; err != nil {
				return err
			}
			full := chunk
			go func() { written <- e.flush(ctx, l, full) }()
			chunk, spare = spare[:0], full
		}
	}
	err = errors.Join(err, <-written)
	if err != nil || len(chunk) == 0 {
		return err
	}
	return e.flush(ctx, l, chunk)
}

// newRow is a recipient as its row is written.
type newRow struct {
	row, contact, copyNo     int64
	address, key, name       string
	fields, files, messageID string
	seed                     int64
	again                    bool // a key with the same hash came before
	skip                     string
}

func (e *enqueuer) prepare(r post.Recipient) (x newRow, err error) {
	e.row++
	x = newRow{row: e.row, contact: r.Contact, address: r.Address, name: r.Name, messageID: e.messageID(), seed: int64(e.rnd.Uint64() >> 1)}
	x.key, x.copyNo = splitKey(r.Key)
	hash := maphash.String(e.seed, r.Key)
	if _, x.again = e.seen[hash]; !x.again {
		e.seen[hash] = struct{}{}
	}
	if x.fields, err = encodeFields(r.Fields); err != nil || len(r.Attachments) == 0 {
		return x, err
	}
	b, err := json.Marshal(r.Attachments)
	x.files = string(b)
	return x, err
}

func (e *enqueuer) flush(ctx context.Context, l *Ledger, chunk []newRow) error {
	queued, skipped := e.queued, len(e.skipped)
	return l.write(ctx, "queue the mailing", func(t *Tx) error {
		e.queued, e.skipped = queued, e.skipped[:skipped] // it may run twice
		if e.mailing.Kind == post.Live {
			if err := t.markSuppressed(chunk); err != nil {
				return err
			}
		}
		return e.put(t, chunk)
	})
}

// markSuppressed notes which rows must not be mailed.
func (t *Tx) markSuppressed(chunk []newRow) error {
	keys := make([]string, len(chunk))
	for i := range chunk {
		keys[i] = chunk[i].key
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	rows, err := t.query("SELECT key, reason FROM suppressions WHERE EXISTS (SELECT 1 FROM suppressions) AND key IN (SELECT value FROM json_each(?))", string(list))
	if err != nil {
		return err
	}
	defer rows.Close()
	reasons := map[string]string{}
	for rows.Next() {
		var key, reason string
		if err := rows.Scan(&key, &reason); err != nil {
			return err
		}
		reasons[key] = reason
	}
	for i := range chunk {
		if reason, ok := reasons[chunk[i].key]; ok {
			chunk[i].skip = reason
		}
	}
	return rows.Err()
}

// enqueueRows is how many rows one statement writes: the cost of a statement
// is that of several rows.
const enqueueRows = 50

// Many rows fail as one with the transaction (OR FAIL: the rows before the bad one
// need not be undone by themselves); one alone tells whether it was there.
var (
	enqueueOne  = "INSERT" + enqueueSQL(1) + " ON CONFLICT DO NOTHING"
	enqueueMany = "INSERT OR FAIL" + enqueueSQL(enqueueRows)
)

func enqueueSQL(n int) string {
	const values = "(?,?,?,?,?,?,?,?,?,?,?,'queued',?,?)"
	return ` INTO deliveries (mailing_id, row, contact_id, address, key, copy, name, fields, attachments, message_id, seed, state, queued_at, changed_at)
		VALUES ` + values + strings.Repeat(","+values, n-1)
}

// put writes a chunk. Rows whose key cannot be there yet share a statement; one
// whose key may be is written alone and after them, to learn whether it is.
func (e *enqueuer) put(t *Tx, chunk []newRow) error {
	now := post.Millis(t.now)
	fresh, again := make([]*newRow, 0, len(chunk)), []*newRow(nil)
	for i := range chunk {
		switch x := &chunk[i]; {
		case x.skip != "":
			e.skipped = append(e.skipped, post.Skipped{Address: x.address, Reason: post.Reason{Key: "skip.suppressed", Args: []string{x.skip}}})
		case x.again:
			again = append(again, x)
		default:
			fresh = append(fresh, x)
		}
	}
	for len(fresh) > 0 {
		k := enqueueRows
		if len(fresh) < k {
			k = 1
		}
		n, err := e.insert(t, fresh[:k], now)
		if err != nil {
			return err
		}
		if n != int64(k) {
			return post.Errorf(post.KindInternal, "queue the mailing", "%d of %d rows were written", n, k)
		}
		fresh = fresh[k:]
	}
	for i, x := range again {
		n, err := e.insert(t, again[i:i+1], now)
		if err != nil {
			return err
		}
		if n == 0 {
			e.skipped = append(e.skipped, post.Skipped{Address: x.address, Reason: post.Reason{Key: "skip.duplicate"}})
		}
	}
	return nil
}

// insert writes one row or enqueueRows of them, and returns how many were new.
func (e *enqueuer) insert(t *Tx, rows []*newRow, now int64) (int64, error) {
	query := enqueueMany
	if len(rows) == 1 {
		query = enqueueOne
	}
	e.args = e.args[:0]
	for _, x := range rows {
		e.args = x.appendTo(e.args, e.mailing.ID, now)
	}
	n, err := t.change(query, e.args...)
	e.queued += n
	return n, err
}

func (x *newRow) appendTo(args []any, mailing, now int64) []any {
	return append(args, mailing, x.row, x.contact, x.address, x.key, x.copyNo, x.name, x.fields, x.files, x.messageID, x.seed, now, now)
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

const mailingColumns = `m.id, m.kind, m.name, m.content, m.token, m.hold, m.reason, m.not_before, m.hours, m.release_left, m.uncertain, m.created_at, m.finished_at,
	coalesce((SELECT json_group_object(state, n) FROM mailing_counts c WHERE c.mailing_id = m.id), '{}'),
	coalesce((SELECT json_group_array(json_array(s.account_id, s.email, s.from_name, s.weight) ORDER BY s.position)
		FROM mailing_senders s WHERE s.mailing_id = m.id), '[]')`

func scanMailing(row interface{ Scan(...any) error }) (m post.Mailing, err error) {
	var content, reason, hours, counts, senders string
	var notBefore, created, finished int64
	if err := row.Scan(&m.ID, &m.Kind, &m.Name, &content, &m.Token, &m.Hold, &reason, &notBefore, &hours, &m.ReleaseLeft, &m.Uncertain, &created,
		&finished, &counts, &senders); err != nil {
		return m, err
	}
	m.Staged = m.ReleaseLeft >= 0
	if m.Hours, err = post.DecodeHours(hours); err != nil {
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
	if m.WaitsForWord() {
		m.Reason = post.Reason{Key: "mailing.release"}
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
	order, after := "DESC", "<"
	if p.Back {
		order, after = "ASC", ">"
	}
	if p.Cursor != "" {
		mk, err := decodeMark(p.Cursor)
		if err != nil {
			return nil, Pages{}, err
		}
		where += " AND m.id " + after + " ?"
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

// OpenSenders returns the accounts of every live mailing that may be sent from
// now or later, by mailing.
func (l *Ledger) OpenSenders(ctx context.Context) (map[int64][]post.Sender, error) {
	const op = "look who sends"
	rows, err := l.r.QueryContext(ctx, `SELECT s.mailing_id, s.account_id, s.weight FROM mailings m JOIN mailing_senders s ON s.mailing_id = m.id
		WHERE m.ready = 1 AND m.finished_at = 0 AND m.hold = '' AND m.kind = 'live' ORDER BY s.mailing_id, s.position`)
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	all := map[int64][]post.Sender{}
	for rows.Next() {
		var id int64
		var s post.Sender
		if err := rows.Scan(&id, &s.Account, &s.Weight); err != nil {
			return nil, classify(op, err)
		}
		all[id] = append(all[id], s)
	}
	return all, classify(op, rows.Err())
}

// Rate is how many attempts of an account for a mailing began in the last
// minute, and when the first of them did, or a minute ago.
type Rate struct {
	Account, Mailing int64
	Attempts         int64
	Since            time.Time
}

// Rates returns how fast the live mailings went in the last minute.
func (l *Ledger) Rates(ctx context.Context) ([]Rate, error) {
	const op = "measure the rate"
	now := l.clock.Now()
	rows, err := l.r.QueryContext(ctx, `SELECT a.account_id, d.mailing_id, count(*), min(a.started_at)
		FROM accounts x JOIN attempts a ON a.account_id = x.id AND a.charged = 1 AND a.account_id <> 0 AND a.started_at > ?1
			JOIN deliveries d ON d.id = a.delivery_id
		GROUP BY 1, 2`, post.Millis(now.Add(-time.Minute)))
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var all []Rate
	for rows.Next() {
		var r Rate
		var first int64
		if err := rows.Scan(&r.Account, &r.Mailing, &r.Attempts, &first); err != nil {
			return nil, classify(op, err)
		}
		r.Since = now.Add(-time.Minute)
		if began := post.FromMillis(first); r.Attempts > 1 && began.Sub(r.Since) > 2*time.Second {
			r.Since = began // it has not been going for a minute
		}
		all = append(all, r)
	}
	return all, classify(op, rows.Err())
}

// HoldMailing pauses a mailing, or (hold "") resumes it; one that waits for the
// user's word gives the rest free. One that was cancelled stays cancelled:
// post.KindConflict.
func (l *Ledger) HoldMailing(ctx context.Context, id int64, hold post.MailingState, why post.Reason) error {
	const op = "hold the mailing"
	return l.write(ctx, op, func(t *Tx) error {
		n, err := t.change(`UPDATE mailings SET hold = ?1, reason = ?2, release_left = CASE WHEN ?1 = '' AND hold = '' AND release_left = 0 THEN -1 ELSE release_left END
			WHERE id = ?3 AND ready = 1 AND hold <> 'cancelled'`, string(hold), why.Encode(), id)
		if err == nil && n == 0 {
			return t.whyNotMailing(op, id)
		}
		return err
	})
}

// ReleaseMailing gives n more rows of a mailing that waits for the user's word
// free, or with n 0 all of them. post.KindConflict when it does not wait.
func (l *Ledger) ReleaseMailing(ctx context.Context, id, n int64) error {
	const op = "release the mailing"
	if n < 0 {
		return post.Errorf(post.KindInvalid, op, "release 1 or more, or all")
	}
	return l.write(ctx, op, func(t *Tx) error {
		changed, err := t.change(`UPDATE mailings SET release_left = CASE ?1 WHEN 0 THEN -1 ELSE release_left + ?1 END
			WHERE id = ?2 AND ready = 1 AND hold <> 'cancelled' AND release_left >= 0`, n, id)
		if err != nil || changed == 1 {
			return err
		}
		if err := t.whyNotMailing(op, id); post.KindOf(err) == post.KindNotFound {
			return err
		}
		return post.Errorf(post.KindConflict, op, "mailing %d does not wait to be released", id)
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

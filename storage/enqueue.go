package storage

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	mathrand "math/rand/v2"
	"strconv"
	"strings"

	"postroom/post"
)

// enqueueChunk is how many rows one transaction of an enqueue writes: well under
// the 250 ms for which other processes may be held up, and enough that the pages
// of the index, which are hit at random, are not written over and over.
const enqueueChunk = 8000

// MaxWaiting is how many deliveries may wait in the outbox at once, all mailings
// and rehearsals together.
const MaxWaiting = 2_000_000

// Enqueue freezes a mailing and writes one delivery per row (commit A). The
// rows are written in short transactions while nobody sees the mailing; the
// last one makes it visible with its counters, so the mailing is there whole
// or not at all, whatever happens in between. Suppressed people (not in a
// rehearsal) and second rows with the same recipient key come back as skipped.
// When nothing is left to send, no mailing is made and the returned ID is 0.
// More than MaxWaiting are refused as a whole (post.KindInvalid).
func (l *Ledger) Enqueue(ctx context.Context, m post.Mailing, rows iter.Seq2[post.Recipient, error]) (post.Mailing, []post.Skipped, error) {
	const op = "queue the mailing"
	if len(m.Senders) == 0 {
		return m, nil, post.Errorf(post.KindInvalid, op, "choose a sender account")
	}
	from, err := post.ParseAddress(m.Senders[0].Email)
	if err != nil {
		return m, nil, err
	}
	if err := l.freezeReplyTokens(ctx, &m); err != nil {
		return m, nil, err
	}
	if m.Content.Signatures, err = l.Signatures(ctx, m.Senders); err != nil {
		return m, nil, err
	}
	m.Token = newToken()
	if m, err = l.createMailing(ctx, m); err != nil {
		return m, nil, err
	}
	e := enqueuer{mailing: m, domain: from.ASCII, rnd: newRand()}
	if e.room, err = l.room(ctx); err != nil {
		return m, nil, errors.Join(err, l.dropMailing(context.WithoutCancel(ctx), m.ID))
	}
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

// room returns how many more deliveries may wait.
func (l *Ledger) room(ctx context.Context) (int64, error) {
	var waiting int64
	err := l.r.QueryRowContext(ctx, "SELECT coalesce(sum(n), 0) FROM mailing_counts WHERE state IN ('queued', 'claimed', 'sending')").Scan(&waiting)
	return l.maxWaiting - waiting, classify("queue the mailing", err)
}

func (l *Ledger) createMailing(ctx context.Context, m post.Mailing) (post.Mailing, error) {
	const op = "queue the mailing"
	content, err := json.Marshal(m.Content)
	if err != nil {
		return m, classify(op, err)
	}
	err = l.write(ctx, op, func(t *Tx) error {
		res, err := t.exec(`INSERT INTO mailings (kind, real_speed, name, content, token, hold, not_before, hours, release_left, uncertain, late_after, late_then, created_at)
			VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)`, string(m.Kind), m.RealSpeed, m.Name, string(content), m.Token, string(m.Hold), post.Millis(m.NotBefore),
			m.Hours.Encode(), releaseLeft(&m), string(cmp.Or(m.Uncertain, post.UncertainAsk)),
			m.Late.After.Milliseconds(), string(m.Late.Then), post.Millis(t.now))
		if err != nil {
			return err
		}
		if m.ID, err = res.LastInsertId(); err != nil {
			return err
		}
		m.CreatedAt = t.now
		if err := t.noteLists(m.ID, m.Lists); err != nil {
			return err
		}
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
	room    int64 // how many more may wait
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
		if err = rerr; err == nil && e.row == e.room {
			err = &post.Error{
				Kind: post.KindInvalid, Op: "queue the mailing", Message: fmt.Sprintf("more than %d messages would wait in the outbox", l.maxWaiting),
				Reason: post.Reason{Key: "outbox.full", Args: []string{strconv.FormatInt(l.maxWaiting, 10)}},
			}
		}
		if err == nil {
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
			if err := t.markSuppressed(e.mailing.ID, chunk); err != nil {
				return err
			}
		}
		return e.put(t, chunk)
	})
}

// markSuppressed notes which rows must not be mailed.
func (t *Tx) markSuppressed(mailing int64, chunk []newRow) error {
	keys := make([]string, len(chunk))
	for i := range chunk {
		keys[i] = chunk[i].key
	}
	if err := t.recallSuppressions(keys...); err != nil {
		return err
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	rows, err := t.query(unwantedAmong, string(list), mailing)
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

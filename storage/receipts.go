package storage

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"postroom/post"
)

// Position is up to which message a mailbox was read: UIDs are only comparable
// under one UIDVALIDITY.
type Position struct {
	Account  int64
	Server   string // another server, or another login there, is another mailbox
	Validity uint32
	UID      uint32
}

// Incoming is one message that came back.
type Incoming struct {
	// Refs are what Message-IDs of ours have before the "@"; the first that the
	// ledger knows, of a live mailing, ties it.
	Refs   []string
	Digest []byte // of its bytes
	// Report: a machine made it to tell what became of a message (RFC 3464, 5965,
	// 8098), so that nobody has to read it once it is understood and tied.
	Report bool
	Says   []Said // one per recipient that it speaks of; the first has the message
}

// Said is what a message tells about one recipient.
type Said struct {
	post.Receipt
	// Keys are the address keys of the recipient, as far as it was named. Of the
	// recipients of one message those count that are the delivery's own; when
	// none is, it was forwarded, and all count.
	Keys []string
	// Gone: the server said that the mailbox does not exist. Again: it said
	// something that counts when it comes a second time.
	Gone, Again bool
}

// Noted counts what RecordReceipts did with a batch.
type Noted struct {
	Matched   int // messages tied to a delivery
	Unmatched int // messages kept without one
	By        map[post.ReceiptKind]int
	Paused    []int64 // mailings that paused themselves, because too much came back
}

// Mailbox returns how far an account's mailbox was read; zero: not at all.
func (l *Ledger) Mailbox(ctx context.Context, account int64, server string) (Position, error) {
	p := Position{Account: account, Server: server}
	err := l.r.QueryRowContext(ctx, "SELECT validity, uid FROM mailboxes WHERE account_id = ? AND server = ?", account, server).Scan(&p.Validity, &p.UID)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return p, classify("look how far the mailbox was read", err)
}

// RecordReceipts keeps what was found in a step of reading a mailbox, does what
// follows from it, and moves the position, all in one transaction. A message
// that is known by its digest is left out, so that two processes may read one
// mailbox at once; the position never goes back but to another numbering.
func (l *Ledger) RecordReceipts(ctx context.Context, found []Incoming, p Position) (n Noted, err error) {
	packed := make([][]byte, len(found)) // here, so that nobody else's commit waits for it
	for i := range found {
		if packed[i], err = packExcerpt(&found[i]); err != nil {
			return n, classify("record receipts", err)
		}
	}
	err = l.write(ctx, "record receipts", func(t *Tx) error {
		n = Noted{By: map[post.ReceiptKind]int{}}
		bounced := map[int64]bool{}
		for i := range found {
			if err := t.incoming(&found[i], packed[i], &p, &n, bounced); err != nil {
				return err
			}
		}
		for _, id := range slices.Sorted(maps.Keys(bounced)) {
			paused, err := t.pauseOnBounces(id)
			if err != nil {
				return err
			}
			if paused {
				n.Paused = append(n.Paused, id)
			}
		}
		// Two may read at once, and the slower one must not take the other back.
		_, err := t.exec(`INSERT INTO mailboxes (account_id, server, validity, uid) VALUES (?1, ?2, ?3, ?4)
			ON CONFLICT DO UPDATE SET uid = CASE WHEN validity = ?3 THEN max(uid, ?4) ELSE ?4 END, validity = ?3`, p.Account, p.Server, int64(p.Validity), int64(p.UID))
		return err
	})
	return n, err
}

// tied is the delivery that a message is about.
type tied struct {
	id, mailing, account int64
	state                post.State
	key, address         string
	receipt              post.ReceiptKind
}

// incoming keeps one message and does what follows. It adds the mailing of one
// that bounced to bounced. The message itself is kept once, with the first of the
// receipts that come of it.
func (t *Tx) incoming(in *Incoming, packed []byte, p *Position, n *Noted, bounced map[int64]bool) error {
	d, err := t.tie(in.Refs)
	if err != nil {
		return err
	}
	fresh := false
	for i, s := range relevant(in.Says, d) {
		r := s.Receipt
		r.Delivery = d.id
		if i > 0 {
			packed = nil
		}
		added, err := t.addReceipt(in.Digest, i, &r, packed)
		if err != nil {
			return err
		}
		if !added {
			continue
		}
		fresh = true
		if d.id == 0 {
			continue
		}
		n.By[r.Kind]++
		if r.Kind == post.ReceiptBounced {
			bounced[d.mailing] = true
		}
		if err := t.follow(&d, &s, &r); err != nil {
			return err
		}
	}
	switch {
	case !fresh:
	case d.id != 0:
		n.Matched++
	default:
		n.Unmatched++
	}
	if d.id == 0 || !in.understood() {
		return nil
	}
	return t.handled(in, fresh, p)
}

// tie finds the delivery of the first reference that is one of ours: the token
// names the mailing, the row the delivery, and the rest, which cannot be
// guessed, must be the same.
func (t *Tx) tie(refs []string) (d tied, err error) {
	for _, ref := range refs {
		token, rest, _ := strings.Cut(ref, ".")
		number, _, _ := strings.Cut(rest, ".")
		row, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			continue
		}
		var id string
		err = t.scan(`SELECT d.id, d.mailing_id, d.account_id, d.state, d.key, d.address, d.receipt, d.message_id
			FROM mailings m JOIN deliveries d ON d.mailing_id = m.id AND d.row = ?2
			WHERE m.token = ?1 AND m.ready = 1 AND m.kind = 'live'`, []any{token, row},
			&d.id, &d.mailing, &d.account, &d.state, &d.key, &d.address, &d.receipt, &id)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return tied{}, err
		}
		if strings.HasPrefix(id, "<"+ref+"@") {
			return d, nil
		}
	}
	return tied{}, nil
}

// relevant leaves out other recipients of the same report.
func relevant(says []Said, d tied) []Said {
	var own []Said
	for _, s := range says {
		if s.about(d.key) {
			own = append(own, s)
		}
	}
	if len(own) > 0 {
		return own
	}
	return says
}

func (s *Said) about(key string) bool {
	for _, k := range s.Keys {
		if k == key {
			return true
		}
	}
	return false
}

func (t *Tx) addReceipt(digest []byte, part int, r *post.Receipt, packed []byte) (bool, error) {
	res, err := t.exec(`INSERT INTO receipts (delivery_id, account_id, digest, part, uid, kind, at, source, address, code, enhanced, text, excerpt)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING`,
		r.Delivery, r.Account, digest, part, int64(r.UID), string(r.Kind), post.Millis(r.At), r.Source, r.Address,
		r.Reply.Code, r.Reply.Enhanced, r.Reply.Text, notNil(packed))
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	if err != nil || n == 0 {
		return false, err
	}
	r.ID, err = res.LastInsertId()
	return true, err
}

// follow does what a receipt means for its delivery.
func (t *Tx) follow(d *tied, s *Said, r *post.Receipt) error {
	// Whatever comes back proves that the message had left.
	if d.state == post.StateUncertain && r.Kind != post.ReceiptUnknown {
		if err := t.settleBy(d, "settled.receipt"); err != nil {
			return err
		}
	}
	if err := t.sumUp(d, r.Kind.Shown()); err != nil {
		return err
	}
	var why string
	switch r.Kind {
	case post.ReceiptUnsubscribed:
		why = "asked"
	case post.ReceiptComplaint:
		why = "complaint"
	case post.ReceiptBounced:
		bad, err := t.isGone(d, s)
		if err != nil || !bad {
			return err
		}
		why = "bounced"
	default:
		return nil
	}
	_, err := t.suppress(post.Suppression{Key: d.key, Address: d.address, Reason: why, Source: "receipt " + strconv.FormatInt(r.ID, 10), At: r.At})
	return err
}

// settleBy takes an uncertain delivery for sent, for a reason.
func (t *Tx) settleBy(d *tied, why string) error {
	if !post.CanMove(post.StateUncertain, post.StateSent, post.ByMailer) {
		return post.Errorf(post.KindInternal, "record receipts", "no move from uncertain to sent")
	}
	n, err := t.change("UPDATE deliveries SET state = 'sent', reason = ?, sent_at = changed_at, changed_at = ? WHERE id = ? AND state = 'uncertain'",
		post.Reason{Key: why}.Encode(), post.Millis(t.now), d.id)
	if err != nil {
		return err
	}
	d.state = post.StateSent
	t.count(d.mailing, post.StateUncertain, -n)
	t.count(d.mailing, post.StateSent, n)
	return nil
}

// sumUp keeps the strongest receipt of a delivery.
func (t *Tx) sumUp(d *tied, shown post.ReceiptKind) error {
	now := d.receipt.Stronger(shown)
	if now == d.receipt {
		return nil
	}
	if _, err := t.exec("UPDATE deliveries SET receipt = ?, changed_at = ? WHERE id = ?", string(now), post.Millis(t.now), d.id); err != nil {
		return err
	}
	if d.receipt != post.ReceiptNone {
		if _, err := t.exec("UPDATE receipt_counts SET n = n - 1 WHERE mailing_id = ? AND receipt = ?", d.mailing, string(d.receipt)); err != nil {
			return err
		}
	}
	d.receipt = now
	_, err := t.exec(`INSERT INTO receipt_counts (mailing_id, receipt, n) VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET n = n + 1`, d.mailing, string(now))
	return err
}

// isGone reports whether a bounce takes its address off: at once when its
// mailbox does not exist, else when two of the last three messages to the person
// failed. A forwarded address that is gone is not the person's own.
func (t *Tx) isGone(d *tied, s *Said) (bool, error) {
	if s.Gone && (len(s.Keys) == 0 || s.about(d.key)) {
		return true, nil
	}
	if !s.Gone && !s.Again {
		return false, nil
	}
	var before int64
	err := t.scan(`SELECT max(coalesce((SELECT max(d.mailing_id) FROM deliveries d JOIN mailings m ON m.id = d.mailing_id AND m.kind = 'live'
			WHERE d.key = ?1 AND d.receipt = 'bounced' AND d.id <> ?2 AND d.mailing_id <= ?3), 0),
		coalesce((SELECT max(d.mailing_id) FROM deliveries d JOIN mailings m ON m.id = d.mailing_id AND m.kind = 'live'
			WHERE d.key = ?1 AND d.state = 'failed' AND d.id <> ?2 AND d.mailing_id <= ?3), 0))`, []any{d.key, d.id, d.mailing}, &before)
	if err != nil || before == 0 {
		return false, err
	}
	var taken int64
	err = t.scan(`SELECT count(*) FROM mailings m JOIN deliveries d ON d.mailing_id = m.id AND d.key = ?1
		WHERE m.kind = 'live' AND m.id > ?2 AND m.id < ?3 AND d.state = 'sent' AND d.receipt <> 'bounced'`, []any{d.key, before, d.mailing}, &taken)
	return taken <= 1, err
}

const receiptColumns = "id, delivery_id, account_id, uid, kind, at, source, address, code, enhanced, text"

// Receipts returns what came back about a delivery, the oldest first, without
// the excerpts.
func (l *Ledger) Receipts(ctx context.Context, delivery int64) ([]post.Receipt, error) {
	return l.receiptRows(ctx, "WHERE delivery_id = ? AND delivery_id <> 0 ORDER BY at, id", delivery)
}

// Untied returns up to n reports that are tied to no delivery, the newest first.
func (l *Ledger) Untied(ctx context.Context, n int) ([]post.Receipt, error) {
	return l.receiptRows(ctx, "WHERE delivery_id = 0 ORDER BY id DESC LIMIT ?", n)
}

func (l *Ledger) receiptRows(ctx context.Context, tail string, args ...any) ([]post.Receipt, error) {
	const op = "read the receipts"
	rows, err := l.r.QueryContext(ctx, "SELECT "+receiptColumns+" FROM receipts "+tail, args...)
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var all []post.Receipt
	for rows.Next() {
		r, err := scanReceipt(rows)
		if err != nil {
			return nil, classify(op, err)
		}
		all = append(all, r)
	}
	return all, classify(op, rows.Err())
}

func scanReceipt(row interface{ Scan(...any) error }, more ...any) (r post.Receipt, err error) {
	var at int64
	err = row.Scan(append([]any{
		&r.ID, &r.Delivery, &r.Account, &r.UID, &r.Kind, &at, &r.Source, &r.Address, &r.Reply.Code, &r.Reply.Enhanced, &r.Reply.Text,
	}, more...)...)
	r.At = post.FromMillis(at)
	return r, err
}

// Receipt returns one receipt with its message, as far as that is kept. One that
// speaks of several recipients is kept with the first.
func (l *Ledger) Receipt(ctx context.Context, id int64) (post.Receipt, error) {
	var kept []byte
	r, err := scanReceipt(l.r.QueryRowContext(ctx, "SELECT "+receiptColumns+`, CASE WHEN part = 0 THEN excerpt ELSE coalesce((SELECT w.excerpt
		FROM receipts w WHERE w.account_id = receipts.account_id AND w.digest = receipts.digest AND w.part = 0), excerpt) END FROM receipts WHERE id = ?`, id), &kept)
	if err == nil {
		r.Excerpt, r.Size = unpackExcerpt(kept)
	}
	return r, classifyMissing("look up the receipt", "there is no receipt "+strconv.FormatInt(id, 10), err)
}

// ReceiptCounts returns how the deliveries of a mailing are summed up, but for
// those of which nothing was heard.
func (l *Ledger) ReceiptCounts(ctx context.Context, mailing int64) (map[post.ReceiptKind]int64, error) {
	const op = "count the receipts"
	rows, err := l.r.QueryContext(ctx, "SELECT receipt, n FROM receipt_counts WHERE mailing_id = ? AND n > 0", mailing)
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	all := map[post.ReceiptKind]int64{}
	for rows.Next() {
		var k post.ReceiptKind
		var n int64
		if err := rows.Scan(&k, &n); err != nil {
			return nil, classify(op, err)
		}
		all[k] = n
	}
	return all, classify(op, rows.Err())
}

package storage

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"postroom/post"
)

// Erased says what was removed of one person.
type Erased struct {
	Contact    bool  // they were in the address book
	Lists      int64 // on so many lists
	Deliveries int64 // messages to them, whose address, name, values and replies are gone
	Cancelled  int64 // of those, so many had waited to be sent
	Files      int64 // attachments that nobody else got
	Suppressed bool  // they are not to be mailed; a keyed hash of the address remembers it
	// Backups are files of this ledger's folder that may still hold the person.
	// Those that were made elsewhere cannot be named.
	Backups []string
}

const eraseKey = "ledger.erased.key"

// Erase removes one person, given by key, from everything that this ledger
// reaches: the address book, its lists and search index, and of the history all
// but the fact that a message was sent to somebody, when, and how it ended. It is
// refused while a message to them is on its way.
func (l *Ledger) Erase(ctx context.Context, key string) (Erased, error) {
	const op = "erase the person"
	// Nothing orders the history by person: it is read through before the
	// transaction, which then looks only at what has come since.
	ids, last, err := l.deliveriesTo(ctx, key)
	if err != nil {
		return Erased{}, classify(op, err)
	}
	shared, err := l.sharedFiles(ctx, key, ids)
	if err != nil {
		return Erased{}, classify(op, err)
	}
	var e Erased
	var files []string
	err = l.write(ctx, op, func(t *Tx) (err error) {
		e, files = Erased{}, nil
		if err := t.eraseContact(key, &e); err != nil {
			return err
		}
		if files, err = t.eraseDeliveries(key, past{ids, last, shared}, &e); err != nil {
			return err
		}
		return t.eraseSuppression(key, &e)
	})
	if err != nil {
		return Erased{}, err
	}
	for _, sum := range files {
		if err := os.Remove(l.blobPath(sum)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return e, classify(op, err)
		}
	}
	e.Files = int64(len(files))
	e.Backups, err = l.backupFiles()
	return e, classify(op, err)
}

// deliveriesTo returns the ids of all deliveries to a person, as JSON, and the
// last id that was looked at.
func (l *Ledger) deliveriesTo(ctx context.Context, key string) (ids string, last int64, err error) {
	err = l.r.QueryRowContext(ctx, `SELECT (SELECT coalesce(max(id), 0) FROM deliveries),
		(SELECT json_group_array(id) FROM deliveries WHERE key = ?)`, key).Scan(&last, &ids)
	return ids, last, err
}

// past is what was read of a person's deliveries before the transaction.
type past struct {
	ids    string          // as JSON
	last   int64           // the last delivery, of anybody, that was looked at
	shared map[string]bool // the attachments, by SHA-256, that others got too
}

// sharedFiles returns those attachments of some deliveries that others got too.
func (l *Ledger) sharedFiles(ctx context.Context, key, ids string) (map[string]bool, error) {
	var found string
	if err := l.r.QueryRowContext(ctx, `SELECT json_group_array(f.sum) FROM
			(SELECT DISTINCT a.value ->> 'sha256' AS sum FROM json_each(?1) j CROSS JOIN deliveries d ON d.id = j.value AND d.attachments <> '', json_each(d.attachments) a) f
		WHERE EXISTS (SELECT 1 FROM deliveries o WHERE o.attachments <> '' AND o.key <> ?2 AND instr(o.attachments, f.sum) > 0)`, ids, key).Scan(&found); err != nil {
		return nil, err
	}
	var sums []string
	if err := json.Unmarshal([]byte(found), &sums); err != nil {
		return nil, err
	}
	shared := make(map[string]bool, len(sums))
	for _, sum := range sums {
		shared[sum] = true
	}
	return shared, nil
}

func (t *Tx) eraseContact(key string, e *Erased) error {
	var id int64
	err := t.scan("SELECT id FROM contacts WHERE key = ?", []any{key}, &id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	e.Contact = true
	e.Lists, err = t.deleteContact(id)
	return err
}

// eraseDeliveries empties what was frozen for a person, and returns the
// attachments that were theirs alone.
func (t *Tx) eraseDeliveries(key string, p past, e *Erased) (files []string, err error) {
	rows, err := t.query(`SELECT d.id, d.mailing_id, d.state, d.attachments FROM json_each(?1) j CROSS JOIN deliveries d ON d.id = j.value WHERE d.key = ?2
		UNION ALL SELECT id, mailing_id, state, attachments FROM deliveries WHERE id > ?3 AND key = ?2`, p.ids, key, p.last)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	type delivery struct {
		id, mailing int64
		state       post.State
		attachments string
	}
	var all []delivery
	for rows.Next() {
		var d delivery
		if err := rows.Scan(&d.id, &d.mailing, &d.state, &d.attachments); err != nil {
			return nil, err
		}
		if d.state == post.StateClaimed || d.state == post.StateSending {
			return nil, &post.Error{
				Kind: post.KindConflict, Op: "erase the person", Message: "a message to them is on its way; try again when it has been sent",
				Reason: post.Reason{Key: "contacts.erase_sending"},
			}
		}
		all = append(all, d)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, d := range all {
		state := d.state
		if state == post.StateQueued {
			state = post.StateCancelled
			e.Cancelled++
			t.count(d.mailing, post.StateQueued, -1)
			t.count(d.mailing, post.StateCancelled, 1)
		}
		// The key must stay the only one of its mailing.
		if _, err := t.exec(`UPDATE deliveries SET address = '', key = ?, contact_id = 0, name = '', fields = '', attachments = '', reason = '', state = ?, changed_at = ?
			WHERE id = ?`, "erased-"+randomHex(8), string(state), post.Millis(t.now), d.id); err != nil {
			return nil, err
		}
		if _, err := t.exec("UPDATE attempts SET text = '', replies = '', error = '' WHERE delivery_id = ?", d.id); err != nil {
			return nil, err
		}
		e.Deliveries++
	}
	for _, d := range all {
		own, err := t.ownFiles(d.attachments, p)
		if err != nil {
			return nil, err
		}
		for _, sum := range own {
			if !slices.Contains(files, sum) {
				files = append(files, sum)
			}
		}
	}
	return files, nil
}

// ownFiles returns those attachments of a delivery that nothing refers to any
// more, and takes their rows away.
func (t *Tx) ownFiles(attachments string, p past) (own []string, err error) {
	if attachments == "" {
		return nil, nil
	}
	var list []post.Attachment
	if err := json.Unmarshal([]byte(attachments), &list); err != nil {
		return nil, err
	}
	for _, a := range list {
		if p.shared[a.SHA256] {
			continue
		}
		var used bool
		if err := t.scan(`SELECT EXISTS (SELECT 1 FROM deliveries WHERE id > ?2 AND attachments <> '' AND instr(attachments, ?1) > 0)
			OR EXISTS (SELECT 1 FROM mailings WHERE instr(content, ?1) > 0) OR EXISTS (SELECT 1 FROM messages WHERE instr(draft, ?1) > 0)`, []any{a.SHA256, p.last}, &used); err != nil {
			return nil, err
		}
		if used {
			continue
		}
		if _, err := t.exec("DELETE FROM blobs WHERE sha256 = ?", a.SHA256); err != nil {
			return nil, err
		}
		own = append(own, a.SHA256)
	}
	return own, nil
}

func (t *Tx) eraseSuppression(key string, e *Erased) error {
	var reason string
	var at int64
	err := t.scan("SELECT reason, at FROM suppressions WHERE key = ?", []any{key}, &reason, &at)
	always := err == nil
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	var onLists bool
	if err := t.scan("SELECT EXISTS (SELECT 1 FROM list_suppressions WHERE key = ?)", []any{key}, &onLists); err != nil {
		return err
	}
	if e.Suppressed = always || onLists; !e.Suppressed {
		return nil
	}
	var secret string
	if err := t.scan("SELECT coalesce((SELECT value FROM settings WHERE key = ?), '')", []any{eraseKey}, &secret); err != nil {
		return err
	}
	if secret == "" {
		secret = randomHex(32)
		if err := t.setSetting(eraseKey, secret); err != nil {
			return err
		}
	}
	if onLists {
		if _, err := t.exec("UPDATE OR REPLACE list_suppressions SET key = ?, address = '', source = 'erased' WHERE key = ?", erasedMark+keyedHash(secret, key), key); err != nil {
			return err
		}
	}
	if !always {
		return nil
	}
	if _, err := t.exec("INSERT INTO erased_suppressions (hash, reason, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", keyedHash(secret, key), reason, at); err != nil {
		return err
	}
	_, err = t.exec("DELETE FROM suppressions WHERE key = ?", key)
	return err
}

// erasedMark begins the key of an erased person's suppression for a list; no
// address does.
const erasedMark = "\x01"

func keyedHash(secret, key string) string {
	h := hmac.New(sha256.New, []byte(secret))
	_, _ = h.Write([]byte(key)) // a hash never fails
	return hex.EncodeToString(h.Sum(nil))
}

// erasedKeys returns those keys whose suppression outlived its person: nothing
// where nobody was erased, which costs one look.
func erasedKeys(ctx context.Context, q func(ctx context.Context, query string, args ...any) *sql.Row, keys []string) (map[string]string, error) {
	var secret string
	if err := q(ctx, "SELECT CASE WHEN EXISTS (SELECT 1 FROM erased_suppressions) OR EXISTS (SELECT 1 FROM list_suppressions WHERE key < char(2)) THEN coalesce((SELECT value FROM settings WHERE key = ?), '') ELSE '' END", eraseKey).Scan(&secret); err != nil || secret == "" {
		return nil, err
	}
	byHash := make(map[string]string, len(keys))
	hashes := make([]string, 0, len(keys))
	for _, k := range keys {
		h := keyedHash(secret, k)
		byHash[h] = k
		hashes = append(hashes, h)
	}
	list, err := json.Marshal(hashes)
	if err != nil {
		return nil, err
	}
	var found string
	if err := q(ctx, `SELECT json_group_array(j.value) FROM json_each(?) j WHERE EXISTS (SELECT 1 FROM erased_suppressions e WHERE e.hash = j.value)
		OR EXISTS (SELECT 1 FROM list_suppressions s WHERE s.key = char(1) || j.value)`, string(list)).Scan(&found); err != nil {
		return nil, err
	}
	var got []string
	if err := json.Unmarshal([]byte(found), &got); err != nil {
		return nil, err
	}
	all := make(map[string]string, len(got)) // key -> hash
	for _, h := range got {
		all[byHash[h]] = h
	}
	return all, nil
}

// recallSuppressions makes the suppressions of erased people whole again when
// their addresses come back, by an import or in a mailing.
func (t *Tx) recallSuppressions(keys ...string) error {
	known, err := erasedKeys(t.ctx, t.w.conn.QueryRowContext, keys)
	if err != nil {
		return err
	}
	for key, hash := range known {
		if _, err := t.exec("UPDATE OR REPLACE list_suppressions SET key = ?1, address = ?1 WHERE key = ?2", key, erasedMark+hash); err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO suppressions (key, address, reason, source, at)
			SELECT ?1, ?1, reason, 'erased', at FROM erased_suppressions WHERE hash = ?2 ON CONFLICT DO NOTHING`, key, hash); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM erased_suppressions WHERE hash = ?", hash); err != nil {
			return err
		}
	}
	return nil
}

// backupFiles names what is kept beside the ledger from before.
func (l *Ledger) backupFiles() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(l.dir, "backups"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []string
	for _, e := range entries {
		all = append(all, filepath.Join(l.dir, "backups", e.Name()))
	}
	return all, err
}

package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"

	"postroom/post"
)

// What the screen for people asks and does. A change of many people is made of
// steps of at most BookStep, each a transaction, so that mail goes on between
// them.

// BookStep is how many people one call that takes ids may be given.
const BookStep = 1000

// ListDetail is a list with the rule that chooses its people.
type ListDetail struct {
	post.List
	Rule     *Rule // nil: the people were put there one by one
	ChosenAt int64 // when the rule was last applied, in Unix milliseconds
}

// ListDetails returns all lists by name.
func (l *Ledger) ListDetails(ctx context.Context) ([]ListDetail, error) {
	const op = "list the lists"
	rows, err := l.r.QueryContext(ctx, `SELECT l.id, l.name, l.members, l.created_at, coalesce(r.rule, ''), coalesce(r.at, 0)
		FROM lists l LEFT JOIN list_rules r ON r.list_id = l.id ORDER BY l.name`)
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var all []ListDetail
	for rows.Next() {
		var d ListDetail
		var created int64
		var rule string
		if err := rows.Scan(&d.ID, &d.Name, &d.Members, &created, &rule, &d.ChosenAt); err != nil {
			return nil, classify(op, err)
		}
		d.CreatedAt = post.FromMillis(created)
		if rule != "" {
			r, err := readRule(rule)
			if err != nil {
				return nil, classify(op, err)
			}
			d.Rule = &r
		}
		all = append(all, d)
	}
	return all, classify(op, rows.Err())
}

// CreateList makes an empty list; its name must be new.
func (l *Ledger) CreateList(ctx context.Context, name string) (post.List, error) {
	const op = "make the list"
	name = strings.TrimSpace(name)
	err := l.write(ctx, op, func(t *Tx) error {
		var exists bool
		if err := t.scan("SELECT EXISTS (SELECT 1 FROM lists WHERE name = ?)", []any{name}, &exists); err != nil {
			return err
		}
		if exists {
			return &post.Error{Kind: post.KindConflict, Op: op, Message: "there is a list of that name already", Reason: post.Reason{Key: "lists.exists", Args: []string{name}}}
		}
		_, err := t.ensureList(name)
		return err
	})
	if err != nil {
		return post.List{}, err
	}
	return l.ListByName(ctx, name)
}

// SetListRule gives a list another rule, and chooses its people by it.
func (l *Ledger) SetListRule(ctx context.Context, id int64, r Rule) error {
	const op = "change the list"
	if err := r.check(op); err != nil {
		return err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := l.write(ctx, op, func(t *Tx) error {
		_, err := t.exec("INSERT INTO list_rules (list_id, rule, at) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET rule = ?2, at = ?3", id, string(text), post.Millis(t.now))
		return err
	}); err != nil {
		return err
	}
	return l.RefreshList(ctx, id)
}

// AddToList puts people on a list and returns how many were not on it.
func (l *Ledger) AddToList(ctx context.Context, list int64, ids []int64) (n int64, err error) {
	err = l.write(ctx, "put people on the list", func(t *Tx) error {
		some, err := t.inBook(ids)
		if err != nil {
			return err
		}
		n, err = t.addToList(list, some)
		return err
	})
	return n, err
}

// RemoveFromList takes people off a list and returns how many were on it; they
// stay in the book.
func (l *Ledger) RemoveFromList(ctx context.Context, list int64, ids []int64) (n int64, err error) {
	err = l.write(ctx, "take people off the list", func(t *Tx) error {
		n, err = t.removeFromList(list, inBlocks(ids))
		return err
	})
	return n, err
}

// ContactIDs returns the ids of all people a filter chooses, in no order.
func (l *Ledger) ContactIDs(ctx context.Context, f ContactFilter) ([]int64, error) {
	const op = "list contacts"
	if f.Search == "" && f.List != 0 { // the list is read, not the book
		ids, err := l.memberIDs(ctx, f.List)
		return ids, classify(op, err)
	}
	from, where, args := "contacts c", []string(nil), []any(nil)
	if f.Search != "" {
		var err error
		if from, args, err = l.countFrom(ctx, f); err != nil {
			return nil, classify(op, err)
		}
		where, args = append(where, hit), append(args, post.FoldText(f.Search))
		if f.List != 0 {
			where, args = append(where, onList("c.id")), append(args, f.List)
		}
	}
	ids, err := l.ids(ctx, "SELECT json_group_array(c.id) FROM "+from+joinWhere(where), args)
	return ids, classify(op, err)
}

// ContactsByID returns those of the people who are in the book, by address.
func (l *Ledger) ContactsByID(ctx context.Context, ids []int64) ([]ContactRow, error) {
	text, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	return l.contactRows(ctx, "contacts c", "WHERE c.id IN (SELECT value FROM json_each(?)) ORDER BY c.key", []any{string(text)})
}

// SaveContact stores a person: a new one when the id is 0, else with another
// address, name and fields. An address that somebody else has is refused. It
// returns the id.
func (l *Ledger) SaveContact(ctx context.Context, c post.Contact) (int64, error) {
	const op = "keep the contact"
	a, err := post.ParseAddress(strings.TrimSpace(c.Address))
	if err != nil {
		return 0, err
	}
	c.Address, c.Key = a.String(), post.AddressKey(a)
	fields, err := encodeFields(c.Fields)
	if err != nil {
		return 0, classify(op, err)
	}
	err = l.write(ctx, op, func(t *Tx) error {
		var other int64
		err := t.scan("SELECT id FROM contacts WHERE key = ?", []any{c.Key}, &other)
		switch {
		case err == nil && other != c.ID:
			return &post.Error{Kind: post.KindConflict, Op: op, Message: "somebody else has this address", Reason: post.Reason{Key: "contacts.address_taken", Args: []string{c.Address}}}
		case err != nil && !errors.Is(err, sql.ErrNoRows):
			return err
		}
		if err := t.recallSuppressions(c.Key); err != nil {
			return err
		}
		for name := range c.Fields {
			if err := t.noteField(name); err != nil {
				return err
			}
		}
		now := post.Millis(t.now)
		if c.ID == 0 {
			res, err := t.exec("INSERT INTO contacts (address, key, key_version, name, fields, search, created_at, changed_at) VALUES (?,?,?,?,?,?,?,?)",
				c.Address, c.Key, post.AddressKeyVersion, c.Name, fields, searchText(c), now, now)
			if err != nil {
				return err
			}
			if c.ID, err = res.LastInsertId(); err != nil {
				return err
			}
			if _, err := t.exec("INSERT INTO contact_names (name, id) VALUES (?, ?)", c.Name, c.ID); err != nil {
				return err
			}
			// The id may be one that was in the index before.
			_, err = t.exec("INSERT INTO search_waiting (id) VALUES (?) ON CONFLICT DO NOTHING", c.ID)
			return err
		}
		n, err := t.change("UPDATE contacts SET address = ?, key = ?, key_version = ?, name = ?, fields = ?, search = ?, changed_at = ? WHERE id = ?",
			c.Address, c.Key, post.AddressKeyVersion, c.Name, fields, searchText(c), now, c.ID)
		if err := oneRow(op, "the contact", n, err); err != nil {
			return err
		}
		_, err = t.exec("INSERT INTO search_waiting (id) VALUES (?) ON CONFLICT DO NOTHING", c.ID)
		return err
	})
	return c.ID, err
}

// MessagesTo returns one page of the deliveries to an address, given by key, the
// newest first. It asks the mailings one by one: the history is not ordered by
// people.
func (l *Ledger) MessagesTo(ctx context.Context, key string, p Page) ([]HistoryRow, Pages, error) {
	const op = "list the messages to a person"
	order, cmp := "DESC", "<"
	if p.Back {
		order, cmp = "ASC", ">"
	}
	where, args := "m.ready = 1", []any{key}
	if p.Cursor != "" {
		m, err := decodeMark(p.Cursor)
		if err != nil {
			return nil, Pages{}, err
		}
		where, args = where+" AND d.id "+cmp+" ?", append(args, m.ID)
	}
	ids, err := l.ids(ctx, `SELECT json_group_array(id) FROM (SELECT d.id FROM mailings m CROSS JOIN deliveries d ON d.mailing_id = m.id AND d.key = ?
		WHERE `+where+` ORDER BY d.id `+order+` LIMIT ?)`, append(args, p.Limit+1))
	if err != nil {
		return nil, Pages{}, classify(op, err)
	}
	text, err := json.Marshal(ids)
	if err != nil {
		return nil, Pages{}, err
	}
	rows, err := l.historyRows(ctx, "WHERE d.id IN (SELECT value FROM json_each(?)) ORDER BY d.id "+order, []any{string(text)})
	if err != nil {
		return nil, Pages{}, err
	}
	rows, pages := paginate(rows, p, func(r HistoryRow) mark { return mark{ID: r.ID} })
	return rows, pages, nil
}

// Suppressions returns one page of the addresses that are not mailed, never or
// with a list as those of it, by address; search is a part of one.
func (l *Ledger) Suppressions(ctx context.Context, list int64, search string, p Page) ([]post.Suppression, Pages, error) {
	const op = "list the suppressions"
	order, cmp := "ASC", ">"
	if p.Back {
		order, cmp = "DESC", "<"
	}
	from, where, args := suppressedWhere(list, search)
	if p.Cursor != "" {
		m, err := decodeMark(p.Cursor)
		if err != nil {
			return nil, Pages{}, err
		}
		where, args = append(where, "key "+cmp+" ?"), append(args, m.Value)
	}
	all, err := l.suppressions(ctx, "SELECT key, address, reason, source, at FROM "+from+joinWhere(where)+" ORDER BY key "+order+" LIMIT ?", append(args, p.Limit+1))
	if err != nil {
		return nil, Pages{}, classify(op, err)
	}
	for i := range all {
		all[i].List = list
	}
	all, pages := paginate(all, p, func(s post.Suppression) mark { return mark{Value: s.Key} })
	return all, pages, nil
}

// CountSuppressions returns how many a search finds.
func (l *Ledger) CountSuppressions(ctx context.Context, list int64, search string) (int64, error) {
	from, where, args := suppressedWhere(list, search)
	var n int64
	err := l.r.QueryRowContext(ctx, "SELECT count(*) FROM "+from+joinWhere(where), args...).Scan(&n)
	return n, classify("count the suppressions", err)
}

func suppressedWhere(list int64, search string) (from string, where []string, args []any) {
	from = "suppressions"
	if list != 0 { // what is left of people who were erased has no address
		from, where, args = "list_suppressions", []string{"list_id = ?", "address <> ''"}, []any{list}
	}
	if search != "" {
		where, args = append(where, "instr(fold(address), ?) > 0"), append(args, post.FoldText(search))
	}
	return from, where, args
}

// SuppressionsOf returns the lists as whose member a person is not mailed.
func (l *Ledger) SuppressionsOf(ctx context.Context, key string) ([]post.Suppression, error) {
	const op = "list the suppressions"
	rows, err := l.r.QueryContext(ctx, "SELECT list_id, key, address, reason, source, at FROM list_suppressions WHERE key = ? ORDER BY list_id", key)
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var all []post.Suppression
	for rows.Next() {
		var s post.Suppression
		var at int64
		if err := rows.Scan(&s.List, &s.Key, &s.Address, &s.Reason, &s.Source, &at); err != nil {
			return nil, classify(op, err)
		}
		s.At = post.FromMillis(at)
		all = append(all, s)
	}
	return all, classify(op, rows.Err())
}

// SuppressedFor returns the reasons of those of some keys that are not mailed as
// people of a list.
func (l *Ledger) SuppressedFor(ctx context.Context, list int64, keys []string) (map[string]string, error) {
	const op = "list the suppressions"
	array, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	rows, err := l.r.QueryContext(ctx, "SELECT key, reason FROM list_suppressions WHERE list_id = ? AND key IN (SELECT value FROM json_each(?))", list, string(array))
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	all := map[string]string{}
	for rows.Next() {
		var key, reason string
		if err := rows.Scan(&key, &reason); err != nil {
			return nil, classify(op, err)
		}
		all[key] = reason
	}
	return all, classify(op, rows.Err())
}

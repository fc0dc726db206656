package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strings"

	"postroom/post"
)

// ContactRow is a contact as lists show it.
type ContactRow struct {
	post.Contact
	Lists      []string
	Suppressed *post.Suppression // nil: may be mailed
}

// ContactFilter chooses and orders contacts.
type ContactFilter struct {
	List   int64  // 0: all
	Search string // substring of address, name and fields, without regard to case
	ByName bool   // by name, else by address
	Desc   bool
}

func (t *Tx) updateContact(c post.Contact) error {
	fields, err := encodeFields(c.Fields)
	if err != nil {
		return err
	}
	for name := range c.Fields {
		if err := t.noteField(name); err != nil {
			return err
		}
	}
	if _, err := t.exec("UPDATE contacts SET name=?, fields=?, search=?, changed_at=? WHERE id=?",
		c.Name, fields, searchText(c), post.Millis(t.now), c.ID); err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO search_waiting (id) VALUES (?) ON CONFLICT DO NOTHING", c.ID)
	return err
}

func (t *Tx) noteField(name string) error {
	_, err := t.exec("INSERT OR IGNORE INTO contact_fields (name) VALUES (?)", name)
	return err
}

// UpdateContact stores a contact's name and fields.
func (l *Ledger) UpdateContact(ctx context.Context, c post.Contact) error {
	return l.write(ctx, "change the contact", func(t *Tx) error { return t.updateContact(c) })
}

// DeleteContacts removes people from the address book. What was sent to them
// stays in the history, and a suppression stays. Many go in steps between which
// others write; an error in between leaves those who were left.
func (l *Ledger) DeleteContacts(ctx context.Context, ids []int64) error {
	return inSteps(ctx, l, "delete contacts", ids, 50, func(t *Tx, some []int64) error {
		for _, id := range some {
			if _, err := t.deleteContact(id); err != nil {
				return err
			}
		}
		return nil
	})
}

// deleteContact removes a person, a trigger takes them off their lists, and it
// returns how many these were.
func (t *Tx) deleteContact(id int64) (lists int64, err error) {
	if lists, err = t.change("UPDATE lists SET members = members - 1 WHERE id IN (SELECT m.list_id FROM list_members m WHERE "+hasMember("?1")+")", id); err != nil {
		return 0, err
	}
	if _, err := t.exec("DELETE FROM contacts WHERE id = ?", id); err != nil {
		return 0, err
	}
	return lists, t.unindex(id)
}

// Contact returns one person by id.
func (l *Ledger) Contact(ctx context.Context, id int64) (ContactRow, error) {
	rows, err := l.contactRows(ctx, "contacts c", "WHERE c.id = ?", []any{id})
	if err == nil && len(rows) == 0 {
		err = &post.Error{Kind: post.KindNotFound, Op: "look up the contact", Message: "the contact does not exist", Err: ErrNotFound}
	}
	if err != nil {
		return ContactRow{}, err
	}
	return rows[0], nil
}

// Contacts returns one page of people.
func (l *Ledger) Contacts(ctx context.Context, f ContactFilter, p Page) ([]ContactRow, Pages, error) {
	const op = "list contacts"
	o := orderOf(f, p)
	list, err := l.listed(ctx, f.List, &o)
	if err != nil {
		return nil, Pages{}, classify(op, err)
	}
	var from *mark
	if p.Cursor != "" {
		m, err := decodeMark(p.Cursor)
		if err != nil {
			return nil, Pages{}, err
		}
		from = &m
	}
	limit := p.Limit + 1
	where, args := behind(nil, nil, o, from)
	if f.Search != "" || f.List != 0 {
		ids, err := l.pageIDs(ctx, list, o, from, f.Search, limit)
		if err != nil {
			return nil, Pages{}, classify(op, err)
		}
		page, err := json.Marshal(ids)
		if err != nil {
			return nil, Pages{}, err
		}
		// By id, then sorted: they are a page.
		where, args = []string{"c.id IN (SELECT value FROM json_each(?))"}, []any{string(page)}
		o = o.loose()
	}
	rows, err := l.contactRows(ctx, o.from, joinWhere(where)+o.tail(), append(args, limit))
	if err != nil {
		return nil, Pages{}, err
	}
	rows, pages := paginate(rows, p, func(c ContactRow) mark {
		if f.ByName {
			return mark{c.Name, c.ID}
		}
		return mark{c.Key, c.ID}
	})
	return rows, pages, nil
}

// CountContacts returns how many people a filter chooses. A search for what many
// have looks at everybody.
func (l *Ledger) CountContacts(ctx context.Context, f ContactFilter) (int64, error) {
	const op = "count contacts"
	var n int64
	if f.Search == "" {
		query, args := "SELECT count(*) FROM contacts", []any(nil)
		if f.List != 0 {
			query, args = "SELECT coalesce((SELECT members FROM lists WHERE id = ?), 0)", []any{f.List}
		}
		err := l.r.QueryRowContext(ctx, query, args...).Scan(&n)
		return n, classify(op, err)
	}
	from, args, err := l.countFrom(ctx, f)
	if err != nil {
		return 0, classify(op, err)
	}
	where := []string{hit}
	args = append(args, post.FoldText(f.Search))
	if f.List != 0 {
		where = append(where, onList("c.id"))
		args = append(args, f.List)
	}
	err = l.r.QueryRowContext(ctx, "SELECT count(*) FROM "+from+joinWhere(where), args...).Scan(&n)
	return n, classify(op, err)
}

// EachContact walks all people a filter chooses, page by page, by address.
func (l *Ledger) EachContact(ctx context.Context, f ContactFilter) iter.Seq2[ContactRow, error] {
	return func(yield func(ContactRow, error) bool) {
		p := Page{Limit: 500}
		for {
			rows, pages, err := l.Contacts(ctx, f, p)
			if err != nil {
				yield(ContactRow{}, err)
				return
			}
			for _, c := range rows {
				if !yield(c, nil) {
					return
				}
			}
			if pages.Next == "" {
				return
			}
			p.Cursor = pages.Next
		}
	}
}

// EachMember walks the people of a list (0: everybody), in the order in which
// they were added to the book, without their lists and suppressions: what a
// mailing needs, as fast as it can be had.
func (l *Ledger) EachMember(ctx context.Context, list int64) iter.Seq2[post.Contact, error] {
	read := l.everybody
	if list != 0 {
		read = func(ctx context.Context, after int64) ([]post.Contact, int64, error) {
			return l.members(ctx, list, after)
		}
	}
	return func(yield func(post.Contact, error) bool) {
		for after := int64(0); after >= 0; {
			page, last, err := read(ctx, after)
			if err != nil {
				yield(post.Contact{}, classify("list contacts", err))
				return
			}
			for _, c := range page {
				if !yield(c, nil) {
					return
				}
			}
			after = last
		}
	}
}

// memberPage is how many people EachMember reads at a time, about: a page is read
// to its end before anybody is told, so that no reader stays open meanwhile.
const memberPage = 1000

const memberColumns = "c.id, c.address, c.key, c.name, c.fields"

// everybody reads a page of the people behind an id, and returns the last id that
// was looked at, -1 when there are no more.
func (l *Ledger) everybody(ctx context.Context, after int64) (page []post.Contact, last int64, err error) {
	page, err = l.contacts(ctx, "SELECT "+memberColumns+" FROM contacts c WHERE c.id > ? ORDER BY c.id LIMIT ?", after, memberPage)
	if err != nil || len(page) < memberPage {
		return page, -1, err
	}
	return page, page[len(page)-1].ID, nil
}

// members does so for a list; it reads whole blocks.
func (l *Ledger) members(ctx context.Context, list, after int64) (page []post.Contact, last int64, err error) {
	ids := []int64{}
	last = -1
	if err := l.eachBlock(ctx, list, (after+1)>>6, func(b block) bool {
		if ids = b.appendIDs(ids); len(ids) < memberPage {
			return false
		}
		last = b.at<<6 + 63
		return true
	}); err != nil || len(ids) == 0 {
		return nil, last, err
	}
	if from, to := ids[0], ids[len(ids)-1]; to-from < 2*int64(len(ids)) { // a few others in between are read sooner than left out
		page, err = l.contacts(ctx, "SELECT "+memberColumns+" FROM contacts c WHERE c.id >= ? AND c.id <= ? ORDER BY c.id", from, to)
		return slices.DeleteFunc(page, func(c post.Contact) bool {
			_, on := slices.BinarySearch(ids, c.ID)
			return !on
		}), last, err
	}
	text, err := json.Marshal(ids)
	if err != nil {
		return nil, 0, err
	}
	page, err = l.contacts(ctx, "SELECT "+memberColumns+" FROM contacts c WHERE c.id IN (SELECT value FROM json_each(?)) ORDER BY c.id", string(text))
	return page, last, err
}

func (l *Ledger) contacts(ctx context.Context, query string, args ...any) ([]post.Contact, error) {
	rows, err := l.r.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	page := make([]post.Contact, 0, memberPage)
	for rows.Next() {
		var c post.Contact
		var fields string
		if err := rows.Scan(&c.ID, &c.Address, &c.Key, &c.Name, &fields); err != nil {
			return nil, err
		}
		if c.Fields, err = decodeFields(fields); err != nil {
			return nil, err
		}
		page = append(page, c)
	}
	return page, rows.Err()
}

// order is how a page of contacts is read, and from where.
type order struct {
	from, column, id string
	named            bool
	short            bool // few people, who are all read
	dir, cmp         string
}

// orderOf reads along an index, so that a page costs the same wherever it is.
func orderOf(f ContactFilter, p Page) order {
	o := order{from: "contacts c", column: "c.key", id: "c.id", dir: "ASC", cmp: ">"} // what people see as "by address"
	if f.ByName {
		o.from, o.column, o.id, o.named = "contact_names n CROSS JOIN contacts c ON c.id = n.id", "n.name", "n.id", true
	}
	if f.Desc != p.Back {
		o.dir, o.cmp = "DESC", "<"
	}
	return o
}

// loose is the same order for a few people, who are found otherwise and sorted.
func (o order) loose() order {
	o.from, o.column, o.id = "contacts c", "+c.key", "+c.id"
	if o.named {
		o.column = "+c.name"
	}
	return o
}

func (o order) tail() string {
	return " ORDER BY " + o.column + " " + o.dir + ", " + o.id + " " + o.dir + " LIMIT ?"
}

func (l *Ledger) contactRows(ctx context.Context, from, tail string, args []any) ([]ContactRow, error) {
	const op = "list contacts"
	rows, err := l.r.QueryContext(ctx, `SELECT c.id, c.address, c.key, c.name, c.fields, c.created_at, c.changed_at,
		coalesce((SELECT json_group_array(l.name ORDER BY l.name) FROM list_members m JOIN lists l ON l.id = m.list_id WHERE `+hasMember("c.id")+`), '[]'),
		s.reason, s.source, s.at, s.address
		FROM `+from+` LEFT JOIN suppressions s ON s.key = c.key `+tail, args...)
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var all []ContactRow
	for rows.Next() {
		var c ContactRow
		var fields, lists string
		var created, changed int64
		var reason, source, address sql.NullString
		var at sql.NullInt64
		if err := rows.Scan(&c.ID, &c.Address, &c.Key, &c.Name, &fields, &created, &changed, &lists, &reason, &source, &at, &address); err != nil {
			return nil, classify(op, err)
		}
		c.CreatedAt, c.ChangedAt = post.FromMillis(created), post.FromMillis(changed)
		if c.Fields, err = decodeFields(fields); err != nil {
			return nil, classify(op, err)
		}
		if err := json.Unmarshal([]byte(lists), &c.Lists); err != nil {
			return nil, classify(op, err)
		}
		if reason.Valid {
			c.Suppressed = &post.Suppression{Key: c.Key, Address: address.String, Reason: reason.String, Source: source.String, At: post.FromMillis(at.Int64)}
		}
		all = append(all, c)
	}
	return all, classify(op, rows.Err())
}

// FieldNames returns the names of all custom fields that somebody has or had, sorted.
func (l *Ledger) FieldNames(ctx context.Context) ([]string, error) {
	const op = "list the fields"
	rows, err := l.r.QueryContext(ctx, "SELECT name FROM contact_fields ORDER BY name")
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, classify(op, err)
		}
		all = append(all, s)
	}
	return all, classify(op, rows.Err())
}

// searchText is what a contact is found by.
func searchText(c post.Contact) string {
	var b strings.Builder
	b.WriteString(c.Address)
	b.WriteByte('\n')
	b.WriteString(c.Name)
	for _, k := range slices.Sorted(maps.Keys(c.Fields)) {
		if v := c.Fields[k]; v != "" {
			b.WriteByte('\n')
			b.WriteString(v)
		}
	}
	return post.FoldText(b.String())
}

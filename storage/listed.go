package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// chosen says which people are looked at.
type chosen struct {
	list    int64  // 0: all
	short   bool   // the list itself is read, not the book
	ids     string // of its people, as JSON, when it is read
	members int64
	last    int64  // the greatest id in the book
	version string // of the list and its people; an order that was worked out holds as long
	newest  int64  // the greatest id on the list
	book    int64  // the version of the book's order
}

// past says so for an order, together with the place in it behind which a page
// begins.
func (c chosen) past(o order, from *mark) (where []string, args []any) {
	switch {
	case c.list == 0:
	case c.short:
		args = append(args, c.ids) // for order.from
	default: // the plus keeps it a question of its own, asked before the person is read
		where, args = append(where, "+"+onList(o.id)), append(args, c.list)
	}
	return behind(where, args, o, from)
}

// behind adds the place behind which a page begins.
func behind(where []string, args []any, o order, from *mark) ([]string, []any) {
	if from == nil {
		return where, args
	}
	return append(where, "("+o.column+", "+o.id+") "+o.cmp+" (?, ?)"), append(args, from.Value, from.ID)
}

// Variables, so that tests come to all ways with few people.
var (
	listShort  int64 = 10     // a list is short whose people, squared, are fewer than so many times the book's
	listMarked int64 = 30_000 // the people of a list up to this one are marked, then the order is walked
	listWalk   int64 = 30_000 // people walked by who are on no list, before the list itself is sorted
	listSorted int64 = 60_000 // unless it has more people than this
)

// listed chooses the people of a list, 0 being everybody. Those of a long list are
// met soon on the way along the order, without a look at the others; a short one
// is read and sorted. Where both are possible they take about as long.
func (l *Ledger) listed(ctx context.Context, list int64, o *order) (chosen, error) {
	c := chosen{list: list}
	if list == 0 {
		l.ranks.warm(l, false)
		return c, nil
	}
	var newest, word int64
	if err := l.r.QueryRowContext(ctx, `SELECT coalesce(max(members), 0), (SELECT coalesce(max(id), 0) FROM contacts), coalesce(max(created_at || '.' || version), ''),
		coalesce((SELECT max(block) FROM list_members WHERE list_id = ?1), 0),
		coalesce((SELECT bits FROM list_members WHERE list_id = ?1 ORDER BY block DESC LIMIT 1), 0), (SELECT version FROM book_order)
		FROM lists WHERE id = ?1`, list).Scan(&c.members, &c.last, &c.version, &newest, &word, &c.book); err != nil {
		return c, err
	}
	c.newest = block{newest, uint64(word)}.last()
	if c.last >= ranksFrom && l.ranks.of(c) == nil {
		l.ranks.warm(l, true)
	}
	if c.short = c.members*c.members <= listShort*c.last; c.short {
		*o = o.ofList()
	}
	return c, nil
}

// ofList is the order of a list that is read and sorted.
func (o order) ofList() order {
	o = o.loose()
	o.short, o.from = true, "json_each(?) j CROSS JOIN contacts c ON c.id = j.value"
	return o
}

// readWhole reads a list, for an order by which it is sorted.
func (l *Ledger) readWhole(ctx context.Context, c *chosen) error {
	ids, err := l.memberIDs(ctx, c.list)
	if err != nil {
		return err
	}
	text, err := json.Marshal(ids)
	c.short, c.ids = true, string(text)
	return err
}

// pageIDs finds who is on a page of a list or of a search. The people themselves
// are read afterwards: what is sorted is the ids alone.
func (l *Ledger) pageIDs(ctx context.Context, c chosen, o order, from *mark, search string, limit int) ([]int64, error) {
	if search != "" {
		if c.short {
			if err := l.readWhole(ctx, &c); err != nil {
				return nil, err
			}
		}
		return l.searchIDs(ctx, c, o, from, search, limit)
	}
	if ids, ok, err := l.rankedPage(ctx, c, o, from, limit); err != nil || ok {
		return ids, err
	}
	kept := orderKey{c.list, o.named, c.version}
	if ids, ok := l.orders.page(kept, from, limit, o.dir == "DESC"); ok {
		return ids, nil
	}
	if !c.short {
		ids, done, err := l.walkList(ctx, c, o, from, limit)
		if err != nil || done {
			return ids, err
		}
	}
	if err := l.readWhole(ctx, &c); err != nil {
		return nil, err
	}
	up := o.ofList()
	up.dir = "ASC"
	where, args := c.past(up, nil)
	ids, err := l.ids(ctx, "SELECT json_group_array(id) FROM (SELECT c.id FROM "+up.from+joinWhere(where)+up.tail()+")", append(args, -1))
	if err != nil {
		return nil, err
	}
	if ids, ok := l.orders.keep(kept, ids).page(from, limit, o.dir == "DESC"); ok {
		return ids, nil
	}
	// Who was at that place is gone: it is found by what they were sorted by.
	o = o.ofList()
	where, args = c.past(o, from)
	return l.ids(ctx, "SELECT json_group_array(id) FROM (SELECT c.id FROM "+o.from+joinWhere(where)+o.tail()+")", append(args, limit))
}

// walkList goes along the order until enough people of the list were met. Not done:
// they stand together far from here, and to sort the list is less work.
func (l *Ledger) walkList(ctx context.Context, c chosen, o order, from *mark, limit int) (ids []int64, done bool, err error) {
	var on marked
	if c.members <= listMarked {
		if on, err = l.marked(ctx, c); err != nil {
			return nil, false, err
		}
	}
	if o.named {
		o.from = "contact_names n" // nobody is read who is not on the list
	}
	for most := int64(limit)*c.last/max(c.members, 1)*5/4 + int64(limit); ; most *= 3 {
		var walked int64
		if ids, walked, err = l.walkSome(ctx, c, o, from, on, most); err != nil {
			return nil, false, err
		}
		switch {
		case len(ids) >= limit || walked < most:
			return ids[:min(len(ids), limit)], true, nil
		case most > listWalk && c.members <= listSorted:
			return nil, false, nil
		}
	}
}

// walkSome looks at so many people along the order, and returns those of the list.
func (l *Ledger) walkSome(ctx context.Context, c chosen, o order, from *mark, on marked, most int64) (ids []int64, walked int64, err error) {
	where, args := behind(nil, nil, o, from)
	some := "(SELECT " + o.id + " AS id FROM " + o.from + joinWhere(where) + o.tail() + ")"
	args = append(args, most)
	if on == nil {
		var list string
		err := l.r.QueryRowContext(ctx, "SELECT count(*), coalesce(group_concat(id) FILTER (WHERE "+onList("id")+"), '') FROM "+some,
			append([]any{c.list}, args...)...).Scan(&walked, &list)
		if err == nil {
			err = eachID(list, func(id int64) { ids = append(ids, id) })
		}
		return ids, walked, err
	}
	var all string
	if err := l.r.QueryRowContext(ctx, "SELECT coalesce(group_concat(id), '') FROM "+some, args...).Scan(&all); err != nil {
		return nil, 0, err
	}
	err = eachID(all, func(id int64) {
		if walked++; on.has(id) {
			ids = append(ids, id)
		}
	})
	return ids, walked, err
}

// marked says of each id whether it is on a list, a bit each.
type marked []uint64

func (m marked) has(id int64) bool {
	i := id >> 6
	return i < int64(len(m)) && m[i]>>(id&63)&1 == 1
}

// marked reads a list.
func (l *Ledger) marked(ctx context.Context, c chosen) (marked, error) {
	m := make(marked, c.last>>6+1)
	err := l.eachBlock(ctx, c.list, 0, func(b block) bool {
		if grow := int(b.at) + 1 - len(m); grow > 0 { // somebody came meanwhile
			m = append(m, make(marked, grow)...)
		}
		m[b.at] = b.bits
		return false
	})
	return m, err
}

// eachID calls do with the numbers of a text like "1,2,3".
func eachID(text string, do func(int64)) error {
	for len(text) > 0 {
		var one string
		one, text, _ = strings.Cut(text, ",")
		id, err := strconv.ParseInt(one, 10, 64)
		if err != nil {
			return fmt.Errorf("an id: %w", err)
		}
		do(id)
	}
	return nil
}

// orders keeps the last lists that were sorted, for the pages that come next. Safe
// for concurrent use.
type orders struct {
	mu   sync.Mutex
	keys []orderKey // the latest is the last
	all  []sortedList
}

// ordersKept are so many lists, of at most listSorted people each, 8 bytes a person.
const ordersKept = 4

// orderKey is a list in an order, as of a version.
type orderKey struct {
	list    int64
	named   bool
	version string
}

// sortedList is the ids of a list, in ascending order.
type sortedList []int64

func (o *orders) keep(k orderKey, ids []int64) sortedList {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.keys) == ordersKept {
		o.keys, o.all = slices.Delete(o.keys, 0, 1), slices.Delete(o.all, 0, 1)
	}
	o.keys, o.all = append(o.keys, k), append(o.all, ids)
	return ids
}

func (o *orders) page(k orderKey, from *mark, limit int, desc bool) ([]int64, bool) {
	o.mu.Lock()
	i := slices.Index(o.keys, k)
	var ids sortedList
	if i >= 0 {
		ids = o.all[i]
	}
	o.mu.Unlock()
	if i < 0 {
		return nil, false
	}
	return ids.page(from, limit, desc)
}

// page returns those behind a place; not ok when nobody stands there.
func (s sortedList) page(from *mark, limit int, desc bool) ([]int64, bool) {
	at := len(s)
	if !desc {
		at = -1
	}
	if from != nil {
		if at = slices.Index(s, from.ID); at < 0 {
			return nil, false
		}
	}
	if desc {
		return slices.Clone(s[max(0, at-limit):at]), true
	}
	return slices.Clone(s[at+1 : min(len(s), at+1+limit)]), true
}

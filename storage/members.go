package storage

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"math/bits"
	"slices"
	"strings"
)

// block is those people of a list who have one of 64 ids that follow each other:
// bit i stands for 64*at + i. Lists are kept so because the ids of an import follow
// each other, too: a row is then 64 of its people.
type block struct {
	at   int64
	bits uint64
}

func blockOf(id int64) block { return block{id >> 6, 1 << (id & 63)} }

func (b block) len() int64 { return int64(bits.OnesCount64(b.bits)) }

// last is the greatest id.
func (b block) last() int64 { return b.at<<6 + int64(bits.Len64(b.bits)) - 1 }

// appendIDs adds the ids of the people, the smallest first.
func (b block) appendIDs(ids []int64) []int64 {
	for rest := b.bits; rest != 0; rest &= rest - 1 {
		ids = append(ids, b.at<<6+int64(bits.TrailingZeros64(rest)))
	}
	return ids
}

// inBlocks puts ids, in any order, into blocks, the first one first.
func inBlocks(ids []int64) []block {
	all := make([]block, 0, len(ids))
	for _, id := range ids {
		all = append(all, blockOf(id))
	}
	return joinBlocks(all)
}

// blocksFrom are n ids that follow each other, in blocks.
func blocksFrom(first, n int64) (all []block) {
	for id, end := first, first+n; id < end; {
		in := min(end-id, 64-id&63)
		all = append(all, block{id >> 6, ^uint64(0) >> (64 - in) << (id & 63)})
		id += in
	}
	return all
}

// joinBlocks sorts blocks, and makes one of those in the same place.
func joinBlocks(all []block) []block {
	slices.SortFunc(all, func(a, b block) int { return cmp.Compare(a.at, b.at) })
	joined := all[:0]
	for _, b := range all {
		if n := len(joined); n > 0 && joined[n-1].at == b.at {
			joined[n-1].bits |= b.bits
			continue
		}
		joined = append(joined, b)
	}
	return joined
}

// hasMember asks whether in a block m is the person with an id, an expression.
func hasMember(id string) string {
	return "m.block = " + id + " >> 6 AND m.bits >> (" + id + " & 63) & 1"
}

// onList asks whether that person is on the list that a question mark stands for.
func onList(id string) string {
	return "EXISTS (SELECT 1 FROM list_members m WHERE m.list_id = ? AND " + hasMember(id) + ")"
}

// eachBlock calls do with the blocks of a list from one on, until it says that it
// has enough.
func (l *Ledger) eachBlock(ctx context.Context, list, from int64, do func(block) (enough bool)) error {
	rows, err := l.r.QueryContext(ctx, "SELECT block, bits FROM list_members WHERE list_id = ? AND block >= ? ORDER BY block", list, from)
	if err != nil {
		return err
	}
	return scanBlocks(rows, do)
}

func scanBlocks(rows *sql.Rows, do func(block) (enough bool)) error {
	defer rows.Close()
	for rows.Next() {
		var at, bits int64
		if err := rows.Scan(&at, &bits); err != nil {
			return err
		}
		if do(block{at, uint64(bits)}) {
			break
		}
	}
	return rows.Err()
}

// memberIDs returns the ids of the people of a list, the smallest first.
func (l *Ledger) memberIDs(ctx context.Context, list int64) ([]int64, error) {
	ids := []int64{}
	err := l.eachBlock(ctx, list, 0, func(b block) bool {
		ids = b.appendIDs(ids)
		return false
	})
	return ids, err
}

// addToList puts people on a list and returns how many were not on it.
func (t *Tx) addToList(list int64, some []block) (int64, error) {
	return t.changeMembers(list, some, func(was, these uint64) uint64 { return was | these })
}

// removeFromList takes people off a list and returns how many were on it.
func (t *Tx) removeFromList(list int64, some []block) (int64, error) {
	n, err := t.changeMembers(list, some, func(was, these uint64) uint64 { return was &^ these })
	return -n, err
}

// setMembers makes those chosen, of the ids from one on and before another, both at
// the beginning of a block, the list's only ones.
func (t *Tx) setMembers(list, from, to int64, chosen []int64) error {
	some, err := t.inBook(chosen)
	if err != nil {
		return err
	}
	for at := from >> 6; at < to>>6; at++ {
		some = append(some, block{at: at})
	}
	_, err = t.changeMembers(list, joinBlocks(some), func(_, these uint64) uint64 { return these })
	return err
}

// changeMembers gives some blocks of a list, each once, other people, counts them,
// and returns how many more they are than before. A list that is gone is an error.
func (t *Tx) changeMembers(list int64, some []block, become func(was, these uint64) uint64) (more int64, err error) {
	was, err := t.blocks(list, some)
	if err != nil {
		return 0, err
	}
	var left []block
	var emptied []int64
	for _, b := range some {
		old, now := block{b.at, was[b.at]}, block{b.at, become(was[b.at], b.bits)}
		more += now.len() - old.len()
		switch {
		case now == old:
		case now.bits == 0:
			emptied = append(emptied, b.at)
		default:
			left = append(left, now)
		}
	}
	if err := t.writeBlocks(list, left); err != nil {
		return 0, err
	}
	if len(emptied) > 0 {
		text, err := json.Marshal(emptied)
		if err != nil {
			return 0, err
		}
		if _, err := t.exec("DELETE FROM list_members WHERE list_id = ? AND block IN (SELECT value FROM json_each(?))", list, string(text)); err != nil {
			return 0, err
		}
	}
	n, err := t.change("UPDATE lists SET members = members + ? WHERE id = ?", more, list)
	return more, oneRow("change the list", "the list", n, err)
}

// blocks reads what a list has in the places of some blocks.
func (t *Tx) blocks(list int64, some []block) (map[int64]uint64, error) {
	places := make([]int64, 0, len(some))
	for _, b := range some {
		places = append(places, b.at)
	}
	text, err := json.Marshal(places)
	if err != nil {
		return nil, err
	}
	rows, err := t.query("SELECT block, bits FROM list_members WHERE list_id = ? AND block IN (SELECT value FROM json_each(?))", list, string(text))
	if err != nil {
		return nil, err
	}
	found := map[int64]uint64{}
	err = scanBlocks(rows, func(b block) bool {
		found[b.at] = b.bits
		return false
	})
	return found, err
}

// firstBlocks returns the first n blocks of a list.
func (t *Tx) firstBlocks(list, n int64) (some []block, err error) {
	rows, err := t.query("SELECT block, bits FROM list_members WHERE list_id = ? ORDER BY block LIMIT ?", list, n)
	if err != nil {
		return nil, err
	}
	err = scanBlocks(rows, func(b block) bool {
		some = append(some, b)
		return false
	})
	return some, err
}

// A thousand new people, as many as an import writes at a time, are in 16 blocks
// or 17.
const (
	manyBlocks = 16
	blockHead  = "INSERT OR FAIL INTO list_members (list_id, block, bits) VALUES "
	blockRow   = "(?1,?,?)"
	blockTail  = " ON CONFLICT DO UPDATE SET bits = excluded.bits"
)

var (
	blockOne  = blockHead + blockRow + blockTail
	blockMany = blockHead + blockRow + strings.Repeat(","+blockRow, manyBlocks-1) + blockTail
)

// writeBlocks stores blocks in which somebody is.
func (t *Tx) writeBlocks(list int64, some []block) error {
	args := make([]any, 0, 1+2*manyBlocks)
	for len(some) > 0 {
		n, query := 1, blockOne
		if len(some) >= manyBlocks {
			n, query = manyBlocks, blockMany
		}
		args = append(args[:0], list)
		for _, b := range some[:n] {
			args = append(args, b.at, int64(b.bits))
		}
		if _, err := t.exec(query, args...); err != nil {
			return err
		}
		some = some[n:]
	}
	return nil
}

// inBook returns those of some ids that are somebody's, in blocks: people may have
// been deleted since they were chosen.
func (t *Tx) inBook(ids []int64) ([]block, error) {
	text, err := json.Marshal(append([]int64{}, ids...))
	if err != nil {
		return nil, err
	}
	var found string
	if err := t.scan("SELECT json_group_array(c.id) FROM json_each(?) j CROSS JOIN contacts c ON c.id = j.value", []any{string(text)}, &found); err != nil {
		return nil, err
	}
	var there []int64
	err = json.Unmarshal([]byte(found), &there)
	return inBlocks(there), err
}

package storage

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"postroom/post"
)

// Variables, so that tests come to all ways of searching with few people.
var (
	searchWalk = 20_000  // people looked at along the order in vain
	searchFew  = 12_000  // so many are read and sorted
	searchMany = 200_000 // and so many, when all else has failed
)

const (
	// walkFirst people along the order are looked at before the rest is thought over.
	walkFirst = 400
	// walkOn is how many times searchWalk people are looked at while it goes well.
	walkOn = 4
	// Along the order by name people lie all over the book: a walk costs so many
	// times as much.
	namedCost = 4
	// fewApart is how many people, spread over the whole book, are read as fast as
	// a page is found along the order.
	fewApart = 4000
)

// searching is the search for one page: the ids, in order, of people whose text
// holds what was asked for. There are three ways. What many have is soon met on
// the way along the order; what few have is found by the index and sorted; and
// where neither is known to end soon, the index chooses and the order is walked.
type searching struct {
	ledger *Ledger
	order  order
	list   chosen
	from   *mark // the place in the order behind which the page begins; nil: the front
	folded string
	limit  int
}

func (l *Ledger) searchIDs(ctx context.Context, list chosen, o order, from *mark, text string, limit int) ([]int64, error) {
	s := searching{ledger: l, order: o, list: list, from: from, folded: post.FoldText(text), limit: limit}
	grams := gramQuery(s.folded)
	stands, err := l.indexStands(ctx)
	if err != nil {
		return nil, err
	}
	if len(grams) == 0 || !stands || o.short {
		return s.scan(ctx)
	}
	rare, err := s.rarest(ctx)
	if err != nil {
		return nil, err
	}
	if rare.n <= searchFew && (rare.together || o.named || rare.n <= fewApart) {
		return s.sorted(ctx, rare.match)
	}
	if o.named || !rare.far {
		if ids, done, err := s.walk(ctx, len(gramsWithin(s.folded, 1)) > 0); err != nil || done {
			return ids, err
		}
	}
	match := joinGrams(grams)
	if rare.n <= searchFew {
		match = rare.match
	}
	n, err := s.count(ctx, match, searchMany)
	if err != nil {
		return nil, err
	}
	if n.n <= searchMany {
		return s.sorted(ctx, match)
	}
	return s.picked(ctx, match)
}

func joinGrams(grams []gram) string {
	parts := make([]string, 0, len(grams))
	for _, g := range grams {
		parts = append(parts, g.match)
	}
	return strings.Join(parts, " AND ")
}

// gramCount is what the index says of some grams.
type gramCount struct {
	n        int // people who have them; one more than the most that were counted stands for all beyond
	from, to int64
}

func (s *searching) count(ctx context.Context, match string, most int) (f gramCount, err error) {
	err = s.ledger.r.QueryRowContext(ctx, `SELECT count(*), coalesce(min(rowid), 0), coalesce(max(rowid), 0)
		FROM (SELECT rowid FROM contact_search WHERE contact_search MATCH ? LIMIT ?)`, match, most+1).Scan(&f.n, &f.from, &f.to)
	return f, err
}

// rare is what the index knows of the rarest grams of a search.
type rare struct {
	match    string
	n        int  // people who have them; over searchFew where nobody knows
	together bool // they stand side by side in the book
	far      bool // somebody must have a gram that nobody has in the front of the book
}

const (
	gramsProbed  = 12  // grams of a search that are looked at
	gramsCounted = 4   // and counted
	probeMost    = 200 // people by whom a gram is probed
)

// rarest finds the grams that few people have: each is probed, and those that do
// not seem to be everywhere are counted, as far as searchFew. A beginning of
// grams is left out: the index would read all of them for it.
func (s *searching) rarest(ctx context.Context) (rare, error) {
	best := rare{n: searchFew + 1}
	var last int64
	if err := s.ledger.r.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM contacts").Scan(&last); err != nil {
		return best, err
	}
	type probed struct {
		match string
		about int64 // people who have it, if they are spread evenly
	}
	var few []probed
	for _, g := range gramsWithin(s.folded, gramsProbed) {
		f, err := s.count(ctx, g, probeMost)
		if err != nil {
			return best, err
		}
		best.far = best.far || f.from > last/10
		about := int64(f.n)
		if f.n > probeMost {
			about = about * last / (f.to - f.from + 1)
		}
		if about < last/20 || f.from > last/50 { // the others are everywhere
			few = append(few, probed{g, about})
		}
	}
	slices.SortStableFunc(few, func(a, b probed) int { return cmp.Compare(a.about, b.about) })
	var parts []string
	for _, p := range few[:min(len(few), gramsCounted)] {
		f, err := s.count(ctx, p.match, searchFew)
		if err != nil {
			return best, err
		}
		if f.n <= searchFew {
			parts = append(parts, p.match)
			best.take(f)
		}
		if best.n <= fewApart/4 {
			break
		}
	}
	if len(parts) > 1 && best.n > fewApart/4 {
		f, err := s.count(ctx, strings.Join(parts, " AND "), searchFew)
		if err != nil {
			return best, err
		}
		best.take(f)
	}
	best.match = strings.Join(parts, " AND ")
	return best, nil
}

func (r *rare) take(f gramCount) {
	if f.n <= r.n {
		r.n, r.together = f.n, f.to-f.from < 4*int64(f.n)
	}
}

// countFrom says who may be found by a search: those whom the index finds, where
// they are few, else everybody.
func (l *Ledger) countFrom(ctx context.Context, f ContactFilter) (from string, args []any, err error) {
	s := searching{ledger: l, folded: post.FoldText(f.Search)}
	stands, err := l.indexStands(ctx)
	if err != nil || !stands || len(gramsWithin(s.folded, 1)) == 0 {
		return "contacts c", nil, err
	}
	rare, err := s.rarest(ctx)
	if err != nil || rare.n > searchFew {
		return "contacts c", nil, err
	}
	return "(SELECT DISTINCT rowid FROM (" + hits + ")) h CROSS JOIN contacts c ON c.id = h.rowid", []any{rare.match}, nil
}

// people says which people are looked at, in which order; more is what else they
// must be, asked last.
func (s *searching) people(o order, more ...string) (where string, args []any) {
	all, args := s.list.past(o, s.from)
	return joinWhere(append(all, more...)) + o.tail(), args
}

const hit = "instr(c.search, ?) > 0"

// scan looks at everybody along the order.
func (s *searching) scan(ctx context.Context) ([]int64, error) {
	where, args := s.people(s.order, hit)
	return s.ledger.ids(ctx, "SELECT json_group_array(id) FROM (SELECT c.id FROM "+s.order.from+where+")", append(args, s.folded, s.limit))
}

// walk looks at people along the order for as long as that promises to end soon;
// done when the page is full or the end was reached.
func (s *searching) walk(ctx context.Context, whole bool) (ids []int64, done bool, err error) {
	where, args := s.people(s.order)
	args = append([]any{s.folded}, args...)
	long, vain := searchWalk, searchWalk
	if s.order.named {
		long /= namedCost
		vain = long
	}
	if !whole { // the index can only say what begins so, and says soon where that is rare
		vain = min(walkFirst, vain)
	}
	for most := min(walkFirst, vain); ; {
		var walked int
		var found string
		if err := s.ledger.r.QueryRowContext(ctx, "SELECT count(*), json_group_array(c.id) FILTER (WHERE "+hit+") FROM (SELECT c.id, c.search FROM "+s.order.from+where+") c", append(slices.Clip(args), most)...).Scan(&walked, &found); err != nil {
			return nil, false, err
		}
		ids = ids[:0]
		if err := json.Unmarshal([]byte(found), &ids); err != nil {
			return nil, false, err
		}
		if len(ids) >= s.limit || walked < most {
			return ids[:min(len(ids), s.limit)], true, nil
		}
		next := most * s.limit / max(len(ids), 1) * 5 / 4
		switch {
		case next <= walkOn*long && len(ids) > 2:
		case most < vain && len(ids) < 10: // too few to tell by
			next = min(5*most, vain)
		default:
			return nil, false, nil
		}
		most = max(next, most+1)
	}
}

// sorted reads everybody whom the index finds, and sorts them. CROSS JOIN: those
// are read first.
func (s *searching) sorted(ctx context.Context, match string) ([]int64, error) {
	where, args := s.people(s.order.loose(), hit)
	var waits bool
	if err := s.ledger.r.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM search_waiting)").Scan(&waits); err != nil {
		return nil, err
	}
	who := "SELECT c.id FROM (SELECT rowid FROM contact_search WHERE contact_search MATCH ?) h"
	if waits { // somebody may be among both
		who = "SELECT DISTINCT c.id FROM (" + hits + ") h"
	}
	return s.ledger.ids(ctx, "SELECT json_group_array(id) FROM ("+who+" CROSS JOIN contacts c ON c.id = h.rowid"+where+")",
		append(append([]any{match}, args...), s.folded, s.limit))
}

const hits = "SELECT rowid FROM contact_search WHERE contact_search MATCH ? UNION ALL SELECT id FROM search_waiting"

// picked walks along the order for those whom the index finds.
func (s *searching) picked(ctx context.Context, match string) ([]int64, error) {
	where, args := s.people(s.order, "+c.id IN ("+hits+")", hit)
	return s.ledger.ids(ctx, "SELECT json_group_array(id) FROM (SELECT c.id FROM "+s.order.from+where+")", append(args, match, s.folded, s.limit))
}

func (l *Ledger) ids(ctx context.Context, query string, args []any) ([]int64, error) {
	var list string
	if err := l.r.QueryRowContext(ctx, query, args...).Scan(&list); err != nil {
		return nil, err
	}
	var ids []int64
	err := json.Unmarshal([]byte(list), &ids)
	return ids, err
}

func joinWhere(where []string) string {
	all := ""
	for i, w := range where {
		if i == 0 {
			all = " WHERE "
		} else {
			all += " AND "
		}
		all += w
	}
	return all
}

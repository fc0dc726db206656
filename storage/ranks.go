package storage

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"sync"
)

// ranks are the orders of a large book, read once and kept, 4 bytes a person and
// order: the people of a list are found along them without a look at anybody else,
// wherever they stand. They are read in the background when somebody looks at the
// book; until they stand, and while an import goes on, pages are found in the ways
// of listed.go. Safe for concurrent use.
type ranks struct {
	mu    sync.Mutex
	tried bool
	ended bool
	stop  context.CancelFunc
	done  chan struct{} // closed when the reading that went on has ended; nil: none did
	now   *ranked
	keys  []orderKey // of the people of lists that were marked last
	marks []marked
}

// ranked are the orders as they were at one moment.
type ranked struct {
	version, last int64 // of the book, and the greatest id in it
	key, name     []uint32
}

// Variables, so that tests come to this with few people.
var (
	ranksFrom int64 = 20_000 // people in the book; smaller ones are sorted as fast
	ranksMost int64 = 60_000 // people on a list; of longer ones some are met soon along the order
)

// marksKept are so many lists, a bit for each person of the book.
const marksKept = 4

// of returns the orders if they hold for a list.
func (r *ranks) of(c chosen) *ranked {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == nil || r.now.version != c.book || r.now.last < c.newest {
		return nil
	}
	return r.now
}

// warm begins to read the orders, once for a ledger and again when they do not hold.
func (r *ranks) warm(l *Ledger, again bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended || r.tried && !again {
		return
	}
	if r.done != nil {
		select {
		case <-r.done:
		default:
			return // it goes on
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	r.tried, r.stop, r.done = true, stop, done
	go func() {
		defer close(done)
		defer stop()
		now, err := l.readRanks(ctx)
		if err != nil {
			if ctx.Err() == nil {
				l.log.Warn("read the order of the book", slog.Any("err", err))
			}
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.now = now
	}()
}

// end stops the reading and waits for it.
func (r *ranks) end() {
	r.mu.Lock()
	r.ended = true
	stop, done := r.stop, r.done
	r.mu.Unlock()
	if done != nil {
		stop()
		<-done
	}
}

// readRanks reads both orders as of one moment; nil where the book is small or an
// import goes on.
func (l *Ledger) readRanks(ctx context.Context) (*ranked, error) {
	r := &ranked{}
	var importing bool
	const look = "(SELECT version FROM book_order), coalesce((SELECT max(id) FROM contacts), 0), EXISTS (SELECT 1 FROM imports)"
	if err := l.r.QueryRowContext(ctx, "SELECT "+look).Scan(&r.version, &r.last, &importing); err != nil {
		return nil, err
	}
	if importing || r.last < ranksFrom || r.last > math.MaxUint32 {
		return nil, nil
	}
	var key, name string
	if err := l.r.QueryRowContext(ctx, "SELECT "+look+`, coalesce((SELECT group_concat(id) FROM (SELECT id FROM contacts ORDER BY key, id LIMIT -1)), ''),
		coalesce((SELECT group_concat(id) FROM (SELECT id FROM contact_names ORDER BY name, id LIMIT -1)), '')`).Scan(&r.version, &r.last, &importing, &key, &name); err != nil {
		return nil, err
	}
	if importing || r.last > math.MaxUint32 {
		return nil, nil
	}
	for text, all := range map[string]*[]uint32{key: &r.key, name: &r.name} {
		if err := eachID(text, func(id int64) { *all = append(*all, uint32(id)) }); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// rankedPage finds a page of a list along the orders that are kept; not ok when
// none holds, the list is too long, or nobody stands where the page begins.
func (l *Ledger) rankedPage(ctx context.Context, c chosen, o order, from *mark, limit int) (ids []int64, ok bool, err error) {
	r := l.ranks.of(c)
	if r == nil || c.members > ranksMost {
		return nil, false, nil
	}
	on, err := l.keptMarks(ctx, c)
	if err != nil {
		return nil, false, err
	}
	all := r.key
	if o.named {
		all = r.name
	}
	at, step := -1, 1
	if o.dir == "DESC" {
		at, step = len(all), -1
	}
	if from != nil {
		if from.ID < 0 || from.ID > math.MaxUint32 {
			return nil, false, nil
		}
		if at = slices.Index(all, uint32(from.ID)); at < 0 {
			return nil, false, nil
		}
	}
	for at += step; at >= 0 && at < len(all) && len(ids) < limit; at += step {
		if id := int64(all[at]); on.has(id) {
			ids = append(ids, id)
		}
	}
	return ids, true, nil
}

// keptMarks marks the people of a list, or returns what was marked before.
func (l *Ledger) keptMarks(ctx context.Context, c chosen) (marked, error) {
	r, k := &l.ranks, orderKey{list: c.list, version: c.version}
	r.mu.Lock()
	i := slices.Index(r.keys, k)
	var on marked
	if i >= 0 {
		on = r.marks[i]
	}
	r.mu.Unlock()
	if i >= 0 {
		return on, nil
	}
	on, err := l.marked(ctx, c)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.keys) == marksKept {
		r.keys, r.marks = slices.Delete(r.keys, 0, 1), slices.Delete(r.marks, 0, 1)
	}
	r.keys, r.marks = append(r.keys, k), append(r.marks, on)
	return on, nil
}

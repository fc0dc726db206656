package contacts

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
)

// A batch ends at so many records, or bytes of them.
const (
	batchRecords = 512
	batchBytes   = 256 << 10
	cellBytes    = 16 // that a cell takes beside its text
)

// batch is some records that follow each other, and what is made of them, by one
// goroutine while the next batches are read and made by others.
type batch struct {
	made     []made
	cells    []string // of all records
	size     int
	progress int64 // of the reading, before it
	err      error // that ended the reading behind it
	done     chan struct{}
}

// eachBatch reads records and yields what becomes of them, in order; a batch is used
// again when its turn is over. When eachBatch returns, nobody is at r any more.
func eachBatch(ctx context.Context, r records, s *sheet, empties bool, yield func(*batch) error) error {
	ctx, stop := context.WithCancel(ctx)
	workers := min(runtime.GOMAXPROCS(0), 4)
	inOrder, work, free := make(chan *batch, 2*workers), make(chan *batch, 2*workers), make(chan *batch, 2*workers)
	for range workers {
		go func() {
			for b := range work {
				for i := range b.made {
					b.made[i].make()
				}
				close(b.done)
			}
		}()
	}
	go func() {
		defer close(inOrder)
		defer close(work)
		for more := true; more; {
			var b *batch
			select {
			case b = <-free:
			default:
				b = &batch{made: make([]made, 0, batchRecords)}
			}
			more = b.read(r, s, empties)
			if err := ctx.Err(); err != nil {
				b.err, more = err, false
			}
			work <- b
			inOrder <- b
		}
	}()
	var err error
	for b := range inOrder {
		<-b.done
		if err == nil {
			if err = yield(b); err != nil {
				stop()
			}
		}
		select {
		case free <- b:
		default:
		}
	}
	stop()
	return err
}

// read takes in the next records instead of those before; more says that there may be
// others behind them.
func (b *batch) read(r records, s *sheet, empties bool) (more bool) {
	*b = batch{made: b.made[:0], cells: b.cells[:0], progress: r.progress(), done: make(chan struct{})}
	for len(b.made) < batchRecords && b.size < batchBytes {
		rec, err := r.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				b.err = err
			}
			return false
		}
		b.add(rec, s, empties)
	}
	return true
}

func (b *batch) add(rec record, s *sheet, empties bool) {
	for _, c := range rec.cells {
		b.size += cellBytes + len(c)
	}
	// The reader uses its cells again. A slice that was cut from cells stays as it is
	// when that has to grow.
	from := len(b.cells)
	b.cells = append(b.cells, rec.cells...)
	rec.cells = slices.Clip(b.cells[from:])
	b.made = append(b.made, made{sheet: s, record: rec, empties: empties})
}

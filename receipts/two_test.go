package receipts

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"postroom/post"
	"postroom/storage"
)

// sideBySide is the ledger of one of two readers. Both learn the mailbox's position
// before either goes on, and the slow one keeps what it read when the other is done.
type sideBySide struct {
	*storage.Ledger
	both *sync.WaitGroup
	once sync.Once
	wait <-chan struct{} // nil: for nothing
}

func (s *sideBySide) Mailbox(ctx context.Context, account int64, server string) (storage.Position, error) {
	p, err := s.Ledger.Mailbox(ctx, account, server)
	s.once.Do(s.both.Done)
	s.both.Wait()
	return p, err
}

func (s *sideBySide) RecordReceipts(ctx context.Context, found []storage.Incoming, p storage.Position) (storage.Noted, error) {
	if s.wait != nil {
		<-s.wait
	}
	return s.Ledger.RecordReceipts(ctx, found, p)
}

// fill puts an answer to each message, a bounce of each third, and other mail into
// a mailbox.
func (p *postbox) fill(ids []string) {
	p.t.Helper()
	for i, id := range ids {
		p.put(answerTo(id, fmt.Sprint("Yes, number ", i)))
		if i%3 == 0 {
			p.put(bounceOf(id, "failed", "Undelivered"))
		}
		for j := range 4 {
			p.put(ordinary(i*4 + j))
		}
	}
}

// eachOnce wants what fill put there, counted once.
func eachOnce(t *testing.T, l *storage.Ledger, n int) {
	t.Helper()
	rows := 0
	for d, err := range l.EachDelivery(t.Context(), storage.HistoryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		all, err := l.Receipts(t.Context(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		by := map[post.ReceiptKind]int{}
		for _, r := range all {
			by[r.Kind]++
		}
		want := 0
		if rows%3 == 0 {
			want = 1
		}
		if by[post.ReceiptReplied] != 1 || by[post.ReceiptBounced] != want || len(all) != 1+want {
			t.Errorf("row %d, %s: %v", rows, d.Address, by)
		}
		rows++
	}
	if rows != n {
		t.Errorf("%d rows, want %d", rows, n)
	}
	if got := replied(t, l); got != int64(n) {
		t.Errorf("%d answers counted, want %d", got, n)
	}
}

// TestTwoReaders: two read one INBOX at once, from the same position and each over a
// ledger of its own, and the one that was ahead is not taken back.
func TestTwoReaders(t *testing.T) {
	const n = 60 // with the rest more than one step
	box, dir := newPostbox(t), t.TempDir()
	l := openLedger(t, dir)
	defer l.Close()
	a, ids := office(t, l, box.addr, n)
	other := openLedger(t, dir)
	defer other.Close()
	box.fill(ids)
	var both sync.WaitGroup
	both.Add(2)
	ahead := make(chan struct{})
	results := make([]Result, 2)
	var all sync.WaitGroup
	for i, s := range []*sideBySide{{Ledger: l, both: &both}, {Ledger: other, both: &both, wait: ahead}} {
		all.Go(func() {
			r, err := fetcher(s).Fetch(t.Context(), a)
			if err != nil {
				t.Error(err)
			}
			results[i] = r
			if i == 0 {
				for range ids { // more came, and the first one reads it too
					box.put(ordinary(len(ids)))
				}
				if _, err := fetcher(l).Fetch(t.Context(), a); err != nil {
					t.Error(err)
				}
				close(ahead)
			}
		})
	}
	all.Wait()
	eachOnce(t, l, n)
	if got := results[0].By[post.ReceiptReplied] + results[1].By[post.ReceiptReplied]; got != n {
		t.Errorf("they told of %d answers, want %d", got, n)
	}
	if r, err := fetcher(l).Fetch(t.Context(), a); err != nil || r.Read != 0 {
		t.Errorf("read again: %+v %v", r, err)
	}
}

// TestTwoReadingProcesses: the same with processes, while mail comes in.
func TestTwoReadingProcesses(t *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	const each = 24
	box, dir := newPostbox(t), t.TempDir()
	l := openLedger(t, dir)
	_, ids := office(t, l, box.addr, rounds*each)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		some := ids[round*each : (round+1)*each]
		box.fill(some[:each/2])
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				if out, err := childReader(t, dir).CombinedOutput(); err != nil || !strings.Contains(string(out), "matched") {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
		box.fill(some[each/2:])
		all.Wait()
	}
	if out, err := childReader(t, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	l = openLedger(t, dir)
	defer l.Close()
	eachOnce(t, l, len(ids))
}

package mailer

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"postroom/internal/testkit/smtpscript"
	"postroom/post"
	"postroom/storage"
)

// frozen is a clock that stands still until it is moved. It counts the waits
// that were asked for and knows the longest.
type frozen struct {
	now     atomic.Int64
	waits   atomic.Int64
	longest atomic.Int64
}

func stopped() *frozen {
	f := new(frozen)
	f.now.Store(time.Now().UnixNano())
	return f
}

func (f *frozen) Now() time.Time       { return time.Unix(0, f.now.Load()) }
func (f *frozen) skip(d time.Duration) { f.now.Add(int64(d)) }

// Elapsed goes on: nobody stops that clock.
func (f *frozen) Elapsed() time.Duration { return post.SystemClock{}.Elapsed() }

func (f *frozen) NewTimer(d time.Duration) post.Timer {
	f.waits.Add(1)
	for {
		longest := f.longest.Load()
		if int64(d) <= longest || f.longest.CompareAndSwap(longest, int64(d)) {
			break
		}
	}
	return post.SystemClock{}.NewTimer(min(d, 2*time.Millisecond))
}

// TestLedgerTroubleSendsNothing: as long as the ledger cannot be relied on no
// connection is made, and the user can be told; when it is well again all goes
// on by itself.
func TestLedgerTroubleSendsNothing(t *testing.T) {
	t.Parallel()
	for _, trouble := range []error{storage.ErrBusy, storage.ErrFull, storage.ErrReadOnly, storage.ErrCorrupt} {
		t.Run(trouble.Error(), func(t *testing.T) {
			t.Parallel()
			k := newTalk(t, smtpscript.Config{})
			clock := stopped()
			k.opt.Clock = clock
			k.reopen()
			k.enqueue(numbered(5))
			s := k.begin()
			s.m.trouble(&post.Error{Kind: post.KindInternal, Op: "claim", Err: trouble})
			s.run(t.Context())
			k.until("some looks", func() bool { return clock.waits.Load() > 50 })
			if n := k.srv.Stats().Connections; n != 0 {
				t.Errorf("%d connections", n)
			}
			if err := s.m.Halted(); !errors.Is(err, trouble) {
				t.Errorf("the user is told %v", err)
			}
			k.wantStates(map[post.State]int{post.StateQueued: 5})
			clock.skip(time.Minute)
			k.until("all are sent", func() bool { return k.counts()[post.StateSent] == 5 })
			if err := s.m.Halted(); err != nil {
				t.Errorf("the user is still told %v", err)
			}
			s.stop()
			k.wait(s)
			k.wantTruth()
		})
	}
}

// TestResultsAreKeptUntilTheyAreWritten: when the ledger does not take the
// result of a message that the server took, nothing is begun that has no intent
// yet, and the run does not end by itself; killed in this state, the next start
// finds in the mark what became of each, and sends nobody a second copy.
func TestResultsAreKeptUntilTheyAreWritten(t *testing.T) {
	t.Parallel()
	for _, without := range []string{"", "PIPELINING"} {
		t.Run("without"+without, func(t *testing.T) {
			t.Parallel()
			script, seen, release := heldDot(3)
			k := newTalk(t, smtpscript.Config{Without: []string{without}, Script: script})
			k.opt.Clock = &quick{}
			k.enqueue(numbered(60))
			s := k.start()
			k.await(seen, "the third dot")
			if err := k.ledger.Close(); err != nil {
				t.Fatal(err)
			}
			close(release)
			k.until("the user can be told", func() bool { return s.m.Halted() != nil })
			select {
			case err := <-s.done:
				t.Fatalf("it ended: %v", err)
			default:
			}
			s.m.Kill()
			select {
			case err := <-s.done:
				t.Logf("the run ended with %v", err)
			case <-time.After(patience):
				t.Fatal("the run did not end")
			}
			if n := k.srv.Stats().Dots; n > 3+maxWindow || n == 60 {
				t.Errorf("%d dots", n)
			}
			k.open()
			k.run()
			k.wantTruth()
			// The kill may come before the reply to the third dot is read.
			if n := k.counts(); n[post.StateSent]+n[post.StateUncertain] != 60 || n[post.StateUncertain] > 1 {
				t.Errorf("%v", n)
			}
		})
	}
}

// TestClockSetBackKeepsNobodyWaiting: a wait that was written before the clock
// was set back is not waited for longer than the longest one there is.
func TestClockSetBackKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{Script: smtpscript.Once(post.PhaseRCPT, smtpscript.Reply("450 4.4.1 no route"))})
	clock := stopped()
	k.opt.Clock, k.opt.WaitScale = clock, 0
	k.reopen()
	k.enqueue(persons("a@b.example"))
	k.runUntil(RunParams{NoWait: true})
	clock.skip(-30 * 24 * time.Hour)
	k.runUntil(RunParams{NoWait: true})
	k.wantStates(map[post.State]int{post.StateQueued: 1})
	clock.skip(MaxDeliveryWait + time.Minute)
	k.runUntil(RunParams{NoWait: true})
	k.wantTruth()
	k.wantStates(map[post.State]int{post.StateSent: 1})
}

// TestWaitsAreShort: nobody waits for long at a time, because timers stand
// still while the machine sleeps; what has become due meanwhile goes at once.
func TestWaitsAreShort(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{Script: smtpscript.Once(post.PhaseRCPT, smtpscript.Reply("452 4.2.2 mailbox full"))})
	clock := stopped()
	k.opt.Clock, k.opt.WaitScale = clock, 0
	k.reopen()
	k.enqueue(numbered(3))
	s := k.start()
	k.until("all but one", func() bool { return k.counts()[post.StateSent] == 2 && s.m.idle() })
	looks := clock.waits.Load()
	k.until("some looks at the clock", func() bool { return clock.waits.Load() > looks+20 })
	if n := k.counts()[post.StateQueued]; n != 1 {
		t.Errorf("%d wait", n)
	}
	clock.skip(8 * time.Hour)
	k.until("the last one", func() bool { return k.counts()[post.StateSent] == 3 })
	s.stop()
	k.wait(s)
	k.wantTruth()
	if d := time.Duration(clock.longest.Load()); d > 30*time.Second {
		t.Errorf("a wait of %v in one piece", d)
	}
}

// TestNetworkGoneAndBack: while the server cannot be reached the account waits,
// nothing is charged, and nothing is lost.
func TestNetworkGoneAndBack(t *testing.T) {
	t.Parallel()
	var k *talk
	gone := false
	k = newTalk(t, smtpscript.Config{Without: []string{"PIPELINING"}, Script: func(ev smtpscript.Event) smtpscript.Action {
		if ev.Phase == post.PhaseMAIL && ev.Total == 20 && !gone {
			gone = true
			k.srv.Down()
		}
		return smtpscript.Action{}
	}})
	k.enqueue(numbered(60))
	s := k.start()
	k.until("the account waits", func() bool { return k.account().WaitStep >= 4 })
	if n := k.counts()[post.StateSent]; n != 19 {
		t.Errorf("%d are sent", n)
	}
	if err := k.srv.Up(); err != nil {
		t.Fatal(err)
	}
	k.until("all are sent", func() bool { return k.counts()[post.StateSent] == 60 })
	s.stop()
	k.wait(s)
	k.wantTruth()
	for _, d := range k.rows() {
		if d.Attempts != 1 {
			t.Errorf("%s: %d attempts", d.Address, d.Attempts)
		}
	}
	if a := k.account(); a.Hold != "" || a.WaitStep != 0 {
		t.Errorf("%q, step %d, %+v", a.Hold, a.WaitStep, a.Reason)
	}
}

// TestGivenUpAfterTheDeadline: 48 hours after its first charged attempt, and
// not after it was queued, with the last reply still there to be read.
func TestGivenUpAfterTheDeadline(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{Script: alwaysFor("a@b.example", post.PhaseRCPT, smtpscript.Reply("452 4.2.2 mailbox full"))})
	clock := stopped()
	k.opt.Clock, k.opt.WaitScale = clock, 0
	k.reopen()
	k.enqueue(persons("a@b.example", "b@b.example"))
	clock.skip(60 * time.Hour) // nobody ran
	k.runUntil(RunParams{NoWait: true})
	k.wantStates(map[post.State]int{post.StateQueued: 1, post.StateSent: 1})
	for range 20 {
		clock.skip(2 * time.Hour)
		k.runUntil(RunParams{NoWait: true})
	}
	if d := k.row("a@b.example"); d.State != post.StateQueued || d.Attempts < 5 {
		t.Errorf("after 40 hours it is %s after %d attempts", d.State, d.Attempts)
	}
	delayed := func(want int64) {
		t.Helper()
		if n, err := k.ledger.Needs(t.Context()); err != nil || n.Delayed != want {
			t.Errorf("%d are said to be delayed, want %d (%v)", n.Delayed, want, err)
		}
	}
	delayed(1)
	clock.skip(9 * time.Hour)
	k.runUntil(RunParams{NoWait: true})
	k.wantTruth()
	k.wantStates(map[post.State]int{post.StateExpired: 1, post.StateSent: 1})
	delayed(0)
	d, err := k.ledger.Delivery(t.Context(), k.row("a@b.example").ID)
	if err != nil || d.Last.Code != 452 || d.Last.Text != "mailbox full" {
		t.Errorf("the last reply is %+v, %v", d.Last, err)
	}
	n, err := k.ledger.Unsuppress(t.Context(), []string{d.Key})
	if err != nil || n != 0 {
		t.Errorf("a full mailbox is suppressed: %v", err)
	}
}

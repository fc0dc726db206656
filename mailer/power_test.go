//go:build unix && (amd64 || arm64)

package mailer

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"postroom/accounts"
	"postroom/internal/testkit/faultdisk"
	"postroom/internal/testkit/smtpscript"
	"postroom/post"
	"postroom/storage"
)

// tally counts what became of a mailing after something went wrong.
type tally struct {
	cuts, sent, uncertain, lost, copies int
	most                                int // uncertain after one cut
}

func (x *tally) add(y tally) {
	x.cuts += y.cuts
	x.sent += y.sent
	x.uncertain += y.uncertain
	x.lost += y.lost
	x.copies += y.copies
	x.most = max(x.most, y.uncertain)
}

func (x tally) String() string {
	return fmt.Sprintf("%d cuts: %d sent, %d uncertain (at most %d after one), lost %d, copies %d", x.cuts, x.sent, x.uncertain, x.most, x.lost, x.copies)
}

// doomed is a mailing that is under way when the machine or the process dies.
type doomed struct {
	*talk
	disk *faultdisk.Disk
	dead atomic.Bool
	// buried is the last connection of the dead process. What it had still put
	// into the socket when it died is read by the server later, perhaps when the
	// next process is at work already.
	buried atomic.Int64
	mark   []byte // the progress mark as it was then
	rnd    *rand.Rand
}

// newDoomed queues a mailing on a ledger whose disk can be cut.
func newDoomed(t *testing.T, people, connections int, rnd *rand.Rand) *doomed {
	t.Helper()
	x := &doomed{rnd: rnd}
	cfg := smtpscript.Config{Keep: smtpscript.KeepHash, Script: func(ev smtpscript.Event) smtpscript.Action {
		if x.dead.Load() || ev.Conn <= int(x.buried.Load()) { // nobody is there any more
			return smtpscript.Action{Silent: true, End: smtpscript.EndReset, Take: smtpscript.LeaveIt}
		}
		return smtpscript.Action{}
	}}
	x.talk = newTalk(t, cfg, func(a *post.Account) { a.Connections = connections })
	if err := x.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	x.disk = faultdisk.Watch(t, x.dir)
	x.open()
	x.enqueue(numbered(people))
	return x
}

// die runs the mailing until the n-th call of a kind, at which the machine, or
// with the kernel's word kept the process, is gone; and puts what is left of the
// ledger in its place. It reports whether there were so many calls.
func (x *doomed) die(kind faultdisk.Kind, n int, keep faultdisk.Keep) bool {
	x.Helper()
	ctx, cancel := context.WithCancel(x.Context())
	defer cancel()
	opt := x.opt
	dial := opt.Dial
	opt.Dial = func(ctx context.Context, a post.Account) (*accounts.Conn, error) {
		if x.dead.Load() {
			return nil, &post.Fault{Phase: post.PhaseConnect, Cause: post.CauseRefused}
		}
		return dial(ctx, a)
	}
	m := New(x.ledger, opt)
	x.disk.CutAt(kind, n, func() {
		x.dead.Store(true) // from here on nothing is taken; and then the mark
		x.mark, _ = os.ReadFile(filepath.Join(x.dir, markName))
		go func() { cancel(); m.Kill() }()
	})
	if err := m.Run(ctx, RunParams{UntilEmpty: true}); err != nil && !x.disk.IsCut() {
		x.Fatal(err)
	}
	if !x.disk.IsCut() {
		return false
	}
	x.bury(keep)
	return true
}

// bury puts what is left of a dead process's ledger in its place.
func (x *doomed) bury(keep faultdisk.Keep) {
	x.Helper()
	_ = x.ledger.Close() // its disk is gone
	x.ledger = nil
	x.dir = x.T.TempDir()
	x.disk.Image(x.T, x.dir, keep)
	x.buried.Store(int64(x.srv.Stats().Connections))
	x.dead.Store(false)
}

// goOn starts again on what was left, and counts.
func (x *doomed) goOn(connections int) tally {
	x.Helper()
	x.open()
	x.run()
	return x.tally(connections)
}

func (x *doomed) tally(int) tally {
	x.Helper()
	out, wrong := x.count()
	for _, w := range wrong {
		x.Error(w)
	}
	return out
}

// count compares the ledger with what the server took.
func (x *doomed) count() (out tally, wrong []string) {
	x.Helper()
	out.cuts = 1
	taken := x.srv.Taken()
	for _, d := range x.rows() {
		n := taken[d.Address]
		switch {
		case d.State == post.StateUncertain:
			out.uncertain++
		case d.State == post.StateSent && n > 0:
			out.sent++
		default:
			out.lost++
			wrong = append(wrong, fmt.Sprintf("%s is %s (%v) and was taken %d times", d.Address, d.State, d.Reason, n))
		}
		if n > 1 {
			out.copies++
			wrong = append(wrong, fmt.Sprintf("%s is %s and was taken %d times", d.Address, d.State, n))
		}
	}
	problems, err := x.ledger.Check(x.Context())
	if err != nil || len(problems) > 0 {
		wrong = append(wrong, fmt.Sprintf("check: %v %v", problems, err))
	}
	return out, wrong
}

// resend sends the uncertain ones again at the user's word: then everybody has
// it, and a second copy went only to those about whom the user was asked.
func (x *doomed) resend() (copies int) {
	x.Helper()
	unsure := map[string]bool{}
	mailing := int64(0)
	for _, d := range x.rows() {
		mailing = d.Mailing
		unsure[d.Address] = d.State == post.StateUncertain
	}
	if _, err := x.ledger.RetryMailing(x.Context(), mailing, storage.Retry{Uncertain: true}); err != nil {
		x.Fatal(err)
	}
	x.run()
	for _, d := range x.rows() {
		n := x.srv.Taken()[d.Address]
		if d.State != post.StateSent || n < 1 || n > 2 || n == 2 && !unsure[d.Address] {
			x.Errorf("%s is %s and was taken %d times; in doubt before: %v", d.Address, d.State, n, unsure[d.Address])
		}
		if n == 2 {
			copies++
		}
	}
	return copies
}

func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("POSTROOM_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d (POSTROOM_SEED sets it)", seed)
	return rand.New(rand.NewPCG(seed, 11))
}

// soaking reports whether there is time for all of it.
func soaking() bool { return os.Getenv("POSTROOM_SOAK") != "" }

// TestSoakPower cuts the power at a flush of the disk, at every one in a soak. The
// machine starts anew, so the progress mark is of another start, or it is missing
// or torn: nobody is lost, nobody gets a second copy without the user's word, and
// no more are in doubt than the windows of the connections hold.
// A disk that only says that it flushed makes it report copies.
func TestSoakPower(t *testing.T) {
	t.Parallel()
	rnd := seeded(t)
	const people = 120
	for _, connections := range []int{1, 4} {
		all, copies := tally{}, 0
		for n := 1; ; n++ {
			if !soaking() {
				n += 2 + rnd.IntN(4)
				if testing.Short() && all.cuts > 0 {
					break
				}
			}
			x := newDoomed(t, people, connections, rnd)
			if !x.die(faultdisk.Sync, n, faultdisk.Some(rnd)) {
				break
			}
			switch found := n % 4; { // what is found of the mark
			case found == 0 || len(x.mark) == 0: // nothing, or it was not made yet
			case found == 1: // one of another start of the machine
				mark := append([]byte(nil), x.mark...)
				copy(mark[28:64], "another-start-of-the-machine")
				x.leave(mark)
			case found == 2: // half of it
				x.leave(x.mark[:len(x.mark)/2])
			case found == 3: // of an older run
				mark := append([]byte(nil), x.mark...)
				copy(mark[8:28], "older")
				x.leave(mark)
			}
			one := x.goOn(connections)
			if bound := connections * (mostAhead + 1); one.uncertain > bound {
				t.Errorf("flush %d: %d uncertain, the windows hold %d", n, one.uncertain, bound)
			}
			all.add(one)
			copies += x.resend()
		}
		t.Logf("power, %d connections, %d people: %v; sent again at the user's word: %d second copies", connections, people, all, copies)
		if all.cuts == 0 || all.lost > 0 || all.copies > 0 {
			t.Errorf("%v", all)
		}
	}
}

func (x *doomed) leave(mark []byte) {
	x.Helper()
	if err := os.WriteFile(filepath.Join(x.dir, markName), mark, 0o600); err != nil {
		x.Fatal(err)
	}
}

// TestSoakKillAtCommits kills the process at a write or a flush of every commit:
// the kernel keeps what was written, and the mark counts. Nobody is lost, no copy
// goes out, and at most one message of each connection is in doubt.
func TestSoakKillAtCommits(t *testing.T) {
	t.Parallel()
	rnd := seeded(t)
	const people = 60
	for _, connections := range []int{1, 3} {
		for name, kind := range map[string]faultdisk.Kind{"write": faultdisk.Write, "flush": faultdisk.Sync} {
			all := tally{}
			for n := 1; ; n++ {
				if !soaking() {
					n += rnd.IntN(map[faultdisk.Kind]int{faultdisk.Write: 40, faultdisk.Sync: 6}[kind])
					if testing.Short() && all.cuts > 0 {
						break
					}
				}
				x := newDoomed(t, people, connections, rnd)
				if !x.die(kind, n, faultdisk.All()) {
					break
				}
				x.leave(x.mark)
				one := x.goOn(connections)
				if one.uncertain > connections {
					t.Errorf("%s %d: %d uncertain with %d connections", name, n, one.uncertain, connections)
				}
				all.add(one)
			}
			t.Logf("kill at a %s, %d connections, %d people: %v", name, connections, people, all)
			if all.cuts == 0 {
				t.Error("nothing was cut")
			}
		}
	}
}

// TestKillsAreSeen plants faults that the kill test must find: a mark that forgot
// what was under way makes copies, and an answer that was never given a loss.
func TestKillsAreSeen(t *testing.T) {
	t.Parallel()
	rnd := seeded(t)
	const people = 60
	for name, plant := range map[string]func(mark []byte){
		"forgets": func(mark []byte) { clear(mark[markHeader:]) },
		"lies": func(mark []byte) {
			for i := markHeader; i < len(mark); i += markEntry {
				if binary.LittleEndian.Uint64(mark[i:]) == 0 {
					continue
				}
				binary.LittleEndian.PutUint64(mark[i+8:], 250)
				next := i + markEntry
				if next < len(mark) && binary.LittleEndian.Uint64(mark[next:]) == 0 { // and the one that was to go next
					binary.LittleEndian.PutUint64(mark[next:], binary.LittleEndian.Uint64(mark[i:])+1)
					binary.LittleEndian.PutUint64(mark[next+8:], 250)
					break
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "lies" && testing.Short() {
				t.Skip("it takes windows of several messages, which the race detector is too slow for")
			}
			t.Parallel()
			for n := 60; n < 400; n += 7 {
				x := newDoomed(t, people, 1, rnd)
				if !x.die(faultdisk.Write, n, faultdisk.All()) {
					t.Fatal("it was through before the fault showed")
				}
				plant(x.mark)
				x.leave(x.mark)
				x.open()
				x.run()
				if one, wrong := x.count(); len(wrong) > 0 {
					t.Logf("seen at write %d: %v", n, one)
					return
				}
			}
			t.Error("not seen")
		})
	}
}

// TestSoakKillOnABadDisk kills the process while its disk takes nothing: what was
// answered and could not be written down is in the mark, so nobody gets it twice.
func TestSoakKillOnABadDisk(t *testing.T) {
	t.Parallel()
	rnd := seeded(t)
	const people, connections = 60, 3
	for name, code := range map[string]int32{"full": faultdisk.Full, "write error": faultdisk.IOErrWrite, "read-only": faultdisk.ReadOnly} {
		runs := 2
		if testing.Short() {
			runs = 1
		}
		if soaking() {
			runs = 60
		}
		all := tally{}
		for range runs {
			x := newDoomed(t, people, connections, rnd)
			x.disk.Reset()
			bad := 20 + rnd.IntN(60)
			x.disk.Fault(func(op faultdisk.Op) int32 {
				if op.Kind == faultdisk.Write && op.N >= bad {
					return code
				}
				return 0
			})
			s := x.start()
			done := func() bool { return x.counts()[post.StateSent] == people }
			x.until("the user is told", func() bool { return s.m.Halted() != nil || done() })
			x.wantStill(s, done, func() int { return x.disk.Count(faultdisk.Write) })
			x.dead.Store(true)
			mark, err := os.ReadFile(filepath.Join(x.dir, markName))
			if err != nil {
				t.Fatal(err)
			}
			x.mark = mark
			s.m.Kill()
			s.stop()
			x.wait(s)
			x.bury(faultdisk.All())
			x.leave(x.mark)
			one := x.goOn(connections)
			if one.uncertain > 0 {
				t.Errorf("%s: %d uncertain, and everything had been answered", name, one.uncertain)
			}
			all.add(one)
		}
		t.Logf("killed on a disk that is %s: %v", name, all)
	}
}

// TestSoakDiskTrouble lets the disk be full, broken, busy or read-only for a while
// in mid run: nothing begins that cannot be written down, results past the dot
// are kept and written when it heals, the user is told, and everybody gets it once.
func TestSoakDiskTrouble(t *testing.T) {
	t.Parallel()
	rnd := seeded(t)
	const people = 60
	for _, c := range []struct {
		name string
		kind faultdisk.Kind
		code int32
	}{
		{"full", faultdisk.Write, faultdisk.Full},
		{"write error", faultdisk.Write, faultdisk.IOErrWrite},
		{"flush error", faultdisk.Sync, faultdisk.IOErrSync},
		{"read-only", faultdisk.Write, faultdisk.ReadOnly},
		{"busy", faultdisk.Lock, faultdisk.Busy},
	} {
		runs, most := 3, 40
		if testing.Short() {
			runs = 1
		}
		if soaking() { // at every one, until the mailing is through before the trouble begins
			runs = 1000
		}
		all := tally{}
		for i := range runs {
			x := newDoomed(t, people, 3, rnd)
			x.disk.Reset()
			n, healed, seen := 1, atomic.Bool{}, atomic.Bool{} // at first before anything could begin
			switch {
			case soaking():
				n += i
			case i > 0, testing.Short() && rnd.IntN(2) == 0:
				n += rnd.IntN(most)
			}
			x.disk.Fault(func(op faultdisk.Op) int32 {
				if op.Kind != c.kind || op.N < n || healed.Load() {
					return 0
				}
				seen.Store(true)
				if c.kind == faultdisk.Lock && op.N > n+20 {
					return 0 // the engine asks again for ten seconds; so long nobody needs to wait here
				}
				return c.code
			})
			s := x.start()
			done := func() bool { return x.counts()[post.StateSent] == people }
			x.until("the trouble, or the end", func() bool { return seen.Load() || done() })
			if c.kind != faultdisk.Lock && seen.Load() {
				x.until("the user is told", func() bool { return s.m.Halted() != nil || done() })
				x.wantStill(s, done, func() int { return x.disk.Count(c.kind) })
			}
			healed.Store(true)
			x.until("the rest goes out", done)
			s.stop()
			x.wait(s)
			all.add(x.tally(3))
			x.wantTruth()
			if soaking() && !seen.Load() {
				break
			}
		}
		t.Logf("%s: %v", c.name, all)
		if all.copies > 0 || all.lost > 0 || all.uncertain > 0 {
			t.Errorf("%s: %v", c.name, all)
		}
	}
}

// wantStill waits until what was under way has ended and then has the mailer try
// again on a disk that still refuses: what went out was written down before, and
// nothing new begins.
// tries counts what was asked of the disk.
func (x *doomed) wantStill(s *started, done func() bool, tries func() int) {
	x.Helper()
	same, last := 0, [3]int{}
	x.until("nothing is under way", func() bool {
		st := x.srv.Stats()
		now := [3]int{st.ByVerb["MAIL"], st.Dots, st.Taken}
		if same++; now != last {
			same, last = 0, now
		}
		return same >= 50 || done()
	})
	taken := x.srv.Taken()
	for _, d := range x.rows() {
		if taken[d.Address] > 0 && d.State != post.StateSending && d.State != post.StateSent {
			x.Errorf("%s was sent, and the ledger has it as %s", d.Address, d.State)
		}
	}
	asked := tries()
	x.until("it asks the disk again", func() bool { s.m.Kick(); return tries() > asked || done() })
	if st := x.srv.Stats(); !done() && (st.ByVerb["MAIL"] != last[0] || st.Dots != last[1]) {
		x.Errorf("%d envelopes and %d dots while nothing could be written down", st.ByVerb["MAIL"]-last[0], st.Dots-last[1])
	}
}

// TestSoakClock sets the clock forward and back by a day in mid run: nobody is
// lost, nobody gets two, and after no jump more go at once than a minute holds.
func TestSoakClock(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{Script: func(ev smtpscript.Event) smtpscript.Action {
		if ev.Phase == post.PhaseRCPT && ev.Total%7 == 0 {
			return smtpscript.Reply("451 4.3.0 later")
		}
		return smtpscript.Action{}
	}}, func(a *post.Account) { a.Connections, a.Limits.PerMinute = 2, 20 })
	clock := &quick{}
	k.opt.Clock = clock
	k.reopen()
	const people = 100
	k.enqueue(numbered(people))
	s := k.start()
	jumps := 0
	for ; k.counts()[post.StateSent] < people; jumps++ {
		if jumps > 60 {
			k.Fatalf("%v after %d jumps", k.counts(), jumps)
		}
		before := k.srv.Stats().ByVerb["MAIL"]
		clock.skip([]time.Duration{24 * time.Hour, -24 * time.Hour, 61 * time.Second}[jumps%3])
		s.m.Kick()
		k.until("what the minute allows", func() bool {
			due, err := k.ledger.NextDue(k.Context(), post.Live, k.acct.ID)
			n := k.counts() // on a slow machine the jump comes too early for what is under way, and is wasted
			return err != nil || n[post.StateClaimed]+n[post.StateSending] == 0 && (!due.Now || s.waits(k.acct.ID)) || n[post.StateSent] == people
		})
		// Two may have been under way when the clock jumped.
		if n := k.srv.Stats().ByVerb["MAIL"] - before; n > 20+2 {
			t.Errorf("%d at once after a jump, the minute holds 20", n)
		}
	}
	s.stop()
	k.wait(s)
	k.wantTruth()
	t.Logf("%d jumps of the clock: %v", jumps, k.counts())
}

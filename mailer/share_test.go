package mailer

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// withSenders lets accounts share a mailing.
func withSenders(accounts ...post.Account) func(*post.Mailing) {
	return func(m *post.Mailing) {
		m.Senders = nil
		for _, a := range accounts {
			m.Senders = append(m.Senders, post.Sender{Account: a.ID, Email: a.Email, FromName: "Shop", Weight: a.Weight})
		}
	}
}

// shareOf returns how many rows each account has sent.
func (k *talk) shareOf() map[int64]int {
	n := map[int64]int{}
	for _, d := range k.rows() {
		if d.State == post.StateSent {
			n[d.Account]++
		}
	}
	return n
}

// TestSharedByWeight: two accounts share one mailing as their weights say, to
// within a few messages, however fast either could be.
func TestSharedByWeight(t *testing.T) {
	t.Parallel()
	for _, weight := range []int{1, 3} {
		k := newTalk(t, smtpscript.Config{}, func(a *post.Account) { a.Connections, a.Weight = 2, weight })
		other := smtpscript.Start(t, smtpscript.Config{})
		second := k.addAccount("second", other, smtpscript.Config{})
		k.acct.Weight, second.Weight = weight, 1
		const people = 400
		k.enqueue(numbered(people), withSenders(k.acct, second))
		k.run()
		k.wantTruth(other)
		k.wantStates(map[post.State]int{post.StateSent: people})
		got, want := k.shareOf(), people*weight/(weight+1)
		if n := got[k.acct.ID]; n < want-3*shareAhead*weight || n > want+3*shareAhead*weight {
			t.Errorf("weights %d:1 gave %v, want about %d", weight, got, want)
		}
	}
}

// TestSharedByWhatIsLeft: an account that has used most of its day takes less.
func TestSharedByWhatIsLeft(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{}, func(a *post.Account) { a.Limits.PerDay = 100 })
	k.enqueue(numbered(90)) // used up before
	k.run()
	other := smtpscript.Start(t, smtpscript.Config{})
	second := k.addAccount("second", other, smtpscript.Config{}, func(a *post.Account) { a.Limits.PerDay = 100 })
	m := k.enqueue(numbered(60), withSenders(k.acct, second))
	k.run()
	n := map[int64]int{}
	for _, d := range k.rowsOf(m.ID) {
		n[d.Account]++
	}
	if n[k.acct.ID] > 10 || n[second.ID] < 50 {
		t.Errorf("10 and 100 left gave %v", n)
	}
}

// TestFailsOver: when one account is stopped in mid mailing the other takes all
// that is left, and nothing goes twice.
func TestFailsOver(t *testing.T) {
	t.Parallel()
	var refuse atomic.Bool
	k := newTalk(t, smtpscript.Config{Script: func(ev smtpscript.Event) smtpscript.Action {
		if ev.Phase == post.PhaseMAIL && refuse.Load() {
			return smtpscript.Reply("550 5.7.60 not allowed to send as")
		}
		refuse.Store(ev.Phase == post.PhaseDot && ev.Total > 20 || refuse.Load())
		return smtpscript.Action{}
	}})
	other := smtpscript.Start(t, smtpscript.Config{})
	second := k.addAccount("second", other, smtpscript.Config{})
	k.enqueue(numbered(200), withSenders(k.acct, second))
	k.run()
	k.wantTruth(other)
	k.wantStates(map[post.State]int{post.StateSent: 200})
	if a := k.account(); a.Hold != post.AccountStopped || a.Reason.Key != "account.sender" {
		t.Errorf("%s %v", a.Hold, a.Reason)
	}
	if n := k.shareOf(); n[k.acct.ID] < 10 || n[k.acct.ID] > 40 {
		t.Errorf("%v", n)
	}
}

// TestSlowStart: an account whose connections nobody chose begins with one and
// opens another after twenty messages, up to three.
func TestSlowStart(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	opened := map[int]int{} // by connection, how many messages the server had seen before
	k := newTalk(t, smtpscript.Config{Script: func(ev smtpscript.Event) smtpscript.Action {
		mu.Lock()
		defer mu.Unlock()
		if _, known := opened[ev.Conn]; ev.Phase == post.PhaseMAIL && !known {
			opened[ev.Conn] = ev.Total - 1
		}
		return smtpscript.Action{Wait: time.Millisecond}
	}}, func(a *post.Account) { a.Connections = 0 })
	k.enqueue(numbered(150))
	k.run()
	k.wantTruth()
	mu.Lock()
	defer mu.Unlock()
	if len(opened) != grownTo || opened[1] != 0 || opened[2] < growAfter || opened[3] < 2*growAfter {
		t.Errorf("connections, and messages before each: %v", opened)
	}
}

// TestRefusedRateIsHalved: "too fast" makes the account wait, and afterwards it
// goes at half the speed, over a restart too, on one connection, without a
// message charged.
func TestRefusedRateIsHalved(t *testing.T) {
	t.Parallel()
	var refused atomic.Int64
	k := newTalk(t, smtpscript.Config{Script: func(ev smtpscript.Event) smtpscript.Action {
		if ev.Phase == post.PhaseMAIL && ev.Total == 30 && refused.Add(1) == 1 {
			return smtpscript.Reply("450 4.7.1 too many messages, slow down")
		}
		return smtpscript.Action{}
	}})
	k.enqueue(numbered(40))
	k.run()
	k.wantTruth()
	k.wantStates(map[post.State]int{post.StateSent: 40})
	rate := k.account().Learned.Rate
	if rate <= 0 {
		t.Fatal("no rate was learned")
	}
	for _, d := range k.rows() {
		if d.Attempts != 1 {
			t.Errorf("%s was charged %d times", d.Address, d.Attempts)
		}
	}
	k.reopen()
	if again := k.account().Learned.Rate; again != rate {
		t.Errorf("%v after a restart, was %v", again, rate)
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	var p pace
	for range 60 { // one a second
		p.take(now, 0, "smtp.example.org")
		now = now.Add(time.Second)
	}
	if got := p.observed(now); got < 59 || got > 61 {
		t.Fatalf("observed %v a minute", got)
	}
	if got := p.halve(now); got < 29 || got > 31 {
		t.Fatalf("halved to %v", got)
	}
	if p.take(now, 0, "smtp.example.org"); p.next.Sub(now) < 1900*time.Millisecond || p.next.Sub(now) > 2100*time.Millisecond {
		t.Errorf("the next one after %v", p.next.Sub(now))
	}
	if got := p.halve(now); got < 14 || got > 16 {
		t.Errorf("halved again to %v", got)
	}
	for i := 1; i < fasterAfter; i++ {
		if p.success() {
			t.Fatalf("faster after %d", i)
		}
	}
	if !p.success() || p.rate < 18 || p.rate > 20 {
		t.Errorf("%v after %d that were taken", p.rate, fasterAfter)
	}
	for i := 0; p.rate > 0; i++ {
		if p.success(); i > 100_000 {
			t.Fatal("never forgotten")
		}
	}
}

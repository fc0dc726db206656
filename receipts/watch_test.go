package receipts

import (
	"context"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

// handClock is the time of day with timers that only a test fires.
type handClock struct {
	post.SystemClock
	mu     sync.Mutex
	timers map[*handTimer]time.Duration
}

type handTimer struct {
	clock *handClock
	c     chan time.Time
}

func (c *handClock) NewTimer(d time.Duration) post.Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &handTimer{c, make(chan time.Time, 1)}
	if c.timers == nil {
		c.timers = map[*handTimer]time.Duration{}
	}
	c.timers[t] = d
	return t
}

func (t *handTimer) C() <-chan time.Time { return t.c }

func (t *handTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	delete(t.clock.timers, t)
	return true
}

// fire ends the waits of one length and reports how many there were.
func (c *handClock) fire(d time.Duration) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for t, of := range c.timers {
		if of == d {
			delete(c.timers, t)
			t.c <- time.Time{}
			n++
		}
	}
	return n
}

// waits counts the waits of one length.
func (c *handClock) waits(d time.Duration) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range c.timers {
		if of == d {
			n++
		}
	}
	return n
}

// eventually looks at a condition until it holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit, tick := time.NewTimer(time.Minute), time.NewTicker(5*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-limit.C:
			t.Fatal(what, "did not come")
		case <-tick.C:
		}
	}
}

// watch runs a Watcher until the function it returns is called.
func watch(t *testing.T, l WatchLedger, c post.Clock, secret string) (stop func()) {
	t.Helper()
	d := &accounts.Dialer{Secrets: fixedSecret(secret)}
	return watchWith(t, &Watcher{Dial: d.DialMailbox, Ledger: l, Clock: c, Log: slog.New(slog.DiscardHandler)})
}

func watchWith(t *testing.T, w *Watcher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case <-done:
			case <-time.After(time.Minute):
				t.Error("the watcher does not end")
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func stateOf(t *testing.T, l *storage.Ledger, a post.Account) storage.MailboxState {
	t.Helper()
	all, err := l.MailboxStates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(s storage.MailboxState) bool { return s.Account == a.ID })
	if i < 0 {
		return storage.MailboxState{}
	}
	return all[i]
}

func replied(t *testing.T, l *storage.Ledger) int64 {
	t.Helper()
	counts, err := l.ReceiptCounts(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return counts[post.ReceiptReplied]
}

// TestWatch: mail is read as it comes, without anybody's clock moving; what comes
// while nobody watches is read at the next start, and none of it twice.
func TestWatch(t *testing.T) {
	box := newPostbox(t)
	l := openLedger(t, t.TempDir())
	defer l.Close()
	a, ids := office(t, l, box.addr, 3)
	box.put(answerTo(ids[0], "Yes."))
	stop := watch(t, l, &handClock{}, "secret")
	eventually(t, "the first answer", func() bool { return replied(t, l) == 1 })
	eventually(t, "a word of it", func() bool { return !stateOf(t, l, a).ReadAt.IsZero() })
	box.put(answerTo(ids[1], "Yes."))
	// The server in memory tells nothing of what came just before IDLE, so more comes.
	eventually(t, "the second answer", func() bool { box.put(ordinary(1)); return replied(t, l) == 2 })
	stop()
	box.put(answerTo(ids[2], "Yes."))
	stop = watch(t, l, &handClock{}, "secret")
	eventually(t, "the third answer", func() bool { return replied(t, l) == 3 })
	stop()
	if r, err := fetcher(l).Fetch(t.Context(), a); err != nil || r.Matched != 0 {
		t.Errorf("left: %+v %v", r, err)
	}
}

// TestWatchInTrouble: a refused sign-in is told, tried again only after a long
// wait, and keeps no other mailbox from being read.
func TestWatchInTrouble(t *testing.T) {
	box, clock := newPostbox(t), &handClock{}
	l := openLedger(t, t.TempDir())
	defer l.Close()
	good, ids := office(t, l, box.addr, 2)
	bad := good
	bad.ID, bad.Name, bad.User = 0, "other", "nobody@shop.example"
	bad, err := l.CreateAccount(t.Context(), bad)
	if err != nil {
		t.Fatal(err)
	}
	watch(t, l, clock, "secret")
	box.put(answerTo(ids[0], "Yes."))
	eventually(t, "the answer", func() bool { return replied(t, l) == 1 })
	eventually(t, "the trouble", func() bool { return !stateOf(t, l, bad).Trouble.IsZero() })
	if s := stateOf(t, l, bad); !s.ReadAt.IsZero() || strings.Contains(s.Trouble.Encode(), "secret") {
		t.Errorf("%+v", s)
	}
	if s := stateOf(t, l, bad); s.Trouble.Key != "mailbox.sign_in" || len(s.Trouble.Args) != 1 || !strings.HasPrefix(s.Trouble.Raw, "auth: 535 ") {
		t.Errorf("%+v", s)
	}
	if s := stateOf(t, l, good); !s.Trouble.IsZero() {
		t.Errorf("%+v", s)
	}
	eventually(t, "the long wait", func() bool { return clock.fire(signInAgain) == 1 })
	eventually(t, "a longer one", func() bool { return clock.fire(2*signInAgain) == 1 })

	// An account that gets a mailbox that works is noticed.
	bad.User = good.User
	if err := l.UpdateAccount(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a look at the accounts", func() bool { return clock.fire(lookEvery) == 1 })
	eventually(t, "the other's mailbox", func() bool {
		all, err := l.MailboxStates(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(all, func(s storage.MailboxState) bool { return s.Account == bad.ID && !s.ReadAt.IsZero() })
	})
}

// TestWatchPolls: where IDLE is not offered, and where the server is not there,
// it is asked again and again.
func TestWatchPolls(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	serve := script(map[string]string{"EXAMINE": "* 0 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 1] x\r\n", "UID SEARCH": "* SEARCH\r\n"})
	addr := listen(t, func(c net.Conn) {
		mu.Lock()
		asked++
		n := asked
		mu.Unlock()
		if n == 2 { // hangs up
			return
		}
		serve(c)
	})
	l, clock := openLedger(t, t.TempDir()), &handClock{}
	defer l.Close()
	a, _ := office(t, l, addr, 1)
	watch(t, l, clock, "secret")
	eventually(t, "a wait", func() bool { return clock.fire(pollEvery) == 1 })
	eventually(t, "a wait after trouble", func() bool { return clock.fire(firstAgain) == 1 })
	eventually(t, "a wait", func() bool { return clock.fire(pollEvery) == 1 })
	if s := stateOf(t, l, a); !s.Trouble.IsZero() || s.ReadAt.IsZero() {
		t.Errorf("%+v", s)
	}
}

// TestTroubleOf: whatever ends a reading is noted with a key that has words.
func TestTroubleOf(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for _, c := range []struct {
		err  error
		want post.Reason
	}{
		{&post.Fault{Phase: post.PhaseConnect, Cause: post.CauseRefused}, post.Reason{Key: "cause.refused", Raw: "connect: refused"}},
		{&post.Fault{Phase: post.PhaseAuth, Reply: post.NewReply(454, "UNAVAILABLE later")}, post.Reason{Key: "mailbox.not_now", Args: []string{"UNAVAILABLE later"}}},
		{&post.Fault{Phase: post.PhaseAuth, Reply: post.NewReply(535, "no")}, post.Reason{Key: "mailbox.sign_in", Args: []string{"no"}}},
		{&post.Fault{Phase: post.PhaseSecret, Cause: post.CauseSecret, Reason: post.Reason{Key: "account.password"}}, post.Reason{Key: "account.password"}},
		{broken(t.Context(), log, opRead, &imap.Error{Type: imap.StatusResponseTypeNo, Text: "no such box"}), post.Reason{Key: "mailbox.refused", Args: []string{"no such box"}}},
		{broken(t.Context(), log, opRead, io.ErrUnexpectedEOF), post.Reason{Key: "mailbox.broke"}},
		{errDied, post.Reason{Raw: "died"}},
	} {
		got := troubleOf(c.err)
		if got.Key != c.want.Key || !slices.Equal(got.Args, c.want.Args) || got.Raw == "" || c.want.Raw != "" && got.Raw != c.want.Raw {
			t.Errorf("%v: %+v", c.err, got)
		}
		if decoded := post.DecodeReason(got.Encode()); decoded.Raw != got.Raw || decoded.Key != got.Key {
			t.Errorf("%v: kept as %+v", c.err, decoded)
		}
	}
}

package mailer

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"postroom/accounts"
	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// byHand is a quick clock that can stop the scheduler in the middle of a look
// at the ledger, and whose long timers fire by hand.
type byHand struct {
	quick
	looking, goOn chan struct{}
	fire          chan time.Time
}

func (b *byHand) Now() time.Time {
	if pc, _, _, ok := runtime.Caller(1); ok && strings.HasSuffix(runtime.FuncForPC(pc).Name(), ".(*Mailer).round") {
		select {
		case b.looking <- struct{}{}:
			<-b.goOn
		default:
		}
	}
	return b.quick.Now()
}

func (b *byHand) NewTimer(d time.Duration) post.Timer {
	if d > watchEvery {
		return handTimer(b.fire)
	}
	return b.quick.NewTimer(d)
}

type handTimer chan time.Time

func (h handTimer) C() <-chan time.Time { return h }
func (h handTimer) Stop() bool          { return true }

// TestLaneThatWakesDuringALook: a lane that waited for its turn takes the last
// message while the scheduler looks at the ledger, which then shows nothing that
// waits. The run goes on all the same, until the message is sent.
func TestLaneThatWakesDuringALook(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{})
	clock := &byHand{looking: make(chan struct{}), goOn: make(chan struct{}), fire: make(chan time.Time)}
	k.opt.Clock, k.opt.WaitScale = clock, 0
	k.reopen()
	if err := k.ledger.SetAccountLearned(t.Context(), k.acct.ID, post.Learned{MessagesPerConnection: 1, Rate: 6}); err != nil {
		t.Fatal(err)
	}
	taken, dial := make(chan struct{}), make(chan struct{})
	connections := 0
	k.opt.Dial = func(ctx context.Context, a post.Account) (*accounts.Conn, error) {
		if connections++; connections == 2 {
			close(taken)
			select {
			case <-dial:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return k.dialer.Dial(ctx, a)
	}
	k.enqueue(numbered(2))
	s := k.begin()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	go func() { s.done <- s.m.Run(ctx, RunParams{UntilEmpty: true}) }()
	k.until("the lane waits", func() bool { return k.srv.Stats().Taken == 1 && s.waits(k.acct.ID) && s.m.idle() })

	step := func(what string, c <-chan struct{}) {
		t.Helper()
		select {
		case <-c:
		case err := <-s.done:
			t.Fatalf("%s: the run has ended (%v) with %v", what, err, k.counts())
		}
	}
	step("a look", clock.looking)
	clock.skip(11 * time.Second)
	select {
	case clock.fire <- clock.quick.Now():
	case <-ctx.Done():
		t.Fatal("no lane waits")
	}
	<-taken
	clock.goOn <- struct{}{}
	step("the next look", clock.looking)
	close(dial)
	clock.goOn <- struct{}{}
	k.wait(s)
	k.wantStates(map[post.State]int{post.StateSent: 2})
	k.wantTruth()
}

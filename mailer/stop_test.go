package mailer

import (
	"bytes"
	"context"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postroom/accounts"
	"postroom/compose"
	"postroom/internal/testkit/smtpscript"
	"postroom/post"
	"postroom/storage"
)

// TestRefusedIntentsNeverGetADot: the user pauses, cancels or suppresses
// between the claim and the dot.
func TestRefusedIntentsNeverGetADot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(k *talk, m post.Mailing) error
		want map[post.State]int
		dots int
	}{
		{"pause", func(k *talk, m post.Mailing) error {
			return k.ledger.HoldMailing(k.Context(), m.ID, post.MailingPaused, post.Reason{})
		}, map[post.State]int{post.StateQueued: 8}, 0},
		{"cancel", func(k *talk, m post.Mailing) error {
			_, err := k.ledger.CancelMailing(k.Context(), m.ID)
			return err
		}, map[post.State]int{post.StateCancelled: 8}, 0},
		{"suppress", func(k *talk, _ post.Mailing) error {
			_, err := k.ledger.Suppress(k.Context(), []post.Suppression{{Key: person(0), Address: person(0), Reason: "asked"}})
			return err
		}, map[post.State]int{post.StateSent: 7, post.StateSuppressed: 1}, 7},
	} {
		for _, without := range []string{"", "PIPELINING"} {
			t.Run(c.name+without, func(t *testing.T) {
				var k *talk
				var m post.Mailing
				done := false
				k = newTalk(t, smtpscript.Config{Without: []string{without}, Script: func(ev smtpscript.Event) smtpscript.Action {
					if ev.Phase == post.PhaseRCPT && !done {
						done = true
						if err := c.do(k, m); err != nil {
							t.Error(err)
						}
					}
					return smtpscript.Action{}
				}})
				m = k.enqueue(numbered(8))
				k.run()
				k.wantTruth()
				k.wantStates(c.want)
				if n := k.srv.Stats().Dots; n != c.dots {
					t.Errorf("%d dots, want %d", n, c.dots)
				}
				if n := k.srv.Stats().Connections; c.dots == 0 && n != 1 {
					t.Errorf("%d connections for a mailing that must not go", n)
				}
				for _, d := range k.rows() {
					if d.State != post.StateSent && d.Attempts != 0 {
						t.Errorf("%s was charged", d.Address)
					}
				}
			})
		}
	}
}

// TestPauseInMidRun: after the pause is written no more go than one window.
func TestPauseInMidRun(t *testing.T) {
	t.Parallel()
	var k *talk
	var m post.Mailing
	k = newTalk(t, smtpscript.Config{Script: func(ev smtpscript.Event) smtpscript.Action {
		if ev.Phase == post.PhaseDot && ev.Total == 100 {
			if err := k.ledger.HoldMailing(k.Context(), m.ID, post.MailingPaused, post.Reason{}); err != nil {
				t.Error(err)
			}
		}
		return smtpscript.Action{}
	}})
	m = k.enqueue(numbered(500))
	k.run()
	k.wantTruth()
	if n := k.srv.Stats().Dots; n < 99 || n > 101+maxWindow {
		t.Errorf("%d dots", n)
	}
	if err := k.ledger.HoldMailing(t.Context(), m.ID, "", post.Reason{}); err != nil {
		t.Fatal(err)
	}
	k.run()
	k.wantTruth()
	k.wantStates(map[post.State]int{post.StateSent: 500})
}

// heldDot is a script that holds the reply to the n-th dot.
func heldDot(n int) (script func(smtpscript.Event) smtpscript.Action, seen, release chan struct{}) {
	seen, release = make(chan struct{}), make(chan struct{})
	return func(ev smtpscript.Event) smtpscript.Action {
		if ev.Phase == post.PhaseDot && ev.Total == n {
			close(seen)
			return smtpscript.Action{Hold: release}
		}
		return smtpscript.Action{}
	}, seen, release
}

func (k *talk) await(c <-chan struct{}, what string) {
	k.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		k.Fatalf("not seen: %s", what)
	}
}

// TestOrderlyStop waits for the reply to a dot, and gives everything else back.
func TestOrderlyStop(t *testing.T) {
	t.Parallel()
	for _, without := range []string{"", "PIPELINING"} {
		t.Run("without"+without, func(t *testing.T) {
			script, seen, release := heldDot(7)
			k := newTalk(t, smtpscript.Config{Without: []string{without}, Script: script})
			k.enqueue(numbered(50))
			s := k.start()
			k.await(seen, "the seventh dot")
			s.stop()
			if n := s.m.Finishing(); n != 1 {
				t.Errorf("finishing %d", n)
			}
			select {
			case <-s.done:
				t.Fatal("it did not wait for the reply")
			default:
			}
			close(release)
			k.wait(s)
			k.wantTruth()
			k.wantStates(map[post.State]int{post.StateSent: 7, post.StateQueued: 43})
			for _, d := range k.rows() {
				if d.State == post.StateQueued && (d.Attempts != 0 || !d.NextAt.IsZero() || d.Crashes != 0) {
					t.Errorf("%s: %+v", d.Address, d)
				}
			}
			used, err := k.ledger.AccountUsed(t.Context(), k.acct.ID)
			if err != nil || used.Day != 7 {
				t.Errorf("%+v %v", used, err)
			}
			k.reopen()
			k.run()
			k.wantTruth()
			k.wantStates(map[post.State]int{post.StateSent: 50})
		})
	}
}

// TestStopWhileRendering gives back all that was claimed, not only what has
// been rendered.
func TestStopWhileRendering(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{})
	m := k.enqueue(numbered(10))
	mailer := New(k.ledger, k.opt)
	mailer.works[m.ID] = &work{ready: make(chan struct{})} // being compiled, for ever
	ctx, stop := context.WithCancel(t.Context())
	s := &started{m: mailer, stop: stop, done: make(chan error, 1)}
	go func() { s.done <- mailer.Run(ctx, RunParams{}) }()
	k.until("several are claimed", func() bool { return k.counts()[post.StateClaimed] > 1 })
	stop()
	k.wait(s)
	k.wantStates(map[post.State]int{post.StateQueued: 10})
}

// TestForcedStop: what is past its dot is uncertain, the rest was not sent.
func TestForcedStop(t *testing.T) {
	t.Parallel()
	for _, without := range []string{"", "PIPELINING"} {
		t.Run("without"+without, func(t *testing.T) {
			script, seen, _ := heldDot(7)
			k := newTalk(t, smtpscript.Config{Without: []string{without}, Script: script})
			k.enqueue(numbered(50))
			s := k.start()
			k.await(seen, "the seventh dot")
			s.m.Kill()
			k.wait(s)
			k.wantTruth()
			k.wantStates(map[post.State]int{post.StateSent: 6, post.StateUncertain: 1, post.StateQueued: 43})
			k.reopen()
			k.run() // it is not sent again by itself
			k.wantTruth()
			k.wantStates(map[post.State]int{post.StateSent: 49, post.StateUncertain: 1})
		})
	}
}

// TestStopAtRandomMoments stops runs, in order or by force, and starts them
// again, until everything is settled.
func TestStopAtRandomMoments(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	k := newTalk(t, smtpscript.Config{}, func(a *post.Account) { a.Connections = 2 })
	const all = 500
	k.enqueue(numbered(all))
	stops, kills := 0, 0
	for k.counts()[post.StateQueued] > 0 && stops < 500 {
		target := k.srv.Stats().Commands + 1 + rnd.IntN(300)
		s := k.start()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // nothing may be left to wait for
		_ = k.srv.WaitFor(ctx, func(st smtpscript.Stats) bool { return st.Commands >= target })
		cancel()
		stops++
		if rnd.IntN(3) == 0 {
			kills++
			s.m.Kill()
		}
		s.stop()
		k.wait(s)
		if err := k.ledger.HoldAccount(t.Context(), k.acct.ID, "", post.Reason{}); err != nil { // kills pile up
			t.Fatal(err)
		}
	}
	k.wantTruth()
	n := k.counts()
	t.Logf("%d stops, %d of them forced: %v", stops, kills, n)
	if n[post.StateSent]+n[post.StateUncertain] != all || n[post.StateUncertain] > 2*kills {
		t.Errorf("%v after %d forced stops of 2 connections", n, kills)
	}
}

// TestChaos lets a server do any of its named faults at random moments, on two
// connections; afterwards nothing is lost and nothing is there twice.
func TestChaos(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 3))
	var names []string
	var faults []func(smtpscript.Event) smtpscript.Action
	for _, name := range smtpscript.FaultNames() {
		if strings.Contains(name, "stall") || strings.Contains(name, "tarpit") || strings.Contains(name, "deaf") || name == "late-250" ||
			name == "missing-rcpt" || name == "accept-long-line" || name == "endless-greeting" || name == "accept-endless" || name == "quit-stall" {
			continue // they take their time, and have tests of their own
		}
		f, err := smtpscript.Fault(name)
		if err != nil {
			t.Fatal(err)
		}
		names, faults = append(names, name), append(faults, f)
	}
	left := 200
	k := newTalk(t, smtpscript.Config{User: "shop", Password: "secret", Script: func(ev smtpscript.Event) smtpscript.Action {
		if left == 0 || rnd.IntN(8) != 0 {
			return smtpscript.Action{}
		}
		for range 20 { // until one fits the phase
			if a := faults[rnd.IntN(len(faults))](ev); a != (smtpscript.Action{}) {
				left--
				return a
			}
		}
		return smtpscript.Action{}
	}}, func(a *post.Account) { a.Connections = 2 })
	k.opt.Clock = &quick{}
	k.reopen() // with the same clock
	k.opt.Dial = (&accounts.Dialer{Secrets: static("secret"), Clock: k.opt.Clock}).Dial
	const all = 150
	m := k.enqueue(numbered(all))
	releases := 0
	for k.counts()[post.StateQueued] > 0 && releases < 2000 {
		k.opt.Clock.(*quick).skip(time.Minute) // the guard of failed sign-ins forgets
		k.run()
		releases++
		if err := k.ledger.HoldAccount(t.Context(), k.acct.ID, "", post.Reason{}); err != nil {
			t.Fatal(err)
		}
		if err := k.ledger.HoldMailing(t.Context(), m.ID, "", post.Reason{}); err != nil {
			t.Fatal(err)
		}
		if err := k.ledger.SetAccountLearned(t.Context(), k.acct.ID, post.Learned{}); err != nil { // in groups again
			t.Fatal(err)
		}
	}
	n := k.counts()
	k.srv.Close() // the script has ended: left is ours now
	t.Logf("%d faults (of %d kinds), %d times released by the user: %v", 200-left, len(names), releases, n)
	k.wantTruth()
	if n[post.StateSent]+n[post.StateUncertain]+n[post.StateFailed]+n[post.StateSuppressed] != all || n[post.StateSent] < all/3 {
		t.Errorf("%v", n)
	}
}

// quick is a clock that can be moved; its timers fire at once, so that whoever
// waits looks at the clock again.
type quick struct{ ahead, passed atomic.Int64 }

func (q *quick) Now() time.Time { return time.Now().Add(time.Duration(q.ahead.Load())) }
func (q *quick) Elapsed() time.Duration {
	return post.SystemClock{}.Elapsed() + time.Duration(q.passed.Load())
}

// skip lets time pass; with less than none the wall clock is set back.
func (q *quick) skip(d time.Duration) {
	q.passed.Add(max(0, int64(d)))
	q.ahead.Add(int64(d))
}

func (q *quick) NewTimer(d time.Duration) post.Timer {
	return post.SystemClock{}.NewTimer(min(d, 2*time.Millisecond))
}

// big is a mailing with an attachment that no socket's buffers hold.
func (k *talk) big(size int) func(*post.Mailing) {
	k.Helper()
	sum, n, err := k.ledger.Put(k.Context(), bytes.NewReader(bytes.Repeat([]byte("0123456789abcdef"), size/16)))
	if err != nil {
		k.Fatal(err)
	}
	return func(m *post.Mailing) {
		m.Content.Attachments = []post.Attachment{{Name: "a.bin", SHA256: sum, Size: n, Type: "application/octet-stream"}}
	}
}

// bodyCase is what a server does while the body is on its way.
type bodyCase struct {
	rows  rows
	name  string
	phase post.Phase
	do    smtpscript.Action
	want  post.State
	key   string
	free  bool // of charge
}

func bodyCases() []bodyCase {
	const body = post.PhaseBody
	const lost, queued = "delivery.connection", post.StateQueued
	return []bodyCase{
		{rows: rows{34}, name: "reset", phase: body, do: hangs(byReset), want: queued, key: lost},
		{rows: rows{34}, name: "close", phase: body, do: hangs(byClose), want: queued, key: lost},
		{rows: rows{34, 37}, name: "premature 552", phase: body, do: says("552 5.3.4 too big"), want: post.StateFailed, key: "delivery.too_large"},
		{rows: rows{34}, name: "premature 554, deaf", phase: body, do: act{Reply: "554 5.7.1 no", Tarpit: true}, want: post.StateFailed, key: "delivery.content"},
		{rows: rows{34}, name: "premature 451, deaf", phase: body, do: act{Reply: "451 4.3.0 later", Tarpit: true}, want: queued, key: "delivery.deferred"},
		{rows: rows{34}, name: "premature 250, deaf", phase: body, do: act{Reply: "250 2.0.0 taken", Tarpit: true}, want: queued, key: "delivery.odd_reply"},
		{rows: rows{17, 34}, name: "premature 421, deaf", phase: body, do: act{Reply: "421 4.3.2 closing", Tarpit: true}, want: queued, free: true},
		{rows: rows{34, 43}, name: "deaf", phase: post.PhaseDATA, do: act{Tarpit: true}, want: queued, key: lost},
	}
}

// TestInTheBody: the connection breaks, or the server refuses, while the body
// is on its way and the dot is not out: nothing is ambiguous.
func TestInTheBody(t *testing.T) {
	t.Parallel()
	for _, c := range bodyCases() {
		t.Run(c.rows.String()+" "+c.name, func(t *testing.T) {
			t.Parallel()
			k := newTalk(t, smtpscript.Config{Script: smtpscript.Once(c.phase, c.do), Keep: smtpscript.KeepHash})
			k.opt.WaitScale = 0
			k.opt.Timeouts.Write = impatience
			k.enqueue(persons("a@b.example"), k.big(12<<20))
			if c.free { // it goes out at once, on a new connection
				k.run()
				k.wantStates(map[post.State]int{post.StateSent: 1})
				c.want, c.key = post.StateSent, ""
			} else {
				k.runUntil(RunParams{NoWait: true})
			}
			k.wantTruth()
			d := k.row("a@b.example")
			if d.State != c.want || d.Reason.Key != c.key || d.Attempts != 1 {
				t.Errorf("%s, %+v, %d attempts", d.State, d.Reason, d.Attempts)
			}
			conns := 1
			if c.free {
				conns = 2
			}
			if n := k.srv.Stats().Connections; n != conns {
				t.Errorf("%d connections, want %d", n, conns)
			}
			for _, a := range k.attempts(d.Address) {
				if a.DotSent && c.want == post.StateQueued {
					t.Error("it says that a dot was sent")
				}
			}
		})
	}
}

// TestHostileRepliesCostNoMemory: a server that answers without end.
func TestHostileRepliesCostNoMemory(t *testing.T) {
	for _, phase := range []post.Phase{post.PhaseGreeting, post.PhaseEHLO, post.PhaseMAIL, post.PhaseRCPT, post.PhaseDATA, post.PhaseDot} {
		t.Run(string(phase), func(t *testing.T) {
			n := 0
			k := newTalk(t, smtpscript.Config{Transcript: -1, Script: func(ev smtpscript.Event) smtpscript.Action {
				if ev.Phase != phase || n == 2 {
					return smtpscript.Action{}
				}
				n++
				if n == 1 {
					return smtpscript.Action{Endless: 64 << 20}
				}
				return smtpscript.Raw(strings.Repeat("250-x", 4<<20))
			}})
			k.enqueue(numbered(3))
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			k.run()
			runtime.GC()
			runtime.ReadMemStats(&after)
			k.wantTruth()
			if grown := int64(after.Sys) - int64(before.Sys); grown > 100<<20 {
				t.Errorf("the process grew by %d MB", grown>>20)
			}
			n2 := k.counts()
			if n2[post.StateSent]+n2[post.StateUncertain] != 3 || phase != post.PhaseDot && n2[post.StateSent] != 3 {
				t.Errorf("%v", n2)
			}
		})
	}
}

// TestRendering: a message that cannot be built fails alone and before any
// connection; what the ledger cannot give fails nobody.
func TestRendering(t *testing.T) {
	k := newTalk(t, smtpscript.Config{})
	k.enqueue(persons("a@b.example", "c@d.example"), func(m *post.Mailing) {
		m.Content.Attachments = []post.Attachment{{Name: "gone.bin", SHA256: strings.Repeat("ab", 32), Size: 5, Type: "text/plain"}}
	})
	k.run()
	k.wantStates(map[post.State]int{post.StateFailed: 2})
	for _, d := range k.rows() {
		if d.Attempts != 0 || d.Reason.IsZero() {
			t.Errorf("%d attempts, %+v", d.Attempts, d.Reason)
		}
	}
	if n := k.srv.Stats().Connections; n != 0 {
		t.Errorf("%d connections", n)
	}
	for _, err := range []error{storage.ErrBusy, storage.ErrFull, storage.ErrCorrupt, storage.ErrReadOnly} {
		if !ledgerTrouble(&post.Error{Kind: post.KindInternal, Err: err}) {
			t.Errorf("%v would fail a recipient", err)
		}
	}
}

// TestEnvelopeNamesWhomTheMessageNames: one that is built for somebody else is
// never sent.
func TestEnvelopeNamesWhomTheMessageNames(t *testing.T) {
	c, err := compose.Compile(t.Context(), post.Content{Subject: "S", Format: post.FormatText, Body: "B"}, nil, compose.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := post.Delivery{Recipient: post.Recipient{Address: "a@b.example"}, MessageID: "<1@shop.example>"}
	from := post.Sender{Email: "shop@shop.example"}
	j := &job{d: d, from: from.Email, msg: new(compose.Message)}
	if err := (&work{mailing: c}).render(j.msg, &d, from, time.Now()); err != nil {
		t.Fatal(err)
	}
	ln := &lane{conn: new(accounts.Conn)}
	if e, ok := ln.addEnvelope(j, 0); !ok || !bytes.Contains(ln.buf, []byte("RCPT TO:<a@b.example>\r\n")) {
		t.Errorf("%+v %q", e, ln.buf)
	}
	j.d.Address = "somebody@else.example"
	ln.buf = nil
	if e, ok := ln.addEnvelope(j, 0); ok || e.Reason.Key != "delivery.address" || len(ln.buf) > 0 {
		t.Errorf("%+v %q", e, ln.buf)
	}
}

// TestOneMailerAtATime: the second service waits for the first one's end, and
// then takes over.
func TestOneMailerAtATime(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{})
	k.opt.Clock = &quick{}
	k.reopen()
	first := Serve(t.Context(), k.ledger, k.opt)
	k.until("the first has the lock", func() bool { return first.Role() == Mine })
	l, err := storage.Open(t.Context(), k.dir, storage.Options{Clock: k.opt.Clock})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	second := Serve(t.Context(), l, k.opt)
	k.until("the second waits", func() bool { return second.Role() == Other })
	k.enqueue(numbered(20))
	k.until("all are sent", func() bool { return k.counts()[post.StateSent] == 20 })
	k.await(first.Stop(), "the first one's end")
	k.until("the second has the lock", func() bool { return second.Role() == Mine })
	k.enqueue(numbered(20))
	k.until("all are sent", func() bool { return k.counts()[post.StateSent] == 40 })
	k.await(second.Stop(), "the second one's end")
	if first.Role() != Ended || second.Role() != Ended {
		t.Error("not ended")
	}
	for to, n := range k.srv.Taken() {
		if n != 2 {
			t.Errorf("%s got %d", to, n)
		}
	}
}

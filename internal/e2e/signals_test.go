//go:build linux && !race

package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"postroom/internal/testkit/smtpscript"
)

// plainOffice is an office with an account "shop" of one connection at server.
func plainOffice(t *testing.T, server *smtpscript.Server) (o *office, body string) {
	t.Helper()
	o = newOffice(t)
	o.addPlain(t, "shop", server, "--connections", "1")
	body = o.write(t, "b.txt", "Hello.\n")
	return o, body
}

// TestStop: SIGTERM ends a run in order. What is past its dot is waited for,
// the rest stays queued and goes out with the next run, once.
func TestStop(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) { stopInOrder(t, signal) })
	}
}

func stopInOrder(t *testing.T, signal syscall.Signal) {
	const people, before = 40, 7
	hold, dot := make(chan struct{}), make(chan struct{})
	server := smtpscript.Start(t, smtpscript.Config{
		Keep: smtpscript.KeepCount,
		Script: func(e smtpscript.Event) smtpscript.Action {
			if e.Phase == smtpscript.PhaseDot && e.Conn == 1 && e.Message == before {
				close(dot)
				return smtpscript.Action{Hold: hold}
			}
			return smtpscript.Action{}
		},
	})
	o, body := plainOffice(t, server)
	sheet, addresses := o.crowd(t, "person", people)
	o.ok(t, "contacts", "import", sheet, "--list", "All")
	id := o.queue(t, people, "--account", "shop", "--list", "All", "--subject", "Hello {{first_name}}", "--body", body)
	p := o.start(t, "", "run")
	select {
	case <-dot:
	case <-p.ended:
		t.Fatalf("it ended\n%s", p.wait(t))
	}
	p.signal(t, signal)
	until(t, "the notice that it stops", func() bool { return strings.Contains(o.log(t), "stopping") })
	if !p.running() {
		t.Fatalf("it ended with a message past its dot\n%s", p.wait(t))
	}
	close(hold)
	r := p.wait(t)
	m := o.show(t, id)
	if r.code != 0 || m.Counts["sent"] != before || m.Counts["queued"] != people-before {
		t.Errorf("after the signal: %v\n%s", m.Counts, r)
	}
	if n := server.Stats().Taken; n != before {
		t.Errorf("the server took %d", n)
	}
	o.ok(t, "run", "--until-empty")
	if got := o.judge(t, server, id, addresses); got != (judged{}) {
		t.Errorf("%+v", got)
	}
	o.sound(t)
}

// TestSecondRun: one process sends at a time.
func TestSecondRun(t *testing.T) {
	server := smtpscript.Start(t, smtpscript.Config{Keep: smtpscript.KeepCount, Up: 10 * time.Millisecond, Down: 10 * time.Millisecond})
	o, body := plainOffice(t, server)
	first := o.start(t, "", "run")
	o.queue(t, 1, "--account", "shop", "--to", "a@example.test", "--subject", "Hello", "--body", body)
	o.awaitTaken(t, server, first, 1)
	for _, args := range [][]string{{"run"}, {"run", "--json"}} {
		began := time.Now()
		r := o.do(t, "", args...)
		if r.code != 1 || !strings.Contains(r.err, "already sending") || strings.Count(r.err, "\n") != 1 {
			t.Errorf("a second run\n%s", r)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %s to refuse", took)
		}
	}
	if !first.running() {
		t.Fatalf("the first run ended\n%s", first.wait(t))
	}
	first.signal(t, syscall.SIGTERM)
	if r := first.wait(t); r.code != 0 {
		t.Errorf("the first run\n%s", r)
	}
	// Now the lock is free.
	o.ok(t, "run", "--no-wait")
}

// awaitTaken waits until the server has taken n messages in all.
func (o *office) awaitTaken(t *testing.T, server *smtpscript.Server, p *process, n int) {
	t.Helper()
	until(t, number(n)+" messages at the server", func() bool {
		if !p.running() {
			t.Fatalf("the run ended\n%s", p.wait(t))
		}
		return server.Stats().Taken >= n
	})
}

// TestBesideARun: while one process sends, others queue, pause, resume and
// cancel.
func TestBesideARun(t *testing.T) {
	const people = 300
	server := smtpscript.Start(t, smtpscript.Config{Keep: smtpscript.KeepHash, Up: 10 * time.Millisecond, Down: 10 * time.Millisecond})
	o, body := plainOffice(t, server)
	sheet, addresses := o.crowd(t, "person", people)
	o.ok(t, "contacts", "import", sheet, "--list", "All")
	p := o.start(t, "", "run")
	o.seesNewMail(t, server, p, body)

	began := server.Stats().Taken
	id := o.queue(t, people, "--account", "shop", "--list", "All", "--subject", "Hello", "--body", body)
	o.awaitTaken(t, server, p, began+5)
	if m := object[mailing](t, o.ok(t, "mailing", "pause", number(id), "--json")); m.State != "paused" {
		t.Fatalf("paused: %+v", m)
	}
	until(t, "the last message under way", func() bool {
		m := o.show(t, id)
		return m.Counts["claimed"]+m.Counts["sending"] == 0
	})
	held := o.show(t, id)
	if n := held.Counts["sent"]; n < 5 || n == people || held.Counts["queued"] != people-n {
		t.Fatalf("paused in the middle: %v", held.Counts)
	}
	// The mailer still sends other mail, and nothing of this mailing.
	other := o.queue(t, 1, "--account", "shop", "--to", "other@example.test", "--subject", "Hello", "--body", body)
	until(t, "the other mailing", func() bool { return o.show(t, other).State == "done" })
	if m := o.show(t, id); m.Counts["sent"] != held.Counts["sent"] || m.State != "paused" {
		t.Errorf("the paused mailing went on: %v", m.Counts)
	}
	if m := object[mailing](t, o.ok(t, "mailing", "resume", number(id), "--json")); m.State != "running" {
		t.Errorf("resumed: %+v", m)
	}
	until(t, "the resumed mailing", func() bool { return o.show(t, id).Counts["sent"] >= held.Counts["sent"]+5 })
	gone := object[mailing](t, o.ok(t, "mailing", "cancel", number(id), "--json"))
	// Those that were under way may follow before the counts are read.
	if gone.Changed == 0 || gone.Counts["cancelled"] < gone.Changed {
		t.Errorf("cancelled: %+v", gone)
	}
	until(t, "the end of the cancelled mailing", func() bool {
		m := o.show(t, id)
		return m.Counts["sent"]+m.Counts["cancelled"] == people
	})
	p.signal(t, syscall.SIGTERM)
	if r := p.wait(t); r.code != 0 {
		t.Errorf("the run\n%s", r)
	}
	taken := server.Taken()
	for _, d := range o.history(t, id) {
		if want := map[string]int{"sent": 1}[d.State]; taken[d.Address] != want {
			t.Errorf("%s is %s; the server took %d", d.Address, d.State, taken[d.Address])
		}
	}
	t.Logf("%d of %d were sent before it was cancelled", o.show(t, id).Counts["sent"], len(addresses))
	o.sound(t)
}

// seesNewMail holds that a running mailer takes new mail up within 2 seconds.
// The best of three tries counts, because others use this machine too.
func (o *office) seesNewMail(t *testing.T, server *smtpscript.Server, p *process, body string) {
	t.Helper()
	var best time.Duration
	for try := range 3 {
		o.queue(t, 1, "--account", "shop", "--to", "new"+number(try)+"@example.test", "--subject", "Hello", "--body", body)
		queued := time.Now()
		o.awaitTaken(t, server, p, try+1)
		if took := time.Since(queued); try == 0 || took < best {
			best = took
		}
		if best < 2*time.Second && try > 0 {
			break
		}
	}
	t.Logf("new mail was taken %s after it was queued", best.Round(time.Millisecond))
	if best > 2*time.Second {
		t.Errorf("it took %s", best)
	}
}

// TestSettle: a server that hangs up after the dot leaves an uncertain row,
// which the user settles.
func TestSettle(t *testing.T) {
	server := smtpscript.Start(t, smtpscript.Config{
		Keep: smtpscript.KeepCount,
		Script: func(e smtpscript.Event) smtpscript.Action {
			if e.Phase == smtpscript.PhaseDot && strings.HasPrefix(e.Rcpt, "lost") {
				return smtpscript.Action{Take: smtpscript.TakeIt, Silent: true, End: smtpscript.EndReset}
			}
			return smtpscript.Action{}
		},
	})
	o, body := plainOffice(t, server)
	for _, outcome := range []string{"sent", "failed"} {
		lost := "lost." + outcome + "@example.test"
		id := o.queue(t, 2, "--account", "shop", "--to", lost, "--to", "found."+outcome+"@example.test", "--subject", "Hello", "--body", body)
		r := o.expect(t, 3, "run", "--until-empty")
		if m := o.show(t, id); m.Counts["uncertain"] != 1 || m.Counts["sent"] != 1 || !strings.Contains(r.err, "uncertain") && !strings.Contains(r.err, "not known") {
			t.Fatalf("%v\n%s", m.Counts, r)
		}
		// It is never sent again by itself.
		o.expect(t, 3, "run", "--until-empty")
		m := object[mailing](t, o.ok(t, "mailing", "settle", number(id), "--uncertain", outcome, "--json"))
		if m.Changed != 1 || m.Counts["uncertain"] != 0 || m.State != "done" {
			t.Errorf("settled: %+v", m)
		}
		for _, d := range o.history(t, id) {
			if d.Address == lost && d.State != outcome {
				t.Errorf("%s is %s", lost, d.State)
			}
		}
		if n := server.Taken()[lost]; n != 1 {
			t.Errorf("%s got %d", lost, n)
		}
		o.ok(t, "run", "--until-empty")
	}
	o.sound(t)
}

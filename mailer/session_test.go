package mailer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postroom/internal/testkit/smtpscript"
	"postroom/post"
	"postroom/storage"
)

// TestSignIn: what goes wrong before MAIL concerns the account and leaves the
// deliveries as they were.
func TestSignIn(t *testing.T) {
	t.Parallel()
	for _, c := range dialCases() {
		t.Run(c.rows.String()+" "+c.name, func(t *testing.T) {
			t.Parallel()
			c.cfg.Script = smtpscript.At(c.phase, c.do)
			k := newTalk(t, c.cfg, c.accounts()...)
			if c.dial != nil {
				c.dial(k.dialer)
			}
			if c.down {
				k.srv.Down()
			}
			k.enqueue(numbered(5))
			k.opt.WaitScale = 0 // in earnest
			k.runUntil(RunParams{NoWait: true})
			k.wantFirstFailure(c)
			if c.wait == 0 {
				k.run() // a stopped account leaves the run nothing to do
			} else {
				k.opt.WaitScale = 1e-6
				k.wantThreeFailures(c)
			}
			k.wantTruth()
			k.wantStates(map[post.State]int{post.StateQueued: 5})
			for _, d := range k.rows() {
				if d.Attempts != 0 || len(k.attempts(d.Address)) != 0 {
					t.Errorf("%s was charged", d.Address)
				}
			}
			st := k.srv.Stats()
			if st.ByVerb["MAIL"] != 0 || c.phase != post.PhaseAuth && st.ByVerb["AUTH"] != 0 {
				t.Errorf("%v", st.ByVerb)
			}
			if c.wait == 0 && st.ByVerb["AUTH"] > 1 {
				t.Errorf("a stopped account tried to sign in %d times", st.ByVerb["AUTH"])
			}
		})
	}
}

// wantFirstFailure: after one try the account waits for as long as the case
// says, or is stopped, and says why.
func (k *talk) wantFirstFailure(c dialCase) {
	k.Helper()
	a, now := k.account(), time.Now()
	hold := post.AccountState("")
	if c.wait == 0 {
		hold = post.AccountStopped
	}
	if a.Hold != hold || a.Reason.Key != c.key || a.Reason.Raw == "" {
		k.Errorf("%q %+v", a.Hold, a.Reason)
	}
	if d := a.Until.Sub(now); c.wait > 0 && (d > c.wait || d < c.wait-patience) {
		k.Errorf("it waits for %v, want %v", d, c.wait)
	}
	tries := 1
	if c.unseen {
		tries = 0
	}
	if n := k.srv.Stats().Connections; n != tries {
		k.Errorf("%d connections, want %d", n, tries)
	}
}

// wantThreeFailures: by itself the account goes on waiting, or is stopped at
// the try that the case says.
func (k *talk) wantThreeFailures(c dialCase) {
	k.Helper()
	if err := k.ledger.HoldAccount(k.Context(), k.acct.ID, "", post.Reason{}); err != nil {
		k.Fatal(err)
	}
	before := k.srv.Stats().Connections
	s := k.start()
	k.until("three waits or a stop", func() bool { a := k.account(); return a.Hold != "" || a.WaitStep >= 3 })
	s.stop()
	k.wait(s)
	a, tries := k.account(), k.srv.Stats().Connections-before
	switch {
	case c.stopsAt == 0 && a.Hold != "":
		k.Errorf("it was stopped: %+v", a.Reason)
	case c.stopsAt > 0 && (a.Hold != post.AccountStopped || a.Reason.Key != c.key):
		k.Errorf("%q %+v, want it stopped", a.Hold, a.Reason)
	case c.stopsAt > 0 && !c.unseen && tries != c.stopsAt:
		k.Errorf("it was stopped after %d tries, want %d", tries, c.stopsAt)
	}
}

// TestCertificates: row 7, and never a word in the clear.
func TestCertificates(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cert smtpscript.Certificate
		says string
	}{
		"expired": {smtpscript.CertExpired, "certificate has expired"}, "name": {smtpscript.CertWrongName, "127.0.0.1"},
		"self-signed": {smtpscript.CertSelfSigned, "unknown authority"}, "incomplete": {smtpscript.CertIncomplete, "unknown authority"},
	} {
		for _, mode := range []smtpscript.Mode{smtpscript.STARTTLS, smtpscript.ImplicitTLS} {
			t.Run(fmt.Sprint(name, mode), func(t *testing.T) {
				t.Parallel()
				k := newTalk(t, smtpscript.Config{Mode: mode, Cert: c.cert, User: "shop", Password: "secret"})
				k.enqueue(numbered(3))
				k.run()
				k.wantStates(map[post.State]int{post.StateQueued: 3})
				a := k.account()
				if a.Hold != post.AccountStopped || a.Reason.Key == "" || !strings.Contains(a.Reason.Raw, c.says) {
					t.Errorf("%q %+v", a.Hold, a.Reason)
				}
				if st := k.srv.Stats(); st.Connections != 1 || st.ByVerb["AUTH"] != 0 || st.ByVerb["MAIL"] != 0 {
					t.Errorf("%+v", st)
				}
			})
		}
	}
}

// TestEncryptionNeverFallsBack: a server that has had encryption and offers it
// no longer, or fails at it, is not spoken to in the clear, however often it is
// tried and whatever it offers instead.
func TestEncryptionNeverFallsBack(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct {
		phase post.Phase
		do    smtpscript.Action
		key   string
	}{
		"not offered": {post.PhaseEHLO, smtpscript.Reply("250-mail.example\nPIPELINING\nAUTH PLAIN LOGIN"), "account.no_tls"},
		"refused":     {post.PhaseSTARTTLS, smtpscript.Reply("502 5.5.1 no"), "account.no_tls"},
		"broken":      {post.PhaseTLS, smtpscript.Hang(smtpscript.EndCut), "account.tls"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := &swapped{}
			k := newTalk(t, smtpscript.Config{Mode: smtpscript.STARTTLS, AuthInClear: true, User: "shop", Password: "secret", Script: script.do})
			k.enqueue(numbered(3))
			k.run()
			k.wantStates(map[post.State]int{post.StateSent: 3})
			before := k.srv.Stats()
			script.swap(k.srv, smtpscript.At(fault.phase, fault.do))
			k.enqueue(persons("later@b.example"))
			for range 3 {
				k.run()
				if a := k.account(); a.Hold != post.AccountStopped || a.Reason.Key != fault.key {
					t.Errorf("%q %+v", a.Hold, a.Reason)
				}
				if err := k.ledger.HoldAccount(t.Context(), k.acct.ID, "", post.Reason{}); err != nil {
					t.Fatal(err)
				}
			}
			st := k.srv.Stats()
			if st.ByVerb["AUTH"] != before.ByVerb["AUTH"] || st.ByVerb["MAIL"] != before.ByVerb["MAIL"] {
				t.Errorf("%v, before %v", st.ByVerb, before.ByVerb)
			}
			for _, c := range k.srv.Conns() {
				if c.TLS == 0 && strings.Contains(c.Transcript, "C: AUTH") {
					t.Error("a sign-in in the clear")
				}
			}
		})
	}
}

// TestNextAddressIsTried: an address that refuses is not the end of it, and
// costs nobody anything.
func TestNextAddressIsTried(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{}, func(a *post.Account) { a.Host = "localhost" })
	k.dialer.Resolver = addresses{"127.0.0.2", "127.0.0.1"}
	k.enqueue(numbered(3))
	k.run()
	k.wantTruth()
	k.wantStates(map[post.State]int{post.StateSent: 3})
	for _, d := range k.rows() {
		if d.Attempts != 1 {
			t.Errorf("%s: %d attempts", d.Address, d.Attempts)
		}
	}
}

// TestFewerConnections: a server that has enough with one connection is not
// asked for a second one again and again.
func TestFewerConnections(t *testing.T) {
	t.Parallel()
	for _, greeting := range []string{"432 4.3.2 Concurrent connections limit exceeded", "421 4.3.2 too many connections"} {
		t.Run(greeting[:3], func(t *testing.T) {
			t.Parallel()
			k := newTalk(t, smtpscript.Config{Script: func(ev smtpscript.Event) smtpscript.Action {
				if ev.Phase == post.PhaseGreeting && ev.Open > 1 {
					return smtpscript.Reply(greeting).Then(smtpscript.EndClose)
				}
				return smtpscript.Action{}
			}}, func(a *post.Account) { a.Connections = 2 })
			k.enqueue(numbered(300))
			k.run()
			k.wantTruth()
			k.wantStates(map[post.State]int{post.StateSent: 300})
			if n := k.account().Learned.Connections; n != 1 {
				t.Errorf("it learned %d connections, want 1", n)
			}
			if n := k.srv.Stats().Connections; n > 8 {
				t.Errorf("%d connections for 300 messages", n)
			}
		})
	}
}

// TestFailOver: an account that stops leaves its mailing to the other.
func TestFailOver(t *testing.T) {
	t.Parallel()
	cfg := smtpscript.Config{Script: func(ev smtpscript.Event) smtpscript.Action {
		if ev.Phase == post.PhaseMAIL && ev.Total > 5 {
			return smtpscript.Reply("550 5.7.60 not allowed to send as this sender")
		}
		return smtpscript.Action{}
	}}
	k := newTalk(t, cfg)
	second := smtpscript.Start(t, smtpscript.Config{})
	other := k.addAccount("other", second, smtpscript.Config{})
	k.enqueue(numbered(60), func(m *post.Mailing) {
		m.Senders = append(m.Senders, post.Sender{Account: other.ID, Email: other.Email})
	})
	k.run()
	k.wantTruth(second)
	k.wantStates(map[post.State]int{post.StateSent: 60})
}

// TestMessageIsByteIdenticalOnRetry: the same Message-ID, Date and boundaries.
func TestMessageIsByteIdenticalOnRetry(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{})
	k.srv.Close()
	script := onceFor(person(0), post.PhaseDot, smtpscript.Action{Silent: true, Take: smtpscript.TakeIt, End: smtpscript.EndClose})
	k.srv = smtpscript.Start(t, smtpscript.Config{Script: script})
	k.acct.Host, k.acct.Port = k.srv.HostPort()
	if err := k.ledger.UpdateAccount(t.Context(), k.acct); err != nil {
		t.Fatal(err)
	}
	m := k.enqueue(numbered(1))
	k.run()
	k.wantStates(map[post.State]int{post.StateUncertain: 1})
	if _, err := k.ledger.RetryMailing(t.Context(), m.ID, storage.Retry{Uncertain: true}); err != nil {
		t.Fatal(err)
	}
	k.reopen()
	clock := k.opt.Clock
	k.opt.Clock = later{time.Hour}
	k.run()
	k.opt.Clock = clock
	k.wantStates(map[post.State]int{post.StateSent: 1})
	all := k.srv.Messages()
	if len(all) != 2 || all[0].Sum != all[1].Sum || all[0].MessageID != k.row(person(0)).MessageID {
		t.Errorf("%d copies; they differ", len(all))
		for _, m := range all {
			t.Logf("%s", m.Data)
		}
	}
}

// later is the system's clock, ahead.
type later struct{ by time.Duration }

func (l later) Now() time.Time                      { return time.Now().Add(l.by) }
func (l later) Elapsed() time.Duration              { return post.SystemClock{}.Elapsed() }
func (l later) NewTimer(d time.Duration) post.Timer { return post.SystemClock{}.NewTimer(d) }

// TestRoundTrips: one flight a message with PIPELINING, four without.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	const n = 200
	for _, c := range []struct {
		name    string
		without []string
		limit   float64
	}{{"groups", nil, 1.1}, {"steps", []string{"PIPELINING"}, 4.1}} {
		t.Run(c.name, func(t *testing.T) {
			k := newTalk(t, smtpscript.Config{Without: c.without})
			k.enqueue(numbered(n))
			k.run()
			k.wantTruth()
			st := k.srv.Stats()
			per := float64(st.Flights) / n
			t.Logf("%d flights, %.3f a message, %d connections, %v", st.Flights, per, st.Connections, st.ByVerb)
			if per > c.limit {
				t.Errorf("%.3f round trips a message, want at most %v", per, c.limit)
			}
			if st.ByVerb["RSET"]+st.ByVerb["NOOP"] > 0 {
				t.Errorf("%v", st.ByVerb)
			}
			if !slices.ContainsFunc(k.srv.Conns(), func(i smtpscript.ConnInfo) bool { return i.Messages == maxPerConnection }) {
				t.Error("connections are not used to the full")
			}
		})
	}
}

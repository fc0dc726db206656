package mailer

import (
	"fmt"
	"slices"
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
	reply := smtpscript.Reply
	plain := smtpscript.Config{User: "shop", Password: "secret"}
	starttls := smtpscript.Config{Mode: smtpscript.STARTTLS, User: "shop", Password: "secret"}
	implicit := smtpscript.Config{Mode: smtpscript.ImplicitTLS, User: "shop", Password: "secret"}
	for _, c := range []struct {
		name  string
		cfg   smtpscript.Config
		phase post.Phase
		do    smtpscript.Action
		hold  post.AccountState
		key   string // empty: the accounts package says it more exactly
	}{
		{"4 greeting 421", plain, post.PhaseGreeting, reply("421 4.3.2 later").Then(smtpscript.EndClose), "", "account.greeting"},
		{"5 greeting 554", plain, post.PhaseGreeting, reply("554 5.7.1 no").Then(smtpscript.EndClose), post.AccountStopped, "account.greeting"},
		{"6 greeting garbage", plain, post.PhaseGreeting, smtpscript.Raw("HTTP/1.1 400\r\n"), "", "account.greeting"},
		{"6 endless greeting", plain, post.PhaseGreeting, smtpscript.Action{Endless: 8 << 20}, "", "account.greeting"},
		{"3 hung up", plain, post.PhaseConnect, smtpscript.Hang(smtpscript.EndReset), "", ""},
		{"8 TLS drop", starttls, post.PhaseTLS, smtpscript.Hang(smtpscript.EndCut), post.AccountStopped, "account.tls"},
		{"8 TLS alert", implicit, post.PhaseTLS, smtpscript.Raw("\x15\x03\x03\x00\x02\x02\x28").Then(smtpscript.EndCut), post.AccountStopped, "account.tls"},
		{"9 STARTTLS 454", starttls, post.PhaseSTARTTLS, reply("454 4.7.0 not now"), "", "account.no_tls"},
		{"9 STARTTLS 502", starttls, post.PhaseSTARTTLS, reply("502 5.5.1 no"), post.AccountStopped, "account.no_tls"},
		{"10 injected", starttls, post.PhaseSTARTTLS, smtpscript.Action{After: "250 AUTH PLAIN\r\n"}, post.AccountStopped, ""},
		{"11 EHLO 502", plain, post.PhaseEHLO, reply("502 5.5.1 what"), post.AccountStopped, "account.ehlo"},
		{"11 EHLO 421", plain, post.PhaseEHLO, reply("421 4.3.2 later").Then(smtpscript.EndClose), "", "account.ehlo"},
		{"12 AUTH 535", plain, post.PhaseAuth, reply("535 5.7.8 no"), post.AccountStopped, "account.password"},
		{"13 AUTH 454", plain, post.PhaseAuth, reply("454 4.7.0 too many logins"), "", "account.sign_in"},
		{"14 AUTH 432", plain, post.PhaseAuth, reply("432 4.7.12 change it"), post.AccountStopped, "account.password_change"},
		{"15 AUTH 538", plain, post.PhaseAuth, reply("538 5.7.11 no"), post.AccountStopped, "account.settings"},
		{"AUTH drop", plain, post.PhaseAuth, smtpscript.Hang(smtpscript.EndClose), "", "account.connection"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.cfg.Script = smtpscript.At(c.phase, c.do)
			k := newTalk(t, c.cfg)
			k.enqueue(numbered(5))
			s := k.start()
			k.until("three waits or a stop", func() bool { a := k.account(); return a.Hold != "" || a.WaitStep >= 3 })
			s.stop()
			k.wait(s)
			a := k.account()
			if a.Hold != c.hold || c.key != "" && a.Reason.Key != c.key || a.Reason.IsZero() {
				t.Errorf("%q %+v", a.Hold, a.Reason)
			}
			k.wantTruth()
			k.wantStates(map[post.State]int{post.StateQueued: 5})
			for _, d := range k.rows() {
				if d.Attempts != 0 || len(k.attempts(d.Address)) != 0 {
					t.Errorf("%s was charged", d.Address)
				}
			}
			if st := k.srv.Stats(); st.ByVerb["MAIL"] != 0 || c.phase == post.PhaseAuth && a.Hold != "" && st.ByVerb["AUTH"] != 1 {
				t.Errorf("%v", st.ByVerb)
			}
			if c.hold != post.AccountStopped { // it gets better by itself
				return
			}
			k.run() // a stopped account leaves the run nothing to do
			if n := k.srv.Stats().ByVerb["MAIL"]; n != 0 {
				t.Errorf("a stopped account said MAIL")
			}
		})
	}
}

// TestCertificates: row 7, and never a word in the clear.
func TestCertificates(t *testing.T) {
	t.Parallel()
	for name, cert := range map[string]smtpscript.Certificate{
		"expired": smtpscript.CertExpired, "name": smtpscript.CertWrongName, "self-signed": smtpscript.CertSelfSigned,
		"incomplete": smtpscript.CertIncomplete,
	} {
		for _, mode := range []smtpscript.Mode{smtpscript.STARTTLS, smtpscript.ImplicitTLS} {
			t.Run(fmt.Sprint(name, mode), func(t *testing.T) {
				t.Parallel()
				k := newTalk(t, smtpscript.Config{Mode: mode, Cert: cert, User: "shop", Password: "secret"})
				k.enqueue(numbered(3))
				k.run()
				k.wantStates(map[post.State]int{post.StateQueued: 3})
				a := k.account()
				if a.Hold != post.AccountStopped || a.Reason.IsZero() {
					t.Errorf("%q %+v", a.Hold, a.Reason)
				}
				if st := k.srv.Stats(); st.Connections != 1 || st.ByVerb["AUTH"] != 0 || st.ByVerb["MAIL"] != 0 {
					t.Errorf("%+v", st)
				}
			})
		}
	}
}

// TestStrippedSTARTTLS: a server that no longer offers it is not spoken to.
func TestStrippedSTARTTLS(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{Mode: smtpscript.STARTTLS, Without: []string{"STARTTLS"}, AuthInClear: true, User: "shop", Password: "secret"})
	k.enqueue(numbered(3))
	k.run()
	if a := k.account(); a.Hold != post.AccountStopped || a.Reason.Key != "account.no_tls" {
		t.Errorf("%q %+v", a.Hold, a.Reason)
	}
	if st := k.srv.Stats(); st.ByVerb["AUTH"]+st.ByVerb["MAIL"] != 0 {
		t.Errorf("%v", st.ByVerb)
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

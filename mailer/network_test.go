package mailer

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"postroom/accounts"
	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// far makes an account's server one beyond the network, which is up while the
// flag is: its own name, and a dial that reaches the scripted server all the same.
func (k *talk) far(name string, srv *smtpscript.Server, net *atomic.Pointer[post.Fault]) post.Account {
	k.Helper()
	host, port := srv.HostPort()
	dial := k.opt.Dial
	k.opt.Dial = func(ctx context.Context, a post.Account) (*accounts.Conn, error) {
		if a.Name != name {
			return dial(ctx, a)
		}
		if f := net.Load(); f != nil {
			return nil, f
		}
		a.Host, a.Port, a.TLS, a.Auth = host, port, post.TLSNone, post.AuthNone
		c, err := (&accounts.Dialer{Secrets: static("")}).Dial(ctx, a)
		if err == nil {
			c.Session.TLS = "TLS 1.3, as far as this test is concerned"
		}
		return c, err
	}
	return k.addAccount(name, srv, smtpscript.Config{}, func(a *post.Account) {
		a.Host, a.Port, a.TLS = "smtp."+name+".example", 465, post.TLSImplicit
	})
}

func (k *talk) named(name string) *post.Account {
	k.Helper()
	a, err := k.ledger.AccountByName(k.Context(), name)
	if err != nil {
		k.Fatal(err)
	}
	return &a
}

// TestOffline (rows 1, 52): when several accounts cannot find their servers it is
// the network: nobody is stopped, however often it is tried, nothing is charged,
// and when one gets through the others follow at once.
func TestOffline(t *testing.T) {
	t.Parallel()
	var net atomic.Pointer[post.Fault]
	k := newTalk(t, smtpscript.Config{})
	clock := &quick{}
	k.opt.Clock = clock
	k.reopen()
	second := smtpscript.Start(t, smtpscript.Config{})
	a, b := k.far("a", k.srv, &net), k.far("b", second, &net)
	net.Store(&post.Fault{Phase: post.PhaseResolve, Cause: post.CauseNoHost, Detail: "no such host"})
	k.enqueue(numbered(10), withSenders(a))
	k.enqueue(numbered(10), withSenders(b))
	s := k.start()
	for i := range 6 {
		k.until("both wait", func() bool {
			return k.named("a").State(clock.Now()) == post.AccountWaiting && k.named("b").State(clock.Now()) == post.AccountWaiting
		})
		clock.skip(61 * time.Minute)
		if i < 5 {
			k.until("tried again", func() bool { return k.named("a").WaitStep > i+1 || k.named("b").WaitStep > i+1 })
		}
	}
	for _, name := range []string{"a", "b"} {
		if x := k.named(name); x.Hold != "" {
			t.Errorf("%s is %s: %v", name, x.Hold, x.Reason)
		}
	}
	net.Store(nil)
	clock.skip(time.Hour)
	k.until("all sent", func() bool { return k.counts()[post.StateSent] == 20 })
	s.stop()
	k.wait(s)
	for _, d := range k.rows() {
		if d.Attempts != 1 {
			t.Errorf("%s was charged %d times", d.Address, d.Attempts)
		}
	}
	for _, name := range []string{"a", "b"} {
		if x := k.named(name); x.State(clock.Now()) != post.AccountReady || !x.Learned.HadTLS {
			t.Errorf("%s is %s: %v, %+v", name, x.State(clock.Now()), x.Reason, x.Learned)
		}
	}
}

// TestServerNameGone (row 1): one account alone whose server's name does not
// exist is stopped after three tries, for that is a wrong setting.
func TestServerNameGone(t *testing.T) {
	t.Parallel()
	var net atomic.Pointer[post.Fault]
	k := newTalk(t, smtpscript.Config{})
	clock := &quick{}
	k.opt.Clock = clock
	k.reopen()
	a := k.far("a", k.srv, &net)
	net.Store(&post.Fault{Phase: post.PhaseResolve, Cause: post.CauseNoHost, Detail: "no such host"})
	k.enqueue(numbered(3), withSenders(a))
	for range 3 {
		if k.named("a").Hold != "" {
			t.Fatal("stopped too early")
		}
		k.runUntil(RunParams{NoWait: true})
		clock.skip(2 * time.Hour)
	}
	// The count of tries lives in the process: three runs are not three in a row.
	if k.named("a").Hold != "" {
		t.Fatal("counted across restarts")
	}
	s := k.start()
	for range 4 {
		clock.skip(2 * time.Hour)
		k.until("tried", func() bool { return k.named("a").Hold != "" || k.named("a").Until.After(clock.Now()) })
	}
	k.until("stopped", func() bool { clock.skip(2 * time.Hour); return k.named("a").Hold == post.AccountStopped })
	if x := k.named("a"); x.Reason.Key != "account.no_host" {
		t.Errorf("%v", x.Reason)
	}
	s.stop()
	k.wait(s)
	k.wantStates(map[post.State]int{post.StateQueued: 3})
}

// TestPortal (row 52): a wrong certificate where a good one was seen before is
// first taken for the sign-in page of a network, and believed after three tries
// over ten minutes; where none was seen before, or in this run, it stops at once.
func TestPortal(t *testing.T) {
	t.Parallel()
	wrong := &post.Fault{Phase: post.PhaseTLS, Cause: post.CauseCertificate, Detail: "certificate signed by unknown authority"}
	for _, c := range []struct {
		name          string
		before, inRun bool
		want          post.AccountState
	}{
		{"never seen", false, false, post.AccountStopped},
		{"seen before", true, false, ""},
		{"seen in this run", true, true, post.AccountStopped},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var net atomic.Pointer[post.Fault]
			k := newTalk(t, smtpscript.Config{})
			clock := &quick{}
			k.opt.Clock = clock
			k.reopen()
			a := k.far("a", k.srv, &net)
			if c.before && !c.inRun {
				k.enqueue(persons("before@b.example"), withSenders(a))
				k.runUntil(RunParams{NoWait: true})
			}
			if !c.inRun {
				net.Store(wrong)
			}
			s := k.start()
			if c.inRun {
				k.enqueue(persons("first@b.example"), withSenders(a))
				k.until("the first", func() bool { return k.counts()[post.StateSent] == 1 })
				net.Store(wrong)
				clock.skip(time.Hour) // the connection is too old now
			}
			k.enqueue(persons("second@b.example"), withSenders(a))
			k.until("a try", func() bool { x := k.named("a"); return x.Hold != "" || x.WaitStep > 0 })
			if x := k.named("a"); x.Hold != c.want {
				t.Errorf("%q after one try, want %q: %v", x.Hold, c.want, x.Reason)
			}
			if c.want == "" {
				if x := k.named("a"); x.Reason.Key != "account.portal" {
					t.Errorf("%v", x.Reason)
				}
				k.until("believed", func() bool { clock.skip(time.Minute); return k.named("a").Hold == post.AccountStopped })
			}
			s.stop()
			k.wait(s)
			if x := k.named("a"); x.Reason.Key != "account.certificate" {
				t.Errorf("%v", x.Reason)
			}
			if d := k.row("second@b.example"); d.State != post.StateQueued || d.Attempts != 0 {
				t.Errorf("%s, charged %d times", d.State, d.Attempts)
			}
		})
	}
}

// sleeper is a quick clock on a machine that can sleep: then the wall clock runs
// on and the other one does not.
type sleeper struct{ quick }

func (s *sleeper) sleep(d time.Duration) { s.ahead.Add(int64(d)) }

// TestSleep (row 51): after eight hours of sleep nothing is sent until the
// network had ten seconds, and then over a new connection, each message once.
func TestSleep(t *testing.T) {
	t.Parallel()
	var net atomic.Pointer[post.Fault]
	k := newTalk(t, smtpscript.Config{})
	clock := &sleeper{}
	k.opt.Clock = clock
	k.reopen()
	a := k.far("a", k.srv, &net)
	k.enqueue(numbered(5), withSenders(a))
	s := k.start()
	k.until("the first five", func() bool { return k.counts()[post.StateSent] == 5 })
	before := len(k.srv.Conns())
	clock.sleep(8 * time.Hour)
	k.until("the sleep was noticed", func() bool { return s.m.napCount() == 1 })
	k.enqueue(persons("x@y.example"), withSenders(a))
	s.m.Kick()
	if left := s.m.settling(); left < 6*time.Second || left > 12*time.Second {
		t.Errorf("%v to settle", left)
	}
	if n := k.counts()[post.StateSent]; n != 5 {
		t.Errorf("%d sent while the network comes back", n)
	}
	clock.skip(15 * time.Second)
	k.until("the sixth", func() bool { return k.counts()[post.StateSent] == 6 })
	if n := len(k.srv.Conns()); n != before+1 {
		t.Errorf("%d connections, %d before the sleep", n, before)
	}
	s.stop()
	k.wait(s)
	k.wantTruth()
}

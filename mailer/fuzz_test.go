package mailer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

// FuzzJudge holds Judge to what must be true of every event, whatever a server
// says in it.
func FuzzJudge(f *testing.F) {
	for _, c := range judgeCases() {
		e := on(c.phase, c.what)
		f.Add(string(e.Phase), string(e.Cause), e.Reply.Code, e.Reply.Enhanced+" "+e.Reply.Text, e.DotSent, 0)
	}
	f.Add("dot", "", 250, "5.4.5 daily quota", true, 3)
	f.Add("mail", "", 421, "4.7.0 rate grey limit \xff\x00", false, 99)
	f.Fuzz(func(t *testing.T, phase, cause string, code int, text string, dotSent bool, attempts int) {
		e := Event{Phase: post.Phase(phase), Cause: post.Cause(cause), DotSent: dotSent, Attempts: attempts}
		if code >= 200 && code < 600 { // what a Wire lets through
			e.Reply, e.Cause = post.NewReply(code, text), ""
		}
		v := Judge(e)
		bad := func(why string) { t.Fatalf("%s: %s %q %q dot %v: %+v", why, e.Phase, e.Reply, e.Cause, e.DotSent, v) }
		early := slices.Contains(beforeMAIL, e.Phase)
		switch {
		case early && (v.Fate != Keep || v.Suppress != SuppressNo || v.Policy || v.Content):
			bad("before MAIL it is about a recipient")
		case early && v.Account == None:
			bad("before MAIL nobody waits")
		case v.Fate == Uncertain && e.Phase != post.PhaseDot:
			bad("uncertain without a dot")
		case v.Fate == Uncertain && !e.DotSent && e.Reply.IsZero():
			bad("uncertain although the dot did not go out")
		case v.Fate == Sent && (e.Phase != post.PhaseDot || e.Reply.Class() != 2):
			bad("sent without a 2yz to the dot")
		case e.Phase == post.PhaseDot && e.DotSent && e.Reply.IsZero() && v.Fate != Uncertain:
			bad("certain without a reply to the dot")
		case v.Fate == Fail && e.Phase != post.PhaseRender && e.Reply.Class() != 5:
			bad("failed for good without a 5yz")
		case v.Suppress != SuppressNo && v.Fate != Fail:
			bad("suppressed and not failed")
		case (v.Policy || v.Content) && v.Fate != Fail:
			bad("a breaker is fed without a failure")
		case e.Reply.Code == 421 && v.Link != Drop && v.Link != Abort:
			bad("the connection is used after a 421")
		case strings.Contains(v.Reason.Raw, "\n") || len(v.Reason.Raw) > post.MaxReplyText+32:
			bad("the reason is not fit to be shown")
		}
	})
}

// wireTap is what the mailer's client said to one server: enough to tell
// whether, and for whom, the end of a message went out.
type wireTap struct {
	mu   sync.Mutex
	said bytes.Buffer
}

func (w *wireTap) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said.Write(p)
}

// mute is a connection to a server on this computer that is in a hurry.
type mute struct{ net.Conn }

func atOnce(t time.Time) time.Time {
	if limit := time.Now().Add(fuzzTime); t.After(limit) {
		return limit
	}
	return t
}

func (m mute) SetDeadline(t time.Time) error      { return m.Conn.SetDeadline(atOnce(t)) }
func (m mute) SetReadDeadline(t time.Time) error  { return m.Conn.SetReadDeadline(atOnce(t)) }
func (m mute) SetWriteDeadline(t time.Time) error { return m.Conn.SetWriteDeadline(atOnce(t)) }

func (mute) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:25"))
}

// babble answers each flight of the client with the next line of bytes, then
// closes. It returns when the client is gone.
func babble(c net.Conn, script []byte, tap io.Writer) {
	defer c.Close()
	flights := bytes.Split(script, []byte("|"))
	buf := make([]byte, 64<<10)
	for i, say := range flights {
		if i > 0 {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			_, _ = tap.Write(buf[:n])
		}
		if len(say) == 0 {
			continue
		}
		if _, err := c.Write(say); err != nil {
			return
		}
	}
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Millisecond)) // what is still under way; then it hangs up
	_, _ = io.CopyN(tap, c, 1<<20)                              // to its end or the deadline
}

const fuzzTime = 20 * time.Millisecond

// FuzzServerBytes drives a mailer against a server that says anything at all.
// It must not panic, hang, grow, fail a recipient before MAIL, call a message
// sent without a 2yz after its dot, or send one twice.
func FuzzServerBytes(f *testing.F) {
	const hello, ehlo, steps = "220 hi\r\n|", "250-hi\r\n250 PIPELINING\r\n|", "250 hi\r\n|"
	for _, s := range []string{
		"", "554 no\r\n", "421 later\r\n", "\x00\xff|", hello, hello + "502 no\r\n|", hello + ehlo,
		hello + ehlo + "250 a\r\n250 b\r\n354 c\r\n|250 taken\r\n|", hello + ehlo + "250 a\r\n550 5.1.1 b\r\n503 c\r\n|250 r\r\n|",
		hello + ehlo + "250 a\r\n250 b\r\n354 c\r\n|554 5.7.1 no\r\n|", hello + ehlo + "250 a\r\n250 b\r\n354 c\r\n|250", hello + ehlo + "250 a\r\n250 b\r\n354 c\r\n250 d\r\n|",
		hello + ehlo + "250 a\r\n250 b\r\n354 c\r\n|250-a\r\n550 b\r\n|", hello + ehlo + "550 5.7.1 no\r\n550 x\r\n354 c\r\n|",
		hello + steps + "250 a\r\n|250 b\r\n|354 c\r\n|250 d\r\n|221 bye\r\n|", hello + steps + "250 a\r\n|550 5.1.1 b\r\n|250 r\r\n|250 a\r\n|",
		hello + steps + "250 a\r\n|250 b\r\n|250 c\r\n|", hello + steps + "250 a\r\n|451 4.7.1 grey\r\n|421 bye\r\n|",
		hello + strings.Repeat("250-x\r\n", 300), "220 " + strings.Repeat("y", 9000) + "\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 64<<10 {
			return // longer than what is looked for
		}
		k := newBabbled(t, script)
		defer k.close()
		began := time.Now()
		k.run()
		if took := time.Since(began); took > patience {
			t.Fatalf("it took %v", took)
		}
		k.judge()
	})
}

// babbled is a ledger with two people whose server babbles.
type babbled struct {
	*testing.T
	ledger *storage.Ledger
	m      *Mailer
	script []byte
	tap    wireTap
	peers  sync.WaitGroup
	before runtime.MemStats
}

func newBabbled(t *testing.T, script []byte) *babbled {
	l, err := storage.Open(t.Context(), t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	k := &babbled{T: t, ledger: l, script: script}
	a, err := l.CreateAccount(t.Context(), post.Account{
		Name: "shop", Email: "shop@shop.example", Host: "127.0.0.1", Port: 25, TLS: post.TLSNone, Auth: post.AuthNone, Secret: post.SecretNone,
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &accounts.Dialer{DialContext: k.dial}
	limits := Timeouts{Command: fuzzTime, Data: fuzzTime, Write: fuzzTime, Dot: fuzzTime, Reset: fuzzTime}
	k.m = New(l, Options{Dial: d.Dial, Timeouts: limits})
	if _, _, err := l.Enqueue(t.Context(), post.Mailing{
		Kind: post.Live, Name: "M", Senders: []post.Sender{{Account: a.ID, Email: a.Email}},
		Content: post.Content{Subject: "S", Format: post.FormatText, Body: "B"},
	}, numbered(2)); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&k.before)
	return k
}

func (k *babbled) dial(context.Context, string, string) (net.Conn, error) {
	mine, theirs := net.Pipe()
	k.peers.Go(func() { babble(theirs, k.script, &k.tap) })
	return mute{mine}, nil
}

func (k *babbled) run() {
	ctx, cancel := context.WithTimeout(k.Context(), 2*patience)
	defer cancel()
	if err := k.m.Run(ctx, RunParams{NoWait: true}); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		k.Fatal(err)
	}
	k.peers.Wait()
}

// judge compares what the ledger says with what went over the wire.
func (k *babbled) judge() {
	said := k.tap.said.String()
	begun := strings.Contains(said, "MAIL FROM:")
	for r, err := range k.ledger.EachDelivery(k.Context(), storage.HistoryFilter{}) {
		if err != nil {
			k.Fatal(err)
		}
		d := r.Delivery
		whole := strings.Contains(said, "Message-ID: "+d.MessageID)
		log, err := k.ledger.Attempts(k.Context(), d.ID)
		if err != nil {
			k.Fatal(err)
		}
		switch {
		case !begun && (d.State != post.StateQueued || d.Attempts != 0):
			k.Errorf("before MAIL %s became %s", d.Address, d.State)
		case d.State == post.StateSent && (len(log) == 0 || log[len(log)-1].Phase != post.PhaseDot || log[len(log)-1].Reply.Class() != 2 || !log[len(log)-1].DotSent):
			k.Errorf("%s is sent without a 2yz to its dot", d.Address)
		case d.State == post.StateSent && (!whole || !strings.Contains(said, "\r\n.\r\n")):
			k.Errorf("%s is sent and nothing went out", d.Address)
		case d.State == post.StateClaimed, d.State == post.StateSending:
			k.Errorf("%s is left %s", d.Address, d.State)
		}
		taken := 0
		for _, a := range log {
			if a.State == post.StateSent || a.State == post.StateUncertain {
				taken++
			}
		}
		if taken > 1 {
			k.Errorf("%s was handed over %d times", d.Address, taken)
		}
	}
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	if after.Sys > k.before.Sys && after.Sys-k.before.Sys > 100<<20 {
		k.Errorf("it grew by %d MB", (after.Sys-k.before.Sys)>>20)
	}
}

func (k *babbled) close() {
	if err := k.ledger.Close(); err != nil {
		k.Error(err)
	}
}

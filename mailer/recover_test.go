package mailer

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"postroom/internal/testkit/smtpscript"
	"postroom/post"
	"postroom/storage"
)

// died is what a process left behind: one row of the ledger, and its mark.
type died struct {
	name    string
	kind    post.MailingKind
	sending bool
	marked  bool
	code    int // of the mark
	// instance and boot of the mark are those of the dead run unless they say
	// something else.
	instance, boot string
	noMark         bool // the file is gone

	want     post.State
	crashes  int
	requests int // how often the server is asked to take it afterwards
}

// TestRecover has every state in which a process can die.
func TestRecover(t *testing.T) {
	t.Parallel()
	if bootID() == "" {
		t.Fatal("this system does not name its starts; the mark is never trusted, and these cases say nothing")
	}
	for _, c := range []died{
		{name: "claimed", want: post.StateQueued, requests: 1},
		{name: "claimed, being rendered", marked: true, code: markRender, want: post.StateQueued, crashes: 1, requests: 1},
		{name: "claimed, after a power cut", boot: "another", want: post.StateQueued, requests: 1},
		{name: "claimed, without a mark", noMark: true, want: post.StateQueued, requests: 1},
		{name: "sending, not started", sending: true, want: post.StateQueued, requests: 1},
		{name: "sending, in flight", sending: true, marked: true, want: post.StateUncertain},
		{name: "sending, answered 250", sending: true, marked: true, code: 250, want: post.StateSent},
		{name: "sending, answered 251", sending: true, marked: true, code: 251, want: post.StateSent},
		{name: "sending, answered 451", sending: true, marked: true, code: 451, want: post.StateQueued, requests: 1},
		{name: "sending, answered 554", sending: true, marked: true, code: 554, want: post.StateQueued, requests: 1},
		{name: "sending, not started, after a power cut", sending: true, boot: "another", want: post.StateUncertain},
		{name: "sending, answered 250, after a power cut", sending: true, marked: true, code: 250, boot: "another", want: post.StateUncertain},
		{name: "sending, the mark of an older run", sending: true, instance: "older", want: post.StateUncertain},
		{name: "sending, answered, the mark of an older run", sending: true, marked: true, code: 250, instance: "older", want: post.StateUncertain},
		{name: "sending, without a mark", sending: true, noMark: true, want: post.StateUncertain},
		{name: "rehearsal claimed", kind: post.Rehearsal, want: post.StateQueued},
		{name: "rehearsal sending", kind: post.Rehearsal, sending: true, want: post.StateQueued},
		{name: "rehearsal in flight", kind: post.Rehearsal, sending: true, marked: true, want: post.StateQueued, crashes: 1},
		{name: "rehearsal without a mark", kind: post.Rehearsal, sending: true, noMark: true, want: post.StateQueued},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.kind == "" {
				c.kind = post.Live
			}
			k := newTalk(t, smtpscript.Config{})
			k.enqueue(persons("a@b.example"), func(m *post.Mailing) { m.Kind = c.kind })
			k.die(c)
			if _, err := New(k.ledger, k.opt).Recover(t.Context()); err != nil {
				t.Fatal(err)
			}
			d := k.row("a@b.example")
			if d.State != c.want || c.want == post.StateQueued && d.Crashes != c.crashes || d.Held {
				t.Errorf("%s, %d crashes, held %v; want %s, %d", d.State, d.Crashes, d.Held, c.want, c.crashes)
			}
			if c.want == post.StateUncertain && (d.Reason.Key != "uncertain.interrupted" || len(k.attempts(d.Address)) != 1) {
				t.Errorf("%+v, %d attempts", d.Reason, len(k.attempts(d.Address)))
			}
			k.run()
			if n := k.srv.Stats().ByVerb["MAIL"]; n != c.requests {
				t.Errorf("MAIL was said %d times afterwards, want %d", n, c.requests)
			}
			if got := k.row("a@b.example").State; c.requests == 1 && got != post.StateSent || c.requests == 0 && got != c.want {
				t.Errorf("it ended %s", got)
			}
			problems, err := k.ledger.Check(t.Context())
			if err != nil || len(problems) > 0 {
				t.Errorf("check: %v %v", problems, err)
			}
		})
	}
}

// die brings the ledger and the mark into the state in which a process died.
func (k *talk) die(c died) {
	k.Helper()
	account := k.acct.ID
	if c.kind == post.Rehearsal {
		account = 0
	}
	got, err := k.ledger.Claim(k.Context(), storage.ClaimParams{Kind: c.kind, Account: account, Claim: 7, N: 1})
	if err != nil || len(got) != 1 {
		k.Fatalf("%d claimed, %v", len(got), err)
	}
	if c.sending {
		refused, err := k.ledger.Record(k.Context(), nil, []storage.Intent{{ID: got[0].ID, Claim: 7, At: time.Now(), Date: time.Now(), Live: c.kind == post.Live}})
		if err != nil || len(refused) > 0 {
			k.Fatal(refused, err)
		}
	}
	if err := k.ledger.SetSetting(k.Context(), "ledger.instance", "dead"); err != nil {
		k.Fatal(err)
	}
	if c.noMark {
		return
	}
	instance, boot := "dead", bootID()
	if c.instance != "" {
		instance = c.instance
	}
	if c.boot != "" {
		boot = c.boot
	}
	m, err := openMark(k.dir, instance, boot)
	if err != nil {
		k.Fatal(err)
	}
	if c.marked {
		if err := m.set(m.slot(), 0, got[0].ID, c.code); err != nil {
			k.Fatal(err)
		}
	}
	if err := m.close(); err != nil {
		k.Fatal(err)
	}
}

// TestThreeCrashesHoldARow: a message that kills the program three times is put
// aside, and any verdict in between begins the count anew.
func TestThreeCrashesHoldARow(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{Script: smtpscript.Once(post.PhaseRCPT, smtpscript.Reply("450 4.3.0 later"))})
	k.enqueue(persons("a@b.example"))
	crash := func() post.Delivery {
		k.die(died{kind: post.Live, marked: true, code: markRender})
		if _, err := New(k.ledger, k.opt).Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		return k.row("a@b.example")
	}
	for i := 1; i < post.MaxCrashes; i++ {
		if d := crash(); d.Held || d.Crashes != i {
			t.Fatalf("after %d: %d crashes, held %v", i, d.Crashes, d.Held)
		}
	}
	scale := k.opt.WaitScale
	k.opt.WaitScale = 0
	k.runUntil(RunParams{NoWait: true}) // deferred: a verdict
	k.opt.WaitScale = scale
	if d := k.row("a@b.example"); d.Crashes != 0 || d.State != post.StateQueued {
		t.Fatalf("%d crashes after a verdict, %s", d.Crashes, d.State)
	}
	if err := k.ledger.SendNow(t.Context(), k.row("a@b.example").ID); err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= post.MaxCrashes; i++ {
		crash()
	}
	d := k.row("a@b.example")
	if !d.Held || d.Reason.Key != "delivery.crashed" || d.State != post.StateQueued {
		t.Fatalf("%s, held %v, %+v", d.State, d.Held, d.Reason)
	}
	k.run()
	if n := k.srv.Stats().Dots; n != 0 {
		t.Errorf("%d messages", n)
	}
}

// TestMarkSurvivesAnything: whatever stands in the file, reading it neither
// panics nor makes up a trusted mark.
func TestMarkSurvivesAnything(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 4))
	dir := t.TempDir()
	if all, trusted, err := readMark(dir, "i", "b"); all != nil || trusted || err != nil {
		t.Errorf("without a file: %v %v %v", all, trusted, err)
	}
	m, err := openMark(dir, "me", "boot-1")
	if err != nil {
		t.Fatal(err)
	}
	for lane := range 3 {
		slot := m.slot()
		if slot != lane {
			t.Fatalf("slot %d, want %d", slot, lane)
		}
		for i := range 4 {
			if err := m.set(slot, i, int64(100*lane+i+1), 250*(i%2)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := m.clear(0, 3); err != nil {
		t.Fatal(err)
	}
	if err := m.release(1); err != nil {
		t.Fatal(err)
	}
	if slot := m.slot(); slot != 1 {
		t.Errorf("a released slot is not taken again: %d", slot)
	}
	all, trusted, err := readMark(dir, "me", "boot-1")
	if err != nil || !trusted || len(all) != 5 || all[0] != (marked{4, 250}) || all[1] != (marked{201, 0}) {
		t.Errorf("%v %v %v", all, trusted, err)
	}
	for _, other := range [][2]string{{"you", "boot-1"}, {"me", "boot-2"}, {"", "boot-1"}, {"me", ""}} {
		if _, trusted, err := readMark(dir, other[0], other[1]); trusted || err != nil {
			t.Errorf("%v is trusted: %v", other, err)
		}
	}
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, markName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		b := append([]byte(nil), whole[:rnd.IntN(len(whole)+1)]...)
		for range rnd.IntN(3) {
			if len(b) > 0 {
				b[rnd.IntN(min(len(b), 80))] ^= byte(1 + rnd.IntN(255))
			}
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, trusted, err := readMark(dir, "me", "boot-1"); err != nil || trusted && len(b) != len(whole) {
			t.Errorf("%d bytes: trusted %v, %v", len(b), trusted, err)
		}
	}
}

// TestNilMark: without a file everything goes on.
func TestNilMark(t *testing.T) {
	var m *mark
	if m.slot() != -1 || m.set(-1, 0, 1, 2) != nil || m.clear(-1, 1) != nil || m.release(-1) != nil || m.close() != nil {
		t.Error("a nil mark does something")
	}
}

// TestRestoredBackupSendsNothing: a backup made in mid mailing and put back after
// the end knows nothing of what went out since. It sends nothing by itself, and
// after the user's word second copies go only to those it had still queued.
func TestRestoredBackupSendsNothing(t *testing.T) {
	t.Parallel()
	k := newTalk(t, smtpscript.Config{}, func(a *post.Account) { a.Connections = 2 })
	m := k.enqueue(numbered(40), func(m *post.Mailing) { m.Staged, m.ReleaseLeft = true, 15 })
	k.run()
	file := filepath.Join(t.TempDir(), "backup.zip")
	if err := k.ledger.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	if err := k.ledger.ReleaseMailing(t.Context(), m.ID, 0); err != nil {
		t.Fatal(err)
	}
	k.run()
	k.wantStates(map[post.State]int{post.StateSent: 40})
	if err := k.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	if err := storage.Restore(t.Context(), k.dir, file, storage.Options{}); err != nil {
		t.Fatal(err)
	}
	k.open()
	k.run()
	if n := k.srv.Stats().Taken; n != 40 {
		t.Errorf("a restored ledger sent %d messages", n-40)
	}
	k.wantStates(map[post.State]int{post.StateSent: 15, post.StateQueued: 25})
	queued := map[string]bool{}
	for _, d := range k.rows() {
		queued[d.Address] = d.State == post.StateQueued
	}
	if err := k.ledger.HoldMailing(t.Context(), m.ID, "", post.Reason{}); err != nil {
		t.Fatal(err)
	}
	if err := k.ledger.ReleaseMailing(t.Context(), m.ID, 0); err != nil {
		t.Fatal(err)
	}
	k.run()
	k.wantStates(map[post.State]int{post.StateSent: 40})
	for who, n := range k.srv.Taken() {
		if want := map[bool]int{false: 1, true: 2}[queued[who]]; n != want {
			t.Errorf("%s got %d, want %d", who, n, want)
		}
	}
}

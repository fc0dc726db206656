//go:build unix && (amd64 || arm64)

package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"postroom/internal/testkit/faultdisk"
	"postroom/post"
)

// told is what a user was told is done: it must be there whatever happens next.
type told struct {
	names    int
	accounts []string
	contacts int64
	mailings map[int64]int64 // rows by mailing
	sent     map[int64]bool
	setting  int
}

// life is some time in the life of a ledger, one change after the other. Each
// error is handed to failed, and the step is not counted as done.
func life(t *testing.T, l *Ledger, x *told, failed func(what string, err error)) {
	t.Helper()
	ctx := t.Context()
	do := func(what string, err error) bool {
		if err != nil {
			failed(what, err)
		}
		return err == nil
	}
	var a post.Account
	var err error
	for range 2 {
		x.names++ // one that was refused may be there all the same
		name := "a" + strconv.Itoa(x.names)
		made, err := l.CreateAccount(ctx, post.Account{
			Name: name, Email: name + "@example.org", Host: "localhost", Port: 2525, TLS: post.TLSNone, Auth: post.AuthNone, Secret: post.SecretNone,
		})
		if do("add an account", err) {
			x.accounts, a = append(x.accounts, name), made
		}
	}
	var book []post.Contact
	for i := range 30 {
		book = append(book, contact(fmt.Sprintf("c%d@example.net", x.contacts+int64(i)), "C", map[string]string{"town": "T"}))
	}
	added, _, _, _, err := l.ImportContacts(ctx, "L", false, each(book))
	if do("import", err) {
		x.contacts += added
	}
	if a.ID == 0 {
		return
	}
	m, _, err := l.Enqueue(ctx, post.Mailing{
		Kind: post.Live, Name: "M", Content: post.Content{Subject: "s"}, Senders: []post.Sender{{Account: a.ID, Email: a.Email}},
	}, people(40))
	if !do("enqueue", err) {
		return
	}
	x.mailings[m.ID] = 40
	for i := range 6 {
		x.setting++
		if !do("set", l.SetSetting(ctx, "count", strconv.Itoa(x.setting))) {
			x.setting--
		}
		ds, err := l.Claim(ctx, ClaimParams{Kind: post.Live, Account: a.ID, Claim: int64(i + 1), N: 5, Intend: i%2 == 0, At: time.Now()})
		if !do("claim", err) {
			continue
		}
		if i%2 == 1 {
			var intents []Intent
			for _, d := range ds {
				intents = append(intents, Intent{ID: d.ID, Claim: int64(i + 1), At: time.Now(), Date: time.Now(), Live: true})
			}
			if _, err := l.Record(ctx, nil, intents); !do("intend", err) {
				continue
			}
		}
		var results []Result
		for _, d := range ds {
			results = append(results, Result{
				ID: d.ID, Claim: int64(i + 1), Mailing: m.ID, Live: true, From: post.StateSending, To: post.StateSent, Try: 1,
				Attempt: &post.Attempt{Account: a.ID, StartedAt: time.Now(), EndedAt: time.Now(), Phase: post.PhaseDot, Reply: post.NewReply(250, "ok"), Charged: true, DotSent: true},
			})
		}
		if _, err := l.Record(ctx, results, nil); do("record", err) {
			for _, d := range ds {
				x.sent[d.ID] = true
			}
		}
	}
	do("pause", l.HoldMailing(ctx, m.ID, post.MailingPaused, post.Reason{}))
	do("resume", l.HoldMailing(ctx, m.ID, "", post.Reason{}))
	_, err = l.CancelMailing(ctx, m.ID)
	do("cancel", err)
}

func each(all []post.Contact) iter.Seq2[post.Contact, error] {
	return func(yield func(post.Contact, error) bool) {
		for _, c := range all {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func newTold() *told { return &told{mailings: map[int64]int64{}, sent: map[int64]bool{}} }

func (x *told) clone() *told {
	y := *x
	y.accounts, y.mailings, y.sent = slices.Clone(x.accounts), maps.Clone(x.mailings), maps.Clone(x.sent)
	return &y
}

// wantTold holds a ledger against what the user was told.
func (x *told) wantTold(t *testing.T, l *Ledger) {
	t.Helper()
	wantSound(t, l)
	ctx := t.Context()
	for _, name := range x.accounts {
		if _, err := l.AccountByName(ctx, name); err != nil {
			t.Errorf("account %s: %v", name, err)
		}
	}
	for id, n := range x.mailings {
		if m, err := l.Mailing(ctx, id); err != nil || m.Total() != n {
			t.Errorf("mailing %d: %d rows, want %d (%v)", id, m.Total(), n, err)
		}
	}
	for id := range x.sent {
		if d, err := l.Delivery(ctx, id); err != nil || d.State != post.StateSent {
			t.Errorf("delivery %d was told to be sent and is %s (%v)", id, d.State, err)
		}
	}
	v, err := l.Setting(ctx, "count", "0")
	if n, nerr := strconv.Atoi(v); err != nil || nerr != nil || n < x.setting {
		t.Errorf("setting %q, was told %d (%v)", v, x.setting, err)
	}
	people := int64(0)
	for _, err := range l.EachContact(ctx, ContactFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		people++
	}
	if people < x.contacts {
		t.Errorf("%d contacts, was told of %d", people, x.contacts)
	}
}

// steps returns every n-th number up to most, all of them in a soak.
func steps(t *testing.T, most, few int) []int {
	t.Helper()
	every := 1
	if os.Getenv("POSTROOM_SOAK") == "" {
		every = max(1, most/few)
		if testing.Short() {
			every = max(1, most-1)
		}
	}
	var all []int
	for n := 1; n <= most; n += every {
		all = append(all, n)
	}
	return all
}

// TestSoakDiskFaults answers the n-th write, flush, truncation or lock with an
// error, for every n (a few without POSTROOM_SOAK), once and for ever: each call
// says what is wrong or succeeds; when the disk heals work goes on; nothing that
// was told is lost and nothing is half done.
func TestSoakDiskFaults(t *testing.T) {
	for _, c := range []struct {
		name string
		kind faultdisk.Kind
		code int32
		want error // for ever: what a change says
	}{
		{"full", faultdisk.Write, faultdisk.Full, ErrFull},
		{"write error", faultdisk.Write, faultdisk.IOErrWrite, ErrDisk},
		{"read-only", faultdisk.Write, faultdisk.ReadOnly, ErrReadOnly},
		{"flush error", faultdisk.Sync, faultdisk.IOErrSync, ErrDisk},
		{"busy", faultdisk.Lock, faultdisk.Busy, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			count := func() int {
				dir := t.TempDir()
				d := faultdisk.Watch(t, dir)
				l := open(t, dir)
				d.Reset()
				life(t, l, newTold(), func(what string, err error) { t.Fatalf("%s: %v", what, err) })
				return d.Count(c.kind)
			}()
			if count == 0 {
				t.Fatal("nothing to fail at")
			}
			failures := 0
			for _, n := range steps(t, count, 4) {
				for _, forever := range []bool{false, true} {
					if forever && c.kind == faultdisk.Lock {
						continue // the engine waits ten seconds for a lock each time
					}
					failures += oneDiskFault(t, c.kind, c.code, c.want, n, forever)
				}
			}
			if failures == 0 && c.kind != faultdisk.Lock {
				t.Error("no call ever failed")
			}
			t.Logf("%d calls of this kind, %d changes refused", count, failures)
		})
	}
}

func oneDiskFault(t *testing.T, kind faultdisk.Kind, code int32, want error, n int, forever bool) (failures int) {
	t.Helper()
	dir := t.TempDir()
	d := faultdisk.Watch(t, dir)
	l, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	d.Reset()
	d.Fault(func(op faultdisk.Op) int32 {
		if op.Kind == kind && (op.N == n || forever && op.N > n) {
			return code
		}
		return 0
	})
	x := newTold()
	life(t, l, x, func(what string, err error) {
		failures++
		var known *post.Error
		switch {
		case !errors.As(err, &known):
			t.Errorf("%d: %s: %v is no error of ours", n, what, err)
		case forever && want != nil && !errors.Is(err, want):
			t.Errorf("%d: %s: %v, want %v", n, what, err, want)
		}
	})
	d.Fault(nil)
	x.wantTold(t, l)
	// The disk has healed: all of it works, on the same ledger.
	life(t, l, x, func(what string, err error) { t.Errorf("%d: healed, and yet %s: %v", n, what, err) })
	x.wantTold(t, l)
	if err := l.Close(); err != nil {
		t.Errorf("%d: close: %v", n, err)
	}
	l = open(t, dir)
	x.wantTold(t, l)
	return failures
}

// TestSoakPowerCut cuts the power at every flush (at some without POSTROOM_SOAK):
// the ledger opens, is sound, and holds all that was told, whatever part of what
// was not flushed is found on the disk.
func TestSoakPowerCut(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	if s := os.Getenv("POSTROOM_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d (POSTROOM_SEED sets it)", seed)
	rnd := rand.New(rand.NewPCG(seed, 7))
	dir := t.TempDir()
	d := faultdisk.Watch(t, dir)
	l := open(t, dir)
	d.Reset()
	life(t, l, newTold(), func(what string, err error) { t.Fatalf("%s: %v", what, err) })
	flushes := d.Count(faultdisk.Sync)
	cuts := 0
	for _, n := range steps(t, flushes, 6) {
		dir := t.TempDir()
		d := faultdisk.Watch(t, dir)
		l, err := Open(t.Context(), dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		d.CutAt(faultdisk.Sync, n, nil)
		x := newTold()
		life(t, l, x, func(string, error) {})
		if !d.IsCut() {
			// Checkpoints beside an import are as many as come to pass, so the last
			// flushes of one life may be missing in another.
			if n <= flushes*3/4 {
				t.Fatalf("the power was not cut at flush %d of %d", n, flushes)
			}
			t.Logf("no flush %d this time", n)
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			x.wantTold(t, open(t, dir))
			continue
		}
		_ = l.Close() // its disk is gone
		for name, keep := range map[string]faultdisk.Keep{"nothing": faultdisk.None(), "everything": faultdisk.All(), "some": faultdisk.Some(rnd)} {
			image := filepath.Join(t.TempDir(), name)
			d.Image(t, image, keep)
			copyStages(t, dir, image)
			l, err := Open(t.Context(), image, Options{})
			if err != nil {
				t.Fatalf("flush %d, %s kept: %v", n, name, err)
			}
			t.Run(fmt.Sprintf("flush %d, %s kept", n, name), func(t *testing.T) {
				x := x.clone()
				x.wantTold(t, l)
				life(t, l, x, func(what string, err error) { t.Errorf("%s: %v", what, err) })
				x.wantTold(t, l)
			})
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			cuts++
		}
	}
	t.Logf("%d flushes, %d power cuts", flushes, cuts)
}

// copyStages copies staged imports, which the engine knows nothing of: they are
// flushed before it is told of them.
func copyStages(t *testing.T, from, to string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(from, importsDir)); errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err := os.CopyFS(filepath.Join(to, importsDir), os.DirFS(filepath.Join(from, importsDir))); err != nil {
		t.Fatal(err)
	}
}

// TestBusyForEver refuses the lock for as long as anybody asks: the call ends by
// itself, after the ten seconds of busy_timeout, and says what is wrong; once the
// other program has gone the same ledger works.
func TestBusyForEver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := faultdisk.Watch(t, dir)
	l := open(t, dir)
	d.Fault(func(op faultdisk.Op) int32 {
		if op.Kind == faultdisk.Lock {
			return faultdisk.Busy
		}
		return 0
	})
	if err := l.SetSetting(t.Context(), "count", "1"); !errors.Is(err, ErrBusy) {
		t.Errorf("a lock that is never given: %v, want %v", err, ErrBusy)
	}
	if d.Count(faultdisk.Lock) < 2 {
		t.Error("it did not ask again")
	}
	d.Fault(nil)
	if v, err := l.Setting(t.Context(), "count", "0"); err != nil || v != "0" {
		t.Errorf("what was refused is there: %q (%v)", v, err)
	}
	if err := l.SetSetting(t.Context(), "count", "2"); err != nil {
		t.Error(err)
	}
}

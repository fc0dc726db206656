package receipts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"postroom/post"
	"postroom/storage"
)

// readerDir makes a test process read the mailbox of the ledger in that folder
// and end.
const readerDir = "POSTROOM_TEST_READER"

// readerDies makes such a process kill itself right after its n-th commit, the
// moments that a kill by the clock seldom hits.
const readerDies = "POSTROOM_TEST_READER_DIES"

// mortalLedger is a ledger whose process dies after some commits.
type mortalLedger struct {
	*storage.Ledger
	left int
}

func (m *mortalLedger) RecordReceipts(ctx context.Context, found []storage.Incoming, p storage.Position) (storage.Noted, error) {
	n, err := m.Ledger.RecordReceipts(ctx, found, p)
	return n, errors.Join(err, m.die())
}

func (m *mortalLedger) TryHandled(ctx context.Context, some []storage.HandledReport, copies, refused int) error {
	return errors.Join(m.Ledger.TryHandled(ctx, some, copies, refused), m.die())
}

func (m *mortalLedger) HandledDone(ctx context.Context, some []storage.HandledReport) error {
	return errors.Join(m.Ledger.HandledDone(ctx, some), m.die())
}

// HoldHandled holds for a moment only: who is killed keeps the next one out no
// longer, and nobody else is there.
func (m *mortalLedger) HoldHandled(ctx context.Context, account int64, holder string, _ time.Duration) (bool, error) {
	return m.Ledger.HoldHandled(ctx, account, holder, 0)
}

func (m *mortalLedger) die() error {
	if m.left--; m.left != 0 {
		return nil
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		return err
	}
	select {} // until it takes effect
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(readerDir); dir != "" {
		if err := readAsChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// readAsChild tells the steps and, where the system knows it, the most memory
// that this process ever had.
func readAsChild(dir string) error {
	ctx := context.Background()
	l, err := storage.Open(ctx, dir, storage.Options{})
	if err != nil {
		return err
	}
	all, err := l.Accounts(ctx)
	if err != nil {
		return err
	}
	dies, _ := strconv.Atoi(os.Getenv(readerDies)) // not set: never
	mortal := &mortalLedger{l, dies}
	f := fetcher(mortal)
	f.Log = slog.New(slog.DiscardHandler)
	f.Progress = func(done, _ int) { fmt.Println("step", done) }
	began := time.Now()
	a := all[len(all)-1]
	r, err := f.Fetch(ctx, a)
	if err != nil {
		return err
	}
	moved, err := handledOf(mortal).Visit(ctx, a)
	if err != nil {
		return err
	}
	if moved > 0 {
		fmt.Println("moved", moved)
	}
	fmt.Printf("read %d matched %d in %d ms\n", r.Read, r.Matched, time.Since(began).Milliseconds())
	status, err := os.ReadFile("/proc/self/status")
	if err == nil {
		for line := range strings.Lines(string(status)) {
			if strings.HasPrefix(line, "VmHWM:") {
				fmt.Print(line)
			}
		}
	}
	return l.Close()
}

// childReader is a command that reads the mailbox of the ledger in dir.
func childReader(t testing.TB, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), readerDir+"="+dir)
	return cmd
}

// TestKilledWhileReading: a reader is killed at 20 random moments while mail
// comes in. Every answer is there in the end, and each once.
func TestKilledWhileReading(t *testing.T) {
	kills := 20
	if testing.Short() {
		kills = 6
	}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	box, dir := newPostbox(t), t.TempDir()
	l := openLedger(t, dir)
	perKill := 20
	_, ids := office(t, l, box.addr, (kills+1)*perKill)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	more := func(round int) {
		for i := range perKill {
			for j := range 24 {
				box.put(ordinary(j))
			}
			box.put(answerTo(ids[round*perKill+i], "Yes."))
		}
	}
	midway := 0
	for round := range kills {
		more(round)
		var out strings.Builder
		cmd := childReader(t, dir)
		cmd.Stdout = &out
		late := time.Duration(30+random.IntN(220)) * time.Millisecond
		if round%2 == 0 {
			late = time.Minute
			cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", readerDies, 1+random.IntN(4)))
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		moment := time.NewTimer(late)
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			moment.Stop()
			if err != nil && round%2 == 1 {
				t.Fatalf("the reader: %v", err)
			}
		case <-moment.C:
			_ = cmd.Process.Kill() // it may have ended just now
			<-ended
		}
		if steps := out.String(); strings.Contains(steps, "step") && !strings.Contains(steps, "read") {
			midway++
		}
	}
	more(kills)
	if out, err := childReader(t, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%d kills, %d of them between two steps", kills, midway)
	l = openLedger(t, dir)
	defer l.Close()
	if got := replied(t, l); got != int64(len(ids)) {
		t.Errorf("%d answers, want %d", got, len(ids))
	}
	for d, err := range l.EachDelivery(t.Context(), storage.HistoryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if all, err := l.Receipts(t.Context(), d.ID); err != nil || len(all) != 1 || all[0].Kind != post.ReceiptReplied {
			t.Errorf("%s: %+v %v", d.Address, all, err)
		}
	}
}

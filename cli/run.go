package cli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"postroom/mailer"
	"postroom/post"
	"postroom/storage"
)

func (a *app) runCommand() *cobra.Command {
	var p mailer.RunParams
	c := &cobra.Command{
		Use: "run", Short: "Send what is queued, without a window",
		Long: `Run sends what is queued until it is stopped, and takes up what is queued
meanwhile. An interrupt (Ctrl+C) or SIGTERM stops it in order: messages that are
on their way are finished, the others stay queued. A second one does not wait
for answers that are still owed; those messages are then uncertain. Meanwhile the
accounts' mailboxes are read back, as by receipts fetch.

It ends by itself with --until-empty, which waits out retries, limits and
schedules, or with --no-wait, when nothing is due now; no mailbox is read then. The exit code is then 3
when something is left that needs you (an uncertain delivery, a stopped account
or a paused mailing with mail that waits), else 1 when a delivery failed in this
run, else 0; what is left behind is said on standard error.`,
		Example: `  postroom run --until-empty
  postroom run --no-wait --json`,
		Args: takes(0, "nothing"),
	}
	c.Flags().BoolVar(&p.UntilEmpty, "until-empty", false, "end when nothing is queued that could go out by itself")
	c.Flags().BoolVar(&p.NoWait, "no-wait", false, "end when nothing is due now")
	c.RunE = func(c *cobra.Command, _ []string) error {
		// Its own signals: the first must not cancel what is past its dot.
		signals := make(chan os.Signal, 2)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(signals)
		return a.withLedger(c.Context(), func(l *storage.Ledger) error { return a.run(c.Context(), l, p, signals) })
	}
	return c
}

// errElsewhere says that another process has the ledger's lock.
var errElsewhere = &post.Error{
	Kind: post.KindConflict, Message: "Postroom is already sending (another process); it will take this mail",
	Reason: post.Reason{Key: "run.elsewhere"},
}

// runJSON is what a run did.
type runJSON struct {
	Sent      int64 `json:"sent"`
	Failed    int64 `json:"failed"`
	Uncertain int64 `json:"uncertain"`
	Waiting   int64 `json:"waiting"`
}

func (a *app) run(ctx context.Context, l *storage.Ledger, p mailer.RunParams, signals <-chan os.Signal) error {
	opt, closeTrap, err := MailerOptions(ctx, l, a.Secrets, a.Clock, a.log)
	if err != nil {
		return err
	}
	lock, err := storage.TryLock(a.data)
	if err != nil {
		return err
	}
	if lock == nil {
		return a.runElsewhere(ctx, l, p)
	}
	defer lock.Unlock() //nolint:errcheck // the kernel frees it with the process
	if err := a.askFirst(ctx, l); err != nil {
		return errors.Join(err, closeTrap())
	}
	before, err := tallyOf(ctx, l)
	if err != nil {
		return err
	}
	began := a.Clock.Now()
	if !p.UntilEmpty && !p.NoWait { // one that ends by itself leaves the mailboxes to receipts fetch
		opt = ReadBeside(opt, l, a.Secrets, a.Clock, a.log)
	}
	// What a run keeps in memory is small and short-lived; collecting it earlier
	// costs next to nothing, and a server or an old computer has the rest.
	debug.SetGCPercent(50)
	m := mailer.New(l, opt)
	run, stop := context.WithCancel(ctx)
	defer stop()
	stopped := a.stopBySignal(m, stop, signals)
	watched := a.watch(l, m, before, began)
	err = m.Run(run, p)
	interrupted := stopped()
	watched()
	err = errors.Join(err, closeTrap())
	if err != nil {
		return err
	}
	after, err := tallyOf(context.WithoutCancel(ctx), l)
	if err != nil {
		return err
	}
	var failed []*deliveries
	if m.Failed() > 0 || after.failed > before.failed {
		if failed, err = a.failedSince(context.WithoutCancel(ctx), l, began); err != nil {
			return err
		}
	}
	done := runJSON{Sent: max(0, after.sent-before.sent), Uncertain: after.uncertain, Waiting: after.waiting}
	for _, g := range failed {
		done.Failed += g.n
	}
	if err := a.answer(done, "%d sent, %d failed, %d uncertain, %d waiting", done.Sent, done.Failed, done.Uncertain, done.Waiting); err != nil {
		return err
	}
	if interrupted || ctx.Err() != nil {
		return nil
	}
	if err := m.Halted(); err != nil {
		return err
	}
	return a.leave(ctx, l, failed)
}

// askFirst asks for what the accounts' secrets need, while somebody may still be
// looking.
func (a *app) askFirst(ctx context.Context, l *storage.Ledger) error {
	all, err := l.Accounts(ctx)
	if err != nil {
		return err
	}
	if err := a.openSecrets(ctx, l, all, false); err != nil {
		return err
	}
	return a.releaseOpened(ctx, l)
}

// runElsewhere is a run while another process sends. It is an error unless there
// is nothing to do.
func (a *app) runElsewhere(ctx context.Context, l *storage.Ledger, p mailer.RunParams) error {
	t, err := tallyOf(ctx, l)
	if err != nil {
		return err
	}
	if t.waiting > 0 || !p.UntilEmpty && !p.NoWait {
		return errElsewhere
	}
	if err := a.answer(runJSON{Uncertain: t.uncertain}, "nothing to send"); err != nil {
		return err
	}
	return a.leave(ctx, l, nil)
}

// stopBySignal makes the first signal stop the run in order and the second one
// at once. The function it returns ends that and reports whether there was one.
func (a *app) stopBySignal(m *mailer.Mailer, stop context.CancelFunc, signals <-chan os.Signal) func() bool {
	end, done := make(chan struct{}), make(chan bool)
	go func() {
		count := 0
		for {
			select {
			case <-end:
				done <- count > 0
				return
			case s := <-signals:
				count++
				a.log.Info("stopping", slog.String("signal", s.String()), slog.Int("count", count))
				if count > 1 {
					m.Kill()
					continue
				}
				stop()
				if n := m.Finishing(); n > 0 {
					a.note("Stopping: finishing %s. Once more, and it does not wait for them.", plural(int64(n), "message", "messages"))
				} else {
					a.note("Stopping.")
				}
			}
		}
	}()
	return func() bool {
		close(end)
		return <-done
	}
}

// tally is how many deliveries of the whole ledger are in which state.
type tally struct{ sent, failed, uncertain, waiting int64 }

func tallyOf(ctx context.Context, l *storage.Ledger) (t tally, err error) {
	for _, x := range []struct {
		n      *int64
		states []post.State
	}{
		{&t.sent, []post.State{post.StateSent}},
		{&t.failed, []post.State{post.StateFailed, post.StateExpired}},
		{&t.uncertain, []post.State{post.StateUncertain}},
		{&t.waiting, []post.State{post.StateQueued, post.StateClaimed, post.StateSending}},
	} {
		if *x.n, err = l.CountHistory(ctx, storage.HistoryFilter{States: x.states}); err != nil {
			return t, err
		}
	}
	return t, nil
}

// How often progress is told: to a person at a terminal, and to a log.
const (
	progressLive = 250 * time.Millisecond
	progressLog  = 5 * time.Second
)

// watch tells progress until the function it returns is called.
func (a *app) watch(l *storage.Ledger, m *mailer.Mailer, before tally, began time.Time) func() {
	every := progressLog
	if a.terminal {
		every = progressLive
	}
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var halted string
		last := before
		for {
			t := a.Clock.NewTimer(every)
			select {
			case <-end:
				t.Stop()
				return
			case <-t.C():
			}
			if now := haltWords(m); now != halted {
				if halted = now; halted != "" {
					a.complain("nothing can be sent: "+halted, post.KindInternal, nil)
				}
			}
			now, err := tallyOf(context.Background(), l)
			if err != nil {
				a.log.Warn("read the progress", slog.Any("err", err))
				continue
			}
			if now != last {
				last = now
				a.tellProgress(before, now, a.Clock.Now().Sub(began))
			}
		}
	}()
	return func() {
		close(end)
		<-done
		a.clearStatus()
	}
}

func haltWords(m *mailer.Mailer) string {
	if err := m.Halted(); err != nil {
		return oneLine(err.Error())
	}
	return ""
}

func (a *app) tellProgress(before, now tally, took time.Duration) {
	sent := now.sent - before.sent
	rate := int64(0)
	if took > time.Second {
		rate = int64(float64(sent) / took.Minutes())
	}
	const words = "%d sent, %d failed, %d waiting, %d a minute"
	args := []any{sent, max(0, now.failed-before.failed), now.waiting, rate}
	if a.terminal {
		a.status(words, args...)
		return
	}
	a.note(words, args...)
}

package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"postroom/accounts"
	"postroom/compose"
	"postroom/mailer"
	"postroom/post"
	"postroom/storage"
)

func (a *app) mailingSend() *cobra.Command {
	var f sendFlags
	c := &cobra.Command{
		Use: "send ID", Short: "Send a rehearsed mailing for real, exactly as it was rehearsed", Args: takes(1, "the number of the rehearsal"),
		Long: `Send queues what was rehearsed once more, to go out: the same words, files and
people with the values that they had, whatever has changed in the book since. Who
must not be mailed is left out. The content of both, which postroom mailing show
tells, is the same.`,
		Example: "  postroom mailing send 3\n  postroom mailing send 3 --at '2026-12-01 09:00' --zone Europe/Berlin",
	}
	a.pacingFlags(c, &f)
	c.RunE = a.onMailing(func(ctx context.Context, l *storage.Ledger, id int64) error { return a.sendSame(ctx, l, id, &f) })
	return c
}

func (a *app) sendSame(ctx context.Context, l *storage.Ledger, id int64, f *sendFlags) error {
	m, err := l.Mailing(ctx, id)
	if err != nil {
		return err
	}
	if m.Kind != post.Rehearsal {
		return usage("mailing %d was no rehearsal; to write it again: postroom mailing export %d FOLDER", id, id)
	}
	for _, s := range m.Senders {
		x, err := l.Account(ctx, s.Account)
		if err != nil {
			return err
		}
		if isPractice(x) {
			return usage("%s only rehearses; send it from another account", x.Name)
		}
	}
	job, err := compose.SameJob(ctx, l, id, a.Clock.Now())
	if err != nil {
		return err
	}
	if err := a.when(ctx, l, f, job); err != nil {
		return err
	}
	job.Foresee, job.Health = mailer.JobOutlook(l, job, time.Local), accounts.HealthNews(l, job.Now)
	return a.queue(ctx, l, f, job, &[]skippedJSON{})
}

package mailer

import (
	"context"
	"time"

	"postroom/compose"
	"postroom/post"
	"postroom/storage"
)

// JobOutlook is what preflight asks about a job: how it would go behind all that
// is queued already. Without limits on its accounts there is nothing to tell.
// Days begin at midnight in zone.
func JobOutlook(l *storage.Ledger, job *compose.Job, zone *time.Location) func(ctx context.Context, n int64) (compose.Outlook, error) {
	return func(ctx context.Context, n int64) (compose.Outlook, error) {
		limited := false
		for _, s := range job.Senders {
			a, err := l.Account(ctx, s.Account)
			if err != nil {
				return compose.Outlook{}, err
			}
			limited = limited || a.Limits != (post.Limits{})
		}
		if !limited {
			return compose.Outlook{}, nil
		}
		now := job.Now
		if now.IsZero() {
			now = time.Now()
		}
		f, err := ForeseeNew(ctx, l, post.Mailing{
			Kind: post.Live, Senders: job.Senders, NotBefore: job.NotBefore, Hours: job.Hours,
		}, n, now, zone)
		if err != nil || len(f.Days) == 0 {
			return compose.Outlook{}, err
		}
		out := compose.Outlook{Today: f.Days[0], EndsAt: f.EndsAt.In(zone)}
		for _, d := range f.Days[1:] {
			out.Later += d
		}
		return out, nil
	}
}

package cli

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"postroom/compose"
	"postroom/mailer"
	"postroom/post"
	"postroom/storage"
)

func (a *app) mailingCommand() *cobra.Command {
	one := takes(1, "the number of the mailing")
	return group("mailing", "Look after mailings: pause, resume, cancel, retry, settle",
		`A mailing is one message to many people, frozen when it was queued. Its number is
what postroom send answered.`,
		&cobra.Command{
			Use: "list", Short: "List all mailings, the newest first", Args: takes(0, "nothing"),
			RunE: a.onLedger(a.mailingList),
		},
		&cobra.Command{
			Use: "show ID", Short: "Show one mailing: its counts, its rate, when it ends", Args: one,
			Example: "  postroom mailing show 3 --json",
			RunE: a.onMailing(func(ctx context.Context, l *storage.Ledger, id int64) error {
				return a.showMailingWhole(ctx, l, id)
			}),
		},
		&cobra.Command{
			Use: "pause ID", Short: "Send nothing more of a mailing until it is resumed", Args: one,
			RunE: a.onMailing(func(ctx context.Context, l *storage.Ledger, id int64) error {
				if err := l.HoldMailing(ctx, id, post.MailingPaused, post.Reason{}); err != nil {
					return err
				}
				return a.showMailing(ctx, l, id)
			}),
		},
		&cobra.Command{
			Use: "resume ID", Short: "Let a paused mailing go on", Args: one,
			RunE: a.onMailing(func(ctx context.Context, l *storage.Ledger, id int64) error {
				if err := l.HoldMailing(ctx, id, "", post.Reason{}); err != nil {
					return err
				}
				return a.showMailing(ctx, l, id)
			}),
		},
		&cobra.Command{
			Use: "cancel ID", Short: "End a mailing for good: what has not been sent will not be", Args: one,
			RunE: a.onMailing(func(ctx context.Context, l *storage.Ledger, id int64) error {
				n, err := l.CancelMailing(ctx, id)
				if err != nil {
					return err
				}
				return a.showChanged(ctx, l, id, n, "cancelled")
			}),
		},
		&cobra.Command{
			Use: "release ID [N]", Short: "Let N more of a mailing go that waits for your word, or the rest",
			Long: `Release gives messages of a mailing free that was queued with --release: N more, or
without N all that are left.`,
			Example: "  postroom mailing release 3 100\n  postroom mailing release 3",
			Args:    cobra.RangeArgs(1, 2),
			RunE:    a.mailingRelease,
		},
		a.mailingSend(), a.mailingRetry(), a.mailingSettle(), a.mailingExport(),
	)
}

// onMailing is onLedger for commands on one mailing, given by number.
func (a *app) onMailing(f func(ctx context.Context, l *storage.Ledger, id int64) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		id, err := parseID(args[0])
		if err != nil {
			return err
		}
		return a.onLedger(func(ctx context.Context, l *storage.Ledger, _ []string) error { return f(ctx, l, id) })(c, args)
	}
}

func (a *app) mailingRelease(c *cobra.Command, args []string) error {
	var n int64
	if len(args) > 1 {
		var err error
		if n, err = strconv.ParseInt(args[1], 10, 64); err != nil || n < 1 {
			return usage("%q is not how many to release; leave it out for all", args[1])
		}
	}
	return a.onMailing(func(ctx context.Context, l *storage.Ledger, id int64) error {
		if err := l.ReleaseMailing(ctx, id, n); err != nil {
			return err
		}
		return a.showMailing(ctx, l, id)
	})(c, args)
}

func parseID(s string) (int64, error) {
	id, err := strconv.ParseInt(s, 10, 64)
	if err != nil || id < 1 {
		return 0, usage("%q is not the number of a mailing; see: postroom mailing list", s)
	}
	return id, nil
}

func (a *app) mailingRetry() *cobra.Command {
	var r storage.Retry
	c := &cobra.Command{
		Use: "retry ID", Short: "Try deliveries of a mailing again",
		Long: `Retry puts deliveries back into the queue, without flags the failed ones. To try
an uncertain one again may bring its recipient a second copy.`,
		Example: `  postroom mailing retry 3
  postroom mailing retry 3 --uncertain`,
		Args: takes(1, "the number of the mailing"),
	}
	c.Flags().BoolVar(&r.Failed, "failed", false, "the failed ones, and those that were given up")
	c.Flags().BoolVar(&r.Uncertain, "uncertain", false, "those that may or may not have arrived")
	c.Flags().BoolVar(&r.Paused, "paused", false, "those that were put aside after the program had died over them")
	c.RunE = a.onMailing(func(ctx context.Context, l *storage.Ledger, id int64) error {
		if r == (storage.Retry{}) {
			r.Failed = true
		}
		n, err := l.RetryMailing(ctx, id, r)
		if err != nil {
			return err
		}
		return a.showChanged(ctx, l, id, n, "put back into the queue")
	})
	return c
}

func (a *app) mailingSettle() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: "settle ID --uncertain sent|failed", Short: "Say what became of the uncertain deliveries of a mailing",
		Example: "  postroom mailing settle 3 --uncertain sent",
		Args:    takes(1, "the number of the mailing"),
	}
	c.Flags().StringVar(&to, "uncertain", "", "sent or failed")
	c.RunE = a.onMailing(func(ctx context.Context, l *storage.Ledger, id int64) error {
		if to != string(post.StateSent) && to != string(post.StateFailed) {
			return usage("say what became of them: --uncertain sent or --uncertain failed")
		}
		n, err := l.SettleMailing(ctx, id, post.State(to))
		if err != nil {
			return err
		}
		return a.showChanged(ctx, l, id, n, "settled as "+to)
	})
	return c
}

// mailingJSON is a mailing as scripts see it. Counts has all states.
type mailingJSON struct {
	Mailing int64                `json:"mailing"`
	Name    string               `json:"name"`
	State   post.MailingState    `json:"state"`
	Reason  string               `json:"reason"`
	Counts  map[post.State]int64 `json:"counts"`
	Rate    int64                `json:"rate_per_minute"`
	EndsAt  stamp                `json:"ends_at"`
	Funnel  post.Funnel          `json:"funnel,omitempty"` // where one mailing is shown
	// Content is the fingerprint of what everybody gets, where one mailing is shown.
	Content string `json:"content,omitempty"`

	tomorrow int64 // how many will go tomorrow
}

func (a *app) describeMailing(m *post.Mailing, f mailer.Forecast) mailingJSON {
	d := mailingJSON{Mailing: m.ID, Name: m.Name, State: m.State(a.Clock.Now()), Reason: a.reason(m.Reason), Counts: map[post.State]int64{}}
	for _, s := range post.States {
		d.Counts[s] = m.Counts[s]
	}
	if d.State == post.MailingDone {
		return d
	}
	d.Rate = int64(math.Round(f.Rate))
	if d.State == post.MailingRunning {
		d.EndsAt = stamp(f.EndsAt)
		if len(f.Days) > 1 {
			d.tomorrow = f.Days[1]
		}
	}
	return d
}

func (a *app) tellMailing(d mailingJSON, m *post.Mailing) error {
	if a.json {
		return a.object(d)
	}
	line := number(d.Mailing) + "  " + d.Name + "  " + a.words.MailingState(d.State)
	switch {
	case m.RealSpeed:
		line += " (rehearsal at real speed)"
	case m.Kind == post.Rehearsal:
		line += " (rehearsal)"
	}
	if d.State == post.MailingScheduled {
		line += " for " + moment(m.NotBefore)
	}
	if d.Reason != "" {
		line += ": " + d.Reason
	}
	sep := "  "
	for _, n := range a.byWord(d.Counts, m.Kind) {
		line += sep + n
		sep = ", "
	}
	if d.EndsAt.String() != "" {
		line += "; " + number(d.Rate) + " a minute, ends about " + moment(time.Time(d.EndsAt))
	}
	if d.tomorrow > 0 {
		line += "; " + number(d.tomorrow) + " go tomorrow"
	}
	a.say("%s", oneLine(line))
	return nil
}

// byWord counts deliveries by the word for their state, which some states share.
func (a *app) byWord(counts map[post.State]int64, kind post.MailingKind) (all []string) {
	sum := map[string]int64{}
	var words []string
	for _, s := range post.States {
		word := a.words.Fate(s, kind, false)
		if counts[s] > 0 && sum[word] == 0 {
			words = append(words, word)
		}
		sum[word] += counts[s]
	}
	for _, word := range words {
		all = append(all, number(sum[word])+" "+word)
	}
	return all
}

func (a *app) mailingList(ctx context.Context, l *storage.Ledger, _ []string) error {
	forecasts, err := a.foresee(ctx, l)
	if err != nil {
		return err
	}
	p := storage.Page{Limit: 200}
	for {
		all, pages, err := l.Mailings(ctx, false, p)
		if err != nil {
			return err
		}
		for i := range all {
			if err := a.tellMailing(a.describeMailing(&all[i], forecasts[all[i].ID]), &all[i]); err != nil {
				return err
			}
		}
		if pages.Next == "" {
			return nil
		}
		p.Cursor = pages.Next
	}
}

// showMailing shows a mailing that was changed.
func (a *app) showMailing(ctx context.Context, l *storage.Ledger, id int64) error {
	m, d, err := a.readMailing(ctx, l, id)
	if err != nil {
		return err
	}
	return a.tellMailing(d, m)
}

// readMailing reads a mailing and how it is going.
func (a *app) readMailing(ctx context.Context, l *storage.Ledger, id int64) (*post.Mailing, mailingJSON, error) {
	m, err := l.Mailing(ctx, id)
	if err != nil {
		return nil, mailingJSON{}, err
	}
	forecasts, err := a.foresee(ctx, l)
	return &m, a.describeMailing(&m, forecasts[id]), err
}

// showMailingWhole shows a mailing and how far its messages came.
func (a *app) showMailingWhole(ctx context.Context, l *storage.Ledger, id int64) error {
	m, d, err := a.readMailing(ctx, l, id)
	if err != nil {
		return err
	}
	if d.Funnel, err = l.Funnel(ctx, m); err != nil {
		return err
	}
	d.Content = compose.Fingerprint(m)
	if err := a.tellMailing(d, m); err != nil || a.json {
		return err
	}
	a.say("content: %s", d.Content)
	a.tellFunnel(d.Funnel)
	return nil
}

func (a *app) foresee(ctx context.Context, l *storage.Ledger) (map[int64]mailer.Forecast, error) {
	return mailer.Foresee(ctx, l, a.Clock.Now(), time.Local)
}

// showChanged shows a mailing after n of its rows were changed.
func (a *app) showChanged(ctx context.Context, l *storage.Ledger, id, n int64, what string) error {
	m, d, err := a.readMailing(ctx, l, id)
	if err != nil {
		return err
	}
	if a.json {
		return a.object(struct {
			mailingJSON
			Changed int64 `json:"changed"`
		}{d, n})
	}
	a.say("%s %s", plural(n, "message", "messages"), what)
	return a.tellMailing(d, m)
}

package mailer

import (
	"context"
	"math"
	"time"

	"postroom/post"
	"postroom/storage"
)

// Forecast is how a mailing is going and when it will be over, if nothing
// changes: the speed of the last minute, the accounts' limits over their rolling
// windows, sending hours, and the other mailings that share the accounts.
type Forecast struct {
	// Rate is how many of its messages were tried in the last minute.
	Rate float64
	// EndsAt is when the last message that can go by itself will have gone; zero
	// when that cannot be told: nothing was sent in the last minute and no limit
	// says why, nobody can send it, or the user must act.
	EndsAt time.Time
	// Days is how many go on each day, from today on, in the zone asked for. Days
	// beyond the last of maxForecastDays are not listed.
	Days []int64
}

const (
	// guessedRate is the speed, in messages a minute, of an account about which
	// nothing is known yet.
	guessedRate = 600
	// forecastSteps bounds the work: more messages than that are looked at in
	// batches.
	forecastSteps   = 20_000
	maxForecastDays = 32
	// horizon is how far the forecast looks.
	horizon = 366 * 24 * time.Hour
)

// Foresee forecasts every open mailing, by its id. Days begin at midnight in zone.
func Foresee(ctx context.Context, l *storage.Ledger, now time.Time, zone *time.Location) (map[int64]Forecast, error) {
	open, err := openMailings(ctx, l)
	if err != nil || len(open) == 0 {
		return nil, err
	}
	return foresee(ctx, l, open, now, zone)
}

// ForeseeNew forecasts n messages of a mailing that is not queued yet, behind
// all that is.
func ForeseeNew(ctx context.Context, l *storage.Ledger, m post.Mailing, n int64, now time.Time, zone *time.Location) (Forecast, error) {
	open, err := openMailings(ctx, l)
	if err != nil {
		return Forecast{}, err
	}
	m.ID, m.Counts = 0, map[post.State]int64{post.StateQueued: n}
	all, err := foresee(ctx, l, append([]post.Mailing{m}, open...), now, zone)
	return all[0], err
}

func foresee(ctx context.Context, l *storage.Ledger, open []post.Mailing, now time.Time, zone *time.Location) (map[int64]Forecast, error) {
	accounts, err := l.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	rates, err := l.Rates(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[int64]Forecast, len(open))
	for _, kind := range []post.MailingKind{post.Live, post.Rehearsal} {
		var some []post.Mailing
		for i := range open {
			if open[i].Kind == kind {
				some = append(some, open[i])
			}
		}
		if len(some) == 0 {
			continue
		}
		o := outlook{kind: kind, now: now, zone: zone, mailings: map[int64]*expected{}}
		if err := o.draw(ctx, l, accounts, rates); err != nil {
			return nil, err
		}
		o.expect(some, rates)
		o.run()
		for id, e := range o.mailings {
			out[id] = e.Forecast
		}
	}
	return out, nil
}

// draw sets the accounts up. Rehearsals have them as they would be if nothing
// held them; see Mailer.stage.
func (o *outlook) draw(ctx context.Context, l *storage.Ledger, accounts []post.Account, rates []storage.Rate) (err error) {
	for i := range accounts {
		a := &accounts[i]
		live := o.kind == post.Live
		if live && a.Hold != "" {
			continue
		}
		x := &lineOf{account: a, at: o.now}
		if live && a.Until.After(o.now) {
			x.at = a.Until
		}
		if a.Limits != (post.Limits{}) {
			since := o.now.Add(-24 * time.Hour)
			if x.quota.times, err = l.Charges(ctx, a.ID, since); err != nil {
				return err
			}
			if !live {
				again, err := l.Rehearsed(ctx, a.ID, since)
				if err != nil {
					return err
				}
				x.quota.add(again)
			}
			x.quota.limits = a.Limits
		}
		x.rate = o.speed(x, rates)
		o.lines = append(o.lines, x)
	}
	return nil
}

func openMailings(ctx context.Context, l *storage.Ledger) ([]post.Mailing, error) {
	var all []post.Mailing
	p := storage.Page{Limit: 200}
	for {
		some, pages, err := l.Mailings(ctx, true, p)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if pages.Next == "" {
			return all, nil
		}
		p.Cursor = pages.Next
	}
}

// outlook is the run of a forecast: accounts that each take the next message of
// their mailings in turn, at their speed and within their limits.
type outlook struct {
	kind     post.MailingKind // rehearsals do not share accounts with live mailings
	now      time.Time
	zone     *time.Location
	mailings map[int64]*expected
	lines    []*lineOf
	batch    int64
}

// expected is one mailing in the forecast.
type expected struct {
	Forecast
	mailing *post.Mailing
	left    int64
	known   bool // it is going, or it is known what holds it up
	endless bool // something of it waits for somebody
}

// lineOf is one account in the forecast.
type lineOf struct {
	account *post.Account
	rate    float64 // messages a minute
	at      time.Time
	quota   quota
	queue   []*expected
	turn    int
}

// speed is how fast an account goes when nothing holds it up: as in the last
// minute, where it sent and no limit of its own cut that minute short.
func (o *outlook) speed(x *lineOf, rates []storage.Rate) float64 {
	a := x.account
	n, since := 0.0, o.now
	for _, r := range rates {
		if r.Account == a.ID {
			n += float64(r.Attempts)
			if r.Since.Before(since) {
				since = r.Since
			}
		}
	}
	guess := float64(guessedRate * max(1, a.Connections))
	rate := guess
	if n >= 2 {
		rate = perMinute(n, o.now.Sub(since))
	}
	if x.quota.next(o.now).After(o.now) || a.Limits.PerMinute > 0 && n >= float64(a.Limits.PerMinute)/2 {
		rate = max(rate, guess)
	}
	if a.Learned.Rate > 0 {
		rate = min(rate, a.Learned.Rate)
	}
	return rate
}

// perMinute is a rate of n messages in a span.
func perMinute(n float64, span time.Duration) float64 {
	return n * float64(time.Minute) / float64(max(span, 100*time.Millisecond))
}

// expect sets the mailings up.
func (o *outlook) expect(open []post.Mailing, rates []storage.Rate) {
	var total int64
	for i := len(open) - 1; i >= 0; i-- { // the oldest first
		m := &open[i]
		e := &expected{mailing: m, left: m.Pending(), known: m.ID == 0 || m.RealSpeed}
		for _, r := range rates {
			if r.Mailing == m.ID {
				e.Rate += perMinute(float64(r.Attempts), o.now.Sub(r.Since))
			}
		}
		o.mailings[m.ID] = e
		if m.Kind != post.Live && !m.RealSpeed || m.Hold != "" {
			e.left, e.endless = 0, true
			continue
		}
		if m.Staged && m.ReleaseLeft < e.left {
			e.left, e.endless = m.ReleaseLeft, true
		}
		total += e.left
		sendable := false
		for _, s := range m.Senders {
			for _, x := range o.lines {
				if x.account.ID == s.Account {
					x.queue = append(x.queue, e)
					sendable = true
					e.known = e.known || e.Rate > 0 || x.at.After(o.now) || x.quota.next(o.now).After(o.now)
				}
			}
		}
		e.endless = e.endless || !sendable
	}
	o.batch = max(1, total/forecastSteps)
	for _, x := range o.lines {
		for _, w := range x.quota.windows() {
			if w.limit > 0 {
				o.batch = min(o.batch, max(1, int64(w.limit/10)))
			}
		}
	}
}

// run lets the account whose turn comes first take a batch, until nothing is
// left or too far away.
func (o *outlook) run() {
	for {
		var first *lineOf
		for _, x := range o.lines {
			if x.ready(o.now) && (first == nil || x.at.Before(first.at)) {
				first = x
			}
		}
		if first == nil || first.at.Sub(o.now) > horizon {
			break
		}
		first.send(o)
	}
	for _, e := range o.mailings {
		if e.left > 0 || e.endless || !e.known {
			e.EndsAt, e.Days = time.Time{}, nil
		}
	}
}

// ready moves the account on to when it can take its next message, and reports
// whether there is one.
func (x *lineOf) ready(now time.Time) bool {
	var opens time.Time
	for _, e := range x.queue {
		if e.left == 0 {
			continue
		}
		at := x.at
		if e.mailing.NotBefore.After(at) {
			at = e.mailing.NotBefore
		}
		if open, until := e.mailing.Hours.Open(at); !open {
			at = until
		}
		if opens.IsZero() || at.Before(opens) {
			opens = at
		}
	}
	if opens.IsZero() {
		return false
	}
	x.at = opens
	if !x.quota.unlimited() {
		if free := x.quota.next(x.at); free.After(x.at) {
			x.at = free
			return x.at.Sub(now) > horizon || x.ready(now) // the hours may be over by then
		}
	}
	return true
}

// send takes a batch of the mailing whose turn it is.
func (x *lineOf) send(o *outlook) {
	for range x.queue {
		e := x.queue[x.turn%len(x.queue)]
		x.turn++
		open, _ := e.mailing.Hours.Open(x.at)
		if e.left == 0 || !open || e.mailing.NotBefore.After(x.at) {
			continue
		}
		n := min(o.batch, e.left)
		e.left -= n
		for range n {
			if !x.quota.unlimited() {
				x.quota.times = append(x.quota.times, x.at)
			}
		}
		x.at = x.at.Add(time.Duration(float64(n) * float64(time.Minute) / math.Max(x.rate, 0.01)))
		if x.at.After(e.EndsAt) {
			e.EndsAt = x.at
		}
		e.on(o.day(x.at), n)
		return
	}
}

// day counts the days from today on.
func (o *outlook) day(at time.Time) int {
	midnight := func(t time.Time) time.Time {
		y, m, d := t.In(o.zone).Date()
		return time.Date(y, m, d, 12, 0, 0, 0, time.UTC)
	}
	return int(midnight(at).Sub(midnight(o.now)) / (24 * time.Hour))
}

func (e *expected) on(day int, n int64) {
	if day < 0 || day >= maxForecastDays {
		return
	}
	for len(e.Days) <= day {
		e.Days = append(e.Days, 0)
	}
	e.Days[day] += n
}

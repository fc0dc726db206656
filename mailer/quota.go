package mailer

import (
	"slices"
	"time"

	"postroom/post"
)

// quota counts an account's charged attempts over rolling windows. The attempts
// in the ledger are the truth; this is the copy that a running mailer asks
// before each MAIL. Not safe for concurrent use: its sender guards it.
type quota struct {
	limits post.Limits
	times  []time.Time // of charged attempts within the last day, oldest first
}

// window is one rolling limit.
type window struct {
	span  time.Duration
	limit int
}

func (q *quota) windows() [3]window {
	return [3]window{{time.Minute, q.limits.PerMinute}, {time.Hour, q.limits.PerHour}, {24 * time.Hour, q.limits.PerDay}}
}

// unlimited reports whether nothing is to be counted.
func (q *quota) unlimited() bool { return q.limits == (post.Limits{}) }

// take counts one attempt at now, or says when the next one is allowed.
func (q *quota) take(now time.Time) (ok bool, next time.Time) {
	if q.unlimited() {
		return true, time.Time{}
	}
	if next := q.next(now); next.After(now) {
		return false, next
	}
	q.times = append(q.times, now)
	return true, time.Time{}
}

// add counts attempts that were made before, in any order.
func (q *quota) add(times []time.Time) {
	q.times = append(q.times, times...)
	slices.SortFunc(q.times, time.Time.Compare)
}

// giveBack uncounts an attempt that was taken and did not reach MAIL.
func (q *quota) giveBack(taken time.Time) {
	for i := len(q.times) - 1; i >= 0; i-- {
		if q.times[i].Equal(taken) {
			q.times = append(q.times[:i], q.times[i+1:]...)
			return
		}
	}
}

// next returns when an attempt is allowed: now or earlier means at once.
func (q *quota) next(now time.Time) time.Time {
	q.forget(now)
	var next time.Time
	for _, w := range q.windows() {
		if w.limit <= 0 || len(q.times) < w.limit {
			continue
		}
		// The window frees a place when the limit-th youngest leaves it.
		free := q.times[len(q.times)-w.limit].Add(w.span)
		if free.After(next) {
			next = free
		}
	}
	return next
}

// left returns how many attempts are allowed from now on without a wait.
func (q *quota) left(now time.Time) int {
	q.forget(now)
	left := 1 << 30
	for _, w := range q.windows() {
		if w.limit <= 0 {
			continue
		}
		used := 0
		for i := len(q.times) - 1; i >= 0 && now.Sub(q.times[i]) < w.span; i-- {
			used++
		}
		left = min(left, max(0, w.limit-used))
	}
	return left
}

// forget drops what has left the longest window, and what lies in the future
// because the clock was set back: it cannot be told when that frees a place, so
// it is counted as if it were now.
func (q *quota) forget(now time.Time) {
	i := 0
	for i < len(q.times) && now.Sub(q.times[i]) >= 24*time.Hour {
		i++
	}
	q.times = q.times[i:]
	for j := len(q.times) - 1; j >= 0 && q.times[j].After(now); j-- {
		q.times[j] = now
	}
}

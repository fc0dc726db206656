package accounts

import (
	"context"
	"strconv"
	"sync"
	"time"

	"postroom/post"
)

// The sign-in guard: how many sign-ins of one account may fail within which time.
const (
	maxFailedSignIns = 5
	failedWindow     = time.Minute
)

// guard counts the sign-ins of each account that servers refused. Those under
// way count as if they would fail, so that fifty connections that start at once
// cannot fail fifty times. The zero value is ready. Safe for concurrent use.
type guard struct {
	mu    sync.Mutex
	tries map[string]*tries
}

type tries struct {
	failed   []time.Time
	underway int
	changed  chan struct{} // closed when underway falls
}

// guardKey is what sign-ins are counted by. An account that is not stored yet
// has no id and is known by its server and login.
func guardKey(a post.Account) string {
	if a.ID != 0 {
		return strconv.FormatInt(a.ID, 10)
	}
	return a.Login() + "@" + a.Host
}

// of returns the tries of key without those that are too old to count.
func (g *guard) of(key string, now time.Time) *tries {
	if g.tries == nil {
		g.tries = make(map[string]*tries)
	}
	t := g.tries[key]
	if t == nil {
		t = &tries{changed: make(chan struct{})}
		g.tries[key] = t
	}
	for len(t.failed) > 0 && now.Sub(t.failed[0]) >= failedWindow {
		t.failed = t.failed[1:]
	}
	return t
}

// check refuses when too many have failed.
func (g *guard) check(key string, now time.Time) *post.Fault {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.of(key, now).failed) >= maxFailedSignIns {
		return tooMany()
	}
	return nil
}

// enter waits until one more sign-in may start; leave must follow.
func (g *guard) enter(ctx context.Context, key string, now func() time.Time) *post.Fault {
	for {
		g.mu.Lock()
		t := g.of(key, now())
		if len(t.failed) >= maxFailedSignIns {
			g.mu.Unlock()
			return tooMany()
		}
		if len(t.failed)+t.underway < maxFailedSignIns {
			t.underway++
			g.mu.Unlock()
			return nil
		}
		changed := t.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return faultOf(ctx, post.PhaseAuth, ctx.Err())
		}
	}
}

// leave ends a sign-in; failed says that the server refused it.
func (g *guard) leave(key string, failed bool, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.of(key, now)
	t.underway--
	if failed {
		t.failed = append(t.failed, now)
	}
	close(t.changed)
	t.changed = make(chan struct{})
}

func tooMany() *post.Fault {
	return &post.Fault{
		Phase: post.PhaseAuth, Cause: post.CauseSecret,
		Detail: "the sign-in failed five times within a minute; the next try waits so that the account is not locked",
		Reason: post.Reason{Key: keyTooMany},
	}
}

// Package task runs long work beside the window. Work runs on a goroutine of
// its own and never touches a widget; what it reports comes back through one
// injected function that runs things on the window's goroutine (fyne.Do in the
// program, a queue in tests). The package itself knows no toolkit.
//
// A task shows nothing at first. When it still runs after a moment, its View is
// told to appear, with progress and a way to cancel; so quick work never makes
// the window flicker. When the screen that started it closes, it cancels the
// context it passed in, and nothing of the task reaches the screen any more.
package task

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"postroom/post"
)

// Quiet is how long a task runs before its view appears.
const Quiet = 200 * time.Millisecond

// Pace is the shortest time between two reports that reach the view.
const Pace = 100 * time.Millisecond

// Progress is how far a task has come. Total is 0 when it is not known.
type Progress struct {
	Done, Total int64
	Text        string // what is being done, in the user's words; may be empty
}

// Fraction returns Done of Total between 0 and 1, or -1 when it is not known.
func (p Progress) Fraction() float64 {
	if p.Total <= 0 {
		return -1
	}
	return min(1, max(0, float64(p.Done)/float64(p.Total)))
}

// View is what a task is shown in. All methods run on the window's goroutine:
// Show at most once, then any number of reports, then Hide if there was a Show.
type View interface {
	// Show makes the progress appear. cancel may be called at any time and from
	// any goroutine; Hide still comes, once the work has ended.
	Show(cancel func())
	Report(Progress)
	Hide()
}

// Report says how far the work has come; it may be called as often as one likes
// and from any goroutine, and never waits.
type Report func(done, total int64, text string)

// Work is what a task does. It ends soon after its context does.
type Work func(ctx context.Context, report Report) error

// Runner starts tasks. Post runs a function on the window's goroutine, in the
// order of the calls, without waiting for it.
type Runner struct {
	Post  func(func())
	Clock post.Clock // nil: the machine's
}

// Run runs work beside the window with a new Runner; see Runner.Run.
func Run(ctx context.Context, post func(func()), view View, work Work, done func(error)) (cancel func()) {
	return Runner{Post: post}.Run(ctx, view, work, done)
}

// Run starts work and returns at once. done is called once, on the window's
// goroutine, after the view is gone; with nil, with the work's error, or with
// one that errors.Is finds context.Canceled in. It is not called when ctx
// itself was cancelled: then the screen that waited for it is gone. A panic of
// the work becomes an error. view may be nil. The returned function cancels the
// work and may be called more than once.
func (r Runner) Run(ctx context.Context, view View, work Work, done func(error)) (cancel func()) {
	if r.Clock == nil {
		r.Clock = post.SystemClock{}
	}
	inner, stop := context.WithCancel(ctx)
	t := &running{runner: r, screen: ctx, view: view, stop: stop, fresh: make(chan struct{}, 1)}
	ended := make(chan error, 1)
	go func() { ended <- guard(inner, work, t.report) }()
	go t.follow(ended, done)
	return stop
}

// guard runs work and turns a panic into an error.
func guard(ctx context.Context, work Work, report Report) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = post.Errorf(post.KindInternal, "background work", "panic: %v", p)
		}
	}()
	err = work(ctx, report)
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		// Work that failed because it was stopped says so in its own words.
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// running is one task. follow alone talks to the view; report only leaves the
// latest progress behind.
type running struct {
	runner Runner
	screen context.Context
	view   View
	stop   context.CancelFunc

	mu     sync.Mutex
	latest Progress
	fresh  chan struct{} // holds one token while latest was not shown
}

func (t *running) report(done, total int64, text string) {
	t.mu.Lock()
	t.latest = Progress{Done: done, Total: total, Text: text}
	t.mu.Unlock()
	select {
	case t.fresh <- struct{}{}:
	default:
	}
}

func (t *running) progress() Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.latest
}

// follow waits for the end, shows the view when it is time, and passes reports
// on no faster than Pace.
func (t *running) follow(ended <-chan error, done func(error)) {
	defer t.stop()
	timer := t.runner.Clock.NewTimer(Quiet)
	shown := false
	var fresh <-chan struct{} // nil while reports have to wait
	tick := timer.C()
	for {
		select {
		case err := <-ended:
			timer.Stop()
			t.finish(shown, err, done)
			return
		case <-tick:
			tick = nil
			if !shown {
				shown = true
				t.show()
			}
			fresh = t.fresh
		case <-fresh:
			fresh = nil
			p := t.progress()
			t.ifOpen(func() { t.view.Report(p) })
			timer = t.runner.Clock.NewTimer(Pace)
			tick = timer.C()
		}
	}
}

func (t *running) show() {
	t.ifOpen(func() { t.view.Show(t.stop) })
}

// ifOpen runs f on the window's goroutine if there is a view and the screen is
// still there by then.
func (t *running) ifOpen(f func()) {
	if t.view == nil {
		return
	}
	t.runner.Post(func() {
		if t.screen.Err() == nil {
			f()
		}
	})
}

// finish takes the view away, also from a screen that closes, and calls back.
func (t *running) finish(shown bool, err error, done func(error)) {
	t.runner.Post(func() {
		if shown && t.view != nil {
			t.view.Hide()
		}
		if t.screen.Err() == nil && done != nil {
			done(err)
		}
	})
}

package task

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"postroom/post"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// window is the window's goroutine and a view on it; it writes down what it
// was told.
type window struct {
	mu     sync.Mutex
	events []string
	cancel func()
	onSaid func(string)
}

func (w *window) post(f func()) { f() }

func (w *window) say(format string, args ...any) {
	w.mu.Lock()
	s := fmt.Sprintf(format, args...)
	w.events = append(w.events, s)
	w.mu.Unlock()
	if w.onSaid != nil {
		w.onSaid(s)
	}
}

func (w *window) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.events, " ")
}

func (w *window) Show(cancel func()) {
	w.mu.Lock()
	w.cancel = cancel
	w.mu.Unlock()
	w.say("show")
}
func (w *window) Report(p Progress) { w.say("%d/%d", p.Done, p.Total) }
func (w *window) Hide()             { w.say("hide") }
func (w *window) done(err error)    { w.say("done:%v", err) }

func check(t *testing.T, w *window, want string) {
	t.Helper()
	synctest.Wait()
	if got := w.said(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestQuickWorkShowsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &window{}
		Run(t.Context(), w.post, w, func(_ context.Context, report Report) error {
			report(1, 2, "")
			time.Sleep(Quiet - time.Millisecond)
			return nil
		}, w.done)
		time.Sleep(Quiet)
		check(t, w, "done:<nil>")
	})
}

func TestLongWorkShowsProgressAtAPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &window{}
		Run(t.Context(), w.post, w, func(_ context.Context, report Report) error {
			for i := range 1000 { // a report a millisecond
				time.Sleep(time.Millisecond)
				report(int64(i+1), 1000, "")
			}
			return nil
		}, w.done)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		events := strings.Fields(w.said())
		if events[0] != "show" || events[len(events)-2] != "hide" || events[len(events)-1] != "done:<nil>" {
			t.Fatalf("got %q", events)
		}
		if n := len(events) - 3; n < 7 || n > 9 {
			t.Errorf("%d reports reached the view in 0.8 s, want about 8: %q", n, events)
		}
	})
}

func TestCancelFromTheView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &window{}
		Run(t.Context(), w.post, w, func(ctx context.Context, _ Report) error {
			<-ctx.Done()
			return ctx.Err()
		}, func(err error) {
			w.say("done:%v", errors.Is(err, context.Canceled))
		})
		time.Sleep(2 * Quiet)
		check(t, w, "show")
		w.cancel()
		w.cancel()
		check(t, w, "show hide done:true")
	})
}

// Work that answers a stop in words of its own is still known as cancelled.
func TestErrorOfStoppedWorkIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &window{}
		broken := errors.New("interrupted")
		cancel := Run(t.Context(), w.post, nil, func(ctx context.Context, _ Report) error {
			<-ctx.Done()
			return broken
		}, func(err error) {
			w.say("%v %v", errors.Is(err, context.Canceled), errors.Is(err, broken))
		})
		cancel()
		check(t, w, "true true")
	})
}

// What a task did although it was asked to stop is not reported as stopped.
func TestWorkThatEndsWellIsNotCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &window{}
		cancel := Run(t.Context(), w.post, w, func(ctx context.Context, _ Report) error {
			<-ctx.Done()
			return nil
		}, w.done)
		cancel()
		check(t, w, "done:<nil>")
	})
}

func TestClosedScreenHearsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &window{}
		screen, closeScreen := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		Run(screen, w.post, w, func(ctx context.Context, report Report) error {
			defer close(stopped)
			<-ctx.Done()
			report(1, 1, "")
			return ctx.Err()
		}, w.done)
		time.Sleep(2 * Quiet)
		check(t, w, "show")
		closeScreen()
		<-stopped
		check(t, w, "show hide")
	})
}

// Functions that were posted before the screen closed, and run after, do
// nothing to it.
func TestLatePostsDoNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var queue []func()
		w := &window{}
		screen, closeScreen := context.WithCancel(t.Context())
		Run(screen, func(f func()) {
			mu.Lock()
			queue = append(queue, f)
			mu.Unlock()
		}, w, func(context.Context, Report) error { return nil }, w.done)
		synctest.Wait()
		closeScreen()
		mu.Lock()
		defer mu.Unlock()
		if len(queue) != 1 {
			t.Fatalf("%d posts", len(queue))
		}
		queue[0]()
		check(t, w, "")
	})
}

func TestErrorsAndPanicsCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &window{}
		Run(t.Context(), w.post, w, func(context.Context, Report) error { return errors.New("disk full") }, w.done)
		check(t, w, "done:disk full")
		var got error
		Run(t.Context(), w.post, w, func(context.Context, Report) error { panic("boom") }, func(err error) { got = err })
		synctest.Wait()
		if post.KindOf(got) != post.KindInternal || !strings.Contains(got.Error(), "boom") {
			t.Errorf("got %v", got)
		}
	})
}

func TestFraction(t *testing.T) {
	for _, tc := range []struct {
		p    Progress
		want float64
	}{
		{Progress{Done: 1, Total: 4}, 0.25}, {Progress{Done: 5, Total: 4}, 1}, {Progress{Done: 5}, -1},
	} {
		if got := tc.p.Fraction(); got != tc.want {
			t.Errorf("%+v: got %v", tc.p, got)
		}
	}
}

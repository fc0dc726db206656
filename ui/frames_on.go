//go:build e2e

package ui

import (
	"context"
	"slices"
	"sync"
	"time"

	"fyne.io/fyne/v2"
)

// Frames is how long the window's goroutine was busy at a time: with one frame,
// an event, or what came back from other goroutines. Nothing that the user does
// is seen sooner.
type frames struct {
	Looks  int     `json:"looks"`
	Median float64 `json:"median"` // milliseconds
	P95    float64 `json:"p95"`
	Most   float64 `json:"most"`
	Over   int     `json:"over"` // of 100 ms
}

// halt stops the measurement that is under way.
var halt struct {
	sync.Mutex
	cancel context.CancelFunc
}

func stopFrames() {
	halt.Lock()
	defer halt.Unlock()
	if halt.cancel != nil {
		halt.cancel()
	}
}

// measureFrames asks for the window's goroutine again and again, and tells how
// long it kept the question waiting, until it is stopped.
func measureFrames(ctx context.Context) frames {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	halt.Lock()
	halt.cancel = cancel
	halt.Unlock()
	var took []float64
	for ctx.Err() == nil {
		asked := time.Now()
		fyne.DoAndWait(func() {})
		took = append(took, float64(time.Since(asked))/float64(time.Millisecond))
		pause := time.NewTimer(2 * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
	slices.Sort(took)
	f := frames{Looks: len(took)}
	if f.Looks == 0 {
		return f
	}
	f.Median, f.P95, f.Most = took[f.Looks/2], took[f.Looks*95/100], took[f.Looks-1]
	for _, ms := range took {
		if ms > 100 {
			f.Over++
		}
	}
	return f
}

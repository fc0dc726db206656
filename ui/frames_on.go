//go:build e2e && linux

package ui

import (
	"context"
	"slices"
	"sync"
	"syscall"
	"time"

	"fyne.io/fyne/v2"
)

// frames is how long the rounds of the window's goroutine took: in each it
// takes events, runs what came back from other goroutines, and draws. Nothing
// that the user does is seen sooner than at the end of one.
type frames struct {
	Rounds int    `json:"rounds"`
	Wall   spread `json:"wall"` // with the wait for the next tick, of up to 17 ms
	CPU    spread `json:"cpu"`  // of the window's own thread, whatever else the machine did
}

// spread is in milliseconds.
type spread struct {
	Median float64 `json:"median"`
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

// measureFrames measures until it is stopped. The toolkit lets animations tick
// once a round.
func measureFrames(ctx context.Context) frames {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	halt.Lock()
	halt.cancel = cancel
	halt.Unlock()
	var wall, cpu []float64
	var at time.Time
	var used time.Duration
	ticking := fyne.NewAnimation(time.Hour, func(float32) {
		now, spent := time.Now(), threadTime()
		if !at.IsZero() {
			wall, cpu = append(wall, ms(now.Sub(at))), append(cpu, ms(spent-used))
		}
		at, used = now, spent
	})
	fyne.DoAndWait(ticking.Start)
	<-ctx.Done()
	fyne.DoAndWait(ticking.Stop)
	return frames{Rounds: len(wall), Wall: spreadOf(wall), CPU: spreadOf(cpu)}
}

func spreadOf(took []float64) spread {
	n := len(took)
	if n == 0 {
		return spread{}
	}
	slices.Sort(took)
	s := spread{Median: took[n/2], P95: took[n*95/100], Most: took[n-1]}
	for _, t := range took {
		if t > 100 {
			s.Over++
		}
	}
	return s
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// threadTime is the CPU time of the calling thread; the window's goroutine has
// one of its own.
func threadTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_THREAD, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

package post

import "time"

// Clock tells the time. Production code uses SystemClock; tests pass one that
// they move themselves.
type Clock interface {
	// Now returns the wall clock time.
	Now() time.Time
	// Elapsed returns the time since some moment before, by a clock that nobody
	// sets. It may stand still while the machine sleeps.
	Elapsed() time.Duration
	// NewTimer returns a timer that fires once after d.
	NewTimer(d time.Duration) Timer
}

// Timer is the part of time.Timer that the clocks of tests can imitate.
type Timer interface {
	// C returns the channel on which the time is sent.
	C() <-chan time.Time
	// Stop prevents the timer from firing.
	Stop() bool
}

// SystemClock is the machine's clock. Safe for concurrent use.
type SystemClock struct{}

// Now returns time.Now.
func (SystemClock) Now() time.Time { return time.Now() }

var started = time.Now()

// Elapsed returns the monotonic time since the program began.
func (SystemClock) Elapsed() time.Duration { return time.Since(started) }

// NewTimer returns a timer of package time.
func (SystemClock) NewTimer(d time.Duration) Timer { return systemTimer{time.NewTimer(d)} }

type systemTimer struct{ *time.Timer }

func (t systemTimer) C() <-chan time.Time { return t.Timer.C }

// Millis returns t as the ledger keeps it: Unix milliseconds, 0 for the zero time.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// FromMillis is the inverse of Millis; the result is in UTC.
func FromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

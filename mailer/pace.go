package mailer

import "time"

// Slow start, for accounts whose number of connections nobody chose: one at
// first, one more after each growAfter messages in a row that were taken, up to
// grownTo, which is the least that a large provider allows.
const (
	growAfter = 20
	grownTo   = 3
)

// A rate that was halved (row 18) is tried a little faster after as many
// messages as it allows in a minute, and forgotten at forgetRate.
const (
	fasterAfter = 20
	fasterBy    = 1.25
	forgetRate  = 1200 // messages a minute
)

// pace is how fast an account may send beside its quota: at the rate that its
// server taught by refusing. Not safe for concurrent use: its sender guards it.
type pace struct {
	rate   float64   // messages a minute; 0: as fast as they go
	next   time.Time // when the next attempt may begin
	good   int       // messages taken in a row since the last lost connection
	steady int       // messages taken since the rate was last changed
	starts [32]time.Time
	taken  int // of starts, in all
}

// connections returns how many connections slow start allows.
func (p *pace) connections() int { return min(1+p.good/growAfter, grownTo) }

// take notes the begin of an attempt.
func (p *pace) take(now time.Time, scale float64, host string) {
	p.starts[p.taken%len(p.starts)] = now
	p.taken++
	if p.rate <= 0 {
		return
	}
	every := scaled(time.Duration(float64(time.Minute)/p.rate), scale, host)
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(every)
}

// success notes a message that was taken and reports whether the rate changed.
func (p *pace) success() bool {
	p.good++
	if p.rate <= 0 {
		return false
	}
	if p.steady++; p.steady < max(fasterAfter, int(p.rate)) {
		return false
	}
	p.steady = 0
	if p.rate *= fasterBy; p.rate >= forgetRate {
		p.rate, p.next = 0, time.Time{}
	}
	return true
}

// halve sets the rate to half of what was observed, or of what it was, and
// returns it.
func (p *pace) halve(now time.Time) float64 {
	rate := p.observed(now)
	if p.rate > 0 {
		rate = min(rate, p.rate)
	}
	p.rate, p.steady = max(1, rate/2), 0
	return p.rate
}

// observed returns the rate of the latest attempts, in messages a minute.
func (p *pace) observed(now time.Time) float64 {
	n := min(p.taken, len(p.starts))
	if n < 2 {
		return 2 // one or none: one a minute is half of it
	}
	first := p.starts[(p.taken-n)%len(p.starts)]
	span := max(now.Sub(first), time.Millisecond)
	return float64(n) * float64(time.Minute) / float64(span)
}

package mailer

import (
	"math/rand/v2"
	"time"

	"postroom/post"
)

// Policy is the retry policy.
type Policy struct {
	// Deadline is how long after its first charged attempt a delivery is given
	// up (RFC 5321 4.5.4.1 says 4 to 5 days for a server; a person waits).
	Deadline time.Duration
}

// DefaultPolicy gives a delivery 48 hours.
var DefaultPolicy = Policy{Deadline: 48 * time.Hour}

// MaxDeliveryWait is the longest backoff of a delivery, jitter included.
const MaxDeliveryWait = 240 * time.Minute * 12 / 10

// maxAccountWait bounds every wait of an account.
const maxAccountWait = 24 * time.Hour

var (
	usualWaits   = minutes(2, 5, 15, 30, 60, 120, 240)
	greyWaits    = minutes(7, 10, 15, 30, 60, 120, 240)
	fullWaits    = minutes(30, 60, 120, 240)
	accountWaits = []time.Duration{
		10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour,
	}
)

func minutes(m ...int) []time.Duration {
	d := make([]time.Duration, len(m))
	for i := range m {
		d[i] = time.Duration(m[i]) * time.Minute
	}
	return d
}

// deliveryWait returns how long a delivery waits after its n-th charged attempt
// (from 1), with 20 % of jitter either way so that a batch does not return as one.
func deliveryWait(s Schedule, n int) time.Duration {
	steps := usualWaits
	switch s {
	case Grey:
		steps = greyWaits
	case Full:
		steps = fullWaits
	}
	return jitter(at(steps, n-1))
}

// jitter returns d give or take 20 %.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // jitter is no secret
}

// accountWait returns how long an account waits the n-th time in a row (from 1).
func accountWait(s Schedule, n int) time.Duration {
	double := func(first, most time.Duration) time.Duration {
		return min(first<<min(n-1, 16), most)
	}
	switch s {
	case SignIn:
		return double(15*time.Minute, maxAccountWait)
	case Rate:
		return double(time.Minute, time.Hour)
	case Quota:
		return time.Hour
	default:
		return at(accountWaits, n-1)
	}
}

func at(steps []time.Duration, i int) time.Duration {
	return steps[max(0, min(i, len(steps)-1))]
}

// scaled applies the wait scale of tests and fast rehearsals, which counts only
// for servers on this computer.
func scaled(d time.Duration, scale float64, host string) time.Duration {
	if scale <= 0 || scale > 1 || !post.IsLoopbackHost(host) {
		return d
	}
	return max(time.Duration(float64(d)*scale), time.Millisecond)
}

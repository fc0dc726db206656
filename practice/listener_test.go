package practice

import (
	"net"
	"testing"
	"time"
)

// deadlines remembers what a connection was told.
type deadlines struct {
	net.Conn
	last time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.last = t
	return nil
}

func TestDeadlinesOfAConnection(t *testing.T) {
	under := &deadlines{}
	opened := time.Now()
	c := &conn{Conn: under, opened: opened}
	check := func(what string, asked, want time.Time) {
		t.Helper()
		if err := c.SetReadDeadline(asked); err != nil || !under.last.Equal(want) {
			t.Errorf("%s: deadline %v, %v; want %v", what, under.last, err, want)
		}
	}
	late, soon := opened.Add(time.Hour), opened.Add(time.Second)
	check("before the sign-in", late, opened.Add(signInTime))
	check("none before the sign-in", time.Time{}, opened.Add(signInTime))
	check("sooner than that", soon, soon)
	c.trust()
	check("after the sign-in", late, late)

	if !c.begin() {
		t.Error("a message is refused while the trap is open")
	}
	c.finish()
	check("closing within a message", late, late)
	c.end()
	check("closing after the message", late, past)
	if c.begin() {
		t.Error("a message begins while the trap is closing")
	}
}

package post

import (
	"testing"
	"time"
	_ "time/tzdata" // the zones, wherever the test runs
)

func TestHoursRoundTrip(t *testing.T) {
	for in, want := range map[string]string{
		"mon-fri 09:00-17:30":      "mon-fri 09:00-17:30",
		"Sat,Sun 10:00-12:00":      "sat-sun 10:00-12:00",
		"fri-mon 22:00-06:00":      "mon,fri-sun 22:00-06:00",
		"08:00-24:00":              "mon-sun 08:00-24:00",
		"mon,wed,fri 00:00-00:30":  "mon,wed,fri 00:00-00:30",
		"  tue   07:05-07:10     ": "tue 07:05-07:10",
	} {
		h, err := ParseHours(in, "Europe/Berlin")
		if err != nil || h.String() != want {
			t.Errorf("%q: %q, want %q (%v)", in, h, want, err)
		}
		if back, err := DecodeHours(h.Encode()); err != nil || back != h {
			t.Errorf("%q: kept as %q and read as %+v (%v)", in, h.Encode(), back, err)
		}
	}
	if h, err := DecodeHours(Hours{}.Encode()); err != nil || !h.IsZero() {
		t.Errorf("no hours: %+v %v", h, err)
	}
}

func TestHoursRefuses(t *testing.T) {
	for _, in := range []string{
		"", "mon", "mon-fri", "09:00", "mon 9-17", "mon 09:00-09:00", "mon 24:00-08:00", "mon 09:60-10:00", "mo 09:00-10:00", "mon 09:00-25:00", "mon tue 09:00-10:00",
	} {
		if h, err := ParseHours(in, "UTC"); err == nil || KindOf(err) != KindInvalid {
			t.Errorf("%q was read as %+v (%v)", in, h, err)
		}
	}
	if _, err := ParseHours("mon 09:00-17:00", "Europe/Nowhere"); err == nil {
		t.Error("a zone that does not exist")
	}
}

func TestHoursOpen(t *testing.T) {
	office, err := ParseHours("mon-fri 09:00-17:00", "Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	night, err := ParseHours("fri 22:00-06:00", "Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		h         Hours
		at, until string
		open      bool
	}{
		{office, "2026-11-26T08:30:00+01:00", "2026-11-26T09:00:00+01:00", false}, // a Thursday
		{office, "2026-11-26T09:00:00+01:00", "2026-11-26T17:00:00+01:00", true},
		{office, "2026-11-26T16:59:59+01:00", "2026-11-26T17:00:00+01:00", true},
		{office, "2026-11-26T17:00:00+01:00", "2026-11-27T09:00:00+01:00", false},
		{office, "2026-11-27T18:00:00+01:00", "2026-11-30T09:00:00+01:00", false}, // over the weekend
		{office, "2026-11-27T08:30:00Z", "2026-11-27T16:00:00Z", true},            // asked in another zone
		{night, "2026-11-27T23:00:00+01:00", "2026-11-28T06:00:00+01:00", true},
		{night, "2026-11-28T05:59:00+01:00", "2026-11-28T06:00:00+01:00", true},
		{night, "2026-11-28T06:00:00+01:00", "2026-12-04T22:00:00+01:00", false},
		// In the night to the 25th of October the clock is set back: the span is an hour longer.
		{office, "2026-10-23T17:00:00+02:00", "2026-10-26T09:00:00+01:00", false},
		{Hours{}, "2026-11-28T06:00:00+01:00", "", true},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		open, until := c.h.Open(at)
		var want time.Time
		if c.until != "" {
			if want, err = time.Parse(time.RFC3339, c.until); err != nil {
				t.Fatal(err)
			}
		}
		if open != c.open || !until.Equal(want) {
			t.Errorf("%s at %s: open %v until %v, want %v until %v", c.h, c.at, open, until, c.open, want)
		}
	}
}

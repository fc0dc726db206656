package post

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Hours are the sending hours of a mailing: on which days and between which
// times of day, in a zone. The zero value is always.
type Hours struct {
	Days     [7]bool // by time.Weekday, the day on which the span begins
	From, To int     // minutes after midnight; To <= From ends on the next day
	Zone     string  // IANA name; empty is UTC
}

// IsZero reports whether the mailing may go at any time.
func (h Hours) IsZero() bool { return h == Hours{} }

var weekdays = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// ParseHours reads sending hours as people write them: days as names or spans of
// names, then a span of times, such as "mon-fri 09:00-17:30" or "sat,sun
// 10:00-12:00". Without days every day counts. The zone is an IANA name and must
// be known. Errors are of KindInvalid.
func ParseHours(s, zone string) (Hours, error) {
	const op = "read the sending hours"
	h := Hours{Zone: zone}
	if _, err := time.LoadLocation(zone); err != nil {
		return h, Errorf(KindInvalid, op, "the time zone %q is not known; use a name such as Europe/Berlin", zone)
	}
	words := strings.Fields(strings.ToLower(s))
	if len(words) == 0 || len(words) > 2 {
		return h, badHours(s)
	}
	if len(words) == 1 {
		h.Days = [7]bool{true, true, true, true, true, true, true}
	} else if !h.addDays(words[0]) {
		return h, badHours(s)
	}
	from, to, ok := strings.Cut(words[len(words)-1], "-")
	if !ok {
		return h, badHours(s)
	}
	var err1, err2 error
	h.From, err1 = minutesOf(from)
	h.To, err2 = minutesOf(to)
	if err1 != nil || err2 != nil || h.From == h.To || h.From == 24*60 {
		return h, badHours(s)
	}
	return h, nil
}

// LocalZone is the name of this computer's time zone; "Local" where it has none.
func LocalZone() string {
	if name := time.Local.String(); name != "Local" {
		return name
	}
	if target, err := os.Readlink("/etc/localtime"); err == nil {
		if _, name, ok := strings.Cut(filepath.ToSlash(target), "zoneinfo/"); ok {
			return name
		}
	}
	return "Local"
}

func badHours(s string) error {
	return Errorf(KindInvalid, "read the sending hours", `%q is no span of hours; write it like "mon-fri 09:00-17:00"`, s)
}

func (h *Hours) addDays(s string) bool {
	for part := range strings.SplitSeq(s, ",") {
		first, last, span := strings.Cut(part, "-")
		if !span {
			last = first
		}
		a, b := weekday(first), weekday(last)
		if a < 0 || b < 0 {
			return false
		}
		for d := a; ; d = (d + 1) % 7 {
			h.Days[d] = true
			if d == b {
				break
			}
		}
	}
	return true
}

func weekday(s string) int {
	for i, name := range weekdays {
		if s == name {
			return i
		}
	}
	return -1
}

func minutesOf(s string) (int, error) {
	if s == "24:00" {
		return 24 * 60, nil
	}
	t, err := time.Parse("15:04", s)
	return t.Hour()*60 + t.Minute(), err
}

// String writes the hours in the form that ParseHours reads, without the zone.
func (h Hours) String() string {
	if h.IsZero() {
		return ""
	}
	var parts []string
	for d := 1; d <= 7; { // from Monday, as weeks are read
		if !h.Days[d%7] {
			d++
			continue
		}
		last := d
		for last < 7 && h.Days[(last+1)%7] {
			last++
		}
		name := weekdays[d%7]
		if last > d {
			name += "-" + weekdays[last%7]
		}
		parts = append(parts, name)
		d = last + 1
	}
	return fmt.Sprintf("%s %02d:%02d-%02d:%02d", strings.Join(parts, ","), h.From/60, h.From%60, h.To/60, h.To%60)
}

// Open reports whether t lies in the hours, and when the span around t ends, or
// when the next one begins. Without hours it is open for ever.
func (h Hours) Open(t time.Time) (open bool, until time.Time) {
	if h.IsZero() {
		return true, time.Time{}
	}
	zone, err := time.LoadLocation(h.Zone)
	if err != nil { // the zone was known when it was written
		zone = time.UTC
	}
	local := t.In(zone)
	for day := -1; day <= 8; day++ {
		begin, end := h.span(local, day)
		switch {
		case begin.IsZero() || !end.After(t):
		case begin.After(t):
			return false, begin
		default:
			return true, end
		}
	}
	return true, time.Time{} // no day was chosen
}

// span returns the span that begins some days after the day of local, in its
// zone's own hours, so that a change to summer time moves it along; zero when
// none begins on that day.
func (h Hours) span(local time.Time, day int) (begin, end time.Time) {
	y, m, d := local.Date()
	noon := time.Date(y, m, d+day, 12, 0, 0, 0, local.Location())
	if !h.Days[noon.Weekday()] {
		return begin, end
	}
	at := func(day, minutes int) time.Time {
		return time.Date(y, m, d+day, minutes/60, minutes%60, 0, 0, local.Location())
	}
	if h.To <= h.From {
		return at(day, h.From), at(day+1, h.To)
	}
	return at(day, h.From), at(day, h.To)
}

type hoursJSON struct {
	Hours string `json:"hours"`
	Zone  string `json:"zone"`
}

// Encode returns the hours as the ledger keeps them; Decode reads it.
func (h Hours) Encode() string {
	if h.IsZero() {
		return ""
	}
	b, _ := json.Marshal(hoursJSON{h.String(), h.Zone}) // two strings: cannot fail
	return string(b)
}

// DecodeHours reads what Encode wrote.
func DecodeHours(s string) (Hours, error) {
	if s == "" {
		return Hours{}, nil
	}
	var j hoursJSON
	if err := json.Unmarshal([]byte(s), &j); err != nil {
		return Hours{}, err
	}
	return ParseHours(j.Hours, j.Zone)
}

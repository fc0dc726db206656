package words

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"postroom/post"
)

// Number returns n with a comma between thousands: "48,211".
func (c *Catalogue) Number(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	var b strings.Builder
	b.WriteString(sign)
	for i := range len(s) {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Size returns a number of bytes in the largest unit that leaves at least 1:
// "284 KB", "1.4 MB". A kilobyte is 1000 bytes, as file managers count.
func (c *Catalogue) Size(bytes int64) string {
	const step = 1000
	units := []string{"B", "KB", "MB", "GB", "TB"}
	v, u := float64(bytes), 0
	for v >= step && u < len(units)-1 {
		v /= step
		u++
	}
	if u < 2 || v >= 10 {
		return strconv.FormatFloat(v, 'f', 0, 64) + " " + units[u]
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + units[u]
}

// Clock returns hours and minutes: "14:02".
func (c *Catalogue) Clock(t time.Time) string { return t.Format("15:04") }

// Seconds returns the time of day to the second: "13:58:10".
func (c *Catalogue) Seconds(t time.Time) string { return t.Format("15:04:05") }

// Date returns day, month and year: "23 Nov 2026", "2026年11月23日".
func (c *Catalogue) Date(t time.Time) string {
	if c.lang == Chinese {
		return t.Format("2006年1月2日")
	}
	return t.Format("2 Jan 2006")
}

// Day returns day and month: "23 Nov", "11月23日".
func (c *Catalogue) Day(t time.Time) string {
	if c.lang == Chinese {
		return t.Format("1月2日")
	}
	return t.Format("2 Jan")
}

// Moment returns day and time as tables show them: "23 Nov 14:02",
// "11月23日 14:02"; with the year where it is not now's. t is shown in now's
// zone. The zero time is an empty text.
func (c *Catalogue) Moment(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	t = t.In(now.Location())
	if t.Year() != now.Year() {
		return c.Date(t) + " " + c.Clock(t)
	}
	return c.Day(t) + " " + c.Clock(t)
}

// When returns a moment as people say it, seen from now: "today 16:42",
// "tomorrow 09:00", a weekday for the days after that ("Thu 14:20"), else as
// Moment does.
func (c *Catalogue) When(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	t = t.In(now.Location())
	switch days := daysBetween(now, t); {
	case days == 0:
		return c.T("time.today", c.Clock(t))
	case days == 1:
		return c.T("time.tomorrow", c.Clock(t))
	case days == -1:
		return c.T("time.yesterday", c.Clock(t))
	case days > 1 && days < 7:
		return c.weekday(t.Weekday()) + " " + c.Clock(t)
	default:
		return c.Moment(t, now)
	}
}

// daysBetween counts midnights from a to b, by the calendar, so that a day of
// 23 hours counts as one.
func daysBetween(a, b time.Time) int {
	noon := func(t time.Time) time.Time {
		return time.Date(t.Year(), t.Month(), t.Day(), 12, 0, 0, 0, time.UTC)
	}
	return int(noon(b).Sub(noon(a)) / (24 * time.Hour))
}

// Hours returns sending hours in words: "Monday to Friday, 09:00 to 17:00
// (Europe/Berlin)".
func (c *Catalogue) Hours(h post.Hours) string {
	work := [7]bool{false, true, true, true, true, true, false}
	clock := func(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }
	key, days := "hours.days", ""
	switch h.Days {
	case [7]bool{true, true, true, true, true, true, true}:
		key = "hours.daily"
	case work:
		key = "hours.work"
	default:
		for d := 1; d <= 7; d++ {
			if h.Days[d%7] {
				if days != "" {
					days += c.T("hours.comma")
				}
				days += c.weekday(time.Weekday(d % 7))
			}
		}
	}
	return c.T(key, clock(h.From), clock(h.To), h.Zone, days)
}

func (c *Catalogue) weekday(d time.Weekday) string {
	if c.lang == Chinese {
		return "周" + []string{"日", "一", "二", "三", "四", "五", "六"}[d]
	}
	return d.String()[:3]
}

// Duration returns a length of time in at most two units: "5 minutes",
// "1 hour 20 minutes", "2 days". It is rounded to what is shown.
func (c *Catalogue) Duration(d time.Duration) string {
	const day = 24 * time.Hour
	if d < time.Second {
		return c.T("duration.under_second")
	}
	if d = d.Round(time.Second); d < time.Minute {
		return c.unit("second", d, time.Second)
	}
	if d < 10*time.Minute {
		return c.units("minute", time.Minute, "second", time.Second, d)
	}
	if d = d.Round(time.Minute); d < time.Hour {
		return c.unit("minute", d, time.Minute)
	}
	if d < day {
		return c.units("hour", time.Hour, "minute", time.Minute, d)
	}
	return c.units("day", day, "hour", time.Hour, d)
}

func (c *Catalogue) unit(name string, d, unit time.Duration) string {
	return c.N("duration."+name, int64(d/unit))
}

func (c *Catalogue) units(big string, bigUnit time.Duration, small string, smallUnit, d time.Duration) string {
	d = d.Round(smallUnit)
	rest := d % bigUnit
	if rest == 0 {
		return c.unit(big, d, bigUnit)
	}
	return c.T("duration.two", c.unit(big, d, bigUnit), c.unit(small, rest, smallUnit))
}

// Greeting returns the greeting for a time of day.
func (c *Catalogue) Greeting(now time.Time) string {
	switch h := now.Hour(); {
	case h >= 4 && h < 12:
		return c.T("greeting.morning")
	case h >= 12 && h < 18:
		return c.T("greeting.afternoon")
	default:
		return c.T("greeting.evening")
	}
}

package screens

import (
	"time"

	"postroom/assets/words"
	"postroom/mailer"
)

// Ends says when a running mailing will be over, and how much of it goes
// tomorrow; empty when that cannot be told.
func Ends(w *words.Catalogue, f mailer.Forecast, now time.Time) string {
	if f.EndsAt.IsZero() {
		return ""
	}
	ends := w.T("home.ends", w.When(f.EndsAt.In(now.Location()), now))
	if len(f.Days) > 1 && f.Days[1] > 0 {
		ends += w.N("home.tomorrow", f.Days[1])
	}
	return ends
}

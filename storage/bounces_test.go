package storage

import (
	"fmt"
	"slices"
	"testing"

	"postroom/post"
)

// A mailing of which too much comes back pauses itself; let go on by the user it
// pauses again only when twice as much has come back. A limit of 0 never pauses,
// nor does a mailing that has nothing left to send.
func TestPauseOnBounces(t *testing.T) {
	for name, c := range map[string]struct {
		limit string
		all   int   // of which 40 are sent, or all but one
		at    []int // after which bounces it pauses
	}{
		"default":       {"", 60, []int{4, 8, 16}},
		"half":          {"50", 60, []int{20}},
		"never":         {"0", 60, nil},
		"too few taken": {"", 20, nil},
		"all gone":      {"", 40, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t, t.TempDir())
			a := account(t, l, "shop")
			if c.limit != "" {
				if err := l.SetSetting(t.Context(), SettingBounceLimit, c.limit); err != nil {
					t.Fatal(err)
				}
			}
			sent := min(c.all, 40)
			if sent == 20 {
				sent = 19
			}
			rows := sentOf(t, l, a, c.all, sent)
			var paused []int
			for i, d := range rows[:min(16+4, sent)] {
				n := record(t, l, a, came(a, fmt.Sprint("bounce", i), []string{refOf(d)}, said(post.ReceiptBounced, d.Address)))
				if len(n.Paused) == 0 {
					continue
				}
				paused = append(paused, i+1)
				m, err := l.Mailing(t.Context(), d.Mailing)
				if err != nil || m.Hold != post.MailingPaused || m.Reason.Key != "mailing.bounces" || m.Reason.Args[0] != fmt.Sprint(i+1) || n.Paused[0] != m.ID {
					t.Errorf("%+v %v", m, err)
				}
				if err := l.HoldMailing(t.Context(), m.ID, "", post.Reason{}); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(paused, c.at) {
				t.Errorf("paused after %v bounces, want %v", paused, c.at)
			}
		})
	}
}

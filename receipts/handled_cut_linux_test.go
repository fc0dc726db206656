package receipts

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestHandledCutOff: whatever command of a visit never gets through, or is done
// without an answer, the next visit takes up what is left: no report is lost, and
// none lies in the folder twice.
func TestHandledCutOff(t *testing.T) {
	for name, lines := range map[string][]string{"by MOVE": nil, "by COPY": {withoutMove}} {
		t.Run(name, func(t *testing.T) {
			l := openLedger(t, t.TempDir())
			defer l.Close()
			server := newDovecot(t, lines...).IMAPAddr
			var mu sync.Mutex
			at, n, what := 0, 0, goOn
			var said []string
			addr := relay(t, server, func(line string) cut {
				mu.Lock()
				defer mu.Unlock()
				said = append(said, commandOf(line))
				if n++; n == at {
					return what
				}
				return goOn
			})
			a, ids := office(t, l, addr, 300)
			box := behind(t, a, server)
			a = chooses(t, l, a, "Handled")
			var words []string
			for round := 0; ; round++ {
				words = append(words, fmt.Sprint("round", round))
				box.put("INBOX", nil, movable(words[round], ids[4*round:])...)
				if _, err := fetcher(l).Fetch(t.Context(), a); err != nil {
					t.Fatal(err)
				}
				how := []cut{cutBefore, cutAfter}[round%2]
				mu.Lock()
				at, n, what, said = 1+round/2, 0, how, nil
				mu.Unlock()
				_, err := handledOf(l).Visit(t.Context(), a)
				mu.Lock()
				heard := slices.Clone(said)
				whole := len(heard) < at || strings.HasPrefix(heard[len(heard)-1], "LOGOUT")
				at = 0
				mu.Unlock()
				if (err != nil) == whole {
					t.Errorf("cut at %q: %v", heard, err)
				}
				if _, err := handledOf(l).Visit(t.Context(), a); err != nil {
					t.Errorf("the next visit: %v", err)
				}
				if wantMoved(t, l, box, "Handled", words...); t.Failed() {
					t.Fatalf("after a visit that ended (%d) at %q", how, heard)
				}
				if whole {
					t.Logf("%d visits, the last: %q", round+1, heard)
					break
				}
			}
		})
	}
}

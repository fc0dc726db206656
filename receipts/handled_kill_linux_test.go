package receipts

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// TestKilledWhileMoving: a reader that moves handled reports is killed at 20 random
// moments, half of them right before or after a command of its reaches the server,
// the others right after one of its commits. In the end each report lies in the
// folder once, each answer in the INBOX, and each was counted once.
func TestKilledWhileMoving(t *testing.T) {
	kills := 10 // by each way
	if testing.Short() {
		kills = 4
	}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	for name, lines := range map[string][]string{"by MOVE": nil, "by COPY": {withoutMove}} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			dir := t.TempDir()
			l := openLedger(t, dir)
			server := newDovecot(t, lines...).IMAPAddr
			var mu sync.Mutex
			at, n := 0, 0
			first := false // the server does not get the command
			last := ""
			var victim *exec.Cmd
			addr := relay(t, server, func(line string) cut {
				mu.Lock()
				defer mu.Unlock()
				if n++; n != at {
					return goOn
				}
				last = commandOf(line)
				_ = victim.Process.Kill() // it may have ended just now
				if first {
					return cutBefore
				}
				return goOn
			})
			a, ids := office(t, l, addr, 4*(4*kills+1))
			box := behind(t, a, server)
			chooses(t, l, a, "Handled")
			var words []string
			more := func(round int) {
				words = append(words, fmt.Sprint("round", round))
				box.put("INBOX", nil, movable(words[round], ids[4*round:])...)
			}
			died := map[string]int{}
			killed := 0
			for round := 0; killed < kills; round++ {
				if round == 4*kills {
					t.Fatalf("it was killed %d times only", killed)
				}
				more(round)
				mu.Lock()
				victim = childReader(t, dir)
				at, n, first, last = 0, 0, random.IntN(2) == 0, "a commit"
				if round%2 == 0 {
					at = 4 + random.IntN(14)
				} else {
					victim.Env = append(victim.Env, fmt.Sprintf("%s=%d", readerDies, 1+random.IntN(4)))
				}
				err := victim.Start()
				mu.Unlock()
				if err != nil {
					t.Fatal(err)
				}
				if err := victim.Wait(); err != nil {
					killed++
					died[last]++
				}
			}
			t.Logf("killed at %v", died)
			more(len(words))
			mu.Lock()
			at = -1
			mu.Unlock()
			if out, err := childReader(t, dir).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			wantMoved(t, l, box, "Handled", words...)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

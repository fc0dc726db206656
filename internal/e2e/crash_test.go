//go:build linux && !race

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"postroom/internal/testkit/smtpscript"
)

const (
	crashPeople = 1000 // per crashKills
	crashKills  = 30
	crashLanes  = 4
)

// dice returns a generator whose seed is printed, and taken from
// POSTROOM_E2E_SEED where that is set.
func dice(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("POSTROOM_E2E_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("POSTROOM_E2E_SEED: %v", err)
		}
	}
	t.Logf("POSTROOM_E2E_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, seed))
}

// TestCrash kills the mailer again and again while it sends, and starts it
// again each time. The server's count of what it took, made before it answers,
// is the truth that the ledger is held against.
func TestCrash(t *testing.T) { crash(t, crashKills) }

// TestCrashSoak is TestCrash with many more kills.
func TestCrashSoak(t *testing.T) {
	if os.Getenv("POSTROOM_SOAK") == "" {
		t.Skip("200 kills are for the long tests: set POSTROOM_SOAK=1 (make soak); TestCrash has 30 of them")
	}
	crash(t, 200)
}

func crash(t *testing.T, kills int) {
	random := dice(t)
	people := crashPeople * kills / crashKills
	server := smtpscript.Start(t, smtpscript.Config{
		Up: 5 * time.Millisecond, Down: 5 * time.Millisecond, // so that the run lasts, and messages are on their way
		Keep: smtpscript.KeepCount, Transcript: -1,
	})
	o := newOffice(t)
	o.addPlain(t, "shop", server, "--connections", number(crashLanes))
	sheet, addresses := o.crowd(t, "person", people)
	o.ok(t, "contacts", "import", sheet, "--list", "All")
	id := o.queue(t, people, "--account", "shop", "--list", "All", "--subject", "Hello {{first_name}}", "--body", o.write(t, "b.md", "From {{city}}.\n"))

	killed, runs := 0, 0
	for killed < kills {
		runs++
		p := o.start(t, "", "run", "--until-empty", "--json")
		o.killSometime(t, random, server, p, people/kills)
		if r := p.wait(t); r.code >= 0 {
			t.Fatalf("the run ended by itself before it could be killed, at kill %d of %d: make the mailing longer\n%s", killed+1, kills, r)
		}
		killed++
	}
	r := o.do(t, "", "run", "--until-empty", "--json")
	if held := o.release(t, id); held {
		r = o.do(t, "", "run", "--until-empty", "--json")
	}
	left := o.judge(t, server, id, addresses)
	m := o.show(t, id)
	t.Logf("%d kills, %d people: %d sent, %d uncertain (%d of them arrived), lost 0, copies %d", killed, people, m.Counts["sent"],
		m.Counts["uncertain"], left.arrived, left.copies)
	if left.copies > 0 {
		t.Errorf("%d people got copies", left.copies)
	}
	if n := m.Counts["uncertain"]; n > kills*crashLanes {
		t.Errorf("%d are uncertain; %d kills with %d connections explain at most %d", n, kills, crashLanes, kills*crashLanes)
	}
	if want := map[bool]int{true: 3, false: 0}[m.Counts["uncertain"] > 0]; r.code != want {
		t.Errorf("exit code %d was expected\n%s", want, r)
	}
	o.sound(t)
	o.settleAll(t, server, id, addresses, m.Counts["uncertain"], left.arrived)
}

// killSometime waits until the run has sent about as many messages as are its
// share, or sometimes only for a moment at its start, and kills it.
func (o *office) killSometime(t *testing.T, random *rand.Rand, server *smtpscript.Server, p *process, share int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() { // a run that ends is waited for no longer
		select {
		case <-p.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	moment := time.Duration(random.IntN(12_000)) * time.Microsecond
	if random.IntN(5) == 0 { // while it starts and recovers
		moment = time.Duration(random.IntN(400)) * time.Millisecond
	} else {
		goal := server.Stats().Dots + 1 + random.IntN(share)
		// It fails only when the run ended, which the caller sees.
		_ = server.WaitFor(ctx, func(s smtpscript.Stats) bool { return s.Dots >= goal })
	}
	timer := time.NewTimer(moment)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.ended:
	}
	p.signal(t, syscall.SIGKILL)
}

// release lets rows go on over which the program died three times, and reports
// whether there were any.
func (o *office) release(t *testing.T, id int64) bool {
	t.Helper()
	if o.show(t, id).Counts["queued"] == 0 {
		return false
	}
	m := object[mailing](t, o.ok(t, "mailing", "retry", number(id), "--paused", "--json"))
	t.Logf("%d were put aside after three crashes", m.Changed)
	return m.Changed > 0
}

// judged is what the comparison of ledger and server found.
type judged struct {
	copies  int // people who got more than one
	arrived int // uncertain ones that were taken
}

// judge holds every row against what the server took. A row that says less or
// more than is true is an error.
func (o *office) judge(t *testing.T, server *smtpscript.Server, id int64, addresses []string) (out judged) {
	t.Helper()
	taken := server.Taken()
	rows := o.history(t, id)
	if len(rows) != len(addresses) {
		t.Fatalf("history has %d rows for %d people", len(rows), len(addresses))
	}
	state := map[string]string{}
	for _, d := range rows {
		state[d.Address] = d.State
	}
	known := map[string]bool{}
	for _, a := range addresses {
		known[a] = true
		n := taken[a]
		if n > 1 {
			out.copies++
		}
		switch {
		case state[a] == "sent" && n == 1:
		case state[a] == "uncertain" && n <= 1:
			out.arrived += n
		case n == 0:
			t.Errorf("LOST: %s is %q and nothing was taken", a, state[a])
		default:
			t.Errorf("%s is %q and the server took %d", a, state[a], n)
		}
	}
	for a := range taken {
		if !known[a] {
			t.Errorf("a stranger got mail: %s", a)
		}
	}
	return out
}

// settleAll sends the uncertain ones again at the user's word: then everybody
// has it, and twice has it only who was uncertain.
func (o *office) settleAll(t *testing.T, server *smtpscript.Server, id int64, addresses []string, uncertain, arrived int) {
	t.Helper()
	if uncertain == 0 {
		return
	}
	again := object[mailing](t, o.ok(t, "mailing", "retry", number(id), "--uncertain", "--json"))
	if again.Changed != uncertain || again.Counts["uncertain"] != 0 {
		t.Errorf("retry of %d uncertain ones says %+v", uncertain, again)
	}
	if r := object[ran](t, o.ok(t, "run", "--until-empty", "--json")); r.Sent != uncertain {
		t.Errorf("%d were to be sent again; the run says %+v", uncertain, r)
	}
	taken, copies := server.Taken(), 0
	for _, a := range addresses {
		switch n := taken[a]; {
		case n == 0:
			t.Errorf("LOST: %s got nothing", a)
		case n > 1:
			copies += n - 1
		}
	}
	if copies != arrived {
		t.Errorf("%d copies; %d had arrived before they were sent again", copies, arrived)
	}
	if m := o.show(t, id); m.State != "done" || m.Counts["sent"] != len(addresses) || m.total() != len(addresses) {
		t.Errorf("in the end the mailing says %+v", m)
	}
	o.sound(t)
}

// addPlain adds an account of a scripted server without sign-in.
func (o *office) addPlain(t *testing.T, name string, server *smtpscript.Server, more ...string) {
	t.Helper()
	host, port := server.HostPort()
	o.ok(t, append([]string{
		"account", "add", name, "--email", name + "@example.test", "--from-name", senderName, "--host", host, "--port", number(port),
		"--tls", "none", "--auth", "none",
	}, more...)...)
}

// killWithin starts a command, kills it at a random moment of the time it takes
// undisturbed, and reports whether it was killed before its end.
func (o *office) killWithin(t *testing.T, random *rand.Rand, takes time.Duration, args ...string) (result, bool) {
	t.Helper()
	p := o.start(t, "", args...)
	timer := time.NewTimer(time.Duration(random.Int64N(int64(takes))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.ended:
	}
	p.signal(t, syscall.SIGKILL)
	r := p.wait(t)
	return r, r.code < 0
}

const (
	halfPeople = 5000 // several transactions of an enqueue
	halfKills  = 8
	halfTries  = 40 // some end before they are killed
)

// TestCrashImport kills imports: a list is there whole or not at all.
func TestCrashImport(t *testing.T) {
	random := dice(t)
	o := newOffice(t)
	first, _ := o.crowd(t, "first", halfPeople)
	began := time.Now()
	o.ok(t, "contacts", "import", first, "--list", "first")
	takes := time.Since(began)
	tries, killed, whole := 0, 0, 0
	for ; killed < halfKills && tries < halfTries; tries++ {
		name := fmt.Sprintf("people%d", tries)
		sheet, _ := o.crowd(t, name, halfPeople)
		if _, died := o.killWithin(t, random, takes, "contacts", "import", sheet, "--list", name); died {
			killed++
		}
		o.sound(t)
		switch r := o.do(t, "", "contacts", "list", "--list", name, "--json"); {
		case r.code == 0 && strings.Count(r.out, "\n") == halfPeople:
			whole++
		case r.code == 2 && r.out == "":
			o.ok(t, "contacts", "import", sheet, "--list", name)
		default:
			t.Fatalf("the list %s is there in part, with %d people\n%s", name, strings.Count(r.out, "\n"), r)
		}
	}
	if n := strings.Count(o.ok(t, "contacts", "list", "--json"), "\n"); n != (tries+1)*halfPeople {
		t.Errorf("in the end there are %d people", n)
	}
	t.Logf("%d imports, %d killed; %d lists were whole at once", tries, killed, whole)
	if killed < halfKills || whole < tries-killed {
		t.Errorf("of %d only %d were killed, and %d are whole", tries, killed, whole)
	}
}

// TestCrashSend kills the queueing: a mailing is there whole or not at all, and
// what is there can be sent.
func TestCrashSend(t *testing.T) {
	random := dice(t)
	server := smtpscript.Start(t, smtpscript.Config{Keep: smtpscript.KeepCount, Transcript: -1})
	o := newOffice(t)
	o.addPlain(t, "shop", server, "--connections", number(crashLanes))
	sheet, addresses := o.crowd(t, "person", halfPeople)
	o.ok(t, "contacts", "import", sheet, "--list", "All")
	body := o.write(t, "b.md", "From {{city}}.\n")
	file := o.write(t, "menu.bin", strings.Repeat("menu", 50_000))
	args := []string{"send", "--account", "shop", "--list", "All", "--subject", "Hello {{first_name}}", "--body", body, "--attach", file, "--name"}
	began := time.Now()
	o.ok(t, append(args, "undisturbed")...)
	takes := time.Since(began)
	o.ok(t, "mailing", "cancel", "1")

	tries, killed := 0, 0
	for ; killed < halfKills && tries < halfTries; tries++ {
		if _, died := o.killWithin(t, random, takes, append(args, fmt.Sprintf("try%d", tries))...); died {
			killed++
		}
		o.sound(t)
	}
	var whole []int64
	for _, m := range objects[mailing](t, o.ok(t, "mailing", "list", "--json")) {
		if m.total() != halfPeople {
			t.Errorf("the mailing %s is there in part: %v", m.Name, m.Counts)
		}
		if n := len(o.history(t, m.Mailing)); n != halfPeople {
			t.Errorf("the mailing %s has %d rows", m.Name, n)
		}
		if m.Name != "undisturbed" {
			whole = append(whole, m.Mailing)
		}
	}
	t.Logf("%d times queued, %d killed; %d mailings are whole", tries, killed, len(whole))
	if killed < halfKills || len(whole) < tries-killed {
		t.Errorf("of %d only %d were killed, and %d are whole", tries, killed, len(whole))
	}
	for _, id := range whole { // one is enough to see that it can be sent
		o.ok(t, "mailing", "cancel", number(id))
	}
	id := o.queue(t, halfPeople, append(args[1:], "again")...)
	if r := object[ran](t, o.ok(t, "run", "--until-empty", "--json")); r != (ran{Sent: halfPeople}) {
		t.Errorf("the run says %+v", r)
	}
	if got := o.judge(t, server, id, addresses); got != (judged{}) {
		t.Errorf("%+v", got)
	}
	o.sound(t)
}

//go:build linux

// Command bench compares this mailer with other senders and prints the tables of docs/measurements.md.
//
// All senders of a case take turns (A B C, A B C, ...), each run as a process of its own against a fresh sink in another
// process, so that whatever else the machine does hits all of them; the figures are medians. CPU time and peak memory are
// the sender's alone. Every run is counted: a sender that loses a message ends the comparison.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// comparison is one call of the program.
type comparison struct {
	*tools
	out    io.Writer
	dir    string
	rounds int
	short  bool
	only   string
	random *rand.Rand
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	c := &comparison{out: out}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&c.rounds, "rounds", 5, "how often everybody has a turn")
	f.BoolVar(&c.short, "short", false, "a twentieth of the messages, one round: to see that it works")
	f.StringVar(&c.only, "only", "", "names of senders and cases to run, separated by commas; all when empty")
	seed := f.Uint64("seed", 1, "of the people's names")
	if err := f.Parse(args); err != nil {
		return err
	}
	if c.short {
		c.rounds = 1
	}
	c.random = rand.New(rand.NewPCG(*seed, 0)) //nolint:gosec // names of people who do not exist
	if c.dir, err = os.MkdirTemp("", "postroom-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.dir)) }()
	if c.tools, err = build(ctx, c.dir); err != nil {
		return err
	}
	c.facts(ctx)
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"loopback", c.loopback}, {"far", c.far}, {"trips", c.trips}, {"smtp-sink", c.smtpSink}, {"attachment", c.attachment}, {"large", c.large},
	} {
		if c.skips(part.name, "loopback", "far", "trips", "smtp-sink", "attachment", "large") {
			continue
		}
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// skips reports whether -only names others of its kind but not name.
func (c *comparison) skips(name string, kind ...string) bool {
	skip := false
	for only := range strings.SplitSeq(c.only, ",") {
		if only == name {
			return false
		}
		skip = skip || slices.Contains(kind, only)
	}
	return skip
}

// taking returns the senders that take part.
func (c *comparison) taking(connections int) []sender {
	list := c.all(connections)
	var names []string
	for _, s := range list {
		names = append(names, s.name)
	}
	return slices.DeleteFunc(list, func(s sender) bool { return c.skips(s.name, names...) })
}

// scenario is what all senders do in turn.
type scenario struct {
	connections int
	rounds      int
	messages    func(sender) int
	sink        func(context.Context) (*sink, error)
	attach      int
}

// turns runs a scenario and returns the results of each sender, by its place in senders.
func (c *comparison) turns(ctx context.Context, k scenario, senders []sender) ([][]result, error) {
	all := make([][]result, len(senders))
	for range min(k.rounds, c.rounds) {
		for i, s := range senders {
			n := k.messages(s)
			if c.short {
				n = max(n/20, 2*k.connections)
			}
			r, err := c.turn(ctx, k, s, n)
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], r)
		}
	}
	return all, nil
}

// turn is one run of one sender.
func (c *comparison) turn(ctx context.Context, k scenario, s sender, n int) (r result, err error) {
	folder, people, err := material(c.dir, n, k.attach, c.random)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if k.sink == nil {
		return measure(ctx, s, target{}, folder, people, n)
	}
	to, err := k.sink(ctx)
	if err != nil {
		return r, err
	}
	defer func() {
		st, stopErr := to.stop()
		r.flights = st.Flights
		if err == nil && to.out != nil && st.Taken != n {
			err = fmt.Errorf("%s: the sink took %d of %d", s.name, st.Taken, n)
		}
		err = errors.Join(err, stopErr)
	}()
	if s.ledger {
		if _, err := measure(ctx, c.enqueue(k.connections), to.target, folder, people, n); err != nil {
			return r, err
		}
	}
	return measure(ctx, s, to.target, folder, people, n)
}

func (c *comparison) enqueue(connections int) sender {
	return sender{name: "enqueue", command: protocol(c.sender, "enqueue")(connections)}
}

// near is the test kit's sink, with flags.
func (c *comparison) near(flags ...string) func(context.Context) (*sink, error) {
	return func(ctx context.Context) (*sink, error) { return startSink(ctx, c.sink, flags...) }
}

// spread is the median of some figures with the least and the greatest.
type spread struct{ median, least, most float64 }

func spreadOf(rs []result, figure func(result) float64) spread {
	var v []float64
	for _, r := range rs {
		v = append(v, figure(r))
	}
	return spreadOfValues(v)
}

// ratioOf compares two senders within each round, where the machine was the same to both.
func ratioOf(rs, to []result, figure func(result) float64) spread {
	var v []float64
	for i := range rs {
		v = append(v, figure(rs[i])/figure(to[i]))
	}
	return spreadOfValues(v)
}

func spreadOfValues(v []float64) spread {
	slices.SortFunc(v, cmp.Compare[float64])
	m := v[len(v)/2]
	if len(v)%2 == 0 {
		m = (m + v[len(v)/2-1]) / 2
	}
	return spread{m, v[0], v[len(v)-1]}
}

func rate(r result) float64      { return float64(r.Sent) / r.took.Seconds() }
func cpu(r result) float64       { return float64(r.cpu) / float64(time.Microsecond) / float64(r.Sent) }
func allocs(r result) float64    { return float64(r.Allocs) / float64(r.Sent) }
func bytesEach(r result) float64 { return float64(r.Bytes) / float64(r.Sent) }
func peakMB(r result) float64    { return float64(r.peak) / 1024 }
func trips(r result) float64     { return float64(r.flights) / float64(r.Sent) }

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// facts says what the figures were taken on, and who is left out.
func (c *comparison) facts(ctx context.Context) {
	fmt.Fprintf(c.out, "%s, %d cores, %s, %s, %s. Rounds: %d.", model(), runtime.NumCPU(), runtime.GOARCH, runtime.Version(), time.Now().UTC().Format("2006-01-02 15:04 MST"), c.rounds)
	for _, path := range []string{c.python, c.node} {
		if path == "" {
			continue
		}
		if out, err := exec.CommandContext(ctx, path, "--version").CombinedOutput(); err == nil {
			fmt.Fprintf(c.out, " %s %s.", path[strings.LastIndexByte(path, '/')+1:], strings.TrimPrefix(strings.TrimSpace(string(out)), "Python "))
		}
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Fprintf(c.out, " Load before the start: %s.", strings.Join(strings.Fields(string(load))[:3], " "))
	}
	fmt.Fprintln(c.out)
	for _, m := range c.missing {
		fmt.Fprintf(c.out, "\n**Left out: %s**\n", strings.TrimSpace(m))
	}
}

func model() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unnamed processor"
}

// loopback is how fast everybody is when the wire costs nothing.
func (c *comparison) loopback(ctx context.Context) error {
	for _, connections := range []int{1, 4} {
		k := scenario{connections: connections, rounds: c.rounds, messages: func(s sender) int { return s.quick }, sink: c.near()}
		if err := c.speeds(ctx, fmt.Sprintf("Loopback, our sink, %s", plural(connections)), k); err != nil {
			return err
		}
	}
	return nil
}

// smtpSink is the same against Postfix's sink.
func (c *comparison) smtpSink(ctx context.Context) error {
	if c.postfix == "" {
		return nil // facts has said so
	}
	k := scenario{
		connections: 4, rounds: 3, messages: func(s sender) int { return s.quick },
		sink: func(ctx context.Context) (*sink, error) { return startPostfixSink(ctx, c.postfix, c.libraries) },
	}
	return c.speeds(ctx, "Loopback, Postfix smtp-sink, 4 connections", k)
}

func (c *comparison) speeds(ctx context.Context, title string, k scenario) error {
	senders := c.taking(k.connections)
	all, err := c.turns(ctx, k, senders)
	if err != nil {
		return err
	}
	c.table(title, "sender", "messages", "messages/s (least to most)", "times smtppool, round by round", "CPU us/message (least to most)", "allocations/message", "peak MB")
	var pool []result
	if i := slices.IndexFunc(senders, func(s sender) bool { return s.name == "smtppool" }); i >= 0 {
		pool = all[i]
	}
	for i, s := range senders {
		r, u, ratio, made, peak := spreadOf(all[i], rate), spreadOf(all[i], cpu), "", "", ""
		if pool != nil {
			ratio = ratioOf(all[i], pool, rate).in("%.2f")
		}
		if all[i][0].Allocs > 0 {
			made = fmt.Sprintf("%.1f", spreadOf(all[i], allocs).median)
		}
		if all[i][0].peak > 0 {
			peak = fmt.Sprintf("%.0f", spreadOf(all[i], peakMB).median)
		}
		c.row(s.title, strconv.Itoa(all[i][0].Sent), r.in("%.0f"), ratio, u.in("%.0f"), made, peak)
	}
	return nil
}

// far is what a server 50 ms away leaves of it.
func (c *comparison) far(ctx context.Context) error {
	counts := []int{1, 4, 10}
	rates := map[string][]string{}
	for _, connections := range counts {
		k := scenario{connections: connections, rounds: 3, messages: func(s sender) int { return s.far * connections }, sink: c.near("-rtt", "50ms")}
		senders := c.taking(connections)
		all, err := c.turns(ctx, k, senders)
		if err != nil {
			return err
		}
		for i, s := range senders {
			rates[s.title] = append(rates[s.title], spreadOf(all[i], rate).in("%.1f"))
		}
	}
	c.table("50 ms round trip, messages/s (least to most)", "sender", "1 connection", "4 connections", "10 connections")
	for _, s := range c.taking(1) {
		c.row(append([]string{s.title}, rates[s.title]...)...)
	}
	return nil
}

// trips counts round trips on the wire: bursts of the client that it had to wait for, the EHLO and the QUIT of the one
// connection among them. Opening a connection and the greeting are not counted.
func (c *comparison) trips(ctx context.Context) error {
	senders := c.taking(1)
	var columns [2][][]result
	for i, flags := range [][]string{{"-rtt", "4ms"}, {"-rtt", "4ms", "-no-pipelining"}} {
		var err error
		k := scenario{connections: 1, rounds: 1, messages: func(sender) int { return 200 }, sink: c.near(flags...)}
		if columns[i], err = c.turns(ctx, k, senders); err != nil {
			return err
		}
	}
	c.table("Round trips per message, one connection (without opening it and its greeting)", "sender", "PIPELINING offered", "not offered")
	for i, s := range senders {
		lockStep := fmt.Sprintf("%.2f", spreadOf(columns[1][i], trips).median)
		if s.name == "ours-wire" {
			lockStep = "" // it does not ask what is offered; the mailer does
		}
		c.row(s.title, fmt.Sprintf("%.2f", spreadOf(columns[0][i], trips).median), lockStep)
	}
	return nil
}

// attachment is what a file of 5 MB costs each message before the socket.
func (c *comparison) attachment(ctx context.Context) error {
	const size = 5 << 20
	senders := []sender{
		{title: "this mailer", name: "attach-ours", quick: 20000},
		{title: "go-mail v0.8.1, `WriteTo`", name: "attach-gomail", quick: 40},
	}
	for i := range senders {
		senders[i].command = protocol(c.sender, senders[i].name)(1)
	}
	all, err := c.turns(ctx, scenario{connections: 1, rounds: 3, attach: size, messages: func(s sender) int { return s.quick }}, senders)
	if err != nil {
		return err
	}
	c.table("An attachment of 5 MB, before the socket", "sender", "CPU us/message (least to most)", "bytes allocated/message", "peak MB")
	for i, s := range senders {
		c.row(s.title, spreadOf(all[i], cpu).in("%.1f"), fmt.Sprintf("%.0f", spreadOf(all[i], bytesEach).median), fmt.Sprintf("%.0f", spreadOf(all[i], peakMB).median))
	}
	return nil
}

// large is a mailing to 100,000: queued by one process, sent by another.
func (c *comparison) large(ctx context.Context) error {
	people := 100_000
	if c.short {
		people /= 20
	}
	var queued, sent []result
	for range min(3, c.rounds) {
		q, r, err := c.mailing(ctx, people)
		if err != nil {
			return err
		}
		queued, sent = append(queued, q), append(sent, r)
	}
	seconds := func(r result) float64 { return r.took.Seconds() }
	c.table(fmt.Sprintf("A mailing to %d, 4 connections on loopback, without a window", people), "step", "seconds (least to most)", "a second", "CPU us/message", "peak MB")
	for _, step := range []struct {
		title string
		rs    []result
	}{{"queue", queued}, {"send, queued to marked sent", sent}} {
		c.row(step.title, spreadOf(step.rs, seconds).in("%.2f"), fmt.Sprintf("%.0f", spreadOf(step.rs, rate).median), spreadOf(step.rs, cpu).in("%.1f"), fmt.Sprintf("%.0f", spreadOf(step.rs, peakMB).median))
	}
	return nil
}

func (c *comparison) mailing(ctx context.Context, people int) (queued, sent result, err error) {
	const connections = 4
	folder, file, err := material(c.dir, people, 0, c.random)
	if err != nil {
		return queued, sent, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	to, err := startSink(ctx, c.sink)
	if err != nil {
		return queued, sent, err
	}
	defer func() {
		st, stopErr := to.stop()
		if err == nil && st.Taken != people {
			err = fmt.Errorf("the sink took %d of %d", st.Taken, people)
		}
		err = errors.Join(err, stopErr)
	}()
	if queued, err = measure(ctx, c.enqueue(connections), to.target, folder, file, people); err != nil {
		return queued, sent, err
	}
	// The people are in the ledger: what a process holds of their file is not the mailer's memory.
	sent, err = measure(ctx, sender{name: "ours", command: protocol(c.sender, "ours")(connections)}, to.target, folder, os.DevNull, people)
	return queued, sent, err
}

func plural(connections int) string {
	if connections == 1 {
		return "1 connection"
	}
	return fmt.Sprint(connections, " connections")
}

// in writes the median, and the least and the greatest where there are several.
func (s spread) in(format string) string {
	if s.least == s.most {
		return fmt.Sprintf(format, s.median)
	}
	return fmt.Sprintf(format+" ("+format+" to "+format+")", s.median, s.least, s.most)
}

func (c *comparison) table(title string, columns ...string) {
	fmt.Fprintf(c.out, "\n%s\n\n", title)
	c.row(columns...)
	c.row(strings.Split(strings.Repeat("---,", len(columns)-1)+"---", ",")...)
}

func (c *comparison) row(cells ...string) {
	fmt.Fprintln(c.out, "| "+strings.Join(cells, " | ")+" |")
}

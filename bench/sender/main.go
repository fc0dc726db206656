// Command sender is one Go sender of the speed comparison, as a process of its own, so that its CPU time and its memory
// are its own.
//
// Usage: sender NAME HOST PORT CONNECTIONS FOLDER PEOPLE
//
// It says what all senders of the comparison say (bench/peers): "ready" when everything is read, then, after a line on
// its standard input, it sends to every line of PEOPLE once, prints {"sent": N, ...}, and ends when its standard input
// closes. FOLDER has subject.txt, letter.txt and letter.html.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// patience bounds a run whose sink hangs.
const patience = 10 * time.Minute

// task is what a sender is asked to do.
type task struct {
	host        string
	port        int
	connections int
	folder      string
	people      []person

	subject, text, html string
}

type person struct{ address, name, firstName, town, number string }

// work sends to everybody and returns how many messages the server took.
type work func(context.Context) (int, error)

// senders prepare everything that is not to be measured.
var senders = map[string]func(context.Context, *task) (work, error){
	"enqueue":       enqueue,
	"ours":          ours,
	"ours-wire":     oursWire,
	"gomail-keep":   gomailKeep,
	"gomail-dial":   gomailDial,
	"smtppool":      smtpPool,
	"attach-ours":   attachOurs,
	"attach-gomail": attachGomail,
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sender:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) != 6 {
		return errors.New("usage: sender NAME HOST PORT CONNECTIONS FOLDER PEOPLE")
	}
	prepare, known := senders[args[0]]
	if !known {
		return fmt.Errorf("unknown sender %q; there are %q", args[0], slices.Sorted(maps.Keys(senders)))
	}
	t, err := read(args[1:])
	if err != nil {
		return err
	}
	send, err := prepare(ctx, t)
	if err != nil {
		return err
	}
	runtime.GC() // what was needed to get ready is not the sender's
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return err
	}
	lines := bufio.NewReader(in)
	if _, err := lines.ReadString('\n'); err != nil {
		return fmt.Errorf("wait for the start: %w", err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	sent, failed := send(ctx)
	runtime.ReadMemStats(&after)
	err = json.NewEncoder(out).Encode(map[string]uint64{
		"sent": uint64(sent), "allocs": after.Mallocs - before.Mallocs, "bytes": after.TotalAlloc - before.TotalAlloc,
	})
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, lines); err != nil { // the parent reads our clock meanwhile
		return err
	}
	return failed
}

func read(args []string) (*task, error) {
	t := &task{host: args[0], folder: args[3]}
	var err error
	if t.port, err = strconv.Atoi(args[1]); err != nil {
		return nil, fmt.Errorf("port: %w", err)
	}
	if t.connections, err = strconv.Atoi(args[2]); err != nil {
		return nil, fmt.Errorf("connections: %w", err)
	}
	for name, into := range map[string]*string{"subject.txt": &t.subject, "letter.txt": &t.text, "letter.html": &t.html} {
		content, err := os.ReadFile(filepath.Join(t.folder, name))
		if err != nil {
			return nil, err
		}
		*into = string(content)
	}
	people, err := os.ReadFile(args[4])
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(people)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 5 {
			return nil, fmt.Errorf("%d columns in a line of the people, not 5", len(f))
		}
		t.people = append(t.people, person{f[0], f[1], f[2], f[3], f[4]})
	}
	return t, nil
}

// share runs each on as many goroutines as there are connections; they take the people one after the other. It returns
// how many were sent to.
func (t *task) share(each func(take func() (*person, bool)) (int, error)) (int, error) {
	var (
		next, sent atomic.Int64
		wait       sync.WaitGroup
		failed     = make([]error, t.connections)
	)
	take := func() (*person, bool) {
		i := int(next.Add(1)) - 1
		if i >= len(t.people) {
			return nil, false
		}
		return &t.people[i], true
	}
	for c := range t.connections {
		wait.Go(func() {
			n, err := each(take)
			sent.Add(int64(n))
			failed[c] = err
		})
	}
	wait.Wait()
	return int(sent.Load()), errors.Join(failed...)
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// event is a line of go test -json (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string // empty: the package as a whole
	Output  string
}

// report is told what go test -json says. It shows a line for each package and all that a failed test said, as go test
// does without -json, and keeps which tests were skipped.
type report struct {
	out     io.Writer
	rest    []byte            // of a line that has not ended
	said    map[string]string // by package and test, until it is known whether it is shown
	skipped []skip
}

// skip is a test that was left out.
type skip struct{ pkg, test, reason string }

func newReport(out io.Writer) *report { return &report{out: out, said: map[string]string{}} }

func (r *report) Write(p []byte) (int, error) {
	r.rest = append(r.rest, p...)
	for {
		line, rest, whole := bytes.Cut(r.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		r.rest = rest
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			e = event{Action: "build-output", Output: string(line) + "\n"} // the go command speaks for itself
		}
		r.take(e)
	}
}

func (r *report) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		if !strings.HasPrefix(e.Output, "=== ") { // a test begins, or goes on
			r.said[key] += e.Output
		}
	case "skip", "pass":
		switch {
		case e.Test == "":
			fmt.Fprint(r.out, lastLine(r.said[key]))
		case e.Action == "skip":
			r.skipped = append(r.skipped, skip{e.Package, e.Test, reason(r.said[key])})
		}
		delete(r.said, key)
	case "fail":
		if e.Test == "" {
			r.showUnended(e.Package + " ")
		}
		fmt.Fprint(r.out, r.said[key])
		delete(r.said, key)
	}
}

// showUnended shows what the tests of a package said that came to no end: it stopped all at once.
func (r *report) showUnended(prefix string) {
	for _, key := range slices.Sorted(maps.Keys(r.said)) {
		if strings.HasPrefix(key, prefix) && key != prefix {
			fmt.Fprint(r.out, r.said[key])
			delete(r.said, key)
		}
	}
}

// lastLine is what go test shows of a package that passed.
func lastLine(said string) string {
	said = strings.TrimSuffix(said, "\n")
	return said[strings.LastIndexByte(said, '\n')+1:] + "\n"
}

// reason is all that a skipped test said, in one line: why is the last of it.
func reason(said string) string {
	said, _, _ = strings.Cut("\n"+said, "\n--- SKIP: ")
	return strings.Join(strings.Fields(said), " ")
}

// allowed says which tests the run of all may leave out, by words of the reasons that they give.
var allowed = []struct {
	heading string // that they are listed under
	words   []string
}{
	{"left to make soak", []string{"POSTROOM_SOAK"}},
	{"left to make designs", []string{"make designs"}},
	{"left to the last step", []string{"only the last step of a run"}},
	{"part of another test", []string{"runs inside Test"}},
	{"for other systems", []string{"for a Unix shell", "Windows has no such modes"}},
	{"NOT TESTED HERE, because this machine lacks something", []string{"NOT TESTED", "NOTHING WAS TESTED", "NOT CHECKED"}},
}

const notAllowed = "FOR NO REASON THAT COUNTS"

// list shows the tests that were left out, and says what is wrong with that.
func (r *report) list() error {
	r.showUnended("")
	under := map[string][]skip{}
	for _, s := range r.skipped {
		h := heading(s.reason)
		under[h] = append(under[h], s)
	}
	if len(under) > 0 {
		fmt.Fprintln(r.out, "== tests that were left out")
	}
	for _, a := range allowed {
		r.show(a.heading, under[a.heading])
	}
	r.show(notAllowed, under[notAllowed])
	if n := len(under[notAllowed]); n > 0 {
		return fmt.Errorf("%d tests were left out for no reason that counts (internal/testrun/report.go)", n)
	}
	return nil
}

func (r *report) show(heading string, some []skip) {
	if len(some) > 0 {
		fmt.Fprintf(r.out, "%s:\n", heading)
	}
	for _, s := range some {
		fmt.Fprintf(r.out, "    %s %s: %s\n", s.pkg, s.test, s.reason)
	}
}

func heading(reason string) string {
	for _, a := range allowed {
		if slices.ContainsFunc(a.words, func(w string) bool { return strings.Contains(reason, w) }) {
			return a.heading
		}
	}
	return notAllowed
}

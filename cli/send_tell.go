package cli

import (
	"strconv"
	"strings"

	"postroom/compose"
	"postroom/post"
)

type skippedJSON struct {
	Address string `json:"address"`
	Reason  string `json:"reason"`
}

// queued is what send answers. Mailing is null when nobody was left.
type queued struct {
	Mailing *int64        `json:"mailing"`
	Queued  int64         `json:"queued"`
	Skipped []skippedJSON `json:"skipped"`
}

func (a *app) tellQueued(f *sendFlags, q queued) error {
	if a.json {
		if err := a.object(q); err != nil {
			return err
		}
	} else {
		if q.Mailing != nil {
			a.say("mailing %d: %d queued, %d skipped", *q.Mailing, q.Queued, len(q.Skipped))
		} else {
			a.say("nothing was queued: everybody was skipped (%d)", len(q.Skipped))
		}
		for _, s := range q.Skipped {
			a.say("  %s: %s", oneLine(s.Address), oneLine(s.Reason))
		}
	}
	switch {
	case q.Mailing == nil:
		return ended{exitFailed}
	case f.rehearse:
		a.note("It is rehearsed by postroom run --until-empty, or by a Postroom that is open.")
	case f.at != "":
		a.note("It goes out at its time while postroom run works, or a window is open.")
	default:
		a.note("It is sent by postroom run --until-empty, or by a Postroom that is open.")
	}
	return nil
}

// shownFindings is how many are told in plain words; JSON has them all, as far
// as compose lists them.
const shownFindings = 20

type findingJSON struct {
	Row     int64  `json:"row"`
	Address string `json:"address"`
	Field   string `json:"field"`
	Reason  string `json:"reason"`
	Key     string `json:"key"`
	Mend    string `json:"mend"`
}

func findingOf(x *compose.Finding) findingJSON {
	return findingJSON{Row: x.Row, Address: x.Address, Field: x.Field, Reason: x.Message, Key: x.Reason.Key, Mend: x.Mend}
}

// warnings are the findings that stopped nothing. Who is left out is told as skipped.
func warnings(f compose.Findings) (all []findingJSON) {
	for i := range f.List {
		x := &f.List[i]
		if x.Severity == compose.SeverityWarning && x.Reason.Key != "compose.suppressed" && x.Reason.Key != "compose.duplicate" {
			all = append(all, findingOf(x))
		}
	}
	return all
}

// tellFindings says why nothing was queued: one line per finding.
func (a *app) tellFindings(f compose.Findings, err error) error {
	var wrong []findingJSON
	for i := range f.List {
		if x := &f.List[i]; x.Severity == compose.SeverityError {
			wrong = append(wrong, findingOf(x))
		}
	}
	if len(wrong) == 0 {
		return err
	}
	if a.json {
		a.complain(oneLine(err.Error()), post.KindInvalid, map[string]any{"findings": wrong, "count": f.Errors})
		return ended{exitUsage}
	}
	for _, x := range wrong[:min(len(wrong), shownFindings)] {
		a.complain(findingLine(x), post.KindInvalid, nil)
	}
	if more := f.Errors - shownFindings; more > 0 {
		a.complain("and "+plural(more, "more of these", "more of these"), post.KindInvalid, nil)
	}
	a.note("Nothing was queued.")
	return ended{exitUsage}
}

// tellWarnings says what preflight would have asked about, on the error stream:
// in plain words, with --json as one object.
func (a *app) tellWarnings(all []findingJSON) {
	if a.json {
		if len(all) > 0 {
			a.tellObject(map[string]any{"warnings": all})
		}
		return
	}
	for i, x := range all {
		if i == shownFindings {
			a.note("and %d more to look at", len(all)-shownFindings)
			return
		}
		a.note("look at %s", findingLine(x))
	}
}

func findingLine(x findingJSON) string {
	line := x.Reason
	if x.Row > 0 {
		line = "row " + number(x.Row) + " (" + x.Address + "): " + line
	}
	if x.Mend != "" {
		if !strings.HasSuffix(line, "?") {
			line += "."
		}
		line += " " + x.Mend
	}
	return oneLine(line)
}

// onlyNobody reports whether all that is wrong is that no recipient was left.
func onlyNobody(f compose.Findings) bool {
	for _, x := range f.List {
		if x.Severity == compose.SeverityError && x.Reason.Key != "compose.no-recipients" {
			return false
		}
	}
	return f.Errors > 0
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

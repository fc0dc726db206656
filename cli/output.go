package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"

	"postroom/post"
)

// ended is the error of a command that has said everything already; only its
// exit code is left.
type ended struct{ code int }

func (e ended) Error() string { return fmt.Sprintf("exit %d", e.code) }

// usage is an error in how a command was called.
func usage(format string, args ...any) error {
	return &post.Error{Kind: post.KindInvalid, Message: fmt.Sprintf(format, args...)}
}

// exitCode reports err to the user and returns the process's exit code.
func (a *app) exitCode(err error) int {
	var e ended
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &e):
		return e.code
	}
	a.complain(oneLine(err.Error()), post.KindOf(err), nil)
	switch post.KindOf(err) {
	case post.KindInvalid, post.KindNotFound:
		return exitUsage
	case post.KindSignIn:
		return exitUser
	default:
		return exitFailed
	}
}

// complain writes one line to standard error. more are further keys of the JSON
// object.
func (a *app) complain(line string, kind post.Kind, more map[string]any) {
	a.clearStatus()
	if !a.json {
		a.tell("postroom: " + line + "\n")
		return
	}
	object := map[string]any{"error": line, "kind": kind.String()}
	for k, v := range more {
		object[k] = v
	}
	a.tellObject(object)
}

// tellObject writes one JSON object on a line of its own to standard error.
func (a *app) tellObject(object map[string]any) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(object); err != nil {
		b.WriteString(`{"error":"internal","kind":"internal"}` + "\n")
	}
	a.tell(b.String())
}

// note tells the user something besides the result. Scripts do not get it.
func (a *app) note(format string, args ...any) {
	if a.json {
		return
	}
	a.clearStatus()
	a.tell(fmt.Sprintf(format, args...) + "\n")
}

// tell writes to standard error. Where that fails there is nowhere left to
// complain to. Several goroutines may use it.
func (a *app) tell(s string) {
	a.errMu.Lock()
	defer a.errMu.Unlock()
	_, _ = a.err.Write([]byte(s))
}

// object writes one JSON object on a line of its own.
func (a *app) object(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// say writes a line of plain words. A failure shows when the output is flushed.
func (a *app) say(format string, args ...any) {
	_, _ = fmt.Fprintf(a.out, format+"\n", args...)
}

// answer writes v with --json, else the words.
func (a *app) answer(v any, format string, args ...any) error {
	if a.json {
		return a.object(v)
	}
	a.say(format, args...)
	return nil
}

// status shows how far a long job is, on one line that is written over, where
// there is a terminal to do that on.
func (a *app) status(format string, args ...any) {
	if a.json || !a.terminal {
		return
	}
	a.statusShown.Store(true)
	a.tell(fmt.Sprintf("\r\x1b[K"+format, args...))
}

func (a *app) clearStatus() {
	if a.statusShown.Swap(false) {
		a.tell("\r\x1b[K")
	}
}

// isTerminal reports whether w is a character device.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// stamp is a time in JSON: RFC 3339 in UTC, null when it is zero.
type stamp time.Time

// MarshalJSON implements json.Marshaler.
func (s stamp) MarshalJSON() ([]byte, error) {
	if text := s.String(); text != "" {
		return json.Marshal(text)
	}
	return []byte("null"), nil
}

// String returns the same without quotes, empty for the zero time.
func (s stamp) String() string {
	t := time.Time(s)
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// moment is a time as people read it in plain output: local, to the minute.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}

// reason says why in plain words, then the cause as it came.
func (a *app) reason(r post.Reason) string {
	text := a.words.Reason(r)
	switch {
	case r.Raw == "":
		return text
	case text == "":
		return r.Raw
	}
	return text + ": " + r.Raw
}

// suppression says why an address is not mailed.
func (a *app) suppression(why string) string {
	if key := "suppression." + why; a.words.Has(key) {
		return a.words.T(key)
	}
	return why
}

// oneLine makes text of any origin fit for one line of a terminal: no control
// or invisible formatting characters, and what stood on several lines joined.
func oneLine(s string) string {
	s = strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ")
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Cf, r):
			return '?'
		}
		return r
	}, s)
}

// plural returns "1 message" or "7 messages".
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

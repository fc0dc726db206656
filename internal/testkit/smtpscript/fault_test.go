package smtpscript_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postroom/internal/testkit/smtpscript"
)

// faultCase is what a lock-step client sees of a named fault.
type faultCase struct {
	at    string // the command before the reply in question: "", EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, DOT, RSET, QUIT
	want  string // beginning of that reply
	next  string // beginning of what follows it unasked, "" for nothing looked for
	taken int
}

var faultCases = map[string]faultCase{
	"refuse":            {at: "", want: "RST"},
	"greeting-421":      {at: "", want: "421 4.3.2", next: "EOF"},
	"greeting-554":      {at: "", want: "554 5.7.1", next: "EOF"},
	"greeting-garbage":  {at: "", want: "\x00\x01HTTP"},
	"greeting-stall":    {at: "", want: "silence"},
	"endless-greeting":  {at: "", want: "endless"},
	"ehlo-502":          {at: "EHLO", want: "502 5.5.1"},
	"ehlo-421":          {at: "EHLO", want: "421 4.3.2", next: "EOF"},
	"starttls-454":      {at: "STARTTLS", want: "454 4.7.0"},
	"starttls-inject":   {at: "STARTTLS", want: "220 2.0.0", next: "250-mail.example|250 AUTH PLAIN"},
	"tls-drop":          {at: "STARTTLS", want: "220 2.0.0", next: "EOF"},
	"tls-reset":         {at: "STARTTLS", want: "220 2.0.0", next: "RST"},
	"tls-stall":         {at: "STARTTLS", want: "220 2.0.0", next: "silence"},
	"tls-alert":         {at: "STARTTLS", want: "220 2.0.0", next: `"\x15\x03\x03\x00\x02\x02(" then EOF`},
	"tls-plain":         {at: "STARTTLS", want: "220 2.0.0", next: "500 what is TLS?"},
	"auth-535":          {at: "AUTH", want: "535 5.7.8"},
	"auth-454":          {at: "AUTH", want: "454 4.7.0"},
	"auth-432":          {at: "AUTH", want: "432 4.7.12"},
	"auth-drop":         {at: "AUTH", want: "EOF"},
	"mail-421":          {at: "MAIL", want: "421 4.7.0", next: "EOF"},
	"mail-451":          {at: "MAIL", want: "451 4.3.0"},
	"mail-quota":        {at: "MAIL", want: "550 5.4.5"},
	"mail-drop":         {at: "MAIL", want: "EOF"},
	"long-line-at-mail": {at: "MAIL", want: "long"},
	"rcpt-greylist":     {at: "RCPT", want: "451 4.7.1"},
	"rcpt-550":          {at: "RCPT", want: "550 5.1.1"},
	"rcpt-552":          {at: "RCPT", want: "552 5.2.2"},
	"drop-at-rcpt":      {at: "RCPT", want: "EOF"},
	"rcpt-garbage":      {at: "RCPT", want: "\x00\xff garbage"},
	"rcpt-mixed":        {at: "RCPT", want: "250-2.1.5 yes|550 5.1.1 no"},
	"double-250":        {at: "RCPT", want: "250 2.1.5", next: "250 2.1.5"},
	"missing-rcpt":      {at: "RCPT", want: "silence"},
	"rcpt-refused-354":  {at: "DATA", want: "354"},
	"data-451":          {at: "DATA", want: "451 4.3.0"},
	"data-554":          {at: "DATA", want: "554 5.5.1"},
	"data-250":          {at: "DATA", want: "250 2.0.0"},
	"data-421":          {at: "DATA", want: "421 4.3.2", next: "EOF"},
	"data-drop":         {at: "DATA", want: "EOF"},
	"body-552":          {at: "DOT", want: "552 5.3.4", next: "EOF"},
	"body-drop":         {at: "DOT", want: "EOF"},
	"body-reset":        {at: "DOT", want: "RST"},
	"body-stall":        {at: "DOT", want: "silence"},
	"body-tarpit":       {at: "DOT", want: "silence"}, // 1200 bytes at 200 a second
	"body-deaf":         {at: "DOT", want: "silence"},
	"dot-451":           {at: "DOT", want: "451 4.3.0"},
	"dot-421":           {at: "DOT", want: "421 4.3.2", next: "EOF"},
	"dot-452":           {at: "DOT", want: "452 4.3.1"},
	"dot-552":           {at: "DOT", want: "552 5.3.4"},
	"dot-554":           {at: "DOT", want: "554 5.7.1"},
	"bare-250":          {at: "DOT", want: "250", taken: 1},
	"odd-2xx":           {at: "DOT", want: "251 2.1.5", taken: 1},
	"multi-250":         {at: "DOT", want: "250-2.0.0 Ok|250-queued as A1B2|250 goodbye", taken: 1},
	"late-250":          {at: "DOT", want: "silence", taken: 1},
	"drip-250":          {at: "DOT", want: "250 2.0.0 Ok: queued as", taken: 1},
	"accept-close":      {at: "DOT", want: "EOF", taken: 1},
	"accept-reset":      {at: "DOT", want: "RST", taken: 1},
	"accept-stall":      {at: "DOT", want: "silence", taken: 1},
	"accept-garbage":    {at: "DOT", want: "\x00\x07?!", taken: 1},
	"accept-mixed":      {at: "DOT", want: "250-Ok|450 or not", taken: 1},
	"accept-cut-early":  {at: "DOT", want: `"25" then EOF`, taken: 1},
	"accept-cut-250":    {at: "DOT", want: `"250 " then EOF`, taken: 1},
	"accept-long-line":  {at: "DOT", want: "long", taken: 1},
	"accept-endless":    {at: "DOT", want: "endless", taken: 1},
	"refuse-close":      {at: "DOT", want: "EOF"},
	"refuse-reset":      {at: "DOT", want: "RST"},
	"refuse-stall":      {at: "DOT", want: "silence"},
	"close-after-250":   {at: "DOT", want: "250 2.0.0", next: "EOF", taken: 1},
	"reset-after-250":   {at: "DOT", want: "250 2.0.0", next: "RST", taken: 1},
	"then-421":          {at: "DOT", want: "250 2.0.0", next: "421 4.3.2", taken: 1},
	"rset-500":          {at: "RSET", want: "500 5.5.1", taken: 1},
	"quit-stall":        {at: "QUIT", want: "silence", taken: 1},
	"quit-drop":         {at: "QUIT", want: "EOF", taken: 1},
}

func TestEachNamedFault(t *testing.T) {
	for name := range faultCases {
		if !slices.Contains(smtpscript.FaultNames(), name) {
			t.Errorf("case for an unknown fault %q", name)
		}
	}
	for _, name := range smtpscript.FaultNames() {
		test, ok := faultCases[name]
		if !ok {
			t.Errorf("fault %q has no case", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seeFault(t, name, test)
		})
	}
}

// steps are a whole session; a client without STARTTLS or AUTH leaves it out.
var steps = []struct{ name, send, ok string }{
	{"", "", "220"},
	{"EHLO", "EHLO x\r\n", "250"},
	{"STARTTLS", "STARTTLS\r\n", "220"},
	{"AUTH", "AUTH PLAIN AHUAcA==\r\n", "235"},
	{"MAIL", "MAIL FROM:<a@b.example>\r\n", "250"},
	{"RCPT", "RCPT TO:<c@d.example>\r\n", "250"},
	{"DATA", "DATA\r\n", "354"},
	{"DOT", "Subject: x\r\n\r\n" + strings.Repeat("0123456789\r\n", 100) + ".\r\n", "250"},
	{"RSET", "RSET\r\n", "250"},
	{"QUIT", "QUIT\r\n", "221"},
}

func seeFault(t *testing.T, name string, test faultCase) {
	script, err := smtpscript.Fault(name)
	if err != nil {
		t.Fatal(err)
	}
	s := smtpscript.Start(t, smtpscript.Config{Mode: smtpscript.STARTTLS, AuthInClear: true, User: "u", Password: "p", Script: script})
	c, err := tryDial(t, s)
	if name == "refuse" && err != nil && word(err).Error() == "RST" {
		return // the reset may come before connect returns
	}
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	for _, step := range steps {
		if step.name == "STARTTLS" && test.at != "STARTTLS" || step.name == "AUTH" && test.at == "STARTTLS" {
			continue
		}
		if step.send != "" {
			c.send(step.send)
		}
		if step.name != test.at {
			if got := c.reply(); !strings.HasPrefix(got, step.ok) && name != "rcpt-refused-354" {
				t.Fatalf("%s: %.100q, want %s", step.name, got, step.ok)
			}
			continue
		}
		if got := c.look(test.want); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %.100q, want %q\n%s", step.name, got, test.want, s.Transcript())
		}
		if test.next != "" {
			if got := c.look(test.next); !strings.HasPrefix(got, test.next) {
				t.Errorf("then %.100q, want %q\n%s", got, test.next, s.Transcript())
			}
		}
		break
	}
	if name == "rcpt-refused-354" {
		c.send(".\r\n")
		c.expect("554 5.5.1 no valid recipients")
	}
	if got := s.Taken()["c@d.example"]; got != test.taken {
		t.Errorf("taken %d, want %d", got, test.taken)
	}
}

// look reads a reply; silence is looked for only as long as it takes.
func (c *client) look(want string) string {
	switch want {
	case "silence":
		if err := c.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			c.t.Fatal(err)
		}
	case "endless":
		n, err := io.CopyN(io.Discard, c.conn, 60<<20)
		if err != nil || n != 60<<20 {
			return fmt.Sprint(n, " bytes then ", err)
		}
		return want
	case "long":
		if line, err := c.line(); err != nil || len(line) != 4<<20+6 {
			return fmt.Sprint(len(line), " bytes then ", err)
		}
		return want
	}
	return c.reply()
}

func TestFaultEveryNth(t *testing.T) {
	script, err := smtpscript.Fault("dot-554@3")
	if err != nil {
		t.Fatal(err)
	}
	s := smtpscript.Start(t, smtpscript.Config{Script: script})
	c := dial(t, s)
	c.hello()
	for i := 1; i <= 9; i++ {
		c.send(envelope("a@b.example"))
		c.expect("250", "250", "354")
		c.send("x\r\n.\r\n")
		want := "250"
		if i%3 == 0 {
			want = "554"
		}
		c.expect(want)
	}
	if s.Taken()["a@b.example"] != 6 || s.Dots()["a@b.example"] != 9 {
		t.Errorf("taken %v of %v", s.Taken(), s.Dots())
	}
	for _, bad := range []string{"nonsense", "dot-554@0", "dot-554@x"} {
		if _, err := smtpscript.Fault(bad); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

func TestBrokenPipelining(t *testing.T) {
	all := []string{"250 2.1.0", "250 2.1.5", "354"}
	for _, test := range []struct {
		name string
		how  smtpscript.Breakage
		want []string
	}{
		{"discard", smtpscript.BreakDiscard, []string{"250 2.1.0", "silence"}},
		{"reorder", smtpscript.BreakReorder, []string{"354", "250 2.1.5", "250 2.1.0"}},
		{"missing", smtpscript.BreakMissing, []string{"250 2.1.0", "354", "silence"}},
		{"extra", smtpscript.BreakExtra, []string{"250 2.1.0", "250 2.1.5", "354", "250 2.0.0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := smtpscript.Start(t, smtpscript.Config{Break: test.how})
			c := dial(t, s)
			c.hello()
			c.send(envelope("a@b.example"))
			for _, want := range test.want {
				if got := c.look(want); !strings.HasPrefix(got, want) {
					t.Fatalf("%q, want %q", got, want)
				}
			}
			slow := dial(t, s) // who waits for each reply is served well
			slow.hello()
			for i, line := range strings.SplitAfter(envelope("a@b.example"), "\r\n")[:3] {
				slow.send(line)
				slow.expect(all[i])
			}
		})
	}
}

// A tarpit must hold up a large body at the client's own socket, and let a
// small one through at its pace.
func TestTarpitFillsTheWindow(t *testing.T) {
	script, err := smtpscript.Fault("body-deaf")
	if err != nil {
		t.Fatal(err)
	}
	for _, delay := range []time.Duration{0, time.Millisecond} {
		s := smtpscript.Start(t, smtpscript.Config{Script: script, Up: delay})
		c := dial(t, s)
		c.hello()
		c.send(envelope("a@b.example"))
		c.expect("250", "250", "354")
		if err := c.conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := c.conn.Write(make([]byte, 64<<20))
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() || n > 32<<20 {
			t.Errorf("delay %v: wrote %d bytes, %v", delay, n, err)
		}
	}
	s := smtpscript.Start(t, smtpscript.Config{Script: smtpscript.At(smtpscript.PhaseDATA, smtpscript.Action{Tarpit: true, TarpitRate: 2000})})
	c := dial(t, s)
	c.hello()
	c.send(envelope("a@b.example"))
	c.expect("250", "250", "354")
	start := time.Now()
	c.send(strings.Repeat("x", 600) + "\r\n.\r\n")
	c.expect("250")
	if took := time.Since(start); took < 250*time.Millisecond {
		t.Errorf("600 bytes at 2000 a second took %v", took)
	}
}

func TestHoldAndOnce(t *testing.T) {
	hold := make(chan struct{})
	s := smtpscript.Start(t, smtpscript.Config{Script: smtpscript.Once(smtpscript.PhaseNOOP, smtpscript.Action{Hold: hold})})
	held, free := dial(t, s), dial(t, s)
	held.hello()
	free.hello()
	held.send("NOOP\r\n")
	wait(t, s, "NOOP", func(st smtpscript.Stats) bool { return st.ByVerb["NOOP"] == 1 })
	free.send("NOOP\r\n")
	free.expect("250") // neither held, nor held up by the other
	if got := held.look("silence"); got != "silence" {
		t.Errorf("answered while held: %s", got)
	}
	close(hold)
	if err := held.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	held.expect("250")
}

// The script is told where it is.
func TestEventsSayWhereTheyAre(t *testing.T) {
	var got []string
	script := func(ev smtpscript.Event) smtpscript.Action {
		got = append(got, fmt.Sprintf("%s %d/%d/%d %s>%s %d %v", ev.Phase, ev.Conn, ev.Message, ev.Total, ev.Sender, ev.Rcpt, ev.BodyBytes, ev.Pipelined))
		return smtpscript.Action{}
	}
	s := smtpscript.Start(t, smtpscript.Config{Script: script})
	c := dial(t, s)
	c.hello()
	c.send(envelope("a@b.example"))
	c.expect("250", "250", "354")
	c.send("hello\r\n.\r\nNOOP\r\nQUIT\r\n")
	c.expect("250", "250", "221")
	s.Close()
	want := []string{
		"connect 1/0/0 > 0 false", "greeting 1/0/0 > 0 false", "ehlo 1/0/0 > 0 false",
		"mail 1/1/1 shop@example.org> 0 true", "rcpt 1/1/1 shop@example.org>a@b.example 0 true",
		"data 1/1/1 shop@example.org>a@b.example 0 false", "body 1/1/1 shop@example.org>a@b.example 7 true",
		"dot 1/1/1 shop@example.org>a@b.example 7 true", "noop 1/1/1 > 7 true", "quit 1/1/1 > 7 false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Close must end every kind of wait, whatever the clients do.
func TestCloseLeavesNothingBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	for _, delay := range []time.Duration{0, time.Hour} {
		for _, act := range []smtpscript.Action{
			{End: smtpscript.EndStall},
			{Wait: time.Hour},
			{Hold: make(chan struct{})},
			{Drip: time.Hour},
			{Endless: 1 << 40},
			{Tarpit: true},
			{Tarpit: true, TarpitRate: 1},
			{},
		} {
			s, err := smtpscript.Listen(smtpscript.Config{Down: delay, Script: smtpscript.At(smtpscript.PhaseGreeting, act)})
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				dial(t, s)
			}
			wait(t, s, "connections", func(st smtpscript.Stats) bool { return st.Open == 3 })
			done := make(chan struct{})
			go func() { s.Close(); close(done) }()
			select {
			case <-done:
			case <-time.After(patience):
				t.Fatalf("Close hangs with %+v, delay %v", act, delay)
			}
			s.Close() // a second time is nothing
		}
	}
	goleak.VerifyNone(t, before)
}

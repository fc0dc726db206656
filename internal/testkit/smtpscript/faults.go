package smtpscript

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// faults are the misbehaviours that have a name, for tables of tests and for
// cmd/sink. Where one needs a message it is the one in hand.
var faults = map[string]func(Event) Action{
	// Before any message.
	"refuse":            At(PhaseConnect, Action{End: EndReset}),
	"greeting-421":      At(PhaseGreeting, Reply("421 4.3.2 come back later").Then(EndClose)),
	"greeting-554":      At(PhaseGreeting, Reply("554 5.7.1 no service for you").Then(EndClose)),
	"greeting-garbage":  At(PhaseGreeting, Raw("\x00\x01HTTP/1.1 400 Bad Request\r\n\r\n").Then(EndClose)),
	"greeting-stall":    At(PhaseGreeting, Hang(EndStall)),
	"ehlo-502":          At(PhaseEHLO, Reply("502 5.5.1 what is EHLO?")),
	"ehlo-421":          At(PhaseEHLO, Reply("421 4.3.2 shutting down").Then(EndClose)),
	"starttls-454":      At(PhaseSTARTTLS, Reply("454 4.7.0 TLS not available now")),
	"starttls-inject":   At(PhaseSTARTTLS, Action{After: "250-mail.example\r\n250 AUTH PLAIN\r\n"}),
	"tls-drop":          At(PhaseTLS, Hang(EndCut)),
	"tls-reset":         At(PhaseTLS, Hang(EndReset)),
	"tls-stall":         At(PhaseTLS, Hang(EndStall)),
	"tls-alert":         At(PhaseTLS, Raw("\x15\x03\x03\x00\x02\x02\x28").Then(EndCut)),
	"tls-plain":         At(PhaseTLS, Raw("500 what is TLS?\r\n").Then(EndClose)),
	"auth-535":          At(PhaseAuth, Reply("535 5.7.8 wrong user name or password")),
	"auth-454":          At(PhaseAuth, Reply("454 4.7.0 too many sign-ins, try again later")),
	"auth-432":          At(PhaseAuth, Reply("432 4.7.12 a password change is needed")),
	"auth-drop":         At(PhaseAuth, Hang(EndClose)),
	"mail-421":          At(PhaseMAIL, Reply("421 4.7.0 too many messages").Then(EndClose)),
	"mail-451":          At(PhaseMAIL, Reply("451 4.3.0 try again later")),
	"mail-quota":        At(PhaseMAIL, Reply("550 5.4.5 daily user sending limit exceeded")),
	"mail-drop":         At(PhaseMAIL, Hang(EndClose)),
	"rcpt-greylist":     At(PhaseRCPT, Reply("451 4.7.1 greylisted, try again later")),
	"rcpt-550":          At(PhaseRCPT, Reply("550 5.1.1 no such user")),
	"rcpt-552":          At(PhaseRCPT, Reply("552 5.2.2 mailbox full")),
	"drop-at-rcpt":      At(PhaseRCPT, Hang(EndClose)),
	"rcpt-garbage":      At(PhaseRCPT, Raw("\x00\xff garbage\r\n")),
	"rcpt-mixed":        At(PhaseRCPT, Raw("250-2.1.5 yes\r\n550 5.1.1 no\r\n")),
	"double-250":        At(PhaseRCPT, Action{After: "250 2.1.5 Ok\r\n"}),
	"missing-rcpt":      At(PhaseRCPT, Action{Silent: true}),
	"rcpt-refused-354":  refusedYet354,
	"data-451":          At(PhaseDATA, Reply("451 4.3.0 not now")),
	"data-554":          At(PhaseDATA, Reply("554 5.5.1 no")),
	"data-250":          At(PhaseDATA, Reply("250 2.0.0 Ok")),
	"data-421":          At(PhaseDATA, Reply("421 4.3.2 shutting down").Then(EndClose)),
	"data-drop":         At(PhaseDATA, Hang(EndClose)),
	"body-552":          At(PhaseBody, Reply("552 5.3.4 message too big").Then(EndClose)),
	"body-drop":         At(PhaseBody, Hang(EndClose)),
	"body-reset":        At(PhaseBody, Hang(EndReset)),
	"body-stall":        At(PhaseBody, Hang(EndStall)),
	"body-tarpit":       At(PhaseDATA, Action{Tarpit: true, TarpitRate: 200}),
	"body-deaf":         At(PhaseDATA, Action{Tarpit: true}),
	"dot-451":           At(PhaseDot, Reply("451 4.3.0 try again later")),
	"dot-421":           At(PhaseDot, Reply("421 4.3.2 shutting down").Then(EndClose)),
	"dot-452":           At(PhaseDot, Reply("452 4.3.1 disk full")),
	"dot-552":           At(PhaseDot, Reply("552 5.3.4 message too big")),
	"dot-554":           At(PhaseDot, Reply("554 5.7.1 looks like spam")),
	"bare-250":          At(PhaseDot, Raw("250\r\n")),
	"odd-2xx":           At(PhaseDot, Reply("251 2.1.5 will forward")),
	"multi-250":         At(PhaseDot, Reply("250 2.0.0 Ok\nqueued as A1B2\ngoodbye")),
	"late-250":          At(PhaseDot, Action{Wait: 3 * time.Second}),
	"drip-250":          At(PhaseDot, Action{Drip: 20 * time.Millisecond}),
	"accept-close":      At(PhaseDot, Action{Silent: true, Take: TakeIt, End: EndClose}),
	"accept-reset":      At(PhaseDot, Action{Silent: true, Take: TakeIt, End: EndReset}),
	"accept-stall":      At(PhaseDot, Action{Silent: true, Take: TakeIt, End: EndStall}),
	"accept-garbage":    At(PhaseDot, Action{Raw: "\x00\x07?!\r\n", Take: TakeIt}),
	"accept-mixed":      At(PhaseDot, Action{Raw: "250-Ok\r\n450 or not\r\n", Take: TakeIt}),
	"accept-cut-early":  At(PhaseDot, Action{Raw: "25", Take: TakeIt, End: EndClose}),
	"accept-cut-250":    At(PhaseDot, Action{Raw: "250 ", Take: TakeIt, End: EndClose}),
	"accept-long-line":  At(PhaseDot, Action{Raw: "250 " + strings.Repeat("x", 4<<20) + "\r\n", Take: TakeIt}),
	"accept-endless":    At(PhaseDot, Action{Endless: 64 << 20, Take: TakeIt, End: EndClose}),
	"refuse-close":      At(PhaseDot, Action{Silent: true, Take: LeaveIt, End: EndClose}),
	"refuse-reset":      At(PhaseDot, Action{Silent: true, Take: LeaveIt, End: EndReset}),
	"refuse-stall":      At(PhaseDot, Action{Silent: true, Take: LeaveIt, End: EndStall}),
	"close-after-250":   At(PhaseDot, Action{End: EndClose}),
	"reset-after-250":   At(PhaseDot, Action{End: EndReset}),
	"then-421":          At(PhaseDot, Action{After: "421 4.3.2 shutting down\r\n", End: EndClose}),
	"quit-stall":        At(PhaseQUIT, Hang(EndStall)),
	"quit-drop":         At(PhaseQUIT, Hang(EndClose)),
	"rset-500":          At(PhaseRSET, Reply("500 5.5.1 no")),
	"endless-greeting":  At(PhaseGreeting, Action{Endless: 64 << 20}),
	"long-line-at-mail": At(PhaseMAIL, Action{Raw: "250 " + strings.Repeat("x", 4<<20) + "\r\n"}),
}

// refusedYet354 refuses the recipient and asks for the body all the same (RFC
// 2920 3.1 allows it): a lone dot must follow.
func refusedYet354(ev Event) Action {
	switch ev.Phase {
	case PhaseRCPT:
		return Reply("550 5.1.1 no such user")
	case PhaseDATA:
		return Reply("354 go on")
	}
	return Action{}
}

// Fault returns the Script of a named fault. "NAME@N" does it only to every
// N-th message of the server; before the first MAIL, to every N-th connection.
func Fault(name string) (func(Event) Action, error) {
	base, every, counted := strings.Cut(name, "@")
	script := faults[base]
	if script == nil {
		return nil, fmt.Errorf("smtpscript: unknown fault %q", base)
	}
	if !counted {
		return script, nil
	}
	n, err := strconv.Atoi(every)
	if err != nil || n < 1 {
		return nil, fmt.Errorf("smtpscript: fault %q: not a count after @", name)
	}
	return func(ev Event) Action {
		which := ev.Total
		if ev.Message == 0 {
			which = ev.Conn
		}
		if which%n != 0 {
			return Action{}
		}
		return script(ev)
	}, nil
}

// FaultNames lists the named faults in order.
func FaultNames() []string { return slices.Sorted(maps.Keys(faults)) }

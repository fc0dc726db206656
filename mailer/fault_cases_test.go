package mailer

import (
	"strings"
	"time"

	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// act is what a server does wrong.
type act = smtpscript.Action

// The ways in which it ends a connection.
const (
	byClose, byCut     = smtpscript.EndClose, smtpscript.EndCut
	byReset, byStall   = smtpscript.EndReset, smtpscript.EndStall
	soon, hour, minute = 2 * time.Minute, time.Hour, time.Minute // the first waits of the book's schedules
	greyed, filled     = 7 * time.Minute, 30 * time.Minute
)

func says(text string) act         { return smtpscript.Reply(text) }
func sends(bytes string) act       { return smtpscript.Raw(bytes) }
func hangs(end smtpscript.End) act { return smtpscript.Hang(end) }
func took(a act) act               { a.Take = smtpscript.TakeIt; return a }
func refused(a act) act            { a.Take = smtpscript.LeaveIt; return a }

// longLine is 250 and a megabyte on one line.
func longLine() act { return sends("250 " + strings.Repeat("x", 1<<20) + "\r\n") }

// What is left of a fault; see left. again: it went out at once, on a new
// connection. same: it went out on the one that stood.
var (
	again = left{state: post.StateSent, conns: 2}
	same  = left{state: post.StateSent, conns: 1}
)

// waits: for its own backoff; the connection is reused after RSET.
func waits(key string, wait time.Duration) left {
	return left{state: post.StateQueued, key: key, wait: wait, conns: 1, rsets: 1}
}

// fails: for good, alone; the connection is reused after RSET.
func fails(key string) left { return left{state: post.StateFailed, key: key, conns: 1, rsets: 1} }

// doubt: it may have been taken; the connection is given up.
func doubt(key string) left { return left{state: post.StateUncertain, key: key, conns: 2} }

// holds: the account waits for so long, or for the user where wait is 0; the
// delivery is as it was.
func holds(key string, wait time.Duration) left {
	return left{state: post.StateQueued, account: key, accountWait: wait, conns: 1, rsets: 1}
}

func (l left) afresh() left { l.conns, l.rsets = 2, 0; return l } // the connection was given up
// learning: connections take n messages from now on.
func (l left) learning(n, conns int) left { l.learned, l.conns = n, conns; return l }

func (l left) unreset() left     { l.rsets = 0; return l } // the transaction was over, or the connection
func (l left) suppressing() left { l.suppressed = true; return l }

// faultCases has what can go wrong with one message from MAIL on.
func faultCases() []fault {
	var all []fault
	for phase, cases := range map[post.Phase][]fault{
		post.PhaseMAIL: faultsAtMAIL(), post.PhaseRCPT: faultsAtRCPT(), post.PhaseDATA: faultsAtDATA(), post.PhaseDot: faultsAtDot(),
		post.PhaseRSET: faultsAtRSET(), post.PhaseQUIT: faultsAtQUIT(),
	} {
		for _, c := range cases {
			c.phase = phase
			all = append(all, c)
		}
	}
	return all
}

func faultsAtMAIL() []fault {
	later, tooBig := deferred(post.PhaseMAIL, 451), failedAt(post.PhaseMAIL, 552)
	return []fault{
		{rows: rows{15}, name: "530", do: says("530 5.7.0 authentication required"), want: good, left: holds("account.settings", 0).unreset()},
		{rows: rows{17}, name: "421", do: says("421 4.3.2 closing").Then(byClose), want: good, left: again.learning(1, 6)},
		{rows: rows{18}, name: "too many", do: says("450 4.7.1 too many messages"), want: good, left: holds("account.rate", minute)},
		{rows: rows{18}, name: "421 rate", do: says("421 4.7.28 unusual rate").Then(byClose), want: good, left: holds("account.rate", minute).unreset()},
		{rows: rows{19}, name: "quota", do: says("550 5.4.5 daily user sending limit exceeded"), want: good, left: holds("account.quota", hour)},
		{rows: rows{19}, name: "452 quota", do: says("452 4.5.3 daily quota reached"), want: good, left: holds("account.quota", hour)},
		{rows: rows{19}, name: "421 quota", do: says("421 4.4.5 daily limit").Then(byClose), want: good, left: holds("account.quota", hour).unreset()},
		{rows: rows{20}, name: "sender throttled", do: says("550 5.2.252 sender throttled"), want: good, left: holds("account.sender", 0)},
		{rows: rows{20}, name: "sender's mailbox", do: says("554 5.2.2 mailbox full"), want: good, left: holds("account.sender", 0)},
		{rows: rows{20}, name: "sender not allowed", do: says("550 5.7.1 sender not allowed"), want: good, left: holds("account.sender", 0)},
		{rows: rows{21}, name: "451", do: says("451 4.3.0 later"), want: later, left: waits("delivery.deferred", soon)},
		{rows: rows{22}, name: "550", do: says("550 no"), want: deferred(post.PhaseMAIL, 550), left: waits("account.refused", soon)},
		{rows: rows{22, 37}, name: "552", do: says("552 5.3.4 too big"), want: tooBig, left: fails("delivery.too_large")},
		{rows: rows{22}, name: "553", do: says("553 5.6.7 needs SMTPUTF8"), want: failedAt(post.PhaseMAIL, 553), left: fails("delivery.smtputf8")},
		{rows: rows{26}, name: "452", do: says("452 4.3.1 no storage"), want: deferred(post.PhaseMAIL, 452), left: waits("delivery.deferred", soon)},
		{rows: rows{41}, name: "garbage", do: sends("\x00\xff ?\r\n"), want: good, left: again, unlearns: true},
		{rows: rows{41}, name: "mixed codes", do: sends("250-ok\r\n550 no\r\n"), want: good, left: again, unlearns: true},
		{rows: rows{41}, name: "endless", do: act{Endless: 8 << 20}, want: good, left: again},
		{rows: rows{41}, name: "long line", do: longLine(), want: good, left: again},
		{rows: rows{42}, name: "stall", do: hangs(byStall), want: deferred(post.PhaseMAIL, 0), left: waits("delivery.timeout", soon).afresh(), short: true},
		{rows: rows{57}, name: "close", do: hangs(byClose), want: good, left: again},
		{rows: rows{57}, name: "reset", do: hangs(byReset), want: good, left: again},
	}
}

func faultsAtRCPT() []fault {
	at := func(code int) first { return deferred(post.PhaseRCPT, code) }
	never := func(code int) first { return failedAt(post.PhaseRCPT, code) }
	lost := waits("delivery.connection", soon).afresh()
	noBox := fails("delivery.no_mailbox").suppressing()
	return []fault{
		{rows: rows{17}, name: "421", do: says("421 4.3.2 closing").Then(byClose), want: good, left: again},
		{rows: rows{18}, name: "peak", do: says("450 4.2.1 Peak relay limit exceeded"), want: good, left: holds("account.rate", minute)},
		{rows: rows{19}, name: "quota", do: says("550 5.4.5 daily user sending limit exceeded"), want: good, left: holds("account.quota", hour)},
		{rows: rows{20}, name: "send as", do: says("550 5.7.60 no permission to send as this sender"), want: good, left: holds("account.sender", 0)},
		{rows: rows{23}, name: "251", do: says("251 2.1.5 will forward"), want: good, left: same},
		{rows: rows{23}, name: "252", do: says("252 2.1.5 perhaps"), want: good, left: same},
		{rows: rows{24}, name: "grey", do: says("451 4.7.1 greylisted, come back later"), want: at(451), left: waits("delivery.greylisted", greyed)},
		{rows: rows{24}, name: "450", do: says("450 4.2.1 try again later"), want: at(450), left: waits("delivery.greylisted", greyed)},
		{rows: rows{25}, name: "full", do: says("452 4.2.2 mailbox full"), want: at(452), left: waits("delivery.mailbox_full", filled)},
		{rows: rows{25}, name: "552", do: says("552 5.2.2 mailbox full"), want: at(552), left: waits("delivery.mailbox_full", filled)},
		{rows: rows{26}, name: "storage", do: says("452 4.3.1 no storage"), want: at(452), left: waits("delivery.deferred", soon)},
		{rows: rows{26}, name: "recipients", do: says("452 4.5.3 one only"), want: at(452), left: waits("delivery.deferred", soon)},
		{rows: rows{27}, name: "5.1.1", do: says("550 5.1.1 no such user"), want: never(550), left: noBox},
		{rows: rows{27}, name: "5.1.10", do: says("556 5.1.10 null MX"), want: never(556), left: noBox},
		{rows: rows{27}, name: "5.2.1", do: says("550 5.2.1 disabled"), want: never(550), left: noBox},
		{rows: rows{27}, name: "5.1.6", do: says("551 5.1.6 moved"), want: never(551), left: noBox},
		{rows: rows{27}, name: "5.1.3", do: says("553 5.1.3 no address"), want: never(553), left: noBox},
		{rows: rows{27}, name: "several lines", do: says("550 5.1.1 no\n5.1.1 such\n5.1.1 user"), want: never(550), left: noBox},
		{rows: rows{28}, name: "5.1.2", do: says("550 5.1.2 no such domain"), want: never(550), left: fails("delivery.no_domain")},
		{rows: rows{29}, name: "5.7.1", do: says("554 5.7.1 blocked"), want: never(554), left: fails("delivery.refused")},
		{rows: rows{29}, name: "550 alone", do: says("550 no"), want: never(550), left: fails("delivery.refused")},
		{rows: rows{30}, name: "450", do: says("450 4.4.1 no route"), want: at(450), left: waits("delivery.deferred", soon)},
		{rows: rows{30}, name: "5.4.1", do: says("550 5.4.1 no"), want: never(550), left: fails("delivery.refused")},
		{rows: rows{37}, name: "552 5.3.4", do: says("552 5.3.4 too big"), want: never(552), left: fails("delivery.too_large")},
		{rows: rows{41}, name: "garbage", do: sends("what?\r\n"), want: at(0), left: lost, unlearns: true},
		{rows: rows{41}, name: "mixed codes", do: sends("250-yes\r\n550 no\r\n"), want: at(0), left: lost, unlearns: true},
		{rows: rows{41}, name: "endless", do: act{Endless: 8 << 20}, want: at(0), left: lost},
		{rows: rows{42}, name: "stall", do: hangs(byStall), want: at(0), left: waits("delivery.timeout", soon).afresh(), unlearns: true, short: true},
		{rows: rows{57}, name: "close", do: hangs(byClose), want: at(0), left: lost},
		{rows: rows{57}, name: "reset", do: hangs(byReset), want: at(0), left: lost},
		{rows: rows{57}, name: "cut", do: hangs(byCut), want: at(0), left: lost},
		{rows: rows{58}, name: "rate", do: says("451 4.7.1 too many connections, slow down"), want: good, left: holds("account.rate", minute)},
		{rows: rows{58}, name: "limit", do: says("450 4.2.1 over your limit"), want: good, left: holds("account.rate", minute)},
		{rows: rows{58, 24}, name: "neither", do: says("451 4.7.1 no"), want: at(451), left: waits("delivery.greylisted", greyed)},
		{rows: rows{61}, name: "not owned", do: says("553 5.7.1 Sender address rejected: not owned by user"), want: good, left: holds("account.sender", 0)},
		{rows: rows{61, 29}, name: "about the recipient", do: says("550 5.7.1 recipient not allowed"), want: never(550), left: fails("delivery.refused")},
	}
}

func faultsAtDATA() []fault {
	at := func(code int) first { return deferred(post.PhaseDATA, code) }
	lost := waits("delivery.connection", soon).afresh()
	return []fault{
		{rows: rows{17}, name: "421", do: says("421 4.3.2 closing").Then(byClose), want: good, left: again},
		{rows: rows{31}, name: "451", do: says("451 4.3.0 not now"), want: at(451), left: waits("delivery.deferred", soon)},
		{rows: rows{31}, name: "554", do: says("554 5.5.1 no"), want: failedAt(post.PhaseDATA, 554), left: fails("delivery.refused")},
		{rows: rows{32}, name: "250", do: says("250 2.0.0 ok"), want: at(250), left: waits("delivery.odd_reply", soon).afresh(), unlearns: true},
		{rows: rows{41}, name: "garbage", do: sends("\r\n"), want: at(0), left: lost, unlearns: true},
		{rows: rows{41}, name: "one reply too many", do: act{After: "250 2.0.0 Ok\r\n"}, want: at(0), left: lost, unlearns: true},
		{rows: rows{42}, name: "stall", do: hangs(byStall), want: at(0), left: waits("delivery.timeout", soon).afresh(), unlearns: true, short: true},
		{rows: rows{57}, name: "close", do: hangs(byClose), want: at(0), left: lost},
		{rows: rows{57}, name: "reset", do: hangs(byReset), want: at(0), left: lost},
	}
}

func faultsAtDot() []fault {
	at := func(code int) first { return deferred(post.PhaseDot, code) }
	never := func(code int) first { return failedAt(post.PhaseDot, code) }
	sent := func(code int) first { return first{post.StateSent, post.PhaseDot, code, true, true} }
	lost, odd := doubt("uncertain.connection"), doubt("uncertain.odd_reply")
	return []fault{
		{rows: rows{18}, name: "rate", do: says("451 4.7.1 sending rate too high"), want: good, left: holds("account.rate", minute).unreset()},
		{rows: rows{19}, name: "quota", do: says("550 5.4.5 daily user sending limit exceeded"), want: good, left: holds("account.quota", hour).unreset()},
		{rows: rows{20}, name: "send as", do: says("550 5.7.60 no permission to send as this sender"), want: good, left: holds("account.sender", 0).unreset()},
		{rows: rows{25, 36}, name: "full", do: says("452 4.2.2 mailbox full"), want: at(452), left: waits("delivery.mailbox_full", filled).unreset()},
		{rows: rows{27}, name: "5.1.1", do: says("550 5.1.1 no such user"), want: never(550), left: fails("delivery.no_mailbox").unreset().suppressing()},
		{rows: rows{29, 38}, name: "blocked", do: says("550 5.7.1 blocked"), want: never(550), left: fails("delivery.content").unreset()},
		{rows: rows{35}, name: "bare 250", do: sends("250\r\n"), want: good, left: same},
		{rows: rows{35}, name: "odd 2xx", do: says("251 2.1.5 will forward"), want: sent(251), left: same},
		{rows: rows{35}, name: "lines of 250", do: says("250 2.0.0 Ok\nqueued\nbye"), want: good, left: same},
		{rows: rows{35}, name: "then close", do: act{End: byClose}, want: good, left: again},
		{rows: rows{35, 39}, name: "then reset", do: act{End: byReset}}, // the reply may be lost with it
		{rows: rows{35}, name: "drip", do: act{Drip: time.Millisecond}, want: good, left: same},
		{rows: rows{35, 39}, name: "late", do: act{Wait: impatience / 4}, want: good, left: same, short: true},
		{rows: rows{36}, name: "451", do: says("451 4.3.0 later"), want: at(451), left: waits("delivery.deferred", soon).unreset()},
		{rows: rows{36}, name: "452", do: says("452 4.3.1 disk full"), want: at(452), left: waits("delivery.deferred", soon).unreset()},
		{rows: rows{37}, name: "552", do: says("552 5.3.4 too big"), want: never(552), left: fails("delivery.too_large").unreset()},
		{rows: rows{37}, name: "552 5.2.3", do: says("552 5.2.3 too big"), want: never(552), left: fails("delivery.too_large").unreset()},
		{rows: rows{38}, name: "554", do: says("554 5.7.1 spam"), want: never(554), left: fails("delivery.content").unreset()},
		{rows: rows{38}, name: "5.6.0", do: says("554 5.6.0 bad content"), want: never(554), left: fails("delivery.content").unreset()},
		{rows: rows{39}, name: "taken, closed", do: took(hangs(byClose)), want: unsure, left: lost},
		{rows: rows{39}, name: "taken, reset", do: took(hangs(byReset)), want: unsure, left: lost},
		{rows: rows{39}, name: "taken, stalled", do: took(hangs(byStall)), want: unsure, left: doubt("uncertain.timeout"), short: true},
		{rows: rows{39}, name: "refused, closed", do: refused(hangs(byClose)), want: unsure, left: lost},
		{rows: rows{39}, name: "refused, stalled", do: refused(hangs(byStall)), want: unsure, left: doubt("uncertain.timeout"), short: true},
		{rows: rows{39}, name: "too late", do: act{Wait: 3 * impatience}, want: unsure, left: doubt("uncertain.timeout"), short: true},
		{rows: rows{39}, name: "garbage", do: took(sends("\x00\x07?!\r\n")), want: unsure, left: odd},
		{rows: rows{39}, name: "mixed codes", do: took(sends("250-Ok\r\n450 or not\r\n")), want: unsure, left: odd},
		{rows: rows{39}, name: "354", do: took(says("354 more")), want: first{post.StateUncertain, post.PhaseDot, 354, true, true}, left: odd},
		{rows: rows{39}, name: "long line", do: took(longLine()), want: unsure, left: odd},
		{rows: rows{39}, name: "endless", do: took(act{Endless: 8 << 20, End: byClose}), want: unsure, left: odd},
		{rows: rows{40}, name: "then 421", do: act{After: "421 4.3.2 shutting down\r\n", End: byClose}, want: good, left: again.learning(2, 3), steps: again},
		{rows: rows{59, 36}, name: "421", do: says("421 4.3.2 shutting down").Then(byClose), want: at(421), left: waits("account.closing", soon).afresh()},
		{rows: rows{59, 18}, name: "421 rate", do: says("421 4.7.0 rate limit").Then(byClose), want: at(421), left: left{
			state: post.StateQueued, key: "account.rate", wait: soon, account: "account.rate", accountWait: minute, conns: 1,
		}},
		{rows: rows{60, 39}, name: "cut early", do: took(sends("25").Then(byClose)), want: unsure, left: lost},
		{rows: rows{60, 39}, name: "cut after the code", do: took(sends("250").Then(byClose)), want: unsure, left: lost},
		{rows: rows{60}, name: "cut", do: sends("250 ").Then(byClose), want: good, left: again},
		{rows: rows{60}, name: "cut in lines", do: sends("250-2.0.0 ok\r\n250-").Then(byClose), want: good, left: again},
		{rows: rows{61}, name: "sender", do: says("554 5.7.1 sender not allowed"), want: good, left: holds("account.sender", 0).unreset()},
	}
}

// faultsAtRSET come behind a recipient that was refused for now.
func faultsAtRSET() []fault {
	want := deferred(post.PhaseRCPT, 450)
	gone := waits("delivery.deferred", soon).afresh()
	gone.rsets = 1
	return []fault{
		{rows: rows{40}, name: "500", do: says("500 5.5.1 no"), want: want, left: gone},
		{rows: rows{40, 17}, name: "421", do: says("421 4.3.2 closing").Then(byClose), want: want, left: gone},
		{rows: rows{40}, name: "close", do: hangs(byClose), want: want, left: gone},
		{rows: rows{40}, name: "reset", do: hangs(byReset), want: want, left: gone},
		{rows: rows{40}, name: "garbage", do: sends("?\r\n"), want: want, left: gone},
		{rows: rows{40}, name: "stall", do: hangs(byStall), want: want, left: gone, short: true},
		{rows: rows{40}, name: "one reply too many", do: act{After: "250 2.0.0 Ok\r\n"}, want: want, left: gone},
	}
}

// faultsAtQUIT touch nobody.
func faultsAtQUIT() []fault {
	return []fault{
		{rows: rows{40}, name: "421", do: says("421 4.3.2 closing"), want: good, left: same},
		{rows: rows{40}, name: "close", do: hangs(byClose), want: good, left: same},
		{rows: rows{40}, name: "stall", do: hangs(byStall), want: good, left: same},
	}
}

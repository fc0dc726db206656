package mailer

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postroom/post"
)

// ruling is what a test says about a verdict. A nil field is not compared.
type ruling struct {
	fate     Fate
	link     Link
	step     Step
	schedule Schedule
	strike   Strike
	suppress Suppressing
	marks    string // of fewer, learn, policy, content: those that are set, sorted
	key      string // of the reason
}

func rulingOf(v Verdict) ruling {
	var marks []string
	for _, m := range []struct {
		on   bool
		name string
	}{{v.Content, "content"}, {v.Fewer, "fewer"}, {v.Learn, "learn"}, {v.Policy, "policy"}} {
		if m.on {
			marks = append(marks, m.name)
		}
	}
	return ruling{v.Fate, v.Link, v.Account, v.Schedule, v.Strike, v.Suppress, strings.Join(marks, " "), v.Reason.Key}
}

// on builds an event from a phase and what came: "550 5.1.1 text" for a reply,
// "!cause" for none; ". " before it says that the dot was sent.
func on(phase post.Phase, what string) Event {
	e := Event{Phase: phase}
	if rest, ok := strings.CutPrefix(what, ". "); ok {
		e.DotSent, what = true, rest
	}
	if cause, ok := strings.CutPrefix(what, "!"); ok {
		e.Cause = post.Cause(cause)
		return e
	}
	var code int
	if _, err := fmt.Sscanf(what, "%3d", &code); err != nil {
		panic("a test's reply: " + what)
	}
	e.Reply = post.NewReply(code, what[3:])
	return e
}

var (
	twoLost  = strike("connection", 2, Wait)
	waitAcct = ruling{link: Drop, step: Wait}
	stopAcct = ruling{link: Drop, step: Stop}
)

func (r ruling) as(key string) ruling             { r.key = key; return r }
func (r ruling) struck(s Strike) ruling           { r.strike = s; return r }
func (r ruling) marked(m string) ruling           { r.marks = m; return r }
func (r ruling) every(s Schedule) ruling          { r.schedule = s; return r }
func (r ruling) linked(l Link) ruling             { r.link = l; return r }
func (r ruling) suppressing(s Suppressing) ruling { r.suppress = s; return r }

func ruled(f Fate, l Link, key string) ruling { return ruling{fate: f, link: l, key: key} }

// judgeCase is one event and what it means.
type judgeCase struct {
	rows  rows
	name  string
	phase post.Phase
	what  string
	want  ruling
}

// judgeCases has a case or several for every row of the rule book's table of
// events that is about a verdict.
func judgeCases() []judgeCase {
	const (
		secret, render, resolve, connect  = post.PhaseSecret, post.PhaseRender, post.PhaseResolve, post.PhaseConnect
		greeting, ehlo, starttls, tls     = post.PhaseGreeting, post.PhaseEHLO, post.PhaseSTARTTLS, post.PhaseTLS
		auth, mail, rcpt, data, body, dot = post.PhaseAuth, post.PhaseMAIL, post.PhaseRCPT, post.PhaseDATA, post.PhaseBody, post.PhaseDot
		rset, quit                        = post.PhaseRSET, post.PhaseQUIT
	)
	noSuchHost := waitAcct.as("account.no_host").struck(strike("no-host", 3, Stop))
	closing := ruled(Keep, Drop, "account.closing").struck(twoLost)
	rate := ruling{link: Reset, step: Wait, schedule: Rate, key: "account.rate"}
	quota := ruling{link: Reset, step: Wait, schedule: Quota, key: "account.quota"}
	sender := ruling{link: Reset, step: Stop, key: "account.sender"}
	settings := stopAcct.as("account.settings")
	grey := ruled(Defer, Reset, "delivery.greylisted").every(Grey)
	greyStrike := grey.struck(apart("grey"))
	full := ruled(Defer, Reset, "delivery.mailbox_full").every(Full)
	noBox := ruled(Fail, Reset, "delivery.no_mailbox").suppressing(SuppressNow)
	refused := ruled(Fail, Reset, "delivery.refused").marked("policy")
	later := ruled(Defer, Reset, "delivery.deferred")
	mail4 := later.struck(apart("mail-4xx"))
	mail5 := ruled(Defer, Reset, "account.refused").struck(strike("mail-5xx", 3, Stop))
	content := ruled(Fail, Stay, "delivery.content").marked("content policy")
	lostMAIL := ruled(Keep, Abort, "account.connection").struck(twoLost)
	lostLater := ruled(Defer, Abort, "delivery.connection").struck(twoLost)
	slow := ruled(Defer, Abort, "delivery.timeout").struck(twoLost)
	halfBody := lostLater
	sent := ruling{fate: Sent}
	return []judgeCase{
		{rows{1}, "unknown host", resolve, "!no-host", noSuchHost},
		{rows{2, 52}, "DNS time-out", resolve, "!dns", waitAcct.as("account.dns")},
		{rows{3}, "refused", connect, "!refused", waitAcct.as("account.unreachable")},
		{rows{3, 52}, "unreachable", connect, "!unreachable", waitAcct.as("account.unreachable")},
		{rows{3}, "time-out", connect, "!timeout", waitAcct.as("account.unreachable")},
		{rows{3}, "not this computer", connect, "!not-loopback", stopAcct.as("account.not_loopback")},
		{rows{4}, "greeting 421", greeting, "421 4.3.2 later", waitAcct.as("account.greeting").marked("fewer")},
		{rows{4}, "greeting 432", greeting, "432 4.3.2 Concurrent connections limit exceeded", waitAcct.as("account.greeting").marked("fewer")},
		{rows{5}, "greeting 554", greeting, "554 5.7.1 no service", waitAcct.as("account.greeting").struck(strike("greeting", 3, Stop))},
		{rows{5}, "greeting 521", greeting, "521 no mail here", waitAcct.as("account.greeting").struck(strike("greeting", 3, Stop))},
		{rows{6}, "garbage", greeting, "!protocol", waitAcct.as("account.greeting")},
		{rows{6}, "silence", greeting, "!timeout", waitAcct.as("account.greeting")},
		{rows{6}, "endless", greeting, "!too-long", waitAcct.as("account.greeting")},
		{rows{7}, "certificate", tls, "!certificate", stopAcct.as("account.certificate")},
		{rows{8}, "alert", tls, "!tls", waitAcct.as("account.tls").struck(strike("tls", 3, Stop))},
		{rows{8}, "EOF", tls, "!eof", waitAcct.as("account.tls").struck(strike("tls", 3, Stop))},
		{rows{8}, "time-out", tls, "!timeout", waitAcct.as("account.tls").struck(strike("tls", 3, Stop))},
		{rows{9}, "not offered at EHLO", ehlo, "!no-tls", stopAcct.as("account.no_tls")},
		{rows{9}, "not offered", starttls, "!no-tls", stopAcct.as("account.no_tls")},
		{rows{9}, "refused", starttls, "502 5.5.1 no", stopAcct.as("account.no_tls")},
		{rows{9}, "not now", starttls, "454 4.7.0 TLS not available", waitAcct.as("account.no_tls")},
		{rows{10}, "injected", starttls, "!injected", waitAcct.as("account.no_tls").struck(strike("injected", 2, Stop))},
		{rows{11}, "EHLO 502", ehlo, "502 5.5.1 what", stopAcct.as("account.ehlo")},
		{rows{11}, "EHLO 500", ehlo, "500 what", stopAcct.as("account.ehlo")},
		{rows{11}, "EHLO 421", ehlo, "421 4.3.2 shutting down", waitAcct.as("account.ehlo")},
		{rows{12}, "wrong password", auth, "535 5.7.8 no", stopAcct.as("account.password")},
		{rows{12}, "application password", auth, "534 5.7.9 application-specific password required", stopAcct.as("account.password")},
		{rows{12}, "Microsoft", auth, "535 5.7.139 basic authentication is disabled", stopAcct.as("account.password")},
		{rows{13}, "too many logins", auth, "454 4.7.0 too many logins", waitAcct.as("account.sign_in").every(SignIn)},
		{rows{14}, "password change", auth, "432 4.7.12 change it", stopAcct.as("account.password_change")},
		{rows{14}, "422", auth, "422 no", stopAcct.as("account.password_change")},
		{rows{14}, "432 alone", auth, "432 a password transition is needed", stopAcct.as("account.password_change")},
		{rows{14}, "500", auth, "500 5.5.1 no", stopAcct.as("account.no_mechanism")},
		{rows{14}, "501", auth, "501 5.5.2 no", stopAcct.as("account.no_mechanism")},
		{rows{14}, "504", auth, "504 5.5.4 no", stopAcct.as("account.no_mechanism")},
		{rows{14}, "nothing in common", auth, "!no-mechanism", stopAcct.as("account.no_mechanism")},
		{rows{15}, "538", auth, "538 5.7.11 encryption required", settings},
		{rows{15}, "530 at AUTH", auth, "530 5.7.0 STARTTLS first", settings},
		{rows{15}, "530 at MAIL", mail, "530 5.7.0 authentication required", settings},
		{rows{15}, "538 at RCPT", rcpt, "538 5.7.11 encryption required", settings},
		{rows{16}, "keyring", secret, "!secret", stopAcct.as("account.secret")},
		{rows{17}, "421 at MAIL", mail, "421 4.3.2 closing", closing.marked("learn")},
		{rows{17}, "421 at RCPT", rcpt, "421 4.3.2 closing", closing},
		{rows{17}, "421 at DATA", data, "421 closing", closing},
		{rows{17}, "421 at AUTH", auth, "421 4.3.0 closing", waitAcct.as("account.sign_in").marked("fewer")},
		{rows{17}, "421 at STARTTLS", starttls, "421 4.3.2 closing", waitAcct.as("account.no_tls")},
		{rows{4}, "432 at AUTH", auth, "432 4.3.2 Concurrent connections limit exceeded", waitAcct.as("account.sign_in").marked("fewer")},
		{rows{18}, "421 4.7.0", mail, "421 4.7.0 too many", rate.linked(Drop)},
		{rows{18}, "421 4.7.28", rcpt, "421 4.7.28 unusual rate", rate.linked(Drop)},
		{rows{18}, "450 peak relay limit", rcpt, "450 4.2.1 Peak relay limit exceeded", rate},
		{rows{18}, "451 throttled", mail, "451 4.7.650 you are being throttled", rate},
		{rows{18}, "too many messages", mail, "450 4.7.1 too many messages", rate},
		{rows{18}, "rate", mail, "450 4.7.0 your message rate is too high", rate},
		{rows{18}, "at the dot", dot, ". 451 4.7.1 sending rate too high", rate.linked(Stay)},
		{rows{19}, "Gmail", mail, "550 5.4.5 Daily user sending limit exceeded", quota},
		{rows{19}, "at RCPT", rcpt, "550 5.4.5 Daily user sending limit exceeded", quota},
		{rows{19}, "at the dot", dot, ". 550 5.4.5 Daily user sending limit exceeded", quota.linked(Stay)},
		{rows{19}, "452", rcpt, "452 4.5.3 daily quota reached", quota},
		{rows{19}, "454", mail, "454 4.5.3 limit exceeded", quota},
		{rows{19}, "421 ends the connection", mail, "421 4.4.5 daily limit", quota.linked(Drop)},
		{rows{19}, "421 at the dot", dot, ". 421 4.4.5 daily limit", quota.linked(Drop)},
		{rows{19}, "no enhanced code", rcpt, "550 you have reached your daily limit", quota},
		{rows{19}, "5xx limit exceeded", rcpt, "550 5.7.1 sending rate limit exceeded", quota},
		{rows{19}, "Microsoft", dot, ". 554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", quota.linked(Stay)},
		{rows{20}, "throttled", mail, "550 5.2.252 Sender throttled", sender},
		{rows{20}, "send as", dot, ". 550 5.7.60 SMTP; Client does not have permissions to send as this sender", sender.linked(Stay)},
		{rows{20}, "5.7.1 at MAIL", mail, "553 5.7.1 sender address rejected", sender},
		{rows{20}, "not allowed", mail, "550 5.7.1 sender not allowed", sender},
		{rows{20}, "sender's mailbox", mail, "554 5.2.2 mailbox full", sender},
		{rows{21}, "4xx", mail, "451 4.3.0 later", mail4},
		{rows{21}, "450", mail, "450 not now", mail4},
		{rows{22}, "5xx", mail, "550 no", mail5},
		{rows{22}, "501", mail, "501 5.1.7 bad sender", mail5},
		{rows{22}, "SIZE", mail, "552 5.3.4 too big", ruled(Fail, Reset, "delivery.too_large")},
		{rows{22}, "SMTPUTF8", mail, "553 5.6.7 needs SMTPUTF8", ruled(Fail, Reset, "delivery.smtputf8")},
		{rows{23}, "354 to MAIL", mail, "354 go on", lostMAIL},
		{rows{23}, "354 to RCPT", rcpt, "354 go on", lostMAIL},
		{rows{24}, "greylisted", rcpt, "451 4.7.1 Greylisted, please come back", grey},
		{rows{24}, "450", rcpt, "450 4.2.0 greylisting", later},
		{rows{24}, "try again later", rcpt, "450 4.2.1 try again later", grey},
		{rows{25}, "mailbox full", rcpt, "452 4.2.2 mailbox full", full},
		{rows{25}, "552", rcpt, "552 5.2.2 mailbox full", full},
		{rows{25}, "450", rcpt, "450 4.2.2 mailbox full", full},
		{rows{25}, "552 alone", rcpt, "552 no room", full},
		{rows{25}, "550 5.2.2", rcpt, "550 5.2.2 over quota", full},
		{rows{26}, "system storage", rcpt, "452 4.3.1 insufficient system storage", later},
		{rows{26}, "at MAIL", mail, "452 4.3.1 insufficient system storage", mail4},
		{rows{26}, "recipients", rcpt, "452 4.5.3 one only", later},
		{rows{27}, "5.1.1", rcpt, "550 5.1.1 no such user", noBox},
		{rows{27}, "5.1.10", rcpt, "550 5.1.10 null MX", noBox},
		{rows{27}, "5.2.1", rcpt, "550 5.2.1 disabled", noBox},
		{rows{27}, "5.1.6", rcpt, "551 5.1.6 moved", noBox},
		{rows{27}, "5.1.3", rcpt, "553 5.1.3 bad address", noBox},
		{rows{27}, "556", rcpt, "556 domain takes no mail", noBox},
		{rows{28}, "domain", rcpt, "550 5.1.2 no such domain", ruled(Fail, Reset, "delivery.no_domain").suppressing(SuppressSecond)},
		{rows{29}, "5.7.1", rcpt, "550 5.7.1 blocked", refused},
		{rows{29}, "554 5.7.1", rcpt, "554 5.7.1 service unavailable; client host blocked", refused},
		{rows{29}, "5.7.26", rcpt, "550 5.7.26 unauthenticated", refused},
		{rows{29}, "550 alone", rcpt, "550 no", refused},
		{rows{29}, "at the dot", dot, ". 550 5.7.1 blocked", content},
		{rows{30}, "other 4xx", rcpt, "450 4.4.1 no route", later},
		{rows{30}, "other 5xx", rcpt, "550 5.4.1 no", refused.suppressing(SuppressSecond)},
		{rows{31}, "4xx", data, "451 4.3.0 not now", later},
		{rows{31}, "5xx", data, "554 5.5.1 no", refused},
		{rows{32}, "250 to DATA", data, "250 ok", ruled(Defer, Abort, "delivery.odd_reply").struck(twoLost)},
		{rows{33}, "render", render, "!local", ruled(Fail, Stay, "delivery.render")},
		{rows{34}, "reset", body, "!reset", halfBody},
		{rows{34}, "EOF", body, "!eof", halfBody},
		{rows{34}, "time-out", body, "!timeout", halfBody},
		{rows{34}, "at the dot, not sent", dot, "!reset", halfBody},
		{rows{34}, "premature 552", body, "552 5.3.4 too big", ruled(Fail, Abort, "delivery.too_large")},
		{rows{34}, "premature 554", body, "554 5.7.1 spam", content.linked(Abort)},
		{rows{34}, "premature 451", body, "451 4.3.0 later", ruled(Defer, Abort, "delivery.deferred")},
		{rows{34}, "premature 250", body, "250 ok", ruled(Defer, Abort, "delivery.odd_reply")},
		{rows{34}, "premature 354", body, "354 more", ruled(Defer, Abort, "delivery.odd_reply")},
		{rows{35}, "250", dot, ". 250 2.0.0 queued as 1", sent},
		{rows{35}, "bare 250", dot, ". 250", sent},
		{rows{35}, "251", dot, ". 251 2.1.5 will forward", sent},
		{rows{35}, "299", dot, ". 299", sent},
		{rows{36}, "4xx", dot, ". 451 4.3.0 later", ruled(Defer, Stay, "delivery.deferred")},
		{rows{36}, "452", dot, ". 452 4.3.1 disk full", ruled(Defer, Stay, "delivery.deferred")},
		{rows{36}, "mailbox full", dot, ". 452 4.2.2 mailbox full", full.linked(Stay)},
		{rows{37}, "5.3.4", dot, ". 552 5.3.4 too big", ruled(Fail, Stay, "delivery.too_large")},
		{rows{37}, "5.2.3", dot, ". 552 5.2.3 too big", ruled(Fail, Stay, "delivery.too_large")},
		{rows{37}, "5.2.3 at MAIL", mail, "552 5.2.3 too big", ruled(Fail, Reset, "delivery.too_large")},
		{rows{37}, "size limit exceeded", mail, "552 5.3.4 message size limit exceeded", ruled(Fail, Reset, "delivery.too_large")},
		{rows{37}, "size limit exceeded, dot", dot, ". 552 5.3.4 message size limit exceeded", ruled(Fail, Stay, "delivery.too_large")},
		{rows{37}, "at RCPT", rcpt, "552 5.3.4 too big", ruled(Fail, Reset, "delivery.too_large")},
		{rows{38}, "spam", dot, ". 554 5.7.1 spam", content},
		{rows{38}, "5.6.0", dot, ". 554 5.6.0 bad content", content},
		{rows{38}, "554 alone", dot, ". 554 no", content},
		{rows{38}, "not content", dot, ". 554 5.3.0 broken", content.marked("policy")},
		{rows{39}, "EOF", dot, ". !eof", ruled(Uncertain, Abort, "uncertain.connection")},
		{rows{39}, "reset", dot, ". !reset", ruled(Uncertain, Abort, "uncertain.connection")},
		{rows{39}, "time-out", dot, ". !timeout", ruled(Uncertain, Abort, "uncertain.timeout")},
		{rows{39}, "garbage", dot, ". !protocol", ruled(Uncertain, Abort, "uncertain.odd_reply")},
		{rows{39}, "over-long", dot, ". !too-long", ruled(Uncertain, Abort, "uncertain.odd_reply")},
		{rows{39}, "354", dot, ". 354 more", ruled(Uncertain, Abort, "uncertain.odd_reply")},
		{rows{40}, "RSET fails", rset, "500 5.5.1 no", ruling{link: Drop}},
		{rows{40}, "QUIT 421", quit, "421 bye", closing},
		{rows{41}, "garbage at MAIL", mail, "!protocol", lostMAIL},
		{rows{41}, "garbage at RCPT", rcpt, "!protocol", lostLater},
		{rows{41}, "over-long at DATA", data, "!too-long", lostLater},
		{rows{42}, "MAIL", mail, "!timeout", slow},
		{rows{42}, "RCPT", rcpt, "!timeout", slow},
		{rows{42}, "DATA", data, "!timeout", slow},
		{rows{43}, "slow reader", body, "!timeout", halfBody},
		{rows{53}, "quit at RCPT", rcpt, "!cancelled", ruled(Keep, Abort, "")},
		{rows{53}, "quit in the body", body, "!cancelled", ruled(Keep, Abort, "")},
		{rows{53}, "forced in the gap", dot, ". !cancelled", ruled(Uncertain, Abort, "uncertain.connection")},
		{rows{57}, "EOF at MAIL", mail, "!eof", lostMAIL},
		{rows{57}, "reset at MAIL", mail, "!reset", lostMAIL},
		{rows{57}, "EOF at RCPT", rcpt, "!eof", lostLater},
		{rows{57}, "reset at DATA", data, "!reset", lostLater},
		{rows{58}, "rate", rcpt, "451 4.7.1 too many connections, slow down", rate},
		{rows{58}, "limit", rcpt, "451 4.7.1 you have reached your limit", rate},
		{rows{58}, "450 4.2.1 rate", rcpt, "450 4.2.1 unusual rate of mail from you", rate},
		{rows{58}, "450 4.2.1 about the recipient", rcpt, "450 4.2.1 the user you are trying to contact is receiving mail at a rate that is too high", greyStrike},
		{rows{58}, "not the word", rcpt, "451 4.7.1 separate moderators decide", greyStrike},
		{rows{58}, "grey", rcpt, "450 4.7.1 grey-listed, rate limit of new senders", grey},
		{rows{58}, "temporarily", rcpt, "451 4.7.1 temporarily rejected", grey},
		{rows{58}, "neither", rcpt, "451 4.7.1 no", greyStrike},
		{rows{58}, "450 4.2.1 neither", rcpt, "450 4.2.1 no", greyStrike},
		{rows{59}, "421", dot, ". 421 4.3.2 shutting down", ruled(Defer, Drop, "account.closing").struck(twoLost)},
		{rows{59}, "421 rate", dot, ". 421 4.7.0 rate limit", ruling{fate: Defer, link: Drop, step: Wait, schedule: Rate, key: "account.rate"}},
		{rows{60}, "cut 250", dot, ". 250 ", sent},
		{rows{61}, "not owned", rcpt, "553 5.7.1 <a@b.example>: Sender address rejected: not owned by user c", sender},
		{rows{61}, "at the dot", dot, ". 554 5.7.1 sender not allowed", sender.linked(Stay)},
		{rows{61}, "from address", rcpt, "550 5.7.1 From address denied", sender},
		{rows{61}, "not about the sender", rcpt, "550 5.7.1 recipient not allowed", refused},
		{rows{61}, "another code", rcpt, "550 5.1.1 sender denied", noBox},
	}
}

// TestJudge holds Judge to the table.
func TestJudge(t *testing.T) {
	for _, c := range judgeCases() {
		for _, attempts := range []int{0, 7} { // charged attempts never turn a wait into a failure
			e := on(c.phase, c.what)
			e.Attempts = attempts
			v := Judge(e)
			if got := rulingOf(v); got != c.want {
				t.Errorf("row %s, %s: %s %q after %d attempts:\n got %+v\nwant %+v", c.rows, c.name, c.phase, c.what, attempts, got, c.want)
			}
			if !e.Reply.IsZero() && v.Reason.Raw != e.Reply.String() {
				t.Errorf("row %s, %s: the server's words are lost: %+v", c.rows, c.name, v.Reason)
			}
		}
	}
}

// TestJudgeKeepsTheFaultsReason: a more exact reason of the sign-in wins.
func TestJudgeKeepsTheFaultsReason(t *testing.T) {
	e := on(post.PhaseAuth, "535 5.7.8 no")
	e.Reason = post.Reason{Key: "advice.app_password", Args: []string{"x"}}
	v := Judge(e)
	if v.Reason.Key != "advice.app_password" || len(v.Reason.Args) != 1 || v.Reason.Raw != "535 5.7.8 no" {
		t.Errorf("%+v", v.Reason)
	}
}

var (
	beforeMAIL = []post.Phase{
		post.PhaseSecret, post.PhaseResolve, post.PhaseConnect, post.PhaseGreeting, post.PhaseEHLO, post.PhaseSTARTTLS,
		post.PhaseTLS, post.PhaseAuth,
	}
	fromMAIL = []post.Phase{
		post.PhaseMAIL, post.PhaseRCPT, post.PhaseDATA, post.PhaseBody, post.PhaseDot, post.PhaseRSET, post.PhaseQUIT,
	}
	allCauses = []post.Cause{
		post.CauseNoHost, post.CauseDNS, post.CauseRefused, post.CauseUnreachable, post.CauseTimeout, post.CauseEOF, post.CauseReset,
		post.CauseCertificate, post.CauseTLS, post.CauseNoTLS, post.CauseInjected, post.CauseProtocol, post.CauseTooLong,
		post.CauseNoMechanism, post.CauseNotLoopback, post.CauseSecret, post.CauseLocal, post.CauseCancelled,
	}
	someCodes = []int{
		200, 211, 214, 220, 221, 235, 250, 251, 252, 253, 299, 300, 334, 354, 399, 400, 420, 421, 422, 431, 432, 441, 450, 451, 452, 453, 454, 455,
		471, 499, 500, 501, 502, 503, 504, 505, 510, 521, 523, 530, 534, 535, 538, 541, 550, 551, 552, 553, 554, 555, 556, 557, 571, 599,
	}
	someDetails = []string{
		"", "1.1", "1.2", "1.3", "1.6", "1.10", "2.0", "2.1", "2.2", "2.3", "2.252", "3.0", "3.1", "3.4", "4.1", "4.5", "5.1", "5.3", "6.0",
		"6.7", "7.0", "7.1", "7.8", "7.9", "7.12", "7.28", "7.60",
	}
	someTexts = []string{
		"", "no", "greylisted", "rate limit exceeded", "daily sending limit", "sender not allowed", "too many messages", "mailbox full",
		"size limit exceeded",
	}
)

// everyEvent calls f with the events that the codes, details, words, causes
// and phases above make.
func everyEvent(phases []post.Phase, f func(Event)) {
	for _, phase := range phases {
		for _, dotSent := range []bool{false, true} {
			if dotSent && phase != post.PhaseDot {
				continue
			}
			for _, c := range allCauses {
				f(Event{Phase: phase, Cause: c, DotSent: dotSent})
			}
			for _, code := range someCodes {
				for _, d := range someDetails {
					for _, text := range someTexts {
						r := post.Reply{Code: code, Text: text}
						if d != "" && code/100 != 3 {
							r.Enhanced = fmt.Sprintf("%d.%s", code/100, d)
						}
						f(Event{Phase: phase, Reply: r, DotSent: dotSent, Attempts: code % 5})
					}
				}
			}
		}
	}
}

// TestBeforeMAILNothingIsAboutARecipient: whatever a server or the network does
// before MAIL, the delivery stays as it was, and the account waits or stops:
// there is no retry without a delay.
func TestBeforeMAILNothingIsAboutARecipient(t *testing.T) {
	n := 0
	everyEvent(beforeMAIL, func(e Event) {
		n++
		v := Judge(e)
		if v.Fate != Keep || v.Suppress != SuppressNo || v.Policy || v.Content {
			t.Errorf("%s %s %s: %+v", e.Phase, e.Reply, e.Cause, v)
		}
		if v.Account == None || v.Reason.Key == "" {
			t.Errorf("%s %s %s: nobody waits or nobody is told: %+v", e.Phase, e.Reply, e.Cause, v)
		}
	})
	if n < 100_000 {
		t.Errorf("%d events only", n)
	}
}

// TestVerdictsHoldTogether checks what must be true of every verdict from MAIL on.
func TestVerdictsHoldTogether(t *testing.T) {
	everyEvent(fromMAIL, func(e Event) {
		v := Judge(e)
		bad := func(why string) { t.Errorf("%s: %s %q %s dot %v: %+v", why, e.Phase, e.Reply, e.Cause, e.DotSent, v) }
		class := e.Reply.Class()
		switch {
		case v.Fate == Uncertain && !e.DotSent && (e.Phase != post.PhaseDot || e.Reply.IsZero()):
			bad("uncertain without a dot")
		case v.Fate == Sent && (e.Phase != post.PhaseDot || class != 2):
			bad("sent without a 2yz to the dot")
		case e.Phase == post.PhaseDot && class == 2 && v.Fate != Sent:
			bad("a 2yz to the dot is not sent")
		case e.DotSent && e.Reply.IsZero() && v.Fate != Uncertain:
			bad("no reply to the dot, and certain")
		case v.Fate == Fail && class != 5:
			bad("failed for good without a 5yz")
		case v.Suppress != SuppressNo && v.Fate != Fail:
			bad("suppressed and not failed")
		case v.Fate == Keep && v.Account == None && v.Strike.Kind == "" && v.Link != Abort && e.Phase != post.PhaseRSET && e.Phase != post.PhaseQUIT:
			bad("at once again, without end")
		case e.Reply.Code == 421 && v.Link != Drop && v.Link != Abort:
			bad("the connection is used after a 421")
		case e.Reply.IsZero() && v.Link != Abort && v.Link != Drop:
			bad("the connection is used after an error")
		case v.Link == Stay && e.Phase != post.PhaseDot:
			bad("a transaction is left open")
		case (v.Policy || v.Content) && v.Fate != Fail:
			bad("a breaker is fed without a failure")
		case v.Fate != Sent && v.Reason.Key == "" && e.Cause != post.CauseCancelled && e.Cause != post.CauseLocal &&
			e.Phase != post.PhaseRSET && e.Phase != post.PhaseQUIT:
			bad("nobody is told why")
		}
	})
}

// TestJudgeNeverPanics with texts and codes that no server should send.
func TestJudgeNeverPanics(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	phases := append(append([]post.Phase{"", "noop", post.PhaseRender}, beforeMAIL...), fromMAIL...)
	for range 100_000 {
		b := make([]byte, rnd.IntN(12))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		Judge(Event{
			Phase: phases[rnd.IntN(len(phases))], Cause: append(allCauses, "", "?")[rnd.IntN(len(allCauses)+2)], DotSent: rnd.IntN(2) == 0,
			Reply: post.Reply{Code: rnd.IntN(1200) - 100, Enhanced: string(b[:len(b)/2]), Text: string(b[len(b)/2:])}, Attempts: rnd.IntN(9) - 1,
		})
	}
}

// TestReasonsAreInTheCatalogue: every key that this package writes has words in
// every language.
func TestReasonsAreInTheCatalogue(t *testing.T) {
	used := map[string]bool{}
	for _, c := range allCauses {
		used["uncertain."+causeWord(c)] = true
	}
	key := regexp.MustCompile(`(?:because\(|Key: )"([a-z0-9_.]+)"`)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range key.FindAllSubmatch(b, -1) {
			if k := string(m[1]); !strings.HasSuffix(k, ".") { // a prefix
				used[k] = true
			}
		}
	}
	if len(used) < 40 {
		t.Fatalf("only %d keys were found", len(used))
	}
	for _, lang := range []string{"en", "zh-Hans"} {
		b, err := os.ReadFile(filepath.Join("..", "assets", "words", lang+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var words map[string]string
		if err := json.Unmarshal(b, &words); err != nil {
			t.Fatal(err)
		}
		for k := range used {
			if words[k] == "" {
				t.Errorf("%s has no words for %s", lang, k)
			}
		}
	}
}

package mailer

import (
	"strings"

	"postroom/post"
)

// Event is what happened in a conversation, as far as the verdict depends on it.
type Event struct {
	Phase post.Phase
	Reply post.Reply // zero when no usable reply came
	Cause post.Cause // set when no usable reply came
	// DotSent is true once the connection has accepted the end of the content.
	DotSent bool
	// Attempts is how often this delivery was charged before.
	Attempts int
	// Reason is a more exact catalogue key than the verdict's own, where the
	// fault carried one.
	Reason post.Reason
}

// Fate is what becomes of the delivery.
type Fate uint8

// The fates.
const (
	Keep      Fate = iota // back to the queue as it was: not charged, no backoff
	Sent                  // the server took it
	Defer                 // charged; waits for its own backoff
	Fail                  // refused for good
	Uncertain             // may or may not have been taken
)

// Link is what becomes of the connection.
type Link uint8

// The links.
const (
	Stay  Link = iota // usable for the next message as it stands
	Reset             // usable after RSET
	Drop              // over: close it, QUIT where that makes sense
	Abort             // botched: close the socket, send nothing more
)

// Step is what happens to the account.
type Step uint8

// The steps, the harder the later.
const (
	None Step = iota
	Wait
	Stop
)

// Schedule picks a table of waits.
type Schedule uint8

// The schedules. Of a delivery: Usual, Grey, Full. Of an account: Usual, SignIn,
// Rate, Quota.
const (
	Usual  Schedule = iota
	Grey            // 5 to 15 minutes first (RFC 6647)
	Full            // a full mailbox: long steps
	SignIn          // too many logins: 15 minutes, doubling
	Rate            // too fast: 1 minute, doubling, at most 1 hour; the rate is halved
	Quota           // a daily limit: 1 hour steps until the window ends
)

// Suppressing says whether an address goes on the suppression list.
type Suppressing uint8

// The ways of suppressing.
const (
	SuppressNo     Suppressing = iota
	SuppressNow                // the mailbox does not exist
	SuppressSecond             // only when it happens a second time
)

// Strike counts events of a kind on an account; any message that is taken
// clears the count. At Limit in a row, Then happens instead of Verdict.Account.
// With Apart only different deliveries count, not one that is tried again.
type Strike struct {
	Kind  string
	Limit int
	Then  Step
	Apart bool
}

// Verdict is what an event means.
type Verdict struct {
	Fate     Fate
	Link     Link
	Account  Step
	Schedule Schedule // of the account when it waits, else of the delivery
	Strike   Strike
	Suppress Suppressing
	// Fewer lowers the number of connections; Learn notes how many messages
	// this connection took.
	Fewer, Learn bool
	// Policy marks a refusal that may be about us: it feeds the breaker for five
	// domains in a row. Content marks one that is about the words of the mailing.
	Policy, Content bool
	Reason          post.Reason
}

// Judge returns the verdict on an event: the rules of the book, one row per
// case, without any state. Rows are numbered as in docs/architecture.md.
func Judge(e Event) Verdict {
	v := judge(e)
	if !e.Reason.IsZero() {
		v.Reason.Key, v.Reason.Args = e.Reason.Key, e.Reason.Args
	}
	if v.Reason.Raw == "" && !e.Reply.IsZero() {
		v.Reason.Raw = e.Reply.String()
	}
	return v
}

func judge(e Event) Verdict {
	switch e.Phase {
	case post.PhaseRender: // 33
		return Verdict{Fate: Fail, Reason: because("delivery.render")}
	case post.PhaseSecret, post.PhaseResolve, post.PhaseConnect, post.PhaseGreeting, post.PhaseEHLO,
		post.PhaseSTARTTLS, post.PhaseTLS, post.PhaseAuth:
		return judgeDial(e)
	case post.PhaseDot:
		if e.DotSent || !e.Reply.IsZero() {
			return judgeDot(e)
		}
		return judgeBody(e)
	case post.PhaseBody:
		return judgeBody(e)
	default:
		return judgeEnvelope(e)
	}
}

func because(key string) post.Reason { return post.Reason{Key: key} }

func strike(kind string, limit int, then Step) Strike {
	return Strike{Kind: kind, Limit: limit, Then: then}
}

// apart makes the account wait after three different deliveries in a row.
func apart(kind string) Strike {
	return Strike{Kind: kind, Limit: 3, Then: Wait, Apart: true}
}

// judgeDial: before MAIL nothing is ever about a recipient.
func judgeDial(e Event) Verdict {
	v := Verdict{Fate: Keep, Link: Drop, Account: Wait}
	class := e.Reply.Class()
	switch e.Phase {
	case post.PhaseSecret: // 16
		v.Account, v.Reason = Stop, because("account.secret")
	case post.PhaseResolve:
		v.Reason = because("account.dns") // 2
		if e.Cause == post.CauseNoHost {  // 1
			v.Reason, v.Strike = because("account.no_host"), strike("no-host", 3, Stop)
		}
	case post.PhaseConnect: // 3
		v.Reason = because("account.unreachable")
		if e.Cause == post.CauseNotLoopback {
			v.Account, v.Reason = Stop, because("account.not_loopback")
		}
	case post.PhaseGreeting:
		v.Reason = because("account.greeting") // 6
		switch class {
		case 4: // 4
			v.Fewer = true
		case 5: // 5
			v.Strike = strike("greeting", 3, Stop)
		}
	case post.PhaseTLS:
		if e.Cause == post.CauseCertificate { // 7
			v.Account, v.Reason = Stop, because("account.certificate")
		} else { // 8
			v.Reason, v.Strike = because("account.tls"), strike("tls", 3, Stop)
		}
	case post.PhaseSTARTTLS:
		v.Reason = because("account.no_tls")
		switch {
		case e.Cause == post.CauseInjected: // 10
			v.Strike = strike("injected", 2, Stop)
		case e.Cause == post.CauseNoTLS || class == 5: // 9
			v.Account = Stop
		case e.Cause == post.CauseProtocol || e.Cause == post.CauseTooLong:
			v.Strike = strike("tls", 3, Stop)
		}
	case post.PhaseEHLO:
		v.Reason = because("account.ehlo")
		switch {
		case e.Cause == post.CauseNoTLS: // 9
			v.Account, v.Reason = Stop, because("account.no_tls")
		case class == 5: // 11
			v.Account = Stop
		}
	case post.PhaseAuth:
		return judgeAuth(e)
	}
	return v
}

func judgeAuth(e Event) Verdict {
	v := Verdict{Fate: Keep, Link: Drop, Account: Wait, Reason: because("account.sign_in")}
	code, enhanced := e.Reply.Code, e.Reply.Enhanced
	switch {
	case e.Cause == post.CauseNoMechanism: // 14
		v.Account, v.Reason = Stop, because("account.no_mechanism")
	case e.Cause == post.CauseSecret: // too many failed sign-ins: (c) 27
		v.Schedule = SignIn
	case e.Cause != post.CauseNone:
		v.Reason = because("account.connection")
	case code == 432 && (enhanced == "4.7.12" || enhanced == ""), code == 422: // 14 (RFC 4954 6)
		v.Account, v.Reason = Stop, because("account.password_change")
	case code == 421, code == 432: // 4, 17: Microsoft counts connections only here
		v.Fewer = true
	case code == 500, code == 501, code == 502, code == 503, code == 504: // 14
		v.Account, v.Reason = Stop, because("account.no_mechanism")
	case code == 530, code == 538: // 15
		v.Account, v.Reason = Stop, because("account.settings")
	case e.Reply.Class() == 5: // 12
		v.Account, v.Reason = Stop, because("account.password")
	case e.Reply.Class() == 4: // 13
		v.Schedule = SignIn
	default:
		v.Reason = because("account.connection")
	}
	return v
}

// judgeEnvelope: MAIL, RCPT, the reply to DATA, and RSET between messages.
func judgeEnvelope(e Event) Verdict {
	if e.Cause != post.CauseNone {
		return lost(e)
	}
	if v, ok := aboutUs(e); ok {
		return v
	}
	switch e.Phase {
	case post.PhaseMAIL:
		return judgeMAIL(e)
	case post.PhaseRCPT:
		return judgeRCPT(e)
	case post.PhaseDATA:
		switch e.Reply.Class() {
		case 4: // 31
			return Verdict{Fate: Defer, Link: Reset, Reason: because("delivery.deferred")}
		case 5: // 31
			return Verdict{Fate: Fail, Link: Reset, Policy: true, Reason: because("delivery.refused")}
		default: // 32
			return Verdict{Fate: Defer, Link: Abort, Strike: strike("connection", 2, Wait), Reason: because("delivery.odd_reply")}
		}
	default: // 40
		return Verdict{Fate: Keep, Link: Drop}
	}
}

// lost: no usable reply, and no dot on the wire: certainly not taken.
func lost(e Event) Verdict {
	switch {
	case e.Cause == post.CauseCancelled: // 53
		return Verdict{Fate: Keep, Link: Abort}
	case e.Cause == post.CauseLocal:
		return Verdict{Fate: Keep, Link: Abort}
	case e.Cause == post.CauseTimeout: // 42
		return Verdict{Fate: Defer, Link: Abort, Strike: strike("connection", 2, Wait), Reason: because("delivery.timeout")}
	case e.Phase == post.PhaseRCPT || e.Phase == post.PhaseDATA:
		// 41, 57: charged from RCPT on, so that an address at which the server
		// always hangs up waits, and in the end expires, instead of coming back
		// for ever.
		return Verdict{Fate: Defer, Link: Abort, Strike: strike("connection", 2, Wait), Reason: because("delivery.connection")}
	default: // 41, 57
		return Verdict{Fate: Keep, Link: Abort, Strike: strike("connection", 2, Wait), Reason: because("account.connection")}
	}
}

// aboutUs sorts out replies at MAIL, RCPT and the dot that are about the
// account, whatever their class: too fast, too many, not allowed.
func aboutUs(e Event) (Verdict, bool) {
	code, enhanced, text := e.Reply.Code, e.Reply.Enhanced, strings.ToLower(e.Reply.Text)
	link := Reset
	if code == 421 {
		link = Drop
	}
	switch {
	case quotaReply(code, enhanced, text): // 19
		return Verdict{Fate: Keep, Link: link, Account: Wait, Schedule: Quota, Reason: because("account.quota")}, true
	case ownerReply(code, enhanced, text), senderReply(e.Phase, code, enhanced, text): // 20, 61
		return Verdict{Fate: Keep, Link: link, Account: Stop, Reason: because("account.sender")}, true
	case code == 530 || code == 538: // 15
		return Verdict{Fate: Keep, Link: Drop, Account: Stop, Reason: because("account.settings")}, true
	case code/100 == 4 && hasAny(text, "mi:dmc", "rp:drc"): // 17: NetEase's words for "enough over this connection"
		return Verdict{
			Fate: Keep, Link: Drop, Strike: strike("connection", 2, Wait), Learn: e.Phase == post.PhaseMAIL,
			Reason: because("account.closing"),
		}, true
	case rateReply(code, enhanced, text): // 18, 58
		v := Verdict{Fate: Keep, Link: link, Account: Wait, Schedule: Rate, Reason: because("account.rate")}
		if e.Phase == post.PhaseDot && code == 421 { // 59
			v.Fate = Defer
		}
		return v, true
	case code == 421 && e.Phase != post.PhaseDot: // 17
		return Verdict{
			Fate: Keep, Link: Drop, Strike: strike("connection", 2, Wait), Learn: e.Phase == post.PhaseMAIL,
			Reason: because("account.closing"),
		}, true
	}
	return Verdict{}, false
}

// quotaReply recognises a sending quota that is used up (row 19). A full
// mailbox of the recipient says x.2.2 and is not meant.
func quotaReply(code int, enhanced, text string) bool {
	switch detail(enhanced) {
	case "4.5":
		return true
	case "2.2":
		return false
	case "5.3":
		return hasAny(text, "daily", "quota", "limit exceeded", "sending limit")
	}
	switch code / 100 {
	case 4:
		if strings.Contains(text, "peak") { // of a short while: row 18
			return false
		}
	case 5:
		// "Slow down" as 5yz is no reason to fail anybody. Sizes have limits too.
		if !hasAny(text, "size", "mailbox", "storage", "too large", "too big") &&
			hasAny(text, "limit exceeded", "rate exceeded", "sending rate", "too many messages", "quotaexceeded", "recipient rate",
				// Microsoft, Tencent, Alibaba, NetEase (messages and recipients of a day)
				"refusequota", "frequency limited", "too frequently sending", "mi:stc", "rp:trc") {
			return true
		}
	default:
		return false
	}
	return hasAny(text, "daily sending", "daily limit", "daily user sending", "sending limit", "sending quota",
		"daily quota", "daily message quota", "quota exceeded for sender", "hourly limit", "message limit exceeded", "limit exceeded for")
}

// ownerWords are providers' words for an account that may not send, or not as
// this address, until its owner does something about it. They come under many
// codes, 4yz among them, and at any phase; none of them is about a recipient.
var ownerWords = []string{
	// Tencent (501)
	"same as authorization user",
	// NetEase (553, 554)
	"must equal authorized user", "local user only", "dt:sum", "mi:spb",
	// Alibaba (440)
	"conform with authentication",
	// iCloud (550 5.7.0), Fastmail (551 5.7.1)
	"not one of your addresses", "not authorised to send from", "not authorized to send from",
	// Microsoft (554 5.2.0, 554 5.2.252, 550 5.1.8)
	"sendasdenied", "outboundspamexception", "bad outbound sender",
	// Zoho (550 5.4.6, 554 5.1.8, 553)
	"unusual sending activity", "email outgoing blocked", "sender address blocked", "relaying disallowed",
	// Amazon (554), SendGrid (550), Brevo (450, 502), Mailgun (421)
	"email address is not verified", "sending paused", "not authorized to perform",
	"verified sender identity", "account is not yet activated", "is not allowed to send:",
}

// ownerReply recognises them (rows 20, 61).
func ownerReply(code int, enhanced, text string) bool {
	if c := code / 100; c != 4 && c != 5 {
		return false
	}
	// With Microsoft it is the sender's own mailbox that is full.
	return hasAny(text, ownerWords...) || detail(enhanced) == "2.2" && hasAny(text, "storedrv.submission")
}

// senderReply recognises that the server does not let this account send as this
// address (rows 20, 61).
func senderReply(phase post.Phase, code int, enhanced, text string) bool {
	if code/100 != 5 {
		return false
	}
	d := detail(enhanced)
	switch {
	case strings.HasPrefix(d, "2.25"), d == "7.60":
		return true
	case d == "2.2" && phase == post.PhaseMAIL:
		return true
	case d != "7.1" && enhanced != "" || code != 550 && code != 553 && code != 554:
		return false
	}
	if phase == post.PhaseMAIL && d == "7.1" {
		return true
	}
	return hasAny(text, "sender", "from address", "send as") &&
		hasAny(text, "not owned", "not allowed", "denied", "mismatch", "not authorized", "not authorised", "not permitted", "not logged in", "rejected: not")
}

// rateReply recognises "slow down" (rows 18, 58). Grey-listing uses the same
// codes; there the words decide.
func rateReply(code int, enhanced, text string) bool {
	switch {
	case code/100 != 4:
		return false
	case code == 421 && (enhanced == "4.7.0" || enhanced == "4.7.28"), code == 454 && hasAny(text, "rate"):
		return true
	}
	if hasAny(text, "grey", "gray") {
		return false
	}
	return hasAny(text, "rate limit", "rate exceeded", "sending rate", "submission rate", "too many", "too fast", "throttl", "too frequent", "frequency",
		"relay limit", "peak", "connection limit", "concurrent", "limit exceeded", "slow down",
		"mi:sfq", "rp:qrc") || // NetEase: messages and recipients of a quarter of an hour
		rateWord(detail(enhanced), text)
}

// rateWord takes "rate" and "limit" alone for a word about us under the codes
// that servers use for it, unless it is about the recipient's mailbox.
func rateWord(d, text string) bool {
	if !strings.HasPrefix(d, "7.") && d != "2.1" || hasAny(text, "receiving", "mailbox", "storage", "size") {
		return false
	}
	return strings.Contains(" "+text+" ", " rate ") || hasAny(text, "limit")
}

func judgeMAIL(e Event) Verdict {
	switch d := detail(e.Reply.Enhanced); {
	case e.Reply.Class() == 4: // 21, 26
		return Verdict{Fate: Defer, Link: Reset, Strike: apart("mail-4xx"), Reason: because("delivery.deferred")}
	case e.Reply.Class() != 5: // a positive answer that is none (desync)
		return Verdict{Fate: Keep, Link: Abort, Strike: strike("connection", 2, Wait), Reason: because("account.connection")}
	case e.Reply.Code == 552 && (d == "3.4" || d == ""), d == "2.3", d == "3.4": // 22, 37
		return Verdict{Fate: Fail, Link: Reset, Reason: because("delivery.too_large")}
	case d == "6.7": // 22
		return Verdict{Fate: Fail, Link: Reset, Reason: because("delivery.smtputf8")}
	default: // 22: not about the recipient, however often it was tried
		return Verdict{Fate: Defer, Link: Reset, Strike: strike("mail-5xx", 3, Stop), Reason: because("account.refused")}
	}
}

func judgeRCPT(e Event) Verdict {
	code, d := e.Reply.Code, detail(e.Reply.Enhanced)
	v := Verdict{Link: Reset}
	switch {
	case e.Reply.Class() == 4:
		v.Fate, v.Reason = Defer, because("delivery.deferred") // 26, 30
		switch {
		case (code == 450 || code == 451) && (d == "7.1" || d == "2.1" || d == ""): // 24, 58
			v.Schedule, v.Reason = Grey, because("delivery.greylisted")
			if !hasAny(strings.ToLower(e.Reply.Text), "grey", "gray", "try again later", "temporarily", "come back") {
				v.Strike = apart("grey")
			}
		case d == "2.2": // 25
			v.Schedule, v.Reason = Full, because("delivery.mailbox_full")
		}
	case e.Reply.Class() != 5:
		return Verdict{Fate: Keep, Link: Abort, Strike: strike("connection", 2, Wait), Reason: because("account.connection")}
	case d == "3.4", d == "2.3": // 37
		v.Fate, v.Reason = Fail, because("delivery.too_large")
	case d == "6.7": // 22
		v.Fate, v.Reason = Fail, because("delivery.smtputf8")
	case code == 552, d == "2.2": // 25: RFC 5321 4.5.3.1.10
		v.Fate, v.Schedule, v.Reason = Defer, Full, because("delivery.mailbox_full")
	case d == "1.1", d == "1.10", d == "2.1", d == "1.6", d == "1.3", code == 556: // 27
		v.Fate, v.Suppress, v.Reason = Fail, SuppressNow, because("delivery.no_mailbox")
	case d == "1.2": // 28
		v.Fate, v.Suppress, v.Reason = Fail, SuppressSecond, because("delivery.no_domain")
	case d == "", strings.HasPrefix(d, "7."): // 29
		v.Fate, v.Policy, v.Reason = Fail, true, because("delivery.refused")
	default: // 30
		v.Fate, v.Policy, v.Suppress, v.Reason = Fail, true, SuppressSecond, because("delivery.refused")
	}
	return v
}

// judgeBody: the link broke, or a reply came, before the dot was handed over.
func judgeBody(e Event) Verdict {
	if !e.Reply.IsZero() { // 34: a premature refusal tells why
		v := judgeDot(e)
		if v.Fate == Sent || v.Fate == Uncertain { // it cannot have taken half a message
			v = Verdict{Fate: Defer, Reason: because("delivery.odd_reply")}
		}
		v.Link = Abort
		return v
	}
	if e.Cause == post.CauseCancelled || e.Cause == post.CauseLocal { // 53
		return Verdict{Fate: Keep, Link: Abort}
	}
	// 34, 43
	return Verdict{Fate: Defer, Link: Abort, Strike: strike("connection", 2, Wait), Reason: because("delivery.connection")}
}

// judgeDot: the dot went out. Only this reply decides.
func judgeDot(e Event) Verdict {
	if e.Reply.IsZero() { // 39, 60
		return Verdict{Fate: Uncertain, Link: Abort, Reason: because("uncertain." + causeWord(e.Cause))}
	}
	code, d := e.Reply.Code, detail(e.Reply.Enhanced)
	switch e.Reply.Class() {
	case 2: // 35
		return Verdict{Fate: Sent, Link: Stay}
	case 3:
		return Verdict{Fate: Uncertain, Link: Abort, Reason: because("uncertain.odd_reply")}
	}
	// 4yz and 5yz mean that the server did not take it (RFC 5321 4.2.5).
	if v, ok := aboutUs(e); ok {
		if v.Link == Reset {
			v.Link = Stay // the transaction is over
		}
		return v
	}
	v := Verdict{Link: Stay}
	switch {
	case code == 421: // 59
		v.Fate, v.Link, v.Strike, v.Reason = Defer, Drop, strike("connection", 2, Wait), because("account.closing")
	case e.Reply.Class() == 4: // 36
		v.Fate, v.Reason = Defer, because("delivery.deferred")
		if d == "2.2" {
			v.Schedule, v.Reason = Full, because("delivery.mailbox_full")
		}
	case d == "3.4", d == "2.3", code == 552 && d == "": // 37
		v.Fate, v.Reason = Fail, because("delivery.too_large")
	case d == "2.2": // 25
		v.Fate, v.Schedule, v.Reason = Defer, Full, because("delivery.mailbox_full")
	case d == "1.1", d == "1.10", d == "2.1": // 27: some servers know only now
		v.Fate, v.Suppress, v.Reason = Fail, SuppressNow, because("delivery.no_mailbox")
	default: // 29, 38
		v.Fate, v.Policy, v.Content, v.Reason = Fail, true, d == "" || strings.HasPrefix(d, "7.") || strings.HasPrefix(d, "6."), because("delivery.content")
	}
	return v
}

func causeWord(c post.Cause) string {
	switch c {
	case post.CauseTimeout:
		return "timeout"
	case post.CauseProtocol, post.CauseTooLong:
		return "odd_reply"
	default:
		return "connection"
	}
}

// detail returns "subject.detail" of an enhanced code, e.g. "1.1" of "5.1.1".
func detail(enhanced string) string {
	if len(enhanced) < 3 {
		return ""
	}
	return enhanced[2:]
}

func hasAny(text string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

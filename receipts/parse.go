package receipts

import (
	"net/mail"
	"strings"

	"postroom/post"
)

// Reading is what one message says. Nothing in it may be trusted but for Refs,
// once the ledger knows one of them.
type Reading struct {
	// Refs are the ids that tie it to a delivery, the best first; none: it is
	// tied to nothing.
	Refs []string
	// Says is what it tells, one entry per recipient that it speaks of. Empty:
	// ordinary mail, which is none of our business.
	Says   []Saying
	Source string // who wrote it, for show
	// Report: it is a report, made by a machine to say what became of a message.
	// What people write is none, nor what answers for them.
	Report bool
}

// Saying is what a message tells about one recipient.
type Saying struct {
	Kind post.ReceiptKind
	// Address is the recipient as the report's server knew it, Original as it
	// was given by us (RFC 3461 4.2); both may be empty.
	Address, Original string
	Reply             post.Reply
}

// Parse reads one message, or as much of it as there is.
func Parse(raw []byte) Reading {
	l := takeApart(raw)
	r := Reading{Source: post.CleanReply(l.source())}
	r.Report = readBy(&l, &r, (*letter).deliveryReport, (*letter).readReceipt, (*letter).feedback, (*letter).proseReport)
	if !r.Report {
		readBy(&l, &r, (*letter).unsubscribe, (*letter).moved, (*letter).autoReply, (*letter).reply)
	}
	if len(r.Says) == 0 {
		r.Refs = nil
	}
	return r
}

// readBy lets readers look at a message until one knows it.
func readBy(l *letter, r *Reading, readers ...func(*letter, *Reading) bool) bool {
	for _, read := range readers {
		if read(l, r) {
			return true
		}
	}
	return false
}

// Concerns reports, from the header alone, whether a message is worth to be read
// whole: it calls itself a report, comes from a server, answers one of ours, or
// asks in its subject to be left out or speaks of a new address.
func Concerns(header []byte) bool {
	l := letter{top: readFields(header)}
	kind, _, _ := strings.Cut(strings.ToLower(l.top.get("content-type")), ";")
	switch strings.TrimSpace(kind) {
	case "multipart/report", "message/delivery-status", "message/disposition-notification", "message/feedback-report":
		return true
	}
	return l.fromMachine() || l.isDaemon() || len(l.conversation()) > 0 || l.wantsOut(false) || l.speaksOfMove()
}

// source is the sender's address.
func (l *letter) source() string {
	return bareAddress(l.top.decoded("from"))
}

func bareAddress(s string) string {
	if a, err := mail.ParseAddress(s); err == nil {
		return a.Address
	}
	if _, rest, ok := strings.Cut(s, "<"); ok {
		s, _, _ = strings.Cut(rest, ">")
	}
	return strings.TrimSpace(s)
}

// readReceipt understands RFC 8098. Only "displayed" says that a person saw it.
func (l *letter) readReceipt(r *Reading) bool {
	p, ok := l.first("message/disposition-notification", "message/global-disposition-notification")
	if !ok {
		return false
	}
	var f fields
	for _, b := range blocks(p.body) {
		f = append(f, b...)
	}
	_, what, _ := strings.Cut(uncomment(f.get("disposition")), ";")
	what, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(what)), "/")
	kind := post.ReceiptUnknown
	if strings.TrimSpace(what) == "displayed" {
		kind = post.ReceiptRead
	}
	r.Refs = append(refsIn(f.get("original-message-id")), l.returnedRefs()...)
	r.Says = []Saying{{
		Kind: kind, Address: typedAddress(f.get("final-recipient")), Original: typedAddress(f.get("original-recipient")),
		Reply: post.Reply{Text: post.CleanReply(f.get("disposition"))},
	}}
	return true
}

// feedback understands RFC 5965 and the types registered since.
func (l *letter) feedback(r *Reading) bool {
	p, ok := l.first("message/feedback-report")
	if !ok {
		return false
	}
	var f fields
	for _, b := range blocks(p.body) {
		f = append(f, b...)
	}
	kind := post.ReceiptUnknown
	switch strings.ToLower(uncomment(f.get("feedback-type"))) {
	case "abuse", "fraud", "virus":
		kind = post.ReceiptComplaint
	case "opt-out", "opt-out-list": // RFC 5965 12.2
		kind = post.ReceiptUnsubscribed
	}
	r.Refs = append(refsIn(f.get("original-envelope-id")+"@"), l.returnedRefs()...)
	r.Says = []Saying{{
		Kind: kind, Address: bareAddress(f.get("original-rcpt-to")),
		Reply: post.Reply{Text: post.CleanReply(f.get("feedback-type") + " " + f.get("user-agent"))},
	}}
	return true
}

// conversation returns what ties an answer: what it answers, else the nearest of
// the messages before that which is ours, else a token.
func (l *letter) conversation() []string {
	refs := refsIn(l.top.get("in-reply-to"))
	before := refsIn(l.top.get("references"))
	for i := len(before) - 1; i >= 0; i-- {
		refs = append(refs, before[i])
	}
	refs = append(refs, tokensIn(l.plusParts()...)...)
	return append(refs, tokensIn(l.top.decoded("subject"))...)
}

// plusParts are the parts behind "+" of the addresses that it was sent to.
func (l *letter) plusParts() (all []string) {
	for _, f := range l.top {
		switch f.name {
		case "to", "cc", "delivered-to", "x-original-to", "envelope-to":
			for _, a := range strings.Split(f.value, ",") {
				local, _, _ := strings.Cut(bareAddress(a), "@")
				if _, plus, ok := strings.Cut(local, "+"); ok {
					all = append(all, plus)
				}
			}
		}
	}
	return all
}

// autoReply understands RFC 3834 and what older programs write instead.
func (l *letter) autoReply(r *Reading) bool {
	refs := l.conversation()
	if !l.isAutomatic() {
		return false
	}
	if len(refs) > 0 { // all other machines' mail is ordinary
		r.Refs = refs
		r.Says = []Saying{{Kind: post.ReceiptAutoReply, Address: r.Source, Reply: post.Reply{Text: l.gist()}}}
	}
	return true
}

func (l *letter) isAutomatic() bool {
	if v := strings.ToLower(uncomment(l.top.get("auto-submitted"))); v != "" {
		return v != "no"
	}
	for _, name := range []string{"x-autoreply", "x-autorespond", "x-autoresponder", "x-autoreply-from", "x-mail-autoreply"} {
		if v := l.top.get(name); v != "" && !strings.EqualFold(v, "no") {
			return true
		}
	}
	switch strings.ToLower(l.top.get("precedence")) {
	case "auto_reply", "auto-reply":
		return true
	}
	return hasAny(strings.ToLower(l.top.decoded("subject")), automaticWords)
}

// reply is what a person answered.
func (l *letter) reply(r *Reading) bool {
	refs := l.conversation()
	if len(refs) == 0 {
		return false
	}
	r.Refs = refs
	r.Says = []Saying{{Kind: post.ReceiptReplied, Address: r.Source, Reply: post.Reply{Text: l.gist()}}}
	return true
}

// unsubscribe is a wish in so many words, as an answer or by a token. Without a
// tie it is told all the same, and changes nothing.
func (l *letter) unsubscribe(r *Reading) bool {
	refs := l.conversation()
	if l.isAutomatic() || !l.wantsOut(len(refs) > 0) {
		return false
	}
	r.Refs = refs
	r.Says = []Saying{{Kind: post.ReceiptUnsubscribed, Address: r.Source, Reply: post.Reply{Text: post.CleanReply(l.top.decoded("subject"))}}}
	return true
}

// wantsOut looks at the subject, and into the text of an answer to us only:
// every newsletter speaks of unsubscribing.
func (l *letter) wantsOut(answer bool) bool {
	for _, p := range l.plusParts() {
		if strings.HasPrefix(strings.ToLower(p), "unsubscribe") {
			return true
		}
	}
	if l.top.has("list-id") || l.top.has("list-unsubscribe") {
		return false
	}
	subject := strings.ToLower(strings.TrimSpace(l.top.decoded("subject")))
	for _, w := range outWords {
		if strings.HasPrefix(subject, w) {
			return true
		}
	}
	if !answer {
		return false
	}
	lines := 0
	for line := range strings.Lines(l.text()[:min(len(l.text()), 4000)]) {
		line = strings.ToLower(strings.TrimSpace(line))
		if line == "" {
			continue
		}
		if lines++; lines > 3 || isQuote(line) {
			return false
		}
		if len(line) <= 80 && hasAny(line, outWords) && !hasAny(line, notOutWords) {
			return true
		}
	}
	return false
}

// isQuote reports the line that begins the message answered.
func isQuote(line string) bool {
	return strings.HasPrefix(line, ">") || strings.HasPrefix(line, "--") || strings.HasPrefix(line, "from:") || strings.HasPrefix(line, "von:") ||
		strings.HasPrefix(line, "发件人") || strings.HasPrefix(line, "____") || strings.HasSuffix(line, "wrote:") || strings.HasSuffix(line, "schrieb:") ||
		strings.HasSuffix(line, "写道：") || strings.HasSuffix(line, "写道:")
}

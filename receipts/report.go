package receipts

import (
	"regexp"
	"strconv"
	"strings"

	"postroom/post"
)

// deliveryReport understands RFC 3464, in whatever it is wrapped: OpenSMTPD
// puts the status into a multipart/mixed.
func (l *letter) deliveryReport(r *Reading) bool {
	var all []fields
	for _, p := range l.parts {
		if (p.kind == "message/delivery-status" || p.kind == "message/global-delivery-status") && len(all) < maxBlocks {
			all = append(all, blocks(p.body)...)
		}
	}
	if len(all) == 0 {
		return false
	}
	for _, f := range all {
		if id := f.get("original-envelope-id"); id != "" {
			r.Refs = append(r.Refs, refsIn(xtext(id)+"@")...)
		}
		if by := typedAddress(f.get("reporting-mta")); by != "" {
			r.Source = post.CleanReply(by)
		}
		if f.has("action") || f.has("final-recipient") || f.has("status") {
			r.Says = append(r.Says, recipientOf(f))
		}
	}
	if len(r.Says) == 0 {
		r.Says = []Saying{{Kind: post.ReceiptUnknown}}
	}
	l.fromNotice(r.Says)
	r.Refs = append(r.Refs, l.returnedRefs()...)
	return true
}

// fromNotice takes from the words of a report what its fields leave out.
// OpenSMTPD gives no diagnostic; what the other server said stands behind the
// address in the notice. When it gives up waiting it still writes "delayed", and
// only there that the message has expired.
func (l *letter) fromNotice(says []Saying) {
	var notice string
	for i := range says {
		s := &says[i]
		if s.Reply.Text != "" || s.Address == "" {
			continue
		}
		if notice == "" {
			notice = l.text()
			notice = notice[:min(len(notice), maxPart)]
		}
		_, rest, ok := strings.Cut("\n"+notice, "\n"+s.Address+": ")
		if !ok {
			continue
		}
		line, _, _ := strings.Cut(rest, "\n")
		said := codesIn(line)
		if strings.HasSuffix(s.Reply.Enhanced, ".0.0") && said.Enhanced != "" && said.Enhanced[0] == s.Reply.Enhanced[0] || s.Reply.Enhanced == "" {
			s.Reply.Enhanced = said.Enhanced
		}
		if s.Reply.Enhanced == "" || said.Code/100 == int(s.Reply.Enhanced[0]-'0') {
			s.Reply.Code = said.Code
		}
		s.Reply.Text = said.Text
		if s.Kind == post.ReceiptDelayed && strings.TrimSpace(line) == "Envelope expired" {
			s.Kind = post.ReceiptBounced
		}
	}
}

// recipientOf reads the fields of one recipient. The action decides (RFC 3464
// 2.3.3); the status only where there is none, because servers write any class
// beside a final "failed".
func recipientOf(f fields) Saying {
	s := Saying{Address: typedAddress(f.get("final-recipient")), Original: typedAddress(f.get("original-recipient")), Reply: statusOf(f)}
	if s.Address == "" {
		s.Address = s.Original
	}
	action, _, _ := strings.Cut(strings.ToLower(uncomment(f.get("action"))), " ")
	switch action {
	case "failed", "failure":
		s.Kind = post.ReceiptBounced
	case "delayed":
		s.Kind = post.ReceiptDelayed
	case "delivered":
		s.Kind = post.ReceiptDelivered
	case "relayed", "expanded":
		s.Kind = post.ReceiptRelayed
	case "":
		switch first := f.get("status"); {
		case strings.HasPrefix(first, "5."):
			s.Kind = post.ReceiptBounced
		case strings.HasPrefix(first, "4."):
			s.Kind = post.ReceiptDelayed
		case strings.HasPrefix(first, "2."):
			s.Kind = post.ReceiptDelivered
		default:
			s.Kind = post.ReceiptUnknown
		}
	default:
		s.Kind = post.ReceiptUnknown
	}
	return s
}

// statusOf takes the codes from Status and Diagnostic-Code. A status that says
// nothing in particular (Exim's 5.0.0) gives way to the diagnostic's.
func statusOf(f fields) post.Reply {
	diagnostic := f.get("diagnostic-code")
	if kind, text, ok := strings.Cut(diagnostic, ";"); ok && !strings.ContainsAny(strings.TrimSpace(kind), " .") {
		diagnostic = strings.TrimSpace(text)
	}
	reply := codesIn(diagnostic)
	status, _ := cutEnhanced(uncomment(f.get("status")))
	switch {
	case status == "":
	case reply.Enhanced == "", !strings.HasSuffix(status, ".0.0") && status[0] == reply.Enhanced[0]:
		reply.Enhanced = status
	}
	return reply
}

var (
	enhancedPattern = regexp.MustCompile(`(?:^|[^0-9.])([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:\.?$|\.?[^0-9.])`)
	codePattern     = regexp.MustCompile(`(?:^|[^0-9.])([245][0-5][0-9])(?:$|[^0-9.])`)
)

// codesIn finds an SMTP code and an enhanced one in words. An address of a
// computer holds neither.
func codesIn(s string) post.Reply {
	s = s[:min(len(s), maxPart)]
	reply := post.Reply{Text: post.CleanReply(s)}
	if m := enhancedPattern.FindStringSubmatch(s); m != nil {
		reply.Enhanced = m[1]
	}
	for _, m := range codePattern.FindAllStringSubmatch(s, 5) {
		if n, err := strconv.Atoi(m[1]); err == nil && (reply.Enhanced == "" || m[1][0] == reply.Enhanced[0]) {
			reply.Code = n
			break
		}
	}
	return reply
}

// cutEnhanced takes an enhanced code off the front.
func cutEnhanced(s string) (code, rest string) {
	code, rest, _ = strings.Cut(strings.TrimSpace(s), " ")
	if m := enhancedPattern.FindStringSubmatch(code); len(m) < 2 || m[1] != code {
		return "", s
	}
	return code, rest
}

// typedAddress takes the type off "rfc822; anna@example.org" (RFC 3464 2.3.1).
func typedAddress(s string) string {
	s = uncomment(s)
	if kind, rest, ok := strings.Cut(s, ";"); ok && !strings.Contains(kind, "@") {
		if s = strings.TrimSpace(rest); strings.Contains(s, "+") {
			s = xtext(s)
		}
	}
	return post.CleanReply(strings.Trim(s, "<> "))
}

// xtext decodes "+2B" (RFC 3461 4). What is no such code stays: many servers
// write addresses with a plus as they are.
func xtext(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '+' && i+2 < len(s) && strings.ContainsRune("0123456789ABCDEF", rune(s[i+1])) && strings.ContainsRune("0123456789ABCDEF", rune(s[i+2])) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// uncomment takes RFC 5322 comments out.
func uncomment(s string) string {
	if !strings.Contains(s, "(") {
		return strings.TrimSpace(s)
	}
	var b strings.Builder
	depth := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
			b.WriteByte(' ')
		case depth == 0:
			b.WriteByte(c)
		}
	}
	return strings.TrimSpace(b.String())
}

// proseReport understands reports in words only: qmail, old Exchange, Exim, and
// providers of their own. They tell a failure only when both the words and a
// code, or words that leave no doubt, say so.
func (l *letter) proseReport(r *Reading) bool {
	if !l.fromMachine() {
		return false
	}
	subject, text := strings.ToLower(l.top.decoded("subject")), l.text()
	said, _, _ := strings.Cut(text, "\n--- Below this line is a copy") // qmail: what follows is ours
	for _, mark := range []string{"------ This is a copy", "---- Original message", "----- Original message", "Original message headers", "Received: "} {
		said, _, _ = strings.Cut(said, mark)
	}
	lower := subject + "\n" + strings.ToLower(said)
	s := Saying{Address: l.failedAddress(said), Reply: codesIn(said), Kind: post.ReceiptUnknown}
	s.Reply.Text = post.CleanReply(lineWith(said, s.Reply))
	final := hasAny(lower, finalWords)
	switch {
	case hasAny(lower, delayWords) && !final:
		s.Kind = post.ReceiptDelayed
	case final && (s.Reply.Code/100 == 5 || strings.HasPrefix(s.Reply.Enhanced, "5.")),
		hasAny(lower, []string{"permanent error", "given up", "address not found", "permanent fatal", "unrouteable address", "unknown user", "user unknown", "no such user", "does not exist", "不存在"}),
		l.top.has("x-failed-recipients") && final:
		s.Kind = post.ReceiptBounced
	}
	r.Refs, r.Says = l.returnedRefs(), []Saying{s}
	if len(r.Refs) == 0 {
		r.Refs = refsIn(l.top.get("in-reply-to"), l.top.get("references"))
	}
	return true
}

// fromMachine reports mail of a server's own: it comes from its daemon and its
// subject is about delivery, or it names recipients that failed.
func (l *letter) fromMachine() bool {
	if l.top.has("x-failed-recipients") {
		return true
	}
	subject := strings.ToLower(l.top.decoded("subject"))
	return l.isDaemon() && (hasAny(subject, bounceSubjects) || l.sourceLocal() == "mailer-daemon") && !hasAny(subject, automaticWords)
}

// isDaemon reports that the sender is, or calls itself, a mail server.
func (l *letter) isDaemon() bool {
	switch l.sourceLocal() {
	case "mailer-daemon", "postmaster", "mail-daemon", "mailerdaemon":
		return true
	}
	return strings.Contains(strings.ToLower(l.top.decoded("from")), "mail delivery") || strings.TrimSpace(l.top.get("return-path")) == "<>"
}

func (l *letter) sourceLocal() string {
	local, _, _ := strings.Cut(strings.ToLower(l.source()), "@")
	return local
}

// failedAddress finds whom a report in words is about.
func (l *letter) failedAddress(text string) string {
	if v := l.top.get("x-failed-recipients"); v != "" {
		v, _, _ = strings.Cut(v, ",")
		return post.CleanReply(bareAddress(v))
	}
	if m := addressPattern.FindString(text[:min(len(text), maxPart)]); m != "" {
		return post.CleanReply(strings.Trim(m, "<>"))
	}
	return ""
}

var addressPattern = regexp.MustCompile(`<?[A-Za-z0-9._%+=-]{1,64}@[A-Za-z0-9.-]{1,200}\.[A-Za-z]{2,24}>?`)

// lineWith returns the line in which the codes stand.
func lineWith(text string, reply post.Reply) string {
	for line := range strings.Lines(text[:min(len(text), maxPart)]) {
		if reply.Enhanced != "" && strings.Contains(line, reply.Enhanced) || reply.Enhanced == "" && reply.Code != 0 && strings.Contains(line, strconv.Itoa(reply.Code)) {
			return line
		}
	}
	return ""
}

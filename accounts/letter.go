package accounts

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"mime"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"postroom/post"
)

// The doctor's steps about a message from an account to itself. Arrive is looked
// for in the account's mailbox, where it has one; then plus tells whether a second
// message came there that went to an address with a detail (RFC 5233), as
// post.ReplyTokensPlus would ask for answers.
const (
	StepSend   = "send"
	StepArrive = "arrive"
	StepPlus   = "plus"
)

// Letter is a message that the doctor sends from an account to itself, as soon as
// it has signed in: once, and where the account has a mailbox once more to its
// address with a detail. It is no mailing: it stands in no outbox and no
// history, and what becomes of it is told in the Report alone.
type Letter struct {
	Subject, Text string
	Wait          time.Duration // for how long it is looked for in the mailbox; 0: a minute
}

const (
	arriveTime = time.Minute
	arriveEach = time.Second // how often the mailbox is looked into
	arriveSize = 1 << 20     // what the mailbox may say meanwhile, in bytes
	dotTime    = 10 * time.Minute
	bodyTime   = 3 * time.Minute // RFC 5321 4.5.3.2.5
)

// letterCopy is a letter on its way to one address.
type letterCopy struct {
	from, to post.Address
	id       string // Message-ID
	quiet    bool   // nobody is to be told when it cannot be delivered
}

// newCopy returns a copy from an account to its own address.
func newCopy(a post.Account) (c letterCopy, fault *post.Fault) {
	from, err := post.ParseAddress(a.Email)
	if err != nil {
		return c, &post.Fault{Phase: post.PhaseRender, Cause: post.CauseProtocol, Detail: "the account's address cannot be used"}
	}
	return letterCopy{from: from, to: from, id: "<test." + rand.Text() + "@" + from.ASCII + ">"}, nil
}

// render returns the message.
func (l *Letter) render(c *letterCopy, now time.Time) []byte {
	var b bytes.Buffer
	for _, h := range [][2]string{
		{"Date", now.Format("Mon, 02 Jan 2006 15:04:05 -0700")},
		{"From", "<" + c.from.Wire() + ">"},
		{"To", "<" + c.to.Wire() + ">"},
		{"Message-ID", c.id},
		{"Subject", mime.BEncoding.Encode("utf-8", strings.Join(strings.Fields(l.Subject), " "))},
		{"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "base64"},
	} {
		b.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	b.WriteString("\r\n")
	text := base64.StdEncoding.EncodeToString([]byte(strings.ReplaceAll(l.Text, "\n", "\r\n")))
	const line = 76 // RFC 2045 6.8
	for ; len(text) > line; text = text[line:] {
		b.WriteString(text[:line] + "\r\n")
	}
	b.WriteString(text + "\r\n") // no line of base64 begins with a dot
	return b.Bytes()
}

// send hands a copy of the letter over (RFC 5321 3.3) and returns what the server
// said. After a fault the connection is closed.
func (s *signIn) send(ctx context.Context, l *Letter, c *letterCopy) (said string, fault *post.Fault) {
	defer func() {
		if fault != nil {
			s.hangUp(fault)
		}
	}()
	release := context.AfterFunc(ctx, s.wire.Abort)
	defer release()
	utf8, notify := "", ""
	if c.from.NeedsSMTPUTF8() {
		utf8 = " SMTPUTF8" // RFC 6531 3.4; a server without it refuses, and says so
	}
	if c.quiet && s.hello.ext.DSN {
		notify = " NOTIFY=NEVER" // RFC 3461 4.1
	}
	for _, c := range []struct {
		phase post.Phase
		line  string
		class int
	}{{post.PhaseMAIL, "MAIL FROM:<" + c.from.Wire() + ">" + utf8, 2}, {post.PhaseRCPT, "RCPT TO:<" + c.to.Wire() + ">" + notify, 2}, {post.PhaseDATA, "DATA", 3}} {
		reply, fault := s.ask(ctx, c.phase, c.line, nil)
		if fault == nil && reply.Class() != c.class {
			fault = refusal(c.phase, reply)
		}
		if fault != nil {
			return "", fault
		}
	}
	if err := s.wire.Write(append(l.render(c, s.d.now()), ".\r\n"...), bodyTime); err != nil {
		return "", faultOf(ctx, post.PhaseBody, err)
	}
	reply, err := s.wire.ReadReply(time.Now().Add(dotTime))
	switch {
	case err != nil:
		return "", faultOf(ctx, post.PhaseDot, err)
	case reply.Class() != 2:
		return "", refusal(post.PhaseDot, reply)
	}
	return c.to.Wire() + ": " + reply.String(), nil
}

// sendLetter is the doctor's step of sending.
func (s *signIn) sendLetter(ctx context.Context, l *Letter) (Step, letterCopy) {
	began, said := s.d.now(), ""
	c, fault := newCopy(s.a)
	if fault == nil {
		said, fault = s.send(ctx, l, &c)
	}
	return s.step(StepSend, said, fault, s.d.now().Sub(began)), c
}

// sendPlus sends the letter to the account's address with a detail like those
// that tell answers apart, but of no mailing. There is no step where the address
// takes none; one that is OK is not at its end, as the letter has to be found.
func (s *signIn) sendPlus(ctx context.Context, l *Letter) (*Step, letterCopy) {
	c, fault := newCopy(s.a)
	if fault != nil {
		return nil, c
	}
	var ok bool
	random := strings.ToLower(rand.Text())
	if c.to, ok = c.from.WithDetail(random[:16] + ".0." + random[16:]); !ok { // no row has the number 0
		return nil, c
	}
	c.quiet = true
	began := s.d.now()
	said, fault := s.send(ctx, l, &c)
	step := s.step(StepPlus, said, fault, s.d.now().Sub(began))
	if key := plusAdvice(fault); fault != nil && key != "" {
		step.advise(key)
	}
	return &step, c
}

// findPlus looks in the mailbox for what sendPlus sent.
func (d *Dialer) findPlus(ctx context.Context, a post.Account, l *Letter, sent Step, c *letterCopy) Step {
	found := d.testArrival(ctx, a, l, c.id)
	found.Name, found.Took = StepPlus, found.Took+sent.Took
	switch {
	case found.OK:
		found.Detail = c.to.Wire()
	case found.Fault == nil:
		found.advise(plusAdvice(nil))
	}
	return found
}

// testArrival looks for a letter in the account's mailbox until it is there.
func (d *Dialer) testArrival(ctx context.Context, a post.Account, l *Letter, id string) Step {
	began, wait := d.now(), l.Wait
	if wait == 0 {
		wait = arriveTime
	}
	step := Step{Name: StepArrive}
	m, err := d.DialMailbox(ctx, a)
	if err == nil {
		defer m.Close()
		limited, stop := context.WithTimeout(ctx, wait)
		defer stop()
		defer context.AfterFunc(limited, m.Abort)() // a mailbox that says nothing is not waited for any longer
		m.Allow(arriveSize)
		step.Detail, step.OK, err = m.find(limited, id)
		if limited.Err() != nil { // not there in time is no fault
			err = ctx.Err()
		}
	}
	step.Took = d.now().Sub(began)
	switch {
	case err != nil:
		if !errors.As(err, &step.Fault) { // it broke after the sign-in
			step.Fault = mailboxFault(ctx, post.PhaseEHLO, err)
		}
		step.Detail = step.Fault.Detail
		step.Advice, step.AdviceText = advice(MailboxOf(a), step.Fault)
	case !step.OK:
		step.advise(arrivalAdvice(step.Detail))
	}
	return step
}

// find waits for a message. ok is true when it is in the inbox; a name without
// that is the folder for junk in which it was found. It ends with ctx.
func (m *Mailbox) find(ctx context.Context, id string) (name string, ok bool, err error) {
	places := []string{"INBOX"}
	if junk := m.junk(); junk != "" {
		places = append(places, junk)
	}
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return "", false, nil
		case <-again.C:
		}
		for i, place := range places {
			if _, err := m.Select(place, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
				if i > 0 {
					continue // the inbox is what counts
				}
				return "", false, err
			}
			found, err := m.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Message-ID", Value: id}}}, nil).Wait()
			if err != nil {
				return "", false, err
			}
			// Not AllUIDs: a server that makes up its ranges would fill the memory.
			if set, _ := found.All.(imap.UIDSet); len(set) > 0 {
				return place, i == 0, nil
			}
		}
		again.Reset(arriveEach)
	}
}

// junk is the folder for unwanted mail (RFC 6154), empty where none is named.
func (m *Mailbox) junk() string {
	if !m.Caps().Has(imap.CapSpecialUse) {
		return ""
	}
	all, err := m.List("", "*", &imap.ListOptions{ReturnSpecialUse: true}).Collect()
	if err != nil {
		return "" // the inbox is looked into all the same
	}
	for _, folder := range all {
		for _, attr := range folder.Attrs {
			if attr == imap.MailboxAttrJunk {
				return folder.Mailbox
			}
		}
	}
	return ""
}

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
// for in the account's mailbox, where it has one.
const (
	StepSend   = "send"
	StepArrive = "arrive"
)

// Letter is a message that the doctor sends from an account to itself, once, as
// soon as it has signed in. It is no mailing: it stands in no outbox and no
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

// compose returns the message with its Message-ID, and the address that it goes
// from and to.
func (l *Letter) compose(a post.Account, now time.Time) (message []byte, id, address string, fault *post.Fault) {
	to, err := post.ParseAddress(a.Email)
	if err != nil {
		return nil, "", "", &post.Fault{Phase: post.PhaseRender, Cause: post.CauseProtocol, Detail: "the account's address cannot be used"}
	}
	address, id = to.Wire(), "<test."+rand.Text()+"@"+to.ASCII+">"
	var b bytes.Buffer
	for _, h := range [][2]string{
		{"Date", now.Format("Mon, 02 Jan 2006 15:04:05 -0700")},
		{"From", "<" + address + ">"},
		{"To", "<" + address + ">"},
		{"Message-ID", id},
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
	return b.Bytes(), id, address, nil
}

// send hands the letter over (RFC 5321 3.3) and returns its Message-ID and what
// the server said.
func (s *signIn) send(ctx context.Context, l *Letter) (id, said string, fault *post.Fault) {
	message, id, address, fault := l.compose(s.a, s.d.now())
	if fault != nil {
		return "", "", fault
	}
	release := context.AfterFunc(ctx, s.wire.Abort)
	defer release()
	utf8 := ""
	if strings.ContainsFunc(address, func(r rune) bool { return r > '~' }) {
		utf8 = " SMTPUTF8" // RFC 6531 3.4; a server without it refuses, and says so
	}
	for _, c := range []struct {
		phase post.Phase
		line  string
		class int
	}{{post.PhaseMAIL, "MAIL FROM:<" + address + ">" + utf8, 2}, {post.PhaseRCPT, "RCPT TO:<" + address + ">", 2}, {post.PhaseDATA, "DATA", 3}} {
		reply, fault := s.ask(ctx, c.phase, c.line, nil)
		if fault == nil && reply.Class() != c.class {
			fault = refusal(c.phase, reply)
		}
		if fault != nil {
			return id, "", fault
		}
	}
	if err := s.wire.Write(append(message, ".\r\n"...), bodyTime); err != nil {
		return id, "", faultOf(ctx, post.PhaseBody, err)
	}
	reply, err := s.wire.ReadReply(time.Now().Add(dotTime))
	switch {
	case err != nil:
		return id, "", faultOf(ctx, post.PhaseDot, err)
	case reply.Class() != 2:
		return id, "", refusal(post.PhaseDot, reply)
	}
	return id, address + ": " + reply.String(), nil
}

// sendLetter is the doctor's step of sending. After it the connection is of no
// further use.
func (s *signIn) sendLetter(ctx context.Context, l *Letter) (Step, string) {
	began := s.d.now()
	id, said, fault := s.send(ctx, l)
	if fault != nil {
		s.hangUp(fault)
	}
	return s.step(StepSend, said, fault, s.d.now().Sub(began)), id
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
		key := arrivalAdvice(step.Detail)
		step.Advice, step.AdviceText = post.Reason{Key: key}, adviceWords[key]
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

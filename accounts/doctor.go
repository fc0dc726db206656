package accounts

import (
	"context"
	"time"

	"postroom/post"
)

// The doctor's steps, in their order. Connect includes the greeting where it
// comes in plain text; tls includes STARTTLS; ehlo is what is offered under TLS.
const (
	StepResolve = "resolve"
	StepConnect = "connect"
	StepTLS     = "tls"
	StepEHLO    = "ehlo"
	StepAuth    = "auth"
)

// Step is one step of a sign-in, as the doctor tells it.
type Step struct {
	Name   string // resolve, connect, tls, ehlo, auth, imap, send, arrive or plus
	OK     bool
	Detail string // what was found, or what went wrong, as it came
	// Advice says what to do when the step failed: the catalogue key, and in
	// AdviceText the same in English.
	Advice     post.Reason
	AdviceText string
	// Notes say what a step that went well means to the user, by the catalogue's keys.
	Notes []post.Reason
	Fault *post.Fault // nil when OK
	Took  time.Duration
}

// Failed reports that the account is of no use as it is. What plus did not find
// is no failure: answers come to the address without a detail as well.
func (s *Step) Failed() bool { return !s.OK && s.Name != StepPlus }

// Unreachable reports that mail to the account's address with a detail was seen
// not to reach the inbox; another trouble on the way says nothing about that.
func (s *Step) Unreachable() bool {
	return s.Name == StepPlus && (s.Advice.Key == keyPlusRefused || s.Advice.Key == keyPlusLost)
}

// advise gives a step the advice of a key without arguments.
func (s *Step) advise(key string) {
	s.Advice, s.AdviceText = post.Reason{Key: key}, adviceWords[key]
}

// Report is what the doctor found.
type Report struct {
	OK         bool   // no step failed
	Steps      []Step // up to the first that failed
	Extensions Extensions
	TLS        *TLSInfo // nil when no certificate was seen
}

// Test goes through a sign-in step by step, as Dial would, and ends with QUIT.
// A secret that cannot be had is told as the step auth, after the server was
// tried as far as that goes without one. The mailbox, where the account has
// one, comes last. Trace is told as well.
func (d *Dialer) Test(ctx context.Context, a post.Account) Report { return d.Examine(ctx, a, nil) }

// Examine is Test, which then sends a letter from the account to itself and looks
// for it in the mailbox, and tells whether one to the account's address with a
// detail gets there too. nil sends nothing.
func (d *Dialer) Examine(ctx context.Context, a post.Account, l *Letter) Report {
	s := d.begin(a)
	s.secretFault = d.guard.check(s.key, d.now())
	if s.secretFault == nil {
		s.secretFault = s.fetchSecret(ctx)
	}
	var r Report
	used := s.secret
	tell := func(step Step) {
		r.Steps = append(r.Steps, step)
		if d.Trace != nil {
			d.Trace(step)
		}
	}
	fault := s.run(ctx, tell)
	if renewable(a, fault) && s.secretFault == nil { // Dial would try once more
		r.Steps = nil
		s = d.begin(a)
		s.secretFault = s.renewSecret(ctx, used)
		fault = s.run(ctx, tell)
		tokenRefused(fault)
	}
	r.OK, r.Extensions, r.TLS = fault == nil, s.hello.ext, s.tls
	var letter, tagged letterCopy
	var plus *Step
	if r.OK && l != nil {
		var step Step
		step, letter = s.sendLetter(ctx, l)
		r.OK = step.OK
		tell(step)
		if r.OK && a.IMAPHost != "" {
			plus, tagged = s.sendPlus(ctx, l)
		}
	}
	if s.wire != nil {
		s.wire.Quit(politeQuit)
	}
	if r.OK && a.IMAPHost != "" {
		step := d.testMailbox(ctx, a)
		r.OK = step.OK
		tell(step)
	}
	if r.OK && l != nil && a.IMAPHost != "" {
		step := d.testArrival(ctx, a, l, letter.id)
		r.OK = step.OK
		tell(step)
	}
	if r.OK && plus != nil {
		if plus.OK {
			*plus = d.findPlus(ctx, a, l, *plus, &tagged)
		}
		tell(*plus)
	}
	return r
}

// step makes the doctor's words about one step.
func (s *signIn) step(name, detail string, fault *post.Fault, took time.Duration) Step {
	if fault == nil {
		return Step{Name: name, OK: true, Detail: detail, Notes: s.notes(name), Took: took}
	}
	step := Step{Name: name, Detail: fault.Detail, Fault: fault, Took: took}
	if !fault.Reply.IsZero() {
		step.Detail = fault.Reply.String()
	}
	step.Advice, step.AdviceText = advice(s.a, fault)
	return step
}

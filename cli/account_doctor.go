package cli

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"postroom/accounts"
	"postroom/mailer"
	"postroom/post"
	"postroom/storage"
)

// adviceOf is what to do about a step of a test: in the provider's own case, where
// its refusal is known. tokens is how the account asks for answers.
func (a *app) adviceOf(x *post.Account, tokens post.ReplyTokens, s *accounts.Step) string {
	set := "postroom account set " + oneLine(x.Name) + " --reply-tokens "
	switch {
	case s.Name == accounts.StepPlus && s.OK && tokens == post.ReplyTokensNone:
		return "Each answer can be asked for at an address of its own: " + set + string(post.ReplyTokensPlus)
	case s.Unreachable() && tokens == post.ReplyTokensPlus:
		return "Answers are asked for there and get lost. End that: " + set + string(post.ReplyTokensNone)
	}
	if s.Fault != nil && !s.Fault.Reply.IsZero() {
		if means := a.meaning(x.Host, s.Fault.Reply.String()); means != "" {
			return means
		}
	}
	return s.AdviceText
}

// notesOf are what a step that went well means, in words.
func (a *app) notesOf(s *accounts.Step) (notes []string) {
	for _, n := range s.Notes {
		notes = append(notes, a.words.Reason(n))
	}
	return notes
}

// stepJSON is one step of a connection test.
type stepJSON struct {
	Step   string   `json:"step"`
	OK     bool     `json:"ok"`
	Detail string   `json:"detail"`
	Advice string   `json:"advice"`
	Notes  []string `json:"notes,omitempty"` // what a step that went well means
	Millis int64    `json:"ms"`
}

type testJSON struct {
	OK         bool              `json:"ok"`
	Steps      []stepJSON        `json:"steps"`
	Extensions []string          `json:"extensions"`
	TLS        *accounts.TLSInfo `json:"tls"`
}

func (a *app) accountTest() *cobra.Command {
	var send bool
	c := &cobra.Command{
		Use: "test NAME", Short: "Connect and sign in, step by step, and say what is wrong",
		Long: `Test goes through a sign-in one step at a time and says what to do where one
fails. It sends nothing, unless you ask for a message to yourself: that goes from
the account to its own address, stands in no outbox and no history, and is looked
for in the account's mailbox for a minute where the account has one. Then it goes
once more, to name+token@domain, to tell whether answers can be asked for there
(see --reply-tokens of account set); nothing is set by that.`,
		Example: "  postroom account test shop\n  postroom account test shop --send", Args: takes(1, "the name of the account"),
	}
	c.Flags().BoolVar(&send, "send", false, "send a message to the account's own address, and see it arrive")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		return a.testAccount(ctx, l, args[0], send)
	})
	return c
}

func (a *app) testAccount(ctx context.Context, l *storage.Ledger, name string, send bool) error {
	x, err := l.AccountByName(ctx, name)
	if err != nil {
		return err
	}
	if err := a.openSecrets(ctx, l, []post.Account{x}, false); err != nil {
		return err
	}
	tokens, err := l.ReplyTokens(ctx, x.ID)
	if err != nil {
		return err
	}
	d := accounts.Dialer{Secrets: a.Secrets, Clock: a.Clock, Log: a.log}
	if !a.json {
		d.Trace = func(s accounts.Step) { a.tellStep(&s, a.adviceOf(&x, tokens, &s)) }
	}
	var letter *accounts.Letter
	if send {
		letter = &accounts.Letter{Subject: a.words.T("doctor.letter.subject"), Text: a.words.T("doctor.letter.text", x.Email)}
	}
	r := d.Examine(ctx, x, letter)
	if a.json {
		out := testJSON{OK: r.OK, Steps: []stepJSON{}, Extensions: r.Extensions.Keywords, TLS: r.TLS}
		if out.Extensions == nil {
			out.Extensions = []string{}
		}
		for _, s := range r.Steps {
			out.Steps = append(out.Steps, stepJSON{s.Name, s.OK, s.Detail, a.adviceOf(&x, tokens, &s), a.notesOf(&s), s.Took.Milliseconds()})
		}
		err = a.object(out)
	}
	if err != nil {
		return err
	}
	if r.OK {
		if !a.json {
			a.say("%s can send.", oneLine(x.Name))
		}
		return nil
	}
	if f := lastFault(r); !a.json && r.TLS != nil && f != nil && f.Phase == post.PhaseTLS && f.Cause == post.CauseCertificate {
		a.say("The certificate is of %s, issued by %s, until %s.", oneLine(r.TLS.Server), oneLine(r.TLS.Issuer), moment(r.TLS.NotAfter))
		a.say("The fingerprint (SHA-256) of its key is %s.", r.TLS.Key)
		a.say("If the server's owner tells you the same, trust it alone: postroom account set %s --pin %s", oneLine(x.Name), r.TLS.Key)
	}
	// What would stop the account needs the user; what it would wait out does not.
	if f := lastFault(r); f != nil && mailer.Judge(mailer.Event{Phase: f.Phase, Reply: f.Reply, Cause: f.Cause}).Account == mailer.Stop {
		return ended{exitUser}
	}
	return ended{exitFailed}
}

func lastFault(r accounts.Report) *post.Fault {
	if len(r.Steps) == 0 {
		return nil
	}
	return r.Steps[len(r.Steps)-1].Fault
}

// tellStep prints a step of a test as it ends.
func (a *app) tellStep(s *accounts.Step, advice string) {
	result := "ok"
	switch {
	case s.Failed():
		result = "FAILED"
	case !s.OK:
		result = "no"
	}
	a.say("%-8s %-7s %s (%s)", s.Name, result, oneLine(s.Detail), took(s.Took))
	if advice != "" {
		a.say("%-16s %s", "", oneLine(advice))
	}
	for _, note := range a.notesOf(s) {
		a.say("%-16s %s", "", oneLine(note))
	}
	_ = a.out.Flush() // a failure comes back at the end
}

// took is a span as it is read beside a step.
func took(d time.Duration) string {
	if d < time.Second {
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
}

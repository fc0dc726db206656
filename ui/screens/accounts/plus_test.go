package accounts

import (
	"context"
	"testing"

	senders "postroom/accounts"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/internal/testkit/smtpscript"
	"postroom/post"
	"postroom/ui/screens"
)

// TestPlusOffer: the test with a message offers to ask for answers at
// name+token@domain where that works and is off, and to end it where it does not
// and is on; nothing is set before the button is pressed.
func TestPlusOffer(t *testing.T) {
	s := smtpscript.Start(t, smtpscript.Config{Mode: smtpscript.STARTTLS})
	lost := senders.Step{Name: senders.StepPlus, Advice: post.Reason{Key: "advice.plus_lost"}}
	for name, tc := range map[string]struct {
		had, want post.ReplyTokens
		step      senders.Step
		button    string // empty: nothing is offered
	}{
		"works":         {post.ReplyTokensNone, post.ReplyTokensPlus, senders.Step{Name: senders.StepPlus, OK: true}, "accounts.plus.on"},
		"works already": {post.ReplyTokensPlus, post.ReplyTokensPlus, senders.Step{Name: senders.StepPlus, OK: true}, ""},
		"lost":          {post.ReplyTokensNone, post.ReplyTokensNone, lost, ""},
		"lost while on": {post.ReplyTokensPlus, post.ReplyTokensNone, lost, "accounts.plus.off"},
		"not known":     {post.ReplyTokensPlus, post.ReplyTokensPlus, senders.Step{Name: senders.StepPlus, Advice: post.Reason{Key: "advice.try_later"}}, ""},
		"not come to":   {post.ReplyTokensNone, post.ReplyTokensNone, senders.Step{Name: senders.StepArrive, OK: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, words.Chinese, theme.Dark)
			a := r.stored(s, "geheim")
			if err := r.env.Ledger.SetReplyTokens(t.Context(), a.ID, tc.had); err != nil {
				t.Fatal(err)
			}
			r.env.Doctor = func(context.Context, post.Account, *senders.Letter) senders.Report {
				return senders.Report{OK: true, Steps: []senders.Step{{Name: senders.StepSend, OK: true}, tc.step}}
			}
			tokens := func() post.ReplyTokens {
				got, err := r.env.Ledger.ReplyTokens(t.Context(), a.ID)
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			r.view.Show(screens.Route{ID: a.ID})
			r.until("the account in the list", r.listed(1))
			r.tap("accounts.test.send")
			r.until("the test's end", func() bool { return r.view.stopTest == nil })
			p := r.view.panel
			if p.result.Text != r.env.T("accounts.test.arrived") || tokens() != tc.had {
				t.Errorf("%q, answers %s", p.result.Text, tokens())
			}
			if p.plus.box.Visible() != (tc.button != "") || tc.button != "" && p.plus.button.Text != r.env.T(tc.button) {
				t.Fatalf("offered %v: %q", p.plus.box.Visible(), p.plus.button.Text)
			}
			if tc.button != "" {
				r.tap("accounts.plus")
				r.until("what was offered", func() bool { return tokens() == tc.want && p.shown.Plus == (tc.want == post.ReplyTokensPlus) })
			}
			if p.plus.box.Visible() || tokens() != tc.want {
				t.Errorf("still offered %v, answers %s", p.plus.box.Visible(), tokens())
			}
		})
	}
}

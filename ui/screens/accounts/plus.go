package accounts

import (
	"context"
	"slices"

	"fyne.io/fyne/v2"

	senders "postroom/accounts"
	"postroom/post"
	"postroom/ui/widgets"
)

// plusOffer is what follows from the doctor's look at the account's address with a
// detail: to ask for answers there, or to stop that. It is never done unasked.
type plusOffer struct {
	box    *fyne.Container
	text   *widgets.Text
	button *widgets.Button
	wanted post.ReplyTokens
}

func newPlusOffer(v *View) *plusOffer {
	o := &plusOffer{text: widgets.NewText("").Wrapping()}
	o.button = widgets.NewButton(widgets.Normal, "", v.onPlus)
	o.box = widgets.VStack(8, o.text, widgets.HStack(0, o.button))
	o.box.Hide()
	v.env.IDs.Set("accounts.plus", o.button)
	return o
}

// set shows what is offered; wanted is empty when nothing is.
func (o *plusOffer) set(v *View, wanted post.ReplyTokens) {
	o.wanted = wanted
	o.box.Hidden = wanted == ""
	said, word := "accounts.plus.works", "accounts.plus.on"
	if wanted == post.ReplyTokensNone {
		said, word = "accounts.plus.fails", "accounts.plus.off"
	}
	o.text.SetText(v.env.T(said))
	o.button.SetText(v.env.T(word))
}

// plusAfter returns what an account should do about answers after a test, or
// nothing: the step was not come to, came to no end, or found what is set already.
func plusAfter(r senders.Report, on bool) post.ReplyTokens {
	i := slices.IndexFunc(r.Steps, func(s senders.Step) bool { return s.Name == senders.StepPlus })
	switch {
	case i < 0:
	case r.Steps[i].OK && !on:
		return post.ReplyTokensPlus
	case r.Steps[i].Unreachable() && on:
		return post.ReplyTokensNone
	}
	return ""
}

func (v *View) onPlus() {
	a, ok := v.current()
	wanted := v.panel.plus.wanted
	if !ok || wanted == "" {
		return
	}
	v.panel.clearSteps()
	v.change(func(ctx context.Context) error { return v.env.Ledger.SetReplyTokens(ctx, a.ID, wanted) })
}

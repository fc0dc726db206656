package accounts

import (
	"context"
	"errors"
	"strings"

	"fyne.io/fyne/v2"

	senders "postroom/accounts"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// firstSelector is the name that is offered for an account's first key.
const firstSelector = "postroom1"

// signing is the dialog about the key that signs an account's mail.
type signing struct {
	v        *View
	account  post.Account
	now      *post.Signing // nil: nothing is signed
	vault    bool          // the account keeps in the vault what it keeps
	selector *widgets.Entry
	dialog   *dialogs.Dialog
}

// onDKIM shows how the mail of the account in the panel is signed.
func (v *View) onDKIM() {
	a, ok := v.current()
	if !ok {
		return
	}
	env := v.env
	s := &signing{v: v, account: a}
	screens.Load(context.Background(), env, func(ctx context.Context) (now *post.Signing, err error) {
		s.vault = senders.UsesVault(ctx, env.Ledger, &a)
		return env.Ledger.Signing(ctx, a.ID)
	}, func(now *post.Signing, err error) {
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		s.now = now
		s.show()
	})
}

// unlocked calls then at once, or where the key lies in the vault once that is open.
func (v *View) unlocked(vault bool, then func()) {
	if vault {
		v.withVault(then)
		return
	}
	then()
}

func (s *signing) show() {
	env := s.v.env
	s.selector = widgets.NewEntry()
	s.selector.SetText(firstSelector)
	env.IDs.Set("dkim.selector", s.selector)
	leave := widgets.NewButton(widgets.Normal, env.T("action.close"), func() { s.dialog.Close() })
	env.IDs.Set("dkim.close", leave)
	body := widgets.VStack(12, widgets.NewQuiet(env.T("dkim.why")).Wrapping())
	buttons := []*widgets.Button{leave}
	if s.now == nil {
		body.Add(widgets.VStack(4, widgets.NewSmall(env.T("dkim.selector")), s.selector))
		yes := widgets.NewButton(widgets.Primary, env.T("dkim.make"), s.onMake)
		env.IDs.Set("dkim.make", yes)
		buttons = append(buttons, yes)
	} else {
		name, value := senders.SigningRecord(*s.now)
		body.Add(widgets.NewText(env.T("dkim.on", s.now.Domain)).Wrapping())
		body.Add(s.record("dkim.name", name))
		body.Add(s.record("dkim.value", value))
		body.Add(widgets.NewSmall(env.T("dkim.dns")).Wrapping())
		off := widgets.NewButton(widgets.Danger, env.T("dkim.off"), s.askOff)
		env.IDs.Set("dkim.off", off)
		buttons = []*widgets.Button{off, leave}
	}
	s.dialog = dialogs.Show(env.Window, dialogs.Options{
		Title: env.T("dkim.title", s.account.Name), Body: body, Buttons: buttons, Default: buttons[len(buttons)-1], Width: 560,
	})
}

// record shows one half of the record with a button that copies it.
func (s *signing) record(key, value string) fyne.CanvasObject {
	env := s.v.env
	copied := widgets.NewButton(widgets.Link, env.T("action.copy"), nil)
	copied.OnTapped = func() {
		fyne.CurrentApp().Clipboard().SetContent(value)
		copied.SetText(env.T("dkim.copied"))
	}
	env.IDs.Set(key+".copy", copied)
	return widgets.VStack(4, widgets.HStack(8, widgets.NewSmall(env.T(key)), widgets.Space(), copied), widgets.NewCode(value).Wrapping())
}

// onMake closes the dialog and makes a key.
func (s *signing) onMake() {
	selector := strings.TrimSpace(s.selector.Text)
	s.dialog.Close()
	s.v.unlocked(s.vault, func() { s.make(selector) })
}

// make makes a key, keeps it and shows its record.
func (s *signing) make(selector string) {
	env := s.v.env
	screens.Load(context.Background(), env, func(ctx context.Context) (*post.Signing, error) {
		made, err := senders.MakeSigningKey(ctx, env.Secrets, s.account, selector, s.vault)
		if err != nil {
			return nil, err
		}
		if err := env.Ledger.SetSigning(ctx, made); err != nil {
			return nil, errors.Join(err, senders.DeleteSigningKey(ctx, env.Secrets, made))
		}
		return &made, nil
	}, func(made *post.Signing, err error) {
		s.now = made
		s.show()
		if err != nil {
			s.selector.SetText(selector)
			dialogs.Error(env.Words, env.Window, err)
		}
	})
}

// askOff asks before a key is thrown away.
func (s *signing) askOff() {
	env := s.v.env
	s.dialog.Close()
	dialogs.ConfirmLoss(env.Words, env.Window, env.T("dkim.off.title"), env.T("dkim.off.sentence", s.now.Domain), env.T("dkim.off"), func() {
		s.v.unlocked(s.vault, s.off)
	})
}

// off ends the signing and forgets the key.
func (s *signing) off() {
	env, old := s.v.env, *s.now
	s.v.change(func(ctx context.Context) error {
		if err := env.Ledger.RemoveSigning(ctx, s.account.ID); err != nil {
			return err
		}
		return senders.DeleteSigningKey(ctx, env.Secrets, old)
	})
}

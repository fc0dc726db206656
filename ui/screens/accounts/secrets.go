package accounts

import (
	"context"
	"errors"
	"slices"

	senders "postroom/accounts"
	"postroom/assets/providers"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// Places are where the form lets a password be kept, in its order.
var Places = []post.SecretKind{post.SecretKeyring, post.SecretVault, post.SecretAsk}

// storeOf returns the secrets of this computer; tests may give others, which
// have no vault.
func storeOf(env *screens.Env) (senders.Store, bool) {
	s, ok := env.Secrets.(senders.Store)
	return s, ok && s.Vault != nil && s.Session != nil && s.Tokens != nil
}

// Way is what the user can do about a secret that is in the way.
type Way string

// The ways.
const (
	WayNone   Way = ""
	WayUnlock Way = "unlock" // give the vault's passphrase
	WayAsk    Way = "ask"    // give the password for this run
	WaySignIn Way = "signin" // sign in at the provider
)

// WayOf says which way there is for an account, and for WaySignIn at whom. own is
// the authorization server that the settings name.
func WayOf(a *post.Account, own *providers.OwnServer) (way Way, provider string) {
	stopped := a.Hold == post.AccountStopped
	switch {
	case stopped && slices.Contains([]string{"vault.locked", "vault.absent"}, a.Reason.Key):
		return WayUnlock, ""
	case stopped && a.Reason.Key == "secret.ask":
		return WayAsk, ""
	case a.Secret == post.SecretOAuth && a.OAuth.Issuer != "":
		return WaySignIn, post.CleanReply(providers.IssuerName(a.OAuth.Issuer))
	}
	known, ok := providers.AuthServerByID(a.OAuth.Provider)
	if !ok {
		known, ok = providers.AuthServerFor(a.Host)
	}
	switch {
	case ok:
		return WaySignIn, known.Name
	case own.Takes(a.Host):
		return WaySignIn, post.CleanReply(own.Name())
	}
	return WayNone, ""
}

// onWay does what is in the way of the account in the panel.
func (v *View) onWay() {
	a, ok := v.current()
	if !ok {
		return
	}
	switch way, provider := WayOf(&a, &v.panel.shown.Own); way {
	case WayUnlock:
		v.withVault(func() { v.opened() })
	case WayAsk:
		v.askPassword(a)
	case WaySignIn:
		v.signIn(a, provider)
	}
}

// askPassword takes a password for as long as the program runs.
func (v *View) askPassword(a post.Account) {
	env := v.env
	s, ok := storeOf(env)
	if !ok {
		return
	}
	entry := widgets.NewPasswordEntry()
	env.IDs.Set("accounts.ask.password", entry)
	body := widgets.VStack(8, widgets.NewQuiet(env.T("accounts.ask.sentence")).Wrapping(), entry)
	dialogs.Form(env.Words, env.Window, env.T("accounts.ask.title", a.Name), env.T("action.ok"), body, entry, func() string {
		if err := s.Session.Set(context.Background(), a, entry.Text); err != nil {
			what, _ := env.Words.Error(err)
			return what
		}
		v.opened()
		return ""
	})
}

// signIn opens the provider's page in the browser and waits for the answer.
func (v *View) signIn(a post.Account, provider string) {
	env := v.env
	s, ok := storeOf(env)
	if !ok || env.OpenURL == nil {
		return
	}
	home := post.SecretKeyring
	if a.Secret == post.SecretVault || s.Vault.Unlocked() {
		home = post.SecretVault
	}
	p := senders.SignInParams{Home: home, Page: env.T("oauth.page"), Open: env.OpenURL}
	dialogs.Work(env.Words, env.Window, env.Post, env.T("accounts.signin.waiting", provider), func(ctx context.Context, _ func(done, total int64)) error {
		return v.saver.SignIn(ctx, s.Tokens, a.ID, p)
	}, func(err error) {
		var e *post.Error
		if errors.As(err, &e) && e.Reason.Key == "token.no_client" {
			v.noClient(&a, err)
			return
		}
		dialogs.Error(env.Words, env.Window, err)
		env.Mail.Kick()
		v.Changed()
	})
}

// noClient says how to get what is missing, where it is put, and what there is
// instead.
func (v *View) noClient(a *post.Account, err error) {
	env := v.env
	what, _ := env.Words.Error(err)
	guide := env.T("accounts.signin.where") + "\n\n" + env.T("oauth.steps.own")
	known, ok := providers.AuthServerByID(a.OAuth.Provider)
	if !ok {
		known, ok = providers.AuthServerFor(a.Host)
	}
	if ok {
		guide = env.T("accounts.signin.where") + "\n\n" + env.T(known.Guide)
	}
	choices := []dialogs.Choice{{Label: env.T("action.cancel")}}
	if p, ok := providers.ForHost(a.Host); ok && !p.PasswordEnded() {
		guide = env.Words.Reason(post.Reason{Key: p.Note}) + "\n\n" + guide
		choices = append(choices, dialogs.Choice{Label: env.T("accounts.signin.password"), Do: v.onEdit})
	}
	choices = append(choices, dialogs.Choice{Label: env.T("accounts.signin.settings"), Default: true, Do: func() {
		env.Go(screens.Route{Screen: screens.Settings, Verb: "signin"})
	}})
	dialogs.Choose(env.Words, env.Window, env.T("accounts.signin.no_client"), what+"\n\n"+guide, choices...)
}

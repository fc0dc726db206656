package accounts

import (
	"context"
	"errors"

	senders "postroom/accounts"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// opened lets the accounts go on that waited for a secret.
func (v *View) opened() {
	s, ok := storeOf(v.env)
	if !ok {
		return
	}
	v.change(func(ctx context.Context) error { return release(ctx, v.env, s) })
}

// release ends the stops of accounts whose secret can be had now.
func release(ctx context.Context, env *screens.Env, s senders.Store) error {
	_, err := env.Ledger.ReleaseAccounts(ctx, func(a post.Account) bool {
		switch a.Reason.Key {
		case "vault.locked", "vault.absent":
			return s.Vault.Unlocked()
		case "secret.ask":
			_, err := s.Session.Get(ctx, a)
			return err == nil
		}
		return false
	})
	return err
}

// withVault calls then once the vault is unlocked: at once where it is, after
// its passphrase was given, or after a new one was made.
func (v *View) withVault(then func()) { WithVault(v.env, then) }

// WithVault is what env.WithVault does, for all screens.
func WithVault(env *screens.Env, then func()) {
	s, ok := storeOf(env)
	if !ok || s.Vault.Unlocked() {
		then()
		return
	}
	askVault(env, s, "accounts.vault.unlock.sentence", env.T("action.cancel"), then)
}

// OpenVault asks for the vault's passphrase when the window opens and an account
// needs it. Until it is given, the accounts that need it stop when mail waits for
// them, and say why; "Later" leaves it at that, and the account's panel asks again.
func OpenVault(ctx context.Context, env *screens.Env) {
	s, ok := storeOf(env)
	if !ok || s.Vault.Unlocked() || !s.Vault.Exists() {
		return
	}
	screens.Load(ctx, env, func(ctx context.Context) (bool, error) { return vaultNeeded(ctx, env) }, func(needed bool, err error) {
		if err != nil {
			env.Log.Warn("look for accounts that need the vault", "err", err)
			return
		}
		if !needed || s.Vault.Unlocked() || env.Window.Canvas().Overlays().Top() != nil {
			return
		}
		askVault(env, s, "accounts.vault.start", env.T("accounts.vault.later"), func() {
			screens.Load(ctx, env, func(ctx context.Context) (struct{}, error) { return struct{}{}, release(ctx, env, s) }, func(_ struct{}, err error) {
				if err != nil {
					dialogs.Error(env.Words, env.Window, err)
				}
				env.Mail.Kick()
			})
		})
	})
}

// vaultNeeded reports whether an account that is not paused needs the vault.
func vaultNeeded(ctx context.Context, env *screens.Env) (bool, error) {
	all, err := env.Ledger.Accounts(ctx)
	for i := range all {
		if all[i].Hold != post.AccountPaused && senders.UsesVault(ctx, env.Ledger, &all[i]) {
			return true, nil
		}
	}
	return false, err
}

// askVault asks for the passphrase, or for a new one where there is no vault yet,
// until it is right or the user gives up.
func askVault(env *screens.Env, s senders.Store, why, no string, then func()) {
	fresh := !s.Vault.Exists()
	first, again := widgets.NewPasswordEntry(), widgets.NewPasswordEntry()
	env.IDs.Set("accounts.vault.passphrase", first)
	env.IDs.Set("accounts.vault.again", again)
	title, sentence, yes := "accounts.vault.unlock", why, "accounts.vault.unlock.yes"
	if fresh {
		title, sentence, yes = "accounts.vault.create", "accounts.vault.create.sentence", "accounts.vault.create.yes"
		again.SetPlaceHolder(env.T("accounts.vault.again"))
	}
	rows := widgets.VStack(8, widgets.NewQuiet(env.T(sentence)).Wrapping(), first)
	if fresh {
		rows.Add(again)
	}
	dialogs.FormOr(env.Window, env.T(title), env.T(yes), no, rows, first, func() string {
		if fresh && first.Text != again.Text {
			return env.T("accounts.vault.differ")
		}
		passphrase := first.Text
		// Argon2id takes its time on purpose; the dialog is gone meanwhile.
		dialogs.Work(env.Words, env.Window, env.Post, env.T(title), func(ctx context.Context, _ func(done, total int64)) error {
			if fresh {
				return s.Vault.Create(ctx, passphrase)
			}
			return s.Vault.Unlock(ctx, passphrase)
		}, func(err error) {
			var e *post.Error
			switch {
			case err == nil:
				then()
			case errors.As(err, &e) && e.Reason.Key == "vault.wrong":
				what, advice := env.Words.Error(err)
				dialogs.Tell(env.Words, env.Window, dialogs.Trouble{What: what, Advice: advice}, func() { askVault(env, s, why, no, then) })
			default:
				dialogs.Error(env.Words, env.Window, err)
			}
		})
		return ""
	})
}

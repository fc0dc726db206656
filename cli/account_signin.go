package cli

import (
	"context"
	"os/exec"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

func (a *app) accountSignin() *cobra.Command {
	var vault, show bool
	c := &cobra.Command{
		Use: "signin NAME", Short: "Sign in at the account's provider in the browser",
		Long: `Signin opens the provider's page in your browser and waits up to five minutes
until you have signed in there. What the provider gives is kept sealed in the
ledger; its key goes into the keyring, or with --vault into the vault. It is
needed once, and again when the provider or you withdraw the permission.

It needs a client id: what Postroom is called at that provider. See
postroom settings list, and the guide for how to get one.`,
		Example: `  postroom settings set oauth.google.client_id 123.apps.googleusercontent.com
  postroom account signin shop`,
		Args: takes(1, "the name of the account"),
	}
	c.Flags().BoolVar(&vault, "vault", false, "keep the key in the vault, where there is no keyring")
	c.Flags().BoolVar(&show, "no-browser", false, "print the page's address and open nothing")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		return a.signin(ctx, l, args[0], vault, show)
	})
	return c
}

func (a *app) signin(ctx context.Context, l *storage.Ledger, name string, vault, show bool) error {
	old, err := l.AccountByName(ctx, name)
	if err != nil {
		return err
	}
	x := old
	if x.Secret != post.SecretOAuth {
		x.SecretRef = accounts.NewSecretRef() // the password's entry stays until the token works
	}
	s, err := a.store()
	if err != nil {
		return err
	}
	if x.OAuth, err = s.Tokens.Whose(ctx, x); err != nil {
		return err
	}
	if x.OAuth.IsZero() {
		return usage("%s does not say which provider gives its tokens; set it with: postroom account set %s --oauth PROVIDER", x.Name, x.Name)
	}
	p := accounts.SignInParams{Home: post.SecretKeyring, Page: a.words.T("oauth.page"), Open: a.browser(ctx, show)}
	if vault {
		p.Home = post.SecretVault
	}
	if err := a.openSecrets(ctx, l, nil, vault); err != nil {
		return err
	}
	if err := s.Tokens.SignIn(ctx, x, p); err != nil {
		return err
	}
	x.Secret, x.PasswordCommand, x.CommandHeld = post.SecretOAuth, "", false
	if x.Auth != post.AuthXOAUTH2 {
		x.Auth = post.AuthAuto
	}
	if err := l.UpdateAccount(ctx, x); err != nil {
		return err
	}
	if old.Secret != post.SecretOAuth {
		a.forget(ctx, old)
	}
	if x.Hold == post.AccountStopped && signInReason(x.Reason.Key) {
		if err := l.HoldAccount(ctx, x.ID, "", post.Reason{}); err != nil {
			return err
		}
	}
	if x, err = l.Account(ctx, x.ID); err != nil {
		return err
	}
	d, err := a.describe(ctx, l, x)
	if err != nil {
		return err
	}
	return a.answer(d, "%s is signed in; try it with: postroom account test %s", oneLine(x.Name), oneLine(x.Name))
}

// signInReason reports whether signing in mends what an account stopped for.
func signInReason(key string) bool {
	switch key {
	case "token.missing", "token.revoked", "token.refused", "token.client", "token.no_client", "account.password", "account.sign_in",
		"secret.missing", "account.no_mechanism":
		return true
	}
	return false
}

// browser shows the page's address, and opens it where it may.
func (a *app) browser(ctx context.Context, show bool) accounts.Browser {
	return func(page string) error {
		a.tell("Sign in here: " + page + "\n")
		if show {
			return nil
		}
		program := []string{"xdg-open"}
		switch runtime.GOOS {
		case "darwin":
			program = []string{"open"}
		case "windows":
			program = []string{"rundll32", "url.dll,FileProtocolHandler"}
		}
		// It may stay as long as the browser does; it is not ours to end.
		cmd := exec.CommandContext(context.WithoutCancel(ctx), program[0], append(program[1:], page)...)
		cmd.WaitDelay = time.Second
		if err := cmd.Start(); err != nil {
			a.note("No browser could be opened; open the address above in one.")
			return nil
		}
		go func() { _ = cmd.Wait() }() // whatever the browser says at its end
		return nil
	}
}

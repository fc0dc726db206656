package accounts

import (
	"context"
	"errors"
	"log/slog"

	senders "postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

// Saver stores accounts with their passwords. Its calls may wait for the
// keyring, up to half a minute: none of them runs on the user interface's
// goroutine.
type Saver struct {
	Ledger  *storage.Ledger
	Secrets senders.Secrets
	Log     *slog.Logger
}

// Save stores what the form says: as a new account when id is 0. The password
// goes into the keyring first, under ref (see senders.NewSecretRef), and the row
// is stored only when it is there; when the row cannot be stored the password is
// taken out again. So either everything is kept or nothing is.
//
// One ref serves all tries of one form: a keyring that waited for its user may
// keep the password after Save has given up, and the next try then replaces it;
// Forget takes it out. Errors: Problems for the fields; post.KindSignIn for the
// keyring; post.KindConflict for a name that is taken.
func (s Saver) Save(ctx context.Context, id int64, f Form, ref string) (post.Account, error) {
	var old post.Account
	if id != 0 {
		var err error
		if old, err = s.Ledger.Account(ctx, id); err != nil {
			return old, err
		}
	}
	a, wrong := f.account(&old)
	if len(wrong) > 0 {
		return old, wrong
	}
	if err := s.nameIsFree(ctx, &a); err != nil {
		return old, err
	}
	if f.DropCA {
		a.CA = nil
	}
	if f.CAPath != "" {
		ca, err := readCA(f.CAPath)
		if err != nil {
			return old, err
		}
		a.CA = ca
	}
	fresh := (a.Secret == post.SecretKeyring || a.Secret == post.SecretVault) && f.Password != ""
	moving := f.moves(&old, &a)
	to := a.Secret
	if moving { // after everything else is stored
		a.Secret, a.SecretRef = old.Secret, old.SecretRef
	}
	if fresh {
		a.SecretRef = ref
		if err := s.Secrets.Set(ctx, a, f.Password); err != nil {
			return old, err
		}
	}
	// From here on it is a matter of milliseconds and must not end half way.
	ctx = context.WithoutCancel(ctx)
	var err error
	if id == 0 {
		a, err = s.Ledger.CreateAccount(ctx, a)
	} else {
		err = s.Ledger.UpdateAccount(ctx, a)
	}
	if err != nil {
		if fresh {
			s.forget(ctx, a)
		}
		return old, err
	}
	if old.SecretRef != "" && old.SecretRef != a.SecretRef {
		s.forget(ctx, old)
	}
	if err := f.Mailbox.keep(ctx, s.Ledger, a.ID); err != nil {
		return a, err
	}
	if a.Secret == post.SecretAsk && f.Password != "" {
		return a, s.Secrets.Set(ctx, a, f.Password)
	}
	if moving {
		return s.move(ctx, a, to)
	}
	return a, nil
}

// move takes a kept password to another place. That its old entry stays is no
// harm to anything, and only logged.
func (s Saver) move(ctx context.Context, a post.Account, to post.SecretKind) (post.Account, error) {
	store, ok := s.Secrets.(senders.Store)
	if !ok {
		return a, &post.Error{Kind: post.KindInternal, Op: "move the password", Message: "there is no other place here"}
	}
	moved, err := store.Move(ctx, a, to, func(m post.Account) error { return s.Ledger.UpdateAccount(ctx, m) })
	if err != nil && moved.Secret == to {
		s.Log.Warn("take a password out of its old place", "err", err)
		err = nil
	}
	return moved, err
}

// MoveKeys lets the keys that sign an account's mail follow its password to keyring
// or vault, and says which did.
func (s Saver) MoveKeys(ctx context.Context, a post.Account) ([]string, error) {
	store, ok := s.Secrets.(senders.Store)
	if !ok {
		return nil, nil
	}
	moved, err := store.MoveKeys(ctx, s.Ledger, a.ID, a.Secret)
	if err == nil {
		return moved, nil
	}
	if left, lerr := senders.KeysElsewhere(ctx, s.Ledger, a.ID, a.Secret); lerr != nil || left {
		return moved, err
	}
	s.Log.Warn("take a key out of its old place", "err", err)
	return moved, nil
}

// SignIn lets the user sign in at the account's provider, and then makes that
// the account's way to sign in. A password that it had is forgotten.
func (s Saver) SignIn(ctx context.Context, tokens *senders.Tokens, id int64, p senders.SignInParams) error {
	old, err := s.Ledger.Account(ctx, id)
	if err != nil {
		return err
	}
	a := old
	if a.OAuth, err = tokens.Whose(ctx, a); err != nil {
		return err
	}
	if a.OAuth.IsZero() {
		return &post.Error{Kind: post.KindInternal, Op: "sign in", Message: "no provider is known for this server"}
	}
	if a.Secret != post.SecretOAuth {
		a.SecretRef = senders.NewSecretRef()
	}
	if err := tokens.SignIn(ctx, a, p); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	a.Secret, a.Auth, a.PasswordCommand, a.CommandHeld = post.SecretOAuth, post.AuthAuto, "", false
	if err := s.Ledger.UpdateAccount(ctx, a); err != nil {
		return err
	}
	if old.Secret != post.SecretOAuth {
		s.forget(ctx, old)
	}
	if old.Hold == post.AccountStopped {
		return s.Ledger.HoldAccount(ctx, id, "", post.Reason{})
	}
	return nil
}

// Pin makes one key the only one that the account's server may show.
func (s Saver) Pin(ctx context.Context, id int64, pin string) error {
	a, err := s.Ledger.Account(ctx, id)
	if err != nil {
		return err
	}
	a.Pin = pin
	if err := s.Ledger.UpdateAccount(ctx, a); err != nil {
		return err
	}
	if a.Hold == post.AccountStopped && a.Reason.Key == "account.certificate" {
		return s.Ledger.HoldAccount(ctx, id, "", post.Reason{})
	}
	return nil
}

// nameIsFree tells a taken name before the keyring is asked for anything.
func (s Saver) nameIsFree(ctx context.Context, a *post.Account) error {
	other, err := s.Ledger.AccountByName(ctx, a.Name)
	switch {
	case post.KindOf(err) == post.KindNotFound:
		return nil
	case err != nil:
		return err
	case other.ID != a.ID:
		return Problems{{FieldName, post.Reason{Key: "accounts.wrong.name_taken", Args: []string{other.Name}}}}
	}
	return nil
}

// Forget takes a password out of the keyring. That it stays there is no harm to
// anything that is stored, so it is only logged.
func (s Saver) Forget(ctx context.Context, ref string) {
	if ref != "" {
		s.forget(ctx, post.Account{Secret: post.SecretKeyring, SecretRef: ref})
	}
}

func (s Saver) forget(ctx context.Context, a post.Account) {
	if err := s.Secrets.Delete(ctx, a); err != nil {
		s.Log.Warn("take a password out of its place", "place", string(a.Secret), "err", err)
	}
}

// errKept says that an account is gone but its password is not.
var errKept = errors.New("the password is still in the keyring")

// Remove removes an account, then its password. An error that wraps errKept
// means that the account itself is gone.
func (s Saver) Remove(ctx context.Context, id int64) error {
	a, err := s.Ledger.Account(ctx, id)
	if err != nil {
		return err
	}
	keys, err := senders.KeysOf(ctx, s.Ledger, id)
	if err != nil {
		return err
	}
	if err := s.Ledger.RemoveAccount(ctx, id); err != nil {
		return err
	}
	for _, k := range keys {
		if err := s.Secrets.Delete(ctx, k); err != nil {
			return errors.Join(errKept, err)
		}
	}
	if a.Secret == post.SecretNone || a.Secret == post.SecretCommand {
		return nil
	}
	if err := s.Secrets.Delete(ctx, a); err != nil {
		return errors.Join(errKept, err)
	}
	return nil
}

// Confirm lets a password command that came with a restored or copied ledger
// run again. command is what the user was shown: if it has changed since, that
// is a post.KindConflict.
func (s Saver) Confirm(ctx context.Context, id int64, command string) error {
	a, err := s.Ledger.Account(ctx, id)
	if err != nil {
		return err
	}
	if a.PasswordCommand != command {
		return &post.Error{Kind: post.KindConflict, Op: "confirm the command", Message: "the command was changed meanwhile; look at it again"}
	}
	a.CommandHeld = false
	return s.Ledger.UpdateAccount(ctx, a)
}

// keyringTrouble returns what stands between the user and a stored password:
// the catalogue keys of the ways out. ok is false when err is about something
// else.
func keyringTrouble(err error) (advice string, ok bool) {
	var e *post.Error
	if !errors.As(err, &e) || e.Kind != post.KindSignIn {
		return "", false
	}
	switch e.Reason.Key {
	case "keyring.locked", "keyring.waiting":
		return "accounts.keyring.unlock", true
	case "keyring.absent", "keyring.none", "keyring.failed":
		return "accounts.keyring.absent", true
	case "keyring.too_big":
		return "advice.short_password", true
	}
	return "", false
}

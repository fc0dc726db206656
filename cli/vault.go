package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

func (a *app) vaultCommand() *cobra.Command {
	var to string
	var all bool
	move := &cobra.Command{
		Args: cobra.ArbitraryArgs,
		Use:  "move NAME... [--to vault|keyring|ask]", Short: "Move accounts' passwords into the vault, or out of it",
		Long: `Move takes passwords that Postroom keeps to another place, and with them the keys
that sign the accounts' mail (DKIM, S/MIME). With --to ask a password is forgotten
and asked for each time the program runs; keys stay where they are.`,
		Example: `  postroom vault move shop office
  postroom vault move --all --to keyring`,
	}
	move.Flags().StringVar(&to, "to", string(post.SecretVault), "vault, keyring or ask")
	move.Flags().BoolVar(&all, "all", false, "all accounts whose password is kept elsewhere")
	move.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		return a.vaultMove(ctx, l, args, all, post.SecretKind(to))
	})
	return group("vault", "A file for passwords where there is no keyring",
		`The vault is one file in the data folder, passwords.vault, in which passwords are
kept under a passphrase: for computers without a keyring. Who has the file
without the passphrase has nothing; who forgets the passphrase has lost them.

Commands that need it ask for the passphrase on the terminal, or with
--vault-stdin read it from the first line of standard input.`,
		&cobra.Command{
			Use: "create", Short: "Make an empty vault", Args: takes(0, "nothing"),
			Long:    "Create asks twice for the passphrase, or reads it from standard input.",
			Example: "  postroom vault create\n  postroom vault create < passphrase.txt",
			RunE:    a.onLedger(a.vaultCreate),
		},
		&cobra.Command{
			Use: "change", Short: "Give the vault another passphrase", Args: takes(0, "nothing"),
			Long:    "Change asks for the old and the new passphrase, or reads them from the first two lines of standard input.",
			Example: "  postroom vault change",
			RunE:    a.onLedger(a.vaultChange),
		},
		&cobra.Command{
			Use: "show", Short: "Say whether there is a vault, and whose passwords it holds", Args: takes(0, "nothing"),
			RunE: a.onLedger(a.vaultShow),
		}, move)
}

// store is the secrets of this ledger; tests may give others, without a vault.
func (a *app) store() (accounts.Store, error) {
	s, ok := a.Secrets.(accounts.Store)
	if !ok || s.Vault == nil || s.Session == nil {
		return s, post.Errorf(post.KindInternal, "", "there is no vault here")
	}
	return s, nil
}

// vaultJSON is the vault as scripts see it.
type vaultJSON struct {
	Exists   bool     `json:"exists"`
	Accounts []string `json:"accounts"`
}

func (a *app) vaultShow(ctx context.Context, l *storage.Ledger, _ []string) error {
	s, err := a.store()
	if err != nil {
		return err
	}
	all, err := l.Accounts(ctx)
	if err != nil {
		return err
	}
	v := vaultJSON{Exists: s.Vault.Exists(), Accounts: []string{}}
	for i := range all {
		if accounts.UsesVault(ctx, l, &all[i]) {
			v.Accounts = append(v.Accounts, all[i].Name)
		}
	}
	switch {
	case !v.Exists:
		return a.answer(v, "There is no vault. Make one with: postroom vault create")
	case len(v.Accounts) == 0:
		return a.answer(v, "The vault is not used by any account.")
	}
	return a.answer(v, "The vault is used by: %s", oneLine(strings.Join(v.Accounts, ", ")))
}

func (a *app) vaultCreate(ctx context.Context, _ *storage.Ledger, _ []string) error {
	s, err := a.store()
	if err != nil {
		return err
	}
	if s.Vault.Exists() {
		return s.Vault.Create(ctx, "it is there, and says so")
	}
	passphrase, err := a.newPassphrase("Passphrase for the vault: ")
	if err != nil {
		return err
	}
	if err := s.Vault.Create(ctx, passphrase); err != nil {
		return err
	}
	return a.answer(map[string]bool{"created": true}, "The vault is made. Without its passphrase nobody can open it, you neither.")
}

func (a *app) vaultChange(ctx context.Context, _ *storage.Ledger, _ []string) error {
	s, err := a.store()
	if err != nil {
		return err
	}
	old, err := a.secretLine("Passphrase of the vault: ")
	if err != nil {
		return err
	}
	fresh, err := a.newPassphrase("New passphrase: ")
	if err != nil {
		return err
	}
	if err := s.Vault.Change(ctx, old, fresh); err != nil {
		return err
	}
	return a.answer(map[string]bool{"changed": true}, "The vault has its new passphrase.")
}

func (a *app) vaultMove(ctx context.Context, l *storage.Ledger, names []string, all bool, to post.SecretKind) error {
	switch {
	case all == (len(names) > 0):
		return usage("name the accounts, or give --all")
	case !accounts.Movable(to):
		return usage("--to is vault, keyring or ask")
	}
	chosen, err := a.toMove(ctx, l, names, to)
	if err != nil {
		return err
	}
	vault := to == post.SecretVault
	for i := range chosen {
		vault = vault || accounts.UsesVault(ctx, l, &chosen[i])
	}
	if err := a.openSecrets(ctx, l, chosen, vault); err != nil {
		return err
	}
	for i := range chosen {
		_, out, err := a.move(ctx, l, chosen[i], to)
		if err != nil {
			return err
		}
		if err := a.tellMoved(out, to); err != nil {
			return err
		}
	}
	return nil
}

// toMove lists the accounts that are meant and are not there yet.
func (a *app) toMove(ctx context.Context, l *storage.Ledger, names []string, to post.SecretKind) ([]post.Account, error) {
	var chosen []post.Account
	for _, name := range names {
		x, err := l.AccountByName(ctx, name)
		if err != nil {
			return nil, err
		}
		keys, err := accounts.KeysElsewhere(ctx, l, x.ID, to)
		if err != nil {
			return nil, err
		}
		if !accounts.Movable(x.Secret) && !keys {
			return nil, usage("the password of %s is not kept by Postroom, so it cannot be moved", x.Name)
		}
		chosen = append(chosen, x)
	}
	if len(names) > 0 {
		return chosen, nil
	}
	every, err := l.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	for i := range every {
		keys, err := accounts.KeysElsewhere(ctx, l, every[i].ID, to)
		if err != nil {
			return nil, err
		}
		if keys || (every[i].Secret == post.SecretKeyring || every[i].Secret == post.SecretVault) && every[i].Secret != to {
			chosen = append(chosen, every[i])
		}
	}
	return chosen, nil
}

// movedJSON is what was moved of an account, as scripts see it.
type movedJSON struct {
	Account string          `json:"account"`
	Secret  post.SecretKind `json:"secret"` // where the password is
	Keys    []string        `json:"keys"`   // those that were moved
}

// move moves one account's password, and the keys that sign its mail.
func (a *app) move(ctx context.Context, l *storage.Ledger, x post.Account, to post.SecretKind) (post.Account, movedJSON, error) {
	out := movedJSON{Account: x.Name, Secret: x.Secret, Keys: []string{}}
	s, err := a.store()
	if err != nil {
		return x, out, err
	}
	if accounts.Movable(x.Secret) {
		moved, err := s.Move(ctx, x, to, func(m post.Account) error { return l.UpdateAccount(ctx, m) })
		if err != nil && moved.Secret == to && x.Secret != to {
			a.note("Its old entry could not be removed (%s).", oneLine(err.Error()))
			err = nil
		}
		if err != nil {
			return x, out, err
		}
		x, out.Secret = moved, moved.Secret
	}
	keys, err := s.MoveKeys(ctx, l, x.ID, to)
	out.Keys = append(out.Keys, keys...)
	if err == nil {
		return x, out, nil
	}
	if left, lerr := accounts.KeysElsewhere(ctx, l, x.ID, to); lerr == nil && !left {
		a.note("The old entry of a key could not be removed (%s).", oneLine(err.Error()))
		return x, out, nil
	}
	return x, out, &post.Error{
		Kind: post.KindOf(err), Err: err,
		Message: "a key that signs the mail of " + x.Name + " is still in its old place; try again with: postroom vault move " + x.Name + " --to " + string(to),
	}
}

// tellMoved says what was moved.
func (a *app) tellMoved(m movedJSON, to post.SecretKind) error {
	places := map[post.SecretKind]string{post.SecretKeyring: "in the keyring", post.SecretVault: "in the vault"}
	keys := "the keys that sign its mail (" + strings.Join(m.Keys, ", ") + ")"
	switch name := oneLine(m.Account); {
	case m.Secret == post.SecretAsk:
		return a.answer(m, "the password of %s will be asked for each time", name)
	case m.Secret != to:
		return a.answer(m, "%s: %s are %s", name, keys, places[to])
	case len(m.Keys) > 0:
		return a.answer(m, "the password of %s is %s, and so are %s", name, places[to], keys)
	default:
		return a.answer(m, "the password of %s is %s", name, places[to])
	}
}

// moveAsFlagged moves the password and the keys that are kept already to the place
// that was named.
func (a *app) moveAsFlagged(ctx context.Context, l *storage.Ledger, x post.Account, f *accountFlags) (post.Account, error) {
	to := post.SecretKeyring
	switch {
	case f.vault:
		to = post.SecretVault
	case !f.keyring:
		return x, nil
	}
	keys, err := accounts.KeysElsewhere(ctx, l, x.ID, to)
	if err != nil || x.Secret == to && !keys {
		return x, err
	}
	if !accounts.Movable(x.Secret) && !keys {
		return x, usage("the password of %s is not kept by Postroom, so it cannot be moved", x.Name)
	}
	if err := a.openSecrets(ctx, l, []post.Account{x}, true); err != nil {
		return x, err
	}
	x, out, err := a.move(ctx, l, x, to)
	if err == nil && len(out.Keys) > 0 {
		a.note("The keys that sign its mail (%s) were moved, too.", strings.Join(out.Keys, ", "))
	}
	return x, err
}

// openSecrets gets what the accounts' secrets need of the user, before work
// begins: the vault's passphrase (also where writing is all that is wanted), and
// the passwords that are asked for each time. Where nobody can be asked it
// goes on: an account that cannot sign in says why.
func (a *app) openSecrets(ctx context.Context, l *storage.Ledger, all []post.Account, vault bool) error {
	s, err := a.store()
	if err != nil {
		return nil // secrets of a test: there is nothing to open
	}
	for i := range all {
		vault = vault || all[i].Hold != post.AccountPaused && accounts.UsesVault(ctx, l, &all[i])
	}
	if vault && !s.Vault.Unlocked() && (a.vaultStdin || a.canAsk()) {
		if err := a.unlock(ctx, s.Vault); err != nil {
			return err
		}
	}
	if !a.canAsk() {
		return nil
	}
	for _, x := range all {
		if x.Secret != post.SecretAsk || x.Hold == post.AccountPaused {
			continue
		}
		if _, err := s.Session.Get(ctx, x); err == nil {
			continue
		}
		secret, err := a.secretLine("Password of " + oneLine(x.Name) + ": ")
		if err != nil {
			return err
		}
		if err := s.Session.Set(ctx, x, secret); err != nil {
			return err
		}
	}
	return nil
}

// maxTries is how often a passphrase may be mistyped.
const maxTries = 3

func (a *app) unlock(ctx context.Context, v *accounts.Vault) error {
	if !v.Exists() { // the same error as for a wrong one, without asking
		return v.Unlock(ctx, "")
	}
	for try := 1; ; try++ {
		passphrase, err := a.secretLine("Passphrase of the vault: ")
		if err != nil {
			return err
		}
		err = v.Unlock(ctx, passphrase)
		if err == nil || try == maxTries || !a.canAsk() {
			return err
		}
		a.note("%s", oneLine(err.Error()))
	}
}

// releaseOpened lets accounts go on that stopped because a secret could not be
// had which can be had now.
func (a *app) releaseOpened(ctx context.Context, l *storage.Ledger) error {
	s, err := a.store()
	if err != nil {
		return nil // secrets of a test
	}
	_, err = l.ReleaseAccounts(ctx, func(x post.Account) bool {
		if !slices.Contains([]string{"vault.locked", "vault.absent", "secret.ask"}, x.Reason.Key) {
			return false
		}
		if x.Secret == post.SecretAsk {
			_, err := s.Session.Get(ctx, x)
			return err == nil
		}
		return s.Vault.Unlocked()
	})
	return err
}

// canAsk reports whether somebody sits at standard input.
func (a *app) canAsk() bool {
	f, ok := a.stdin.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// newPassphrase asks twice on a terminal.
func (a *app) newPassphrase(prompt string) (string, error) {
	first, err := a.secretLine(prompt)
	if err != nil || !a.canAsk() {
		return first, err
	}
	again, err := a.secretLine("Once more: ")
	if err == nil && first != again {
		err = usage("the two are not the same")
	}
	return first, err
}

// secretLine asks for a secret without showing it, or takes the next line of
// standard input.
func (a *app) secretLine(prompt string) (string, error) {
	f, ok := a.stdin.(*os.File)
	if ok && a.canAsk() {
		a.tell(prompt)
		b, err := term.ReadPassword(int(f.Fd()))
		a.tell("\n")
		if err != nil {
			return "", &post.Error{Kind: post.KindInvalid, Message: "nothing could be read from the terminal", Err: err}
		}
		return string(b), nil
	}
	line, err := a.in.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) || len(line) > maxPassword {
		return "", usage("standard input holds no line to read")
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return "", usage("standard input holds no passphrase or password; it is the first line")
	}
	return line, nil
}

// newInput reads lines and the rest from one place.
func newInput(in io.Reader) *bufio.Reader { return bufio.NewReaderSize(in, 4<<10) }

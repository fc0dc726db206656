package cli

import (
	"context"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"postroom/accounts"
	"postroom/assets/providers"
	"postroom/post"
	"postroom/storage"
)

func (a *app) accountCommand() *cobra.Command {
	return group("account", "The accounts that mail is sent from",
		`An account is a sender address and the server that takes its mail. Its password
is kept in this computer's keyring, or comes from a command of yours; it is
never written to a file and never given as an argument.`,
		a.accountAdd(), a.accountSet(), a.accountCopy(), a.accountSignin(), a.accountImport(), a.accountHealth(), a.accountDiscover(),
		a.accountLetterhead(), a.accountDKIM(), a.accountSMIME(), a.accountTest(),
		&cobra.Command{
			Use: "list", Short: "List all accounts", Args: takes(0, "nothing"),
			RunE: a.onLedger(a.accountList),
		},
		&cobra.Command{
			Use: "show NAME", Short: "Show one account", Args: takes(1, "the name of the account"),
			Example: "  postroom account show shop --json",
			RunE:    a.onLedger(a.accountShow),
		},
		&cobra.Command{
			Use: "remove NAME", Short: "Remove an account; what was sent through it stays in the history",
			Args: takes(1, "the name of the account"), RunE: a.onLedger(a.accountRemove),
		},
		&cobra.Command{
			Use: "pause NAME", Short: "Send nothing through an account until it is resumed",
			Args: takes(1, "the name of the account"), RunE: a.onLedger(a.accountPause),
		},
		&cobra.Command{
			Use: "resume NAME", Short: "End a pause, a stop or a wait of an account",
			Args: takes(1, "the name of the account"), RunE: a.onLedger(a.accountResume),
		},
	)
}

// accountJSON is an account as scripts see it.
type accountJSON struct {
	Name   string            `json:"name"`
	Email  string            `json:"email"`
	Host   string            `json:"host"`
	Port   int               `json:"port"`
	TLS    post.TLS          `json:"tls"`
	Auth   post.Auth         `json:"auth"`
	State  post.AccountState `json:"state"`
	Reason string            `json:"reason"`
	Until  stamp             `json:"until"`
	Limits post.Limits       `json:"limits"`
	Used   usedJSON          `json:"used"`
	habits
	HandledFolder string `json:"handled_folder"`
}

// usedJSON has the keys of post.Limits: what of each is used.
type usedJSON struct {
	PerMinute int64 `json:"per_minute"`
	PerHour   int64 `json:"per_hour"`
	PerDay    int64 `json:"per_day"`
}

func (a *app) describe(ctx context.Context, l *storage.Ledger, x post.Account) (accountJSON, error) {
	used, err := l.AccountUsed(ctx, x.ID)
	if err != nil {
		return accountJSON{}, err
	}
	d := accountJSON{
		Name: x.Name, Email: x.Email, Host: x.Host, Port: x.Port, TLS: x.TLS, Auth: x.Auth, State: x.State(a.Clock.Now()),
		Limits: x.Limits, Used: usedJSON{used.Minute, used.Hour, used.Day}, HandledFolder: x.HandledFolder,
	}
	if d.habits, err = habitsOf(ctx, l, x.ID); err != nil {
		return d, err
	}
	if d.State != post.AccountReady {
		d.Reason = a.reason(x.Reason)
		if means := a.meaning(x.Host, x.Reason.Raw); means != "" {
			d.Reason += " (" + means + ")"
		}
	}
	if d.State == post.AccountWaiting {
		d.Until = stamp(x.Until)
	}
	return d, nil
}

func (a *app) accountList(ctx context.Context, l *storage.Ledger, _ []string) error {
	all, err := l.Accounts(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 && !a.json {
		a.say("No account yet. Add one with: postroom account add NAME --email ADDR --password-stdin")
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, x := range all {
		d, err := a.describe(ctx, l, x)
		if err != nil {
			return err
		}
		if a.json {
			if err := a.object(d); err != nil {
				return err
			}
			continue
		}
		if _, err := w.Write([]byte(strings.Join([]string{oneLine(d.Name), oneLine(d.Email), serverOf(x), a.stateOf(d)}, "\t") + "\n")); err != nil {
			return err
		}
	}
	return w.Flush()
}

// meaning is what the provider means by a reply, in plain words; empty when we
// do not know better than the reply itself.
func (a *app) meaning(host, reply string) string { return a.reason(providers.Meaning(host, reply)) }

// stateOf says what an account is doing, why, and for how long.
func (a *app) stateOf(d accountJSON) string {
	s := a.words.AccountState(d.State)
	if d.Until.String() != "" {
		s += " until " + moment(time.Time(d.Until))
	}
	if d.Reason != "" {
		s += ": " + oneLine(d.Reason)
	}
	return s
}

func (a *app) accountShow(ctx context.Context, l *storage.Ledger, args []string) error {
	x, err := l.AccountByName(ctx, args[0])
	if err != nil {
		return err
	}
	d, err := a.describe(ctx, l, x)
	if err != nil || a.json {
		if err == nil {
			err = a.object(d)
		}
		return err
	}
	from := x.Email
	if x.FromName != "" {
		from = x.FromName + " <" + x.Email + ">"
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	line := func(what, value string) {
		if value != "" {
			_, _ = w.Write([]byte(what + "\t" + oneLine(value) + "\n")) // shown by Flush
		}
	}
	line("Account", x.Name)
	line("Sends as", from)
	line("Server", serverOf(x))
	line("Signs in", signInOf(x))
	line("Proxy", x.Proxy)
	if x.Pin != "" {
		line("Certificate", "only the one with the key "+x.Pin)
	}
	if len(x.CA) > 0 {
		line("Authority", "a private one, kept with the account")
	}
	if x.Secret == post.SecretCommand {
		line("Password command", x.PasswordCommand)
	}
	if x.CommandHeld {
		line("", "")
		line("Waits for you", "the ledger was restored; look at the password command, then: postroom account set "+x.Name+" --confirm-command")
	}
	d.tell(line)
	if x.HandledFolder != "" {
		line("Handled reports", "moved from the INBOX to "+x.HandledFolder)
	}
	line("State", a.stateOf(d))
	for _, u := range []struct {
		span  string
		used  int64
		limit int
	}{{"minute", d.Used.PerMinute, x.Limits.PerMinute}, {"hour", d.Used.PerHour, x.Limits.PerHour}, {"day", d.Used.PerDay, x.Limits.PerDay}} {
		text := plural(u.used, "message", "messages")
		if u.limit > 0 {
			text += " of " + plural(int64(u.limit), "allowed", "allowed")
		}
		line("Last "+u.span, text)
	}
	return w.Flush()
}

// serverOf names the server and how the way to it is protected.
func serverOf(x post.Account) string {
	how := map[post.TLS]string{post.TLSImplicit: "TLS", post.TLSStartTLS: "STARTTLS", post.TLSNone: "no encryption"}[x.TLS]
	return hostPort(x.Host, x.Port) + " (" + how + ")"
}

func signInOf(x post.Account) string {
	switch {
	case x.Auth == post.AuthNone:
		return "not at all"
	case x.Secret == post.SecretCommand:
		return "as " + x.Login() + ", password from a command"
	case x.Secret == post.SecretKeyring:
		return "as " + x.Login() + ", password from the keyring"
	case x.Secret == post.SecretVault:
		return "as " + x.Login() + ", password from the vault"
	case x.Secret == post.SecretAsk:
		return "as " + x.Login() + ", password asked for each time"
	case x.Secret == post.SecretOAuth:
		return "as " + x.Login() + ", by a token of its provider"
	}
	return "as " + x.Login() + ", no password is kept"
}

func (a *app) accountRemove(ctx context.Context, l *storage.Ledger, args []string) error {
	x, err := l.AccountByName(ctx, args[0])
	if err != nil {
		return err
	}
	keys, err := accounts.KeysOf(ctx, l, x.ID)
	if err != nil {
		return err
	}
	if err := l.RemoveAccount(ctx, x.ID); err != nil {
		return err
	}
	for _, k := range append(keys, x) {
		a.forget(ctx, k)
	}
	return a.answer(map[string]string{"removed": x.Name}, "removed %s", oneLine(x.Name))
}

// forget takes a password that is no longer needed out of the keyring.
func (a *app) forget(ctx context.Context, x post.Account) {
	if x.Secret != post.SecretKeyring && x.Secret != post.SecretVault && x.Secret != post.SecretOAuth {
		return
	}
	if err := a.Secrets.Delete(ctx, x); err != nil {
		a.log.Warn("delete a password", slog.Any("err", err))
		where := "keyring"
		if x.Secret == post.SecretVault {
			where = "vault"
		}
		a.note("Its old password could not be taken out of the %s (%s); remove the entry %s there yourself.", where, oneLine(err.Error()), x.SecretRef)
	}
}

func (a *app) accountPause(ctx context.Context, l *storage.Ledger, args []string) error {
	return a.hold(ctx, l, args[0], post.AccountPaused)
}

func (a *app) accountResume(ctx context.Context, l *storage.Ledger, args []string) error {
	return a.hold(ctx, l, args[0], "")
}

func (a *app) hold(ctx context.Context, l *storage.Ledger, name string, hold post.AccountState) error {
	x, err := l.AccountByName(ctx, name)
	if err != nil {
		return err
	}
	if isPractice(x) {
		return post.Errorf(post.KindConflict, "", "%s only rehearses; it is always paused, so that nothing can leave through it", x.Name)
	}
	if err := l.HoldAccount(ctx, x.ID, hold, post.Reason{}); err != nil {
		return err
	}
	if x, err = l.Account(ctx, x.ID); err != nil {
		return err
	}
	d, err := a.describe(ctx, l, x)
	if err != nil {
		return err
	}
	return a.answer(d, "%s is %s", oneLine(x.Name), d.State)
}

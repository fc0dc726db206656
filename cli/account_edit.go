package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postroom/accounts"
	"postroom/assets/providers"
	"postroom/post"
	"postroom/receipts"
	"postroom/storage"
)

// accountFlags are what account add and account set have in common.
type accountFlags struct {
	replyTokens, sentCopies, signature         string
	email, fromName, host, tls, ca, auth, user string
	sign                                       *string // the signature that is to be kept; nil: as it is
	port                                       int
	passwordStdin, confirm                     bool
	passwordCommand                            string
	limits                                     post.Limits
	connections, weight, position              int
	imapHost, imapTLS, handledFolder           string
	imapPort                                   int
	vault, keyring, ask                        bool
	pin, proxy, selector, oauth, clientID      string
	scopes                                     []string
	changed                                    func(name string) bool
}

func (f *accountFlags) add(c *cobra.Command) {
	s := c.Flags()
	s.StringVar(&f.email, "email", "", "the sender `address`")
	s.StringVar(&f.fromName, "from-name", "", "the `name` that recipients see beside it")
	s.StringVar(&f.host, "host", "", "the `server` that takes the mail, such as smtp.example.com")
	s.IntVar(&f.port, "port", 0, "its port: 465 is usual with tls, 587 with starttls")
	s.StringVar(&f.tls, "tls", "", "starttls, tls, or none (none only to this computer itself)")
	s.StringVar(&f.ca, "ca", "", "a `file` with the certificate of a private authority (PEM); it is read once and kept")
	s.StringVar(&f.auth, "auth", string(post.AuthAuto), "auto, plain, login, cram-md5, scram-sha-256, xoauth2 or none")
	s.StringVar(&f.user, "user", "", "the `name` to sign in with (default: the sender address)")
	s.BoolVar(&f.passwordStdin, "password-stdin", false, "read the password from standard input and keep it in the keyring")
	s.StringVar(&f.passwordCommand, "password-command", "", "a shell `command` that prints the password (with xoauth2: an access token); run at each sign-in")
	s.IntVar(&f.limits.PerMinute, "per-minute", 0, "send at most so many in a minute (0: no limit)")
	s.IntVar(&f.limits.PerHour, "per-hour", 0, "send at most so many in an hour (0: no limit)")
	s.IntVar(&f.limits.PerDay, "per-day", 0, "send at most so many in 24 hours (0: no limit)")
	s.IntVar(&f.connections, "connections", 0, "connections at once (default: one, up to three as they go well)")
	s.IntVar(&f.weight, "weight", 1, "its part of a mailing that several accounts share: 1 to 100")
	s.IntVar(&f.position, "position", 0, "its place in lists; those of one place are by name")
	s.StringVar(&f.imapHost, "imap-host", "", "the `server` of its mailbox, where reports and replies come to; it signs in there as for sending")
	s.IntVar(&f.imapPort, "imap-port", 0, "the mailbox server's port: 993 is usual with tls, 143 with starttls")
	s.BoolVar(&f.vault, "vault", false, "keep the password in the vault file; alone: move it there")
	s.BoolVar(&f.keyring, "keyring", false, "keep the password in the keyring (as usual); alone: move it there")
	s.BoolVar(&f.ask, "ask-password", false, "keep no password and ask for it each time the program runs")
	s.StringVar(&f.pin, "pin", "", "trust the one certificate with this `SHA256` of its key, as account test shows it; '' trusts authorities again")
	s.StringVar(&f.proxy, "proxy", "", "connect through socks5://HOST:PORT or http://HOST:PORT, which looks up names too; '' for none")
	s.StringVar(&f.selector, "dkim-selector", "", "the `name` under which the server signs, for account health")
	s.StringVar(&f.oauth, "oauth", "", "sign in by token at this `provider`: google, microsoft, or the https address of an issuer; then: account signin")
	s.StringVar(&f.clientID, "client-id", "", "what we are called at that provider, in place of the setting")
	s.StringSliceVar(&f.scopes, "scope", nil, "what to ask that provider for, in place of the usual")
	s.StringVar(&f.imapTLS, "imap-tls", "", "tls, starttls, or none (none only to this computer itself)")
	s.StringVar(&f.sentCopies, "sent-copies", "none", "each or one: file a copy of each message, or of one of each mailing, in the account's own folder for sent mail")
	s.StringVar(&f.handledFolder, "handled-folder", "", "move reports out of the INBOX to this `folder` of the mailbox once they are understood; '' moves nothing")
	s.StringVar(&f.replyTokens, "reply-tokens", "none", "plus: ask for answers at name+token@domain, where the server takes that; so each is tied to its message")
	s.StringVar(&f.signature, "signature", "", "what stands below its mail: a `text` with \\n between its lines, or the name of a file that holds it; '' for none")
	f.changed = s.Changed
}

func (a *app) accountAdd() *cobra.Command {
	var f accountFlags
	c := &cobra.Command{
		Use: "add NAME --email ADDR [--host H --port P --tls starttls|tls|none]", Short: "Add an account",
		Long: `Add stores an account; account test tries it. With --host it connects nowhere.
Without, it looks for the server as account discover does, shows its name, and
stores it with the provider's known limits. The password goes to no server then;
look at the name before you test or send.

The password is read from standard input and kept in this computer's keyring
(--password-stdin), or a command of yours prints it at each sign-in
(--password-command). A server without sign-in takes --auth none.`,
		Example: `  postroom account add shop --email anna@example.com --from-name 'Anna Köhler' \
           --host smtp.example.com --port 465 --tls tls --password-stdin < password.txt
  postroom account add mail --email anna@gmail.com --password-stdin < password.txt
  postroom account add office --email info@example.com --host mail.example.com \
           --port 587 --tls starttls --password-command 'pass show office' --per-day 500`,
		Args: takes(1, "a name for the account"),
	}
	f.add(c)
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		return a.addAccount(ctx, l, args[0], &f)
	})
	return c
}

func (a *app) addAccount(ctx context.Context, l *storage.Ledger, name string, f *accountFlags) error {
	if err := a.openSecrets(ctx, l, nil, a.vaultStdin); err != nil {
		return err
	}
	x := post.Account{Name: strings.TrimSpace(name), Auth: post.AuthAuto}
	must := []string{"email", "host", "port", "tls"}
	if !f.changed("host") {
		must = must[:1]
	}
	for _, must := range must {
		if !f.changed(must) {
			return usage("give --%s; see: postroom account add --help", must)
		}
	}
	if !f.changed("host") {
		if err := a.nameIsFree(ctx, l, x.Name); err != nil {
			return err
		}
		if err := a.findServer(ctx, &x, f); err != nil {
			return err
		}
	}
	return a.storeNew(ctx, l, x, f)
}

// storeNew stores an account with what the flags say, its password first.
func (a *app) storeNew(ctx context.Context, l *storage.Ledger, x post.Account, f *accountFlags) error {
	secret, err := a.apply(&x, f)
	if err != nil {
		return err
	}
	if err := a.nameIsFree(ctx, l, x.Name); err != nil {
		return err
	}
	if err := a.keep(ctx, x, secret); err != nil {
		return err
	}
	if x, err = l.CreateAccount(ctx, x); err != nil {
		if secret != "" {
			a.forget(context.WithoutCancel(ctx), x)
		}
		return err
	}
	if err := a.keepHabits(ctx, l, x, f); err != nil {
		return err
	}
	d, err := a.describe(ctx, l, x)
	if err != nil {
		return err
	}
	return a.answer(d, "added %s; try it with: postroom account test %s", oneLine(x.Name), oneLine(x.Name))
}

func (a *app) accountCopy() *cobra.Command {
	var f accountFlags
	c := &cobra.Command{
		Use: "copy NAME NEW [flags]", Short: "Add an account with the settings of another",
		Long: `Copy takes over everything but the password, which is given anew as for account
add; a password command is kept. Flags change what is different.`,
		Example: "  postroom account copy shop office --email office@example.com --password-stdin < password.txt",
		Args:    takes(2, "the name of the account and a new one"),
	}
	f.add(c)
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		old, err := l.AccountByName(ctx, args[0])
		if err != nil {
			return err
		}
		if isPractice(old) {
			return post.Errorf(post.KindConflict, "", "%s only rehearses; there is nothing to copy", old.Name)
		}
		x := old
		x.ID, x.Name, x.SecretRef, x.Hold, x.Learned = 0, strings.TrimSpace(args[1]), "", "", post.Learned{}
		x.Reason, x.Until, x.WaitStep = post.Reason{}, time.Time{}, 0
		if x.Secret != post.SecretCommand && x.Auth != post.AuthNone {
			x.Secret = post.SecretNone
		}
		if f.changed("email") && !f.changed("user") {
			x.User = "" // the other one's
		}
		if err := f.inheritSignature(ctx, l, old.ID); err != nil {
			return err
		}
		if err := a.openSecrets(ctx, l, nil, a.vaultStdin); err != nil {
			return err
		}
		return a.storeNew(ctx, l, x, &f)
	})
	return c
}

func (a *app) nameIsFree(ctx context.Context, l *storage.Ledger, name string) error {
	switch _, err := l.AccountByName(ctx, name); {
	case err == nil:
		return usage("there is an account named %s already", name)
	case !errors.Is(err, storage.ErrNotFound):
		return err
	}
	return nil
}

func (a *app) accountSet() *cobra.Command {
	var f accountFlags
	c := &cobra.Command{
		Use: "set NAME [flags]", Short: "Change what is given of an account, and keep the rest",
		Example: `  postroom account set shop --per-day 300
  postroom account set shop --password-stdin < new-password.txt`,
		Args: takes(1, "the name of the account"),
	}
	f.add(c)
	c.Flags().BoolVar(&f.confirm, "confirm-command", false, "let the password command run again after a restore; look at it first with: postroom account show")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		return a.setAccount(ctx, l, args[0], &f)
	})
	return c
}

func (a *app) setAccount(ctx context.Context, l *storage.Ledger, name string, f *accountFlags) error {
	if err := a.openSecrets(ctx, l, nil, a.vaultStdin); err != nil {
		return err
	}
	old, err := l.AccountByName(ctx, name)
	if err != nil {
		return err
	}
	if isPractice(old) {
		return post.Errorf(post.KindConflict, "", "%s only rehearses; there is nothing to set", old.Name)
	}
	x := old
	secret, err := a.apply(&x, f)
	if err != nil {
		return err
	}
	if f.confirm {
		if x.Secret != post.SecretCommand {
			return usage("%s has no password command to confirm", x.Name)
		}
		x.CommandHeld = false
	}
	if err := a.keep(ctx, x, secret); err != nil {
		return err
	}
	if err := l.UpdateAccount(ctx, x); err != nil {
		if secret != "" {
			a.forget(context.WithoutCancel(ctx), x)
		}
		return err
	}
	if old.SecretRef != x.SecretRef || old.Secret != x.Secret {
		a.forget(ctx, old)
	}
	if x, err = a.moveAsFlagged(ctx, l, x, f); err != nil {
		return err
	}
	if x.Host != old.Host || x.Port != old.Port || x.TLS != old.TLS { // another server has other habits
		if err := l.SetAccountLearned(ctx, x.ID, post.Learned{}); err != nil {
			return err
		}
	}
	if err := a.keepHabits(ctx, l, x, f); err != nil {
		return err
	}
	d, err := a.describe(ctx, l, x)
	if err != nil {
		return err
	}
	if d.State == post.AccountStopped {
		a.note("%s is still stopped; let it go on with: postroom account resume %s", oneLine(x.Name), oneLine(x.Name))
	}
	return a.answer(d, "changed %s", oneLine(x.Name))
}

// chooseToken sets the provider whose token the account signs in with. It is not
// signed in by that: see account signin.
func (f *accountFlags) chooseToken(x *post.Account) error {
	o := post.OAuth{ClientID: strings.TrimSpace(f.clientID), Scopes: f.scopes}
	switch name := strings.TrimSpace(f.oauth); {
	case strings.HasPrefix(name, "https://"):
		o.Issuer = name
		if o.ClientID == "" || len(o.Scopes) == 0 {
			return usage("an issuer of your own needs --client-id and --scope")
		}
	default:
		if _, ok := providers.AuthServerByID(name); !ok {
			return usage("--oauth is google, microsoft, or the https address of an issuer, not %q", name)
		}
		o.Provider = name
	}
	if x.Secret != post.SecretOAuth {
		x.SecretRef = accounts.NewSecretRef()
	}
	x.Secret, x.OAuth, x.PasswordCommand, x.CommandHeld = post.SecretOAuth, o, "", false
	return nil
}

// cleanPin takes a fingerprint as programs show it, with colons or spaces.
func cleanPin(s string) string {
	return strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(strings.TrimSpace(s)))
}

// apply puts the flags that were given into x, checks the whole, and returns
// the password that is to be kept in the keyring, if any.
func (a *app) apply(x *post.Account, f *accountFlags) (secret string, err error) {
	for name, set := range map[string]func(){
		"email":          func() { x.Email = strings.TrimSpace(f.email) },
		"from-name":      func() { x.FromName = strings.TrimSpace(f.fromName) },
		"host":           func() { x.Host = strings.TrimSpace(f.host) },
		"port":           func() { x.Port = f.port },
		"tls":            func() { x.TLS = post.TLS(strings.ToLower(f.tls)) },
		"auth":           func() { x.Auth = post.Auth(strings.ToLower(f.auth)) },
		"user":           func() { x.User = f.user },
		"per-minute":     func() { x.Limits.PerMinute = f.limits.PerMinute },
		"per-hour":       func() { x.Limits.PerHour = f.limits.PerHour },
		"per-day":        func() { x.Limits.PerDay = f.limits.PerDay },
		"connections":    func() { x.Connections = f.connections },
		"position":       func() { x.Position = f.position },
		"weight":         func() { x.Weight = f.weight },
		"imap-host":      func() { x.IMAPHost = strings.TrimSpace(f.imapHost) },
		"imap-port":      func() { x.IMAPPort = f.imapPort },
		"pin":            func() { x.Pin = cleanPin(f.pin) },
		"proxy":          func() { x.Proxy = strings.TrimSpace(f.proxy) },
		"dkim-selector":  func() { x.Selector = strings.TrimSpace(f.selector) },
		"handled-folder": func() { x.HandledFolder = strings.TrimSpace(f.handledFolder) },
		"imap-tls":       func() { x.IMAPTLS = post.TLS(strings.ToLower(f.imapTLS)) },
	} {
		if f.changed(name) {
			set()
		}
	}
	if f.changed("ca") {
		if x.CA, err = readAuthority(f.ca); err != nil {
			return "", err
		}
	}
	if err := x.Check(); err != nil {
		return "", err
	}
	if err := checkMailbox(x); err != nil {
		return "", err
	}
	if err := checkHandled(x); err != nil {
		return "", err
	}
	if err := f.checkReplies(x); err != nil {
		return "", err
	}
	if err := f.readSignature(); err != nil {
		return "", err
	}
	return a.chooseSecret(x, f)
}

// checkMailbox checks the settings of the mailbox that bounces are read from.
func checkMailbox(x *post.Account) error {
	switch {
	case x.IMAPHost == "" && x.IMAPPort == 0 && x.IMAPTLS == "":
		return nil
	case x.IMAPHost == "" || strings.ContainsAny(x.IMAPHost, " /@\r\n"):
		return usage("give --imap-host, such as imap.example.com")
	case x.IMAPPort < 1 || x.IMAPPort > 65535:
		return usage("give --imap-port between 1 and 65535; 993 is usual")
	case x.IMAPTLS != post.TLSImplicit && x.IMAPTLS != post.TLSStartTLS && x.IMAPTLS != post.TLSNone:
		return usage("--imap-tls is tls, starttls or none")
	case x.IMAPTLS == post.TLSNone && !post.IsLoopbackHost(x.IMAPHost):
		return usage("a mailbox without encryption is read only on this computer itself, not on %s", x.IMAPHost)
	}
	return nil
}

// checkHandled refuses a folder for handled reports that none can be moved to.
func checkHandled(x *post.Account) error {
	if x.HandledFolder != "" && x.IMAPHost == "" {
		return usage("handled reports are moved within a mailbox, and %s has none; give it one with --imap-host, --imap-port and --imap-tls, or --handled-folder ''", x.Name)
	}
	err := receipts.CheckHandledFolder(x.HandledFolder)
	var why *post.Error
	if errors.As(err, &why) {
		return usage("--handled-folder %q: %s", x.HandledFolder, why.Message)
	}
	return err
}

// chooseSecret settles where the password comes from. The account keeps what it
// has when the flags say nothing.
func (a *app) chooseSecret(x *post.Account, f *accountFlags) (string, error) {
	command := f.changed("password-command")
	places := 0
	for _, on := range []bool{f.vault, f.keyring, f.ask, command, f.changed("oauth")} {
		if on {
			places++
		}
	}
	switch {
	case places > 1:
		return "", usage("choose one of --vault, --keyring, --ask-password, --password-command and --oauth")
	case f.passwordStdin && (command || f.ask || f.changed("oauth")):
		return "", usage("choose one of --password-stdin and --password-command, --ask-password or --oauth")
	case x.Auth == post.AuthNone && (f.passwordStdin || command):
		return "", usage("--auth none needs no password")
	case x.Auth == post.AuthNone:
		x.Secret, x.SecretRef, x.PasswordCommand, x.CommandHeld = post.SecretNone, "", "", false
		return "", nil
	case f.passwordStdin:
		secret, err := readPassword(a.in)
		x.Secret, x.SecretRef, x.PasswordCommand, x.CommandHeld = post.SecretKeyring, accounts.NewSecretRef(), "", false
		if f.vault {
			x.Secret = post.SecretVault
		}
		return secret, err
	case f.ask:
		x.Secret, x.SecretRef, x.PasswordCommand, x.CommandHeld = post.SecretAsk, "", "", false
		return "", nil
	case f.changed("oauth"):
		return "", f.chooseToken(x)
	case command:
		if strings.TrimSpace(f.passwordCommand) == "" {
			return "", usage("the password command is empty")
		}
		x.Secret, x.SecretRef, x.PasswordCommand, x.CommandHeld = post.SecretCommand, "", f.passwordCommand, false
		return "", nil
	case x.Secret == "" || x.Secret == post.SecretNone:
		return "", errNoSecretFlag()
	}
	return "", nil
}

func errNoSecretFlag() error {
	return usage("say where the password comes from: --password-stdin (with --vault where there is no keyring), --password-command, --ask-password or --oauth (or --auth none where the server wants no sign-in)")
}

// maxPassword is more than any password or token has, in bytes.
const maxPassword = 64 << 10

// readPassword takes all of standard input less its last line end; what opened
// the vault was the line before.
func readPassword(in io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(in, maxPassword+1))
	if err != nil {
		return "", &post.Error{Kind: post.KindInvalid, Message: "the password could not be read from standard input", Err: err}
	}
	s := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	switch {
	case s == "":
		return "", usage("standard input holds no password")
	case len(b) > maxPassword:
		return "", usage("standard input holds more than a password")
	case strings.ContainsAny(s, "\r\n\x00"):
		return "", usage("the password must be one line")
	}
	return s, nil
}

// keep puts a new password into the keyring. Without one the user is told the
// other ways: nothing is ever kept in a file instead.
func (a *app) keep(ctx context.Context, x post.Account, secret string) error {
	if secret == "" {
		return nil
	}
	if x.Secret == post.SecretVault {
		s, err := a.store()
		if err != nil {
			return err
		}
		if !s.Vault.Unlocked() && a.canAsk() { // else --vault-stdin has done it
			if err := a.unlock(ctx, s.Vault); err != nil {
				return err
			}
		}
		return s.Set(ctx, x, secret)
	}
	err := a.Secrets.Set(ctx, x, secret)
	if err == nil || post.KindOf(err) == post.KindCancelled {
		return err
	}
	return &post.Error{
		Kind: post.KindSignIn, Err: err,
		Message: "the password was not kept and nothing was changed; unlock the keyring and try again, or keep it in the vault (--vault, see: postroom vault --help), or let a command print the password (--password-command)",
	}
}

// maxAuthority is how large a file of certificates may be, in bytes.
const maxAuthority = 1 << 20

// readAuthority reads the certificates of a private authority; no file name
// means the system's authorities again.
func readAuthority(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	b, err := readSmall(name, maxAuthority)
	if err != nil {
		return nil, err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(b) {
		return nil, usage("%s holds no certificate in PEM form", name)
	}
	return b, nil
}

// readSmall reads a whole file that the user named.
func readSmall(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		return nil, usage("%s is not a file", name)
	}
	var b []byte
	if err == nil && info.Size() <= limit {
		b, err = os.ReadFile(name)
	}
	switch {
	case err != nil:
		return nil, &post.Error{Kind: post.KindInvalid, Message: "the file cannot be read", Err: err}
	case info.Size() > limit || int64(len(b)) > limit:
		return nil, usage("%s is larger than %d MB", name, limit>>20)
	}
	return b, nil
}

func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

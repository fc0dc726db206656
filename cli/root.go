package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/adrg/xdg"
	"github.com/spf13/cobra"
	"gopkg.in/natefinch/lumberjack.v2"

	"postroom/accounts"
	"postroom/assets/words"
	"postroom/post"
	"postroom/storage"
)

// The exit codes; see the package comment.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitUser   = 3
)

// Deps is what the command line needs from the program around it.
type Deps struct {
	Version string
	// Window opens the window on a data folder and returns when it is closed;
	// it is what the program does without a command. The log is slog.Default.
	// nil: this build has no window.
	Window  func(ctx context.Context, dir string) error
	Secrets accounts.Secrets // nil: the keyring and the shell of this computer
	// Discoverer finds servers for addresses; nil: over this computer's network.
	Discoverer *accounts.Discoverer
	HealthDNS  accounts.HealthDNS // nil: this computer's
	Clock      post.Clock         // nil: the system's
}

// app is one call of the program.
type app struct {
	Deps
	in    *bufio.Reader // of stdin, line by line
	stdin io.Reader
	out   *bufio.Writer
	err   io.Writer
	words *words.Catalogue // English: what scripts and their authors read

	data       string // the data folder
	vaultStdin bool   // the first line of standard input opens the vault
	json       bool
	logLevel   string
	log        *slog.Logger
	logFile    *lumberjack.Logger

	terminal    bool // err is one
	statusShown atomic.Bool
	errMu       sync.Mutex // progress is told beside the command
}

// Run carries out one command and returns the process's exit code. It never
// calls os.Exit. It sets the process's umask and default log.
func Run(ctx context.Context, d Deps, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	privateFiles()
	if d.Secrets == nil { // what belongs to the data folder comes when that is known
		d.Secrets = accounts.NewStore()
	}
	if d.Clock == nil {
		d.Clock = post.SystemClock{}
	}
	a := &app{
		Deps: d, in: newInput(stdin), stdin: stdin, out: bufio.NewWriter(stdout), err: stderr, words: words.For(words.English),
		log: slog.New(slog.DiscardHandler), terminal: isTerminal(stderr), json: wantsJSON(args),
	}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(a.out)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	a.clearStatus()
	if ferr := a.out.Flush(); ferr != nil && err == nil {
		// A reader that has seen enough ("| head") is no reason to shout.
		if err = error(ended{exitFailed}); !errors.Is(ferr, syscall.EPIPE) {
			err = ferr
		}
	}
	code := a.exitCode(err)
	if a.logFile != nil {
		if err := a.logFile.Close(); err != nil {
			a.complain("the log could not be closed: "+oneLine(err.Error()), post.KindInternal, nil)
		}
	}
	return code
}

// wantsJSON finds --json before the flags are parsed, so that also an error in
// the flags is an object.
func wantsJSON(args []string) bool {
	for _, arg := range args {
		switch arg {
		case "--":
			return false
		case "--json", "--json=true":
			return true
		}
	}
	return false
}

func (a *app) root() *cobra.Command {
	cobra.MousetrapHelpText = "" // started by a double click, the window is what is wanted
	root := &cobra.Command{
		Use:   "postroom",
		Short: "A mailroom for small businesses",
		Long: `Postroom sends personalised mail to many people through your own mail accounts,
and says for each of them what became of it. Without a command it opens its
window; the commands do the same jobs for scripts and servers.

Results are plain words, or with --json one object a line. The exit code is
0 when all is done, 1 when something failed, 2 when the command was wrong, and
3 when you must decide or act.`,
		Example: `  postroom account add shop --email anna@example.com --host smtp.example.com \
           --port 465 --tls tls --password-stdin < password.txt
  postroom account test shop
  postroom contacts import guests.csv --list Guests
  postroom send --account shop --list Guests --subject 'Hello {{first_name}}' \
           --body letter.md --attach menu.pdf --rehearse
  postroom run --until-empty
  postroom history --mailing 1`,
		Version:       a.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return a.window(c.Context()) },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%s; see: %s --help", err, c.CommandPath())
	})
	f := root.PersistentFlags()
	f.StringVar(&a.data, "data", "", "the `folder` that holds everything (default: POSTROOM_DATA, else your user data folder)")
	f.BoolVar(&a.json, "json", a.json, "print JSON, one object a line")
	f.BoolVar(&a.vaultStdin, "vault-stdin", false, "read the vault's passphrase from the first line of standard input")
	f.StringVar(&a.logLevel, "log-level", "info", "what is written to logs/postroom.log: debug, info, warn or error")
	root.SetVersionTemplate("postroom {{.Version}}\n")
	root.AddCommand(
		a.accountCommand(), a.contactsCommand(), a.sendCommand(), a.designCommand(), a.runCommand(), a.mailingCommand(), a.historyCommand(), a.receiptsCommand(),
		a.vaultCommand(), a.settingsCommand(), a.sampleCommand(), a.backupCommand(), a.restoreCommand(), a.checkCommand(),
	)
	root.SetHelpCommand(helpCommand())
	return root
}

// helpCommand is cobra's, but a topic that does not exist is an error.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [command]", Short: "Say how a command is used",
		Example: "  postroom help send",
		RunE: func(c *cobra.Command, args []string) error {
			found, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage("there is no command %q; see: postroom help", strings.Join(args, " "))
			}
			return found.Help()
		},
	}
}

// noCommand refuses what is no command of ours.
func noCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	c.SuggestionsMinimumDistance = 2 // as cobra has it for its own words
	hint := "see: " + c.CommandPath() + " --help"
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + near[0] + "?"
	}
	name := strings.TrimPrefix(c.CommandPath()+" "+args[0], c.Root().Name()+" ")
	return usage("there is no command %q; %s", name, hint)
}

// group is a command that only holds others.
func group(use, short, long string, subs ...*cobra.Command) *cobra.Command {
	names := make([]string, len(subs))
	for i, s := range subs {
		names[i] = s.Name()
	}
	slices.Sort(names)
	g := &cobra.Command{
		Use: use, Short: short, Long: long, Args: noCommand,
		RunE: func(c *cobra.Command, _ []string) error {
			return usage("say what to do: %s %s", c.CommandPath(), strings.Join(names, "|"))
		},
	}
	g.AddCommand(subs...)
	return g
}

// takes checks the number of arguments; what names them for the user.
func takes(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < n:
			return usage("give %s: %s", what, c.UseLine())
		case len(args) > n:
			return usage("%q is too much here: %s", args[n], c.UseLine())
		}
		return nil
	}
}

// takesMore asks for at least one argument.
func takesMore(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage("give %s: %s", what, c.UseLine())
		}
		return nil
	}
}

// onLedger runs a command on the open ledger. An interrupt cancels its context.
func (a *app) onLedger(f func(ctx context.Context, l *storage.Ledger, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return a.withLedger(ctx, func(l *storage.Ledger) error { return f(ctx, l, args) })
	}
}

func (a *app) withLedger(ctx context.Context, f func(*storage.Ledger) error) error {
	if err := a.prepare(); err != nil {
		return err
	}
	l, err := storage.Open(ctx, a.data, storage.Options{Clock: a.Clock, Log: a.log, Known: KnownLedgers()})
	if err != nil {
		a.log.Error("open the ledger", slog.Any("err", err))
		return err
	}
	if s, ok := a.Secrets.(accounts.Store); ok {
		a.Secrets = s.In(a.data, l)
	}
	if service := l.SyncedBy(); service != "" {
		a.note("The data folder is copied by %s: keep it in a folder that stays on this computer (--data). An older copy could send mail again.", service)
	}
	err = f(l)
	if cerr := l.Close(); cerr != nil {
		a.log.Error("close the ledger", slog.Any("err", cerr))
		if err == nil {
			err = cerr
		}
	}
	return err
}

// KnownLedgers is the file that tells this computer's ledgers from copied ones;
// empty where there is no home to keep it in.
func KnownLedgers() string {
	if !filepath.IsAbs(xdg.StateHome) {
		return ""
	}
	return filepath.Join(xdg.StateHome, "postroom", "ledgers.json")
}

// prepare settles which data folder is meant, and opens the log.
func (a *app) prepare() error {
	if a.data == "" {
		a.data = os.Getenv("POSTROOM_DATA")
	}
	if a.data == "" {
		a.data = filepath.Join(xdg.DataHome, "postroom")
	}
	dir, err := filepath.Abs(a.data)
	if err != nil {
		return &post.Error{Kind: post.KindInvalid, Message: "the data folder cannot be found", Err: err}
	}
	a.data = dir
	var level slog.Level
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, a.logLevel) || level.UnmarshalText([]byte(a.logLevel)) != nil {
		return usage("--log-level is debug, info, warn or error, not %q", a.logLevel)
	}
	logs := filepath.Join(dir, "logs")
	if err := os.MkdirAll(logs, 0o700); err != nil {
		// Whatever is wrong with the folder, opening the ledger says it better.
		return nil
	}
	a.logFile = &lumberjack.Logger{Filename: filepath.Join(logs, "postroom.log"), MaxSize: 10, MaxBackups: 5} // 10 MB; mode 0600
	a.log = slog.New(slog.NewTextHandler(a.logFile, &slog.HandlerOptions{Level: level}))
	slog.SetDefault(a.log)
	a.log.Debug("start", slog.String("version", a.Version), slog.Int("pid", os.Getpid()))
	return nil
}

func (a *app) window(ctx context.Context) error {
	if a.Window == nil {
		return &post.Error{Kind: post.KindInternal, Message: "this build has no window; the commands are listed by: postroom help"}
	}
	if err := a.prepare(); err != nil {
		return err
	}
	return a.Window(ctx, a.data)
}

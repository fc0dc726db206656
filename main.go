// Postroom is a desktop mailroom for small businesses. This file wires the
// rooms together: the command line, or without a command the window with the
// background mailer behind it.
package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // time zones by name also where the system has none

	"fyne.io/fyne/v2"

	"postroom/accounts"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/cli"
	"postroom/mailer"
	"postroom/post"
	"postroom/receipts"
	"postroom/storage"
	"postroom/ui"
)

// version is set by the packaging.
var version = "0.1.0-dev"

func main() {
	os.Exit(cli.Run(context.Background(), cli.Deps{Version: version, Window: window}, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// window opens the window on a data folder and returns when it is closed. A
// second start raises the first.
func window(ctx context.Context, dir string) error {
	if !ui.HasDisplay() {
		return &post.Error{
			Kind: post.KindInternal, Op: "open the window",
			Message: "there is no display here; the commands do the same jobs: postroom help",
		}
	}
	instance, err := ui.Claim(ctx, dir)
	if errors.Is(err, ui.ErrRaised) {
		return nil
	}
	if err != nil {
		return err
	}
	log := slog.Default()
	ledger, err := storage.Open(ctx, dir, storage.Options{Log: log, Known: cli.KnownLedgers()})
	if err != nil {
		return errors.Join(err, instance.Close())
	}
	err = show(ctx, instance, ledger, log)
	return errors.Join(err, instance.Close(), ledger.Close())
}

func show(ctx context.Context, instance *ui.Instance, ledger *storage.Ledger, log *slog.Logger) error {
	lang, mode, err := style(ctx, ledger)
	if err != nil {
		return err
	}
	secrets := accounts.NewStore().In(ledger.Dir(), ledger)
	dialer := &accounts.Dialer{Secrets: secrets, Log: log}
	opt, closeTrap, err := cli.MailerOptions(ctx, ledger, secrets, post.SystemClock{}, log)
	if err != nil {
		return err
	}
	opt = cli.ReadBeside(opt, ledger, secrets, post.SystemClock{}, log)
	mail := mailer.Serve(ctx, ledger, opt)
	shell := ui.New(ui.Deps{
		App: newApp(), Ledger: ledger, Mail: mail, Secrets: secrets,
		Doctor: dialer.Examine,
		Folders: func(ctx context.Context, a post.Account) ([]string, error) {
			return receipts.Folders(ctx, dialer.DialMailbox, a, log)
		},
		Practice: cli.PracticeDir(ledger.Dir()), Clock: post.SystemClock{}, Zone: time.Local, Log: log, Post: fyne.Do, Lang: lang, Theme: mode,
	})
	go instance.Serve(shell.Raise)
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(stop)
	go func() {
		<-stop
		shell.Quit()
		<-stop
		mail.Kill()
	}()
	shell.Run()
	<-mail.Stop()
	return closeTrap()
}

// style reads the settings that the window needs before it opens.
func style(ctx context.Context, l *storage.Ledger) (words.Lang, theme.Mode, error) {
	guess := os.Getenv("LC_ALL")
	if guess == "" {
		guess = os.Getenv("LANG")
	}
	lang, err := l.Setting(ctx, "language", string(words.Guess(guess)))
	if err != nil {
		return "", "", err
	}
	mode, err := l.Setting(ctx, "theme", string(theme.Light))
	return words.Lang(lang), theme.Mode(mode), err
}

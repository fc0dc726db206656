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
	"path/filepath"
	"syscall"
	"time"
	_ "time/tzdata" // time zones by name also where the system has none

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/app"

	"postroom/accounts"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/cli"
	"postroom/mailer"
	"postroom/post"
	"postroom/practice"
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
	ledger, err := storage.Open(ctx, dir, storage.Options{Log: log})
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
	secrets := accounts.NewStore()
	dialer := &accounts.Dialer{Secrets: secrets, Log: log}
	folder := filepath.Join(ledger.Dir(), "practice")
	trap := &rehearsal{dir: folder, log: log}
	defer trap.close()
	mail := mailer.Serve(ctx, ledger, mailer.Options{
		Log: log, Dial: dialer.Dial, Trap: trap.open, WaitScale: cli.WaitScale(), Policy: cli.RetryPolicy(ctx, ledger),
	})
	shell := ui.New(ui.Deps{
		App: app.NewWithID("app.postroom.desktop"), Ledger: ledger, Mail: mail, Secrets: secrets,
		Doctor:   func(ctx context.Context, a post.Account) accounts.Report { return dialer.Test(ctx, a) },
		Practice: folder, Clock: post.SystemClock{}, Zone: time.Local, Log: log, Post: fyne.Do, Lang: lang, Theme: mode,
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
	return nil
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
	mode, err := l.Setting(ctx, "theme", string(theme.System))
	return words.Lang(lang), theme.Mode(mode), err
}

// rehearsal opens the practice trap when the first rehearsal is due, and keeps
// it for the process's life.
type rehearsal struct {
	dir  string
	log  *slog.Logger
	trap *practice.Trap
}

func (r *rehearsal) open(ctx context.Context) (mailer.Trap, error) {
	if r.trap == nil {
		t, err := practice.Start(context.WithoutCancel(ctx), practice.Options{Dir: r.dir, Log: r.log})
		if err != nil {
			return mailer.Trap{}, err
		}
		r.trap = t
	}
	d := &accounts.Dialer{Secrets: accounts.Fixed(r.trap.Secret()), Log: r.log}
	return mailer.Trap{Account: r.trap.Account(), Dial: d.Dial}, nil
}

func (r *rehearsal) close() {
	if r.trap == nil {
		return
	}
	if err := r.trap.Close(); err != nil {
		r.log.Error("close the practice server", "err", err)
	}
}

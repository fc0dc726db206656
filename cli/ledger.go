package cli

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"postroom/post"
	"postroom/storage"
)

func (a *app) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use: "backup FILE", Short: "Write everything into one file, but for passwords",
		Long: `Backup writes the whole ledger and the attachments into one file, as they stand at
this moment, also while mail is being sent. Passwords are not in it. A file that
exists is not replaced.`,
		Example: "  postroom backup postroom-2026-12-01.zip",
		Args:    takes(1, "the file to write"),
		RunE: a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
			file, err := filepath.Abs(args[0])
			if err != nil {
				return &post.Error{Kind: post.KindInvalid, Message: "the file cannot be found", Err: err}
			}
			if err := l.Backup(ctx, file); err != nil {
				return err
			}
			return a.answer(map[string]string{"backup": file}, "backup written to %s", file)
		}),
	}
}

func (a *app) restoreCommand() *cobra.Command {
	return &cobra.Command{
		Use: "restore FILE", Short: "Put a backup in the place of the ledger",
		Long: `Restore replaces the ledger by a backup; what was there is kept beside it, under
backups. All mailings are paused afterwards, because some of what they think is
waiting may have been sent since: look at each, then resume it. Passwords must
be given again where the keyring does not have them, and password commands must
be confirmed.`,
		Example: "  postroom restore postroom-2026-12-01.zip",
		Args:    takes(1, "the backup"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.prepare(); err != nil {
				return err
			}
			if err := storage.Restore(c.Context(), a.data, args[0], storage.Options{Clock: a.Clock, Log: a.log}); err != nil {
				return err
			}
			a.note("All mailings are paused. Look at them with: postroom mailing list")
			return a.answer(map[string]string{"restored": args[0]}, "restored %s", args[0])
		},
	}
}

type checkJSON struct {
	OK       bool     `json:"ok"`
	Problems []string `json:"problems"`
}

func (a *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "Read the whole ledger and say whether it is sound",
		Long: "Check changes nothing. The exit code is 1 when something is wrong.",
		Args: takes(0, "nothing"),
		RunE: func(c *cobra.Command, args []string) error {
			err := a.onLedger(func(ctx context.Context, l *storage.Ledger, _ []string) error {
				problems, err := l.Check(ctx)
				if err != nil {
					return err
				}
				return a.tellCheck(problems)
			})(c, args)
			if errors.Is(err, storage.ErrCorrupt) { // too damaged to be read at all
				return a.tellCheck([]string{oneLine(err.Error())})
			}
			return err
		},
	}
}

func (a *app) tellCheck(problems []string) error {
	out := checkJSON{OK: len(problems) == 0, Problems: append([]string{}, problems...)}
	if a.json {
		if err := a.object(out); err != nil {
			return err
		}
	} else if out.OK {
		a.say("The ledger is sound.")
	} else {
		for _, p := range problems {
			a.say("%s", oneLine(p))
		}
	}
	if !out.OK {
		return ended{exitFailed}
	}
	return nil
}

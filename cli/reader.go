package cli

import (
	"context"
	"log/slog"
	"sync"

	"postroom/accounts"
	"postroom/compose"
	"postroom/mailer"
	"postroom/post"
	"postroom/receipts"
	"postroom/storage"
)

// sentFolder looks into the accounts' folders for sent mail.
func sentFolder(d *accounts.Dialer, l *storage.Ledger, secrets accounts.Secrets, clock post.Clock, log *slog.Logger) *receipts.SentFolder {
	return &receipts.SentFolder{
		Dial: d.DialMailbox, Ledger: l, Clock: clock, Log: log,
		Messages: func() receipts.Messages {
			return &compose.Archive{Kept: l, Signer: (&signers{ledger: l, secrets: secrets}).of}
		},
	}
}

// handledFolder moves handled reports where an account has a folder for them.
func handledFolder(d *accounts.Dialer, l *storage.Ledger, log *slog.Logger) *receipts.HandledFolder {
	return &receipts.HandledFolder{Dial: d.DialMailbox, Ledger: l, Log: log}
}

// ReadBeside makes a mailer read the accounts' mailboxes back beside sending.
func ReadBeside(opt mailer.Options, l *storage.Ledger, secrets accounts.Secrets, clock post.Clock, log *slog.Logger) mailer.Options {
	d := &accounts.Dialer{Secrets: secrets, Clock: clock, Log: log}
	w := &receipts.Watcher{Dial: d.DialMailbox, Ledger: l, Clock: clock, Log: log, Sent: sentFolder(d, l, secrets, clock, log), Handled: handledFolder(d, l, log)}
	other := opt.Beside
	opt.Beside = func(ctx context.Context) {
		var both sync.WaitGroup
		if other != nil {
			both.Go(func() { other(ctx) })
		}
		both.Go(func() { w.Run(ctx) })
		both.Wait()
	}
	return opt
}

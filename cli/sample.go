package cli

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"postroom/accounts"
	"postroom/assets/sample"
	"postroom/compose"
	"postroom/contacts"
	"postroom/mailer"
	"postroom/post"
	"postroom/practice"
	"postroom/storage"
)

// The names under which the sample stands in the ledger.
const (
	sampleList   = "Sample guests"
	practiceName = "Practice"
)

func (a *app) sampleCommand() *cobra.Command {
	return &cobra.Command{
		Use: "sample", Short: "Try everything with the built-in sample mailing; nothing leaves this computer",
		Long: `Sample does the whole job once: it takes twenty made-up guests into the list
"` + sampleList + `", writes each of them a personal message with an attachment, sends
these to the practice trap inside the program, and says what became of each and
where it lies as a file. It needs no network, no account and no keyring.

Where there is no account yet it makes one named "` + practiceName + `", which is always
paused: it only gives rehearsals a sender. Mail of yours that waits is left
alone.`,
		Example: "  postroom sample",
		Args:    takes(0, "nothing"),
		RunE: a.onLedger(func(ctx context.Context, l *storage.Ledger, _ []string) error {
			return a.sample(ctx, l)
		}),
	}
}

func (a *app) sample(ctx context.Context, l *storage.Ledger) error {
	q, err := a.queueSample(ctx, l)
	if err != nil {
		return err
	}
	a.note("%s queued as mailing %d, a rehearsal: nothing leaves this computer.", plural(q.Queued, "message", "messages"), q.Mailing)
	if err := a.rehearse(ctx, l, q.Mailing); err != nil {
		return err
	}
	var total, caught int
	for d, err := range l.EachDelivery(ctx, storage.HistoryFilter{Mailing: q.Mailing}) {
		if err != nil {
			return err
		}
		total++
		file := practice.Path(PracticeDir(a.data), d.MessageID)
		if _, err := os.Stat(file); err == nil && d.State == post.StateSent {
			caught++
		} else {
			file = ""
		}
		if err := a.tellCaught(&d, file); err != nil {
			return err
		}
	}
	if !a.json {
		a.say("%d of %d messages were caught; each lies in %s as it would have arrived.", caught, total, PracticeDir(a.data))
	}
	if caught < total {
		return ended{exitFailed}
	}
	return nil
}

// tellCaught prints a line of history with the file that the trap wrote.
func (a *app) tellCaught(d *storage.HistoryRow, file string) error {
	if !a.json {
		a.say("%-9s %s <%s>  %s", d.State, oneLine(d.Name), oneLine(d.Address), file)
		return nil
	}
	return a.object(struct {
		deliveryJSON
		File string `json:"file"`
	}{a.describeDelivery(d), file})
}

// queueSample does what a user would: import, write, rehearse.
func (a *app) queueSample(ctx context.Context, l *storage.Ledger) (compose.Queued, error) {
	none := compose.Queued{}
	if err := importSample(ctx, l); err != nil {
		return none, err
	}
	li, err := l.ListByName(ctx, sampleList)
	if err != nil {
		return none, err
	}
	sender, err := sampleSender(ctx, l)
	if err != nil {
		return none, err
	}
	fields, err := l.FieldNames(ctx)
	if err != nil {
		return none, err
	}
	file := sample.Attachment()
	sum, size, err := l.Put(ctx, bytes.NewReader(file.Content))
	if err != nil {
		return none, err
	}
	return compose.Queue(ctx, l, l, &compose.Job{
		Name: sample.Name, Kind: post.Rehearsal, Senders: []post.Sender{sender}, Total: li.Members, KnownFields: fields,
		Content: post.Content{
			Subject: sample.Subject, Format: post.FormatMarkdown, Body: string(sample.Message().Content), DSN: post.DSNNone,
			Attachments: []post.Attachment{{Name: file.Name, Type: file.Type, SHA256: sum, Size: size}},
		},
		Recipients: func() iter.Seq2[post.Recipient, error] { return members(ctx, l, li.ID) },
	}, nil)
}

// importSample takes the sample's people in by the same way as any file.
func importSample(ctx context.Context, l *storage.Ledger) (err error) {
	dir, err := os.MkdirTemp("", "postroom-sample-*")
	if err != nil {
		return &post.Error{Kind: post.KindInternal, Op: "write the sample", Err: err}
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	people := sample.People()
	path := filepath.Join(dir, people.Name)
	if err := os.WriteFile(path, people.Content, 0o600); err != nil {
		return &post.Error{Kind: post.KindInternal, Op: "write the sample", Err: err}
	}
	_, err = contacts.Import(ctx, l, path, contacts.Options{List: sampleList})
	return err
}

// sampleSender is the first account, or the practice account, which is made
// where there is none.
func sampleSender(ctx context.Context, l *storage.Ledger) (post.Sender, error) {
	all, err := l.Accounts(ctx)
	if err != nil {
		return post.Sender{}, err
	}
	if len(all) > 0 {
		return post.Sender{Account: all[0].ID, Email: all[0].Email, FromName: all[0].FromName, Weight: 1}, nil
	}
	x, err := l.CreateAccount(ctx, post.Account{
		Name: practiceName, Email: "practice@localhost", FromName: practiceName, Host: "127.0.0.1", Port: 25, TLS: post.TLSNone,
		Auth: post.AuthNone, Secret: post.SecretNone,
	})
	if err != nil {
		return post.Sender{}, err
	}
	err = l.HoldAccount(ctx, x.ID, post.AccountPaused, post.Reason{Key: reasonPractice})
	return post.Sender{Account: x.ID, Email: x.Email, FromName: x.FromName, Weight: 1}, err
}

// rehearse sends one rehearsal, or waits for the process that is sending to do
// so. Live mail stays where it is: this mailer reaches no account.
func (a *app) rehearse(ctx context.Context, l *storage.Ledger, mailing int64) error {
	lock, err := storage.TryLock(a.data)
	if err != nil {
		return err
	}
	if lock == nil {
		a.note("Another Postroom is sending; it takes this rehearsal too.")
		return a.awaitEnd(ctx, l, mailing, func() error { return nil })
	}
	defer lock.Unlock() //nolint:errcheck // the kernel frees it with the process
	opt, closeTrap, err := MailerOptions(ctx, l, a.Secrets, a.Clock, a.log)
	if err != nil {
		return err
	}
	opt.Dial = func(context.Context, post.Account) (*accounts.Conn, error) {
		// The verdict on a cancelled step leaves delivery and account as they are.
		return nil, &post.Fault{Phase: post.PhaseMAIL, Cause: post.CauseCancelled, Detail: "a rehearsal reaches no account"}
	}
	run, stop := context.WithCancel(ctx)
	defer stop()
	m := mailer.New(l, opt)
	over := make(chan error, 1)
	go func() {
		over <- m.Run(run, mailer.RunParams{})
		stop() // by itself it ends only when it cannot go on
	}()
	err = a.awaitEnd(run, l, mailing, m.Halted)
	stop()
	return errors.Join(err, <-over, closeTrap())
}

// awaitEnd returns when nothing of a mailing waits any more, or when something
// keeps everything from being sent.
func (a *app) awaitEnd(ctx context.Context, l *storage.Ledger, mailing int64, trouble func() error) error {
	told := int64(-1)
	for {
		m, err := l.Mailing(ctx, mailing)
		if err != nil {
			return err
		}
		if caught := m.Counts[post.StateSent]; caught != told {
			told = caught
			if a.terminal {
				a.status("%d of %d caught", caught, m.Total())
			} else {
				a.note("%d of %d caught", caught, m.Total())
			}
		}
		if m.Pending() == 0 || m.Hold != "" {
			a.clearStatus()
			return nil
		}
		if err := trouble(); err != nil {
			return err
		}
		t := a.Clock.NewTimer(100 * time.Millisecond)
		select {
		case <-t.C():
		case <-ctx.Done():
			t.Stop()
			return &post.Error{Kind: post.KindCancelled, Message: "stopped before all messages were caught", Err: ctx.Err()}
		}
	}
}

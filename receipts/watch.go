package receipts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

// How often a Watcher does what.
const (
	lookEvery   = 20 * time.Second // at the accounts
	pollEvery   = 2 * time.Minute  // at a mailbox whose server offers no IDLE
	idleFor     = 9 * time.Minute  // until it is looked in any case: some servers never tell
	maxSitting  = time.Hour        // over one connection
	firstAgain  = 15 * time.Second // after a network error, doubling
	signInAgain = 10 * time.Minute // after a refused sign-in, doubling: servers lock accounts that try often
	lastAgain   = time.Hour
	sentEvery   = time.Minute      // whether copies are to be filed
	searchEvery = 15 * time.Minute // for uncertain deliveries in the folder for sent mail
	movedEvery  = 30 * time.Second // whether handled reports are to be moved
)

// WatchLedger is what a Watcher needs of the ledger.
type WatchLedger interface {
	Ledger
	Accounts(ctx context.Context) ([]post.Account, error)
	NoteMailbox(ctx context.Context, s storage.MailboxState) error
}

var _ WatchLedger = (*storage.Ledger)(nil)

// Watcher reads the mailboxes of all accounts in the background.
type Watcher struct {
	Dial   func(ctx context.Context, a post.Account) (*accounts.Mailbox, error)
	Ledger WatchLedger
	Clock  post.Clock
	Log    *slog.Logger
	Sent   *SentFolder // nil: it is not looked into
	// Handled moves reports where an account has a folder for them; nil: none are.
	Handled *HandledFolder
}

// Run reads until ctx ends, each mailbox by itself, so that one in trouble keeps
// no other. Accounts that appear, change or go are noticed. When it returns all
// connections are closed.
func (w *Watcher) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	reading := map[string]context.CancelFunc{} // by what matters for the mailbox
	defer func() {
		for _, stop := range reading {
			stop()
		}
	}()
	for {
		have, err := w.Ledger.Accounts(ctx)
		if err != nil && ctx.Err() == nil {
			w.Log.Warn("look for mailboxes", slog.Any("err", err))
		}
		if err == nil {
			wanted := map[string]bool{}
			for _, a := range have {
				if a.IMAPHost == "" {
					continue
				}
				key := mailboxKey(a)
				wanted[key] = true
				if reading[key] != nil {
					continue
				}
				one, stop := context.WithCancel(ctx)
				reading[key] = stop
				all.Go(func() { w.keep(one, a) })
				if w.Sent != nil {
					all.Go(func() { w.keepSent(one, a) })
				}
				if w.Handled != nil && a.HandledFolder != "" {
					all.Go(func() { w.keepHandled(one, a) })
				}
			}
			for key, stop := range reading {
				if !wanted[key] {
					stop()
					delete(reading, key)
				}
			}
		}
		if !w.wait(ctx, lookEvery) {
			return
		}
	}
}

// mailboxKey changes with all that another connection would have to be made for.
func mailboxKey(a post.Account) string {
	return fmt.Sprint(a.ID, " ", accounts.MailboxName(a), " ", a.IMAPPort, a.IMAPTLS, a.Auth, a.Secret, a.SecretRef, a.PasswordCommand, a.CommandHeld, a.Proxy, " ", a.Pin, " ", a.HandledFolder, " ", string(a.CA))
}

// wait reports false when ctx ended first.
func (w *Watcher) wait(ctx context.Context, d time.Duration) bool {
	t := w.Clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C():
		return true
	}
}

// keep reads one mailbox over and over.
func (w *Watcher) keep(ctx context.Context, a post.Account) {
	f := &Fetcher{Dial: w.Dial, Ledger: w.Ledger, Log: w.Log}
	failed := 0
	for ctx.Err() == nil {
		box, r, err := f.fetch(ctx, a)
		w.note(ctx, a, err)
		next := pollEvery
		switch {
		case err == nil:
			failed = 0
			if w.sit(ctx, f, box, a) {
				next = 0 // to look again at once
			}
			box.Close()
		case ctx.Err() != nil:
			return
		default:
			if r.Read > 0 { // it went on
				failed = 0
			}
			next = again(err, failed)
			failed++
			w.Log.Warn("mailbox not read", slog.Int64("account", a.ID), slog.Any("err", err), slog.Duration("again", next))
		}
		if next > 0 && !w.wait(ctx, next) {
			return
		}
	}
}

// keepSent looks into one account's folder for sent mail over and over.
func (w *Watcher) keepSent(ctx context.Context, a post.Account) {
	failed := 0
	searched := -searchEvery
	for ctx.Err() == nil {
		search := w.Clock.Elapsed()-searched >= searchEvery
		_, err := w.Sent.Visit(ctx, a, search)
		next := sentEvery
		switch {
		case err == nil:
			failed = 0
			if search {
				searched = w.Clock.Elapsed()
			}
		case ctx.Err() != nil:
			return
		default:
			next = again(err, failed)
			failed++
			w.Log.Warn("the folder for sent mail", slog.Int64("account", a.ID), slog.Any("err", err), slog.Duration("again", next))
		}
		if !w.wait(ctx, next) {
			return
		}
	}
}

// keepHandled moves one account's handled reports over and over. What keeps them
// from it is logged when it is new; the ledger has it in any case.
func (w *Watcher) keepHandled(ctx context.Context, a post.Account) {
	failed, said := 0, ""
	for ctx.Err() == nil {
		moved, err := w.Handled.Visit(ctx, a)
		next := movedEvery
		switch {
		case err == nil:
			failed, said = 0, ""
		case ctx.Err() != nil:
			return
		default:
			if moved > 0 { // it went on
				failed = 0
			}
			next = again(err, failed)
			failed++
			if err.Error() != said {
				said = err.Error()
				w.Log.Warn("handled reports not moved", slog.Int64("account", a.ID), slog.Any("err", err), slog.Duration("again", next))
			}
		}
		if !w.wait(ctx, next) {
			return
		}
	}
}

// again is how long to wait after so many failures before.
func again(err error, failed int) time.Duration {
	first := firstAgain
	var fault *post.Fault
	if errors.As(err, &fault) && (fault.Phase == post.PhaseAuth || fault.Phase == post.PhaseSecret) {
		first = signInAgain
	}
	return min(first<<min(failed, 10), lastAgain)
}

// note keeps in the ledger how it went, for the user to see.
func (w *Watcher) note(ctx context.Context, a post.Account, err error) {
	if ctx.Err() != nil { // stopped; that is no trouble
		return
	}
	if err := w.Ledger.NoteMailbox(ctx, StateOf(a, w.Clock.Now(), err)); err != nil && ctx.Err() == nil {
		w.Log.Warn("note the reading", slog.Any("err", err))
	}
}

// StateOf is what is kept of an attempt to read an account's mailbox.
func StateOf(a post.Account, now time.Time, err error) storage.MailboxState {
	s := storage.MailboxState{Account: a.ID, Server: accounts.MailboxName(a), TriedAt: now}
	if err == nil {
		s.ReadAt = now
	} else {
		s.Trouble = troubleOf(err)
	}
	return s
}

// troubleOf is the reason to tell the user: a key for their language, with the
// server's own words in it where it said any, and all of it in English as raw.
func troubleOf(err error) post.Reason {
	r := post.Reason{Raw: post.CleanReply(err.Error())}
	var fault *post.Fault
	var known *post.Error
	switch {
	case errors.As(err, &fault):
		switch {
		case fault.Reason.Key != "":
			r.Key, r.Args = fault.Reason.Key, fault.Reason.Args
		case fault.Cause != post.CauseNone:
			r.Key = "cause." + string(fault.Cause)
		case fault.Reply.Code/100 == 4:
			r.Key, r.Args = "mailbox.not_now", []string{post.CleanReply(fault.Reply.Text)}
		case !fault.Reply.IsZero():
			r.Key, r.Args = "mailbox.sign_in", []string{post.CleanReply(fault.Reply.Text)}
		}
	case errors.As(err, &known):
		switch {
		case known.Reason.Key != "":
			r.Key, r.Args = known.Reason.Key, known.Reason.Args
		case known.Kind == post.KindRejected:
			r.Key, r.Args = "mailbox.refused", []string{known.Message}
		case known.Kind == post.KindNetwork:
			r.Key = "mailbox.broke"
		}
	}
	return r
}

// sit stays connected to a server that tells when mail comes, and reads it then.
// It reports whether the server does so.
func (w *Watcher) sit(ctx context.Context, f *Fetcher, box *accounts.Mailbox, a post.Account) bool {
	if !box.Caps().Has(imap.CapIdle) {
		return false
	}
	for began := w.Clock.Elapsed(); w.Clock.Elapsed()-began < maxSitting; {
		if err := w.idle(ctx, f, box); err != nil {
			return w.gone(ctx, a, err)
		}
		select {
		case <-box.News: // seen below
		default:
		}
		if err := f.catchUp(ctx, box, a, &care{size: stepSize}, &Result{By: map[post.ReceiptKind]int{}}); err != nil {
			return w.gone(ctx, a, err) // another connection does it with care
		}
		w.note(ctx, a, nil)
	}
	return true
}

// gone logs the end of a connection. Servers end them as they like, so it is no
// trouble by itself; but one that ends them at once is not asked again at once.
func (w *Watcher) gone(ctx context.Context, a post.Account, err error) bool {
	if ctx.Err() == nil {
		w.Log.Debug("the connection to the mailbox ended", slog.Int64("account", a.ID), slog.Any("err", err))
	}
	return ctx.Err() == nil && w.wait(ctx, firstAgain)
}

// idle waits until something came, or long enough.
func (w *Watcher) idle(ctx context.Context, f *Fetcher, box *accounts.Mailbox) error {
	begin := time.AfterFunc(f.patience(), box.Abort)
	cmd, err := box.Idle()
	begin.Stop()
	if err != nil {
		return err
	}
	box.Allow(f.maxAnswer())
	t := w.Clock.NewTimer(idleFor)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C():
	case <-box.News:
	case <-box.Closed():
	}
	end := time.AfterFunc(f.patience(), box.Abort)
	defer end.Stop()
	return errors.Join(cmd.Close(), cmd.Wait(), ctx.Err())
}

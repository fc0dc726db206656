package receipts

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

const (
	stepSize = 200       // messages per step
	readSize = 50        // of them that are read whole per transaction
	maxUIDs  = 2_000_000 // in one fetch; the rest is for the next
	inbox    = "INBOX"

	// maxAnswer bounds what the server may send in answer to one step, so that one
	// that raves costs no more memory.
	maxAnswer = 64 << 20
)

// Ledger is what the fetcher needs of the ledger.
type Ledger interface {
	Mailbox(ctx context.Context, account int64, server string) (storage.Position, error)
	RecordReceipts(ctx context.Context, found []storage.Incoming, p storage.Position) (storage.Noted, error)
}

var _ Ledger = (*storage.Ledger)(nil)

// Fetcher reads mailboxes. Its fields are not changed after the first use.
type Fetcher struct {
	// Dial signs in; see accounts.Dialer.DialMailbox.
	Dial   func(ctx context.Context, a post.Account) (*accounts.Mailbox, error)
	Ledger Ledger
	Log    *slog.Logger
	// Progress, where set, is told after each step how many of the new messages
	// have been looked at.
	Progress func(done, total int)
	// Patience is how long the server may take for one answer, and a little more
	// for each message in it; 0: a minute.
	Patience time.Duration

	answer int64 // for tests: in the place of maxAnswer
}

// Result counts one fetch.
type Result struct {
	Read       int // messages looked at
	Matched    int // those tied to a delivery
	Unmatched  int // reports and wishes that are tied to none
	Unreadable int // messages that the server could not give; see Fetch
	By         map[post.ReceiptKind]int
	Paused     []int64 // mailings that paused themselves over it
}

func (f *Fetcher) patience() time.Duration {
	if f.Patience > 0 {
		return f.Patience
	}
	return time.Minute
}

func (f *Fetcher) maxAnswer() int64 {
	if f.answer > 0 {
		return f.answer
	}
	return maxAnswer
}

// Fetch reads what came into the account's INBOX since the last time, the oldest
// first. After an error the result still counts what was kept; the next fetch
// goes on from there.
//
// Where the server breaks down over some messages it is asked for fewer at a
// time. A single one that it cannot give three times, while it gives another, is
// passed over and noted among the reports that are tied to nothing.
func (f *Fetcher) Fetch(ctx context.Context, a post.Account) (Result, error) {
	box, r, err := f.fetch(ctx, a)
	if box != nil {
		box.Close()
	}
	return r, err
}

// fetch is Fetch; without an error the connection stays open.
func (f *Fetcher) fetch(ctx context.Context, a post.Account) (*accounts.Mailbox, Result, error) {
	r := Result{By: map[post.ReceiptKind]int{}}
	if a.IMAPHost == "" {
		return nil, r, post.Errorf(post.KindInvalid, "", "%s has no mailbox; give it one: postroom account set %s --imap-host HOST --imap-port 993 --imap-tls tls", a.Name, a.Name)
	}
	c := care{size: stepSize}
	for {
		box, err := f.Dial(ctx, a)
		if err != nil {
			return nil, r, err
		}
		if err = f.catchUp(ctx, box, a, &c, &r); err == nil {
			f.Log.Info("mailbox read", slog.Int64("account", a.ID), slog.Int("read", r.Read), slog.Int("matched", r.Matched),
				slog.Int("unmatched", r.Unmatched), slog.Int("unreadable", r.Unreadable))
			return box, r, nil
		}
		box.Close()
		err = broken(ctx, f.Log, opRead, err)
		if k := post.KindOf(err); k != post.KindNetwork && k != post.KindRejected || !c.tryAgain() {
			return nil, r, err
		}
	}
}

// catchUp reads what is new over one connection.
func (f *Fetcher) catchUp(ctx context.Context, box *accounts.Mailbox, a post.Account, c *care, r *Result) error {
	p, uids, err := f.look(ctx, box, a)
	if err != nil {
		return err
	}
	for done := 0; done < len(uids); {
		if uids[done] == c.given && c.failed >= maxFailed {
			if err := f.passOver(ctx, box, a, uids, done, &p, r); err != nil {
				return err
			}
			done++
			continue
		}
		step := uids[done:min(done+c.size, len(uids))]
		c.begin(step)
		if err := f.step(ctx, box, a, step, &p, r); err != nil {
			return err
		}
		c.done()
		done += len(step)
		if f.Progress != nil {
			f.Progress(done, len(uids))
		}
	}
	return nil
}

// look opens the INBOX and lists what is new in it.
func (f *Fetcher) look(ctx context.Context, box *accounts.Mailbox, a post.Account) (p storage.Position, uids []imap.UID, err error) {
	limit := time.AfterFunc(2*f.patience(), box.Abort)
	defer limit.Stop()
	box.Allow(f.maxAnswer())
	selected, err := box.Select(inbox, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		return p, nil, err
	}
	if p, err = f.Ledger.Mailbox(ctx, a.ID, accounts.MailboxName(a)); err != nil {
		return p, nil, err
	}
	if p.Validity != selected.UIDValidity { // its numbers mean other messages now (RFC 9051 2.3.1.1)
		p.Validity, p.UID = selected.UIDValidity, 0
	}
	uids, err = newUIDs(box, p.UID, uint32(selected.UIDNext))
	return p, uids, err
}

// What is done to a mailbox, in the errors of a conversation.
const (
	opRead = "read the mailbox"
	opMove = "move handled reports"
)

// broken makes the error of a conversation that did not go well.
func broken(ctx context.Context, log *slog.Logger, op string, err error) error {
	var known *post.Error
	var refused *imap.Error
	switch {
	case errors.As(err, &known):
		return err
	case ctx.Err() != nil:
		return &post.Error{Kind: post.KindCancelled, Op: op, Message: "stopped; the next time goes on from there", Err: ctx.Err()}
	case errors.As(err, &refused):
		return &post.Error{Kind: post.KindRejected, Op: op, Message: post.CleanReply(refused.Text)}
	}
	log.Debug("mailbox", slog.Any("err", err))
	return &post.Error{Kind: post.KindNetwork, Op: op, Message: "the mailbox server hung up, went silent or broke the protocol; the next time goes on from there"}
}

// newUIDs lists the messages above last and below next, in order. What came
// since the mailbox was opened is for the next time: so a server that makes up
// numbers cannot push the position beyond what there is.
func newUIDs(box *accounts.Mailbox, last, next uint32) ([]imap.UID, error) {
	if last == ^uint32(0) {
		return nil, nil
	}
	found, err := box.UIDSearch(&imap.SearchCriteria{UID: []imap.UIDSet{{imap.UIDRange{Start: imap.UID(last + 1), Stop: 0}}}}, nil).Wait()
	if err != nil {
		return nil, err
	}
	set, _ := found.All.(imap.UIDSet) // ranges in order; nil for none
	var all []imap.UID
	for _, r := range set {
		if r.Stop < r.Start { // "*" has no place in an answer
			continue
		}
		// One that is given as "n:*" where n is beyond the last is the last itself.
		for uid := uint64(max(uint32(r.Start), last+1)); uid <= uint64(r.Stop) && len(all) < maxUIDs; uid++ {
			if next != 0 && uid >= uint64(next) {
				break
			}
			all = append(all, imap.UID(uid)) // within 32 bits: below r.Stop
		}
	}
	return all, nil
}

// step looks at some messages: the headers of all, and as much as counts of
// those that may be about us. It keeps what it found and the position together,
// and never has more than readSize messages in memory.
func (f *Fetcher) step(ctx context.Context, box *accounts.Mailbox, a post.Account, uids []imap.UID, p *storage.Position, r *Result) error {
	limit := time.AfterFunc(f.patience()+time.Duration(len(uids))*f.patience()/50, box.Abort)
	defer limit.Stop()
	box.Allow(f.maxAnswer())
	var seen, wanted []imap.UID
	err := eachMessage(box, uids, headerSection(), maxHeader, func(m raw) {
		seen = append(seen, m.uid)
		if Concerns(m.bytes) {
			wanted = append(wanted, m.uid)
		}
	})
	if err != nil {
		return err
	}
	slices.Sort(seen)
	slices.Sort(wanted) // by the position, which is behind all that a transaction keeps
	for {
		some := wanted[:min(len(wanted), readSize)]
		wanted = wanted[len(some):]
		upTo := uids[len(uids)-1]
		if len(wanted) > 0 {
			upTo = some[len(some)-1]
		}
		found, err := readWhole(box, a, some)
		if err != nil {
			return err
		}
		if err := f.keep(ctx, found, upTo, p, r); err != nil {
			return err
		}
		for len(seen) > 0 && seen[0] <= upTo {
			seen = seen[1:]
			r.Read++
		}
		if len(wanted) == 0 {
			return nil
		}
	}
}

// readWhole reads messages as far as they are looked at.
func readWhole(box *accounts.Mailbox, a post.Account, uids []imap.UID) (found []storage.Incoming, err error) {
	if len(uids) == 0 {
		return nil, nil
	}
	err = eachMessage(box, uids, wholeSection(), maxMessage, func(m raw) {
		if in, ok := incoming(a, m); ok {
			found = append(found, in)
		}
	})
	return found, err
}

// keep notes what was found in the messages up to one, and the position.
func (f *Fetcher) keep(ctx context.Context, found []storage.Incoming, upTo imap.UID, p *storage.Position, r *Result) error {
	next := *p
	next.UID = uint32(upTo)
	n, err := f.Ledger.RecordReceipts(ctx, found, next)
	if err != nil {
		return err
	}
	*p = next
	r.Matched += n.Matched
	r.Unmatched += n.Unmatched
	r.Paused = append(r.Paused, n.Paused...)
	for _, id := range n.Paused {
		f.Log.Warn("a mailing paused itself: too much of it came back", slog.Int64("mailing", id))
	}
	for k, c := range n.By {
		r.By[k] += c
	}
	return nil
}

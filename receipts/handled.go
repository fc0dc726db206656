package receipts

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

const (
	handledBatch = 50 // reports moved by one command
	// maxRefused ends a visit: a server that refuses so many one by one refuses
	// them all, for want of room or of leave.
	maxRefused = 3
	maxHandled = 50_000 // in one visit
	maxAlike   = 20     // messages of the folder that are looked at for one report
	maxCopies  = 10     // of one report on a server that does not show them afterwards
)

// HandledLedger is what a HandledFolder needs of the ledger.
type HandledLedger interface {
	HandledDue(ctx context.Context, account int64, server string, n int) ([]storage.HandledReport, error)
	TryHandled(ctx context.Context, some []storage.HandledReport, copies, refused int) error
	HandledDone(ctx context.Context, some []storage.HandledReport) error
	NoteHandled(ctx context.Context, account int64, server string, trouble post.Reason) error
	HoldHandled(ctx context.Context, account int64, holder string, long time.Duration) (bool, error)
	LetHandledGo(ctx context.Context, account int64, holder string) error
}

var _ HandledLedger = (*storage.Ledger)(nil)

// HandledFolder moves reports out of the INBOX into the folder that the user
// chose for them, post.Account.HandledFolder: delivery reports, read receipts and
// complaints that are tied to a delivery and understood, once the ledger has them.
// What people write, what answers for them, and what the user has to look at
// stays. It works over connections of its own, so that whatever happens there
// keeps nobody from reading or sending.
//
// No message is lost, and none that is not meant is touched: each is looked at by
// its digest before it is moved; it goes by MOVE (RFC 6851), else by COPY and,
// when that has succeeded, by the removal of these very messages (UID EXPUNGE, RFC
// 4315); a server that offers neither is left alone. A visit may be killed at any
// moment. The next one takes up what waits, and copies nothing a second time that
// lies in the folder.
type HandledFolder struct {
	Dial     func(ctx context.Context, a post.Account) (*accounts.Mailbox, error)
	Ledger   HandledLedger
	Log      *slog.Logger
	Patience time.Duration // see Fetcher
}

// Visit moves what waits, and returns how many reports it moved, also beside an
// error. Where nothing waits it connects nowhere. While another visit moves an
// account's reports, also of another process, this one leaves them to it. What
// keeps them from being moved is noted in the ledger for the user to see.
func (h *HandledFolder) Visit(ctx context.Context, a post.Account) (moved int, err error) {
	if a.HandledFolder == "" || a.IMAPHost == "" {
		return 0, nil
	}
	v := handling{HandledFolder: h, account: a, server: accounts.MailboxName(a), holder: rand.Text()}
	due, err := v.due(ctx, 1)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	held, err := v.hold(ctx)
	if err != nil || !held {
		return 0, err
	}
	defer func() {
		err = errors.Join(err, h.Ledger.LetHandledGo(context.WithoutCancel(ctx), a.ID, v.holder))
	}()
	if v.box, err = h.Dial(ctx, a); err != nil {
		return 0, err
	}
	defer v.box.Close()
	if err = v.run(ctx); err != nil {
		err = v.broken(ctx, err)
	}
	if v.moved > 0 {
		h.Log.Info("handled reports moved", slog.Int64("account", a.ID), slog.Int("moved", v.moved))
	}
	if ctx.Err() != nil { // stopped; that is no trouble
		return v.moved, err
	}
	var trouble post.Reason
	if err != nil {
		trouble = troubleOf(err)
	}
	return v.moved, errors.Join(err, h.Ledger.NoteHandled(ctx, a.ID, v.server, trouble))
}

// handling is one visit's connection.
type handling struct {
	*HandledFolder
	box     *accounts.Mailbox
	account post.Account
	server  string
	holder  string

	folder   string // as the server calls it
	validity uint32 // of the INBOX
	moved    int
	refused  int   // reports that the server refused alone
	refusal  error // the first such
}

// report is one that waits, and lies in the INBOX.
type report struct {
	storage.HandledReport
	messageID string
	size      int64 // in bytes, as the server says
}

func (v *handling) patience() time.Duration {
	if v.Patience > 0 {
		return v.Patience
	}
	return time.Minute
}

// limit ends the connection when the server takes more time than it may have for
// so many messages, or says more.
func (v *handling) limit(messages int) *time.Timer {
	v.box.Allow(maxAnswer)
	return time.AfterFunc(v.patience()+time.Duration(messages)*v.patience()/handledBatch, v.box.Abort)
}

// hold is for longer than a server may take for a batch: to open, to look, to
// search and to move, at twice the patience for each.
func (v *handling) hold(ctx context.Context) (bool, error) {
	return v.Ledger.HoldHandled(ctx, v.account.ID, v.holder, 20*v.patience())
}

func (v *handling) due(ctx context.Context, n int) ([]storage.HandledReport, error) {
	return v.Ledger.HandledDue(ctx, v.account.ID, v.server, n)
}

// broken makes the error of a conversation that did not go well, in words of its
// own for a mailbox that is full.
func (v *handling) broken(ctx context.Context, err error) error {
	var refused *imap.Error
	if errors.As(err, &refused) && refused.Code == imap.ResponseCodeOverQuota {
		said := post.CleanReply(refused.Text)
		return &post.Error{Kind: post.KindRejected, Op: opMove, Message: said, Reason: post.Reason{Key: "handled.full", Args: []string{said}}}
	}
	return broken(ctx, v.Log, opMove, err)
}

// run moves all that waits; what comes meanwhile is for the next visit.
func (v *handling) run(ctx context.Context) error {
	if err := v.open(); err != nil {
		return err
	}
	due, err := v.due(ctx, maxHandled)
	if err != nil {
		return err
	}
	if err := v.enter(); err != nil {
		return err
	}
	for len(due) > 0 && due[0].Validity == v.validity { // else its numbers mean other messages now, and it is read again first
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if held, err := v.hold(ctx); err != nil || !held {
			return err
		}
		batch := due[:min(len(due), handledBatch)]
		due = due[len(batch):]
		some, err := v.look(ctx, batch)
		if err != nil {
			return err
		}
		if err := v.move(ctx, some); err != nil {
			return err
		}
	}
	return v.refusal
}

// enter opens the INBOX with leave to change it.
func (v *handling) enter() error {
	defer v.limit(1).Stop()
	selected, err := v.box.Select(inbox, nil).Wait()
	if err != nil {
		return err
	}
	// Where no list is given all flags can be set for good (RFC 9051 7.1).
	if flags := selected.PermanentFlags; len(flags) > 0 && !slices.Contains(flags, imap.FlagDeleted) && !v.box.Caps().Has(imap.CapMove) {
		return &post.Error{Kind: post.KindRejected, Op: opMove, Reason: post.Reason{Key: "handled.no_leave"}, Message: "the mailbox server lets us remove nothing from the INBOX"}
	}
	v.validity = selected.UIDValidity
	return nil
}

// look finds the reports of a batch in the INBOX. One that is gone was moved by an
// earlier visit or by its user. Another message in its place is not touched: the
// server is mistaken about its numbers.
func (v *handling) look(ctx context.Context, batch []storage.HandledReport) (some []report, err error) {
	defer v.limit(len(batch)).Stop()
	waits := map[imap.UID]storage.HandledReport{}
	var uids []imap.UID
	for _, r := range batch {
		uid := imap.UID(r.UID)
		waits[uid] = r
		uids = append(uids, uid)
	}
	err = eachMessage(v.box, uids, wholeSection(), maxMessage, func(m raw) {
		r := waits[m.uid]
		if sum := sha256.Sum256(m.bytes); !bytes.Equal(sum[:], r.Digest) {
			v.Log.Warn("another message lies where a report was", slog.Int64("account", r.Account), slog.Int64("uid", int64(r.UID)))
			return
		}
		delete(waits, m.uid)
		some = append(some, report{r, readFields(m.bytes).get("message-id"), m.size})
	})
	if err != nil {
		return nil, err
	}
	return some, v.Ledger.HandledDone(ctx, slices.Collect(maps.Values(waits)))
}

// move moves reports, and where the server refuses some together, each alone.
func (v *handling) move(ctx context.Context, some []report) error {
	if len(some) == 0 {
		return nil
	}
	err := v.moveTogether(ctx, some)
	var refused *imap.Error
	if !errors.As(err, &refused) {
		return err
	}
	for i := range some {
		some[i].Refused++
	}
	if err := v.Ledger.TryHandled(ctx, waiting(some), 0, 1); err != nil {
		return err
	}
	if len(some) > 1 {
		for i := range some {
			if err := v.move(ctx, some[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	v.keepRefusal(err)
	if v.refused++; v.refused >= maxRefused {
		return v.refusal
	}
	return nil
}

// keepRefusal keeps the first of what is told when the visit is over.
func (v *handling) keepRefusal(err error) {
	if v.refusal == nil {
		v.refusal = err
	}
}

// moveTogether moves reports. After an *imap.Error none is moved; after another
// one, or none, those that are not moved wait on.
func (v *handling) moveTogether(ctx context.Context, some []report) error {
	var err error
	if v.box.Caps().Has(imap.CapMove) {
		err = v.moveAtOnce(some)
	} else {
		some, err = v.copyAndRemove(ctx, some)
	}
	if err != nil {
		return err
	}
	v.moved += len(some)
	return v.Ledger.HandledDone(context.WithoutCancel(ctx), waiting(some))
}

func (v *handling) moveAtOnce(some []report) error {
	defer v.limit(len(some)).Stop()
	_, err := v.box.Move(setOf(some), v.folder).Wait()
	return err
}

// copyAndRemove is what MOVE does, in steps of which each begins only when the one
// before has succeeded; the library's own way to do so does not wait. It returns
// those that it moved.
func (v *handling) copyAndRemove(ctx context.Context, some []report) ([]report, error) {
	there, err := v.copied(some)
	if err != nil {
		return nil, err
	}
	var fresh, moved []report
	for i := range some {
		switch r := &some[i]; {
		case there[r.UID]:
			moved = append(moved, *r)
		case r.Copies-r.Refused >= maxCopies: // or the folder would fill with them
			v.keepRefusal(&post.Error{
				Kind: post.KindRejected, Op: opMove, Reason: post.Reason{Key: "handled.unseen"},
				Message: "the mailbox server took reports into the folder and does not show them there; they are not copied again",
			})
		default:
			r.Copies++
			fresh = append(fresh, *r)
		}
	}
	if err := v.Ledger.TryHandled(ctx, waiting(fresh), 1, 0); err != nil {
		return nil, err
	}
	if fresh, err = v.copyOver(fresh); err != nil {
		return nil, err
	}
	moved = append(moved, fresh...)
	if err := v.remove(moved); err != nil {
		return nil, v.broken(ctx, err) // no one by one: they lie in the folder
	}
	return moved, nil
}

// copyOver copies reports and returns those that the server says it copied.
func (v *handling) copyOver(some []report) ([]report, error) {
	if len(some) == 0 {
		return nil, nil
	}
	defer v.limit(len(some)).Stop()
	done, err := v.box.Copy(setOf(some), v.folder).Wait()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(some, func(r report) bool { return len(done.SourceUIDs) > 0 && !done.SourceUIDs.Contains(imap.UID(r.UID)) }), nil
}

// remove takes reports out of the INBOX, these and no others.
func (v *handling) remove(some []report) error {
	if len(some) == 0 {
		return nil
	}
	defer v.limit(len(some)).Stop()
	deleted := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := v.box.Store(setOf(some), deleted, nil).Close(); err != nil {
		return err
	}
	return v.box.UIDExpunge(setOf(some)).Close()
}

// copied looks which reports lie in the folder from an earlier visit, by UID, and
// opens the INBOX again. Those that were never copied cannot.
func (v *handling) copied(some []report) (map[uint32]bool, error) {
	tried := slices.DeleteFunc(slices.Clone(some), func(r report) bool { return r.Copies == 0 })
	if len(tried) == 0 {
		return nil, nil
	}
	limit := v.limit(len(tried))
	defer limit.Stop()
	if _, err := v.box.Select(v.folder, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		return nil, err
	}
	there := map[uint32]bool{}
	for _, r := range tried {
		found, err := v.inFolder(r)
		if err != nil {
			return nil, err
		}
		there[r.UID] = found
	}
	limit.Stop()
	before := v.validity
	if err := v.enter(); err != nil {
		return nil, err
	}
	if v.validity != before {
		return nil, post.Errorf(post.KindConflict, opMove, "the mailbox was numbered anew meanwhile; the next time goes on from there")
	}
	return there, nil
}

// inFolder reports whether the folder, which is open, has a report. It is asked
// for by its Message-ID or, where it has none, by its size, and known by its
// digest.
func (v *handling) inFolder(r report) (bool, error) {
	wanted := &imap.SearchCriteria{Larger: r.size - 1, Smaller: r.size + 1}
	if id := strings.Trim(r.messageID, "<> "); id != "" {
		wanted = &imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Message-ID", Value: id}}}
	}
	found, err := v.box.UIDSearch(wanted, nil).Wait()
	if err != nil {
		return false, err
	}
	set, _ := found.All.(imap.UIDSet) // ranges; nil for none
	uids := someUIDs(set, maxAlike)
	if len(uids) == 0 {
		return false, nil
	}
	same := false
	err = eachMessage(v.box, uids, wholeSection(), maxMessage, func(m raw) {
		sum := sha256.Sum256(m.bytes)
		same = same || bytes.Equal(sum[:], r.Digest)
	})
	return same, err
}

func setOf(some []report) imap.UIDSet {
	var set imap.UIDSet
	for _, r := range some {
		set.AddNum(imap.UID(r.UID))
	}
	return set
}

func waiting(some []report) []storage.HandledReport {
	all := make([]storage.HandledReport, len(some))
	for i := range some {
		all[i] = some[i].HandledReport
	}
	return all
}

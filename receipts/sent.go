package receipts

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

const (
	maxUncertain = 200 // looked up in one visit, the newest first
	copiesInHold = 5   // filed before another visit may have its turn
)

// SentLedger is what a SentFolder needs of the ledger.
type SentLedger interface {
	UncertainOf(ctx context.Context, account int64, n int) ([]storage.HistoryRow, error)
	SettleBySentFolder(ctx context.Context, delivery int64) error
	CopiesDue(ctx context.Context, account int64, n int) ([]storage.HistoryRow, error)
	NoteCopy(ctx context.Context, account int64, d *post.Delivery) error
	CopiesDone(ctx context.Context, account int64, at time.Time) error
	HoldCopies(ctx context.Context, account int64, holder string, long time.Duration) (bool, error)
	LetCopiesGo(ctx context.Context, account int64, holder string) error
}

var _ SentLedger = (*storage.Ledger)(nil)

// Messages makes messages again as they were sent.
type Messages interface {
	Message(ctx context.Context, d *post.Delivery) (message []byte, signed bool, err error)
}

// SentFolder looks into an account's own folder for sent mail, over connections
// of its own, so that whatever happens there keeps nobody from sending or
// reading. What lies there had been sent; what does not lie there proves nothing.
type SentFolder struct {
	Dial     func(ctx context.Context, a post.Account) (*accounts.Mailbox, error)
	Ledger   SentLedger
	Messages func() Messages // one for each visit, because it keeps the last mailing
	Clock    post.Clock
	Log      *slog.Logger
	Patience time.Duration // see Fetcher
}

// SentResult counts one visit.
type SentResult struct {
	Settled int // uncertain deliveries that were found there
	Filed   int // copies that were put there
}

// Visit settles the account's uncertain deliveries that are found, where search
// is true, and files the copies that are due. Without either it connects
// nowhere. A copy is looked for before it is filed: the provider may have done
// it, or a visit that ended before it could be noted. While another visit files
// copies, also of another process, this one leaves them to it.
func (s *SentFolder) Visit(ctx context.Context, a post.Account, search bool) (r SentResult, err error) {
	var unsure []storage.HistoryRow
	if search {
		if unsure, err = s.Ledger.UncertainOf(ctx, a.ID, maxUncertain); err != nil {
			return r, err
		}
	}
	began := s.Clock.Now()
	due, err := s.Ledger.CopiesDue(ctx, a.ID, 1)
	if err != nil {
		return r, err
	}
	if len(due) == 0 {
		if err := s.Ledger.CopiesDone(ctx, a.ID, began); err != nil || len(unsure) == 0 {
			return r, err
		}
	}
	box, err := s.Dial(ctx, a)
	if err != nil {
		return r, err
	}
	defer box.Close()
	v := visit{SentFolder: s, box: box, account: a}
	if err := v.open(); err != nil {
		if len(due) == 0 && post.KindOf(err) == post.KindNotFound { // nothing is to be filed, and nothing is proved
			return r, nil
		}
		return r, v.broken(ctx, err)
	}
	for i := range unsure {
		found, err := v.has(unsure[i].MessageID)
		if err != nil {
			return r, v.broken(ctx, err)
		}
		if !found {
			continue
		}
		if err := s.Ledger.SettleBySentFolder(ctx, unsure[i].ID); err != nil {
			return r, err
		}
		r.Settled++
	}
	if len(due) > 0 {
		err = v.fileAll(ctx, &r)
	}
	if r.Settled > 0 || r.Filed > 0 {
		s.Log.Info("the folder for sent mail", slog.Int64("account", a.ID), slog.Int("settled", r.Settled), slog.Int("filed", r.Filed))
	}
	return r, err
}

// visit is one visit's connection.
type visit struct {
	*SentFolder
	box     *accounts.Mailbox
	account post.Account
	folder  string
}

func (v *visit) patience() time.Duration {
	if v.Patience > 0 {
		return v.Patience
	}
	return time.Minute
}

func (v *visit) limit() *time.Timer {
	v.box.Allow(maxAnswer)
	return time.AfterFunc(v.patience(), v.box.Abort)
}

func (v *visit) broken(ctx context.Context, err error) error {
	return broken(ctx, v.Log, opRead, err)
}

// sentNames are what the folder is called on servers that do not say which it is
// (RFC 6154).
var sentNames = []string{"sent", "sent items", "sent messages", "sent mail", "gesendet", "gesendete objekte", "已发送", "已发送邮件", "已发邮件"}

// open finds the folder and looks into it, without leave to change it.
func (v *visit) open() error {
	limit := v.limit()
	defer limit.Stop()
	all, err := listFolders(v.box)
	if err != nil {
		return err
	}
	if v.folder = sentFolder(all); v.folder == "" {
		return post.Errorf(post.KindNotFound, "look into the folder for sent mail", "the mailbox has no folder for sent mail")
	}
	_, err = v.box.Select(v.folder, &imap.SelectOptions{ReadOnly: true}).Wait()
	return err
}

func isSentName(name string) bool {
	return slices.ContainsFunc(sentNames, func(known string) bool { return strings.EqualFold(name, known) })
}

func sentFolder(all []*imap.ListData) string {
	named := ""
	for _, x := range all {
		usable := true
		for _, attr := range x.Attrs {
			switch attr {
			case imap.MailboxAttrSent:
				return x.Mailbox
			case imap.MailboxAttrNoSelect, imap.MailboxAttrNonExistent:
				usable = false
			}
		}
		name := x.Mailbox
		if x.Delim != 0 {
			name = name[strings.LastIndexByte(name, byte(x.Delim))+1:]
		}
		if usable && named == "" && isSentName(name) {
			named = x.Mailbox
		}
	}
	return named
}

// has reports whether a message with this id lies in the folder. The server's
// search is for a part of a header, so that what it finds is looked at.
func (v *visit) has(id string) (bool, error) {
	limit := v.limit()
	defer limit.Stop()
	bare := strings.Trim(id, "<>")
	if bare == "" {
		return false, nil
	}
	found, err := v.box.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Message-ID", Value: bare}}}, nil).Wait()
	if err != nil {
		return false, err
	}
	set, _ := found.All.(imap.UIDSet) // ranges; nil for none
	uids := someUIDs(set, 5)
	if len(uids) == 0 {
		return false, nil
	}
	messages, err := v.box.Fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{Envelope: true, UID: true}).Collect()
	if err != nil {
		return false, err
	}
	for _, m := range messages {
		if m.Envelope != nil && strings.Trim(m.Envelope.MessageID, "<>") == bare {
			return true, nil
		}
	}
	return false, nil
}

// someUIDs lists up to n numbers of a set. The library's own way to do so does not
// end where a server makes up its ranges.
func someUIDs(set imap.UIDSet, n int) (uids []imap.UID) {
	for _, r := range set {
		for uid := uint64(r.Start); uid > 0 && uid <= uint64(r.Stop) && len(uids) < n; uid++ {
			uids = append(uids, imap.UID(uid)) // within 32 bits: not above r.Stop
		}
	}
	return uids
}

// fileAll files the copies that are due, and those that become due meanwhile.
// What is due is asked once they are held: another may just have filed some.
func (v *visit) fileAll(ctx context.Context, r *SentResult) (err error) {
	holder := rand.Text()
	defer func() {
		err = errors.Join(err, v.Ledger.LetCopiesGo(context.WithoutCancel(ctx), v.account.ID, holder))
	}()
	messages := v.Messages()
	for {
		held, err := v.Ledger.HoldCopies(ctx, v.account.ID, holder, v.holding())
		if err != nil || !held {
			return err
		}
		due, err := v.Ledger.CopiesDue(ctx, v.account.ID, copiesInHold)
		if err != nil || len(due) == 0 {
			return err
		}
		for i := range due {
			if ctx.Err() != nil {
				return v.broken(ctx, ctx.Err())
			}
			filed, err := v.file(ctx, messages, &due[i].Delivery)
			if filed {
				r.Filed++
			}
			if err != nil {
				return err
			}
		}
	}
}

// holding is longer than a server may take for the copies of one hold: a search,
// a look and the filing of each. One that is killed keeps others out no longer.
func (v *visit) holding() time.Duration { return (2*copiesInHold + 1) * v.patience() }

// file puts a copy into the folder unless it is there. A message that cannot be
// made again, because something of it was erased, is passed over for good.
func (v *visit) file(ctx context.Context, messages Messages, d *post.Delivery) (bool, error) {
	there, err := v.has(d.MessageID)
	if err != nil {
		return false, v.broken(ctx, err)
	}
	if there {
		return false, v.Ledger.NoteCopy(ctx, v.account.ID, d)
	}
	raw, _, err := messages.Message(ctx, d)
	if err != nil {
		if k := post.KindOf(err); k != post.KindNotFound && k != post.KindInvalid {
			return false, err
		}
		v.Log.Warn("no copy of a message can be made", slog.Int64("delivery", d.ID), slog.Any("err", err))
		return false, v.Ledger.NoteCopy(ctx, v.account.ID, d)
	}
	if err := v.put(raw, d.Date); err != nil {
		return false, v.broken(ctx, err)
	}
	return true, v.Ledger.NoteCopy(context.WithoutCancel(ctx), v.account.ID, d)
}

func (v *visit) put(raw []byte, at time.Time) error {
	limit := v.limit()
	defer limit.Stop()
	cmd := v.box.Append(v.folder, int64(len(raw)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}, Time: at})
	_, werr := cmd.Write(raw)
	cerr := cmd.Close()
	_, err := cmd.Wait()
	if err != nil { // a refusal says more than what it did to the writing
		return err
	}
	return errors.Join(werr, cerr)
}

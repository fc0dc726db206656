package receipts

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

const (
	stepSize    = 200             // messages per transaction
	stepTimeout = 5 * time.Minute // for one step, however slowly it trickles
	maxUIDs     = 2_000_000       // in one fetch; the rest is for the next
	inbox       = "INBOX"
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
}

// Result counts one fetch.
type Result struct {
	Read      int // messages looked at
	Matched   int // those tied to a delivery
	Unmatched int // reports and wishes that are tied to none
	By        map[post.ReceiptKind]int
}

// Fetch reads what came into the account's INBOX since the last time, the oldest
// first. After an error the result still counts what was kept; the next fetch
// goes on from there.
func (f *Fetcher) Fetch(ctx context.Context, a post.Account) (Result, error) {
	r := Result{By: map[post.ReceiptKind]int{}}
	if a.IMAPHost == "" {
		return r, post.Errorf(post.KindInvalid, "", "%s has no mailbox; give it one: postroom account set %s --imap-host HOST --imap-port 993 --imap-tls tls", a.Name, a.Name)
	}
	box, err := f.Dial(ctx, a)
	if err != nil {
		return r, err
	}
	defer box.Close()
	// A server that stops answering is hung up on; see step.
	selected, err := box.Select(inbox, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		return r, f.broken(ctx, err)
	}
	p, err := f.Ledger.Mailbox(ctx, a.ID, accounts.MailboxName(a))
	if err != nil {
		return r, err
	}
	if p.Validity != selected.UIDValidity { // its numbers mean other messages now (RFC 9051 2.3.1.1)
		p.Validity, p.UID = selected.UIDValidity, 0
	}
	uids, err := newUIDs(box, p.UID, uint32(selected.UIDNext))
	if err != nil {
		return r, f.broken(ctx, err)
	}
	for done := 0; done < len(uids); {
		step := uids[done:min(done+stepSize, len(uids))]
		if err := f.step(ctx, box, a, step, &p, &r); err != nil {
			return r, f.broken(ctx, err)
		}
		done += len(step)
		if f.Progress != nil {
			f.Progress(done, len(uids))
		}
	}
	f.Log.Info("mailbox read", slog.Int64("account", a.ID), slog.Int("read", r.Read), slog.Int("matched", r.Matched), slog.Int("unmatched", r.Unmatched))
	return r, nil
}

// broken makes the error of a conversation that did not go well.
func (f *Fetcher) broken(ctx context.Context, err error) error {
	var known *post.Error
	var refused *imap.Error
	switch {
	case errors.As(err, &known):
		return err
	case ctx.Err() != nil:
		return &post.Error{Kind: post.KindCancelled, Op: "read the mailbox", Message: "stopped; the next time goes on from there", Err: ctx.Err()}
	case errors.As(err, &refused):
		return &post.Error{Kind: post.KindRejected, Op: "read the mailbox", Message: post.CleanReply(refused.Text)}
	}
	f.Log.Debug("mailbox", slog.Any("err", err))
	return &post.Error{Kind: post.KindNetwork, Op: "read the mailbox", Message: "the mailbox server hung up or broke the protocol; the next time goes on from there"}
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
// those that may be about us. It keeps what it found and the position together.
func (f *Fetcher) step(ctx context.Context, box *accounts.Mailbox, a post.Account, uids []imap.UID, p *storage.Position, r *Result) error {
	limit := time.AfterFunc(stepTimeout, box.Abort)
	defer limit.Stop()
	var wanted []imap.UID
	err := eachMessage(box, uids, &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, Peek: true, Partial: &imap.SectionPartial{Size: maxHeader}}, maxHeader,
		func(m raw) {
			r.Read++
			if Concerns(m.bytes) {
				wanted = append(wanted, m.uid)
			}
		})
	if err != nil {
		return err
	}
	var found []storage.Incoming
	if len(wanted) > 0 {
		err = eachMessage(box, wanted, &imap.FetchItemBodySection{Peek: true, Partial: &imap.SectionPartial{Size: maxMessage}}, maxMessage, func(m raw) {
			if in, ok := incoming(a, m); ok {
				found = append(found, in)
			}
		})
		if err != nil {
			return err
		}
	}
	next := *p
	next.UID = uint32(uids[len(uids)-1])
	n, err := f.Ledger.RecordReceipts(ctx, found, next)
	if err != nil {
		return err
	}
	*p = next
	r.Matched += n.Matched
	r.Unmatched += n.Unmatched
	for k, c := range n.By {
		r.By[k] += c
	}
	return nil
}

// raw is one message, or its header, as the server gave it.
type raw struct {
	uid   imap.UID
	at    time.Time
	bytes []byte
}

// eachMessage fetches one section of some messages, one after the other, and no
// more than limit bytes of each.
func eachMessage(box *accounts.Mailbox, uids []imap.UID, section *imap.FetchItemBodySection, limit int64, visit func(raw)) error {
	asked := imap.UIDSetNum(uids...)
	cmd := box.Fetch(asked, &imap.FetchOptions{UID: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{section}})
	seen := map[imap.UID]bool{}
	for m := cmd.Next(); m != nil; m = cmd.Next() {
		var one raw
		for item := m.Next(); item != nil; item = m.Next() {
			switch x := item.(type) {
			case imapclient.FetchItemDataUID:
				one.uid = x.UID
			case imapclient.FetchItemDataInternalDate:
				one.at = x.Time
			case imapclient.FetchItemDataBodySection:
				if x.Literal == nil {
					continue
				}
				b, err := io.ReadAll(io.LimitReader(x.Literal, limit))
				if err != nil {
					return errors.Join(err, cmd.Close())
				}
				if _, err := io.Copy(io.Discard, x.Literal); err != nil {
					return errors.Join(err, cmd.Close())
				}
				one.bytes = b
			}
		}
		// A server may tell of other messages at any time, and of one twice.
		if one.uid != 0 && one.bytes != nil && asked.Contains(one.uid) && !seen[one.uid] {
			seen[one.uid] = true
			visit(one)
		}
	}
	return cmd.Close()
}

// incoming makes the ledger's form of a message that tells something.
func incoming(a post.Account, m raw) (storage.Incoming, bool) {
	read := Parse(m.bytes)
	if len(read.Says) == 0 {
		return storage.Incoming{}, false
	}
	sum := sha256.Sum256(m.bytes)
	in := storage.Incoming{Refs: read.Refs, Digest: sum[:]}
	for i, s := range read.Says {
		r := post.Receipt{Account: a.ID, UID: uint32(m.uid), Kind: s.Kind, At: m.at, Source: read.Source, Address: s.Address, Reply: s.Reply}
		if i == 0 {
			r.Excerpt = m.bytes[:min(len(m.bytes), post.MaxExcerpt)]
		}
		said := storage.Said{Receipt: r}
		if s.Kind == post.ReceiptBounced || s.Kind == post.ReceiptDelayed || s.Kind == post.ReceiptDelivered || s.Kind == post.ReceiptRelayed {
			said.Keys = keysOf(s.Address, s.Original)
		}
		if s.Kind == post.ReceiptBounced {
			said.Gone, said.Again = weigh(s.Reply)
		}
		in.Says = append(in.Says, said)
	}
	return in, true
}

func keysOf(addresses ...string) (keys []string) {
	for _, s := range addresses {
		if parsed, err := post.ParseAddress(s); err == nil {
			keys = append(keys, post.AddressKey(parsed))
		}
	}
	return keys
}

package receipts

import (
	"crypto/sha256"
	"errors"
	"io"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

// headerSection asks for the header, without a trace in the mailbox.
func headerSection() *imap.FetchItemBodySection {
	return &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, Peek: true, Partial: &imap.SectionPartial{Size: maxHeader}}
}

// wholeSection asks for a message as far as it is looked at, without a trace.
func wholeSection() *imap.FetchItemBodySection {
	return &imap.FetchItemBodySection{Peek: true, Partial: &imap.SectionPartial{Size: maxMessage}}
}

// raw is one message, or its header, as the server gave it.
type raw struct {
	uid   imap.UID
	at    time.Time
	bytes []byte
	size  int64 // of the whole message, as the server says
}

// eachMessage fetches one section of some messages, one after the other, and no
// more than limit bytes of each.
func eachMessage(box *accounts.Mailbox, uids []imap.UID, section *imap.FetchItemBodySection, limit int64, visit func(raw)) error {
	asked := imap.UIDSetNum(uids...)
	cmd := box.Fetch(asked, &imap.FetchOptions{UID: true, InternalDate: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{section}})
	seen := map[imap.UID]bool{}
	for m := cmd.Next(); m != nil; m = cmd.Next() {
		var one raw
		for item := m.Next(); item != nil; item = m.Next() {
			switch x := item.(type) {
			case imapclient.FetchItemDataUID:
				one.uid = x.UID
			case imapclient.FetchItemDataInternalDate:
				one.at = x.Time
			case imapclient.FetchItemDataRFC822Size:
				one.size = x.Size
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
	in := storage.Incoming{Refs: read.Refs, Digest: sum[:], Report: read.Report}
	for i, s := range read.Says {
		r := post.Receipt{Account: a.ID, UID: uint32(m.uid), Kind: s.Kind, At: m.at, Source: read.Source, Address: s.Address, Reply: s.Reply}
		if i == 0 {
			r.Excerpt, r.Size = m.bytes, int64(len(m.bytes))
			if r.Size >= maxMessage { // else all of it came, whatever the server says of its size: some are inexact
				r.Size = max(r.Size, m.size)
			}
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

package compose

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"iter"
	"time"

	"postroom/post"
	"postroom/storage"
)

// Fingerprint names what everybody gets of a mailing: its words, files and senders,
// as they were frozen. A mailing that is sent as it was rehearsed has the same;
// what differs between two runs (Date, Message-ID, tokens, boundaries) is not in
// it.
func Fingerprint(m *post.Mailing) string {
	type from struct{ Email, Name string }
	all := struct {
		Content post.Content
		From    []from
	}{Content: m.Content}
	for _, s := range m.Senders {
		all.From = append(all.From, from{s.Email, s.FromName})
	}
	// Where the rows' own files came from is not in the message.
	all.Content.AttachColumn, all.Content.AttachRoot, all.Content.AttachAs = "", "", ""
	b, err := json.Marshal(all)
	if err != nil { // there is nothing in it that cannot be written
		return ""
	}
	sum := sha256.Sum256(b)
	text := hex.EncodeToString(sum[:8])
	return text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
}

// SameJob is the live mailing that a rehearsal was of: the frozen content, and
// the rows with the values and files that they had.
func SameJob(ctx context.Context, l *storage.Ledger, id int64, now time.Time) (*Job, error) {
	m, err := l.Mailing(ctx, id)
	if err != nil {
		return nil, err
	}
	j := &Job{Name: m.Name, Kind: post.Live, Content: m.Content, Senders: m.Senders, Total: m.Total(), Lookup: l, Now: now}
	// The rows bring their own files, which are frozen already.
	j.Content.AttachColumn, j.Content.AttachRoot, j.Content.AttachAs = "", "", ""
	if j.KnownFields, err = rowFields(ctx, l, id); err != nil {
		return nil, err
	}
	j.Recipients = func() iter.Seq2[post.Recipient, error] {
		return func(yield func(post.Recipient, error) bool) {
			for h, err := range l.EachDelivery(ctx, storage.HistoryFilter{Mailing: id}) {
				if !yield(h.Recipient, err) || err != nil {
					return
				}
			}
		}
	}
	return j, nil
}

// rowFields are the fields that the rows of a mailing have values for.
func rowFields(ctx context.Context, l *storage.Ledger, id int64) ([]string, error) {
	fields, seen := []string{}, map[string]bool{}
	for h, err := range l.EachDelivery(ctx, storage.HistoryFilter{Mailing: id}) {
		if err != nil {
			return nil, err
		}
		for f := range h.Fields {
			if !seen[f] {
				seen[f] = true
				fields = append(fields, f)
			}
		}
	}
	return fields, nil
}

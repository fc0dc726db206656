package mailings

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"iter"
	"time"

	"postroom/compose"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
)

// hashOf names what everybody gets of a mailing: its words, files and senders,
// as they were frozen. A mailing that is sent as it was rehearsed has the same;
// what differs between two runs (Date, Message-ID, tokens, boundaries) is not in
// it.
func hashOf(m *post.Mailing) string {
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

// sameJob is the live mailing that a rehearsal was of: the frozen content, and
// the rows with the values and files that they had.
func sameJob(ctx context.Context, l *storage.Ledger, id int64, now time.Time) (*compose.Job, error) {
	m, err := l.Mailing(ctx, id)
	if err != nil {
		return nil, err
	}
	j := &compose.Job{Name: m.Name, Kind: post.Live, Content: m.Content, Senders: m.Senders, Total: m.Total(), Lookup: l, Now: now}
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

// onSendSame sends a rehearsed mailing as it was rehearsed.
func (p *detailPage) onSendSame(d *Detail) {
	env := p.v.env
	sentence := env.Words.N("composer.confirm", d.Sent, d.From) + "\n\n" + env.T("mailing.send_same.why", d.Hash)
	now := env.Now()
	askPacing(env, sentence, func(how *pacing) {
		var out compose.Queued
		dialogs.Work(env.Words, env.Window, env.Post, env.T("composer.queueing"), func(ctx context.Context, report func(done, total int64)) error {
			job, err := sameJob(ctx, env.Ledger, p.id, now)
			if err != nil {
				return err
			}
			if err := how.apply(job); err != nil {
				return err
			}
			out, err = compose.Queue(ctx, env.Ledger, env.Ledger, job, report)
			return err
		}, func(err error) {
			p.v.queued(out, err)
		})
	})
}

// onCallBack takes a mailing back that has not begun, and opens its draft.
func (p *detailPage) onCallBack() {
	env := p.v.env
	now := env.Now()
	screens.Load(context.Background(), env, func(ctx context.Context) (post.Draft, error) { return callBack(ctx, env.Ledger, p.id, now) },
		func(d post.Draft, err error) {
			if err != nil {
				dialogs.Error(env.Words, env.Window, err)
				p.changed()
				return
			}
			p.v.turn(newEditor(p.v, d))
		})
}

// onCopy begins a new draft with the words and files of this mailing.
func (p *detailPage) onCopy() {
	env := p.v.env
	screens.Load(context.Background(), env, func(ctx context.Context) (post.Mailing, error) { return env.Ledger.Mailing(ctx, p.id) },
		func(m post.Mailing, err error) {
			if err != nil {
				dialogs.Error(env.Words, env.Window, err)
				return
			}
			e := newEditor(p.v, copyOf(&m))
			e.edit(func() {})
			p.v.turn(e)
		})
}

package mailings

import (
	"context"

	"postroom/compose"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
)

// onSendSame sends a rehearsed mailing as it was rehearsed.
func (p *detailPage) onSendSame(d *Detail) {
	env := p.v.env
	sentence := env.Words.N("composer.confirm", d.Sent, d.From) + "\n\n" + env.T("mailing.send_same.why", d.Hash)
	now := env.Now()
	askPacing(env, sentence, func(how *pacing) {
		var out compose.Queued
		dialogs.Work(env.Words, env.Window, env.Post, env.T("composer.queueing"), func(ctx context.Context, report func(done, total int64)) error {
			job, err := compose.SameJob(ctx, env.Ledger, p.id, now)
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

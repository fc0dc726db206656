package mailer

import (
	"context"
	"time"

	"postroom/compose"
	"postroom/post"
)

// maxWorks is how many compiled mailings are kept. Attachments lie in memory,
// encoded, so there are few.
const maxWorks = 4

// work is a mailing compiled for sending. Safe for concurrent use.
type work struct {
	ready    chan struct{} // closed when compiled or failed
	mailing  *compose.Mailing
	senders  []post.Sender
	dsn      post.DSN
	signers  map[int64]*compose.Signer // by account
	unsigned map[int64]error           // accounts whose mail should be signed and cannot be
	err      error
	lastUsed time.Time
}

// work returns the compiled mailing, which is made once.
func (m *Mailer) work(ctx context.Context, id int64) (*work, error) {
	m.mu.Lock()
	w := m.works[id]
	mine := w == nil
	if mine {
		w = &work{ready: make(chan struct{})}
		m.works[id] = w
		m.forgetWorksLocked()
	}
	w.lastUsed = m.clock.Now()
	m.mu.Unlock()
	if mine {
		w.err = m.compile(ctx, id, w)
		if w.err != nil || len(w.unsigned) > 0 { // not kept: the next try may do better
			m.mu.Lock()
			delete(m.works, id)
			m.mu.Unlock()
		}
		close(w.ready)
	}
	select {
	case <-w.ready:
		return w, w.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *Mailer) compile(ctx context.Context, id int64, w *work) error {
	mailing, err := m.ledger.Mailing(ctx, id)
	if err != nil {
		return err
	}
	w.senders, w.dsn = mailing.Senders, mailing.Content.DSN
	if w.mailing, err = compose.Compile(ctx, mailing.Content, m.ledger, compose.Options{}); err != nil {
		return err
	}
	if m.opt.Signer == nil {
		return nil
	}
	w.signers, w.unsigned = map[int64]*compose.Signer{}, map[int64]error{}
	for _, s := range w.senders {
		signer, err := m.opt.Signer(ctx, s.Account)
		switch {
		case err == nil:
			w.signers[s.Account] = signer
		case mailing.Kind == post.Rehearsal: // it stays in the trap
			m.log.Warn("a rehearsal is not signed", "account", s.Account, "err", err)
		default:
			w.unsigned[s.Account] = err
		}
	}
	return nil
}

// forgetWorksLocked drops the mailings used longest ago.
func (m *Mailer) forgetWorksLocked() {
	for len(m.works) > maxWorks {
		var oldest int64
		for id, w := range m.works {
			if o := m.works[oldest]; o == nil || w.lastUsed.Before(o.lastUsed) {
				oldest = id
			}
		}
		delete(m.works, oldest)
	}
}

// sender returns the identity under which an account sends this mailing. 0
// takes it as its first sender.
func (w *work) sender(account int64) post.Sender {
	for _, s := range w.senders {
		if s.Account == account {
			return s
		}
	}
	return w.senders[0]
}

// render builds the whole message in msg.
func (w *work) render(msg *compose.Message, d *post.Delivery, from post.Sender, date time.Time) error {
	p := compose.ParamsOf(d, from)
	p.Date, p.Signer = date, w.signers[from.Account]
	return w.mailing.Render(msg, &p)
}

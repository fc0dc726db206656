package compose

import (
	"context"

	"postroom/post"
)

// Kept is where mailings and their files are kept.
type Kept interface {
	Blobs
	Mailing(ctx context.Context, id int64) (post.Mailing, error)
}

// Archive makes messages again as they went over the wire, to the byte, from
// what the ledger keeps. It holds the mailing that was asked for last, so
// deliveries are best asked for one mailing after the other. Not safe for
// concurrent use.
type Archive struct {
	Kept Kept

	mailing  post.Mailing
	compiled *Mailing
	message  Message
}

// Message returns the message of a delivery whose Date is set. The bytes are
// valid until the next call.
func (a *Archive) Message(ctx context.Context, d *post.Delivery) ([]byte, error) {
	if a.compiled == nil || a.mailing.ID != d.Mailing {
		m, err := a.Kept.Mailing(ctx, d.Mailing)
		if err != nil {
			return nil, err
		}
		c, err := Compile(ctx, m.Content, a.Kept, Options{})
		if err != nil {
			return nil, err
		}
		a.mailing, a.compiled = m, c
	}
	p := ParamsOf(d, a.sender(d.Account))
	if err := a.compiled.Render(&a.message, &p); err != nil {
		return nil, err
	}
	return a.message.Bytes(), nil
}

func (a *Archive) sender(account int64) (from post.Sender) {
	for i, s := range a.mailing.Senders {
		if i == 0 || s.Account == account {
			from = s
		}
	}
	return from
}

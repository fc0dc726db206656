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
	// Signer returns what signs an account's mail, as it does for the mailer; nil:
	// nothing is signed.
	Signer func(ctx context.Context, account int64) (*Signer, error)

	mailing  post.Mailing
	compiled *Mailing
	message  Message
}

// Message returns the message of a delivery whose Date is set. Where signed, its
// DKIM signature is that of the account's present key, which need not be the one
// of that day.
func (a *Archive) Message(ctx context.Context, d *post.Delivery) (message []byte, signed bool, err error) {
	if a.compiled == nil || a.mailing.ID != d.Mailing {
		m, err := a.Kept.Mailing(ctx, d.Mailing)
		if err != nil {
			return nil, false, err
		}
		c, err := Compile(ctx, m.Content, a.Kept, Options{})
		if err != nil {
			return nil, false, err
		}
		a.mailing, a.compiled = m, c
	}
	from := a.sender(d.Account)
	p := ParamsOf(d, from)
	if a.Signer != nil {
		if p.Signer, err = a.Signer(ctx, from.Account); err != nil {
			return nil, false, err
		}
	}
	if err := a.compiled.Render(&a.message, &p); err != nil {
		return nil, false, err
	}
	return a.message.Bytes(), p.Signer != nil, nil
}

func (a *Archive) sender(account int64) (from post.Sender) {
	for i, s := range a.mailing.Senders {
		if i == 0 || s.Account == account {
			from = s
		}
	}
	return from
}

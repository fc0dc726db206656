package storage

import (
	"context"
	"strconv"

	"postroom/post"
)

func signatureKey(account int64) string {
	return "account.signature." + strconv.FormatInt(account, 10)
}

// Signature returns what stands below an account's mail; empty: nothing.
func (l *Ledger) Signature(ctx context.Context, account int64) (string, error) {
	return l.Setting(ctx, signatureKey(account), "")
}

// SetSignature keeps it for the mailings that are queued from now on.
func (l *Ledger) SetSignature(ctx context.Context, account int64, text string) error {
	text, err := post.CleanSignature(text)
	if err != nil {
		return err
	}
	return l.SetSetting(ctx, signatureKey(account), text)
}

// Signatures returns those of the senders that have one, by account. They are
// frozen with a mailing, so that a message is the same at its second try.
func (l *Ledger) Signatures(ctx context.Context, senders []post.Sender) (map[int64]string, error) {
	var all map[int64]string
	for _, s := range senders {
		text, err := l.Signature(ctx, s.Account)
		if err != nil {
			return nil, err
		}
		if text == "" {
			continue
		}
		if all == nil {
			all = make(map[int64]string, len(senders))
		}
		all[s.Account] = text
	}
	return all, nil
}

package storage

import (
	"context"
	"strconv"

	"postroom/post"
)

func replyTokensKey(account int64) string {
	return "account.reply_tokens." + strconv.FormatInt(account, 10)
}

// ReplyTokens returns whether answers to an account's mail are asked for at an
// address that names the delivery.
func (l *Ledger) ReplyTokens(ctx context.Context, account int64) (post.ReplyTokens, error) {
	v, err := l.Setting(ctx, replyTokensKey(account), string(post.ReplyTokensNone))
	return post.ReplyTokens(v), err
}

// SetReplyTokens keeps it for the mailings that are queued from now on.
func (l *Ledger) SetReplyTokens(ctx context.Context, account int64, v post.ReplyTokens) error {
	return l.SetSetting(ctx, replyTokensKey(account), string(v))
}

// freezeReplyTokens notes in the content which senders want them, so that a
// message is the same at its second try.
func (l *Ledger) freezeReplyTokens(ctx context.Context, m *post.Mailing) error {
	m.Content.PlusAccounts = nil
	for _, s := range m.Senders {
		v, err := l.ReplyTokens(ctx, s.Account)
		if err != nil {
			return err
		}
		if v == post.ReplyTokensPlus {
			m.Content.PlusAccounts = append(m.Content.PlusAccounts, s.Account)
		}
	}
	return nil
}

package cli

import (
	"context"
	"strings"

	"postroom/post"
	"postroom/storage"
)

// keepReplies keeps how answers to the account's mail are told apart, where that
// was asked for.
func (a *app) keepReplies(ctx context.Context, l *storage.Ledger, x post.Account, f *accountFlags) error {
	if !f.changed("reply-tokens") {
		return nil
	}
	return l.SetReplyTokens(ctx, x.ID, post.ReplyTokens(strings.ToLower(f.replyTokens)))
}

func (f *accountFlags) checkReplies() error {
	switch post.ReplyTokens(strings.ToLower(f.replyTokens)) {
	case post.ReplyTokensNone, post.ReplyTokensPlus:
		return nil
	}
	return usage("--reply-tokens is none or plus, not %q", f.replyTokens)
}

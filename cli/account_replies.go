package cli

import (
	"context"
	"os"
	"strings"

	"postroom/assets/providers"
	"postroom/post"
	"postroom/storage"
)

// keepHabits keeps what stands below the account's mail, how answers to it are
// told apart and of what copies are filed, where that was asked for.
func (a *app) keepHabits(ctx context.Context, l *storage.Ledger, x post.Account, f *accountFlags) error {
	if f.sign != nil {
		if err := l.SetSignature(ctx, x.ID, *f.sign); err != nil {
			return err
		}
	}
	if f.changed("reply-tokens") {
		if err := l.SetReplyTokens(ctx, x.ID, post.ReplyTokens(strings.ToLower(f.replyTokens))); err != nil {
			return err
		}
	}
	if !f.changed("sent-copies") {
		return nil
	}
	return l.SetSentCopies(ctx, x.ID, post.SentCopies(strings.ToLower(f.sentCopies)))
}

// readSignature reads the signature from its flag or the file that it names, and
// refuses one that cannot be kept.
func (f *accountFlags) readSignature() error {
	if !f.changed("signature") {
		return nil
	}
	text := strings.ReplaceAll(f.signature, `\n`, "\n")
	if info, err := os.Stat(f.signature); err == nil && info.Mode().IsRegular() {
		b, err := readSmall(f.signature, maxSignatureFile)
		if err != nil {
			return err
		}
		text = strings.TrimPrefix(string(b), "\ufeff")
	}
	text, err := post.CleanSignature(text)
	f.sign = &text
	return err
}

// maxSignatureFile is more than any signature has, in bytes.
const maxSignatureFile = 1 << 20

// inheritSignature takes over the signature of another account; one that is given
// goes before it.
func (f *accountFlags) inheritSignature(ctx context.Context, l *storage.Ledger, account int64) error {
	text, err := l.Signature(ctx, account)
	f.sign = &text
	return err
}

// checkReplies refuses what keepHabits could not keep for the account.
func (f *accountFlags) checkReplies(x *post.Account) error {
	tokens, copies := post.ReplyTokens(strings.ToLower(f.replyTokens)), post.SentCopies(strings.ToLower(f.sentCopies))
	switch {
	case tokens != post.ReplyTokensNone && tokens != post.ReplyTokensPlus:
		return usage("--reply-tokens is none or plus, not %q", f.replyTokens)
	case !copies.Valid():
		return usage("--sent-copies is none, each or one, not %q", f.sentCopies)
	case copies == post.SentCopiesNone:
	case x.IMAPHost == "":
		return usage("copies are filed by IMAP, and %s has no mailbox; give it one with --imap-host, --imap-port and --imap-tls", x.Name)
	case providers.FilesSentMail(x.Host):
		return usage("the provider of %s files what is sent by itself; a copy of ours would be a second one", x.Name)
	}
	return nil
}

// habits are what an account does besides sending.
type habits struct {
	ReplyTokens post.ReplyTokens `json:"reply_tokens"`
	SentCopies  post.SentCopies  `json:"sent_copies"`
	Signature   string           `json:"signature"`
}

func habitsOf(ctx context.Context, l *storage.Ledger, account int64) (h habits, err error) {
	if h.ReplyTokens, err = l.ReplyTokens(ctx, account); err != nil {
		return h, err
	}
	if h.SentCopies, err = l.SentCopies(ctx, account); err != nil {
		return h, err
	}
	h.Signature, err = l.Signature(ctx, account)
	return h, err
}

// tell says what is not as usual.
func (h habits) tell(line func(what, value string)) {
	line("Signature", strings.ReplaceAll(h.Signature, "\n", " / "))
	if h.ReplyTokens == post.ReplyTokensPlus {
		line("Answers", "asked for at name+token@domain")
	}
	switch h.SentCopies {
	case post.SentCopiesEach:
		line("Sent folder", "gets a copy of each message")
	case post.SentCopiesOne:
		line("Sent folder", "gets a copy of one message of each mailing")
	}
}

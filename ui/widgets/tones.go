package widgets

import (
	"postroom/assets/theme"
	"postroom/post"
)

// StateTone returns the tone in which a delivery's state is shown.
func StateTone(s post.State) theme.Tone {
	switch s {
	case post.StateSending, post.StateSent:
		return theme.Blue
	case post.StateFailed, post.StateExpired:
		return theme.Bad
	case post.StateUncertain:
		return theme.Unsure
	default:
		return theme.Quiet
	}
}

// ReceiptTone returns the tone in which a receipt is shown.
func ReceiptTone(r post.ReceiptKind) theme.Tone {
	switch r {
	case post.ReceiptDelivered, post.ReceiptRead, post.ReceiptReplied:
		return theme.Good
	case post.ReceiptBounced:
		return theme.Bad
	case post.ReceiptDelayed, post.ReceiptUnsubscribed:
		return theme.Attention
	default:
		return theme.Quiet
	}
}

// MailingTone returns the tone in which a mailing's state is shown.
func MailingTone(s post.MailingState) theme.Tone {
	switch s {
	case post.MailingRunning, post.MailingScheduled:
		return theme.Blue
	case post.MailingPaused:
		return theme.Attention
	case post.MailingDone:
		return theme.Good
	default:
		return theme.Quiet
	}
}

// AccountTone returns the tone in which an account's state is shown.
func AccountTone(s post.AccountState) theme.Tone {
	switch s {
	case post.AccountReady:
		return theme.Good
	case post.AccountWaiting, post.AccountPaused:
		return theme.Attention
	case post.AccountStopped:
		return theme.Bad
	default:
		return theme.Quiet
	}
}

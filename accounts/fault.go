package accounts

import (
	"context"
	"errors"
	"strings"
	"time"

	"postroom/post"
)

// faultOf makes the post.Fault of an error of ours. When ctx ended, that is the
// cause, whatever broke because of it.
func faultOf(ctx context.Context, phase post.Phase, err error) *post.Fault {
	f := &post.Fault{Phase: phase, Err: err}
	var we *WireError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		f.Cause = post.CauseCancelled
	case ctx.Err() != nil:
		f.Cause = post.CauseTimeout
	case errors.As(err, &we):
		f.Cause, f.Detail = we.Cause, we.Detail
	default:
		f.Cause = causeOf(err)
	}
	if f.Cause == post.CauseCertificate {
		f.Detail = certificateDetail(err, time.Now())
	}
	if f.Detail == "" {
		f.Detail = causeWords(f.Cause)
	}
	return f
}

// refusal makes the post.Fault of a reply that is not the one hoped for. One
// that is not even a refusal breaks the protocol.
func refusal(phase post.Phase, reply post.Reply) *post.Fault {
	f := &post.Fault{Phase: phase, Reply: reply}
	if c := reply.Class(); c != 4 && c != 5 {
		f.Cause, f.Detail = post.CauseProtocol, "an answer that does not fit: "+reply.String()
		f.Reply = post.Reply{}
	}
	return f
}

// secretFault makes the post.Fault of a secret that could not be had.
func secretFault(err error) *post.Fault {
	f := &post.Fault{Phase: post.PhaseSecret, Cause: post.CauseSecret, Detail: "the password could not be had", Err: err}
	var e *post.Error
	if errors.As(err, &e) {
		f.Detail, f.Reason = e.Message, e.Reason
		if e.Kind == post.KindNetwork { // no server was found wrong: this is waited out
			f.Phase, f.Cause = post.PhaseConnect, post.CauseUnreachable
		}
		if e.Kind == post.KindCancelled {
			f.Cause = post.CauseCancelled
			if errors.Is(err, context.DeadlineExceeded) {
				f.Cause = post.CauseTimeout
			}
		}
	}
	return f
}

// causeWords says a cause in plain words.
func causeWords(c post.Cause) string {
	switch c {
	case post.CauseNoHost:
		return "no such host"
	case post.CauseDNS:
		return "the name service did not answer"
	case post.CauseRefused:
		return "connection refused"
	case post.CauseUnreachable:
		return "the server cannot be reached"
	case post.CauseTimeout:
		return "no answer in time"
	case post.CauseEOF:
		return "the server hung up"
	case post.CauseReset:
		return "the connection broke"
	case post.CauseTLS:
		return "the encryption could not be set up"
	case post.CauseCancelled:
		return "stopped"
	}
	return string(c)
}

func joinWords(words []string) string { return strings.Join(words, ", ") }

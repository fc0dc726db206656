package post

import (
	"errors"
	"fmt"
)

// Kind says what an error means for the person in front of the screen. The set
// is closed: the words shown to users and the exit codes of the command line
// are chosen from it.
type Kind uint8

// The kinds of error.
const (
	KindInternal  Kind = iota // a fault of ours or of the machine
	KindInvalid               // bad input; mend it and try again
	KindNotFound              // what was named does not exist
	KindConflict              // it exists already, or its state forbids the step
	KindSignIn                // a secret is missing, wrong, or locked away; the user must act
	KindNetwork               // a server could not be reached or hung up
	KindRejected              // a server answered, and said no
	KindCancelled             // somebody asked to stop
)

// String returns the name of the kind as it is written to logs and JSON.
func (k Kind) String() string {
	switch k {
	case KindInvalid:
		return "invalid"
	case KindNotFound:
		return "not found"
	case KindConflict:
		return "conflict"
	case KindSignIn:
		return "sign-in"
	case KindNetwork:
		return "network"
	case KindRejected:
		return "rejected"
	case KindCancelled:
		return "cancelled"
	default:
		return "internal"
	}
}

// Error is an error with words for the user. Message is one plain sentence in
// English without a trailing dot; Reason, where set, is the same as a catalogue
// key so that the window can say it in the user's language. Neither ever holds
// a secret or a message body.
type Error struct {
	Kind    Kind
	Op      string // what was being done, e.g. "import contacts"
	Message string
	Reason  Reason
	Err     error // the cause, or nil
}

// Error returns the operation, the message and the cause, in that order, less a
// cause that only says the kind again.
func (e *Error) Error() string {
	s := e.Message
	if e.Op != "" && s != "" {
		s = e.Op + ": " + s
	} else if s == "" {
		s = e.Op
	}
	switch {
	case e.Err == nil, s != "" && e.Err.Error() == e.Kind.String():
		return s
	case s == "":
		return e.Err.Error()
	default:
		return s + ": " + e.Err.Error()
	}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf builds an Error. The last %w operand, where there is one, becomes the
// cause and its text part of the message.
func Errorf(kind Kind, op, format string, args ...any) *Error {
	wrapped := fmt.Errorf(format, args...)
	if errors.Unwrap(wrapped) == nil {
		return &Error{Kind: kind, Op: op, Message: wrapped.Error()}
	}
	return &Error{Kind: kind, Op: op, Err: wrapped}
}

// KindOf returns the kind of the first Error in err's chain, or KindInternal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}

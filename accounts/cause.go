package accounts

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"postroom/post"
)

// causeOf sorts an error of resolving, connecting, reading or writing into the
// closed set of causes. What it does not know counts as a reset connection:
// the socket failed, and nothing more is known.
func causeOf(err error) post.Cause {
	var dns *net.DNSError
	var alert tls.AlertError
	var header tls.RecordHeaderError
	switch {
	case err == nil:
		return post.CauseNone
	case errors.Is(err, context.Canceled):
		return post.CauseCancelled
	case isCertificate(err):
		return post.CauseCertificate
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return post.CauseNoHost
		}
		return post.CauseDNS
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return post.CauseTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return post.CauseRefused
	case isUnreachable(err):
		return post.CauseUnreachable
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED):
		return post.CauseReset
	case errors.As(err, &alert), errors.As(err, &header):
		return post.CauseTLS
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return post.CauseEOF
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return post.CauseTimeout
	}
	// crypto/tls has no type for most of its own failures; all begin alike.
	if text := err.Error(); strings.HasPrefix(text, "tls: ") || strings.Contains(text, " error: tls: ") {
		return post.CauseTLS
	}
	return post.CauseReset
}

func isUnreachable(err error) bool {
	for _, e := range []error{
		syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN,
		syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT, syscall.EACCES, syscall.EPERM,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

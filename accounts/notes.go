package accounts

import (
	"crypto/x509/pkix"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"postroom/post"
)

// endsSoon is how long before its end a certificate is worth a word.
const endsSoon = 14 * 24 * time.Hour

// notes are what a step that went well means to the user, by the catalogue's keys.
func (s *signIn) notes(step string) []post.Reason {
	switch {
	case step == StepTLS && s.tls != nil:
		return s.tls.notes(s.d.now())
	case step == StepEHLO:
		return s.hello.ext.notes()
	}
	return nil
}

// notes say whose certificate it is, who vouches for it, and until when.
func (t *TLSInfo) notes(now time.Time) []post.Reason {
	names := t.Names
	if len(names) == 0 {
		names = []string{t.Server}
	}
	const shown = 3
	more := ""
	if len(names) > shown {
		names, more = names[:shown], ", ..."
	}
	all := []post.Reason{{Key: "doctor.note.certificate", Args: []string{strings.Join(names, ", ") + more, t.NotAfter.Format(time.DateOnly)}}}
	switch left := t.NotAfter.Sub(now); {
	case left < 0: // it was pinned
		all = append(all, post.Reason{Key: "doctor.note.ended"})
	case left < endsSoon:
		all = append(all, post.Reason{Key: "doctor.note.ends", Args: []string{strconv.Itoa(int(math.Ceil(left.Hours() / 24)))}})
	}
	switch {
	case t.Pinned:
		all = append(all, post.Reason{Key: "doctor.note.pinned"})
	case len(t.vouchers) > 0:
		all = append(all, post.Reason{Key: "doctor.note.chain", Args: []string{strings.Join(t.vouchers, " / ")}})
	}
	return all
}

// notes say what the extensions that a server offers mean to who sends mailings.
func (e *Extensions) notes() []post.Reason {
	pick := func(yes bool, key string) post.Reason {
		if !yes {
			key += ".not"
		}
		return post.Reason{Key: key}
	}
	size := post.Reason{Key: "doctor.note.size.not"}
	if e.Size > 0 {
		// A file takes a third more in a message (base64, RFC 2045 6.8), and its lines end.
		size = post.Reason{Key: "doctor.note.size", Args: []string{megabytes(e.Size), megabytes(e.Size * 100 / 137)}}
	}
	return []post.Reason{
		size, pick(e.Pipelining, "doctor.note.pipelining"), pick(e.DSN, "doctor.note.receipts"), pick(e.SMTPUTF8, "doctor.note.letters"),
	}
}

// megabytes is a size as it reads in every language.
func megabytes(bytes int64) string {
	return strconv.FormatFloat(float64(bytes)/1e6, 'f', 1, 64) + " MB"
}

// voucherName is an authority as people know it.
func voucherName(n pkix.Name) string {
	all := slices.DeleteFunc(append([]string{n.CommonName}, n.Organization...), func(s string) bool { return s == "" })
	if len(all) == 0 {
		return post.CleanReply(n.String())
	}
	return post.CleanReply(strings.Join(all, ", "))
}

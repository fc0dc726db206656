package compose

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strconv"
	"strings"
	"time"

	"postroom/post"
)

// Signer signs the messages of one account: with its certificate where it has
// one, and then for its domain (DKIM, RFC 6376) where there is a key for that. The signature is a
// pure function of message, key and the message's Date: a message that is
// rendered again is signed to the same bytes. Safe for concurrent use.
type Signer struct {
	Domain   string // in ASCII form
	Selector string
	// Key is an RSA key, which signs to the same bytes each time (PKCS #1 v1.5).
	// nil: there is no DKIM signature.
	Key crypto.Signer
	// Certificate is nil where there is none.
	Certificate *Certificate
}

// signedFields are the header fields that a signature covers, in lower case.
// Those that are named once more than they occur cannot be added afterwards
// (RFC 6376 8.15). RFC 8058 4 wants the List-Unsubscribe fields among them.
var signedFields = []string{
	"from", "from", "to", "to", "reply-to", "reply-to", "subject", "subject", "date", "date", "message-id", "message-id", "list-id",
	"list-unsubscribe", "list-unsubscribe-post", "mime-version", "content-type", "content-type",
}

// relaxer canonicalises a body in the relaxed way (RFC 6376 3.4.4) into a hash:
// white space at the end of a line is left out, runs of it become one space, and
// so do empty lines at the end of the body.
type relaxer struct {
	to    hash.Hash
	blank int  // empty lines that are owed
	space bool // a space that is owed
	any   bool // the line has something in it
	buf   []byte
}

func (r *relaxer) write(p []byte) {
	for _, c := range p {
		switch c {
		case '\r':
		case '\n':
			if !r.any {
				r.blank++
			} else {
				r.buf = append(r.buf, '\r', '\n')
			}
			r.any, r.space = false, false
		case ' ', '\t':
			r.space = true
		default:
			for ; r.blank > 0; r.blank-- {
				r.buf = append(r.buf, '\r', '\n')
			}
			if r.space {
				r.buf = append(r.buf, ' ')
				r.space = false
			}
			r.any = true
			r.buf = append(r.buf, c)
		}
		if len(r.buf) > 16<<10 {
			r.to.Write(r.buf)
			r.buf = r.buf[:0]
		}
	}
}

func (r *relaxer) sum() []byte {
	if r.any {
		r.buf = append(r.buf, '\r', '\n')
	}
	r.to.Write(r.buf)
	return r.to.Sum(nil)
}

// relaxedField canonicalises a header field, with its line end, in the relaxed
// way (RFC 6376 3.4.2).
func relaxedField(field []byte) []byte {
	name, value, _ := bytes.Cut(field, []byte(":"))
	out := append(bytes.ToLower(bytes.TrimSpace(name)), ':')
	return append(out, bytes.Join(bytes.Fields(value), []byte(" "))...)
}

// sign returns the DKIM-Signature field of a message that is made of segs.
func (s *Signer) sign(segs [][]byte, date time.Time) ([]byte, error) {
	head, ok := bytes.CutSuffix(segs[0][:bytes.Index(segs[0], []byte("\r\n\r\n"))+4], []byte("\r\n"))
	if !ok {
		return nil, post.Errorf(post.KindInternal, "sign the message", "the message has no header")
	}
	body := relaxer{to: sha256.New()}
	body.write(segs[0][len(head)+2:])
	for _, seg := range segs[1:] {
		body.write(seg)
	}
	fields := headerFields(head)
	covered := sha256.New()
	names := make([]string, 0, len(signedFields))
	for _, name := range signedFields {
		f, found := fields.take(name)
		if found {
			covered.Write(append(relaxedField(f), '\r', '\n'))
		} else if !fields.had[name] {
			continue
		}
		names = append(names, name)
	}
	sig := []byte("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; t=" + strconv.FormatInt(date.Unix(), 10) +
		";\r\n d=" + s.Domain + "; s=" + s.Selector + ";\r\n h=" + foldedNames(names) + ";\r\n bh=" + base64.StdEncoding.EncodeToString(body.sum()) + ";\r\n b=")
	covered.Write(relaxedField(sig))
	raw, err := s.Key.Sign(rand.Reader, covered.Sum(nil), crypto.SHA256)
	if err != nil {
		return nil, &post.Error{Kind: post.KindInternal, Op: "sign the message", Message: "the key could not be used", Err: err}
	}
	for b := base64.StdEncoding.EncodeToString(raw); ; {
		n := min(70, len(b))
		sig = append(sig, b[:n]...)
		if b = b[n:]; b == "" {
			return append(sig, '\r', '\n'), nil
		}
		sig = append(sig, "\r\n  "...)
	}
}

// foldedNames joins names by colons, on lines of a bearable length.
func foldedNames(names []string) string {
	var b strings.Builder
	col := 0
	for i, n := range names {
		if i > 0 {
			b.WriteByte(':')
			if col++; col+len(n) > 65 {
				b.WriteString("\r\n  ")
				col = 0
			}
		}
		b.WriteString(n)
		col += len(n)
	}
	return b.String()
}

// fieldSet are the fields of a header; the last of a name is taken first.
type fieldSet struct {
	all map[string][][]byte
	had map[string]bool
}

func headerFields(head []byte) *fieldSet {
	s := &fieldSet{all: map[string][][]byte{}, had: map[string]bool{}}
	for len(head) > 0 {
		end := 0
		for {
			n := bytes.Index(head[end:], []byte("\r\n"))
			if n < 0 {
				end = len(head)
				break
			}
			end += n + 2
			if end >= len(head) || head[end] != ' ' && head[end] != '\t' {
				break
			}
		}
		name, _, _ := bytes.Cut(head[:end], []byte(":"))
		key := string(bytes.ToLower(name))
		s.all[key], s.had[key] = append(s.all[key], head[:end]), true
		head = head[end:]
	}
	return s
}

func (s *fieldSet) take(name string) ([]byte, bool) {
	list := s.all[name]
	if len(list) == 0 {
		return nil, false
	}
	s.all[name] = list[:len(list)-1]
	return list[len(list)-1], true
}

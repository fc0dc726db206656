package compose

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"postroom/post"
)

// Params are what one message is made of besides the compiled content.
type Params struct {
	Recipient post.Recipient
	From      post.Sender // Email and FromName count
	MessageID string      // with angle brackets
	Seed      uint64      // of the boundaries
	Date      time.Time   // written in UTC
	Signer    *Signer     // nil: the message is not signed
}

// ParamsOf returns the parameters of a delivery that from sends.
func ParamsOf(d *post.Delivery, from post.Sender) Params {
	return Params{Recipient: d.Recipient, From: from, MessageID: d.MessageID, Seed: d.Seed, Date: d.Date}
}

// Message is one rendered message. Its zero value is ready for Render, which
// reuses what it holds; what Bytes' siblings returned before is then gone. Not
// safe for concurrent use.
type Message struct {
	buf  []byte // everything but the attachments, in order
	cuts []cut
	segs [][]byte
	size int64
	to   post.Address
	from post.Address

	vals []string
	text []byte
	crlf []byte
}

// cut says that body stands in the message before buf[at:].
type cut struct {
	at   int
	body []byte
}

// To returns the one address in the message's To field, for the envelope.
func (m *Message) To() post.Address { return m.to }

// From returns the address in the message's From field, for the envelope.
func (m *Message) From() post.Address { return m.from }

// Len returns the message's length in bytes.
func (m *Message) Len() int64 { return m.size }

// Segments returns the message in pieces, in order. Attachments are shared
// with other messages: nobody may change a byte. Valid until the next Render.
func (m *Message) Segments() [][]byte { return m.segs }

// AppendWire appends the message in the form that follows DATA, without the
// final dot, to bufs. No line of ours begins with a dot, so that RFC 5321 4.5.2
// asks for nothing: these are the same bytes as Segments.
func (m *Message) AppendWire(bufs [][]byte) [][]byte { return append(bufs, m.segs...) }

// WriteTo writes the message to w.
func (m *Message) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for _, s := range m.segs {
		n, err := w.Write(s)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// Bytes returns the message as one new slice.
func (m *Message) Bytes() []byte { return bytes.Join(m.segs, nil) }

// Render builds the message for one recipient into dst. It is pure: the same
// content and parameters give the same bytes. Only recipients' own files are
// read (by their hash). Errors: KindInvalid for an address, Message-ID or size
// that cannot be, KindNotFound for a file.
func (m *Mailing) Render(dst *Message, p *Params) error {
	if err := dst.begin(p); err != nil {
		return err
	}
	link := ""
	if m.promo != nil {
		link = unsubscribeLink(m.promo, dst.from, token(p.MessageID))
	}
	dst.vals = m.values(dst.vals, &p.Recipient, link)
	if m.signs != nil {
		s := m.signs[p.From.Account]
		dst.vals = append(dst.vals, s.text, s.html)
	}
	if m.work(dst.vals) > maxWork {
		return tooLong(errTooLong)
	}
	if err := m.header(dst, p); err != nil {
		return err
	}
	if err := m.mixed(dst, p); err != nil {
		return err
	}
	if err := dst.end(); err != nil || p.Signer == nil {
		return err
	}
	if p.Signer.Certificate != nil {
		whole, err := p.Signer.Certificate.wrap(dst.segs, p.Seed)
		if err != nil {
			return err
		}
		dst.segs, dst.size = append(dst.segs[:0], whole), int64(len(whole))
	}
	if p.Signer.Key == nil {
		return nil
	}
	sig, err := p.Signer.sign(dst.segs, p.Date)
	if err != nil {
		return err
	}
	dst.segs = append([][]byte{sig}, dst.segs...)
	dst.size += int64(len(sig))
	return nil
}

// work is how many bytes of values the tags of one message read at most. It
// bounds the time of a render: there are no loops.
func (m *Mailing) work(vals []string) int {
	n := 0
	for i := range m.names.fields {
		n += len(vals[i]) * m.names.uses[i]
	}
	return n
}

// begin checks the parameters and empties dst.
func (m *Message) begin(p *Params) error {
	var err error
	if m.to, err = post.ParseAddress(p.Recipient.Address); err != nil {
		return err
	}
	if m.from, err = post.ParseAddress(p.From.Email); err != nil {
		return err
	}
	id := p.MessageID
	if len(id) < 5 || len(id) > 900 || id[0] != '<' || id[len(id)-1] != '>' || strings.Count(id, "@") != 1 ||
		strings.IndexFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f }) >= 0 || strings.ContainsAny(id[1:len(id)-1], "<>") {
		return post.Errorf(post.KindInternal, "render the message", "the Message-ID is not valid")
	}
	if p.Date.IsZero() {
		return post.Errorf(post.KindInternal, "render the message", "the date is not set")
	}
	m.buf, m.cuts, m.segs, m.size = m.buf[:0], m.cuts[:0], m.segs[:0], 0
	return nil
}

// header writes the message's own header fields.
func (m *Mailing) header(dst *Message, p *Params) error {
	b := appendMailbox(dst.buf, "From", cleanName(p.From.FromName), dst.from)
	b = appendMailbox(b, "To", cleanName(p.Recipient.Name), dst.to)
	b = m.appendReplyTo(b, dst, p)
	if m.readReceipt {
		b = appendMailbox(b, "Disposition-Notification-To", "", dst.from)
	}
	b = append(b, m.priority...)
	var err error
	if dst.text, err = m.subject.appendText(dst.text[:0], dst.vals); err != nil {
		return tooLong(err)
	}
	b = appendUnstructured(b, "Subject", cleanHeader(string(dst.text)))
	b = append(b, "Date: "...)
	b = p.Date.UTC().AppendFormat(b, "Mon, 02 Jan 2006 15:04:05 -0700")
	b = append(b, "\r\nMessage-ID: "...)
	if len(p.MessageID) > maxHeaderLine-len("Message-ID: ") {
		b = append(b[:len(b)-1], "\r\n "...)
	}
	b = append(b, p.MessageID...)
	b = append(b, '\r', '\n')
	if m.promo != nil {
		b = appendListFields(b, m.promo, dst.from, token(p.MessageID))
	}
	b = append(b, "MIME-Version: 1.0\r\n"...)
	dst.buf = b
	return nil
}

// appendReplyTo says where answers go: where the user wants them, else, for a
// sender that wants it, to an address of its own for each message.
func (m *Mailing) appendReplyTo(b []byte, dst *Message, p *Params) []byte {
	if len(m.replyTo) > 0 || !slices.Contains(m.plus, p.From.Account) {
		return append(b, m.replyTo...)
	}
	a, ok := dst.from.WithDetail(token(p.MessageID))
	if !ok {
		return b
	}
	return appendMailbox(b, "Reply-To", cleanName(p.From.FromName), a)
}

// mixed writes the body: the texts alone, or the texts and the files (RFC 2046
// 5.1.3).
func (m *Mailing) mixed(dst *Message, p *Params) error {
	if len(m.files)+len(p.Recipient.Attachments) == 0 {
		return m.texts(dst, p)
	}
	b := boundary('m', p.Seed)
	dst.open("multipart/mixed", b)
	if err := m.texts(dst, p); err != nil {
		return err
	}
	for _, f := range m.files {
		if err := dst.file(f, b); err != nil {
			return err
		}
	}
	for _, a := range p.Recipient.Attachments {
		f, err := m.own.get(a)
		if err != nil {
			return err
		}
		if err := dst.file(f, b); err != nil {
			return err
		}
	}
	dst.close(b)
	return nil
}

// texts writes the text, or the text and the HTML as alternatives, the richer
// one last (RFC 2046 5.1.4).
func (m *Mailing) texts(dst *Message, p *Params) error {
	if m.html == nil {
		return dst.part(m, m.text)
	}
	b := boundary('a', p.Seed)
	dst.open("multipart/alternative", b)
	if err := dst.part(m, m.text); err != nil {
		return err
	}
	dst.next(b)
	if err := m.related(dst, p); err != nil {
		return err
	}
	dst.close(b)
	return nil
}

// related writes the HTML, with the pictures that it shows (RFC 2387).
func (m *Mailing) related(dst *Message, p *Params) error {
	if len(m.inline) == 0 {
		return dst.part(m, m.html)
	}
	b := boundary('r', p.Seed)
	dst.open("multipart/related; type=\"text/html\"", b)
	if err := dst.part(m, m.html); err != nil {
		return err
	}
	for _, f := range m.inline {
		if err := dst.file(f, b); err != nil {
			return err
		}
	}
	dst.close(b)
	return nil
}

// boundaryText is a boundary: "=_" can occur in no quoted-printable or base64
// text (RFC 2045 6.7), so that no content holds it.
type boundaryText [28]byte

// boundary derives a boundary from a delivery's seed. level tells the
// boundaries of one message apart.
func boundary(level byte, seed uint64) (b boundaryText) {
	const letters = "0123456789abcdefghijklmnopqrstuv"
	b[0], b[1], b[2] = '=', '_', level
	x, bits, left := seed^uint64(level)<<56, uint64(0), 0
	for i := 3; i < len(b); i++ {
		if left == 0 {
			// SplitMix64: each seed gives its own sequence.
			x += 0x9e3779b97f4a7c15
			z := x
			z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
			z = (z ^ z>>27) * 0x94d049bb133111eb
			bits, left = z^z>>31, 12
		}
		b[i] = letters[bits&31]
		bits >>= 5
		left--
	}
	return b
}

// open writes the header of a multipart and begins its first part.
func (m *Message) open(mediaType string, b boundaryText) {
	m.buf = append(append(append(m.buf, "Content-Type: "...), mediaType...), ";\r\n boundary=\""...)
	m.buf = append(append(m.buf, b[:]...), "\"\r\n\r\n--"...)
	m.buf = append(append(m.buf, b[:]...), '\r', '\n')
}

// next begins another part. The line end before a boundary belongs to it.
func (m *Message) next(b boundaryText) {
	m.buf = append(append(append(m.buf, "\r\n--"...), b[:]...), '\r', '\n')
}

// close ends a multipart.
func (m *Message) close(b boundaryText) {
	m.buf = append(append(append(m.buf, "\r\n--"...), b[:]...), "--\r\n"...)
}

// file writes an attachment as the next part, its content by reference.
func (m *Message) file(f file, b boundaryText) error {
	m.next(b)
	m.buf = append(m.buf, f.head...)
	if f.name != nil {
		var err error
		if m.text, err = f.name.appendText(m.text[:0], m.vals); err != nil {
			return tooLong(err)
		}
		m.buf = append(appendFileName(m.buf, CleanFileName(string(m.text))), "\r\n\r\n"...)
	}
	if len(f.body) > 0 {
		m.cuts = append(m.cuts, cut{at: len(m.buf), body: f.body})
	}
	return nil
}

// part writes one text with its header fields.
func (m *Message) part(mailing *Mailing, p *part) error {
	m.buf = append(append(append(m.buf, "Content-Type: "...), p.mediaType...), "; charset=utf-8\r\nContent-Transfer-Encoding: "...)
	var err error
	if p.base64 {
		m.buf = append(m.buf, "base64\r\n\r\n"...)
		if m.text, err = p.appendText(m.text[:0], mailing.names.fields, m.vals); err != nil {
			return tooLong(err)
		}
		m.base64Lines()
		return nil
	}
	m.buf = append(m.buf, "quoted-printable\r\n\r\n"...)
	q := quoter{out: m.buf}
	if p.slow == nil {
		err = quoteOps(&q, p.prog.ops, m.vals)
	} else if m.text, err = p.appendText(m.text[:0], mailing.names.fields, m.vals); err == nil {
		q.write(string(m.text))
	}
	if err != nil {
		return tooLong(err)
	}
	q.finish()
	m.buf = q.out
	return nil
}

// base64Lines encodes m.text, with CRLF line ends (RFC 2045 6.8), onto m.buf.
func (m *Message) base64Lines() {
	m.crlf = m.crlf[:0]
	for _, c := range m.text {
		if c == '\n' {
			m.crlf = append(m.crlf, '\r')
		}
		m.crlf = append(m.crlf, c)
	}
	if n := len(m.crlf); n == 0 || m.crlf[n-1] != '\n' {
		m.crlf = append(m.crlf, '\r', '\n')
	}
	for rest := m.crlf; len(rest) > 0; {
		n := min(57, len(rest))
		m.buf = base64.StdEncoding.AppendEncode(m.buf, rest[:n])
		m.buf = append(m.buf, '\r', '\n')
		rest = rest[n:]
	}
}

// end cuts the message into its segments and holds it to what the package
// promises about its bytes.
func (m *Message) end() error {
	if bytes.HasPrefix(m.buf, []byte(".")) || bytes.Contains(m.buf, []byte("\n.")) {
		return post.Errorf(post.KindInternal, "render the message", "a line begins with a dot")
	}
	from := 0
	for _, c := range m.cuts {
		m.segs = append(m.segs, m.buf[from:c.at], c.body)
		m.size += int64(c.at - from + len(c.body))
		from = c.at
	}
	m.segs = append(m.segs, m.buf[from:])
	m.size += int64(len(m.buf) - from)
	if m.size > MaxMessage {
		return tooLarge("")
	}
	return nil
}

// tooLong gives errTooLong words for the user.
func tooLong(err error) error {
	if errors.Is(err, errTooLong) {
		return &post.Error{Kind: post.KindInvalid, Op: "render the message", Err: err, Reason: post.Reason{Key: "compose.text-too-long"}}
	}
	return err
}

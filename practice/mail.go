package practice

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // other charsets than UTF-8
	"github.com/emersion/go-message/mail"

	"postroom/post"
)

// Limits of Read. What lies beyond is left out and Mail.Cut says so.
const (
	maxSource  = 64 << 20 // bytes of a file; a larger one is refused
	maxHeaders = 1 << 20  // bytes of the headers of one part
	maxDepth   = 20       // multiparts within multiparts
	maxParts   = 1000
	maxBody    = 2 << 20  // bytes of Text and of HTML, decoded
	maxInline  = 32 << 20 // bytes of all inline images together
)

// Mail is one message as it is shown: what a reader's program would make of
// it, and the source.
type Mail struct {
	Subject   string
	From      string
	To        string
	Date      time.Time // zero when there is none that can be read
	MessageID string    // with angle brackets

	Text        string // the text alternative; empty for none
	HTML        string // in UTF-8, not cleaned: show it by Serve only
	Attachments []Attachment
	// Inline holds the pictures that HTML refers to as cid:, by Content-ID
	// without angle brackets.
	Inline map[string]Inline

	// Source is the whole file, to the byte.
	Source []byte
	// Cut says that parts were damaged or beyond the limits and are not shown.
	Cut bool
}

// Attachment is one file of a message.
type Attachment struct {
	Name string // cleaned for showing; not to be used as a path
	Type string // media type as declared
	Size int64  // bytes, decoded
}

// Inline is one picture of a message.
type Inline struct {
	Type string // media type
	Data []byte
}

// Read opens one .eml file. Damaged parts are left out rather than refused;
// the error, a *post.Error, is for files that cannot be read at all, are
// larger than 64 MB, or are no message.
func Read(path string) (Mail, error) {
	const op = "open the message"
	src, err := readBounded(path)
	if err != nil {
		kind := post.KindInternal
		if errors.Is(err, os.ErrNotExist) {
			kind = post.KindNotFound
		}
		return Mail{}, &post.Error{Kind: kind, Op: op, Message: "the file cannot be read", Reason: post.Reason{Key: "practice.read"}, Err: err}
	}
	m, err := parse(src)
	if err != nil {
		return Mail{}, &post.Error{Kind: post.KindInvalid, Op: op, Message: "the file is not a message", Reason: post.Reason{Key: "practice.not_mail"}, Err: err}
	}
	return m, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err != nil {
		return nil, err
	}
	if len(src) > maxSource {
		return nil, fmt.Errorf("it is larger than %d MB", maxSource>>20)
	}
	return src, nil
}

func parse(src []byte) (Mail, error) {
	e, err := message.ReadWithOptions(bytes.NewReader(src), &message.ReadOptions{MaxHeaderBytes: maxHeaders})
	if err != nil && !isUnknown(err) {
		return Mail{}, err
	}
	if e.Header.Len() == 0 {
		return Mail{}, errors.New("it has no header")
	}
	m := Mail{Source: src, Inline: make(map[string]Inline)}
	h := mail.Header{Header: e.Header}
	m.Subject = headerText(&h, "Subject")
	m.From = headerText(&h, "From")
	m.To = headerText(&h, "To")
	m.MessageID = strings.TrimSpace(h.Get("Message-Id"))
	if d, err := h.Date(); err == nil {
		m.Date = d
	}
	r := reader{mail: &m}
	r.part(e, 0)
	return m, nil
}

// headerText returns a field decoded (RFC 2047), or as it stands where that fails.
func headerText(h *mail.Header, key string) string {
	s, err := h.Text(key)
	if err != nil {
		s = h.Get(key)
	}
	return cleanLine(s)
}

// reader walks a message's parts. It never fails: what it cannot take sets Cut.
type reader struct {
	mail   *Mail
	parts  int
	inline int64
}

func (r *reader) part(e *message.Entity, depth int) {
	r.parts++
	if r.parts > maxParts || depth > maxDepth {
		r.mail.Cut = true
		return
	}
	mr := e.MultipartReader()
	if mr == nil {
		r.leaf(e)
		return
	}
	for r.parts <= maxParts {
		p, err := mr.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil && !isUnknown(err):
			r.mail.Cut = true
			return
		}
		r.part(p, depth+1)
	}
	r.mail.Cut = true
}

func (r *reader) leaf(e *message.Entity) {
	kind, params, err := e.Header.ContentType()
	if err != nil || kind == "" {
		kind = "text/plain" // RFC 2045 5.2
	}
	kind = strings.ToLower(kind)
	disp, dparams, derr := e.Header.ContentDisposition()
	if derr != nil {
		disp, dparams = "", nil
	}
	name := dparams["filename"]
	if name == "" {
		name = params["name"]
	}
	id := strings.Trim(strings.TrimSpace(e.Header.Get("Content-Id")), "<>")
	attached := strings.EqualFold(disp, "attachment") || name != ""
	switch {
	case kind == "text/plain" && !attached && r.mail.Text == "":
		r.mail.Text = r.text(e.Body)
	case kind == "text/html" && !attached && r.mail.HTML == "":
		r.mail.HTML = r.text(e.Body)
	case id != "" && strings.HasPrefix(kind, "image/") && !strings.EqualFold(disp, "attachment"):
		r.picture(id, kind, name, e.Body)
	default:
		r.attach(name, kind, e.Body)
	}
}

func (r *reader) text(body io.Reader) string {
	b, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err != nil {
		r.mail.Cut = true
	}
	if len(b) > maxBody {
		r.mail.Cut = true
		for b = b[:maxBody]; len(b) > 0; b = b[:len(b)-1] {
			if last, n := utf8.DecodeLastRune(b); last != utf8.RuneError || n > 1 {
				break
			}
		}
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

func (r *reader) picture(id, kind, name string, body io.Reader) {
	b, err := io.ReadAll(io.LimitReader(body, maxInline-r.inline+1))
	if r.inline += int64(len(b)); err != nil || r.inline > maxInline {
		r.inline -= int64(len(b))
		r.mail.Cut = true
		r.attach(name, kind, body)
		return
	}
	r.mail.Inline[id] = Inline{Type: kind, Data: b}
}

func (r *reader) attach(name, kind string, body io.Reader) {
	size, err := io.Copy(io.Discard, body)
	if err != nil {
		r.mail.Cut = true
	}
	r.mail.Attachments = append(r.mail.Attachments, Attachment{Name: cleanLine(name), Type: cleanLine(kind), Size: size})
}

func isUnknown(err error) bool {
	return message.IsUnknownCharset(err) || message.IsUnknownEncoding(err)
}

// cleanLine makes foreign text fit for one line of a window: no control
// characters and none that turn the direction of reading.
func cleanLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
}

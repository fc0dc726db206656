package receipts

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"strings"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // so that text in any charset can be read

	"postroom/post"
)

// What is looked at of one message. Beyond that it is as if it ended there.
const (
	maxMessage = post.MaxExcerpt // all that is looked at is kept, too
	maxHeader  = 64 << 10        // of the message or of one part
	maxPart    = 64 << 10        // decoded
	maxParts   = 60
	maxNesting = 5
	maxFields  = 500 // of one block of fields
	maxBlocks  = 100 // of fields in one report: recipients
)

// part is a leaf of a message.
type part struct {
	kind string // its media type in lower case, e.g. "message/delivery-status"
	body []byte // decoded
}

// letter is a message taken apart.
type letter struct {
	top   fields
	kind  string // media type of the whole
	parts []part
	raw   []byte
}

// takeApart reads a message within the bounds. What is broken is left out.
func takeApart(raw []byte) letter {
	raw = raw[:min(len(raw), maxMessage)]
	l := letter{raw: raw, top: readFields(raw)}
	e, err := message.ReadWithOptions(bytes.NewReader(raw), &message.ReadOptions{MaxHeaderBytes: maxHeader})
	if e == nil || unusable(err) {
		// A header that no library reads: the body still may be plain words.
		_, body := cutHeader(raw)
		l.parts = []part{{"text/plain", body[:min(len(body), maxPart)]}}
		return l
	}
	l.kind = mediaType(&e.Header)
	l.walk(e, 0)
	return l
}

// unusable reports that an entity could not be read. An unknown charset or
// encoding leaves the body as it came, which is better than nothing.
func unusable(err error) bool {
	return err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err)
}

func (l *letter) walk(e *message.Entity, depth int) {
	if len(l.parts) >= maxParts {
		return
	}
	if mr := e.MultipartReader(); mr != nil {
		for n := 0; depth < maxNesting && n < maxParts; n++ {
			sub, err := mr.NextPart()
			if sub == nil || unusable(err) {
				return
			}
			l.walk(sub, depth+1)
		}
		return
	}
	var body bytes.Buffer
	if _, err := io.Copy(&body, io.LimitReader(e.Body, maxPart)); err != nil && body.Len() == 0 && errors.Is(err, io.ErrUnexpectedEOF) {
		return // cut off before it began
	}
	l.parts = append(l.parts, part{mediaType(&e.Header), body.Bytes()})
}

func mediaType(h *message.Header) string {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		kind, _, _ = strings.Cut(h.Get("Content-Type"), ";")
		kind = strings.ToLower(strings.TrimSpace(kind))
	}
	if kind == "" {
		kind = "text/plain"
	}
	return kind
}

// first returns the first part of one of the kinds.
func (l *letter) first(kinds ...string) (part, bool) {
	for _, p := range l.parts {
		for _, k := range kinds {
			if p.kind == k {
				return p, true
			}
		}
	}
	return part{}, false
}

// text returns the words for people.
func (l *letter) text() string {
	if p, ok := l.first("text/plain"); ok && len(bytes.TrimSpace(p.body)) > 0 {
		return string(p.body)
	}
	if p, ok := l.first("text/html"); ok {
		return plainWords(string(p.body))
	}
	return ""
}

// plainWords takes the tags out of HTML. It is for finding words, not for show.
func plainWords(html string) string {
	var b strings.Builder
	lower := asciiLower(html)
	for at := 0; at < len(html); {
		open := strings.IndexByte(html[at:], '<')
		if open < 0 {
			b.WriteString(html[at:])
			break
		}
		b.WriteString(html[at : at+open])
		at += open
		end := strings.IndexByte(html[at:], '>')
		if end < 0 {
			break
		}
		tag := lower[at+1 : at+end]
		name, _, _ := strings.Cut(strings.TrimLeft(tag, "/ "), " ")
		at += end + 1
		switch name {
		case "br", "br/", "p", "div", "tr", "li", "h1", "h2", "h3", "blockquote", "table", "pre":
			b.WriteByte('\n')
		case "style", "script":
			if strings.HasPrefix(tag, "/") {
				break
			}
			stop := strings.Index(lower[at:], "</"+name)
			if stop < 0 { // never closed: nothing of it is words
				at = len(html)
				break
			}
			at += stop
		}
	}
	return strings.NewReplacer("&nbsp;", " ", "&lt;", "<", "&gt;", ">", "&amp;", "&", "&#39;", "'", "&quot;", `"`).Replace(b.String())
}

// asciiLower is ToLower with every byte in its place.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

package compose

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // mail comes in every encoding

	"postroom/post"
)

// maxParts bounds the parts of an imported message, nested ones included.
const maxParts = 200

// ImportEML makes a mailing of a message that somebody kept as an .eml file:
// its subject, its HTML (cleaned) or else its text, and its files, which are
// frozen at once. From, To and all other fields are left behind.
func ImportEML(ctx context.Context, raw []byte, to Freezer) (Imported, error) {
	const op = "read the message"
	if len(raw) > MaxMessage {
		return Imported{}, post.Errorf(post.KindInvalid, op, "it is larger than %d MB", MaxMessage>>20)
	}
	e, err := message.Read(bytes.NewReader(raw))
	if err != nil && !message.IsUnknownCharset(err) {
		return Imported{}, &post.Error{Kind: post.KindInvalid, Op: op, Message: "this is not a message", Err: err}
	}
	r := emlReader{ctx: ctx, to: to, cids: map[string]string{}}
	if r.subject, err = e.Header.Text("Subject"); err != nil && r.subject == "" {
		r.subject = e.Header.Get("Subject")
	}
	if err := e.Walk(r.part); err != nil {
		var known *post.Error
		if errors.As(err, &known) {
			return Imported{}, known
		}
		return Imported{}, &post.Error{Kind: post.KindInvalid, Op: op, Message: "the message is damaged", Err: err}
	}
	c := post.Content{Subject: cleanHeader(r.subject), Attachments: r.files, Format: post.FormatText, Body: r.text}
	if r.html == "" && r.text == "" {
		return Imported{}, post.Errorf(post.KindInvalid, op, "the message has no text")
	}
	if r.html == "" {
		return Imported{Content: c}, nil
	}
	c.Format = post.FormatHTML
	for theirs, ours := range r.cids {
		r.html = strings.ReplaceAll(r.html, "cid:"+theirs, "cid:"+ours)
	}
	in := Imported{Content: c}
	in.Content.Body, in.Removed, err = CleanHTML(r.html)
	return in, err
}

// emlReader collects the parts of a message.
type emlReader struct {
	ctx        context.Context
	to         Freezer
	subject    string
	text, html string
	files      []post.Attachment
	cids       map[string]string // theirs -> ours
	parts      int
}

func (r *emlReader) part(_ []int, e *message.Entity, err error) error {
	if err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		return err
	}
	if r.parts++; r.parts > maxParts {
		return post.Errorf(post.KindInvalid, "read the message", "it has more than %d parts", maxParts)
	}
	if err := r.ctx.Err(); err != nil {
		return &post.Error{Kind: post.KindCancelled, Op: "read the message", Err: err}
	}
	kind, params, err := e.Header.ContentType()
	if err != nil {
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") {
		return nil
	}
	disposition, dparams, err := e.Header.ContentDisposition()
	if err != nil {
		disposition = ""
	}
	data, err := io.ReadAll(io.LimitReader(e.Body, MaxMessage))
	if err != nil {
		return err
	}
	name := dparams["filename"]
	if name == "" {
		name = params["name"]
	}
	switch body := disposition != "attachment" && name == ""; {
	case body && kind == "text/html" && r.html == "":
		r.html = cleanText(string(data))
		return nil
	case body && kind == "text/plain" && r.text == "":
		r.text = cleanText(string(data))
		return nil
	case strings.HasPrefix(kind, "message/"):
		return nil // a message within the message is no file of a mailing
	}
	return r.file(e, name, data)
}

// file freezes one file of the message.
func (r *emlReader) file(e *message.Entity, name string, data []byte) error {
	first := data[:min(len(data), 512)]
	a := post.Attachment{Name: literalBraces(CleanFileName(name)), Type: MediaType(name, first)}
	if name == "" {
		a.Name = "file" + strconv.Itoa(len(r.files)+1)
	}
	if id := strings.Trim(e.Header.Get("Content-Id"), "<> "); id != "" && pictureTypes[a.Type] {
		sum := sha256.Sum256(data)
		a.CID, a.Name = hex.EncodeToString(sum[:10])+"@postroom", CleanFileName(name)
		r.cids[id] = a.CID
	}
	var err error
	if a.SHA256, a.Size, err = r.to.Put(r.ctx, bytes.NewReader(data)); err != nil {
		return freezeError(name, err)
	}
	r.files = append(r.files, a)
	return nil
}

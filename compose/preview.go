package compose

import (
	"encoding/base64"
	"strings"

	"postroom/post"
)

// Preview is one recipient's message as people look at it.
type Preview struct {
	Subject string
	HTML    string // empty for a plain text mailing
	Text    string
	// Source is the whole message, byte for byte as Render makes it.
	Source []byte
	// Inline are the pictures that HTML shows.
	Inline []Picture
	// Missing are the fields that leave a hole in it.
	Missing []string
}

// Picture is one that HTML shows by its Content-ID.
type Picture struct {
	CID, Type string
	Data      []byte
}

// Pictures returns the pictures that the HTML shows.
func (m *Mailing) Pictures() ([]Picture, error) {
	var all []Picture
	for _, f := range m.inline {
		data, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(f.body), "\r\n", ""))
		if err != nil {
			return nil, &post.Error{Kind: post.KindInternal, Op: "read the pictures", Err: err}
		}
		all = append(all, Picture{CID: f.cid, Type: MediaType("", data[:min(512, len(data))]), Data: data})
	}
	return all, nil
}

// MakePreview renders the message of p, and its texts apart.
func MakePreview(m *Mailing, p *Params) (Preview, error) {
	var msg Message
	if err := m.Render(&msg, p); err != nil {
		return Preview{}, err
	}
	out := Preview{Source: msg.Bytes(), Missing: m.missing(msg.vals)}
	subject, err := m.subject.appendText(nil, msg.vals)
	if err != nil {
		return Preview{}, tooLong(err)
	}
	out.Subject = cleanHeader(string(subject))
	text, err := m.text.appendText(nil, m.names.fields, msg.vals)
	if err != nil {
		return Preview{}, tooLong(err)
	}
	out.Text = string(text)
	if out.Inline, err = m.Pictures(); err != nil {
		return Preview{}, err
	}
	if m.html != nil {
		page, err := m.html.appendText(nil, m.names.fields, msg.vals)
		if err != nil {
			return Preview{}, tooLong(err)
		}
		out.HTML = string(page)
	}
	return out, nil
}

// Subject returns the subject of r's message.
func (m *Mailing) Subject(r *post.Recipient) (string, error) {
	b, err := m.subject.appendText(nil, m.values(nil, r, ""))
	if err != nil {
		return "", tooLong(err)
	}
	return cleanHeader(string(b)), nil
}

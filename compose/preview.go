package compose

import "postroom/post"

// Preview is one recipient's message as people look at it.
type Preview struct {
	Subject string
	HTML    string // empty for a plain text mailing
	Text    string
	// Source is the whole message, byte for byte as Render makes it.
	Source []byte
	// Missing are the fields that leave a hole in it.
	Missing []string
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

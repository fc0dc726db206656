package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"time"

	"postroom/compose"
	"postroom/post"

	"github.com/wneessen/go-mail"
)

// attachment is the name of the file of 5 MB in the folder.
const attachment = "attachment.bin"

// attachOurs renders every message with the attachment, ready for the socket, and sends none.
func attachOurs(ctx context.Context, t *task) (work, error) {
	path := filepath.Join(t.folder, attachment)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	c := t.content()
	c.Attachments = []post.Attachment{{Name: attachment, Path: path, Size: info.Size()}}
	m, err := compose.Compile(ctx, c, nil, compose.Options{})
	if err != nil {
		return nil, err
	}
	return func(context.Context) (int, error) {
		s := &stream{mailing: m}
		for i := range t.people {
			s.pieces = s.pieces[:0]
			if err := s.render(&t.people[i]); err != nil {
				return i, err
			}
			// What the connection would be handed, each byte of it once or not at all: it is not copied here.
			if s.message.Len() < info.Size() {
				return i, io.ErrShortWrite
			}
		}
		return len(t.people), nil
	}, nil
}

// attachGomail writes every message with the attachment to nowhere.
func attachGomail(_ context.Context, t *task) (work, error) {
	p, err := t.parse()
	if err != nil {
		return nil, err
	}
	return func(context.Context) (int, error) {
		for i := range t.people {
			m, err := gomailMessage(p, &t.people[i])
			if err != nil {
				return i, err
			}
			m.SetDateWithValue(time.Now())
			m.AttachFile(filepath.Join(t.folder, attachment), mail.WithFileContentType("application/octet-stream"))
			if _, err := m.WriteTo(io.Discard); err != nil {
				return i, err
			}
		}
		return len(t.people), nil
	}, nil
}

//go:build linux

package mailserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Delivered is one message as it lies in a mailbox.
type Delivered struct {
	Recipient string // of the envelope, as given in RCPT TO
	Sender    string // of the envelope; empty for a bounce
	Path      string
	Raw       []byte // with the lines the server put before it: Return-Path, X-Original-To, Delivered-To, Received
	At        time.Time
}

// Messages returns all messages delivered so far, in the order of delivery. See Settle for when that is all.
func (s *Server) Messages(t testing.TB) []Delivered {
	t.Helper()
	messages, err := s.Delivered()
	if err != nil {
		t.Fatalf("read the Maildirs: %v", err)
	}
	return messages
}

// Delivered is Messages without a test.
func (s *Server) Delivered() ([]Delivered, error) {
	var messages []Delivered
	err := s.eachMessage(func(path string, entry fs.DirEntry) error {
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		message := Delivered{Path: path, Raw: raw, At: info.ModTime()}
		header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(raw))).ReadMIMEHeader()
		if err != nil && len(header) == 0 {
			return fmt.Errorf("%s has no header: %w", path, err)
		}
		message.Sender = strings.Trim(header.Get("Return-Path"), "<>")
		// Postfix writes both lines and may rewrite the second; Dovecot's LMTP knows only the second.
		message.Recipient = header.Get("X-Original-To")
		if message.Recipient == "" {
			message.Recipient = strings.Trim(header.Get("Delivered-To"), "<>")
		}
		messages = append(messages, message)
		return nil
	})
	slices.SortStableFunc(messages, func(a, b Delivered) int {
		if order := a.At.Compare(b.At); order != 0 {
			return order
		}
		return strings.Compare(filepath.Base(a.Path), filepath.Base(b.Path))
	})
	return messages, err
}

// Count returns the number of messages delivered so far, without reading them.
func (s *Server) Count() (int, error) {
	count := 0
	err := s.eachMessage(func(string, fs.DirEntry) error { count++; return nil })
	return count, err
}

// eachMessage calls visit for every message file of every Maildir.
func (s *Server) eachMessage(visit func(path string, entry fs.DirEntry) error) error {
	return filepath.WalkDir(s.MailDir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // Dovecot moved it from new to cur meanwhile
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		if dir := filepath.Base(filepath.Dir(path)); dir != "new" && dir != "cur" {
			return nil
		}
		return visit(path, entry)
	})
}

// Queued returns the number of messages that Postfix has taken and neither delivered nor returned yet.
func (s *Server) Queued() (int, error) {
	count := 0
	for _, queue := range []string{"maildrop", "incoming", "active", "deferred", "hold"} {
		err := filepath.WalkDir(filepath.Join(s.run, "queue", queue), func(_ string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it has moved on
			}
			if err == nil && entry.Type().IsRegular() {
				count++
			}
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return count, nil
}

// Settle waits until everything taken so far has been delivered, bounces included: the queue is empty. Then Messages
// holds each message that the server said 250 to, and no further copy can come.
func (s *Server) Settle(ctx context.Context) error {
	// A message may move between two queues unseen while they are counted one by one, always onwards, and a bounce is
	// queued before its cause is removed; so only an emptiness seen twice counts.
	for empty := 0; empty < 2; {
		queued, err := s.Queued()
		if err != nil {
			return err
		}
		if queued == 0 {
			empty++
			continue
		}
		empty = 0
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d messages are still queued: %w", queued, ctx.Err())
		case <-time.After(pollEvery):
		}
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"time"

	"postroom/accounts"
	"postroom/compose"
	"postroom/mailer"
	"postroom/post"
	"postroom/storage"
)

const from = "shop@example.org"

func (t *task) content() post.Content {
	return post.Content{Subject: t.subject, Format: post.FormatHTML, Body: t.html}
}

func (t *task) account() post.Account {
	return post.Account{
		Name: "shop", Email: from, Host: t.host, Port: t.port, TLS: post.TLSNone, Auth: post.AuthNone,
		Secret: post.SecretNone, Connections: t.connections,
	}
}

func (t *task) open(ctx context.Context) (*storage.Ledger, error) {
	return storage.Open(ctx, filepath.Join(t.folder, "ledger"), storage.Options{})
}

func recipient(p *person) post.Recipient {
	return post.Recipient{Address: p.address, Key: p.address, Name: p.name, Fields: map[string]string{
		"first_name": p.firstName, "town": p.town, "number": p.number,
	}}
}

func (t *task) rows() iter.Seq2[post.Recipient, error] {
	return func(yield func(post.Recipient, error) bool) {
		for i := range t.people {
			if !yield(recipient(&t.people[i]), nil) {
				return
			}
		}
	}
}

// enqueue makes the ledger that ours sends from; what it "sends" is what it queued.
func enqueue(ctx context.Context, t *task) (work, error) {
	l, err := t.open(ctx)
	if err != nil {
		return nil, err
	}
	a, err := l.CreateAccount(ctx, t.account())
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (int, error) {
		m, _, err := l.Enqueue(ctx, post.Mailing{
			Kind: post.Live, Name: "M", Content: t.content(), Senders: []post.Sender{{Account: a.ID, Email: a.Email, FromName: "Shop"}},
		}, t.rows())
		return int(m.Counts[post.StateQueued]), errors.Join(err, l.Close())
	}, nil
}

// ours is the mailer as the program runs it, with its ledger (synchronous FULL), from queued to marked sent.
func ours(ctx context.Context, t *task) (work, error) {
	t.people = nil // they are in the ledger
	l, err := t.open(ctx)
	if err != nil {
		return nil, err
	}
	d := &accounts.Dialer{Log: slog.New(slog.DiscardHandler)}
	return func(ctx context.Context) (int, error) {
		err := mailer.New(l, mailer.Options{Dial: d.Dial}).Run(ctx, mailer.RunParams{UntilEmpty: true})
		m, readErr := l.Mailing(ctx, 1)
		return int(m.Counts[post.StateSent]), errors.Join(err, readErr, l.Close())
	}, nil
}

// oursWire is merge, MIME and SMTP alone: our composing and our connection, pipelined as the mailer does it, and nothing
// on disk.
func oursWire(ctx context.Context, t *task) (work, error) {
	m, err := compose.Compile(ctx, t.content(), nil, compose.Options{})
	if err != nil {
		return nil, err
	}
	d := &accounts.Dialer{Log: slog.New(slog.DiscardHandler)}
	return func(ctx context.Context) (int, error) {
		return t.share(func(take func() (*person, bool)) (int, error) {
			conn, err := d.Dial(ctx, t.account())
			if err != nil {
				return 0, err
			}
			s := &stream{conn: conn, mailing: m}
			err = s.all(take)
			conn.Quit(time.Second)
			return s.sent, err
		})
	}, nil
}

// stream sends message after message on one connection: a body and the next envelope in one go.
type stream struct {
	conn    *accounts.Conn
	mailing *compose.Mailing
	message compose.Message
	pieces  [][]byte
	order   []byte // the envelope
	sent    int
	seed    uint64
}

const (
	dot  = 250
	data = 354
	// slow is far beyond what a sink on this computer takes.
	slow = time.Minute
)

func (s *stream) all(take func() (*person, bool)) error {
	p, more := take()
	if !more {
		return nil
	}
	s.envelope(p)
	if err := s.exchange(dot, dot, data); err != nil { // MAIL, RCPT, DATA
		return err
	}
	for more {
		if err := s.render(p); err != nil {
			return err
		}
		want := []int{dot}
		if p, more = take(); more {
			s.envelope(p)
			want = []int{dot, dot, dot, data}
		}
		if err := s.exchange(want...); err != nil {
			return err
		}
		s.sent++
	}
	return nil
}

func (s *stream) envelope(p *person) {
	s.order = fmt.Appendf(s.order[:0], "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", from, p.address)
	s.pieces = append(s.pieces, s.order)
}

func (s *stream) render(p *person) error {
	s.seed++
	err := s.mailing.Render(&s.message, &compose.Params{
		Recipient: recipient(p), From: post.Sender{Email: from, FromName: "Shop"},
		MessageID: "<" + p.number + ".bench@example.org>", Seed: s.seed, Date: time.Now(),
	})
	if err != nil {
		return err
	}
	s.pieces = append(s.message.AppendWire(s.pieces), []byte(".\r\n"))
	return nil
}

func (s *stream) exchange(want ...int) error {
	s.conn.ResetCap()
	if err := s.conn.WriteBuffers(s.pieces, slow); err != nil {
		return err
	}
	s.pieces = s.pieces[:0]
	for _, code := range want {
		r, err := s.conn.ReadReply(time.Now().Add(slow))
		if err != nil {
			return err
		}
		if r.Code != code {
			return fmt.Errorf("the sink answered %d, not %d", r.Code, code)
		}
	}
	return nil
}

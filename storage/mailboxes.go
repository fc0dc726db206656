package storage

import (
	"context"
	"time"

	"postroom/post"
)

// MailboxState tells how the reading of an account's mailbox goes.
type MailboxState struct {
	Account int64
	Server  string
	ReadAt  time.Time // when all of it had been read; zero: never
	TriedAt time.Time // when that was last tried
	// Trouble is what kept it from being read the last time: in its raw text in
	// English, and mostly with a key. Zero: nothing.
	Trouble post.Reason
	// HandledTrouble is likewise what kept its reports from being moved to their
	// folder; NoteHandled keeps it.
	HandledTrouble post.Reason
}

// NoteMailbox keeps when a mailbox was read, or with a trouble that it could
// not be.
func (l *Ledger) NoteMailbox(ctx context.Context, s MailboxState) error {
	return l.write(ctx, "note the reading", func(t *Tx) error {
		_, err := t.exec(`INSERT INTO mailboxes (account_id, server, validity, uid, read_at, tried_at, trouble) VALUES (?1, ?2, 0, 0, ?3, ?4, ?5)
			ON CONFLICT DO UPDATE SET read_at = CASE WHEN ?3 > 0 THEN ?3 ELSE read_at END, tried_at = ?4, trouble = ?5`,
			s.Account, s.Server, post.Millis(s.ReadAt), post.Millis(s.TriedAt), s.Trouble.Encode())
		if err != nil || s.ReadAt.IsZero() {
			return err
		}
		return t.dropHandled(s.Account, s.Server)
	})
}

// MailboxStates returns how the reading of all mailboxes goes that were ever
// tried, by account and server.
func (l *Ledger) MailboxStates(ctx context.Context) ([]MailboxState, error) {
	const op = "look how the mailboxes are read"
	rows, err := l.r.QueryContext(ctx, "SELECT account_id, server, read_at, tried_at, trouble, handled_trouble FROM mailboxes ORDER BY account_id, server")
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var all []MailboxState
	for rows.Next() {
		var s MailboxState
		var read, tried int64
		var trouble, handled string
		if err := rows.Scan(&s.Account, &s.Server, &read, &tried, &trouble, &handled); err != nil {
			return nil, classify(op, err)
		}
		s.Trouble = post.DecodeReason(trouble) // older versions kept the text alone
		s.HandledTrouble = post.DecodeReason(handled)
		s.ReadAt, s.TriedAt = post.FromMillis(read), post.FromMillis(tried)
		all = append(all, s)
	}
	return all, classify(op, rows.Err())
}

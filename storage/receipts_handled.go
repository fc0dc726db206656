package storage

import (
	"context"
	"strconv"
	"time"

	"postroom/post"
)

// HandledReport is a report that the ledger has, with all that followed from it,
// and that waits in the INBOX to be moved to the folder for handled reports.
type HandledReport struct {
	Account  int64
	Digest   []byte // as in Incoming
	Server   string // as in Position, with the next two
	Validity uint32
	UID      uint32
	// Copies counts how often it may have been copied to the folder, those that were
	// refused included; 0: it lies in no other folder for our doing.
	Copies  int
	Refused int // how often the server refused to take it
}

// understood reports that a message is a report of which the user need see
// nothing more: no part of it says what we do not know.
func (in *Incoming) understood() bool {
	for _, s := range in.Says {
		if s.Kind == post.ReceiptUnknown {
			return false
		}
	}
	return in.Report && len(in.Says) > 0
}

// handled lets a report that was tied be moved, where the account has a folder
// for it. One that is known from before is left where it is, because its user may
// have put it there; but where it waits still, its new number is kept.
func (t *Tx) handled(in *Incoming, fresh bool, p *Position) error {
	uid := int64(in.Says[0].UID)
	if fresh {
		_, err := t.exec(`INSERT INTO handled_due (account_id, digest, server, validity, uid)
			SELECT id, ?2, ?3, ?4, ?5 FROM accounts WHERE id = ?1 AND handled_folder <> '' AND removed_at = 0 ON CONFLICT DO NOTHING`,
			p.Account, in.Digest, p.Server, int64(p.Validity), uid)
		return err
	}
	_, err := t.exec(`UPDATE handled_due SET server = ?3, validity = ?4, uid = ?5
		WHERE account_id = ?1 AND digest = ?2 AND (server <> ?3 OR validity <> ?4)`, p.Account, in.Digest, p.Server, int64(p.Validity), uid)
	return err
}

// HandledDue returns up to n reports that wait to be moved out of an account's
// INBOX, as it was numbered when it was read last: those first that were
// refused least, then by UID.
func (l *Ledger) HandledDue(ctx context.Context, account int64, server string, n int) ([]HandledReport, error) {
	const op = "look for handled reports"
	rows, err := l.r.QueryContext(ctx, `SELECT h.digest, h.validity, h.uid, h.copies, h.refused FROM handled_due h
			JOIN mailboxes m ON m.account_id = h.account_id AND m.server = h.server AND m.validity = h.validity
		WHERE h.account_id = ? AND h.server = ? ORDER BY h.refused, h.uid LIMIT ?`, account, server, n)
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var all []HandledReport
	for rows.Next() {
		r := HandledReport{Account: account, Server: server}
		if err := rows.Scan(&r.Digest, &r.Validity, &r.UID, &r.Copies, &r.Refused); err != nil {
			return nil, classify(op, err)
		}
		all = append(all, r)
	}
	return all, classify(op, rows.Err())
}

// TryHandled adds to how often reports may have been copied, before that is done,
// and to how often they were refused.
func (l *Ledger) TryHandled(ctx context.Context, some []HandledReport, copies, refused int) error {
	return l.eachHandled(ctx, "UPDATE handled_due SET copies = copies + ?3, refused = refused + ?4 WHERE account_id = ?1 AND digest = ?2", some, copies, refused)
}

// HandledDone forgets reports that lie in the INBOX no more.
func (l *Ledger) HandledDone(ctx context.Context, some []HandledReport) error {
	return l.eachHandled(ctx, "DELETE FROM handled_due WHERE account_id = ?1 AND digest = ?2", some)
}

// eachHandled changes the rows of reports in one transaction.
func (l *Ledger) eachHandled(ctx context.Context, query string, some []HandledReport, more ...any) error {
	if len(some) == 0 {
		return nil
	}
	return l.write(ctx, "note handled reports", func(t *Tx) error {
		for i := range some {
			if _, err := t.exec(query, append([]any{some[i].Account, some[i].Digest}, more...)...); err != nil {
				return err
			}
		}
		return nil
	})
}

// NoteHandled keeps what kept an account's reports from being moved; the zero
// value: nothing.
func (l *Ledger) NoteHandled(ctx context.Context, account int64, server string, trouble post.Reason) error {
	return l.write(ctx, "note handled reports", func(t *Tx) error {
		_, err := t.exec("UPDATE mailboxes SET handled_trouble = ?3 WHERE account_id = ?1 AND server = ?2 AND handled_trouble <> ?3", account, server, trouble.Encode())
		return err
	})
}

// dropHandled forgets what waited under numbers that the INBOX has no more, once
// it was read through under the new ones.
func (t *Tx) dropHandled(account int64, server string) error {
	_, err := t.exec(`DELETE FROM handled_due WHERE account_id = ?1 AND NOT EXISTS (SELECT 1 FROM mailboxes m
		WHERE m.account_id = ?1 AND m.server = ?2 AND m.server = handled_due.server AND m.validity = handled_due.validity)`, account, server)
	return err
}

// HoldHandled lets one holder at a time move an account's reports, for so long;
// see HoldCopies.
func (l *Ledger) HoldHandled(ctx context.Context, account int64, holder string, long time.Duration) (bool, error) {
	return l.hold(ctx, handledHeldKey(account), holder, long)
}

// LetHandledGo ends a holder's time.
func (l *Ledger) LetHandledGo(ctx context.Context, account int64, holder string) error {
	return l.letGo(ctx, handledHeldKey(account), holder)
}

func handledHeldKey(account int64) string {
	return "account.handled_held." + strconv.FormatInt(account, 10)
}

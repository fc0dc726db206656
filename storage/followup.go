package storage

import (
	"context"
	"iter"
	"strings"

	"postroom/post"
)

// FollowUp names those of a live mailing to whom one writes again, by what became
// of it for them. (post.Outcome is how far one message came.)
type FollowUp string

// Whom a mailing reached is told by its state, what they did by
// what came back: an automatic reply is no answer.
const (
	FollowUpSent      FollowUp = ""          // their server took it
	FollowUpSilent    FollowUp = "silent"    // it took it, it did not come back, and nobody answered
	FollowUpReplied   FollowUp = "replied"   // they answered
	FollowUpRead      FollowUp = "read"      // a receipt says that they opened it
	FollowUpBounced   FollowUp = "bounced"   // it was taken and came back
	FollowUpFailed    FollowUp = "failed"    // it was refused
	FollowUpUnsent    FollowUp = "unsent"    // it never went out: refused, cancelled or too late
	FollowUpUncertain FollowUp = "uncertain" // it may have been taken
)

// FollowUps are all of them, in the order in which they are offered.
var FollowUps = []FollowUp{FollowUpSilent, FollowUpReplied, FollowUpRead, FollowUpBounced, FollowUpFailed, FollowUpUnsent, FollowUpUncertain, FollowUpSent}

const (
	gotBack  = "EXISTS (SELECT 1 FROM receipts r WHERE r.delivery_id = d.id AND r.kind = "
	answered = "d.receipt <> 'none' AND " + gotBack + "'replied')"
	returned = "d.receipt <> 'none' AND " + gotBack + "'bounced')"
)

// followUpWhere asks it of a delivery.
var followUpWhere = map[FollowUp]string{
	FollowUpSent:      "d.state = 'sent'",
	FollowUpSilent:    "d.state = 'sent' AND NOT (" + answered + ") AND NOT (" + returned + ")",
	FollowUpReplied:   answered,
	FollowUpRead:      "d.receipt <> 'none' AND " + gotBack + "'read')",
	FollowUpBounced:   returned,
	FollowUpFailed:    "d.state = 'failed'",
	FollowUpUnsent:    "d.state IN ('failed', 'cancelled', 'expired')",
	FollowUpUncertain: "d.state = 'uncertain'",
}

// recipients returns the people of the book of a live mailing to whom
// such a follow-up goes.
func (l *Ledger) recipients(ctx context.Context, mailing int64, o FollowUp) (map[int64]bool, error) {
	return l.idSet(ctx, `SELECT DISTINCT c.id FROM deliveries d JOIN mailings m ON m.id = d.mailing_id JOIN contacts c ON c.key = d.key
		WHERE d.mailing_id = ? AND m.kind = 'live' AND `+followUpWhere[o], mailing)
}

// FollowUpCount says to how many people a follow-up would go.
type FollowUpCount struct {
	People    int64
	Strangers int64 // of those, so many are not in the book; who was erased is no more counted
}

// CountFollowUps returns to how many people of a live mailing each would go; of a
// rehearsal to nobody.
func (l *Ledger) CountFollowUps(ctx context.Context, mailing int64) (map[FollowUp]FollowUpCount, error) {
	const op = "count the follow-ups"
	columns := make([]string, 0, 2*len(FollowUps))
	for _, o := range FollowUps {
		columns = append(columns, "count(DISTINCT CASE WHEN "+followUpWhere[o]+" THEN d.key END)",
			"count(DISTINCT CASE WHEN c.id IS NULL AND "+followUpWhere[o]+" THEN d.key END)")
	}
	counts := make([]FollowUpCount, len(FollowUps))
	into := make([]any, 0, 2*len(FollowUps))
	for i := range counts {
		into = append(into, &counts[i].People, &counts[i].Strangers)
	}
	err := l.r.QueryRowContext(ctx, "SELECT "+strings.Join(columns, ", ")+` FROM mailings m CROSS JOIN deliveries d ON d.mailing_id = m.id
		LEFT JOIN contacts c ON c.key = d.key WHERE m.id = ? AND m.kind = 'live' AND d.address <> ''`, mailing).Scan(into...)
	if err != nil {
		return nil, classify(op, err)
	}
	all := make(map[FollowUp]FollowUpCount, len(FollowUps))
	for i, o := range FollowUps {
		all[o] = counts[i]
	}
	return all, nil
}

// AddRecipients puts those recipients of a live mailing to whom a follow-up goes into the
// book who are not in it, with the name and the values that their message had, and
// returns how many. A list knows only people of the book.
func (l *Ledger) AddRecipients(ctx context.Context, mailing int64, o FollowUp) (int64, error) {
	if _, known := followUpWhere[o]; !known {
		return 0, post.Errorf(post.KindInvalid, "add the recipients", "there is no follow-up of that name")
	}
	added, _, _, _, err := l.ImportContactsBy(ctx, "", MergeFill, false, l.strangers(ctx, mailing, o))
	return added, err
}

func (l *Ledger) strangers(ctx context.Context, mailing int64, o FollowUp) iter.Seq2[post.Contact, error] {
	return func(yield func(post.Contact, error) bool) {
		for last := int64(0); ; {
			rows, err := l.historyRows(ctx, `WHERE m.id = ? AND m.kind = 'live' AND d.id > ? AND d.address <> '' AND `+followUpWhere[o]+`
				AND NOT EXISTS (SELECT 1 FROM contacts c WHERE c.key = d.key) ORDER BY d.id LIMIT ?`, []any{mailing, last, memberPage})
			if err != nil {
				yield(post.Contact{}, err)
				return
			}
			for i := range rows {
				c := post.Contact{Address: rows[i].Address, Key: rows[i].Key, Name: rows[i].Name, Fields: map[string]string{}}
				for f, v := range rows[i].Fields {
					if v != "" {
						c.Fields[f] = v
					}
				}
				if !yield(c, nil) {
					return
				}
				last = rows[i].ID
			}
			if len(rows) < memberPage {
				return
			}
		}
	}
}

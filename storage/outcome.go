package storage

import (
	"context"
	"iter"
	"strings"

	"postroom/post"
)

// Outcome is what became of a live mailing for one person, as a rule asks for it.
type Outcome string

// The outcomes. Whom a mailing reached is told by its state, what they did by
// what came back: an automatic reply is no answer.
const (
	OutcomeSent      Outcome = ""          // their server took it
	OutcomeSilent    Outcome = "silent"    // it took it, it did not come back, and nobody answered
	OutcomeReplied   Outcome = "replied"   // they answered
	OutcomeOpened    Outcome = "opened"    // a receipt says that they opened it
	OutcomeBounced   Outcome = "bounced"   // it was taken and came back
	OutcomeFailed    Outcome = "failed"    // it was refused
	OutcomeUnsent    Outcome = "unsent"    // it never went out: refused, cancelled or too late
	OutcomeUncertain Outcome = "uncertain" // it may have been taken
)

// Outcomes are all of them, in the order in which they are offered.
var Outcomes = []Outcome{OutcomeSilent, OutcomeReplied, OutcomeOpened, OutcomeBounced, OutcomeFailed, OutcomeUnsent, OutcomeUncertain, OutcomeSent}

const (
	gotBack  = "EXISTS (SELECT 1 FROM receipts r WHERE r.delivery_id = d.id AND r.kind = "
	answered = "d.receipt <> 'none' AND " + gotBack + "'replied')"
	returned = "d.receipt <> 'none' AND " + gotBack + "'bounced')"
)

// outcomeWhere asks it of a delivery.
var outcomeWhere = map[Outcome]string{
	OutcomeSent:      "d.state = 'sent'",
	OutcomeSilent:    "d.state = 'sent' AND NOT (" + answered + ") AND NOT (" + returned + ")",
	OutcomeReplied:   answered,
	OutcomeOpened:    "d.receipt <> 'none' AND " + gotBack + "'read')",
	OutcomeBounced:   returned,
	OutcomeFailed:    "d.state = 'failed'",
	OutcomeUnsent:    "d.state IN ('failed', 'cancelled', 'expired')",
	OutcomeUncertain: "d.state = 'uncertain'",
}

// recipients returns the people of the book to whom a live mailing went with
// that outcome.
func (l *Ledger) recipients(ctx context.Context, mailing int64, o Outcome) (map[int64]bool, error) {
	return l.idSet(ctx, `SELECT DISTINCT c.id FROM deliveries d JOIN mailings m ON m.id = d.mailing_id JOIN contacts c ON c.key = d.key
		WHERE d.mailing_id = ? AND m.kind = 'live' AND `+outcomeWhere[o], mailing)
}

// OutcomeCount says how many people had an outcome.
type OutcomeCount struct {
	People    int64
	Strangers int64 // of those, so many are not in the book; who was erased is no more counted
}

// CountOutcomes returns how many people had which outcome of a live mailing; of a
// rehearsal nobody had any.
func (l *Ledger) CountOutcomes(ctx context.Context, mailing int64) (map[Outcome]OutcomeCount, error) {
	const op = "count the outcomes"
	columns := make([]string, 0, 2*len(Outcomes))
	for _, o := range Outcomes {
		columns = append(columns, "count(DISTINCT CASE WHEN "+outcomeWhere[o]+" THEN d.key END)",
			"count(DISTINCT CASE WHEN c.id IS NULL AND "+outcomeWhere[o]+" THEN d.key END)")
	}
	counts := make([]OutcomeCount, len(Outcomes))
	into := make([]any, 0, 2*len(Outcomes))
	for i := range counts {
		into = append(into, &counts[i].People, &counts[i].Strangers)
	}
	err := l.r.QueryRowContext(ctx, "SELECT "+strings.Join(columns, ", ")+` FROM mailings m CROSS JOIN deliveries d ON d.mailing_id = m.id
		LEFT JOIN contacts c ON c.key = d.key WHERE m.id = ? AND m.kind = 'live' AND d.address <> ''`, mailing).Scan(into...)
	if err != nil {
		return nil, classify(op, err)
	}
	all := make(map[Outcome]OutcomeCount, len(Outcomes))
	for i, o := range Outcomes {
		all[o] = counts[i]
	}
	return all, nil
}

// AddRecipients puts those recipients of a live mailing with an outcome into the
// book who are not in it, with the name and the values that their message had, and
// returns how many. A list knows only people of the book.
func (l *Ledger) AddRecipients(ctx context.Context, mailing int64, o Outcome) (int64, error) {
	if _, known := outcomeWhere[o]; !known {
		return 0, post.Errorf(post.KindInvalid, "add the recipients", "there is no outcome of that name")
	}
	added, _, _, _, err := l.ImportContactsBy(ctx, "", MergeFill, false, l.strangers(ctx, mailing, o))
	return added, err
}

func (l *Ledger) strangers(ctx context.Context, mailing int64, o Outcome) iter.Seq2[post.Contact, error] {
	return func(yield func(post.Contact, error) bool) {
		for last := int64(0); ; {
			rows, err := l.historyRows(ctx, `WHERE m.id = ? AND m.kind = 'live' AND d.id > ? AND d.address <> '' AND `+outcomeWhere[o]+`
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

package storage

import (
	"context"

	"postroom/post"
)

// outcomeWhere is the condition for an outcome. It is written out, so that the
// partial indexes serve it.
var outcomeWhere = map[post.Outcome]string{
	post.OutcomeAccepted:     "d.state = 'sent'",
	post.OutcomeNoNews:       "d.state = 'sent' AND d.receipt = 'none'",
	post.OutcomeDelayed:      "d.receipt = 'delayed' AND d.receipt <> 'none'",
	post.OutcomeDelivered:    "d.receipt = 'delivered' AND d.receipt <> 'none'",
	post.OutcomeBounced:      "d.receipt = 'bounced' AND d.receipt <> 'none'",
	post.OutcomeRead:         "d.receipt = 'read' AND d.receipt <> 'none'",
	post.OutcomeReplied:      "d.receipt = 'replied' AND d.receipt <> 'none'",
	post.OutcomeUnsubscribed: "d.receipt = 'unsubscribed' AND d.receipt <> 'none' AND NOT " + complained,
	post.OutcomeComplained:   "d.receipt = 'unsubscribed' AND d.receipt <> 'none' AND " + complained,
	post.OutcomeUncertain:    "d.state NOT IN ('queued', 'sent') AND d.state = 'uncertain'",
	post.OutcomeFailed:       "d.state NOT IN ('queued', 'sent') AND d.state IN ('failed', 'expired')",
	post.OutcomeWaiting:      "d.state IN ('queued', 'claimed', 'sending')",
	post.OutcomeLeftOut:      "d.state NOT IN ('queued', 'sent') AND d.state IN ('cancelled', 'suppressed')",
}

// complained: a delivery whose recipient reported it as unwanted. In its summary
// that counts as unsubscribed.
const complained = "EXISTS (SELECT 1 FROM receipts r WHERE r.delivery_id = d.id AND r.kind = 'complaint')"

// Funnel returns how far the messages of a mailing are known to have come.
func (l *Ledger) Funnel(ctx context.Context, m *post.Mailing) (post.Funnel, error) {
	counts, err := l.ReceiptCounts(ctx, m.ID)
	if err != nil {
		return nil, err
	}
	var complaints int64
	err = l.r.QueryRowContext(ctx, `SELECT count(DISTINCT r.delivery_id) FROM receipts r JOIN deliveries d ON d.id = r.delivery_id
		WHERE r.kind = 'complaint' AND d.mailing_id = ? AND d.receipt = 'unsubscribed'`, m.ID).Scan(&complaints)
	if err != nil {
		return nil, classify("count the complaints", err)
	}
	n := m.Counts
	f := post.Funnel{
		post.OutcomeAccepted: n[post.StateSent], post.OutcomeDelayed: counts[post.ReceiptDelayed], post.OutcomeDelivered: counts[post.ReceiptDelivered],
		post.OutcomeBounced: counts[post.ReceiptBounced], post.OutcomeRead: counts[post.ReceiptRead], post.OutcomeReplied: counts[post.ReceiptReplied],
		post.OutcomeUnsubscribed: counts[post.ReceiptUnsubscribed] - complaints, post.OutcomeComplained: complaints,
		post.OutcomeUncertain: n[post.StateUncertain], post.OutcomeFailed: n[post.StateFailed] + n[post.StateExpired],
		post.OutcomeWaiting: n[post.StateQueued] + n[post.StateClaimed] + n[post.StateSending],
		post.OutcomeLeftOut: n[post.StateCancelled] + n[post.StateSuppressed],
	}
	rest := f[post.OutcomeAccepted]
	for _, o := range post.CameBack {
		rest -= f[o]
	}
	f[post.OutcomeNoNews] = max(rest, 0) // both are read apart, so that something may have come in between
	return f, nil
}

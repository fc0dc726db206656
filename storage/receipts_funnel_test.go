package storage

import (
	"testing"

	"postroom/post"
)

// TestFunnel: every delivery has one outcome, each list has as many rows as the
// funnel says, and what was accepted is the sum of what came of it.
func TestFunnel(t *testing.T) {
	l := open(t, t.TempDir())
	a := account(t, l, "a")
	rows := sentOf(t, l, a, 12, 9) // three wait
	var in []Incoming
	for i, kind := range []post.ReceiptKind{
		post.ReceiptDelayed, post.ReceiptDelivered, post.ReceiptBounced, post.ReceiptRead, post.ReceiptReplied, post.ReceiptUnsubscribed, post.ReceiptComplaint, post.ReceiptAutoReply,
	} {
		in = append(in, came(a, string(kind), []string{refOf(rows[i])}, said(kind, rows[i].Key)))
	}
	// Two about the same message count once.
	in = append(in, came(a, "again", []string{refOf(rows[6])}, said(post.ReceiptComplaint, rows[6].Key)))
	record(t, l, a, in...)
	m, err := l.Mailing(t.Context(), rows[0].Mailing)
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.Funnel(t.Context(), &m)
	if err != nil {
		t.Fatal(err)
	}
	for o, want := range (post.Funnel{post.OutcomeAccepted: 9, post.OutcomeNoNews: 2, post.OutcomeWaiting: 3, post.OutcomeUncertain: 0, post.OutcomeFailed: 0, post.OutcomeLeftOut: 0}) {
		if f[o] != want {
			t.Errorf("%d are %s, want %d", f[o], o, want)
		}
	}
	sum := f[post.OutcomeNoNews]
	for _, o := range post.CameBack {
		if sum += f[o]; f[o] != 1 {
			t.Errorf("%d are %s, want 1", f[o], o)
		}
	}
	if sum != f[post.OutcomeAccepted] {
		t.Errorf("%d outcomes of %d that were accepted", sum, f[post.OutcomeAccepted])
	}
	for _, o := range post.Outcomes {
		by := HistoryFilter{Mailing: m.ID, Outcome: o}
		list, _, err := l.History(t.Context(), by, Page{Limit: 50})
		if err != nil || int64(len(list)) != f[o] {
			t.Errorf("%d rows are %s, want %d (%v)", len(list), o, f[o], err)
		}
		if n, err := l.CountHistory(t.Context(), by); err != nil || n != f[o] {
			t.Errorf("%d are counted as %s, want %d (%v)", n, o, f[o], err)
		}
	}
}

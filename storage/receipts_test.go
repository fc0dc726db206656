package storage

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"postroom/post"
)

// gone sends a mailing to n people and returns its deliveries in state to.
func gone(t *testing.T, l *Ledger, a post.Account, n int, to post.State) []HistoryRow {
	t.Helper()
	return goneOf(t, l, a, n, n, to)
}

// sentOf sends n messages of a mailing to all people and returns those.
func sentOf(t *testing.T, l *Ledger, a post.Account, all, n int) []HistoryRow {
	t.Helper()
	return goneOf(t, l, a, all, n, post.StateSent)
}

func goneOf(t *testing.T, l *Ledger, a post.Account, all, n int, to post.State) []HistoryRow {
	t.Helper()
	ctx, now := t.Context(), time.Now().Truncate(time.Millisecond)
	m := enqueue(t, l, post.Live, a, all)
	var intents []Intent
	var results []Result
	for _, d := range claim(t, l, a, n) {
		intents = append(intents, Intent{ID: d.ID, Claim: 1, At: now, Date: now, Live: true})
		results = append(results, Result{ID: d.ID, Claim: 1, Mailing: m.ID, Live: true, From: post.StateSending, To: to, Attempt: &post.Attempt{
			Account: a.ID, StartedAt: now, EndedAt: now, Phase: post.PhaseDot, Charged: true, DotSent: true,
		}})
	}
	if refused, err := l.Record(ctx, nil, intents); err != nil || len(refused) > 0 {
		t.Fatal(refused, err)
	}
	if _, err := l.Record(ctx, results, nil); err != nil {
		t.Fatal(err)
	}
	rows, _, err := l.History(ctx, HistoryFilter{Mailing: m.ID, States: []post.State{to}}, Page{Limit: n, Back: true})
	if err != nil || len(rows) != n {
		t.Fatal(rows, err)
	}
	return rows
}

func refOf(h HistoryRow) string {
	ref, _, _ := strings.Cut(strings.Trim(h.MessageID, "<>"), "@")
	return ref
}

// came makes a message that came back; its text makes its digest.
func came(a post.Account, text string, refs []string, says ...Said) Incoming {
	sum := sha256.Sum256([]byte(text))
	for i := range says {
		says[i].Account, says[i].At = a.ID, time.Now()
	}
	return Incoming{Refs: refs, Digest: sum[:], Says: says}
}

func said(kind post.ReceiptKind, keys ...string) Said {
	return Said{Receipt: post.Receipt{Kind: kind}, Keys: keys}
}

func record(t *testing.T, l *Ledger, a post.Account, in ...Incoming) Noted {
	t.Helper()
	n, err := l.RecordReceipts(t.Context(), in, Position{Account: a.ID, Server: "s", Validity: 1, UID: 1})
	if err != nil {
		t.Fatal(err)
	}
	wantSound(t, l)
	return n
}

func delivery(t *testing.T, l *Ledger, id int64) HistoryRow {
	t.Helper()
	h, err := l.Delivery(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func suppressedFor(t *testing.T, l *Ledger, key string) string {
	t.Helper()
	var reason string
	if err := l.r.QueryRowContext(t.Context(), "SELECT coalesce((SELECT reason FROM suppressions WHERE key = ?), '')", key).Scan(&reason); err != nil {
		t.Fatal(err)
	}
	return reason
}

func TestReceiptsAreSummedUp(t *testing.T) {
	l := open(t, t.TempDir())
	a := account(t, l, "a")
	rows := gone(t, l, a, 4, post.StateSent)
	one, two := rows[0], rows[1]
	n := record(t, l, a,
		came(a, "delayed", []string{refOf(one)}, said(post.ReceiptDelayed, one.Key)),
		came(a, "delivered", []string{refOf(one)}, said(post.ReceiptDelivered, one.Key)),
		came(a, "late", []string{refOf(one)}, said(post.ReceiptDelayed, one.Key)),
		came(a, "away", []string{refOf(two)}, said(post.ReceiptAutoReply)),
		came(a, "relayed", []string{refOf(two)}, said(post.ReceiptRelayed)),
		came(a, "odd", []string{refOf(rows[2])}, said(post.ReceiptUnknown)),
		came(a, "reply", []string{refOf(rows[3])}, said(post.ReceiptReplied)),
	)
	if n.Matched != 7 || n.Unmatched != 0 || n.By[post.ReceiptDelayed] != 2 || n.By[post.ReceiptReplied] != 1 {
		t.Errorf("%+v", n)
	}
	for i, want := range []post.ReceiptKind{post.ReceiptDelivered, post.ReceiptNone, post.ReceiptNone, post.ReceiptReplied} {
		if h := delivery(t, l, rows[i].ID); h.Receipt != want || h.State != post.StateSent {
			t.Errorf("row %d is %s, %s, want %s", i, h.State, h.Receipt, want)
		}
	}
	counts, err := l.ReceiptCounts(t.Context(), one.Mailing)
	if err != nil || len(counts) != 2 || counts[post.ReceiptDelivered] != 1 || counts[post.ReceiptReplied] != 1 {
		t.Errorf("%v %v", counts, err)
	}
	life, err := l.Receipts(t.Context(), one.ID)
	if err != nil || len(life) != 3 {
		t.Errorf("%+v %v", life, err)
	}
}

// The same bytes count once, whatever their number in the mailbox is.
func TestReceiptsCountOnce(t *testing.T) {
	l := open(t, t.TempDir())
	a := account(t, l, "a")
	one := gone(t, l, a, 1, post.StateSent)[0]
	in := came(a, "bounce", []string{refOf(one)}, said(post.ReceiptBounced, one.Key))
	if n := record(t, l, a, in); n.Matched != 1 {
		t.Errorf("%+v", n)
	}
	in.Says[0].UID = 99
	if n := record(t, l, a, in, in); n.Matched != 0 || n.Unmatched != 0 || len(n.By) != 0 {
		t.Errorf("counted again: %+v", n)
	}
}

// A report without one of our ids changes nothing, whatever else is right.
func TestForgedReceiptsChangeNothing(t *testing.T) {
	l := open(t, t.TempDir())
	a := account(t, l, "a")
	one := gone(t, l, a, 1, post.StateUncertain)[0]
	token, rest, _ := strings.Cut(refOf(one), ".")
	row, _, _ := strings.Cut(rest, ".")
	rehearsal := enqueue(t, l, post.Rehearsal, a, 1)
	rows, _, err := l.History(t.Context(), HistoryFilter{Mailing: rehearsal.ID}, Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	hard := said(post.ReceiptBounced, one.Key)
	hard.Gone = true
	n := record(t, l, a,
		came(a, "1", nil, hard),
		came(a, "2", []string{token + "." + row + ".guess"}, hard),
		came(a, "3", []string{token + "." + row + ".0"}, said(post.ReceiptUnsubscribed)),
		came(a, "4", []string{"nonsense", "", "a.b.c", token + ".99.x"}, said(post.ReceiptComplaint)),
		came(a, "5", []string{refOf(rows[0])}, hard),
		came(a, "6", []string{refOf(one)[:len(refOf(one))-1]}, hard),
	)
	if n.Matched != 0 || n.Unmatched != 6 {
		t.Errorf("%+v", n)
	}
	if h := delivery(t, l, one.ID); h.State != post.StateUncertain || h.Receipt != post.ReceiptNone {
		t.Errorf("it became %s, %s", h.State, h.Receipt)
	}
	if why := suppressedFor(t, l, one.Key); why != "" {
		t.Errorf("suppressed: %s", why)
	}
	if all, err := l.Untied(t.Context(), 10); err != nil || len(all) != 6 {
		t.Errorf("%d are shown apart (%v)", len(all), err)
	}
}

func TestReceiptsSuppress(t *testing.T) {
	hard, full := said(post.ReceiptBounced), said(post.ReceiptBounced)
	hard.Gone, full.Again = true, true
	elsewhere := hard
	elsewhere.Keys = []string{"other@example.org"}
	for name, c := range map[string]struct {
		said Said
		want string
	}{
		"hard":        {hard, "bounced"},
		"full, first": {full, ""},
		"policy":      {said(post.ReceiptBounced), ""},
		"forwarded":   {elsewhere, ""},
		"complaint":   {said(post.ReceiptComplaint), "complaint"},
		"unsubscribe": {said(post.ReceiptUnsubscribed), "asked"},
		"delayed":     {said(post.ReceiptDelayed), ""},
		"reply":       {said(post.ReceiptReplied), ""},
		"away":        {said(post.ReceiptAutoReply), ""},
		"unknown":     {said(post.ReceiptUnknown), ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t, t.TempDir())
			a := account(t, l, "a")
			rows := gone(t, l, a, 2, post.StateSent)
			record(t, l, a, came(a, "x", []string{refOf(rows[0])}, c.said))
			if why := suppressedFor(t, l, rows[0].Key); why != c.want {
				t.Errorf("suppressed: %q, want %q", why, c.want)
			}
			if why := suppressedFor(t, l, rows[1].Key); why != "" {
				t.Errorf("the other is suppressed: %q", why)
			}
		})
	}
}

// Two of the last three that failed take an address off.
func TestReceiptsSuppressTheSecondTime(t *testing.T) {
	for _, good := range []int{0, 1, 2} {
		l := open(t, t.TempDir())
		a := account(t, l, "a")
		full := said(post.ReceiptBounced)
		full.Again = true
		first := gone(t, l, a, 1, post.StateSent)[0]
		record(t, l, a, came(a, "first", []string{refOf(first)}, full))
		for range good {
			gone(t, l, a, 1, post.StateSent)
		}
		last := gone(t, l, a, 1, post.StateSent)[0]
		record(t, l, a, came(a, "last", []string{refOf(last)}, full))
		if got, want := suppressedFor(t, l, last.Key) != "", good < 2; got != want {
			t.Errorf("with %d good ones between: suppressed %v, want %v", good, got, want)
		}
	}
}

func TestReceiptsSettleUncertain(t *testing.T) {
	for _, kind := range []post.ReceiptKind{post.ReceiptDelivered, post.ReceiptBounced, post.ReceiptReplied, post.ReceiptRelayed, post.ReceiptDelayed, post.ReceiptAutoReply, post.ReceiptUnknown} {
		l := open(t, t.TempDir())
		a := account(t, l, "a")
		one := gone(t, l, a, 1, post.StateUncertain)[0]
		record(t, l, a, came(a, "x", []string{refOf(one)}, said(kind)))
		want := post.StateSent
		if kind == post.ReceiptUnknown {
			want = post.StateUncertain
		}
		if h := delivery(t, l, one.ID); h.State != want {
			t.Errorf("after %s it is %s", kind, h.State)
		}
	}
}

// Of a report on many only what is about the delivery's own person counts.
func TestReceiptsSelectTheRecipient(t *testing.T) {
	l := open(t, t.TempDir())
	a := account(t, l, "a")
	one := gone(t, l, a, 1, post.StateSent)[0]
	bad := said(post.ReceiptBounced, "other@example.org")
	bad.Gone = true
	record(t, l, a, came(a, "x", []string{refOf(one)}, bad, said(post.ReceiptDelivered, one.Key)))
	if h := delivery(t, l, one.ID); h.Receipt != post.ReceiptDelivered || suppressedFor(t, l, one.Key) != "" {
		t.Errorf("it is %s", h.Receipt)
	}
}

func TestMailboxPosition(t *testing.T) {
	l := open(t, t.TempDir())
	p := Position{Account: 1, Server: "s", Validity: 4294967295, UID: 4294967295}
	if _, err := l.RecordReceipts(t.Context(), nil, p); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Mailbox(t.Context(), 1, "s"); err != nil || got != p {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := l.Mailbox(t.Context(), 1, "other"); err != nil || got.UID != 0 || got.Validity != 0 {
		t.Errorf("%+v %v", got, err)
	}
}

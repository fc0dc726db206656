package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postroom/assets/words"
	"postroom/cli"
	"postroom/post"
	"postroom/receipts"
	"postroom/storage"
	"postroom/ui/screens/history"
)

// A word is what one thing is called, by language.
type word map[words.Lang]string

// The words that must never be mixed.
var (
	accepted  = word{words.English: "accepted", words.Chinese: "已接收"}
	delivered = word{words.English: "delivered", words.Chinese: "已送达"}
	bounced   = word{words.English: "bounced", words.Chinese: "已退信"}
	uncertain = word{words.English: "uncertain", words.Chinese: "结果不明"}
	noNews    = word{words.English: "no news", words.Chinese: "暂无消息"}

	never = []word{accepted, delivered, bounced, uncertain, noNews}
)

// fates is the table of what may become of a message, and what it is called.
var fates = []struct {
	state   post.State
	receipt post.ReceiptKind // what came back; empty: nothing
	summary post.ReceiptKind // what the history makes of that
	outcome post.Outcome
	sending word // how far it was sent
	back    word // what is known since; nil: nothing is told
}{
	{post.StateQueued, "", post.ReceiptNone, post.OutcomeWaiting, word{words.English: "waiting", words.Chinese: "等待"}, nil},
	{post.StateClaimed, "", post.ReceiptNone, post.OutcomeWaiting, word{words.English: "waiting", words.Chinese: "等待"}, nil},
	{post.StateSending, "", post.ReceiptNone, post.OutcomeWaiting, word{words.English: "sending", words.Chinese: "发送中"}, nil},
	{post.StateSent, "", post.ReceiptNone, post.OutcomeNoNews, accepted, noNews},
	{post.StateSent, post.ReceiptRelayed, post.ReceiptNone, post.OutcomeNoNews, accepted, noNews},
	{post.StateSent, post.ReceiptAutoReply, post.ReceiptNone, post.OutcomeNoNews, accepted, noNews},
	{post.StateSent, post.ReceiptUnknown, post.ReceiptNone, post.OutcomeNoNews, accepted, noNews},
	{post.StateSent, post.ReceiptDelayed, post.ReceiptDelayed, post.OutcomeDelayed, accepted, word{words.English: "delayed", words.Chinese: "延迟"}},
	{post.StateSent, post.ReceiptDelivered, post.ReceiptDelivered, post.OutcomeDelivered, accepted, delivered},
	{post.StateSent, post.ReceiptBounced, post.ReceiptBounced, post.OutcomeBounced, accepted, bounced},
	{post.StateSent, post.ReceiptRead, post.ReceiptRead, post.OutcomeRead, accepted, word{words.English: "read", words.Chinese: "已读"}},
	{post.StateSent, post.ReceiptReplied, post.ReceiptReplied, post.OutcomeReplied, accepted, word{words.English: "replied", words.Chinese: "已回复"}},
	{post.StateSent, post.ReceiptUnsubscribed, post.ReceiptUnsubscribed, post.OutcomeUnsubscribed, accepted, word{words.English: "unsubscribed", words.Chinese: "已退订"}},
	{post.StateSent, post.ReceiptComplaint, post.ReceiptUnsubscribed, post.OutcomeComplained, accepted, word{words.English: "unsubscribed", words.Chinese: "已退订"}},
	{post.StateFailed, "", post.ReceiptNone, post.OutcomeFailed, word{words.English: "failed", words.Chinese: "失败"}, nil},
	{post.StateUncertain, "", post.ReceiptNone, post.OutcomeUncertain, uncertain, nil},
	{post.StateCancelled, "", post.ReceiptNone, post.OutcomeLeftOut, word{words.English: "cancelled", words.Chinese: "已取消"}, nil},
	{post.StateSuppressed, "", post.ReceiptNone, post.OutcomeLeftOut, word{words.English: "left out", words.Chinese: "已排除"}, nil},
	{post.StateExpired, "", post.ReceiptNone, post.OutcomeFailed, word{words.English: "gave up", words.Chinese: "已放弃"}, nil},
}

func fateAddress(i int) string { return fmt.Sprintf("p%02d@example.net", i) }

// live is a ledger in which fates[i] has become of fateAddress(i).
func live(t *testing.T, dir string) {
	t.Helper()
	l, err := storage.Open(t.Context(), dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	a, err := l.CreateAccount(t.Context(), post.Account{Name: "shop", Email: "shop@shop.example", Host: "127.0.0.1", Port: 25, TLS: post.TLSNone, Auth: post.AuthNone, Secret: post.SecretNone})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = l.Enqueue(t.Context(), post.Mailing{Kind: post.Live, Name: "M", Content: post.Content{Subject: "s", Text: "x"}, Senders: []post.Sender{{Account: a.ID, Email: a.Email}}},
		func(yield func(post.Recipient, error) bool) {
			for i := range fates {
				if address := fateAddress(i); !yield(post.Recipient{Address: address, Key: address}, nil) {
					return
				}
			}
		})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := l.Claim(t.Context(), storage.ClaimParams{Kind: post.Live, Account: a.ID, Claim: 1, N: len(fates), Deadline: 48 * time.Hour})
	if err != nil || len(rows) != len(fates) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i := range rows {
		become(t, l, &a, &rows[i], fates[i].state)
	}
	// What waits until its deadline is given up by the next who looks for work.
	if _, err := l.Claim(t.Context(), storage.ClaimParams{Kind: post.Live, Account: a.ID, Claim: 2, N: 1, Deadline: time.Hour}); err != nil {
		t.Fatal(err)
	}
	for i, f := range fates {
		if f.receipt != "" {
			comeBack(t, l, &a, &rows[i], f.receipt)
		}
	}
}

// become moves a claimed delivery to where it shall be.
func become(t *testing.T, l *storage.Ledger, a *post.Account, d *post.Delivery, to post.State) {
	t.Helper()
	began := time.Now().Add(-2 * time.Hour).Truncate(time.Second)
	r := storage.Result{ID: d.ID, Claim: 1, Mailing: d.Mailing, Live: true, From: post.StateSending, To: to}
	try := &post.Attempt{Account: a.ID, StartedAt: began, EndedAt: began.Add(time.Second), State: to, Phase: post.PhaseDot, Charged: true, DotSent: true}
	switch to {
	case post.StateClaimed:
		return
	case post.StateQueued, post.StateCancelled, post.StateSuppressed:
		r.From = post.StateClaimed
		r.NextAt = began.Add(48 * time.Hour)
	case post.StateExpired:
		r.To, r.NextAt, r.Attempt, try.State, try.DotSent = post.StateQueued, began.Add(time.Minute), try, post.StateQueued, false
	case post.StateUncertain:
		r.Attempt, r.Reason = try, post.Reason{Key: "uncertain.timeout"}
	default:
		r.Attempt = try
	}
	if r.From == post.StateSending {
		in := storage.Intent{ID: d.ID, Claim: 1, At: began, Date: began, Live: true}
		if refused, err := l.Record(t.Context(), nil, []storage.Intent{in}); err != nil || len(refused) > 0 {
			t.Fatal(refused, err)
		}
	}
	if to == post.StateSending {
		return
	}
	if _, err := l.Record(t.Context(), []storage.Result{r}, nil); err != nil {
		t.Fatal(err)
	}
}

func comeBack(t *testing.T, l *storage.Ledger, a *post.Account, d *post.Delivery, kind post.ReceiptKind) {
	t.Helper()
	ref, _, _ := strings.Cut(strings.Trim(d.MessageID, "<>"), "@")
	in := storage.Incoming{Refs: []string{ref}, Digest: []byte(ref), Says: []storage.Said{{
		Receipt: post.Receipt{Account: a.ID, Kind: kind, At: time.Now(), Source: "mx.example.net", Address: d.Address}, Keys: []string{d.Key},
	}}}
	if n, err := l.RecordReceipts(t.Context(), []storage.Incoming{in}, storage.Position{Account: a.ID, Server: "x"}); err != nil || n.Matched != 1 {
		t.Fatalf("%s: %+v %v", kind, n, err)
	}
}

// saysOnly wants a text about a fate to hold its words and none of those that belong
// to another. That nothing came back need not be told.
func saysOnly(t *testing.T, where string, lang words.Lang, i int, text string) {
	t.Helper()
	f, text := fates[i], strings.ToLower(text)
	own := []string{f.sending[lang], f.back[lang]}
	for _, w := range own {
		if w != "" && w != noNews[lang] && !strings.Contains(text, w) {
			t.Errorf("%s: %s, %q: %q is missing in %q", where, f.state, f.receipt, w, text)
		}
	}
	for _, w := range never {
		if !slices.Contains(own, w[lang]) && strings.Contains(text, w[lang]) {
			t.Errorf("%s: %s, %q: %q in %q", where, f.state, f.receipt, w[lang], text)
		}
	}
}

// TestSameWords: accepted, delivered, bounced, uncertain and no news are told by the
// same words wherever a message's fate is told, and each by its own alone.
func TestSameWords(t *testing.T) {
	dir := t.TempDir()
	live(t, dir)
	run := func(args ...string) string {
		t.Helper()
		var out, said bytes.Buffer
		if code := cli.Run(t.Context(), cli.Deps{Version: "test"}, append([]string{"--data", dir}, args...), strings.NewReader(""), &out, &said); code != 0 {
			t.Fatalf("%v: %d, %s", args, code, said.String())
		}
		return out.String()
	}
	told := map[string]string{}
	for line := range strings.Lines(run("history")) {
		told[strings.Fields(line)[3]] = line
	}
	for i := range fates {
		saysOnly(t, "history", words.English, i, told[fateAddress(i)])
	}
	sameStates(t, run)
	if got, want := lastLine(run("mailing", "show", "1")), "11 accepted by the provider, 1 delayed, 1 delivered, 1 bounced, 1 read, 1 replied, 1 unsubscribed, 1 reported as unwanted, 4 no news"; got != want {
		t.Errorf("the funnel:\n%s\n%s", got, want)
	}

	l, err := storage.Open(t.Context(), dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for _, lang := range []words.Lang{words.English, words.Chinese} {
		w := words.For(lang)
		sameInCatalogue(t, w)
		sameInWindow(t, l, w)
		for i, text := range evidenceRows(t, l, w) {
			saysOnly(t, "evidence", lang, i, text)
			if fates[i].back[lang] == noNews[lang] != strings.Contains(text, noNews[lang]) {
				t.Errorf("evidence: %s, %q: no news in %q", fates[i].state, fates[i].receipt, text)
			}
		}
	}
}

func lastLine(s string) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(all[len(all)-1])
}

// sameStates looks at what programs read: JSON and both tables for spreadsheets.
func sameStates(t *testing.T, run func(...string) string) {
	t.Helper()
	type row struct {
		Address string           `json:"address"`
		State   post.State       `json:"state"`
		Receipt post.ReceiptKind `json:"receipt"`
	}
	byJSON := map[string]row{}
	for line := range strings.Lines(run("history", "--json")) {
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		byJSON[r.Address] = r
	}
	all, err := csv.NewReader(strings.NewReader(run("history", "--csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	byCSV := column(all)
	for i, f := range fates {
		address := fateAddress(i)
		if got := byJSON[address]; got.State != f.state || got.Receipt != f.summary {
			t.Errorf("JSON: %+v, want %s, %s", got, f.state, f.summary)
		}
		if got := byCSV[address]; got != [2]string{string(f.state), string(f.summary)} {
			t.Errorf("CSV: %s %v, want %s, %s", address, got, f.state, f.summary)
		}
	}
	for _, o := range post.Outcomes {
		var want []string
		for i, f := range fates {
			if f.outcome == o || o == post.OutcomeAccepted && f.state == post.StateSent {
				want = append(want, fateAddress(i))
			}
		}
		var got []string
		for line := range strings.Lines(run("history", "--outcome", string(o))) {
			got = append(got, strings.Fields(line)[3])
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("--outcome %s: %v, want %v", o, got, want)
		}
	}
}

// column takes state and receipt of each address out of a table.
func column(all [][]string) map[string][2]string {
	by := map[string][2]string{}
	state, receipt := slices.Index(all[0], "state"), slices.Index(all[0], "receipt")
	for _, r := range all[1:] {
		by[r[1]] = [2]string{r[state], r[receipt]}
	}
	return by
}

// sameInCatalogue: what an outcome, a state and a receipt are called is one word
// where they are one thing.
func sameInCatalogue(t *testing.T, w *words.Catalogue) {
	t.Helper()
	for key, want := range map[string]word{
		"outcome.accepted": accepted, "state.sent": accepted, "outcome.delivered": delivered, "receipt.delivered": delivered, "history.step.delivered": delivered,
		"outcome.bounced": bounced, "receipt.bounced": bounced, "history.step.bounced": bounced, "outcome.uncertain": uncertain, "state.uncertain": uncertain,
		"history.step.uncertain": uncertain, "home.count.uncertain": uncertain, "outcome.no_news": noNews, "receipt.none": noNews, "home.chart.taken": accepted,
	} {
		if got := strings.ToLower(w.T(key)); got != want[w.Lang()] {
			t.Errorf("%s is %q, want %q", key, got, want[w.Lang()])
		}
	}
	// What the user or a policy says about an uncertain one is no report.
	for _, key := range []string{"settled.sent", "settled.failed", "settled.assumed", "settled.sent_folder", "settled.receipt", "outbox.settle.sent", "outbox.settle.failed", "history.uncertain.note", "home.uncertain.other"} {
		for _, x := range never {
			if strings.Contains(strings.ToLower(w.T(key, 2)), x[w.Lang()]) {
				t.Errorf("%s says %q: %s", key, x[w.Lang()], w.T(key, 2))
			}
		}
	}
	for i, f := range fates {
		saysOnly(t, "long", w.Lang(), i, f.sending[w.Lang()]+" "+f.back[w.Lang()]+" "+w.StateLong(f.state))
		if f.receipt != "" && f.summary == f.receipt && w.Receipt(f.receipt) != w.Outcome(f.outcome) {
			t.Errorf("%s is %q and %q", f.receipt, w.Receipt(f.receipt), w.Outcome(f.outcome))
		}
	}
}

// sameInWindow looks at the table, the line of life and the file of the screen History.
func sameInWindow(t *testing.T, l *storage.Ledger, w *words.Catalogue) {
	t.Helper()
	now := time.Now()
	m, err := history.Load(t.Context(), l, w, now, storage.HistoryFilter{}, storage.Page{Limit: 100})
	if err != nil || len(m.Rows) != len(fates) {
		t.Fatalf("%d rows, %v", len(m.Rows), err)
	}
	for _, r := range m.Rows {
		i := int(r.ID) - 1
		saysOnly(t, "table", w.Lang(), i, r.Outcome+" "+r.Back)
		if r.Outcome != fates[i].sending[w.Lang()] || r.Back != "" && r.Back != fates[i].back[w.Lang()] {
			t.Errorf("table: %q, %q", r.Outcome, r.Back)
		}
		life, err := history.LoadLife(t.Context(), l, w, now, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		var titles []string
		for _, e := range life.Events {
			titles = append(titles, e.Title)
		}
		line := strings.Join(titles, " | ")
		if fates[i].state == post.StateUncertain && (len(titles) != 3 || !strings.Contains(life.Events[2].Note, w.T("uncertain.timeout"))) {
			t.Errorf("what is uncertain is told as %s: %q", line, life.Events[len(life.Events)-1].Note)
		}
		for _, x := range never { // other words are longer in a line of life
			of := func(f word) bool { return f != nil && f[w.Lang()] == x[w.Lang()] }
			own := of(fates[i].sending) || of(fates[i].back)
			if has := strings.Contains(strings.ToLower(line), x[w.Lang()]); has != own && x[w.Lang()] != noNews[w.Lang()] || has && !own {
				t.Errorf("line of life of %s, %q: %s", fates[i].state, fates[i].receipt, line)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "history.csv")
	if _, err := history.Export(t.Context(), l, storage.HistoryFilter{}, path, func(int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(b, []byte("\ufeff")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	by := column(all)
	for i, f := range fates {
		if got := by[fateAddress(i)]; got != [2]string{string(f.state), string(f.summary)} {
			t.Errorf("the window's table: %s %v, want %s, %s", fateAddress(i), got, f.state, f.summary)
		}
	}
}

// evidenceRows are the bold words of each row of a pack's page: what is said to have
// become of it.
func evidenceRows(t *testing.T, l *storage.Ledger, w *words.Catalogue) map[int]string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pack.zip")
	e := receipts.Evidence{Records: l, Words: w, Clock: post.SystemClock{}, Log: slog.New(slog.DiscardHandler), Message: func(context.Context, *post.Delivery) ([]byte, bool, error) {
		return []byte("Subject: s\r\n\r\nx\r\n"), false, nil
	}}
	if _, err := e.Write(t.Context(), path, receipts.Choice{Mailing: 1}); err != nil {
		t.Fatal(err)
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	r, err := z.Open("index.html")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	rows := map[int]string{}
	for i := range fates {
		_, row, ok := strings.Cut(string(b), fateAddress(i))
		if !ok {
			t.Fatalf("no row of %s", fateAddress(i))
		}
		row, _, _ = strings.Cut(row, "</td><td>")
		rows[i] = row
	}
	return rows
}

package receipts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

// letters makes messages again, as compose does.
type letters struct{ missing int64 }

func (l letters) Message(_ context.Context, d *post.Delivery) ([]byte, bool, error) {
	if d.ID == l.missing {
		return nil, false, post.Errorf(post.KindNotFound, "", "a file was erased")
	}
	return fmt.Appendf(nil, "Message-ID: %s\r\nDate: %s\r\nFrom: shop@shop.example\r\nSubject: s\r\n\r\nHello\r\n", d.MessageID, d.Date.Format(time.RFC1123Z)), false, nil
}

// sent moves the queued messages of an account to states, by turns.
func sent(t *testing.T, l *storage.Ledger, a post.Account, to ...post.State) []storage.HistoryRow {
	t.Helper()
	rows, err := l.Claim(t.Context(), storage.ClaimParams{Kind: post.Live, Account: a.ID, Claim: 1, N: len(to), Deadline: 48 * time.Hour})
	if err != nil || len(rows) != len(to) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	now := time.Now().Truncate(time.Second)
	var intents []storage.Intent
	var results []storage.Result
	for i, d := range rows {
		intents = append(intents, storage.Intent{ID: d.ID, Claim: 1, At: now, Date: now, Live: true})
		results = append(results, storage.Result{ID: d.ID, Claim: 1, Mailing: d.Mailing, Live: true, From: post.StateSending, To: to[i], Attempt: &post.Attempt{
			Account: a.ID, StartedAt: now.Add(time.Second), EndedAt: now.Add(time.Second), State: to[i], Phase: post.PhaseDot, Charged: true, DotSent: true,
		}})
	}
	if refused, err := l.Record(t.Context(), nil, intents); err != nil || len(refused) > 0 {
		t.Fatal(refused, err)
	}
	if _, err := l.Record(t.Context(), results, nil); err != nil {
		t.Fatal(err)
	}
	var all []storage.HistoryRow
	for h, err := range l.EachDelivery(t.Context(), storage.HistoryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	return all
}

func sentFolderOf(l SentLedger, m Messages) *SentFolder {
	d := &accounts.Dialer{Secrets: fixedSecret("secret")}
	return &SentFolder{Dial: d.DialMailbox, Ledger: l, Messages: func() Messages { return m }, Clock: post.SystemClock{}, Log: slog.New(slog.DiscardHandler)}
}

// makeFolder makes a folder in the mailbox.
func (p *postbox) makeFolder(name string) {
	p.t.Helper()
	if err := p.user.Create(name, nil); err != nil {
		p.t.Fatal(err)
	}
}

func (p *postbox) count(folder string) uint32 {
	p.t.Helper()
	status, err := p.user.Status(folder, &imap.StatusOptions{NumMessages: true, NumUnseen: true})
	if err != nil || *status.NumUnseen != 0 {
		p.t.Fatalf("%+v %v", status, err)
	}
	return *status.NumMessages
}

// TestSentFolderSettles: what lies in the folder had been sent; a message that
// only speaks of it, and one that is not there, prove nothing.
func TestSentFolderSettles(t *testing.T) {
	box := newPostbox(t)
	l := openLedger(t, t.TempDir())
	defer l.Close()
	a, ids := office(t, l, box.addr, 3)
	sent(t, l, a, post.StateUncertain, post.StateUncertain, post.StateUncertain)
	s := sentFolderOf(l, letters{})
	if r, err := s.Visit(t.Context(), a, true); err != nil || r != (SentResult{}) {
		t.Errorf("without the folder: %+v %v", r, err)
	}
	box.makeFolder("Archive")
	box.makeFolder("Sent")
	for _, raw := range []string{
		"Message-ID: " + ids[0] + "\r\nSubject: s\r\n\r\nHello\r\n",
		"Message-ID: <prefix." + strings.Trim(ids[1], "<>") + ">\r\nSubject: forged\r\n\r\nHello\r\n",
		"In-Reply-To: " + ids[2] + "\r\nMessage-ID: <x@y.example>\r\nSubject: Re\r\n\r\nHello\r\n",
	} {
		if _, err := box.user.Append("Sent", literal{strings.NewReader(raw)}, &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}}); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := s.Visit(t.Context(), a, false); err != nil || r.Settled != 0 {
		t.Errorf("it searched unasked: %+v %v", r, err)
	}
	for try, want := range []int{1, 0} {
		if r, err := s.Visit(t.Context(), a, true); err != nil || r.Settled != want || r.Filed != 0 {
			t.Errorf("visit %d: %+v %v", try, r, err)
		}
	}
	m, err := l.Mailing(t.Context(), 1)
	if err != nil || m.Counts[post.StateSent] != 1 || m.Counts[post.StateUncertain] != 2 {
		t.Errorf("%v %v", m.Counts, err)
	}
	h, err := l.Delivery(t.Context(), 1)
	if err != nil || h.State != post.StateSent || h.Reason.Key != "settled.sent_folder" {
		t.Errorf("%+v %v", h, err)
	}
}

// forgetful fails to note a copy that is filed, as a process that dies there.
type forgetful struct{ *storage.Ledger }

func (f forgetful) NoteCopy(context.Context, int64, *post.Delivery) error { return errDied }

// TestSentCopies: from when it is asked for, each message that was sent lies in
// the folder once, whatever ended a visit before.
func TestSentCopies(t *testing.T) {
	box := newPostbox(t)
	box.makeFolder("Sent")
	l := openLedger(t, t.TempDir())
	defer l.Close()
	a, ids := office(t, l, box.addr, 4)
	visit := func(s *SentFolder, filed int, want error) {
		t.Helper()
		if r, err := s.Visit(t.Context(), a, true); !errors.Is(err, want) || r.Filed != filed {
			t.Fatalf("%+v %v, want %d and %v", r, err, filed, want)
		}
	}
	visit(sentFolderOf(l, letters{}), 0, nil)
	if err := l.SetSentCopies(t.Context(), a.ID, post.SentCopiesEach); err != nil {
		t.Fatal(err)
	}
	sent(t, l, a, post.StateSent, post.StateSent, post.StateFailed, post.StateSent)
	visit(sentFolderOf(forgetful{l}, letters{}), 1, errDied)
	visit(sentFolderOf(forgetful{l}, letters{}), 0, errDied) // found there
	visit(sentFolderOf(l, letters{missing: 4}), 1, nil)      // the first is there, the last can't be made again
	visit(sentFolderOf(l, letters{}), 0, nil)
	if n := box.count("Sent"); n != 2 {
		t.Errorf("%d messages in the folder, want those to %v", n, ids[:2])
	}
}

// holdsOn stops where a message is made again, so that another visit comes
// between: after it was looked for, and before it is filed.
type holdsOn struct {
	letters
	reached chan struct{}
	release chan struct{}
}

func (h holdsOn) Message(ctx context.Context, d *post.Delivery) ([]byte, bool, error) {
	h.reached <- struct{}{}
	<-h.release
	return h.letters.Message(ctx, d)
}

// TestSentCopiesByTwo: the window and the command line look at the same time, in
// ledgers of their own, and each copy is filed once.
func TestSentCopiesByTwo(t *testing.T) {
	box := newPostbox(t)
	box.makeFolder("Sent")
	dir := t.TempDir()
	l := openLedger(t, dir)
	defer l.Close()
	a, _ := office(t, l, box.addr, 3)
	if err := l.SetSentCopies(t.Context(), a.ID, post.SentCopiesEach); err != nil {
		t.Fatal(err)
	}
	sent(t, l, a, post.StateSent, post.StateSent, post.StateSent)
	other := openLedger(t, dir)
	defer other.Close()
	h := holdsOn{reached: make(chan struct{}), release: make(chan struct{})}
	type visited struct {
		r   SentResult
		err error
	}
	first := make(chan visited, 1)
	go func() {
		r, err := sentFolderOf(l, h).Visit(t.Context(), a, false)
		first <- visited{r, err}
	}()
	<-h.reached
	second, err := sentFolderOf(other, letters{}).Visit(t.Context(), a, false)
	if err != nil || second.Filed != 0 {
		t.Errorf("the second: %+v %v", second, err)
	}
	go func() {
		for range h.reached {
		}
	}()
	close(h.release)
	if got := <-first; got.err != nil || got.r.Filed != 3 {
		t.Errorf("the first: %+v", got)
	}
	close(h.reached)
	if n := box.count("Sent"); n != 3 {
		t.Errorf("%d messages in the folder", n)
	}
	if held, err := other.HoldCopies(t.Context(), a.ID, "next", time.Minute); err != nil || !held {
		t.Errorf("it is held after the visit: %v %v", held, err)
	}
}

// TestSentCopyOfSettled: one that was uncertain gets its copy once it is known
// to have been sent, also when that is known only days later.
func TestSentCopyOfSettled(t *testing.T) {
	box := newPostbox(t)
	box.makeFolder("Sent")
	l := openLedger(t, t.TempDir())
	defer l.Close()
	a, ids := office(t, l, box.addr, 2)
	if err := l.SetSentCopies(t.Context(), a.ID, post.SentCopiesEach); err != nil {
		t.Fatal(err)
	}
	sent(t, l, a, post.StateUncertain, post.StateUncertain)
	if r, err := sentFolderOf(l, letters{}).Visit(t.Context(), a, false); err != nil || r != (SentResult{}) {
		t.Errorf("%+v %v", r, err)
	}
	if err := l.CopiesDone(t.Context(), a.ID, time.Now().Add(72*time.Hour)); err != nil {
		t.Fatal(err)
	}
	box.put(answerTo(ids[0], "Yes."))
	if _, err := fetcher(l).Fetch(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	for try, want := range []int{1, 0} {
		if r, err := sentFolderOf(l, letters{}).Visit(t.Context(), a, false); err != nil || r.Filed != want {
			t.Errorf("visit %d: %+v %v", try, r, err)
		}
	}
}

// TestSentCopyOfOne: one message of each mailing is enough.
func TestSentCopyOfOne(t *testing.T) {
	box := newPostbox(t)
	box.makeFolder("Sent Items")
	l := openLedger(t, t.TempDir())
	defer l.Close()
	a, _ := office(t, l, box.addr, 5)
	if err := l.SetSentCopies(t.Context(), a.ID, post.SentCopiesOne); err != nil {
		t.Fatal(err)
	}
	sent(t, l, a, post.StateSent, post.StateSent)
	for range 2 {
		if _, err := sentFolderOf(l, letters{}).Visit(t.Context(), a, false); err != nil {
			t.Fatal(err)
		}
	}
	if n := box.count("Sent Items"); n != 1 {
		t.Errorf("%d messages in the folder", n)
	}
}

// A server without such a folder, one that refuses a copy, and one that hangs up
// cost an error, and nothing counts as filed.
func TestSentCopiesRefused(t *testing.T) {
	listed := "* LIST (\\Sent) \"/\" \"Verschickt\"\r\n"
	l := openLedger(t, t.TempDir())
	defer l.Close()
	serves := make(chan func(net.Conn), 1)
	a, _ := office(t, l, listen(t, func(c net.Conn) {
		serve := <-serves
		serves <- serve
		serve(c)
	}), 1)
	if err := l.SetSentCopies(t.Context(), a.ID, post.SentCopiesEach); err != nil {
		t.Fatal(err)
	}
	sent(t, l, a, post.StateSent)
	for name, answers := range map[string]map[string]string{
		"no folder":         {"LIST": "* LIST () \"/\" \"INBOX\"\r\n"},
		"hangs up":          {"LIST": listed, "APPEND": "hang"},
		"nonsense":          {"LIST": "* LIST )(\r\n"},
		"search tells lies": {"LIST": listed, "UID SEARCH": "* SEARCH 0 4294967295\r\n", "UID FETCH": "hang"},
	} {
		t.Run(name, func(t *testing.T) {
			serves <- script(answers)
			defer func() { <-serves }()
			if r, err := sentFolderOf(l, letters{}).Visit(t.Context(), a, true); err == nil || r.Filed != 0 {
				t.Errorf("%+v %v", r, err)
			}
			if due, err := l.CopiesDue(t.Context(), a.ID, 5); err != nil || len(due) != 1 {
				t.Errorf("%d due, %v", len(due), err)
			}
		})
	}
}

// TestWatcherVisits: beside the reading, copies are filed as messages are sent,
// and uncertain ones are looked for; no folder keeps the INBOX from being read.
func TestWatcherVisits(t *testing.T) {
	box := newPostbox(t)
	l := openLedger(t, t.TempDir())
	defer l.Close()
	a, ids := office(t, l, box.addr, 3)
	if err := l.SetSentCopies(t.Context(), a.ID, post.SentCopiesEach); err != nil {
		t.Fatal(err)
	}
	sent(t, l, a, post.StateSent, post.StateUncertain)
	box.put(answerTo(ids[0], "Yes."))
	c := &handClock{}
	d := &accounts.Dialer{Secrets: fixedSecret("secret")}
	s := sentFolderOf(l, letters{})
	s.Clock = c
	stop := watchWith(t, &Watcher{Dial: d.DialMailbox, Ledger: l, Clock: c, Log: slog.New(slog.DiscardHandler), Sent: s})
	defer stop()
	eventually(t, "the answer", func() bool { return replied(t, l) == 1 })
	// Without the folder it comes back after a while.
	eventually(t, "the first try", func() bool { return c.waits(firstAgain) > 0 })
	box.makeFolder("Sent")
	if _, err := box.user.Append("Sent", literal{strings.NewReader("Message-ID: " + ids[1] + "\r\n\r\nHello\r\n")}, &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}}); err != nil {
		t.Fatal(err)
	}
	c.fire(firstAgain)
	eventually(t, "the copy", func() bool { return box.count("Sent") == 2 })
	eventually(t, "the settling", func() bool {
		h, err := l.Delivery(t.Context(), 2)
		return err == nil && h.State == post.StateSent
	})
	eventually(t, "the wait", func() bool { return c.waits(sentEvery) > 0 })
	sent(t, l, a, post.StateSent)
	c.fire(sentEvery)
	eventually(t, "the next copy", func() bool { return box.count("Sent") == 3 })
}

package receipts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

type fixedSecret string

func (s fixedSecret) Get(context.Context, post.Account) (string, error) { return string(s), nil }
func (fixedSecret) Set(context.Context, post.Account, string) error     { return nil }
func (fixedSecret) Delete(context.Context, post.Account) error          { return nil }

// postbox is an IMAP server in memory whose INBOX can be made anew.
type postbox struct {
	t    testing.TB
	addr string
	mu   sync.Mutex
	user *imapmemserver.User
}

func newPostbox(t testing.TB) *postbox {
	t.Helper()
	p := &postbox{t: t}
	p.renew()
	srv := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			mem := imapmemserver.New()
			mem.AddUser(p.user)
			return mem.NewSession(), nil, nil
		},
		InsecureAuth: true,
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}},
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = ln.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln) // ends with Close
	}()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return p
}

// renew makes a new, empty INBOX, as a server does that was restored. The memory
// server counts UIDVALIDITY on from one mailbox of a user to the next.
func (p *postbox) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	if p.user != nil {
		n = 1
	}
	p.user = imapmemserver.NewUser("shop@shop.example", "secret")
	for i := range n {
		if err := p.user.Create(fmt.Sprint("before", i), nil); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := p.user.Create("INBOX", nil); err != nil {
		p.t.Fatal(err)
	}
}

func (p *postbox) put(raw string) {
	p.t.Helper()
	if _, err := p.user.Append("INBOX", literal{strings.NewReader(strings.ReplaceAll(raw, "\n", "\r\n"))}, &imap.AppendOptions{}); err != nil {
		p.t.Fatal(err)
	}
}

type literal struct{ *strings.Reader }

func (l literal) Size() int64 { return l.Reader.Size() }

func openLedger(t testing.TB, dir string) *storage.Ledger {
	t.Helper()
	l, err := storage.Open(t.Context(), dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// office is an account whose mailing has been queued, and its Message-IDs.
func office(t testing.TB, l *storage.Ledger, addr string, n int) (post.Account, []string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.CreateAccount(t.Context(), post.Account{
		Name: "shop", Email: "shop@shop.example", Host: host, Port: number, TLS: post.TLSNone, Auth: post.AuthAuto, Secret: post.SecretKeyring,
		IMAPHost: host, IMAPPort: number, IMAPTLS: post.TLSNone,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = l.Enqueue(t.Context(), post.Mailing{Kind: post.Live, Name: "M", Content: post.Content{Subject: "s"}, Senders: []post.Sender{{Account: a.ID, Email: a.Email}}},
		func(yield func(post.Recipient, error) bool) {
			for i := range n {
				address := fmt.Sprintf("p%d@example.net", i)
				if !yield(post.Recipient{Address: address, Key: address}, nil) {
					return
				}
			}
		})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for d, err := range l.EachDelivery(t.Context(), storage.HistoryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.MessageID)
	}
	return a, ids
}

func fetcher(l Ledger) *Fetcher {
	d := &accounts.Dialer{Secrets: fixedSecret("secret")}
	return &Fetcher{Dial: d.DialMailbox, Ledger: l, Log: slog.New(slog.DiscardHandler)}
}

func answerTo(id, text string) string {
	return "From: Ann <ann@example.net>\nTo: shop@shop.example\nSubject: Re: Hello\nIn-Reply-To: " + id + "\n\n" + text + "\n"
}

func ordinary(i int) string {
	return fmt.Sprintf("From: x@y.example\nTo: shop@shop.example\nSubject: Offer %d\n\nBuy!\n", i)
}

// TestFetch: what is new is read once, over restarts of the program, and a
// mailbox that was numbered anew is read again without counting twice.
func TestFetch(t *testing.T) {
	box, dir := newPostbox(t), t.TempDir()
	l := openLedger(t, dir)
	a, ids := office(t, l, box.addr, 3)
	fetch := func(read, matched int) {
		t.Helper()
		r, err := fetcher(l).Fetch(t.Context(), a)
		if err != nil || r.Read != read || r.Matched != matched {
			t.Fatalf("%+v %v, want %d read, %d matched", r, err, read, matched)
		}
	}
	fetch(0, 0)
	for i := range 450 {
		box.put(ordinary(i))
	}
	box.put(answerTo(ids[0], "Yes."))
	fetch(451, 1)
	fetch(0, 0)
	box.put(answerTo(ids[1], "Yes."))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openLedger(t, dir)
	defer l.Close()
	fetch(1, 1)

	box.renew()
	box.put(answerTo(ids[1], "Yes."))
	box.put(answerTo(ids[2], "Yes."))
	box.put(ordinary(1))
	fetch(3, 1)
	counts, err := l.ReceiptCounts(t.Context(), 1)
	if err != nil || counts[post.ReceiptReplied] != 3 {
		t.Errorf("%v %v", counts, err)
	}
}

// brokenLedger fails at the nth step, as a process that dies there.
type brokenLedger struct {
	*storage.Ledger
	left int
}

var errDied = errors.New("died")

func (b *brokenLedger) RecordReceipts(ctx context.Context, found []storage.Incoming, p storage.Position) (storage.Noted, error) {
	if b.left--; b.left < 0 {
		return storage.Noted{}, errDied
	}
	return b.Ledger.RecordReceipts(ctx, found, p)
}

// A fetch that ends anywhere is taken up there: nothing is lost, nothing counts
// twice.
func TestFetchIsTakenUp(t *testing.T) {
	box := newPostbox(t)
	l := openLedger(t, t.TempDir())
	defer l.Close()
	a, ids := office(t, l, box.addr, 40)
	for i := range 1000 {
		if i%25 == 7 {
			box.put(answerTo(ids[i/25], "Yes."))
			continue
		}
		box.put(ordinary(i))
	}
	matched := 0
	for tries := range 10 {
		r, err := fetcher(&brokenLedger{l, 1}).Fetch(t.Context(), a)
		matched += r.Matched
		if err == nil {
			t.Logf("done at try %d", tries+1)
			break
		}
	}
	if matched != 40 {
		t.Errorf("%d matched, want 40", matched)
	}
}

// Reading leaves no trace: no message is seen for it.
func TestFetchIsReadOnly(t *testing.T) {
	box := newPostbox(t)
	l := openLedger(t, t.TempDir())
	defer l.Close()
	a, ids := office(t, l, box.addr, 1)
	box.put(answerTo(ids[0], "Yes."))
	box.put("From: x@y.example\nSubject: Big\nIn-Reply-To: " + ids[0] + "\n\n" + strings.Repeat("unsubscribe? no\n", 100_000))
	if r, err := fetcher(l).Fetch(t.Context(), a); err != nil || r.Matched != 2 {
		t.Fatalf("%+v %v", r, err)
	}
	status, err := box.user.Status("INBOX", &imap.StatusOptions{NumUnseen: true, NumMessages: true})
	if err != nil || *status.NumUnseen != 2 || *status.NumMessages != 2 {
		t.Errorf("%+v %v", status, err)
	}
}

// listen takes a port, and lets say speak to who comes, one at a time.
func listen(t testing.TB, say func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			say(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	return ln.Addr().String()
}

// errHangUp ends a conversation.
var errHangUp = errors.New("hang up")

// converse greets and then says to each command what answer returns for it,
// before the word that it is done, until that is an error or the other end goes.
func converse(c net.Conn, answer func(command string) (string, error)) {
	if _, err := c.Write([]byte("* OK [CAPABILITY IMAP4rev1] ready\r\n")); err != nil {
		return
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		for line := range strings.Lines(string(buf[:n])) {
			tag, command, _ := strings.Cut(strings.TrimSpace(line), " ")
			text, err := answer(command)
			if err != nil {
				return
			}
			if _, err := c.Write([]byte(text + tag + " OK done\r\n")); err != nil {
				return
			}
		}
	}
}

// script answers each command by its name.
func script(answers map[string]string) func(net.Conn) {
	return func(c net.Conn) {
		converse(c, func(command string) (string, error) {
			words := strings.Fields(command)
			name := strings.ToUpper(strings.Join(words[:min(2, len(words))], " "))
			for k, v := range answers {
				if !strings.HasPrefix(name, k) {
					continue
				}
				if v == "hang" {
					return "", errHangUp
				}
				return v, nil
			}
			return "", nil
		})
	}
}

// TestFetchFromLiars: a server that lies, raves or hangs up costs an error at
// most, and what it says changes nothing.
func TestFetchFromLiars(t *testing.T) {
	selected := "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 9] x\r\n"
	for name, c := range map[string]struct {
		answers map[string]string
		fails   bool
	}{
		"hangs up at select":    {map[string]string{"EXAMINE": "hang"}, true},
		"nonsense":              {map[string]string{"EXAMINE": selected, "UID SEARCH": "* SEARCH x y z\r\n"}, true},
		"all numbers there are": {map[string]string{"EXAMINE": selected, "UID SEARCH": "* SEARCH 4294967295 1 0 2\r\n"}, false},
		"empty fetch":           {map[string]string{"EXAMINE": selected, "UID SEARCH": "* SEARCH 1 2 3\r\n"}, false},
		"others' messages":      {map[string]string{"EXAMINE": selected, "UID SEARCH": "* SEARCH 1\r\n", "UID FETCH": "* 1 FETCH (UID 77 BODY[HEADER]<0> {12}\r\nSubject: x\r\n)\r\n"}, false},
		"a literal of 4 G":      {map[string]string{"EXAMINE": selected, "UID SEARCH": "* SEARCH 1\r\n", "UID FETCH": "* 1 FETCH (UID 1 BODY[HEADER]<0> {4294967295}\r\nSubject: x\r\n"}, true},
		"a literal below zero":  {map[string]string{"EXAMINE": selected, "UID SEARCH": "* SEARCH 1\r\n", "UID FETCH": "* 1 FETCH (UID 1 BODY[HEADER]<0> {-5}\r\nSubject: x\r\n"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := openLedger(t, t.TempDir())
			defer l.Close()
			answers := c.answers
			if name == "a literal of 4 G" {
				answers["UID FETCH"] += strings.Repeat("x", 1000)
			}
			addr := listen(t, script(answers))
			a, _ := office(t, l, addr, 1)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			r, err := fetcher(l).Fetch(ctx, a)
			if (err != nil) != c.fails || r.Matched != 0 {
				t.Errorf("%+v %v", r, err)
			}
			if p, err := l.Mailbox(t.Context(), a.ID, accounts.MailboxName(a)); err != nil || p.UID >= 9 {
				t.Errorf("read up to %+v, %v", p, err)
			}
			if all, err := l.Untied(t.Context(), 9); err != nil || len(all) > 0 {
				t.Errorf("%v %v", all, err)
			}
		})
	}
}

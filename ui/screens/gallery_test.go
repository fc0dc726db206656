package screens_test

import (
	"fmt"
	"image/png"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/test"

	"postroom/assets/icons"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/mailer"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/screens"
	"postroom/ui/screens/contacts"
	"postroom/ui/screens/history"
	"postroom/ui/screens/home"
	"postroom/ui/screens/mailings"
	"postroom/ui/screens/outbox"
	"postroom/ui/widgets"
)

// stage is a window of the test driver with a real ledger behind it.
type stage struct {
	t      *testing.T
	env    *screens.Env
	queue  chan func()
	win    fyne.Window
	route  screens.Route
	stacks []byte // see under
}

// hasty is a clock on which waits pass a thousand times as fast.
type hasty struct{ post.SystemClock }

func (hasty) Elapsed() time.Duration { return 1000 * post.SystemClock{}.Elapsed() }
func (hasty) NewTimer(d time.Duration) post.Timer {
	return post.SystemClock{}.NewTimer(d / 1000)
}

type noMail struct{}

func (noMail) Role() mailer.Role { return mailer.Mine }
func (noMail) Trouble() error    { return nil }
func (noMail) Kick()             {}
func (noMail) Finishing() int    { return 0 }

func newStage(t *testing.T, lang words.Lang, mode theme.Mode) *stage {
	t.Helper()
	a := test.NewTempApp(t)
	a.Settings().SetTheme(theme.New(mode))
	l, err := storage.Open(t.Context(), t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, queue: make(chan func(), 256), win: test.NewTempWindow(t, nil)}
	s.win.SetPadded(false)
	s.win.Resize(fyne.NewSize(1280, 800))
	s.env = &screens.Env{
		Ledger: l, Words: words.For(lang), Window: s.win, Mail: noMail{}, Clock: hasty{}, Zone: time.UTC,
		Log: slog.New(slog.DiscardHandler), Post: func(f func()) { s.queue <- f }, IDs: &screens.IDs{},
		Go: func(r screens.Route) { s.route = r }, Restyle: func() {}, OpenURL: func(string) error { return nil }, Practice: t.TempDir(),
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// settle runs what comes back from other goroutines until none is left that
// could bring more.
func (s *stage) settle() {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		under := s.under() // before the queue is looked at: who is gone by now has brought what it had
		select {
		case f := <-s.queue:
			f()
			continue
		default:
		}
		if under == "" {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("the screen did not come to rest:\n%s", under)
		}
		select {
		case f := <-s.queue:
			f()
		case <-time.After(time.Millisecond):
		}
	}
}

// under returns the stack of a goroutine that the window started and that has
// not ended; empty: there is none. Who watches a file that is edited outside
// goes on for as long as the composer is open, and is none.
func (s *stage) under() string {
	n := runtime.Stack(s.stacks, true)
	for ; n == len(s.stacks); n = runtime.Stack(s.stacks, true) {
		s.stacks = make([]byte, 2*n+64<<10)
	}
	for stack := range strings.SplitSeq(string(s.stacks[:n]), "\n\n") {
		if strings.Contains(stack, "\ncreated by postroom/ui/") && !strings.Contains(stack, "mailings.watchFile(") && !strings.Contains(stack, "\ncreated by postroom/ui/screens_test.") {
			return stack
		}
	}
	return ""
}

func (s *stage) drain() {
	for {
		select {
		case f := <-s.queue:
			f()
		default:
			return
		}
	}
}

func (s *stage) show(v screens.Screen, r screens.Route) {
	var items []widgets.NavItem
	for _, id := range []string{screens.Home, screens.Mailings, screens.Contacts, screens.Outbox, screens.History, screens.Accounts, screens.Settings} {
		items = append(items, widgets.NavItem{ID: id, Icon: icons.Icon(id), Label: s.env.T("nav." + id)})
	}
	nav := widgets.NewNavList("Postroom", items, nil)
	s.win.SetContent(container.NewBorder(nil, nil, nav, nil, widgets.NewGround(theme.Ground, v.Content())))
	v.Show(r)
}

// shoot keeps a picture where POSTROOM_GALLERY names a folder.
func (s *stage) shoot(name string) {
	dir := os.Getenv("POSTROOM_GALLERY")
	if dir == "" {
		return
	}
	f, err := os.Create(filepath.Join(dir, name+".png"))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := png.Encode(f, s.win.Canvas().Capture()); err != nil {
		s.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// populate gives the ledger two accounts, a list, and mailings in every state.
func (s *stage) populate() {
	s.t.Helper()
	ctx, l := s.t.Context(), s.env.Ledger
	check := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	var people []post.Contact
	names := []string{"Anna Köhler", "王小明", "Li Wei", "Paul Example", "Mia Muster", "Tom Tester"}
	for i := range 40 {
		a := fmt.Sprintf("guest%02d@example.org", i)
		people = append(people, post.Contact{Address: a, Key: a, Name: names[i%len(names)], Fields: map[string]string{"first_name": names[i%len(names)], "city": "Köln"}})
	}
	_, _, _, _, err := l.ImportContacts(ctx, "Regulars", false, func(yield func(post.Contact, error) bool) {
		for _, p := range people {
			if !yield(p, nil) {
				return
			}
		}
	})
	check(err)
	hello, err := l.CreateAccount(ctx, post.Account{
		Name: "hello", Email: "hello@brauhaus.example", FromName: "Brauhaus", Host: "127.0.0.1", Port: 25, TLS: post.TLSNone,
		Auth: post.AuthNone, Secret: post.SecretNone, Limits: post.Limits{PerDay: 500},
	})
	check(err)
	orders, err := l.CreateAccount(ctx, post.Account{
		Name: "orders", Email: "orders@brauhaus.example", Host: "127.0.0.1", Port: 25, TLS: post.TLSNone, Auth: post.AuthNone, Secret: post.SecretNone,
	})
	check(err)
	check(l.HoldAccount(ctx, orders.ID, post.AccountStopped, post.Reason{Key: "account.password", Raw: "535 5.7.8 Error: authentication failed"}))
	m, _, err := l.Enqueue(ctx, post.Mailing{
		Kind: post.Live, Name: "Winter opening hours", Senders: []post.Sender{{Account: hello.ID, Email: hello.Email, FromName: "Brauhaus"}},
		Content: post.Content{Subject: "{{first_name}}, we open late", Format: post.FormatMarkdown, Body: "Dear {{first_name}},\n\n**welcome**."},
	}, recipients(people))
	check(err)
	ds, err := l.Claim(ctx, storage.ClaimParams{Kind: post.Live, Account: hello.ID, Claim: 1, N: 30})
	check(err)
	now := time.Now()
	for i, d := range ds {
		_, err := l.Record(ctx, nil, []storage.Intent{{ID: d.ID, Claim: 1, At: now, Date: now, Live: true}})
		check(err)
		r := storage.Result{ID: d.ID, Claim: 1, Mailing: m.ID, Live: true, From: post.StateSending, To: post.StateSent, Attempt: &post.Attempt{
			Account: hello.ID, StartedAt: now, EndedAt: now, Phase: post.PhaseDot, Reply: post.NewReply(250, "2.0.0 Ok: queued as 4Zk1f2"), QueueID: "4Zk1f2", Charged: true, DotSent: true,
			Replies: "MAIL\t250 2.1.0 Ok\nRCPT\t250 2.1.5 Ok\nDATA\t354 End data with <CR><LF>.<CR><LF>\n.\t250 2.0.0 Ok: queued as 4Zk1f2",
		}}
		switch i {
		case 3, 4:
			r.To, r.Reason = post.StateUncertain, post.Reason{Key: "uncertain.connection"}
			r.Attempt.Reply, r.Attempt.QueueID = post.Reply{}, ""
		case 5, 6, 7:
			r.To, r.Reason = post.StateFailed, post.Reason{Key: "delivery.no_mailbox", Raw: "550 5.1.1 user unknown"}
			r.Attempt.Reply, r.Attempt.QueueID, r.Attempt.Phase = post.NewReply(550, "5.1.1 user unknown"), "", post.PhaseRCPT
			r.Attempt.Replies = "MAIL\t250 2.1.0 Ok\nRCPT\t550 5.1.1 user unknown"
		case 8:
			r.To, r.NextAt, r.Reason = post.StateQueued, now.Add(5*time.Minute), post.Reason{Key: "delivery.greylisted", Raw: "451 4.7.1 Greylisted, try later"}
			r.Attempt.Reply, r.Attempt.QueueID = post.NewReply(451, "4.7.1 Greylisted, try later"), ""
		}
		_, err = l.Record(ctx, []storage.Result{r}, nil)
		check(err)
	}
	check(s.comeBack(ds))
	_, err = l.SaveDraft(ctx, post.Draft{Name: "Invoice", Accounts: []int64{hello.ID}, Lists: []int64{1}, Content: post.Content{
		Subject: "{{first_name | default \"Dear guest\"}}, we open late this winter", Format: post.FormatMarkdown,
		Body: "## New hours from 1 December\n\nDear {{first_name | default \"guest\"}},\n\nthe nights are long, so are we: **17:00 to 24:00**, Tuesday\nto Sunday.\n\n- one\n- two\n\n[Book a table](https://brauhaus.example/book)",
	}})
	check(err)
}

// comeBack lets reports and answers come back for some of the deliveries.
func (s *stage) comeBack(ds []post.Delivery) error {
	var all []storage.Incoming
	for i, said := range map[int][]post.Receipt{
		0: {
			{Kind: post.ReceiptDelayed, Source: "mx.example.org", Reply: post.Reply{Enhanced: "4.4.1", Text: "connect to mail.example.org: Connection timed out"}},
			{Kind: post.ReceiptDelivered, Source: "mx.example.org", Reply: post.NewReply(250, "2.0.0 Ok: queued as 7Bq")},
			{Kind: post.ReceiptReplied, Source: "guest00@example.org", Address: "guest00@example.org", Reply: post.Reply{Text: "Re: we open late"}},
		},
		26: {{
			Kind: post.ReceiptBounced, Source: "mx.example.org", Reply: post.NewReply(550, "5.1.1 user unknown"),
			Excerpt: []byte("From: MAILER-DAEMON@mx.example.org\r\nSubject: Undelivered \u202email\x00\r\n\r\nFinal-Recipient: rfc822; guest26@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 user unknown\r\n"),
		}},
		25: {{Kind: post.ReceiptUnsubscribed, Source: "guest25@example.org"}}, 29: {{Kind: post.ReceiptRead, Source: "guest29@example.org"}},
		28: {{Kind: post.ReceiptDelivered, Source: "mx.example.org"}}, 27: {{Kind: post.ReceiptDelayed, Source: "mx.example.org"}},
	} {
		ref, _, _ := strings.Cut(strings.Trim(ds[i].MessageID, "<>"), "@")
		for k, r := range said {
			r.Account, r.At = ds[i].Account, time.Now().Add(time.Duration(k)*time.Minute)
			all = append(all, storage.Incoming{Refs: []string{ref}, Digest: fmt.Append(nil, i, k), Says: []storage.Said{{Receipt: r}}})
		}
	}
	_, err := s.env.Ledger.RecordReceipts(s.t.Context(), all, storage.Position{Account: ds[0].Account, Server: "imap", Validity: 1, UID: 1})
	return err
}

func recipients(people []post.Contact) iter.Seq2[post.Recipient, error] {
	return func(yield func(post.Recipient, error) bool) {
		for _, p := range people {
			if !yield(post.Recipient{Address: p.Address, Key: p.Key, Name: p.Name, Fields: p.Fields}, nil) {
				return
			}
		}
	}
}

// Every screen comes up with real rows, in both languages, light and dark.
func TestScreens(t *testing.T) {
	for _, style := range []struct {
		lang words.Lang
		mode theme.Mode
	}{{words.English, theme.Light}, {words.Chinese, theme.Dark}} {
		t.Run(string(style.lang), func(t *testing.T) {
			s := newStage(t, style.lang, style.mode)
			empty := home.New(s.env)
			s.show(empty, screens.Route{})
			s.settle()
			s.shoot("home-new-" + string(style.lang))
			empty.Hide()
			s.populate()
			for _, x := range []struct {
				name string
				v    screens.Screen
				r    screens.Route
			}{
				{"home", home.New(s.env), screens.Route{}},
				{"mailings", mailings.New(s.env), screens.Route{}},
				{"mailing", mailings.New(s.env), screens.Route{ID: 1}},
				{"composer", mailings.New(s.env), screens.Route{Draft: 1}},
				{"contacts", contacts.New(s.env), screens.Route{}},
				{"outbox", outbox.New(s.env), screens.Route{}},
				{"history", history.New(s.env), screens.Route{}},
				{"history-receipts", history.New(s.env), screens.Route{ID: 1, States: []post.State{post.StateSent}}},
			} {
				s.show(x.v, x.r)
				s.settle()
				s.shoot(x.name + "-" + string(style.lang))
				x.v.Hide()
				s.drain()
			}
		})
	}
}

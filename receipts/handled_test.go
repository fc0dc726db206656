package receipts

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

// bounceOf is a delivery report (RFC 3464) about one of our messages.
func bounceOf(id, action, subject string) string {
	return "From: MAILER-DAEMON@mx.example\nTo: shop@shop.example\nSubject: " + subject + "\nMessage-ID: <" + strings.ReplaceAll(subject, " ", ".") + "@mx.example>\n" +
		"MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nIt came back.\n" +
		"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; ann@example.net\nAction: " + action + "\nStatus: 5.2.2\n\n" +
		"--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: " + id + "\n--b--\n"
}

// readOf is a read receipt (RFC 8098), without a Message-ID of its own.
func readOf(id, subject string) string {
	return "From: Ann <ann@example.net>\nTo: shop@shop.example\nSubject: " + subject + "\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b\n\n" +
		"--b\n\nSeen.\n--b\nContent-Type: message/disposition-notification\n\nFinal-Recipient: rfc822; ann@example.net\nOriginal-Message-ID: " + id +
		"\nDisposition: manual-action/MDN-sent-manually; displayed\n--b--\n"
}

// complaintOf is a feedback report (RFC 5965).
func complaintOf(id, subject string) string {
	return "From: feedback@isp.example\nTo: shop@shop.example\nSubject: " + subject + "\nMessage-ID: <" + strings.ReplaceAll(subject, " ", ".") + "@isp.example>\n" +
		"Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n--b\n\nUnwanted.\n--b\nContent-Type: message/feedback-report\n\n" +
		"Feedback-Type: abuse\nUser-Agent: x/1\nVersion: 1\n\n--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: " + id + "\n--b--\n"
}

func subjectOf(subject, raw string) string {
	return strings.Replace(raw, "Subject: Re: Hello", "Subject: "+subject, 1)
}

func handledOf(l HandledLedger) *HandledFolder {
	d := &accounts.Dialer{Secrets: fixedSecret("secret")}
	return &HandledFolder{Dial: d.DialMailbox, Ledger: l, Log: slog.New(slog.DiscardHandler)}
}

// chooses gives the account a folder for handled reports.
func chooses(t testing.TB, l *storage.Ledger, a post.Account, folder string) post.Account {
	t.Helper()
	a.HandledFolder = folder
	if err := l.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return a
}

// reads fetches and then moves, as receipts fetch does.
func reads(t testing.TB, l *storage.Ledger, a post.Account) (Result, int, error) {
	t.Helper()
	r, err := fetcher(l).Fetch(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.NoteMailbox(t.Context(), StateOf(a, post.SystemClock{}.Now(), nil)); err != nil {
		t.Fatal(err)
	}
	moved, err := handledOf(l).Visit(t.Context(), a)
	return r, moved, err
}

// crooked is a scripted server with some reports in its INBOX, which answers well
// but for what instead says; it remembers what it was told.
type crooked struct {
	t       *testing.T
	caps    string
	reports []string // by UID, from 1
	// instead answers a command of its own: all of the answer behind the tag, or
	// before it, too, where it begins with "*". "" goes on as usual.
	instead func(command string) string
	mu      sync.Mutex
	told    []string
}

func (s *crooked) say(c net.Conn) {
	caps := s.caps
	if caps == "" {
		caps = "MOVE UIDPLUS"
	}
	if _, err := c.Write([]byte("* OK [CAPABILITY IMAP4rev1 " + caps + "] ready\r\n")); err != nil {
		return
	}
	buf := make([]byte, 64<<10)
	folder := ""
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		for line := range strings.Lines(string(buf[:n])) {
			tag, command, _ := strings.Cut(strings.TrimSpace(line), " ")
			if word, name, _ := strings.Cut(command, " "); word == "SELECT" || word == "EXAMINE" {
				folder = name
			}
			out, done := s.reply(command, folder)
			if done == "hang" {
				_, _ = c.Read(buf) // until we are hung up on
				return
			}
			if _, err := c.Write([]byte(out + tag + " " + done + "\r\n")); err != nil || done == "" {
				return
			}
		}
	}
}

// reply is what it says to a command before the tag, and behind it.
func (s *crooked) reply(command, folder string) (out, done string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, command)
	if other := s.instead(command); other != "" {
		i := strings.LastIndex(other, "\r\n")
		if i < 0 {
			return "", other
		}
		return other[:i+2], other[i+2:]
	}
	if folder != "INBOX" && strings.HasPrefix(command, "UID SEARCH") { // all else is empty
		return "* SEARCH\r\n", "OK done"
	}
	return s.answer(command), "OK done"
}

// now changes how it is from now on.
func (s *crooked) now(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *crooked) answer(command string) string {
	var b strings.Builder
	switch {
	case strings.HasPrefix(command, "CAPABILITY"):
		return "* CAPABILITY IMAP4rev1 " + s.caps + "\r\n"
	case strings.HasPrefix(command, "LIST"):
		return "* LIST () \"/\" \"INBOX\"\r\n* LIST (\\Sent) \"/\" \"Verschickt\"\r\n* LIST () \"/\" \"Handled\"\r\n"
	case strings.HasPrefix(command, "EXAMINE"), strings.HasPrefix(command, "SELECT"):
		fmt.Fprintf(&b, "* %d EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT %d] x\r\n", len(s.reports), len(s.reports)+1)
	case strings.HasPrefix(command, "UID SEARCH"):
		b.WriteString("* SEARCH")
		for i := range s.reports {
			fmt.Fprintf(&b, " %d", i+1)
		}
		b.WriteString("\r\n")
	case strings.HasPrefix(command, "UID FETCH"):
		section := "BODY[]<0>"
		if strings.Contains(command, "HEADER") {
			section = "BODY[HEADER]<0>"
		}
		for _, uid := range uidsOf(s.t, command) {
			one := strings.ReplaceAll(s.reports[uid-1], "\n", "\r\n")
			fmt.Fprintf(&b, "* %d FETCH (UID %d RFC822.SIZE %d %s {%d}\r\n%s)\r\n", uid, uid, len(one), section, len(one), one)
		}
	}
	return b.String()
}

// words are the commands that it was told, less their arguments.
func (s *crooked) words() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, command := range s.told {
		f := strings.Fields(command)
		if len(f) > 1 && f[0] == "UID" {
			f[0] += " " + f[1]
		}
		if len(f) > 0 {
			all = append(all, f[0])
		}
	}
	return all
}

// TestHandledByLiars: a server that refuses, lies, raves or hangs up while reports
// are to be moved costs an error at most; nothing that is not meant is moved or
// marked, what cannot be moved waits, and reading goes on.
func TestHandledByLiars(t *testing.T) {
	begins := func(word, answer string) func(string) string {
		return func(command string) string {
			if strings.HasPrefix(command, word) {
				return answer
			}
			return ""
		}
	}
	const uidplus = "UIDPLUS"
	for name, c := range map[string]struct {
		caps, folder string
		instead      func(string) string
		trouble      string // its key, where there is any
		moved, left  int
		never        []string // commands that must not come
		most         int      // times that it is asked to move or copy
	}{
		"moves":           {"MOVE", "Handled", begins("x", ""), "", 5, 0, []string{"CREATE", "UID STORE"}, 1},
		"refuses to move": {"MOVE", "Handled", begins("UID MOVE", "NO [NOPERM] not here"), "mailbox.refused", 0, 5, []string{"UID STORE", "EXPUNGE"}, 4},
		"calls it bad":    {"MOVE", "Handled", begins("UID MOVE", "BAD what"), "mailbox.refused", 0, 5, nil, 4},
		"refuses one":     {"MOVE", "Handled", begins("UID MOVE 1:5", "NO one of them"), "", 5, 0, nil, 6},
		"refuses the second": {"MOVE", "Handled", func(s string) string {
			return begins("UID MOVE 2 ", "NO not it")(s) + begins("UID MOVE 1:5", "NO one of them")(s)
		}, "mailbox.refused", 4, 1, nil, 6},
		"hangs up over it":       {"MOVE", "Handled", begins("UID MOVE", "\r\n"), "mailbox.broke", 0, 5, nil, 1},
		"goes silent over it":    {"MOVE", "Handled", begins("UID MOVE", "hang"), "mailbox.broke", 0, 5, nil, 1},
		"raves over it":          {"MOVE", "Handled", begins("UID MOVE", "* "+strings.Repeat("x", 1<<20)+" {4294967295}\r\nOK"), "mailbox.broke", 0, 5, nil, 1},
		"refuses the folder":     {"MOVE", "Other", begins("CREATE", "NO no folders here"), "handled.no_folder", 0, 5, []string{"UID MOVE", "SELECT"}, 0},
		"garbage for folders":    {"MOVE", "Handled", begins("LIST", "* LIST )(\r\nOK done"), "mailbox.broke", 0, 5, []string{"UID MOVE"}, 0},
		"it is for sent mail":    {"MOVE", "Verschickt", begins("x", ""), "handled.sent", 0, 5, []string{"UID MOVE", "CREATE"}, 0},
		"refuses to open":        {"MOVE", "Handled", begins("SELECT", "NO busy"), "mailbox.refused", 0, 5, []string{"UID MOVE"}, 0},
		"numbers anew":           {"MOVE", "Handled", begins("SELECT", "* 5 EXISTS\r\n* OK [UIDVALIDITY 8] x\r\nOK done"), "", 0, 5, []string{"UID MOVE", "UID FETCH"}, 0},
		"can do neither":         {"IDLE", "Handled", begins("x", ""), "handled.no_move", 0, 5, []string{"UID COPY", "UID STORE", "SELECT", "CREATE"}, 0},
		"copies":                 {uidplus, "Handled", begins("x", ""), "", 5, 0, []string{"EXPUNGE", "CREATE"}, 1},
		"is full":                {uidplus, "Handled", begins("UID COPY", "NO [OVERQUOTA] full"), "handled.full", 0, 5, []string{"UID STORE", "UID EXPUNGE"}, 4},
		"hangs up over a copy":   {uidplus, "Handled", begins("UID COPY", "\r\n"), "mailbox.broke", 0, 5, []string{"UID STORE", "UID EXPUNGE"}, 1},
		"copies less":            {uidplus, "Handled", begins("UID COPY", "OK [COPYUID 9 1:3 11:13] done"), "", 3, 2, nil, 1},
		"refuses to mark":        {uidplus, "Handled", begins("UID STORE", "NO read only"), "mailbox.refused", 0, 5, []string{"UID EXPUNGE", "EXPUNGE"}, 1},
		"refuses to remove":      {uidplus, "Handled", begins("UID EXPUNGE", "NO never"), "mailbox.refused", 0, 5, []string{"EXPUNGE"}, 1},
		"takes no mark":          {uidplus, "Handled", begins("SELECT", "* 5 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [PERMANENTFLAGS (\\Seen)] x\r\nOK done"), "handled.no_leave", 0, 5, []string{"UID COPY"}, 0},
		"gives nothing":          {"MOVE", "Handled", begins("x", ""), "", 0, 0, []string{"UID MOVE"}, 0},
		"gives another's letter": {"MOVE", "Handled", begins("x", ""), "", 0, 0, []string{"UID MOVE"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := openLedger(t, t.TempDir())
			defer l.Close()
			s := &crooked{t: t, caps: c.caps, instead: func(string) string { return "" }}
			a, ids := office(t, l, listen(t, s.say), 6)
			for i := range 5 {
				s.reports = append(s.reports, bounceOf(ids[i], "failed", fmt.Sprint("r", i)))
			}
			a = chooses(t, l, a, c.folder)
			if r, err := fetcher(l).Fetch(t.Context(), a); err != nil || r.Matched != 5 {
				t.Fatalf("%+v %v", r, err)
			}
			s.now(func() {
				s.instead, s.told = c.instead, nil
				switch name {
				case "gives nothing":
					s.instead = begins("UID FETCH", "OK done")
				case "gives another's letter":
					for i := range s.reports {
						s.reports[i] = answerTo(ids[i], "Please send me two of them.")
					}
				}
			})
			h := handledOf(l)
			h.Patience = 20 * time.Second
			if name == "goes silent over it" {
				h.Patience = time.Second
			}
			moved, err := h.Visit(t.Context(), a)
			state := stateOf(t, l, a)
			if moved != c.moved || (err != nil) != (c.trouble != "") || state.HandledTrouble.Key != c.trouble {
				t.Errorf("%d moved, %v, noted %+v", moved, err, state.HandledTrouble)
			}
			due, err := l.HandledDue(t.Context(), a.ID, accounts.MailboxName(a), 9)
			if err != nil || len(due) != c.left {
				t.Errorf("%d wait, %v", len(due), err)
			}
			told := s.words()
			asked := 0
			for _, w := range told {
				if slices.Contains(c.never, w) {
					t.Errorf("told %q: %q", w, told)
				}
				if w == "UID MOVE" || w == "UID COPY" {
					asked++
				}
			}
			if asked > c.most {
				t.Errorf("asked %d times: %q", asked, told)
			}
			s.now(func() {
				s.instead = func(string) string { return "" }
				if name != "gives another's letter" {
					s.reports = append(s.reports, answerTo(ids[5], "Yes."))
				}
			})
			if r, err := fetcher(l).Fetch(t.Context(), a); err != nil || name != "gives another's letter" && r.Matched != 1 {
				t.Errorf("reading after it: %+v %v", r, err)
			}
		})
	}
}

// TestHandledUnseen: a server that takes copies, lets nothing be removed, and does
// not show the copies is not filled with them.
func TestHandledUnseen(t *testing.T) {
	l := openLedger(t, t.TempDir())
	defer l.Close()
	s := &crooked{t: t, caps: "UIDPLUS", instead: func(command string) string {
		if strings.HasPrefix(command, "UID STORE") {
			return "NO never"
		}
		return ""
	}}
	a, ids := office(t, l, listen(t, s.say), 1)
	s.now(func() { s.reports = []string{bounceOf(ids[0], "failed", "r")} })
	a = chooses(t, l, a, "Handled")
	if _, err := fetcher(l).Fetch(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	for range 3 * maxCopies {
		if moved, err := handledOf(l).Visit(t.Context(), a); err == nil || moved != 0 {
			t.Errorf("%d moved, %v", moved, err)
		}
	}
	copies := 0
	for _, w := range s.words() {
		if w == "UID COPY" {
			copies++
		}
	}
	if state := stateOf(t, l, a); copies != maxCopies || state.HandledTrouble.Key != "handled.unseen" {
		t.Errorf("%d copies, %+v", copies, state)
	}
}

// TestHandledByTwo: while one moves an account's reports, another leaves them to it
// and does not even connect; one that was killed keeps nobody out for ever.
func TestHandledByTwo(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	defer l.Close()
	s := &crooked{t: t, caps: "MOVE", instead: func(string) string { return "" }}
	a, ids := office(t, l, listen(t, s.say), 1)
	s.now(func() { s.reports = []string{bounceOf(ids[0], "failed", "r")} })
	a = chooses(t, l, a, "Handled")
	if _, err := fetcher(l).Fetch(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	other := openLedger(t, dir)
	defer other.Close()
	if held, err := other.HoldHandled(t.Context(), a.ID, "other", time.Minute); err != nil || !held {
		t.Fatal(held, err)
	}
	h := handledOf(l)
	h.Dial = func(context.Context, post.Account) (*accounts.Mailbox, error) {
		t.Error("it connects")
		return nil, errDied
	}
	if moved, err := h.Visit(t.Context(), a); err != nil || moved != 0 {
		t.Errorf("%d %v", moved, err)
	}
	if err := other.LetHandledGo(t.Context(), a.ID, "other"); err != nil {
		t.Fatal(err)
	}
	if moved, err := handledOf(l).Visit(t.Context(), a); err != nil || moved != 1 {
		t.Errorf("%d %v", moved, err)
	}
	if moved, err := h.Visit(t.Context(), a); err != nil || moved != 0 { // nothing waits
		t.Errorf("%d %v", moved, err)
	}
}

// TestHandledIsReport: what a machine reports and is understood may be moved; what
// people write, what answers for them, and what nobody understands may not.
func TestHandledIsReport(t *testing.T) {
	const id = "<tok.1.abc@shop.example>"
	for name, c := range map[string]struct {
		raw  string
		want bool
	}{
		"bounce":      {bounceOf(id, "failed", "b"), true},
		"read":        {readOf(id, "r"), true},
		"complaint":   {complaintOf(id, "c"), true},
		"prose":       {"From: MAILER-DAEMON@mx.example\nSubject: failure notice\n\n<ann@example.net>:\n550 5.1.1 no such user\n\n--- Below this line is a copy\n\nMessage-ID: " + id + "\n", true},
		"person":      {answerTo(id, "Yes."), false},
		"automatic":   {"Auto-Submitted: auto-replied\n" + answerTo(id, "Away."), false},
		"wants out":   {"From: ann@example.net\nSubject: unsubscribe\nIn-Reply-To: " + id + "\n\nPlease.\n", false},
		"new place":   {"From: ann@example.net\nSubject: My new address\n\nMy new address is ann@new.example.\n", false},
		"ordinary":    {ordinary(1), false},
		"to a report": {answerTo(id, "Look: --b\nContent-Type: message/delivery-status\n\nAction: failed"), false},
	} {
		if got := Parse([]byte(c.raw)); got.Report != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestCheckHandledFolder: names that no such folder can have.
func TestCheckHandledFolder(t *testing.T) {
	for name, key := range map[string]string{
		"": "", "Handled": "", "INBOX/Handled": "", "INBOX.Handled": "", "已处理/回执": "", "Erledigt 2026": "", "Absent": "",
		"INBOX": "handled.inbox", "Inbox": "handled.inbox", "Sent": "handled.sent", "mail/Sent Items": "handled.sent", "INBOX.已发送": "handled.sent",
		"a*": "handled.name", "a%b": "handled.name", "a\nb": "handled.name", " a": "handled.name", "/a": "handled.name", "a/": "handled.name", "a//b": "handled.name",
		strings.Repeat("a", 256): "handled.name",
	} {
		err := CheckHandledFolder(name)
		if key == "" && err != nil || key != "" && (err == nil || troubleOf(err).Key != key || post.KindOf(err) != post.KindInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestFolderFor: how a typed name becomes one of the server's.
func TestFolderFor(t *testing.T) {
	list := func(delim rune, names ...string) (all []*imap.ListData) {
		for _, n := range names {
			all = append(all, &imap.ListData{Mailbox: n, Delim: delim})
		}
		return all
	}
	gone := append(list('.', "INBOX"), &imap.ListData{Mailbox: "A.B", Delim: '.', Attrs: []imap.MailboxAttr{imap.MailboxAttrNonExistent}})
	for _, c := range []struct {
		all           []*imap.ListData
		typed, prefix string
		want          string
		there         bool
	}{
		{list('/', "INBOX", "A/B"), "A/B", "", "A/B", true},
		{list('.', "INBOX", "A.B"), "A/B", "", "A.B", true},
		{list('.', "INBOX", "A/B"), "A/B", "", "A/B", true},
		{list('.', "INBOX"), "A/B", "INBOX.", "INBOX.A.B", false},
		{list('.', "INBOX", "INBOX.A"), "A", "INBOX.", "INBOX.A", true},
		{list('.', "INBOX", "INBOX.A"), "INBOX/A", "INBOX.", "INBOX.A", true},
		{list('.', "INBOX", "A"), "A", "INBOX.", "A", true},
		{list(0, "INBOX"), "A/B", "", "A/B", false},
		{gone, "A/B", "", "A.B", false},
	} {
		if got, there := folderFor(c.all, c.typed, c.prefix); got != c.want || there != c.there {
			t.Errorf("%q below %q: %q %v, want %q %v", c.typed, c.prefix, got, there, c.want, c.there)
		}
	}
}

// TestHandledSetting: what waits goes to the folder that is chosen when it is
// moved, and nowhere once none is; nothing that came before waits for a new one.
func TestHandledSetting(t *testing.T) {
	l := openLedger(t, t.TempDir())
	defer l.Close()
	s := &crooked{t: t, caps: "MOVE", instead: func(string) string { return "" }}
	a, ids := office(t, l, listen(t, s.say), 2)
	s.now(func() { s.reports = []string{bounceOf(ids[0], "failed", "r")} })
	due := func(want int) {
		t.Helper()
		if all, err := l.HandledDue(t.Context(), a.ID, accounts.MailboxName(a), 9); err != nil || len(all) != want {
			t.Errorf("%v %v, want %d", all, err, want)
		}
	}
	fetch := func() {
		t.Helper()
		if _, err := fetcher(l).Fetch(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	fetch()
	due(0)
	a = chooses(t, l, a, "One")
	fetch()
	due(0)
	s.now(func() { s.reports = append(s.reports, bounceOf(ids[1], "failed", "s")) })
	fetch()
	due(1)
	if err := l.NoteHandled(t.Context(), a.ID, accounts.MailboxName(a), post.Reason{Key: "handled.full"}); err != nil {
		t.Fatal(err)
	}
	a = chooses(t, l, a, "Two")
	due(1)
	if s := stateOf(t, l, a); !s.HandledTrouble.IsZero() {
		t.Errorf("the other folder's trouble: %+v", s)
	}
	a = chooses(t, l, a, "")
	due(0)
	if moved, err := handledOf(l).Visit(t.Context(), a); err != nil || moved != 0 {
		t.Error(moved, err)
	}
	a = chooses(t, l, a, "Two")
	fetch()
	due(0)
	if got, err := l.Account(t.Context(), a.ID); err != nil || got.HandledFolder != "Two" {
		t.Errorf("%+v %v", got, err)
	}
}

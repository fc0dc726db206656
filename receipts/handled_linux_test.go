package receipts

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"postroom/accounts"
	"postroom/internal/testkit/mailserver"
	"postroom/post"
	"postroom/storage"
)

// dovecot is a real mailbox that the account of a ledger reads.
type dovecot struct {
	t       testing.TB
	account post.Account
}

// newDovecot starts a server whose mailbox is that of office's account.
func newDovecot(t testing.TB, lines ...string) *mailserver.Server {
	t.Helper()
	return mailserver.Start(t, mailserver.Options{
		Domains: []string{"shop.example"}, User: "shop@shop.example", Password: "secret", Dovecot: lines,
	})
}

// withoutMove is a server that offers UIDPLUS, but not MOVE; withoutBoth neither.
const (
	withoutMove = "imap_capability = IMAP4rev1 LITERAL+ ENABLE IDLE UNSELECT CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED SPECIAL-USE"
	withoutBoth = "imap_capability = IMAP4rev1 LITERAL+ ENABLE IDLE UNSELECT CHILDREN NAMESPACE LIST-EXTENDED SPECIAL-USE"
)

func (d *dovecot) dial() *accounts.Mailbox {
	d.t.Helper()
	dialer := &accounts.Dialer{Secrets: fixedSecret("secret")}
	box, err := dialer.DialMailbox(d.t.Context(), d.account)
	if err != nil {
		d.t.Fatal(err)
	}
	return box
}

// put lays messages into a folder, with flags.
func (d *dovecot) put(folder string, flags []imap.Flag, all ...string) {
	d.t.Helper()
	box := d.dial()
	defer box.Close()
	for _, raw := range all {
		raw = strings.ReplaceAll(raw, "\n", "\r\n")
		cmd := box.Append(folder, int64(len(raw)), &imap.AppendOptions{Flags: flags})
		if _, err := cmd.Write([]byte(raw)); err != nil {
			d.t.Fatal(err)
		}
		if err := cmd.Close(); err != nil {
			d.t.Fatal(err)
		}
		if _, err := cmd.Wait(); err != nil {
			d.t.Fatal(err)
		}
	}
}

// lies tells what lies in a folder: the subjects with their flags, in order. It
// leaves no trace, not even that a message is recent no more.
func (d *dovecot) lies(folder string) (all []string) {
	d.t.Helper()
	box := d.dial()
	defer box.Close()
	selected, err := box.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		d.t.Fatal(err)
	}
	if selected.NumMessages == 0 {
		return nil
	}
	messages, err := box.Fetch(imap.SeqSet{imap.SeqRange{Start: 1}}, &imap.FetchOptions{Envelope: true, Flags: true}).Collect()
	if err != nil {
		d.t.Fatal(err)
	}
	for _, m := range messages {
		one := m.Envelope.Subject
		slices.Sort(m.Flags)
		for _, f := range m.Flags {
			one += " " + string(f)
		}
		all = append(all, one)
	}
	return all
}

// expunge removes messages from the INBOX, as its user does.
func (d *dovecot) expunge(set imap.UIDSet) {
	d.t.Helper()
	box := d.dial()
	defer box.Close()
	if _, err := box.Select("INBOX", nil).Wait(); err != nil {
		d.t.Fatal(err)
	}
	deleted := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := errors.Join(box.Store(set, deleted, nil).Close(), box.UIDExpunge(set).Close()); err != nil {
		d.t.Fatal(err)
	}
}

// known takes out which messages are recent: opening a mailbox to change it ends
// that (RFC 3501 2.3.2), whatever is done then.
func known(lying []string) (all []string) {
	for _, s := range lying {
		all = append(all, strings.TrimSuffix(s, ` \Recent`))
	}
	return all
}

func (d *dovecot) folders() (all []string) {
	d.t.Helper()
	box := d.dial()
	defer box.Close()
	listed, err := box.List("", "*", nil).Collect()
	if err != nil {
		d.t.Fatal(err)
	}
	for _, x := range listed {
		all = append(all, x.Mailbox)
	}
	slices.Sort(all)
	return all
}

// TestHandledFolder: in a real mailbox the reports of machines are moved, with
// their flags, and nothing else is; only when a folder was chosen; by whatever
// way the server has.
func TestHandledFolder(t *testing.T) {
	for name, lines := range map[string][]string{"by MOVE": nil, "by COPY": {withoutMove}, "not at all": {withoutBoth}} {
		t.Run(name, func(t *testing.T) {
			l := openLedger(t, t.TempDir())
			defer l.Close()
			a, ids := office(t, l, newDovecot(t, lines...).IMAPAddr, 40)
			box := &dovecot{t, a}
			all := func(first int) []string {
				id := func(i int) string { return ids[first+i] }
				return []string{
					bounceOf(id(0), "failed", "bounced"), subjectOf("person", answerTo(id(1), "Yes.")), readOf(id(2), "read"),
					subjectOf("away", strings.Replace(answerTo(id(3), "Away."), "From:", "Auto-Submitted: auto-replied\nFrom:", 1)), complaintOf(id(4), "complaint"),
					subjectOf("Unsubscribe", answerTo(id(5), "Please.")), bounceOf(id(6), "wondered", "unknown"), bounceOf("<made.1.up@shop.example>", "failed", "forged"),
					bounceOf(id(7), "delayed", "delayed"), ordinary(1),
				}
			}
			box.put("INBOX", nil, all(0)...)
			box.put("INBOX", []imap.Flag{imap.FlagDeleted}, subjectOf("marked", answerTo(ids[8], "Yes.")))
			before := box.lies("INBOX")
			r, moved, err := reads(t, l, a)
			if err != nil || moved != 0 || r.Matched != 9 || r.Unmatched != 1 {
				t.Fatalf("%+v, %d moved, %v", r, moved, err)
			}
			if after := box.lies("INBOX"); !slices.Equal(before, after) {
				t.Errorf("it was to be read only: %v, then %v", before, after)
			}

			a = chooses(t, l, a, "Erledigt/Rückläufer 退信")
			box.put("INBOX", []imap.Flag{imap.FlagFlagged}, all(20)...)
			before = box.lies("INBOX")
			r, moved, err = reads(t, l, a)
			const folder = "Erledigt.Rückläufer 退信"
			if name == "not at all" {
				if post.KindOf(err) != post.KindRejected || moved != 0 || !slices.Equal(box.lies("INBOX"), before) || slices.Contains(box.folders(), folder) {
					t.Errorf("%d moved, %v: %v %v", moved, err, box.lies("INBOX"), box.folders())
				}
				if s := stateOf(t, l, a); s.HandledTrouble.Key != "handled.no_move" || !s.Trouble.IsZero() {
					t.Errorf("%+v", s)
				}
				return
			}
			if err != nil || moved != 4 || r.Matched != 8 {
				t.Errorf("%+v, %d moved, %v", r, moved, err)
			}
			want := []string{`bounced \Flagged`, `read \Flagged`, `complaint \Flagged`, `delayed \Flagged`}
			if got := known(box.lies(folder)); !slices.Equal(got, want) {
				t.Errorf("in the folder: %v", got)
			}
			left := slices.DeleteFunc(known(before), func(s string) bool { return slices.Contains(want, s) })
			if got := known(box.lies("INBOX")); !slices.Equal(got, left) {
				t.Errorf("in the INBOX: %v, want %v", got, left)
			}
			if s := stateOf(t, l, a); !s.HandledTrouble.IsZero() {
				t.Errorf("%+v", s)
			}

			// What its user puts back stays, and counts no second time.
			back := box.dial()
			defer back.Close()
			if _, err := back.Select(folder, nil).Wait(); err != nil {
				t.Fatal(err)
			}
			if _, err := back.Copy(imap.SeqSetNum(1), "INBOX").Wait(); err != nil {
				t.Fatal(err)
			}
			if r, moved, err := reads(t, l, a); err != nil || moved != 0 || r.Read != 1 || r.Matched != 0 {
				t.Errorf("%+v, %d moved, %v", r, moved, err)
			}
			if names, err := Folders(t.Context(), handledOf(l).Dial, a, slog.New(slog.DiscardHandler)); err != nil || !slices.Contains(names, folder) || slices.Contains(names, "INBOX") {
				t.Errorf("%v %v", names, err)
			}
		})
	}
}

// cut is where a relay ends a conversation.
type cut int

const (
	goOn      cut = iota
	cutBefore     // the server never gets this line
	cutAfter      // the server does what it says, and the answer is lost
)

// commandOf is what a line asks for, without its tag and without a password.
func commandOf(line string) string {
	_, command, _ := strings.Cut(strings.TrimSpace(line), " ")
	if strings.HasPrefix(command, "AUTHENTICATE") {
		return "AUTHENTICATE"
	}
	return command
}

// relay stands between the reader and a real server, and is told each line that
// the reader says. It has one connection at a time.
func relay(t testing.TB, server string, heard func(line string) cut) (addr string) {
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
			pass(t, c, server, heard)
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	return ln.Addr().String()
}

func pass(t testing.TB, c net.Conn, server string, heard func(string) cut) {
	defer c.Close()
	up, err := net.Dial("tcp", server)
	if err != nil {
		t.Error(err)
		return
	}
	defer up.Close()
	tag := make(chan string, 1) // of the command whose answer is lost
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer c.Close()
		last := ""
		for r := bufio.NewReader(up); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if last == "" {
				select {
				case last = <-tag:
				default:
				}
			}
			switch {
			case last != "" && (strings.HasPrefix(line, last+" ") || strings.HasPrefix(line, "+")):
				return
			case last != "":
				continue
			}
			if _, err := c.Write([]byte(line)); err != nil {
				return
			}
		}
	}()
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		what := heard(line)
		name, _, ok := strings.Cut(line, " ")
		if what == cutBefore || what == cutAfter && !ok { // a line without a tag has no answer of its own
			return
		}
		if what == cutAfter {
			tag <- name
		}
		if _, err := up.Write([]byte(line)); err != nil {
			return
		}
		if what == cutAfter {
			<-ended
			return
		}
	}
}

// movable are three reports and an answer, with subjects that begin with a word.
func movable(word string, ids []string) []string {
	return []string{
		bounceOf(ids[0], "failed", word+" one"), readOf(ids[1], word+" two"), subjectOf(word+" answer", answerTo(ids[2], "Yes.")), bounceOf(ids[3], "delivered", word+" three"),
	}
}

// wantMoved checks that of so many rounds of movable each report lies in the
// folder once, the answers in the INBOX, and all were counted once.
func wantMoved(t *testing.T, l *storage.Ledger, box *dovecot, folder string, words ...string) {
	t.Helper()
	var want, left []string
	for _, w := range words {
		want, left = append(want, w+" one", w+" two", w+" three"), append(left, w+" answer")
	}
	got := known(box.lies(folder))
	for _, all := range [][]string{got, want} {
		slices.Sort(all)
	}
	if !slices.Equal(got, want) {
		t.Errorf("in the folder: %v, want %v", got, want)
	}
	if got := known(box.lies("INBOX")); !slices.Equal(got, left) {
		t.Errorf("in the INBOX: %v, want %v", got, left)
	}
	n := 0
	for d, err := range l.EachDelivery(t.Context(), storage.HistoryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		all, err := l.Receipts(t.Context(), d.ID)
		if err != nil || len(all) > 1 {
			t.Errorf("%s: %+v %v", d.Address, all, err)
		}
		n += len(all)
	}
	if n != 4*len(words) {
		t.Errorf("%d receipts, want %d", n, 4*len(words))
	}
	if due, err := l.HandledDue(t.Context(), box.account.ID, accounts.MailboxName(box.account), 9); err != nil || len(due) > 0 {
		t.Errorf("still due: %v %v", due, err)
	}
}

// TestHandledCutOff: whatever command of a visit never gets through, or is done
// without an answer, the next visit takes up what is left: no report is lost, and
// none lies in the folder twice.
func TestHandledCutOff(t *testing.T) {
	for name, lines := range map[string][]string{"by MOVE": nil, "by COPY": {withoutMove}} {
		t.Run(name, func(t *testing.T) {
			l := openLedger(t, t.TempDir())
			defer l.Close()
			server := newDovecot(t, lines...).IMAPAddr
			var mu sync.Mutex
			at, n, what := 0, 0, goOn
			var said []string
			addr := relay(t, server, func(line string) cut {
				mu.Lock()
				defer mu.Unlock()
				said = append(said, commandOf(line))
				if n++; n == at {
					return what
				}
				return goOn
			})
			a, ids := office(t, l, addr, 300)
			box := &dovecot{t, a}
			host, port, err := net.SplitHostPort(server)
			if err != nil {
				t.Fatal(err)
			}
			if box.account.IMAPPort, err = strconv.Atoi(port); err != nil || host != box.account.IMAPHost {
				t.Fatal(host, err)
			}
			a = chooses(t, l, a, "Handled")
			var words []string
			for round := 0; ; round++ {
				words = append(words, fmt.Sprint("round", round))
				box.put("INBOX", nil, movable(words[round], ids[4*round:])...)
				if _, err := fetcher(l).Fetch(t.Context(), a); err != nil {
					t.Fatal(err)
				}
				how := []cut{cutBefore, cutAfter}[round%2]
				mu.Lock()
				at, n, what, said = 1+round/2, 0, how, nil
				mu.Unlock()
				_, err := handledOf(l).Visit(t.Context(), a)
				mu.Lock()
				heard := slices.Clone(said)
				whole := len(heard) < at || strings.HasPrefix(heard[len(heard)-1], "LOGOUT")
				at = 0
				mu.Unlock()
				if (err != nil) == whole {
					t.Errorf("cut at %q: %v", heard, err)
				}
				if _, err := handledOf(l).Visit(t.Context(), a); err != nil {
					t.Errorf("the next visit: %v", err)
				}
				if wantMoved(t, l, box, "Handled", words...); t.Failed() {
					t.Fatalf("after a visit that ended (%d) at %q", how, heard)
				}
				if whole {
					t.Logf("%d visits, the last: %q", round+1, heard)
					break
				}
			}
		})
	}
}

// TestHandledRenumbered: when the INBOX is numbered anew, nothing is moved by its
// old numbers; what waited is found again, and what is gone is forgotten. A server
// that gives other numbers under the same validity gets nothing moved, either.
func TestHandledRenumbered(t *testing.T) {
	for name, more := range map[string]uint32{"as it should be": 1, "without a word": 0} {
		t.Run(name, func(t *testing.T) {
			l := openLedger(t, t.TempDir())
			defer l.Close()
			server := newDovecot(t)
			a, ids := office(t, l, server.IMAPAddr, 20)
			box := &dovecot{t, a}
			a = chooses(t, l, a, "Handled")
			box.put("INBOX", nil, bounceOf(ids[0], "failed", "gone soon"), subjectOf("person", answerTo(ids[1], "Yes.")))
			box.put("INBOX", nil, movable("early", ids[4:])...)
			if r, err := fetcher(l).Fetch(t.Context(), a); err != nil || r.Matched != 6 {
				t.Fatalf("%+v %v", r, err)
			}
			p, err := l.Mailbox(t.Context(), a.ID, accounts.MailboxName(a))
			if err != nil {
				t.Fatal(err)
			}
			// Its user removes the first, and the server loses its list of numbers: each
			// message gets the number of the one that stood before it.
			box.expunge(imap.UIDSetNum(1))
			home := filepath.Join(server.MailDir, "shop.example", "shop")
			lists, err := filepath.Glob(filepath.Join(home, "dovecot*"))
			if err != nil || len(lists) == 0 {
				t.Fatal(lists, err)
			}
			for _, file := range lists {
				if err := os.RemoveAll(file); err != nil {
					t.Fatal(err)
				}
			}
			anew := fmt.Sprintf("3 V%d N1 G%032x\n", p.Validity+more, 7)
			if err := os.WriteFile(filepath.Join(home, "dovecot-uidlist"), []byte(anew), 0o644); err != nil { // the server's user reads it
				t.Fatal(err)
			}
			before := known(box.lies("INBOX"))
			if moved, err := handledOf(l).Visit(t.Context(), a); err != nil || moved != 0 || !slices.Equal(known(box.lies("INBOX")), before) {
				t.Errorf("by the old numbers: %d moved, %v, %v", moved, err, box.lies("INBOX"))
			}
			r, moved, err := reads(t, l, a)
			left := []string{"person", "early answer"}
			if more == 0 { // nobody knows what became of them
				left = before
			} else if r.Read != 5 || moved != 3 {
				t.Errorf("%+v, %d moved", r, moved)
			}
			if got := known(box.lies("INBOX")); err != nil || r.Matched != 0 || !slices.Equal(got, left) {
				t.Errorf("%+v, %v, in the INBOX: %v", r, err, got)
			}
			if due, err := l.HandledDue(t.Context(), a.ID, accounts.MailboxName(a), 9); err != nil || len(due) > 0 {
				t.Errorf("still due: %v %v", due, err)
			}
		})
	}
}

// TestHandledByItsUser: what the user moves or removes himself is forgotten, and
// what he marks as removed is not removed for him.
func TestHandledByItsUser(t *testing.T) {
	l := openLedger(t, t.TempDir())
	defer l.Close()
	a, ids := office(t, l, newDovecot(t, withoutMove).IMAPAddr, 10)
	box := &dovecot{t, a}
	a = chooses(t, l, a, "Handled")
	box.put("INBOX", nil, bounceOf(ids[0], "failed", "his own"), bounceOf(ids[1], "failed", "ours"))
	box.put("INBOX", []imap.Flag{imap.FlagDeleted}, subjectOf("marked", answerTo(ids[2], "Yes.")))
	if _, err := fetcher(l).Fetch(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	box.expunge(imap.UIDSetNum(1))
	if moved, err := handledOf(l).Visit(t.Context(), a); err != nil || moved != 1 {
		t.Errorf("%d moved, %v", moved, err)
	}
	if got := known(box.lies("INBOX")); !slices.Equal(got, []string{`marked \Deleted`}) {
		t.Errorf("in the INBOX: %v", got)
	}
	if moved, err := handledOf(l).Visit(t.Context(), a); err != nil || moved != 0 {
		t.Errorf("%d moved, %v", moved, err)
	}
}

// TestHandledFolders: the folder for sent mail takes no reports, whatever it is
// called; a folder that cannot be made is told; one that its user removed is made
// again; a mailbox that keeps its folders below the INBOX gets it there.
func TestHandledFolders(t *testing.T) {
	spaces := []string{"namespace inbox {", "inbox = yes", "mailbox Outgoing {", "auto = create", "special_use = \\Sent", "}", "}"}
	t.Run("names", func(t *testing.T) {
		l := openLedger(t, t.TempDir())
		defer l.Close()
		a, ids := office(t, l, newDovecot(t, spaces...).IMAPAddr, 40)
		box := &dovecot{t, a}
		round := 0
		try := func(folder string, moves int, trouble string) {
			t.Helper()
			a = chooses(t, l, a, folder)
			box.put("INBOX", nil, bounceOf(ids[round], "failed", fmt.Sprint("round ", round)))
			round++
			if _, moved, err := reads(t, l, a); moved != moves || (err == nil) != (trouble == "") {
				t.Errorf("%q: %d moved, %v", folder, moved, err)
			}
			if s := stateOf(t, l, a); s.HandledTrouble.Key != trouble {
				t.Errorf("%q: %+v", folder, s.HandledTrouble)
			}
		}
		try("Outgoing", 0, "handled.sent")
		try("a..b", 0, "handled.no_folder")
		try("Reports", 3, "")
		client := box.dial()
		if err := client.Delete("Reports").Wait(); err != nil {
			t.Fatal(err)
		}
		client.Close()
		try("Reports", 1, "")
		try("REPORTS", 1, "") // for this server that is another one
		if got := known(box.lies("Outgoing")); len(got) > 0 || !slices.Contains(box.folders(), "REPORTS") {
			t.Errorf("%v, %v", got, box.folders())
		}
	})
	t.Run("below the INBOX", func(t *testing.T) {
		l := openLedger(t, t.TempDir())
		defer l.Close()
		a, ids := office(t, l, newDovecot(t, "namespace inbox {", "inbox = yes", "prefix = INBOX.", "separator = .", "}").IMAPAddr, 5)
		box := &dovecot{t, a}
		for i, folder := range []string{"Post/Handled", "INBOX.Post.Handled", "INBOX/Post/Handled"} {
			a = chooses(t, l, a, folder)
			box.put("INBOX", nil, bounceOf(ids[i], "failed", fmt.Sprint("round ", i)))
			if _, moved, err := reads(t, l, a); err != nil || moved != 1 {
				t.Errorf("%q: %d moved, %v", folder, moved, err)
			}
		}
		if got := box.lies("INBOX.Post.Handled"); len(got) != 3 {
			t.Errorf("%v in %v", got, box.folders())
		}
	})
}

// TestHandledOverQuota: a full mailbox keeps reports where they are and is told;
// when there is room it goes on by itself.
func TestHandledOverQuota(t *testing.T) {
	l := openLedger(t, t.TempDir())
	defer l.Close()
	a, ids := office(t, l, newDovecot(t, withoutMove, "protocol imap {", "mail_plugins = quota imap_quota", "}", "plugin {", "quota = maildir:User quota", "quota_rule = *:messages=4", "}").IMAPAddr, 10)
	box := &dovecot{t, a}
	a = chooses(t, l, a, "Handled")
	box.put("INBOX", nil, movable("full", ids)...)
	if _, moved, err := reads(t, l, a); post.KindOf(err) != post.KindRejected || moved != 0 {
		t.Errorf("%d moved, %v", moved, err)
	}
	if s := stateOf(t, l, a); s.HandledTrouble.Key != "handled.full" || !s.Trouble.IsZero() {
		t.Errorf("%+v", s)
	}
	if got := known(box.lies("INBOX")); !slices.Equal(got, []string{"full one", "full two", "full answer", "full three"}) || len(box.lies("Handled")) > 0 {
		t.Errorf("in the INBOX: %v", got)
	}
	box.expunge(imap.UIDSetNum(3))
	if moved, err := handledOf(l).Visit(t.Context(), a); err != nil || moved != 3 {
		t.Errorf("%d moved, %v", moved, err)
	}
	if got := box.lies("INBOX"); len(got) > 0 || len(box.lies("Handled")) != 3 {
		t.Errorf("in the INBOX: %v", got)
	}
	if s := stateOf(t, l, a); !s.HandledTrouble.IsZero() {
		t.Errorf("%+v", s)
	}
}

// TestHandledWhileWatching: beside the reading, reports are moved as they come, and
// a folder that is chosen meanwhile is noticed.
func TestHandledWhileWatching(t *testing.T) {
	l := openLedger(t, t.TempDir())
	defer l.Close()
	a, ids := office(t, l, newDovecot(t).IMAPAddr, 10)
	box := &dovecot{t, a}
	c := &handClock{}
	d := &accounts.Dialer{Secrets: fixedSecret("secret")}
	stop := watchWith(t, &Watcher{Dial: d.DialMailbox, Ledger: l, Clock: c, Log: slog.New(slog.DiscardHandler), Handled: handledOf(l)})
	defer stop()
	eventually(t, "a look at the accounts", func() bool { return c.waits(lookEvery) == 1 })
	if n := c.waits(movedEvery); n > 0 {
		t.Errorf("%d look after a folder that is not there", n)
	}
	a = chooses(t, l, a, "Handled")
	c.fire(lookEvery)
	eventually(t, "the first look", func() bool { return c.waits(movedEvery) == 1 })
	box.put("INBOX", nil, movable("first", ids)...)
	eventually(t, "the reports", func() bool {
		due, err := l.HandledDue(t.Context(), a.ID, accounts.MailboxName(a), 9)
		return err == nil && len(due) == 3
	})
	c.fire(movedEvery)
	eventually(t, "the next look", func() bool { return c.waits(movedEvery) == 1 })
	wantMoved(t, l, box, "Handled", "first")
}

// TestKilledWhileMoving: a reader that moves handled reports is killed at 20 random
// moments, half of them right before or after a command of its reaches the server,
// the others right after one of its commits. In the end each report lies in the
// folder once, each answer in the INBOX, and each was counted once.
func TestKilledWhileMoving(t *testing.T) {
	kills := 10 // by each way
	if testing.Short() {
		kills = 4
	}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	for name, lines := range map[string][]string{"by MOVE": nil, "by COPY": {withoutMove}} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			dir := t.TempDir()
			l := openLedger(t, dir)
			server := newDovecot(t, lines...).IMAPAddr
			var mu sync.Mutex
			at, n := 0, 0
			first := false // the server does not get the command
			last := ""
			var victim *exec.Cmd
			addr := relay(t, server, func(line string) cut {
				mu.Lock()
				defer mu.Unlock()
				if n++; n != at {
					return goOn
				}
				last = commandOf(line)
				_ = victim.Process.Kill() // it may have ended just now
				if first {
					return cutBefore
				}
				return goOn
			})
			a, ids := office(t, l, addr, 4*(4*kills+1))
			box := &dovecot{t, a}
			_, port, err := net.SplitHostPort(server)
			if err != nil {
				t.Fatal(err)
			}
			if box.account.IMAPPort, err = strconv.Atoi(port); err != nil {
				t.Fatal(err)
			}
			chooses(t, l, a, "Handled")
			var words []string
			more := func(round int) {
				words = append(words, fmt.Sprint("round", round))
				box.put("INBOX", nil, movable(words[round], ids[4*round:])...)
			}
			died := map[string]int{}
			killed := 0
			for round := 0; killed < kills; round++ {
				if round == 4*kills {
					t.Fatalf("it was killed %d times only", killed)
				}
				more(round)
				mu.Lock()
				victim = childReader(t, dir)
				at, n, first, last = 0, 0, random.IntN(2) == 0, "a commit"
				if round%2 == 0 {
					at = 4 + random.IntN(14)
				} else {
					victim.Env = append(victim.Env, fmt.Sprintf("%s=%d", readerDies, 1+random.IntN(4)))
				}
				err := victim.Start()
				mu.Unlock()
				if err != nil {
					t.Fatal(err)
				}
				if err := victim.Wait(); err != nil {
					killed++
					died[last]++
				}
			}
			t.Logf("killed at %v", died)
			more(len(words))
			mu.Lock()
			at = -1
			mu.Unlock()
			if out, err := childReader(t, dir).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			wantMoved(t, l, box, "Handled", words...)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// BenchmarkHandled moves 5,000 reports to a folder, out of a real mailbox.
func BenchmarkHandled(b *testing.B) {
	const reports = 5000
	for name, lines := range map[string][]string{"MOVE": nil, "COPY": {withoutMove}} {
		b.Run(name, func(b *testing.B) {
			l := openLedger(b, b.TempDir())
			defer l.Close()
			a, ids := office(b, l, newDovecot(b, lines...).IMAPAddr, reports)
			box := &dovecot{b, a}
			for round := 0; b.Loop(); round++ {
				b.StopTimer()
				a = chooses(b, l, a, "Handled")
				var all []string
				for i := range reports {
					all = append(all, fmt.Sprintf("X-Round: %d\n", round)+reportOn(ids[i], fmt.Sprintf("p%d@example.net", i)))
				}
				box.put("INBOX", nil, all...)
				if r, err := fetcher(l).Fetch(b.Context(), a); err != nil || r.Matched != reports {
					b.Fatalf("%+v %v", r, err)
				}
				b.StartTimer()
				if moved, err := handledOf(l).Visit(b.Context(), a); err != nil || moved != reports {
					b.Fatalf("%d moved, %v", moved, err)
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s-moving")
		})
	}
}

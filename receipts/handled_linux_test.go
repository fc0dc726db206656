package receipts

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

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
func newDovecot(t testing.TB, lines ...string) (addr string) {
	t.Helper()
	return mailserver.Start(t, mailserver.Options{
		Domains: []string{"shop.example"}, User: "shop@shop.example", Password: "secret", Dovecot: lines,
	}).IMAPAddr
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
			a, ids := office(t, l, newDovecot(t, lines...), 40)
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
			server := newDovecot(t, lines...)
			at, n, what := 0, 0, goOn
			var said []string
			addr := relay(t, server, func(line string) cut {
				_, command, _ := strings.Cut(strings.TrimSpace(line), " ")
				said = append(said, command)
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
				at, n, what, said = 1+round/2, 0, []cut{cutBefore, cutAfter}[round%2], nil
				_, err := handledOf(l).Visit(t.Context(), a)
				whole := len(said) < at || strings.HasPrefix(said[len(said)-1], "LOGOUT")
				at = 0
				if (err != nil) == whole {
					t.Errorf("cut at %q: %v", said[len(said)-1], err)
				}
				if _, err := handledOf(l).Visit(t.Context(), a); err != nil {
					t.Errorf("the next visit: %v", err)
				}
				if wantMoved(t, l, box, "Handled", words...); t.Failed() {
					t.Fatalf("after a visit that ended (%d) at %q", what, said)
				}
				if whole {
					t.Logf("%d visits, the last: %q", round+1, said)
					break
				}
			}
		})
	}
}

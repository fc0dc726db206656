package receipts

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"postroom/accounts"
	"postroom/post"
)

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

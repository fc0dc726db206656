//go:build linux

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postroom/internal/testkit/mailserver"
	"postroom/post"
)

// desk runs commands on one data folder, inside this process.
type desk struct {
	t    *testing.T
	data string
}

func (d *desk) run(code int, args ...string) string {
	d.t.Helper()
	var out, said bytes.Buffer
	got := Run(d.t.Context(), Deps{Version: "test"}, append([]string{"--data", d.data}, args...), strings.NewReader(""), &out, &said)
	if got != code {
		d.t.Fatalf("postroom %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out.String(), said.String())
	}
	return out.String()
}

// lines reads one JSON object a line.
func lines[T any](t *testing.T, s string) (all []T) {
	t.Helper()
	for line := range strings.Lines(s) {
		var x T
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, x)
	}
	return all
}

// answers are sent by a real client: Python's.
const answers = `
import json, smtplib, ssl, sys
from email.message import EmailMessage
job = json.load(sys.stdin)
host, port = job["addr"].rsplit(":", 1)
with smtplib.SMTP_SSL(host, int(port), context=ssl.create_default_context(cafile=job["ca"])) as s:
    s.login(job["user"], job["password"])
    for a in job["answers"]:
        m = EmailMessage()
        m["From"], m["To"], m["Subject"] = job["user"], a["to"] or job["to"], a["subject"]
        for k, v in (a["headers"] or {}).items():
            m[k] = v
        m.set_content(a["text"])
        s.send_message(m)
`

type answer struct {
	Subject string            `json:"subject"`
	Headers map[string]string `json:"headers"`
	Text    string            `json:"text"`
	To      string            `json:"to"` // empty: the server's user
}

func sendAnswers(t *testing.T, server *mailserver.Server, user, password string, all []answer) {
	t.Helper()
	job, err := json.Marshal(map[string]any{"addr": server.SMTPSAddr, "ca": server.CAFile, "user": user, "password": password, "to": server.User, "answers": all})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "python3", "-c", answers)
	cmd.Stdin = bytes.NewReader(job)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestReceiptsFromPostfix sends a mailing of 300 through a real Postfix, lets it
// report and people answer, and reads all of it back from a real Dovecot.
func TestReceiptsFromPostfix(t *testing.T) {
	if testing.Short() {
		t.Skip("real mail servers beside the race detector are too slow to be timely; the plain run has this test")
	}
	syscall.Umask(0o022) // commands run before in this process have made it private, and the server's users must read its files
	server := mailserver.Start(t, mailserver.Options{
		Domains: []string{"example.test", "gone.test", "full.test", "slow.test", "lost.test", "grey.test", "policy.test", "moved.test"},
		Users:   map[string]string{"ann@example.test": "ann's own"},
		Replies: map[string]string{"grey.test": mailserver.Greylisted},
		Dovecot: []string{"namespace inbox {", "inbox = yes", "mailbox Outgoing {", "auto = create", "special_use = \\Sent", "}", "}"},
		MainCF: []string{
			"virtual_alias_maps = inline:{ {fwd1@moved.test = new1@example.test}, {fwd2@moved.test = new2@gone.test} }",
			"delay_warning_time = 1s", "queue_run_delay = 1s", "minimal_backoff_time = 1s", "maximal_backoff_time = 1s",
		},
	})
	routes := map[string]string{
		"gone.test": "error:5.1.1 no such mailbox", "full.test": "error:5.2.2 mailbox full", "policy.test": "error:5.7.1 not from you",
		"slow.test": "retry:4.4.1 try again later", "lost.test": "retry:4.4.1 try again later",
	}
	if err := server.SetRoutes(routes); err != nil {
		t.Fatal(err)
	}
	t.Setenv("POSTROOM_WAIT_SCALE", "0.001")
	d := &desk{t, filepath.Join(t.TempDir(), "data")}
	want := map[string]post.ReceiptKind{}
	var table strings.Builder
	table.WriteString("email,first_name\n")
	add := func(domain string, n int, kind post.ReceiptKind) {
		for i := range n {
			address := fmt.Sprintf("p%d@%s", i, domain)
			want[address] = kind
			fmt.Fprintf(&table, "%s,P\n", address)
		}
	}
	add("example.test", 176, post.ReceiptDelivered)
	add("grey.test", 20, post.ReceiptDelivered)
	add("gone.test", 40, post.ReceiptBounced)
	add("full.test", 30, post.ReceiptBounced)
	add("policy.test", 12, post.ReceiptBounced)
	add("slow.test", 10, post.ReceiptDelayed)
	add("lost.test", 10, post.ReceiptDelayed)
	// Of one that is forwarded well Postfix says "relayed": that is no proof.
	for address, kind := range map[string]post.ReceiptKind{"fwd1@moved.test": post.ReceiptNone, "fwd2@moved.test": post.ReceiptBounced} {
		want[address] = kind
		fmt.Fprintf(&table, "%s,P\n", address)
	}
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	host, port, err := net.SplitHostPort(server.SubmissionAddr)
	if err != nil {
		t.Fatal(err)
	}
	_, imap, err := net.SplitHostPort(server.IMAPAddr)
	if err != nil {
		t.Fatal(err)
	}
	d.run(exitDone, "account", "add", "shop", "--email", server.User, "--host", host, "--port", port, "--tls", "starttls", "--ca", server.CAFile,
		"--password-command", "cat '"+file("password", server.Password+"\n")+"'", "--imap-host", host, "--imap-port", imap, "--imap-tls", "starttls", "--connections", "2")
	if out := d.run(exitDone, "account", "test", "shop", "--json"); !strings.Contains(out, `{"step":"imap","ok":true`) {
		t.Errorf("the test says nothing of the mailbox: %s", out)
	}
	d.run(exitDone, "account", "set", "shop", "--sent-copies", "one")
	d.run(exitDone, "contacts", "import", file("people.csv", table.String()), "--list", "People")
	d.run(exitDone, "send", "--account", "shop", "--list", "People", "--subject", "Hello", "--body", file("letter.md", "Hello {{first_name}}"), "--dsn", "all")
	// The greylisted are let in later.
	if out := d.run(exitDone, "run", "--no-wait", "--json"); !strings.Contains(out, `"waiting":20`) {
		t.Errorf("not greylisted: %s", out)
	}
	if err := errors.Join(server.SetReplies(nil), server.Reload()); err != nil {
		t.Fatal(err)
	}
	d.run(exitDone, "run", "--until-empty")

	// Every one is reported on, and the second forwarded one twice.
	waitFor(t, "the reports", func() bool {
		n := 0
		all, err := server.Delivered()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			if m.Recipient == server.User {
				n++
			}
		}
		return n > len(want)
	})
	first := lines[fetchedJSON](t, d.run(exitDone, "receipts", "fetch", "--json"))[0]
	t.Logf("%+v", first)
	if first.Filed != 1 {
		t.Errorf("%d copies filed, want one of the mailing", first.Filed)
	}
	if first.Read < len(want) || first.Matched < len(want) || first.Unmatched != 0 {
		t.Errorf("read %d, matched %d, unmatched %d of %d reports", first.Read, first.Matched, first.Unmatched, len(want))
	}
	ids := d.wantHistory(want)

	// The patient ones arrive after all, or not.
	delete(routes, "slow.test")
	routes["lost.test"] = "error:5.4.7 delivery time expired"
	if err := server.SetRoutes(routes); err != nil {
		t.Fatal(err)
	}
	settle(t, server, 0)
	late := lines[fetchedJSON](t, d.run(exitDone, "receipts", "fetch", "--json"))[0]
	if late.By[post.ReceiptDelivered] != 10 || late.By[post.ReceiptBounced] != 10 || late.Unmatched != 0 {
		t.Errorf("the late ones: %+v", late)
	}
	for i := range 10 {
		want[fmt.Sprintf("p%d@slow.test", i)], want[fmt.Sprintf("p%d@lost.test", i)] = post.ReceiptDelivered, post.ReceiptBounced
	}
	d.wantHistory(want)

	// People answer, and somebody forges.
	re := func(address string) map[string]string { return map[string]string{"In-Reply-To": ids[address]} }
	away := re("p3@example.test")
	away["Auto-Submitted"] = "auto-replied"
	sendAnswers(t, server, "ann@example.test", "ann's own", []answer{
		{Subject: "Re: Hello", Headers: re("p0@example.test"), Text: "Thank you, I will come.\n"},
		{Subject: "Re: Hello", Headers: re("p1@example.test"), Text: "退订\n"},
		{Subject: "Unsubscribe", Headers: re("p2@example.test"), Text: "Please.\n"},
		{Subject: "Re: Hello", Headers: away, Text: "I am away.\n"},
		{Subject: "Unsubscribe", Text: "p4@example.test does not want it.\n"},
		{Subject: "Re: Hello", Headers: map[string]string{"In-Reply-To": strings.Replace(ids["p5@example.test"], ".", ".1", 1)}, Text: "unsubscribe\n"},
		{Subject: "Lunch?", Text: "Today?\n"},
	})
	settle(t, server, 0)
	second := lines[fetchedJSON](t, d.run(exitDone, "receipts", "fetch", "--account", "shop", "--json"))[0]
	t.Logf("%+v", second)
	if second.By[post.ReceiptReplied] != 1 || second.By[post.ReceiptUnsubscribed] != 2 || second.By[post.ReceiptAutoReply] != 1 || second.Unmatched != 2 {
		t.Errorf("the answers: %+v", second)
	}
	want["p0@example.test"], want["p1@example.test"], want["p2@example.test"] = post.ReceiptReplied, post.ReceiptUnsubscribed, post.ReceiptUnsubscribed
	d.wantHistory(want)
	d.wantSuppressed(map[string]int{"the mailbox does not exist": 41, "asked not to be mailed": 2})
	if out := d.run(exitDone, "receipts", "list"); strings.Count(out, "\n") != 2 {
		t.Errorf("shown apart:\n%s", out)
	}
	third := lines[fetchedJSON](t, d.run(exitDone, "receipts", "fetch", "--json"))[0]
	if third.Read != 0 || third.Matched != 0 || third.Unmatched != 0 {
		t.Errorf("counted again: %+v", third)
	}
	if out := d.run(exitDone, "mailing", "show", "1"); !strings.Contains(out, "300 accepted by the provider, 203 delivered, 93 bounced, 1 replied, 2 unsubscribed, 1 no news") {
		t.Errorf("the funnel:\n%s", out)
	}
	d.wantFunnel(post.Funnel{
		post.OutcomeAccepted: 300, post.OutcomeNoNews: 1, post.OutcomeDelivered: 203, post.OutcomeBounced: 93, post.OutcomeReplied: 1, post.OutcomeUnsubscribed: 2,
	})
	d.filesCopies(server)
	d.leavesByToken(server)
	d.readsBesideSending(server, ids)
	d.movesHandled(server, ids)
	if out := d.run(exitDone, "check", "--json"); !strings.Contains(out, `"ok":true`) {
		t.Error(out)
	}
}

// wantFunnel looks at the funnel of mailing 1, and at the list behind each word.
func (d *desk) wantFunnel(want post.Funnel) {
	d.t.Helper()
	got := lines[struct{ Funnel post.Funnel }](d.t, d.run(exitDone, "mailing", "show", "1", "--json"))[0].Funnel
	for _, o := range post.Outcomes {
		if n, ok := got[o]; !ok || n != want[o] {
			d.t.Errorf("%d are %s, want %d", n, o, want[o])
		}
		if n := strings.Count(d.run(exitDone, "history", "--outcome", string(o), "--json"), "\n"); int64(n) != want[o] {
			d.t.Errorf("%d rows are %s, want %d", n, o, want[o])
		}
	}
	d.run(exitUsage, "history", "--outcome", "sent")
}

// filesCopies sends two more, of each of which a copy is filed: as it was sent,
// read, in the folder that the server names for it.
func (d *desk) filesCopies(server *mailserver.Server) {
	d.t.Helper()
	d.run(exitDone, "account", "set", "shop", "--sent-copies", "each")
	d.run(exitDone, "send", "--account", "shop", "--to", "p0@example.test", "--to", "p5@example.test", "--subject", "More", "--body", keepIn(d.t, "more.md", []byte("More")), "--dsn", "none")
	d.run(exitDone, "run", "--until-empty")
	for _, want := range []int{2, 0} {
		if got := lines[fetchedJSON](d.t, d.run(exitDone, "receipts", "fetch", "--json"))[0]; got.Filed != want {
			d.t.Errorf("%d copies filed, want %d", got.Filed, want)
		}
	}
	filed, err := filepath.Glob(filepath.Join(server.MailDir, "example.test", "shop", ".Outgoing", "cur", "*S*"))
	if err != nil || len(filed) != 3 {
		d.t.Fatalf("%d copies in the folder, %v", len(filed), err)
	}
	messages, err := server.Delivered()
	if err != nil {
		d.t.Fatal(err)
	}
	same := 0
	for _, path := range filed {
		raw, err := os.ReadFile(path)
		if err != nil {
			d.t.Fatal(err)
		}
		raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
		for _, m := range messages {
			if bytes.HasSuffix(bytes.ReplaceAll(m.Raw, []byte("\r\n"), []byte("\n")), raw) {
				same++
			}
		}
	}
	if same < 2 {
		d.t.Errorf("%d of the copies are what was delivered", same)
	}
}

// movesHandled chooses a folder for handled reports: what Postfix reports from then
// on goes there, what people write stays, and all that came before does.
func (d *desk) movesHandled(server *mailserver.Server, ids map[string]string) {
	d.t.Helper()
	lie := func(folder string) int {
		n := 0
		for _, sub := range []string{"cur", "new"} {
			files, err := os.ReadDir(filepath.Join(server.MailDir, "example.test", "shop", folder, sub))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				d.t.Fatal(err)
			}
			n += len(files)
		}
		return n
	}
	d.run(exitDone, "receipts", "fetch")
	before := lie("")
	d.run(exitDone, "account", "set", "shop", "--handled-folder", "Handled/Reports")
	d.run(exitDone, "send", "--account", "shop", "--to", "late@gone.test", "--to", "p9@example.test", "--subject", "Last", "--body", keepIn(d.t, "last.md", []byte("Last")), "--dsn", "all")
	d.run(exitDone, "run", "--until-empty")
	sendAnswers(d.t, server, "ann@example.test", "ann's own", []answer{{"Re: Hello", map[string]string{"In-Reply-To": ids["p8@example.test"]}, "I come.\n", ""}})
	settle(d.t, server, 0)
	waitFor(d.t, "the reports", func() bool { return lie("") == before+3 })
	got := lines[fetchedJSON](d.t, d.run(exitDone, "receipts", "fetch", "--json"))[0]
	if got.Read != 3 || got.Matched != 3 || got.Moved != 2 || lie("") != before+1 || lie(".Handled.Reports") != 2 {
		d.t.Errorf("%+v, %d in the INBOX, %d in the folder, %d before", got, lie(""), lie(".Handled.Reports"), before)
	}
	if out := d.run(exitDone, "receipts", "mailboxes", "--json"); !strings.Contains(out, `"handled_error":""`) {
		d.t.Error(out)
	}
	d.run(exitDone, "account", "set", "shop", "--handled-folder", "Outgoing")
	d.run(exitDone, "send", "--account", "shop", "--to", "p9@example.test", "--subject", "Last", "--body", keepIn(d.t, "last.md", []byte("Last")), "--dsn", "all")
	d.run(exitDone, "run", "--until-empty")
	settle(d.t, server, 0)
	waitFor(d.t, "the report", func() bool { return lie("") == before+2 })
	d.run(exitFailed, "receipts", "fetch") // that one is for sent mail
	if out := d.run(exitDone, "receipts", "mailboxes", "--json"); !strings.Contains(out, "sent mail") || !strings.Contains(out, `"error":""`) {
		d.t.Error(out)
	}
	d.run(exitDone, "account", "set", "shop", "--handled-folder", "")
	d.run(exitDone, "receipts", "fetch")
}

// readsBesideSending lets a run that does not end by itself read the mailbox: an
// answer is seen as it comes, because Dovecot offers IDLE.
func (d *desk) readsBesideSending(server *mailserver.Server, ids map[string]string) {
	d.t.Helper()
	ctx, stop := context.WithCancel(d.t.Context())
	defer stop()
	ended := make(chan int, 1)
	go func() {
		var out bytes.Buffer
		ended <- Run(ctx, Deps{Version: "test"}, []string{"--data", d.data, "run"}, strings.NewReader(""), &out, &out)
	}()
	for _, address := range []string{"p6@example.test", "p7@example.test"} { // the second comes to one who waits
		sendAnswers(d.t, server, "ann@example.test", "ann's own", []answer{{Subject: "Re: Hello", Headers: map[string]string{"In-Reply-To": ids[address]}, Text: "I come.\n"}})
		waitFor(d.t, "the answer", func() bool {
			return strings.Contains(d.run(exitDone, "history", "--search", address, "--json"), `"receipt":"replied"`)
		})
	}
	if out := d.run(exitDone, "receipts", "mailboxes", "--json"); !strings.Contains(out, `"error":""`) || strings.Contains(out, `"read_at":null`) {
		d.t.Error(out)
	}
	stop()
	if code := <-ended; code != exitDone {
		d.t.Errorf("the run ended with %d", code)
	}
}

// waitFor looks at a condition until it holds, for two minutes at most.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s did not come", what)
		case <-tick.C:
		}
	}
}

// settle waits until no more than so many messages are queued.
func settle(t *testing.T, server *mailserver.Server, left int) {
	t.Helper()
	waitFor(t, "the last of the mail", func() bool {
		n, err := server.Queued()
		if err != nil {
			t.Fatal(err)
		}
		return n <= left
	})
}

// wantHistory looks at every row and returns the Message-IDs by address.
func (d *desk) wantHistory(want map[string]post.ReceiptKind) map[string]string {
	d.t.Helper()
	got, ids := map[string]post.ReceiptKind{}, map[string]string{}
	for _, x := range lines[struct {
		Address   string           `json:"address"`
		State     post.State       `json:"state"`
		Receipt   post.ReceiptKind `json:"receipt"`
		MessageID string           `json:"message_id"`
	}](d.t, d.run(exitDone, "history", "--json")) {
		if x.State != post.StateSent {
			d.t.Errorf("%s is %s", x.Address, x.State)
		}
		got[x.Address], ids[x.Address] = x.Receipt, x.MessageID
	}
	if !maps.Equal(got, want) {
		for address, kind := range want {
			if got[address] != kind {
				d.t.Errorf("%s is %q, want %q", address, got[address], kind)
			}
		}
	}
	return ids
}

func (d *desk) wantSuppressed(want map[string]int) {
	d.t.Helper()
	got := map[string]int{}
	for _, x := range lines[struct {
		Suppressed *struct {
			Reason, Source string
		} `json:"suppressed"`
	}](d.t, d.run(exitDone, "contacts", "list", "--json")) {
		if x.Suppressed == nil {
			continue
		}
		got[x.Suppressed.Reason]++
		id, ok := strings.CutPrefix(x.Suppressed.Source, "receipt ")
		if out := d.run(exitDone, "receipts", "show", id); !ok || !strings.Contains(out, "Subject: ") {
			d.t.Errorf("no evidence for %q", x.Suppressed.Source)
		}
	}
	if !maps.Equal(got, want) {
		d.t.Errorf("suppressed: %v, want %v", got, want)
	}
}

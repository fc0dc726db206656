package cli

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postroom/accounts"
	"postroom/mailer"
	"postroom/post"
	"postroom/receipts"
	"postroom/storage"
)

func (a *app) receiptsCommand() *cobra.Command {
	var name string
	fetch := &cobra.Command{
		Use: "fetch", Short: "Read the mailboxes back once",
		Long: `Fetch reads what is new in the mailboxes of the accounts that have one: delivery
reports, read receipts, replies, complaints, and requests to be left out. Nothing
there is changed, but that reports are moved away once they are understood where
"account set NAME --handled-folder FOLDER" asks for it. A message counts only when it is tied to one of yours
by an id that nobody can guess; the others are shown by receipts list.

A delivery that is uncertain is also looked for in the folder for sent mail, and
counts as sent when it lies there. Copies that "account set NAME --sent-copies"
asks for are filed there.`,
		Example: "  postroom receipts fetch --account shop",
		Args:    takes(0, "nothing"),
	}
	fetch.Flags().StringVar(&name, "account", "", "only this account, by `name`")
	fetch.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, _ []string) error { return a.fetchReceipts(ctx, l, name) })
	return group("receipts", "Read back what became of the messages",
		`A provider that took a message may still return it later, and people answer. All
that comes to the sender's mailbox; these commands read it from there. Give an
account its mailbox with: postroom account set NAME --imap-host HOST --imap-port 993 --imap-tls tls`,
		fetch,
		&cobra.Command{
			Use: "list", Short: "List the reports that are tied to no message, the newest first",
			Long: `List shows what looked like a report or a request but names no message of yours
in a way that cannot be forged. It changed nothing.`,
			Args: takes(0, "nothing"), RunE: a.onLedger(a.receiptsList),
		},
		&cobra.Command{
			Use: "mailboxes", Short: "Show when each mailbox was read last, and what keeps one from being read",
			Args: takes(0, "nothing"), RunE: a.onLedger(a.receiptsMailboxes),
		},
		&cobra.Command{
			Use: "show ID", Short: "Print a message that came back, as it came",
			Long: `Show prints it up to its first 256 KB; the rest is not kept. It is the evidence behind a suppression whose source is "receipt ID"; contacts
unsuppress undoes one.`,
			Args: takes(1, "the number of the receipt"), RunE: a.onLedger(a.receiptsShow),
		},
	)
}

// fetchedJSON is one mailbox read, as scripts see it.
type fetchedJSON struct {
	Account   string `json:"account"`
	Read      int    `json:"read"`
	Matched   int    `json:"matched"`
	Unmatched int    `json:"unmatched"`
	// Unreadable ones the server could not give.
	Unreadable int                      `json:"unreadable,omitempty"`
	By         map[post.ReceiptKind]int `json:"by"`
	Paused     []int64                  `json:"paused,omitempty"`  // mailings that paused themselves over it
	Settled    int                      `json:"settled,omitempty"` // uncertain ones that lie in the folder for sent mail
	Filed      int                      `json:"filed,omitempty"`   // copies put there
	Moved      int                      `json:"moved,omitempty"`   // reports moved to the folder for handled ones
}

func (a *app) fetchReceipts(ctx context.Context, l *storage.Ledger, name string) error {
	all, err := a.withMailbox(ctx, l, name)
	if err != nil {
		return err
	}
	if err := a.openSecrets(ctx, l, all, false); err != nil {
		return err
	}
	d := &accounts.Dialer{Secrets: a.Secrets, Clock: a.Clock, Log: a.log}
	sent, handled := sentFolder(d, l, a.Secrets, a.Clock, a.log), handledFolder(d, l, a.log)
	code := exitDone
	for _, x := range all {
		f := receipts.Fetcher{
			Dial: d.DialMailbox, Ledger: l, Log: a.log,
			Progress: func(done, total int) { a.status("%s: %d of %d messages", oneLine(x.Name), done, total) },
		}
		r, err := f.Fetch(ctx, x)
		a.clearStatus()
		if noted := l.NoteMailbox(context.WithoutCancel(ctx), receipts.StateOf(x, a.Clock.Now(), err)); noted != nil {
			return noted
		}
		var own receipts.SentResult
		var moved int
		troubles := []error{err}
		if err == nil {
			own, troubles[0] = sent.Visit(ctx, x, true)
			moved, err = handled.Visit(ctx, x) // whatever the other did
			troubles = append(troubles, err)
		}
		if errors.Join(troubles...) == nil || r.Read > 0 || moved > 0 {
			if err := a.answer(fetchedJSON{x.Name, r.Read, r.Matched, r.Unmatched, r.Unreadable, r.By, r.Paused, own.Settled, own.Filed, moved}, "%s: %s%s%s", oneLine(x.Name), plural(int64(r.Read), "message read", "messages read"), a.byKind(r), ownWords(own, moved, x.HandledFolder)); err != nil {
				return err
			}
		}
		for _, id := range r.Paused {
			a.note("Mailing %d has paused itself, because too much of it came back; see: postroom mailing show %d", id, id)
		}
		for _, err := range troubles {
			bad, err := a.mailboxTrouble(x, err)
			if err != nil {
				return err
			}
			code = max(code, bad)
		}
	}
	if code != exitDone {
		return ended{code}
	}
	return nil
}

// faultWords says why a mailbox could not be opened: in plain words before the
// server's own where those do not say it.
func (a *app) faultWords(f *post.Fault) string {
	if why := a.words.Reason(f.Reason); why != "" && !f.Reply.IsZero() {
		return why + " (" + f.Error() + ")"
	}
	return f.Error()
}

// mailboxTrouble tells what went wrong with one mailbox, and the exit code for it.
// What is about more than that mailbox it returns.
func (a *app) mailboxTrouble(x post.Account, err error) (int, error) {
	if err == nil {
		return exitDone, nil
	}
	var fault *post.Fault
	if errors.As(err, &fault) {
		a.complain(oneLine(x.Name+": "+a.faultWords(fault)), kindOfFault(fault), map[string]any{"account": x.Name})
		return codeOfFault(fault), nil
	}
	switch kind := post.KindOf(err); kind {
	case post.KindNetwork, post.KindRejected, post.KindNotFound, post.KindConflict:
		a.complain(oneLine(x.Name+": "+err.Error()), kind, map[string]any{"account": x.Name})
		return exitFailed, nil
	}
	return exitDone, err
}

// ownWords says what was done in the folder for sent mail, and how many reports
// were moved to another one.
func ownWords(r receipts.SentResult, moved int, to string) (s string) {
	if r.Settled > 0 {
		s += "; " + plural(int64(r.Settled), "uncertain one lies", "uncertain ones lie") + " in the folder for sent mail"
	}
	if r.Filed > 0 {
		s += "; " + plural(int64(r.Filed), "copy", "copies") + " filed there"
	}
	if moved > 0 {
		s += "; " + plural(int64(moved), "report", "reports") + " moved to " + oneLine(to)
	}
	return s
}

// codeOfFault is 3 for what would stop the account, because the user must act.
func codeOfFault(f *post.Fault) int {
	if mailer.Judge(mailer.Event{Phase: f.Phase, Reply: f.Reply, Cause: f.Cause}).Account == mailer.Stop {
		return exitUser
	}
	return exitFailed
}

func kindOfFault(f *post.Fault) post.Kind {
	switch {
	case f.Phase == post.PhaseAuth, f.Phase == post.PhaseSecret:
		return post.KindSignIn
	case !f.Reply.IsZero():
		return post.KindRejected
	}
	return post.KindNetwork
}

// withMailbox lists the accounts to read: the one named, else all that have a
// mailbox.
func (a *app) withMailbox(ctx context.Context, l *storage.Ledger, name string) ([]post.Account, error) {
	if name != "" {
		x, err := l.AccountByName(ctx, name)
		return []post.Account{x}, err
	}
	all, err := l.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	var some []post.Account
	for _, x := range all {
		if x.IMAPHost != "" {
			some = append(some, x)
		}
	}
	if len(some) == 0 {
		return nil, post.Errorf(post.KindInvalid, "", "no account has a mailbox; give it one: postroom account set NAME --imap-host HOST --imap-port 993 --imap-tls tls")
	}
	return some, nil
}

// receiptKinds is the order in which kinds are told.
var receiptKinds = []post.ReceiptKind{
	post.ReceiptDelivered, post.ReceiptRelayed, post.ReceiptDelayed, post.ReceiptBounced, post.ReceiptRead, post.ReceiptReplied,
	post.ReceiptAutoReply, post.ReceiptUnsubscribed, post.ReceiptComplaint, post.ReceiptUnknown,
}

func (a *app) byKind(r receipts.Result) string {
	var words []string
	for _, k := range receiptKinds {
		if n := r.By[k]; n > 0 {
			words = append(words, strconv.Itoa(n)+" "+a.words.Receipt(k))
		}
	}
	if r.Unreadable > 0 {
		words = append(words, strconv.Itoa(r.Unreadable)+" that the server could not give")
	}
	if r.Unmatched > 0 {
		words = append(words, strconv.Itoa(r.Unmatched)+" tied to none of yours")
	}
	if len(words) == 0 {
		return ", nothing about your mailings"
	}
	return ": " + strings.Join(words, ", ")
}

// receiptJSON is a receipt as scripts see it.
type receiptJSON struct {
	ID       int64            `json:"id"`
	Kind     post.ReceiptKind `json:"kind"`
	At       stamp            `json:"at"`
	Source   string           `json:"source"`
	Address  string           `json:"address"`
	Code     int              `json:"code"`
	Enhanced string           `json:"enhanced"`
	Text     string           `json:"text"`
	Message  string           `json:"message,omitempty"`
	Size     int64            `json:"size,omitempty"` // of the whole message, in bytes, where it is known
	Cut      bool             `json:"cut,omitempty"`  // only its beginning was kept, up to 256 KB
}

func describeReceipt(r *post.Receipt) receiptJSON {
	return receiptJSON{r.ID, r.Kind, stamp(r.At), r.Source, r.Address, r.Reply.Code, r.Reply.Enhanced, r.Reply.Text, string(r.Excerpt), r.Size, r.Cut()}
}

func (a *app) receiptsList(ctx context.Context, l *storage.Ledger, _ []string) error {
	all, err := l.Untied(ctx, maxUntied)
	if err != nil {
		return err
	}
	for i := range all {
		r := &all[i]
		if err := a.answer(describeReceipt(r), "%s  %d  %-12s %-32s from %s  %s", moment(r.At), r.ID, a.words.Receipt(r.Kind), oneLine(r.Address), oneLine(r.Source), oneLine(r.Reply.String())); err != nil {
			return err
		}
	}
	return nil
}

// maxUntied is how many reports without a tie are listed.
const maxUntied = 1000

func (a *app) receiptsShow(ctx context.Context, l *storage.Ledger, args []string) error {
	id, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil || id < 1 {
		return usage("%q is not the number of a receipt", args[0])
	}
	r, err := l.Receipt(ctx, id)
	if err != nil {
		return err
	}
	if a.json {
		return a.object(describeReceipt(&r))
	}
	for line := range strings.Lines(string(r.Excerpt)) {
		a.say("%s", oneLine(strings.TrimRight(line, "\r\n")))
	}
	switch {
	case r.Cut() && r.Size > 0:
		a.note("Only its first %d bytes were kept, of %d", len(r.Excerpt), r.Size)
	case r.Cut():
		a.note("Only its first %d bytes were kept", len(r.Excerpt))
	}
	return nil
}

// tellFunnel says in one line how far the messages of a mailing are known to
// have come. Of those that were accepted, nothing was heard of the rest.
func (a *app) tellFunnel(f post.Funnel) {
	words := []string{number(f[post.OutcomeAccepted]) + " accepted by the provider"}
	heard := false
	for _, o := range post.CameBack {
		if n := f[o]; n > 0 {
			heard = true
			words = append(words, number(n)+" "+a.words.Outcome(o))
		}
	}
	if heard {
		a.say("   %s, %s %s", strings.Join(words, ", "), number(f[post.OutcomeNoNews]), a.words.Outcome(post.OutcomeNoNews))
	}
}

// mailboxJSON is how the reading of one mailbox goes, as scripts see it.
type mailboxJSON struct {
	Account string `json:"account"`
	Server  string `json:"server"`
	ReadAt  stamp  `json:"read_at"`
	TriedAt stamp  `json:"tried_at"`
	Error   string `json:"error"`
	// HandledError is what kept handled reports from being moved.
	HandledError string `json:"handled_error"`
}

func (a *app) receiptsMailboxes(ctx context.Context, l *storage.Ledger, _ []string) error {
	all, err := l.Accounts(ctx)
	if err != nil {
		return err
	}
	states, err := l.MailboxStates(ctx)
	if err != nil {
		return err
	}
	for _, x := range all {
		if x.IMAPHost == "" {
			continue
		}
		s := storage.MailboxState{Server: accounts.MailboxName(x)}
		for _, have := range states {
			if have.Account == x.ID && have.Server == s.Server {
				s = have
			}
		}
		read, trouble := "not read yet", ""
		if !s.ReadAt.IsZero() {
			read = "read " + moment(s.ReadAt)
		}
		if s.Trouble.Raw != "" {
			trouble = "; since then: " + oneLine(s.Trouble.Raw)
		}
		if s.HandledTrouble.Raw != "" {
			trouble += "; " + oneLine(s.HandledTrouble.Raw)
		}
		if err := a.answer(mailboxJSON{x.Name, s.Server, stamp(s.ReadAt), stamp(s.TriedAt), s.Trouble.Raw, s.HandledTrouble.Raw}, "%s: %s%s", oneLine(x.Name), read, trouble); err != nil {
			return err
		}
	}
	return nil
}

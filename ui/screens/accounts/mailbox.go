package accounts

import (
	"context"
	"net"
	"strconv"
	"strings"
	"time"

	"fyne.io/fyne/v2"

	senders "postroom/accounts"
	"postroom/assets/providers"
	"postroom/assets/words"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/widgets"
)

// The fields about the mailbox.
const (
	FieldIMAPHost Field = "imap_host"
	FieldIMAPPort Field = "imap_port"
	FieldIMAPTLS  Field = "imap_tls"
	FieldPlus     Field = "plus"
	FieldCopies   Field = "copies"
)

// copyChoices are the form's choices in their order.
var copyChoices = []post.SentCopies{post.SentCopiesNone, post.SentCopiesEach, post.SentCopiesOne}

// copiesKey names the words of a choice; a key that ends in "one" would be a
// singular.
func copiesKey(c post.SentCopies) string {
	if c == post.SentCopiesOne {
		return "accounts.copies.single"
	}
	return "accounts.copies." + string(c)
}

// Mailbox is the part of a form that is about what comes back.
type Mailbox struct {
	IMAPHost, IMAPPort string // an empty host: nothing is read back
	IMAPTLS            post.TLS
	Plus               bool            // answers are asked for at name+token@domain
	Copies             post.SentCopies // empty: none
	Handled            string          // the folder for handled reports; empty: none
}

func mailboxOf(a *post.Account) Mailbox {
	if a.IMAPHost == "" {
		return Mailbox{IMAPPort: "993", IMAPTLS: post.TLSImplicit}
	}
	return Mailbox{IMAPHost: a.IMAPHost, IMAPPort: number(a.IMAPPort), IMAPTLS: a.IMAPTLS, Handled: a.HandledFolder}
}

// imapPortFor returns the port that suits a mode, unless another was typed.
func imapPortFor(mode post.TLS, typed string) string {
	switch strings.TrimSpace(typed) {
	case "", "993", "143":
		if mode == post.TLSImplicit {
			return "993"
		}
		return "143"
	}
	return typed
}

// set puts the mailbox into an account, and tells what is wrong.
func (m Mailbox) set(a *post.Account, bad func(Field, string, ...string)) {
	a.IMAPHost, a.IMAPPort, a.IMAPTLS = strings.TrimSpace(m.IMAPHost), 0, ""
	if a.IMAPHost != "" {
		port, err := strconv.Atoi(strings.TrimSpace(m.IMAPPort))
		a.IMAPPort, a.IMAPTLS = port, m.IMAPTLS
		if strings.ContainsAny(a.IMAPHost, " /@\r\n") {
			bad(FieldIMAPHost, "accounts.wrong.imap_host")
		}
		if err != nil || port < 1 || port > 65535 {
			bad(FieldIMAPPort, "accounts.wrong.imap_port")
		}
		if a.IMAPTLS == post.TLSNone && !post.IsLoopbackHost(a.IMAPHost) {
			bad(FieldIMAPTLS, "accounts.wrong.imap_tls")
		}
	}
	switch {
	case m.Copies == "":
	case a.IMAPHost == "":
		bad(FieldCopies, "accounts.wrong.copies_mailbox")
	case providers.FilesSentMail(a.Host):
		bad(FieldCopies, "accounts.wrong.copies_provider")
	}
	m.setHandled(a, bad)
}

// keep stores what is no part of the account itself.
func (m Mailbox) keep(ctx context.Context, l *storage.Ledger, account int64) error {
	had, err := habitsOf(ctx, l, account)
	if err != nil {
		return err
	}
	if had.Plus != m.Plus {
		tokens := post.ReplyTokensNone
		if m.Plus {
			tokens = post.ReplyTokensPlus
		}
		if err := l.SetReplyTokens(ctx, account, tokens); err != nil {
			return err
		}
	}
	if had.Copies == m.Copies {
		return nil
	}
	if m.Copies == "" {
		m.Copies = post.SentCopiesNone
	}
	return l.SetSentCopies(ctx, account, m.Copies)
}

// habitsOf reads what an account does besides sending.
func habitsOf(ctx context.Context, l *storage.Ledger, account int64) (m Mailbox, err error) {
	tokens, err := l.ReplyTokens(ctx, account)
	if err != nil {
		return m, err
	}
	if m.Copies, err = l.SentCopies(ctx, account); m.Copies == post.SentCopiesNone {
		m.Copies = ""
	}
	m.Plus = tokens == post.ReplyTokensPlus
	return m, err
}

// reading adds to the panel how the reading of the account's mailbox goes.
func (p *Panel) reading(ctx context.Context, l *storage.Ledger, w *words.Catalogue, now time.Time) error {
	a := &p.Account
	habits, err := habitsOf(ctx, l, a.ID)
	if err != nil {
		return err
	}
	p.Plus, p.Copies = habits.Plus, habits.Copies
	if a.IMAPHost == "" {
		return nil
	}
	states, err := l.MailboxStates(ctx)
	if err != nil {
		return err
	}
	read := w.T("accounts.mailbox.never")
	for _, s := range states {
		if s.Account != a.ID || s.Server != senders.MailboxName(*a) {
			continue
		}
		if !s.ReadAt.IsZero() {
			read = w.When(s.ReadAt.In(now.Location()), now)
		}
		if !s.Trouble.IsZero() {
			p.Trouble = w.T("accounts.mailbox.trouble", w.When(s.TriedAt.In(now.Location()), now), troubleWords(w, s.Trouble))
		}
		if !s.HandledTrouble.IsZero() {
			p.Unmoved = w.T("accounts.handled.trouble", a.HandledFolder, troubleWords(w, s.HandledTrouble))
		}
	}
	p.Facts = append(p.Facts, Fact{w.T("accounts.fact.mailbox"), net.JoinHostPort(a.IMAPHost, strconv.Itoa(a.IMAPPort))}, Fact{w.T("accounts.fact.mailbox_read"), read})
	if p.Copies != "" {
		p.Facts = append(p.Facts, Fact{w.T("accounts.copies"), w.T(copiesKey(p.Copies))})
	}
	if a.HandledFolder != "" {
		p.Facts = append(p.Facts, Fact{w.T("accounts.handled"), a.HandledFolder})
	}
	return nil
}

// troubleWords says what kept a mailbox from being read, with the raw text behind
// it unless the sentence holds the server's words already.
func troubleWords(w *words.Catalogue, r post.Reason) string {
	said := ""
	if w.Has(r.Key) {
		said = w.Reason(r)
	}
	switch {
	case said == "":
		return r.Raw
	case len(r.Args) > 0 || r.Raw == "":
		return said
	}
	return said + " (" + r.Raw + ")"
}

// mailboxCard is the part of the form about what comes back.
func (f *formView) mailboxCard() fyne.CanvasObject {
	env := f.view.env
	names := make([]string, len(Modes))
	for i, m := range Modes {
		names[i] = env.T("accounts.imap." + string(m))
	}
	f.imapMode = widgets.NewSelect(names, func(string) {
		f.entries[FieldIMAPPort].SetText(imapPortFor(Modes[max(0, f.imapMode.SelectedIndex())], f.entries[FieldIMAPPort].Text))
	})
	copies := make([]string, len(copyChoices))
	for i, c := range copyChoices {
		copies[i] = env.T(copiesKey(c))
	}
	f.copies = widgets.NewSelect(copies, func(string) {})
	f.plus = widgets.NewCheck(env.T("accounts.plus"), func(bool) {})
	return widgets.NewCard(env.T("accounts.form.mailbox"), nil, widgets.VStack(8,
		f.row(FieldIMAPHost, "accounts.server", f.entry(FieldIMAPHost, "accounts.hint.imap_host")),
		f.row(FieldIMAPTLS, "accounts.encryption", f.imapMode),
		f.row(FieldIMAPPort, "accounts.port", f.entry(FieldIMAPPort, "")),
		f.row(FieldCopies, "accounts.copies", f.copies),
		f.row(FieldPlus, "", f.plus), f.handledRow()))
}

func (f *formView) fillMailbox(m Mailbox) {
	for i, mode := range Modes {
		if mode == m.IMAPTLS {
			f.imapMode.SetSelectedIndex(i)
		}
	}
	f.copies.SetSelectedIndex(0)
	for i, c := range copyChoices {
		if c == m.Copies {
			f.copies.SetSelectedIndex(i)
		}
	}
	f.plus.SetChecked(m.Plus)
}

func (f *formView) readMailbox() Mailbox {
	m := Mailbox{IMAPTLS: Modes[max(0, f.imapMode.SelectedIndex())], Plus: f.plus.Checked}
	if i := f.copies.SelectedIndex(); i > 0 {
		m.Copies = copyChoices[i]
	}
	return m
}

package cli

import (
	"context"
	"iter"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postroom/accounts"
	"postroom/compose"
	"postroom/contacts"
	"postroom/mailer"
	"postroom/post"
	"postroom/storage"
)

// sendFlags are the flags of send.
type sendFlags struct {
	account, list, rows, subject, body, text string
	to, attach                               []string
	attachAs                                 []string
	attachColumn, attachRoot                 string
	attachColumnAs, preview, design          string
	replyTo, dsn, at, zone, name             string
	hours, uncertain, late                   string
	lateAfter                                time.Duration
	release                                  int64
	rehearse, realSpeed                      bool
	checkLinks, promotional                  bool
	changed                                  func(name string) bool
	readReceipt                              bool
	priority                                 string
	pictureWidth                             int
}

func (a *app) sendCommand() *cobra.Command {
	var f sendFlags
	c := &cobra.Command{
		Use:   "send --account NAME[,NAME...] (--list LIST | --to ADDR... | --rows SHEET) --subject S --body FILE",
		Short: "Queue a mailing, or rehearse it",
		Long: `Send checks everything first: the words, the files, and every row. When anything
is wrong it says what and queues nothing. Otherwise it queues one message per
recipient and returns; postroom run, or an open window, sends them.

The body is Markdown (.md), HTML (.html) or plain text (.txt); an .eml file or a
folder that postroom mailing export wrote brings its subject and files along.
Fields stand in double braces, in the subject too: {{first_name | default "guest"}}.

With --rehearse the messages go to the practice trap inside the program instead:
nothing leaves this computer, and each message can be opened as it would arrive.
That goes as fast as it can; with --real-speed as fast as the accounts may send.

With --rows each row of a sheet is a message of its own, and its people need not
be contacts.`,
		Example: `  postroom send --account shop --list Guests --subject 'Dear {{first_name}}' --body letter.md --rehearse
  postroom send --account shop --to anna@example.com --to ben@example.com --subject Hello --body hello.txt
  postroom send --account shop,office --rows invoices.csv --subject 'Invoice {{number}}' --body invoice.md \
           --attach-column file --attach-root invoices/ --at '2026-12-01 09:00' --zone Europe/Berlin`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 && len(f.to) == 0 {
				return usage("%q is too much here; see: postroom send --help", args[0])
			}
			return nil
		},
	}
	s := c.Flags()
	s.StringVar(&f.account, "account", "", "the `account` to send from; several, by comma, share the mailing")
	s.StringVar(&f.list, "list", "", "send to everybody in this `list`")
	s.StringArrayVar(&f.to, "to", nil, "send to this `address`; can be repeated")
	s.StringVar(&f.rows, "rows", "", "send one message per row of this `sheet` (CSV)")
	s.StringVar(&f.subject, "subject", "", "the subject")
	s.StringVar(&f.body, "body", "", "the `file` with the message: .md, .html, .txt or .eml; or a folder of: postroom mailing export")
	s.StringVar(&f.text, "text", "", "a `file` with the text version of a Markdown or HTML body, for readers that show no HTML (default: made from the body)")
	s.StringArrayVar(&f.attach, "attach", nil, "a `file` for everybody; can be repeated")
	s.StringArrayVar(&f.attachAs, "attach-as", nil, "what the file is called in the message, such as 'Invoice {{number}}.pdf'; the first is for the first --attach")
	s.StringVar(&f.attachColumnAs, "attach-column-as", "", "what each recipient's own file is called in the message, such as 'Invoice {{number}}'")
	s.StringVar(&f.preview, "preview-text", "", "the `line` that readers show behind the subject")
	s.StringVar(&f.attachColumn, "attach-column", "", "the `field` that names each recipient's own file")
	s.StringVar(&f.attachRoot, "attach-root", "", "the `folder` that those files are in")
	s.StringVar(&f.replyTo, "reply-to", "", "where answers go, when not to the sender")
	s.StringVar(&f.dsn, "dsn", string(post.DSNFailure), "delivery reports to ask for: none, failure or all")
	s.BoolVar(&f.readReceipt, "read-receipt", false, "ask to be told when a message was opened; most programs ask their user first, or never tell")
	s.StringVar(&f.priority, "priority", "normal", "tell readers that it is of high or low `priority`, which many show as a mark")
	s.IntVar(&f.pictureWidth, "picture-width", 0, "make pictures in the message at most this many `pixels` wide")
	s.StringVar(&f.at, "at", "", "not before this `time`: 2026-12-01T09:00:00+01:00, or '2026-12-01 09:00'")
	s.StringVar(&f.zone, "zone", "", "the time zone of --at and --hours, such as Europe/Berlin (default: this computer's)")
	s.StringVar(&f.hours, "hours", "", "send only in these `hours`, such as 'mon-fri 09:00-17:00'")
	s.StringVar(&f.late, "late", "", "what to do when it could not begin at its time, because the computer slept: ask, or skip it (default: send it however late)")
	s.DurationVar(&f.lateAfter, "late-after", time.Hour, "with --late: it still goes by itself until so long after its time, such as 2h")
	s.Int64Var(&f.release, "release", 0, "let this `number` go first, then wait for: postroom mailing release")
	s.StringVar(&f.uncertain, "uncertain", "", "what to do about a message that may or may not have arrived: ask, resend (once) or sent (default: the setting)")
	s.BoolVar(&f.rehearse, "rehearse", false, "send it to the practice trap: nothing leaves this computer")
	s.BoolVar(&f.realSpeed, "real-speed", false, "with --rehearse: keep to the accounts' limits and connections, as the mailing itself would")
	s.StringVar(&f.design, "design", "", "the `look` of a Markdown body: letter, newsletter, announcement, invoice or invitation")
	s.BoolVar(&f.promotional, "promotional", false, "it advertises: add a way to unsubscribe, and the footer of: postroom account letterhead")
	s.BoolVar(&f.checkLinks, "check-links", false, "try the links in the message; their servers will notice")
	s.StringVar(&f.name, "name", "", "what the mailing is called in lists (default: the subject)")
	f.changed = s.Changed
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		f.to = append(f.to, args...) // "--to a b c" means three
		return a.send(ctx, l, &f)
	})
	return c
}

func (a *app) send(ctx context.Context, l *storage.Ledger, f *sendFlags) error {
	job := &compose.Job{Name: strings.TrimSpace(f.name), Kind: post.Live}
	if f.rehearse {
		job.Kind, job.RealSpeed = post.Rehearsal, f.realSpeed
	}
	if f.realSpeed && !f.rehearse {
		return usage("--real-speed goes with --rehearse; without it a mailing keeps to its limits anyway")
	}
	if f.zone != "" && f.at == "" && f.hours == "" {
		return usage("--zone goes with --at or --hours")
	}
	var err error
	if job.Senders, err = a.senders(ctx, l, f); err != nil {
		return err
	}
	if err := a.message(ctx, l, f, job); err != nil {
		return err
	}
	if job.NotBefore, err = notBefore(f.at, f.zone); err != nil {
		return err
	}
	if err := a.pacing(ctx, l, f, job); err != nil {
		return err
	}
	if !job.NotBefore.IsZero() && job.NotBefore.Before(a.Clock.Now()) {
		a.note("%s is over already, so it goes out at once.", f.at)
	}
	skipped, err := a.recipients(ctx, l, f, job)
	if err != nil {
		return err
	}
	a.facts(l, f, job)
	q, err := compose.Queue(ctx, l, l, job, func(done, _ int64) { a.status("%s looked at", plural(done, "recipient", "recipients")) })
	a.clearStatus()
	out := queued{Skipped: *skipped}
	if err != nil {
		if len(out.Skipped) > 0 && onlyNobody(q.Findings) {
			return a.tellQueued(f, out)
		}
		return a.tellFindings(q.Findings, err)
	}
	for _, s := range q.Skipped {
		out.Skipped = append(out.Skipped, skippedJSON{s.Address, a.reason(s.Reason)})
	}
	if out.Queued = q.Queued; q.Mailing != 0 {
		out.Mailing = &q.Mailing
	}
	a.tellWarnings(warnings(q.Findings))
	return a.tellQueued(f, out)
}

// facts gives the check what it looks at beyond the words and rows.
func (a *app) facts(l *storage.Ledger, f *sendFlags, job *compose.Job) {
	job.Lookup, job.Now = l, a.Clock.Now()
	job.Foresee = mailer.JobOutlook(l, job, time.Local)
	job.Health = accounts.HealthNews(l, job.Now)
	if f.checkLinks {
		job.TryLink = compose.LinkTrier(nil)
	}
}

// pacing reads when the mailing may go, how much of it goes first, and what is
// done about uncertain messages.
func (a *app) pacing(ctx context.Context, l *storage.Ledger, f *sendFlags, job *compose.Job) (err error) {
	if f.hours != "" {
		zone := f.zone
		if zone == "" {
			zone = post.LocalZone()
		}
		if job.Hours, err = post.ParseHours(f.hours, zone); err != nil {
			return err
		}
	}
	switch job.Late.Then = post.LatePolicy(f.late); {
	case f.late == "":
	case f.late != string(post.LateAsk) && f.late != string(post.LateSkip):
		return usage("--late is ask or skip, not %q", f.late)
	case f.at == "" || f.lateAfter < 0:
		return usage("--late goes with --at, and --late-after is not negative")
	default:
		job.Late.After = f.lateAfter
	}
	if f.release < 0 {
		return usage("--release is how many go first: 1 or more")
	}
	job.Release = f.release
	value := f.uncertain
	if value == "" {
		if value, err = l.Setting(ctx, settingUncertain, string(post.UncertainAsk)); err != nil {
			return err
		}
	}
	switch job.Uncertain = post.UncertainPolicy(value); job.Uncertain {
	case post.UncertainAsk, post.UncertainResend, post.UncertainAssume:
		return nil
	}
	return usage("--uncertain is ask, resend or sent, not %q", value)
}

// senders looks the accounts up.
func (a *app) senders(ctx context.Context, l *storage.Ledger, f *sendFlags) ([]post.Sender, error) {
	var all []post.Sender
	seen := map[int64]bool{}
	for name := range strings.SplitSeq(f.account, ",") {
		if name = strings.TrimSpace(name); name == "" {
			return nil, usage("give the account to send from: --account NAME")
		}
		x, err := l.AccountByName(ctx, name)
		if err != nil {
			return nil, err
		}
		switch {
		case seen[x.ID]:
			return nil, usage("the account %s is given twice", x.Name)
		case isPractice(x) && !f.rehearse:
			return nil, usage("%s only rehearses: add --rehearse, or choose another account", x.Name)
		}
		if state := x.State(a.Clock.Now()); !f.rehearse && (state == post.AccountStopped || state == post.AccountPaused) {
			a.note("%s is %s; its mail waits until: postroom account resume %s", oneLine(x.Name), state, oneLine(x.Name))
		}
		seen[x.ID] = true
		all = append(all, post.Sender{Account: x.ID, Email: x.Email, FromName: x.FromName, Weight: x.Weight})
	}
	return all, nil
}

// notBefore reads --at: RFC 3339 with its own offset, or day and time in zone.
func notBefore(at, zone string) (time.Time, error) {
	if at == "" {
		return time.Time{}, nil
	}
	loc := time.Local
	if zone != "" {
		var err error
		if loc, err = time.LoadLocation(zone); err != nil {
			return time.Time{}, usage("there is no time zone %q; write it like Europe/Berlin", zone)
		}
	}
	if t, err := time.Parse(time.RFC3339, at); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		t, err := time.ParseInLocation(layout, at, loc)
		if err != nil {
			continue
		}
		if t.Format(layout) != at { // in the hour that is left out when clocks are put forward
			return time.Time{}, usage("there is no %s in %s: clocks are put forward then", at, loc)
		}
		return t, nil
	}
	return time.Time{}, usage("the time %q is not understood; write 2026-12-01T09:00:00+01:00 or '2026-12-01 09:00'", at)
}

// recipients says in job whom it goes to. The rows of a sheet that are left out
// are added to skipped while they are read for the first time.
func (a *app) recipients(ctx context.Context, l *storage.Ledger, f *sendFlags, job *compose.Job) (skipped *[]skippedJSON, err error) {
	skipped = &[]skippedJSON{}
	given := 0
	for _, on := range []bool{f.list != "", len(f.to) > 0, f.rows != ""} {
		if on {
			given++
		}
	}
	if given != 1 {
		return nil, usage("say whom it goes to, by one of --list, --to and --rows")
	}
	if f.rows != "" {
		return skipped, a.sheet(ctx, f.rows, job, skipped)
	}
	if job.KnownFields, err = l.FieldNames(ctx); err != nil {
		return nil, err
	}
	if job.KnownFields == nil {
		job.KnownFields = []string{} // known: there are none
	}
	if f.list != "" {
		li, err := l.FreshList(ctx, f.list)
		if err != nil {
			return nil, err
		}
		job.Lists = []int64{li.ID}
		job.Total = li.Members
		job.Recipients = func() iter.Seq2[post.Recipient, error] { return members(ctx, l, li.ID) }
		return skipped, nil
	}
	people, err := addressees(ctx, l, f.to)
	if err != nil {
		return nil, err
	}
	job.Total = int64(len(people))
	job.Recipients = func() iter.Seq2[post.Recipient, error] {
		return func(yield func(post.Recipient, error) bool) {
			for _, p := range people {
				if !yield(p, nil) {
					return
				}
			}
		}
	}
	return skipped, nil
}

// members walks the people of a list.
func members(ctx context.Context, l *storage.Ledger, list int64) iter.Seq2[post.Recipient, error] {
	return func(yield func(post.Recipient, error) bool) {
		for x, err := range l.EachMember(ctx, list) {
			if !yield(post.Recipient{Contact: x.ID, Address: x.Address, Key: x.Key, Name: x.Name, Fields: x.Fields}, err) || err != nil {
				return
			}
		}
	}
}

// addressees are the people of --to. Who is a contact brings name and fields.
func addressees(ctx context.Context, l *storage.Ledger, to []string) ([]post.Recipient, error) {
	var people []post.Recipient
	for _, s := range to {
		name, x, err := post.ParseMailbox(s)
		if err != nil {
			return nil, err
		}
		r := post.Recipient{Address: x.String(), Key: post.AddressKey(x), Name: name, Fields: map[string]string{}}
		for c, err := range l.EachContact(ctx, storage.ContactFilter{Search: r.Address}) {
			if err != nil {
				return nil, err
			}
			if c.Key != r.Key {
				continue
			}
			r.Contact, r.Fields = c.ID, c.Fields
			if r.Name == "" {
				r.Name = c.Name
			}
			break
		}
		people = append(people, r)
	}
	return people, nil
}

// sheet takes the recipients from the rows of a file.
func (a *app) sheet(ctx context.Context, path string, job *compose.Job, skipped *[]skippedJSON) error {
	reading := 0
	fields, rows, err := contacts.RowsAs(ctx, path, contacts.Options{Temp: filepath.Join(a.data, "temp")}, func(p contacts.Problem) {
		if reading > 1 { // the same problems again
			return
		}
		why := a.reason(p.Reason)
		if p.Row > 0 {
			why = "row " + number(p.Row) + ": " + why
		}
		if !p.Skipped {
			a.note("%s (taken all the same)", oneLine(why))
			return
		}
		*skipped = append(*skipped, skippedJSON{p.Value, why})
	})
	if err != nil {
		return err
	}
	if fields == nil {
		fields = []string{}
	}
	job.KnownFields = fields
	job.Recipients = func() iter.Seq2[post.Recipient, error] {
		reading++
		return rows
	}
	return nil
}
